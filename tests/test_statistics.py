"""Estimates: quantiles within half a percent, merging exactly, intervals that hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwater.measure import bin_of, edges
from backwater.outcome import BINS
from backwater.statistics import (
    Spread,
    at_level,
    batch_means,
    bootstrap,
    confidence_below,
    controlled,
    difference,
    histogram_quantile,
    histogram_share,
    mean,
    mean_spread,
    mser5,
    pooled_quantile,
    quantile_interval,
    rare_confidence_below,
    ratio,
    ratio_spread,
    simultaneous,
)

EDGES = edges()


def histogram(values) -> np.ndarray:
    return np.bincount([bin_of(value) for value in values], minlength=BINS)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(1e-8, 1e9), min_size=1, max_size=300), st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999]))
def test_a_quantile_is_within_half_a_percent_of_the_values_around_it(values, q):
    told = histogram_quantile(histogram(values), EDGES, q)
    exact = sorted(values)[min(math.ceil(q * len(values)) - 1, len(values) - 1)]
    assert abs(told - exact) <= 0.005 * exact


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-9, 1.7e10))
def test_every_time_lies_in_its_bin_and_bins_are_narrow(x):
    place = bin_of(x)
    assert EDGES[place] <= x < EDGES[place + 1] or x >= 2.0**34
    assert place == 0 or EDGES[place + 1] / EDGES[place] <= 1 + 1 / 256


def test_zeros_have_a_bin_of_their_own():
    counts = histogram([0.0] * 95 + [2.0] * 5)
    assert [histogram_quantile(counts, EDGES, q) for q in (0.5, 0.95)] == [0, 0]
    assert histogram_quantile(counts, EDGES, 0.99) == pytest.approx(2, rel=0.005)
    assert math.isnan(histogram_quantile(histogram([]), EDGES, 0.5))


@given(st.lists(st.floats(0, 100), max_size=50), st.lists(st.floats(0, 100), max_size=50))
def test_histograms_merge_exactly(one, two):
    assert (histogram(one) + histogram(two) == histogram(one + two)).all()


def test_a_share_is_straight_within_a_bin():
    counts = histogram([0.0, 1.001, 3.0, 8.0])
    assert [histogram_share(counts, EDGES, x) for x in (-1, 0, 1, 2, 4, 1e12)] == [0, 1, 1, 2, 3, 4]


def test_a_ratio_and_its_interval_by_hand():
    # Replications 2/4, 6/8: ratio 8/12; residuals 2 - 8/3, 6 - 16/3 = -2/3, 2/3; error sqrt(8/9 / 2) * 2 / 12 = 1/9.
    found = ratio(np.array([2.0, 6.0]), np.array([4.0, 8.0]))
    assert found.value == pytest.approx(2 / 3)
    assert found.high - found.value == pytest.approx(12.7062047362 / 9)
    assert mean(np.array([1.0, 3.0])).value == 2


def test_replications_without_weight_and_none_at_all():
    assert ratio(np.array([2.0, 0.0]), np.array([4.0, 0.0])).value == 0.5
    assert math.isnan(ratio(np.array([0.0]), np.array([0.0])).value)
    assert math.isnan(ratio(np.array([1.0]), np.array([2.0])).low)
    assert mean(np.array([1.0, math.nan, 3.0])).n == 2
    with pytest.raises(ValueError, match="not finite"):
        ratio(np.array([math.nan]), np.array([1.0]))


def test_intervals_hold_as_often_as_they_say():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(2000):
        n = rng.poisson(50, 10) + 1.0
        found = ratio(n * 3 + rng.normal(0, np.sqrt(n)), n)
        held += found.low <= 3 <= found.high
    # 95 % of 2,000 is 1,900 with a standard deviation of 9.7: 3.9 of them miss once in 10,000 times. Linearised
    # intervals of ten replications may hold a percent less often, no more.
    assert 1900 - 38 - 20 <= held <= 1900 + 38


def test_a_pooled_quantile_has_an_interval_of_its_replications():
    rng = np.random.default_rng(7)
    counts = np.stack([histogram(rng.exponential(1.0, 2000)) for _ in range(20)])
    value, low, high, n = pooled_quantile(counts, EDGES, 0.99, 0.9999)[0]
    assert low < -math.log(0.01) < high
    assert n == 20
    assert value == histogram_quantile(counts.sum(axis=0), EDGES, 0.99)


def held(inside: int, n: int, level: float = 0.95, less: float = 0.0) -> bool:
    """Whether intervals of this level held so often by chance: 3.9 standard deviations are left once in 10,000 times.
    What rests on an approximation may hold a little less often, by ``less``."""
    slack = 3.9 * math.sqrt(level * (1 - level) / n)
    return level - less - slack <= inside / n <= level + slack


def ar1(rng, n: int, memory: float, runs: int) -> np.ndarray:
    """Stationary series of mean 0, shape (runs, n)."""
    from scipy.signal import lfilter

    start = rng.normal(0, 1 / math.sqrt(1 - memory**2), (runs, 1)) * memory
    return lfilter([1.0], [1.0, -memory], rng.normal(size=(runs, n)), axis=1, zi=start)[0]


def test_batch_means_of_one_long_run_hold_their_mean():
    series = ar1(np.random.default_rng(11), 20_000, 0.8, 1000)
    inside = sum(low <= 0 <= high for _, low, high, _ in (batch_means(row).interval() for row in series))
    assert held(inside, 1000, less=0.005)
    assert 0.93 <= inside / 1000 <= 0.97
    # Taken for independent, the same values hold their mean in two of three cases only.
    naive = sum(low <= 0 <= high for _, low, high, _ in (mean(row) for row in series))
    assert naive / 1000 < 0.8


def test_batches_by_hand_and_too_few_values():
    found = batch_means(np.array([99.0, 1, 3, 5, 7]), 2)  # the first does not fill a batch; means 2 and 6
    assert found.value == 4
    assert found.error == pytest.approx(2)
    with pytest.raises(ValueError, match="do not fill"):
        batch_means(np.array([1.0, 2.0]), 3)


def test_a_warm_up_is_found_and_a_steady_run_has_none():
    rng = np.random.default_rng(3)
    rising = 10 * (1 - np.exp(-np.arange(2000) / 50)) + rng.normal(0, 1, 2000)
    assert 100 <= mser5(rising) <= 500
    steady = rng.normal(0, 1, (200, 2000))
    assert np.mean([mser5(row) for row in steady]) < 200
    assert mser5(np.arange(4.0)) == 0


def test_a_difference_under_common_numbers_is_that_of_the_pairs():
    one, other = np.array([1.0, 5.0, 9.0]), np.array([2.0, 6.5, 9.5])
    found = difference(mean_spread(one), mean_spread(other)).interval()
    assert found == pytest.approx(mean(one - other))
    gap = difference(mean_spread(np.array([1.0, math.nan, 3.0])), mean_spread(one))
    assert gap.n == 2


def test_what_is_known_narrows_an_interval_that_still_holds():
    rng, inside, widths, plain = np.random.default_rng(17), 0, [], []
    for _ in range(1000):
        known = rng.normal(0, 1, (12, 2))
        values = mean_spread(3 + known @ [2.0, -1.0] + rng.normal(0, 0.5, 12))
        _, low, high, _ = controlled(values, known).interval()
        inside += low <= 3 <= high
        widths.append(high - low)
        plain.append(values.interval().high - values.interval().low)
    assert held(inside, 1000)
    assert np.mean(widths) < np.mean(plain) / 3
    same = Spread(1.0, np.array([0.5, -0.5, 0.25, -0.25]))
    assert controlled(same, np.zeros((4, 1))) is same  # what does not vary explains nothing
    assert controlled(same, np.ones((4, 2))) is same  # too few replications


def test_order_statistics_hold_a_quantile_of_any_law():
    # Of 10 values the interval of the median at 95 % is from the 2nd to the 9th: 97.9 % (Conover, table A3).
    assert quantile_interval(np.arange(1.0, 11.0), 0.5) == (5, 2, 9, 10)
    rng = np.random.default_rng(23)
    found = [quantile_interval(rng.pareto(1.5, 400) + 1, 0.9) for _ in range(1000)]
    truth = 0.1 ** (-1 / 1.5)
    assert np.mean([low <= truth <= high for _, low, high, _ in found]) >= 0.95 - 3.9 * 0.0069
    assert math.isnan(quantile_interval(np.arange(5.0), 0.99).high)


def test_a_bootstrap_interval_holds_what_has_no_formula():
    rng, inside = np.random.default_rng(29), 0
    for repetition in range(400):
        values = rng.exponential(1.0, 60)
        _, low, high, _ = bootstrap(values, lambda chosen: float(chosen.std() / chosen.mean()), 0.9, 400, repetition)
        inside += low <= 1 <= high
    assert held(inside, 400, 0.9, less=0.06)
    assert math.isnan(bootstrap(np.ones(5), np.mean).low)


def test_intervals_for_several_at_once():
    rng = np.random.default_rng(31)
    level = simultaneous(0.95, 20)
    assert level == pytest.approx(0.9975)
    one = mean(np.array([1.0, 2.0, 4.0]))
    assert at_level(one, level) == pytest.approx(mean(np.array([1.0, 2.0, 4.0]), level))
    assert at_level(one._replace(low=0.0), level) == pytest.approx(mean(np.array([1.0, 2.0, 4.0]), level))
    together = 0
    for values in rng.normal(size=(500, 20, 8)):
        found = [at_level(mean(row), level) for row in values]
        together += all(low <= 0 <= high for _, low, high, _ in found)
    assert 0.95 - 3.9 * math.sqrt(0.95 * 0.05 / 500) <= together / 500


def test_how_sure_a_limit_is_held():
    spread = mean_spread(np.array([1.0, 2.0, 3.0]))
    found = spread.interval(0.9)  # at its upper end one is 95 % sure
    assert confidence_below(spread, found.high) == pytest.approx(0.95)
    assert confidence_below(spread, 2.0) == pytest.approx(0.5)
    assert confidence_below(mean_spread(np.ones(3)), 2.0) == 1.0
    assert math.isnan(confidence_below(mean_spread(np.ones(1)), 2.0))
    # No event in 2,995 trials proves a share of at most 0.1 % at 95 %: the rule of three.
    assert rare_confidence_below(0, 2995, 0.001) == pytest.approx(0.95, abs=1e-3)
    assert rare_confidence_below(3, 10, 1.0) == 1.0


def test_a_replication_with_nothing_in_it_says_nothing_of_a_quantile():
    counts = np.stack([histogram([1.0] * 50), histogram([]), histogram([2.0] * 50)])
    found, spread = pooled_quantile(counts, EDGES, 0.25)
    assert found.n == spread.n == 2
    assert pooled_quantile(counts[1:2], EDGES, 0.5)[0].n == 0
    assert ratio_spread(np.array([0.0]), np.array([0.0])).n == 0
