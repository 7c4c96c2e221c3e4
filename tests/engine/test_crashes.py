"""Killed before or after any one call, a second process completes the execution.

What the server then has is what it has without a crash: the same rows and links, one version for
each row and no other. No call that the journal knows as done is made again.

A sample of all calls is taken by default; `SOAK=1` takes every one.
"""

import hashlib
import os
from contextlib import suppress

import pytest

from deriva_watch.core.states import ExecutionState, FileState
from engine.rig import WHO, Crash, Lab, Power, crash_name, earlier, every_crash, image

SYSTEM = {"RCT", "RMT", "RCB", "RMB"}
LINKED = {FileState.LINKED}
RECORDED = LINKED | {FileState.RECORDED}
STORED = RECORDED | {FileState.STORED}
HASHED = STORED | {FileState.HASHED}

# How often a run calls what, at most: how many commits there are depends on how threads meet.
CALLS = {
    "catalog.model": 1,
    "catalog.version": 1,
    "catalog.terms": 2,
    "catalog.rows_with": 14,
    "catalog.claimable": 1,
    "catalog.insert": 10,
    "catalog.execution": 1,
    "catalog.move_status": 1,
    "store.make_namespace": 9,
    "store.head": 8,
    "store.put": 10,
    "store.jobs": 2,
    "store.open_job": 2,
    "store.put_chunk": 3,
    "store.finish_job": 2,
    "journal.commit": 10,
    "journal.submit": 40,
}
MATRIX = every_crash(CALLS)
# Of each method a call in the middle, before its effect, or the first, after it.
SAMPLE = [
    (WHO[place % 2], name, *((0, True) if place % 4 in (1, 2) else (count // 2, False)))
    for place, (name, count) in enumerate(CALLS.items())
]
CASES = MATRIX if os.environ.get("SOAK") else SAMPLE


class Scene(Lab):
    """An execution with files of all kinds, for a server that knows one of them."""

    def __init__(self, folder, ready, who):
        super().__init__(folder, ready)
        self.who, self.leased = who, self.lease(who)
        words = ("small", "leased", "twins", "pair", "same", "known")
        content = {word: f"{word} {self.rid}" for word in words}
        content |= {"big": f"{self.rid:*<2500}", "empty": ""}
        self.write(
            {
                image("small.bin"): content["small"],
                image("leased.bin", rid=self.leased): content["leased"],
                image("twin.bin", "1-S001"): content["twins"],
                image("twin.bin", "1-S002"): content["twins"],
                # The first says less than the second, and nothing else: still two assets.
                image("pair.bin"): content["pair"],
                image("pair.bin", observation="1-B001"): content["pair"],
                image("known.bin"): content["known"],
                "execution-asset/Model_File/same.bin": content["same"],
                "execution-asset/Output_File/same.bin": content["same"],
                "execution-asset/Model_File/big.bin": content["big"],
                f"execution-asset/Output_File/empty{self.rid}": content["empty"],
                "asset-type/demo/Image.jsonl": '{"small.bin": ["Image"]}\n{"twin.bin": ["Image"]}',
            }
        )
        earlier(self.api, content["known"].encode(), "known.bin", Subject="1-S001")
        self.words = {
            hashlib.md5(text.encode()).hexdigest(): word for word, text in content.items()
        }
        self.before, self.objects = self.api.tables(), self._objects()

    def arrived(self):
        """Return the new rows by table, without what is random, and the execution's status."""
        tables = self.api.tables()
        new = {
            name: [row for rid, row in rows.items() if rid not in self.before[name]]
            for name, rows in tables.items()
        }
        versions = [
            version
            for name in self._objects() - self.objects
            for version in self.api.call("GET", f"{self.api.url}{name};versions").json()
        ]
        urls = [row["URL"] for rows in new.values() for row in rows if "URL" in row]
        assert sorted(versions) == sorted(urls), "one version for each row, and no other"
        words = self._words(tables)
        said = {name: sorted(self._said(row, words) for row in rows) for name, rows in new.items()}
        return said, self.api.status(self.rid)

    def notices(self, rig):
        """Return what a person was told besides."""
        said = rig.told("notice.added")
        return {(event.about, event.why.replace(self.rid, "")) for event in said}

    def _objects(self):
        spaces = self.api.call("GET", f"{self.api.url}/hatrac").json()
        return {n for space in spaces for n in self.api.call("GET", self.api.url + space).json()}

    def _words(self, tables):
        """Return what stands for RIDs and digests: what a person would call them."""
        words = self.words | {self.rid: "execution", self.leased: "leased"}
        for rows in tables.values():
            for rid, row in rows.items():
                if row.get("MD5") in self.words:
                    about = row["Filename"], row.get("Subject"), row.get("Observation")
                    words.setdefault(rid, str(about).replace(self.rid, ""))
        return words

    def _said(self, row, words):
        shown = {
            name: words.get(value, str(value).replace(self.rid, ""))
            for name, value in row.items()
            if name not in SYSTEM | {"URL", "RID"}
        }
        return str([*sorted(shown.items()), row["RID"] == self.leased])


@pytest.fixture(scope="module")
def whole(ready, tmp_path_factory):
    """What arrives without a crash, what a person is told, and what is called."""
    found = {}
    for who in WHO:
        scene = Scene(tmp_path_factory.mktemp(who), ready, who)
        with scene.rigged(who) as rig:
            assert rig.upload().state == "uploaded"
        found[who] = scene.arrived(), scene.notices(rig), rig.power.names
    return found


@pytest.mark.parametrize("who", WHO)
def test_files_of_all_kinds_arrive_once(whole, who):
    arrived, status = whole[who][0]

    assert status == ("Uploaded" if who == "owner" else "Stopped")  # a writer may not move it
    assert {table: len(rows) for table, rows in arrived.items() if rows} == {
        "demo:Image": 6,
        "demo:Image_Execution": 7,
        "demo:Image_Asset_Type": 3,
        "deriva-ml:Execution_Asset": 3,
        "deriva-ml:Execution_Asset_Execution": 3,
        "deriva-ml:Execution_Asset_Asset_Type": 4,
    }


@pytest.mark.parametrize("who", WHO)
def test_no_call_is_missing_from_the_matrix(whole, who):
    _, _, names = whole[who]

    assert {name for name in names if names.count(name) > CALLS.get(name, 0)} == set()


@pytest.mark.parametrize("case", CASES, ids=crash_name)
def test_a_crash_costs_time_and_nothing_else(tmp_path, ready, whole, case):
    who, name, number, after = case
    scene = Scene(tmp_path, ready, who)
    with scene.rigged(who, power=Power(name, number, after=after)) as dying, suppress(Crash):
        dying.upload()
    known = scene.files()

    with scene.rigged(who) as rig:
        record = rig.bring()

    arrived, told, _ = whole[who]
    assert record.state == "uploaded", record.why
    assert {*scene.states().values()} == {"linked"}
    assert scene.arrived() == arrived
    assert scene.notices(dying) | scene.notices(rig) <= told
    assert repeated(rig, known) == []


@pytest.mark.parametrize("who", WHO)
def test_processes_that_live_for_a_few_calls_get_there_as_well(tmp_path, ready, whole, who):
    scene, lives = Scene(tmp_path, ready, who), 0
    while True:
        power, lives = Power(lifetime=20 + lives, after=bool(lives % 2)), lives + 1
        with scene.rigged(who, power=power) as rig, suppress(Crash):
            if rig.bring().state == "uploaded":
                break

    assert lives > 2
    assert scene.arrived() == whole[who][0]


def test_a_file_that_says_the_same_as_one_that_is_stored_waits_for_its_row(lab):
    """It came later and stands before it; a version of its own would be one too many."""
    early, late = "execution-asset/Output_File/a.bin", "execution-asset/Model_File/a.bin"
    lab.write({early: lab.rid})
    with lab.rigged(power=Power("catalog.insert")) as rig, suppress(Crash):
        rig.upload()
    assert lab.states() == {early: "stored"}
    lab.write({late: lab.rid})

    with lab.rigged() as rig:
        assert rig.bring().state == "uploaded"

    one, other = lab.files().values()
    versions = lab.api.call("GET", f"{lab.api.url}{one.url.rpartition(':')[0]};versions").json()
    assert versions == [one.url] == [other.url]


def test_a_file_that_says_the_same_as_one_another_execution_stored_takes_its_version(lab):
    """The other waits before its row is made; the row is found when it goes on."""
    path, beside = "execution-asset/Output_File/a.bin", lab.beside()
    lab.write({path: lab.rid})
    with lab.rigged(power=Power("catalog.insert")) as rig, suppress(Crash):
        rig.upload()
    assert lab.states() == {path: "stored"}
    beside.write({path: lab.rid})

    with beside.rigged() as rig:
        assert rig.bring().state == "uploaded"
    with lab.rigged() as rig:
        assert rig.bring().state == "uploaded"

    one, other = lab.files()[path], beside.files()[path]
    versions = lab.api.call("GET", f"{lab.api.url}{one.url.rpartition(':')[0]};versions").json()
    assert versions == [one.url] == [other.url]
    assert one.rid == other.rid


def repeated(rig, known):
    """Return what a second run did although the journal had it as done."""
    moved = {(path, phase) for path, phase, _ in rig.moved}
    sent = {call.arguments[:2] for call in rig.power.calls("store.put_chunk")}
    rows = [row for call in rig.power.calls("catalog.insert") for row in call.arguments[1]]
    urls = {row["URL"] for row in rows if "URL" in row}
    linked = {value for row in rows if "URL" not in row for value in row.values()}
    return [
        (path, what)
        for path, file in known.items()
        for what, is_repeated in (
            ("hash", file.state in HASHED and (path, "hash") in moved),
            ("send", file.state in STORED and (path, "send") in moved),
            ("chunk", acknowledged(file) & sent),
            ("insert", file.state in RECORDED and file.url in urls),
            ("link", file.state in LINKED and file.rid in linked),
        )
        if is_repeated
    ]


def acknowledged(file):
    """Return the chunks that the journal knows of: job and number."""
    return {(file.job["url"], number) for number in file.job["chunks"]} if file.job else set()


RESTORING = [(name, after) for name in ("store.put", "catalog.replace") for after in (False, True)]
LOST = "execution-asset/Model_File/lost.bin"


def lose_object(lab, who):
    """Upload a file, delete its object, and touch it; return what the journal knew of it."""
    root = lab.write({LOST: f"lost {lab.rid}"})
    with lab.rigged(who) as rig:
        rig.upload()
    before = lab.files()[LOST]
    lab.api.call("DELETE", lab.api.url + before.url)
    os.utime(root / LOST)
    return before


@pytest.mark.parametrize(("name", "after"), RESTORING)
def test_a_crash_while_a_lost_object_is_sent_again_leaves_one_row_that_names_one_version(
    lab, name, after
):
    before = lose_object(lab, "owner")
    with lab.rigged(power=Power(name, 0, after)) as rig, pytest.raises(Crash):
        rig.upload()
    with lab.rigged() as rig:
        rig.journal.void_claims()
        assert rig.upload().state is ExecutionState.UPLOADED

    now = lab.files()[LOST]
    [row] = [r for r in lab.api.rows("deriva-ml:Execution_Asset") if r["MD5"] == before.md5]
    assert (row["RID"], row["URL"]) == (before.rid, now.url)
    assert (now.rid, now.adopted) == (before.rid, False)
    assert lab.api.content(now.url) == f"lost {lab.rid}".encode()
    assert lab.api.versions()[now.url.rpartition(":")[0]] == [now.url]


def test_who_may_not_change_rows_is_told_what_right_a_lost_object_needs(lab):
    before = lose_object(lab, "writer")
    with lab.rigged("writer") as rig:
        assert rig.upload().state is ExecutionState.REFUSED
    now = lab.files()[LOST]
    assert f"row {before.rid} cannot name the new one" in now.why
    assert "for the right" in now.next
