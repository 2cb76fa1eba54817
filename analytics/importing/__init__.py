"""Events from files: lines become calls, and calls go through ``analytics.recording`` like any others.

``lines`` reads a file, ``formats`` makes objects of its lines, ``columns`` and ``groq_batch`` make calls of those,
``ledger`` hands the calls to the writer, ``place`` remembers how far it came, and ``run`` is all of it for one file.
"""


class RefusedError(ValueError):
    """A line that cannot be imported; the message says why, for the person whose file it is."""
