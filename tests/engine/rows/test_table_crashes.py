"""Killed at any one call, a second process completes the rows of a file, and doubles none.

The file has rows with a key and rows without, in several batches; the owner of the catalog keeps
its leases, an ordinary writer's are used up. A sample of all calls is taken by default;
`SOAK=1` takes every one.
"""

import os
from contextlib import suppress

import pytest

from engine.rig import BUSY, TABLE_CALLS, WHO, Crash, Lab, Power, crash_name, every_crash, unheard

pytestmark = pytest.mark.usefixtures("two_rows_a_batch")
MATRIX = every_crash(TABLE_CALLS)
SAMPLE = [case for place, case in enumerate(MATRIX) if place % 7 == 0]
SAMPLE += [(who, "catalog.insert", 3, True) for who in WHO]
CASES = MATRIX if os.environ.get("SOAK") else SAMPLE


class Scene(Lab):
    """An execution with two files of rows, five in each."""

    def __init__(self, folder, ready):
        super().__init__(folder, ready)
        self.subject = self.api.insert("demo:Subject", {"Name": f"of {self.rid}"})[0]["RID"]
        self.lines = [f"2026-02-0{day}" for day in range(1, 6)]
        self.named = [f"{self.rid} {number}" for number in range(5)]
        self.lay()

    def lay(self):
        """Write both files."""
        visits = "".join(f"{self.subject},{line}\n" for line in self.lines)
        self.write(
            {
                "table/demo/Observation/Observation.csv": f"Subject,Observation_Date\n{visits}",
                "table/demo/Subject/Subject.csv": "Name\n" + "\n".join(self.named),
            }
        )

    def there(self):
        """Return the rows of both tables that are this test's."""
        visits = [
            row["Observation_Date"]
            for row in self.api.rows("demo:Observation")
            if row["Subject"] == self.subject
        ]
        names = [row["Name"] for row in self.api.rows("demo:Subject")]
        return sorted(visits), sorted(name for name in names if name.startswith(f"{self.rid} "))

    @property
    def whole(self):
        """All rows, once."""
        return sorted(self.lines), sorted(self.named)


@pytest.mark.parametrize("case", CASES, ids=crash_name)
def test_a_crash_doubles_no_row(tmp_path, ready, case):
    who, name, number, after = case
    scene = Scene(tmp_path, ready)
    with scene.rigged(who, power=Power(name, number, after=after)) as dying, suppress(Crash):
        dying.upload()

    with scene.rigged(who) as rig:
        record = rig.bring()

    assert record.state == "uploaded", record.why
    assert scene.there() == scene.whole
    assert [file.rows for file in scene.files().values()] == [5, 5]


@pytest.mark.parametrize("who", WHO)
def test_processes_that_live_for_a_few_calls_get_there_as_well(tmp_path, ready, who):
    scene, lives = Scene(tmp_path, ready), 0
    while True:
        power, lives = Power(lifetime=8 + lives, after=bool(lives % 2)), lives + 1
        with scene.rigged(who, power=power) as rig, suppress(Crash):
            if rig.bring().state == "uploaded":
                break

    assert lives > 2
    assert scene.there() == scene.whole


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("method", ["insert", "lease"])
def test_a_lost_answer_doubles_no_row(tmp_path, ready, who, method):
    """The call took effect, nobody heard of it, and it is made again at once."""
    scene = Scene(tmp_path, ready)
    with scene.rigged(who) as rig:
        rig.catalog.then[method] = [unheard(BUSY)] * 2
        record = rig.upload()

    assert record.state == "uploaded", record.why
    assert scene.there() == scene.whole


@pytest.mark.parametrize("who", WHO)
def test_what_the_journal_has_is_not_sent_again(tmp_path, ready, who):
    scene = Scene(tmp_path, ready)
    with scene.rigged(who) as rig:
        assert rig.upload().state == "uploaded"
    scene.lines.append("2026-02-06")
    scene.named.append(f"{scene.rid} 6")
    scene.lay()

    with scene.rigged(who) as rig:
        assert rig.upload().state == "uploaded"

    assert scene.there() == scene.whole
    sent = [row for call in rig.power.calls("catalog.insert") for row in call.arguments[1]]
    assert len(sent) == 2
