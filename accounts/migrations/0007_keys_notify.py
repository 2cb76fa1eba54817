from django.db import migrations

# Tells every process that something about the keys of programs has changed (accounts.keyring). The triggers name the
# columns that matter, so that a sign-in or the time of a key's last use tells nobody anything.
COLUMNS = {
    "accounts_apikey": (
        "digest, next_digest, organization_id, project_id, user_id, may_call, may_ingest, may_read, expires_at, revoked_at,"
        " requests_per_minute, tokens_per_minute"
    ),
    "accounts_providerkey": "encrypted",
    "accounts_organization": "slug",
    "accounts_project": "slug, merged_into_id",
    "accounts_user": "handle, is_active, email, password, merged_into_id",
}
WITH_NEW_ROWS = ("accounts_apikey", "accounts_providerkey")
"""The tables whose new and deleted rows matter too. New people and projects have no keys yet."""

NOTIFY = """
CREATE FUNCTION accounts_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('accounts_keys', '');
    RETURN NULL;
END $$;
""" + "".join(
    f"CREATE TRIGGER {table}_keys_changed AFTER "
    f"{'INSERT OR DELETE OR ' if table in WITH_NEW_ROWS else ''}UPDATE OF {columns} ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION accounts_keys_changed();\n"
    for table, columns in COLUMNS.items()
)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_generation")]

    operations = [migrations.RunSQL(NOTIFY, "DROP FUNCTION accounts_keys_changed() CASCADE;")]
