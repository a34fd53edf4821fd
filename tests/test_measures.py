"""What is measured, at its edges: constants, limits, windows and warm-ups around the end of a run."""

import numpy as np
import pytest

import backwater as bw
from backwater.metrics import METRICS, QUANTILES, bin_edges
from backwater.outcome import LATENCIES
from backwater.statistics import histogram_quantile, histogram_share, pooled_quantile


def even(service="1 s", interval="2 s", **parts):
    """Jobs one after the other, each served at once."""
    return bw.Scenario(arrivals=bw.Periodic(interval=interval), workers={"service": service}, **parts)


class TestConstants:
    """A latency that is always the same, and a limit of just that."""

    @pytest.mark.parametrize("service", ["100 ms", "300 ms", "1 s", "70 ms", "1.1 s"])
    def test_it_is_within_a_limit_of_its_own_length(self, service):
        found = bw.simulate(even(service, jobs={"job": bw.Job(deadline=service)}), horizon="400 s", replications=2)
        assert found["on_time_ratio"] == 1
        assert found.estimate(f"served_within({service})").value == 1

    def test_half_of_an_m_d_1_at_half_load_do_not_wait(self):
        made = bw.Scenario(arrivals=bw.Poisson(rate="5/s"), workers={"service": "100 ms"},
                           jobs={"job": bw.Job(deadline="100 ms")})  # fmt: skip
        found = bw.simulate(made, horizon="4000 s", warmup="10 s", replications=10)
        for name in ("on_time_ratio", "served_within(100 ms)"):
            low, high = found.estimate(name, 0.9999)[1:3]
            assert low <= 0.5 <= high, name

    def test_what_is_spread_is_shared_out_within_a_bin(self):
        edges = np.array([0.0, 1.0, 2.0, 3.0])
        assert histogram_share(np.array([0, 100, 100]), edges, 1.25) == 25
        assert histogram_share(np.array([0, 10_000, 10]), edges, 1.25) == 10_000 - 5 + 1.25  # a heap, at 1.25


class TestEnds:
    """Runs that end by their number of arrivals."""

    def test_a_window_ends_where_the_run_does(self):
        run = bw.Run(arrivals=100, windows={"w": (0, 1000)}, replications=2)
        found = bw.simulate(even("100 ms", "500 ms"), run)
        assert found["arrival_rate[all, w]"] == found["arrival_rate"] == pytest.approx(2)
        assert found["utilization[all, w]"] == pytest.approx(0.2, rel=0.02)

    def test_a_window_after_the_end_has_no_rates(self):
        found = bw.simulate(even("100 ms", "500 ms"), bw.Run(arrivals=100, windows={"w": (900, 1000)}, replications=2))
        assert np.isnan(found["arrival_rate[all, w]"])

    @pytest.mark.parametrize("engine", ["compiled", "simpy"])
    def test_a_warm_up_that_the_run_never_leaves_is_refused(self, engine):
        run = bw.Run(arrivals=100, warmup=1000, replications=2)
        with pytest.raises(bw.ScenarioError, match=r"run\.warmup must be before the run ends, which it did at 50 s"):
            bw.simulate(even("100 ms", "500 ms"), run, engine=engine)


class TestLoad:
    """What a source sends in the long run."""

    def test_a_profile_that_keeps_its_last_rate_sends_that(self):
        profile = bw.Profile(points=[("0 s", "10/s"), ("60 s", "50/s")])
        made = bw.Scenario(arrivals=profile, workers={"service": "10 ms"})
        assert made.rate == 50
        assert made.with_({"load": 1.0}).arrivals.scale == 2

    def test_one_that_ends_in_nothing_sends_its_mean_until_then(self):
        made = bw.Profile(points=[("0 s", "10/s"), ("30 s", "50/s"), ("60 s", "0/s")])
        assert made.own_rate == 30

    def test_one_that_repeats_never_comes_to_its_last_rate(self):
        assert bw.Profile(points=[("0 s", "10/s"), ("60 s", "1000/s")], repeat=True).own_peak == 10


@pytest.mark.parametrize(("parts", "line"), [
    ({"client": {"retry": {"kind": "constant", "base": 0, "jitter": "none", "max_attempts": "forever"}},
      "queue": {"capacity": 1}},
     'client.retry.base must be above 0 where max_attempts is "forever" and attempts can be turned away (got 0.0)'),
    ({"client": {"retry": {"base": 1}, "retry_budget": {"kind": "token_bucket", "capacity": 10, "cost": 8,
                                                        "reserve": 5}}},
     "client.retry_budget.cost must be at most capacity - reserve = 5: no retry could ever be paid for (got 8.0)"),
    ({"client": {"retry": {"base": 1, "max_attempts": 1.5}}}, "client.retry.max_attempts"),
])  # fmt: skip
def test_what_could_never_work_is_refused(parts, line):
    with pytest.raises(bw.ScenarioError) as refused:
        even(**parts)
    assert line in str(refused.value)
    assert "constrained" not in str(refused.value)


@pytest.mark.parametrize("rate", ["100 MB/s", "100 ms/s", "5 s/min"])
def test_a_size_or_a_time_is_no_count(rate):
    with pytest.raises(bw.ScenarioError, match="must be a rate"):
        bw.Poisson(rate=rate)


def test_a_series_of_too_many_samples_is_refused():
    with pytest.raises(bw.ScenarioError, match="sample must be at least a 10,000,000th of the horizon"):
        bw.Run(horizon=10, sample=1e-12)


def test_a_file_with_a_mark_of_its_encoding_reads_like_any_other(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("\ufefft\n0\n1\n", "utf-8")
    assert len(bw.Trace(file=str(file), time="t").times) == 2


@pytest.mark.parametrize(("content", "line"), [
    ("t,t\n0,1\n1,2\n", 'must name each column once: "t" stands twice'),
    ("t\n2024-01-01T10:00:00+02:00\n2024-01-01T10:00:01+02:00\n", "must hold times of UTC"),
])  # fmt: skip
def test_a_file_that_could_be_misread_is_refused(tmp_path, content, line):
    file = tmp_path / "t.csv"
    file.write_text(content)
    with pytest.raises(bw.ScenarioError, match=line):
        bw.Trace(file=str(file), time="t").times  # noqa: B018


def test_empty_bins_that_are_left_out_change_no_bit():
    """Estimates are made of the bins with anything in them; a constant's heap has empty neighbours."""
    for service in (bw.Exponential(mean="100 ms"), bw.Constant(value="100 ms")):
        jobs = {"job": bw.Job(then="next"), "next": bw.Job()}
        scenario = bw.Scenario(arrivals=bw.Poisson(rate="4/s"), workers=bw.Workers(service=service), jobs=jobs)
        cells = bw.simulate(scenario, horizon="60 s", replications=4).cells()
        for index, name in enumerate(LATENCIES):
            for word, q in QUANTILES.items():
                whole, spread = pooled_quantile(cells.bins(index), bin_edges(), q)
                assert METRICS[f"{name}_{word}"].interval(cells, 0.95) == whole
                assert METRICS[f"{name}_{word}"].spread(cells).errors.tobytes() == spread.errors.tobytes()
                each = [histogram_quantile(part, bin_edges(), q) for part in cells.bins(index)]
                assert METRICS[f"{name}_{word}"].each(cells).tolist() == each
