"""What `deriva-watch verify` prints of one unit; `verify` loads it where it is needed."""

from rich.filesize import decimal

from deriva_watch.core.prose import counted, printable
from deriva_watch.core.removal.verification import Verified, Where


def print_verified(one: Verified) -> None:
    """Print what a verification has found."""
    size = f"{counted(one.files, 'file')} ({decimal(one.size_bytes)})"
    name = f"{one.rid} ({one.prefix})" if one.prefix else one.rid
    if not one.differences:
        print(printable(f"✓ {name}: the server has all {size}; {_local(one)}"))
    else:
        print(printable(f"✗ {name}: {_differing(one, size)}; {_local(one)}"))
        if one.well_at:
            print(printable(f"    no difference on {one.well_at}"))
    for each in one.differences:
        print(f"    {printable(each.what)}")
        print(f"        {printable(each.why)}")
        print(f"        {printable(each.next)}")
    for note in one.notes:
        print(f"    note: {printable(note)}")


def _differing(one: Verified, size: str) -> str:
    """Return how many files are not in the catalog, and how many other differences there are."""
    missing = len({each.path for each in one.differences if each.where is Where.LEFT})
    others = sum(each.where is not Where.LEFT for each in one.differences)
    verb = "is" if missing == 1 else "are"
    parts = [f"{missing} of {counted(one.files + missing, 'file')} {verb} NOT in the catalog"]
    found = [f"{counted(others, 'difference')} in {size}"]
    return "; ".join(parts * bool(missing) + found * bool(others))


def _local(one: Verified) -> str:
    """Return a summary of the local files."""
    differ = any(each.where is Where.DISK for each in one.differences)
    identical = "" if differ else " and identical"
    copies = counted(one.hashed, "local file")
    if one.read_back:
        copies = f"{counted(one.read_back, 'object')} read back; {copies}"
    return f"{copies} read again{identical}; {one.absent} already deleted here"
