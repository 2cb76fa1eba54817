from django.apps import AppConfig


class UsageDashboardConfig(AppConfig):
    name = "usage_dashboard"
