"""The settings and their defaults; `config.example.toml` explains every key.

Flags override the environment (`DERIVA_WATCH_SECTION__KEY`), which overrides the TOML file.

pydantic-settings reads and merges them. It ignores unknown variables and does not know which file,
line or variable a wrong value came from; `sources` does.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import SettingsError
from deriva_watch.core.known_names import IGNORED, PARTIAL, merged
from deriva_watch.core.layout import ROOT
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.unit import Unit
from deriva_watch.settings.drop_folder import DropFolder, is_above, overlap, secret_in
from deriva_watch.settings.sources import PREFIX, Origins, find_config, no_config
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

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """All patterns of ignored names: the known ones and those of `ignore`."""
        return merged(IGNORED, self.ignore)


class DerivaMl(Section):
    """What may be written into deriva-ml's own workspace database."""

    write_back: bool = False


class Transfer(Section):
    """How bytes are sent."""

    connections: Annotated[Count, Field(le=64)] = 4
    chunk_bytes: Annotated[ByteSize, BeforeValidator(number)] = ByteSize(25 * 1024**2)
    bandwidth_bytes_per_s: Annotated[ByteSize, Field(ge=0), BeforeValidator(number)] = ByteSize(0)
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
    """Where the journal is."""

    url: JournalUrl = Field(default_factory=_journal_url)


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


class Settings(BaseSettings):
    """All settings; `load` reads them."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )

    server: Server
    watch: tuple[Watch, ...] = ()
    drop: tuple[DropFolder, ...] = ()
    completion: Completion = Completion()
    spec: Spec = Spec()
    files: Files = Files()
    deriva_ml: DerivaMl = DerivaMl()
    transfer: Transfer = Transfer()
    retry: Retry = Retry()
    reclaim: Reclaim = Reclaim()
    verify: Verify = Verify()
    journal: Journal = Field(default_factory=Journal)
    status: Status = Status()
    log: Log = Log()

    from_file: ClassVar[dict[str, Any] | None] = None  # None: only given values count

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let given values override the environment, and that the file."""
        if cls.from_file is None:
            return (init_settings,)
        return init_settings, env_settings, InitSettingsSource(settings_cls, cls.from_file)

    @field_validator("watch")
    @classmethod
    def _watched_once(cls, watch: tuple[Watch, ...]) -> tuple[Watch, ...]:
        if len({one.prefix for one in watch}) < len(watch):
            raise ValueError("names a prefix twice; remove one")
        return watch

    @field_validator("drop")
    @classmethod
    def _apart(cls, drop: tuple[DropFolder, ...], info: ValidationInfo) -> tuple[DropFolder, ...]:
        server = info.data.get("server")
        if why := overlap(drop, [one.prefix for one in info.data.get("watch", ())]) or secret_in(
            drop, server.credential_file if server else None
        ):
            raise ValueError(why)
        return drop

    @field_validator("journal")
    @classmethod
    def _outside(cls, journal: Journal, info: ValidationInfo) -> Journal:
        file = Path(journal.url.removeprefix("sqlite:///"))
        if folder := next(
            (d.path for d in info.data.get("drop", ()) if d.path in file.parents), None
        ):
            raise ValueError(
                f"is in the drop folder {folder}, which would upload it; move it elsewhere"
            )
        watched = [watch.prefix / ROOT / "execution" for watch in info.data.get("watch", ())]
        watched += [drop.path for drop in info.data.get("drop", ())]
        if folder := next((each for each in watched if is_above(file.parent, each)), None):
            raise ValueError(
                f"is in {file.parent}, which is above {folder}: nothing in the folder of the "
                f"journal is uploaded; give the journal a folder of its own"
            )
        return journal

    @cached_property
    def completion_policy(self) -> CompletionPolicy:
        """`[completion]` as the core takes it."""
        said = self.completion.model_dump()
        return CompletionPolicy(**said | {"partial": merged(PARTIAL, self.completion.partial)})

    @cached_property
    def drops(self) -> dict[Path, Drop]:
        """The drop folders by path, with defaults from `[completion]`."""
        completion = self.completion
        common = completion.markers, completion.quiet_s, self.reclaim.read_back
        return {each.path: each.drop(*common) for each in self.drop}

    def trusted_owners(self, prefix: Path) -> frozenset[int]:
        """Return the users whose statements count for everybody's data in a prefix."""
        exact = {each.prefix: each.trusted_owners for each in self.watch}
        exact |= {each.path: each.trusted_owners for each in self.drop}
        fits = [each.trusted_owners for each in self.watch if prefix.match(str(each.prefix))]
        return frozenset(chain.from_iterable([exact[prefix]] if prefix in exact else fits))

    def unit(self, prefix: Path, name: str) -> Unit:
        """Return the unit of that prefix and name, as these settings describe it."""
        return Unit(prefix, name, self.drops.get(prefix))

    def unit_of(self, record: ExecutionRecord) -> Unit:
        """Return the unit that a record of the journal is about."""
        prefix = Path(record.prefix)
        return Unit(prefix, record.rid, self.drops.get(prefix), confirmed=record.ours)

    @property
    def state_directory(self) -> Path:
        """The folder of the journal and the receipts."""
        return Path(self.journal.url.removeprefix("sqlite:///")).parent


def load(config: Path | None, flags: Mapping[str, Any] = {}) -> Settings:
    """Return the settings of file, environment and *flags*.

    Args:
        config: The TOML file. None: the first of `$DERIVA_WATCH_CONFIG`, `deriva-watch.toml` here,
            `~/.config/deriva-watch/config.toml` and `/etc/deriva-watch/config.toml`.
        flags: Values from the command line, nested like the file; None means "not given".

    Raises:
        SettingsError: `what` lists all problems, one per line.
    """
    file = config or find_config()
    origins = Origins(file, flags)
    if file is None and not origins.name("server"):
        raise no_config()

    class _FromHere(Settings):
        from_file = origins.file

    problems = origins.unknown_variables(Settings)
    try:
        settings = _FromHere(**origins.flags)
    except SourceError as error:
        problems.append(origins.unreadable(error))
    except ValidationError as error:
        problems += origins.problems_of(error, Settings)
    else:
        if not problems:
            return settings
    count = f"{len(problems)} settings" if len(problems) > 1 else "this setting"
    raise SettingsError(
        "\n".join(problems),
        f"{count} cannot be used",
        "Correct what is named; config.example.toml explains every key.",
    )
