"""For all tests: skipping can be forbidden, and the recorder lets go of the test database before it is dropped."""

import os
from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest

from analytics import ledger_pool

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
FORBID_SKIP = os.environ.get("FORBID_SKIP", "") not in ("", "0")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _without_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _without_skip((yield))


def _without_skip(report: Report) -> Report:
    """Under FORBID_SKIP=1 a skipped test has failed: CI installs everything that a test can ask for."""
    if FORBID_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"Skipped, which FORBID_SKIP=1 forbids. {reason}"
    return report


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """pytest-django's own, then the recorder's pool closed: its open connections would keep the database."""
    yield
    ledger_pool.close()
