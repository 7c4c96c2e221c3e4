"""What a look at a directory saw, and when two looks saw the same."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import entry, observed, patient
from deriva_watch.core.completeness.observation import Entry, Kind, Observation

FILE = entry("assets/Image/a.png", 5)


def test_two_names_of_one_file_have_one_identity():
    link = entry("asset/a.png", 5, link=True, target="/data/a.png")

    assert link.identity == FILE.identity
    assert replace(FILE, device=2).identity != FILE.identity


@pytest.mark.parametrize("field", ["size_bytes", "mtime_ns", "inode"])
def test_a_change_of_the_content_moves_the_stamp_and_the_digest(field: str):
    changed = replace(FILE, **{field: getattr(FILE, field) + 1})

    assert changed.stamp != FILE.stamp
    assert observed(changed).digest() != observed(FILE).digest()


def test_a_mount_that_gets_another_device_number_moves_nothing():
    assert observed(replace(FILE, device=2)).digest() == observed(FILE).digest()


@pytest.mark.parametrize(
    "others",
    [
        [],
        [FILE, entry("b", 1)],
        [replace(FILE, path="assets/Image/b.png")],
        [replace(FILE, kind=Kind.UNUSABLE, problem="it is a named pipe")],
        [replace(FILE, path="assets/Image/a.png\n")],
    ],
)
def test_a_change_of_the_names_moves_the_digest(others: list[Entry]):
    assert observed(*others).digest() != observed(FILE).digest()


def test_the_digest_does_not_depend_on_when_and_where_it_was_looked():
    later = Observation("/mnt/x", {FILE.path: FILE}, datetime(2030, 1, 1, tzinfo=UTC), {})

    assert later.digest() == observed(FILE).digest()


@pytest.mark.parametrize(
    "facts", [{"size_bytes": 8}, {"mtime_ns": 1}, {"inode": 9}, {"path": "other.part"}]
)
def test_ignored_files_do_not_count(facts: dict[str, Any]):
    ignored = entry("a.part", kind=Kind.IGNORED)

    assert observed(FILE, ignored).digest() == observed(FILE).digest()
    assert observed(FILE, replace(ignored, **facts)).digest() == observed(FILE).digest()


def test_a_directory_that_cannot_be_read_counts():
    assert observed(FILE, secret="no access").digest() != observed(FILE).digest()
    assert observed(FILE, secret="no").digest() == observed(FILE, secret="other").digest()


_PATHS = st.text(
    st.sampled_from("ab/\n(,) 1\udcff") | st.characters(exclude_characters="\0", codec="utf-8"),
    min_size=1,
    max_size=30,
)
_ENTRIES = st.lists(
    st.builds(
        Entry,
        path=_PATHS,
        size_bytes=st.integers(0, 3),
        mtime_ns=st.integers(0, 3),
        device=st.just(1),
        inode=st.integers(0, 3),
        kind=st.sampled_from(Kind),
    ),
    max_size=4,
    unique_by=lambda one: one.path,
)
_LOOKS = st.tuples(_ENTRIES, st.dictionaries(_PATHS, st.just("no"), max_size=2))


@patient
@given(one=_LOOKS, other=_LOOKS)
def test_two_looks_have_one_digest_exactly_if_they_saw_the_same(
    one: tuple[list[Entry], dict[str, str]], other: tuple[list[Entry], dict[str, str]]
):
    def seen(look: tuple[list[Entry], dict[str, str]]) -> tuple[set[Any], set[str]]:
        counted = {(e.path, e.stamp, e.kind) for e in look[0] if e.kind is not Kind.IGNORED}
        return counted, set(look[1])

    def digest(look: tuple[list[Entry], dict[str, str]]) -> str:
        return observed(*look[0], **look[1]).digest()

    assert (digest(one) == digest(other)) is (seen(one) == seen(other))
    assert digest(one) == observed(*one[0][::-1], **one[1]).digest()


def test_a_folder_with_a_line_end_in_its_name_is_not_taken_for_two():
    together = Observation("/x", {}, datetime(2026, 1, 1, tzinfo=UTC), {"a\nunreadable b": ""})
    apart = replace(together, unreadable={"a": "", "b": ""})

    assert together.digest() != apart.digest()
