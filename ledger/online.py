"""What migrations of the large tables use, so that recording and pages go on meanwhile (docs/upgrading.md)."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

IS_INVALID = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"


class AddIndexOnline(AddIndexConcurrently):
    """Makes an index while others write, in a migration with ``atomic = False`` and nothing else in it.

    It waits for the transactions of others for as long as they take, and nobody waits behind it. An index that an
    interrupted attempt has left unfinished is made anew.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            (before,) = cursor.fetchone()
            cursor.execute("SET lock_timeout = 0")
            cursor.execute(IS_INVALID, [self.index.name])
            if cursor.fetchone():
                cursor.execute(f'DROP INDEX CONCURRENTLY "{self.index.name}"')
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])
