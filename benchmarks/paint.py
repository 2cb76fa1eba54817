"""Measures the first look at the Overview in Chromium over a throttled line: the time to the largest contentful paint,
how far its layout shifts, and the bytes of a first load and of a filter change.

The server is the one that runs in production, with compressed files. The line is the one that Chromium's developer
tools call "Fast 4G".
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import product
from typing import Any

from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from accounts.models import User
from benchmarks.pages import viewers
from benchmarks.setup import report
from benchmarks.viewers import SERVER
from tests.browser.chromium import ARGUMENTS, chromium

PORT = 8766
ADDRESS = f"http://127.0.0.1:{PORT}"
START_SECONDS, TIMEOUT_MS = 60, 120_000
REPEAT = 7
WHO = ("Super Admin", "Admin", "median User")
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
FAST_4G = {
    "offline": False,
    "latency": 60 * 2.75,  # milliseconds
    "downloadThroughput": 9_000_000 / 8 * 0.9,  # bytes per second
    "uploadThroughput": 1_500_000 / 8 * 0.9,
}
GOALS = {"paint": 1000, "shift": 0.02, "first load": 420, "filter change": 60}
OBSERVE = """
window.measured = {paint: 0, shift: 0, of: "", moved: []};
new PerformanceObserver(list => { for (const entry of list.getEntries()) {
  measured.paint = entry.startTime; measured.of = `${entry.element?.tagName}.${entry.element?.className}`;
}}).observe({type: "largest-contentful-paint", buffered: true});
new PerformanceObserver(list => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) {
  measured.shift += entry.value;
  for (const { node, previousRect: before, currentRect: after } of entry.sources) measured.moved.push(
    `${(node?.tagName ? node : node?.parentElement)?.cloneNode().outerHTML} from ${before.x}, ${before.y}`
    + ` to ${after.x}, ${after.y} after ${Math.round(entry.startTime)} ms: ${entry.value.toFixed(3)}`);
}}).observe({type: "layout-shift", buffered: true});
"""
IS_DRAWN = """() => document.readyState === "complete"
  && ![...document.querySelectorAll(".plot")].some(plot => plot.checkVisibility() && !plot.matches(".js-plotly-plot"))
  && !document.querySelector(".htmx-request")"""


def run() -> None:
    sessions = [(who, _session(user)) for who, user in viewers() if who in WHO]
    with _server(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for (who, session), size in product(sessions, SIZES):
            _measure(browser, who, size, session)
        browser.close()


def _session(user: User) -> str:
    client = Client()
    client.force_login(user, backend="accounts.backends.Backend")
    return client.cookies["sessionid"].value


def _measure(browser: Browser, who: str, size: str, session: str) -> None:
    looks = [_look(browser, size, session) for _ in range(REPEAT)][1:]  # the first one warms the server up
    paint = statistics.median(look["paint"] for look in looks)
    shift = max(look["shift"] for look in looks)
    report(f"Largest contentful paint, {who}, {size}", f"{paint:.0f} ms", f"goal ≤ {GOALS['paint']} ms")
    report(f"Layout shift, {who}, {size}, the worst", f"{shift:.3f}", f"goal ≤ {GOALS['shift']}")
    for moved in max(looks, key=lambda look: look["shift"])["moved"]:
        print(f"    {moved}")
    for what in ("first load", "filter change"):
        size_of = max(look[what] for look in looks) / 1000
        report(f"Bytes of a {what}, {who}, {size}", f"{size_of:.0f} kB", f"goal ≤ {GOALS[what]} kB")


def _look(browser: Browser, size: str, session: str) -> dict[str, Any]:
    """One look by a browser that has seen nothing yet: milliseconds, the score of layout shifts, and bytes."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=ADDRESS)
    context.add_cookies([{"name": "sessionid", "value": session, "url": ADDRESS}])
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(OBSERVE)
    page = context.new_page()
    received = _received(page)
    page.goto("/?range=30d")
    page.wait_for_function(IS_DRAWN)
    first_load = sum(received)
    seen = page.evaluate("measured")
    received.clear()
    with page.expect_response(lambda response: "range=7d" in response.url):
        page.evaluate("document.querySelector('input[name=range][value=\"7d\"]').click()")
    page.wait_for_function(IS_DRAWN)
    change = sum(received)
    context.close()
    return {**seen, "first load": first_load, "filter change": change}


def _received(page: Page) -> list[float]:
    """Throttle the page's line. The list gets the bytes of each answer as they came over the line, with its headers."""
    received: list[float] = []
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", FAST_4G)
    line.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    return received


@contextmanager
def _server() -> Iterator[None]:
    server = subprocess.Popen([sys.executable, *SERVER, "--bind", f"127.0.0.1:{PORT}"])
    try:
        _wait_until_it_answers()
        yield
    finally:
        server.terminate()
        server.wait()


def _wait_until_it_answers() -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/sign-in/", headers={"Host": "127.0.0.1"})
            connection.getresponse().read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
