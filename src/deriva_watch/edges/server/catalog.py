"""ERMrest: the model of a catalog, reading and writing rows, leasing RIDs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from deriva_watch.core.errors import RefusedError, ServerBusyError
from deriva_watch.core.layout import RID
from deriva_watch.core.model import ML_SCHEMA, CatalogModel, Column, TableName, read_model
from deriva_watch.core.spec.rights import LEASE, Rights, read_rights
from deriva_watch.edges.server.answer_shapes import json_object, json_rows, reading
from deriva_watch.edges.server.deriva import Server

Row = dict[str, Any]

# Above about 4,000 bytes Apache answers 404, as if there were no such catalog (measured); what it
# puts before the path on its own disk counts too.
LONGEST_PATH_BYTES: Final = 3500
_EXECUTION: Final = TableName(ML_SCHEMA, "Execution")
_NEIGHBOURS: Final = 50  # on each side
_ALL: Final = "limit=none"  # a server can be configured to return only 100 rows without saying so


@dataclass(frozen=True, slots=True)
class _Known:
    etag: str | None
    model: CatalogModel
    rights: Rights


class Ermrest:
    """One catalog; implements `engine.ports.Catalog`. All threads share one.

    Args:
        server: The server it is on.
        catalog: Its number or alias.
    """

    def __init__(self, server: Server, catalog: str) -> None:
        from deriva.core import ErmrestCatalog

        self._server = server
        self._name = f"catalog {catalog}"
        self._prefix_bytes = len(f"/ermrest/catalog/{quote(catalog, safe='')}")
        self._catalog = server.bind(ErmrestCatalog, catalog, caching=False)
        self._known: _Known | None = None

    def model(self) -> CatalogModel:
        """Return the catalog's model; the request is cheap if the model has not changed."""
        return self._refreshed().model

    def rights(self) -> Rights:
        """Return our rights in the catalog, according to the model fetched last."""
        return (self._known or self._refreshed()).rights

    def version(self, model: CatalogModel) -> str:
        """Return a token that differs whenever *model* or our credential does."""
        return f"{model.digest} {self._server.credential_digest()}"

    def execution(self, rid: str) -> Row | None:
        """Return the row of deriva-ml:Execution, or None."""
        return next(iter(self.rows_where(_EXECUTION, {"RID": rid})), None)

    def rid_table(self, rid: str) -> TableName | None:
        """Return the table of the row *rid*, or None."""
        if not RID.fullmatch(rid):
            return None
        try:
            with self._asking(f"look up {rid}"):
                answer = self._catalog.get(f"/entity_rid/{rid}")
                found = json_object(answer, "schema_name", "table_name")
        except RefusedError as error:
            if error.status == 404:  # noqa: PLR2004
                return None
            raise
        return TableName(found["schema_name"], found["table_name"])

    def rows_with(self, table: TableName, column: str, values: Iterable[Any]) -> list[Row]:
        """Return the rows whose *column* has one of *values*; None finds NULL."""
        entity, name = f"/entity/{_path(table)}/", quote(column, safe="")
        wanted = dict.fromkeys(values)
        texts = [_text(value) for value in wanted if value not in {None, ""}]
        room = LONGEST_PATH_BYTES - self._prefix_bytes - len(f"{entity}{name}=any()")
        filters = [f"{name}=any({page})" for page in pages(texts, room)]
        # An empty text in a list is not a value, and NULL never equals anything.
        filters += [_filter(column, value) for value in (None, "") if value in wanted]
        return [row for each in filters for row in self._rows(table, entity + each)]

    def rows_where(
        self, table: TableName, values: Mapping[str, Any], limit: int | None = None
    ) -> list[Row]:
        """Return the rows whose columns have all of *values*, at most *limit*; None finds NULL."""
        filters = "&".join(_filter(column, value) for column, value in values.items())
        return self._rows(table, f"/entity/{_path(table)}/{filters}", limit=limit)

    def neighbours(self, table: TableName, column: str, text: str) -> list[str]:
        """Return some values of a text column right before and after *text*, in its order."""
        name, value = quote(column, safe=""), quote(text, safe="")
        found: list[str] = []
        for operator, key in (("geq", name), ("lt", f"{name}::desc::")):
            path = f"/attribute/{_path(table)}/{name}::{operator}::{value}/{name}"
            with self._asking(f"read {table}"):
                answer = self._catalog.get(f"{path}@sort({key})?limit={_NEIGHBOURS}")
                found += [row[column] for row in json_rows(answer, column)]
        return found

    def query(self, path: str) -> list[Row]:
        """Return the answer to a GET of *path*, relative to the catalog."""
        with self._asking(f"read {path}"):
            return json_rows(self._catalog.get(path))

    def put(self, path: str, rows: Sequence[Row]) -> list[Row]:
        """PUT rows to *path*, relative to the catalog; return those that were updated."""
        with self._asking(f"update {path}"):
            return json_rows(self._catalog.put(path, json=rows))

    def replace(
        self, table: TableName, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> list[Row]:
        """Set the columns of the rows that have the values *old* to *new*; return the updated rows.

        ERMrest matches NULL with NULL.
        """
        path = f"/attributegroup/{_path(table)}/{_aliased('o', old)};{_aliased('n', new)}"
        values = {f"o{n}": value for n, value in enumerate(old.values())}
        values |= {f"n{n}": value for n, value in enumerate(new.values())}
        with self._asking(f"update a row of {table}"):
            return json_rows(self._catalog.put(path, json=[values]))

    def identity(self) -> Mapping[str, Any]:
        """Return our identity on the server: id, display_name, full_name, email."""
        return self._server.session().client

    def insert(
        self, table: TableName, rows: Sequence[Row], *, given_rids: bool = False
    ) -> list[Row]:
        """POST with onconflict=skip; return the rows that were inserted, in the order sent.

        Columns that no row has get their defaults; unless told so, ERMrest makes them NULL.
        With *given_rids* every row keeps its RID; otherwise ERMrest replaces it silently.

        Raises:
            RefusedError: Also for a column that the table does not have; ERMrest would ignore it.
        """
        if not rows:
            return []
        given = dict.fromkeys(column for row in rows for column in row)
        columns = self._columns(table, given)
        defaults = ",".join(quote(c.name, safe="") for c in columns if c.name not in given)
        query = "?onconflict=skip" + (f"&defaults={defaults}" if defaults else "")
        query += "&nondefaults=RID" if given_rids else ""
        whole = [{column: row.get(column) for column in given} for row in rows]
        with self._asking(f"insert {len(rows)} {'row' if len(rows) == 1 else 'rows'} into {table}"):
            answer = self._catalog.post(f"/entity/{_path(table)}{query}", json=whole)
            inserted = json_rows(answer)
        if inserted and (lost := sorted(given.keys() - inserted[0].keys())):
            # Measured: a column that was dropped or renamed since is ignored, and its value lost.
            self._known = None
            why = f"{table} has no column {', '.join(lost)} any more: its model has just changed"
            raise ServerBusyError(f"cannot give {table} all values", why)
        return inserted

    def lease(self, names: Sequence[str]) -> dict[str, str]:
        """Return RIDs that are leased to us, by *names*.

        A name is unique to a client: the same name gives the same RID until a row has that RID.
        Then the lease of an ordinary writer is gone, and the name would give a new RID.
        """
        if not names:
            return {}
        with self._asking(f"lease {len(names)} RIDs"):
            path = f"/entity/{_path(LEASE)}?onconflict=skip"
            answer = self._catalog.post(path, json=[{"ID": name} for name in names])
            made = json_rows(answer, "ID", "RID")
        leased = {row["ID"]: row["RID"] for row in made}
        if known := [name for name in names if name not in leased]:
            us = self._server.session().client_id
            rows = self.rows_with(LEASE, "ID", known)
            leased |= {row["ID"]: row["RID"] for row in rows if row["RCB"] == us}
        return leased

    def terms(self, table: TableName) -> frozenset[str]:
        """Return the names of the terms of a vocabulary."""
        rows = self._rows(table, f"/attribute/{_path(table)}/Name", "Name")
        return frozenset(row["Name"] for row in rows)

    def move_status(self, execution: str, old: str | None, new: str) -> bool:
        """Set Execution.Status to *new* if it is *old*; return whether it was.

        ERMrest finds the row by both columns, and matches NULL with NULL. If the answer was lost,
        the repeated call returns False although the first one set it.
        """
        path = f"/attributegroup/{_path(_EXECUTION)}/RID,old:=Status;new:=Status"
        row = {"RID": execution, "old": old, "new": new}
        with self._asking(f"move the status of execution {execution} to {new}"):
            return bool(json_rows(self._catalog.put(path, json=[row])))

    def claimable(self, rids: Iterable[str]) -> frozenset[str]:
        """Return those of *rids* that we may use for rows: leased by us, or all if we own it.

        Measured: the owner of a catalog needs no lease; for everybody else a single row without
        a lease of their own makes the whole request fail with 403.
        """
        if self.rights().owner:
            return frozenset(rids)
        us = self._server.session().client_id
        return frozenset(
            row["RID"] for row in self.rows_with(LEASE, "RID", rids) if row["RCB"] == us
        )

    def _refreshed(self) -> _Known:
        known = self._known
        headers = {"If-None-Match": known.etag} if known and known.etag else {}
        with self._asking("read the model"):
            answer = self._catalog.get("/schema", headers=headers)
            if known and answer.status_code == 304:  # noqa: PLR2004
                return known
            document = json_object(answer, "schemas")
            with reading(answer, "the model of a catalog"):
                rights, model = read_rights(document), read_model(document)
        self._known = _Known(answer.headers.get("ETag"), model, rights)
        return self._known

    def _columns(self, table: TableName, given: Iterable[str]) -> tuple[Column, ...]:
        """Return the columns of *table*; RefusedError if one of *given* is not among them."""
        definition = (self._known or self._refreshed()).model.tables.get(table)
        if definition is None or not definition.column.keys() >= set(given):
            definition = self.model().name_to_table(table)
        if unknown := sorted(set(given) - definition.column.keys()):
            raise RefusedError(
                f"cannot insert into {table}",
                f"it has no column {', '.join(unknown)}",
                "Correct the bulk specification, or add the column to the catalog.",
            )
        return definition.columns

    def _rows(self, table: TableName, path: str, *keys: str, limit: int | None = None) -> list[Row]:
        """Return rows, each with *keys*; by default with those that every row has."""
        most = _ALL if limit is None else f"limit={limit}"
        with self._asking(f"read {table}"):
            return json_rows(self._catalog.get(f"{path}?{most}"), *(keys or ("RID", "RCB")))

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return self._server.asking(f"cannot {what} in {self._name}")


def pages(texts: Iterable[str], room_bytes: int) -> Iterator[str]:
    """Yield lists of *texts* that take at most *room_bytes* when quoted and joined by commas.

    A longer text gets a list of its own.
    """
    page = ""
    for text in texts:
        quoted = quote(text, safe="")
        if page and len(page) + 1 + len(quoted) > room_bytes:
            yield page
            page = ""
        page += f",{quoted}" if page else quoted
    if page:
        yield page


def _path(table: TableName) -> str:
    return f"{quote(table.schema, safe='')}:{quote(table.table, safe='')}"


def _aliased(letter: str, columns: Iterable[str]) -> str:
    """Return aliases for *columns*, so that one row can hold an old and a new value of each."""
    return ",".join(f"{letter}{n}:={quote(column, safe='')}" for n, column in enumerate(columns))


def _filter(column: str, value: Any) -> str:
    name = quote(column, safe="")
    return f"{name}::null::" if value is None else f"{name}={quote(_text(value), safe='')}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
