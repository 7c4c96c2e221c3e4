"""deriva-py's uploader comes while ours is at work, as deriva-ml has it: then the tree is removed.

Whatever ours is doing when the other begins, every content ends as one version and one row. Where
the calls of both alternate, a second version comes from deriva-py alone. A sample of the orders is
taken by default; `SOAK=1` takes many.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from random import Random

import pytest

from engine.turns import Turns
from oracle.gate import gate
from oracle.specs import scan, spec
from running import Api, write_files

SOAK = bool(os.environ.get("SOAK"))
OURS, THEIRS = 0, 1
CALLS = 12  # of ours, about
FILES = {f"scans/S{n}/{name}": f"{name} of {n}".encode() for n in (1, 2) for name in ("a", "b")}
ONE = {"transfer": {"connections": 1}}


class Scene:
    """A tree and a server, with a door for each of the two."""

    def __init__(self, rivals, document):
        self.rivals, self.folder = rivals, rivals.folder()
        self.ready = rivals.server(self.folder)
        self.spec = self.folder / "spec.json"
        self.spec.write_text(json.dumps(document))
        self.tree = write_files(self.folder / "tree", FILES)

    def race(self, order):
        """Let both at it; return how far ours says it came, and all calls in order."""
        turns = Turns(order)
        with (
            gate(self.ready, self.folder, turns, OURS) as ours,
            gate(self.ready, self.folder, turns, THEIRS) as theirs,
        ):
            told, _ = turns.run(lambda: self.ours(ours), lambda: self.theirs(theirs))
        return told, turns.taken

    def ours(self, ready, name="state"):
        """Upload the tree with ours."""
        return self.rivals.ours(ready, self.tree, self.spec, self.folder / name, ONE)

    def theirs(self, ready):
        """Upload it with deriva-py, then clean up as deriva-ml does: the files are gone."""
        if self.rivals.theirs(ready, self.tree, self.spec).brought == set(FILES):
            shutil.rmtree(self.tree)

    def counts(self):
        """Return how many versions and how many rows there are, by content."""
        api = Api(self.ready)
        versions = Counter(api.content(u) for urls in api.versions().values() for u in urls)
        rows = Counter(api.content(row["URL"]) for row in api.rows("lab:Scan"))
        return versions, rows


ONCE = Counter(FILES.values())


@pytest.mark.parametrize("at", range(0, CALLS, 1 if SOAK else 4))
def test_one_that_comes_and_cleans_up_between_any_two_calls_doubles_nothing(rivals, at):
    scene = Scene(rivals, spec(scan()))

    told, taken = scene.race([OURS] * at + [THEIRS] * 999)

    assert {who for who, _ in taken[at : at + 5]} == {THEIRS}
    assert scene.counts() == (ONCE, ONCE), taken
    assert not scene.tree.exists()
    assert told.detail["record"].state in {"gone", "filling", "uploaded"}


@pytest.mark.parametrize("seed", range(60 if SOAK else 3))
def test_a_second_version_is_one_that_deriva_py_sends_over_ours(rivals, seed):
    """It asks for the name first, and then sends without a condition: that moment is its own."""
    scene, chance = Scene(rivals, spec(scan())), Random(seed)
    likely = chance.uniform(0.2, 0.8)

    told, taken = scene.race([int(chance.random() < likely) for _ in range(99)])

    versions, rows = scene.counts()
    for content in FILES.values():
        sent_over = is_sent_over(taken, hashlib.md5(content).hexdigest())
        assert 1 <= rows[content] <= versions[content] <= 1 + sent_over, (content, taken)
    assert told.detail["record"].state in {"gone", "filling", "uploaded"}


def is_sent_over(taken, md5):
    """Tell whether theirs asked for an object, then ours sent it, then theirs."""
    calls = [(who, name.split()[0]) for who, name in taken if md5 in name and "/hatrac/" in name]
    wanted = iter([(THEIRS, "HEAD"), (OURS, "PUT"), (THEIRS, "PUT")])
    step = next(wanted)
    return any(call == step and (step := next(wanted, None)) is None for call in calls)
