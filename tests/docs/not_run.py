"""The blocks that ``test_commands.py`` does not run: how each begins, why, and the tests that try the same."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NotRun:
    page: str
    begins: str
    why: str
    tests: tuple[str, ...]


COMPOSE = "tests/deploy/test_image.py::test_what_compose_starts_becomes_healthy_and_serves"
EXEC = "tests/deploy/test_image.py::test_commands_run_beside_it_and_reach_the_same_ledger"
SECRETS = "tests/deploy/test_image.py::test_secrets_are_long_and_stay"
DEMO = "tests/usage_dashboard/test_demo.py::test_a_newcomer_sees_live_priced_calls"
WHEEL = "tests/groq_client/over_http/test_wheel.py::test_it_needs_nothing_of_the_ledger"
LEDGER_WHEEL = "tests/release/test_distributions.py::test_the_wheel_of_the_ledger_works_without_the_checkout"
UNITS = "tests/deploy/test_systemd.py::test_they_run_what_the_containers_run"
RESTORE = "tests/usage_dashboard/test_backup_restore.py::test_a_restored_ledger_is_the_same_and_goes_on"
ENGINE = "There is no engine for containers; what it would start is started."
WITHOUT_CITUS = "There is no Citus; its functions are stood in for."
CITUS = "tests/ledger/test_distribute.py"

NOT_RUN = (
    NotRun("README.md", "make demo", "It goes on until Ctrl-C, with an environment of its own.", (DEMO,)),
    NotRun("README.md", "make test", "It is what runs this.", (DEMO,)),
    NotRun("docs/index.md", "make demo", "It goes on until Ctrl-C, with an environment of its own.", (DEMO,)),
    NotRun("CONTRIBUTING.md", "make demo", "The second line is what runs this.", (DEMO,)),
    NotRun("README.md", "GROQ_API_KEY=gsk_… sh deploy", ENGINE, (COMPOSE, EXEC, SECRETS)),
    NotRun("docs/index.md", "GROQ_API_KEY=gsk_… sh deploy", ENGINE, (COMPOSE, EXEC, SECRETS)),
    NotRun("docs/deploy.md", "GROQ_API_KEY=gsk_… sh deploy", ENGINE, (COMPOSE, EXEC, SECRETS)),
    NotRun("docs/deploy.md", "useradd --system", "It changes the machine; so is the image made.", (UNITS, COMPOSE)),
    NotRun("docs/deploy.md", "python -m pip install --require-hashes", "make release-check does so.", (LEDGER_WHEEL,)),
    NotRun("docs/roles.md", "python manage.py createsuperuser", "It asks somebody at a terminal.",
           ("tests/docs/test_commands.py::test_the_first_super_admin_is_made_by_a_command",)),
    NotRun("docs/operations.md", "createdb ledger_restored", "It makes a database on somebody's server.", (RESTORE,)),
    NotRun("docs/operations.md", "pg_dump --format=directory", "It restores over what it has read.", (RESTORE,)),
    NotRun("docs/client.md", "python -m pip wheel", "It is done in an environment of its own.", (WHEEL,)),
    NotRun("docs/client.md", "python -m pip install groq_usage", "It is done in an environment of its own.", (WHEEL,)),
    NotRun("docs/libraries.md", "python -m pip install -e", "The libraries have an environment of their own.",
           ("tests/gateway/test_clients.py",)),
    NotRun("docs/metrics.md", "openssl rand -hex 32", "The server has to be started with the token.",
           ("tests/api/test_metrics.py::test_the_token_opens_from_everywhere_by_any_host",)),
    NotRun("docs/operations.md", "python manage.py remove_second_factors", "It needs somebody with such factors.",
           ("tests/accounts/test_second_factor.py::test_a_command_helps_the_last_super_admin",)),
    NotRun("docs/citus.md", "python manage.py distribute --dry-run", WITHOUT_CITUS, (CITUS,)),
    NotRun("docs/citus.md", "DATABASE_URL=postgresql://ledger:secret@127.0.0.1:5432/ledger ", WITHOUT_CITUS, (CITUS,)),
    NotRun("docs/citus.md", "psql -d postgres", WITHOUT_CITUS, (CITUS,)),
)  # fmt: skip

PAGES_OF_OTHERS = {"docs/ingestion.md": "tests/gateway/ingestion/test_manual.py"}
"""Pages of which another test runs all commands."""
