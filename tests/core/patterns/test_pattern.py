"""Patterns of others: what `re` finds is found, and no name takes one for ever."""

import re
import threading
import time
import warnings

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.patterns import Pattern, TooSlowError, pattern

SLOW = r"(?P<name>(?:[a-z]|[a-z][a-z])+)[.]tif"
HOSTILE = "a" * 60 + "-.tif"

ATOMS = [
    *("a", "b", "A", "é", "e\u0301", "[.]", "/", "-", "_", ".", "[a-z]", "[^/]", "[^a]", "[]a]"),
    *(r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\b", "^", "$", r"\A", r"\Z", "(?a:\\d)"),
    *(r"[\w.-]", r"[^\w]", r"[\W-]", r"[^\W\d]", r"[\D_]", "[|&~-]", "{e}", "{", "[[:alpha:]"),
    *("(?!b)", "(?=a)", "(?<=a)", "(?<!/)", "(?i:a)", "(?-i:a)", "(?s:.)", "(?m:$)", "x{,2}"),
]
AROUND = [
    *("({})", "(?:{})*", "(?:{})+?", "(?:{}){{1,2}}", "(?:{})?", "(?>{})", "(?:{})*+"),
    *("(?P<n>{})(?P=n)", "({})?(?(1)a|b)"),
]
TEXTS = st.text([*"aAbB/._- \n09é{}[]:|&xe", "\u0301", "\x1c", "\xa0", "٣", "²"], max_size=10)


def larger(inner):
    """Return a strategy for patterns that consist of *inner* ones."""
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: f"(?:{'|'.join(each)})"),
        st.tuples(
            inner,
            st.sampled_from(AROUND),
        ).map(lambda drawn: drawn[1].format(drawn[0])),
    )


def told(match):
    return match and (match.span(), match.groups(), match.groupdict())


@patient
@given(st.recursive(st.sampled_from(ATOMS), larger, max_leaves=8), TEXTS, st.booleans())
def test_it_finds_what_re_finds(text, name, ignore_case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sets that may get another meaning
        try:
            wanted = re.compile(text, re.IGNORECASE if ignore_case else 0)
        except re.error:
            assume(False)  # noqa: FBT003
        found = Pattern(text, ignore_case)

    assert told(found.search(name)) == told(wanted.search(name))
    assert told(found.match(name)) == told(wanted.match(name))
    assert found.replaced(name, "_") == wanted.sub("_", name)
    assert found.groups == tuple(wanted.groupindex)


@pytest.mark.parametrize(
    "text", ["[^/]|[^a]", ".|[^a]", "[^/]|b|[^a]", "x[^/]|x[^a]", "[^/-/]|[^a-a]", r"(?a)\D|\S"]
)
@pytest.mark.parametrize("ignore_case", [False, True])
def test_one_complement_or_another_is_found_as_re_finds_it(text, ignore_case):
    wanted = re.compile(text, re.IGNORECASE if ignore_case else 0)

    for name in ("/", "a", "A", "b", "\n", "xa", "x/", "٣", "1", " "):
        assert told(Pattern(text, ignore_case).search(name)) == told(wanted.search(name)), name


def test_a_verbose_pattern_with_flags_and_comments_means_the_same():
    text = "(?xi) (?P<a> [a-z]+ )  # [ a comment \\w \n [.] TIF"

    assert Pattern(text).search("X/abc.tif").groupdict() == {"a": "abc"}


def test_a_name_that_takes_too_long_is_told_with_the_pattern():
    with pytest.raises(TooSlowError) as raised:
        Pattern(SLOW).search(HOSTILE)

    assert HOSTILE in raised.value.what
    assert SLOW in raised.value.why
    assert Pattern(SLOW).search("abc.tif")["name"] == "abc"  # other names go on


def test_each_use_of_a_pattern_has_the_limit(monkeypatch):
    monkeypatch.setattr(pattern, "LIMIT_S", 0.1)
    for use in (Pattern.search, Pattern.match, lambda each, name: each.replaced(name, "_")):
        with pytest.raises(TooSlowError):
            use(Pattern("(?:a|aa)+$"), f"{'a' * 60}b")


def test_other_threads_run_meanwhile():
    ticks, over = [], threading.Event()

    def tick():
        while not over.wait(0.01):
            ticks.append(time.monotonic())

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        with pytest.raises(TooSlowError):
            Pattern(f"(?:{SLOW})").search(HOSTILE)
    finally:
        over.set()
        ticking.join()

    assert len(ticks) > 10


def test_many_hostile_names_take_little_longer_than_one(monkeypatch):
    monkeypatch.setattr(pattern, "LIMIT_S", 0.2)
    slow, began_s = Pattern(f"{SLOW}{{1}}"), time.process_time()

    for number in range(50):
        for _ in range(2):  # the second time it is known
            with pytest.raises(TooSlowError):
                slow.search(f"{number}{HOSTILE}")

    assert time.process_time() - began_s < 5  # 10 without a lower limit for those after the first


@pytest.mark.parametrize(
    "text",
    ["(?:(?:(?:a{1000}){1000}){1000})", "(" * 90 + "a" + ")+" * 90, "a" * 10_000],
    ids=["counts", "nested", "long"],
)
def test_a_pattern_that_takes_too_long_to_compile_is_not_compiled(text):
    with pytest.raises(OverflowError):
        Pattern(text)


@pytest.mark.parametrize("text", ["(", "(?P<a>x)(?P<a>y)", r"\p{L}", "a**", "(?<=a+)b", "(?|a)"])
def test_what_re_does_not_know_is_no_pattern(text):
    with pytest.raises(re.error):
        Pattern(text)
