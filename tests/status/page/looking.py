"""A browser before the status page, and what must never be seen in it."""

import os
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.journal import Journal
from deriva_watch.settings.sections import Status
from deriva_watch.status.web.meter import Meter
from deriva_watch.status.web.serving import serving
from running import wait_until
from status.page.scenes import Past
from status.visiting import patient

CHROMIUM = "/usr/bin/chromium"
SHOTS = Path(__file__).parents[3] / "build" / "screenshots"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1100, "height": 800}
AWAY = "net::ERR_"  # what the browser itself says of a daemon that does not answer


@contextmanager
def browsing():
    """Run Debian's Chromium."""
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(folder, fill=lambda _journal, _clock: None):
    """Serve the page of a journal that *fill* has filled; yield its address and its problems."""
    folder.mkdir(exist_ok=True)
    events, clock = [], Past()
    url = f"sqlite:///{folder}/journal.db"
    problems = Problems(folder, events.append)
    with Journal.open(url, emit=lambda _: None, clock=clock) as journal:
        fill(journal, clock)
        where = Status(listen="127.0.0.1:0")
        with patient(), serving(where, journal, Meter(), events.append, problems):
            yield wait_until(lambda: [e.url for e in events if hasattr(e, "url")])[0], problems


@contextmanager
def looking(browser, url, expected=AWAY, **context):
    """Open the page; AssertionError at the end if it asked another host or broke a rule.

    *expected* is in what the browser may say.
    """
    opened = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce"} | context)
    page = opened.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(url)
        page.locator("body:not([data-level=asking])").wait_for()
        yield page
    finally:
        opened.close()
    own = urlsplit(url).netloc
    assert [url for url in asked if urlsplit(url).netloc not in {own, ""}] == []
    assert not (wrong := [text for text in said if expected not in text]), wrong


def level(page, name):
    """Wait until the verdict has that level."""
    page.locator(f"body[data-level={name}]").wait_for(timeout=20_000)


def shoot(page, name, *, whole=True):
    """Write a screenshot for a person to look at: of the whole page, or of the window."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)


def violations(page):
    """Return what axe finds serious or critical, as a person can read it, light and dark."""
    found = Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="dark")
    contrast = {"runOnly": ["color-contrast"]}  # the one rule to which colours matter
    found += page.evaluate("rules => axe.run(rules)", contrast)["violations"]
    page.emulate_media(color_scheme="light")
    return [
        f"{each['impact']} {each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
        if each["impact"] in {"serious", "critical"}
    ]


def overflow(page):
    """Return by how many pixels the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
