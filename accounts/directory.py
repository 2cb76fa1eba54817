"""The names that calls give, turned into ids. Nothing is lost for want of a name: what is new is made on first use.

Works on the recorder's own connection, in autocommit mode. Known names cost one statement, however many, and another
question may be answered beside. New ones are
made one process at a time, under an advisory lock, so that two processes that meet the same new name agree on one row,
the caps hold exactly and nobody deadlocks. The admin's forms do not take that lock; against them, ON CONFLICT helps.
"""

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.contrib.auth.hashers import make_password
from psycopg.rows import tuple_row

logger = logging.getLogger(__name__)

MAX_USERNAME = 150
LOCK = 0x47524F51  # "GROQ": the advisory lock of those who make names
FULL_SECONDS = 60.0
"""For so long an organization that reached a cap is not counted again."""
MAX_WARNINGS = 1_000
"""So many different names are complained about; who sends ever new ones must not fill the memory or the log."""


class Names(NamedTuple):
    """What a call says: the organization's slug, the project's slug, the person's handle; "" where it says nothing."""

    organization: str
    project: str
    user: str


class Whose(NamedTuple):
    """What the ledger stores. None for a project or user that was not named or is beyond the cap."""

    organization_id: int
    time_zone: str
    project_id: int | None
    user_id: int | None


class _Row(NamedTuple):
    names: Names
    organization_id: int | None
    slug: str
    time_zone: str
    project_id: int | None
    user_id: int | None


# One plan has to serve any number of names, today's tables and tomorrow's. The arrays stand in sub-selects to hide
# their lengths: for a known length PostgreSQL plans anew each time, which takes longer than the look-up. Ids come from
# sub-selects, which use an index, where a join planned while the tables were small would go on to read them whole.
LOOK_UP = """
SELECT asked.position, organization.id, organization.slug, organization.time_zone,
    (SELECT id FROM accounts_project WHERE organization_id = organization.id AND slug = asked.project),
    (SELECT id FROM accounts_user WHERE organization_id = organization.id AND handle = asked.person),
    beside.*
FROM unnest((SELECT %s::text[]), (SELECT %s::text[]), (SELECT %s::text[]))
    WITH ORDINALITY AS asked (organization, project, person, position)
LEFT JOIN LATERAL (
    SELECT id, slug, time_zone FROM accounts_organization
    WHERE slug IN (asked.organization, %s) ORDER BY slug = asked.organization DESC LIMIT 1
) AS organization ON true
CROSS JOIN ({beside}) AS beside
"""

MAKE_DEFAULT_ORGANIZATION = """
INSERT INTO accounts_organization (name, slug, time_zone, show_user_cost, created_at)
VALUES (%s, %s, 'UTC', false, now()) ON CONFLICT DO NOTHING
"""

MAKE_PROJECTS = """
INSERT INTO accounts_project (organization_id, slug, name, created_at)
SELECT %s, slug, slug, now() FROM unnest(%s::text[]) AS slug ON CONFLICT DO NOTHING
"""

MAKE_PEOPLE = """
INSERT INTO accounts_user (organization_id, handle, username, password, first_name, last_name, email,
                           is_superuser, is_staff, is_active, date_joined)
SELECT %s, handle, username, password, '', '', '', false, false, false, now()
FROM unnest(%s::text[], %s::text[], %s::text[]) AS person (handle, username, password)
ON CONFLICT DO NOTHING RETURNING handle
"""

COUNT = {
    "projects": "SELECT count(*) FROM accounts_project WHERE organization_id = %s",
    "users": "SELECT count(*) FROM accounts_user WHERE organization_id = %s",
}


def resolve(
    connection: psycopg.Connection, names: Iterable[Names], beside: str = "SELECT"
) -> tuple[dict[Names, Whose], tuple[Any, ...]]:
    """Everybody's ids, and the one row that the SELECT ``beside`` yields, which costs no round trip of its own.
    Raises only what the connection raises.

    An empty or unknown organization is the default one. An unknown project is made, and so is an unknown person, who
    cannot sign in, up to settings.PROJECT_CAP and USER_CAP in an organization. Names are compared byte by byte.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}, ()
    rows, answer = _look_up(connection, wanted, beside)
    if any(map(_is_incomplete, rows)):
        _make_missing(connection, [row.names for row in rows if _is_incomplete(row)])
        rows, answer = _look_up(connection, wanted, beside)
    return {row.names: _whose(row) for row in rows}, answer


def _look_up(
    connection: psycopg.Connection, wanted: list[Names], beside: str = "SELECT"
) -> tuple[list[_Row], tuple[Any, ...]]:
    columns = [list(column) for column in zip(*wanted, strict=True)]
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(LOOK_UP.format(beside=beside), [*columns, settings.DEFAULT_ORGANIZATION])
        found = cursor.fetchall()
    return [_Row(wanted[row[0] - 1], *row[1:6]) for row in found], found[0][6:]


def _whose(row: _Row) -> Whose:
    if row.organization_id is None:
        raise LookupError("The default organization was deleted this very moment.")
    if row.names.organization not in ("", row.slug):
        _warn_once("A call names organization %r, which is unknown: booked on %r.", row.names.organization, row.slug)
    return Whose(row.organization_id, row.time_zone, row.project_id, row.user_id)


def _is_incomplete(row: _Row) -> bool:
    """Whether something is to be made for it."""
    return row.organization_id is None or _lacks_project(row) or _lacks_user(row)


def _lacks_project(row: _Row) -> bool:
    return bool(row.names.project) and row.project_id is None and not _is_full("projects", row.organization_id)


def _lacks_user(row: _Row) -> bool:
    return bool(row.names.user) and row.user_id is None and not _is_full("users", row.organization_id)


def _make_missing(connection: psycopg.Connection, wanted: list[Names]) -> None:
    """Make what ``wanted`` lacks and nobody else made meanwhile."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        rows, _ = _look_up(connection, wanted)
        if any(row.organization_id is None for row in rows):
            slug = settings.DEFAULT_ORGANIZATION
            connection.execute(MAKE_DEFAULT_ORGANIZATION, [slug.replace("-", " ").title(), slug])
            rows, _ = _look_up(connection, wanted)
        for organization_id, slug in sorted({(row.organization_id, row.slug) for row in rows if row.organization_id}):
            own = [row for row in rows if row.organization_id == organization_id]
            projects = dict.fromkeys(row.names.project for row in own if _lacks_project(row))
            handles = dict.fromkeys(row.names.user for row in own if _lacks_user(row))
            _make_projects(connection, organization_id, projects)
            _make_people(connection, organization_id, slug, handles)


def _make_projects(connection: psycopg.Connection, organization_id: int, slugs: Collection[str]) -> None:
    slugs = _within_cap(connection, "projects", organization_id, slugs, settings.PROJECT_CAP)
    if slugs:
        connection.execute(MAKE_PROJECTS, [organization_id, slugs])


def _make_people(connection: psycopg.Connection, organization_id: int, slug: str, handles: Collection[str]) -> None:
    """Each under the first username that is free: the handle, the handle at the organization, one that nobody has."""
    pending = _within_cap(connection, "users", organization_id, handles, settings.USER_CAP)
    username: Callable[[str], str]
    for username in (
        lambda handle: handle[:MAX_USERNAME],
        lambda handle: f"{handle}@{slug}"[:MAX_USERNAME],
        lambda handle: f"{handle[: MAX_USERNAME - 17]}~{secrets.token_hex(8)}",
    ):
        if not pending:
            return
        usernames, passwords = [username(h) for h in pending], [make_password(None) for _ in pending]
        with connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(MAKE_PEOPLE, [organization_id, pending, usernames, passwords])
            made = {handle for (handle,) in cursor}
        pending = [handle for handle in pending if handle not in made]


def _within_cap(
    connection: psycopg.Connection, kind: str, organization_id: int, names: Collection[str], cap: int
) -> list[str]:
    """The first of ``names`` that there is room for."""
    if not names:
        return []
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(COUNT[kind], [organization_id]).fetchone()
    room = max(0, cap - (row[0] if row else 0))
    if len(names) > room:
        _full_until[kind, organization_id] = time.monotonic() + FULL_SECONDS
        _warn_once("Organization %s has reached its %s %s: new ones are recorded without.", organization_id, cap, kind)
    return list(names)[:room]


# Process-wide, and merely a saving: losing it costs a count.
_full_until: dict[tuple[str, int], float] = {}
_warned: set[tuple[object, ...]] = set()


def _is_full(kind: str, organization_id: int | None) -> bool:
    return organization_id is not None and _full_until.get((kind, organization_id), 0.0) > time.monotonic()


def _warn_once(*message: object) -> None:
    if message not in _warned and len(_warned) < MAX_WARNINGS:
        _warned.add(message)
        logger.warning(*message)
