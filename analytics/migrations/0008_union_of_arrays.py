from django.db import migrations

# What an upsert of a session merges arrays by. A function, because Citus takes no sub-select in an INSERT ... VALUES;
# immutable, because it takes no other in ON CONFLICT. Sorted by the collation of the column, as array_agg(DISTINCT).
CREATE = """
CREATE FUNCTION analytics_union(one anyarray, other anyarray) RETURNS anyarray
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT ARRAY(SELECT DISTINCT unnest(one || other) ORDER BY 1) $$;
"""


class Migration(migrations.Migration):

    dependencies = [("analytics", "0007_reconciliation")]

    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION analytics_union;")]
