"""Patterns that could take very long for some name are known before such a name comes."""

import pytest

from core.given import SPEC
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.patterns.explosive import explosive
from deriva_watch.core.spec.slow_patterns import slow_patterns
from deriva_watch.core.spec.spec import Spec

AMBIGUOUS = [
    r"([A-Za-z0-9]+[-_ ]?)+[.]dcm",
    r"(?P<name>([A-Za-z0-9]+[_ -]?)+)[.](tif|czi)",
    "(a|aa)+$",
    "(x+x+)+y",
    "(a*)*",
    "(a*b*)*c",
    "(a|b|ab)*c",
    r"(\d{1,2})+x",
    r"(\w+\s?)*!",
    "(?=(?:a|aa)+b)a",
    "(?i)(?:[a-z]|[A-Z]x?)+b",
    "(?:a{1,100}){1,100}b",
]
PLAIN = [
    "(?:[^/]+/)*[^/]+[.]bin",
    r"(\d{2})+x",
    r"(?P<subject>[^/]+)/(?P<date>\d{4}-\d\d-\d\d)/[^/]+[.]dcm",
    r"(?P<Run>\d+_(?P<Instrument>[^_]+)_[^/]+)/(.*/L00(?P<Lane>\d)/C(?P<Cycle>\d+)\.1/)?.+",
    "([A-Za-z]+_)*[A-Za-z]+",
    "(?>a+)+b",
    "(a+)++b",
    "([a-z]+[0-9]+)+",
    ".*",
]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_repetition_that_can_match_in_two_ways_is_told(text):
    assert "(a+)+" in explosive(Pattern(text))


@pytest.mark.parametrize("text", PLAIN)
def test_an_ordinary_pattern_is_not(text):
    assert explosive(Pattern(text)) is None


def test_a_pattern_is_tried_with_long_names():
    assert "255 times" in explosive(Pattern(r"^(.*?)(.*?)(.*?)(.*?)(.*?)\d[a-z]x?$"))


def test_the_specification_made_from_a_model_has_none():
    assert slow_patterns(SPEC) == {}


def test_each_pattern_of_a_specification_is_looked_at():
    mapping = {
        "file_pattern": "(a|aa)+$",
        "ext_pattern": "(b|bb)+$",
        "target_table": ["demo", "Image"],
        "hatrac_options": {"sanitize_filenames_pattern": "(c|cc)+$"},
        "pre_processors": [
            {
                "processor": "FileRenameProcessor",
                "processor_params": {"pattern": "(d|dd)+$", "replacement": "x"},
            }
        ],
    }

    found = slow_patterns(Spec({"asset_mappings": [mapping]}))

    assert list(found) == [
        "asset_mappings[0].ext_pattern",
        "asset_mappings[0].file_pattern",
        "asset_mappings[0].hatrac_options.sanitize_filenames_pattern",
        "asset_mappings[0].pre_processors[0].processor_params.pattern",
    ]
    assert "the pattern (d|dd)+$ can take very long" in found[list(found)[-1]]
