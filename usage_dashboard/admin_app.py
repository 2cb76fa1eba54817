"""Puts our admin site in the place of Django's. A module of its own: an app's ``apps.py`` may hold only its own app."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    default_site = "usage_dashboard.admin.LedgerAdminSite"
