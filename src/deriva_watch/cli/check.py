"""`deriva-watch check`: what this host is like for the daemon."""

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.prose import printable


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at every root and at the limits of this host, without a server.

    Writes a hidden file of its own into each root for a moment, to see whether changes are told.
    Exit status 2 if anything is in the way.
    """
    from dataclasses import asdict

    from deriva_watch import settings
    from deriva_watch.checks import check_all

    lines = check_all(settings.load(config))
    good = all(line.is_good for line in lines)
    if as_json:
        found = [{"good": line.is_good, **asdict(line)} for line in lines]
        print_json({"good": good, "checks": found})
    else:
        for line in lines:
            print(f"{'✓' if line.is_good else '✗'} {printable(f'{line.about}: {line.what}')}")
            for more in filter(None, (line.why, line.next)):
                print(f"    {printable(more)}")
    raise typer.Exit(Exit.DONE if good else Exit.USAGE)
