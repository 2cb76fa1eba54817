"""Replaces Django's admin site by ours. It is a module of its own, because an ``apps.py`` may hold only its own app."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    default_site = "usage_dashboard.admin.LedgerAdminSite"
