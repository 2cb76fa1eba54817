from django.conf import settings
from django.db import migrations


def create_default_organization(apps, schema_editor):
    """Creates the organization of calls that name none."""
    apps.get_model("accounts", "Organization").objects.get_or_create(
        slug=settings.DEFAULT_ORGANIZATION, defaults={"name": settings.DEFAULT_ORGANIZATION.replace("-", " ").title()}
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("accounts", "0002_groups")]

    operations = [migrations.RunPython(create_default_organization, migrations.RunPython.noop)]
