"""What is fitted to a log of known laws is those laws; retries put in are found; what differs from a log is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, kstest, norm

import backwater as bw
from backwater import random
from backwater.experiments.fit import buckets, scenario
from backwater.experiments.fit.arrivals import pieces, poisson_test, two_states
from backwater.experiments.fit.judge import judge_arrivals
from backwater.experiments.fit.log import Asked, read_log
from backwater.experiments.fit.retries import find_retries
from backwater.experiments.fit.service import FAMILIES, fit_service, queueing
from backwater.outcome import JOB
from backwater.quantile import fill, quantile
from backwater.simulation import replicate

FINE = 1e-9  # resolution of times that are not rounded [s]
LAWS = {
    "exponential": bw.Exponential(mean="70 ms"),
    "lognormal": bw.LogNormal(mean="70 ms", cv=1.3),
    "gamma": bw.Gamma(mean="70 ms", cv=0.6),
    "weibull": bw.Weibull(mean="70 ms", cv=0.5),
    "hyperexponential": bw.HyperExponential(mean="70 ms", cv=2.5),
    "pareto": bw.Pareto(mean="70 ms", alpha=1.4, cap="20 s"),
}


def sent(source, horizon: float, replication: int = 0) -> np.ndarray:
    """When a source sends [s], by the engine."""
    scenario = bw.Scenario(arrivals=source, workers=bw.Workers(service="1 us"))
    rows = replicate(scenario, bw.Run(horizon=horizon, seed=3, record=("jobs",)), replication).jobs
    return np.sort(rows[:, [column.name for column in JOB].index("arrived")])


def drawn(law, n: int, seed: int = 1) -> np.ndarray:
    out = np.empty(n)
    fill(law.table, 0, out, np.random.default_rng(seed).random(n))
    return out


def apart(law, true) -> float:
    """The largest distance between the distribution functions of two laws."""
    levels = (np.arange(4000) + 0.5) / 4000
    have = np.array([quantile(law.table, u) for u in levels])
    return float(np.abs(np.interp([quantile(true.table, u) for u in levels], have, levels) - levels).max())


class TestArrivals:
    """The rate over time, and whether requests are Poisson within its pieces."""

    def test_a_constant_rate_is_hardly_ever_parted_and_hardly_ever_refused(self):
        parted, ps = 0, []
        for seed in range(150):
            rng = np.random.default_rng(seed)
            times = np.sort(rng.random(rng.poisson(1500)) * 100)
            found = pieces(times, 100.0, FINE)
            parted += len(found.counts) > 1
            ps.append(poisson_test(times, found).p)
        assert parted <= binom.isf(3e-5, 150, 0.02)  # the penalty is made for 1 %, and the paper says "about"
        assert kstest(ps, "uniform").pvalue > 3e-5

    def test_a_change_is_found_where_it_is(self):
        times = sent(bw.Profile(points=[("0 s", "2/s"), ("500 s", "6/s"), ("600 s", "0/s"), ("900 s", "3/s")]), 1500)
        found = pieces(times, 1500.0, FINE)
        assert found.edges == pytest.approx([0, 500, 600, 900, 1500], abs=4)
        expected = np.array([2, 6, 0, 3]) * np.diff(found.edges)
        assert (np.abs(found.counts - expected) <= norm.isf(1e-5) * np.sqrt(expected) + 24).all()  # 4 s of 6/s

    @pytest.mark.parametrize(
        "gap", [bw.Erlang(mean="1 s", k=3), bw.HyperExponential(mean="1 s", cv=2), bw.Uniform(low="0 s", high="2 s")]
    )
    def test_gaps_that_are_not_exponential_are_seen(self, gap):
        times = sent(bw.Renewal(gap=gap), 3000)
        assert poisson_test(times, pieces(times, 3000.0, FINE)).p < 1e-4

    def test_rates_and_stays_of_a_modulated_process_are_found(self):
        times = sent(bw.MMPP(rates=("1/s", "20/s"), sojourns=("90 s", "30 s")), 8000)
        (low, high), (quiet, busy) = two_states(pieces(times, 8000.0, FINE))
        # Some 67 visits: 4.5 standard errors of a mean of so many exponentials. Each of their two edges is known to
        # 1 s, in which requests may count to the wrong side: 20 each.
        off, leak = 4.5 / math.sqrt(55), 2 * 67 * 20
        assert (low, high) == (pytest.approx(1, abs=leak / 6000), pytest.approx(20, abs=leak / 2000))
        assert (quiet, busy) == (pytest.approx(90, rel=off), pytest.approx(30, rel=off))

    def test_a_log_is_like_its_own_source_and_unlike_others(self):
        times = sent(bw.Poisson(rate="10/s"), 600)
        for rate, like in (("10/s", True), ("11/s", False)):
            assert (judge_arrivals(times, 600.0, bw.Poisson(rate=rate), 5).worst <= 1) is like
        assert judge_arrivals(times, 600.0, bw.Renewal(gap=bw.Erlang(mean="100 ms", k=2)), 5).bands["gaps"].off() > 1
        bursts = judge_arrivals(times, 600.0, bw.MMPP(rates=("2/s", "18/s"), sojourns=("9 s", "9 s")), 5).bands
        assert bursts["dispersion"].off() > 1


class TestService:
    """The language's laws, found again in what they draw."""

    @pytest.mark.parametrize("name", LAWS)
    def test_a_law_is_found_in_what_it_draws(self, name):
        found = fit_service(drawn(LAWS[name], 3000), seed=2)
        assert found.candidates[0].name == name
        # Dvoretzky, Kiefer and Wolfowitz, with a chance of 1e-5 each: a fit is nearer than the sample itself.
        assert apart(found.candidates[0].law, LAWS[name]) < math.sqrt(math.log(2e5) / (2 * 3000))
        assert set(FAMILIES) >= {each.name for each in found.candidates}

    def test_p_values_of_the_right_law_are_uniform_and_two_humps_are_refused(self):
        ps = [fit_service(drawn(LAWS["lognormal"], 200, seed), "lognormal", seed).p for seed in range(20)]
        assert kstest(ps, "uniform").pvalue > 1e-5
        humps = np.concatenate([drawn(LAWS["gamma"], 1500), 1 + drawn(LAWS["gamma"], 700)])
        found = fit_service(humps)
        assert (found.name, found.law, found.p) == ("empirical", None, 0.005)
        assert fit_service(humps, "lognormal").name == "lognormal"

    def test_rounded_durations_are_taken_for_what_they_are(self):
        found = fit_service(np.round(drawn(bw.Gamma(mean="20 ms", cv=0.7), 3000), 3))
        assert "rounded to 1 ms" in found.told[0]
        assert found.candidates[0].name == "gamma"
        assert fit_service(np.full(50, 0.2)).law.plain() == {"value": "0.2 s"}

    def test_time_spent_waiting_shows_where_it_is_and_only_there(self):
        rng = np.random.default_rng(1)
        times = np.cumsum(rng.exponential(1.0, 5000))
        service = rng.exponential(0.8, 5000)
        ends = np.maximum.accumulate(times - np.concatenate([[0], np.cumsum(service)[:-1]])) + np.cumsum(service)
        assert "They hold time spent waiting" in queueing(times, ends - times)
        assert queueing(times, service) == ""
        assert queueing(times, np.full(5000, 2.0)) == ""

    def test_buckets_give_back_the_law_that_filled_them(self, tmp_path):
        values, bounds = np.sort(drawn(LAWS["lognormal"], 20_000)), np.geomspace(0.005, 2.5, 11)
        lines = []
        for part in (values[:5000], values[5000:]):  # two series of one histogram
            counts = [(part <= bound).sum() for bound in bounds] + [len(part)]
            shown = [*(f"{bound!r}" for bound in bounds.tolist()), "+Inf"]
            lines += [f'x_seconds_bucket{{path="/a",le="{le}"}} {n}' for le, n in zip(shown, counts, strict=True)]
        (tmp_path / "b").write_text("# TYPE x_seconds histogram\n" + "\n".join(lines) + "\nx_seconds_count 20000\n")
        found = buckets.fit_buckets(*buckets.read_buckets(tmp_path / "b"))
        assert found.name == "lognormal"
        assert apart(found.law, LAWS["lognormal"]) < math.sqrt(math.log(2e5) / (2 * 20_000))
        assert buckets.fit_buckets(*buckets.read_buckets(tmp_path / "b"), "empirical").name == "histogram"

    def test_buckets_of_no_law_stay_buckets(self, tmp_path):
        (tmp_path / "b.csv").write_text("le_ms,count\n10,500\n20,500\n50,900\n+Inf,1000\n")
        found = buckets.fit_buckets(*buckets.read_buckets(tmp_path / "b.csv"))
        assert found.name == "histogram"
        assert found.law.plain() == {
            "bounds": ["10 ms", "20 ms", "50 ms", "125 ms"], "counts": [500, 500, 900, 1000]}  # fmt: skip
        assert "10 % lie above the last bound: taken to be within 125 ms" in found.told

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", "must be lines such as"), ("le,count\n1,5\n2,3\n", "must be cumulative"),
            ("le,count\n1,5\n", "must have two bounds"), ("le,count\nx,5\n", "must have numbers"),
            ('a_bucket{le="1"} 1\nb_bucket{le="1"} 1\n', "must hold one histogram"),
        ],
    )  # fmt: skip
    def test_wrong_buckets_are_refused_in_one_line(self, text, line, tmp_path):
        (tmp_path / "b").write_text(text)
        with pytest.raises(bw.ScenarioError, match=f"^--buckets {line}"):
            buckets.read_buckets(tmp_path / "b")


@pytest.fixture(scope="module")
def attempts():
    """Every attempt of an overloaded system: 503s, and clients that come back."""
    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate="10/s"), queue=bw.Queue(capacity=3),
        client=bw.Client(retry=bw.Retry(base="500 ms", cap="20 s", max_attempts=4)),
        workers=bw.Workers(service=bw.Exponential(mean="110 ms")),
    )  # fmt: skip
    return bw.simulate(scenario, horizon=200, replications=1, record=("attempts",), engine="simpy").attempts


class TestRetries:
    """Attempts after the first are found by client, key, failure and pause."""

    @pytest.mark.parametrize("keyed", ["job", "client and path"])
    def test_those_of_a_simulated_system_are_found_exactly(self, attempts, keyed, tmp_path):
        status = np.where(attempts["outcome"] == "rejected", 503, 200)
        log = pd.DataFrame({"time": attempts["sent"], "status": status})
        if keyed == "job":
            log["request_id"] = attempts["job"]
        else:
            log["client"], log["path"] = "c" + attempts["job"].astype(str), "/upload"
        log["time"] += 1.7e9
        log.to_csv(tmp_path / "log.csv", index=False, float_format="%.6f")
        found = find_retries(read_log(tmp_path / "log.csv"), 60.0)
        first = attempts.sort_values("sent", kind="stable")["number"].to_numpy()
        assert found.again.tolist() == (first > 1).tolist()
        policy = found.policy
        assert (policy.jitter, policy.max_attempts, found.attempts) == ("full", 4, 4)
        assert policy.retry_probability > 0.97  # all, but for those that are still to come at the end
        # A mean of uniforms up to base: 4.5 standard errors.
        n = len(found.pauses[0])
        assert policy.base == pytest.approx(0.5, rel=4.5 / math.sqrt(3 * n))
        assert policy.factor == pytest.approx(2, rel=4.5 * math.sqrt(2 / (3 * len(found.pauses[1]))))

    def test_others_are_not_taken_for_retries(self, tmp_path):
        rows = [  # client, path, status, again
            ("a", "/x", 503, 0), ("a", "/x", 200, 1), ("a", "/x", 200, 0), ("b", "/x", 429, 0), ("b", "/y", 200, 0),
            ("c", "/x", "timeout", 0), ("c", "/x", 504, 1), ("c", "/x", 200, 1), ("d", "/x", 404, 0),
            ("d", "/x", 200, 0), ("e", "/x", 500, 0),
        ]  # fmt: skip
        text = "\n".join(f"{1.7e9 + n:.1f},{c},{p},{s}" for n, (c, p, s, _) in enumerate(rows))
        late = f"\n{1.7e9 + 500:.1f},e,/x,200"  # long after its failure
        (tmp_path / "log.csv").write_text("time,client,path,status\n" + text + late)
        found = find_retries(read_log(tmp_path / "log.csv"), 60.0)
        assert found.again.astype(int).tolist() == [*(row[3] for row in rows), 0]
        assert (found.attempts, [len(part) for part in found.pauses]) == (3, [2, 1])
        assert find_retries(read_log(tmp_path / "log.csv", Asked()), 1000.0).again[-1]

    def test_a_log_that_does_not_tell_is_left_as_it_is(self, tmp_path):
        (tmp_path / "log.csv").write_text("time,path\n" + "\n".join(f"{n},/x" for n in range(20)))
        assert find_retries(read_log(tmp_path / "log.csv"), 60.0) is None


class TestPutTogether:
    """A trace whose passes are made of pieces of it."""

    def trace(self, folder, **fields):
        times = np.cumsum(np.random.default_rng(1).exponential(1.0, 400))
        (folder / "t.csv").write_text("t,n\n" + "\n".join(f"{t!r},{n}" for n, t in enumerate(times.tolist())))
        return bw.Trace(file=str(folder / "t.csv"), time="t", columns=("n",), **fields)

    def passes(self, trace, n):
        return [trace.pass_through(0, 1.0, (random.seed_word(7), replication, 0)) for replication in range(n)]

    @pytest.mark.parametrize("within", [None, "30 s"])
    def test_every_row_is_taken_once_in_the_mean_and_comes_with_its_neighbours(self, within, tmp_path):
        trace = self.trace(tmp_path, resample="20 s", within=within)
        taken = np.zeros((1000, 400))
        for count, (times, rows) in zip(taken, self.passes(trace, 1000), strict=True):
            assert (np.diff(times) >= 0).all()
            count += np.bincount(rows, minlength=400)
            follows = np.diff(rows) % 400 == 1
            assert follows.mean() > 0.9
            kept = np.flatnonzero(np.diff(rows) == 1)  # but for the seams, which may meet so by chance
            same = np.isclose(np.diff(times)[kept], trace.gaps[rows[kept]], rtol=0, atol=1e-9)
            assert (~same).sum() <= 20
        error = norm.isf(1e-4 / 800) * taken.std(axis=0, ddof=1) / math.sqrt(1000)
        assert (np.abs(taken.mean(axis=0) - 1) <= error).all()

    def test_pieces_come_from_within_so_far(self, tmp_path):
        trace = self.trace(tmp_path, resample="20 s", within="30 s")
        span = trace.times[-1] + trace.gaps[-1]
        for times, rows in self.passes(trace, 50):
            away = np.abs(times - trace.times[rows])
            assert np.minimum(away, span - away).max() <= 30 + 1e-9
        free = self.trace(tmp_path, resample="20 s")
        assert max(np.abs(t - free.times[r]).max() for t, r in self.passes(free, 50)) > 200

    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({"resample": "1 h"}, "resample must be above 0 and at most the"), ({"resample": "0 s"}, "resample must"),
            ({"within": "5 s"}, "within has no meaning without resample"),
            ({"resample": "5 s", "within": "0 s"}, "within must be above 0"),
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused(self, fields, line, tmp_path):
        with pytest.raises(bw.ScenarioError, match=line):
            self.trace(tmp_path, **fields)


def test_of_very_many_values_so_many_stand_for_all():
    values = np.random.default_rng(1).exponential(1.0, 250_003)
    few = scenario.fewer(values)
    assert len(few) == scenario.DRAWN
    assert abs(few.mean() - values.mean()) < 0.05 * values.std() / math.sqrt(len(values))  # groups differ by one value
    levels = np.array([0.01, 0.5, 0.99])
    error = np.sqrt(levels / (1 - levels) / len(values))  # of a quantile of an exponential: far more than what is lost
    assert (np.abs(np.quantile(few, levels) - np.quantile(values, levels)) < 0.1 * error).all()
    assert scenario.fewer(values[:9]).tolist() == values[:9].tolist()
