"""``python -m deriva_watch.sandbox``: serve, and print one line when it is ready."""

import argparse
import json
import sys
from pathlib import Path

from deriva_watch.sandbox.identity import SESSION_LENGTH
from deriva_watch.sandbox.server import FAST, PROFILES, serve


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m deriva_watch.sandbox", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds everything")
    parser.add_argument("--listen", default="127.0.0.1:0", help="loopback address:port")
    parser.add_argument("--schema", type=Path, help="/schema document of a new catalog")
    parser.add_argument("--rows", type=Path, help="first rows of a new catalog")
    parser.add_argument("--latency-ms", type=float, default=0, help="wait before each answer")
    parser.add_argument("--faults", type=Path, help="rules of what fails, JSON or TOML")
    parser.add_argument("--catalog", default="1", help="number of a new catalog")
    default_s = SESSION_LENGTH.total_seconds()
    parser.add_argument("--session-s", type=float, default=default_s, help="length of a session")
    parser.add_argument("--profile", default=FAST, choices=PROFILES, help="whose times it takes")
    options = vars(parser.parse_args())
    try:
        serve(**options, announce=_print)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def _print(ready: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
