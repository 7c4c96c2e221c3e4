"""What is no answer is a transient error that names its address, whoever sent it."""

import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deriva_watch.core.errors import RefusedError, ServerBusyError
from deriva_watch.core.model import TableName
from deriva_watch.edges.server import answer_shapes
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.hatrac import Hatrac
from edges.server.test_deriva import answer, talking

TABLE = TableName("s", "t")
PORTAL = "<html><title>Login</title>hotel wifi</html>"
DEEP = "[" * 200_000
NO_ANSWERS = ["", "null", "[]", "{}", '[1,"x",null]', "12", '"x"', "[{}]", PORTAL, DEEP, '[{"RID":']

SCHEMA = {
    "schemas": {
        "s": {
            "schema_name": "s",
            "tables": {
                "t": {
                    "schema_name": "s",
                    "table_name": "t",
                    "column_definitions": [
                        {"name": "RID", "type": {"typename": "text"}, "nullok": False},
                        {"name": "A", "type": {"typename": "text"}, "nullok": True},
                    ],
                    "keys": [],
                    "foreign_keys": [],
                }
            },
        }
    }
}
MODEL = answer(200, json.dumps(SCHEMA))


def catalog(server):
    return Ermrest(server, "1")


CALLS = {
    "session": lambda server: server.session(),
    "model": lambda server: catalog(server).model(),
    "rows": lambda server: catalog(server).rows_with(TABLE, "A", ["x"]),
    "row's table": lambda server: catalog(server).rid_table("1-ABCD"),
    "query": lambda server: catalog(server).query("/entity/s:t"),
    "update": lambda server: catalog(server).replace(TABLE, {"A": "x"}, {"A": "y"}),
    "put": lambda server: catalog(server).put("/attributegroup/s:t/RID;A", [{"RID": "1"}]),
    "status": lambda server: catalog(server).move_status("1-ABCD", "Stopped", "Uploaded"),
    "terms": lambda server: catalog(server).terms(TABLE),
    "lease": lambda server: catalog(server).lease(["one"]),
    "head": lambda server: Hatrac(server).head("/hatrac/x"),
    "job": lambda server: Hatrac(server).job("/hatrac/x;upload/1"),
    "jobs": lambda server: Hatrac(server).jobs("/hatrac/x"),
}
LISTS = {"rows", "query", "update", "put", "status", "terms", "jobs"}  # which may be empty


WRONG = [
    (call, body)
    for call in CALLS
    for body in NO_ANSWERS
    if not (body == "[]" and call in {*LISTS, "lease"})  # an empty list is an answer
    and not (body == "[{}]" and call in {"query", "update", "put", "status"})  # so is this row
    and not (call == "head" and body)  # HEAD has no body
]


@pytest.mark.parametrize(("call", "body"), WRONG, ids=lambda each: each[:12] or "nothing")
def test_what_is_no_answer_is_tried_again_and_named(call, body):
    with (
        talking([answer(200, body)] * 3) as (listener, server),
        pytest.raises(ServerBusyError) as raised,
    ):
        CALLS[call](server)

    assert listener.host in raised.value.why or "object store" in raised.value.why


@given(body=st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=5))
@settings(max_examples=10)
def test_no_json_ends_the_program(body):
    with talking([answer(200, json.dumps(body))] * 2 * len(CALLS)) as (_, server):
        for name, call in CALLS.items():
            if name != "head":
                with suppress(ServerBusyError, RefusedError):
                    call(server)


def test_a_packed_answer_that_is_too_long_is_cut_off(monkeypatch):
    monkeypatch.setattr(answer_shapes, "LARGEST_ANSWER_BYTES", 1 << 20)
    bomb = gzip.compress(b"[" + b" " * (8 << 20) + b"]")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"

    with (
        talking([head.encode() + bomb]) as (_, server),
        pytest.raises(ServerBusyError, match="longer than 1 MiB"),
    ):
        catalog(server).query("/entity/s:t")


def test_an_answer_with_more_values_than_the_memory_is_for_is_none():
    many = answer(200, "[" + "{}," * 1_500_000 + "{}]")

    with (
        talking([many]) as (_, server),
        pytest.raises(ServerBusyError, match="is not JSON: it has more than 4,000,000 values"),
    ):
        catalog(server).query("/entity/s:t")


def test_an_error_that_repeats_its_title_for_ever_is_read_at_once():
    """Searching all of it takes the square of its length."""
    page = answer(500, "<title>" * 1_000_000)

    with talking([page]) as (_, server), pytest.raises(ServerBusyError, match="500"):
        catalog(server).query("/entity/s:t")


def test_a_row_that_comes_back_without_a_column_tells_that_the_model_has_changed():
    """The real server ignores a column that was dropped since, and answers 200."""
    back = answer(200, json.dumps([{"RID": "1"}]))
    changed = json.loads(json.dumps(SCHEMA))
    del changed["schemas"]["s"]["tables"]["t"]["column_definitions"][1]

    now = answer(200, json.dumps(changed))
    with talking([MODEL, back, now, now]) as (_, server):
        rows = catalog(server)
        with pytest.raises(ServerBusyError, match="has no column A any more"):
            rows.insert(TABLE, [{"A": "x"}])
        with pytest.raises(RefusedError, match="it has no column A"):
            rows.insert(TABLE, [{"A": "x"}])
