"""What systemd would do with a unit, for a machine that has none running."""

import socket
from contextlib import contextmanager, suppress

from running import wait_until

KNOWN = {"User", "ExecStart", "StateDirectory", "StateDirectoryMode", "LoadCredential", "UMask"}


def _said(unit):
    """Return the values of the keys in [Service] that matter here; the last of a key counts."""
    service = unit.partition("[Service]")[2].partition("\n[")[0]
    pairs = [line.partition("=")[::2] for line in service.splitlines() if not line.startswith("#")]
    return {key: value for key, value in pairs if key in KNOWN}


@contextmanager
def started(machine, name):
    """Run the service as its unit on the machine says; yield its log once it says READY=1."""
    said = _said(machine.path(f"/etc/systemd/system/{name}.service").read_text())
    assert said.keys() == KNOWN
    credential, _, source = said["LoadCredential"].partition(":")
    runtime = f"/run/credentials/{name}.service"
    state = f"/var/lib/{said['StateDirectory']}"
    mine = f"--owner={said['User']} --group={said['User']}"
    status, output = machine.run(
        f"install -d -m {said['StateDirectoryMode']} {mine} {state} && "
        f"install -d -m 0500 {mine} {runtime} && "
        f"install -m 0400 {mine} {source} {runtime}/{credential}"
    )
    assert status == 0, output
    address = f"@{name}-{machine.pid}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(0)
        told = []
        line = (
            f"umask {said['UMask']}; exec setpriv --reuid {said['User']} --regid {said['User']} "
            f"--init-groups env HOME={state} STATE_DIRECTORY={state} NOTIFY_SOCKET={address} "
            f"CREDENTIALS_DIRECTORY={runtime} {said['ExecStart']}"
        )
        with machine.running(line) as (process, log):

            def is_ready():
                assert process.poll() is None, f"the service has ended: {log.read_text()}"
                with suppress(BlockingIOError):
                    told.append(manager.recv(1000))
                return any(b"READY=1" in datagram for datagram in told)

            wait_until(is_ready)
            yield log
            process.terminate()
            process.wait(20)
