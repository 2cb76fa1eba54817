"""A progress bar on a terminal, or occasional lines in a log."""

import shutil
import sys
import time
from typing import TextIO

BAR = 30
REDRAW_SECONDS = 0.1


class Progress:
    """Shows progress. Call the instance with the numbers done and to do."""

    def __init__(self, what: str, output: TextIO = sys.stdout) -> None:
        self._what, self._output = what, output
        self._started = time.monotonic()
        self._is_terminal = output.isatty()
        self._drawn_at = 0.0
        self._tenth = 0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        is_over = done >= total
        if self._is_terminal and (is_over or now - self._drawn_at > REDRAW_SECONDS):
            self._drawn_at = now
            self._draw(done, total, now - self._started)
        elif not self._is_terminal and done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            self._output.write(f"{done:,} of {total:,} {self._what}\n")
            self._output.flush()

    def close(self) -> None:
        """Leave the bar as it is and start a new line."""
        if self._is_terminal and self._drawn_at:
            self._output.write("\n")

    def _draw(self, done: int, total: int, seconds: float) -> None:
        filled = BAR * done // total
        left = f"{seconds / done * (total - done):.0f} s left" if done < total else f"{seconds:.0f} s"
        line = f"[{'#' * filled}{'.' * (BAR - filled)}] {done:,} of {total:,} {self._what}, {left}"
        self._output.write("\r" + line.ljust(70)[: shutil.get_terminal_size().columns - 1])
        self._output.flush()
