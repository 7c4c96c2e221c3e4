"""The requests that an execution with one file costs, each of them, in order."""

import re
from itertools import takewhile

import pytest

from running import (
    Api,
    daemon,
    directory,
    requests_seen,
    sandbox,
    write_config,
    write_files,
)

LOOK = "GET Execution 200"  # its row, in the look after which it counts as complete
UPLOAD = [
    "GET schema 304",
    "GET Execution_Asset 200",  # has somebody recorded this content?
    "PUT object 201",
    "GET Execution_Asset 200",  # and meanwhile?
    "POST Execution_Asset 200",
    "POST Execution_Asset_Execution 200",
]
FLAT, TYPED = "assets/Execution_Asset/a.bin", "execution-asset/Model_File/a.bin"
KINDS = (
    (r"GET .*/schema", "GET schema"),
    (r"(GET|POST) .*/entity/[^:/]+:(\w+)", r"\1 \2"),
    (r"GET .*/attribute/[^:/]+:(\w+)/Name", r"GET terms of \1"),
    (r"PUT .*/attributegroup/[^:/]+:(\w+)/", r"PUT \1"),
    (r"PUT /hatrac/[^;]+", "PUT object"),
)


def named(request):
    """Return what a request does, and its status."""
    said = f"{request['method']} {request['path']}"
    for pattern, name in KINDS:
        if match := re.match(pattern, said):
            return f"{match.expand(name)} {request['status']}"
    return said


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A daemon that has uploaded an execution: it knows the model and the namespaces."""
    base = tmp_path_factory.mktemp("one")
    with sandbox(base / "server") as ready:
        api, prefix = Api(ready), base / "data"
        config = write_config(base / "daemon", ready, prefix)
        with daemon(config) as running:

            def upload(path, status):
                """Upload one file; return the requests, from the last look on."""
                rid = api.execution(status)
                before = len(requests_seen(ready))
                write_files(directory(prefix, rid), {path: f"of {rid}"})
                running.wait_for_state(rid, "uploaded")
                asked = [named(request) for request in requests_seen(ready)[before:]]
                looks = len(list(takewhile(LOOK.__eq__, asked)))
                return asked[looks - 1 :]

            upload(FLAT, None)
            upload(TYPED, None)
            yield upload


def test_one_file_costs_seven_requests(scene):
    assert scene(FLAT, None) == [LOOK, *UPLOAD]


def test_a_type_costs_two_more(scene):
    assert scene(TYPED, None) == [
        LOOK,
        UPLOAD[0],
        "GET terms of Asset_Type 200",
        *UPLOAD[1:],
        "POST Execution_Asset_Asset_Type 200",
    ]


def test_a_status_costs_three_more(scene):
    assert scene(FLAT, "Stopped") == [
        LOOK,
        *UPLOAD,
        LOOK,
        "GET terms of Execution_Status 200",
        "PUT Execution 200",
    ]
