"""`deriva-watch check`: a line for everything that can be known without a server."""

import json
import re

import pytest

from deriva_watch import checks
from deriva_watch.cli import main
from deriva_watch.edges.inotify_limits import Usage


@pytest.fixture
def tell(capfd, monkeypatch, tmp_path):
    """Run the command here; return its status and what it printed."""

    def run_here(prefix, *arguments, more=""):
        config = tmp_path / "config.toml"
        config.write_text(
            f'[server]\nhost = "nowhere.invalid"\ncatalog = "1"\n[journal]\n'
            f'url = "sqlite:///{tmp_path}/journal.db"\n[[watch]]\nprefix = "{prefix}"\n{more}'
        )
        monkeypatch.setattr("sys.argv", ["deriva-watch", "check", "-c", str(config), *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code), capfd.readouterr().out

    return run_here


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data/deriva-ml/execution/1-A/assets").mkdir(parents=True)
    return tmp_path / "data"


def test_a_root_has_one_line_with_everything_about_it(tell, data):
    (data / "catalogs/example.org__7/working").mkdir(parents=True)
    (data / "catalogs/example.org__7/working/main.db").touch()

    status, said = tell(data, more='[files]\nallowed_link_roots = ["/raw"]\n')

    assert status == 0
    line = next(line for line in said.splitlines() if "root" in line)
    assert line.startswith(f"✓ root {data}: ")
    for part in (
        "native because a try showed that events arrive",
        "3 if all in it were filling",
        "example.org catalog 7",
        f"into {data}, /raw",
    ):
        assert part in line
    assert re.search("times to [0-9.e-]+ s", line)
    assert {path.name for path in (data / "deriva-ml/execution").iterdir()} == {"1-A"}


def test_programs_get_the_same_facts(tell, data):
    status, said = tell(data, "--json")

    document = json.loads(said)
    assert status == 0
    assert document["good"] is True
    assert [each["about"] for each in document["checks"]] == [
        f"root {data}",
        "inotify",
        "open writers",
    ]
    root, limits, writers = (each["facts"] for each in document["checks"])
    assert (root["observer"], root["watches_needed"], root["folders"]) == ("native", 1, 3)
    assert root["links_into"] == [str(data)]
    assert 0 <= limits["used"] < limits["limit"]
    assert writers["method"] in {"proc", "lease", "unknown"}


@pytest.mark.parametrize(
    ("prefix", "why"), [("missing", "there is no"), ("none-*", "no folder matches it")]
)
def test_what_is_in_the_way_is_said_with_its_remedy(tell, tmp_path, prefix, why):
    status, said = tell(tmp_path / prefix)

    what, reason, then, *_ = said.splitlines()
    assert status == 2
    assert what.startswith(f"✗ root {tmp_path / prefix}: cannot be watched")
    assert why in reason
    assert then.strip()


def test_a_drop_folder_has_a_line_of_its_own(tell, data, tmp_path):
    (tmp_path / "scanner").mkdir()
    more = f'[[drop]]\npath = "{tmp_path}/scanner"\ntable = "Image"\npattern = ".*"\n'

    status, said = tell(data, more=more)

    assert status == 0
    assert f"✓ drop folder {tmp_path}/scanner: " in said
    assert list((tmp_path / "scanner").iterdir()) == []


def test_watches_that_run_out_are_told_with_the_command_that_raises_them(tell, data, monkeypatch):
    monkeypatch.setattr(checks.inotify_limits, "watches", lambda: Usage(80, 100))

    status, said = tell(data)

    assert status == 2
    assert "✗ inotify: 80 of 100 watches" in said
    assert "sysctl -w fs.inotify.max_user_watches=" in said
