"""The sandbox answers as the real servers did: exchanges that were recorded from them."""

import json
import os
import uuid

import pytest

from sandbox.conftest import CONFORMANCE
from sandbox.replaying import replay

SLOW = pytest.mark.skipif("SOAK" not in os.environ, reason="waits for two minutes")
SCENARIOS = [
    pytest.param(
        scenario,
        id=f"{file.stem}/{scenario['name']}",
        marks=[SLOW] if file.stem == "z-sessions-slow" else [],
    )
    for file in sorted((CONFORMANCE / "scenarios").glob("*.json"))
    for scenario in json.loads(file.read_text())
]


@pytest.fixture(scope="session")
def names(recorded):
    """The names that all scenarios share."""
    bound = {"catalog": "1", "run": uuid.uuid4().hex[:10]}
    prelude = json.loads((CONFORMANCE / "prelude.json").read_text())
    assert replay(recorded, prelude, bound) == []
    return bound


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_sandbox_answers_as_the_real_servers_did(recorded, names, scenario):
    assert replay(recorded, scenario, dict(names)) == []
