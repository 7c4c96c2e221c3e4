"""Somebody who types what the documents say into a new machine, and notes what is not so."""

import json
import re
import shutil
import signal
import sys
import sysconfig
from pathlib import Path

from documents.reading import PROGRAM, ROOT, Command, blocks
from documents.unit import started
from running import Api, wait_until, write_files

ELSEWHERE = {  # the file that runs it, by what stands there
    "pipx install .": ("tests/house/test_package.py", '"pipx", "install", "."'),
    "make demo": ("Makefile", "demo: $(VENV)/installed"),  # the next one, in a .venv
    f"{PROGRAM} demo --json": ("tests/demo/test_demo.py", 'command("demo", "--json"'),
    f"{PROGRAM} demo": ("tests/demo/test_demo.py", 'command("demo", "--json"'),
    "make test": (".ci/run", "\nmake test\n"),
    "make docs": ("Makefile", "docs: $(VENV)/tested"),  # tests/documents/test_docs.py builds them
}
EXITS = {
    "check": {0, 2},
    "plan": {0, 4},
    "reclaim": {0, 3},
    "upload": {0, 3},
    "verify": {0, 3},
    "cancel": {0, 2},  # it may be uploaded by then
    "pause": {0, 2},
    "resume": {0, 2},
}  # all of them are answers
BATCH = r"batch-\d{8}T\d{6}Z"
WAITS = {"quiet_s": 0.5, "quiet_after_signal_s": 0.2, "grace_s": 0.2, "foreign_upload_cap_s": 0.2}
CONFIG = "/etc/deriva-watch/config.toml"


class Newcomer:
    """Types into *machine*; the server is the sandbox that said *ready*."""

    def __init__(self, machine, ready, text, stack):
        self.machine, self.ready, self.stack = machine, ready, stack
        self.api = Api(ready)
        self.rid, self.of_program = self.api.execution(), self.api.execution()
        self.examples = [block.text for block in blocks(text)]
        self.typed, self.failed, self.log = set(), [], None

    def prepare(self):
        """Lay out what the examples speak of: data, a credential, a file of faults."""
        home = Path(self.machine.environment["HOME"])
        (home / ".deriva").mkdir(parents=True)
        shutil.copy(self.ready["owner_credential_file"], home / ".deriva" / "credential.json")
        assets = "asset/deriva-ml/Execution_Asset"
        files = {
            f"deriva-ml/execution/{self.rid}/{assets}/model.txt": "a model",
            f"deriva-ml/execution/{self.of_program}/{assets}/result.txt": "a result",
            "scanner/subject-1/2001-01-01/IM-1.dcm": "an image",
            "scanner/subject-1/2001-01-01/IM-7.dcm.txt": "a note",
            "scanner/subject-9/2001-01-01/IM-5.dcm": "an image of nobody",
            "sequencer/260101_A1_7/Data/Intensities/L001/C1.1/s_1.bcl": "bases",
            "sequencer/260101_A1_7/CopyComplete.txt": "done",
        }
        write_files(self.machine.path("/data"), files)
        (faults,) = [text for text in self.examples if "[[faults]]" in text]
        self.machine.path("/faults.toml").write_text(faults)

    def types(self, command):
        """Type a command line, once."""
        if command.line in ELSEWHERE:
            return
        line = command.line
        rule = next((rule for start, rule in RULES.items() if f"{line} ".startswith(start)), None)
        try:
            line = self._filled(line)
            if line in self.typed:
                return
            self.typed.add(line)
            assert rule, "no rule of this test runs it"
            output = rule(self, line)
            for shown in map(self._filled, command.shown):
                assert any(map(_like(shown).fullmatch, output.splitlines())), (
                    f"it does not print\n{shown}\nbut\n{output}"
                )
        except AssertionError as error:
            self.failed.append(f"{line}\n{error}")

    def _filled(self, line):
        """Return a line with what lies here in place of what an example calls it."""
        if re.search(BATCH, line):
            line = re.sub(BATCH, self._batch(), line)
        there = f"/data/deriva-ml/execution/{self.rid}"
        line = re.sub("(RID|PATH)…", r"\1", line)
        for word, ours in {"PATH": there, "FOLDER": "/data/scanner", "DIR": "/tmp/new"}.items():
            line = line.replace(word, ours)
        return re.sub(r"\b(RID|4-AB2C)\b", self.rid, line)

    def _batch(self):
        """Return what the daemon calls the files of the scanner, once it is through with them."""
        assert self.log, "the service does not run"

        def refused():
            events = map(json.loads, self.log.read_text().splitlines())
            named = (e["execution"] for e in events if e["event"] == "execution.refused")
            return next((name for name in named if re.fullmatch(BATCH, name)), None)

        return wait_until(refused)

    def runs_python(self, program):
        """Run an example of the library against the sandbox instead of its server."""
        host = self.ready["host"]
        given = {"data.example.org": host, '"https"': '"http"', "4-AB2C": self.of_program}
        for word, ours in given.items():
            program = program.replace(word, ours)
        file = Path(self.machine.environment["HOME"]) / "example.py"
        file.write_text(program)
        try:
            self.runs(f"/opt/deriva-watch/bin/python {file}")
        except AssertionError as error:
            self.failed.append(f"{program}\n{error}")

    # ------------------------------------------------------------------ the rules

    def runs(self, line, may_end=(0,), **environment):
        """Run a line; return its output."""
        folder = "/" if self.log else str(ROOT)  # one installs from the source tree
        status, output = self.machine.run(line, folder, **environment)
        assert status in may_end, f"ended with {status}:\n{output}"
        return output

    def makes_venv(self, line):
        """Run it, and let it see the packages that are installed here, which spares downloads."""
        output = self.runs(line)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        packages = self.machine.path(f"{line.split()[-1]}/lib/{version}/site-packages")
        (packages / "given.pth").write_text(sysconfig.get_path("purelib"))
        return output

    def writes_settings(self, line):
        """Write the settings, shorten the waits, add the drop folders; type what it says next."""
        output = self.runs(line.replace("data.example.org", self.ready["host"]))
        file = self.machine.path(CONFIG)
        before, section, waits = file.read_text().partition("\n[completion]\n")
        for key, value_s in WAITS.items():
            waits, count = re.subn(rf"(?m)^#{key} = .*$", f"{key} = {value_s}", waits, count=1)
            assert count == 1, f"the settings have no {key}"
        drops = [each for each in self.examples if each.startswith("[[drop]]")]
        at_once = "batch_s = 0.5\nquiet_s = 0.5\n"
        file.write_text(
            before + section + waits + drops[0].replace("\npath", f"\n{at_once}path") + drops[1]
        )
        then = re.findall(r"^ {4}(\S.*)", output.partition("Next:")[2], re.MULTILINE)
        assert f"{PROGRAM} check" in then
        for following in then:
            self.types(Command(following))
        return output

    def writes_no_settings_twice(self, line):
        """See that those that are there are safe."""
        output = self.runs(line, [2])
        assert "it already exists" in output
        return output

    def enables(self, line):
        """Enable the service; as no systemd runs, start it as its unit says."""
        words = line.split()
        output = self.runs(line.replace(" --now", ""), SYSTEMD_OFFLINE="1")
        if "--now" in words and "@" not in words[-1]:  # one daemon is enough
            self.runs("chown -R deriva-watch /data")
            self.log = self.stack.enter_context(started(self.machine, words[-1]))
        return output

    def is_the_service(self, line):
        """See that the unit does it."""
        unit = self.machine.path("/etc/systemd/system/deriva-watch.service").read_text()
        assert re.search(rf"(?m)^ExecStart=/opt/.*/{re.escape(line)}(\s|$)", unit)
        return self.log.read_text()

    def asks_systemd(self, line):
        """Let systemctl read it, as no systemd runs."""
        return self.runs(line, SYSTEMD_OFFLINE="1")

    def uploads(self, line):
        """Upload beside the daemon, which holds its own journal."""
        journal = f"sqlite:///{self.machine.environment['HOME']}/own.db"
        return self.runs(line, EXITS["upload"], DERIVA_WATCH_JOURNAL__URL=journal)

    def watches(self, line):
        """Look at it until it has drawn something, then stop it as a person does."""
        return self._until_it_speaks(line, signal.SIGINT)

    def serves(self, line):
        """Start a server, and end it once it says where it is."""
        output = self._until_it_speaks(line, signal.SIGTERM)
        assert '"owner_credential_file"' in output, output
        return output

    def _until_it_speaks(self, line, number):
        with self.machine.running(line) as (process, said):
            wait_until(lambda: said.read_text().strip() or process.poll() is not None)
            assert process.poll() is None, f"it ended:\n{said.read_text()}"
            process.send_signal(number)
            process.wait(20)
            return said.read_text()

    def verifies(self, line):
        """Verify, after the server has lost the object of one file."""
        stored = self.api.versions()
        lost = next((name for name in stored if name.endswith("model.txt")), None)
        assert lost, "the service has not stored it"
        self.api.call("DELETE", self.ready["url"] + lost)
        return self.asks(line)

    def asks(self, line):
        """Run one of our commands; in a shell, where it is to find out which one that is."""
        name = line.split()[1]
        if name.startswith("-"):
            return self.runs(f"bash -c '{line}; exit $?'")
        return self.runs(line, EXITS.get(name, {0}))


RULES = {  # how a line begins: what runs it; the first that fits
    "python3 -m venv ": Newcomer.makes_venv,
    "/opt/deriva-watch/bin/pip install ": Newcomer.runs,
    "useradd ": Newcomer.runs,
    "mkdir ": Newcomer.runs,
    "cp /opt/": Newcomer.runs,
    "install ": Newcomer.runs,
    "systemctl enable ": Newcomer.enables,
    "systemctl ": Newcomer.asks_systemd,
    "journalctl ": Newcomer.runs,
    f"/opt/deriva-watch/bin/{PROGRAM} init ": Newcomer.writes_settings,
    f"{PROGRAM} init ": Newcomer.writes_no_settings_twice,
    f"{PROGRAM} run ": Newcomer.is_the_service,
    f"{PROGRAM} sandbox ": Newcomer.serves,
    f"{PROGRAM} upload ": Newcomer.uploads,
    f"{PROGRAM} verify 4-AB2C ": Newcomer.verifies,
    f"{PROGRAM} status --watch ": Newcomer.watches,
    f"{PROGRAM} ": Newcomer.asks,
    f"/opt/deriva-watch/bin/{PROGRAM} ": Newcomer.asks,
}


def _like(shown):
    """Return a pattern for lines that differ from what is shown only as runs do.

    Their numbers may be others, and "…" stands for anything.
    """
    pattern = re.escape(shown.strip()).replace("…", ".*")
    return re.compile(r"\s*" + re.sub(r"\d+", r"\\d+", pattern) + r"\s*")
