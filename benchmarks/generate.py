"""Makes synthetic events inside PostgreSQL: 90 days, 50 organizations (Zipf, the largest has 22 %) or any other number,
at most 200 people and 20 projects in each, 12 models, 30 experts, 60 templates, working hours, 3 % errors, a fifth of
them time-outs. A conversation belongs to one person and has five messages on average (geometric), about a minute apart,
nine of ten by the same model.

One statement makes the events of a day and their sessions, in tables without indexes. Then the statement that repairs
sums computes each local day once, so that no row is updated. There are as many parallel connections as processors.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from django.db import connection

from accounts.models import Organization, Project, User
from ledger.rollups import rollup_sql, session_sql
from pricing.models import Price

DAYS = 90
ORGANIZATIONS = 50
PEOPLE, FEWEST_PEOPLE = 200, 5
"""The numbers of people in the largest organization and at least in each other one."""
PROJECTS = 20
MODELS = (
    "openai/gpt-oss-120b", "openai/gpt-oss-20b", "qwen/qwen3.8-27b", "llama-3.3-70b-versatile", "llama-3.1-8b-instant",
    "meta-llama/llama-4-scout-17b-16e-instruct", "meta-llama/llama-4-maverick-17b-128e-instruct",
    "moonshotai/kimi-k2-instruct-0905", "qwen/qwen3-32b", "openai/gpt-oss-safeguard-20b", "groq/compound",
    "gemma2-9b-it",
)  # fmt: skip
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/Los_Angeles", "UTC")
HOUR_WEIGHTS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 18, 15, 17, 19, 19, 17, 13, 9, 6, 4, 3, 2, 1)


def people_and_prices(organizations: int = ORGANIZATIONS) -> None:
    """Make the people, projects and prices that the events refer to, unless they exist."""
    if Price.objects.filter(model=MODELS[0]).exists():
        return
    for n in range(organizations):
        zone = ZONES[n % len(ZONES)]
        organization = Organization.objects.create(slug=f"org-{n:02}", name=f"Organization {n:02}", time_zone=zone)
        Project.objects.bulk_create(
            Project(organization=organization, slug=f"p{i}", name=f"Project {i}") for i in range(PROJECTS)
        )
        User.objects.bulk_create(
            User(organization=organization, username=f"o{n}u{i}", handle=f"u{i}", is_active=i == 0)
            for i in range(max(FEWEST_PEOPLE, PEOPLE // (n + 1)))
        )
    early = datetime(2024, 1, 1, tzinfo=UTC)
    for model in MODELS[:-1]:  # The last model has no price.
        Price.objects.create(
            model=model,
            input_usd_per_1k_tokens=Decimal("0.00015"),
            output_usd_per_1k_tokens=Decimal("0.0006"),
            effective_from=early,
        )


def events(total: int, last_day: date) -> None:
    """Replace the ledger's events by ``total`` events that end on ``last_day``."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_usageevent, ledger_tail, ledger_session, ledger_rollup")
        add(total, last_day)
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM ANALYZE ledger_usageevent")
        cursor.execute("VACUUM ANALYZE ledger_session")
        cursor.execute("VACUUM ANALYZE ledger_rollup")
        cursor.execute("RESET statement_timeout")
        cursor.execute("CHECKPOINT")


def add(total: int, last_day: date) -> None:
    """Fill an empty ledger with ``total`` events that end on ``last_day``, and their sums. Uses connections of its own,
    so people and prices have to be committed before."""
    with _without_indexes("ledger_session", "ledger_rollup"):
        with _without_indexes("ledger_usageevent"):
            _share(INSERT_DAY, _days(total, last_day))
        _share("ANALYZE ledger_usageevent", [{}])
        _share(ROLLUPS, [{"day": last_day - timedelta(days=n)} for n in range(-1, DAYS + 1)])  # zones are ahead, behind


def _days(total: int, last_day: date) -> list[dict[str, Any]]:
    """The parameters of ``INSERT_DAY`` for each day in UTC."""
    days = [last_day - timedelta(days=DAYS - 1 - n) for n in range(DAYS)]
    upto = list(accumulate(_weight(day, n) for n, day in enumerate(days)))
    bounds = [0, *(round(total * weight / upto[-1]) for weight in upto)]
    choices = {
        "models": list(MODELS),
        "organizations": _bounds([1 / (n + 1) for n in range(_organizations())]),
        "hours": _bounds(HOUR_WEIGHTS),
    }
    return [
        {"day": day, "first": first, "events": last - first, "seed": n / DAYS, **choices}
        for n, (day, first, last) in enumerate(zip(days, bounds, bounds[1:], strict=False))
    ]


def _organizations() -> int:
    """The number of organizations that ``people_and_prices`` has made."""
    return Organization.objects.filter(slug__regex="^org-[0-9]+$").count()


def _share(statement: str, values: Sequence[dict[str, Any]]) -> None:
    """Execute the statement with each of the values, on as many parallel connections as there are processors."""
    hands = min(os.cpu_count() or 1, len(values))
    with ThreadPoolExecutor(hands) as pool:
        list(pool.map(lambda n: _execute(statement, values[n::hands]), range(hands)))


def _execute(statement: str, values: Sequence[dict[str, Any]]) -> None:
    """Execute the statement in a thread, which has a connection of its own, and return that connection to the pool."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SET synchronous_commit = off")
            cursor.execute("SET work_mem = '256MB'")
            cursor.execute("SET maintenance_work_mem = '1GB'")
            cursor.execute(TABLES_OF_CHOICE)
            for one in values:
                cursor.execute("SELECT setseed(%s)", [one.get("seed", 0)])
                cursor.execute(statement, one)
            cursor.execute("DISCARD ALL")
    finally:
        connection.close()


@contextmanager
def _without_indexes(*tables: str) -> Iterator[None]:
    """Drop the tables' indexes and make them again at the end, several times as fast as keeping them up to date."""
    with connection.cursor() as cursor:
        cursor.execute(INDEXES, {"tables": list(tables)})
        indexes = cursor.fetchall()
        for drop, _ in indexes:
            cursor.execute(drop)
    try:
        yield
    finally:
        for _, make in indexes:
            _share(make, [{}])


def _weight(day: date, n: int) -> float:
    """The relative number of events on a day: it grows over the range and is low on weekends."""
    return (0.5 + n / DAYS) * (0.25 if day.weekday() >= 5 else 1.0)


def _bounds(weights: Sequence[float]) -> list[float]:
    """The bounds in [0, 1) between the random numbers of one choice and the next."""
    running = list(accumulate(weights))
    return [bound / running[-1] for bound in running[:-1]]


TABLES_OF_CHOICE = f"""
CREATE TEMP TABLE pick_org AS
    SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, time_zone AS zone,
           greatest({FEWEST_PEOPLE}, ({PEOPLE} / row_number() OVER (ORDER BY id))::int) AS users
    FROM accounts_organization WHERE slug ~ '^org-[0-9]+$';
CREATE TEMP TABLE pick_user AS
    SELECT organization_id AS org, substr(handle, 2)::int AS n, id FROM accounts_user WHERE handle ~ '^u[0-9]+$';
CREATE TEMP TABLE pick_project AS
    SELECT organization_id AS org, substr(slug, 2)::int AS n, id FROM accounts_project WHERE slug ~ '^p[0-9]+$';
ANALYZE pick_org, pick_user, pick_project
"""
"""SQL expressions that turn a random number into an organization, a person or a project."""

INSERT_DAY = f"""
WITH of_day AS (
INSERT INTO ledger_usageevent (
    organization_id, request_id, timestamp, day, hour, provider, model, model_requested, operation, feature,
    project_id, user_id, expert_id, template_id, session_id, provider_request_id, response_id, status, error_code,
    error_message, http_status, attempts, stream, input_tokens, output_tokens, total_tokens, cached_tokens,
    reasoning_tokens, audio_seconds, characters, tokens_estimated, latency_ms, ttft_ms, queue_ms, prompt_ms,
    completion_ms, cost_usd, price_id, service_tier, limit_requests, remaining_requests, limit_tokens,
    remaining_tokens, metadata,
    tool_uses, tool_cost_usd, without_tool_fees)
SELECT org.id, request_id, at, (at AT TIME ZONE org.zone)::date, extract(hour FROM at AT TIME ZONE org.zone),
       'groq', model, model, 'chat', feature, project.id, person.id, expert, template, session,
       'req_' || request_id, CASE WHEN failed THEN '' ELSE 'chatcmpl-' || md5(request_id) END,
       CASE WHEN failed THEN 'error' ELSE 'success' END,
       CASE WHEN timed_out THEN 'timeout' WHEN failed THEN 'rate_limit_exceeded' ELSE '' END,
       CASE WHEN timed_out THEN 'Request timed out' WHEN failed THEN 'Rate limit reached' ELSE '' END,
       CASE WHEN timed_out THEN NULL WHEN failed THEN 429 ELSE 200 END,
       1, number %% 2 = 0, input, output, input + output, input / 4, 0,
       0, 0, false, latency, CASE WHEN failed THEN NULL ELSE latency / 5 END, 1.5, latency / 6, latency / 2,
       CASE WHEN model = 'gemma2-9b-it' THEN NULL ELSE input * 150 + output * 600 END,
       1, 'on_demand', 14400, 14370, 250000, 249000, '{{}}',
       '{{}}', 0, false
FROM (
    SELECT (%(first)s + row) AS number, lpad(to_hex(%(first)s + row), 32, '0') AS request_id,
           org_n, user_r, project_r, feature, expert, template, session,
           start + make_interval(secs => 120 * (message - 1) * random()) AS at,
           CASE WHEN random() < 0.1 THEN (%(models)s::text[])[1 + floor(12 * random())::int]
                ELSE usual_model END AS model,
           random() < 0.03 AS failed,
           floor(50 + 4000 * power(random(), 3))::int AS input, floor(10 + 900 * power(random(), 2))::int AS output,
           floor(exp(5.0 + 2.8 * random()))::int AS latency
    FROM (
        SELECT *, row_number() OVER () AS row
        FROM (
            SELECT %(day)s::date || '-' || g AS session, floor(ln(1 - random()) / ln(0.8))::int AS answers,
                   %(day)s::date::timestamp AT TIME ZONE 'UTC'
                       + make_interval(hours => width_bucket(random(), %(hours)s::float8[]),
                                       secs => random() * 3600) AS start,
                   width_bucket(random(), %(organizations)s::float8[]) AS org_n,
                   power(random(), 1.6) AS user_r, power(random(), 1.5) AS project_r,
                   (%(models)s::text[])[1 + floor(12 * power(random(), 1.8))::int] AS usual_model,
                   (ARRAY['chat', 'rag', 'tools', 'playground'])[1 + floor(random() * 4)::int] AS feature,
                   'expert-' || floor(random() * 30) AS expert, 'template-' || floor(random() * 60) AS template
            FROM generate_series(1, 100 + %(events)s / 4) AS g
        ) AS talk
        CROSS JOIN LATERAL generate_series(1, 1 + answers) AS message
        LIMIT %(events)s
    ) AS messages
) AS made
CROSS JOIN LATERAL (SELECT failed AND number %% 5 = 0 AS timed_out) AS how
JOIN pick_org AS org ON org.n = org_n
JOIN pick_user AS person ON person.org = org.id AND person.n = floor(org.users * user_r)::int
JOIN pick_project AS project ON project.org = org.id AND project.n = floor({PROJECTS} * project_r)::int
ORDER BY at
RETURNING *
)
INSERT INTO ledger_session ({", ".join((*session_sql.KEY, *session_sql.MEASURES))})
{session_sql.sums("of_day")}
ORDER BY 1, 2, 3
"""

# For each index of the tables, or the constraint behind it: the statements that drop it and make it again.
INDEXES = """
SELECT coalesce('ALTER TABLE ' || indrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(conname),
                'DROP INDEX ' || indexrelid::regclass),
       coalesce('ALTER TABLE ' || indrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(conname) || ' '
                    || pg_get_constraintdef(pg_constraint.oid),
                replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON '))
FROM pg_index LEFT JOIN pg_constraint ON conindid = indexrelid AND conrelid = indrelid
WHERE indrelid = ANY (%(tables)s::regclass[])
ORDER BY indexrelid
"""

# The condition names the organizations so that an index of the events, which begins with them, can be used.
OF_DAY = """(
    SELECT * FROM ledger_usageevent
    WHERE organization_id = ANY (ARRAY(SELECT id FROM accounts_organization)) AND day = %(day)s
) AS of_day"""

ROLLUPS = f"""
INSERT INTO ledger_rollup ({", ".join((*rollup_sql.KEY, *rollup_sql.MEASURES))})
{rollup_sql.sums(OF_DAY)}
ORDER BY {", ".join(rollup_sql.ORDER)}
"""
