from django.db import migrations, transaction

# An organization's day at a time, each in its own transaction: no lock is held for long, and what was done stays done.
# Writers wait meanwhile, so that none adds to a day while it is summed up.
DAYS = "SELECT DISTINCT organization_id, day FROM analytics_rollup WHERE cube = 1 ORDER BY day, organization_id"
LOCK = "LOCK TABLE analytics_rollup_8, analytics_rollup_10, analytics_rollup_11 IN EXCLUSIVE MODE"
CLEAR = "DELETE FROM {cube} WHERE organization_id = %s AND day = %s"
KEY = """organization_id, cube, day, provider, status, hour, project_id, user_id, latency_bucket, model, expert_id,
    template_id, feature"""
ADDED_UP = """requests, unpriced, estimated, input_tokens, output_tokens, total_tokens, cached_tokens, reasoning_tokens,
    audio_seconds, characters, cost_usd, latency_ms_sum, ttft_ms_sum, ttft_count"""
# Cube 10 has each bucket by model. It also knows the days whose events are no longer there.
LATENCY = f"""
INSERT INTO analytics_rollup ({KEY}, {ADDED_UP}, latency_ms_min, latency_ms_max)
SELECT organization_id, 8, day, provider, status, 0, 0, 0, latency_bucket, '', '', '', '',
    {", ".join(f"sum({name.strip()})" for name in ADDED_UP.split(","))}, min(latency_ms_min), max(latency_ms_max)
FROM analytics_rollup_10 WHERE organization_id = %s AND day = %s
GROUP BY organization_id, day, provider, status, latency_bucket
"""
# A day without events keeps what it has: nothing could make it again.
HAS_EVENTS = "SELECT FROM analytics_usageevent WHERE organization_id = %s AND day = %s LIMIT 1"
PERSON = f"""
INSERT INTO analytics_rollup ({KEY}, {ADDED_UP}, latency_ms_min, latency_ms_max)
SELECT organization_id, 11, day, provider, status, hour, coalesce(project_id, 0) AS project, coalesce(user_id, 0) AS person,
    0, model, expert_id, template_id, feature, count(*), count(*) FILTER (WHERE cost_usd IS NULL),
    count(*) FILTER (WHERE tokens_estimated), sum(input_tokens), sum(output_tokens), sum(total_tokens),
    sum(cached_tokens), sum(reasoning_tokens), sum(audio_seconds), sum(characters), coalesce(sum(cost_usd), 0),
    sum(latency_ms), coalesce(sum(ttft_ms), 0), count(ttft_ms), min(latency_ms), max(latency_ms)
FROM analytics_usageevent WHERE organization_id = %s AND day = %s
GROUP BY organization_id, day, provider, status, hour, project, person, model, expert_id, template_id, feature
"""


def fill(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(DAYS)
        for key in cursor.fetchall():
            with transaction.atomic(connection.alias):
                cursor.execute(LOCK)
                cursor.execute(CLEAR.format(cube="analytics_rollup_8"), key)
                cursor.execute(LATENCY, key)
                cursor.execute(HAS_EVENTS, key)
                if cursor.fetchone() is not None:
                    cursor.execute(CLEAR.format(cube="analytics_rollup_11"), key)
                    cursor.execute(PERSON, key)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("analytics", "0009_person_and_latency_cubes")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
