from django.contrib.auth.management import create_permissions
from django.db import migrations

# The permissions of each role in the Django admin and elsewhere. accounts.viewer decides which rows a person sees.
GROUPS = {
    "Super Admin": [
        "accounts.add_organization", "accounts.change_organization", "accounts.view_organization",
        "accounts.add_user", "accounts.change_user", "accounts.view_user",
        "accounts.add_project", "accounts.change_project", "accounts.view_project",
        "auth.add_group", "auth.change_group", "auth.view_group",
        "pricing.add_price", "pricing.view_price",
        "ledger.view_usageevent", "ledger.export_usageevent",
    ],
    "Admin": ["ledger.export_usageevent"],
    "User": [],
}


def create_groups(apps, schema_editor):
    # Django creates permissions after all migrations, but the groups need them now.
    for label in ("auth", "accounts", "pricing", "ledger"):
        config = apps.get_app_config(label)
        config.models_module = True
        create_permissions(config, apps=apps, verbosity=0)
        config.models_module = None
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    for name, permissions in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        for permission in permissions:
            label, codename = permission.split(".")
            group.permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))


def delete_groups(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=GROUPS).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("pricing", "0001_initial"),
        ("ledger", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(create_groups, delete_groups)]
