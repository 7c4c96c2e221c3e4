"""Namespaces, objects, versions and jobs as values, and who may do what with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from deriva_watch.sandbox.hatrac.metadata import Metadata
from deriva_watch.sandbox.hatrac.names import PREFIX
from deriva_watch.sandbox.identity import Client
from deriva_watch.sandbox.refusal import RefusedError

Acls = dict[str, list[str]]

SUBTREE_ACLS: Final = ("subtree-owner", "subtree-create", "subtree-read", "subtree-update")
NAMESPACE_ACLS: Final = ("owner", "create", "read", *SUBTREE_ACLS)
VERSION_ACLS: Final = ("owner", "read")
OBJECT_ACLS: Final = ("owner", "update", "read", "subtree-owner", "subtree-read")


@dataclass(frozen=True, slots=True)
class Name:
    """A namespace or an object, with the namespaces above it."""

    name: str
    is_object: bool
    is_deleted: bool
    acls: Acls
    above: tuple["Name", ...] = ()
    version: str | None = None  # if set, the lists of that version count

    def __str__(self) -> str:
        return PREFIX + self.name + (f":{self.version}" if self.version else "")

    @property
    def lists(self) -> tuple[str, ...]:
        """Its access control lists."""
        if self.version:
            return VERSION_ACLS
        return OBJECT_ACLS if self.is_object else NAMESPACE_ACLS

    def enforce(self, client: Client | None, *accesses: str) -> None:
        """Check that *client* has one of *accesses* here or, for the subtree, in a namespace above.

        Raises:
            RefusedError: 403, or 401 without a session.
        """
        own = {member for access in accesses for member in self.acls.get(access, ())}
        check_member(client, own | self.inherited(*accesses), str(self))

    def enforce_own(self, client: Client | None, access: str) -> None:
        """Check that the name's own list of *access* has *client*; lists above do not count.

        Raises:
            RefusedError: 403, or 401 without a session.
        """
        check_member(client, self.acls.get(access, ()), str(self))

    def inherited(self, *accesses: str) -> set[str]:
        """Return who has one of *accesses* by an ACL of a namespace above."""
        return {
            member
            for access in accesses
            for name in self.above
            for member in name.acls.get(f"subtree-{access}", ())
        }


@dataclass(frozen=True, slots=True)
class Creation:
    """How to make a name.

    Attributes:
        client: The sender, who becomes its owner.

        is_object: Whether to make an object instead of a namespace.

        parents: Whether to make missing namespaces above it.

        arrived_ns: When the request reached the server, by the monotonic clock.
    """

    client: Client | None
    is_object: bool
    parents: bool
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class Content:
    """A version of an object; or the upload job that will become it, with *chunk_bytes*."""

    id: str
    name: str
    nbytes: int
    metadata: Metadata
    owner: str
    chunk_bytes: int | None = None

    def __str__(self) -> str:
        sign = ":" if self.chunk_bytes is None else ";upload/"
        return f"{PREFIX}{self.name}{sign}{self.id}"

    def enforce_read(self, client: Client | None, of: Name) -> None:
        """Check that *client* may read this version *of* an object."""
        readers = of.inherited("owner", "read")
        for access in ("subtree-owner", "subtree-read"):
            readers |= set(of.acls.get(access, ()))
        check_member(client, {self.owner} | readers, str(self))

    def enforce_owner(self, client: Client | None) -> None:
        """Check that *client* created this job; nobody else may use it."""
        check_member(client, {self.owner}, str(self))


def check_member(client: Client | None, members: Iterable[str], resource: str) -> None:
    """Check that *client* is one of *members*.

    Raises:
        RefusedError: 403, or 401 without a session.
    """
    if "*" in members or (client and client.id in members):
        return
    if client:
        raise RefusedError(403, f"Access to {resource} forbidden.")
    raise RefusedError(401, f"Authentication required for access to {resource}")
