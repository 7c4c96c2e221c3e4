"""Check a whole bulk spec against a catalog and the settings, before it is used."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from deriva_watch.core.model import CatalogModel, Table, TableName
from deriva_watch.core.names import ENCODED, RESERVED
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.spec.mapping import (
    BAG_PROCESSOR,
    NULL_SENTINEL_PROCESSOR,
    AssetMapping,
    Processor,
)
from deriva_watch.core.spec.queries import Answer, answer
from deriva_watch.core.spec.spec import Spec, unusable
from deriva_watch.core.spec.spec_keys import fields, near

SPEAKS: Final = "1.7.12"  # the version of deriva-py whose specs we follow
# These can neither read nor change anything that is not in the path or the spec.
HARMLESS: Final = frozenset({"FileRenameProcessor", "LoggingProcessor", BAG_PROCESSOR})
NEEDS_LEAVE: Final = "MetadataProcessor"  # reads any file that the spec names
_LATE: Final = frozenset({"URI", "content-disposition"})  # known once the object has its name
_MORE_DIGESTS: Final = ("sha1", "sha224", "sha384", "sha512")


def checked_spec(document: Any, model: CatalogModel, allowed: frozenset[str]) -> Spec:
    """Return the spec in *document*; arguments as of `check`.

    Raises:
        UnusableSpecError: All reasons why it cannot be used, each with its place.
    """
    spec, problems = Spec.read(document)
    problems += check(spec, model, allowed)
    if problems:
        raise unusable("the bulk spec", "; ".join(problems))
    return spec


def check(spec: Spec, model: CatalogModel, allowed: frozenset[str]) -> list[str]:
    """Return all reasons why *spec* cannot be used, each with its place.

    Args:
        spec: A spec that could be read.
        model: The catalog of the files.
        allowed: `[spec] allowed_processors`.
    """
    problems = list(_version(spec.general.versions))
    for mapping in spec.mappings:
        place = f"asset_mappings[{mapping.number}]"
        checked = _Checked(mapping, model, place, _literal_table(mapping, model))
        problems += checked.table_and_columns()
        problems += _processors(mapping, allowed, place)
        if mapping.asset_type == "file":
            problems += checked.needed()
            problems += checked.templates()
    return problems


def _literal_table(mapping: AssetMapping, model: CatalogModel) -> Table | None:
    if mapping.target is None or any(fields(part) for part in mapping.target):
        return None
    schema, table = (part.format() for part in mapping.target)
    return model.tables.get(TableName(schema, table))


class _Checked:
    """The checks of one mapping."""

    def __init__(
        self, mapping: AssetMapping, model: CatalogModel, place: str, table: Table | None
    ) -> None:
        self._mapping, self._model, self._place, self._table = mapping, model, place, table

    def table_and_columns(self) -> Iterator[str]:
        """Yield the table, or its columns, that the catalog does not have."""
        mapping, place = self._mapping, self._place
        if mapping.target and not self._table and not any(map(fields, mapping.target)):
            names = {str(name) for name in self._model.tables}
            wanted = ":".join(part.format() for part in mapping.target)
            yield f"{place}.target_table: there is no table {wanted}{near(wanted, names)}"
        if not self._table:
            return
        columns = self._table.column
        for key, used in (
            ("column_map", mapping.column_map),
            ("allow_empty_columns_on_update", mapping.empty_on_update),
            ("default_columns", mapping.default_columns),
        ):
            for name in used:
                if name not in columns:
                    what = f"{place}.{key}: {self._table.full_name} has no column {name!r}"
                    yield what + near(name, columns)

    def needed(self) -> Iterator[str]:
        """Yield the missing keys that a mapping of files needs."""
        mapping, place = self._mapping, self._place
        if not mapping.object_name:
            yield f"{place}.hatrac_templates: has no hatrac_uri"
        elif not mapping.object_name.startswith("/hatrac/"):
            yield f"{place}.hatrac_templates.hatrac_uri: must begin with /hatrac/"
        if not mapping.column_map:
            yield f"{place}: has no column_map"
        if mapping.record_query is None and not mapping.by_content:
            yield f"{place}: has no record_query_template"
        for key, template in (
            *(
                (f"metadata_query_templates[{n}]", q)
                for n, q in enumerate(mapping.metadata_queries)
            ),
            ("record_query_template", mapping.record_query),
            ("record_update_template", mapping.record_update),
        ):
            if template and not template.startswith("/"):
                yield f"{place}.{key}: must begin with / as a path below the catalog"

    def templates(self) -> Iterator[str]:
        """Yield the fields of templates that nothing provides, in the order of their use."""
        mapping, place = self._mapping, self._place
        if any(p.built_in is None or p.built_in == NEEDS_LEAVE for p in mapping.processors):
            return  # it is not known which names they add
        known = set(mapping.names) | RESERVED - _LATE | set(mapping.checksums)
        known |= {f"{name}_base64" for name in mapping.checksums}
        for number, template in enumerate(mapping.metadata_queries):
            where = f"{place}.metadata_query_templates[{number}]"
            yield from self._unknown(where, template, known)
            found = self._answer(template)
            if found.problem:
                yield f"{where}: {found.problem}"
            if found.names is None:
                return
            known |= found.names
        known |= {name for each in mapping.general.by_extension.values() for name in each}
        for name, template in mapping.column_value_templates.items():
            yield from self._unknown(f"{place}.column_value_templates.{name}", template, known)
            known.add(name)
        yield from self._late(known)

    def _late(self, known: set[str]) -> Iterator[str]:
        """Yield unknown fields of the templates for the object and its row."""
        mapping, place = self._mapping, self._place
        columns = set(self._columns())
        first = columns if mapping.create_record_first else set()
        for key, template in (
            ("hatrac_uri", mapping.object_name),
            ("content-disposition", mapping.disposition),
        ):
            if template:
                where = f"{place}.hatrac_templates.{key}"
                yield from self._unknown(where, template, known | first)
        late = set() if mapping.create_record_first else set(_LATE)
        if mapping.record_query:
            where = f"{place}.record_query_template"
            yield from self._unknown(where, mapping.record_query, known | late)
            if problem := self._answer(mapping.record_query).problem:
                yield f"{where}: {problem}"
        known = known | _LATE | columns
        if mapping.record_update:
            yield from self._unknown(
                f"{place}.record_update_template", mapping.record_update, known
            )
        for column, template in mapping.column_map.items():
            yield from self._unknown(f"{place}.column_map.{column}", template, known)

    def _columns(self) -> Iterator[str]:
        """The columns that the row of a file may have."""
        tables = [self._table] if self._table else self._model.tables.values()
        return (name for table in tables for name in table.column)

    def _answer(self, template: str) -> Answer:
        target = str(self._table.full_name) if self._table else None
        return answer(template, target, self._model)

    def _unknown(self, where: str, template: str, known: set[str]) -> Iterator[str]:
        for name in fields(template):
            plain = name.removesuffix(ENCODED) or name
            if name not in known and plain not in known:
                yield f"{where}: nothing provides {name!r}{near(name, known)}"


# ---------------------------------------------------------------------- processors


def _processors(mapping: AssetMapping, allowed: frozenset[str], place: str) -> Iterator[str]:
    for key, each in (
        ("pre_processors", mapping.pre_processors),
        ("post_processors", mapping.post_processors),
    ):
        for number, processor in enumerate(each):
            where = f"{place}.{key}[{number}]"
            yield from (f"{where}: {why}" for why in _processor(processor, allowed))


def _processor(processor: Processor, allowed: frozenset[str]) -> Iterator[str]:
    known = processor.built_in
    if known is None or known == NEEDS_LEAVE:
        name = processor.type or processor.name
        if allowed.isdisjoint({name, known}):
            yield f"{name} is not listed in [spec] allowed_processors"
    elif known not in HARMLESS | {NULL_SENTINEL_PROCESSOR}:
        yield f"there is no processor {known!r}{near(known, HARMLESS | {NEEDS_LEAVE})}"
    elif known == "FileRenameProcessor":
        yield from _rename(processor.params)


def _rename(params: Mapping[str, Any]) -> Iterator[str]:
    if params.get("rename_physical_file"):
        yield "rename_physical_file is not possible: deriva-watch changes nothing where the data is"
    replacement, pattern = params.get("replacement"), params.get("pattern") or ""
    try:
        if not isinstance(replacement, str) or not replacement:
            raise ValueError("is not a string")  # noqa: TRY301  # one sentence for all of them
        fields(replacement)
    except ValueError as error:
        yield f"its replacement cannot be used: {error}"
    try:
        Pattern(pattern)
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        yield f"its pattern does not compile: {error}"


# ---------------------------------------------------------------------- version

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


def _version(alternatives: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    """Yield a problem if the spec is for a different version of the uploader."""
    from packaging.version import Version

    def holds(comparison: str) -> bool:
        found = re.search(r"(>=|<=|>|<|==|!=)(.*)\Z", comparison, re.DOTALL)
        if not found:
            return True
        return _COMPARISONS[found[1]](Version(SPEAKS), Version(found[2].strip()))

    try:
        fits = not alternatives or any(each and all(map(holds, each)) for each in alternatives)
    except ValueError as error:  # InvalidVersion is one, and so is a number of 5,000 digits
        yield f"version_compatibility: {error}"
        return
    if not fits:
        wanted = " or ".join(", ".join(each) for each in alternatives)
        yield f"version_compatibility: it is for deriva-py {wanted}, and this one follows {SPEAKS}"
