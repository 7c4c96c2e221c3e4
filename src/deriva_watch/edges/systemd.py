"""What systemd is told about the service: sd_notify(3), without its library."""

import os
import socket
import time
from contextlib import suppress
from typing import Final

_TIMEOUT_S: Final = 1.0


def notify(*states: str) -> None:
    """Tell systemd, if it started us: "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…".

    A message that cannot be sent is dropped: the work matters more than the word about it.
    """
    if address := os.environ.get("NOTIFY_SOCKET"):
        message = "\n".join(state.replace("\n", " ") for state in states)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # "@" stands for the zero byte of an abstract address
            sender.settimeout(_TIMEOUT_S)  # a manager that does not listen holds nobody up
            sender.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            sender.sendall(message.encode(errors="backslashreplace"))


def notify_reload() -> None:
    """Tell systemd that the settings are being read anew; "READY=1" ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_s() -> float | None:
    """Return how often, in seconds, "WATCHDOG=1" is due; None where nobody waits for it."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    interval_us = int(os.environ.get("WATCHDOG_USEC") or 0)
    return interval_us / 2e6 or None  # sd_watchdog_enabled(3): half of the time it is given
