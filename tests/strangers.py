"""Other users of the machine."""

import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest

STRANGER = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")


def as_stranger(call: Callable[[], Any]) -> Any:
    """Return what *call* returns to another user; as it is where we are no root ourselves."""
    if os.geteuid() != 0:
        return call()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.setgroups([])
        os.setgid(STRANGER)
        os.setuid(STRANGER)
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(call(), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        result = pickle.load(pipe)
    os.waitpid(child, 0)
    return result
