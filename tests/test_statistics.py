"""Estimates: quantiles within half a percent, merging exactly, intervals that hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwater.measure import bin_of, edges
from backwater.outcome import BINS
from backwater.statistics import histogram_quantile, histogram_share, mean, pooled_quantile, ratio

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
    value, low, high, n = pooled_quantile(counts, EDGES, 0.99, 0.9999)
    assert low < -math.log(0.01) < high
    assert n == 20
    assert value == histogram_quantile(counts.sum(axis=0), EDGES, 0.99)
