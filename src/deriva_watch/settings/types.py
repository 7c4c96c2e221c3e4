"""The types of values in the settings."""

import ipaddress
import os
import pwd
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
)

from deriva_watch.core.spec.spec_keys import near

_ADDRESS: Final = re.compile(r"(?P<host>localhost|[\d.]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")
_LAST_PORT: Final = 65535


def number(value: Any) -> Any:
    """Refuse a boolean, which is a number in Python."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 (pydantic's way)
    return value


def home(value: Any) -> Any:
    """Return a text with "~" replaced by the home directory."""
    # os.path keeps "~" if there is no home directory; Path.expanduser() would raise.
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path, or start with ~/")
    return path


def matching(pattern: str, must: str) -> AfterValidator:
    """Return a validator that refuses a text that does not match; *must* is the message."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(must)
        return text

    return AfterValidator(check)


def listenable(text: str) -> str:
    """Refuse an address that no server can listen on; "" means none."""
    if not text or text.startswith("unix:/"):
        return text
    if (found := _ADDRESS.fullmatch(text)) and int(found["port"]) <= _LAST_PORT:
        with suppress(ValueError):
            ipaddress.ip_address(found["host"].strip("[]").replace("localhost", "127.0.0.1"))
            return text
    raise ValueError(
        "must be an address of this machine with a port, such as 127.0.0.1:9464 or [::1]:9464, "
        'or unix:/path/of/the.socket, or "" for none'
    )


def not_below(other: str) -> AfterValidator:
    """Return a validator that refuses a number below the one at *other*."""

    def check(value: float, info: ValidationInfo) -> float:
        if value < info.data.get(other, 0):
            raise ValueError(f"must not be below {other}; raise it, or lower {other}")
        return value

    return AfterValidator(check)


def added_to(known: tuple[str, ...]) -> AfterValidator:
    """Return a validator of patterns that add to *known*; "!pattern" takes one of these out."""

    def check(patterns: tuple[str, ...]) -> tuple[str, ...]:
        for each in patterns:
            if each.startswith("!") and each[1:] not in known:
                raise ValueError(
                    f'has {each!r}, but "!" takes out only a pattern that is there by default'
                    f"{near(each[1:], known)}"
                )
            if not each.strip("/!"):
                raise ValueError(f"has {each!r}, which would match everything; remove it")
        return patterns

    return AfterValidator(check)


def _account(value: Any) -> Any:
    """Return the user ID of an account that is given by its name."""
    if not isinstance(value, str):
        return number(value)
    try:
        return pwd.getpwnam(value).pw_uid
    except (KeyError, ValueError):
        raise ValueError(
            "must name accounts of this host (`getent passwd` lists them), or be their numbers"
        ) from None


Account = Annotated[int, BeforeValidator(_account), Field(ge=0)]
Seconds = Annotated[float, BeforeValidator(number), Field(ge=0, allow_inf_nan=False)]
SomeSeconds = Annotated[Seconds, Field(gt=0)]
Count = Annotated[int, BeforeValidator(number), Field(ge=1)]
AbsolutePath = Annotated[Path, BeforeValidator(home), AfterValidator(_absolute)]
Observer = Literal["auto", "native", "polling"]


class Section(BaseModel):
    """One table of the settings."""

    # No values in error messages: one may be a secret in the wrong place.
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )
