"""The tables of the settings, one class each, with their defaults."""

import ipaddress
import os
import re
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    InstanceOf,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode

from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.known_names import IGNORED, PARTIAL, merged
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.timetable import Timetable
from deriva_watch.settings.bandwidth import timetable
from deriva_watch.settings.types import (
    AbsolutePath,
    Account,
    Count,
    Observer,
    Seconds,
    Section,
    SomeSeconds,
    added_to,
    home,
    listenable,
    matching,
    not_below,
    number,
)

_POLICY: Final = CompletionPolicy()  # has the defaults of [completion]
_LARGEST_BODY: Final = 128 * 1024**2  # what Hatrac takes in one request


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(
            "is not a file; correct the path, or remove it to use the certificates of the system"
        )
    return path


Host = Annotated[
    str,
    matching(
        r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?",
        "must be only the host name, without http://, such as data.example.org or localhost:8080",
    ),
]
CatalogId = Annotated[
    str,
    Field(coerce_numbers_to_str=True),
    matching(r"[\w.~-]+", 'must be the id or alias of a catalog, such as "1"'),
]
JournalUrl = Annotated[
    str,
    matching(
        r"sqlite:////[^?#]+",
        "must be sqlite:/// and an absolute path: sqlite:////var/lib/deriva-watch/journal.db",
    ),
]


class Server(Section):
    """The Deriva server; `credential_file` defaults to systemd's, else deriva's own."""

    host: Host
    catalog: CatalogId = "1"
    protocol: Literal["https", "http"] = "https"
    credential_file: AbsolutePath | None = None
    ca_bundle: Annotated[AbsolutePath, AfterValidator(_file)] | None = None

    @property
    def name(self) -> str:
        """The "host/catalog" that the journal and the receipts keep executions under."""
        return f"{self.host}/{self.catalog}"

    @field_validator("protocol")
    @classmethod
    def _encrypted(cls, protocol: str, info: ValidationInfo) -> str:
        if protocol == "http" and not is_loopback(info.data.get("host", "localhost")):
            raise ValueError("must be https; http is only allowed for this machine itself")
        return protocol


def is_loopback(host: str) -> bool:
    """Tell whether *host*, with or without a port, is this machine itself."""
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


class Watch(Section):
    """One folder that holds `deriva-ml/`."""

    prefix: AbsolutePath
    observer: Observer = "auto"
    rescan_s: SomeSeconds = 60
    full_rescan_s: Seconds = 3600
    newer_than: Annotated[datetime, AfterValidator(datetime.astimezone)] | None = None
    trusted_owners: tuple[Account, ...] = ()


class Completion(Section):
    """When an execution directory counts as complete."""

    quiet_s: Seconds = _POLICY.quiet_s
    quiet_max_s: Annotated[Seconds, not_below("quiet_s")] = _POLICY.quiet_max_s
    quiet_after_signal_s: Seconds = _POLICY.quiet_after_signal_s
    markers: tuple[str, ...] = _POLICY.markers
    partial: Annotated[tuple[str, ...], added_to(PARTIAL)] = ()
    trust_status: bool = _POLICY.trust_status
    max_running_s: Seconds = _POLICY.max_running_s
    grace_s: Seconds = _POLICY.grace_s
    foreign_upload_cap_s: Seconds = _POLICY.foreign_upload_cap_s


class Spec(Section):
    """Where the bulk specification comes from, and which code it may run."""

    source: Literal["model", "catalog", "file"] = "model"
    file: AbsolutePath | None = None
    allowed_processors: tuple[str, ...] = ()

    @field_validator("file")
    @classmethod
    def _read(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        wanted = info.data.get("source") == "file"
        if file and not wanted:
            raise ValueError('is only used with source = "file"; set that, or remove this key')
        if wanted and file is None:
            raise ValueError('must name the JSON file, because source is "file"')
        if file and not file.is_file():
            raise ValueError("is not a file; write the specification there, or correct the path")
        return file


class Files(Section):
    """Which files are uploaded, and how their paths are read."""

    ignore: Annotated[tuple[str, ...], added_to(IGNORED)] = ()
    allowed_link_roots: tuple[AbsolutePath, ...] = ()
    metadata_order: Literal["infer", "sorted"] = "infer"
    max_files: Count = 250_000

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """All patterns of ignored names: the known ones and those of `ignore`."""
        return merged(IGNORED, self.ignore)


class DerivaMl(Section):
    """What may be written into deriva-ml's own workspace database."""

    write_back: bool = False


class Transfer(Section):
    """How bytes are sent."""

    connections: Annotated[Count, Field(le=64)] = 16
    chunk_bytes: Annotated[ByteSize, BeforeValidator(number)] = ByteSize(25 * 1024**2)
    bandwidth_bytes_per_s: Annotated[
        InstanceOf[Timetable], NoDecode, BeforeValidator(timetable)
    ] = Timetable()
    timeout_s: SomeSeconds = 600
    hash_ahead: bool = True

    @field_validator("chunk_bytes")
    @classmethod
    def _fits(cls, chunk_bytes: ByteSize) -> ByteSize:
        if not 0 < chunk_bytes <= _LARGEST_BODY:
            raise ValueError("must be above 0 and at most 128MiB, the largest body a server takes")
        return chunk_bytes


class Retry(Section):
    """How long to wait after a temporary failure."""

    initial_s: SomeSeconds = 5
    max_s: Annotated[SomeSeconds, not_below("initial_s")] = 900
    max_attempts: Count = 10


class Reclaim(Section):
    """When the daemon deletes local files of uploaded executions by itself."""

    mode: Literal["never", "after_days", "disk_pressure"] = "never"
    after_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30
    min_free_percent: Annotated[float, Field(gt=0, lt=100)] = 10
    read_back: ReadBack = "sample"


class Verify(Section):
    """How often the daemon asks the server again for what was uploaded."""

    every_days: Annotated[float, Field(ge=0, le=3650, allow_inf_nan=False)] = 0


def _journal_url() -> str:
    """Return a journal in systemd's StateDirectory, else in the user's state directory."""
    service = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    directory = Path(service) if service else user_state()
    return f"sqlite:///{directory / 'journal.db'}"


def user_state() -> Path:
    """Return our folder in `$XDG_STATE_HOME`, or else in `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return Path(state if state.startswith("/") else home("~/.local/state")) / "deriva-watch"


class Journal(Section):
    """Where the journal is, and how long it keeps history."""

    url: JournalUrl = Field(default_factory=_journal_url)
    keep_history_days: Annotated[
        float, BeforeValidator(number), Field(ge=0, le=36500, allow_inf_nan=False)
    ] = 90

    @property
    def keep_history(self) -> timedelta | None:
        """How long the steps of uploaded files are kept; None: for ever."""
        return timedelta(days=self.keep_history_days) if self.keep_history_days else None


Listen = Annotated[str, AfterValidator(listenable)]
HostName = Annotated[
    str,
    AfterValidator(str.lower),
    matching(r"[\w.-]+|\[[0-9a-f:.]+\]", "must be only a host name, such as status.example.org"),
]


class Status(Section):
    """Where the status page, health and metrics are served, and for whom."""

    listen: Listen = "127.0.0.1:9464"
    allow_remote: bool = False
    hosts: tuple[HostName, ...] = ()

    @field_validator("allow_remote")
    @classmethod
    def _meant(cls, allow_remote: bool, info: ValidationInfo) -> bool:
        listen = info.data.get("listen", "")
        if not (allow_remote or not listen or listen.startswith("unix:") or is_loopback(listen)):
            raise ValueError(
                f"must be true to listen on {listen}: anybody who reaches that address can read "
                "the page; or listen on 127.0.0.1, behind a proxy that authenticates"
            )
        return allow_remote


class Log(Section):
    """What is logged on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"
