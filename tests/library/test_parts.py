"""The parts of a directory that `upload_directory` uploads."""

import tempfile
from pathlib import Path

from deriva_watch.core.layout import LOOSE
from deriva_watch.library.parts import parts_of
from strangers import as_stranger, only_root


@only_root
def test_a_folder_that_cannot_be_listed_is_looked_at_with_the_files_beside_the_executions():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "deriva-ml/execution/1-ABC").mkdir(parents=True)

        assert [part.unit.name for part in parts_of(folder)] == ["1-ABC"]
        (folder / "locked").mkdir(mode=0o700)
        found = as_stranger(lambda: [part.unit.name for part in parts_of(folder)])

    assert found == [LOOSE, "1-ABC"]
