"""`deriva-watch events`: the names and fields of all log events."""

from dataclasses import fields

from deriva_watch.cli.app import JsonOption, app, print_json


@app.command()
def events(as_json: JsonOption = False) -> None:
    """List all log events with their fields.

    The meaning of a name never changes; fields are only ever added.

    Exit status 0.

    For example: deriva-watch events --json
    """
    from deriva_watch.core.events import ALL_EVENTS

    known = [
        {
            "event": event.NAME,
            "about": (event.__doc__ or "").partition("\n")[0],
            "fields": [field.name for field in fields(event)],
        }
        for event in ALL_EVENTS
    ]
    if as_json:
        print_json(known)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("event", "about", "fields", box=None, padding=(0, 2, 1, 0))
    for event in known:
        table.add_row(str(event["event"]), str(event["about"]), ", ".join(event["fields"]))
    Console().print(table)
