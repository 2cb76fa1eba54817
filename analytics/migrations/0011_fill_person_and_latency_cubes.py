from django.db import migrations, transaction

BOUNDS = [10]
for step in range(1, 79):
    BOUNDS.append(max(BOUNDS[-1] + 1, round(10 * 1.15**step)))

# An organization's day at a time, each in its own transaction: no lock is held for long, and what was done stays done.
# Writers wait meanwhile, so that none adds to a day while it is summed up.
DAYS = "SELECT DISTINCT organization_id, day FROM analytics_rollup WHERE cube = 1 ORDER BY day, organization_id"
LOCK = "LOCK TABLE analytics_rollup_8, analytics_rollup_11 IN EXCLUSIVE MODE"
CLEAR = "DELETE FROM analytics_rollup WHERE organization_id = %s AND day = %s AND cube IN (8, 11)"
KEY = "organization_id, cube, day, provider, status, hour, project_id, user_id, latency_bucket, model, expert_id, template_id, feature"
SUMS = """requests, unpriced, estimated, input_tokens, output_tokens, total_tokens, cached_tokens, reasoning_tokens,
    audio_seconds, characters, cost_usd, latency_ms_sum, latency_ms_min, latency_ms_max, ttft_ms_sum, ttft_count"""
OF_EVENTS = """count(*), count(*) FILTER (WHERE cost_usd IS NULL), count(*) FILTER (WHERE tokens_estimated),
    sum(input_tokens), sum(output_tokens), sum(total_tokens), sum(cached_tokens), sum(reasoning_tokens),
    sum(audio_seconds), sum(characters), coalesce(sum(cost_usd), 0), sum(latency_ms), min(latency_ms), max(latency_ms),
    coalesce(sum(ttft_ms), 0), count(ttft_ms)"""
LATENCY = f"""
INSERT INTO analytics_rollup ({KEY}, {SUMS})
SELECT organization_id, 8, day, provider, status, 0, 0, 0,
    width_bucket(latency_ms, '{{{",".join(map(str, BOUNDS))}}}'::int[]) AS bucket, '', '', '', '', {OF_EVENTS}
FROM analytics_usageevent WHERE organization_id = %s AND day = %s
GROUP BY organization_id, day, provider, status, bucket
"""
PERSON = f"""
INSERT INTO analytics_rollup ({KEY}, {SUMS})
SELECT organization_id, 11, day, provider, status, hour, coalesce(project_id, 0), coalesce(user_id, 0), 0, model,
    expert_id, template_id, feature, {OF_EVENTS}
FROM analytics_usageevent WHERE organization_id = %s AND day = %s
GROUP BY organization_id, day, provider, status, hour, 7, 8, model, expert_id, template_id, feature
"""


def fill(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(DAYS)
        for key in cursor.fetchall():
            with transaction.atomic(connection.alias):
                cursor.execute(LOCK)
                for statement in (CLEAR, LATENCY, PERSON):
                    cursor.execute(statement, key)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("analytics", "0009_person_and_latency_cubes")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
