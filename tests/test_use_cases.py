"""Use cases: each runs the same on both engines, and its point holds."""

import numpy as np
import pytest

import backwater as bw
from backwater.errors import ScenarioError
from backwater.models import MODELS, use_cases
from backwater.outcome import assert_identical
from backwater.simulation import replicate

CASES = (*use_cases.RUNS, "sync_inline", "async_queue")


def result(name, replications=2, changes=None, run=None, **parameters):
    """A run of a model, as long as it suits it."""
    plan = MODELS[name].run.model_copy(update={"replications": replications, **(run or {})})
    return bw.simulate(bw.model(name, **parameters).with_(changes or {}), plan)


@pytest.mark.parametrize("name", CASES)
def test_a_use_case_runs_the_same_on_both_engines(name):
    scenario = bw.model(name)
    run = bw.Run(arrivals=1500, horizon=MODELS[name].run.horizon, replications=1, record=("jobs", "attempts"))
    if name == "batch_processing":  # its jobs all come at once, and then it crashes
        scenario = bw.model(name, records=40_000).with_({"workers.count": 8})
        run = run.model_copy(update={"arrivals": None})
    assert_identical(replicate(scenario, run, 0, engine="simpy"), replicate(scenario, run, 0, engine="compiled"))


def test_a_campaign_does_not_hold_up_what_somebody_waits_for_unless_they_share_a_line():
    own, shared = (
        result("email_notifications", failing="0 %"),
        result("email_notifications", failing="0 %", apart=False),
    )
    assert own["latency_p99[notice]"] < 2
    assert own["on_time_ratio"] == 1
    assert shared["latency_p99[notice]"] > 30
    assert own["blocked_max"] == pytest.approx(0.002)  # what publishing takes


def test_mails_that_a_provider_refuses_come_back_and_end_among_the_dead_letters():
    found = result("email_notifications", failing="50 %", run={"windows": {"early": (0.0, 600.0)}})
    # Each of five deliveries fails with 1/2: 1/32 of some 11,000 a replication, in a 99.99 % interval of a binomial.
    cells = found.cells(window="early")
    dead, sent = int(cells.count("dead_lettered").sum()), int(cells.count("resolved").sum())
    assert abs(dead - sent / 32) < 4 * np.sqrt(sent / 32 * 31 / 32)
    assert found["lost_ratio"] == 0


def test_a_short_visibility_timeout_makes_videos_twice_and_a_prefetch_lets_images_wait_behind_them():
    usual, ahead = result("media_processing"), result("media_processing", prefetch=4)
    assert ahead["latency_p99[image]"] > 5 * usual["latency_p99[image]"]
    hour = {"horizon": 3600.0, "warmup": 0.0}
    assert result("media_processing", run=hour, visibility="30 s")["wasted_ratio"] > 0.5
    assert result("media_processing", run=hour)["wasted_ratio"] == 0


def test_aggregates_made_by_the_clock_keep_the_queue_from_growing_and_those_made_on_demand_do_not():
    clock, demand = result("analytics"), result("analytics", in_advance=False)
    just_before = clock.series[np.isclose(clock.series["time"] % 300, 240)]  # the last sample before a turn
    assert just_before["waiting"].max() < 20  # of 40; the turn is nearly over
    assert clock["unfinished_ratio"] < 0.1
    half, end = (float(demand.series[demand.series["time"] == time]["waiting"].mean()) for time in (3600, 7200))
    assert end > 1.5 * half > 1000
    assert result("analytics", every=1)["queue_max"] > 1000  # a turn that takes longer than until the next one


def test_a_batch_loses_nothing_in_a_crash_and_repeats_a_chunk_per_worker():
    found = result("batch_processing", 4, run={"record": ("attempts",)})
    assert found["success_ratio"] == 1
    assert (found["lost_ratio"], found["unfinished_ratio"]) == (0, 0)
    again = found.attempts[found.attempts["outcome"] == "returned"].groupby("replication").size()
    assert list(again) == [8] * 4  # a quarter of 32 workers, all busy then
    assert found.attempts["served"].max() == 1
    ends = {chunk: result("batch_processing", 4, chunk=chunk)["latency_max"] for chunk in (1, 100, 5000)}
    assert ends[100] < 0.9 * ends[1]
    assert ends[100] < 0.9 * ends[5000]


def test_a_computation_that_outlives_its_visibility_timeout_is_done_again_and_again():
    patient, hasty = (result("long_computation", 5, crashes=False, visibility=time) for time in ("12 h", "30 min"))
    assert patient["duplicate_ratio"] < 0.01  # twelve hours are twelve times the mean, and still not always enough
    assert hasty["duplicate_ratio"] > 0.5
    assert hasty["wasted_ratio"] > 0.5


def test_calls_from_the_queue_never_exceed_the_third_partys_limit_and_calls_at_once_are_refused():
    queued = result("third_party_api", run={"record": ("attempts",)})
    for _, rows in queued.attempts.groupby("replication"):
        begun = np.sort(rows["started"].dropna())
        # Ten begin in no second: from each to the one ten later it is a second, within what the clock can tell.
        assert (begun[10:] - begun[:-10]).min() > 1 - 1e-9
    assert queued["rejection_ratio"] == 0
    at_once = result("third_party_api", queued=False)
    assert at_once["rejection_ratio"] > 0.1
    assert at_once["failure_ratio"] > 0.01


def test_a_report_within_the_request_fails_and_behind_a_page_that_asks_it_comes_at_its_beat():
    behind, within = result("report_generation", run={"record": ("jobs",)}), result("report_generation", queued=False)
    assert behind["failure_ratio"] == 0
    assert behind["blocked_max"] == pytest.approx(0.002)
    done = behind.jobs[behind.jobs["outcome"] == "completed"]
    turns = (done["ended"] - done["arrived"] - 0.002) / 5
    assert abs(turns - turns.round()).max() < 1e-6
    assert within["failure_ratio"] > 0.3
    assert within["wasted_ratio"] > 0.3


def test_posts_to_few_do_not_wait_for_posts_to_many():
    apart, together = result("post_fan_out"), result("post_fan_out", apart=False)
    assert together["latency_p99[to_few]"] > 10 * apart["latency_p99[to_few]"]
    # The last follower has it later than the first ones, the author at once.
    assert apart["workflow_p99[few]"] > apart["latency_p99[to_few]"] > 10 * apart["blocked_max"]
    assert apart["blocked_max"] == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("name", "parameters", "line"),
    [
        ("analytics", {"every": 7}, "every must be a number of minutes that divides 60 (got 7)"),
        ("batch_processing", {"chunk": 0}, "chunk must be from 1 to the number of records, 200,000 (got 0)"),
        ("third_party_api", {"limit": "0/s"}, "limit must be above 0"),
        ("post_fan_out", {"alpha": -1}, "alpha must be above 0 and at most 10 (got -1)"),
        ("async_queue", {"broker": "reddis"}, 'did you mean "redis"'),
        ("sync_inline", {"service": "0 s"}, "service must be above 0"),
        ("sync_inline", {"load": 0}, "load must be above 0 (got 0)"),
    ],
)
def test_a_wrong_parameter_is_one_line(name, parameters, line):
    with pytest.raises(ScenarioError) as error:
        bw.model(name, **parameters)
    assert line in str(error.value)
