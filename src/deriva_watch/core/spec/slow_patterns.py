"""The patterns of a bulk spec or drop folder that need far too long for some names."""

from collections.abc import Iterator

from deriva_watch.core.patterns import Pattern
from deriva_watch.core.patterns.explosive import explosive
from deriva_watch.core.spec.mapping import AssetMapping
from deriva_watch.core.spec.spec import Spec

SIMPLER = "Make the pattern simpler, so that its repetitions can match a name in one way only."


def slow_patterns(spec: Spec) -> dict[str, str]:
    """Return a warning for each pattern of *spec* that could be slow, by its place."""
    return {
        f"asset_mappings[{mapping.number}].{key}": why
        for mapping in spec.mappings
        for key, pattern in _patterns(mapping)
        if (why := slow_pattern(pattern))
    }


def slow_pattern(pattern: Pattern) -> str | None:
    """Return a warning if *pattern* could be slow; a file whose name takes too long is refused."""
    why = explosive(pattern)
    return why and (
        f"the pattern {pattern.text} can take very long for some names, which are then refused: "
        f"{why}"
    )


def _patterns(mapping: AssetMapping) -> Iterator[tuple[str, Pattern]]:
    yield from mapping.patterns
    yield "hatrac_options.sanitize_filenames_pattern", mapping.options.sanitize_pattern
    for number, processor in enumerate(mapping.pre_processors):
        if processor.built_in == "FileRenameProcessor" and (
            text := processor.params.get("pattern")
        ):
            yield f"pre_processors[{number}].processor_params.pattern", Pattern(text)
