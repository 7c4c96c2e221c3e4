"""A bulk spec read from its document, with everything in it that cannot be understood.

Nothing here asks what a catalog has: see `spec_check` for that.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from deriva_watch.core.spec.mapping import BAG_PROCESSOR, AssetMapping, General, ObjectOptions
from deriva_watch.core.spec.spec_keys import GENERAL, MAPPING, UNKNOWN, fields, near, read_object


def read(document: Any) -> tuple[General, list[AssetMapping], list[str]]:
    """Return the spec in *document*, and its problems, each with its place."""
    problems: list[str] = []
    said = read_object(document, GENERAL, "", problems)
    mappings = [
        mapping
        for number, entry in enumerate(said.get("asset_mappings", ()))
        if (mapping := _mapping(number, entry, said, problems))
    ]
    if "asset_mappings" not in said and not any("asset_mappings" in p for p in problems):
        problems.append('it has no list "asset_mappings"')
    return _general(said), mappings, problems


def _general(said: Mapping[str, Any]) -> General:
    return General(
        strict_update=said.get("strict_update_check", True),
        relative_paths=said.get("relative_path_validation", False),
        by_extension=said.get("file_ext_mappings", {}),
        mime_types=said.get("mime_overrides", {}),
        versions=said.get("version_compatibility", ()),
    )


def _mapping(
    number: int, entry: Any, said: Mapping[str, Any], problems: list[str]
) -> AssetMapping | None:
    before = len(problems)
    own = read_object(entry, MAPPING, f"asset_mappings[{number}]", problems)
    if any(UNKNOWN not in problem for problem in problems[before:]):
        return None  # avoid errors that only follow from this one; an unknown key causes none
    pre = own.get("pre_processors", ())
    templates, options = own.get("hatrac_templates", {}), own.get("hatrac_options", {})
    mapping = AssetMapping(
        number=number,
        asset_type=own.get("asset_type", "file"),
        dir_pattern=own.get("dir_pattern"),
        ext_pattern=own.get("ext_pattern"),
        file_pattern=own.get("file_pattern"),
        target=own.get("target_table"),
        column_map=own.get("column_map", {}),
        object_name=templates.get("hatrac_uri"),
        disposition=templates.get("content-disposition"),
        options=_options(options),
        column_value_templates=own.get("column_value_templates", {}),
        metadata_queries=own.get("metadata_query_templates", ()),
        record_query=own.get("record_query_template") or None,
        record_update=own.get("record_update_template") or None,
        require_record_update=own.get("require_record_update_template", False),
        empty_on_update=frozenset(own.get("allow_empty_columns_on_update", ())),
        create_record_first=own.get("create_record_before_upload", False),
        checksums=own.get("checksum_types", ("md5", "sha256")),
        safe_overrides=own.get("url_encoding_safe_overrides", {}),
        default_columns=own.get("default_columns", ()),
        pre_processors=pre,
        post_processors=own.get("post_processors", ()),
        archive=own.get("archive_preprocessing_enabled", False)
        or any(processor.built_in == BAG_PROCESSOR for processor in pre),
        general=_general(said),
        entry=entry,
    )
    problems += _contradictions(mapping)
    return mapping


def _options(said: Mapping[str, Any]) -> ObjectOptions:
    versioned = said.get("versioned_urls", said.get("versioned_uris", True))
    pattern = said.get("sanitize_filenames_pattern")
    return ObjectOptions(
        chunk_bytes=said.get("chunk_size"),
        create_parents=said.get("create_parents", True),
        allow_versioning=said.get("allow_versioning", True),
        force=said.get("force", False),
        versioned=versioned,
        sanitize=said.get("sanitize_filenames", True),
        **({"sanitize_pattern": pattern} if pattern else {}),
    )


def _contradictions(mapping: AssetMapping) -> Iterable[str]:
    """Yield the keys of a mapping that contradict each other."""
    place = f"asset_mappings[{mapping.number}]"
    if mapping.target:
        for name in (name for part in mapping.target for name in fields(part)):
            if name not in mapping.names:
                what = f"{place}.target_table: no group of its patterns is called {name!r}"
                yield what + near(name, mapping.names)
    elif not {"schema", "table"} <= {name.lower() for name in mapping.names}:
        yield f"{place}: it needs a target_table, or groups called schema and table"
    if mapping.archive and (mapping.ext_pattern or mapping.file_pattern):
        yield f"{place}: a directory that becomes a bag is found by dir_pattern alone"
    if mapping.archive and mapping.asset_type != "file":
        yield f"{place}: rows of a table cannot be put into a bag"
    if mapping.archive and not any(p.built_in == BAG_PROCESSOR for p in mapping.pre_processors):
        yield f"{place}: archive_preprocessing_enabled needs a BagArchiveProcessor"
