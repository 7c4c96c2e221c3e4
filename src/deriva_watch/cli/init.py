"""`deriva-watch init`: the first settings, asked for and checked answer by answer."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deriva_watch.cli.app import JsonOption, app, print_json
from deriva_watch.cli.check import awaited, document, tell
from deriva_watch.core.errors import SettingsError, TroubleError

if TYPE_CHECKING:
    from deriva_watch.commands.init import Answers


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that is asked for.

    Attributes:
        field: Where the answer goes.
        option: What says it without asking.
        question: What a person is asked.
        read: What an answer means.
        titles: The parts of the checks that look at it.
        default: What Return means; None: it must be said.
        is_asked: Whether it is asked for before anything is wrong with it.
        hint: What a valid answer is, for one that cannot be used.
    """

    field: str
    option: str
    question: str
    read: Callable[[str], Any]
    titles: tuple[str, ...]
    default: str | None = None
    is_asked: bool = True
    hint: str = ""


_STEPS: Final = (
    _Step(
        "host",
        "--host",
        "Server, such as data.example.org",
        str,
        ("server",),
        hint="Enter only the host name, without http:// — for example data.example.org.",
    ),
    _Step(
        "credential_file",
        "--credential-file",
        "Log in and press Return, or name the credential file",
        lambda said: Path(said).expanduser() if said else None,
        ("server", "login"),
        default="",
        is_asked=False,
    ),
    _Step("catalog", "--catalog", "Catalog", str, ("server", "login", "catalog"), default="1"),
    _Step(
        "prefixes",
        "--prefix",
        "Folder that holds deriva-ml/, such as /data",
        lambda said: (Path(said).expanduser().absolute(),),
        ("roots",),
    ),
)


@app.command()
def init(
    host: Annotated[
        str, typer.Option(metavar="NAME", help="The server, such as data.example.org.")
    ] = "",
    catalog: Annotated[
        str,
        typer.Option(metavar="ID", help="Number or alias of the catalog; 1 if nothing is said."),
    ] = "",
    prefix: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="It holds deriva-ml/. May be given more than once."),
    ] = None,
    credential_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Without it: deriva's own login.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Without it: http for this machine itself, else https.")
    ] = "",
    ca_bundle: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificates to trust instead of the system's."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="What to write. Without it: /etc/deriva-watch/config.toml for root, "
            "~/.config/deriva-watch/config.toml for others.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", "--yes", "-y", help="Ask nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the first settings; ask for what no option says.

    Each answer is checked at once: whether the server is there, whether we are logged in, what the
    catalog lets us do, how each folder would be watched. Nothing is written before all is well,
    and never over a file that is there.

    Without a terminal nothing is asked, and what is wrong ends it: exit status 2, or 10 where the
    server does not answer.

    For example: deriva-watch init --host data.example.org --prefix /data
    """
    from deriva_watch.commands import init

    file = (config or init.place()).expanduser().absolute()
    if not force and file.exists():
        raise init.there(file)
    person = sys.stdin.isatty() and not (no_input or as_json)
    prefixes = tuple(each.expanduser().absolute() for each in prefix or ())
    answers = init.Answers(host, protocol, catalog, credential_file, ca_bundle, prefixes)
    found: list[dict[str, Any]] = []
    for step in _STEPS:
        answers = _settled(step, answers, file, found, person=person, quiet=as_json)
    init.write(init.text_of(answers, file), file, force=force)
    commands = init.commands(file)
    if as_json:
        print_json({"config": str(file), "checks": found, "next": commands})
    else:
        print(f"\n{file} is written. Next:\n", *commands, sep="\n    ")


def _settled(
    step: _Step,
    answers: "Answers",
    file: Path,
    found: list[dict[str, Any]],
    *,
    person: bool,
    quiet: bool,
) -> "Answers":
    """Return the answers with one to *step* that nothing can be said against."""
    if step.is_asked and not getattr(answers, step.field):
        answers = _asked(step, answers, person=person)
    while error := _objection(step, answers, file, found, quiet=quiet):
        if not person:
            raise error
        print(f"  This answer cannot be used: {error.what}. {error.next}")
        answers = _asked(step, answers, person=person)
    return answers


def _asked(step: _Step, answers: "Answers", *, person: bool) -> "Answers":
    said = step.default
    if person:
        said = typer.prompt(step.question, default=step.default, show_default=bool(step.default))
    if said is None:
        raise SettingsError(
            f"{step.option} is missing",
            "there is no terminal to ask at, or --no-input forbids it",
            f"Say it: deriva-watch init {step.option} …",
        )
    return replace(answers, **{step.field: step.read(said)})


def _objection(
    step: _Step, answers: "Answers", file: Path, found: list[dict[str, Any]], *, quiet: bool
) -> TroubleError | None:
    """Look at an answer; return what is in the way."""
    from deriva_watch.commands import init

    lines = []
    try:
        for line in awaited(init.look(answers, file, *step.titles), step.titles[-1]):
            lines.append(line)
            if not quiet:
                tell(line)
    except SettingsError as error:
        return SettingsError(error.what, error.why, step.hint or error.next)
    found += [document(step.titles[-1], line) for line in lines]
    return init.objection(lines)
