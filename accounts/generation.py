"""The generation of names, time zones and prices: a value in the database that becomes another one with every committed
change of what recorders keep in memory. As long as it is the same, so is what was read from those tables before.

Triggers change it (migrations 0006 of accounts and 0003 of pricing), so programs that do not use the models do so too.
"""

import psycopg
from psycopg.rows import scalar_row

# If somebody has removed the row, every answer is another one, and nothing in memory is used.
VALUE = "coalesce((SELECT value FROM accounts_generation), gen_random_uuid())::text"
"""SQL of the current generation, for a query that reads something else in the same snapshot."""
_ASK = f"SELECT {VALUE}"


def current(connection: psycopg.Connection) -> str:
    """The generation of all that is committed now."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return str(cursor.execute(_ASK).fetchone())
