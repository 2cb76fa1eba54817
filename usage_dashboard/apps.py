from django.apps import AppConfig


class UsageDashboardConfig(AppConfig):
    name = "usage_dashboard"

    def ready(self) -> None:
        import groq_client
        from analytics import first_run
        from analytics.pages.models.price_preview import preview
        from connect import views as connect
        from ledger.journal.recorder import LedgerRecorder
        from pricing import preview as price_preview
        from usage_dashboard import checks  # noqa: F401 - the import registers the checks

        groq_client.configure(LedgerRecorder())
        first_run.plug_in(connect.first_run)
        price_preview.plug_in(preview)
