"""Refusals are tried again by themselves once the model or a right is another; no sooner."""

import json
import sqlite3
from pathlib import Path

import pytest

from engine.rig import IMAGE, Lab, image
from running import Api, sandbox

FILE = image("a.bin")


def edit(ready, change):
    """Let *change* happen to the document of a catalog whose server is down."""
    with sqlite3.connect(Path(ready["data"]) / "catalog.db") as database:
        [text] = database.execute("SELECT value FROM meta WHERE key = 'document'").fetchone()
        document = json.loads(text)
        change(document["schemas"]["demo"]["tables"]["Image"]["column_definitions"])
        text = json.dumps(document)
        database.execute("UPDATE meta SET value = ? WHERE key = 'document'", [text])
    database.close()


def redriven(rig):
    """Return the executions that are opened again for another cause."""
    return [
        each.rid for each in rig.parts.fingerprint.reopen_changed(rig.journal, rig.parts.server)
    ]


def test_a_column_that_the_catalog_is_given_brings_in_what_was_refused_for_its_lack(tmp_path):
    taken = []

    def without(columns):
        [date] = [column for column in columns if column["name"] == "Acquisition_Date"]
        columns.remove(date)
        taken.append(date)

    with sandbox(tmp_path / "server") as ready:
        lab = Lab(tmp_path, ready)
        lab.write({FILE: b"a"})
    edit(ready, without)
    listen = ready["host"]
    with sandbox(tmp_path / "server", listen=listen), lab.rigged() as rig:
        refused = rig.upload()
        same = redriven(rig)
    edit(ready, lambda columns: columns.extend(taken))
    with sandbox(tmp_path / "server", listen=listen), lab.rigged() as rig:
        opened = redriven(rig)
        record = rig.bring()
        again = redriven(rig)

    assert (refused.state, same) == ("refused", [])
    assert (opened, record.state, again) == ([lab.rid], "uploaded", [])


@pytest.fixture
def closed(ready):
    """Take from the ordinary writer what it may insert into; give it back at the end."""
    owner = Api(ready)
    url = f"{owner.catalog}/acl/insert"
    before = owner.call("GET", url).json()
    owner.call("PUT", url, json=["sandbox-owner"])
    yield lambda: owner.call("PUT", url, json=before)
    owner.call("PUT", url, json=before)


def test_a_right_that_is_granted_brings_in_what_was_refused_for_its_lack(lab, closed):
    """The model says what we may do with each table."""
    lab.write({FILE: b"a"})
    with lab.rigged("writer") as rig:
        refused = rig.upload()
        same = redriven(rig)
        closed()
        opened = redriven(rig)
        said = [each.why for each in rig.events if getattr(each, "trigger", None) == "retried"]
        record = rig.bring()

    assert (refused.state, same, opened) == ("refused", [], [lab.rid])
    assert "403" in refused.why
    assert said == ["the bulk spec, the catalog's model, the settings or the credential changed"]
    assert record.state == "uploaded"
    assert not (record.verdict or {}).get("requested")


def test_what_is_refused_again_under_the_same_rules_stays(lab, closed):
    """Also where something else has changed that does not help it."""
    lab.write({FILE: b"a", "not/a/table.bin": b"b"})
    with lab.rigged("writer") as rig:
        rig.upload()
        closed()
        opened = redriven(rig)
        record = rig.bring()
        left, again = rig.journal.file_counts(), redriven(rig)

    assert opened == [lab.rid]
    assert record.state == "uploaded"
    assert (left["unmatched"], again) == (1, [])
    assert len(lab.api.rows(str(IMAGE))) >= 1
