"""What deriva-py's uploader gets wrong and ours does not: the only cases where the two may differ.

Each shows both: what deriva-py does, so that we hear of it when it is mended, and what we do.
`test_choices` has the differences that are decisions of ours.
"""

import hashlib
import json

import pytest

from deriva_watch.core.errors import CredentialError
from oracle.case import DOCS, TWO, case
from oracle.end_state import differences, end_state
from oracle.specs import document, scan, spec, table
from running import Api, requests_seen, write_files

CHUNKED = spec(scan(hatrac_options={"chunk_size": 1000}))
LARGE = bytes(range(250)) * 16  # four chunks
ONE_LARGE = {"scans/S1/a.bin": LARGE}
BORDER = {"border": 2000}  # deriva-py sends chunks above it; see `witness`


@pytest.fixture
def tree(rivals):
    """A function that writes files to a folder of their own and returns the folder."""
    return lambda files: write_files(rivals.folder() / "tree", files)


@pytest.fixture
def written(rivals):
    """A function that writes a spec to a file of its own and returns the file."""

    def write(document):
        file = rivals.folder() / "spec.json"
        file.write_text(json.dumps(document))
        return file

    return write


@pytest.fixture
def struck(rivals):
    """A function that starts a server with faults."""

    def start(*faults):
        folder = rivals.folder()
        file = folder / "faults.json"
        file.write_text(json.dumps(faults))
        return rivals.server(folder, faults=file)

    return start


def contents(outcome):
    """Return what the objects hold, by digest, without their names."""
    return sorted(v["sha256"] for versions in outcome.end.objects.values() for v in versions)


def whole(ready):
    """Return what all versions of all objects hold."""
    api = Api(ready)
    return [api.content(url) for versions in api.versions().values() for url in versions]


def digests(*contents):
    return sorted(hashlib.sha256(content).hexdigest() for content in contents)


def chunks_sent(ready, status=None):
    """Return the paths of the chunks that the server was sent, or answered with *status*."""
    return [
        seen["path"]
        for seen in requests_seen(ready)
        if seen["method"] == "PUT"
        and ";upload/" in seen["path"]
        and status in (None, seen["status"])
    ]


def test_after_a_bag_every_later_file_sends_the_bytes_of_the_bag(rivals):
    bagged = document(
        file_pattern=None,
        dir_pattern=r"^(?P<archive_path>.*/bags/(?P<subject>S1))(?:/|$)",
        pre_processors=[{"processor": "BagArchiveProcessor"}],
    )
    tree = {"bags/S1/x.txt": b"x", "bags/S1/y.txt": b"y", **TWO}

    theirs, ours = rivals.both(case(spec(bagged, scan()), tree))

    (bag,) = ours.end.objects["/hatrac/docs/S1/S1.zip"]
    assert [bag["sha256"]] * 3 == contents(theirs)
    assert sorted([bag["sha256"], *digests(b"one", b"two")]) == contents(ours)


def test_a_record_that_comes_before_its_object_always_fails(rivals):
    columns = {"url": "/to/be/{file_name}", "name": "{file_name}", "subject": "{subject}"}
    first = document(create_record_before_upload=True, column_map=columns)

    theirs, ours = rivals.both(case(spec(first), {"docs/S1/a.txt": b"one"}))

    assert theirs.states == {"docs/S1/a.txt": "Failed"}
    assert "'tuple' object has no attribute 'keys'" in theirs.says["docs/S1/a.txt"]
    assert ours.brought == {"docs/S1/a.txt"}
    assert contents(ours) == digests(b"one")


def test_a_file_whose_first_chunk_fails_is_in_progress_for_ever(rivals, tree, written, struck):
    fault = {"action": "reset_before", "method": "PUT", "route": ";upload/.*/0$", "nth": 1}
    root, file = tree(ONE_LARGE), written(CHUNKED)

    ready = struck(fault)
    theirs = rivals.theirs(ready, root, file, **BORDER)
    assert theirs.states == {"scans/S1/a.bin": "Running"}
    assert theirs.detail["raised"] is None
    assert not any(end_state(ready).objects.values())

    ready = struck(fault)
    ours = rivals.ours(ready, root, file, rivals.folder(), {})
    assert ours.brought == {"scans/S1/a.bin"}
    assert whole(ready) == [LARGE]


def test_a_changed_file_goes_on_with_the_old_ones_chunks(rivals, tree, written, struck):
    """Where only SHA-256 is asked for: Hatrac keeps it, and does not look at it."""
    columns = {"MD5": "{sha256}"}
    file = written(
        spec(
            scan(
                columns,
                checksum_types=["sha256"],
                hatrac_options={"chunk_size": 1000},
                hatrac_templates={"hatrac_uri": "/hatrac/Scan/{file_name}"},
                record_query_template="/entity/{target_table}/Filename={file_name}",
            )
        )
    )
    third, changed = {"method": "PUT", "route": ";upload/.*/2$", "nth": 1}, LARGE[::-1]

    ready, root = struck({"action": "reset_before", **third}), tree(ONE_LARGE)
    assert rivals.theirs(ready, root, file, **BORDER).states == {"scans/S1/a.bin": "Timeout"}
    write_files(root, {"scans/S1/a.bin": changed})
    assert rivals.theirs(ready, root, file, **BORDER).brought == {"scans/S1/a.bin"}
    assert whole(ready) == [LARGE[:2000] + changed[2000:]]

    ready, root, state = (
        struck({"action": "status", "status": 401, **third}),
        tree(ONE_LARGE),
        rivals.folder(),
    )
    with pytest.raises(CredentialError):
        rivals.ours(ready, root, file, state, {})
    write_files(root, {"scans/S1/a.bin": changed})
    assert rivals.ours(ready, root, file, state, {}).brought == {"scans/S1/a.bin"}
    assert whole(ready) == [changed]


def test_a_session_that_ends_throws_the_chunks_away(rivals, tree, written, struck):
    fault = {"action": "status", "status": 401, "method": "PUT", "route": ";upload/.*/2$", "nth": 1}
    file, state = written(CHUNKED), rivals.folder()

    ready, root = struck(fault), tree(ONE_LARGE)
    assert rivals.theirs(ready, root, file, **BORDER).states == {"scans/S1/a.bin": "Failed"}
    assert rivals.theirs(ready, root, file, **BORDER).brought == {"scans/S1/a.bin"}
    assert len(chunks_sent(ready)) == 3 + 4

    ready, root = struck(fault), tree(ONE_LARGE)
    with pytest.raises(CredentialError):
        rivals.ours(ready, root, file, state, {})
    before = set(chunks_sent(ready, 204))
    assert rivals.ours(ready, root, file, state, {}).brought == {"scans/S1/a.bin"}
    after = chunks_sent(ready, 204)
    assert before
    assert len(after) == len(set(after)) == 4  # none of them twice, all of one job


def test_a_tree_that_was_uploaded_before_fails(rivals):
    """Where the column map names what the row has not: the RID that no path gives."""
    mapping = scan(
        columns={"Note": "{note}"},
        file_pattern=r"/scans/(?P<subject>[^/]+)/(?:(?P<note>n)/)?[^/]+$",
    )

    theirs, ours = rivals.both(case(spec(mapping), TWO, TWO))

    assert set(theirs.states.values()) == {"Failed"}
    assert "column list do not match" in theirs.says["scans/S1/a.png"]
    assert ours.brought == set(TWO)
    assert not differences(theirs.end, ours.end)  # nothing doubled, nothing changed


def test_it_writes_into_the_tree(rivals, tree, written):
    file = written(spec(scan()))

    root = tree(TWO)
    rivals.ours(rivals.server(rivals.folder()), root, file, rivals.folder(), {})
    assert {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} == set(TWO)

    rivals.theirs(rivals.server(rivals.folder()), root, file)
    assert list(root.glob(".deriva-upload-state-*"))


def test_a_name_that_a_url_cannot_hold_fails(rivals):
    """Where a template has the name as it is, as in the specs that deriva-ml makes."""
    raw = {
        "hatrac_templates": {
            "hatrac_uri": "/hatrac/Scan/{md5}.{file_name}",
            "content-disposition": "filename*=UTF-8''{file_name}",
        },
        "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
    }
    names = ("a+b.png", "a&b.png", "a;b.png", "a=b.png", "plain.png")
    tree = {f"scans/S1/{name}": name.encode() for name in names}

    theirs, ours = rivals.both(case(spec(scan(**raw)), tree))

    assert theirs.brought == {"scans/S1/plain.png"}
    assert ours.brought == set(tree)
    assert contents(ours) == digests(*tree.values())


def test_a_part_of_a_name_is_lost(rivals):
    """What looks like a query or a fragment does not reach the server."""
    raw = {"hatrac_uri": "/hatrac/Scan/{file_name}", "content-disposition": "{file_name}"}
    tree = {"scans/S1/a?1.png": b"one", "scans/S1/a#2.png": b"two"}

    theirs, ours = rivals.both(case(spec(scan(hatrac_templates=raw)), tree))

    assert set(theirs.end.objects) == {"/hatrac/Scan/a"}
    assert set(ours.end.objects) == {"/hatrac/Scan/a%3F1.png", "/hatrac/Scan/a%232.png"}


def test_the_name_of_the_table_cannot_be_in_the_name_of_an_object(rivals):
    templates = {"hatrac_uri": "/hatrac/{target_table}/{md5}"}

    theirs, ours = rivals.both(case(spec(scan(hatrac_templates=templates)), TWO))

    assert set(theirs.states.values()) == {"Failed"}  # ":" begins a version
    assert ours.brought == set(TWO)


def test_a_long_name_fails(rivals):
    tree = {f"scans/S1/{'x' * 220}.png": b"one"}

    theirs, ours = rivals.both(case(spec(scan()), tree))

    assert set(theirs.states.values()) == {"Failed"}
    assert ours.brought == set(tree)


def test_rows_without_default_columns_fail(rivals):
    """It then lets every column take its default, and that ERMrest refuses."""
    tree = {"records/lab/Reading.json": b'[{"Name": "a", "Value": 1, "Subject": "S1"}]'}

    theirs, ours = rivals.both(case(spec(table(default_columns=None)), tree))

    assert set(theirs.states.values()) == {"Failed"}
    assert ours.brought == set(tree)
    assert ours.end.rows["lab:Reading"].total() == 1


def test_no_becomes_yes(rivals):
    """A text is cast to the type that the row has, and for Python every text but one is true."""
    mapping = document(columns={"kept": "false"})

    theirs, ours = rivals.both(case(spec(mapping), DOCS, DOCS))

    assert kept(theirs) == [True, True]
    assert kept(ours) == [False, False]


def kept(outcome):
    return [json.loads(row)["kept"] for row in outcome.end.rows["lab:document"].elements()]


def test_the_text_of_a_template_that_names_a_null_is_written(rivals):
    mapping = scan(
        columns={"Note": "of the {Species} kind"},
        metadata_query_templates=["/entity/lab:Subject/Code={subject}"],
    )

    theirs, ours = rivals.both(case(spec(mapping), {"scans/S3/a.png": b"one"}))

    assert notes(theirs) == ["of the {Species} kind"]
    assert notes(ours) == [None]


def notes(outcome):
    return [json.loads(row)["Note"] for row in outcome.end.rows["lab:Scan"].elements()]
