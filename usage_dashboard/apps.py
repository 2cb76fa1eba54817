from django.apps import AppConfig


class UsageDashboardConfig(AppConfig):
    name = "usage_dashboard"

    def ready(self) -> None:
        from usage_dashboard import checks  # noqa: F401 - importing registers them
