"""Simulated against exact: every value of theory.json that is ours lies in its 99.99 % interval.

Each comparison fails by chance once in 10,000 times; the seed is fixed, so what passes keeps passing. Quantiles may
miss by the resolution of the histograms too, half a bin of 1/256, as their contract says; nothing else is allowed for.
"""

import math

import numpy as np
import pytest
from scipy.stats import chi2
from theory_cases import (
    DERIVED,
    FILE,
    IMPATIENT,
    LEVEL,
    METRIC,
    NOT_OURS,
    cases,
    comparisons,
    drains,
    in_system,
    passage_rates,
    passages,
    run_of,
    scenario,
)

import backwater as bw
from backwater.outcome import assert_identical
from backwater.simulation import replicate
from backwater.statistics import mean

CASES = cases()
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the exact values are not here")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_every_exact_value_lies_in_its_interval(case):
    result = bw.simulate(scenario(case), run_of(case, seed=20))
    missed = []
    for name, exact, estimate in comparisons(case, result):
        slack = exact / 512 if name[:-2].endswith("_p") else 0.0
        # Where everything fails, nothing is left to chance, and the window cuts off at most one retry at either end.
        certain = case["params"].get("failure_prob") == 1.0
        rounding = 1e-9 * abs(exact) + (2 / (result.run.end - result.run.warmup) if certain else 0.0)
        if not estimate.low - slack - rounding <= exact <= estimate.high + slack + rounding:
            missed.append(
                f"{name}: exact {exact:.6g}, estimate {estimate.value:.6g} [{estimate.low:.6g} .. {estimate.high:.6g}]"
            )
    assert not missed, f"{case['id']}: " + "; ".join(missed)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_reference_gives_the_same_bits(case):
    # So that what lies in its interval above does so on both engines.
    made, run = scenario(case), bw.Run(arrivals=1000, horizon=4000 / scenario(case).rate, seed=20)
    assert_identical(replicate(made, run, 0, "compiled"), replicate(made, run, 0, "simpy"))


@pytest.mark.parametrize("case", passages(), ids=[case["id"] for case in passages()])
def test_every_passage_time_lies_in_its_interval(case):
    # Passages are like the events of a Poisson process or more regular, so the interval of its rate is wide enough.
    made, exact = scenario(case), case["exact"]
    horizon = 250_000 / case["params"]["lam"]
    result = bw.simulate(made, horizon=horizon, replications=8, seed=20, record=("attempts",))
    seen = {"empty_to_full": [0, 0.0], "full_to_empty": [0, 0.0]}
    for replication in range(8):
        times, counts = in_system(result.attempts, replication)
        for way, (events, total) in passage_rates(times, counts, case["params"]["K"], horizon).items():
            seen[way][0] += events
            seen[way][1] += total
    for way, (events, total) in seen.items():
        low = chi2.ppf((1 - LEVEL) / 2, 2 * events) / 2 / total if events else 0.0
        high = chi2.ppf((1 + LEVEL) / 2, 2 * events + 2) / 2 / total
        assert low <= 1 / exact[f"mean_time_{way}"] <= high, (case["id"], way, events, total)


@pytest.mark.parametrize("case", drains(), ids=[case["id"] for case in drains()])
def test_a_backlog_takes_as_long_to_go_as_it_must(case):
    p, runs = case["params"], 400
    made = scenario(case).with_({"queue.backlog": p["start_jobs"]})
    horizon = case["exact"]["mean_time"] + 15 * case["exact"]["sd_time"]
    if p["end_jobs"] == 0:
        found = bw.simulate(made, horizon=horizon, replications=runs, seed=20).estimate("drain_time", LEVEL)
        assert found.n == runs
        assert found.low <= case["exact"]["mean_time"] <= found.high
        return
    found = bw.simulate(made, horizon=horizon, replications=runs // 8, seed=20, record=("attempts",))
    firsts = []
    for replication in range(runs // 8):
        times, counts = in_system(found.attempts, replication)
        firsts.append(times[(counts <= p["end_jobs"]) & (times > 0)][0])
    _, low, high, _ = mean(np.array(firsts), LEVEL)
    assert low <= case["exact"]["mean_time"] <= high


def test_no_exact_value_is_left_out_in_silence():
    known = {*METRIC, *DERIVED, *IMPATIENT, *NOT_OURS, "p_wait_gt", "p_sojourn_gt", "p_reject_by_attempt"}
    assert {name for case in CASES for name in case["exact"]} <= known


def test_a_room_one_too_large_would_be_caught():
    case = next(case for case in CASES if case["id"] == "M/M/c/K-03")
    wrong = scenario(case).with_({"queue.capacity": case["params"]["K"]})
    result = bw.simulate(wrong, run_of(case, seed=20))
    assert any(
        not low <= exact <= high for _, exact, (_, low, high, _) in comparisons(case, result) if not math.isnan(low)
    )
