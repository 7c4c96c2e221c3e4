"""The inputs that a refusal depends on. When they change, it is tried again without an order.

These are the bulk spec, the catalog's model, the settings of files and of whose statements count,
and our identity on the server.
Their digest is kept beside the refusal in the journal.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.errors import UnusableSpecError
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.ports import Catalog
from deriva_watch.settings.model import Settings

_WHY: Final = "the bulk spec, the catalog's model, the settings or the credential changed"


@dataclass(frozen=True, slots=True)
class InputFingerprint:
    """Computes the digest of the inputs that refusals depend on."""

    settings: Settings
    catalog: Catalog
    specs: SpecSource

    def current(self) -> str | None:
        """Return the digest of the inputs; None while there is no usable bulk spec."""
        return self.of(self.catalog.model())

    def of(self, model: CatalogModel) -> str | None:
        """Return the digest of the inputs with a *model* that was just read."""
        try:
            spec = self.specs.document(model)
        except UnusableSpecError:
            return None
        inputs = [
            self.catalog.version(model),
            json.dumps(spec, sort_keys=True),
            self.settings.spec.model_dump_json(),
            self.settings.files.model_dump_json(),
            *(folder.model_dump_json() for folder in self.settings.drop),
            *(f"{watch.prefix} {watch.trusted_owners}" for watch in self.settings.watch),
        ]
        return hashlib.sha256("\n".join(inputs).encode()).hexdigest()

    def reopen_changed(self, journal: Journal, server: str) -> list[ExecutionRecord]:
        """Reopen refused executions whose inputs have changed; return them as they were.

        The server is asked only where the journal has such executions.
        """
        refused = journal.with_basis(server)
        current = self.current() if refused else None
        changed = [record for record in refused if current and record.basis != current]
        facts: ExecutionFacts = {"why": _WHY, "attempts": 0}
        if changed:
            trigger = ExecutionTrigger.RETRIED
            journal.commit([MoveExecution(record.id, trigger, facts) for record in changed])
        return changed
