"""The limit on attempts to sign in. One statement counts an attempt before its password is checked, so that many
attempts at the same moment get no further than the same number one after the other.

Attempts are counted by name and client address together. So nobody can lock out a colleague from another place, and one
person's typing errors do not lock out a whole office behind one address. Requests for password links have the same
limit.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models.functions import Least
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import SignInAttempts

# If the last allowed attempt is longer ago than the pause, counting begins again at 1. A refused attempt does not
# change last_at, so that further attempts make nobody wait longer. The count stops at one more than the limit.
COUNT = """
INSERT INTO accounts_signinattempts AS known (name, address, count, last_at)
VALUES (%(name)s, %(address)s, 1, now())
ON CONFLICT (name, address) DO UPDATE SET
    count = CASE WHEN known.last_at < now() - make_interval(secs => %(pause)s) THEN 1
        ELSE least(known.count, %(limit)s) + 1 END,
    last_at = CASE WHEN known.last_at >= now() - make_interval(secs => %(pause)s) AND known.count >= %(limit)s
        THEN known.last_at ELSE now() END
RETURNING count
"""


class TooManyAttemptsError(Exception):
    """The limit of attempts is reached; the next attempt is allowed after SIGN_IN_PAUSE_MINUTES."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A counted attempt whose password may be checked. ``name`` and ``address`` are hashes."""

    name: str
    address: str
    is_last: bool

    def failed(self) -> None:
        """Tell that the password was wrong. TooManyAttemptsError if this was the last allowed attempt."""
        if self.is_last:
            raise TooManyAttemptsError

    def succeeded(self) -> None:
        """Tell that the password was right, which resets the count."""
        SignInAttempts.objects.filter(name=self.name, address=self.address).delete()

    def take_back(self) -> None:
        """Uncount the attempt, because its password was not checked after all."""
        counted = SignInAttempts.objects.filter(name=self.name, address=self.address, count__gt=0)
        counted.update(count=Least("count", settings.SIGN_IN_ATTEMPTS) - 1)


def count_attempt(username: str, address: str | None) -> Attempt:
    """Count an attempt. TooManyAttemptsError if the limit was reached before; then no password may be checked."""
    name, place, limit = _hashed(username), _hashed(address or ""), settings.SIGN_IN_ATTEMPTS
    pause = settings.SIGN_IN_PAUSE.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"name": name, "address": place, "limit": limit, "pause": pause})
        (number,) = cursor.fetchone()
    if number > limit:
        raise TooManyAttemptsError
    return Attempt(name, place, is_last=number == limit)


def forget_attempts(username: str) -> None:
    """Reset the count of a name for all addresses, after the person has proved their identity in another way."""
    SignInAttempts.objects.filter(name=_hashed(username)).delete()


def forget_old_attempts() -> None:
    """Delete expired counts, so that the table does not grow with every name that a stranger tries."""
    SignInAttempts.objects.filter(last_at__lt=timezone.now() - settings.SIGN_IN_PAUSE).delete()


def _hashed(text: str) -> str:
    """A keyed hash of the text. People sometimes type a password into the field for the name, which must not be stored;
    and an address may be of any length."""
    return salted_hmac("accounts.attempts", text, algorithm="sha256").hexdigest()
