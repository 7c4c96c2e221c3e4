"""Every error has one effect on the work that it ended, whoever catches it."""

import errno
import inspect

import pytest

from deriva_watch.core import errors
from deriva_watch.core.error_effects import EFFECTS, Effect, classify
from deriva_watch.core.errors import TroubleError

BUGS = {"WatchError", "TroubleError", "IllegalTransitionError"}
OF_COMMANDS = {"SettingsError", "JournalHeldError", "DerivaMLException"}  # never in a unit's work


def made(kind):
    """Return an error of that kind."""
    return kind("what", "why", "next") if issubclass(kind, TroubleError) else kind("what")


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    ],
    ids=lambda kind: kind.__name__,
)
def test_an_error_is_a_crash_only_where_the_table_does_not_know_it(kind):
    is_crash = classify(made(kind), "cannot do it").effect is Effect.CRASH

    assert is_crash == (kind.__name__ in BUGS | OF_COMMANDS)


@pytest.mark.parametrize("kind", [kind for kind in EFFECTS if kind is not Exception])
def test_an_error_without_a_line_of_its_own_has_the_effect_of_its_parent(kind):
    child = type("ChildError", (kind,), {})

    assert classify(made(child), "cannot do it").effect is EFFECTS[kind]


@pytest.mark.parametrize(
    ("number", "effect"),
    [(errno.EIO, Effect.RETRY), (errno.ENOSPC, Effect.WAIT), (errno.ENOENT, Effect.CRASH)],
)
def test_an_error_of_the_operating_system_has_an_effect_and_a_sentence_if_it_may_pass(
    number, effect
):
    error = OSError(number, "it says so", "a.png")

    failure = classify(error, "cannot read a.png")

    assert failure.effect is effect
    if effect is Effect.CRASH:
        assert (failure.error, failure.trouble) == (error, None)
    else:
        assert failure.trouble.what == "cannot read a.png"
        assert failure.trouble.why == "it says so: a.png"


def test_a_bug_is_a_crash():
    assert classify(ZeroDivisionError(), "cannot count").effect is Effect.CRASH
