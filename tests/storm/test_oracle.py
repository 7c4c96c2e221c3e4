"""The oracle of the storms sees what a storm must not leave behind."""

import random

from running import Api, wait_until
from storm.oracle import Oracle
from storm.test_storm import Scene

METADATA = "deriva-ml:Execution_Metadata"


def test_nothing_that_is_twice_or_missing_or_untrue_escapes_the_oracle(tmp_path):
    """A quiet day; then one thing after the other is spoilt."""
    with Scene(tmp_path, random.Random(1)) as scene:
        scene.begin(rules=())
        scene.writers.feature()
        scene.writers.finish()
        wait_until(lambda: scene.drained() == [], timeout_s=60)
        scene.running.stop()
        api = Api(scene.ready)
        (row,) = api.rows(METADATA)
        name = f"{api.url}{row['URL'].rpartition(':')[0]}"
        job = {"chunk-length": 1, "content-length": 1, "content-type": "text/plain"}

        spoilt = {
            "versions that no row names": lambda: api.call("PUT", name, data=b"again"),
            "rows say the same": lambda: api.insert(METADATA, _again(row, api)),
            "other bytes than": lambda: None,  # that version has them
            "an open job": lambda: api.call("POST", f"{name};upload", json=job),
            "not linked once": lambda: _empty(api, f"{METADATA}_Execution"),
            "not of its type": lambda: _empty(api, "demo:Image_Asset_Type"),
            "no value": lambda: _empty(api, "demo:Execution_Image_Quality"),
            "no row": lambda: _end(scene).write_bytes(b"another end"),
        }
        for sentence, spoil in spoilt.items():
            known = _told(scene, api)
            assert sentence not in known or sentence == "other bytes than", known
            spoil()
            assert sentence in _told(scene, api)


def _told(scene, api):
    return "\n".join(Oracle(api, scene.writers.root("")).differences(scene.receipts))


def _again(row, api):
    """Return a row that says the same of the newest version."""
    newest = api.versions()[row["URL"].rpartition(":")[0]][0]
    return {name: row[name] for name in ("Filename", "MD5", "Length")} | {"URL": newest}


def _empty(api, table):
    api.call("DELETE", f"{api.catalog}/entity/{table}")


def _end(scene):
    (file,) = scene.writers.root("").glob("*/execution-metadata/*/end.txt")
    return file
