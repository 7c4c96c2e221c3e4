"""All settings; `sections` has their tables, `config.example.toml` explains every key.

Flags override the environment (`DERIVA_WATCH_SECTION__KEY`), which overrides the TOML file.

pydantic-settings reads and merges them. It ignores unknown variables and does not know which file,
line or variable a wrong value came from; `sources` does.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pydantic import (
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
from deriva_watch.core.known_names import PARTIAL, merged
from deriva_watch.core.layout import ROOT
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.unit import Unit
from deriva_watch.settings.drop_folder import DropFolder, is_above, overlap, secret_in
from deriva_watch.settings.sections import (
    Completion,
    DerivaMl,
    Files,
    Journal,
    Log,
    Reclaim,
    Retry,
    Server,
    Spec,
    Status,
    Transfer,
    Verify,
    Watch,
)
from deriva_watch.settings.sources import PREFIX, Origins, find_config, no_config

# The file that `load` has read; None: only given values count.
_FROM_FILE: Final[ContextVar[dict[str, Any] | None]] = ContextVar("from_file", default=None)


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
        file = _FROM_FILE.get()
        if file is None:
            return (init_settings,)
        return init_settings, env_settings, InitSettingsSource(settings_cls, file)

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

    def names(self, prefix: Path) -> bool:
        """Return whether a prefix or drop folder is named, maybe by a pattern."""
        return prefix in self.drops or any(prefix.match(str(w.prefix)) for w in self.watch)

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
    problems = origins.unknown_variables(Settings)
    reading = _FROM_FILE.set(origins.file)
    try:
        settings = Settings(**origins.flags)
    except SourceError as error:
        problems.append(origins.unreadable(error))
    except ValidationError as error:
        problems += origins.problems_of(error, Settings)
    else:
        if not problems:
            return settings
    finally:
        _FROM_FILE.reset(reading)
    count = f"{len(problems)} settings" if len(problems) > 1 else "this setting"
    raise SettingsError(
        "\n".join(problems),
        f"{count} cannot be used",
        "Correct what is named; config.example.toml explains every key.",
    )
