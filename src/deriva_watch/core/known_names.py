"""Names that programs and file servers give to what is nobody's data, each with its program.

The list is used wherever names are listed: prefixes of a pattern, execution directories, folders
and files of drop folders, files of units, tables. There is no rule for names that begin with a dot:
`.hidden` is data.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import chain
from typing import Final, NamedTuple


class NameKind(StrEnum):
    """What a known name stands for."""

    SYSTEM = "system folder"  # a recycle bin, snapshots, …: never entered
    OTHER = "not data"  # written beside data; counted as ignored
    PARTIAL = "transfer in progress"  # also holds its unit until it is unchanged for a while


class KnownName(NamedTuple):
    """A pattern of names, as in `[files] ignore`, and the program that makes them."""

    pattern: str
    made_by: str
    kind: NameKind


_RANDOM: Final = "[0-9A-Za-z]"


def _rsync() -> Iterable[str]:
    """Return patterns for `.name.Ab3xYz`; one of the six is a capital, unlike in `.a.sqlite`."""
    for at in range(6):
        yield ".?*." + "".join("[A-Z]" if at == place else _RANDOM for place in range(6))


_SYSTEM: Final = {
    "Synology DSM": ("#recycle", "#snapshot", "@sharesnap", "@tmp"),
    "QNAP QTS": ("@Recycle", "@Recently-Snapshot", ".@upload_cache", ".@qsys"),
    "Samba (vfs_recycle)": (".recycle",),
    "Unraid": (".Recycle.Bin",),
    "Buffalo LinkStation": ("trashbox",),
    "Windows": (
        *("$RECYCLE.BIN", "$Recycle.Bin", "$recycle.bin", "RECYCLER", "RECYCLED", "Recycled"),
        *("System Volume Information", "$WinREAgent", "$SysReset"),
    ),
    "Windows chkdsk": ("found.[0-9][0-9][0-9]", "FOUND.[0-9][0-9][0-9]"),
    "Linux desktops": (".Trash", ".Trash-*"),
    "fsck": ("lost+found",),
    "macOS": (
        *(".Trashes", ".TemporaryItems", "Temporary Items", ".Spotlight-V100", ".fseventsd"),
        *(".DocumentRevisions-V100", "Network Trash Folder", ".MobileBackups"),
        *(".HFS+ Private Directory Data*", ".com.apple.timemachine.*"),
    ),
    "NetApp ONTAP, Dell PowerScale": (".snapshot", "~snapshot"),
    "snapper, IBM Storage Scale": (".snapshots",),
    "ZFS": (".zfs",),
    "CephFS": (".snap",),
    "Dell Unity": (".ckpt",),
    "GlusterFS": (".glusterfs", ".trashcan"),
    "Syncthing": (".stfolder", ".stversions"),
    "Dropbox": (".dropbox.cache",),
}
_OTHER: Final = {
    "deriva-py's uploader": (".deriva-upload-state-*",),
    "Synology DSM": ("@eaDir",),
    "QNAP QTS": (".@__thumb", "@__thumb"),
    "macOS": (".DS_Store", "._*", ".VolumeIcon.icns", ".apdisk"),
    "netatalk": (".AppleDouble", ".AppleDB", ".AppleDesktop"),
    "Windows": (
        *("Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini"),
        *("pagefile.sys", "hiberfil.sys", "swapfile.sys"),
    ),
    # Windows and macOS keep more beside a file; on other file systems it becomes a file. mount.cifs
    # and Samba write U+F022 for a colon.
    "Windows, about a download": ("*[:\uf022]Zone.Identifier*",),
    "macOS, about a file": ("*[:\uf022]AFP_AfpInfo*", "*[:\uf022]AFP_Resource*"),
    "NFS, of a deleted file": (".nfs*",),
    "FUSE, of a deleted file": (".fuse_hidden*",),
    "SMB, of a deleted file": (".smbdelete*", ".__smbfile_*"),
    "AFP, of a deleted file": (".afpDeleted*",),
    "Emacs, a lock": (".#*",),
}
_PARTIAL: Final = {
    "browsers": ("*.part", "*.partial", "*.crdownload", "*.opdownload", "*.download"),
    "WinSCP": ("*.filepart",),
    "many programs": ("*.tmp",),
    "vim": (".*.sw[a-p]",),
    "Microsoft Office": ("~$*",),
    "LibreOffice": (".~lock.*#",),
    "rsync": (*_rsync(), ".~tmp~", ".rsync-partial", ".rsync-tmp"),
    "GIO (Nautilus)": (".goutputstream-*",),
    "Aspera": ("*.aspx", "*.aspera-ckpt", "*.aspera-inprogress"),
    "lftp": (".in.*", "*.lftp-pget-status"),
    "aria2": ("*.aria2",),
    "Syncthing": (".syncthing.*", "~syncthing~*"),
    "Resilio Sync": ("*.!sync",),
    "Nextcloud, ownCloud": (".*.~[0-9a-f]*",),
    "Unison": (".unison.*",),
}


def _entries(kind: NameKind, names: dict[str, tuple[str, ...]]) -> Iterable[KnownName]:
    return (KnownName(each, made_by, kind) for made_by, all_ in names.items() for each in all_)


KNOWN: Final = {
    known.pattern: known
    for known in chain(
        _entries(NameKind.SYSTEM, _SYSTEM),
        _entries(NameKind.OTHER, _OTHER),
        _entries(NameKind.PARTIAL, _PARTIAL),
    )
}
"""By pattern."""

IGNORED: Final = tuple(KNOWN)
PARTIAL: Final = tuple(known.pattern for known in KNOWN.values() if known.kind is NameKind.PARTIAL)


def merged(known: Iterable[str], given: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns *known* and *given*; "!pattern" takes one of the known out."""
    given = tuple(given)
    out = {each[1:] for each in given if each.startswith("!")}
    added = [each for each in given if not each.startswith("!")]
    return tuple(dict.fromkeys([*(each for each in known if each not in out), *added]))
