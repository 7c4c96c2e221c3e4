"""From a file to an object version of its own: names, orphans, races, jobs, files that move."""

import hashlib
import shutil
from contextlib import suppress

import pytest

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.states import FileState
from engine.files.changing import CHANGES, remove
from engine.rig import BUSY, Crash, Power, earlier, first, image, instead, stored, unheard

NAME = "execution-asset/Model_File/a.bin"


def versions(lab, url):
    """Return the versions of the object that *url* names, the newest first."""
    return lab.api.call("GET", f"{lab.api.url}{url.rpartition(':')[0]};versions").json()


def jobs(lab, content, table="Execution_Asset"):
    """Return the open jobs of an object."""
    name = f"/hatrac/{table}/{hashlib.md5(content).hexdigest()}.a.bin"
    return lab.api.call("GET", f"{lab.api.url}{name};upload").json()


# ---------------------------------------------------------------- names with content


@pytest.mark.parametrize("size_bytes", [10, 3000])
def test_a_version_that_nobodys_row_stands_for_is_taken(lab, size_bytes):
    """An earlier crash left it there."""
    content = f"{lab.rid:*<{size_bytes}}".encode()
    orphan = stored(lab.api, content, "a.bin")
    lab.write({image("a.bin"): content})

    with lab.rigged() as rig:
        rig.upload()

    assert lab.files()[image("a.bin")].url == orphan
    assert versions(lab, orphan) == [orphan]
    assert "store.open_job" not in rig.power.names


def test_a_version_comes_after_one_that_somebodys_row_stands_for(lab):
    content = lab.rid.encode()
    row = earlier(lab.api, content, "a.bin", Subject="1-S002")
    etag = lab.api.head(row["URL"])["ETag"]
    lab.write({image("a.bin"): content})

    with lab.rigged() as rig:
        rig.upload()

    puts = [(call.options["replaces"], call.result) for call in rig.power.calls("store.put")]
    ours = lab.files()[image("a.bin")].url
    assert puts == [(None, None), (etag, ours)]
    assert versions(lab, ours) == [ours, row["URL"]]


def test_a_version_of_another_content_is_not_ours_whatever_its_name_says(lab):
    content = lab.rid.encode()
    name = f"/hatrac/Image/{hashlib.md5(content).hexdigest()}.a.bin"
    wrong = lab.api.call("PUT", f"{lab.api.url}{name}?parents=true", data=b"wrong")
    lab.write({image("a.bin"): content})

    with lab.rigged() as rig:
        assert rig.upload().state == "uploaded"

    ours = lab.files()[image("a.bin")].url
    assert versions(lab, ours) == [ours, wrong.headers["Location"]]
    assert lab.api.content(ours) == content


def test_the_version_of_a_file_that_is_no_more_is_taken_by_one_that_says_the_same(lab):
    """It was moved after it was stored and before it had a row."""
    one, other = "execution-asset/Output_File/a.bin", NAME
    root = lab.write({one: lab.rid})
    with lab.rigged(power=Power("catalog.insert")) as rig, suppress(Crash):
        rig.upload()
    url = lab.files()[one].url
    (root / one).unlink()
    lab.write({other: lab.rid})

    with lab.rigged() as rig:
        assert rig.bring().state == "uploaded"

    assert lab.states() == {one: "gone", other: "linked"}
    assert versions(lab, url) == [url] == [lab.files()[other].url]


def test_a_race_for_a_name_ends_with_a_version_for_everybody(lab):
    content = lab.rid.encode()
    lab.write({image("a.bin"): content})
    theirs = []

    def come_first(*_):
        theirs.append(earlier(lab.api, content, "a.bin", Subject="1-S002")["URL"])

    with lab.rigged() as rig:
        rig.store.then["put"] = [first(come_first)] * 3
        assert rig.upload().state == "uploaded"

    ours = lab.files()[image("a.bin")].url
    assert sorted(versions(lab, ours)) == sorted([ours, *theirs])


def test_a_race_that_does_not_end_is_left_for_later(lab):
    content = lab.rid.encode()
    lab.write({image("a.bin"): content})

    def come_first(*_):
        earlier(lab.api, content, "a.bin", Subject="1-S002")

    with lab.rigged() as rig:
        rig.store.then["put"] = [first(come_first)] * 20
        record = rig.upload()
        assert (record.state, lab.files()[image("a.bin")].state) == ("waiting", "hashed")
        assert record.why.startswith("others keep writing to /hatrac/Image/")

        rig.store.then.clear()
        assert rig.upload().state == "uploaded"


def test_files_with_one_name_and_content_get_a_version_each(lab):
    """They are sent at the same time, by several threads."""
    subjects, observations = ["1-S001", "1-S002", "1-S003"], ["__NULL__", "1-B001"]
    paths = [image("a.bin", s, o) for s in subjects for o in observations]
    lab.write(dict.fromkeys(paths, lab.rid))

    with lab.rigged() as rig:
        assert rig.upload().state == "uploaded"

    files = lab.files().values()
    assert sorted(file.url for file in files) == sorted(versions(lab, next(iter(files)).url))
    assert len({file.rid for file in files}) == len(paths)


def test_empty_files_of_one_name_that_are_sent_at_once_get_a_version_each(lab):
    """An upload job has no precondition: only the claim of the first keeps them apart."""
    name = f"{lab.rid}.bin"
    paths = [image(name, f"1-S00{number}") for number in (1, 2)]
    lab.write(dict.fromkeys(paths, ""))

    with lab.rigged() as rig:
        assert rig.upload().state == "uploaded"

    assert len({lab.files()[path].url for path in paths}) == 2


def test_a_name_that_was_deleted_for_ever_is_refused_and_its_neighbour_is_not(lab):
    gone = stored(lab.api, lab.rid.encode(), "a.bin").rpartition(":")[0]
    lab.api.call("DELETE", lab.api.url + gone)
    lab.write({image("a.bin"): lab.rid, image("b.bin"): lab.rid})

    with lab.rigged() as rig:
        assert rig.upload().state == "refused"

    files = lab.files()
    assert files[image("b.bin")].state == "linked"
    assert "not available" in files[image("a.bin")].why


@pytest.mark.parametrize("method", ["make_namespace", "put", "head", "open_job", "finish_job"])
def test_a_moment_in_which_the_store_is_busy_is_ridden_out(lab, method):
    lab.write({image("a.bin"): lab.rid, NAME: f"{lab.rid:*<3000}"})

    with lab.rigged() as rig:
        rig.store.then[method] = [instead(BUSY)] * 2
        assert rig.upload().state == "uploaded"


# ---------------------------------------------------------------- names that are long


LONG = [f"{'x' * 250}.{end}" for end in ("a", "b")] + [f"{'%é' * 84}{end}" for end in "ab"]


def test_long_names_are_cut_in_the_store_and_whole_in_the_catalog(lab):
    """Names that are cut to the same, with the same content, are still different assets."""
    lab.write({f"execution-asset/Image/{name}": lab.rid for name in LONG})

    with lab.rigged() as rig:
        assert rig.upload().state == "uploaded"

    md5 = hashlib.md5(lab.rid.encode()).hexdigest()
    rows = [row for row in lab.api.rows("deriva-ml:Execution_Asset") if row["MD5"] == md5]
    assert sorted(row["Filename"] for row in rows) == sorted(LONG)
    names = {row["URL"].rpartition("/")[2].rpartition(":")[0] for row in rows}
    assert len(names) == 2
    assert max(map(len, names)) + 27 <= 255
    assert len({row["URL"] for row in rows}) == len(LONG)
    for row in rows:
        assert lab.api.content(row["URL"]) == lab.rid.encode()


# ---------------------------------------------------------------- upload jobs


@pytest.fixture
def big(lab):
    """A file of five chunks."""
    content = f"{lab.rid:*<4500}".encode()
    lab.write({NAME: content})
    return content


def one_by_one(lab, *arguments, **options):
    """Put the parts together with one connection: the chunks come in their order."""
    return lab.rigged(*arguments, connections=1, **options)


def interrupted(lab, at):
    """Upload until the power fails before chunk number *at*; return the job that is left."""
    with one_by_one(lab, power=Power("store.put_chunk", at)) as rig:
        with suppress(Crash):
            rig.upload()
        rig.journal.void_claims()
    [file] = lab.files().values()
    return file.job


def chunks(rig):
    return [call.arguments[:2] for call in rig.power.calls("store.put_chunk")]


def test_a_job_goes_on_at_the_first_chunk_that_was_not_acknowledged(lab, big):
    job = interrupted(lab, 2)
    assert (job["chunks"], job["resumed"]["bytes"]) == ([0, 1], 0)
    again = interrupted(lab, 2)
    assert (again["chunks"], again["resumed"]["bytes"]) == ([0, 1, 2, 3], 2 * again["chunk_bytes"])

    with one_by_one(lab) as rig:
        rig.upload()

    assert chunks(rig) == [(job["url"], 4)]
    url = lab.files()[NAME].url
    assert lab.api.content(url) == big
    assert (lab.files()[NAME].job, jobs(lab, big)) == (None, [])


@pytest.mark.parametrize("chunk_bytes", [700, 100_000])
def test_a_job_keeps_the_length_of_chunks_that_it_began_with(lab, big, chunk_bytes):
    job = interrupted(lab, 2)

    with one_by_one(lab, chunk_bytes=chunk_bytes) as rig:
        rig.upload()

    assert chunks(rig) == [(job["url"], number) for number in (2, 3, 4)]
    assert lab.api.content(lab.files()[NAME].url) == big


def test_a_job_that_is_gone_is_begun_again(lab, big):
    job = interrupted(lab, 2)
    lab.api.call("DELETE", lab.api.url + job["url"])

    with one_by_one(lab) as rig:
        rig.upload()

    [begun] = {url for url, _ in chunks(rig)}
    assert begun != job["url"]
    assert [number for _, number in chunks(rig)] == [0, 1, 2, 3, 4]
    assert lab.api.content(lab.files()[NAME].url) == big


@pytest.mark.usefixtures("big")
def test_a_job_that_somebody_else_began_is_not_ours_to_go_on_with(lab):
    """The daemon came back with another credential."""
    job = interrupted(lab, 2)

    with one_by_one(lab, "writer") as rig:
        assert rig.upload().state == "uploaded"

    assert job["url"] not in {url for url, _ in chunks(rig)}
    why = f"its upload job {job['url']} belongs to another identity: we cannot cancel it"
    assert (NAME, why) in {(told.about, told.why) for told in rig.told("notice.added")}


def opening(lab):
    """Upload until the power fails once a job is open, and before anybody knows which."""
    with one_by_one(lab, power=Power("store.open_job", after=True)) as rig:
        with suppress(Crash):
            rig.upload()
        rig.journal.void_claims()


def test_a_job_that_nobody_heard_of_is_gone_on_with(lab, big):
    url = lab.api.url + f"/hatrac/Execution_Asset/{hashlib.md5(big).hexdigest()}.a.bin;upload"
    opening(lab)
    [job] = jobs(lab, big)
    assert "url" not in lab.files()[NAME].job

    with one_by_one(lab) as rig:
        assert rig.upload().state == "uploaded"

    assert "store.open_job" not in rig.power.names
    assert chunks(rig) == [(job, number) for number in range(5)]
    assert lab.api.call("GET", url).json() == []


def test_of_several_jobs_only_those_are_ours_that_came_after_we_looked(lab, big):
    """Another program with our credential may send the same at the same time."""
    size = {"chunk-length": 100, "content-length": len(big)}
    name = f"/hatrac/Execution_Asset/{hashlib.md5(big).hexdigest()}.a.bin"
    url = f"{lab.api.url}{name};upload?parents=true"
    theirs = lab.api.call("POST", url, json=size).headers["Location"]
    opening(lab)

    with one_by_one(lab) as rig:
        assert rig.upload().state == "uploaded"

    assert {job for job, _ in chunks(rig)}.isdisjoint({theirs})
    assert jobs(lab, big) == [theirs]


@pytest.mark.parametrize("begin", [opening, lambda lab: interrupted(lab, 2)])
@pytest.mark.parametrize("gone", ["the file", "its folder"])
def test_the_job_of_a_file_that_is_no_more_is_cancelled(lab, big, begin, gone):
    begin(lab)
    assert len(jobs(lab, big)) == 1
    root = lab.folder / "data/deriva-ml/execution" / lab.rid
    shutil.rmtree(root)
    if gone == "the file":
        lab.write({image("b.bin"): f"another {lab.rid}"})

    with one_by_one(lab) as rig:
        rig.bring()
        rig.parts.attempts.sweep()
        rig.parts.attempts.sweep()

    assert jobs(lab, big) == []
    assert lab.files()[NAME].job is None
    assert rig.power.names.count("store.cancel_job") == 1


@pytest.mark.parametrize("now", ["small", "other " * 1000])
def test_the_job_of_a_content_that_is_no_more_is_cancelled(lab, big, now):
    job = interrupted(lab, 2)
    lab.write({NAME: f"{now} {lab.rid}"})

    with one_by_one(lab) as rig:
        assert rig.bring().state == "uploaded"

    assert lab.api.content(lab.files()[NAME].url) == f"{now} {lab.rid}".encode()
    assert jobs(lab, big) == []
    assert job["url"] not in {url for url, _ in chunks(rig)}


def test_the_job_of_a_content_that_came_otherwise_is_cancelled(lab):
    path, content = image("a.bin"), f"{lab.rid:*<4500}".encode()
    lab.write({path: content})
    interrupted(lab, 2)
    row = earlier(lab.api, content, "a.bin", Subject="1-S001")

    with one_by_one(lab) as rig:
        assert rig.upload().state == "uploaded"

    assert (lab.files()[path].rid, lab.files()[path].adopted) == (row["RID"], True)
    assert jobs(lab, content, "Image") == []


@pytest.mark.usefixtures("big")
def test_a_lost_answer_to_the_end_of_a_job_is_found_out(lab):
    """The second end finds no job; the version is there."""
    with one_by_one(lab) as rig:
        rig.store.then["finish_job"] = [unheard(BUSY)]
        assert rig.upload().state == "uploaded"

    url = lab.files()[NAME].url
    assert versions(lab, url) == [url]
    assert rig.power.names.count("store.open_job") == 1


def test_a_job_with_a_wrong_chunk_is_sent_again(lab, big):
    """Its end is refused: the journal does not know which chunk it is, nor does the server."""
    job = interrupted(lab, 2)
    lab.api.call("PUT", f"{lab.api.url}{job['url']}/0", data=b"#" * 1000)

    with one_by_one(lab) as rig:
        assert rig.upload().state == "waiting"
        assert rig.upload().state == "uploaded"

    url = lab.files()[NAME].url
    assert versions(lab, url) == [url]
    assert lab.api.content(url) == big
    assert jobs(lab, big) == []


# ---------------------------------------------------------------- files that move under us


@pytest.mark.parametrize("size_bytes", [50, 4500])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_before_it_is_sent_starts_over(lab, change, size_bytes):
    path = lab.write({NAME: f"{lab.rid:*<{size_bytes}}"}) / NAME

    with lab.rigged() as rig:
        rig.store.then["make_namespace"] = [first(lambda _: change(path))]
        record = rig.upload()

        assert (record.state, lab.states()) == ("filling", {NAME: "found"})
        assert {"catalog.insert"}.isdisjoint(rig.power.names)


@pytest.mark.parametrize(("size_bytes", "method"), [(50, "put"), (4500, "put_chunk")])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_sent_starts_over(lab, change, size_bytes, method):
    """Nothing is recorded of what it was; what it then is comes in."""
    path = lab.write({NAME: f"{lab.rid:*<{size_bytes}}"}) / NAME

    with lab.rigged() as rig:
        rig.store.then[method] = [first(lambda *_: change(path))]
        record = rig.upload()
        assert (record.state, lab.states()) == ("filling", {NAME: "found"})
        assert {"catalog.insert"}.isdisjoint(rig.power.names)

        if change is remove:
            return
        assert rig.upload().state == "uploaded"
        url = lab.files()[NAME].url
    assert lab.api.content(url) == path.read_bytes()


def test_the_stop_event_ends_a_long_send(lab):
    """The bytes that were acknowledged are not sent again."""
    lab.write({NAME: f"{lab.rid:*<9500}"})

    with one_by_one(lab) as rig:
        acts = [rig.stop.is_set] * 3 + [rig.stop.set]
        rig.store.then["put_chunk"] = [first(lambda *_, act=act: act()) for act in acts]
        assert rig.upload().state == "ready"
        assert lab.files()[NAME].job["chunks"] == [0, 1, 2]

    with one_by_one(lab) as rig:
        assert rig.upload().state == "uploaded"
        assert [number for _, number in chunks(rig)] == list(range(3, 10))


# ---------------------------------------------------------------- namespaces


def test_a_namespace_that_is_gone_is_looked_for_once_more(lab):
    gone = RefusedError("cannot store it", "the namespace is gone", "", status=404)
    lab.write({image("a.bin"): lab.rid.encode()})

    with lab.rigged() as rig:
        rig.store.then["put"] = [instead(gone)]
        rig.upload()

    assert lab.files()[image("a.bin")].state is FileState.LINKED
    assert rig.power.names.count("store.make_namespace") == 2
    assert rig.power.names.count("store.put") == 2
