"""`bandwidth_bytes_per_s`: a number or a timetable, and what is said about a wrong one."""

import pytest

from deriva_watch.core.errors import SettingsError
from deriva_watch.core.timetable import Period, Timetable
from deriva_watch.settings.model import load

START = '[server]\nhost = "data.example.org"\n[transfer]\nbandwidth_bytes_per_s = '
EVERY_DAY = frozenset(range(7))
MIB = 1024**2


@pytest.fixture
def read(tmp_path):
    """Return what a value of the setting means."""

    def read(value):
        file = tmp_path / "config.toml"
        file.write_text(START + value + "\n")
        return load(file).transfer.bandwidth_bytes_per_s

    return read


@pytest.mark.parametrize(
    ("value", "limit"), [("0", 0), ("1000", 1000), ('"10MiB"', 10 * MIB), ("[]", 0)]
)
def test_one_number_is_a_limit_for_all_times(read, value, limit):
    assert read(value) == Timetable(otherwise=limit)


def test_a_list_gives_limits_by_time(read):
    found = read(
        """[
    { days = ["mon", "fri"], from = "08:00", to = "18:30", bytes_per_s = "5MiB" },
    { days = "sun", bytes_per_s = 7 },
    { from = 22:00:00, to = 06:00:00, bytes_per_s = 0, days = ["tue"] },
    { bytes_per_s = "50MiB" },
]"""
    )

    assert found == Timetable(
        (
            Period(frozenset({0, 4}), 8 * 60, 18 * 60 + 30, 5 * MIB),
            Period(frozenset({6}), 0, 24 * 60, 7),
            Period(frozenset({1}), 22 * 60, 6 * 60, 0),
        ),
        otherwise=50 * MIB,
    )


@pytest.mark.parametrize(
    ("value", "table"),
    [
        ("10MiB", Timetable(otherwise=10 * MIB)),
        (
            '[{"from": "8:00", "to": "24:00", "bytes_per_s": 9}]',
            Timetable((Period(EVERY_DAY, 480, 1440, 9),)),
        ),
    ],
)
def test_the_environment_may_hold_either(monkeypatch, value, table):
    monkeypatch.setenv("DERIVA_WATCH_SERVER__HOST", "data.example.org")
    monkeypatch.setenv("DERIVA_WATCH_TRANSFER__BANDWIDTH_BYTES_PER_S", value)

    assert load(None).transfer.bandwidth_bytes_per_s == table


DAY = 'from = "08:00", to = "18:00"'
ALWAYS = "{ bytes_per_s = 1 }"
TUESDAY = '{ days = "tue", bytes_per_s = 3 }'


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("true", "must be a size such as"),
        ("-1", "must be a size such as"),
        ('"fast"', "must be a size such as"),
        ("[5]", "must be a size such as"),
        (f"[{{ {DAY} }}]", "entry 1 has no bytes_per_s"),
        (f"[{{ {DAY}, bytes_per_s = true }}]", "entry 1 bytes_per_s must be a size"),
        (f"[{{ {DAY}, bytes_per_s = -5 }}]", "entry 1 bytes_per_s must be a size"),
        ("[{ bytes_per_s = 1, day = 1 }]", "entry 1 has an unknown key 'day'; did you mean 'days'"),
        ('[{ bytes_per_s = 1, to = "18:00" }]', "entry 1 has only one of from and to"),
        (
            '[{ bytes_per_s = 1, from = "8:00", to = "08:00" }]',
            "entry 1 ends when it begins",
        ),
        (
            '[{ bytes_per_s = 1, from = "08:00", to = "24:01" }]',
            "entry 1 to must be a time such as",
        ),
        (
            '[{ bytes_per_s = 1, from = "08:00", to = "6pm" }]',
            "entry 1 to must be a time such as",
        ),
        (
            "[{ bytes_per_s = 1, from = 08:00:30, to = 09:00:00 }]",
            "entry 1 from must be a time such as",
        ),
        (
            '[{ bytes_per_s = 1, from = 8, to = "18:00" }]',
            "entry 1 from must be a time such as",
        ),
        (
            '[{ bytes_per_s = 1, days = ["mon", "monday"] }]',
            "entry 1 days must be some of mon, tue",
        ),
        ("[{ bytes_per_s = 1, days = [] }]", "entry 1 names no days"),
        (
            f"[{ALWAYS}, {ALWAYS}]",
            "has two entries without days, from and to",
        ),
        (
            f"[{ALWAYS}, {{ {DAY}, bytes_per_s = 2 }}, {TUESDAY}]",
            "has two limits on tue 08:00: entries 2 and 3 overlap",
        ),
    ],
)
def test_a_wrong_value_is_named_with_the_way_out(read, value, why):
    with pytest.raises(SettingsError) as refused:
        read(value)

    [said] = refused.value.what.splitlines()
    assert f"config.toml:4: 'transfer.bandwidth_bytes_per_s' {why}" in said
