"""What Prometheus and the chart of the last day get."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

import generated
from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile, NoteExecution
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.core.stats.day import Sample, step_of
from deriva_watch.status.day import Day
from deriva_watch.status.web.meter import Meter
from status.visiting import ask, claimed, said, served

ROOT = Path(__file__).parents[3]


def families(answer):
    """Return the samples of an answer by name: {labels: value}, each."""
    found = defaultdict(dict)
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_metrics_tell_how_things_stand(journal):
    number = claimed(journal)
    facts = {"size_bytes": 700}
    names = journal.commit([AddFile(number, name, facts) for name in "abc"])
    journal.commit([MoveFile(names[0], FileTrigger.UNMATCHED)])

    with served(journal, meter=Meter(lambda: 60.0)) as here:
        answer = ask(here, "/metrics")
        found = families(answer)

    assert answer.headers["Content-Type"].startswith("text/plain")
    assert found["deriva_watch_executions"][("state", "uploading"),] == 1
    assert found["deriva_watch_files"][("state", "unmatched"),] == 1
    assert found["deriva_watch_backlog_files"] == {(): 2}
    assert found["deriva_watch_backlog_bytes"] == {(): 1400}
    assert found["deriva_watch_healthy"] == {(): 1}
    assert found["deriva_watch_credential_remaining_seconds"] == {(): 60}
    assert found["deriva_watch_oldest_pending_seconds"][()] > 0
    assert found["deriva_watch_journal_size_bytes"][()] > 10_000
    assert found["deriva_watch_state_free_bytes"][()] > 0
    assert found["deriva_watch_build_info"][("version", version("deriva-watch")),] == 1
    assert found["process_resident_memory_bytes"][()] > 1_000_000


def test_the_oldest_proof_is_a_time_with_its_kind_and_what_differs_is_counted(journal):
    number = claimed(journal)
    journal.commit([MoveExecution(number, ExecutionTrigger.FINISHED)])
    said = {"what": "it lost a", "why": "it is gone", "next": "Restore it.", "since": "now"}
    journal.commit([NoteExecution(number, {"differs": said})])

    with served(journal) as here:
        found = families(ask(here, "/metrics"))

    at = journal.execution(number).proved_at.timestamp()
    proofs = found["deriva_watch_oldest_proof_timestamp_seconds"]
    assert proofs == {(("by", "upload"),): pytest.approx(at)}
    assert found["deriva_watch_differing"] == {(): 1}
    assert found["deriva_watch_attention"] == {(): 1}


def test_the_documentation_has_a_row_on_every_metric(page):
    named = re.findall(r"^\| `(deriva_watch_\w+)", generated.metrics(), re.MULTILINE)
    not_always = ["deriva_watch_credential_remaining_seconds"]

    assert sorted(named) == sorted(names_of(ask(page, "/metrics")) + not_always)


def names_of(answer):
    """Return the metrics of ours that an answer has, as queries call them."""
    return [
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(answer.body.decode())
        if family.name.startswith("deriva_watch")
    ]


def test_metrics_are_named_as_prometheus_advises(page):
    for family in text_string_to_metric_families(ask(page, "/metrics").body.decode()):
        assert family.documentation, family.name
        assert re.fullmatch(r"[a-z][a-z0-9_]+", family.name)
        assert not re.search(r"_(ms|kb|mb|minutes|hours|count|sum|created)$", family.name)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= {"state", "event", "of", "le", "version"}, family.name


def test_each_alert_is_about_a_metric_that_is_exported(page):
    rules = ask(page, "/alerts.yml").body.decode()
    expressions = re.findall(r"^ +expr: (.*)$", rules, re.MULTILINE)
    exported = names_of(ask(page, "/metrics"))
    exported += [f"{name}_count" for name in exported if name.endswith("_seconds")]
    asked = {name for each in expressions for name in re.findall(r"deriva_watch_\w+", each)}

    assert len(expressions) == rules.count("- alert: ") > 10
    assert asked <= {*exported, "deriva_watch_credential_remaining_seconds"}
    for each in expressions:
        bare = re.sub(r'\{state="[a-z]+"\}|\{job="[a-z-]+"\}', "", each)
        comparison = r"(increase\(\w+\[\d+[mh]\]\)|\w+) (==|>|<) [0-9.e]+"
        assert re.fullmatch(rf"{comparison}( or {comparison})*", bare), each


def test_the_last_day_has_what_was_kept_and_what_goes_on(journal):
    now = datetime.now(UTC)
    kept = [
        Sample(step_of(now - timedelta(hours=30)), 1, 0, 0),
        Sample(step_of(now - timedelta(hours=2)), 500, 7, 70),
        Sample(step_of(now - timedelta(hours=2)), 10, 6, 60),  # of the same step: added up
    ]
    for sample in kept:
        journal.keep_sample(sample)
    journal.commit([AddFile(claimed(journal), "a", {"size_bytes": 9})])

    with served(journal) as here:
        here.meter.moved("a", "send", 1000)
        here.meter.moved("a", "hash", 5000)
        found = said(ask(here, "/api/day"))
    with served(journal) as here:  # the next daemon
        here.meter.moved("a", "send", 24)
        later = said(ask(here, "/api/day"))

    assert found["step_s"] == 600
    values = [{name: p[name] for name in p if name != "at"} for p in found["points"]]
    assert values == [
        {"sent_bytes": 510, "backlog_files": 6, "backlog_bytes": 60},
        {"sent_bytes": 1000, "backlog_files": 1, "backlog_bytes": 9},
    ]
    assert [datetime.fromisoformat(p["at"]) for p in found["points"]] == sorted(
        step_of(now - timedelta(hours=hours)) for hours in (0, 2)
    )
    assert sum(p["sent_bytes"] for p in later["points"]) == 510 + 1000 + 24


def test_a_step_is_kept_when_it_ends_and_old_ones_are_forgotten(journal):
    clock = SimpleNamespace(now=datetime(2026, 3, 1, 12, 4, tzinfo=UTC), sent=100)
    day = Day(journal, lambda: clock.sent, lambda: clock.now)
    assert day.left_s() == 6 * 60
    clock.now = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)
    assert day.left_s() == 10 * 60  # also where the last step could not be kept

    clock.sent, clock.now = 400, datetime(2026, 3, 1, 12, 10, 1, tzinfo=UTC)
    day.keep()
    clock.sent, clock.now = 450, clock.now + timedelta(days=2, minutes=10)
    day.keep()
    beginning = datetime(2026, 1, 1, tzinfo=UTC)
    first = journal.samples(beginning)
    day.keep()

    assert [(each.at.minute, each.sent_bytes) for each in first] == [(0, 300), (10, 50)]
    assert [each.sent_bytes for each in journal.samples(beginning)] == [0]
