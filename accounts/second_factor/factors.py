"""What a person has as second factors, and their removal. Every change has an audit record and ends other sessions."""

from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils import timezone

from accounts.audit import record
from accounts.models import SignIn, User
from accounts.second_factor.codes import recovery_codes_left
from accounts.sign_ins import end

APP = "authenticator app"
RECOVERY_CODES = "recovery codes"


@dataclass(frozen=True, slots=True)
class Factors:
    """The second factors of one person."""

    app: Authenticator | None
    passkeys: list[Authenticator]
    recovery_codes: int
    """How many of them are not used up."""

    @property
    def exist(self) -> bool:
        return self.app is not None or bool(self.passkeys)


def factors_of(person: User) -> Factors:
    rows = list(Authenticator.objects.filter(user=person).order_by("created_at", "pk"))
    app = next((row for row in rows if row.type == Authenticator.Type.TOTP), None)
    passkeys = [row for row in rows if row.type == Authenticator.Type.WEBAUTHN]
    return Factors(app, passkeys, recovery_codes_left(person))


def note(verb: str, person: User, factor: str, *, by: User | None) -> None:
    """Write the audit record of a factor that was added, removed or replaced."""
    changes = {"second factor": (None, factor) if verb == "add" else (factor, None)}
    record(f"second_factor.{verb}", str(person), by=by, organization=person.organization, changes=changes)


@transaction.atomic
def remove(person: User, row: Authenticator) -> None:
    """Remove a factor of one's own. Recovery codes go with the last one."""
    note("remove", person, APP if row.type == Authenticator.Type.TOTP else f"passkey {row}", by=person)
    row.delete()
    if not factors_of(person).exist:
        Authenticator.objects.filter(user=person).delete()


@transaction.atomic
def remove_all(person: User, *, by: User | None) -> bool:
    """Remove all factors of somebody who has lost them, and sign them out everywhere; ``by`` has made sure who asks.
    Returns whether there were any."""
    deleted, _ = Authenticator.objects.filter(user=person).delete()
    if deleted:
        note("remove", person, "all", by=by)
        shut_out(person)
    return bool(deleted)


@transaction.atomic
def end_all_sessions(person: User, *, by: User) -> None:
    """Sign somebody out everywhere. Links that set the password end too."""
    shut_out(person)
    record("sessions.end", str(person), by=by, organization=person.organization, changes={})


def shut_out(person: User) -> None:
    person.shut_out_at = timezone.now()
    User.objects.filter(pk=person.pk).update(shut_out_at=person.shut_out_at)
    end(SignIn.objects.filter(user=person))
