"""An execution that is uploaded: what its user may ask, and what others may do to it."""

import json
import os
import threading
from pathlib import Path

from deriva_watch.commands.upload import uploading
from deriva_watch.commands.verify import verifying
from deriva_watch.core.unit import Unit
from deriva_watch.settings.model import load
from engine.rig import image
from running import Api, write_config, write_files


class Scene:
    """An execution that is uploaded, and what its user may ask."""

    def __init__(self, folder, ready, **sections):
        self.api, self.ready = Api(ready), ready
        self.config = write_config(folder / "settings", ready, folder / "data", **sections)
        self.state, self.rid = folder / "settings/state", self.api.execution()
        self.state.mkdir(exist_ok=True)
        self.root = folder / "data/deriva-ml/execution" / self.rid
        self.paths = [image("a.png"), image("b.png")]
        typed = "execution-asset/Model_File/m.bin"
        self.files = {path: f"{self.rid} {path}" for path in (*self.paths, typed)}
        self.typed = typed

    def settings(self):
        """Return its settings."""
        return load(self.config)

    def upload(self, files=None):
        """Upload what there is, and return where the execution stands."""
        write_files(self.root, self.files if files is None else files)
        stop = threading.Event()
        with uploading(self.settings(), lambda _: None, stop, lambda *_: None) as one_shot:
            prefix = self.settings().watch[0].prefix
            brought = one_shot.upload(Unit(prefix, self.rid))
            return brought.record.state

    def verify(self, **options):
        """Return what a verification finds."""
        options = {"server_only": False, **options}
        with verifying(self.settings()) as verifier:
            (subject,) = verifier.find.named([self.rid])
            return verifier.verify(subject, **options)

    def line(self, path):
        """Return what the receipt says of a file."""
        return next(line for line in self.receipt()["files"] if line["file"] == path)

    def receipt(self):
        """Return what its receipt says."""
        return json.loads(self.kept().read_text())

    def kept(self):
        """Return where its receipt is kept."""
        return next(self.state.rglob(f"{self.rid}.json"))

    def forge(self, path, **said):
        """Change what the receipt says of a file."""
        receipt = self.receipt()
        for line in receipt["files"]:
            if line["file"] == path:
                line.update(said)
        self.kept().write_text(json.dumps(receipt))

    def lose_journal(self):
        """Delete the journal."""
        for file in self.state.glob("journal.db*"):
            file.unlink()


def lose_row(scene, line):
    """Delete its row."""
    scene.api.call("DELETE", f"{scene.api.catalog}/entity/{line['table']}/RID={line['rid']}")


def lose_object(scene, line):
    """Delete its object."""
    scene.api.call("DELETE", scene.api.url + line["object"])


def stored(scene, line):
    """Return the file on the disk of the server that has its bytes."""
    version = line["object"].rpartition(":")[2]
    return next(Path(scene.ready["data"]).rglob(version))


def empty_object(scene, line):
    """Lose its bytes on the disk of the server, whose database does not notice."""
    stored(scene, line).write_bytes(b"")


def cut_object(scene, line):
    """Lose the end of its bytes in the same way."""
    os.truncate(stored(scene, line), line["size_bytes"] - 1)


def rot_object(scene, line):
    """Change its last byte in the same way."""
    with stored(scene, line).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")


def change_row(scene, line):
    """Let its row say another length."""
    body = [{"RID": line["rid"], "Length": 1}]
    scene.api.call(
        "PUT", f"{scene.api.catalog}/attributegroup/{line['table']}/RID;Length", json=body
    )


def lose_link(scene, line):
    """Delete its link to the Execution."""
    scene.api.call(
        "DELETE",
        f"{scene.api.catalog}/entity/deriva-ml:Execution_Asset_Execution"
        f"/Execution_Asset={line['rid']}",
    )


def lose_type(scene, line):
    """Delete its links to asset types."""
    scene.api.call(
        "DELETE",
        f"{scene.api.catalog}/entity/deriva-ml:Execution_Asset_Asset_Type"
        f"/Execution_Asset={line['rid']}",
    )


def edit(file):
    """Write something else."""
    file.write_text("another content")


def edit_in_secret(file):
    """Write something else of the same size, and set the times back."""
    before = file.stat()
    file.write_text(file.read_text().swapcase())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def link_elsewhere(file):
    """Put a link in its place."""
    file.unlink()
    file.symlink_to("/etc/passwd")
