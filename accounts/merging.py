"""Merging one person or project into another: their names, the account, and the audit record. The rows of the ledger
follow at once or in the background, where ``ledger.upkeep.merges`` moves them; accounts only know its task's name."""

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db.models import Q
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.audit import Changes, record
from accounts.day_changes import SETTLE_SECONDS
from accounts.models import Organization, Project, User
from accounts.names import folded, written
from accounts.roles import check_role_change, may_change, replace_role
from accounts.viewer import Viewer

MERGE = "merge"


def named(model: type[User] | type[Project], organization: Organization, name: str) -> User | Project | None:
    """The person or project that a call of the organization means by this name, in any spelling, by a current or a
    former name; None if there is none."""
    key, field = folded(written(name)), f"{model.called}_key"
    either = Q((field, key)) | Q((f"aliases__{field}", key))
    return model._default_manager.filter(either, organization=organization, merged_into=None).first() if key else None


def current_ids(model: type[User] | type[Project], ids: Sequence[int], viewer: Viewer) -> list[int]:
    """The ids of those who have the calls of these people or projects now. The id of one that was merged away in an
    organization that the viewer sees becomes the id of the one it was merged into."""
    merged = model._default_manager.filter(pk__in=ids, merged_into__isnull=False).order_by()
    if viewer.organization_ids is not None:
        merged = merged.filter(organization__in=viewer.organization_ids)
    kept = dict(merged.values_list("pk", "merged_into_id"))
    return [kept.get(one, one) for one in ids]


def check_merge(away: User | Project, kept: User | Project, *, by: User) -> None:
    """ValidationError if ``by`` may not merge ``away`` into ``kept``. Both have to belong to one organization, nobody
    can merge themselves away, an Admin cannot merge a Super Admin, and the last Super Admin stays."""
    if away.pk == kept.pk:
        raise ValidationError("Please choose another one than this.", code="same")
    if away.organization_id is None or away.organization_id != kept.organization_id:
        raise ValidationError("Only two of the same organization can be merged.", code="other_organization")
    if any(isinstance(one, User) and one.anonymised_at for one in (away, kept)):
        raise ValidationError("Who is anonymous cannot be merged.", code="anonymous")
    if away.merged_into_id or kept.merged_into_id:
        raise ValidationError("One of the two has been merged meanwhile.", code="merged")
    if isinstance(away, User) and isinstance(kept, User):
        if away.pk == by.pk:
            raise ValidationError("You cannot merge yourself into somebody else.", code="yourself")
        if not (may_change(away, by) and may_change(kept, by)):
            raise ValidationError("Only a Super Admin can do this.", code="not_allowed")
        check_role_change(away, away.role, is_active=False, by=by)


def merge_names(away: User | Project, kept: User | Project, *, by: User, moved: Changes) -> None:
    """Let calls that name ``away`` find ``kept``. The row ``away`` stays for prices and audit records that refer to it,
    but nobody can sign in with it. The audit record includes the changes ``moved``. Call this in a transaction that
    locks the organization, so that merges do not overlap. ValidationError if ``by`` may not merge them."""
    rows = type(away)._default_manager.select_for_update().filter(pk__in=[away.pk, kept.pk]).order_by("pk").in_bulk()
    away, kept = rows[away.pk], rows[kept.pk]
    check_merge(away, kept, by=by)
    changes: dict[str, tuple[object, object]] = {"merged into": (None, kept.display_name), **moved}
    if isinstance(away, User):
        if away.email:
            changes["email"] = (away.email, None)
        if away.is_active:
            changes["active"] = ("yes", "no")
        if away.role:
            changes["role"] = (away.role, None)
        replace_role(away, None)
        away.is_active, away.email = False, ""
        away.set_unusable_password()
    away.merged_into = kept
    away.save()
    type(away)._default_manager.filter(merged_into=away.pk).update(merged_into=kept.pk)
    _move_names(away, kept)
    thing = "member" if isinstance(away, User) else "project"
    record(f"{thing}.merge", str(away), by=by, organization=away.organization, changes=changes)


def _move_names(away: User | Project, kept: User | Project) -> None:
    """Give ``kept`` the aliases of ``away``, and the name of ``away`` as another alias."""
    name, organization = getattr(away, away.called), away.organization
    assert organization is not None
    away.aliases.update(**{"user" if isinstance(kept, User) else "project": kept})
    kept.aliases.create(organization=organization, name=name)


def defer_merge(away: User | Project, *, is_moved: bool) -> None:
    """Defer the jobs that move the ledger's rows to ``kept``: one now, unless ``is_moved`` says that they have been
    moved, and one after SETTLE_SECONDS for calls that got the old id before the merge and are recorded after it. Call
    this in the transaction that merges the names."""
    for is_second in (True,) if is_moved else (False, True):
        seconds = SETTLE_SECONDS if is_second else 0
        job = app.configure_task(MERGE, lock=f"{MERGE}:{away.organization_id}", schedule_in={"seconds": seconds})
        job.defer(kind=away.called, away_id=away.pk, is_second=is_second)


def still_moving(kept: User | Project) -> Sequence[str]:
    """The names of people or projects that were merged into ``kept`` and whose requests are still being moved."""
    stubs = {stub.pk: stub.display_name for stub in type(kept)._default_manager.filter(merged_into=kept.pk)}
    if not stubs:
        return ()
    jobs = ProcrastinateJob.objects.filter(task_name=MERGE, status__in=("todo", "doing"))
    jobs = jobs.filter(args__kind=kept.called, args__is_second=False, args__away_id__in=list(stubs))
    return sorted({stubs[job.args["away_id"]] for job in jobs})
