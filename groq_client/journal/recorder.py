"""The recorder that appends calls to the journal of this process, whatever their destination."""

from groq_client.call import Call
from groq_client.journal.writer import Writer


class JournalRecorder:
    """Records calls as they end. Each method appends a line to the journal and returns; a thread brings the calls to
    their destination a moment later. If the destination is away, the calls wait in the journal, and this process or a
    later one brings them there (``groq_client.journal.replay``). It implements ``groq_client.call.Recorder``."""

    start_is_blocking = False

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @property
    def finish_is_blocking(self) -> bool:
        return False

    def start(self, call: Call) -> None:
        """Note that a call begins."""
        self._writer.begin(call)

    def ended(self, call: Call) -> None:
        """Note that a call has ended while its usage is still being estimated. If the process dies before ``finish``,
        the call is recorded with the rough usage that it has now."""
        self._writer.note_end(call)

    def finish(self, call: Call) -> None:
        """Take a call that has ended. If the destination is away, no error is raised, and the call waits."""
        self._writer.put(call)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all ended calls are settled; False if they were not within ``timeout`` seconds."""
        return self._writer.flush(timeout)
