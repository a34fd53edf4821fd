"""Jobs by the clock: instants by hand, and against the library's own way of finding them."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

import backwater as bw
from backwater.components import cron

DAY, HOUR, MINUTE = 86_400, 3_600, 60
MONDAY = "2024-01-01 00:00"  # the default


def instants(expression, start=MONDAY, until=400 * DAY, **fields):
    """When jobs come, up to a time [s]."""
    source, address, out, turn = bw.Cron(expression=expression, start=start, **fields), (np.uint64(1), 0, 0), [], 0
    while not out or out[-1] < until:
        out += source.pass_through(turn, source.scale, address)[0].tolist()
        turn += 1
    return [time for time in out if time < until]


def days(expression, start=MONDAY, until=400):
    """The days on which jobs come."""
    return [time / DAY for time in instants(expression, start, until * DAY)]


# Written down from a calendar: 1 January 2024 is a Monday, day 0; February has 29 days.
def test_the_instants_are_those_of_the_calendar():
    assert instants("*/15 * * * *", until=HOUR + 1) == [0, 900, 1800, 2700, 3600]
    assert instants("10-12,40 3 * * *", until=DAY) == [3 * HOUR + MINUTE * m for m in (10, 11, 12, 40)]
    assert days("0 0 29 2 *", until=3000) == [59, 1520, 2981]  # 2024, 2028, 2032
    assert days("0 0 31 * *", until=366) == [30, 90, 151, 212, 243, 304, 365]
    assert days("0 0 1 JAN,mar *", until=366) == [0, 60]
    office = instants("0 9-17 * * MON-FRI", until=9 * DAY)
    assert office == [day * DAY + hour * HOUR for day in (0, 1, 2, 3, 4, 7, 8) for hour in range(9, 18)]
    assert days("0 0 * * 0", until=21) == days("0 0 * * 7", until=21) == days("0 0 * * SUN", until=21) == [6, 13, 20]


def test_either_day_will_do_where_both_are_restricted():
    assert days("0 0 13 * FRI", until=31) == [4, 11, 12, 18, 25]  # Fridays 5, 12, 19, 26; Saturday 13 January
    assert days("0 0 */10 * FRI", until=92) == [60]  # * begins it: both must hold; of all 1, 11, 21, 31, Friday 1 March


def test_a_run_may_start_at_any_moment():
    assert instants("0 * * * *", "2024-01-01 09:59:30", 2 * HOUR) == [30, HOUR + 30]
    assert instants("0 0 * * *", "2023-12-31 23:59:59", DAY) == [1]
    assert instants("59 23 31 12 *", "2024-12-31 23:59", DAY) == [0]
    assert instants("0 0 * * TUE", "2024-01-01 00:00:01", 2 * DAY) == [DAY - 1]


expressions = st.tuples(
    st.sampled_from(["*", "*/7", "0", "3-50/13", "59"]), st.sampled_from(["*", "0", "9-17", "*/6", "23"]),
    st.sampled_from(["*", "1", "29", "31", "*/2", "10-20", "L", "LW"]),
    st.sampled_from(["*", "2", "JAN-MAR", "*/5", "12"]), st.sampled_from(["*", "MON", "5#2", "1-5", "SUN", "5L"]),
).filter(lambda fields: fields[2:4] not in (("31", "2"),))  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(expressions, st.integers(0, 1500 * DAY))
def test_the_library_names_the_same_instants(fields, offset):
    start, span = datetime(2023, 1, 1) + timedelta(seconds=offset), 500_000
    expected = []
    for moment in CronSim(" ".join(fields), start - timedelta(seconds=1)):
        if (moment - start).total_seconds() >= 3 * span:
            break
        expected.append((moment - start).total_seconds())
    parts = [cron._instants(" ".join(fields), start, first * span, span) for first in range(3)]
    assert np.concatenate(parts).tolist() == expected


def test_the_rate_of_the_long_run():
    assert bw.Cron(expression="*/15 * * * *", count=30).long_run_rate == pytest.approx(30 / 900)
    assert bw.Cron(expression="0 9-17 * * MON-FRI").long_run_rate == pytest.approx(9 * 5 / (7 * DAY))
    assert bw.Cron(expression="0 0 29 2 *").long_run_rate == pytest.approx(1 / (1461 * DAY))


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_count_jobs_come_together(engine):
    # Seven at each full minute; one worker of 10 s takes the first, two wait, four are turned away.
    made = bw.Scenario(arrivals=bw.Cron(expression="* * * * *", count=7, start="2024-01-01 00:00:30"),
                       workers={"service": "10 s"}, queue={"capacity": 2})  # fmt: skip
    found = bw.simulate(made, horizon="3 min", replications=1, record=("jobs", "attempts"), engine=engine)
    assert found.jobs["arrived"].value_counts().sort_index().to_dict() == {30.0: 7, 90.0: 7, 150.0: 7}
    assert found["rejection_ratio"] == pytest.approx(4 / 7)
    assert sorted(found.attempts["started"].dropna()) == [30, 40, 50, 90, 100, 110, 150, 160, 170]


def test_scale_multiplies_the_count_and_moves_no_instant():
    many = instants("* * * * *", until=2000 * MINUTE, count=2, scale=1.25)
    per_minute = np.unique(many, return_counts=True)
    assert set(per_minute[0]) == {float(MINUTE * n) for n in range(2000)}
    assert set(per_minute[1]) == {2, 3}
    # Half of them have three: 6 standard deviations of sqrt(2000) / 2; a chance of 2e-9 at a fixed seed.
    assert abs((per_minute[1] == 3).sum() - 1000) < 6 * np.sqrt(2000) / 2
    thin = instants("* * * * *", until=2000 * MINUTE, scale=0.5)
    assert abs(len(thin) - 1000) < 6 * np.sqrt(2000) / 2


def test_a_pass_is_short_whatever_the_expression():
    address = (np.uint64(1), 0, 0)
    for expression, count in (("* * * * *", 1), ("* * * * *", 100_000), ("0 0 29 2 *", 1), ("0 0 29 2 *", 1_000_000)):
        source = bw.Cron(expression=expression, count=count)
        sizes = [len(source.pass_through(turn, 1.0, address)[0]) for turn in range(40)]
        assert max(sizes) <= max(2 * cron.JOBS, count)
        assert sum(sizes) > 0


def test_a_run_of_many_passes_is_the_same_on_both_engines():
    from backwater.outcome import assert_identical
    from backwater.simulation import replicate

    made = bw.Scenario(arrivals=bw.Cron(expression="*/3 8-20 * * *", count=400, scale=1.1), queue={"capacity": 40},
                       workers={"service": bw.Exponential(mean="1 s"), "count": 3})  # fmt: skip
    run = bw.Run(horizon="2 days", record=("jobs",))
    assert_identical(replicate(made, run, 0, "simpy"), replicate(made, run, 0, "compiled"))


def test_a_file_holds_it():
    text = """
        arrivals = { kind = "cron", expression = "0 9  * * MON-FRI", count = 500, start = 2026-01-01T08:00:00 }
        workers = { service = "1 s" }
    """
    scenario = bw.loads(text)
    assert scenario.arrivals == bw.Cron(expression="0 9 * * MON-FRI", count=500, start="2026-01-01 08:00")
    assert bw.loads(bw.dumps(scenario)) == scenario


@pytest.mark.parametrize(("given_fields", "says"), [
    ({"expression": "61 * * * *"}, "must have 0 to 59, or lists, ranges, steps or * of these, as field 1, the minute"),
    ({"expression": "0 24 * * *"}, "must have 0 to 23, or lists, ranges, steps or * of these, as field 2, the hour"),
    ({"expression": "0 0 0 * *"}, "as field 3, the day of the month"),
    ({"expression": "0 0 * FEBR *"}, "must have 1 to 12 or JAN to DEC, or lists, ranges, steps or *"),
    ({"expression": "0 0 * * 8"}, "as field 5, the day of the week"),
    ({"expression": "5-1 * * * *"}, "as field 1, the minute"),
    ({"expression": "*/0 * * * *"}, "as field 1, the minute"),
    ({"expression": "* * * *"}, 'must have five fields such as "*/15 9-17 * * MON-FRI": minute, hour, day'),
    ({"expression": "0 0 30 2 *"}, "must name a day that there is, with fields 3 and 4"),
    ({"expression": 5}, "must have five fields"),
    ({"start": "tomorrow"}, 'must be a date and a time such as "2024-01-01 00:00"'),
    ({"start": "2024-01-01 00:00+01:00"}, "must have no time zone: it is UTC"),
    ({"start": "1024-01-01 00:00"}, "must be from 1900 to 2099, in whole seconds"),
    ({"count": 0}, "must be greater than or equal to 1"), ({"batch": 3}, "must be 1: count says how many jobs come"),
])  # fmt: skip
def test_what_is_no_schedule_is_refused_in_one_line(given_fields, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Cron(**{"expression": "* * * * *", **given_fields}), workers={"service": "1 s"})
    assert str(error.value).startswith(next(iter(given_fields)))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_what_cannot_be_combined_with_it_is_refused():
    made = {"arrivals": bw.Cron(expression="* * * * *", count=1000), "workers": {"service": "1 s"}}
    with pytest.raises(bw.ScenarioError, match="must not be load where arrivals are a trace or cron"):
        bw.Scenario(**made, faults=[{"kind": "load", "factor": 2.0}])
    with pytest.raises(bw.ScenarioError, match="must leave at most 1,000,000 jobs at once"):
        bw.Scenario(**made).with_({"arrivals.scale": 2000.0})
