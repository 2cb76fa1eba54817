"""The browser of the tests and the screenshots, and the windows that they look through. Knows nothing of Django."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "Browser tests need Chromium: apt-get install chromium (or set CHROMIUM to the path of one)."
PLAYWRIGHT_TURNS_OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect", "TcpPortRandomizationWin", "OptimizationHints",
    "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
)  # fmt: skip
"""Features that Playwright turns off by itself. They are named again, because Chromium obeys only the last list."""
ADDRESS_BAR = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup")
"""Two hidden pages behind the address bar. Each new window loads them, which takes half of the processor time that an
empty window takes, and no test types into the address bar."""
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    f"--disable-features={','.join((*PLAYWRIGHT_TURNS_OFF, *ADDRESS_BAR))}",
]  # fmt: skip
SIZES = {"320": (320, 640), "phone": (390, 844), "tablet": (768, 1024), "desktop": (1280, 800), "wide": (1920, 1080)}


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
