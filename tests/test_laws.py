"""Each law against its definition: its inverse, its moments, what it is named by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

import backwater as bw
from backwater.quantile import normal_quantile, quantile

H2 = 0.5 * (1 + np.sqrt(3 / 5))  # share of the faster phase for cv = 2, balanced means
EXACT = [
    (bw.Constant(value=3.0), None),
    (bw.Exponential(mean=2.0), stats.expon(scale=2)),
    (bw.Erlang(mean=3.0, k=4), stats.gamma(4, scale=0.75)),
    (bw.Gamma(mean=2.0, cv=0.5), stats.gamma(4, scale=0.5)),
    (bw.Gamma(mean=2.0, cv=3.0), stats.gamma(1 / 9, scale=18)),
    (bw.LogNormal(mean=2.0, cv=1.5), stats.lognorm(np.sqrt(np.log(3.25)), scale=2 / np.sqrt(3.25))),
    (bw.Uniform(low=1.0, high=4.0), stats.uniform(1, 3)),
    (bw.Weibull(p50=np.log(2), p90=np.log(10)), stats.expon()),
    (bw.Pareto(mean=3.0, alpha=1.5), stats.pareto(1.5)),
    (bw.Scipy(name="genexpon", params={"a": 2.0, "b": 1.0, "c": 3.0}), stats.genexpon(2, 1, 3)),
    (bw.PhaseType(alpha=[1, 0], T=[[-2, 2], [0, -2]]), stats.gamma(2, scale=0.5)),
]
U = np.concatenate([2.0 ** -np.arange(2, 40, 3.0), np.linspace(0.01, 0.99, 99), 1 - 2.0 ** -np.arange(2, 40, 3.0)])
ids = [type(law).__name__ for law, _ in EXACT]


@pytest.mark.parametrize(("law", "exact"), EXACT[1:], ids=ids[1:])
def test_the_inverse_is_that_of_the_definition(law, exact):
    drawn = np.array([quantile(law.table, u) for u in U])
    upper = U > 0.5
    wanted = np.where(upper, exact.isf(1 - U), exact.ppf(U))
    # The bounds that quantile.py states: 1e-5, and 1e-3 for phase-type laws below F = 2**-24.
    start = (U < 2.0**-24) & isinstance(law, bw.PhaseType)
    np.testing.assert_allclose(drawn[~start], wanted[~start], rtol=1e-5, atol=1e-300)
    np.testing.assert_allclose(drawn[start], wanted[start], rtol=1e-3)


ALL = [law for law, _ in EXACT] + [
    bw.HyperExponential(mean=2.0, cv=2.0),
    bw.Weibull(mean=2.0, cv=0.7),
    bw.Pareto(mean=3.0, alpha=1.2, cap=100.0),
    bw.Empirical(values=[1.0, 2.0, 2.0, 7.0]),
    bw.Histogram(bounds=[1.0, 2.0, 5.0], counts=[10, 10, 40]),
    bw.Mixture(parts=[{"share": 1, "law": bw.Exponential(mean=1.0)}, {"share": 3, "law": bw.Constant(value=2.0)}]),
    bw.LogNormal(p50=1.0, p99=9.0),
]


@pytest.mark.parametrize("law", ALL, ids=[type(law).__name__ for law in ALL])
def test_the_moments_are_those_of_the_inverse(law):
    def moment(power):
        # Substituting u = t**4 and 1 - u = t**4 tames both tails.
        lower = quad(lambda t: quantile(law.table, t**4 / 2) ** power * 2 * t**3, 0, 1, limit=2000)[0]
        upper = quad(lambda t: quantile(law.table, max(1 - t**4 / 2, 0.5)) ** power * 2 * t**3, 2e-3, 1, limit=2000)[0]
        return lower + upper

    mean, variance = law.moments
    heavy = isinstance(law, bw.Pareto)
    assert moment(1) == pytest.approx(mean, rel=3e-2 if heavy and law.cap is None else 2e-3)
    if np.isfinite(variance) and not (heavy and law.cap is None):
        assert moment(2) - mean**2 == pytest.approx(variance, rel=1e-2, abs=1e-2)


def test_a_hyperexponential_has_balanced_means_and_its_cv():
    law = bw.HyperExponential(mean=2.0, cv=2.0)
    assert law.scv == pytest.approx(4)
    above = H2 * np.exp(-2 * H2 * 5 / 2.0) + (1 - H2) * np.exp(-2 * (1 - H2) * 5 / 2.0)
    assert quantile(law.table, 1 - above) == pytest.approx(5, rel=1e-6)


@pytest.mark.parametrize("law", [bw.LogNormal, bw.Weibull, bw.Gamma])
def test_a_law_known_by_two_quantiles_has_them(law):
    known = law(p50=1.0, p95=3.0)
    assert [quantile(known.table, u) for u in (0.5, 0.95)] == pytest.approx([1, 3], rel=1e-6)


def test_data_laws_by_hand():
    histogram = bw.Histogram(bounds=[1.0, 2.0, 5.0], counts=[10, 10, 40])  # a quarter below 1, the rest from 2 to 5
    assert [quantile(histogram.table, u) for u in (0.125, 0.2499999999, 0.26, 0.625)] == pytest.approx(
        [0.5, 1, 2.04, 3.5]
    )
    empirical = bw.Empirical(values=[7.0, 1.0, 2.0, 2.0])
    assert [quantile(empirical.table, u) for u in (0.1, 0.3, 0.7, 0.9)] == [1, 2, 2, 7]
    mixture = bw.Mixture(
        parts=[{"share": 1, "law": "1 s"}, {"share": 1, "law": {"kind": "uniform", "low": "2 s", "high": "4 s"}}]
    )
    assert [quantile(mixture.table, u) for u in (0.3, 0.75)] == pytest.approx([1, 3])
    linear = bw.Linear(constant=0.5, per={"a": 2.0, "b": 0.1})
    assert linear.of({"a": np.array([1.0, 0.0]), "b": np.array([10.0, 20.0])}).tolist() == [3.5, 2.5]


@given(st.sampled_from(ALL), st.floats(2**-53, 1 - 2**-53), st.floats(2**-53, 1 - 2**-53))
def test_an_inverse_never_falls_and_is_never_negative(law, u, v):
    low, high = quantile(law.table, min(u, v)), quantile(law.table, max(u, v))
    assert 0 <= low <= high * (1 + 1e-15) or isinstance(law, bw.Mixture)  # a mixture's parts are not in order


def test_the_normal_inverse_is_exact():
    wanted = stats.norm.ppf(U[U < 0.999999])
    np.testing.assert_allclose([normal_quantile(u) for u in U[U < 0.999999]], wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: bw.Exponential(mean="-1 s"), "finite and not negative"),
        (lambda: bw.Exponential(), "mean is missing"),
        (lambda: bw.Exponential(mean=1, cv=2), 'has no field "cv"'),
        (lambda: bw.LogNormal(mean="1 s"), "lognormal|cv|two"),
        (lambda: bw.HyperExponential(mean="1 s", cv=0.5), "cv"),
        (lambda: bw.Uniform(low="2 s", high="1 s"), "must be at least low"),
        (lambda: bw.Uniform(low="2 s", high="1 MB"), "of one kind"),
        (lambda: bw.Pareto(mean="1 s", alpha=0.9), "alpha"),
        (lambda: bw.PhaseType(alpha=[1], T=[[1]]), "sub-generator"),
        (lambda: bw.Scipy(name="norm", params={}), "not below 0"),
        (lambda: bw.Scipy(name="gama", params={}), 'did you mean "gamma"'),
        (lambda: bw.Histogram(bounds=[1.0, 2.0], counts=[5, 3]), "must be cumulative"),
        (lambda: bw.Empirical(values=[]), "at least one value"),
        (lambda: bw.Mixture(parts=[]), "at least one part"),
    ],
)
def test_a_wrong_law_is_refused_in_one_line(make, line):
    with pytest.raises(bw.ScenarioError, match=line) as refused:
        make()
    assert "\n" not in str(refused.value)
