"""Giving back a request's database connection before the request waits for something else."""

from django.db import connection


def let_go_of_the_database() -> None:
    """Give the connection of this thread back to the pool; the next query takes another one. Call this before long work
    without the database, so that others need not wait for a connection. A transaction keeps its connection.
    """
    if not connection.in_atomic_block:
        connection.close()
