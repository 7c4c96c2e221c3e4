"""ERMrest, against the sandbox: the model, rows, conflicts, leases, statuses."""

import json
import threading
import uuid
from itertools import count, pairwise
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.core.errors import CredentialError, RefusedError, TransientError
from deriva_watch.core.model import TableName
from deriva_watch.edges.server.catalog import Ermrest, pages
from deriva_watch.edges.server.deriva import Server
from deriva_watch.sandbox import starter
from running import credential, requests_seen, sandbox

SUBJECT = TableName("demo", "Subject")
OBSERVATION = TableName("demo", "Observation")
EXECUTION = TableName("deriva-ml", "Execution")
TYPE = TableName("deriva-ml", "Asset_Type")
LEASE = TableName("public", "ERMrest_RID_Lease")
ODD = TableName("odd", "Odd Table")
ODD_COLUMN = "a:b/c & 100%, ü"


def odd_schema():
    """The sandbox's own schema, and a table with names that must be quoted."""
    document = json.loads(starter.schema_text())
    text = json.dumps(document["schemas"]["demo"]["tables"]["Subject"])
    for old, new in (("Subject", "Odd Table"), ("demo", "odd"), ("Name", ODD_COLUMN)):
        text = text.replace(json.dumps(old), json.dumps(new))
    tables = {"Odd Table": json.loads(text)}
    demo = document["schemas"]["demo"]
    document["schemas"]["odd"] = demo | {"schema_name": "odd", "tables": tables}
    return document


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "schema.json").write_text(json.dumps(odd_schema()))
    (folder / "rows.json").write_text(json.dumps(starter.ROWS))
    with sandbox(folder / "data", folder / "schema.json", folder / "rows.json") as ready:
        yield ready


@pytest.fixture
def server(ready):
    with Server(ready["host"], credential(ready), protocol="http") as server:
        yield server


@pytest.fixture
def catalog(ready, server):
    return Ermrest(server, ready["catalog"])


@pytest.fixture
def writer(ready):
    with Server(ready["host"], credential(ready, "writer"), protocol="http") as server:
        yield Ermrest(server, ready["catalog"])


@pytest.fixture
def fresh():
    """Makes names that no other test has."""
    run, numbers = uuid.uuid4().hex, count()
    return lambda: f"{run} {next(numbers)}"


# ---------------------------------------------------------------- lists in addresses


@given(st.lists(st.text(min_size=1)), st.integers(1, 60))
def test_pages_hold_every_value_once_in_order(texts, room_bytes):
    found = list(pages(texts, room_bytes))

    assert [unquote(text) for page in found for text in page.split(",")] == texts
    assert all(len(page) <= room_bytes for page in found if "," in page)


@given(st.lists(st.text("ab", min_size=1, max_size=3)))
def test_pages_are_as_few_as_they_can_be(texts):
    found = list(pages(texts, 10))

    for page, following in pairwise(found):
        assert len(page) + 1 + len(following.partition(",")[0]) > 10


# ---------------------------------------------------------------- the model


def test_the_model_is_read_once_and_asked_for_again(ready, catalog):
    model = catalog.model()

    assert catalog.model() is model
    catalog.terms(TYPE)  # whatever came before it is in the log
    asked = [r["status"] for r in requests_seen(ready) if r["path"].endswith("/schema")]
    assert asked[-2:] == [200, 304]
    assert SUBJECT in model.tables


def test_an_unknown_catalog_is_refused(server):
    with pytest.raises(RefusedError, match="cannot read the model in catalog 99") as raised:
        Ermrest(server, "99").model()

    assert raised.value.status == 404


def test_a_stranger_is_asked_to_log_in(ready):
    with (
        Server(ready["host"], {"bearer-token": "nonsense"}, protocol="http") as server,
        pytest.raises(CredentialError),
    ):
        Ermrest(server, ready["catalog"]).model()


# ---------------------------------------------------------------- reading


def test_rows_come_back_by_value(catalog, fresh):
    names = [fresh() for _ in range(3)]
    catalog.insert(SUBJECT, [{"Name": name} for name in names])

    rows = catalog.rows_with(SUBJECT, "Name", [*names, names[0], "nobody"])

    assert sorted(row["Name"] for row in rows) == names


def test_long_lists_go_in_pages_that_the_server_takes(ready, catalog, fresh):
    names = [fresh() + "ü" * 20 for _ in range(300)]
    catalog.insert(SUBJECT, [{"Name": name} for name in names])
    before = len(requests_seen(ready))

    rows = catalog.rows_with(SUBJECT, "Name", names)

    assert sorted(row["Name"] for row in rows) == sorted(names)
    paths = [request["path"].partition("?")[0] for request in requests_seen(ready)[before:]]
    assert len(paths) > 10
    assert max(map(len, paths)) <= 3500


def test_nothing_needs_no_request():
    with Server("127.0.0.1:9", {"cookie": "a=b"}, protocol="http") as nowhere:
        catalog = Ermrest(nowhere, "1")

        assert catalog.rows_with(SUBJECT, "Name", []) == []
        assert catalog.insert(SUBJECT, []) == []


def test_null_and_the_empty_text_are_values_too(catalog, fresh):
    """NULL equals nothing, and an empty item of a list is none."""
    name = fresh()
    texts = [None, "", "null", name]
    made = catalog.insert(EXECUTION, [{"Description": text, "Duration": name} for text in texts])
    mine = {row["RID"] for row in made}

    found = catalog.rows_with(EXECUTION, "Description", [None, "", name])

    assert {row["Description"] for row in found if row["RID"] in mine} == {None, "", name}
    for text in texts:
        [row] = catalog.rows_where(EXECUTION, {"Description": text, "Duration": name})
        assert row["Description"] == text


def test_every_name_and_value_is_quoted(catalog, fresh):
    values = [fresh() + odd for odd in (",)(;&=", "::null::", "%41", "../x?y#z", "ü \\ '\"")]
    catalog.insert(ODD, [{ODD_COLUMN: value} for value in values])

    found = catalog.rows_with(ODD, ODD_COLUMN, values)

    assert sorted(row[ODD_COLUMN] for row in found) == sorted(values)
    for value in values:
        [row] = catalog.rows_where(ODD, {ODD_COLUMN: value})
        assert row[ODD_COLUMN] == value


def test_a_table_that_is_not_there_is_refused(catalog):
    with pytest.raises(RefusedError) as raised:
        catalog.rows_where(TableName("demo", "Nowhere"), {"RID": "1"})

    assert raised.value.status == 409


def test_terms_are_names(catalog):
    assert {"Image", "Model_File"} <= catalog.terms(TYPE)


def test_a_rid_tells_its_table(catalog):
    [row] = catalog.rows_where(SUBJECT, {"Name": "subject-1"})

    assert catalog.rid_table(row["RID"]) == SUBJECT
    assert catalog.rid_table("9ZZZ-ZZZ9") is None
    assert catalog.rid_table("no rid / at all") is None


def test_an_execution_is_its_row(catalog):
    [made] = catalog.insert(EXECUTION, [{"Description": "one"}])

    assert catalog.execution(made["RID"]) == made
    assert catalog.execution("9ZZZ-ZZZ9") is None


# ---------------------------------------------------------------- inserting


def test_rows_come_back_in_the_order_sent(catalog, fresh):
    names = [fresh() for _ in range(50)][::-1]

    rows = catalog.insert(SUBJECT, [{"Name": name} for name in names])

    assert [row["Name"] for row in rows] == names


def test_rows_that_are_there_are_skipped(catalog, fresh):
    old, new = fresh(), fresh()
    catalog.insert(SUBJECT, [{"Name": old}])

    rows = catalog.insert(SUBJECT, [{"Name": old}, {"Name": new}])

    assert [row["Name"] for row in rows] == [new]


def test_columns_that_nobody_gives_take_their_defaults(catalog, fresh):
    [term] = catalog.insert(TYPE, [{"Name": fresh(), "Description": "a type"}])

    assert term["ID"] == f"deriva-ml:{term['RID']}"
    assert term["URI"] == f"/id/{term['RID']}"


def test_what_only_some_rows_give_is_null_in_the_others(catalog):
    subject = catalog.rows_where(SUBJECT, {"Name": "subject-1"})[0]["RID"]
    rows = [{"Subject": subject}, {"Subject": subject, "Observation_Date": "2026-11-22"}]

    made = catalog.insert(OBSERVATION, rows)

    assert [row["Observation_Date"] for row in made] == [None, "2026-11-22"]


def test_an_unknown_column_is_refused_before_anything_is_sent(catalog, fresh):
    """The server would ignore it and answer 200."""
    name = fresh()

    with pytest.raises(RefusedError, match="no column Colour, Size"):
        catalog.insert(SUBJECT, [{"Name": name}, {"Name": name, "Size": 1, "Colour": "red"}])

    assert catalog.rows_where(SUBJECT, {"Name": name}) == []


def test_one_bad_row_refuses_all_with_its_reason_and_status(catalog):
    good = catalog.rows_where(SUBJECT, {"Name": "subject-1"})[0]["RID"]

    with pytest.raises(RefusedError, match=r"Key \(Subject\)=\(9ZZZ\) is not present") as raised:
        catalog.insert(OBSERVATION, [{"Subject": good}, {"Subject": "9ZZZ"}])

    assert raised.value.status == 409
    assert raised.value.what == "cannot insert 2 rows into demo:Observation in catalog 1"


def test_a_missing_value_is_refused_without_showing_the_row(catalog):
    with pytest.raises(RefusedError, match="not-null") as raised:
        catalog.insert(OBSERVATION, [{"Subject": None, "Observation_Date": "1971-02-03"}])

    assert "1971" not in str(raised.value)


def test_a_key_twice_in_one_request_is_refused(catalog, fresh):
    row = {"Name": fresh()}

    with pytest.raises(RefusedError) as raised:
        catalog.insert(SUBJECT, [row, row])

    assert raised.value.status == 400


def test_writers_at_once_are_told_to_come_back(ready, fresh):
    """The losers' transactions are aborted; nothing of theirs is stored, nothing is lost."""
    passing, made = [], []

    def write():
        with Server(ready["host"], credential(ready), protocol="http") as server:
            catalog = Ermrest(server, ready["catalog"])
            for row in [{"Name": fresh()} for _ in range(15)]:
                while True:
                    try:
                        made.extend(catalog.insert(SUBJECT, [row]))
                        break
                    except TransientError as error:
                        passing.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 60
    assert all("Transaction aborted" in error.why for error in passing)


# ---------------------------------------------------------------- RIDs


def test_a_leased_rid_is_claimable_by_who_leased_it(catalog, writer, fresh):
    mine = [row["RID"] for row in writer.insert(LEASE, [{"ID": fresh()}, {"ID": fresh()}])]
    [theirs] = [row["RID"] for row in catalog.insert(LEASE, [{"ID": fresh()}])]

    assert writer.claimable([*mine, theirs, "9ZZZ-ZZZ9"]) == set(mine)
    assert writer.claimable([]) == set()


def test_the_owner_may_claim_any_rid(catalog):
    assert catalog.claimable(iter(["9ZZZ-ZZZ9", "1-0000"])) == {"9ZZZ-ZZZ9", "1-0000"}


def test_a_given_rid_is_kept(writer, fresh):
    [lease] = writer.insert(LEASE, [{"ID": fresh()}])
    row = {"RID": lease["RID"], "Name": fresh()}

    [made] = writer.insert(SUBJECT, [row], given_rids=True)

    assert made["RID"] == lease["RID"]
    assert writer.claimable([lease["RID"]]) == set()


def test_a_claim_sent_again_is_a_403(writer, fresh):
    """The lease is used up. So nothing but the caller may send such a POST again."""
    [lease] = writer.insert(LEASE, [{"ID": fresh()}])
    row = {"RID": lease["RID"], "Name": fresh()}
    writer.insert(SUBJECT, [row], given_rids=True)

    with pytest.raises(RefusedError, match="non-leased value") as raised:
        writer.insert(SUBJECT, [row], given_rids=True)

    assert raised.value.status == 403


# ---------------------------------------------------------------- the status of an execution


@pytest.mark.parametrize("old", [None, "Stopped"])
def test_a_status_moves_from_what_it_was(catalog, old):
    [made] = catalog.insert(EXECUTION, [{"Status": old}])

    assert catalog.move_status(made["RID"], old, "Uploaded")
    assert catalog.execution(made["RID"])["Status"] == "Uploaded"


@pytest.mark.parametrize("old", [None, "Stopped", "Uploaded"])
def test_a_status_that_somebody_moved_stays(catalog, old):
    [made] = catalog.insert(EXECUTION, [{"Status": "Running"}])

    assert not catalog.move_status(made["RID"], old, "Pending_Upload")
    assert catalog.execution(made["RID"])["Status"] == "Running"


def test_a_status_without_a_term_is_refused(catalog):
    [made] = catalog.insert(EXECUTION, [{"Status": "Running"}])

    with pytest.raises(RefusedError) as raised:
        catalog.move_status(made["RID"], "Running", "Perfect")

    assert raised.value.status == 409


def test_a_writer_without_the_right_is_told_so(catalog, writer):
    [made] = catalog.insert(EXECUTION, [{"Status": "Running"}])

    with pytest.raises(RefusedError, match="update access on :deriva-ml:Execution") as raised:
        writer.move_status(made["RID"], "Running", "Uploaded")

    assert raised.value.status == 403
    assert raised.value.next.startswith("Ask the administrator")
