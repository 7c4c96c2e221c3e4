"""A file system that shows a folder, by the protocol of /dev/fuse. Its inode numbers do not stay.

Run by root as `python fuse.py FOLDER MOUNT_POINT look|mount`: with "look" every file has another
number at every look, with "mount" after every mount. It ends when it is unmounted.

While there is a file FOLDER.hangs, the calls that it names ("getattr read") get no answer.
"""
# ruff: noqa: PTH101,PTH102,PTH104,PTH106,PTH108,PTH208
# It answers calls of the system with the same calls.

import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

HEADER, ANSWER = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
SETTING = struct.Struct("<IIQQQQQQIIIIIII")
SIZE, MTIME, MTIME_NOW = 8, 32, 256
LARGEST = 1 << 17
OPERATIONS = {"lookup": 1, "getattr": 3, "open": 14, "read": 15, "readdir": 28}


def is_possible():
    """Return whether this process may mount such a file system."""
    return os.geteuid() == 0 and os.access("/dev/fuse", os.W_OK)


@contextmanager
def mounted(folder, point, mode):
    """Show *folder* at *point*."""
    point.mkdir(exist_ok=True)
    with subprocess.Popen([sys.executable, __file__, folder, point, mode]) as server:
        try:
            while not point.is_mount():
                assert server.poll() is None, "it ended"
                time.sleep(0.02)
            yield
        finally:
            subprocess.run(["umount", "--lazy", point], check=True)


class Server:
    """Answers the requests of the kernel."""

    def __init__(self, folder, *, anew):
        self.folder, self.anew, self.hanging = folder, anew, []
        self.paths, self.nodes, self.numbers = {1: ""}, {"": 1}, {}
        self.node, self.fresh = count(2), count(int(time.time() * 1000))
        self.calls = {
            1: self._lookup, 3: self._getattr, 4: self._setattr, 9: self._mkdir, 10: self._unlink,
            11: self._rmdir, 12: self._rename, 14: self._open, 15: self._read, 16: self._write,
            17: self._statfs, 18: self._release, 20: self._nothing, 25: self._nothing,
            26: self._init, 27: self._opendir, 28: self._readdir, 29: self._nothing,
            35: self._create,
        }  # fmt: skip

    def serve(self, device):
        """Answer until it is unmounted."""
        while True:
            for request in self._no_longer_hanging():
                self._answer(device, request)
            if self.hanging and not select.select([device], [], [], 0.05)[0]:
                continue
            try:
                request = os.read(device, LARGEST + 4096)
            except OSError:
                return
            if self._hangs(request):
                self.hanging.append(request)
            else:
                self._answer(device, request)

    def _hangs(self, request):
        try:
            names = Path(f"{self.folder}.hangs").read_text().split()
        except FileNotFoundError:
            return False
        return HEADER.unpack_from(request)[1] in {OPERATIONS[name] for name in names}

    def _no_longer_hanging(self):
        found = [request for request in self.hanging if not self._hangs(request)]
        self.hanging = [request for request in self.hanging if request not in found]
        return found

    def _answer(self, device, request):
        _, operation, unique, node, *_ = HEADER.unpack_from(request)
        if operation in {2, 42}:  # FORGET wants no answer
            return
        call, error, said = self.calls.get(operation), 0, b""
        try:
            said = call(node, request[HEADER.size :]) if call else b""
            error = 0 if call else -errno.ENOSYS
        except OSError as problem:
            error = -problem.errno
        with suppress(OSError):  # the caller was interrupted
            os.write(device, ANSWER.pack(ANSWER.size + len(said), error, unique) + said)

    def _real(self, path):
        return self.folder + path

    def _named(self, node, name):
        return f"{self.paths[node]}/{os.fsdecode(name.rstrip(bytes(1)))}"

    def _attributes(self, path):
        found = os.lstat(self._real(path))
        number = next(self.fresh)
        number = number if self.anew else self.numbers.setdefault(path, number)
        times = found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns
        seconds, rests = zip(*(divmod(ns, 10**9) for ns in times), strict=True)
        whole = struct.pack("<6Q", number, found.st_size, found.st_blocks, *seconds)
        owner = found.st_mode, found.st_nlink, found.st_uid, found.st_gid
        return whole + struct.pack("<10I", *rests, *owner, 0, 4096, 0)

    def _entry(self, path):
        attributes = self._attributes(path)
        node = self.nodes.get(path) or self.nodes.setdefault(path, next(self.node))
        self.paths[node] = path
        return struct.pack("<4QII", node, 0, 0, 0, 0, 0) + attributes

    def _init(self, _node, body):
        major, minor, ahead, _ = struct.unpack_from("<4I", body)
        return struct.pack(
            "<4IHHIIHHI7I", major, min(minor, 31), ahead, 0, 12, 9, LARGEST, 1, *[0] * 10
        )

    def _lookup(self, node, name):
        return self._entry(self._named(node, name))

    def _getattr(self, node, _body):
        return struct.pack("<QII", 0, 0, 0) + self._attributes(self.paths[node])

    def _setattr(self, node, body):
        valid, _, _, size, _, _, mtime_s, _, _, mtime_ns, _, mode, _, user, group = (
            SETTING.unpack_from(body)
        )
        path = self._real(self.paths[node])
        if valid & 1:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & 6:
            os.chown(path, user if valid & 2 else -1, group if valid & 4 else -1)
        if valid & SIZE:
            os.truncate(path, size)
        if valid & MTIME:
            now = valid & MTIME_NOW
            os.utime(path, None if now else (mtime_s + mtime_ns / 1e9,) * 2)
        return self._getattr(node, b"")

    def _mkdir(self, node, body):
        path = self._named(node, body[8:])
        os.mkdir(self._real(path), struct.unpack_from("<I", body)[0])
        return self._entry(path)

    def _unlink(self, node, name):
        os.unlink(self._real(self._named(node, name)))
        return b""

    def _rmdir(self, node, name):
        os.rmdir(self._real(self._named(node, name)))
        return b""

    def _rename(self, node, body):
        old, new, _ = body[8:].split(bytes(1))
        old, new = self._named(node, old), self._named(struct.unpack_from("<Q", body)[0], new)
        os.rename(self._real(old), self._real(new))
        for path in [path for path in self.nodes if path == old or path.startswith(f"{old}/")]:
            there = new + path.removeprefix(old)
            self.nodes[there] = self.nodes.pop(path)
            self.paths[self.nodes[there]] = there
            if path in self.numbers:
                self.numbers[there] = self.numbers.pop(path)
        return b""

    def _open(self, node, body):
        flags = struct.unpack_from("<I", body)[0] & (os.O_ACCMODE | os.O_TRUNC | os.O_APPEND)
        return struct.pack("<QII", os.open(self._real(self.paths[node]), flags), 0, 0)

    def _create(self, node, body):
        flags, mode = struct.unpack_from("<II", body)
        path = self._named(node, body[16:])
        handle = os.open(self._real(path), flags & (os.O_ACCMODE | os.O_EXCL) | os.O_CREAT, mode)
        return self._entry(path) + struct.pack("<QII", handle, 0, 0)

    def _read(self, _node, body):
        handle, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(handle, size, offset)

    def _write(self, _node, body):
        handle, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(handle, body[40 : 40 + size], offset), 0)

    def _release(self, _node, body):
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _opendir(self, _node, _body):
        return bytes(16)

    def _readdir(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        said, names = b"", [".", "..", *sorted(os.listdir(self._real(self.paths[node])))]
        for number, name in enumerate(names[offset:], offset + 1):
            text = os.fsencode(name)
            one = struct.pack("<QQII", number, number, len(text), 0) + text
            one += bytes(-len(one) % 8)
            if len(said) + len(one) > size:
                break
            said += one
        return said

    def _statfs(self, _node, _body):
        found = os.statvfs(self.folder)
        counts = found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree
        return struct.pack("<5Q4I24x", *counts, found.f_bsize, found.f_namemax, found.f_frsize, 0)

    def _nothing(self, _node, _body):
        return b""


def main(folder, point, mode):
    """Mount it and serve."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    words = [b"numbers", os.fsencode(point), b"fuse"]
    if libc.mount(*words, ctypes.c_ulong(0), options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    Server(folder, anew=mode == "look").serve(device)


if __name__ == "__main__":
    main(*sys.argv[1:])
