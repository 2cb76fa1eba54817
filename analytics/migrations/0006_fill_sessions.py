from django.db import migrations, transaction

# One person of an organization at a time, each in a transaction of its own: no lock is held for long, and what was done
# stays done. Writers wait meanwhile, so that none adds to a session while it is summed up.
PEOPLE = "SELECT DISTINCT organization_id, user_id FROM analytics_rollup WHERE cube = 5 ORDER BY 1, 2"
LOCK = "LOCK TABLE analytics_session IN EXCLUSIVE MODE"
CLEAR = "DELETE FROM analytics_session WHERE organization_id = %s AND user_id = %s"
FILL = """
INSERT INTO analytics_session (
    organization_id, user_id, session_id, requests, unpriced, input_tokens, output_tokens, cached_tokens, total_tokens,
    cost_usd, errors, first_at, last_at, first_day, last_day, model_names, providers, project_ids, expert_ids,
    template_ids, features)
SELECT organization_id, coalesce(user_id, 0), session_id, count(*), count(*) FILTER (WHERE cost_usd IS NULL),
    sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(total_tokens), coalesce(sum(cost_usd), 0),
    count(*) FILTER (WHERE status = 'error'), min(timestamp), max(timestamp + latency_ms * interval '1 ms'),
    min(day), max(day), array_agg(DISTINCT model), array_agg(DISTINCT provider),
    array_agg(DISTINCT coalesce(project_id, 0)), array_agg(DISTINCT expert_id), array_agg(DISTINCT template_id),
    array_agg(DISTINCT feature)
FROM analytics_usageevent
WHERE organization_id = %s AND session_id <> '' AND {person}
GROUP BY 1, 2, 3
ORDER BY min(timestamp)
"""
OF_SOMEBODY, OF_NOBODY = FILL.format(person="user_id = %s"), FILL.format(person="user_id IS NULL")


def fill(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE)
        for organization_id, user_id in cursor.fetchall():
            with transaction.atomic(connection.alias):
                cursor.execute(LOCK)
                cursor.execute(CLEAR, [organization_id, user_id])
                if user_id:
                    cursor.execute(OF_SOMEBODY, [organization_id, user_id])
                else:
                    cursor.execute(OF_NOBODY, [organization_id])


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("analytics", "0005_what_occurs_in_a_session")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
