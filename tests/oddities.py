"""Bad files for execution directories: what is dropped, what is said of it, how it is mended."""

import json
import os
import shutil
import stat
from contextlib import suppress

from running import write_files

ASSETS = "asset/deriva-ml/Execution_Asset"
TYPES = "asset-type/deriva-ml/Execution_Asset.jsonl"
MANIFEST = "asset-manifest.json"
LATIN = os.fsdecode(b"caf\xe9.txt")
NAMES = [
    "two\nlines.txt",
    "q\"uo'te.txt",
    "100%.txt",
    "%2F.txt",
    "semi;colon:s.txt",
    "ümläut 中文 🦊.txt",
    "{md5}.txt",
    "$(rm -rf).txt",
    "-rf",
    "back\\slash.txt",
    "\x1b[31mred.txt",
    " ",
    ".hidden",
    "model.v2.pt",
    "data.tar.gz",
    "no-extension",
    "x" * 255,
    "中" * 85,  # 255 bytes, and three times as many once they are quoted
]
# Path below the execution directory: what its sentence says.
ODD_FILES = {
    f"{ASSETS}/pipe": "it is a named pipe; only regular files can be uploaded",
    f"{ASSETS}/socket": "it is a socket; only regular files can be uploaded",
    f"{ASSETS}/device": "it is a device; only regular files can be uploaded",
    f"{ASSETS}/loop": "Too many levels of symbolic links",
    f"{ASSETS}/dangling": "No such file or directory",
    f"{ASSETS}/outside": "outside the prefix and [files] allowed_link_roots",
    f"{ASSETS}/again": "this execution already has it under another name",
    f"{ASSETS}/{LATIN}": "its name is not UTF-8, and a catalog stores text",
    f"{ASSETS}/odd-type.txt": "'Nonsense' is not an asset type of this catalog",
    TYPES: "line 2 is not valid JSON",
    "asset/demo/Nowhere/file.png": "the catalog has no such table",
    "asset/demo/Subject/file.png": "demo:Subject is not an asset table",
    "asset/demo/Image/file.png": "needs the metadata directories",
    "asset/demo/Image/2026-01-01/2026-01-01 10:00:00/__NULL__/__NULL__/no-subject.png": (
        "column Subject must have a value"
    ),
}
MANIFEST_ENTRIES = {
    "Image/good.png": {"metadata": {"Subject": "1-S001"}},
    "Image/no-subject.png": {"metadata": {"Acquisition_Date": "2026-01-01"}},
    "Image/no-date.png": {"metadata": {"Subject": "1-S001", "Acquisition_Date": "yesterday"}},
    "Image/no-column.png": {"metadata": {"Subject": "1-S001", "Colour": "red"}},
    "Image/stranger.png": {"metadata": {"Subject": "9-9999"}},
    "Image/missing.png": {"metadata": {"Subject": "1-S001"}},
    "Image/no-entry.png": "not an object",
    "Image/odd-type.png": {"metadata": {"Subject": "1-S001"}, "asset_types": ["Nonsense"]},
    "Subject/row.png": {},
    "Nowhere/file.png": {},
}
ODD_ENTRIES = {
    "assets/Image/no-subject.png": "column Subject must have a value",
    "assets/Image/no-date.png": "'yesterday' is not a valid date for column Acquisition_Date",
    "assets/Image/no-column.png": "demo:Image has no metadata column 'Colour'",
    "assets/Image/stranger.png": "Key (Subject)=(9-9999) is not present",
    "assets/Image/missing.png": "the manifest names it, but there is no such file",
    "assets/Image/no-entry.png": "the manifest's entry 'Image/no-entry.png' cannot be used",
    "assets/Image/odd-type.png": "'Nonsense' is not an asset type of this catalog",
    "assets/Image/unknown.png": "column Subject must have a value",
    "assets/Subject/row.png": "demo:Subject is not an asset table",
    "assets/Nowhere/file.png": "the catalog has no such table",
}


def make_odd_files(root, outside):
    """Everything that a file system can hold, beside a file that is just a file."""
    for number, name in enumerate(NAMES):
        write_files(root, {f"{ASSETS}/{name}": f"content {number}"})
    odd = [f"{ASSETS}/{LATIN}", f"{ASSETS}/odd-type.txt"]
    odd += [path for path in ODD_FILES if path.startswith("asset/demo")]
    write_files(root, {f"{ASSETS}/good.txt": "good", f"{ASSETS}/empty.txt": ""})
    write_files(root, dict.fromkeys(odd, "odd"))
    write_files(root, {TYPES: '{"odd-type.txt": ["Nonsense"]}\n{"good', "notes/stray.txt": "stray"})
    folder = root / ASSETS
    for name, kind in {"pipe": stat.S_IFIFO, "socket": stat.S_IFSOCK}.items():
        os.mknod(folder / name, kind | 0o600)
    with suppress(PermissionError):  # root may make devices, and not everywhere
        os.mknod(folder / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    outside.write_text("not ours to give away")
    for name, target in {
        "loop": "loop",
        "dangling": "nowhere",
        "outside": outside,
        "again": "../..",
    }.items():
        (folder / name).symlink_to(target)


def mend_odd_files(root):
    for path in ODD_FILES:
        if path.startswith(ASSETS):
            (root / path).unlink(missing_ok=True)
    shutil.rmtree(root / "asset/demo")
    names = ["pipe", "socket", "device", "loop", "dangling", "outside", "café.txt", "odd-type.txt"]
    write_files(root, {f"{ASSETS}/{name}": f"mended {name}" for name in names})
    write_files(root, {TYPES: '{"odd-type.txt": ["Image"]}'})


def write_manifest(root, entries):
    write_files(root, {MANIFEST: json.dumps({"version": 1, "assets": entries})})


def make_odd_entries(root):
    write_manifest(root, MANIFEST_ENTRIES)
    there = [path for path in ODD_ENTRIES if not path.endswith("missing.png")]
    write_files(root, {path: f"content of {path}" for path in (*there, "assets/Image/good.png")})


def mend_odd_entries(root):
    shutil.rmtree(root / "assets/Subject")
    shutil.rmtree(root / "assets/Nowhere")
    write_files(root, {"assets/Image/missing.png": "late"})
    names = [path.removeprefix("assets/") for path in ODD_ENTRIES if "/Image/" in path]
    entry = {"metadata": {"Subject": "1-S001"}, "asset_types": ["Image"]}
    good = {"Image/good.png": MANIFEST_ENTRIES["Image/good.png"]}
    write_manifest(root, good | dict.fromkeys(names, entry))


def make_broken_manifest(root):
    write_files(root, {MANIFEST: '{"version": 1, "assets": {"Image/a.png": {"metadata"'})
    write_files(root, {"assets/Image/a.png": "a", f"{ASSETS}/good.txt": "good"})


def mend_broken_manifest(root):
    write_manifest(root, {"Image/a.png": {"metadata": {"Subject": "1-S001"}}})


def make_strays(root):
    write_files(root, {"notes.txt": "stray", "results/table.csv": "stray"})


def mend_strays(root):
    write_files(root, {f"{ASSETS}/good.txt": "good"})
