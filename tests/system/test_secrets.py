"""What the daemon writes and shows: no secret in it, and nothing that others need not read."""

import base64
import json
import os
import stat
import subprocess
import sys
from urllib.parse import quote

import pytest
import requests

from running import (
    Api,
    Manager,
    credential,
    daemon,
    program,
    sandbox,
    write_config,
    write_files,
)

SECRETS = {
    "cookie": "webauthn=c00kie-of-the-lab",
    "token of another host": "t0ken-of-another-host",
    "token that is refused": "t0ken-that-nobody-knows",
    "file that is no JSON": "s3cret-in-a-broken-file",
    "store of Globus": "t0ken-in-the-store-of-globus",
    "password of a proxy": "pa55word-of-the-proxy",
    "setting in the wrong place": "pa55word-in-a-setting",
}
COPIES = {"deriva-watch-receipt.json", "deriva-watch-rows.jsonl"}  # people read them there
PROXY = f"http://dana:{SECRETS['password of a proxy']}@proxy.invalid:3128"
ROUTES = ("/", "/page.js", "/api/overview", "/api/day", "/healthz", "/metrics")


class Story:
    """A daemon through good and bad days: whatever it wrote or showed, by where it stood."""

    def __init__(self, folder, ready):
        self.folder, self.ready, self.api, self.seen = folder, ready, Api(ready), {}
        self.modes = {}
        self.prefix, self.home = folder / "data", folder / "home"
        self.file, self.order = folder / "credential.json", folder / "order"
        (self.prefix / "deriva-ml/execution").mkdir(parents=True)
        write_files(
            self.home / ".deriva",
            {"globus-credential.json": f"{{broken {SECRETS['store of Globus']}"},
        )
        self.token = credential(ready)["bearer-token"]
        self.config = write_config(
            folder,
            ready,
            self.prefix,
            server={"credential_file": self.file},
            log={"level": "debug"},
            status={"listen": "127.0.0.1:0"},
        )
        self.manager = Manager(folder / "notify")
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"), PROXY)
        self.environment = {
            **os.environ,
            **proxies,
            "HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "FALTERING": str(self.order),
            "NOTIFY_SOCKET": str(folder / "notify"),
        }

    def logs_in(self, token):
        """Write the credential; what was there before is kept by nobody."""
        entry = {"bearer-token": token, "cookie": SECRETS["cookie"]}
        other = {"bearer-token": SECRETS["token of another host"]}
        self.file.write_text(json.dumps({self.ready["host"]: entry, "other.org": other}))

    def drops(self):
        """Lay down an execution; return its RID."""
        rid = self.api.execution()
        root = self.prefix / "deriva-ml/execution" / rid
        write_files(root, {"assets/Execution_Asset/a.txt": f"of {rid}"})
        return rid

    def looks(self, running, rid):
        """Keep what is shown now, to people and to programs."""
        url = next(e["url"] for e in running.events() if e["event"] == "status.listening")
        for route in (*ROUTES, f"/api/execution?rid={rid}"):
            answer = requests.get(url.rstrip("/") + route, timeout=60)
            self.keeps(f"{route} {rid}", answer.text + str(answer.headers))
        for words in (["status"], ["status", "--json"], ["show", rid], ["show", rid, "--json"]):
            told = self.runs(*words)
            self.keeps(f"{' '.join(words)}", told.stdout + told.stderr)
        self.keeps_files(f" {rid}")
        listed = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True)
        self.keeps(f"ps {rid}", listed.stdout)

    def keeps_files(self, when=""):
        """Keep what lies in the state directory and in the tree, and who may read it."""
        for path in (self.folder / "state", *self.folder.rglob("state/**/*"), *self.copies()):
            self.modes[path] = path.stat().st_mode
            if path.is_file():
                self.keeps(f"{path.relative_to(self.folder)}{when}", path.read_bytes())

    def copies(self):
        """Return our files in the tree of executions."""
        return [path for path in self.prefix.rglob("*") if path.name in COPIES]

    def runs(self, *words):
        """Run a command as the daemon runs."""
        return program([*words, "--config", str(self.config)], self.environment)

    def keeps(self, where, text):
        """Keep what stood somewhere."""
        self.seen[where] = text if isinstance(text, bytes) else text.encode()


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Success, a refused token, a file that is no JSON, a crash, and success again."""
    folder = tmp_path_factory.mktemp("story")
    with sandbox(folder / "server") as ready:
        told = Story(folder, ready)
        told.logs_in(told.token)
        free = ["sh", "-c", 'umask 0; exec "$@"', "sh"]
        with daemon(
            told.config, through=free, module="faltering", environment=told.environment
        ) as running:
            first = told.drops()
            running.wait_for_state(first, "uploaded")
            told.looks(running, first)

            told.logs_in(SECRETS["token that is refused"])
            second = told.drops()
            needed = running.wait_for(lambda e: e["event"] == "credential.needed")
            told.looks(running, second)
            told.file.write_text(f"{{broken {SECRETS['file that is no JSON']}")
            broken = "is not JSON"
            running.wait_for(lambda e: broken in e.get("why", ""), after=1)
            told.looks(running, second)
            told.order.write_text("transfer_0 end")
            third = told.drops()  # the second may be in already, with the first token
            told.logs_in(told.token)
            for each in (second, third):
                running.wait_for_state(each, "uploaded")
            assert needed["why"]
            told.runs("retry", "--all")
            told.runs("verify", "--all")
            wrong = "--host=https://dana:" + SECRETS["setting in the wrong place"] + "@host/"
            told.keeps("init", told.runs("init", wrong, "--no-input").stdout)
            for words in (["check"], ["check", "--json"]):
                told.keeps(f"{words}", told.runs(*words).stdout)
        told.keeps("log", running.log.read_bytes())
        told.keeps("systemd", "\n".join(told.manager.heard))
    told.keeps_files()
    return told


def forms(secret):
    """Return a secret as it is and as it may be written."""
    basic = base64.b64encode(f"dana:{secret}".encode()).decode()
    return [form.encode() for form in (secret, quote(secret, safe=""), basic)]


def places_of(story, secret):
    return [where for where, text in story.seen.items() if any(f in text for f in forms(secret))]


def test_no_secret_is_written_or_shown_anywhere(story):
    planted = SECRETS | {"token in use": story.token}

    assert {name: places_of(story, secret) for name, secret in planted.items()} == {
        name: [] for name in planted
    }


def test_everything_that_the_daemon_writes_and_shows_was_looked_at(story):
    """So that nothing is found because nothing was searched."""
    where = "\n".join(story.seen)
    files = (
        "state/journal.db\n",
        "state/problems.json",
        "state/receipts/",
        "/deriva-watch-receipt",
    )

    for each in ("log", "systemd", "ps ", "show", "status --json", *files, *ROUTES):
        assert each in f"{where}\n"
    assert b"READY=1" in story.seen["systemd"]
    assert b"is not JSON" in story.seen["log"]
    assert b"faltering" in story.seen["log"]
    assert places_of(story, "library.message") or places_of(story, "daemon.started")


# ---------------------------------------------------------------------- modes


def test_what_the_daemon_makes_is_for_its_user_alone_whatever_the_umask(story):
    """Its umask was 0. The receipts beside the files are for those who may read the files."""
    open_to = {
        str(path.relative_to(story.folder)): stat.filemode(mode)
        for path, mode in story.modes.items()
        if stat.S_IMODE(mode) & ~allowed(path, mode)
    }

    names = {path.name for path in story.modes}
    files = {"journal.db", "journal.db-wal", "problems.json", "deriva-watch-receipt.json"}
    assert names > {"state", "receipts", *files}
    assert open_to == {}


def allowed(path, mode):
    """Return what a file or a folder may be open to at most."""
    if stat.S_ISDIR(mode):
        return 0o700
    return 0o644 if path.name in COPIES else 0o600


def test_a_credential_file_that_others_can_read_is_told(story):
    told = json.loads(story.seen["['check', '--json']"])
    line = next(line for line in told["checks"] if "chmod 600" in line["next"])

    assert line["good"] is False
    assert line["why"] == "everyone on this host can read it"
