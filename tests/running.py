"""What is under test, as processes of its own, and a client that shares no code with it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from deriva_watch import liveness
from deriva_watch.status import details, open_views, summary
from starting import Program

POLL_S = 0.02
START_S = 60
PLAIN_ROOT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def wait_until(condition, timeout_s=60, what="it did not happen"):
    """Return what *condition* returns as soon as that is true; AssertionError after *timeout_s*."""
    ends_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < ends_s, f"{what} within {timeout_s} s"
        time.sleep(POLL_S)
    return found


def accused():
    """Return the names of the threads of this process that run and make no progress."""
    return [each.name for each in liveness.standstills() if not each.ended]


# ---------------------------------------------------------------------- the server


@contextmanager
def sandbox(
    data: Path, schema: Path | None = None, rows: Path | None = None, catalog="1", **more
) -> Iterator[dict[str, str]]:
    """Run a sandbox; yield what it says when it is ready.

    *more* are further options of the command line, such as `latency_ms=20` or `listen=host`.
    """
    options = {"schema": schema, "rows": rows, "catalog": catalog, **more}
    arguments = ["--data", str(data)]
    for name, value in options.items():
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    with tempfile.NamedTemporaryFile("r") as said:
        process = Program("deriva_watch.sandbox", arguments, os.environ, said.name, os.devnull)
        try:
            yield json.loads(wait_until(lambda: _line(said, process), START_S))
        finally:
            process.terminate()
            process.wait()


class Gate:
    """Faults for a sandbox: while the gate is closed, PUTs that fit *route* wait.

    So a test can act in the middle of an upload, however slow the machine is. The *first* of them
    get through in any case.
    """

    def __init__(self, folder: Path, route, first=0):
        """Write the file of faults below *folder*; the gate is open."""
        self._file, self.faults = folder / "gate", folder / "gate.json"
        rule = {"action": "stall", "while_there": str(self._file), "method": "PUT", "route": route}
        self.faults.write_text(json.dumps([rule | {"nth": [*range(first + 1, 1000)]}]))

    def close(self):
        """Let requests wait from now on."""
        self._file.touch()

    def open(self):
        """Let all go on."""
        self._file.unlink(missing_ok=True)


def _line(said, process):
    """Return the line that the sandbox has said; RuntimeError if it has ended."""
    has_ended = process.poll() is not None
    said.seek(0)
    line = said.read()
    if has_ended and not line:
        raise RuntimeError(f"the sandbox did not start: {process.poll()}")
    return line.endswith("\n") and line


def credential(ready, who="owner"):
    """Return the credential of the sandbox's owner or writer."""
    entries = json.loads(Path(ready[f"{who}_credential_file"]).read_text())
    return entries[ready["host"]]


def requests_seen(ready):
    """Return the requests that the sandbox has answered.

    Each has method, path, status, identity, fault, received_bytes.
    """
    lines = (Path(ready["data"]) / "requests.jsonl").read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


class Api:
    """ERMrest and Hatrac over plain HTTP."""

    def __init__(self, ready, who="owner"):
        self.url = ready["url"]
        self.catalog = f"{ready['url']}/ermrest/catalog/{ready['catalog']}"
        self.headers = {
            "Authorization": f"Bearer {credential(ready, who)['bearer-token']}",
            "Accept": "application/json",
        }

    @contextmanager
    def session(self):
        """Yield a session that knows who we are."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(self.headers)
            yield session

    def call(self, method, url, **more):
        """Send one request and return the answer; an error status raises."""
        with self.session() as session:
            answer = session.request(method, url, **more)
        answer.raise_for_status()
        return answer

    def rows(self, table):
        """Return all rows of "schema:table"."""
        return self.call("GET", f"{self.catalog}/entity/{_table(table)}").json()

    def tables(self):
        """Return every row of every table: {"schema:table": {RID: row}}."""
        with self.session() as session:  # one connection for all
            schemas = session.get(f"{self.catalog}/schema").json()["schemas"]
            names = [
                f"{schema}:{table}" for schema in schemas for table in schemas[schema]["tables"]
            ]
            answers = {n: session.get(f"{self.catalog}/entity/{_table(n)}") for n in names}
        for answer in answers.values():
            answer.raise_for_status()
        return {n: {row["RID"]: row for row in answers[n].json()} for n in names}

    def insert(self, table, *rows):
        """Insert rows, with RIDs where they have some; return them as the catalog has them."""
        url = f"{self.catalog}/entity/{_table(table)}"
        kept = "nondefaults=RID&" if "RID" in rows[0] else ""
        filled = [c for c in ("RID", "RCT", "RMT", "RCB", "RMB") if c not in rows[0]]
        return self.call("POST", f"{url}?{kept}defaults={','.join(filled)}", json=rows).json()

    def execution(self, status="Stopped"):
        """Make an Execution and return its RID."""
        return self.insert("deriva-ml:Execution", {"Status": status})[0]["RID"]

    def status(self, rid):
        """Return the Status of an Execution."""
        url = f"{self.catalog}/entity/deriva-ml:Execution/RID={rid}"
        return self.call("GET", url).json()[0]["Status"]

    def versions(self):
        """Return the versions of every object: {"/hatrac/…/name": [its version URLs]}."""
        found, todo = {}, ["/hatrac"]
        with self.session() as session:
            while todo:
                name = todo.pop()
                answer = session.get(f"{self.url}{name};versions")
                if answer.ok:
                    found[name] = answer.json()
                else:  # a namespace
                    todo += session.get(self.url + name).json()
        return found

    def head(self, url):
        """Return the headers of an object or of one of its versions."""
        return self.call("HEAD", self.url + url).headers

    def content(self, url):
        """Return the bytes of an object or of one of its versions."""
        return self.call("GET", self.url + url).content


def _table(name):
    return ":".join(quote(part, safe="") for part in name.split(":"))


@contextmanager
def deep_folders(root: Path, count):
    """Make a folder in a folder, and so on, below *root*; yield the path of the innermost."""
    path = "/".join("d" * count)
    subprocess.run(["mkdir", "-p", path], cwd=root, check=True)
    try:
        yield path
    finally:  # shutil.rmtree cannot
        subprocess.run(["rm", "-r", root / "d"], check=True)


# ---------------------------------------------------------------------- the daemon


def directory(prefix: Path, rid) -> Path:
    """Return the directory of an execution."""
    return prefix / "deriva-ml" / "execution" / rid


def write_files(root: Path, files) -> Path:
    """Write *files*, contents by path, below an execution directory; return the directory."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def write_config(folder: Path, ready, prefix: Path, *, who="owner", **sections) -> Path:
    """Write settings with short waits into *folder*, which also holds the journal.

    *sections* say more, section by section: `completion={"quiet_s": 5}`; None leaves a key out.
    """
    settings = {
        "server": {
            "host": ready["host"],
            "catalog": ready["catalog"],
            "protocol": "http",
            "credential_file": ready[f"{who}_credential_file"],
        },
        "completion": {
            "quiet_s": 0.5,
            "quiet_after_signal_s": 0.2,
            "grace_s": 0.2,
            "foreign_upload_cap_s": 0.2,
        },
        "retry": {"initial_s": 0.2, "max_s": 1.0},
        "journal": {"url": f"sqlite:///{folder / 'state' / 'journal.db'}"},
        "status": {"listen": ""},  # every daemon would want the same port
    }
    waits = settings["completion"] | sections.get("completion", {})
    settings["completion"]["quiet_max_s"] = max(1.0, waits["quiet_s"])
    text = f"[[watch]]\nprefix = {_toml(prefix)}\n"
    for name in settings | sections:
        values = settings.get(name, {}) | sections.get(name, {})
        said = {key: value for key, value in values.items() if value is not None}
        lines = "".join(f"{key} = {_toml(value)}\n" for key, value in said.items())
        text += f"[{name}]\n{lines}"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(text)
    return config


def _toml(value):
    return json.dumps(value, ensure_ascii=False, default=str)  # what we write is also TOML


def command(
    config: Path, name, *arguments, timeout_s=60, through=()
) -> subprocess.CompletedProcess[str]:
    """Run a command of `deriva-watch` to its end, *through* a program such as setpriv."""
    words = [name, *map(str, arguments), "--config", str(config)]
    if through and through != PLAIN_ROOT:
        line = [*through, sys.executable, "-m", "deriva_watch", *words]
        return subprocess.run(
            line, capture_output=True, text=True, timeout=timeout_s, check=False, env=os.environ
        )
    return program(words, os.environ, timeout_s, plain=bool(through))


def program(words, environment, timeout_s=60, *, plain=False) -> subprocess.CompletedProcess[str]:
    """Run `deriva-watch` with *words* to its end."""
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as errors:
        process = Program("deriva_watch", words, environment, out.name, errors.name, plain=plain)
        try:
            status = process.wait(timeout_s)
        finally:
            process.kill()
        return subprocess.CompletedProcess(words, status, out.read(), errors.read())


@cache
def without_privilege():
    """Return the command line of a program that starts another one as an ordinary user is."""
    if os.geteuid() != 0:
        return ()
    if shutil.which(PLAIN_ROOT[0]):
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).chmod(0)
            if subprocess.run([*PLAIN_ROOT, "test", "-r", file.name], check=False).returncode == 1:
                return PLAIN_ROOT
    pytest.skip("root cannot give up its right to read everything here")


def summed_up(config: Path):
    """Return what `status --json` prints, without the price of a process."""
    view = summary(_views(config), datetime.now(UTC))
    return json.loads(json.dumps(view))


def problem(config: Path, about):
    """Return what `status` says is in the way of *about*, once it does."""

    def found():
        return next((h for h in summed_up(config)["problems"] if h["about"] == about), None)

    return wait_until(found, what=f"nothing was in the way of {about}")


def detailed(config: Path, rid):
    """Return the same as `shown`, without the price of a process."""
    (execution,) = details(_views(config), rid)["executions"]
    return json.loads(json.dumps(execution))


def _views(config: Path):
    return open_views(tomllib.loads(config.read_text())["journal"]["url"])


def shown(config: Path, rid):
    """Return what `show` knows of the only execution that is named *rid*."""
    told = command(config, "show", rid, "--json")
    assert told.returncode == 0, told.stderr
    (execution,) = json.loads(told.stdout)["executions"]
    return execution


class Daemon:
    """A running `deriva-watch run`, and the events it has written."""

    def __init__(self, process: subprocess.Popen, log: Path, offset):
        self.process, self.pid, self.log = process, process.pid, log
        self._events, self._offset = [], offset

    def events(self):
        """Return the events of this process, in order."""
        with self.log.open("rb") as log:
            log.seek(self._offset)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(whole + newline)
        self._events += [json.loads(line) for line in whole.splitlines()]
        return self._events

    def wait_for(self, predicate: Callable[[dict], bool], timeout_s=60, after=0):
        """Return the first event, from number *after* on, that fits; AssertionError if none comes.

        A daemon that ended has told all.
        """

        def first():
            ended = self.process.poll() is not None
            fits = (event for event in self.events()[after:] if predicate(event))
            found = next(fits, None)
            assert found or not ended, "the daemon has ended"
            return found

        try:
            return wait_until(first, timeout_s, "the event was not written")
        except AssertionError as error:
            last = "\n".join(json.dumps(event)[:500] for event in self._events[-10:])
            raise AssertionError(f"{error}; it wrote last\n{last}") from None

    def wait_for_state(self, rid, state, timeout_s=60, after=0):
        """Wait for an execution to come to *state*."""

        def fits(event):
            return (event["event"], event.get("execution")) == (f"execution.{state}", rid)

        return self.wait_for(fits, timeout_s, after)

    def stop(self, number=signal.SIGTERM, timeout_s=60):
        """Send a signal, wait for the end and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


@contextmanager
def daemon(
    config: Path, *, wait=True, through=(), module="deriva_watch", environment=os.environ
) -> Iterator[Daemon]:
    """Run the daemon; yield it once it watches its roots, or at once without *wait*.

    *through* is the command line of a program that starts it, such as env. Then it is a program
    of its own; otherwise, and without privilege, it is forked from one that has imported all.
    *module* is run in its place.
    """
    log = config.with_suffix(".log")
    words = ["run", "--config", str(config)]
    with log.open("ab") as stream:
        offset = stream.tell()
        if through and through != PLAIN_ROOT:
            line = [*through, sys.executable, "-m", module, *words]
            process = subprocess.Popen(line, stdout=stream, stderr=stream, env=environment)
        else:
            process = Program(module, words, environment, log, log, plain=bool(through))
    running = Daemon(process, log, offset)
    try:
        if wait:
            roots = ("root.watched", "root.missing")
            running.wait_for(lambda event: event["event"] in roots, START_S)
        yield running
    finally:
        process.kill()
        process.wait()


class Manager:
    """Hears what a daemon tells systemd."""

    def __init__(self, address):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._address, self.heard = str(address), []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            self.heard.append(self._socket.recv(10_000).decode())

    def until_now(self):
        """Return how many messages there were, all that were sent before included."""
        self._socket.sendto(mark := os.urandom(8).hex().encode(), self._address)
        return wait_until(lambda: mark.decode() in self.heard and self.heard.index(mark.decode()))

    def has_heard(self, text, after=0):
        """Tell whether a message with *text* came, from number *after* on."""
        return any(text in message for message in self.heard[after:])
