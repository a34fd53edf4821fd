"""When jobs come, and how clients come back: each source and each backoff against its definition."""

import json
import math

import numpy as np
import pytest
from conftest import SHARED
from scipy.stats import kstest

import backwater as bw
from backwater import random
from backwater.components.client import backoff, tries_again
from backwater.components.steady import draw_gaps, next_arrival

SEED = random.seed_word(11)


def times(source, n: int, scale: float = 1.0) -> np.ndarray:
    """The first arrivals of a source [s]."""
    plan, now, out = source.plan(scale), 0.0, []
    gaps = np.array([random.uniform(SEED, 0, 0, number, random.GAP, 0) for number in range(n)])
    draw_gaps(plan, 0, gaps, gaps)
    for number in range(n):
        now = next_arrival(plan, now, number, gaps[number])
        if math.isinf(now):
            break
        out.append(now)
    return np.array(out)


def test_periodic_arrivals_come_on_the_dot_and_late_by_less_than_the_jitter():
    assert times(bw.Periodic(interval="2 s"), 4).tolist() == [2, 4, 6, 8]
    assert times(bw.Periodic(interval="2 s"), 4, scale=4.0).tolist() == [0.5, 1, 1.5, 2]
    late = times(bw.Periodic(interval="2 s", jitter="1 s"), 500) - 2 * np.arange(1, 501)
    assert kstest(late, "uniform").pvalue > 1e-4


def cumulative(points, shape, period):
    """The integral of a rate over time, by hand."""
    t, r = np.array(points).T

    def integral(x):
        turns, rest = np.divmod(x, period) if period else (0, x)
        grid = np.union1d(t, rest) if np.ndim(rest) == 0 else None
        grid = grid[grid <= rest]
        if shape == "step":
            rates = r[np.searchsorted(t, grid[:-1], side="right") - 1]
            here = (np.diff(grid) * rates).sum()
        else:
            here = np.trapezoid(np.interp(grid, t, r), grid)
        whole = (np.diff(t) * r[:-1]).sum() if shape == "step" else np.trapezoid(r, t)
        return turns * whole + here

    return integral


@pytest.mark.parametrize("shape", ["step", "linear"])
@pytest.mark.parametrize("repeat", [True, False])
def test_a_profile_is_a_poisson_process_of_that_rate(shape, repeat):
    points = [(0, 5), (10, 40), (15, 0), (18, 20), (30, 10)]
    source = bw.Profile(points=points, shape=shape, repeat=repeat)
    integral = cumulative(points if repeat else [*points, (1e6, 10)], shape, 30 if repeat else 0)
    gaps = np.diff([integral(t) for t in times(source, 2000)], prepend=0)
    assert kstest(gaps, "expon").pvalue > 1e-4  # time scaled by the rate: unit exponentials


def test_bursts_end_each_period_and_scale_multiplies_both_rates():
    come = times(bw.Bursts(base="10/s", peak="50/s", every="10 s", length="2 s"), 30_000, scale=2.0)
    whole = come[come < come[-1] // 10 * 10] % 10
    periods = come[-1] // 10
    for count, mean in (((whole < 8).sum(), 160 * periods), ((whole >= 8).sum(), 200 * periods)):
        assert abs(count - mean) < 3.9 * math.sqrt(mean)  # fails once in 10,000 times


def test_a_profile_from_a_file_is_that_of_its_points(tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text("time,rate\n0,5\n10,40\n20,0\n")
    there = bw.Profile(file=str(file), shape="linear")
    here = bw.Profile(points=[(0, 5), (10, 40), (20, 0)], shape="linear")
    assert times(there, 100).tolist() == times(here, 100).tolist()
    assert len(times(here, 1000)) < 1000  # its last rate is 0 for good


def trace(tmp_path, text, **fields):
    file = tmp_path / "trace.csv"
    file.write_text(text)
    return bw.Trace(file=str(file), time="t", **fields)


def test_a_trace_begins_at_zero_and_reads_dates_to_the_nanosecond(tmp_path):
    dates = trace(
        tmp_path, "t\n2023-11-16 18:17:03.9799600\n2023-11-16 18:17:04.0319600\n2023-11-16T18:17:04.0319601Z\n"
    )
    assert dates.times.tolist() == [0, 0.052, 0.0520001]
    assert trace(tmp_path, "t\n5\n7\n", unit="1 ms").times.tolist() == [0, 0.002]


def test_a_trace_is_thinned_or_resampled_not_sped_up(tmp_path):
    source = trace(tmp_path, "t\n" + "\n".join(str(2 * i) for i in range(3000)) + "\n")
    once, rows = source.pass_through(0, 1.0, (SEED, 0, 0))
    assert once.tolist() == source.times.tolist()
    assert rows.tolist() == list(range(3000))
    half, kept = source.pass_through(0, 0.5, (SEED, 0, 0))
    assert set(half) <= set(source.times)
    assert abs(len(kept) - 1500) < 3.9 * math.sqrt(750)
    more, rows = source.pass_through(0, 2.5, (SEED, 0, 0))
    assert (np.diff(more) >= 0).all()
    assert abs(len(more) - 7500) < 3.9 * math.sqrt(750)
    assert ((more - source.times[rows] >= 0) & (more - source.times[rows] < 2)).all()


def test_a_trace_repeats_one_mean_gap_after_its_end(tmp_path):
    source = trace(tmp_path, "t\n0\n1\n4\n", repeat=True)
    assert [source.pass_through(turn, 1.0, (SEED, 0, 0))[0].tolist() for turn in (0, 1)] == [[0, 1, 4], [6, 7, 10]]
    assert trace(tmp_path, "t\n0\n1\n4\n").pass_through(1, 1.0, (SEED, 0, 0))[0].size == 0


def test_laws_of_a_traces_columns_follow_its_rows(tmp_path):
    scenario = bw.Scenario(
        arrivals=trace(tmp_path, "t,tokens\n0,10\n100,30\n200,20\n", columns=("tokens",)),
        workers=bw.Workers(service=bw.Linear(constant="1 s", per={"tokens": "100 ms"})),
    )
    rows = bw.simulate(scenario, horizon=300, replications=1, record=("attempts",)).attempts
    assert (rows["ended"] - rows["started"]).tolist() == [2, 4, 3]
    assert scenario.work == pytest.approx(3 * 3 / 300)
    with pytest.raises(bw.ScenarioError, match='must be one of the trace\'s columns; did you mean "tokens"'):
        scenario.with_({"workers.service": {"kind": "linear", "per": {"token": "1 s"}}})


THEORY = SHARED / "reference" / "theory.json"
DELAYS = (
    [c for c in json.loads(THEORY.read_text("utf-8"))["cases"] if c["model"] == "backoff-delays"]
    if THEORY.exists()
    else []
)


@pytest.mark.parametrize("case", DELAYS, ids=[case["id"] for case in DELAYS])
def test_the_backoff_rule_alone_meets_the_exact_delays(case):
    p, exact, n = case["params"], case["exact"], 40_000
    kind = {"kind": "decorrelated"} if p["jitter"] == "decorrelated" else {"jitter": p["jitter"]}
    policy = bw.Retry(base=p["base"], cap=p["cap"], max_attempts=p["retries"] + 1, **kind).policy
    pauses = np.empty((n, p["retries"]))
    for client in range(n):
        previous = p["base"]
        for failed in range(1, p["retries"] + 1):
            previous = backoff(policy, failed, previous, random.uniform(SEED, 0, 0, client, random.BACKOFF, failed))
            pauses[client, failed - 1] = previous
    # 4.9 standard errors: each comparison fails by chance once in a million times, all of them once in 10,000.
    error = 4.9 * pauses.std(axis=0, ddof=1) / math.sqrt(n) + 1e-6 * np.array(exact["mean_by_retry"])
    assert (np.abs(pauses.mean(axis=0) - exact["mean_by_retry"]) <= error).all()
    centred = pauses - pauses.mean(axis=0)
    spread = 4.9 * (centred**2).std(axis=0) / math.sqrt(n) + 1e-6 * np.array(exact["sd_by_retry"]) ** 2 + 1e-20
    assert (np.abs((centred**2).mean(axis=0) - np.array(exact["sd_by_retry"]) ** 2) <= spread).all()
    total = pauses.sum(axis=1)
    for q in (50, 95, 99):
        if f"total_p{q}" in exact and exact.get("sd_total"):
            below = (total <= exact[f"total_p{q}"]).mean()
            assert abs(below - q / 100) <= 4.9 * math.sqrt(q / 100 * (1 - q / 100) / n)


@pytest.mark.parametrize(
    ("retry", "pauses"),
    [  # u = 0.25; base 1 s, cap 6 s
        ({"jitter": "none"}, [1, 2, 4, 6, 6]),
        ({"jitter": "full"}, [0.25, 0.5, 1, 1.5, 1.5]),
        ({"jitter": "equal"}, [0.625, 1.25, 2.5, 3.75, 3.75]),
        ({"jitter": "±20 %"}, [0.9, 1.8, 3.6, 5.4, 5.4]),
        ({"jitter": "exponential"}, [-math.log(0.75) * b for b in (1, 2, 4, 6, 6)]),
        ({"jitter": "none", "factor": 3}, [1, 3, 6, 6, 6]),
        ({"kind": "constant", "jitter": "none"}, [1, 1, 1, 1, 1]),
        ({"kind": "decorrelated"}, [1.5, 1.875, 2.15625, 2.3671875, 2.525390625]),  # 1 + (3 previous - 1) / 4
    ],
)
def test_a_table_of_pauses_by_hand(retry, pauses):
    policy, told, previous = bw.Retry(base="1 s", cap="6 s", **retry).policy, [], 1.0
    for failed in range(1, 6):
        previous = backoff(policy, failed, previous, 0.25)
        told.append(previous)
    assert told == pytest.approx(pauses, rel=1e-12)


def test_a_client_stops_after_its_attempts_and_by_chance():
    policy = bw.Retry(base="1 s", max_attempts=3, retry_probability=0.5).policy
    assert [tries_again(policy, failed, 0.4) for failed in (1, 2, 3)] == [True, True, False]
    assert not tries_again(policy, 1, 0.5)
    assert tries_again(bw.Retry(base="1 s", cap="2 s", max_attempts="forever").policy, 10**6, 0.999)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"base": "1 s", "cap": "500 ms"}, "cap must be at least base = 1 s"),
        ({"base": "1 s", "max_attempts": "forever"}, "cap must be given"),
        ({"base": "1 s", "max_attempts": 0}, "max_attempts"),
        ({"base": "1 s", "jitter": "ful"}, 'must be one of "full"'),
        ({"base": "1 s", "jitter": 1.5}, "a fraction"),
        ({"base": "1 s", "kind": "decorrelated", "jitter": "full"}, "must be left out"),
        ({"base": "1 s", "factor": 0.5}, "factor must be greater than or equal to 1"),
        ({"base": "1 s", "retry_probability": "120 %"}, "a share between 0 and 1"),
        ({}, "base is missing"),
    ],
)
def test_a_wrong_retry_is_refused(fields, line):
    with pytest.raises(bw.ScenarioError, match=line):
        bw.Retry(**fields)
