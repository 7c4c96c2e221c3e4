"""Drop folders in the settings: what they say, and what is said about wrong ones."""

from pathlib import Path

import pytest

from deriva_watch.core.drop.drop_folder import Lookup, NamedWorkflow
from deriva_watch.core.errors import SettingsError
from deriva_watch.settings.model import load

BEFORE = '[server]\nhost = "a"\n[[watch]]\nprefix = "/data"\n[[watch]]\nprefix = "/home/*/work"\n'
FOLDER = {
    "path": '"/drop"',
    "table": '"Image"',
    "pattern": r"'(?P<subject>\w+)/(?P<Session>\d+)\.dcm'",
}


def folder(**keys):
    """Return the text of a drop folder; a key that is None is left out."""
    said = {key: value for key, value in (FOLDER | keys).items() if value is not None}
    return "[[drop]]\n" + "".join(f"{key} = {value}\n" for key, value in said.items())


@pytest.fixture
def drops(tmp_path):
    """Return the drop folders of a configuration."""

    def drops(text):
        (tmp_path / "c.toml").write_text(BEFORE + text)
        return load(tmp_path / "c.toml").drops

    return drops


def problem(drops, text):
    """Return the one complaint about a configuration."""
    with pytest.raises(SettingsError) as raised:
        drops(text)
    (what,) = raised.value.what.splitlines()
    return what


def test_a_folder_needs_a_path_a_table_and_a_pattern(drops):
    assert "'drop.path' is missing" in problem(drops, folder(path=None))
    assert "'drop.table' is missing" in problem(drops, folder(table=None))
    assert "'drop.pattern' is missing" in problem(drops, folder(pattern=None))


def test_what_a_folder_does_not_say_is_taken_from_the_completion_of_all(drops):
    text = folder() + folder(path='"/b"', markers='["done"]', quiet_s="7")
    found = drops("[completion]\nquiet_s = 3\n" + text)

    first, second = found[Path("/drop")], found[Path("/b")]
    assert (first.markers, first.quiet_s) == ((".complete", "CopyComplete.txt"), 3)
    assert (second.markers, second.quiet_s) == (("done",), 7)
    assert (first.unit, first.batch_s, first.after, first.after_delay_s) == (
        "batch",
        300,
        "keep",
        86400,
    )


def test_a_lookup_names_a_table_or_a_query_and_takes_the_group_of_its_name(drops):
    (found,) = drops(
        folder(
            pattern=r"'(?P<Subject>\w+)/(?P<site>\w+)/.*'",
            **{
                "lookup.Subject": '{ table = "Subject", column = "Name" }',
                "lookup.Site": '{ query = "/entity/Site/Name={site}" }',
            },
        )
    ).values()

    assert found.lookup == {
        "Subject": Lookup("Subject", "Name", "{Subject}"),
        "Site": Lookup(query="/entity/Site/Name={site}"),
    }


def test_a_workflow_is_a_rid_or_a_name_and_version(drops):
    (by_rid,) = drops(folder(workflow='"1-ABC"')).values()
    (by_name,) = drops(folder(workflow='{ name = "Import", version = "1.0" }')).values()

    assert by_rid.workflow == "1-ABC"
    assert by_name.workflow == NamedWorkflow("Import", "1.0")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"path": '"drop"'}, "'drop.path' must be an absolute path"),
        (
            {"pattern": "'(?P<subject>[a-z+)/x'"},
            (
                "'drop.pattern' is not a valid regular expression: "
                "unterminated character set at character 13"
            ),
        ),
        ({"pattern": "'/(?P<subject>.+)'"}, "must not start with /"),
        ({"pattern": "'(?i)^/x'"}, "must not start with /"),
        ({"pattern": "'(?P<RID>.+)'"}, "has a group named 'RID', which is reserved"),
        ({"columns": '{ Label = "{subjekt}" }'}, "Label uses 'subjekt'"),
        ({"columns": '{ Label = "{subjekt}" }'}, "did you mean 'subject'?"),
        ({"columns": '{ Label = "{x}" }'}, "its groups are: subject, Session"),
        ({"columns": '{ Label = "{subject" }'}, "Label is not a valid template"),
        ({"columns": '{ Label = "{subject:d}" }'}, "Label is not a valid template"),
        ({"columns": "{ Day = 2026-01-01 }"}, "put dates and times in quotes"),
        ({"lookup": '{ S = "Subject" }'}, "'drop.lookup' S must be { table ="),
        ({"lookup": '{ S = { table = "Subject" } }'}, "S must be { table ="),
        ({"lookup": '{ S = { tabel = "Subject" } }'}, "unknown key 'tabel'; did you mean 'table'?"),
        ({"lookup": '{ S = { table = "T", column = "N", value = "{x}" } }'}, "S.value uses 'x'"),
        ({"lookup": '{ S = { table = "T", column = "N" } }'}, "S.value uses 'S'"),
        ({"lookup": '{ S = { query = "Subject" } }'}, "S.query must start with /entity/"),
        (
            {"columns": '{ S = "x" }', "lookup": '{ S = { query = "/entity/T/N={subject}" } }'},
            "S is in columns too",
        ),
        ({"unit": '"run"'}, "must be 'batch', 'directory' or 'none'"),
        ({"after": '"burn"'}, "must be 'keep', 'move' or 'delete'"),
        ({"workflow": '"lower case"'}, "'drop.workflow' must be the RID of a Workflow"),
        ({"workflow": '{ name = "Import" }'}, "'drop.workflow' must be the RID of a Workflow"),
        ({"unit": '"none"', "workflow": '"1-A"'}, "workflow belongs to an Execution"),
        ({"unit": '"none"', "description": '"x"'}, "description belongs to an Execution"),
        ({"unit": '"directory"', "batch_s": "3"}, "batch_s is for batches"),
        ({"batch_s": "0"}, "'drop.batch_s'"),
        ({"tabel": '"x"'}, "unknown key 'drop.tabel', nothing reads it; did you mean 'table'?"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_reason(drops, keys, why):
    assert why in problem(drops, folder(**keys))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/drop", "names /drop twice"),
        ("/drop/inner", "has /drop/inner and /drop, one inside the other"),
        ("/", "has / and /drop, one inside the other"),
        ("/data", "[[watch]] already watches /data/deriva-ml; drop"),
        ("/data/deriva-ml/execution/1-A", "[[watch]] already watches /data/deriva-ml"),
        ("/home/ann/work", "[[watch]] already watches /home/*/work/deriva-ml"),
        ("/home/ann/work/deriva-ml/x", "[[watch]] already watches /home/*/work/deriva-ml"),
        ("/home", "[[watch]] already watches /home/*/work/deriva-ml"),
    ],
)
def test_no_file_can_be_looked_after_twice(drops, path, why):
    assert why in problem(drops, folder() + folder(path=f'"{path}"'))


@pytest.mark.parametrize("path", ["/data/incoming", "/drop2", "/home/ann/in", "/home/ann/work/in"])
def test_a_folder_beside_what_is_watched_is_fine(drops, path):
    assert Path(path) in drops(folder() + folder(path=f'"{path}"'))


@pytest.mark.parametrize(
    ("before", "path", "why"),
    [
        ("[server]\nhost = 'a'\ncredential_file = '/drop/me/c.json'\n", "/drop", "/drop/me/c.json"),
        ("[server]\nhost = 'a'\n", "~/", "/.deriva; drop files elsewhere"),
        ("[server]\nhost = 'a'\n", "~/.ssh/in", "/.ssh; drop files elsewhere"),
        ("[server]\nhost = 'a'\n[journal]\nurl = 'sqlite:////drop/s/j.db'\n", "/drop", "upload it"),
        (
            "[server]\nhost = 'a'\n[journal]\nurl = 'sqlite:////drop/j.db'\n",
            "/drop/in",
            "above /drop",
        ),
    ],
)
def test_nothing_secret_and_nothing_of_ours_is_ever_dropped(tmp_path, before, path, why):
    config = tmp_path / "c.toml"
    config.write_text(before + folder(path=f'"{path}"'))

    with pytest.raises(SettingsError) as raised:
        load(config)

    assert why in raised.value.what
