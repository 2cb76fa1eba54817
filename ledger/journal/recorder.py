"""The recorder, which puts the client's calls into the journal and from there into the ledger."""

from django.conf import settings

from groq_client.call import Call
from groq_client.journal.journal import Journal
from groq_client.journal.recorder import JournalRecorder
from groq_client.journal.writer import Writer
from ledger.journal.settle import Ledger

MEMORY = 10_000
"""At most this many calls wait in memory for the database."""


class LedgerRecorder(JournalRecorder):
    """Records calls in the database of this process. Budgets will refuse calls in ``start``.

    With ``RECORDING_SYNCHRONOUS`` the caller waits at most ``RECORDING_TIMEOUT_MS`` for the row, but not if the
    database is known to be away or slow.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        directory = settings.JOURNAL_DIR
        journal = Journal(directory, settings.JOURNAL_LIMIT_MB * 1_000_000)
        super().__init__(Writer(Ledger(directory), journal, memory))

    @property
    def finish_is_blocking(self) -> bool:
        return bool(settings.RECORDING_SYNCHRONOUS)

    def finish(self, call: Call) -> None:
        super().finish(call)
        if settings.RECORDING_SYNCHRONOUS:
            self._writer.wait(settings.RECORDING_TIMEOUT_MS / 1000)
