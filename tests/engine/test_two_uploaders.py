"""Two uploaders before one directory, their calls in any order: one version and one row of each.

Two nodes on one shared file system are such a pair, and so is a node that lost its journal while
the old process is not quite gone. What is sent with a single PUT, or has a key of its own, is
never doubled: the server is the arbiter. A sample of the orders is taken by default;
`SOAK=1` takes many.
"""

import json
import os
from itertools import count
from random import Random

import pytest

from deriva_watch.core.completeness.observation import ROWS_NAME
from deriva_watch.core.rows.adoption import rid_order
from deriva_watch.status import details, open_views
from engine.rig import ASSET, Lab, image
from engine.turns import Turns

SOAK = bool(os.environ.get("SOAK"))
WHO = ("owner", "writer")
NUMBERS = count()
ONE = {"connections": 1, "chunk_bytes": 1000}  # each uploader then makes one call at a time


class Scene(Lab):
    """A directory that two uploaders see, each with a journal of its own."""

    def __init__(self, folder, ready):
        super().__init__(folder / str(next(NUMBERS)), ready)
        self.before = self.api.tables()

    def journal(self, at):
        """Return the journal of uploader number *at*."""
        folder = self.folder / f"state-{at}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "journal.db"

    def alone(self, at, who="owner", **options):
        """Put the parts of uploader number *at* together."""
        return self.rigged(who, journal={"url": f"sqlite:///{self.journal(at)}"}, **options)

    def both(self, order, who=("owner", "owner"), **options):
        """Let both take it through, turn by turn; return their rigs and what was called."""
        turns = Turns(order)
        with (
            self.alone(0, who[0], power=turns.power(0), **options) as one,
            self.alone(1, who[1], power=turns.power(1), **options) as two,
        ):
            states = turns.run(*(lambda rig=rig: _through(rig) for rig in (one, two)))
        assert states == ["uploaded"] * 2, turns.taken
        return one, two, turns.taken

    def new(self, table):
        """Return the rows of a table that came since the beginning."""
        return [r for r in self.api.rows(table) if r["RID"] not in self.before[table]]

    def doubled(self, table, *columns):
        """Return of the new rows of a table those which say the same as another."""
        said = [tuple(row[column] for column in columns) for row in self.new(table)]
        return sorted({str(each) for each in said if said.count(each) > 1})

    def unclaimed(self, *tables):
        """Return the versions, of the objects that new rows name, which no row names."""
        urls = {row["URL"] for table in tables for row in self.new(table)}
        names = {url.rpartition(":")[0] for url in urls}
        listed = [self.api.call("GET", f"{self.api.url}{n};versions").json() for n in names]
        rows = {row["URL"] for table in tables for row in self.api.rows(table)}
        return sorted({url for urls in listed for url in urls} - rows)


def _through(rig):
    """Take it through as a daemon does, until there is nothing left to do."""
    for _ in range(20):
        if (record := rig.bring()).state in {"uploaded", "refused"}:
            break
    return record.state if not record.why else f"{record.state}: {record.why}"


ABOUT = ("MD5", "Filename", "Subject", "Observation")


class Everything(Scene):
    """Files that go with a PUT, twins among them, and rows with a key."""

    def __init__(self, folder, ready):
        super().__init__(folder, ready)
        twins = f"twins {self.rid}"
        self.write(
            {
                image("small.bin"): f"small {self.rid}",
                image("twin.bin", "1-S001"): twins,
                image("twin.bin", "1-S002"): twins,
                "execution-asset/Model_File/same.bin": f"same {self.rid}",
                "execution-asset/Output_File/same.bin": f"same {self.rid}",
                "table/demo/Subject/Subject.csv": f"Name\n{self.rid} 1\n{self.rid} 2\n",
                "asset-type/demo/Image.jsonl": '{"small.bin": ["Image"]}',
            }
        )

    def is_whole(self):
        """Say what is doubled or missing; nothing where all is there once."""
        found = {
            "images": self.doubled("demo:Image", *ABOUT),
            "assets": self.doubled("deriva-ml:Execution_Asset", "MD5", "Filename"),
            "subjects": self.doubled("demo:Subject", "Name"),
            "links": self.doubled("demo:Image_Execution", "Image", "Execution"),
            "versions": self.unclaimed("demo:Image", "deriva-ml:Execution_Asset"),
        }
        counts = {
            "demo:Image": 3,
            "demo:Image_Execution": 3,
            "deriva-ml:Execution_Asset": 1,
            "deriva-ml:Execution_Asset_Execution": 1,
            "demo:Subject": 2,
        }
        found |= {
            table: f"{len(self.new(table))}, not {number}"
            for table, number in counts.items()
            if len(self.new(table)) != number
        }
        return {what: which for what, which in found.items() if which}


CALLS = 30  # of one uploader, about
ENTRIES = range(0, CALLS, 1 if SOAK else 12)
SEEDS = range(300) if SOAK else (0, 1, 2, 30)


@pytest.mark.parametrize("at", ENTRIES)
def test_one_that_comes_between_any_two_calls_of_another_doubles_nothing(tmp_path, ready, at):
    scene = Everything(tmp_path, ready)

    scene.both([0] * at + [1] * 99, transfer=ONE)

    assert not scene.is_whole()


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_that_alternate_in_any_order_double_nothing(tmp_path, ready, seed):
    scene, chance = Everything(tmp_path, ready), Random(seed)
    likely = chance.random()
    order = [int(chance.random() < likely) for _ in range(80)]

    _, _, taken = scene.both(order, chance.choices(WHO, k=2), transfer=ONE)

    assert not scene.is_whole(), taken


# ---------------------------------------------------------------- the window that remains


class Window(Scene):
    """What the server does not arbitrate: files that go by upload jobs, and rows without a key."""

    def __init__(self, folder, ready):
        super().__init__(folder, ready)
        self.subject = self.api.insert("demo:Subject", {"Name": f"of {self.rid}"})[0]["RID"]
        self.before = self.api.tables()

    def told(self, at, rig):
        """Return what one of the two tells a person: in the log, in its receipt and by `show`."""
        logged = {event.about: event.why for event in rig.told("notice.added")}
        journal = self.journal(at)
        [receipt] = journal.parent.rglob(f"{self.rid}.json")
        [shown] = details(open_views(f"sqlite:///{journal}"), self.rid)["executions"]
        assert json.loads(receipt.read_text())["notices"] == shown["notices"] == logged
        return logged


EMPTY, CHUNKED = "", "*" * 2500
IN_STEP = [0, 1] * 99
ONE_AFTER_THE_OTHER = [0] * 99


@pytest.mark.parametrize("content", [EMPTY, CHUNKED], ids=["empty", "chunked"])
def test_two_upload_jobs_may_make_two_rows_and_a_person_is_told(tmp_path, ready, content):
    """Each looked before the other had finished: two versions, and nothing that settles which."""
    scene = Window(tmp_path, ready)
    path = f"execution-asset/Model_File/{scene.rid}.bin"
    scene.write({path: content and content + scene.rid})

    one, two, _ = scene.both(IN_STEP, transfer=ONE)

    older, younger = sorted((row["RID"] for row in scene.new(str(ASSET))), key=rid_order)
    said = (
        f"2 rows say the same of it ({older}, {younger}): another uploader made one at the same "
        "time. If they are the same asset, keep the oldest, and delete the others with their links."
    )
    assert [scene.told(0, one), scene.told(1, two)].count({path: said}) >= 1


def test_the_next_look_at_what_two_upload_jobs_made_tells_of_it(tmp_path, ready):
    """A third journal, say, or the same file in another execution."""
    scene = Window(tmp_path, ready)
    path = f"execution-asset/Model_File/{scene.rid}.bin"
    scene.write({path: CHUNKED + scene.rid})
    scene.both(IN_STEP, transfer=ONE)
    older, younger = sorted((row["RID"] for row in scene.new(str(ASSET))), key=rid_order)

    with scene.alone(2) as third:
        assert _through(third) == "uploaded"

    assert scene.told(2, third)[path].startswith(
        f"2 rows say the same of it ({older}, {younger}); the oldest, {older}, is "
        "taken. If they are the same asset"
    )


@pytest.mark.parametrize("readable", [True, False], ids=["a receipt", "no receipt"])
@pytest.mark.parametrize("order", [IN_STEP, ONE_AFTER_THE_OTHER], ids=["in step", "one by one"])
@pytest.mark.parametrize("who", WHO)
def test_rows_without_a_key_may_be_doubled_and_a_person_is_told(
    tmp_path, ready, who, order, readable
):
    """The first INSERT uses an ordinary writer's lease up: whoever comes later gets another.

    Unless the receipt beside the files tells which rows are in.
    """
    scene, path = Window(tmp_path, ready), "table/demo/Observation/Observation.csv"
    days = "".join(f"{scene.subject},2026-02-0{day}\n" for day in (1, 1, 2))  # two alike, meant so
    scene.write({path: f"Subject,Observation_Date\n{days}"})

    if not readable:
        scene.write({f"{ROWS_NAME}/in the way": ""})

    one, two, _ = scene.both(order, (who, who), transfer=ONE)

    doubled = who == "writer" and order is ONE_AFTER_THE_OTHER and not readable
    assert len(scene.new("demo:Observation")) == (6 if doubled else 3)
    said = "is equal: another uploader may have uploaded the same file. Compare the rows"
    assert path not in scene.told(0, one)
    assert (said in scene.told(1, two).get(path, "")) == doubled
