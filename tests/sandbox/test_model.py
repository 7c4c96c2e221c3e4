"""The model of a catalog changes under its clients, and stays changed."""

from urllib.parse import quote

import pytest

SYSTEM = [
    {
        "name": name,
        "type": {"typename": f"ermrest_{name.lower()}"},
        "nullok": name in {"RCB", "RMB"},
    }
    for name in ("RID", "RCT", "RMT", "RCB", "RMB")
]
SCHEMA = "/ermrest/catalog/1/schema/demo"


def table(name, *columns, **more):
    definitions = [*SYSTEM, *({"name": each, "type": {"typename": "text"}} for each in columns)]
    keys = [{"unique_columns": ["RID"]}]
    return {"table_name": name, "column_definitions": definitions, "keys": keys, **more}


def test_a_changed_model_and_its_rows_survive_a_restart(start):
    sandbox = start()
    assert sandbox.owner.ask("POST", f"{SCHEMA}/table", rows=table("Note", "Text")).status == 201
    sandbox.writer.insert("demo:Note", {"Text": "kept"})
    column = {"name": "Size", "type": {"typename": "int4"}, "nullok": False, "default": 7}
    assert sandbox.owner.ask("POST", f"{SCHEMA}/table/Note/column", rows=column).status == 201
    sandbox.stop()

    (row,) = start().writer.select("demo:Note")

    assert (row["Text"], row["Size"]) == ("kept", 7)


def test_a_change_that_the_rows_do_not_fit_changes_nothing(start):
    sandbox = start()
    sandbox.owner.ask("POST", f"{SCHEMA}/table", rows=table("Note", "Text"))
    sandbox.writer.insert("demo:Note", {"Text": "same"}, {"Text": "same"})
    before = sandbox.owner.get("/ermrest/catalog/1/schema").json["schemas"]

    answer = sandbox.owner.ask(
        "POST", f"{SCHEMA}/table/Note/key", rows={"unique_columns": ["Text"]}
    )

    assert answer.status == 409
    assert sandbox.owner.get("/ermrest/catalog/1/schema").json["schemas"] == before
    assert len(sandbox.writer.select("demo:Note")) == 2


def test_a_new_key_holds(start):
    sandbox = start()
    sandbox.owner.ask("POST", f"{SCHEMA}/table", rows=table("Note", "Text"))
    sandbox.writer.insert("demo:Note", {"Text": "one"})
    key = {"unique_columns": ["Text"]}

    assert sandbox.owner.ask("POST", f"{SCHEMA}/table/Note/key", rows=key).status == 201
    assert sandbox.writer.insert("demo:Note", {"Text": "one"}).status == 409

    assert sandbox.owner.ask("DELETE", f"{SCHEMA}/table/Note/key/Text").status == 204
    assert sandbox.writer.insert("demo:Note", {"Text": "one"}).status == 200


def test_a_rebuilt_table_keeps_the_rows_that_refer_to_it(start):
    """A reference with ON DELETE CASCADE must not act while its target is made again."""
    sandbox = start()
    subject = sandbox.writer.insert("demo:Subject", {"Name": "S"}).json[0]["RID"]
    reference = {
        "foreign_key_columns": [{"column_name": "Of"}],
        "referenced_columns": [
            {"schema_name": "demo", "table_name": "Subject", "column_name": "RID"}
        ],
        "on_delete": "CASCADE",
    }
    note = table("Note", "Of", foreign_keys=[reference])
    sandbox.owner.ask("POST", f"{SCHEMA}/table", rows=note)
    sandbox.writer.insert("demo:Note", {"Of": subject})
    column = {"name": "More", "type": {"typename": "text"}}

    assert sandbox.owner.ask("POST", f"{SCHEMA}/table/Subject/column", rows=column).status == 201

    assert [row["Of"] for row in sandbox.writer.select("demo:Note")] == [subject]
    assert sandbox.owner.ask("DELETE", f"{SCHEMA}/table/Subject").status == 409


def test_an_annotation_moves_the_etag_of_the_model(start):
    sandbox, tag = start(), quote("tag:example.org,2026:x", safe="")
    address = f"{SCHEMA}/table/Subject/annotation/{tag}"
    before = sandbox.writer.get("/ermrest/catalog/1/schema").headers["ETag"]

    assert sandbox.owner.ask("PUT", address, rows={"a": 1}).status == 201
    assert sandbox.writer.get("/ermrest/catalog/1/schema").headers["ETag"] != before

    assert sandbox.owner.ask("DELETE", address).status == 204
    assert sandbox.owner.ask("DELETE", address).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/table/Subject/column/RID", None),
        ("PUT", "/table/Subject/column/Name", {"type": {"typename": "int4"}}),
        ("POST", "/table/Subject/column", {"name": "X", "type": {"typename": "tsvector"}}),
        ("PUT", "/table/Subject/acl/select", ["*"]),
    ],
)
def test_what_the_sandbox_does_not_know_it_does_not_guess(lab, method, path, body):
    assert lab.owner.ask(method, SCHEMA + path, rows=body).status == 501
