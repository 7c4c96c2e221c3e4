"""What the templates of a bulk spec make of a file: its row, its object's name and header."""

import re
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.given import (
    NAMES,
    ROOT,
    patient,
    taken,
)
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.spec.spec import Match, Spec
from deriva_watch.core.spec.templates import content_disposition, environment, object_name, row

MD5 = "0123456789abcdef0123456789abcdef"


def known(match: Match, name: str, **more: Any) -> dict[str, Any]:
    return environment(match, name, {}) | {"md5": MD5, "file_size": 7} | more


def mapped(column_map: dict[str, str], processors: tuple[Any, ...] = (), **templates: str) -> Match:
    """Return what a mapping with these templates makes of the path a/b.txt."""
    mapping = {
        "target_table": ["s", "t"],
        "file_pattern": r"(?P<folder>\w+)/(?P<gone>x)?(?P<file>.*)",
        "column_map": column_map,
        "hatrac_templates": templates,
        "pre_processors": processors,
    }
    return taken("a/b.txt", Spec({"asset_mappings": [mapping]}))


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{file_size}", 7),  # alone: keeps its type
        ("{file_size} bytes", "7 bytes"),
        ("{folder}/{file_name}", "a/b.txt"),
        ("{file_ext}", ".txt"),
        ("constant", "constant"),
        ("{{literal}}", "{literal}"),
        ("{gone}", None),
        ("{gone}-{folder}", None),
        ("{nobody}", None),
        ("{nobody}-{folder}", None),
    ],
)
def test_a_column_is_filled_from_what_is_known_or_left_out(template: str, value: object):
    match = mapped({"C": template})

    made = row(match, known(match, "b.txt", gone=None))

    assert made == ({} if value is None else {"C": value})


def test_values_take_the_place_of_groups_that_are_encoded():
    sentinel = {"processor": "N", "processor_type": "deriva_watch.NullSentinelProcessor"}
    match = mapped({"C": "{folder}", "D": "{file_ext}"}, (sentinel,))

    assert row(match, environment(match, "b.txt", {"C": 5, "D": None})) == {"C": 5, "D": ".txt"}
    assert row(match, environment(match, "b.txt", {})) == {"D": ".txt"}


def test_a_group_that_is_taken_to_the_letter_stays_the_text_it_found():
    match = mapped({"C": "{folder}", "D": "{folder}!"})

    assert row(match, environment(match, "b.txt", {"C": 5})) == {"C": "a", "D": "a!"}


@pytest.mark.parametrize("name", NAMES)
def test_an_object_is_named_by_its_content_and_its_quoted_name(name: str):
    match = taken(f"{ROOT}/asset/demo/BoundingBox/{name}")

    made = object_name(match, known(match, name))

    folder, leaf = made.rsplit("/", 1)
    assert folder == "/hatrac/BoundingBox"
    assert unquote(leaf, errors="strict") == f"{MD5}.{name}"
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+", leaf)


@patient
@given(
    name=st.text(st.sampled_from("aé日😀%./~ \n"), min_size=1, max_size=40)
    | st.builds("{}{}".format, st.text("aé日😀%", max_size=20), st.text("日é", min_size=30))
    | st.builds(
        lambda character, count, tail: character * count + tail,
        st.sampled_from("aé日😀%"),
        st.integers(10, 255),
        st.text("aé日😀", max_size=12),
    )
)
@example("x" * (228 - 33))
@example("x" * (229 - 33))
@example("x" * (227 - 33) + "é")
@example("x" * (224 - 33) + "日")
@example("x" * (222 - 33) + "😀")
def test_the_name_of_an_object_fits_the_server_and_can_be_read_back(name: str):
    """Hatrac keeps 27 of the 255 bytes of a file name for itself."""
    match = mapped(
        {}, hatrac_uri="/hatrac/t/{md5}.{file_name}", **{"content-disposition": "{file_name}"}
    )

    leaf = object_name(match, known(match, name)).rsplit("/", 1)[1]

    assert len(leaf.encode("ascii")) <= 228
    assert not re.search("%(?![0-9A-F]{2})", leaf)
    assert f"{MD5}.{name}".startswith(unquote(leaf, errors="strict"))
    assert len(leaf) >= min(len(quote(f"{MD5}.{name}", safe="")), 228 - 11)  # no more than must be


def test_an_object_name_without_a_template_is_by_table_and_content():
    match = mapped({})

    assert object_name(match, known(match, "b.txt")) == f"/hatrac/s%3At/{MD5}.b.txt"


def test_null_leaves_a_gap_in_the_name_of_an_object():
    match = mapped({}, hatrac_uri="/hatrac/{gone}/{md5}")

    assert object_name(match, known(match, "b.txt", gone=None)) == f"/hatrac//{MD5}"


@pytest.mark.parametrize(
    ("template", "header"),
    [
        (None, None),
        ("filename*=UTF-8''{file_name}", "filename*=UTF-8''_a_b_c____.tar.gz"),
        ("{file_name}", "filename*=UTF-8''_a_b_c____.tar.gz"),
        ('filename="{file_name}"', 'filename="_a_b_c____.tar.gz"'),
        ("filename*=UTF-8''{md5}.bin", f"filename*=UTF-8''{MD5}.bin"),
    ],
)
def test_a_content_disposition_has_plain_characters_only(template: str | None, header: str | None):
    match = mapped({}, **({"content-disposition": template} if template else {}))

    assert content_disposition(match, known(match, "/a b'c\n\"日;.tar.gz")) == header


@pytest.mark.parametrize(
    ("name", "plain"),
    [("'a'.txt", "_a_.txt"), ('"q"', "_q_"), ("a;", "a_"), ("UTF-8''", "UTF-8__")],
)
def test_quotes_of_a_name_are_not_taken_for_those_of_the_header(name: str, plain: str):
    match = mapped({}, **{"content-disposition": "filename*=UTF-8''{file_name}"})

    assert content_disposition(match, known(match, name)) == f"filename*=UTF-8''{plain}"


@pytest.mark.parametrize("write", [object_name, content_disposition])
def test_a_value_that_does_not_fit_its_format_is_refused_with_the_template(write):
    template = "/hatrac/{n:05d}"
    match = mapped({}, hatrac_uri=template, **{"content-disposition": template})

    with pytest.raises(RefusedError, match=r"does not fit the template /hatrac/\{n:05d\}"):
        write(match, known(match, "b.txt", n="x"))


def test_a_column_whose_value_does_not_fit_its_format_refuses_the_row_with_the_template():
    match = mapped({"N": "{n:05d}"})

    assert row(match, known(match, "b.txt", n=7)) == {"N": "00007"}
    with pytest.raises(RefusedError, match=r"does not fit the template \{n:05d\}"):
        row(match, known(match, "b.txt", n="x"))


def test_an_object_that_cannot_be_named_is_refused_with_the_template():
    match = mapped({}, hatrac_uri="/hatrac/{nobody}")

    with pytest.raises(RefusedError, match=r"/hatrac/\{nobody\} uses 'nobody'"):
        object_name(match, known(match, "b.txt"))
