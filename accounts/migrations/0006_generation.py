from django.db import migrations

# Recorders keep names, time zones and prices in memory (accounts.directory, pricing.book). They must notice a change in
# the very next transaction, so each change gives the only row of this table another value. A random value never comes
# back, not even after a backup was restored. The table has no model, because Django's flush would empty it.
#
# The triggers are deferred: the row is locked only while a transaction commits, so transactions do not wait for each
# other and cannot deadlock. They fire ALWAYS, which means also for those who turn other triggers off by
# session_replication_role. A new person, project or alias fires none, because it changes nothing that was found before.
# A transaction that changes many rows changes the value once: the condition on xmin leaves alone what the same
# transaction has written.
TABLE = """
CREATE TABLE accounts_generation (id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1), value uuid NOT NULL);
INSERT INTO accounts_generation (value) VALUES (gen_random_uuid());
CREATE FUNCTION accounts_new_generation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts_generation SET value = gen_random_uuid() WHERE xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$;
"""
TRIGGERS = """
CREATE CONSTRAINT TRIGGER {table}_changed AFTER {events} ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION accounts_new_generation();
CREATE CONSTRAINT TRIGGER {table}_renamed AFTER UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ({is_other}) EXECUTE FUNCTION accounts_new_generation();
CREATE TRIGGER {table}_truncated AFTER TRUNCATE ON {table} EXECUTE FUNCTION accounts_new_generation();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_changed;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_renamed;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_truncated;
"""
LOOKED_UP = {
    "accounts_organization": ("INSERT OR DELETE", ("slug", "time_zone")),
    "accounts_user": ("DELETE", ("organization_id", "handle_key")),
    "accounts_project": ("DELETE", ("organization_id", "slug_key")),
    "accounts_personalias": ("DELETE", ("organization_id", "handle_key", "user_id")),
    "accounts_projectalias": ("DELETE", ("organization_id", "slug_key", "project_id")),
}


def _triggers(table: str, events: str, columns: tuple[str, ...]) -> str:
    is_other = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    return TRIGGERS.format(table=table, events=events, is_other=is_other)


NOTICE = TABLE + "".join(_triggers(table, *what) for table, what in LOOKED_UP.items())
FORGET = "DROP FUNCTION accounts_new_generation() CASCADE; DROP TABLE accounts_generation;"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_names")]

    operations = [migrations.RunSQL(NOTICE, FORGET)]
