"""Specs drawn from parts, together with trees that partly fit them.

Drawn are only such in which no file gets in another's way: which of two files wins depends on the
order of a directory's entries, and that is nobody's promise. `test_defects` and `test_choices` have
what is left out because the two uploaders differ there.
"""

from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from oracle.case import Case
from oracle.specs import document, scan, spec

SUBJECTS: Final = ("S1", "S2", "S3", "S1", "S2", "S9")  # the last is not in the catalog
BORDER: Final = 2000
CONTENTS: Final = (b"", b"a", b"b", b"\0\xff", b"a,b\n1,2\n", b"x" * BORDER, b"y" * (BORDER + 1))
_ENDINGS: Final = ("", ".png", ".PNG", ".txt", ".tar.gz", ".x y", "(1).png", ".é", ".", ".zzz")
_WORDS: Final = ("a", "B c", "é", "x+y", "50%", "__NULL__", "0", "a&b=c")
_SAFE: Final = {"file_name": " é", "word": "+", "URI": "/:"}


@dataclass(frozen=True)
class Layout:
    """The directories of a mapping's files, and the names that they give.

    Attributes:
        folder: The first of them.
        number, word: Whether there is one for a number, and for a word.
        optional: Whether there may be one more, called "extra".
    """

    folder: str
    number: bool
    word: bool
    optional: bool

    @property
    def pattern(self) -> str:
        """Of the path below the root."""
        return (
            rf"{self.folder}/(?P<subject>[^/]+)/"
            + (r"(?P<number>\d+)/" if self.number else "")
            + (r"(?P<word>[^/]+)/" if self.word else "")
            + (r"(?:(?P<extra>extra)/)?" if self.optional else "")
            + r"[^/]+$"
        )

    @property
    def names(self) -> list[str]:
        """What its groups and every file always have."""
        parts = [("number", self.number), ("word", self.word)]
        return ["subject", "file_name", "file_size", *(name for name, has in parts if has)]


@st.composite
def _layouts(draw, folder):
    return Layout(folder, *(draw(st.booleans()) for _ in range(3)))


@st.composite
def _mappings(draw, layout, by_content, relative):
    """Draw a mapping of the files of a layout."""
    changes: dict[str, Any] = {
        "file_pattern": ("^" if relative else "/") + layout.pattern,
        "hatrac_options": draw(_options(by_content)),
    }
    if draw(st.booleans()):
        changes["ext_pattern"] = draw(
            st.sampled_from([r"[.](?P<file_ext>png|txt)$", r"[^/]$", r"(?P<file_ext>[.][^./]*)$"])
        )
    if draw(st.booleans()):
        changes["dir_pattern"] = rf"{layout.folder}/(?P<place>S\d)/"
    if by_content:
        return scan(draw(_plain_columns(layout)), **changes)
    names = [*layout.names, "md5_base64", "base_name", "file_name_urlencoded", "md5"]
    if "dir_pattern" in changes:
        names.append("place")
    names += draw(_further_names(changes, names))
    note = draw(_templates(names))
    if draw(st.booleans()):
        changes["url_encoding_safe_overrides"] = _SAFE
    if draw(st.booleans()):
        changes["pre_processors"] = [{"processor": "LoggingProcessor"}]
    if draw(st.booleans()):
        columns = {"Note": note, "Exposure": "{file_size}"} | draw(_plain_columns(layout))
        return scan(columns, **changes, **draw(_objects("Scan")))
    columns = {"note": note, "type": draw(_templates(names)), "kept": "true"}
    if draw(st.booleans()):
        every = "bytes,kept,md5,note,sha256,subject,type,url"
        changes["record_update_template"] = f"/attributegroup/lab:document/name;{every}"
    return document(columns, **changes, **draw(_objects("docs")))


def _plain_columns(layout):
    """Columns that hold what one group says."""
    groups = [("Channel", "number", layout.number), ("Note", "word", layout.word)]
    return st.fixed_dictionaries(
        {}, optional={c: st.just(f"{{{g}}}") for c, g, has in groups if has}
    )


@st.composite
def _templates(draw, names):
    """Templates that are full of names; all of them are known."""
    part = st.sampled_from([f"{{{name}}}" for name in names] + ["{file_size:>5}"])
    return " ".join(draw(st.lists(part, min_size=1, max_size=3)))


@st.composite
def _further_names(draw, changes, names):
    """Add where further names come from; return them."""
    further = []
    if draw(st.booleans()):
        changes["metadata_query_templates"] = ["/attribute/lab:Subject/Code={subject}/code:=Code"]
        further.append("code")
    if draw(st.booleans()):
        changes["column_value_templates"] = {
            "made": draw(_templates(names + further)),
            "again": "<{made}>",
        }
        further += ["made", "again"]
    return further


def _options(by_content):
    some = {"chunk_size": st.sampled_from([700, 1000, "1500"])}
    if not by_content:
        some |= {
            "versioned_urls": st.booleans(),
            "sanitize_filenames": st.just("yes"),
            "sanitize_filenames_pattern": st.sampled_from(["[^a-zA-Z0-9_.-]", "[^a-z0-9.]"]),
        }
    return st.fixed_dictionaries({}, optional=some)


@st.composite
def _objects(draw, folder):
    """Draw the name of an object; it has the content and the file's name."""
    name = draw(
        st.sampled_from(
            [
                "{md5}.{file_name_urlencoded}",
                "{subject}/{md5}/{file_name_urlencoded}",
                "{sha256}-{md5}.{file_name_urlencoded}",
            ]
        )
    )
    templates = {"hatrac_uri": f"/hatrac/{folder}/{name}"}
    said = draw(st.sampled_from([None, "filename*=UTF-8''{file_name}", "{subject}-{file_name}"]))
    return {"hatrac_templates": templates | ({"content-disposition": said} if said else {})}


@st.composite
def _trees(draw, layouts):
    """Draw files that lie as the layouts say, or nearly; no two have name and content in common."""
    tree = {}
    for number in range(draw(st.integers(1, 5))):
        layout = draw(st.sampled_from(layouts))
        parts = [
            draw(st.sampled_from([layout.folder] * 8 + ["elsewhere"])),
            draw(st.sampled_from(SUBJECTS)),
        ]
        if layout.number:
            parts.append(draw(st.sampled_from(["0", "7", "08", "seven"])))
        if layout.word:
            parts.append(draw(st.sampled_from(_WORDS)))
        if layout.optional and draw(st.booleans()):
            parts.append("extra")
        name = f"{number}{draw(st.sampled_from(_ENDINGS))}"
        tree["/".join([*parts, name])] = draw(st.sampled_from(CONTENTS))
    return tree


@st.composite
def cases(draw, by_content):
    """Draw a spec and two trees; the second is the first with some files changed and added."""
    relative = draw(st.booleans())
    layouts = [draw(_layouts(f"in{n}")) for n in range(draw(st.integers(1, 3)))]
    mappings = [draw(_mappings(layout, by_content, relative)) for layout in layouts]
    general = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "mime_overrides": st.just({"application/x-zzz": ["zzz"], "image/x": [".png"]}),
                "file_ext_mappings": st.just({".png": {"kind": "picture"}}),
                "version_compatibility": st.just([[">=1.7", "<2"]]),
                "strict_update_check": st.booleans(),
            },
        )
    )
    first = draw(_trees(layouts))
    changed = {path: draw(st.sampled_from([content, b"new"])) for path, content in first.items()}
    stages = draw(st.sampled_from([(first,), (first, changed)]))
    whole = spec(*mappings, relative_path_validation=relative, **general)
    return Case(whole, stages, frozenset(), border=BORDER)
