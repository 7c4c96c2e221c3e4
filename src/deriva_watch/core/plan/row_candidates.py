"""The files, and the records of deriva-ml's workspace database, that are rows of tables."""

from collections.abc import Iterator

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.layout import Place, Shape, records_path
from deriva_watch.core.metadata.sources import FeatureRecord, Sources
from deriva_watch.core.model import SYSTEM_COLUMNS, CatalogModel, Table, TableName
from deriva_watch.core.plan.candidates import Leftover, refused
from deriva_watch.core.plan.features import asset_columns, feature_table, filled
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import LIST_BYTES, LIST_TOO_LARGE, Format, RawRow
from deriva_watch.core.spec.spec import Match


def rows_of(
    entry: Entry, where: Place | None, match: Match | None, rules: Rules
) -> RowsPlan | Leftover | None:
    """Classify a table file; None: it is not one.

    The arguments are those of `candidates.candidate`. Raises RefusedError for a file that cannot
    be uploaded.
    """
    if match and match.mapping.asset_type == "table":
        return _table_rows(entry, match, rules)
    if where and where.shape is Shape.FEATURE and not match:
        return _feature_rows(entry, where, rules)
    return None


def _table_rows(entry: Entry, match: Match, rules: Rules) -> RowsPlan | Leftover:
    suffix = entry.path.rpartition(".")[2].lower()
    if suffix not in {Format.CSV, Format.JSON, Format.JSONL}:
        why = f"rows are read from files that end in .csv, .json or .jsonl, not in .{suffix}"
        return refused(entry, why, "Write it in one of these formats.")
    if suffix == Format.JSON and entry.size_bytes > LIST_BYTES:  # before it is read and hashed
        return refused(entry, LIST_TOO_LARGE, "Write it as CSV, which is read row by row.")
    left_out = frozenset(match.mapping.default_columns) or SYSTEM_COLUMNS
    table = rules.model.name_to_table(match.table)
    return RowsPlan(entry, table, Format(suffix), left_out)


def _feature_rows(entry: Entry, where: Place, rules: Rules) -> RowsPlan:
    part = where.part
    table = feature_table(rules.model, part["schema"], part["table"], part["feature"])
    return _of_feature(entry, table, part["feature"], Format(part["format"]), rules)


def recorded_features(said: Sources, rules: Rules) -> Iterator[RowsPlan | Leftover]:
    """Yield the plans of the feature records of deriva-ml's workspace, table by table."""
    for name, records in said.features.items():
        entry = Entry(records_path(name), 0, 0, 0, 0)
        table = _named(rules.model, name)
        if table is None:
            why = f"the catalog has no table {name}"
            yield refused(entry, why, "Create the table of the feature, or remove its records.")
            continue
        yield _of_feature(entry, table, records[0].feature, Format.RECORDS, rules, records)


def _of_feature(  # noqa: PLR0913, PLR0917  # what rows of a feature are made from
    entry: Entry,
    table: Table,
    feature: str,
    written: Format,
    rules: Rules,
    records: tuple[FeatureRecord, ...] = (),
) -> RowsPlan:
    return RowsPlan(
        entry=entry,
        definition=table,
        format=written,
        fill=filled(table, rules.execution or "", feature),  # shapes are of executions alone
        assets=asset_columns(rules.model, table),
        records=tuple(RawRow(f"record {r.stage}", r.values, r.recorded) for r in records),
        stages=tuple(record.stage for record in records),
    )


def _named(model: CatalogModel, name: str) -> Table | None:
    """Return the table that deriva-ml calls "<schema>.<table>"; either may have dots."""
    parts = name.split(".")
    names = (TableName(".".join(parts[:n]), ".".join(parts[n:])) for n in range(1, len(parts)))
    return next((model.tables[each] for each in names if each in model.tables), None)
