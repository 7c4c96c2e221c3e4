"""`upload_directory` with rows of tables, in an execution and outside."""

import pytest

from deriva_watch import DerivaMLException, table_path, upload_directory
from running import write_files


@pytest.fixture
def name(api):
    """A text that no other test has."""
    return f"subject of {api.execution()}"


def subjects(api, name):
    return [row for row in api.rows("demo:Subject") if row["Name"].startswith(name)]


@pytest.mark.parametrize("below", ["deriva-ml/table", "deriva-ml/table/demo", "deriva-ml", ""])
def test_rows_outside_an_execution_go_up(api, model, tmp_path, name, below):
    prefix = tmp_path / "data"
    file = table_path(prefix, "demo", "Subject")
    file.write_text(f"Name\n{name} 1\n{name} 2\n")
    heard = []

    first = upload_directory(model, prefix / below, heard.append)
    again = upload_directory(model, prefix / below)

    assert set(first) == {str(file)}
    assert again == first
    assert first[str(file)].result == {"table": "demo:Subject", "rows": 2}
    assert len(subjects(api, name)) == 2
    assert heard[-1].percent_complete == 100


def test_rows_in_an_execution_go_up(api, model, tmp_path, name):
    rid = api.execution()
    root = tmp_path / "data/deriva-ml/execution" / rid
    file = write_files(root, {"table/demo/Subject/Subject.csv": f"Name\n{name}\n"})

    results = upload_directory(model, root)

    assert set(results) == {str(file / "table/demo/Subject/Subject.csv")}
    assert len(subjects(api, name)) == 1


def test_a_bad_line_is_named(model, tmp_path, name):
    file = table_path(tmp_path / "data", "demo", "Subject")
    file.write_text(f"Name,Colour\n{name},red\n")

    with pytest.raises(DerivaMLException, match=rf"{file}: .*Colour"):
        upload_directory(model, file.parent, retry_delay=60)
