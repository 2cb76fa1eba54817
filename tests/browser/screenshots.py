"""``make screenshots``: every screen, on a phone and a desktop, in light and dark, as each role that sees another one.

Runs the demonstration with data of its own under ``var/screenshots`` and leaves the pictures in its folder ``png``.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import ARGUMENTS, INSTALL, SIZES, chromium
from tests.screens import SCREENS, Screen
from usage_dashboard.demo import PASSWORD

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / "var" / "screenshots"
PICTURES = HOME / "png"
PEOPLE = {"visitor": "", "super admin": "sara", "admin": "adam", "user": "anna", "user without cost": "gus"}
THEMES = ("light", "dark")
WIDTHS = ("phone", "desktop")
START_SECONDS = 300


def main(wanted: list[str]) -> None:
    """Take the screens whose names begin with one of ``wanted``, or all."""
    path = chromium()
    if path is None:
        sys.exit(INSTALL)
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    with demonstration() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for screen in SCREENS:
            if not wanted or screen.name.startswith(tuple(wanted)):
                take(browser, address, screen)
        browser.close()
    sys.stdout.write(f"{len(list(PICTURES.glob('*.png')))} pictures in {PICTURES}\n")


@contextmanager
def demonstration() -> Iterator[str]:
    """The demonstration's address, while it runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"VAR_DIR": str(HOME), "COMPRESS_STATIC": "0", "EMBEDDED_POSTGRES_SETTINGS": "fsync=off"}
    command = [sys.executable, "manage.py", "demo", "--port", str(port), "--events", "40000"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        for line in process.stdout:
            if "Ctrl-C stops" in line:
                break
        else:
            sys.exit(f"The demonstration ended with status {process.wait()}.")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def take(browser: Browser, address: str, screen: Screen) -> None:
    for role in screen.roles:
        state = signed_in(browser, address, PEOPLE[role])
        for theme, size in product(THEMES, WIDTHS):
            width, height = SIZES[size]
            look: Any = {"viewport": {"width": width, "height": height}, "color_scheme": theme}
            context = browser.new_context(base_url=address, storage_state=state, reduced_motion="reduce", **look)
            page = context.new_page()
            screen.visit(page)
            page.wait_for_timeout(300)
            name = f"{screen.name}.{role.replace(' ', '-')}.{size}.{theme}.png"
            page.screenshot(path=PICTURES / name, full_page=not screen.open)
            context.close()


@cache
def signed_in(browser: Browser, address: str, username: str) -> Any:
    """The cookies of somebody, or of nobody."""
    context = browser.new_context(base_url=address)
    if username:
        sign_in(context.new_page(), username)
    state = context.storage_state()
    context.close()
    return state


def sign_in(page: Page, username: str) -> None:
    page.goto("/sign-in/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "sign-in" not in url)


if __name__ == "__main__":
    main(sys.argv[1:])
