"""`import deriva_watch` gives every name, and costs nothing until one is used."""

import inspect
import json
import subprocess
import sys

import pytest

import deriva_watch
from deriva_watch.edges.journal import Journal

_OF_SERVERS = ("deriva", "starlette", "uvicorn", "prometheus_client", "requests", "urllib3")
_OF_WRITERS = (
    *("alembic", "sqlalchemy.dialects.postgresql", "structlog", "watchdog"),
    *("deriva_watch.core.events", "deriva_watch.edges.journal.transaction"),
)
_HEAVY = ("deriva", "starlette", "uvicorn", "sqlalchemy", "pydantic", "requests", "watchdog")


def loaded_after(statement):
    """Return the modules that *statement* loads in a new process."""
    code = f"import sys\n{statement}\nimport json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_imports_no_heavy_library():
    assert loaded_after("import deriva_watch") & set(_HEAVY) == set()


@pytest.mark.parametrize(
    "name", ["asset_file_path", "bulk_upload_configuration", "UploadProgress", "DerivaMLException"]
)
def test_what_is_pure_stays_light(name):
    assert loaded_after(f"from deriva_watch import {name}") & set(_HEAVY) == set()


@pytest.mark.filterwarnings("ignore:distutils:DeprecationWarning")  # deriva.transfer's own
def test_every_name_is_there_and_listed():
    for name in deriva_watch.__all__:
        assert getattr(deriva_watch, name) is not None
        assert name in dir(deriva_watch)
    assert len(deriva_watch.__all__) == 22


@pytest.mark.parametrize("words", [["--help"], ["status"]])
def test_a_command_that_asks_no_server_does_not_load_what_speaks_to_one(tmp_path, words):
    """`deriva.core` costs 0.3 s and 40 MB; `status` answers at once."""
    config, journal = tmp_path / "config.toml", f"sqlite:///{tmp_path / 'journal.db'}"
    Journal.open(journal, emit=lambda _: None).close()
    config.write_text(
        f'[server]\nhost = "example.org"\n[[watch]]\nprefix = "{tmp_path}"\n'
        f'[journal]\nurl = "{journal}"\n'
    )
    environment = f"os.environ['DERIVA_WATCH_CONFIG'] = {str(config)!r}"
    quiet = "contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit)"

    loaded = loaded_after(
        f"import contextlib, io, os\n{environment}\nsys.argv = {['deriva-watch', *words]!r}\n"
        f"from deriva_watch.cli import main\nwith {quiet}:\n    main()"
    )

    assert "deriva_watch.cli.status" in loaded
    assert loaded & {*_OF_SERVERS, *_OF_WRITERS, "rich.markdown", "rich.traceback"} == set()


def test_help_loads_nothing_heavy():
    """It answers at once, and so does every press of Tab."""
    words = "sys.argv = ['deriva-watch', '--help']"
    quiet = "contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit)"

    loaded = loaded_after(
        f"import contextlib, io\n{words}\nfrom deriva_watch.cli import main\n"
        f"with {quiet}:\n    main()"
    )

    assert loaded & {*_HEAVY, *_OF_WRITERS, "rich", "regex", "asyncio"} == set()


def test_the_names_are_all_of_the_design():
    wanted = """
        NULL_SENTINEL upload_root execution_rids execution_root asset_root flat_asset_dir
        upload_staging_root manifest_path table_path asset_file_path asset_type_path
        normalize_asset_dir asset_table_upload_spec bulk_upload_configuration upload_asset
        upload_directory DerivaModel UploadProgress UploadState FileUploadState
        NullSentinelProcessor DerivaMLException
    """

    assert set(wanted.split()) == set(deriva_watch.__all__)


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'upload_everything'"):
        _ = deriva_watch.upload_everything


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (
            "upload_directory",
            {
                "progress_callback": None,
                "max_retries": 3,
                "retry_delay": 5.0,
                "timeout": None,
                "chunk_size": None,
            },
        ),
        ("asset_table_upload_spec", {"chunk_size": None}),
        ("bulk_upload_configuration", {"chunk_size": None}),
        ("upload_asset", {}),
    ],
)
def test_the_defaults_are_those_of_the_original_utilities(name, parameters):
    first = {
        "upload_directory": ["model", "directory"],
        "asset_table_upload_spec": ["model", "asset_table"],
        "bulk_upload_configuration": ["model"],
        "upload_asset": ["model", "file", "table", "kwargs"],
    }
    found = inspect.signature(getattr(deriva_watch, name)).parameters

    assert list(found) == [*first[name], *parameters]
    assert {key: found[key].default for key in parameters} == parameters
