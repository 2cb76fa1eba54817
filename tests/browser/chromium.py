"""The browser of the tests and the screenshots, and the windows that they look through. Knows nothing of Django."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "Browser tests need Chromium: apt-get install chromium (or set CHROMIUM to the path of one)."
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SIZES = {"320": (320, 640), "phone": (390, 844), "tablet": (768, 1024), "desktop": (1280, 800), "wide": (1920, 1080)}


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
