"""One call of `upload_directory`: uploads all parts of a directory, with retries."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import (
    DerivaMLException,
    InterruptedWorkError,
    RefusedError,
    TransientError,
)
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.unit import Unit
from deriva_watch.edges.server.deriva import Server
from deriva_watch.engine.ports import Catalog
from deriva_watch.library.background import LOG, Report
from deriva_watch.library.connection import Target, explained, sentence
from deriva_watch.library.part_upload import Failure, PartResult, PartUploader
from deriva_watch.library.parts import Part
from deriva_watch.library.progress import FileUploadState, UploadProgress
from deriva_watch.library.tracking import Begun, Meter, Planned
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.unit_planner import Planner, UnitPlanner, spec_source
from deriva_watch.pipeline.unit_reader import UnitReader

_NAMED: Final = 50  # files that a line of the log lists


@dataclass(frozen=True, slots=True)
class PartPlanner:
    """Plans only the files of a part, and remembers the plans.

    Attributes:
        whole: Plans all files of the unit.
        parts: The part of each unit that is uploaded.
        plans: The latest plan of each part.
    """

    whole: Planner
    parts: Mapping[Unit, Part]
    plans: dict[Part, Plan] = field(default_factory=dict)

    def plan(self, unit: Unit, seen: Observation, model: CatalogModel, catalog: Catalog) -> Plan:
        """Return the plan for every file of the part; a `Planner`."""
        whole = self.whole(unit, seen, model, catalog)
        part = self.parts[unit]
        self.plans[part] = whole if part.is_whole else whole.of(part.has)
        return self.plans[part]


@dataclass(slots=True)
class Run:
    """The work of one call.

    Attributes:
        directory: The directory to upload.
        target: Where to upload it.
        parts: The parts of the directory.
        max_retries: How often to try again what failed.
        retry_delay_s: Delay before the first retry, in seconds; it doubles each time.
        stop: Once set, the work ends as soon as it can.
        results: The result of each part.
    """

    directory: Path
    target: Target
    parts: list[Part]
    max_retries: int
    retry_delay_s: float
    stop: threading.Event = field(default_factory=threading.Event)
    results: dict[Part, PartResult] = field(default_factory=dict)
    _planned: bool = False

    def work(self, report: Report) -> dict[Any, FileUploadState]:
        """Upload all parts; return the result of each file that is in the catalog.

        Raises DerivaMLException if a file is not.
        """
        if not self.parts:
            return {}
        settings = self.target.settings
        whole = UnitPlanner(UnitReader.of(settings), spec_source(settings)).plan
        planner = PartPlanner(whole, {part.unit: part for part in self.parts})
        meter = Meter(report, self.target.settings.transfer.chunk_bytes)
        with (
            explained(str(self.directory)),
            self.target.opened(report, self.stop, meter, plan=planner.plan) as (server, parts),
        ):
            uploader = PartUploader.of(parts, planner.plans.get)
            failures, retries = self._attempts(server, parts, uploader, meter, report)
        self._name_the_left()
        if failures:
            named = "; ".join(f"{failure.file}: {failure.why}" for failure in failures)
            raise DerivaMLException(
                f"Failed to upload {len(failures)} file(s) after {retries} retries: {named}"
            )
        results = self.results.values()
        return {file: state for each in results for file, state in each.results.items()}

    def _attempts(
        self, server: Server, parts: Parts, uploader: PartUploader, meter: Meter, report: Report
    ) -> tuple[list[Failure], int]:
        """Return the failures that remain, and the number of retries."""
        wait_s, retries = self.retry_delay_s, 0
        while True:
            failures = self._attempt(server, parts, uploader, meter, report)
            failed = sum(failure.may_pass for failure in failures)
            if not failed or retries >= self.max_retries:
                return failures, retries
            retries += 1
            text = f"Retrying {failed} failed upload(s) in {wait_s:.1f}s"
            text += f" (attempt {retries}/{self.max_retries})"
            report(UploadProgress(phase="retrying", message=text))
            self.stop.wait(wait_s)
            wait_s *= 2

    def _attempt(
        self, server: Server, parts: Parts, uploader: PartUploader, meter: Meter, report: Report
    ) -> list[Failure]:
        """Upload the remaining parts once; return the failures."""
        try:
            if not self._planned:
                server.session()
                self._plan(parts, report)
                self._planned = True
        except TransientError as error:
            return [Failure(str(self.directory), sentence(error), may_pass=True)]
        failures: list[Failure] = []
        for number, part in enumerate(self.parts):
            if self._is_due(part):
                meter.root = part.root
                report(Begun(part.root))
                self.results[part] = uploader.upload(part)
            if self.stop.is_set():
                raise InterruptedWorkError("the caller no longer waits for it")
            failures += self.results[part].failures
            if self.results[part].stops:
                why = self.results[part].failures[-1]
                later = [each for each in self.parts[number + 1 :] if self._is_due(each)]
                failures += [Failure(str(p.root), why.why, why.may_pass) for p in later]
                break
        return failures

    def _is_due(self, part: Part) -> bool:
        outcome = self.results.get(part)
        return outcome is None or any(failure.may_pass for failure in outcome.failures)

    def _plan(self, parts: Parts, report: Report) -> None:
        """Report which files there are, before the first one is uploaded."""
        model = parts.catalog.model()
        parts.specs.spec(model)
        for part in self.parts:
            record = parts.journal.find(parts.server, str(part.unit.prefix), part.unit.name)
            known = parts.journal.files(record.id) if record else []
            seen = parts.unit_reader.look(part.unit)
            try:
                if seen:
                    plan = parts.plan(part.unit, seen, model, parts.catalog)
                    report(Planned.of(part.root, plan, known))
            except RefusedError:
                continue  # the upload reports the reason

    def _name_the_left(self) -> None:
        """Log once which files were not uploaded."""
        for what, level in (("unmatched", "warning"), ("ignored", "info")):
            files = [file for each in self.results.values() for file in getattr(each, what)]
            if files:
                more = f", and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
                why = {
                    "unmatched": "no upload rule covers them",
                    "ignored": "their names are ignored, as those of temporary files",
                }[what]
                text = "%d files of %s are not uploaded, %s: %s%s"
                getattr(LOG, level)(
                    text, len(files), self.directory, why, ", ".join(files[:_NAMED]), more
                )
