"""Two companies whose data can be told apart wherever it appears, for tests of what an answer must not contain."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from django.utils import timezone

from accounts.models import Organization, Project, Role, User
from groq_client.call import Call
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.api.asking import Asker, key, member, person
from tests.cast import make_user
from tests.ledger.calls import call, failed, usage
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

OTHERS, ABROAD = "yqy", "zqz"
"""Texts that are in every name of the other people of a company, and in every name of the other company."""
TOKENS = {"": 100, OTHERS: 2 * 10**7, ABROAD: 10**9}
"""The tokens of a call of each kind: whoever adds up what is foreign tells a number that gives this away."""
COST = re.compile("cost|usd|price|is_free")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks, and what no answer to them may contain."""

    asker: Asker
    foreign: tuple[str, ...] = ()
    sees_cost: bool = True

    @property
    def too_large(self) -> float:
        """No number of an answer is as large as this."""
        return min((TOKENS[mark] for mark in self.foreign), default=float("inf"))


@dataclass(frozen=True, slots=True)
class World:
    callers: dict[str, Caller]
    lures: dict[str, list[str]] = field(default_factory=dict)
    """Values of parameters that exist, of the own company and of the other one."""


def world() -> World:
    """A company with a User whose calls are ordinary, others whose calls are marked, and another company."""
    acme = Organization.objects.create(name="Acme", slug="acme", time_zone="America/Los_Angeles")
    abroad = Organization.objects.create(name=f"Hidden {ABROAD}", slug=f"co-{ABROAD}", time_zone="Asia/Kolkata")
    make_price("own/m")
    make_price(f"{ABROAD}/m", organization=abroad, source_note=f"note {ABROAD}")
    record([*_calls("acme", "ann", ""), *_calls("acme", f"ben-{OTHERS}", OTHERS)])
    fold_now()
    record(_calls(abroad.slug, f"eve-{ABROAD}", ABROAD))
    User.objects.filter(handle__startswith="ben").update(first_name="Ben", last_name=f"Hidden {OTHERS}")
    for mark in (OTHERS, ABROAD):
        Project.objects.filter(slug__contains=mark).update(name=f"Hidden {mark}")
    ann, rag = member(acme, "ann"), Project.objects.get(organization=acme, slug="rag")
    both = (OTHERS, ABROAD)
    callers = {
        "Super Admin": Caller(person(make_user("root", Role.SUPER_ADMIN))),
        "Admin": Caller(person(make_user("boss", Role.ADMIN, acme)), (ABROAD,)),
        "User": Caller(person(ann), both, sees_cost=False),
        "key of a project": Caller(key(acme, project=rag), both),
        "personal token": Caller(key(acme, "ann: token", user=ann), both, sees_cost=False),
    }
    return World(callers, _lures())


def _calls(organization: str, user: str, mark: str) -> list[Call]:
    now, dash = timezone.now(), f"-{mark}" if mark else ""
    common: dict[str, Any] = {
        "organization": organization, "user": user, "project": f"rag{dash}", "model": f"{mark or 'own'}/m",
        "expert_id": f"expert{dash}", "template_id": f"template{dash}", "feature": f"feature{dash}",
        "metadata": {f"name{dash}": f"value{dash}"},
    }  # fmt: skip
    made = [
        call(
            **common,
            at=now - timedelta(hours=5 * n, minutes=5),
            session_id=f"session{dash}-{n // 2}",
            request_id=f"req{dash}-{n}",
            latency_ms=TOKENS[mark] if mark == OTHERS else 250,
            usage=usage(TOKENS[mark], 7, cached_tokens=5, audio_seconds=Decimal("1.5")),
        )
        for n in range(12)
    ]
    return [*made, failed(**common, at=now - timedelta(days=1), error_message=f"It broke{dash}")]


def _lures() -> dict[str, list[str]]:
    events = UsageEvent.objects.select_related("organization").order_by("pk")
    by_id = [event for n, event in enumerate(events) if n % 6 == 0]
    return {
        **{name: _each(events, name) for name in ("provider", "model", "feature")},
        **{name: _each(events, f"{name}_id") for name in ("project", "user", "organization", "expert", "template")},
        "session": _each(events, "session_id"),
        "slug": _each(Organization.objects.order_by("pk"), "slug"),
        "range": ["all", "7d", "today"],
        "organization_id": [str(event.organization_id) for event in by_id],
        "id": [*(str(event.pk) for event in by_id), *_each(User.objects.order_by("pk"), "pk")],
        "before": [f"{event.timestamp.isoformat().replace('+00:00', 'Z')}_{event.pk}" for event in by_id],
    }


def _each(rows: Any, name: str) -> list[str]:
    return [str(value) for value in dict.fromkeys(rows.values_list(name, flat=True)) if value]


def foreign_cells(caller: Caller, asked: list[str], body: Any, text: str) -> list[str]:
    """What of an answer the caller may not see. ``body`` is the answer as objects, or None for one that is no JSON, and
    ``text`` is all of it; what was asked with may come back in it."""
    text = unquote(text)
    for value in sorted(filter(None, asked), key=len, reverse=True):
        text = text.replace(value, "")
    found = [mark for mark in caller.foreign if mark in text]
    members = list(_members(body))
    found += [
        f"{name}={value}"
        for name, value in members
        if isinstance(value, int | float) and _is_large(value, caller, asked)
    ]
    if not caller.sees_cost:
        found += [name for name, _ in members if COST.search(name)]
    return found


def _is_large(value: float, caller: Caller, asked: list[str]) -> bool:
    return value >= caller.too_large and json.dumps(value) not in asked


def _members(node: Any) -> Iterator[tuple[str, Any]]:
    for name, below in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield str(name), below
        yield from _members(below)
