"""Making a person anonymous: whoever looks at the ledger afterwards sees all that was used, but not by whom.

The person's row stays, since events and sums refer to its id, and so no total changes. Everything in the row that tells
who it was goes, with all ways in. The texts in the person's events follow in the background, where
``ledger.upkeep.anonymising`` clears them; accounts only know its task's name. docs/privacy.md says what stays.
"""

import secrets

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.audit import record
from accounts.day_changes import SETTLE_SECONDS
from accounts.models import ApiKey, PersonAlias, SignIn, User
from accounts.roles import check_role_change, may_change
from accounts.sign_ins import end

ANONYMISE = "anonymise"


def check_anonymise(person: User, *, by: User | None) -> None:
    """ValidationError if ``by`` (None for a command) may not make the person anonymous. Nobody does so to themselves,
    an Admin to a Super Admin, or anybody to the last Super Admin. Call this in a transaction."""
    if person.anonymised_at is not None:
        raise ValidationError("This person is anonymous already.", code="anonymous")
    if person.merged_into is not None:
        into = person.merged_into
        raise ValidationError(f"This person was merged into {into}. Make that one anonymous.", code="merged")
    if by is not None and by.pk == person.pk:
        raise ValidationError("You cannot make yourself anonymous. Ask another Admin.", code="yourself")
    if by is not None and not may_change(person, by):
        raise ValidationError("Only a Super Admin can do this.", code="not_allowed")
    check_role_change(person, person.role, is_active=False, by=by)


@transaction.atomic
def anonymise(person: User, *, by: User | None) -> User:
    """Make a person anonymous for good, with those who were merged into the person, and return the person as stored.
    ValidationError if ``by`` may not. The audit record does not have the former name."""
    check_anonymise(person, by=by)
    rows = User.objects.select_for_update().filter(Q(pk=person.pk) | Q(merged_into=person)).order_by("pk")
    everybody = list(rows)
    person = next(one for one in everybody if one.pk == person.pk)
    check_anonymise(person, by=by)  # Somebody else may have changed the person before the rows were locked.
    keys = ApiKey.objects.filter(user__in=everybody)
    working = keys.filter(revoked_at=None).count()
    for one in everybody:
        _end_ways_in(one)
        _forget_names(one)
    person = User.objects.get(pk=person.pk)
    keys.update(name=f"Key of {person.handle}"[:200], revoked_at=Coalesce("revoked_at", Now()))
    changes = {"revoked keys": (None, working)} if working else {}
    record("member.anonymise", person.handle, by=by, organization=person.organization, changes=changes)
    _defer(person)
    return person


def is_being_cleared(person: User) -> bool:
    """Whether the job that clears the texts in the person's events still waits for its first run, or runs."""
    if person.anonymised_at is None:
        return False
    jobs = ProcrastinateJob.objects.filter(task_name=ANONYMISE, status__in=("todo", "doing"), scheduled_at=None)
    return jobs.filter(args__person_id=person.pk).exists()


def _end_ways_in(person: User) -> None:
    """Delete sessions, second factors, identities, roles, and private views. Keys are revoked by the caller."""
    end(SignIn.objects.filter(user=person))
    for model in (Authenticator, SocialAccount, EmailAddress):
        model.objects.filter(user=person).delete()
    person.groups.clear()
    person.user_permissions.clear()
    saved_views = apps.get_model("analytics", "SavedView")._default_manager
    saved_views.filter(owner=person.pk, organization=None).delete()


def _forget_names(person: User) -> None:
    """Overwrite the person's row. This does not use ``save``, which would keep the former name as an alias."""
    now, name = timezone.now(), _free_name(person)
    PersonAlias.objects.filter(user=person).delete()
    User.objects.filter(pk=person.pk).update(
        username=name, handle=name, handle_key=None, first_name="", last_name="", email="", last_login=None,
        password=make_password(None), is_active=False, is_staff=False, is_superuser=False,
        shut_out_at=now, anonymised_at=now,
    )  # fmt: skip
    content_type = ContentType.objects.get_for_model(User)
    entries = apps.get_model("admin", "LogEntry")._default_manager
    entries.filter(content_type=content_type, object_id=str(person.pk)).update(object_repr=Value(name))


def _free_name(person: User) -> str:
    """ "Anonymous person 17", with a random ending if somebody signs in by this name."""
    name = f"Anonymous person {person.pk}"
    is_taken = User.objects.filter(username=name).exclude(pk=person.pk).exists()
    return f"{name} ~{secrets.token_hex(4)}" if is_taken else name


def _defer(person: User) -> None:
    """Defer the job that clears texts twice: now, and after SETTLE_SECONDS for calls that got the person's id before
    and are recorded after."""
    lock = f"{ANONYMISE}:{person.pk}"
    app.configure_task(ANONYMISE, lock=lock).defer(person_id=person.pk)
    app.configure_task(ANONYMISE, lock=lock, schedule_in={"seconds": SETTLE_SECONDS}).defer(person_id=person.pk)
