"""What refusals rest on. When it changes they are tried again, without a person's word.

A refusal for good rests on the bulk spec, the catalog's model, the settings of files and who we
are to the server. Its digest stands beside the refusal in the journal.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, MoveExecution
from deriva_watch.core.spec.mapping import UnusableSpecError
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.ports import Catalog
from deriva_watch.settings.model import Settings

_WHY: Final = "the bulk spec, the catalog's model, the settings or the credential changed"


@dataclass(frozen=True, slots=True)
class Basis:
    """Tells what refusals rest on."""

    settings: Settings
    catalog: Catalog
    specs: SpecSource

    def now(self) -> str | None:
        """Return the digest of it; None while there is no bulk spec."""
        try:
            spec = self.specs.document(self.catalog.model())
        except UnusableSpecError:
            return None
        said = [
            self.catalog.version(),
            json.dumps(spec, sort_keys=True),
            self.settings.spec.model_dump_json(),
            self.settings.files.model_dump_json(),
            *(folder.model_dump_json() for folder in self.settings.drop),
        ]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def redrive(self, journal: Journal, server: str) -> list[ExecutionRecord]:
        """Open again what rests on something else than there is now; return what it was.

        Nothing is asked of the server where no execution of the journal rests on anything.
        """
        resting = journal.resting(server)
        present = self.now() if resting else None
        moved = [record for record in resting if present and record.basis != present]
        facts: ExecutionFacts = {"why": _WHY, "attempts": 0}
        if moved:
            trigger = ExecutionTrigger.RETRIED
            journal.commit([MoveExecution(record.id, trigger, facts) for record in moved])
        return moved
