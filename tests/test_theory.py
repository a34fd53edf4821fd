"""Simulated against exact: every value of theory.json that is ours lies in its 99.99 % interval.

Each comparison fails by chance once in 10,000 times; the seed is fixed, so what passes keeps passing. Quantiles may
miss by the resolution of the histograms too, half a bin of 1/256, as their contract says; nothing else is allowed for.
"""

import math

import pytest
from theory_cases import DERIVED, FILE, METRIC, NOT_OURS, cases, comparisons, run_of, scenario

import backwater as bw

CASES = cases()
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the exact values are not here")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_every_exact_value_lies_in_its_interval(case):
    result = bw.simulate(scenario(case), run_of(case, seed=20))
    missed = []
    for name, exact, estimate in comparisons(case, result):
        slack = exact / 512 if name[:-2].endswith("_p") else 0.0
        rounding = 1e-9 * abs(exact)
        if not estimate.low - slack - rounding <= exact <= estimate.high + slack + rounding:
            missed.append(
                f"{name}: exact {exact:.6g}, estimate {estimate.value:.6g} [{estimate.low:.6g} .. {estimate.high:.6g}]"
            )
    assert not missed, f"{case['id']}: " + "; ".join(missed)


def test_no_exact_value_is_left_out_in_silence():
    known = {*METRIC, *DERIVED, *NOT_OURS, "p_wait_gt", "p_sojourn_gt", "p_reject_by_attempt"}
    assert {name for case in CASES for name in case["exact"]} <= known


def test_a_room_one_too_large_would_be_caught():
    case = next(case for case in CASES if case["id"] == "M/M/c/K-03")
    wrong = scenario(case).with_({"queue.capacity": case["params"]["K"]})
    result = bw.simulate(wrong, run_of(case, seed=20))
    assert any(
        not low <= exact <= high for _, exact, (_, low, high, _) in comparisons(case, result) if not math.isnan(low)
    )
