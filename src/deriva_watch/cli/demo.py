"""`deriva-watch demo`: everything at work, on a server of its own."""

from deriva_watch.cli.app import app


@app.command()
def demo() -> None:
    """Show everything at work on a server of its own."""
    raise SystemExit("the demo is not written yet")
