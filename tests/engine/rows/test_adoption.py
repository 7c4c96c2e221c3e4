"""Rows that are in the catalog already: which of them become the rows of files."""

import hashlib
import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from engine.rig import ASSET, BUSY, IMAGE, earlier, first, image, stored

WORKSPACE = Path(__file__).parents[2] / "data/workspace/images.db"
S1, S2 = "1-S001", "1-S002"
PATH = image("a.bin")


@pytest.fixture
def content(fresh):
    """Bytes that no other test has."""
    return fresh().encode()


def rows_of(lab, content, table=IMAGE, name="a.bin"):
    """Return the rows of a content, the oldest first."""
    wanted = hashlib.md5(content).hexdigest()
    found = [row for row in lab.api.rows(str(table)) if row["MD5"] == wanted]
    return sorted(
        (row for row in found if row["Filename"] == name),
        key=lambda row: (len(row["RID"]), row["RID"]),
    )


def versions_of(lab, row):
    """Return the versions of the object that a row names, the newest first."""
    name = row["URL"].rpartition(":")[0]
    return lab.api.call("GET", f"{lab.api.url}{name};versions").json()


def linked(lab, table=IMAGE):
    """Return the RIDs of the assets that are linked to the execution."""
    rows = lab.api.rows(f"{table}_Execution")
    return sorted(row[table.table] for row in rows if row["Execution"] == lab.rid)


def told(rig, word):
    """Return the notices that have a word."""
    return [event.why for event in rig.told("notice.added") if word in event.why]


# ---------------------------------------------------------------- which row


@pytest.mark.parametrize(
    ("of_row", "of_file"),
    [
        ({"Subject": S1}, {}),
        ({"Subject": S1, "Observation": "1-B001"}, {"observation": "1-B001"}),
        ({"Subject": S1}, {"observation": "1-B001"}),  # the row says nothing of it
        ({"Subject": S1, "Observation": "1-B001"}, {}),  # the file does not
        ({"Subject": S1, "Description": "another"}, {}),  # never decides
    ],
)
def test_a_row_that_says_nothing_else_is_taken_as_it_is(lab, content, of_row, of_file):
    before = earlier(lab.api, content, "a.bin", **of_row)

    record, rig = lab.upload({image("a.bin", **of_file): content})

    [file] = lab.files().values()
    assert (record.state, file.state) == ("uploaded", "linked")
    assert (file.rid, file.url, file.adopted) == (before["RID"], before["URL"], True)
    assert rows_of(lab, content) == [before]
    assert versions_of(lab, before) == [before["URL"]]
    assert linked(lab) == [before["RID"]]
    assert "store.put" not in rig.power.names


@pytest.mark.parametrize("more", [{}, {"Acquisition_Date": "2026-01-02"}])
def test_another_value_makes_another_asset_with_a_version_of_its_own(lab, content, more):
    before = earlier(lab.api, content, "a.bin", Subject=S1, **more)

    lab.upload({image("a.bin", S2): content})

    theirs, ours = rows_of(lab, content)
    assert (theirs, ours["Subject"]) == (before, S2)
    assert versions_of(lab, before) == [ours["URL"], before["URL"]]
    assert linked(lab) == [ours["RID"]]


def test_of_several_rows_the_oldest_is_taken_and_a_person_is_told(lab, content):
    rids = [earlier(lab.api, content, "a.bin", Subject=S1)["RID"] for _ in range(3)]

    _, rig = lab.upload({PATH: content})

    assert linked(lab) == rids[:1]
    [why] = told(rig, "rows")
    assert why == (
        f"3 rows say the same of it ({', '.join(rids)}); the oldest, {rids[0]}, is taken. "
        "If they are the same asset, keep the oldest, and delete the others with their links."
    )


def test_a_row_of_another_name_is_another_asset(lab, content):
    earlier(lab.api, content, "b.bin", Subject=S1)

    lab.upload({PATH: content})

    assert len(rows_of(lab, content)) == 1


def test_what_is_there_under_another_name_of_an_object_is_not_sent(lab, content):
    row = {"Filename": "a.bin", "Length": len(content), "MD5": hashlib.md5(content).hexdigest()}
    row |= {"URL": stored(lab.api, content, "another.bin"), "Subject": S1}
    [before] = lab.api.insert(str(IMAGE), row)

    _, rig = lab.upload({PATH: content})

    assert linked(lab) == [before["RID"]]
    assert "store.put" not in rig.power.names


# ---------------------------------------------------------------- the object of the row


def test_a_row_whose_object_is_gone_is_no_proof(lab, content, fresh):
    """The file is refused with what to do; its neighbour goes on."""
    before = earlier(lab.api, content, "a.bin", Subject=S1)
    lab.api.call("DELETE", lab.api.url + before["URL"])

    record, _ = lab.upload({PATH: content, image("b.bin"): fresh()})

    bad = lab.files()[PATH]
    assert (record.state, bad.state) == ("refused", "refused")
    assert lab.states()[image("b.bin")] == "linked"
    assert bad.why == f"row {before['RID']} describes it, but the object {before['URL']} is gone"
    assert bad.next == f"Correct or delete the row, then run `deriva-watch retry {lab.rid}`."


def other_content(lab, _):
    return stored(lab.api, lab.rid.encode(), "a.bin")


def no_md5(lab, content):
    url = f"{lab.api.url}/hatrac/Image/{lab.rid}?parents=true"
    return lab.api.call("PUT", url, data=content).headers["Location"]


def another_place(lab, _):
    return f"https://example.org/{lab.rid}"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (other_content, "has different content"),
        (no_md5, "has no MD5"),
        (another_place, "is not an object of this server"),
    ],
)
def test_a_row_whose_object_is_not_the_content_is_no_proof(lab, content, place, why):
    row = {"Filename": "a.bin", "Length": len(content), "MD5": hashlib.md5(content).hexdigest()}
    lab.api.insert(str(IMAGE), row | {"Subject": S1, "URL": place(lab, content)})

    lab.upload({PATH: content, image("b.bin"): content})

    assert lab.states() == {PATH: "refused", image("b.bin"): "linked"}
    assert lab.files()[PATH].why.endswith(why)


# ---------------------------------------------------------------- files that say almost the same


def tree(fresh):
    """Files whose contents repeat, for subjects and observations that do not."""
    twins, pair, same = fresh(), fresh(), fresh()
    return {
        image("twin.bin", S1): twins,
        image("twin.bin", S2): twins,
        image("pair.bin"): pair,
        image("pair.bin", observation="1-B001"): pair,
        "execution-asset/Model_File/same.bin": same,
        "execution-asset/Output_File/same.bin": same,
        f"execution-asset/Output_File/{fresh()}": "",
    }


def test_files_that_differ_in_what_one_does_not_say_are_two_assets(lab, content):
    record, _ = lab.upload({PATH: content, image("a.bin", observation="1-B001"): content})

    rows = rows_of(lab, content)
    assert record.state == "uploaded"
    assert {row["Observation"] for row in rows} == {None, "1-B001"}
    assert len(rows) == len(versions_of(lab, rows[0])) == 2


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_the_same_tree_again_makes_links_and_nothing_else(lab, fresh, who):
    files, again = tree(fresh), lab.another()
    lab.upload(files, who)
    before, versions = lab.api.tables(), lab.api.versions()

    record, rig = again.upload(files, who)

    after = lab.api.tables()
    new = {table for table, rows in after.items() if rows.keys() - before[table].keys()}
    assert record.state == "uploaded"
    assert new == {"demo:Image_Execution", "deriva-ml:Execution_Asset_Execution"}
    assert lab.api.versions() == versions
    assert linked(again) == linked(lab)
    assert linked(again, ASSET) == linked(lab, ASSET)
    assert all(file.adopted for file in again.files().values())
    assert told(rig, "rows") == []


def test_an_execution_that_is_looked_at_again_asks_and_sends_nothing(lab, fresh):
    lab.upload(tree(fresh))
    before, versions = lab.api.tables(), lab.api.versions()

    with lab.rigged() as rig:
        assert rig.upload().state == "uploaded"

    assert (lab.api.tables(), lab.api.versions()) == (before, versions)
    assert not {"catalog.insert", "store.put", "store.open_job", "store.head"} & {*rig.power.names}


def test_a_file_that_was_only_touched_keeps_its_row_as_ours(lab, content):
    lab.upload({PATH: content})
    [row] = rows_of(lab, content)

    lab.upload({PATH: content})

    file = lab.files()[PATH]
    assert (file.state, file.rid, file.adopted) == ("linked", row["RID"], False)
    assert rows_of(lab, content) == [row]


def test_types_that_come_later_are_added_to_the_row(lab, content):
    lab.upload({PATH: content})

    lab.upload({"asset-type/demo/Image.jsonl": '{"a.bin": ["Image", "Model_File"]}'})

    [row] = rows_of(lab, content)
    found = [
        type_ for type_ in lab.api.rows("demo:Image_Asset_Type") if type_["Image"] == row["RID"]
    ]
    assert {type_["Asset_Type"] for type_ in found} == {"Image", "Model_File"}


# ---------------------------------------------------------------- RIDs that files give


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_a_leased_rid_becomes_the_rows(lab, content, who):
    rid = lab.lease(who)

    _, rig = lab.upload({image("a.bin", rid=rid): content}, who)

    assert [row["RID"] for row in rows_of(lab, content)] == [rid]
    assert told(rig, "RID") == []


def test_a_rid_that_is_not_leased_to_us_is_replaced_and_a_person_is_told(lab, content):
    theirs = lab.lease("owner")

    _, rig = lab.upload({image("a.bin", rid=theirs): content}, "writer")

    [row] = rows_of(lab, content)
    assert row["RID"] == lab.files()[image("a.bin", rid=theirs)].rid != theirs
    why = f"the RID of its row is {row['RID']}, not {theirs}: that one is not leased to us"
    assert told(rig, "RID") == [why]


def test_the_rid_of_another_files_row_is_refused(lab, content, fresh):
    other = earlier(lab.api, fresh().encode(), "other.bin", Subject=S1)

    lab.upload({image("a.bin", rid=other["RID"]): content})

    [file] = lab.files().values()
    assert file.state == "refused"
    assert file.why.startswith(f"the RID {other['RID']} given for it belongs to the row of another")
    assert rows_of(lab, content) == []


def test_a_row_that_was_there_keeps_its_rid_and_a_person_is_told(lab, content):
    before = earlier(lab.api, content, "a.bin", Subject=S1)

    _, rig = lab.upload({image("a.bin", rid="9-ZZZZ"): content})

    assert rows_of(lab, content) == [before]
    [why] = told(rig, "RID")
    assert why.endswith(f"is {before['RID']}, not 9-ZZZZ: the row existed before")


# ---------------------------------------------------------------- another uploader meanwhile


def into_images(act):
    """Do something before rows go into the table of images."""
    return first(lambda table, rows: act(rows) if table == IMAGE else None)


@pytest.mark.parametrize("size_bytes", [50, 3000])
def test_a_row_that_somebody_made_since_we_looked_is_taken(lab, size_bytes):
    """No second version comes beside the one that it has."""
    content, made = f"{lab.rid:*<{size_bytes}}".encode(), []
    lab.write({PATH: content})

    with lab.rigged() as rig:
        rig.store.then["make_namespace"] = [
            first(lambda _: made.append(earlier(lab.api, content, "a.bin", Subject=S1)))
        ]
        assert rig.upload().state == "uploaded"

    assert rows_of(lab, content) == made
    assert versions_of(lab, made[0]) == [made[0]["URL"]]
    assert (lab.files()[PATH].url, lab.files()[PATH].adopted) == (made[0]["URL"], True)


def test_a_row_that_somebody_made_after_we_had_sent_is_taken(lab, content):
    """Ours is not made; only the version that was sent for it stays."""
    made = []
    lab.write({PATH: content})

    def come_first():
        theirs = {"URL": stored(lab.api, content, "theirs.bin"), "Filename": "a.bin"}
        known = {"Length": len(content), "MD5": hashlib.md5(content).hexdigest(), "Subject": S1}
        made.extend(lab.api.insert(str(IMAGE), theirs | known))

    with lab.rigged() as rig:
        rig.store.then["put"] = [lambda call, *_: (call(), come_first())[0]]
        assert rig.upload().state == "uploaded"

    assert rows_of(lab, content) == made
    assert lab.files()[PATH].url == made[0]["URL"]


def test_a_row_that_came_with_what_aborted_ours_is_taken(lab, content):
    """Of two writers at once one is aborted, and has to look again before it comes back."""
    made = []
    lab.write({PATH: content})

    def abort(_, table, rows):
        made.extend(lab.api.insert(str(table), rows[0] | {"URL": stored(lab.api, content, "b")}))
        raise BUSY

    with lab.rigged() as rig:
        rig.catalog.then["insert"] = [abort]
        assert rig.upload().state == "uploaded"

    assert rows_of(lab, content) == made
    assert linked(lab) == [made[0]["RID"]]


def test_two_daemons_with_the_same_files_both_get_there(lab, fresh):
    """Nodes of a cluster often have them; what one refuses the other comes back to."""
    other, files = lab.another(), {f"execution-asset/Model_File/{n}": fresh() for n in range(20)}
    lab.write(files)
    other.write(files)

    with lab.rigged() as one, other.rigged() as two, ThreadPoolExecutor(2) as daemons:
        records = list(daemons.map(lambda rig: rig.bring(), [one, two]))

    assert [record.state for record in records] == ["uploaded"] * 2
    assert len(linked(lab, ASSET)) == len(linked(other, ASSET)) == len(files)


def test_a_version_that_somebody_elses_row_took_is_left_to_it(lab, content):
    """The file starts over, and ends with a version and a row of its own."""
    lab.write({PATH: content})

    with lab.rigged() as rig:
        take = into_images(lambda rows: lab.api.insert(str(IMAGE), rows[0] | {"Subject": S2}))
        rig.catalog.then["insert"] = [take]
        assert (rig.upload().state, lab.states()) == ("filling", {PATH: "found"})
        assert rig.upload().state == "uploaded"

    theirs, ours = rows_of(lab, content)
    assert (theirs["Subject"], ours["Subject"]) == (S2, S1)
    assert theirs["URL"] != ours["URL"]


def test_a_row_that_cannot_be_seen_is_not_believed(lab, content):
    lab.write({PATH: content})

    with lab.rigged() as rig:
        rig.catalog.then["rows_with"] = [lambda *_: []] * 9
        rig.catalog.then["insert"] = [lambda *_: []]
        rig.upload()

    assert lab.states() == {PATH: "refused"}
    assert lab.files()[PATH].why == (
        "a row with its URL exists but is not visible to this identity"
    )


def flat(content, rid):
    """Return an execution whose manifest says that another uploader is done."""
    entry = {"asset_table": "Execution_Asset", "schema": "deriva-ml", "status": "uploaded"}
    manifest = {"version": 1, "assets": {"Execution_Asset/a.bin": entry | {"rid": rid}}}
    return {"assets/Execution_Asset/a.bin": content, "asset-manifest.json": json.dumps(manifest)}


def test_another_uploaders_word_counts_once_the_catalog_says_the_same(lab, content):
    before = earlier(lab.api, content, "a.bin", ASSET)

    record, rig = lab.upload(flat(content, before["RID"]))

    [file] = lab.files().values()
    assert (record.state, file.state, file.rid) == ("uploaded", "elsewhere", before["RID"])
    assert linked(lab, ASSET) == [before["RID"]]
    assert "store.put" not in rig.power.names


def test_another_uploaders_word_alone_counts_nothing(lab, content):
    record, _ = lab.upload(flat(content, "9-ZZZY"))

    assert (record.state, {*lab.states().values()}) == ("uploaded", {"linked"})
    assert len(rows_of(lab, content, ASSET)) == 1


# ---------------------------------------------------------------- deriva-ml's workspace


def workspace(lab, key, leased):
    """Write deriva-ml's workspace, in which an asset waits for the RID that was leased for it."""
    host, catalog = lab.ready["host"].rpartition(":")[0], lab.ready["catalog"]
    path = lab.folder / f"data/catalogs/{host}__{catalog}/working/main.db"
    path.parent.mkdir(parents=True)
    shutil.copyfile(WORKSPACE, path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE execution_state__executions SET rid = ?", (lab.rid,))
        database.execute("DELETE FROM execution_state__assets WHERE key <> 'Image/full.png'")
        database.execute(
            "UPDATE execution_state__assets SET execution_rid = ?, key = ?, rid = ?,"
            " metadata = NULL, asset_types = NULL, description = NULL",
            (lab.rid, key, leased),
        )
        database.commit()
    return path


def test_the_workspace_gets_the_rid_of_the_adopted_row_in_place_of_the_leased_one(lab, content):
    """deriva-ml resumes from there. Its staged link keeps the leased RID in its path for ever."""
    before, leased = earlier(lab.api, content, "a.bin", Subject=S1), "9-ZZZZ"
    path = workspace(lab, "Image/a.bin", leased)
    root = lab.write({"assets/Image/a.bin": content})
    link = root / image("a.bin", rid=leased)
    link.parent.mkdir(parents=True)
    link.symlink_to(root / "assets/Image/a.bin")
    for late in ("one.txt", "two.txt"):
        lab.write({f"asset/deriva-ml/Execution_Asset/{late}": late + lab.rid})
        with lab.rigged(deriva_ml={"write_back": True}) as rig:
            record = rig.upload()
        assert (record.state, record.why) == ("uploaded", None)

    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT status, rid FROM execution_state__assets").fetchall()
    assert rows == [("uploaded", before["RID"])]
    assert linked(lab) == [before["RID"]]
