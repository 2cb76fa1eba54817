"""A database with all migrations applied, of which every worker of the test run gets a copy.

A copy takes a fraction of a second, where the migrations take several seconds of a core for each worker. The template
stays on the tests' embedded server for the next run, until a migration or a package changes.
"""

import fcntl
import hashlib
import inspect
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

PREFIX = "template_"
EMBEDDED = "usage_dashboard.postgresql"


def use_a_template() -> None:
    """Make the test database from the template. This only happens on the tests' own server, so that other servers keep
    no template."""
    if connection.settings_dict["ENGINE"] == EMBEDDED:
        connection.settings_dict["TEST"]["TEMPLATE"] = _made_once()


def _made_once() -> str:
    """The name of the template. The first worker makes the template while the others wait."""
    name = f"{PREFIX}{_fingerprint()}"
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.VAR_DIR / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if name not in _templates():
            for old in _templates():
                _execute(f'DROP DATABASE IF EXISTS "{old}"')
            _make(name)
    return name


def _make(name: str) -> None:
    """Make the template under another name first, so that an unfinished one is never used."""
    before = dict(connection.settings_dict["TEST"]), connection.settings_dict["NAME"]
    unfinished = f"unfinished_{name}"
    connection.settings_dict["TEST"] |= {"NAME": unfinished, "TEMPLATE": None}
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        connections.close_all()
        connection.close_pool()
    finally:
        connection.settings_dict["TEST"], connection.settings_dict["NAME"] = before
    _execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{name}"')


def _templates() -> list[str]:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname ~ %s", [f"^{PREFIX}[0-9a-f]+$"])
        return [name for (name,) in cursor.fetchall()]


def _execute(statement: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)


def _fingerprint() -> str:
    """A hash that changes whenever the migrations may make a different database."""
    digest = hashlib.sha256(f"{version('django')} {settings.DEFAULT_ORGANIZATION}".encode())
    for _, migration in sorted(MigrationLoader(None).disk_migrations.items()):
        digest.update(Path(inspect.getfile(type(migration))).read_bytes())
    return digest.hexdigest()[:16]
