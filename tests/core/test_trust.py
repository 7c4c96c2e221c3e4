"""Whose statements count for whose data."""

from datetime import UTC, datetime

import pytest

from deriva_watch.core.completeness.observation import Entry, Observation
from deriva_watch.core.trust import OVERFLOW, disbelieved, objection

ALICE, BOB, SHARED, ROOT = 1001, 1002, 1003, 0
MARKERS = (".complete",)
TYPES = "asset-type/deriva-ml/Execution_Asset.jsonl"
SAYING = ["asset-manifest.json", TYPES, "asset/demo/Image/.columns.json", ".complete"]


def seen(owner: int | None, owners: dict[str, int], paths: list[str] = SAYING) -> Observation:
    entries = {path: Entry(path, 1, 1, 1, 1) for path in [*paths, "data.bin"]}
    return Observation("/r", entries, datetime.now(UTC), {}, owner=owner, owners=owners)


@pytest.mark.parametrize(
    ("by", "of", "counts"),
    [
        (ALICE, ALICE, True),
        (ROOT, ALICE, True),
        (SHARED, ALICE, True),
        (BOB, ALICE, False),
        (ALICE, ROOT, False),
        (ROOT, ROOT, True),
        (OVERFLOW, ALICE, False),
        (ALICE, OVERFLOW, False),
        (OVERFLOW, OVERFLOW, False),
        (ROOT, None, True),
        (ALICE, None, False),
    ],
)
def test_a_statement_counts_for_data_of_the_same_owner_or_if_root_made_it(by, of, counts):
    assert (objection(by, of, {SHARED}) is None) == counts


def test_an_account_that_is_trusted_by_name_counts_even_if_it_is_nobodys():
    assert objection(OVERFLOW, ALICE, {OVERFLOW}) is None


def test_an_objection_says_who_owns_what():
    assert objection(BOB, ALICE) == (
        "it does not count: user 1002 owns it, and user 1001 the folder that it is about"
    )
    assert objection(OVERFLOW, OVERFLOW) == (
        "it does not count: its owner, user 65534, may be any user unknown to this host"
    )


@pytest.mark.parametrize("path", SAYING)
def test_what_another_user_says_in_an_execution_does_not_count(path):
    owners = {path: BOB, "data.bin": BOB}

    assert list(disbelieved(seen(ALICE, owners), MARKERS, (), is_ml=True)) == [path]
    assert disbelieved(seen(ALICE, owners), MARKERS, {BOB}, is_ml=True) == {}
    assert disbelieved(seen(ALICE, {path: ROOT}), MARKERS, (), is_ml=True) == {}


def test_in_a_directory_of_a_drop_folder_only_markers_say_something():
    owners = dict.fromkeys(SAYING, BOB)

    assert list(disbelieved(seen(ALICE, owners), MARKERS, (), is_ml=False)) == [".complete"]


def test_in_a_directory_of_nobody_only_what_root_says_counts():
    said = disbelieved(seen(OVERFLOW, {TYPES: ROOT}), MARKERS, (), is_ml=True)

    assert sorted(said) == sorted(set(SAYING) - {TYPES})


def test_a_file_that_begins_to_count_is_a_change_of_its_directory():
    one = seen(ALICE, {})

    assert (
        one.digest()
        != Observation(
            one.root, one.entries, one.looked_at, {}, owner=ALICE, disbelieved={TYPES: "why"}
        ).digest()
    )
