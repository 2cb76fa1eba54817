"""Filling the gaps of events with what a second program told about the same call (``ledger.models.Supplement``).

The event that was recorded first keeps its request id, its time, its latency and its status. What the call used comes
as a whole from the program that knows more about it, together with the cost of that. Of everything else, the event
takes what it lacks. docs/ingestion.md has the rules for users.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.db import connection

from accounts.models import Project, User
from ledger.models import Supplement, UsageEvent
from ledger.rollups import counters, tail
from ledger.upkeep.hold import hold_sums, holding
from ledger.upkeep.rebuild import rebuild_days, rebuild_sessions

AT_ONCE = 1_000
"""At most this number of supplements is added in one transaction."""

Event = Mapping[str, Any]
"""The values of an event's columns, as PostgreSQL writes them in JSON."""

GAPS = (
    "project_id", "user_id", "expert_id", "template_id", "session_id", "provider_request_id", "response_id",
    "model_requested", "http_status", "latency_ms", "ttft_ms", "queue_ms", "prompt_ms", "completion_ms",
    "service_tier", "limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens", "reported_cost_usd",
)  # fmt: skip
"""The columns that are filled if they are empty."""
FAILURE = ("error_code", "error_message")
"""The columns that are filled in a failed call, if the other program saw it fail too."""
USED = (
    "model", "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "audio_seconds",
    "characters", "tokens_estimated", "usage_breakdown", "tool_uses", "cost_usd", "price_id", "tool_price_id",
    "tool_cost_usd", "without_tool_fees",
)  # fmt: skip
"""The columns that describe what a call used and cost. They belong together, so all of them are taken or none."""
UNIQUE = ("provider_request_id", "response_id")
CHANGEABLE = (*GAPS, *FAILURE, *USED, "feature", "attempts", "stream", "metadata")

_EVENTS = """
SELECT to_jsonb(event) FROM ledger_usageevent AS event
WHERE organization_id = %(organization)s AND request_id = ANY(%(request_ids)s)
"""
_TAKEN = """
SELECT provider_request_id, response_id FROM ledger_usageevent
WHERE organization_id = %(organization)s AND (
    (provider_request_id = ANY(%(provider_request_id)s) AND provider_request_id <> '')
    OR (response_id = ANY(%(response_id)s) AND response_id <> ''))
"""
_TYPED = [f"{name} {UsageEvent._meta.get_field(name).db_type(connection)}" for name in ("id", *CHANGEABLE)]
_WRITE = f"""
UPDATE ledger_usageevent AS event SET {", ".join(f"{name} = filled.{name}" for name in CHANGEABLE)}
FROM jsonb_to_recordset(%(events)s::jsonb) AS filled ({", ".join(_TYPED)})
WHERE event.organization_id = %(organization)s AND event.id = filled.id
"""  # noqa: S608 - no outside input
_COUNT = counters.sums("""(
    SELECT 1 AS sign, now.* FROM jsonb_populate_recordset(NULL::ledger_usageevent, %(now)s::jsonb) AS now
    UNION ALL
    SELECT -1, before.* FROM jsonb_populate_recordset(NULL::ledger_usageevent, %(before)s::jsonb) AS before
) AS changed""")


def merged(event: Event, told: Event) -> dict[str, Any]:
    """The event with what it lacks and the other program told."""
    found = dict(event)
    if _knowledge(told) > _knowledge(event):
        found.update((name, told[name]) for name in USED)
    gaps = GAPS if (event["status"], told["status"]) != ("error", "error") else (*GAPS, *FAILURE)
    found.update((name, told[name]) for name in gaps if event[name] in (None, "", 0))
    if event["feature"] == event["operation"] and told["feature"] != told["operation"]:
        found["feature"] = told["feature"]  # a call without a feature has the name of its operation
    found["attempts"] = max(event["attempts"], told["attempts"])
    found["stream"] = event["stream"] or told["stream"]
    found["metadata"] = {**told["metadata"], **event["metadata"]}
    return found


def _knowledge(event: Event) -> tuple[bool, bool, bool, bool, int, int, int]:
    """How much is known of what a call used; more is greater. Usage that the provider reported is worth more than an
    estimate, and usage with a cost and with details more than bare counts."""
    is_used = bool(event["total_tokens"] or event["audio_seconds"] or event["characters"])
    return (
        is_used and not event["tokens_estimated"],
        is_used,
        event["cost_usd"] is not None,
        bool(event["usage_breakdown"]),
        len(event["tool_uses"]),
        event["cached_tokens"],
        event["reasoning_tokens"],
    )


def fill_gaps() -> int:
    """Add all supplements to their events. Returns the number of events that changed. Safe to interrupt and to call
    again: supplements go in the transaction that adds them."""
    organizations = Supplement.objects.order_by("organization_id").values_list("organization_id", flat=True).distinct()
    return sum(_fill_organization(organization_id) for organization_id in organizations)


def _fill_organization(organization_id: int) -> int:
    changed = 0
    while some := list(Supplement.objects.filter(organization_id=organization_id)[:AT_ONCE]):
        with holding(organization_id):
            changed += _fill(organization_id, some)
            Supplement.objects.filter(pk__in=[supplement.pk for supplement in some]).delete()
    return changed


def _fill(organization_id: int, supplements: Iterable[Supplement]) -> int:
    """Add supplements to their events, and let the sums follow. Events that were deleted meanwhile are passed over.

    Events of which the tail still has the former values are folded with these by ``hold_sums``, and only then are the
    sums of their days and sessions made anew.
    """
    told: dict[str, list[Event]] = defaultdict(list)
    for supplement in supplements:
        told[supplement.request_id].append(_of_those_who_stay(supplement.told))
    before = _events(organization_id, told)
    changed = {}
    for request_id, event in before.items():
        after = dict(event)
        for one in told[request_id]:
            after = merged(after, one)
        if after != event:
            changed[request_id] = after
    if not changed:
        return 0
    _keep_ids_apart(organization_id, before, changed)
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, {"organization": organization_id, "events": json.dumps([*changed.values()])})
    hold_sums(organization_id)
    _count([before[name] for name in changed], [*changed.values()])
    summed = {name for name in changed if any(before[name][column] != changed[name][column] for column in tail.COLUMNS)}
    if summed:
        _follow(organization_id, [event[name] for name in sorted(summed) for event in (before, changed)])
    return len(changed)


def _count(before: Sequence[Event], after: Sequence[Event]) -> None:
    """Add to the counters what the events have gained, under the models that they were counted by."""
    now = [{**event, "model": was["model"]} for was, event in zip(before, after, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"now": json.dumps(now), "before": json.dumps(before)})
        ((counted,),) = cursor.fetchall()
        counters.count_change(cursor, counted)


def _follow(organization_id: int, events: Iterable[Event]) -> None:
    """Make the sums of the days and sessions of some events anew; each event as it was, and as it is."""
    days, sessions = set[date](), defaultdict[int, set[str]](set)
    for event in events:
        days.add(date.fromisoformat(event["day"]))
        if event["session_id"]:
            sessions[event["user_id"] or 0].add(event["session_id"])
    rebuild_days(organization_id, days)
    for user_id, session_ids in sorted(sessions.items()):
        rebuild_sessions(organization_id, user_id, sorted(session_ids))


def _events(organization_id: int, request_ids: Iterable[str]) -> dict[str, Event]:
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, {"organization": organization_id, "request_ids": list(request_ids)})
        return {event["request_id"]: event for event in (_json(row) for (row,) in cursor.fetchall())}


def _json(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return found


def _keep_ids_apart(organization_id: int, before: Mapping[str, Event], changed: Mapping[str, dict[str, Any]]) -> None:
    """Leave a gap in a unique column empty if another event has the value. Two events that were each told with one id
    only, before anybody told both ids, stay two events."""
    wanted = {name: [event[name] for event in changed.values() if event[name]] for name in UNIQUE}
    with connection.cursor() as cursor:
        cursor.execute(_TAKEN, {"organization": organization_id, **wanted})
        taken = [set(values) for values in zip(*cursor.fetchall(), strict=True)] or [set(), set()]
    for name, values in zip(UNIQUE, taken, strict=True):
        for request_id, event in changed.items():
            if event[name] == before[request_id][name]:
                continue
            if event[name] in values:
                event[name] = before[request_id][name]
            values.add(event[name])


def _of_those_who_stay(told: Event) -> Event:
    """What was told, for the person and project that the named ones were merged into since."""
    return {**told, "user_id": _who_stays(User, told["user_id"]), "project_id": _who_stays(Project, told["project_id"])}


def _who_stays(model: type[User] | type[Project], pk: int | None) -> int | None:
    while pk and (kept := model._default_manager.filter(pk=pk).values_list("merged_into_id", flat=True).first()):
        pk = kept
    return pk
