"""Limits by the time of the week."""

from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.core.timetable import DAY_MINUTES, DAYS, Period, Timetable, overlap

EVERY_DAY = frozenset(range(len(DAYS)))
WORKDAYS = frozenset(range(5))
MON, FRI, SAT, SUN = 0, 4, 5, 6
WEEK = [(day, minute) for day in range(7) for minute in range(0, DAY_MINUTES, 15)]


def at(hour, minute=0):
    return hour * 60 + minute


def test_a_limit_begins_and_ends_on_the_minute():
    office = Timetable((Period(WORKDAYS, at(8), at(18), 5),), otherwise=50)

    assert [office.limit(MON, minute) for minute in (at(7, 59), at(8), at(17, 59), at(18))] == [
        *(50, 5, 5, 50),
    ]
    assert office.limit(SAT, at(12)) == 50


def test_a_night_ends_on_the_next_day_also_from_sunday_to_monday():
    night = Timetable((Period(EVERY_DAY, at(22), at(6), 9),), otherwise=1)

    assert {night.limit(day, at(23)) for day in range(7)} == {9}
    assert {night.limit(day, at(5, 59)) for day in range(7)} == {9}
    assert {night.limit(day, at(6)) for day in range(7)} == {1}


def test_a_night_belongs_to_the_day_on_which_it_begins():
    weekend = Timetable((Period(frozenset({FRI, SUN}), at(22), at(6), 9),), otherwise=1)

    nights = {day for day in range(7) if weekend.limit(day, at(23)) == 9}
    mornings = {day for day in range(7) if weekend.limit(day, at(3)) == 9}
    assert (nights, mornings) == ({FRI, SUN}, {SAT, MON})


def test_a_whole_day_has_all_its_minutes():
    saturday = Timetable((Period(frozenset({SAT}), 0, DAY_MINUTES, 7),))

    assert [place for place in WEEK if saturday.limit(*place) == 7] == [
        place for place in WEEK if place[0] == SAT
    ]


def test_periods_that_touch_do_not_overlap_and_others_are_named():
    day, night = Period(EVERY_DAY, at(6), at(22), 1), Period(EVERY_DAY, at(22), at(6), 2)

    assert overlap([day, night]) is None
    assert overlap([night, Period(frozenset({MON}), 0, at(1), 3)]) == (0, 1, 0)
    assert overlap([day, day]) == (0, 1, at(6))


minutes = st.integers(0, 95).map(lambda quarter: quarter * 15)
periods = st.lists(
    st.builds(
        Period,
        st.frozensets(st.sampled_from(range(7)), min_size=1),
        minutes,
        minutes,
        st.integers(1, 9),
    ),
    max_size=3,
)


@given(periods)
def test_where_nothing_overlaps_each_minute_has_one_limit(periods):
    """A period covers a minute if it began on this day, or on the day before."""

    def covers(period, day, minute):
        ends_next_day = period.end <= period.begin
        today = day in period.weekdays and minute >= period.begin
        today = today and (ends_next_day or minute < period.end)
        before = (day - 1) % 7 in period.weekdays and ends_next_day and minute < period.end
        return today or before

    counts = {place: sum(covers(period, *place) for period in periods) for place in WEEK}
    assert (overlap(periods) is None) == (max(counts.values()) <= 1)
    if overlap(periods) is None:
        table = Timetable(tuple(periods))
        for place in WEEK:
            meant = [period.limit for period in periods if covers(period, *place)]
            assert [table.limit(*place)] == (meant or [0])
