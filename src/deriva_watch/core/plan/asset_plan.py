"""The plan for one asset."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.model import TableName
from deriva_watch.core.spec.spec import Match


@dataclass(frozen=True, slots=True)
class AssetPlan:
    """One asset to upload.

    Attributes:
        entry: The file to send.
        also: Other paths of the same asset: links to the same file.
        match: The mapping that matches it.
        values: Every metadata column of its table.
        types: Its asset types.
        description: For the INSERT, or None.
        given_rid: The RID its row must have; None: the server chooses one.
        key: Its name in manifest and workspace, "<Table>/<file>".
        recorded: Another uploader says that the row `given_rid` is in the catalog.
        order: The metadata columns in the order of the path, if that had to be inferred.
        members: The content of the bag, if a directory becomes one asset.
        respelled: The catalog has its types in another Unicode form than what gives them.
    """

    entry: Entry
    also: tuple[str, ...]
    match: Match
    values: Mapping[str, Any]
    types: tuple[str, ...]
    description: str | None
    given_rid: str | None
    key: str
    recorded: bool
    order: tuple[str, ...] | None = None
    members: tuple[Entry, ...] = ()
    respelled: bool = False

    @property
    def path(self) -> str:
        """Below the execution directory."""
        return self.entry.path

    @property
    def file_name(self) -> str:
        """Last segment of the path: the row's Filename."""
        return self.path.rpartition("/")[2]

    @property
    def by_templates(self) -> bool:
        """Whether its mapping says more about the row than content, name and metadata."""
        return not self.match.mapping.by_content

    @property
    def table(self) -> TableName:
        """Its asset table."""
        return self.match.table

    def statement(self) -> str:
        """Return a digest of the file's metadata: if it changes, the file is uploaded again."""
        said = [self.table, self.file_name, self.values, self.types, self.description]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
