"""Where our engine differs from deriva-py's uploader because we decided so."""

import json

import pytest

from deriva_watch.core.errors import RefusedError, SettingsError
from oracle.case import DOCS, ONE, TWO, case
from oracle.specs import document, scan, spec, table
from running import Api, write_files

RAW = scan(
    hatrac_templates={
        "hatrac_uri": "/hatrac/Scan/{md5}.{file_name}",
        "content-disposition": "filename*=UTF-8''{file_name}",
    }
)  # as deriva-ml makes them: rows are found by content, name and metadata


def rows(outcome, table="lab:Scan"):
    """Return how many rows a table has."""
    return outcome.end.rows[table].total()


def test_the_same_file_with_other_metadata_is_another_asset(rivals):
    """deriva-py overwrites what the row said; the second rule of adoption."""
    tree = {"scans/S1/a.png": b"one", "scans/S2/a.png": b"one"}

    theirs, ours = rivals.both(case(spec(RAW), tree))

    assert theirs.brought == ours.brought == set(tree)
    assert rows(theirs) == 1
    assert rows(ours) == 2


def test_also_when_it_comes_later(rivals):
    case_ = case(spec(RAW), {"scans/S1/a.png": b"one"}, {"scans/S2/a.png": b"one"})

    theirs, ours = rivals.both(case_)

    assert theirs.brought == ours.brought == {"scans/S2/a.png"}
    assert (rows(theirs), rows(ours)) == (1, 2)


def test_a_file_that_can_have_no_row_is_not_sent(rivals):
    """deriva-py sends it first, and leaves an object that nothing refers to."""
    mapping = scan(
        file_pattern=r"/scans/(?P<subject>S\d)/(?P<c>[^/]+)/", columns={"Channel": "{c}"}
    )
    tree = {"scans/S1/7/a.png": b"1", "scans/S1/seven/b.png": b"2"}

    theirs, ours = rivals.both(case(spec(mapping), tree))

    assert theirs.brought == ours.brought == {"scans/S1/7/a.png"}
    assert theirs.end.rows == ours.end.rows
    assert len(theirs.end.objects) == 2
    assert len(ours.end.objects) == 1


def test_every_object_has_its_md5(rivals):
    """Hatrac keeps a SHA-256 and does not look at it: with that alone a hole would pass."""
    mapping = document(
        checksum_types=["sha256"],
        columns={"md5": "{sha256}"},
        hatrac_templates={"hatrac_uri": "/hatrac/docs/{sha256}"},
    )

    theirs, ours = rivals.both(case(spec(mapping), DOCS))

    assert not [v for each in theirs.end.objects.values() for v in each if "content-md5" in v]
    for versions in ours.end.objects.values():
        for version in versions:
            assert version.pop("content-md5")
    assert theirs.end == ours.end


@pytest.mark.parametrize(
    ("mapping", "wrong"),
    [
        (scan(columns={"Note": "of {nobody}"}), "nothing provides 'nobody'"),
        (scan(columns={"Nope": "{subject}"}), "no column 'Nope'"),
        (scan(target_table=["lab", "Nope"]), "there is no table lab:Nope"),
        (scan(unknown="x"), "unknown key"),
        (
            scan(
                pre_processors=[
                    {
                        "processor": "FileRenameProcessor",
                        "processor_params": {
                            "replacement": "{base_path}/b.png",
                            "rename_physical_file": True,
                        },
                    }
                ]
            ),
            "deriva-watch changes nothing where the data is",
        ),
        (
            scan(
                pre_processors=[
                    {
                        "processor": "MetadataProcessor",
                        "processor_params": {"input_file": "/etc/hostname.json"},
                    }
                ]
            ),
            "not listed in [spec] allowed_processors",
        ),
    ],
)
def test_a_spec_is_checked_before_anything_is_done(rivals, mapping, wrong):
    """deriva-py finds out file by file, or writes the template's own text into the catalog."""
    with pytest.raises((RefusedError, SettingsError)) as caught:
        rivals.both(case(spec(mapping), ONE))

    assert wrong in caught.value.why


def test_deriva_py_writes_the_text_of_a_template_that_names_nothing(rivals):
    folder = rivals.folder()
    ready, root, file = rivals.server(folder), write_files(folder / "tree", ONE), folder / "s.json"
    file.write_text(json.dumps(spec(scan(columns={"Note": "of {nobody}"}))))

    assert rivals.theirs(ready, root, file).brought == set(ONE)
    (row,) = Api(ready).rows("lab:Scan")
    assert row["Note"] == "of {nobody}"


def test_nothing_matched_is_no_success(rivals):
    theirs, ours = rivals.both(case(spec(document()), TWO))

    assert theirs.detail["raised"] is None
    assert ours.detail["record"].state == "refused"
    assert theirs.passed_over == ours.passed_over == set(TWO)


def test_files_that_are_still_being_written_are_left_alone(rivals):
    files = {"scans/S1/a.png": b"one", "scans/S1/b.png.part": b"half", "scans/S1/.DS_Store": b"x"}
    ignored = {"files": {"ignore": ["*.part", ".DS_Store"]}}

    theirs, ours = rivals.both(case(spec(scan()), files, sections=ignored))

    assert theirs.brought == set(files)
    assert ours.brought == {"scans/S1/a.png"}


def test_what_rows_do_not_say_takes_its_default(rivals):
    """For deriva-py it is NULL in JSON, and an error in CSV, unless default_columns lists it."""
    lacking = {
        "records/lab/Reading.json": b'[{"Name": "a", "Value": 1}]',
        "records/lab/Reading.csv": b"Name,Value,Subject\nb,2,S1\n",
    }

    theirs, ours = rivals.both(case(spec(table()), lacking))

    assert theirs.brought == {"records/lab/Reading.json"}
    assert units(theirs) == [("a", None)]
    assert ours.brought == set(lacking)
    assert units(ours) == [("a", "mm"), ("b", "mm")]


def units(outcome):
    told = map(json.loads, outcome.end.rows["lab:Reading"])
    return sorted((row["Name"], row["Unit"]) for row in told)


def test_one_content_under_two_names_has_two_versions(rivals):
    """Where the name of the object says the content alone, a URL could not be in both rows."""
    templates = {"hatrac_uri": "/hatrac/Scan/{md5}"}
    tree = {"scans/S1/a.png": b"same", "scans/S1/b.png": b"same"}

    theirs, ours = rivals.both(case(spec(scan(hatrac_templates=templates)), tree))

    assert sorted(theirs.states.values()) == ["Failed", "Success"]
    assert ours.brought == set(tree)
    assert rows(ours) == 2
