"""The steps that use the catalog: look up, adopt, insert, link; always many rows at once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import ML_SCHEMA, TableName
from deriva_watch.core.records import FileFacts, FileRecord
from deriva_watch.core.rows.adoption import edits
from deriva_watch.core.spec.templates import row as spec_row
from deriva_watch.core.states import FileState, FileTrigger
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.files.upload_jobs import Jobs
from deriva_watch.engine.naming import known_names
from deriva_watch.engine.ports import Catalog, Journal, ObjectStore, Row
from deriva_watch.engine.rows.insertion import Insertion, Written
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.unit_upload import Move, UnitUpload

OUTPUT_ROLE: Final = "Output"  # the Asset_Role with which deriva-ml links outputs


class _LostObjectError(RefusedError):
    """The object that a row names no longer exists."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Inserts rows for stored files into asset tables, and links them."""

    catalog: Catalog
    store: ObjectStore
    journal: Journal
    writer: CatalogWriter
    jobs: Jobs
    call_retry: CallRetry

    # ------------------------------------------------------------------ existing rows

    def follow_edits(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Update the rows of files whose metadata has changed since.

        The journal knows those rows, so no second row is made. A row that we did not make, or that
        also belongs to another file, is not changed.
        """
        known = [path for path in paths if upload.records[path].rid]
        for table, group in _by_table(upload, known).items():
            rids = [upload.records[path].rid for path in group]
            rows = {row["RID"]: row for row in self._rows(table, "RID", rids)}
            urls = [row["URL"] for row in rows.values()]
            holders = self.journal.holders(urls)
            for path in group:
                row = rows.get(upload.records[path].rid)
                if not row or not upload.is_about(path, row):
                    continue
                others = holders.get(row["URL"], frozenset()) - {upload.records[path].id}
                self._follow(upload, path, row, shared=bool(others))

    def _follow(self, upload: UnitUpload, path: str, row: Row, *, shared: bool) -> None:
        asset, adopted = upload.assets[path], upload.records[path].adopted
        new = edits(upload.model.name_to_table(asset.table), asset.values, row)
        if adopted or shared:  # NULL there says nothing about this file
            new = {column: value for column, value in new.items() if row[column] is not None}
        if not new:
            return
        said = "; ".join(f"{c} = {row[c]!r}, but now {value!r}" for c, value in new.items())
        why = f"row {row['RID']}, made from it, has {said}"
        try:
            if adopted or shared:
                whose = "another file too" if shared else "a file of another uploader"
                raise RefusedError(path, f"the row belongs to {whose}", "")  # noqa: TRY301
            old = {"RID": row["RID"]} | {column: row[column] for column in new}
            self.call_retry(
                f"PUT {asset.table}",
                lambda: self.writer.run(lambda: self.catalog.replace(asset.table, old, new)),
            )
        except RefusedError as error:
            then = "Correct the row or the metadata of the file, whichever is wrong."
            why = f"{why}; {error.why}"
            upload.refuse(path, RefusedError(f"cannot record {path}", why, then))
        else:
            upload.notice(path, f"{why}: the row was updated")

    def settle_foreign(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Accept that another uploader has recorded a file, once its row confirms it."""
        claimed = [path for path in paths if upload.assets[path].recorded]
        # We may have written this into the manifest ourselves.
        claimed = [p for p in claimed if not upload.records[p].rid or upload.records[p].adopted]
        for table, group in _by_table(upload, claimed).items():
            rids = [upload.assets[path].given_rid for path in group]
            rows = {row["RID"]: row for row in self._rows(table, "RID", rids)}
            moves: list[Move] = []
            for path in group:
                row = rows.get(upload.assets[path].given_rid)
                if row and upload.is_about(path, row):
                    facts: FileFacts = {"rid": row["RID"], "url": row["URL"], "adopted": True}
                    moves.append(Move(path, FileTrigger.FOREIGN, facts))
            upload.commit(moves)

    def adopt(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Adopt rows that are already in the catalog, before anything is sent."""
        for table, group in _by_table(upload, paths).items():
            md5s = {upload.records[path].md5 for path in group}
            rows = self._rows(table, "MD5", sorted(md5s, key=str))
            for path in group:
                if row := upload.chosen(path, rows):
                    self._take(upload, path, row)

    def _take(self, upload: UnitUpload, path: str, row: Row) -> None:
        """Adopt a row if its object exists."""
        record, rid = upload.records[path], row["RID"]
        facts: FileFacts = {"rid": rid, "url": row["URL"], "job": None}
        if record.state is FileState.STORED and row["URL"] == record.url:
            # Our own INSERT; its answer was lost.
            upload.commit([Move(path, FileTrigger.RECORDED, facts | {"adopted": False})])
            return
        try:
            self._verify(record, row["URL"])
        except _LostObjectError as error:
            if record.rid == rid and not record.adopted:  # we made that row
                self._restore(upload, path, row)
                return
            why = f"row {rid} describes it, but {error.why}"
            upload.refuse(path, RefusedError(f"cannot record {path}", why, error.next))
            return
        self.jobs.cancel(record.job)
        facts["adopted"] = record.adopted or row["URL"] != record.url  # ours: it was read again
        upload.commit([Move(path, FileTrigger.ADOPTED, facts)])
        _notice_rid(upload, path, rid, "the row existed before")

    def _restore(self, upload: UnitUpload, path: str, row: Row) -> None:
        """Have the bytes sent again, and then let our row name the new version."""
        record, table = upload.records[path], upload.assets[path].table
        if record.state is not FileState.STORED:
            upload.lost.add(path)
            return
        old = {"RID": row["RID"], "URL": row["URL"]}
        try:
            done = self.call_retry(
                f"PUT {table}",
                lambda: self.writer.run(
                    lambda: self.catalog.replace(table, old, {"URL": record.url})
                ),
            )
        except RefusedError as error:
            why = f"its object was lost, and row {row['RID']} cannot name the new one: {error.why}"
            upload.refuse(path, RefusedError(f"cannot record {path}", why, error.next))
            return
        if not done:  # somebody has changed the row meanwhile
            upload.change(path)
            return
        facts: FileFacts = {"rid": row["RID"], "adopted": False}
        upload.commit([Move(path, FileTrigger.RECORDED, facts)])
        upload.notice(path, f"its object {row['URL']} was lost; it was sent again")

    def _verify(self, record: FileRecord, url: str | None) -> None:
        """Check in the object store that *url* has the content of a file."""
        what, then = (
            "cannot adopt a row",
            "Correct or delete the row, then run `deriva-watch retry RID`.",
        )
        if url is None or not url.startswith("/hatrac/"):
            raise _LostObjectError(what, f"{url} is not an object of this server", then)
        there = self.call_retry("HEAD object", lambda: self.store.head(url))
        if there is None:
            raise _LostObjectError(what, f"the object {url} is gone", then)
        if there.md5 is None:
            raise _LostObjectError(what, f"the object {url} has no MD5", then)
        if (there.md5, there.size_bytes) != (record.md5, record.size_bytes):
            raise _LostObjectError(what, f"the object {url} has different content", then)

    # ------------------------------------------------------------------ insert

    def record(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Insert a row for every stored file unless another uploader has done so meanwhile."""
        given = [rid for path in paths if (rid := upload.assets[path].given_rid)]
        claimable: frozenset[str] = frozenset()
        if given:
            claimable = self.call_retry("GET leases", lambda: self.catalog.claimable(given))
        rows = [self._insertion(upload, path, claimable) for path in paths]
        told = list(zip(paths, rows, self.writer.insert(rows), strict=True))
        made = {path: w.row["RID"] for path, _, w in told if w.row and w.inserted}
        upload.note(
            [
                Move(path, FileTrigger.RECORDED, {"rid": rid, "adopted": False})
                for path, rid in made.items()
            ]
        )
        for path, rid in made.items():
            _notice_rid(upload, path, rid, "that one is not leased to us")
        for path, item, written in told:
            if path not in made:
                self._not_inserted(upload, path, item, written)

    def _insertion(self, upload: UnitUpload, path: str, claimable: Iterable[str]) -> Insertion:
        asset, record = upload.assets[path], upload.records[path]
        row = spec_row(asset.match, known_names(asset, record))
        row |= {column: value for column, value in asset.values.items() if column in row}
        if asset.description is not None:
            row["Description"] = asset.description
        keep = asset.given_rid is not None and asset.given_rid in claimable
        if not keep:
            row.pop("RID", None)
        return Insertion(
            asset.table,
            row,
            ("URL",),
            given_rid=keep,
            adopt=lambda rows: upload.chosen(path, rows),
        )

    def _not_inserted(
        self, upload: UnitUpload, path: str, item: Insertion, written: Written
    ) -> None:
        """Handle a file whose row was not inserted: adopt the existing row, or refuse the file."""
        row = written.row
        if written.error:
            why = written.error.why
            upload.refuse(path, RefusedError(f"cannot record {path}", why, written.error.next))
        elif row is None:
            why = f"a row with its {item.key[0]} exists but is not visible to this identity"
            then = "Ask the catalog's administrator for the right to see it."
            upload.refuse(path, RefusedError(f"cannot record {path}", why, then))
        elif upload.chosen(path, [row]):
            self._take(upload, path, row)
        elif row["URL"] == item.row["URL"]:  # another row uses our version: store a new one
            upload.change(path)
        else:
            why = f"the RID {row['RID']} given for it belongs to the row of another file"
            then = "Remove the RID from its path or manifest entry."
            upload.refuse(path, RefusedError(f"cannot record {path}", why, then))

    def compare(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Check whether another uploader has made a row for the same file meanwhile.

        Of two uploaders that insert, the second one sees both rows.
        """
        for table, group in _by_table(upload, paths).items():
            md5s = {str(upload.records[path].md5) for path in group}
            rows = self._rows(table, "MD5", sorted(md5s))
            for path in group:
                upload.compare(path, rows)

    # ------------------------------------------------------------------ link

    def link(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Link rows to the execution and to their asset types."""
        linkable = upload.in_state(paths, FileState.RECORDED, FileState.ELSEWHERE)
        links = {path: self._links(upload, path) for path in linkable}
        flat = [item for items in links.values() for item in items]
        written = dict(zip(flat, self.writer.insert(flat), strict=True))
        moves: list[Move] = []
        for path in upload.in_state(linkable, FileState.RECORDED):
            bad = next((e for item in links[path] if (e := written[item].error)), None)
            if bad:
                upload.refuse(path, RefusedError(f"cannot link {path}", bad.why, bad.next))
            else:
                moves.append(Move(path, FileTrigger.LINKED))
        upload.commit(moves)

    def _links(self, upload: UnitUpload, path: str) -> list[Insertion]:
        """Return the association rows of one file: its execution, then its types."""
        model, record, asset = upload.model, upload.records[path], upload.assets.get(path)
        table, rid = TableName.parse(record.table or ""), record.rid
        is_asset = table in model.tables and model.is_asset(table)
        execution = upload.execution.links_to
        if not ((execution or upload.execution.unit) and rid and is_asset):
            return []
        # If the file has vanished since, the journal knows what to link.
        types = asset.types if asset else record.types or ()
        links = []
        for target, values in (
            ("Execution", (execution,) if execution else ()),
            ("Asset_Type", types),
        ):
            other = model.ml_table(target)
            pair = model.find_association(table, other) if other else None
            if pair is None:
                if values:
                    why = f"no table links {table} to {target}: its files are not linked"
                    upload.notice(str(table), why)
                continue
            role = pair.others.get(TableName(ML_SCHEMA, "Asset_Role"))
            fixed = {role: OUTPUT_ROLE} if role else {}
            links += [
                Insertion(
                    pair.table, {pair.own: rid, pair.other: value} | fixed, (pair.own, pair.other)
                )
                for value in values
            ]
        return links

    def _rows(self, table: TableName, column: str, values: Iterable[Any]) -> list[Row]:
        return self.call_retry(
            f"GET {table}", lambda: self.catalog.rows_with(table, column, values)
        )


def _by_table(upload: UnitUpload, paths: Iterable[str]) -> dict[TableName, list[str]]:
    groups: dict[TableName, list[str]] = defaultdict(list)
    for path in paths:
        groups[upload.assets[path].table].append(path)
    return groups


def _notice_rid(upload: UnitUpload, path: str, rid: str, why: str) -> None:
    """Add a notice about a row whose RID is not the one that its file gives."""
    given = upload.assets[path].given_rid
    if given and given != rid:
        upload.notice(path, f"the RID of its row is {rid}, not {given}: {why}")
