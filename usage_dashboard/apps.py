from django.apps import AppConfig


class UsageDashboardConfig(AppConfig):
    name = "usage_dashboard"

    def ready(self) -> None:
        import groq_client
        from analytics import first_run
        from connect import views as connect
        from ledger.journal.recorder import LedgerRecorder
        from usage_dashboard import checks  # noqa: F401 - the import registers the checks

        groq_client.configure(LedgerRecorder())
        first_run.plug_in(connect.first_run)
