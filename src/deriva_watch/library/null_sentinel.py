"""A pre-processor for deriva-py's own uploader, so that it reads our paths as we do."""

from typing import Any

from deriva.transfer.upload.processors.base_processor import BaseProcessor

from deriva_watch.core.spec.mapping import metadata_groups
from deriva_watch.core.values import value_from


class NullSentinelProcessor(BaseProcessor):  # type: ignore[misc]  # deriva ships no types
    """Turns the metadata directories of a path into values: `__NULL__` into None, `%2F` into "/".

    Bulk specs that `bulk_upload_configuration` makes name it. deriva-py makes one for each file.
    """

    def process(self) -> dict[str, Any]:
        """Change the file's metadata in place; return what was changed."""
        mapping, said = self.kwargs["asset_mapping"], self.kwargs["match_groupdict"]
        groups = metadata_groups(mapping.get("column_map", {}), said).values()
        values = {group: value_from(said[group]) for group in groups if said[group] is not None}
        self.kwargs["metadata"].update(values)
        return values
