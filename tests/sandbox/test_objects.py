"""What the real object store does, and no recorded scenario shows."""

import base64
import hashlib
import http.client
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

MD5_OF_CONTENT = base64.b64encode(hashlib.md5(b"content").digest()).decode()
MD5_OF_NOTHING = base64.b64encode(hashlib.md5(b"").digest()).decode()
MEBIBYTE = 1 << 20


@pytest.fixture
def name():
    """An object's name that was never used, in a namespace the writer may use."""
    return f"Image/{uuid.uuid4().hex}"


def open_job(client, name, nbytes, chunk_bytes, **more):
    description = {"chunk-length": chunk_bytes, "content-length": nbytes, **more}
    return client.ask("POST", f"/hatrac/{name};upload", rows=description)


def send(client, job, number, content, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.ask("PUT", f"{job.text}/{number}", body=content, headers=headers)


def test_the_writer_may_store_below_asset_tables_and_in_namespaces_of_its_own(lab, name):
    assert lab.writer.store(name).status == 201
    assert lab.writer.store(f"own-{uuid.uuid4().hex}/a/b?parents=true").status == 201


@pytest.mark.parametrize("headers", [{"Content_MD5": MD5_OF_NOTHING}, {"Content_MD5": "zzz"}])
def test_a_refused_put_leaves_a_name_without_content(lab, name, headers):
    answer = lab.writer.store(name, **headers)

    assert answer.status == 400
    assert answer.headers["Connection"] == "close"
    assert lab.writer.ask("HEAD", f"/hatrac/{name}").status == 409
    assert lab.writer.store(name, Content_MD5=MD5_OF_CONTENT, If_None_Match="*").status == 201


def test_no_hash_is_made_up(lab, name):
    lab.writer.store(name)

    head = lab.writer.ask("HEAD", f"/hatrac/{name}")

    assert head.status == 200
    assert head.headers["Content-MD5"] is None
    assert head.headers["Content-Type"] == "application/octet-stream"
    assert f"filename*=UTF-8''{name.partition('/')[2]}" == head.headers["Content-Disposition"]


def test_the_head_of_an_empty_object_has_no_length(lab, name):
    lab.writer.store(name, b"")

    assert lab.writer.ask("HEAD", f"/hatrac/{name}").headers["Content-Length"] is None


def test_a_body_must_say_its_length(lab, name):
    answer = lab.writer.ask("PUT", f"/hatrac/{name}", body=iter([b"content"]))

    assert answer.status == 411
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_body_above_128_mib_is_refused(lab, name):
    assert lab.writer.store(name, bytes(128 * MEBIBYTE + 1)).status == 413
    assert lab.writer.ask("HEAD", f"/hatrac/{name}").status == 409


@pytest.mark.parametrize(
    "text",
    [
        *[
            "a b",
            "ü日",
            "a+b",
            "100%",
            "a:b",
            "a;b",
            "q?x=1",
            "h#",
            "&=",
            "'\"",
            "\\",
            "(p)[q]",
            "@~,$!*",
            "a%2Fb",
            "a/b",
            ".hidden",
            "dot.",
        ],
        "line\nend",
        "x" * 228,
    ],
)
def test_any_name_can_be_stored_if_it_is_encoded(lab, text):
    name = f"own-{uuid.uuid4().hex}/{quote(text, safe='')}"

    answer = lab.writer.store(f"{name}?parents=true")

    assert answer.status == 201
    assert f"/hatrac/{name}" == answer.text.rpartition(":")[0]
    assert lab.writer.get(answer.text).body == b"content"
    assert lab.writer.ask("HEAD", f"/hatrac/{name}").status == 200


def test_a_name_need_not_be_utf_8(lab, name):
    assert lab.writer.store(f"{name}%FF", b"1").status == 201
    assert lab.writer.store(f"{name}%FE", b"2").status == 201
    assert lab.writer.get(f"/hatrac/{name}%ff").body == b"1"


@pytest.mark.parametrize(
    ("text", "put", "head"),
    [
        ("a+b", 400, 400),
        ("a&b", 400, 400),
        ("(a)", 400, 400),
        ("100%", 400, 400),
        ("a:b", 405, 404),
        ("a;b", 404, 404),
        (".", 400, 404),
        ("..", 400, 404),
        ("x" * 229, 500, 409),
    ],
)
def test_other_names_are_refused(lab, text, put, head):
    assert put == lab.writer.store(f"Image/{text}").status
    assert head == lab.writer.ask("HEAD", f"/hatrac/Image/{text}").status


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("filename*=UTF-8''with%20space.bin", 201),
        ("filename*=UTF-8''a%3Bb%3A%25.bin", 201),
        ("filename*=UTF-8''with space.bin", 400),
        ("filename*=UTF-8''a;b.bin", 400),
        ("filename*=UTF-8''(x).bin", 400),
        ('filename="x.bin"', 400),
        ("attachment; filename*=UTF-8''x.bin", 400),
    ],
)
def test_there_is_one_spelling_of_a_disposition(lab, name, text, status):
    assert status == lab.writer.store(name, Content_Disposition=text).status


def test_a_hole_goes_unnoticed_without_an_md5(lab, name):
    """SHA-256 is not looked at."""
    sha256 = base64.b64encode(bytes(32)).decode()
    job = open_job(lab.writer, name, 2500, 1000, **{"content-sha256": sha256})
    send(lab.writer, job, 0, b"a" * 1000)

    assert lab.writer.ask("POST", job.text).status == 201
    assert lab.writer.ask("HEAD", f"/hatrac/{name}").headers["Content-Length"] == "2500"
    assert lab.writer.get(f"/hatrac/{name}").body == b"a" * 1000


def test_a_hole_in_the_middle_reads_as_zeros(lab, name):
    job = open_job(lab.writer, name, 2500, 1000)
    send(lab.writer, job, 0, b"a" * 1000)
    send(lab.writer, job, 2, b"c" * 500)

    lab.writer.ask("POST", job.text)

    assert b"a" * 1000 + bytes(1000) + b"c" * 500 == lab.writer.get(f"/hatrac/{name}").body


def test_with_an_md5_a_hole_is_noticed_and_can_be_filled(lab, name):
    content = b"a" * 1000 + b"b" * 1000
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    job = open_job(lab.writer, name, 2000, 1000, **{"content-md5": md5})
    send(lab.writer, job, 0, content[:1000])

    assert lab.writer.ask("POST", job.text).status == 409
    assert send(lab.writer, job, 1, content[1000:]).status == 204
    assert lab.writer.ask("POST", job.text).status == 201


def test_a_chunk_that_fails_its_md5_has_replaced_the_good_one(lab, name):
    md5 = base64.b64encode(hashlib.md5(b"good").digest()).decode()
    job = open_job(lab.writer, name, 4, 4, **{"content-md5": md5})
    send(lab.writer, job, 0, b"good")

    assert send(lab.writer, job, 0, b"evil", Content_MD5=md5).status == 400
    assert lab.writer.ask("POST", job.text).status == 409


@pytest.mark.parametrize(
    ("nbytes", "chunk", "status"),
    [
        (3500, (0, 999), 409),
        (3500, (2, 999), 409),
        (3500, (3, 5), 204),  # the last one may have any length
        (3500, (4, 1), 409),
        (3000, (2, 5), 204),
        (3000, (3, 1), 409),
        (0, (0, 1), 409),
        (3500, ("abc", 1), 400),
        (3500, ("-1", 1), 400),
    ],
)
def test_a_chunk_must_be_one_of_the_jobs(lab, name, nbytes, chunk, status):
    job = open_job(lab.writer, name, nbytes, 1000)
    number, length = chunk

    assert send(lab.writer, job, number, b"x" * length).status == status


def test_two_jobs_of_one_object_may_both_end_well(lab, name):
    """And no precondition stops them."""
    jobs = [open_job(lab.writer, name, 4, 4) for _ in range(2)]
    listed = lab.writer.get(f"/hatrac/{name};upload").json
    for job in jobs:
        send(lab.writer, job, 0, b"good")

    ends = [lab.writer.ask("POST", job.text, headers={"If-None-Match": "*"}) for job in jobs]

    assert [job.text for job in jobs] == listed
    assert [end.status for end in ends] == [201, 201]
    versions = lab.writer.get(f"/hatrac/{name};versions").json
    assert {end.text for end in ends} == set(versions)


def test_a_job_is_not_asked_whether_its_chunks_fit_a_request(lab, name):
    assert open_job(lab.writer, name, 400_000_000, 200_000_000).status == 201


def test_a_version_is_named_like_the_job_that_made_it(lab, name):
    job = open_job(lab.writer, name, 0, 1000, **{"content-md5": MD5_OF_NOTHING})

    end = lab.writer.ask("POST", job.text)

    assert job.text.rpartition("/")[2] == end.text.rpartition(":")[2]


def test_a_deleted_name_is_gone_for_ever(lab, name):
    lab.writer.store(name)

    assert lab.writer.ask("DELETE", f"/hatrac/{name}").status == 204
    assert lab.writer.store(name).status == 409
    assert open_job(lab.writer, name, 4, 4).status == 409


def test_a_job_needs_an_object(lab):
    assert open_job(lab.writer, "Image", 4, 4).status == 404
    assert lab.anonymous.get("/hatrac/Image;upload").status == 404


def test_one_version_can_be_deleted(lab, name):
    first, second = lab.writer.store(name, b"1").text, lab.writer.store(name, b"2").text

    assert lab.writer.ask("DELETE", second).status == 204
    assert lab.writer.get(f"/hatrac/{name}").body == b"1"
    assert first == lab.writer.get(f"/hatrac/{name}").headers["Content-Location"]


def test_what_others_made_may_be_read_and_updated_but_not_deleted(lab, name):
    lab.owner.store(name)

    assert lab.writer.get(f"/hatrac/{name}").body == b"content"
    assert lab.writer.store(name).status == 201
    assert lab.writer.ask("DELETE", f"/hatrac/{name}").status == 403
    assert lab.writer.get(f"/hatrac/{name};versions").status == 403


def test_rights_are_given_and_taken_by_name(lab):
    space = f"/hatrac/private-{uuid.uuid4().hex}"
    headers = {"Content-Type": "application/x-hatrac-namespace"}
    lab.owner.ask("PUT", space, body=b"", headers=headers)
    store = f"{space.removeprefix('/hatrac/')}/object"
    role = f"{space};acl/create/sandbox-writer"

    assert lab.writer.store(store).status == 403
    assert lab.owner.ask("PUT", role).status == 204
    assert lab.owner.get(f"{space};acl/create").json == ["sandbox-writer"]
    assert lab.writer.store(store).status == 201
    assert lab.owner.ask("DELETE", role).status == 204
    assert lab.owner.get(role).status == 404
    assert lab.writer.store(f"{store}2").status == 403
    assert lab.owner.get(f"{space};acl/nonsense").status == 400
    assert lab.owner.ask("PUT", f"{space};acl/owner", rows=["sandbox-writer"]).status == 204
    assert lab.writer.get(f"{space};acl").json["owner"] == ["sandbox-writer"]
    assert lab.writer.get("/hatrac;acl").status == 403


def test_making_the_same_missing_parent_at_once_fails(start):
    """Measured: the server stumbles over its own key, so make the namespace first."""
    sandbox = start("--latency-ms", "200")
    answers = []

    def store(name):
        answers.append(sandbox.writer.store(f"fresh/{name}?parents=true"))

    threads = [threading.Thread(target=store, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.status for answer in answers) == [201, 500]
    (failed,) = [answer.text for answer in answers if answer.status == 500]
    assert "duplicate key value violates unique constraint" in failed
    assert sandbox.writer.store("fresh/c?parents=true").status == 201


def test_sixteen_clients_store_at_once(lab, name):
    with ThreadPoolExecutor(16) as pool:
        names = [f"{name}-{number}" for number in range(320)]
        answers = list(pool.map(lab.writer.store, names))

    assert {answer.status for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 320


def test_a_client_that_leaves_in_the_middle_stores_nothing(start):
    sandbox = start()
    for length in (100, 10 * MEBIBYTE):
        connection = http.client.HTTPConnection(sandbox.ready["host"])
        connection.putrequest("PUT", f"/hatrac/Image/left-{length}")
        connection.putheader("Authorization", f"Bearer {sandbox.writer.token}")
        connection.putheader("Content-Length", str(length))
        connection.endheaders(b"x" * (length // 2))
        connection.close()

    assert sandbox.stop() == (0, "")
    assert list((sandbox.data / "objects").iterdir()) == []


def test_large_objects_need_little_memory(start):
    sandbox = start()
    content, md5 = bytes(range(256)) * (MEBIBYTE // 4), hashlib.md5()
    for _ in range(3):
        md5.update(content)
    whole = {"content-md5": base64.b64encode(md5.digest()).decode()}
    before = peak_kib(sandbox)

    sandbox.writer.store("Image/plain", content)
    job = open_job(sandbox.writer, "Image/chunked", 3 * len(content), len(content), **whole)
    for number in range(3):
        send(sandbox.writer, job, number, content)

    assert sandbox.writer.ask("POST", job.text).status == 201
    assert content == sandbox.writer.get("/hatrac/Image/plain").body
    assert peak_kib(sandbox) - before < 40 * 1024


def peak_kib(sandbox):
    """Return the most memory that the server has had."""
    status = Path(f"/proc/{sandbox.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1])


def test_metadata_of_an_object_can_be_read_and_changed_by_its_owner(lab):
    lab.writer.store("Image/metadata.txt", b"x", Content_Type="text/plain")
    address = "/hatrac/Image/metadata.txt;metadata"

    assert lab.writer.get(address).json == {"content-type": "text/plain"}
    kind = {"Content-Type": "text/plain"}
    put = lab.writer.ask("PUT", f"{address}/content-type", body=b"text/csv", headers=kind)
    assert put.status == 204
    assert lab.writer.get(f"{address}/content-type").text == "text/csv"
    assert lab.anonymous.get(address).status == 401
    assert lab.writer.ask("DELETE", f"{address}/content-type").status == 204
    assert lab.writer.get(f"{address}/content-type").status == 404
    assert lab.writer.get("/hatrac/Image;metadata").status == 404


def test_a_version_has_access_lists_of_its_own(lab):
    version = lab.writer.store("Image/lists.txt", b"x").text

    assert lab.writer.get(f"{version};acl").json == {"owner": ["sandbox-writer"], "read": []}
    assert lab.writer.ask("PUT", f"{version};acl/read", rows=["*"]).status == 501


def test_several_ranges_are_not_guessed(lab):
    lab.writer.store("Image/ranges.txt", b"0123456789")

    for ranges in ("bytes=0-1,4-5", "lines=0-1"):
        assert lab.writer.get("/hatrac/Image/ranges.txt", Range=ranges).status == 501
    for ranges in ("bytes=5-2", "bytes=x", "bytes=-"):
        assert lab.writer.get("/hatrac/Image/ranges.txt", Range=ranges).status == 200
