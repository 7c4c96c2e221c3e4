"""`deriva-watch spec`: the bulk specification in force."""

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json


@app.command()
def spec(config: ConfigOption = None, as_json: JsonOption = False) -> None:  # noqa: ARG001 - it is
    """Print the bulk-upload specification that files are matched with, as JSON.

    It is made from the catalog's model: one mapping for each asset table.
    """
    from deriva_watch import settings
    from deriva_watch.upload import specification

    print_json(specification(settings.load(config)))
