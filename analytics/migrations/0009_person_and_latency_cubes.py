from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

# The cube of a person: most questions are about one of them, whom the primary key does not find. Number 8 has had its
# partition from the beginning. As this is no transaction, each step can be repeated after a failure.
PARTITION = """
CREATE TABLE IF NOT EXISTS analytics_rollup_11 PARTITION OF analytics_rollup FOR VALUES IN (11) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS analytics_rollup_11_person ON analytics_rollup_11 (organization_id, user_id, day);
"""

# What is in an index alone is read from it only where the visibility map says that the rows are old enough: by default
# PostgreSQL updates that after a fifth of the table is new.
VACUUM_SOONER = "ALTER TABLE analytics_usageevent SET (autovacuum_vacuum_insert_scale_factor = 0.01);"
VACUUM_AS_USUAL = "ALTER TABLE analytics_usageevent RESET (autovacuum_vacuum_insert_scale_factor);"

# A build that was broken off leaves an invalid index behind.
BROKEN_OFF = "DROP INDEX CONCURRENTLY IF EXISTS usageevent_person_latency;"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("analytics", "0008_union_of_arrays")]

    operations = [
        migrations.RunSQL(PARTITION, "DROP TABLE IF EXISTS analytics_rollup_11;"),
        migrations.RunSQL(VACUUM_SOONER, VACUUM_AS_USUAL),
        migrations.RunSQL(BROKEN_OFF, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "usageevent",
            models.Index(
                fields=["organization", "user", "day"],
                include=("hour", "provider", "model", "latency_ms", "ttft_ms"),
                name="usageevent_person_latency",
            ),
        ),
        RemoveIndexConcurrently("usageevent", "usageevent_org_user_day"),
    ]
