"""Import of events from files: lines become calls, which ``ledger.recording.record`` writes like all other calls.

``lines`` reads a file, and ``encoding`` converts it to UTF-8. ``formats`` and ``table`` make objects of the lines.
``columns`` and ``groq_batch`` make calls of the objects. ``writing`` records the calls. ``checkpoint`` stores the
progress of the import, ``rejects`` stores the refused lines, and ``run`` is the whole import of one file.
"""


class RefusedError(ValueError):
    """The event cannot be imported; the message tells its sender why. ``field`` is the name of the wrong column; empty
    if the event as a whole is wrong."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field
