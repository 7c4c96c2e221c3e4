"""How many failed attempts stand against an execution."""

import pytest

from engine.rig import BUSY, image

NAMES = [f"{number}.bin" for number in range(3)]
RETRY = {"initial_s": 0.01, "max_s": 0.05, "max_attempts": 2}


@pytest.fixture
def attempts(lab):
    """Return what uploads NAMES, each time with other files that the store fails to take."""

    def run(*rounds):
        lab.write({image(name): f"{lab.rid} {name}".encode() for name in NAMES})
        with lab.rigged(retry=RETRY) as rig:
            for failing in rounds:

                def put(call, head, *_, failing=failing):
                    if any(head.name.endswith(name) for name in failing):
                        raise BUSY
                    return call()

                rig.store.then["put"] = [put] * 100
                record = rig.upload()
                yield record.state.value, record.attempts, record.why

    return run


def test_attempts_that_bring_nothing_further_end_in_a_refusal(attempts):
    told = list(attempts(NAMES[:1], NAMES[:1], NAMES[:1]))

    assert [each[:2] for each in told] == [("waiting", 1), ("waiting", 2), ("refused", 2)]
    assert told[-1][2] == f"gave up after 2 attempts: {BUSY.why}"


def test_an_attempt_that_brings_something_further_makes_those_before_it_forgotten(attempts):
    """A link that breaks again and again brings a large execution in nevertheless."""
    told = list(attempts(NAMES, NAMES, NAMES[:2], NAMES[:2], NAMES[:1], NAMES[:1], []))

    assert [each[0] for each in told] == ["waiting"] * 6 + ["uploaded"]
    assert [each[1] for each in told] == [1, 2, 1, 2, 1, 2, 0]
