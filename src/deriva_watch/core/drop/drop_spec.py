"""A drop folder compiled: an ordinary mapping of a bulk spec, checked against the catalog's model.

The mapping finds the files, and its groups are columns as in any other. A column whose value is
not a part of the path (a constant, a text with parts in it, the RID of a row that was looked up)
has a group of its own that never matches: its value is given beside the path, as by a manifest.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deriva_watch.core.drop.drop_folder import FILLED, Drop, Lookup
from deriva_watch.core.errors import RefusedError, UnusableSpecError
from deriva_watch.core.model import (
    FILE_COLUMNS,
    SYSTEM_COLUMNS,
    CatalogModel,
    Column,
    Table,
    TableName,
)
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.spec.bulk_spec import asset_mapping
from deriva_watch.core.spec.mapping import SINGLE
from deriva_watch.core.spec.queries import answer
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.spec.spec_keys import fields, near
from deriva_watch.core.values import check

DESCRIPTION: Final = "Description"  # of the file; no metadata
_END: Final = r")\Z"  # what follows the operator's pattern in the compiled one
_FLAGS: Final = re.compile(r"\(\?([aimsux]+)\)")


@dataclass(frozen=True, slots=True)
class Search:
    """How to find the row that a column refers to.

    Attributes:
        template: Of the value, or of a query where *table* is None.
        table, by: The table, and the column that has the value.
        returns: The column of the found row whose value the referring column gets.
    """

    template: str
    table: TableName | None
    by: Column | None
    returns: str


@dataclass(frozen=True, slots=True)
class CompiledDrop:
    """A drop folder that is ready for use.

    Attributes:
        drop: As the settings describe it.
        table: Its asset table.
        spec: A bulk spec of one mapping.
        templates: By column, except those that are looked up.
        searches: By column.
    """

    drop: Drop
    table: Table
    spec: Spec
    templates: Mapping[str, Any]
    searches: Mapping[str, Search]


def compile_drop(
    drop: Drop,
    model: CatalogModel,
    asset_types: frozenset[str] | None,
    chunk_bytes: int | None = None,
) -> CompiledDrop:
    """Return *drop* compiled for the tables of *model*.

    Args:
        drop: The drop folder.
        model: The catalog's model.
        asset_types: The terms that may be asset types; None: any.
        chunk_bytes: Length of the chunks of large files; None: the uploader's own.

    Raises:
        UnusableSpecError: All reasons why it cannot be used, each with its key.
    """
    table = _table(drop, model)
    templates = _templates(drop, table, model)
    problems = list(_columns(drop, table, model))
    problems += _groups(drop, table, templates)
    problems += _constants(templates, table)
    problems += _missing(drop, table, model, templates)
    searches = {}
    for column, said in drop.lookup.items():
        try:
            searches[column] = _search(column, said, table, model)
        except ValueError as error:
            problems.append(f"lookup.{column}: {error}")
    problems += _terms(drop, asset_types)
    problems += _links(drop, table, model)
    if problems:
        raise _unusable(drop, "; ".join(problems))
    spec = Spec({"asset_mappings": [_mapping(drop, table, templates, chunk_bytes)]})
    return CompiledDrop(drop, table, spec, templates, searches)


def unfitted(wants: str) -> str:
    """Return the rest of the operator's pattern, given the rest of the compiled one."""
    return wants.rpartition(_END)[0].rstrip("\n")


def _mapping(
    drop: Drop, table: Table, templates: Mapping[str, Any], chunk_bytes: int | None
) -> dict[str, Any]:
    groups: dict[str, str] = {}
    for number, column in enumerate(sorted({*templates, *drop.lookup} - {DESCRIPTION})):
        template = templates.get(column)
        piece = SINGLE.fullmatch(template) if isinstance(template, str) else None
        groups[column] = piece[1] if piece else f"{FILLED}{number}"
    never = "".join(
        f"(?:(?!)(?P<{group}>))?" for group in groups.values() if group.startswith(FILLED)
    )
    folder = re.escape(str(drop.path).rstrip("/"))
    pattern = rf"\A{folder}/(?:{_scoped(drop.pattern)}{_END}{never}"
    return asset_mapping(table, pattern, groups, chunk_bytes)


def _scoped(pattern: str) -> str:
    """Return *pattern* as a part of another one: its leading flags apply only to it."""
    flags = _FLAGS.match(pattern)
    if not flags:
        return pattern
    end = "\n" if "x" in flags[1] else ""  # it may end with a comment
    return f"(?{flags[1]}:{pattern[flags.end() :]}{end})"


def _unusable(drop: Drop, why: str) -> UnusableSpecError:
    return UnusableSpecError(
        f"the drop folder {drop.path} cannot be used",
        why,
        "Correct its [[drop]] in the settings; config.example.toml explains every key.",
    )


def _table(drop: Drop, model: CatalogModel) -> Table:
    assets = [each.full_name for each in model.find_assets()]
    known = {str(name) for name in assets} | {name.table for name in assets}
    try:
        table = model.name_to_table(drop.table)
    except RefusedError as error:
        why = f"table: {error.what}, {error.why}{near(drop.table, known)}"
        raise _unusable(drop, why) from None
    if not model.is_asset(table):
        names = ", ".join(map(str, assets)) or "none"
        why = f"table: {table.full_name} is not an asset table; the asset tables are: {names}"
        raise _unusable(drop, why)
    return table


def _fillable(table: Table, model: CatalogModel) -> set[str]:
    return model.asset_metadata(table) | ({DESCRIPTION} & table.column.keys())


def _templates(drop: Drop, table: Table, model: CatalogModel) -> dict[str, Any]:
    """Return the templates of the columns that are not looked up; by default, their group."""
    groups = set(Pattern(drop.pattern).groups) & _fillable(table, model)
    of_groups = {name: f"{{{name}}}" for name in groups - drop.lookup.keys()}
    return of_groups | dict(drop.columns)


def _columns(drop: Drop, table: Table, model: CatalogModel) -> Iterator[str]:
    known = _fillable(table, model)
    for key, columns in (("columns", drop.columns), ("lookup", drop.lookup)):
        for name in columns:
            if name in known and not (key == "lookup" and name == DESCRIPTION):
                continue
            if name in FILE_COLUMNS | SYSTEM_COLUMNS:
                yield f"{key}.{name}: the upload fills it itself; take it out"
            else:
                what = f"{key}.{name}: {table.full_name} has no metadata column {name!r}"
                yield what + (near(name, known) or f"; it has {', '.join(sorted(known)) or 'none'}")


def _groups(drop: Drop, table: Table, templates: Mapping[str, Any]) -> Iterator[str]:
    said = [each for each in templates.values() if isinstance(each, str)]
    said += [lookup.template for lookup in drop.lookup.values()]
    used = {name for each in said for name in fields(each)}
    for group in Pattern(drop.pattern).groups:
        if group not in used:
            yield (
                f"pattern: its group {group!r} fills nothing, {table.full_name} has no metadata "
                f"column of that name{near(group, table.column)}; use it below columns or lookup, "
                "or write (?:…) where no value is meant"
            )


def constant(template: Any) -> str | None:
    """Return the value of *template*, the same for every file; None if it has groups."""
    if not isinstance(template, str):
        return str(template)
    return None if fields(template) else template.format()


def _constants(templates: Mapping[str, Any], table: Table) -> Iterator[str]:
    for column, said in templates.items():
        if column not in table.column or (isinstance(said, str) and fields(said)):
            continue
        try:
            check(table.column[column], said.format() if isinstance(said, str) else said)
        except ValueError as error:
            yield f"columns.{column}: {error}"


def _missing(
    drop: Drop, table: Table, model: CatalogModel, templates: Mapping[str, Any]
) -> Iterator[str]:
    for name in sorted(model.asset_metadata(table) - templates.keys() - drop.lookup.keys()):
        column = table.column[name]
        if not column.nullable and not column.has_default:
            yield (
                f"{table.full_name} must have a value of {name!r}: say it with columns.{name} or "
                f"lookup.{name}, or with a group of the pattern that is called so"
            )


def _terms(drop: Drop, known: frozenset[str] | None) -> Iterator[str]:
    if known is not None:
        for name in drop.asset_types:
            if name not in known:
                yield f"asset_types: {name!r} is not an asset type{near(name, known)}"


def _links(drop: Drop, table: Table, model: CatalogModel) -> Iterator[str]:
    """Yield the links that files of the table cannot have."""
    for key, target, wanted, then in (
        ("unit", "Execution", drop.unit != "none", 'set it to "none"'),
        ("asset_types", "Asset_Type", bool(drop.asset_types), "take them out"),
    ):
        other = model.ml_table(target) if wanted else None
        if wanted and (other is None or model.find_association(table, other) is None):
            yield f"{key}: no table links {table.full_name} to {target}; {then}, or add one"


def _search(column: str, said: Lookup, table: Table, model: CatalogModel) -> Search:
    """Return the search for a look-up; raise ValueError if it can find no rows."""
    keys = [key for key in table.foreign_keys if key.columns == (column,)]
    if said.query is not None:
        returns = keys[0].target_columns[0] if keys else "RID"
        told = answer(said.query, None, model)
        if told.problem:
            raise ValueError(f"query: {told.problem}")
        if told.names is not None and returns not in told.names:
            raise ValueError(f"query: it answers without the column {returns}")
        return Search(said.query, None, None, returns)
    try:
        target = model.name_to_table(said.table or "")
    except RefusedError as error:
        known = {name.table for name in model.tables} | {str(name) for name in model.tables}
        raise ValueError(f"{error.what}, {error.why}{near(said.table or '', known)}") from None
    by = target.column.get(said.column or "")
    if by is None:
        name = said.column or ""
        why = f"{target.full_name} has no column {name!r}{near(name, target.column)}"
        raise ValueError(why)
    if keys and target.full_name not in [key.target for key in keys]:
        why = f"{column} refers to rows of {keys[0].target}, not of {target.full_name}"
        raise ValueError(why)
    returns = next((key.target_columns[0] for key in keys if key.target == target.full_name), "RID")
    return Search(said.template, target.full_name, by, returns)
