from django.db import migrations

# The names and the aliases of an organization are in two tables, which no constraint can compare. So a trigger looks
# whether a new name is in the other table. The advisory lock, which accounts.directory takes as well, lets only one
# transaction add names at a time.
FUNCTION = """
CREATE FUNCTION accounts_name_is_free() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_taken boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(1196576593);
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %I WHERE organization_id = ($1).organization_id AND %I = ($1).%2$I)',
        TG_ARGV[0], TG_ARGV[1]
    ) INTO is_taken USING NEW;
    IF is_taken THEN
        RAISE unique_violation USING MESSAGE = 'Another one of the organization has or had this name.',
            TABLE = TG_TABLE_NAME, CONSTRAINT = 'accounts_name_is_free';
    END IF;
    RETURN NEW;
END $$;
"""
TRIGGERS = """
CREATE TRIGGER {table}_new_name BEFORE INSERT ON {table}
    FOR EACH ROW WHEN (NEW.organization_id IS NOT NULL AND NEW.{key} IS NOT NULL)
    EXECUTE FUNCTION accounts_name_is_free('{other}', '{key}');
CREATE TRIGGER {table}_other_name BEFORE UPDATE ON {table}
    FOR EACH ROW WHEN ((NEW.organization_id, NEW.{key}) IS DISTINCT FROM (OLD.organization_id, OLD.{key})
                       AND NEW.organization_id IS NOT NULL AND NEW.{key} IS NOT NULL)
    EXECUTE FUNCTION accounts_name_is_free('{other}', '{key}');
"""
PAIRS = (
    ("accounts_user", "accounts_personalias", "handle_key"),
    ("accounts_project", "accounts_projectalias", "slug_key"),
)
TABLES = [(table, other, key) for one, two, key in PAIRS for table, other in ((one, two), (two, one))]
PROTECT = FUNCTION + "".join(TRIGGERS.format(table=table, other=other, key=key) for table, other, key in TABLES)
UNPROTECT = "DROP FUNCTION accounts_name_is_free() CASCADE;"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_audit_append_only")]

    operations = [migrations.RunSQL(PROTECT, UNPROTECT)]
