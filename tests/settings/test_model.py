"""Settings: where they come from, which place wins, and what is said about wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from deriva_watch.core.errors import SettingsError
from deriva_watch.settings.model import Settings, load

HOST = '[server]\nhost = "data.example.org"\n'


@pytest.fixture
def write(tmp_path):
    """Write a configuration file and return its path."""

    def write(text, place="config.toml"):
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


def problems(config, flags=None):
    """Return the complaints about a configuration, one an entry."""
    with pytest.raises(SettingsError) as raised:
        load(config, flags or {})
    return raised.value.what.splitlines()


def test_a_host_is_all_that_must_be_said(write):
    settings = load(write(HOST))

    assert settings.server.host == "data.example.org"
    assert settings.server.protocol == "https"
    assert settings.completion.quiet_s == 30
    assert settings.transfer.chunk_bytes == 25 * 1024**2
    assert settings.watch == ()


def test_flags_win_over_the_environment_and_that_over_the_file(write, monkeypatch):
    config = write(HOST + "[completion]\nquiet_s = 1\ngrace_s = 1\nmax_running_s = 1\n")
    monkeypatch.setenv("DERIVA_WATCH_COMPLETION__GRACE_S", "2")
    monkeypatch.setenv("DERIVA_WATCH_COMPLETION__MAX_RUNNING_S", "2")

    completion = load(config, {"completion": {"max_running_s": 3}}).completion

    assert (completion.quiet_s, completion.grace_s, completion.max_running_s) == (1, 2, 3)
    assert completion.quiet_after_signal_s == 5


def test_a_flag_that_was_not_given_changes_nothing(write):
    config = write(HOST + "[retry]\nmax_attempts = 3\n")

    settings = load(config, {"retry": {"max_attempts": None}, "server": {}, "log": None})

    assert settings.retry.max_attempts == 3


def test_the_environment_may_hold_lists_and_no_file_need_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv("DERIVA_WATCH_SERVER__HOST", "[::1]:8443")
    monkeypatch.setenv("DERIVA_WATCH_WATCH", f'[{{"prefix": "{tmp_path}"}}]')
    monkeypatch.setenv("DERIVA_WATCH_COMPLETION__MARKERS", '["done"]')
    monkeypatch.setenv("DERIVA_WATCH_SERVER__CA_BUNDLE", "")

    settings = load(None)

    assert settings.server.host == "[::1]:8443"
    assert settings.server.ca_bundle is None
    assert [one.prefix for one in settings.watch] == [tmp_path]
    assert settings.completion.markers == ("done",)


@pytest.mark.parametrize("place", ["deriva-watch.toml", "home/.config/deriva-watch/config.toml"])
def test_a_file_in_a_usual_place_is_found(write, place):
    write(HOST, place)

    assert load(None).server.host == "data.example.org"


def test_the_file_that_the_environment_names_comes_first(write, monkeypatch):
    write(HOST, "deriva-watch.toml")
    monkeypatch.setenv("DERIVA_WATCH_CONFIG", str(write(HOST.replace("data", "other"), "o.toml")))

    assert load(None).server.host == "other.example.org"


def test_no_file_at_all_is_explained_with_the_next_step():
    with pytest.raises(SettingsError) as raised:
        load(None)

    assert raised.value.what == "no configuration found"
    assert "/etc/deriva-watch/config.toml" in raised.value.why
    assert "deriva-watch init" in raised.value.next


def test_a_named_file_that_is_missing_is_never_replaced_by_another(write, tmp_path):
    write(HOST, "deriva-watch.toml")

    assert problems(tmp_path / "typo.toml") == [f"{tmp_path / 'typo.toml'}: cannot be read"]


@pytest.mark.parametrize(
    ("text", "spot"),
    [
        ('[server]\nhost = "a"\nbroken\n', "3:7"),
        ('[server]\nhost = "a', "2:10"),
        ("a = 1\x00", "1:6"),
    ],
)
def test_a_syntax_error_is_named_by_line_and_column(write, text, spot):
    config = write(text)

    assert problems(config) == [f"{config}:{spot}: is not TOML"]


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(write):
    config = write("")
    config.write_bytes(b"# caf\xe9\n")

    with pytest.raises(SettingsError, match="byte 5 is not UTF-8"):
        load(config)


def test_a_file_from_a_windows_editor_is_read(write):
    config = write("")
    config.write_bytes(b"\xef\xbb\xbf" + HOST.replace("\n", "\r\n").encode())

    assert load(config).server.host == "data.example.org"


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("hots = 1", 3, "unknown key 'server.hots', nothing reads it; did you mean 'host'?"),
        ("[retry]\nquiet_s = 1", 4, "nothing reads it; it belongs in [drop] or [completion]"),
        ("[journal]\nzzz = 1", 4, "nothing reads it; known are url"),
        ("[sever]\n", 3, "unknown key 'sever', nothing reads it; did you mean 'server'?"),
        ('[completion]\nquiet_s = "soon"', 4, "must be a number; for example quiet_s = 30"),
        ("[completion]\nquiet_s = -1", 4, "must be greater than or equal to 0"),
        ("[completion]\nquiet_s = inf", 4, "must be a finite number"),
        ("[completion]\nquiet_s = true", 4, "must be a number, not true or false"),
        ("[completion]\nquiet_s = 900", 3, "must not be below quiet_s"),
        ('[completion]\ntrust_status = "?"', 4, "must be true or false"),
        ('[completion]\nmarkers = ".done"', 4, 'must be a list such as ["a", "b"]'),
        ("[completion]\nmarkers = [1]", 4, "must be text in quotes"),
        ("[transfer]\nconnections = 1.5", 4, "must be a whole number"),
        ("[transfer]\nconnections = 0", 4, "must be greater than or equal to 1"),
        ('[transfer]\nchunk_bytes = "25 elephants"', 4, 'must be a size such as "25MiB"'),
        ('[transfer]\nchunk_bytes = "1GiB"', 4, "at most 128MiB"),
        ("[transfer]\nchunk_bytes = 0", 4, "above 0"),
        ("[retry]\ninitial_s = 1000", 3, "'retry.max_s' must not be below initial_s"),
        ('[[watch]]\nprefix = "data"', 4, "must be an absolute path, or start with ~/"),
        ('[[watch]]\nobserver = "native"', 3, "'watch.prefix' is missing"),
        ('[[watch]]\nprefix = "/a"\n[[watch]]\nprefix = "/a"', 3, "names a prefix twice"),
        ("watch.prefix = 1", 3, "unknown key"),  # below [server]
        ('[files]\nmetadata_order = "any"', 4, "must be 'infer' or 'sorted'"),
        ('[journal]\nurl = "sqlite:///here.db"', 4, "sqlite:/// and an absolute path"),
        ('[journal]\nurl = "sqlite:////d/j.db"\n[[watch]]\nprefix = "/d/lab"', 3, "above /d/lab/"),
        ('[journal]\nurl = "sqlite:////h/al/j.db"\n[[watch]]\nprefix = "/h/*/w"', 3, "above /h/*"),
        ('[log]\nformat = "xml"', 4, "must be 'json' or 'console'; for example format = \"json\""),
        ("log = 1", 3, "unknown key 'server.log'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line_and_a_remedy(write, text, line, sentence):
    config = write(HOST + text)

    (problem,) = problems(config)

    assert problem.startswith(f"{config}:{line}: ")
    assert sentence in problem


def test_every_problem_is_listed_at_once_with_where_it_comes_from(write, monkeypatch):
    config = write(
        '[server]\nprotocol = "ftp"\n[[watch]]\nprefix = "/a"\n[[watch]]\nrescan_s = "x"'
    )
    monkeypatch.setenv("DERIVA_WATCH_RETRY__MAX_S", "never")
    monkeypatch.setenv("DERIVA_WATCH_WORKRS", "5")
    monkeypatch.setenv("DERIVA_WATCH_SERVRE__HOST", "x")

    found = problems(config, {"log": {"level": "loud"}})

    assert {problem.split(": ")[0] for problem in found} == {
        f"{config}:1",  # host is missing
        f"{config}:2",
        f"{config}:5",  # prefix is missing
        f"{config}:6",
        "DERIVA_WATCH_RETRY__MAX_S",
        "DERIVA_WATCH_WORKRS",
        "DERIVA_WATCH_SERVRE__HOST",
        "command line",
    }


def test_a_list_that_is_overridden_is_judged_where_it_stands_now(write, monkeypatch):
    monkeypatch.setenv("DERIVA_WATCH_WATCH", '[{"prefix": "relative"}]')
    config = write(HOST + '[[watch]]\nprefix = "also-relative"\n')

    (problem,) = problems(config)

    assert problem.startswith("DERIVA_WATCH_WATCH: 'watch.prefix' must be an absolute path")


def test_a_value_is_never_shown(write, monkeypatch):
    monkeypatch.setenv("DERIVA_WATCH_JOURNAL__URL", "postgresql://me:s3cret@db/journal")
    monkeypatch.setenv("DERIVA_WATCH_COMPLETION__QUIET_S", "s3cret")
    config = write('[server]\nhost = "s3cret!"\nbearer-token = "s3cret"\n[log]\nlevel = "s3cret"')

    with pytest.raises(SettingsError) as raised:
        load(config)

    assert len(raised.value.what.splitlines()) == 5
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:1", "127.8.9.10", "[::1]", "[::1]:8080"]
)
def test_http_is_taken_for_this_machine(write, host):
    config = write(f'[server]\nhost = "{host}"\nprotocol = "http"\n')

    assert load(config).server.protocol == "http"


@pytest.mark.parametrize("host", ["data.example.org", "10.0.0.1", "localhost.example.org", "[::2]"])
def test_http_is_refused_for_any_other_machine(write, host):
    config = write(f'[server]\nhost = "{host}"\nprotocol = "http"\n')

    (problem,) = problems(config)

    assert "'server.protocol' must be https" in problem


@pytest.mark.parametrize("host", ["https://example.org", "example.org/x", "", "a b", "::1"])
def test_a_host_is_a_bare_name(write, host):
    (problem,) = problems(write(f'[server]\nhost = "{host}"\n'))

    assert (
        "'server.host' must be only the host name, without http://, such as data.example.org"
        in problem
    )


@pytest.mark.parametrize("catalog", ["1", "eye-ai"])
def test_a_catalog_is_an_id_or_an_alias(write, catalog):
    assert load(write(HOST + f'catalog = "{catalog}"')).server.catalog == catalog


def test_a_catalog_may_be_written_as_a_number(write):
    assert load(write(HOST + "catalog = 12")).server.catalog == "12"


def test_a_snapshot_is_no_catalog_to_write_to(write):
    (problem,) = problems(write(HOST + 'catalog = "1@2SM"'))

    assert "'server.catalog' must be the id or alias" in problem


@pytest.mark.parametrize(
    ("size", "size_bytes"), [('"1MiB"', 1024**2), ('"1MB"', 10**6), ("4096", 4096)]
)
def test_a_size_has_a_unit_or_is_in_bytes(write, size, size_bytes):
    config = write(HOST + f"[transfer]\nchunk_bytes = {size}\n")

    assert load(config).transfer.chunk_bytes == size_bytes


def test_a_path_may_begin_with_the_home_directory(write, tmp_path):
    config = write(HOST + '[[watch]]\nprefix = "~/data"\n[files]\nallowed_link_roots = ["~/raw"]\n')

    settings = load(config)

    assert settings.watch[0].prefix == tmp_path / "home" / "data"
    assert settings.files.allowed_link_roots == (tmp_path / "home" / "raw",)


def test_a_ca_bundle_must_be_there(write, tmp_path):
    bundle = write("PEM", "ca.pem")
    assert load(write(HOST + f'ca_bundle = "{bundle}"\n')).server.ca_bundle == bundle

    bundle.unlink()
    (problem,) = problems(tmp_path / "config.toml")

    assert "'server.ca_bundle' is not a file" in problem


def test_a_bulk_spec_may_come_from_a_file(write):
    file = write("{}", "bulk-spec.json")

    spec = load(write(HOST + f'[spec]\nsource = "file"\nfile = "{file}"')).spec

    assert (spec.source, spec.file) == ("file", file)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('source = "elsewhere"', "'model', 'catalog' or 'file'"),
        ('source = "file"', 'must name the JSON file, because source is "file"'),
        ('source = "file"\nfile = "/nowhere/x.json"', "is not a file"),
        ('file = "/nowhere/x.json"', 'is only used with source = "file"'),
    ],
)
def test_a_bulk_spec_that_cannot_be_found_is_an_error(write, text, why):
    (problem,) = problems(write(HOST + f"[spec]\n{text}"))

    assert why in problem


@pytest.mark.parametrize(
    "lines",
    [
        'listen = ""',
        'listen = "localhost:0"',
        'listen = "[::1]:9464"',
        'listen = "unix:/run/deriva-watch/status.sock"',
        'listen = "0.0.0.0:9464"\nallow_remote = true',
        'hosts = ["Status.example.org", "[::2]"]',
    ],
)
def test_the_status_page_listens_where_it_is_told(write, lines):
    assert load(write(f"{HOST}[status]\n{lines}"))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('listen = "9464"', "must be an address of this machine with a port"),
        ('listen = "data.example.org:9464"', "must be an address of this machine with a port"),
        ('listen = "127.0.0.1:65536"', "must be an address of this machine with a port"),
        ('listen = "300.0.0.1:80"', "must be an address of this machine with a port"),
        ('listen = "unix:status.sock"', "must be an address of this machine with a port"),
        ('listen = "0.0.0.0:9464"', "'status.allow_remote' must be true to listen on 0.0.0.0"),
        ('listen = "[::]:9464"', "'status.allow_remote' must be true to listen on [::]"),
        ('hosts = ["http://example.org"]', "must be only a host name, such as status.example.org"),
    ],
)
def test_the_status_page_is_for_this_machine_unless_more_is_asked_for(write, lines, why):
    (problem,) = problems(write(f"{HOST}[status]\n{lines}"))

    assert why in problem


def test_settings_cannot_be_changed(write):
    settings = load(write(HOST))

    with pytest.raises(ValidationError):
        settings.server.host = "other"


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({}, "home/.local/state/deriva-watch"),
        ({"XDG_STATE_HOME": "state"}, "state/deriva-watch"),
        ({"XDG_STATE_HOME": "state", "STATE_DIRECTORY": "lib"}, "lib"),
    ],
)
def test_the_journal_lies_in_the_state_directory(
    write, monkeypatch, tmp_path, environment, directory
):
    for name, below in environment.items():
        monkeypatch.setenv(name, str(tmp_path / below))

    settings = load(write(HOST))

    assert settings.journal.url == f"sqlite:///{tmp_path / directory / 'journal.db'}"
    assert settings.state_directory == tmp_path / directory


@pytest.mark.parametrize("url", ["/d/state/j.db", "/d/lab/deriva-ml/.state/j.db", "/e/j.db"])
def test_a_journal_beside_or_below_a_watched_folder_is_fine(write, url):
    config = write(f'{HOST}[journal]\nurl = "sqlite:///{url}"\n[[watch]]\nprefix = "/d/lab"\n')

    assert load(config).journal.url == f"sqlite:///{url}"


def test_receipts_lie_beside_the_journal_wherever_that_is(write):
    config = write(HOST + '[journal]\nurl = "sqlite:////srv/state/j.db"\n')

    assert load(config).state_directory == Path("/srv/state")


def test_settings_made_from_values_ask_neither_file_nor_environment(monkeypatch):
    monkeypatch.setenv("DERIVA_WATCH_LOG__LEVEL", "debug")

    assert Settings.model_validate({"server": {"host": "a"}}).log.level == "info"


def test_reading_settings_imports_no_heavy_library():
    program = "import sys, deriva_watch.settings; print(*sys.modules)"

    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"deriva", "sqlalchemy", "requests", "structlog", "watchdog"} & set(modules)
