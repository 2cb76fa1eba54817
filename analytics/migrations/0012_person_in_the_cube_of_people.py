from django.db import migrations

# What is asked of one person and not of the organization goes to the cube of people, whose primary key has the person
# behind the day: all people of the organization were read, on all days of a range, four times for a page. As this is no
# transaction, each step can be repeated after a failure.
BUILD = "CREATE INDEX CONCURRENTLY analytics_rollup_5_person ON analytics_rollup_5 (organization_id, user_id, day);"
DROP = "DROP INDEX CONCURRENTLY IF EXISTS analytics_rollup_5_person;"  # or what is left of a build that was broken off


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("analytics", "0011_person_in_the_order_of_time")]

    operations = [
        migrations.RunSQL(DROP, migrations.RunSQL.noop),
        migrations.RunSQL(BUILD, DROP),
    ]
