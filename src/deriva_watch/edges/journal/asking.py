"""How a question is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Select

from deriva_watch.edges.journal.trouble import explained


class Asking:
    """Asks each question in a connection of its own: any thread may ask."""

    def __init__(self, path: Path, engine: Engine, *, in_use: bool = False) -> None:
        self.path = path
        self._engine = engine
        self._in_use = in_use

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        explaining = explained("read", self.path, in_use=self._in_use)
        with explaining, self._engine.connect() as connection:
            rows: Sequence[Any] = connection.execute(query).all()
            return rows
