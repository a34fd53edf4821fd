"""The published numbers of overload.md, each within its stated range, on the ready-made models.

Collapsed: goodput below half of the arrivals over the last minute; recovered: no less than nine tenths of them, as
the language has it. What is not exact is held by an interval that is missed once in 10,000 times, or by the range that
overload.md says is to be accepted; the seed is fixed.
"""

import numpy as np
import pytest
from scipy.stats import binom

import backwater as bw
from backwater.models.overload import START
from backwater.statistics import mean

TIGHT = {"kind": "codel", "variant": "folly"}
WIDE = {**TIGHT, "target": "100 ms", "interval": "500 ms"}
FACEBOOK = {"discipline": "lifo", "admission": {"kind": "codel", "variant": "facebook"}}


def runs(scenario, horizon, replications, warmup=0):
    return bw.simulate(scenario, horizon=horizon, replications=replications, sample="1 s", warmup=warmup, seed=20)


def late(result, seconds=60):
    """Goodput over the last seconds of each run [1/s]."""
    series = result.series
    end = series[series["time"] > result.run.end - seconds]
    return end.groupby("replication")["completed"].sum().to_numpy() / seconds


def between(values):
    """The 99.99 % interval of a mean."""
    return mean(np.asarray(values, dtype=float), 0.9999)[1:3]


def collapsed(scenario, horizon=300, replications=16):
    """In how many runs it collapses."""
    return int((late(runs(scenario, horizon, replications)) < scenario.rate / 2).sum())


def recovery(scenario, end, level, horizon=600, replications=16):
    """Mean time from the end of an outage until no more than ``level`` wait [s]; every run must get there."""
    series = runs(scenario, horizon, replications).series
    after = series[(series["time"] >= end) & (series["waiting"] <= level)].groupby("replication")["time"].min()
    assert len(after) == replications
    return float(after.mean()) - end


class TestE1:
    """Retries without bound make an outage outlive its cause where load * (1 + retries) > 1."""

    @pytest.mark.parametrize("retries", [1, 2, 3])
    def test_the_edge_of_the_vulnerable_region(self, retries):
        edge = 1 / (1 + retries)
        assert collapsed(bw.model("overload", load=0.96 * edge, retries=retries), horizon=900) == 0
        above = bw.model("overload", load=1.04 * edge, retries=retries)
        assert collapsed(above, horizon=900) == 16
        # All are late, so every job is sent as often as it may be.
        assert runs(above, 400, 8, warmup=200)["attempts_per_job"] == 1 + retries

    @pytest.mark.parametrize(("load", "retries"), [(0.4, 1), (0.45, 1), (0.48, 1), (0.8, 0), (0.95, 0)])
    def test_recovery_takes_as_long_as_derived(self, load, retries):
        rate, outage, patience = 100 * load, 10, 0.9
        backlog = rate * sum(max(outage - k, 0) for k in range(retries + 1))
        formula = (backlog / 100 - patience) / (1 - load * (1 + retries))
        found = recovery(bw.model("overload", load=load, retries=retries), START + outage, 5, horizon=1200)
        assert formula <= found <= 1.1 * formula + 20  # overload.md, E1


class TestE2:
    """How long an outage must last to tip the system over."""

    @pytest.mark.parametrize(("load", "retries", "workers", "half"), [
        (0.8, 1, 10, 0.94), (0.8, 3, 10, 0.94), (0.6, 1, 10, 1.265), (0.8, 1, 100, 0.97)])  # fmt: skip
    def test_half_of_the_runs_collapse_where_it_was_measured(self, load, retries, workers, half):
        count = 60

        def chance(outage):
            made = bw.model("overload", load=load, retries=retries, outage=outage, workers=workers)
            return collapsed(made, horizon=200, replications=count)

        # overload.md, E2: a half point within 0.08 is to be accepted. Were it further away, the counts would be on the
        # other side of half but by chance.
        slack = binom.ppf(0.9999, count, 0.5) - count / 2
        below, above = chance(half - 0.08), chance(half + 0.08)
        assert below < count / 2 + slack
        assert above > count / 2 - slack
        assert below < above

    @pytest.mark.parametrize(("load", "cut", "length", "collapses"), [
        (0.375, 0.78, "10 s", 0), (0.375, 0.8, "10 s", 8), (0.375, 0.8, "9 s", 0), (0.75 * 0.375, 0.8, "10 s", 0),
    ])  # fmt: skip
    def test_the_four_outcomes_of_osdi_22(self, load, cut, length, collapses):
        made = bw.model("mongodb_retries", load=load, cut=cut, length=length)
        assert collapsed(made, horizon=120, replications=8) == collapses


class TestHotOS21:
    """280 requests a second, one retry: never well again; below half of the capacity, or with a budget, it recovers."""

    def test_the_outage_outlives_its_cause_at_twice_the_load(self):
        stuck = runs(bw.model("retry_storm"), 300, 8, warmup=120)
        assert (stuck["goodput"], stuck["attempts_per_job"]) == (0, 2)
        low, high = stuck.estimate("attempt_rate", 0.9999)[1:3]
        assert low <= 560 <= high

    @pytest.mark.parametrize("parameters", [
        {"rate": "145/s"}, {"budget": {"kind": "token_bucket", "capacity": 10, "per_request": 0.05}}, {"retries": 0},
    ])  # fmt: skip
    def test_it_recovers(self, parameters):
        made = bw.model("retry_storm", **parameters)
        assert late(runs(made, 900, 8)).min() > 0.9 * made.rate


class TestE3:
    """A short queue cannot be pushed over."""

    @pytest.mark.parametrize(("load", "capacity", "collapses"), [
        (0.8, 40, 0), (0.8, 80, 0), (0.8, 130, 16), (0.8, 200, 16), (0.6, 80, 0), (0.6, 200, 16)])  # fmt: skip
    def test_the_bound_that_keeps_it_up(self, load, capacity, collapses):
        made = bw.model("overload", load=load, retries=3, outage="5 s", capacity=capacity, backoff=("100 ms", "10 s"))
        assert collapsed(made) == collapses


class TestE4:
    """Backoff does not help, a budget does."""

    @pytest.mark.parametrize("backoff", [None, ("100 ms", "10 s"), ("1 s", "60 s")])
    def test_backoff_does_not_change_the_amplification(self, backoff):
        for load in (0.5, 0.8, 0.95):
            made = bw.model("overload", load=load, retries=3, outage="5 s", backoff=backoff)
            found = runs(made, 600, 8, warmup=300)
            assert (late(found) < made.rate / 2).all()
            assert found["attempts_per_job"] == 4  # overload.md, E4: 3.98 to 4.03

    @pytest.mark.parametrize("load", [0.5, 0.6, 0.8, 0.88])
    def test_a_budget_recovers_below_its_bound(self, load):
        formula = max(0, (load * 5 * 1.1 - 0.9) / (1 - load * 1.1))
        made = bw.model("overload", load=load, retries=3, outage="5 s", budget=0.1)
        # overload.md, E1 and E4; the series has a second's resolution.
        assert formula <= recovery(made, START + 5, 90) + 1 <= 1.1 * formula + 20 + 1

    def test_a_budget_does_not_help_above_it(self):
        made = bw.model("overload", load=0.95, retries=3, outage="5 s", budget=0.1)
        found = runs(made, 600, 16, warmup=300)
        assert (late(found) < made.rate / 2).all()
        low, high = found.estimate("attempts_per_job", 0.9999)[1:3]
        assert low <= 1.1 <= high  # each job brings a tenth of a token, and every token is spent; measured there: 1.097

    def test_without_retries_it_always_recovers(self):
        formula = (0.8 * 5 - 0.9) / (1 - 0.8)  # overload.md, derivation 2; measured there: 19 s
        found = recovery(bw.model("overload", retries=0, outage="5 s"), START + 5, 5)
        assert formula <= found <= 1.1 * formula + 20


class TestE5:
    """What the queue can do."""

    @pytest.mark.parametrize(("queue", "measured"), [
        ({"discipline": "lifo"}, 1), ({"discipline": "adaptive_lifo"}, 1), ({"admission": TIGHT}, 8),
        ({"admission": WIDE}, 4), (FACEBOOK, 2.4), ({"capacity": 50}, 4)])  # fmt: skip
    def test_who_is_well_again_after_an_outage_and_how_soon(self, queue, measured):
        within = np.ceil(measured) + 1  # the second in which that is
        made = bw.model("overload", load=0.8, retries=3, outage="5 s", **queue)
        series = runs(made, 100, 16).series
        after = series[(series["time"] > START + 5 + within)]
        assert (after.groupby("replication")["completed"].mean() > 0.9 * made.rate).all()

    def test_cancelling_alone_does_not_save_fifo(self):
        plain = bw.model("overload", load=0.8, retries=3, outage="5 s")
        assert collapsed(plain) == 16
        made = bw.model("overload", load=0.8, retries=3, outage="5 s", on_timeout="cancel_waiting")
        low, high = between(late(runs(made, 300, 16), 200) / 100)
        assert low <= 10 / (10 + 4 * 80 - 100) <= high  # derivation 6: mu / (mu + lam_att - C), which is 0.0435

    @pytest.mark.parametrize(("queue", "goodput"), [
        ({}, 0.0), ({"discipline": "lifo"}, 0.998), ({"discipline": "adaptive_lifo"}, 0.998),
        ({"admission": TIGHT}, 0.967), ({"admission": WIDE}, 0.998), (FACEBOOK, 0.960),
        ({"on_timeout": "cancel_waiting"}, 0.165), ({"capacity": 50}, 0.990)])  # fmt: skip
    def test_goodput_under_a_load_of_one_and_a_half(self, queue, goodput):
        found = runs(bw.model("overload", load=1.5, retries=0, outage=0, **queue), 600, 8, warmup=100)
        assert abs(found["goodput"] / 100 - goodput) <= 0.01  # overload.md, E5


class TestE6:
    """A queue that outgrows memory: the chance of collapse from n jobs is known exactly."""

    @pytest.mark.parametrize(("load", "jobs", "exact"), [
        (0.7, 9, 0.1896), (0.7, 11, 0.3952), (0.7, 12, 0.5680), (0.7, 14, 0.7796), (0.7, 21, 0.9791),
        (0.45, 12, 0.0012), (0.45, 31, 0.0421)])  # fmt: skip
    def test_full_before_empty(self, load, jobs, exact):
        from theory_cases import in_system

        count = 1000
        made = bw.model("spill_collapse", load=load, backlog=jobs)
        result = bw.simulate(
            made, horizon=3000 if load > 0.5 else 10_000, replications=count, seed=20, record=("attempts",)
        )
        full = 0
        for replication, rows in result.attempts.groupby("replication"):
            counts = in_system(rows, replication)[1]
            after = counts[np.flatnonzero(counts >= jobs)[0] :]
            ends = after[(after == 60) | (after == 0)]
            assert len(ends)
            full += ends[0] == 60
        low, high = binom.ppf([5e-5, 1 - 5e-5], count, exact)
        assert low <= full <= high


class TestE0:
    """The herd: exact without jitter, and by an order of magnitude sooner at its end with it."""

    def test_without_jitter_it_is_as_derived(self):
        found = bw.simulate(bw.model("herd"), horizon="110 min", replications=1, record=("jobs", "attempts"))
        assert len(found.attempts) == 1100
        assert found.jobs["ended"].max() - found.jobs["arrived"].min() == pytest.approx(255.5)

    def test_jitter_makes_it_an_order_of_magnitude_shorter(self):
        made = bw.model("herd", jitter="full")
        jobs = bw.simulate(made, horizon="110 min", replications=200, record=("jobs",), seed=20).jobs
        assert (jobs["outcome"] == "completed").all()
        assert between(jobs.groupby("replication")["ended"].max() - 3600)[1] < 255.5 / 10
