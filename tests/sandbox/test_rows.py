"""What the real catalog does with rows, and no recorded scenario shows."""

import json
import threading
import time

import pytest

STATUS = "/ermrest/catalog/1/attributegroup/deriva-ml:Execution"
UNLEASED = "non-leased value"


@pytest.fixture
def fresh(request):
    """A word that no other test uses."""
    return request.node.name


def lease(client, *ids):
    answer = client.insert("public:ERMrest_RID_Lease", *({"ID": each} for each in ids))
    return [row["RID"] for row in answer.json]


def test_a_rid_without_nondefaults_is_replaced_without_a_word(lab, fresh):
    (rid,) = lease(lab.writer, fresh)

    answer = lab.writer.insert("demo:Subject", {"RID": rid, "Name": fresh})

    assert answer.status == 200
    assert rid != answer.json[0]["RID"]


def test_equal_keys_in_one_request_are_refused_even_with_skip(lab, fresh):
    rows = [{"Name": fresh}, {"Name": fresh}]

    for query in ("", "?onconflict=skip"):
        answer = lab.writer.insert("demo:Subject", *rows, query=query)

        assert answer.status == 400
        assert "Multiple input rows share the same unique key" in answer.text


def test_a_lease_is_used_up_even_if_its_row_is_skipped(lab, fresh):
    lab.writer.insert("demo:Subject", {"Name": fresh})
    (rid,) = lease(lab.writer, fresh)
    row, query = {"RID": rid, "Name": fresh}, "?nondefaults=RID&onconflict=skip"

    first = lab.writer.insert("demo:Subject", row, query=query)
    second = lab.writer.insert("demo:Subject", row, query=query)

    assert (first.status, first.json) == (200, [])
    assert second.status == 403
    assert lab.writer.select(f"public:ERMrest_RID_Lease/RID={rid}") == []


def test_a_repeated_batch_is_refused_whole_when_one_row_was_stored(lab, fresh):
    """After a lost answer a client must ask which rows exist, and send only the others."""
    one, two = lease(lab.writer, f"{fresh}-1", f"{fresh}-2")
    rows = [{"RID": one, "Name": f"{fresh}-1"}, {"RID": two, "Name": f"{fresh}-2"}]
    query = "?nondefaults=RID&onconflict=skip"
    lab.writer.insert("demo:Subject", rows[0], query=query)

    answer = lab.writer.insert("demo:Subject", *rows, query=query)

    assert answer.status == 403
    assert UNLEASED in answer.text
    assert lab.writer.select(f"demo:Subject/RID={two}") == []
    assert lab.writer.insert("demo:Subject", rows[1], query=query).status == 200


def test_a_claimed_lease_id_gets_a_new_rid_and_an_unclaimed_one_is_skipped(lab, fresh):
    claimed, unclaimed = f"{fresh}-1", f"{fresh}-2"
    rid, _ = lease(lab.writer, claimed, unclaimed)
    lab.writer.insert("demo:Subject", {"RID": rid, "Name": fresh}, query="?nondefaults=RID")

    rows = ({"ID": claimed}, {"ID": unclaimed})
    answer = lab.writer.insert("public:ERMrest_RID_Lease", *rows, query="?onconflict=skip")

    assert [claimed] == [row["ID"] for row in answer.json]
    assert rid != answer.json[0]["RID"]


def test_new_rids_stand_above_those_that_clients_brought(lab, fresh):
    row = {"RID": "1-ZZ00", "Name": f"{fresh}-1"}
    lab.owner.insert("demo:Subject", row, query="?nondefaults=RID")

    answer = lab.owner.insert("demo:Subject", {"Name": f"{fresh}-2"})

    assert answer.json[0]["RID"] > "1-ZZ00"


def test_a_creator_who_is_no_client_is_refused(lab, fresh):
    row = {"Name": fresh, "RCB": "nobody"}

    answer = lab.owner.insert("demo:Subject", row, query="?nondefaults=RCB")

    assert answer.status == 409
    assert "ERMrest_Client" in answer.text


def test_an_array_that_is_missing_is_empty_and_null_stays_null(lab, fresh):
    rows = [
        {"Name": f"{fresh}-1", "Description": "-"},
        {"Name": f"{fresh}-2", "Description": "-", "Synonyms": None},
    ]

    answer = lab.owner.insert("deriva-ml:Asset_Type", *rows, query="?defaults=ID,URI")

    assert [row["Synonyms"] for row in answer.json] == [[], None]


def test_compare_and_set_changes_only_what_still_is_as_it_was(lab):
    execution = lab.owner.insert("deriva-ml:Execution", {"Status": "Running"}).json[0]["RID"]
    path = f"{STATUS}/RID,old:=Status;new:=Status"
    change = [{"RID": execution, "old": "Running", "new": "Uploaded"}]

    first = lab.owner.ask("PUT", path, rows=change)
    second = lab.owner.ask("PUT", path, rows=change)

    assert (200, change) == (first.status, first.json)
    assert (second.status, second.json) == (200, [])


def test_a_row_that_is_referenced_stays_and_links_go_with_their_row(lab, fresh):
    subject = lab.owner.insert("demo:Subject", {"Name": fresh}).json[0]["RID"]
    execution = lab.owner.insert("deriva-ml:Execution", {}).json[0]["RID"]
    image = {"URL": fresh, "Length": 1, "MD5": "0", "Subject": subject}
    image = lab.owner.insert("demo:Image", image).json[0]["RID"]
    link = {"Image": image, "Execution": execution, "Asset_Role": "Output"}
    lab.owner.insert("demo:Image_Execution", link)

    entity = "/ermrest/catalog/1/entity/demo"
    assert lab.owner.ask("DELETE", f"{entity}:Subject/RID={subject}").status == 409
    assert lab.owner.ask("DELETE", f"{entity}:Image/RID={image}").status == 204
    assert lab.owner.select(f"demo:Image_Execution/Image={image}") == []


def test_tables_are_joined_by_references_and_by_columns(lab):
    path = "demo:Subject/Name=subject-1/demo:Observation"
    explicit = "S:=demo:Subject/O:=(RID)=(demo:Observation:Subject)/S:Name=subject-1"

    (observation,) = lab.writer.select(path)

    assert [observation] == lab.writer.select(explicit)
    attributes = f"/ermrest/catalog/1/attribute/{explicit}/S:Name,day:=O:Observation_Date"
    assert lab.writer.get(attributes).json == [{"Name": "subject-1", "day": "2026-03-02"}]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("Name::gt::subject-1&Name::leq::subject-3", ["subject-2", "subject-3"]),
        ("Name::regexp::t-%5B12%5D%24", ["subject-1", "subject-2"]),
        ("Name::ciregexp::T-3", ["subject-3"]),
        ("Name=all(subject-1,subject-2)", []),
    ],
)
def test_filters_compare_and_match(lab, condition, names):
    rows = lab.writer.select(f"demo:Subject/Name::regexp::%5Esubject-/{condition}@sort(Name)")

    assert names == [row["Name"] for row in rows]


def test_what_is_no_regular_expression_is_refused(lab):
    assert lab.writer.get("/ermrest/catalog/1/entity/demo:Subject/Name::regexp::%5B").status == 409


def test_rows_come_as_csv_and_as_lines_to_those_who_want_them(lab):
    path = "/ermrest/catalog/1/attribute/demo:Subject/RID=1-S001/RID,Name"

    assert lab.writer.get(path, Accept="text/csv").text == "RID,Name\n1-S001,subject-1"
    lines = lab.writer.get(path, Accept="application/x-json-stream").text
    assert json.loads(lines) == {"RID": "1-S001", "Name": "subject-1"}


def test_paths_that_are_too_long_are_answered_by_the_web_server(lab):
    """Measured: 404 above some 4,000 bytes, as if there were no such catalog; then 414."""
    path = "/ermrest/catalog/1/entity/demo:Subject/RID=any({})"

    fits = lab.writer.get(path.format(",".join(["1-S0"] * 790)))
    too_long = lab.writer.get(path.format(",".join(["1-S0"] * 800)))
    much_too_long = lab.writer.get(path.format(",".join(["1-S0"] * 1800)))

    assert [fits.status, too_long.status, much_too_long.status] == [200, 404, 414]
    assert too_long.headers["Content-Type"].startswith("text/html")


def test_of_overlapping_writes_the_first_to_commit_is_stored(start):
    """Whatever their tables: the others are aborted, readers are not."""
    sandbox = start("--latency-ms", "200")
    answers = {}

    def write(name, *request):
        answers[name] = sandbox.writer.insert(*request)

    requests = {
        "subject": ("demo:Subject", {"Name": "new"}),
        "lease": ("public:ERMrest_RID_Lease", {"ID": "new"}),
        "execution": ("deriva-ml:Execution", {}),
    }
    threads = [threading.Thread(target=write, args=(n, *r)) for n, r in requests.items()]
    for thread in threads:
        thread.start()
    read = sandbox.writer.get("/ermrest/catalog/1/entity/demo:Subject")
    for thread in threads:
        thread.join()

    assert read.status == 200
    assert sorted(answer.status for answer in answers.values()) == [200, 503, 503]
    (aborted, _) = [answer for answer in answers.values() if answer.status == 503]
    assert "Transaction aborted" in aborted.text
    assert aborted.headers["Connection"] == "close"


def test_a_single_writer_is_never_aborted(lab, fresh):
    names = [f"{fresh}-{number}" for number in range(50)]

    assert {200} == {lab.writer.insert("demo:Subject", {"Name": name}).status for name in names}


def test_a_refused_write_aborts_nobody(start):
    sandbox = start("--latency-ms", "200")
    refused = threading.Thread(
        target=sandbox.writer.insert, args=("demo:Image_Execution", {"Image": "0-NONE"})
    )
    refused.start()
    time.sleep(0.1)

    assert sandbox.writer.insert("demo:Subject", {"Name": "new"}).status == 200
    refused.join()


def test_a_thousand_rows_are_one_request(lab, fresh):
    rows = [{"Name": f"{fresh}-{number}"} for number in range(1000)]

    answer = lab.writer.insert("demo:Subject", *rows)

    assert rows == [{"Name": row["Name"]} for row in answer.json]


def test_the_owner_may_give_rights_and_take_them(start):
    sandbox = start()
    change = ("/ermrest/catalog/1/attributegroup/demo:Subject/RID;Name",)
    row = {"RID": "1-S001", "Name": "renamed"}

    assert sandbox.writer.ask("PUT", *change, rows=[row]).status == 403
    path, members = "/ermrest/catalog/1/acl/update", ["sandbox-writer"]
    assert sandbox.writer.ask("PUT", path, rows=members).status == 403
    assert sandbox.owner.ask("PUT", path, rows=members).status == 200
    assert sandbox.writer.ask("PUT", *change, rows=[row]).status == 200
    assert members == sandbox.owner.get(path).json


def test_the_writer_sees_its_own_rights_and_no_acls(lab):
    document = lab.writer.get("/ermrest/catalog/1/schema").json
    table = document["schemas"]["demo"]["tables"]["Image"]

    assert "acls" not in document
    assert "acls" not in table
    rights = {"select": True, "insert": True, "update": False, "delete": False, "owner": False}
    assert rights == table["rights"]


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("demo:Observation", {"Subject": "1-S001", "Observation_Date": "2026-13-01"}),
        ("demo:Image", {"Length": 1 << 63}),
        ("demo:Image", {"Length": True}),
        ("public:ERMrest_RID_Lease", {"RCT": "0001-01-01T00:00:00+05:00"}),
        ("demo:Image", {"Filename": "nul \0"}),
        ("deriva-ml:Asset_Type", {"Synonyms": "no list"}),
    ],
)
def test_values_of_another_type_are_refused(lab, table, row):
    answer = lab.owner.insert(table, row)

    assert answer.status == 400
    assert "invalid input syntax" in answer.text


def test_unknown_catalogs_and_tables_say_so(lab):
    assert lab.writer.get("/ermrest/catalog/2/entity/demo:Subject").status == 404
    assert lab.writer.get("/ermrest/catalog/1/entity/demo:Nothing").status == 409
    assert lab.anonymous.get("/ermrest/catalog/1/schema").status == 401
