"""The application, the options that commands share, and the text and exit status of errors."""

import json
import os
import re
import sys
import traceback
from enum import IntEnum
from pathlib import Path
from signal import SIGINT
from typing import Annotated, Any, Final, NoReturn

import typer

from deriva_watch.core.errors import (
    CredentialError,
    JournalDamagedError,
    JournalHeldError,
    LostThreadError,
    RefusedError,
    SettingsError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.prose import printable


class Exit(IntEnum):
    """The exit statuses; they never change their meaning."""

    DONE = 0
    BUG = 1
    USAGE = 2
    REFUSED = 3
    NOTHING_MATCHED = 4
    SERVER_AWAY = 10
    JOURNAL_HELD = 11
    JOURNAL_DAMAGED = 12
    SIGNAL = 128  # plus the number of the signal


_EXITS = (
    (SettingsError, Exit.USAGE),
    (CredentialError, Exit.USAGE),
    (JournalHeldError, Exit.JOURNAL_HELD),
    (JournalDamagedError, Exit.JOURNAL_DAMAGED),
    (TransientError, Exit.SERVER_AWAY),
    (RefusedError, Exit.REFUSED),
    (LostThreadError, Exit.BUG),
    (TroubleError, Exit.USAGE),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"deriva-watch {version('deriva-watch')}")
        raise typer.Exit


app = typer.Typer(
    context_settings={"max_content_width": 120},
    no_args_is_help=True,
    rich_markup_mode=None,  # importing what draws boxes takes as long as all the rest
    pretty_exceptions_enable=False,
    help="Watches deriva-ml execution directories and uploads complete ones into a Deriva catalog."
    "\n\nStart with `deriva-watch demo`, which shows everything on a server of its own.",
    epilog="Exit status: 0 done, 1 bug in deriva-watch, 2 usage or settings, "
    "3 something was refused, 4 nothing matched, 10 server unreachable, "
    "11 another instance holds the journal, 12 the journal is damaged, "
    "130 or 143 ended by a signal.",
)


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


_UsageError: Final[Any] = typer.BadParameter.__base__  # typer has no public name for it
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The settings file. Default: the first of $DERIVA_WATCH_CONFIG, ./deriva-watch.toml, "
        "~/.config/deriva-watch/config.toml, /etc/deriva-watch/config.toml.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs instead of text.")
]


def print_json(document: Any, indent: int | None = 1) -> None:
    r"""Print JSON; bytes of a name that are not UTF-8 are escaped as in `show`: \udcff.

    Python represents such a byte by half a surrogate pair, which most programs refuse in JSON.
    """
    text = json.dumps(document, ensure_ascii=False, indent=indent, default=str)
    text = _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text)
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.flush()


def main() -> None:
    """Run the command line; files that it creates are private by default."""
    before = os.umask(0o077)
    try:
        _run()
    finally:
        os.umask(before)


def _run() -> NoReturn:
    """Run the command; print its error and exit with the status of that."""
    try:
        ended = app(prog_name="deriva-watch", standalone_mode=False)
    except TroubleError as error:
        _print_error(error)
        raise SystemExit(exit_status(error)) from None
    except _UsageError as error:
        error.show()
        _print_usage_error(error)
        raise SystemExit(Exit.USAGE) from None
    except typer.Abort:  # Ctrl-C, or the end of the input where something was asked
        raise SystemExit(Exit.SIGNAL + SIGINT) from None
    except Exception as error:  # noqa: BLE001  # the last place to report it
        traceback.print_exc()
        then = "Please report it, with the lines above."
        _print_error(TroubleError("this is a bug of deriva-watch", type(error).__name__, then))
        raise SystemExit(Exit.BUG) from None
    raise SystemExit(ended or Exit.DONE)


def exit_status(error: TroubleError) -> Exit:
    """Return the exit status for an error."""
    return next(status for kind, status in _EXITS if isinstance(error, kind))


def _print_error(error: TroubleError) -> None:
    if "--json" in sys.argv:
        print_json({"error": error.sentence()})
    text = f"{error.what}\n\n  {error.why}\n\n  {error.next}\n"
    # It may contain names of files, and goes to a terminal.
    sys.stderr.write("\n".join(map(printable, text.split("\n"))))
    sys.stderr.flush()


def _print_usage_error(error: Any) -> None:
    command = error.ctx.command_path if error.ctx else "deriva-watch"
    what = f"cannot read the command line of {command}"
    then = f"`{command} --help` shows its options."
    if "--json" in sys.argv:
        print_json({"error": SettingsError(what, error.format_message(), then).sentence()})
