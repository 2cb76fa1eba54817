"""The end of a child of multiprocessing, which runs its finalizers but not the handlers of ``atexit``."""

import multiprocessing
import sys
from collections.abc import Callable

DISPATCHER, WRITER = 20, 10
"""Priorities: the dispatcher hands over its calls before the writer closes."""


def at_end_of_child(work: Callable[[], object], priority: int) -> None:
    """Have ``work`` done at the end of this process if it is a child of multiprocessing. Call it in the child when it
    makes its first call, since multiprocessing forgets what was registered before."""
    util = sys.modules.get("multiprocessing.util")  # if it was not imported, this process is no such child
    if util is not None and multiprocessing.parent_process() is not None:
        util.Finalize(None, work, exitpriority=priority)
