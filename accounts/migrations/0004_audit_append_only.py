from django.db import migrations

# The model refuses changes; this trigger also refuses them from programs that do not use the model.
PROTECT = """
CREATE FUNCTION accounts_auditrecord_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit trail only grows: row % stays as it is.', OLD.id;
END $$;
CREATE TRIGGER accounts_auditrecord_append_only BEFORE UPDATE OR DELETE ON accounts_auditrecord
    FOR EACH ROW EXECUTE FUNCTION accounts_auditrecord_append_only();
"""

UNPROTECT = """
DROP TRIGGER accounts_auditrecord_append_only ON accounts_auditrecord;
DROP FUNCTION accounts_auditrecord_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_default_organization")]

    operations = [migrations.RunSQL(PROTECT, UNPROTECT)]
