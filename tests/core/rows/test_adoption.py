"""Which row of the catalog is the row of a file, and which key a row has of itself."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.given import IMAGE, MODEL, asset_table, patient
from deriva_watch.core.model import TableName
from deriva_watch.core.rows.adoption import Adoption, adopt, natural_key, rid_order

TABLE = asset_table(Colour="text", Size="int4")


def row(rid: str, colour: str | None = None, size: int | None = None) -> dict[str, Any]:
    return {"RID": rid, "Colour": colour, "Size": size, "Description": "any", "URL": f"/h/{rid}"}


@pytest.mark.parametrize(
    ("values", "candidates", "chosen", "among"),
    [
        # Nothing to take.
        ({"Colour": "red"}, [], None, 0),
        # All equal.
        ({"Colour": "red", "Size": 1}, [row("1-A", "red", 1)], "1-A", 1),
        ({"Colour": None, "Size": None}, [row("1-A")], "1-A", 1),
        ({"Size": "1"}, [row("1-A", None, 1)], "1-A", 1),
        # A given value differs: another asset.
        ({"Colour": "red"}, [row("1-A", "blue")], None, 0),
        ({"Colour": "red", "Size": 1}, [row("1-A", "red", 2)], None, 0),
        ({"Colour": "red", "Size": None}, [row("1-A", "blue", 1)], None, 0),
        # NULL is no statement, on either side.
        ({"Colour": "red"}, [row("1-A")], "1-A", 1),
        ({"Colour": None}, [row("1-A", "red")], "1-A", 1),
        ({"Colour": "red", "Size": None}, [row("1-A", None, 1)], "1-A", 1),
        # ... but a row that says the same fits better.
        ({"Colour": "red"}, [row("1-A"), row("1-B", "red")], "1-B", 1),
        ({"Colour": "red", "Size": 1}, [row("1-A", "red"), row("1-B", "red", 1)], "1-B", 1),
        ({"Colour": "red"}, [row("1-A", "blue"), row("1-B")], "1-B", 1),
        # Several do: the oldest, and it is said how many.
        ({"Colour": "red"}, [row("1-B", "red"), row("1-A", "red")], "1-A", 2),
        ({}, [row("1-ZZ"), row("2-A"), row("10-A")], "2-A", 3),
        # Description never decides.
        ({"Colour": "red"}, [row("1-A", "red") | {"Description": None}], "1-A", 1),
    ],
)
def test_a_row_is_taken_if_it_says_nothing_else_and_most_of_the_same(
    values: dict[str, Any], candidates: list[dict[str, Any]], chosen: str | None, among: int
):
    assert _taken(adopt(TABLE, values, candidates)) == (chosen and (chosen, among))


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([row("1-A", "red"), row("1-G")], "1-G"),  # before one that fits better
        ([row("1-A", "red"), row("1-G", "blue")], "1-A"),  # but only if it fits
        ([row("1-G", "blue")], None),
        ([row("1-A")], "1-A"),  # it is not there
    ],
)
def test_the_row_with_the_given_rid_goes_before_the_others(
    candidates: list[dict[str, Any]], chosen: str | None
):
    taken = adopt(TABLE, {"Colour": "red"}, candidates, given_rid="1-G")

    assert _taken(taken) == (chosen and (chosen, 1))


@pytest.mark.parametrize(
    ("values", "candidate", "fits"),
    [
        ({"Colour": "red", "Size": 1}, row("1-A", "red", 1), True),
        ({"Colour": "red", "Size": None}, row("1-A", "red"), True),
        ({"Colour": "red", "Size": 1}, row("1-A", "red"), False),
        ({"Colour": "red", "Size": None}, row("1-A", "red", 1), False),
        ({"Colour": None, "Size": 1}, row("1-A", "red"), False),
        ({"Colour": None, "Size": None}, row("1-A"), True),
    ],
)
def test_a_row_that_another_file_of_ours_stands_for_is_shared_only_between_equals(
    values: dict[str, Any], candidate: dict[str, Any], fits: bool
):
    held = adopt(TABLE, values, [candidate], held=lambda _: True)
    free = adopt(TABLE, values, [candidate], held=lambda rid: rid != "1-A")

    assert (held is not None) is fits
    assert free is not None


_VALUES = st.fixed_dictionaries(
    {"Colour": st.sampled_from([None, "red", "blue"]), "Size": st.sampled_from([None, 1, 2])}
)
_ROWS = st.lists(
    st.builds(lambda values, rid: {"RID": f"1-{rid}", **values}, _VALUES, st.integers(0, 99)),
    max_size=6,
    unique_by=lambda one: one["RID"],
)


@patient
@given(
    values=_VALUES,
    rows=_ROWS,
    data=st.data(),
    given_rid=st.none() | st.integers(0, 99).map("1-{}".format),
    held=st.frozensets(st.integers(0, 99).map("1-{}".format)),
)
def test_the_order_of_candidates_does_not_matter(
    values: Mapping[str, Any],
    rows: list[dict[str, Any]],
    data: st.DataObject,
    given_rid: str | None,
    held: frozenset[str],
):
    orders = rows, data.draw(st.permutations(rows))

    one, other = (adopt(TABLE, values, o, given_rid, lambda rid: rid in held) for o in orders)

    assert one == other


@patient
@given(values=_VALUES, rows=_ROWS)
def test_what_is_taken_never_contradicts_the_file_and_is_never_missed(
    values: Mapping[str, Any], rows: list[dict[str, Any]]
):
    fitting = [
        one
        for one in rows
        if all(None in {value, one[name]} or value == one[name] for name, value in values.items())
    ]

    taken = adopt(TABLE, values, rows)

    assert (taken is not None) is bool(fitting)
    assert taken is None or taken.row in fitting


def _taken(adoption: Adoption | None) -> tuple[str, int] | None:
    return adoption and (adoption.row["RID"], len(adoption.rids))


# ---------------------------------------------------------------- age of a RID


def test_older_rids_come_first():
    rids = ["1-ZZZ", "1-A", "2-A", "ZZ", "1-AA", "9"]

    assert sorted(rids, key=rid_order) == ["9", "ZZ", "1-A", "2-A", "1-AA", "1-ZZZ"]


# ---------------------------------------------------------------- natural keys


@pytest.mark.parametrize(
    ("table", "values", "key"),
    [
        (IMAGE, {"URL": "/h/1", "Subject": "4T6"}, {"URL"}),
        (IMAGE, {"Subject": "4T6"}, None),
        (IMAGE, {"URL": None}, None),
        # The key (RID) is filled by the system even where somebody gives it.
        (IMAGE, {"RID": "4-XY"}, None),
        (TableName("demo", "Image_Execution"), {"Image": "1", "Execution": "2"}, "pair"),
        (TableName("demo", "Image_Execution"), {"Image": "1", "Execution": None}, None),
        (TableName("demo", "Image_Execution"), {"Image": "1"}, None),
        (TableName("deriva-ml", "Asset_Type"), {"Name": "Image"}, {"Name"}),
        # A default counts only where nothing is given.
        (TableName("deriva-ml", "Asset_Type"), {"ID": "x:1"}, {"ID"}),
    ],
)
def test_a_natural_key_is_one_that_the_row_itself_gives(
    table: TableName, values: dict[str, Any], key: set[str] | str | None
):
    expected = {"Image", "Execution"} if key == "pair" else key

    found = natural_key(MODEL.name_to_table(table), values)

    assert found == (None if expected is None else frozenset(expected))


@patient
@given(present=st.frozensets(st.sampled_from(sorted(TABLE.column))))
def test_a_row_with_its_url_always_has_a_key(present: frozenset[str]):
    assume("URL" in present)

    assert natural_key(TABLE, dict.fromkeys(present, "x")) == frozenset({"URL"})
