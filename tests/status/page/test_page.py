"""The page in the main states, from real journals, in real Chromium."""

import json
import os

import pytest

from deriva_watch.core.changes import MoveExecution, MoveFile
from deriva_watch.core.errors import TransientError
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from status.page import scenes
from status.page.looking import PHONE, browsing, level, looking, overflow, served, shoot, violations

IS_AWAY = TransientError(
    "the server data.example.org is away",
    "it refuses connections",
    "Nothing: uploads go on once it is back.",
)


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


CONTROLS = (
    "[...document.querySelectorAll('a[href], button:not(:disabled), input, select, summary')]"
    ".filter((e) => e.checkVisibility())"
)
HAS_A_RING = (
    "(e) => e === document.activeElement && e.matches(':focus-visible')"
    " && getComputedStyle(e).outlineStyle === 'solid'"
)


def empty(_journal, _clock):
    """Nothing was ever seen."""


# Scene, level, what its verdict says.
STATES = {
    "empty": (empty, "empty", "Nothing here yet"),
    "safe": (scenes.safe, "safe", "Everything is in the catalog"),
    "in-flight": (scenes.busy, "busy", "Uploading"),
    "needs-a-person": (scenes.person, "person", "Attention needed"),
    "server-away": (scenes.busy, "trouble", "Not working"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_told_in_words_and_everybody_can_use_it(tmp_path, browser, state):
    """No serious finding of axe, light or dark; nothing wider than a phone; a picture of each."""
    fill, name, words = STATES[state]
    with served(tmp_path, fill) as (url, problems):
        if name == "trouble":
            problems.put("data.example.org", IS_AWAY)
        with looking(browser, url) as page:
            level(page, name)
            assert page.get_by_role("status").inner_text() == words
            assert page.title().endswith(f"{words} · deriva-watch")
            shoot(page, state)
            shoot(page, f"{state}-window", whole=False)  # docs/status-page.png is in-flight-window
            assert violations(page) == []
            page.emulate_media(color_scheme="dark")
            page.set_viewport_size(PHONE)
            assert overflow(page) <= 0
            shoot(page, f"{state}-phone-dark")


def test_what_a_person_must_do_stands_there_and_its_command_can_be_copied(tmp_path, browser):
    """By keyboard alone."""
    rights = ["clipboard-read", "clipboard-write"]
    with (
        served(tmp_path, scenes.person) as (url, _),
        looking(browser, url, permissions=rights) as page,
    ):
        todo = page.get_by_role("region", name="To do").get_by_role("listitem")
        card = todo.filter(has_text="4-R0X").first
        assert "there is no row of demo:Subject with Name = 'S-9'" in card.inner_text()
        command = "deriva-watch retry 4-R0X"
        card.get_by_role("button", name=command).focus()
        page.keyboard.press("Enter")

        card.get_by_text("Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == command
        assert (
            "1 file matches no mapping and was not uploaded"
            in todo.filter(has_text="4-U7V2").first.inner_text()
        )


def test_every_control_is_reached_by_the_tabulator_and_seen(tmp_path, browser):
    with served(tmp_path, scenes.person) as (url, _), looking(browser, url) as page:
        for address, last in (("", "The last day"), ("#/execution/4-R0X", "History")):
            page.goto(url + address)
            page.get_by_role("heading", name=last).wait_for()
            page.evaluate("document.activeElement.blur()")
            wanted = len(page.evaluate(f"{CONTROLS}.map(() => 0)"))
            reached = set()
            for _ in range(wanted + 2):
                page.keyboard.press("Tab")
                reached.add(page.evaluate(f"{CONTROLS}.findIndex({HAS_A_RING})"))
            assert wanted > 15
            assert reached - {-1} == set(range(wanted))


def test_what_a_person_has_paused_is_told_with_how_it_goes_on(tmp_path, browser):
    """All of it, and one execution whose name a shell would take apart."""

    def fill(journal, clock):
        scenes.safe(journal, clock)
        hold = Hold(HoldKind.PAUSED, "ada", clock.now(), "the disk is moved")
        journal.pause(hold)
        number = journal.open_execution(scenes.SERVER, scenes.PREFIX, "run 7").id
        journal.hold(number, hold)

    with served(tmp_path, fill) as (url, _), looking(browser, url) as page:
        todo = page.get_by_role("region", name="To do")
        todo.get_by_text("All uploads of this host").wait_for()
        copies = todo.get_by_role("button")
        assert [each.get_attribute("data-copy") for each in copies.all()] == [
            "deriva-watch resume",
            "deriva-watch resume 'run 7'",
        ]
        assert "Paused by ada." in todo.inner_text()
        assert "The disk is moved." in todo.inner_text()
        shoot(page, "paused")
        assert violations(page) == []


def test_a_change_keeps_the_focus_and_what_is_open(tmp_path, browser):
    """Somebody reads while files go on."""
    held = {}

    def fill(journal, clock):
        scenes.person(journal, clock)
        held["journal"] = journal

    with served(tmp_path, fill) as (url, _), looking(browser, url) as page:
        examples = page.get_by_text("The refused files").nth(1)
        examples.click()
        scenes.finished(held["journal"], "4-NEW", scenes.images(2))
        page.get_by_role("link", name="Execution 4-NEW").wait_for()

        assert examples.evaluate("e => e.parentElement.open && e === document.activeElement")


def test_the_story_of_an_execution_answers_whether_it_is_safe_and_why(tmp_path, browser):
    with served(tmp_path, scenes.person) as (url, _), looking(browser, url) as page:
        find = page.get_by_label("Find an execution or a file")
        find.fill("4-R1")
        page.get_by_role("link", name="4-R0X").wait_for(state="detached")
        assert page.get_by_role("link", name="4-R1X").count() == 1
        find.fill("4-R1X")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Execution 4-R1X").wait_for()
        text = page.locator("#view").inner_text()
        assert "11 of its 12 files are in the catalog on data.example.org: 1 refused." in text
        assert "nobody writes, and nothing changed" in text
        assert violations(page) == []
        page.get_by_label("State").select_option("refused")
        page.locator(".table summary").click()
        assert "no row of demo:Subject" in page.locator(".table").inner_text()
        shoot(page, "story")
        page.set_viewport_size(PHONE)
        assert overflow(page) <= 0
        shoot(page, "story-phone")
        page.get_by_role("link", name="All executions").click()
        page.get_by_role("heading", name="To do").wait_for()


def test_a_file_is_found_by_a_part_of_its_name_in_whatever_execution_it_is(tmp_path, browser):
    with served(tmp_path, scenes.person) as (url, _), looking(browser, url) as page:
        find = page.get_by_label("Find an execution or a file")
        find.fill("field-0021")  # the overview does not list it
        page.get_by_text("Press Enter to search everything").wait_for()
        find.press("Enter")
        hit = page.locator(".hits li")
        assert "in the catalog" in hit.inner_text()
        shoot(page, "find")
        assert violations(page) == []
        hit.get_by_role("link").click()
        page.get_by_role("heading", name="Execution 4-J6K8").wait_for()
        find.fill("field-9999")
        find.press("Enter")
        page.get_by_text("No execution or file has that in its name").wait_for()


def test_an_execution_that_is_not_known_is_told_with_what_to_do(tmp_path, browser):
    with (
        served(tmp_path) as (url, _),
        looking(browser, f"{url}#/execution/9-%F0%9F", expected="404") as page,
    ):
        page.get_by_text("has no such execution").wait_for()
        assert "What to do: deriva-watch status" in page.locator("#view").text_content()


HOSTILE = {
    "<img src=x onerror=alert(1)>.tif": "<img src=x onerror=alert(1)>.tif",
    "two\nlines.tif": "two\\nlines.tif",
    "\u202egnp.exe": "\\u202egnp.exe",
    "\x1b[31mred": "\\x1b[31mred",
    "caf\udce9.tif": "caf\\udce9.tif",
    "`deriva-watch x`": "`deriva-watch x`",
    "x" * 255: "x" * 255,
    "__proto__": "__proto__",
}


def test_names_of_files_are_text_whatever_they_say(tmp_path, browser):
    """Nothing of them runs, breaks a line, turns the direction around or widens the page."""
    rid = "<b>&%2F"

    def fill(journal, _clock):
        execution, numbers = scenes.begin(journal, rid, [(name, 1) for name in HOSTILE])
        why = {"what": "cannot upload", "why": f"odd: {' '.join(HOSTILE)}", "next": "`<i>`"}
        journal.commit([MoveFile(n, FileTrigger.REFUSED, why) for n in numbers])
        journal.commit([MoveExecution(execution, ExecutionTrigger.REFUSED, why)])

    with (
        served(tmp_path, fill) as (url, _),
        looking(browser, url, viewport=PHONE) as page,
    ):
        page.get_by_role("link", name=f"Execution {rid}").click()
        page.locator(".table").wait_for()
        names = page.locator(".table bdi").all_text_contents()
        page.locator(".table summary").first.click()
        assert sorted(names) == sorted(HOSTILE.values())
        assert page.locator("bdi *, code *, img, i").count() == 0
        assert overflow(page) <= 0


def test_a_daemon_that_ends_is_not_shown_as_it_was(tmp_path, browser):
    with served(tmp_path, scenes.safe) as (url, _):
        opened = looking(browser, url)
        page = opened.__enter__()
        level(page, "safe")
    level(page, "lost")
    assert "The last contact was at" in page.locator("#sentence").inner_text()
    assert page.title() == "? Connection lost · deriva-watch"
    shoot(page, "connection-lost")
    assert violations(page) == []
    opened.__exit__(None, None, None)


def test_a_daemon_that_falls_silent_is_not_shown_as_it_was(tmp_path, browser):
    """Its connections stay open and nothing comes: no error tells the browser so."""
    with served(tmp_path, scenes.safe) as (url, _), looking(browser, url) as page:
        level(page, "safe")
        page.route("**/api/overview", lambda _route: None)  # asked, never answered
        page.clock.install()
        page.clock.run_for(30_000)
        level(page, "lost")
        page.unroute_all()
        page.clock.run_for(5_000)
        level(page, "safe")


@pytest.mark.skipif("SOAK" not in os.environ, reason="takes ten seconds")
def test_of_a_hundred_refusals_and_ten_thousand_files_some_are_shown_at_a_time(tmp_path, browser):
    def fill(journal, _clock):
        scenes.strangers(journal, 105)
        execution, numbers = scenes.begin(journal, "4-BIG", scenes.images(10_000))
        journal.commit([MoveFile(number, FileTrigger.FOREIGN) for number in numbers])
        journal.commit([MoveExecution(execution, ExecutionTrigger.FINISHED)])

    with served(tmp_path, fill) as (url, _), looking(browser, url) as page:
        assert page.locator(".todo > .card").count() == 10
        page.get_by_role("button", name="Show 90 more").click()
        page.get_by_text("5 more are not shown here").wait_for()
        assert page.locator(".todo > .card").count() == 100
        page.goto(f"{url}#/execution/4-BIG")
        page.get_by_text("All its 10,000 files are in the catalog").wait_for()
        assert page.locator(".table > li").count() == 100
        page.get_by_role("button", name="Next").click()
        page.get_by_text("Page 2 of 100").wait_for()
        page.get_by_label("Name, RID or MD5").fill("field-9876")
        page.get_by_text("Page 2 of 100").wait_for(state="detached")
        assert page.locator(".table > li").count() == 1


def test_its_parts_are_small_and_hold_nothing_of_others(tmp_path, browser):
    """All of it together, as it is sent."""
    sizes = {}
    with served(tmp_path) as (url, _), looking(browser, url) as page:
        page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
        page.reload()
        level(page, "empty")
    code = {url: size for url, size in sizes.items() if "api/" not in url and "stream" not in url}
    assert len(code) >= 8, json.dumps(code)
    assert sum(code.values()) < 55_000, json.dumps(code, indent=1)


def test_what_needs_attention_is_the_same_number_everywhere(tmp_path, browser):
    """One is refused, one has an unmatched file, one is both, one differs, one is cancelled."""

    def fill(journal, clock):
        scenes.person(journal, clock)
        number, files = scenes.begin(journal, "4-B0TH", scenes.images(2))
        journal.commit([MoveFile(files[0], FileTrigger.UNMATCHED, {"why": "nothing takes it"})])
        why = {"what": "1 of 2 files is refused", "why": "it is a pipe", "next": "Replace it."}
        journal.commit([MoveFile(files[1], FileTrigger.REFUSED, why)])
        journal.commit([MoveExecution(number, ExecutionTrigger.REFUSED, why)])
        scenes.refused(journal, "4-GONE", scenes.images(12))
        [last] = journal.executions(rid="4-GONE")
        journal.hold(last.id, Hold(HoldKind.CANCELLED, "ada", clock.now()))

    with served(tmp_path, fill) as (url, _), looking(browser, url) as page:
        level(page, "person")
        todo = page.get_by_role("region", name="To do")
        assert "5 executions need attention" in page.locator("#sentence").inner_text()
        assert page.locator(".figures").get_by_text("5 executions", exact=True).count() == 1
        assert todo.get_by_role("heading", name="To do 5").count() == 1
        assert todo.locator("li.card").count() == 5
        assert todo.get_by_text("Its object is gone.").count() == 1
