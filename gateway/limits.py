"""How many calls may be under way at once, in each process: in all, and for each key."""

from accounts.keyring import KeyEntry
from gateway import errors
from gateway.rates import OverRateError, Rates


class Limits:
    """The present use of each key."""

    def __init__(self, connections: int, connections_of_a_key: int, rates: Rates) -> None:
        self._connections, self._connections_of_a_key = connections, connections_of_a_key
        self._open = 0
        self._open_of_key: dict[int, int] = {}
        self._rates = rates

    def enter(self, key: KeyEntry) -> None:
        """Counts one more call under way. Raises :class:`errors.Refusal` if a limit is reached."""
        if self._open >= self._connections:
            raise errors.too_busy()
        of_key = self._open_of_key.get(key.id, 0)
        if of_key >= self._connections_of_a_key:
            raise errors.too_many_requests(f"This key has {of_key} calls under way, which is its limit.", 1)
        try:
            self._rates.let_in(key)
        except OverRateError as error:
            raise errors.too_many_requests(str(error), error.seconds) from None
        self._open += 1
        self._open_of_key[key.id] = of_key + 1

    def leave(self, key: KeyEntry) -> None:
        """Counts one call less under way."""
        self._open -= 1
        if self._open_of_key[key.id] > 1:
            self._open_of_key[key.id] -= 1
        else:
            del self._open_of_key[key.id]

    def spend(self, key: KeyEntry, tokens: int) -> None:
        """Counts the tokens of a call that has ended."""
        self._rates.spend(key, tokens)
