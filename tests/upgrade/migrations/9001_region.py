from django.db import migrations

from tests.upgrade.migrations import LAST


class Migration(migrations.Migration):
    dependencies = [("ledger", LAST)]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE ledger_usageevent ADD COLUMN region varchar(9) DEFAULT '' NOT NULL",
            "ALTER TABLE ledger_usageevent DROP COLUMN region",
        )
    ]
