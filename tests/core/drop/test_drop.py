"""Drop folders: compiled to a mapping of a bulk spec, and planned by it."""

from pathlib import Path
from typing import Any, Final

import pytest

from core.given import (
    IMAGE,
    MODEL,
    asset_table,
    entry,
    model_of,
    observed,
    only_asset,
    only_leftover,
)
from deriva_watch.core.completeness.observation import Entry, Kind
from deriva_watch.core.drop.drop_folder import Drop, Lookup
from deriva_watch.core.drop.drop_spec import CompiledDrop, compile_drop
from deriva_watch.core.drop.drop_values import Answer, Dropped, questions
from deriva_watch.core.errors import UnusableSpecError
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import CatalogModel, Column, ForeignKey, Schema, Table, TableName
from deriva_watch.core.plan.plan import Plan, make_plan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.states import FileTrigger

TERMS: Final = frozenset({"Scan", "Thumb Nail"})
BY_NAME: Final = {"Subject": Lookup("Subject", "RID", "{who}")}
SCANS: Final = r"(?P<who>\w+)/(?P<Session>\d+)/[^/]+[.]dcm"
THING: Final = asset_table(Session="int4", Label="text", Day="date")


def linking(target: str) -> Table:
    """Return a table that links things to rows of *target*."""
    keys = tuple(
        ForeignKey((name.table,), name, ("RID",))
        for name in (THING.full_name, TableName("deriva-ml", target))
    )
    columns = tuple(
        Column(key.columns[0], "text", nullable=False, has_default=False) for key in keys
    )
    pair = frozenset(column.name for column in columns)
    return Table(Schema("lab"), f"Thing_{target}", columns, (pair,), keys)


LINKS: Final = (linking("Execution"), linking("Asset_Type"))
MODEL_WITH_THING: Final = model_of(THING, *LINKS, *MODEL.tables.values())


def a_drop(**changes: Any) -> Drop:
    """Return a drop folder of `lab:Thing`."""
    said: dict[str, Any] = {
        "path": Path("/drop"),
        "table": "Thing",
        "pattern": SCANS,
        "columns": {"Label": "{who}-{Session}"},
        "lookup": {},
        "asset_types": (),
        "unit": "batch",
        "batch_s": 300,
        "workflow": None,
        "description": None,
        "markers": ("done",),
        "quiet_s": 30,
        "after": "keep",
        "after_delay_s": 86400,
    }
    return Drop(**said | changes)


def images(**changes: Any) -> Drop:
    """Return a drop folder of `demo:Image`, whose Subject is looked up."""
    said: dict[str, Any] = {"table": "Image", "pattern": r"(?P<who>\w+)/.+", "columns": {}}
    return a_drop(**said | {"lookup": BY_NAME} | changes)


def compiled(drop: Drop, model: CatalogModel = MODEL_WITH_THING) -> CompiledDrop:
    """Return a drop folder compiled."""
    return compile_drop(drop, model, TERMS)


def planned(
    drop: Drop,
    *files: str | Entry,
    root: str = "/drop",
    answers: dict[str, dict[str, Answer]] | None = None,
) -> Plan:
    """Return the plan for these files of a unit."""
    done = compiled(drop)
    seen = observed(*(f if isinstance(f, Entry) else entry(f) for f in files), root=root)
    rules = Rules(
        MODEL_WITH_THING,
        done.spec,
        None,
        TERMS,
        frozenset(drop.markers),
        drop=Dropped(done, answers or {}),
    )
    return make_plan(seen, Sources(), rules)


def refusal(drop: Drop, model: CatalogModel = MODEL_WITH_THING) -> str:
    """Return why a drop folder cannot be used; the sentence names it and says what to do."""
    with pytest.raises(UnusableSpecError) as raised:
        compiled(drop, model)
    assert raised.value.what == "the drop folder /drop cannot be used"
    assert "[[drop]]" in raised.value.next
    return raised.value.why


# ------------------------------------------------------------------- what is compiled


def test_it_is_an_ordinary_mapping_that_finds_rows_by_content():
    done = compiled(images(columns={"Acquisition_Date": "2026-01-02"}))

    (mapping,) = done.spec.mappings
    assert mapping.by_content
    assert Spec(done.spec.document).mappings == done.spec.mappings
    assert done.table.full_name == IMAGE


def test_the_whole_path_below_the_folder_must_fit():
    pattern = compiled(a_drop()).spec

    assert pattern.match("/drop/ann/1/a.dcm")
    assert not pattern.match("/drop/ann/1/a.dcm.bak")
    assert not pattern.match("/drop/x/ann/1/a.dcm")
    assert not pattern.match("/elsewhere/drop/ann/1/a.dcm")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (r"(?i)(?P<Label>\w+)[.]DCM", "a.dcm"),
        (r"(?x) (?P<Label>\w+) [.]dcm  # scans", "a.dcm"),
        (r"(?P<Label>a)|b(?P<Session>\d)", "b1"),
        (r"(?P<Label>\w)\1[.]dcm", "aa.dcm"),
        ("(?P<Label>.+)[.]dcm$", "a.dcm"),
    ],
)
def test_a_pattern_keeps_its_meaning(pattern: str, path: str):
    drop = a_drop(pattern=pattern, columns={"Day": "2026-01-02"}, path=Path("/a+b (c)"))

    assert compiled(drop).spec.match(f"/a+b (c)/{path}")
    assert not compiled(drop).spec.match(f"/a+b (c)/{path}x")


def test_a_directory_that_is_a_unit_is_part_of_the_path():
    drop = a_drop(unit="directory")

    asset = only_asset(planned(drop, "7/a.dcm", root="/drop/ann"))

    assert asset.values["Label"] == "ann-7"


# ------------------------------------------------------------------- what cannot be used


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"table": "Thin"}, "table: there is no table to call 'Thin'"),
        ({"table": "Thin"}, "did you mean 'Thing'?"),
        ({"table": "Subject"}, "table: demo:Subject is not an asset table; the asset tables are:"),
        ({"columns": {"Lable": "x"}}, "columns.Lable: lab:Thing has no metadata column 'Lable'"),
        ({"columns": {"Lable": "x"}}, "did you mean 'Label'?"),
        ({"columns": {"MD5": "x"}}, "columns.MD5: the upload fills it itself"),
        ({"columns": {}}, "pattern: its group 'who' fills nothing"),
        (
            {"columns": {"Session": 1, "Label": "{who}"}},
            "pattern: its group 'Session' fills nothing",
        ),
        (
            {"columns": {"Label": "{who}", "Day": "tomorrow"}},
            "columns.Day: 'tomorrow' is not a valid date",
        ),
        ({"asset_types": ("Scan", "Scna")}, "asset_types: 'Scna' is not an asset type"),
        (
            {"lookup": {"Day": Lookup("Subjekt", "RID", "{who}")}},
            "lookup.Day: there is no table to call 'Subjekt'",
        ),
        (
            {"lookup": {"Day": Lookup("Subject", "Nam", "{who}")}},
            "lookup.Day: demo:Subject has no column 'Nam'",
        ),
        (
            {"lookup": {"Day": Lookup(query="/entity/demo:Nowhere/A={who}")}},
            "lookup.Day: query: there is no table demo:Nowhere",
        ),
        (
            {"lookup": {"Day": Lookup(query="/attribute/demo:Subject/RID={who}/RCT")}},
            "lookup.Day: query: it answers without the column RID",
        ),
        (
            {"lookup": {"Description": Lookup("Subject", "RID", "{who}")}},
            "lookup.Description: lab:Thing has no metadata column",
        ),
    ],
)
def test_what_the_catalog_does_not_have_is_named_with_its_key(changes: dict[str, Any], why: str):
    assert why in refusal(a_drop(**changes))


def test_all_that_is_wrong_is_said_at_once():
    why = refusal(a_drop(columns={"Lable": "{who}", "Day": "x"}, asset_types=("X",)))

    assert [part in why for part in ("columns.Lable", "columns.Day", "asset_types")] == [True] * 3


def test_a_column_that_must_have_a_value_and_gets_none_is_named():
    why = refusal(images(lookup={}, pattern="(?P<Observation>.+)"))

    assert "demo:Image must have a value of 'Subject': say it with columns.Subject or" in why


def test_a_table_whose_files_cannot_be_linked_as_it_is_said_is_named():
    unlinked = model_of(THING, *MODEL.tables.values())

    why = refusal(a_drop(asset_types=("Scan",)), unlinked)

    assert 'unit: no table links lab:Thing to Execution; set it to "none", or add one' in why
    assert "asset_types: no table links lab:Thing to Asset_Type; take them out, or add" in why
    assert compiled(a_drop(unit="none"), unlinked)


def test_a_look_up_in_a_table_that_the_column_does_not_refer_to_is_named():
    why = refusal(images(lookup={"Subject": Lookup("Observation", "RID", "{who}")}))

    assert "Subject refers to rows of demo:Subject, not of demo:Observation" in why


# ------------------------------------------------------------------- what files become


def test_groups_templates_and_constants_fill_the_columns_by_their_types():
    drop = a_drop(
        columns={"Label": "{who}-{Session} {{x}}", "Day": "2026-01-02", "Description": "of {who}"},
        asset_types=("Scan",),
    )

    asset = only_asset(planned(drop, "ann/007/a.dcm"))

    assert asset.values == {"Session": 7, "Label": "ann-007 {x}", "Day": "2026-01-02"}
    assert (asset.types, asset.description) == (("Scan",), "of ann")
    assert (asset.table, asset.given_rid) == (THING.full_name, None)


def test_a_group_that_took_no_part_is_null():
    drop = a_drop(pattern=r"(?P<who>\w+)(?:_(?P<Session>\d+))?[.]dcm")

    asset = only_asset(planned(drop, "ann.dcm"))

    assert asset.values == {"Session": None, "Label": None, "Day": None}


def test_a_group_that_took_no_part_refuses_the_file_where_the_column_must_have_a_value():
    drop = images(pattern=r"(?:(?P<who>\w+)/)?[^/]+")

    assert "column Subject must have a value" in only_leftover(planned(drop, "a.png")).why


def test_a_value_that_its_column_cannot_have_refuses_the_file_and_no_other():
    drop = a_drop(pattern=r"(?P<Session>\w+)[.]dcm", columns={})

    plan = planned(drop, "1.dcm", "x.dcm")

    assert [asset.path for asset in plan.assets] == ["1.dcm"]
    assert "'x' is not a valid int4 for column Session" in plan.leftovers[0].why


def test_a_path_is_taken_to_the_letter():
    drop = a_drop(pattern="(?P<Label>[^/]+)/.*", columns={})

    labels = [a.values["Label"] for a in planned(drop, "%41/a", "__NULL__/a").assets]

    assert labels == ["%41", "__NULL__"]


def test_a_folder_that_is_called_like_an_uploaders_is_data():
    drop = a_drop(pattern="(?P<Label>[^/]+)/.*", columns={})

    asset = only_asset(planned(drop, "upload-staging/a"))

    assert asset.values["Label"] == "upload-staging"


def test_markers_are_no_data_and_hidden_and_ignored_files_are_as_everywhere():
    drop = a_drop(pattern="(?P<Label>[^/]+)", columns={})

    plan = planned(drop, "done", ".hidden", entry("a.tmp", kind=Kind.IGNORED))

    assert [asset.path for asset in plan.assets] == [".hidden"]
    assert [(left.path, left.trigger) for left in plan.leftovers] == [("a.tmp", "ignored")]


# ------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("ann/x/a.dcm", r"its path does not match the pattern of the drop folder: after 'ann/', "),
        ("ann/x/a.dcm", r"(?P<Session>\d+)/[^/]+[.]dcm is expected"),
        ("ann/7/a.png", r"of the drop folder: after 'ann/7/a.', "),
        ("a b/7/a.dcm", r"of the drop folder: after 'a', "),
        (".x", r"of the drop folder: at its start, "),
        ("ann/7/a.dcm.bak", r"of the drop folder: after 'ann/7/a.dcm', "),
        ("ann/7/a.dcm.bak", "nothing more is expected"),
    ],
)
def test_a_file_that_does_not_fit_is_told_how_far_it_fits(path: str, why: str):
    left = only_leftover(planned(a_drop(), path))

    assert left.trigger == "unmatched"
    assert why in left.why


def test_the_nearest_miss_looks_into_groups():
    drop = a_drop(pattern=r"(?:scan|image)_(?P<Label>\d+-\d+)[.]dcm", columns={})

    assert (
        "of the drop folder: after 'scan_12-', "
        in only_leftover(planned(drop, "scan_12-x.dcm")).why
    )


# ------------------------------------------------------------------- look-ups


def test_each_value_is_asked_for_once_and_only_where_a_file_needs_it():
    seen = observed(
        entry("ann/a"), entry("ann/b"), entry("bob/a"), entry("nothing"),
        entry("eve/a", kind=Kind.IGNORED), root="/drop",
    )  # fmt: skip

    assert questions(seen, compiled(images())) == {"Subject": {"ann", "bob"}}
    assert questions(seen, compiled(a_drop())) == {}


def test_a_name_that_is_no_text_is_asked_for_nowhere_and_refused():
    drop = images(pattern="(?P<who>[^/]+)/.+")
    odd = "b\udcfft/a"

    assert questions(observed(entry(odd), root="/drop"), compiled(drop)) == {}
    assert "not UTF-8" in only_leftover(planned(drop, odd)).why


def test_a_query_is_asked_with_the_pieces_quoted():
    query = {"Subject": Lookup(query="/entity/demo:Subject/RID={who}")}
    drop = images(lookup=query, pattern="(?P<who>[^/]+)/.+")

    asked = questions(observed(entry("a b&c/1"), root="/drop"), compiled(drop))

    assert asked == {"Subject": {"/entity/demo:Subject/RID=a%20b%26c"}}


def test_the_one_row_that_was_found_is_referred_to():
    answers = {"Subject": {"ann": Answer(("4T6",))}}

    asset = only_asset(planned(images(), "ann/a.png", answers=answers))

    assert asset.values["Subject"] == "4T6"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(), "there is no row of demo:Subject with RID = 'ann'"),
        (Answer(("1-A", "1-B")), "there are 2 rows of demo:Subject with RID = 'ann': 1-A, 1-B"),
        (Answer(problem="the server says no"), "the server says no"),
    ],
)
def test_none_or_several_rows_refuse_the_file_with_the_value_and_no_other(answer: Answer, why: str):
    answers = {"Subject": {"ann": answer, "bob": Answer(("4T6",))}}

    plan = planned(images(), "ann/a.png", "bob/a.png", answers=answers)

    assert [asset.path for asset in plan.assets] == ["bob/a.png"]
    (left,) = plan.leftovers
    assert why in left.why
    assert "deriva-watch retry RID" in left.next


def test_what_is_looked_up_is_what_the_column_refers_to():
    """A foreign key need not refer to the RID: a vocabulary's term is referred to by its name."""
    scanner = Table(
        Schema("lab"),
        "Scanner",
        tuple(Column(c, "text", nullable=False, has_default=False) for c in ("RID", "ID", "Name")),
        (),
        (),
    )
    things = asset_table(Scanner="text")
    key = ForeignKey(("Scanner",), scanner.full_name, ("Name",))
    thing = Table(things.schema, things.name, things.columns, things.keys, (key,))
    lookup = {"Scanner": Lookup("Scanner", "ID", "{who}")}
    drop = a_drop(pattern="(?P<who>.+)", columns={}, lookup=lookup, unit="none")

    found = compiled(drop, model_of(thing, scanner)).searches["Scanner"]

    assert (found.table, found.returns) == (scanner.full_name, "Name")


# ------------------------------------------------------------------- patterns that take long

SLOW: Final = r"(?P<who>(?:[a-z]|[a-z][a-z])+)/.+[.]png"
HOSTILE: Final = f"{'a' * 60}-/1.png"


def test_a_file_whose_name_takes_too_long_is_refused_alone():
    drop = a_drop(pattern=SLOW, columns={"Label": "{who}"})

    plan = planned(drop, HOSTILE, "ann/1.png")

    assert [asset.path for asset in plan.assets] == ["ann/1.png"]
    (left,) = plan.leftovers
    assert left.trigger is FileTrigger.REFUSED
    assert HOSTILE in left.why
    assert f"the pattern {SLOW} takes too long" in left.why


def test_a_name_that_takes_too_long_asks_no_question():
    seen = observed(entry(HOSTILE), entry("ann/1.png"), root="/drop")

    assert questions(seen, compiled(images(pattern=SLOW))) == {"Subject": {"ann"}}
