"""`verify` of units of drop folders: what cannot be looked at is not called removed."""

from pathlib import Path

import pytest

from deriva_watch.commands.verify import verifying
from deriva_watch.core.removal.verification import Where
from pipeline.drops import DropLab, Instrument

MATCHED = [f"{number}.bin" for number in range(3)]
UNMATCHED = [f"{number}.doc" for number in range(2)]


class Verified:
    """A unit of a drop folder of which some files match no mapping, and what verify says."""

    def __init__(self, folder, ready, **drop):
        self.lab = DropLab(folder, ready, **drop)
        inside = "run 1/" if drop.get("unit") == "directory" else ""
        names = [inside + name for name in (*MATCHED, *UNMATCHED)]
        self.lab.drop({name: f"{name} {self.lab.rid}" for name in names})
        with self.lab.rigged() as rig:
            Instrument(rig, self.lab.path).bring(*[inside[:-1]] if inside else [])
            [self.unit] = Instrument(rig, self.lab.path).units()
            file = {"credential_file": Path(ready["owner_credential_file"])}
            server = rig.settings.server.model_copy(update=file)
            self.settings = rig.settings.model_copy(update={"server": server})

    def without_journal(self):
        """Lose the journal."""
        for path in self.settings.state_directory.glob("journal.db*"):
            path.unlink()

    def without_drop(self):
        """Take its folder out of the settings."""
        self.settings = self.settings.model_copy(update={"drop": ()})
        self.settings.__dict__.pop("drops", None)

    def verify(self, *names, **options):
        """Return what verifications of all, or of some, find."""
        options = {"server_only": False, **options}
        with verifying(self.settings) as verifier:
            found = verifier.find.named(names) if names else list(verifier.find.all())
            return [verifier.verify(each, **options) for each in found]


@pytest.fixture(params=["batch", "directory"])
def told(request, tmp_path, ready):
    batch_s = 0.001 if request.param == "batch" else None
    return Verified(tmp_path, ready, unit=request.param, batch_s=batch_s)


def paths(verified, where):
    return sorted(each.path for each in verified.differences if each.where is where)


def test_with_the_receipt_alone_the_files_are_found_and_what_was_left_out_counts(told):
    with_journal = told.verify()
    told.without_journal()
    for verified in (with_journal, told.verify()):
        [one] = verified
        assert (one.files, one.hashed, one.absent) == (3, 3, 0)
        assert paths(one, Where.LEFT) == UNMATCHED
    [from_server] = told.verify(server_only=True)
    assert paths(from_server, Where.LEFT) == UNMATCHED


@pytest.mark.parametrize("lost", ["journal", "journal kept"])
def test_without_the_drop_folder_in_the_settings_nothing_is_called_removed(told, lost):
    if lost == "journal":
        told.without_journal()
    told.without_drop()

    [one] = told.verify()

    assert (one.hashed, one.absent) == (0, 0)
    (difference,) = (each for each in one.differences if each.where is Where.DISK)
    assert "no [[watch]] or [[drop]]" in difference.why
    assert not any(
        each.where is Where.DISK for each in told.verify(server_only=True)[0].differences
    )


def test_a_folder_that_is_not_mounted_is_not_called_empty(told):
    told.lab.path.rename(told.lab.path.with_name("unmounted"))
    for _ in range(2):
        [one] = told.verify()
        assert (one.hashed, one.absent) == (0, 0)
        assert "there is no folder" in next(
            each.why for each in one.differences if each.where is Where.DISK
        )
        told.without_journal()


def test_files_that_only_a_receipt_knows_and_that_are_gone_are_not_called_removed(told):
    told.without_journal()
    for path in [*told.lab.path.rglob("*.bin"), *told.lab.path.rglob("*.doc")]:
        path.unlink()
    for path in told.lab.path.glob("*/*"):
        path.unlink()
    for path in told.lab.path.glob("*"):
        path.rmdir()
    [one] = told.verify()
    assert (one.hashed, one.absent) == (0, 0)
    assert "no journal says" in one.differences[0].why


def test_a_unit_is_named_by_its_name_or_the_rid_of_its_execution(told):
    names = told.unit.rid, told.unit.execution_rid
    with_journal = [told.verify(name) for name in names]
    told.without_journal()
    for verified in (*with_journal, *map(told.verify, names)):
        [one] = verified
        assert (one.rid, one.hashed) == (told.unit.rid, 3)
