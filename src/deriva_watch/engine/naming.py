"""The names that the templates of a mapping can use for one file, and the bytes sent for it.

Results of queries, the time and the output of processors are determined when a file is hashed, and
stored in the journal with its digests, so that every later attempt makes the same object and row.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.names import (
    CONTENT_BYTES,
    CONTENT_PATH,
    ENCODED,
    encoded,
    of_answer,
    of_identity,
    of_moment,
    of_path,
)
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.records import FileRecord
from deriva_watch.core.spec.mapping import BAG_PROCESSOR, AssetMapping, Processor
from deriva_watch.core.spec.templates import environment, fill, query
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.content import Digests
from deriva_watch.engine.ports import Catalog, Processors
from deriva_watch.engine.unit_upload import UnitUpload

_ALWAYS: Final = ("md5", "sha256")


def known_names(asset: AssetPlan, record: FileRecord) -> dict[str, Any]:
    """Return the names that the templates of the bulk spec can use for a hashed file."""
    mapping = asset.match.mapping
    known = environment(asset.match, asset.file_name, asset.values)
    known |= _digests({"md5": record.md5 or "", "sha256": record.sha256 or ""})
    known |= {"file_size": content_bytes(record)}
    if asset.given_rid is not None:
        known["RID"] = asset.given_rid
    known |= record.names or {}
    url = record.url
    if url and not mapping.options.versioned:
        url = url.rpartition(":")[0]
    return encoded(known | {"URI": url}, mapping.safe_overrides, mapping.encoded_names)


def content_bytes(record: FileRecord) -> int:
    """Return the length of the content sent for a file: the file itself or its bag."""
    return int((record.names or {}).get(CONTENT_BYTES, record.size_bytes))


def _digests(hexadecimal: Mapping[str, str]) -> dict[str, Any]:
    in_base64 = {
        f"{name}_base64": b64encode(bytes.fromhex(value)).decode("ascii")
        for name, value in hexadecimal.items()
    }
    return dict(hexadecimal) | in_base64


@dataclass(frozen=True, slots=True)
class Naming:
    """Determines the names, with the help of the catalog and of processors.

    Attributes:
        now: Returns the time in local time, like the uploader of deriva-py.
    """

    catalog: Catalog
    processors: Processors
    call_retry: CallRetry
    now: Any = datetime.now  # a function, called for each file

    def begin(self, upload: UnitUpload, asset: AssetPlan) -> dict[str, Any]:
        """Return the names of a file before it is read, with those of the first processors.

        Raises RefusedError if a processor fails.
        """
        mapping, root = asset.match.mapping, upload.disk.root
        if not mapping.outside:
            return {}
        folder = str((root / asset.path).parent)
        known = environment(asset.match, asset.file_name, asset.values, folder)
        known |= of_moment(self.now())
        known["file_size"] = asset.entry.size_bytes
        if "_identity_" in json.dumps(mapping.entry):
            known |= of_identity(self.call_retry("GET session", self.catalog.identity))
        for processor in mapping.pre_processors:
            known = self._processed(upload, asset, processor, known)
        return known

    def _processed(
        self, upload: UnitUpload, asset: AssetPlan, processor: Processor, known: dict[str, Any]
    ) -> dict[str, Any]:
        mapping, path = asset.match.mapping, upload.disk.root / asset.path
        known = encoded(known, mapping.safe_overrides)
        if processor.built_in == BAG_PROCESSOR:
            made = self.processors.bag(processor, upload.disk, asset)
            said = of_path(str(made.parent), made.name, {})
            return known | said | {CONTENT_PATH: str(made), "file_size": made.stat().st_size}
        if processor.params.get("requires_metadata_query"):
            known |= self._asked(mapping, known)
        return self.processors.run(processor, path, asset.match, known)

    def complete(
        self, asset: AssetPlan, known: Mapping[str, Any], found: Digests
    ) -> dict[str, Any] | None:
        """Return the names to store in the journal, now that the content is known."""
        mapping = asset.match.mapping
        if not mapping.outside:
            return None
        digests = {"md5": found.md5, "sha256": found.sha256} | dict(found.more)
        names = dict(known) | _digests(digests) | {"file_size": found.size_bytes}
        names = self._asked(mapping, encoded(names, mapping.safe_overrides))
        names = {k: v for k, v in names.items() if not k.endswith(ENCODED)}
        if found.size_bytes != asset.entry.size_bytes or CONTENT_PATH in names:
            names[CONTENT_BYTES] = found.size_bytes
        return dict(json.loads(json.dumps(names, default=str)))

    def _asked(self, mapping: AssetMapping, known: Mapping[str, Any]) -> dict[str, Any]:
        """Add the results of queries, the names from the extension, and the value templates."""
        names, safe = dict(known), mapping.safe_overrides
        for template in mapping.metadata_queries:
            path = query(template, names)
            rows = self.call_retry("GET metadata", lambda path=path: self.catalog.query(path))  # type: ignore[misc]
            if not rows:
                raise RefusedError(
                    "the catalog does not have the row that the file belongs to",
                    f"no row answers the query {path} of mapping {mapping.number}",
                    "Add the row, or correct the path, then `deriva-watch retry RID`.",
                )
            names = encoded(names | of_answer(rows[0]), safe)
        names |= mapping.general.by_extension.get(str(names.get("file_ext")), {})
        for name, template in mapping.column_value_templates.items():
            made = fill(template, names)
            if made is not None:
                names[name] = made
        return encoded(names, safe)

    def finish(self, upload: UnitUpload, asset: AssetPlan, known: dict[str, Any]) -> None:
        """Run the last processors."""
        for processor in asset.match.mapping.post_processors:
            self.processors.run(processor, upload.disk.root / asset.path, asset.match, known)

    @contextmanager
    def content(
        self, upload: UnitUpload, asset: AssetPlan, names: Mapping[str, Any] | None
    ) -> Iterator[BinaryIO]:
        """Open the content to send for a file: the file itself or what a processor made of it."""
        made = (names or {}).get(CONTENT_PATH)
        if made is None:
            with upload.disk.open(asset.entry) as body:
                yield body
            return
        try:
            body = Path(made).open("rb")  # noqa: SIM115  # closed below; only this may fail so
        except OSError as error:
            raise FileChangedError(f"{made} is gone: {error.strerror}") from error
        with body:
            yield body

    def more_digests(self, asset: AssetPlan) -> tuple[str, ...]:
        """Return the digests its mapping needs besides MD5 and SHA-256."""
        return tuple(name for name in asset.match.mapping.checksums if name not in _ALWAYS)

    def verify(self, upload: UnitUpload, asset: AssetPlan) -> None:
        """Check that the file, or each file in its bag, is unchanged."""
        for entry in asset.members or (asset.entry,):
            upload.disk.verify(entry)
