from django.db import migrations

# Recorders keep prices and aliases of models in memory (pricing.book). See accounts, migration 0006.
TRIGGERS = """
CREATE CONSTRAINT TRIGGER {table}_changed AFTER INSERT OR UPDATE OR DELETE ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION accounts_new_generation();
CREATE TRIGGER {table}_truncated AFTER TRUNCATE ON {table} EXECUTE FUNCTION accounts_new_generation();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_changed;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_truncated;
"""
FORGET = "DROP TRIGGER {table}_changed ON {table}; DROP TRIGGER {table}_truncated ON {table};"
TABLES = ("pricing_price", "pricing_modelalias")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_generation"), ("pricing", "0002_append_only")]

    operations = [migrations.RunSQL(TRIGGERS.format(table=table), FORGET.format(table=table)) for table in TABLES]
