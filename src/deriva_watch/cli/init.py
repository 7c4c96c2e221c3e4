"""`deriva-watch init`: asks for the first settings, and checks each answer."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deriva_watch.cli.app import JsonOption, app, print_json
from deriva_watch.cli.check import awaited, document, print_line
from deriva_watch.core.errors import SettingsError, TroubleError

if TYPE_CHECKING:
    from deriva_watch.commands.init import Answers


@dataclass(frozen=True, slots=True)
class _Step:
    """A question.

    Attributes:
        field: The field of the answers.
        option: The option that gives the answer.
        question: The prompt.
        read: Converts the text of an answer.
        titles: The parts of `check` that check it.
        default: The answer if the user only presses Return; None: an answer is required.
        is_asked: Whether it is asked at all, or only if a check fails.
        hint: What a valid answer is; shown for one that cannot be used.
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
        typer.Option(metavar="ID", help="Number or alias of the catalog. Default: 1."),
    ] = "",
    prefix: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="A folder that holds deriva-ml/; may be repeated."),
    ] = None,
    credential_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The credential. Default: deriva's own login."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Default: http for this machine itself, https otherwise.")
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
            help="The file to write. Default: /etc/deriva-watch/config.toml for root, "
            "~/.config/deriva-watch/config.toml for other users.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", "--yes", "-y", help="Do not ask.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the first settings file; ask for whatever the options leave out.

    Each answer is checked at once: the server, the login, the rights in the catalog, and how each
    folder would be watched. The file is written only after all checks have passed, and never
    overwrites another one without --force.

    Without a terminal it does not ask, and ends at the first problem: exit status 2, or 10 if the
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
    """Return the answers with one to *step* that passes the checks."""
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
            "there is no terminal for questions, or --no-input is given",
            f"Give it: deriva-watch init {step.option} …",
        )
    return replace(answers, **{step.field: step.read(said)})


def _objection(
    step: _Step, answers: "Answers", file: Path, found: list[dict[str, Any]], *, quiet: bool
) -> TroubleError | None:
    """Check an answer; return the first problem."""
    from deriva_watch.commands import init

    lines = []
    try:
        for line in awaited(init.look(answers, file, *step.titles), step.titles[-1]):
            lines.append(line)
            if not quiet:
                print_line(line)
    except SettingsError as error:
        return SettingsError(error.what, error.why, step.hint or error.next)
    found += [document(step.titles[-1], line) for line in lines]
    return init.objection(lines)
