from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

# A person's log is read in the order of time: without the time in the index, a day of somebody's events was read whole
# and sorted for a page of fifty. As this is no transaction, each step can be repeated after a failure.

# A build that was broken off leaves an invalid index behind.
BROKEN_OFF = "DROP INDEX CONCURRENTLY IF EXISTS usageevent_person_time;"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("analytics", "0010_fill_person_and_latency_cubes")]

    operations = [
        migrations.RunSQL(BROKEN_OFF, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "usageevent",
            models.Index(
                fields=["organization", "user", "day", "timestamp"],
                include=("hour", "provider", "model", "latency_ms", "ttft_ms"),
                name="usageevent_person_time",
            ),
        ),
        RemoveIndexConcurrently("usageevent", "usageevent_person_latency"),
    ]
