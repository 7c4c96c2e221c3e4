"""What we need of a catalog's schema, as values read from its `/schema` document.

Names of tables and columns come from here, never from our heads: a table is an asset, a
vocabulary or an association because of what its definition says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

ML_SCHEMA: Final = "deriva-ml"
ASSET_COLUMNS: Final = frozenset({"URL", "Filename", "Length", "MD5", "Description"})
SYSTEM_COLUMNS: Final = frozenset({"RID", "RCT", "RMT", "RCB", "RMB"})


class TableName(NamedTuple):
    """A table's full name."""

    schema: str
    table: str

    def __str__(self) -> str:
        """As ERMrest and the journal write it."""
        return f"{self.schema}:{self.table}"
