"""deriva-py reads our bulk spec as we do: its own matching and column map are the oracle."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from core.given import MODEL, NAMES, ROOT, SPEC
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from deriva_watch.core.spec.templates import environment, row
from deriva_watch.core.values import value_from

IMAGE_PATH = f"{ROOT}/asset/demo/Image"
CONTENT = {"md5": "0123456789abcdef", "file_size": 7, "URI": "/hatrac/x:V"}


@pytest.fixture(scope="module")
def oracle() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses distutils
        from deriva.transfer.upload.deriva_upload import DerivaUpload
    return DerivaUpload


def taken_by(oracle: Any, path: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Return number, mapping and groups that deriva-py finds, without making an uploader."""
    self = SimpleNamespace(
        asset_mappings=bulk_upload_configuration(MODEL)["asset_mappings"],
        archive_preprocessing_enabled=lambda _mapping: False,  # it imports the processors
    )
    return oracle.getAssetMapping(self, path)


@pytest.mark.parametrize(
    "path",
    [
        *(f"{IMAGE_PATH}/2026-03-04/2026-03-04 05:06:07/4TE/4T6/{name}" for name in NAMES),
        f"{IMAGE_PATH}/__NULL__/__NULL__/__NULL__/4T6/4-AB2C/a.png",
        f"{IMAGE_PATH}/1/2/3/a%2Fb/a.png",
        f"{ROOT}/asset/deriva-ml/Execution_Asset/53A/archive.tar.gz",
        f"{ROOT}/asset/demo/BoundingBox/box.json",
    ],
)
def test_deriva_py_makes_the_same_row_of_the_same_path(oracle: Any, path: str):
    name = path.rpartition("/")[2]

    number, mapping, groups = taken_by(oracle, path)
    ours = SPEC.match(path)
    assert ours is not None
    said = {column: value_from(ours.groups[group]) for column, group in ours.mapping.groups.items()}
    their_row = oracle.interpolateDict(
        groups | said | CONTENT | {"file_name": name}, mapping["column_map"]
    )
    our_row = row(ours, environment(ours, name, said) | CONTENT)

    assert number == ours.mapping.number
    assert their_row == {column: str(value) for column, value in our_row.items()}


@pytest.mark.parametrize(
    ("path", "table"),
    [
        (f"{ROOT}/table/demo/Subject/Subject.csv", "demo:Subject"),
        ("/data/deriva-ml/table/demo/Subject/Subject.json", "demo:Subject"),
        (f"{IMAGE_PATH}/2026-03-04/a.png", None),
        (f"{ROOT}/notes.txt", None),
    ],
)
def test_deriva_py_takes_the_same_files(oracle: Any, path: str, table: str | None):
    _, mapping, groups = taken_by(oracle, path)
    ours = SPEC.match(path)

    assert table == (mapping and oracle.getCatalogTable(mapping, groups))
    assert table == (str(ours.table) if ours else None)
