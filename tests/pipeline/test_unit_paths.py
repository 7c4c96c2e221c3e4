"""Which units a prefix has, and what is beside them."""

import pytest

from deriva_watch.core.errors import SettingsError
from deriva_watch.pipeline.unit_paths import execution_units
from deriva_watch.settings.model import load
from running import write_files


@pytest.fixture
def settings(tmp_path):
    """Settings with a pattern of prefixes, and a journal elsewhere."""
    config = tmp_path / "config.toml"
    journal = f'[journal]\nurl = "sqlite:///{tmp_path}/state/j.db"\n'
    watch = f'[[watch]]\nprefix = "{tmp_path}/home/*/work"\n'
    config.write_text(f'[server]\nhost = "example.org"\n{journal}{watch}')
    return load(config)


@pytest.fixture
def prefix(tmp_path):
    (tmp_path / "home/ann/work/deriva-ml/execution/1-ABC").mkdir(parents=True)
    return tmp_path / "home/ann/work"


def test_only_executions_and_tables_are_units_and_all_else_has_a_reason(prefix, settings):
    write_files(prefix / "deriva-ml", {"table/demo/Subject/a.csv": "", "cache/b": "", "c.txt": ""})

    units = execution_units(prefix, settings)

    assert units.names == {"1-ABC", "deriva-ml/table"}
    assert units.beside == {
        prefix / "deriva-ml/cache": "only execution/ and table/ of deriva-ml/ are uploaded",
        prefix / "deriva-ml/c.txt": "it is not a directory",
    }
    trouble = units.trouble(prefix)
    assert trouble is not None
    assert trouble.what == f"2 names in {prefix} are not uploaded"


def test_a_prefix_that_is_gone_has_no_units_and_no_trouble(prefix, settings):
    prefix.rename(prefix.parent / "away")

    units = execution_units(prefix, settings)

    assert (units.names, units.trouble(prefix)) == (set(), None)


def test_a_journal_above_a_prefix_by_a_link_is_an_error_of_the_settings(prefix, settings, tmp_path):
    (tmp_path / "state").symlink_to(prefix.parent)

    with pytest.raises(SettingsError, match="the folder of the journal"):
        execution_units(prefix, settings)
