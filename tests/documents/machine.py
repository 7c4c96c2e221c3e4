"""A machine to install on: a copy-on-write picture of this one.

What is done to it, as root, touches nothing outside: its files are an overlay in memory over those
of this machine, its processes and its network are ours.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from running import wait_until
from starting import Program

LONGEST_S = 120
PLAIN = re.compile(r"deriva-watch [^|&;<>$*`]*")  # nothing in it is for a shell

_BUILD = """
set -e
mount -t tmpfs -o mode=0755 machine "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
shift_root="$1/root"; shift
for folder; do mount --rbind "$folder" "$shift_root$folder"; done
exec chroot "$shift_root" sh -c 'echo ready; exec sleep infinity'
"""


class Machine:
    """The machine; *home* is the home directory of the person who installs."""

    def __init__(self, pid, home, entering):
        self._enter = ["nsenter", *entering, "--target", str(pid), "--mount", "--root"]
        self.pid = pid
        self.environment = {
            "PATH": f"/opt/deriva-watch/bin:{sys.base_prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
        }

    def path(self, path) -> Path:
        """Return a path of the machine as it is seen from here."""
        return Path(f"/proc/{self.pid}/root{path}")

    @contextmanager
    def running(self, line, folder="/", **environment):
        """Run a command line; yield its process, and the file that it writes into.

        Our program is forked from one that has imported all, if it is called by its bare name.
        """
        environment = self.environment | environment
        with tempfile.NamedTemporaryFile("r") as said:
            if PLAIN.fullmatch(line):
                words = [str(self.pid), "deriva_watch", *shlex.split(line)[1:]]
                process = Program("documents.within", words, environment, said.name, said.name)
            else:
                enter = [*self._enter, f"--wd=/proc/{self.pid}/root{folder}"]
                process = subprocess.Popen(
                    [*enter, "sh", "-c", line], env=environment,
                    stdin=subprocess.DEVNULL, stdout=said.fileno(), stderr=said.fileno(),
                )  # fmt: skip
            try:
                yield process, Path(said.name)
            finally:
                process.kill()
                process.wait()

    def run(self, line, folder="/", **environment):
        """Run a command line to its end; return its exit status and what it wrote."""
        with self.running(line, folder, **environment) as (process, said):
            return process.wait(LONGEST_S), said.read_text()


@contextmanager
def machine(home: Path, shared: Path):
    """Run a machine that shares a folder with this one; skip where this account may have none."""
    is_root = os.geteuid() == 0
    mapped = [] if is_root else ["--user", "--map-root-user"]
    entering = [] if is_root else ["--user", "--preserve-credentials"]
    if not all(map(shutil.which, ("unshare", "nsenter", "chroot", "useradd", "systemctl"))):
        pytest.skip("unshare, nsenter, chroot, useradd and systemctl are needed")
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile("w+") as said:
        seen = ["/proc", "/dev", "/sys", *_elsewhere(), str(shared)]
        line = ["unshare", *mapped, "--mount", "--propagation", "private", "sh", "-c", _BUILD]
        holder = subprocess.Popen([*line, "sh", place, *seen], stdout=said, stderr=said)
        try:

            def told():
                ended = holder.poll() is not None
                said.seek(0)
                text = said.read()
                if ended:
                    pytest.skip(f"this account may not have a machine of its own: {text}")
                return "ready" in text

            wait_until(told)
            made = Machine(holder.pid, home, entering)
            for above in Path(sys.base_prefix).parents:  # others run this Python there, too
                made.run(f"chmod a+x {above}")
            yield made
        finally:
            holder.kill()
            holder.wait()


def _elsewhere():
    """Return the mount points, but /, of what holds this project and Python."""
    ours = [Path(path).resolve() for path in (__file__, sys.prefix, sys.base_prefix)]
    points = {next(above for above in path.parents if above.is_mount()) for path in ours}
    return sorted(map(str, points - {Path("/")}))
