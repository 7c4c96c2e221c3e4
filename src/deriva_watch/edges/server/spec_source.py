"""Where the bulk spec comes from: the catalog's model, an annotation of the catalog, or a file."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from deriva_watch.core.errors import UnusableSpecError
from deriva_watch.core.json_text import JsonError, read_json, read_whole
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.os_errors import reason
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.spec.spec_check import checked_spec

ANNOTATION: Final = "tag:isrd.isi.edu,2017:bulk-upload"


@dataclass(slots=True)
class SpecSource:
    """Provides the current bulk spec, checked; it is read again at every use.

    Attributes:
        source, file, allowed_processors: As `[spec]` of the settings.
        chunk_bytes: For the spec that is made from the model.
    """

    source: Literal["model", "catalog", "file"]
    file: Path | None
    allowed_processors: frozenset[str]
    chunk_bytes: int
    _known: tuple[CatalogModel, Any, Spec] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def document(self, model: CatalogModel) -> Any:
        """Return the spec as JSON; UnusableSpecError if there is none."""
        if self.source == "catalog":
            return _annotation(model)
        if self.source == "file" and self.file:
            return _read(self.file)
        return bulk_upload_configuration(model, self.chunk_bytes)

    def spec(self, model: CatalogModel) -> Spec:
        """Return the spec; UnusableSpecError names all its mistakes."""
        document = self.document(model)
        with self._lock:
            known = self._known
            # The model is a new object only if the catalog has changed.
            if known and known[0] is model and known[1] == document:
                return known[2]
            spec = checked_spec(document, model, self.allowed_processors)
            self._known = model, document, spec
            return spec


def _annotation(model: CatalogModel) -> Any:
    if ANNOTATION in model.annotations:
        return model.annotations[ANNOTATION]
    raise UnusableSpecError(
        "there is no bulk spec",
        f"the catalog has no annotation {ANNOTATION}",
        'Ask its administrator to add one, or set [spec] source to "model" or "file".',
    )


def _read(file: Path) -> Any:
    what = f"the bulk spec {file} cannot be read"
    try:
        with file.open("rb") as content:
            return read_json(read_whole(content))
    except OSError as error:
        then = "Create it, readable for the user of deriva-watch, or change [spec] file."
        raise UnusableSpecError(what, reason(error), then) from None
    except JsonError as error:
        raise UnusableSpecError(what, f"it is not JSON: {error}", "Correct the file.") from None
