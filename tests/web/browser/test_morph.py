"""morph.js in a real Chromium, under the page's policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

import tocsin.web

pytestmark = pytest.mark.browser

STATIC = Path(tocsin.web.__file__).parent / "static"
POLICY = "default-src 'none'; script-src 'self'; require-trusted-types-for 'script'; trusted-types tocsin"
HTML = "<!doctype html><title>fuzz</title><body><live-frame></live-frame></body>"
RUNS = 2500


def serve(route: Route) -> None:
    """The modules and one page, without a server."""
    path = route.request.url.partition("tocsin.test")[2]
    if path == "/":
        headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8"}
        route.fulfill(body=HTML, headers=headers)
        return
    file = Path(__file__).parent / "fuzz.js" if path == "/fuzz.js" else STATIC / Path(path).name
    route.fulfill(body=file.read_text(), headers={"Content-Type": "text/javascript; charset=utf-8"})


@pytest.fixture
def morph(page: Page) -> Page:
    """A page in which ``/fuzz.js`` can be imported."""
    page.route("**/*", serve)
    page.goto("http://tocsin.test/")
    return page


@pytest.mark.parametrize("moves", [True, False], ids=["moveBefore", "insertBefore"])
def test_fuzz(morph: Page, moves: bool) -> None:
    """Random trees: the result equals the new HTML, same id is same node, what the reader did is kept."""
    if not moves:
        morph.evaluate("() => { delete Element.prototype.moveBefore; }")
    script = "([from, to]) => import('/fuzz.js').then(({ fuzz }) => fuzz(from, to))"
    for start in range(0, RUNS, 500):
        failure = morph.evaluate(script, [start, start + 500])
        assert failure == "", failure


def test_table(morph: Page) -> None:
    """A table of 500 rows is brought up to date well within the time of a few pictures of the screen."""
    assert morph.evaluate("() => import('/fuzz.js').then(({ table }) => table())") < 100
