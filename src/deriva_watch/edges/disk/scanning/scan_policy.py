"""What a scan ignores, and which links it follows."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deriva_watch.edges.disk.scanning.ignore_file import Ignores
from deriva_watch.edges.disk.scanning.links import Links, real_path


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """What a scan ignores, and which links it follows.

    Attributes:
        prefix: The folder that holds `deriva-ml/`; links may lead anywhere below it.
        ignore: Patterns (`core.ignore_rules`); everything below a matching directory is ignored.
            None: nothing is, whatever ignore files say.
        lead: What precedes a path below the folder in patterns with "/": "" or "run1/".
        has_outer: The folder above may have an ignore file: it holds units.
        allowed_link_roots: Further folders that links may lead to.
        state_directory: The directory of the journal; no link may lead there.
        named: The part of *prefix* that the settings name; None: all of it. The rest was found by
            wildcards (`links.real_path`).
        trusted_owners: Users whose statements count for everybody's data. None: everybody's count,
            as in a folder into which many users put their files.
        inodes_stay: Returns whether inode numbers stay on the file system of a path.
    """

    prefix: Path
    ignore: tuple[str, ...] | None = ()
    lead: str = ""
    has_outer: bool = False
    allowed_link_roots: tuple[Path, ...] = ()
    state_directory: Path | None = None
    named: Path | None = None
    trusted_owners: frozenset[int] | None = frozenset()
    inodes_stay: Callable[[str], bool] = lambda _: True

    def links(self) -> Links:
        """Return where links may lead, with the present paths of the folders.

        Raises as `links.real_path` if *named* is given.
        """
        prefix = real_path(self.prefix, self.named) if self.named else os.path.realpath(self.prefix)
        return Links.within(prefix, self.allowed_link_roots, self.state_directory)

    def ignores(self, base: str, link_owner: int | None) -> Ignores:
        """Return the patterns for the folder *base*; *link_owner* if a link leads to it."""
        owner = Path(base).stat().st_uid if link_owner is None else link_owner
        trusted = self.trusted_owners or frozenset()
        return Ignores(base, owner, self.ignore, self.lead, self.has_outer, trusted)
