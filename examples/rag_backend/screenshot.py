"""Takes screenshots of the page with Chromium: light, dark, phone-sized and empty.

    python -m examples.rag_backend.screenshot [--url http://127.0.0.1:8000] [--folder docs/pictures]

Needs a running back end over the demo collection (`make serve`), Chromium and its driver.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUESTION = "Which river passes through ten countries on its way to the Black Sea?"
SCREENSHOTS = {
    "page": (1280, 900, "light", "question"),
    "page-dark": (1280, 900, "dark", "question"),
    "page-phone": (390, 844, "light", "question"),
    "page-empty": (1280, 900, "light", "start"),
}


@contextmanager
def chromium(width: int = 1280, height: int = 900) -> Iterator[Any]:
    """Run a headless Chromium, driven by selenium.

    Raises:
        FileNotFoundError: Chromium or its driver is not installed.
    """
    from selenium import webdriver

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        raise FileNotFoundError(
            "Chromium or its driver is missing: apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.add_argument("--headless=new")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--hide-scrollbars")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if os.getuid() == 0:  # Chromium's sandbox does not run as root
        options.add_argument("--no-sandbox")
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        use_window(window, width, height)
        yield window
    finally:
        window.quit()


def use_window(window: Any, width: int, height: int) -> None:
    """Set the size of the page in CSS pixels; a narrow page is a phone's."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def use_scheme(window: Any, scheme: str) -> None:
    """Set the colour scheme, `light` or `dark`."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def take(url: str, folder: Path, name: str) -> Path:
    """Save one screenshot once the page is complete."""
    from urllib.parse import urlencode

    from selenium.webdriver.support.ui import WebDriverWait

    width, height, scheme, content = SCREENSHOTS[name]
    with chromium(width, height) as window:
        use_scheme(window, scheme)
        window.get(f"{url}/?{urlencode({'q': QUESTION})}" if content == "question" else url)
        ready = "mark.best" if content == "question" else "#examples li"
        WebDriverWait(window, 60).until(lambda w: w.find_elements("css selector", ready))
        screenshot = folder / f"{name}.png"
        window.save_screenshot(str(screenshot))
    return screenshot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--folder", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--only", choices=SCREENSHOTS, action="append")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only or SCREENSHOTS:
        print(take(options.url, options.folder, name), file=sys.stdout)


if __name__ == "__main__":
    main()
