"""What an upload costs the server does not grow with what the server already holds."""

import pytest

from running import Api, command, requests_seen, sandbox, write_config, write_files

FILES = {
    "assets/Execution_Asset/a.bin": b"a" * 100,
    "execution-metadata/Execution_Config/b.json": b"{}",
}
MOST = 40  # entries that one call may go through; less than HELD
HELD = 120


@pytest.fixture
def full(tmp_path):
    """A server with many objects in the namespaces, and many rows in the tables, of an upload."""
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        with api.session() as session:
            for number in range(HELD):
                name = f"{ready['url']}/hatrac/Execution_Asset/held-{number}.bin"
                session.put(name, data=b"x").raise_for_status()
        assets = [
            {
                "URL": f"/hatrac/Execution_Asset/held-{number}.bin:V",
                "Filename": f"held-{number}.bin",
                "Length": 1,
                "MD5": f"{number:032x}",
            }
            for number in range(HELD)
        ]
        rids = [row["RID"] for row in api.insert("deriva-ml:Execution_Asset", *assets)]
        execution = api.execution()
        api.insert(
            "deriva-ml:Execution_Asset_Execution",
            *(
                {"Execution_Asset": rid, "Execution": execution, "Asset_Role": "Output"}
                for rid in rids
            ),
        )
        yield ready


def test_no_call_of_an_upload_goes_through_all_that_is_there(tmp_path, full):
    rid = Api(full).execution()
    write_files(tmp_path / "deriva-ml" / "execution" / rid, FILES)
    config = write_config(tmp_path / "daemon", full, tmp_path)
    before = len(requests_seen(full))

    done = command(config, "upload", tmp_path / "deriva-ml" / "execution" / rid)

    assert done.returncode == 0, done.stderr
    asked = requests_seen(full)[before:]
    assert len(asked) > 5
    costly = [(r["method"], r["path"], r["entries"]) for r in asked if r["entries"] > MOST]
    assert costly == []
