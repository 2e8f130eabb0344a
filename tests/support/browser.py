# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, driven by Selenium and Debian's ChromeDriver."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Without the networking flags Chromium looks for its maker's hosts at every start."""


@contextmanager
def browser(profile: Path, width: int = 1200, height: int = 1600) -> Iterator[Chrome]:
    """A browser with an empty profile; it ends with the block. What is missing is a failure, no skip."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "chromium is missing: apt-get install chromium"
    assert driver, "chromedriver is missing: apt-get install chromium-driver"
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    found = Chrome(options, Service(driver))
    found.set_page_load_timeout(60)
    try:
        yield found
    finally:
        found.quit()
