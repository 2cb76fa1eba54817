from django.apps import AppConfig


class UsageDashboardConfig(AppConfig):
    name = "usage_dashboard"

    def ready(self) -> None:
        import groq_client
        from ledger.journal.recorder import LedgerRecorder
        from usage_dashboard import checks  # noqa: F401 - the import registers the checks

        groq_client.configure(LedgerRecorder())
