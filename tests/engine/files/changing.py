"""What another program may do to a file while we are at it."""

import os


def rewrite(path):
    """Other bytes, as many as before."""
    path.write_bytes(b"#" * path.stat().st_size)


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path):
    os.truncate(path, 5)


def replace(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    other.rename(path)


def remove(path):
    path.unlink()


CHANGES = [rewrite, append, truncate, replace, remove]
