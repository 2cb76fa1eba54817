"""Folding the tail at a moment that a test chooses, and folders for tests."""

from ledger.recording.folder import Folder
from ledger.recording.folding import fold_tail


def fold_now() -> int:
    """Move the whole tail into sessions and rollups. Returns the number of moved events."""
    return fold_tail(wait=True).events


class IdleFolder(Folder):
    """A folder that never folds."""

    def wrote(self, events: int) -> None:
        pass


class WatchedFolder(Folder):
    """A folder that can be asked whether it has nothing to do."""

    _is_busy = False

    @property
    def is_idle(self) -> bool:
        return self._wake.empty() and not self._is_busy

    def _let_events_gather(self) -> None:
        self._is_busy = True
        super()._let_events_gather()

    def _fold(self) -> bool:
        is_done = super()._fold()
        self._is_busy = not is_done
        return is_done
