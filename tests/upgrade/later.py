"""The settings of a later release, whose ledger has two more migrations."""

from usage_dashboard.settings import *  # noqa: F403

MIGRATION_MODULES = {"ledger": "tests.upgrade.migrations"}
