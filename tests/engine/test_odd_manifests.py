"""A manifest that is no regular file: it is called what it is."""

import os
import socket
from pathlib import Path

import pytest

MANIFEST = "asset-manifest.json"
FILE = "execution-asset/Model_File/a.bin"


def make_socket(path):
    """Leave a socket, whose whole path may be too long to bind."""
    with pytest.MonkeyPatch.context() as patch, socket.socket(socket.AF_UNIX) as made:
        patch.chdir(path.parent)
        made.bind(path.name)


@pytest.mark.parametrize(
    ("make", "noun"),
    [(os.mkfifo, "a named pipe"), (make_socket, "a socket"), (Path.mkdir, "a directory")],
)
def test_a_manifest_that_is_no_file_is_called_what_it_is(lab, fresh, make, noun):
    make(lab.write({FILE: fresh()}) / MANIFEST)

    with lab.rigged() as rig:
        rig.upload()

    files = lab.files()
    about = [event.why for event in rig.told("notice.added") if event.about == MANIFEST]
    about += [files[MANIFEST].why] if MANIFEST in files else []
    assert [noun in why for why in about] == [True]
    assert files[FILE].state == "linked"


def test_a_file_that_only_a_directory_describes_is_refused_with_that(lab, fresh):
    flat = "assets/Image/a.png"
    (lab.write({flat: fresh()}) / MANIFEST).mkdir()

    with lab.rigged() as rig:
        rig.upload()

    assert lab.files()[flat].state == "refused"
    assert lab.files()[flat].why.startswith(f"{MANIFEST} is a directory")
