from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "analytics"
    verbose_name = "Usage"

    def ready(self) -> None:
        import groq_client
        from analytics.writer import LedgerRecorder

        groq_client.configure(LedgerRecorder())
