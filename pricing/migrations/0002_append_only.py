from django.db import migrations

# The model refuses changes; this trigger also refuses them from programs that do not use the model.
PROTECT = """
CREATE FUNCTION pricing_price_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Prices are history: add a new version instead of changing or deleting row %.', OLD.id;
END $$;
CREATE TRIGGER pricing_price_append_only BEFORE UPDATE OR DELETE ON pricing_price
    FOR EACH ROW EXECUTE FUNCTION pricing_price_append_only();
"""

UNPROTECT = """
DROP TRIGGER pricing_price_append_only ON pricing_price;
DROP FUNCTION pricing_price_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("pricing", "0001_initial")]

    operations = [migrations.RunSQL(PROTECT, UNPROTECT)]
