"""`deriva-watch spec`: the bulk specification in force."""

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json


@app.command()
def spec(config: ConfigOption = None, as_json: JsonOption = False) -> None:  # noqa: ARG001 - it is
    """Print the bulk-upload specification that files are matched with, as JSON.

    It comes from where `[spec] source` says: the catalog's model, the catalog's annotation, a file.
    Exit status 3 if it cannot be used; it is printed all the same.
    """
    from deriva_watch import settings
    from deriva_watch.upload import specification

    document, problem = specification(settings.load(config))
    print_json(document)
    if problem:
        raise problem
