"""Journals of the main states, filled through the journal's own changes."""

from datetime import UTC, datetime, timedelta

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile, NoteExecution, NoteFile
from deriva_watch.core.states import ExecutionTrigger as Execution
from deriva_watch.core.states import FileTrigger as File
from deriva_watch.core.stats.day import SHOWN, STEP, Sample, step_of

SERVER = "data.example.org/1"
PREFIX = "/data/microscope"
TABLE = "deriva-ml:Execution_Asset"
MIB = 2**20
REFUSAL = {
    "what": "cannot upload assets/Image/{name}",
    "why": "the row for its Subject is not known: "
    "there is no row of demo:Subject with Name = 'S-9'",
    "next": "Add the row, or correct the path, then `deriva-watch retry {rid}`.",
}


class Past:
    """A clock for a journal: what is written in a scene happened over the last hours."""

    def __init__(self):
        self.time = datetime.now(UTC) - timedelta(hours=6)

    def now(self):
        """Return the next moment."""
        self.time = min(self.time + timedelta(milliseconds=700), datetime.now(UTC))
        return self.time

    def until(self, **ago):
        """Let the next change happen so long ago."""
        self.time = datetime.now(UTC) - timedelta(**ago)


def begin(journal, rid, files, prefix=PREFIX):
    """Let an execution be claimed by a worker; return its number and those of its *files*."""
    new = journal.open_execution(SERVER, prefix, rid)
    verdict = {"why": "nobody writes, and nothing changed", "quiet_s": 30.0, "files": len(files)}
    journal.commit([MoveExecution(new.id, Execution.COMPLETED, {"verdict": verdict})])
    assert journal.claim().id == new.id
    facts = [{"size_bytes": size} for _, size in files]
    adds = [AddFile(new.id, path, fact) for (path, _), fact in zip(files, facts, strict=True)]
    return new.id, journal.commit(adds)


def images(count, size=40 * MIB):
    """Return names and sizes of files as a microscope writes them."""
    return [(f"assets/Image/field-{n:04}.tif", size + n * 1000) for n in range(count)]


def stored(numbers, rid="2-"):
    """Return the changes that bring files to the server, but for their links."""
    for number in numbers:
        digests = {"md5": f"{number:032x}", "sha256": f"{number:064x}", "table": TABLE}
        yield MoveFile(number, File.HASHED, digests)
        url = f"/hatrac/Execution_Asset/{number:032x}.tif:K7Q2"
        yield MoveFile(number, File.STORED, {"url": url})
        yield MoveFile(number, File.RECORDED, {"rid": f"{rid}{number:04X}"})


def linked(numbers):
    """Return the changes that make files safe."""
    changes = [*stored(numbers)]
    return changes + [MoveFile(number, File.LINKED) for number in numbers]


def finished(journal, rid, files, prefix=PREFIX):
    """Let an execution be safe."""
    execution, numbers = begin(journal, rid, files, prefix)
    journal.commit([*linked(numbers), MoveExecution(execution, Execution.FINISHED)])


def day(journal):
    """Let bytes have been sent over the day, as instruments bring them; by night nobody did."""
    now = datetime.now(UTC)
    steps = [step_of(now) - STEP * n for n in range(SHOWN // STEP - 1, 0, -1)]
    waiting = 0
    for n, at in enumerate(steps):
        if 60 < n < 85:
            continue  # no daemon ran
        came = 300 * MIB * (n % 7) if n % 45 > 12 else 0
        sent = min(waiting + came, 900 * MIB)
        waiting += came - sent
        journal.keep_sample(Sample(at, sent, waiting // (40 * MIB), waiting))


def safe(journal, clock):
    """All is in."""
    day(journal)
    for n in range(7):
        clock.until(minutes=300 - 42 * n)
        finished(journal, f"4-J{n}K8", images(4 + 3 * n))


def busy(journal, clock):
    """Two executions are on their way, one waits, one is not complete yet."""
    safe(journal, clock)
    clock.until(seconds=50)
    _, numbers = begin(journal, "4-M2P0", images(24))
    clock.until(seconds=20)
    journal.commit([*linked(numbers[:9])])
    for number, chunks in zip(numbers[9:11], ([0], [0, 1]), strict=True):
        job = {"url": "/hatrac/job", "md5": "0" * 32, "size_bytes": 40 * MIB}
        job |= {"chunk_bytes": 16 * MIB, "chunks": chunks}
        journal.commit([MoveFile(number, File.HASHED), NoteFile(number, {"job": job})])
    begin(journal, "4-M4Q2", images(3))
    waits, _ = begin(journal, "4-M6R4", images(2))
    later = datetime.now(UTC) + timedelta(minutes=4)
    sentence = {
        "what": "cannot store assets/Image/field-0001.tif",
        "why": "the server answered 503: out of space",
        "next": "It is tried again.",
        "next_at": later,
        "attempts": 2,
    }
    journal.commit([MoveExecution(waits, Execution.DEFERRED, sentence)])
    journal.open_execution(SERVER, PREFIX, "4-M8T6")


def person(journal, clock):
    """Some executions are refused, and a file matches nothing."""
    safe(journal, clock)
    for n in range(2):
        clock.until(minutes=40 - n)
        refused(journal, f"4-R{n}X", images(12))
    number, files = begin(journal, "4-U7V2", [*images(3), ("notes/read me.docx", 12_000)])
    why = "after 'notes', a table is expected"
    journal.commit([*linked(files[:3]), MoveFile(files[3], File.UNMATCHED, {"why": why})])
    journal.commit([MoveExecution(number, Execution.FINISHED)])
    lost = journal.executions(rid="4-J2K8")[0]
    told = {"what": "the server no longer has assets/Image/field-0001.tif as it was uploaded"}
    told |= {"why": "its object is gone", "next": "Restore it on the server."}
    differs = {**told, "since": datetime.now(UTC).isoformat()}
    journal.commit([NoteExecution(lost.id, {"differs": differs})])


def strangers(journal, count):
    """Executions of another host: refused before any of their files is looked at."""
    for n in range(count):
        new = journal.open_execution(SERVER, PREFIX, f"4-S{n}")
        told = {"what": f"cannot upload 4-S{n}", "why": "it is not ours", "next": "Move it away."}
        journal.commit([MoveExecution(new.id, Execution.REFUSED, told)])


def refused(journal, rid, files):
    """Let an execution be refused for its last file; the others are safe."""
    execution, numbers = begin(journal, rid, files)
    told = {key: text.format(name="field-0011.tif", rid=rid) for key, text in REFUSAL.items()}
    changes = [*linked(numbers[:-1]), MoveFile(numbers[-1], File.REFUSED, told)]
    journal.commit([*changes, MoveExecution(execution, Execution.REFUSED, told)])
