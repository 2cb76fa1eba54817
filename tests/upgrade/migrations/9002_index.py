from django.db import migrations, models

from ledger.online import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "9001_region")]
    operations = [AddIndexOnline("usageevent", models.Index(fields=["model", "day"], name="made_online"))]
