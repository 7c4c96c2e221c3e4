"""Be a program of ours on a machine: `python -m documents.within PID MODULE ARGUMENTS`.

Forked from a process that has imported all, it runs the source tree, not what is installed there.
"""

import ctypes
import os
import runpy
import sys

NAMESPACES = {"user": 0x10000000, "mnt": 0x00020000}  # CLONE_NEWUSER, CLONE_NEWNS


def enter(pid):
    """Move this process to where process *pid* lives."""
    libc = ctypes.CDLL(None, use_errno=True)
    root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY)
    places = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in NAMESPACES}
    for kind, flag in NAMESPACES.items():
        ours = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
        if not os.path.sameopenfile(ours, places[kind]) and libc.setns(places[kind], flag):
            raise OSError(ctypes.get_errno(), f"cannot enter the {kind} namespace of {pid}")
    os.fchdir(root)
    os.chroot(".")
    os.chdir("/")


if __name__ == "__main__":
    enter(sys.argv.pop(1))
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
