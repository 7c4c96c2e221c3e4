"""The engine's real parts, put together so that a test sees every call and can cut the power."""

import hashlib
import threading
from base64 import b64encode
from collections import defaultdict
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.errors import TransientError
from deriva_watch.core.model import TableName
from deriva_watch.core.retry import RetryPolicy
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.edges.journal import Journal, open_readonly
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.deriva import Server
from deriva_watch.edges.server.hatrac import Hatrac
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.fair_pool import FairPool
from deriva_watch.engine.files.depositor import Depositor
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.pipeline.build import Outside, Parts, build
from deriva_watch.settings.model import Settings
from looking import empty_journal
from running import Api, credential, write_files

IMAGE = TableName("demo", "Image")
ASSET = TableName("deriva-ml", "Execution_Asset")
SUBJECT = TableName("demo", "Subject")
LEASE = TableName("public", "ERMrest_RID_Lease")

BRISK = RetryPolicy(initial_s=0.01, max_s=0.1, max_attempts=8)


WHO = ("owner", "writer")


def every_crash(calls):
    """Return every crash there can be: whose run, at which call, and whether it took effect.

    *calls* says how often a run calls what, at most.
    """
    return [
        (who, name, number, after)
        for who in WHO
        for name, count in calls.items()
        for number in range(count)
        for after in (False, True)
    ]


# How often the upload of a file of rows calls what, at most.
TABLE_CALLS = {
    "catalog.lease": 3,
    "catalog.insert": 6,
    "catalog.rows_where": 3,
    "journal.commit": 12,
    "journal.submit": 2,
}


def crash_name(case):
    """Return what a test of a crash is called."""
    who, name, number, after = case
    return f"{who}-{'after' if after else 'before'}-{name}-{number}"


class Crash(BaseException):
    """The process has ended: no `except Exception` may hide it."""


@dataclass(frozen=True)
class Call:
    """A call of a port, and what it returned."""

    name: str  # "store.put"
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any


@dataclass
class Power:
    """What all ports run on. It fails at a call, before or after its effect, and for good.

    Attributes:
        name, number: The call that it fails at: so many of that name were made before.
        after: The call still takes effect, and nobody hears of it.
        lifetime: Or it fails after so many calls of any name.
        names: Of all calls, in order.
        answered: The calls that had an answer.
    """

    name: str | None = None
    number: int = 0
    after: bool = False
    lifetime: int | None = None
    names: list[str] = field(default_factory=list)
    answered: list[Call] = field(default_factory=list)
    off: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self):
        """Let nothing pass any more once it has failed."""
        if self.off:
            raise Crash

    def through(self, name, function, *arguments, **options):
        """Make a call, unless the power fails before."""
        with self._lock:
            self.check()
            named = (name, self.names.count(name)) == (self.name, self.number)
            self.off = named or len(self.names) == self.lifetime
            self.names.append(name)
            if self.off and not self.after:
                raise Crash
        result = function(*arguments, **options)
        self.check()  # the answer is lost
        self.answered.append(Call(name, arguments, options, result))
        return result

    def calls(self, name):
        """Return the calls of that name that had an answer."""
        return [call for call in self.answered if call.name == name]


class Wired:
    """A port on the power supply. Only calls of *counted* methods count, if any are named."""

    def __init__(self, name, port, power, *counted):
        self._name, self._port, self._power, self._counted = name, port, power, counted

    def __getattr__(self, method):
        self._power.check()
        function = getattr(self._port, method)
        if not callable(function) or (self._counted and method not in self._counted):
            return function
        name = f"{self._name}.{method}"
        return lambda *args, **options: self._power.through(name, function, *args, **options)


class Stage:
    """A port whose next calls become what a test says.

    `then[method]` has an act for each of them: it is given the call as a function, and the
    arguments, and returns or raises what the call shall.
    """

    def __init__(self, port):
        self._port, self.then = port, defaultdict(list)

    def __getattr__(self, method):
        function = getattr(self._port, method)
        return lambda *args, **options: self._next(method)(
            partial(function, *args, **options), *args
        )

    def _next(self, method):
        with suppress(IndexError):
            return self.then[method].pop(0)
        return lambda call, *_: call()


def first(act):
    """Let *act* happen, with the arguments of a call, before it is made."""
    return lambda call, *args: (act(*args), call())[1]


def instead(error):
    """Let a call raise *error* and do nothing."""

    def act(*_):
        raise error

    return act


def unheard(error):
    """Let a call take effect, and raise *error*: its answer is lost."""

    def act(call, *_):
        call()
        raise error

    return act


BUSY = TransientError("cannot do it", "it is busy")


@dataclass
class Rig:
    """One process's worth of parts."""

    rid: str
    settings: Settings
    parts: Parts
    writer: CatalogWriter
    depositor: Depositor
    call_retry: CallRetry
    journal: Journal
    power: Power
    events: list
    moved: list  # path, "hash" or "send", bytes
    stop: threading.Event

    @property
    def unit(self):
        """The execution directory."""
        return self.settings.unit(self.settings.watch[0].prefix, self.rid)

    @property
    def catalog(self):
        """The catalog, as the engine sees it."""
        return self.parts.catalog

    @property
    def store(self):
        """The object store, as the engine sees it."""
        return self.depositor.store

    def begin(self, rid=None):
        """Return the record of an execution, ours unless *rid* is given; it is claimed."""
        prefix, rid = self.settings.watch[0].prefix, rid or self.rid
        record = self.journal.open_execution(self.parts.server, str(prefix), rid)
        if record.state in {ExecutionState.UPLOADED, ExecutionState.REFUSED}:
            self.journal.commit([MoveExecution(record.id, ExecutionTrigger.CHANGED)])
        elif record.state is ExecutionState.WAITING:
            self.journal.commit([MoveExecution(record.id, ExecutionTrigger.DUE)])
        if self.journal.execution(record.id).state is ExecutionState.FILLING:
            digest = self.parts.unit_reader.look(self.settings.unit(prefix, rid)).digest()
            facts = {"digest": digest, "verdict": {"why": "a test says so"}}
            self.journal.commit([MoveExecution(record.id, ExecutionTrigger.COMPLETED, facts)])
        self.journal.commit([MoveExecution(record.id, ExecutionTrigger.CLAIMED)])
        return self.journal.execution(record.id)

    def begun(self):
        """Return the upload of the execution, before anything of it is done."""
        record, model, unit_reader = self.begin(), self.catalog.model(), self.parts.unit_reader
        unit = self.settings.unit_of(record)
        plan = self.parts.plan(unit, unit_reader.look(unit), model, self.catalog)
        return self.parts.attempts._begin(record, plan, model)

    def upload(self, rid=None):
        """Take it through, once; return where it stands."""
        return self.parts.attempts.process(self.begin(rid)).record

    def bring(self):
        """Take it through as a daemon does that begins and finds it; return where it stands.

        What a dead daemon held is free, and it is taken again when the directory has changed.
        """
        self.journal.void_claims()
        for _ in range(3):
            if (record := self.upload()).state is not ExecutionState.FILLING:
                break
        return record

    def told(self, name):
        """Return the events of that name."""
        return [event for event in self.events if event.name == name]


def _settings(folder, ready, transfer, sections):
    """Return settings for a prefix and a journal below *folder*."""
    given = {
        "server": {"host": ready["host"], "catalog": ready["catalog"], "protocol": "http"},
        "watch": [{"prefix": folder / "data"}],
        "transfer": transfer,
        "retry": {"initial_s": 0.01, "max_s": 0.05},
        "journal": {"url": _journal(folder)},
    }
    (folder / "state").mkdir(parents=True, exist_ok=True)
    journal = folder / "state" / "journal.db"
    if not journal.exists():
        journal.write_bytes(empty_journal())
    return Settings(**given | {name: value or {} for name, value in sections.items()})


def _journal(folder):
    return f"sqlite:///{folder / 'state' / 'journal.db'}"


@contextmanager
def rigged(lab, who="owner", *, power=None, chunk_bytes=1000, connections=4, **sections):
    """Put the parts together, as the daemon does; *sections* are further settings."""
    ready, power = lab.ready, power or Power()
    transfer = {"chunk_bytes": chunk_bytes, "connections": connections}
    settings = _settings(lab.folder, ready, transfer, sections)
    events, moved, stop = [], [], threading.Event()
    call_retry = CallRetry(events.append, ready["host"], stop, BRISK)
    with ExitStack() as stack:
        server = stack.enter_context(
            Server(ready["host"], credential(ready, who), protocol="http", connections=8)
        )
        server.session()
        catalog = Wired("catalog", Stage(Ermrest(server, ready["catalog"])), power)
        store = Wired("store", Stage(Hatrac(server)), power)
        opened = stack.enter_context(Journal.open(settings.journal.url, emit=events.append))
        journal = Wired(
            "journal", opened, power, "commit", "submit", "move", "open_batch", "open_execution"
        )
        hashing = FairPool("hashing", 2)
        sending = FairPool("transfer", settings.transfer.connections)
        stack.callback(hashing.close)
        stack.callback(sending.close)
        writer = CatalogWriter(catalog, call_retry)
        stack.callback(writer.close)
        outside = Outside(
            journal=journal,
            catalog=catalog,
            store=store,
            writer=writer,
            hashing=hashing,
            sending=sending,
            call_retry=call_retry,
            emit=events.append,
            probe=lambda: (server.session(), catalog.model()),
            watch=lambda *moves: moved.append(moves),
        )
        parts = build(settings, outside)
        yield Rig(
            rid=lab.rid,
            settings=settings,
            parts=parts,
            writer=writer,
            depositor=parts.uploader.files.depositor,
            call_retry=call_retry,
            journal=opened,
            power=power,
            events=events,
            moved=moved,
            stop=stop,
        )


class Lab:
    """One execution on disk below *folder*, its journal, and the server it goes to."""

    def __init__(self, folder, ready):
        self.folder, self.ready, self.api = folder, ready, Api(ready)
        self.rid = self.api.execution()

    def another(self):
        """Return another execution, with another journal, of the same server."""
        return Lab(self.folder / self.rid, self.ready)

    def beside(self):
        """Return another execution that has the same journal."""
        return Lab(self.folder, self.ready)

    def lease(self, who="owner"):
        """Return a RID that is leased to the owner, or to the ordinary writer."""
        return Api(self.ready, who).insert(str(LEASE), {"ID": f"for {self.rid}"})[0]["RID"]

    def write(self, files):
        """Write *files*, contents by path; return the execution directory."""
        return write_files(self.folder / "data" / "deriva-ml" / "execution" / self.rid, files)

    def rigged(self, who="owner", **options):
        """Put the parts of a process together, to upload it."""
        return rigged(self, who, **options)

    def upload(self, files, who="owner", **options):
        """Upload *files*; return where the execution then stands, and the rig."""
        self.write(files)
        with self.rigged(who, **options) as rig:
            return rig.upload(), rig

    def files(self):
        """Return the journal's files by path."""
        journal = open_readonly(_journal(self.folder))
        records = journal.executions(rid=self.rid)
        return {file.path: file for record in records for file in journal.files(record.id)}

    def states(self):
        """Return where the journal's files stand, by path."""
        return {path: file.state.value for path, file in self.files().items()}


def image(name, subject="1-S001", observation="__NULL__", rid=None):
    """Return the path of an Image."""
    parts = ["asset/demo/Image/__NULL__/__NULL__", observation, subject, *([rid] if rid else [])]
    return "/".join([*parts, name])


def stored(api, content, file_name, table=IMAGE, **headers):
    """Store a version as another program would; return its URL."""
    md5 = hashlib.md5(content)
    name = f"/hatrac/{table.table}/{md5.hexdigest()}.{file_name}?parents=true"
    headers = {"Content-MD5": b64encode(md5.digest()).decode(), **headers}
    return api.call("PUT", api.url + name, data=content, headers=headers).headers["Location"]


def earlier(api, content, file_name, table=IMAGE, **values):
    """Return the row of an asset that another program brought in."""
    row = {"Filename": file_name, "Length": len(content), "MD5": hashlib.md5(content).hexdigest()}
    values = {"URL": stored(api, content, file_name, table), **values}
    return api.insert(str(table), row | values)[0]
