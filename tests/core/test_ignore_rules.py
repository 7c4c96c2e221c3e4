"""Patterns of names and of paths."""

import time

import pytest

from deriva_watch.core.ignore_rules import Rule, ignored_on_way, read_patterns


def is_ignored(pattern, path, *, is_dir=False):
    return ignored_on_way([Rule((pattern,), "the settings")], path, is_dir=is_dir) is not None


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.log", "a/b.log"),
        ("scratch", "scratch/a/b.bin"),
        ("scratch/", "a/scratch/b.bin"),
        ("a/b*.tmp", "a/b1.tmp"),
        ("/a.bin", "a.bin"),
        ("logs/*", "logs/1/x"),
        ("**/logs/*.txt", "logs/a.txt"),
        ("**/logs/*.txt", "x/y/logs/a.txt"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/x/y/b"),
        ("a/**", "a/x/y"),
        ("x[0-9].bin", "a/x7.bin"),
    ],
)
def test_a_pattern_ignores(pattern, path):
    assert is_ignored(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.log", "a.log.gz"),
        ("scratch/", "a/scratch"),
        ("a/b*.tmp", "x/a/b1.tmp"),
        ("a/b*.tmp", "a/b/c.tmp"),
        ("/a.bin", "x/a.bin"),
        ("a/*/b", "a/b"),
        ("a/*/b", "a/x/y/b"),
        ("*.LOG", "a.log"),
    ],
)
def test_a_pattern_does_not_ignore(pattern, path):
    assert not is_ignored(pattern, path)


def test_a_path_begins_at_the_folder_of_its_rule():
    of_drop_folder = Rule(("run1/thumbs",), "the settings", lead="run1/")
    of_folder = Rule(("thumbs/*.png",), "an ignore file", skip=len("a/b/"))

    assert of_drop_folder.ignored("thumbs", is_dir=True)
    assert of_folder.ignored("a/b/thumbs/x.png", is_dir=False)
    assert not of_folder.ignored("a/b/c/thumbs/x.png", is_dir=False)


def test_the_reason_names_the_pattern_and_where_it_is_from():
    found = Rule(("*.log",), "a/.deriva-watch-ignore").ignored("a/b.log", is_dir=False)

    assert found is not None
    assert found.why == "it matches '*.log' of a/.deriva-watch-ignore"


@pytest.mark.parametrize("pattern", ["**/a/" * 40 + "b", "*a" * 40 + "b", "/".join(["**"] * 400)])
def test_no_pattern_takes_long(pattern):
    begin = time.process_time()

    is_ignored(pattern, "/".join(["a" * 60] * 60))

    assert time.process_time() - begin < 5


def test_an_ignore_file_has_a_pattern_in_each_line():
    found, wrong = read_patterns("# thumbnails\n\n*.thumb \n\\#recycle\n!keep\n")

    assert found == ("*.thumb", "#recycle")
    assert wrong == ['line 5: a pattern cannot begin with "!"']
