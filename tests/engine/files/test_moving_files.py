"""Files that move under us while they are read: what they were is forgotten."""

import pytest

from engine.files.changing import CHANGES, remove
from engine.rig import image

PATH, NEIGHBOUR = image("a.bin"), image("b.bin")
MIB = 1024 * 1024


class Disk:
    """A directory in which something happens once the first part of a file was read."""

    def __init__(self, disk, act):
        self._disk, self._act = disk, act

    def __getattr__(self, name):
        return getattr(self._disk, name)

    def open(self, entry):
        """Open a file."""
        body = self._disk.open(entry)
        return Body(body, self._act) if entry.path == PATH else body


class Body:
    """An open file that tells when it is read for the second time."""

    def __init__(self, body, act):
        self._body, self._act, self._reads = body, act, 0

    def __getattr__(self, name):
        return getattr(self._body, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._body.close()

    def readinto(self, buffer):
        """Read on."""
        self._reads += 1
        if self._reads == 2:
            self._act()
        return self._body.readinto(buffer)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_hashed_starts_over(lab, change):
    """Its neighbour is hashed; what it then is comes in, and no trace of what it was."""
    content = lab.rid.encode() * (3 * MIB // len(lab.rid))
    path = lab.write({PATH: content, NEIGHBOUR: f"b {lab.rid}"}) / PATH

    with lab.rigged(chunk_bytes=100 * MIB) as rig:
        upload = rig.begun()
        upload.disk = Disk(upload.disk, lambda: change(path))
        rig.parts.uploader.files.hash(upload, [PATH, NEIGHBOUR])
        upload.commit()
        assert lab.states() == {PATH: "found", NEIGHBOUR: "hashed"}
        assert upload.changed == {PATH}

        assert rig.bring().state == "uploaded"

    files = lab.files()
    if change is remove:
        assert (files[PATH].state, files[NEIGHBOUR].state) == ("gone", "linked")
        assert not rig.power.calls("store.head")
    else:
        assert lab.api.content(files[PATH].url) == path.read_bytes()
    assert len(rig.power.calls("store.put")) == (1 if change is remove else 2)
