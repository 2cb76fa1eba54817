from django.apps import AppConfig


class UsageDashboardConfig(AppConfig):
    name = "usage_dashboard"

    def ready(self) -> None:
        import groq_client
        from analytics.pages.models.price_preview import preview
        from ledger.journal.recorder import LedgerRecorder
        from pricing.preview import plug_in
        from usage_dashboard import checks  # noqa: F401 - the import registers the checks

        groq_client.configure(LedgerRecorder())
        plug_in(preview)
