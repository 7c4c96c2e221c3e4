"""What is refused before a unit is planned."""

import pytest

from deriva_watch.core.errors import RefusedError
from deriva_watch.pipeline.unit_planner import UnitPlanner, refuse_too_many, spec_source
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings
from running import write_files


def test_a_unit_with_too_many_files_is_refused_by_name_before_anything_is_asked(tmp_path):
    settings = Settings(
        server={"host": "data.example.org"},
        watch=[{"prefix": tmp_path}],
        files={"max_files": 2},
        journal={"url": f"sqlite:///{tmp_path}/state/journal.db"},
    )
    unit = settings.unit(tmp_path, "4-AB2C")
    write_files(unit.root, dict.fromkeys(("a", "b", "c"), "x"))
    reader = UnitReader.of(settings)
    planner = UnitPlanner(reader, spec_source(settings))

    with pytest.raises(RefusedError) as refused:
        planner.plan(unit, reader.look(unit), None, None)

    assert "4-AB2C" in refused.value.what
    assert refused.value.why == "it has 3 files, and [files] max_files allows 2"
    assert "raise max_files" in refused.value.next


def test_as_many_files_as_are_allowed_are_not_too_many(tmp_path):
    unit = Settings(server={"host": "data.example.org"}).unit(tmp_path, "4-AB2C")

    refuse_too_many(unit, 2, most=2)
    with pytest.raises(RefusedError, match="cannot upload"):
        refuse_too_many(unit, 3, most=2)
