"""The directory turns the names in calls into ids. Unknown people and projects are created on first use.

The directory works on the recorder's own connection, in autocommit mode. One statement looks up any number of names.
What was found is kept in memory, and used as long as the database has the same generation (``accounts.generation``).
Only one process at a time creates rows, under an advisory lock. So two processes with the same new name use the same
row, the caps hold exactly, and there are no deadlocks. The forms of the admin do not take this lock; ON CONFLICT covers
them.
"""

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg
from django.conf import settings
from django.contrib.auth.hashers import make_password
from psycopg.rows import tuple_row

from accounts import generation
from accounts.names import folded, shortened, written

logger = logging.getLogger(__name__)

MAX_USERNAME = 150
LOCK = 0x47524F51  # "GROQ" in ASCII: the advisory lock for creating people and projects
FULL_SECONDS = 60.0
"""After an organization has reached a cap, its rows are not counted again for this time."""
MAX_KNOWN = 100_000
"""At about this number of names in memory, some 20 MB, the directory begins to collect them anew."""
MAX_WARNINGS = 1_000
"""At most this number of different warnings is logged, so that calls with ever new names fill neither memory nor log.
"""


class Names(NamedTuple):
    """The names in a call, in any spelling: the slugs of organization and project, and the handle of the person; "" for
    an absent name."""

    organization: str
    project: str
    user: str


class Whose(NamedTuple):
    """The ids that the ledger stores. None for a project or user that was not named or is beyond the cap."""

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


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found in one generation. Names are spelled as in the calls. The value None means that the call gave no
    name, or only blanks. A name that found nothing is not in here, because it may be created at any time."""

    generation: str
    organizations: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The id and the time zone."""
    projects: dict[tuple[int, str], int | None] = field(default_factory=dict)
    users: dict[tuple[int, str], int | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.organizations) + len(self.projects) + len(self.users)

    def whose(self, names: Names) -> Whose | None:
        try:
            organization_id, time_zone = self.organizations[names.organization]
            project_id = self.projects[organization_id, names.project]
            return Whose(organization_id, time_zone, project_id, self.users[organization_id, names.user])
        except KeyError:
            return None

    def add(self, names: Names, whose: Whose) -> None:
        self.organizations[names.organization] = whose.organization_id, whose.time_zone
        if whose.project_id is not None or not _key(names.project):
            self.projects[whose.organization_id, names.project] = whose.project_id
        if whose.user_id is not None or not _key(names.user):
            self.users[whose.organization_id, names.user] = whose.user_id


# One cached plan has to serve any number of names, and tables that grow. The arrays are in sub-selects to hide their
# lengths: if PostgreSQL knew a length, it would plan each time, which takes longer than the look-up. The ids come from
# sub-selects, which use an index; a join planned while the tables were small would go on reading them whole.
LOOK_UP = f"""
SELECT {generation.VALUE}, asked.position, organization.id, organization.slug, organization.time_zone,
    coalesce(
        (SELECT id FROM accounts_project WHERE organization_id = organization.id AND slug_key = asked.project),
        (SELECT project_id FROM accounts_projectalias
         WHERE organization_id = organization.id AND slug_key = asked.project)
    ),
    coalesce(
        (SELECT id FROM accounts_user WHERE organization_id = organization.id AND handle_key = asked.person),
        (SELECT user_id FROM accounts_personalias WHERE organization_id = organization.id AND handle_key = asked.person)
    )
FROM unnest((SELECT %s::text[]), (SELECT %s::text[]), (SELECT %s::text[]))
    WITH ORDINALITY AS asked (organization, project, person, position)
LEFT JOIN LATERAL (
    SELECT id, slug, time_zone FROM accounts_organization
    WHERE slug IN (asked.organization, %s) ORDER BY slug = asked.organization DESC LIMIT 1
) AS organization ON true
"""  # noqa: S608 - no outside input

MAKE_DEFAULT_ORGANIZATION = """
INSERT INTO accounts_organization (name, slug, time_zone, show_user_cost, created_at)
VALUES (%s, %s, 'UTC', false, now()) ON CONFLICT DO NOTHING
"""

MAKE_PROJECTS = """
INSERT INTO accounts_project (organization_id, slug, slug_key, name, created_at)
SELECT %s, slug, key, slug, now() FROM unnest(%s::text[], %s::text[]) AS project (slug, key) ON CONFLICT DO NOTHING
"""

MAKE_PEOPLE = """
INSERT INTO accounts_user (organization_id, handle, handle_key, username, password, first_name, last_name, email,
                           is_superuser, is_staff, is_active, date_joined)
SELECT %s, handle, key, username, password, '', '', '', false, false, false, now()
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS person (handle, key, username, password)
ON CONFLICT DO NOTHING RETURNING handle
"""

COUNT = {
    "projects": "SELECT count(*) FROM accounts_project WHERE organization_id = %s AND merged_into_id IS NULL",
    "users": "SELECT count(*) FROM accounts_user WHERE organization_id = %s AND merged_into_id IS NULL",
}


def resolve(connection: psycopg.Connection, names: Iterable[Names]) -> tuple[Mapping[Names, Whose], str]:
    """The ids for all names, and the generation in which they are valid. Raises only errors of the connection.

    An empty or unknown organization means the default one. Unknown projects and people (who cannot sign in) are created
    up to settings.PROJECT_CAP and USER_CAP in an organization. Organizations are compared byte by byte, people and
    projects by the keys of their names and aliases (``accounts.names``).
    """
    wanted = list(dict.fromkeys(names))
    now = generation.current(connection)
    known = _known if _known.generation == now else _Known(now)
    found = {one: whose for one in wanted if (whose := known.whose(one)) is not None}
    if missing := [one for one in wanted if one not in found]:
        rest, seen = _found(connection, missing)
        if seen != now:  # Something was changed meanwhile, perhaps what is in memory.
            rest, seen = _found(connection, wanted)
        _remember(seen, rest)
        return found | rest, seen
    return found, now


def _found(connection: psycopg.Connection, wanted: list[Names]) -> tuple[dict[Names, Whose], str]:
    """The ids for the names from the database, where missing rows are created, and the generation of that moment."""
    rows, seen = _look_up(connection, wanted)
    if any(map(_is_incomplete, rows)):
        _make_missing(connection, [row.names for row in rows if _is_incomplete(row)])
        rows, seen = _look_up(connection, wanted)
    return {row.names: _whose(row) for row in rows}, seen


def _remember(seen: str, found: Mapping[Names, Whose]) -> None:
    """Keep in memory what was found. Threads may do so at once: what one of them loses is only looked up again."""
    global _known
    known = _known
    if known.generation != seen or len(known) > MAX_KNOWN:
        known = _Known(seen)
    for names, whose in found.items():
        known.add(names, whose)
    _known = known


_known = _Known("")


def _look_up(connection: psycopg.Connection, wanted: list[Names]) -> tuple[list[_Row], str]:
    """A row for each of the names, and the generation, all as of one moment."""
    columns = [
        [names.organization.replace("\0", "").encode("utf-8", "replace").decode() for names in wanted],
        [_key(names.project) for names in wanted],
        [_key(names.user) for names in wanted],
    ]
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(LOOK_UP, [*columns, settings.DEFAULT_ORGANIZATION])
        found = cursor.fetchall()
    return [_Row(wanted[position - 1], *ids) for _, position, *ids in found], found[0][0]


def _whose(row: _Row) -> Whose:
    if row.organization_id is None:
        raise LookupError("The default organization was deleted this very moment.")
    if row.names.organization not in ("", row.slug):
        _warn_once("A call names organization %r, which is unknown: booked on %r.", row.names.organization, row.slug)
    return Whose(row.organization_id, row.time_zone, row.project_id, row.user_id)


def _is_incomplete(row: _Row) -> bool:
    """Whether an organization, a project or a person has to be created for the row."""
    return row.organization_id is None or _lacks_project(row) or _lacks_user(row)


def _lacks_project(row: _Row) -> bool:
    return bool(_key(row.names.project)) and row.project_id is None and not _is_full("projects", row.organization_id)


def _lacks_user(row: _Row) -> bool:
    return bool(_key(row.names.user)) and row.user_id is None and not _is_full("users", row.organization_id)


def _key(name: str) -> str:
    return folded(written(name))


def _first_written(names: Iterable[str]) -> Collection[str]:
    """The names as they will be stored, each in the spelling that comes first."""
    spellings: dict[str, str] = {}
    for name in names:
        spellings.setdefault(_key(name), written(name))
    return spellings.values()


def _make_missing(connection: psycopg.Connection, wanted: list[Names]) -> None:
    """Create the missing rows for ``wanted``, except those that another process has created meanwhile."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        rows, _ = _look_up(connection, wanted)
        if any(row.organization_id is None for row in rows):
            slug = settings.DEFAULT_ORGANIZATION
            connection.execute(MAKE_DEFAULT_ORGANIZATION, [slug.replace("-", " ").title(), slug])
            rows, _ = _look_up(connection, wanted)
        for organization_id, slug in sorted({(row.organization_id, row.slug) for row in rows if row.organization_id}):
            own = [row for row in rows if row.organization_id == organization_id]
            projects = _first_written(row.names.project for row in own if _lacks_project(row))
            handles = _first_written(row.names.user for row in own if _lacks_user(row))
            _make_projects(connection, organization_id, projects)
            _make_people(connection, organization_id, slug, handles)


def _make_projects(connection: psycopg.Connection, organization_id: int, slugs: Collection[str]) -> None:
    slugs = _within_cap(connection, "projects", organization_id, slugs, settings.PROJECT_CAP)
    if slugs:
        connection.execute(MAKE_PROJECTS, [organization_id, slugs, [_key(slug) for slug in slugs]])


def _make_people(connection: psycopg.Connection, organization_id: int, slug: str, handles: Collection[str]) -> None:
    """Create people, each with the first of these usernames that is free: the handle, the handle with the
    organization's slug, the handle with a random suffix."""
    pending = _within_cap(connection, "users", organization_id, handles, settings.USER_CAP)
    username: Callable[[str], str]
    for username in (
        lambda handle: shortened(handle, MAX_USERNAME),
        lambda handle: shortened(f"{handle}@{slug}", MAX_USERNAME),
        lambda handle: shortened(f"{handle}~{secrets.token_hex(8)}", MAX_USERNAME),
    ):
        if not pending:
            return
        keys, usernames = [_key(handle) for handle in pending], [username(handle) for handle in pending]
        passwords = [make_password(None) for _ in pending]
        with connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(MAKE_PEOPLE, [organization_id, pending, keys, usernames, passwords])
            made = {handle for (handle,) in cursor}
        pending = [handle for handle in pending if handle not in made]


def _within_cap(
    connection: psycopg.Connection, kind: str, organization_id: int, names: Collection[str], cap: int
) -> list[str]:
    """The first of ``names``, as many as fit under the cap."""
    if not names:
        return []
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(COUNT[kind], [organization_id]).fetchone()
    room = max(0, cap - (row[0] if row else 0))
    if len(names) > room:
        _full_until[kind, organization_id] = time.monotonic() + FULL_SECONDS
        _warn_once("Organization %s has reached its %s %s: new ones are recorded without.", organization_id, cap, kind)
    return list(names)[:room]


# These caches belong to the process. Losing them only costs another count or another warning.
_full_until: dict[tuple[str, int], float] = {}
_warned: set[tuple[object, ...]] = set()


def _is_full(kind: str, organization_id: int | None) -> bool:
    return organization_id is not None and _full_until.get((kind, organization_id), 0.0) > time.monotonic()


def _warn_once(*message: object) -> None:
    if message not in _warned and len(_warned) < MAX_WARNINGS:
        _warned.add(message)
        logger.warning(*message)
