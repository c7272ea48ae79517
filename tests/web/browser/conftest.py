"""A real Chromium for the tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from tests.web.browser.cluster import Cluster, Site

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    """What drives browsers.

    For one module, not for the session: Playwright leaves an event loop running in this thread,
    and tests with loops of their own follow.
    """
    with sync_playwright() as playwright:
        yield playwright


def start(driver: Playwright, *flags: str, without: Sequence[str] = ()) -> Browser:
    """Chromium of the system, with further flags, and without some that Playwright gives it."""
    path = os.environ.get("TOCSIN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is missing: install Debian's chromium")
    return driver.chromium.launch(
        executable_path=path, args=[*FLAGS, *flags], ignore_default_args=list(without) or None
    )


@pytest.fixture(scope="module")
def browser(driver: Playwright) -> Iterator[Browser]:
    """Chromium of the system."""
    browser = start(driver)
    yield browser
    browser.close()


@contextmanager
def watched(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile; the test fails if a page in it reports an error or breaks its policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on(
        "console",
        lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield context
    context.close()
    assert errors == []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile, watched."""
    with watched(browser) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """One tab."""
    return context.new_page()


@pytest.fixture
def browser_page_without_javascript(browser: Browser) -> Iterator[Page]:
    """A tab in which scripts are off."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Nodes to be added; they end with the test."""
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def site() -> Iterator[Site]:
    """A web site on an origin of its own."""
    site = Site()
    yield site
    site.close()
