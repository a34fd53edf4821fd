"""Closed forms against what they must equal: other formulas, direct sums, quadrature, exact values of theory.json."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import expon, poisson
from theory_cases import cases

from backwater.errors import ScenarioError
from backwater.experiments.theory import formulas as f
from backwater.experiments.theory.chain import Unsolved, solve
from backwater.experiments.theory.steady import _grid, _line, steady
from backwater.experiments.theory.system import System
from backwater.experiments.theory.waits import ErlangMixture, ImpatientWait, wait_of

SIZES = [(1, 0.5), (3, 2.0), (50, 45.0), (5000, 4900.0), (5000, 5200.0)]


@pytest.mark.parametrize(("c", "a"), SIZES)
def test_erlang_b_is_the_last_term_of_a_poisson_sum(c, a):
    assert f.erlang_b(c, a) == pytest.approx(poisson.pmf(c, a) / poisson.cdf(c, a), rel=1e-9)


@pytest.mark.parametrize(("c", "a"), [(c, a) for c, a in SIZES if a < c])
def test_erlang_c_is_the_share_of_time_in_which_all_are_busy(c, a):
    terms = np.concatenate([poisson.pmf(np.arange(c), a), [poisson.pmf(c, a) / (1 - a / c)]])
    assert f.erlang_c(c, a) == pytest.approx(terms[-1] / terms.sum(), rel=1e-9)


@pytest.mark.parametrize(("c", "room", "a"), [
    (1, 0, 3.0), (1, 4, 1.0), (2, 5, 1.3), (8, 3000, 7.9), (8, 3000, 8.0), (8, 3000, 9.0), (2000, 500, 1990.0),
])  # fmt: skip
def test_the_loss_of_a_bounded_queue_is_the_share_of_time_in_which_it_is_full(c, room, a):
    n = np.arange(1, c + room + 1)
    shares = f.birth_death(np.full(c + room, a), np.minimum(n, c).astype(float))
    assert f.mmck_loss(c, c + room, a) == pytest.approx(shares[-1], rel=1e-9)


def test_without_a_bound_what_is_too_much_is_lost_in_the_end():
    assert f.mmck_loss(4, math.inf, 3.0) == 0
    assert f.mmck_loss(4, math.inf, 5.0) == pytest.approx(0.2)
    assert f.mmck_loss(4, 4000, 5.0) == pytest.approx(0.2)


def test_arguments_that_make_no_sense_are_refused_in_one_line():
    with pytest.raises(ScenarioError, match=r"places must be at least c = 4 \(got 3\)"):
        f.mmck_loss(4, 3, 1.0)
    with pytest.raises(ScenarioError, match="must be at least 0 and above 0"):
        f.erlang_b(2, 0.0)


def test_every_closed_form_has_its_exact_values():
    checked = set()
    for case in cases():
        p, exact, model = case["params"], case["exact"], case["model"]
        for name, found in closed_forms(model, p, exact).items():
            assert found == pytest.approx(exact[name], rel=1e-9, abs=1e-11), (case["id"], name)
            checked.add(model)
    assert not cases() or len(checked) == 10  # so that none is left out in silence


def closed_forms(model: str, p: dict, exact: dict) -> dict[str, float]:
    """What the formulas make of a case."""
    lam, c, mean = p.get("lam", 0.0), p.get("c", 1), 1 / p.get("mu", 1.0)
    a = lam * mean
    if model in ("M/M/1", "M/M/c", "ErlangC"):
        quantiles = {f"wait_p{q}": f.mmc_wait_quantile(c, lam, mean, q / 100) for q in (50, 95, 99)}
        known = {"p_wait": f.erlang_c(c, a), "mean_wait": f.mmc_wait(c, lam, mean), **quantiles}
        return {name: value for name, value in known.items() if name in exact}
    if model == "ErlangB":
        return {"loss_prob": f.erlang_b(c, a)}
    if model == "M/M/c/K":
        return {"loss_prob": f.mmck_loss(c, p["K"], a)}
    if model == "M/G/1":
        second = mean**2 * (1 + exact["service_scv"])
        return {"mean_wait": f.pollaczek_khinchine(lam, mean, second)}
    if model == "M/M/c+M":
        found = f.erlang_a(c, a, p["theta"] * mean)
        return {"p_wait": found.p_wait, "loss_prob": found.p_abandon, "mean_queue_len": found.queue_mean,
                "utilisation": found.busy_mean / c}  # fmt: skip
    if model == "D/M/c" and c == 1:
        root = f.gim1_root(lambda s: math.exp(-s / lam), 1 / mean)
        return {"p_wait": root, "mean_wait": root * mean / (1 - root)}
    if model == "M/M/c-prio-NP":
        first, second = f.mmc_priority_waits(c, [p["lam1"], p["lam2"]], 1 / p["mu1"])
        return {"mean_wait_class1": first, "mean_wait_class2": second}
    if model == "M/G/1-prio-NP":
        scv = {"exp": 1.0, "det": 0.0}.get(p["service"], math.nan)
        means = [1 / p["mu1"], 1 / p["mu2"]]
        waits = f.priority_waits([p["lam1"], p["lam2"]], means, [(1 + scv) * m * m for m in means])
        return {} if math.isnan(scv) else {"mean_wait_class1": waits[0], "mean_wait_class2": waits[1]}
    return {}


def test_impatience_beside_a_bound_counts_those_turned_away_apart():
    found = f.erlang_a(2, 3.0, 0.5, places=4)
    shares = f.birth_death(np.full(4, 3.0), np.array([1.0, 2.0, 2.5, 3.0]))
    assert found.queue_mean == pytest.approx(shares[3] + 2 * shares[4])
    assert found.p_abandon == pytest.approx(0.5 * found.queue_mean / (3 * (1 - shares[4])))
    assert found.p_wait == pytest.approx((shares[2] + shares[3]) / (1 - shares[4]))


def test_the_approximations_are_exact_where_they_must_be():
    assert f.allen_cunneen(1, 0.8, 1.0, 1.0, 0.3) == pytest.approx(f.pollaczek_khinchine(0.8, 1.0, 1.3))
    assert f.kingman_bound(0.8, 1 / 0.64, 1.0, 0.3) >= f.pollaczek_khinchine(0.8, 1.0, 1.3)
    assert f.attempts_per_job(0.5, 1.0, 3) == pytest.approx(1 + 0.5 + 0.25)
    assert f.attempts_per_job(0.5, 0.5) == pytest.approx(1 / 0.75)


def test_a_fixed_point_of_retries_is_one_and_all_are_found():
    def late(rate: float) -> float:  # a system that fails above 150 attempts per second
        return 1 / (1 + math.exp(-(rate - 150) / 5))

    found = f.retry_fixed_points(100, late, most=3)
    assert len(found) == 3  # it works; the edge; it has failed for good
    for chance in found:
        assert late(100 * f.attempts_per_job(chance, 1.0, 3)) == pytest.approx(chance, abs=1e-9)
    assert found[0] < 0.01
    assert found[2] > 0.99


def test_mixtures_agree_with_quadrature():
    wait = wait_of(np.array([0.2, 0.1, 0.3, 0.25, 0.15]), 2, 3.0)
    law = wait.then_one_of(2)

    def sojourn(t: float) -> float:  # the wait's tail, and those that waited less but are served for longer
        inner = quad(lambda x: density(wait, x) * math.exp(-1.5 * (t - x)), 0, t)[0]
        return wait.beyond(t) + wait.weights[0] * math.exp(-1.5 * t) + inner

    for t in (0.1, 1.0, 4.0):
        assert law.beyond(t) == pytest.approx(sojourn(t), rel=1e-9)
        assert law.within(t) == pytest.approx(1 - sojourn(t), rel=1e-9)
    assert law.mean == pytest.approx(quad(law.beyond, 0, np.inf)[0], rel=1e-9)
    cut = quad(lambda t: law.beyond(t) - law.beyond(2.0), 0, 2.0)[0] / law.within(2.0)
    assert law.mean_within(2.0) == pytest.approx(cut, rel=1e-9)
    assert law.before(0.7) == pytest.approx(
        quad(lambda t: 0.7 * math.exp(-0.7 * t) * law.within(t), 0, 80)[0], rel=1e-8
    )
    kept = quad(lambda t: math.exp(-0.7 * t) * density(law, t), 0, 1.0)[0] / law.before(0.7)
    assert law.shortened(0.7).within(1.0) == pytest.approx(kept, rel=1e-8)
    assert law.beyond(law.quantile(0.99)) == pytest.approx(0.01)
    assert law.within(law.quantile(0.5, 2.0)) == pytest.approx(law.within(2.0) / 2)
    assert wait.quantile(0.25) == 0  # 30 % do not wait


def density(law: ErlangMixture, t: float) -> float:
    """Of a mixture, without its atom at 0."""
    terms = [w * expon.pdf(t, scale=1 / law.rate) * (law.rate * t) ** (j - 1) / math.factorial(j - 1)
             for j, w in enumerate(law.weights) if j]  # fmt: skip
    return float(sum(terms))


def test_an_impatient_wait_is_a_sum_of_exponentials():
    law = ImpatientWait(2.0, 0.5, np.array([0.0, 0.0, 1.0]))  # rates 2.5 and 3
    assert law.beyond(0.7) == pytest.approx((3 * math.exp(-2.5 * 0.7) - 2.5 * math.exp(-3 * 0.7)) / 0.5)
    assert law.mean == pytest.approx(1 / 2.5 + 1 / 3)
    assert law.beyond(law.quantile(0.9)) == pytest.approx(0.1)


@pytest.mark.parametrize("system", [
    System(3, 1.0, 9, (2.5,)), System(2, 0.5, math.inf, (3.0,)), System(2, 1.0, 8, (3.0,), patience=0.4),
    System(2, 1.0, 12, (1.9,), at="now", above=3, factor=2.0), System(2, 1.0, math.inf, (0.25,), clients=12),
])  # fmt: skip
def test_a_chain_and_a_line_of_states_agree(system):
    line, grid = _line(system), _grid(system, 200_000)
    for name in ("inside", "busy", "fresh", "rejected", "stopped"):
        assert getattr(grid, name) == pytest.approx(getattr(line, name), rel=1e-9, abs=1e-9), name


def test_a_chain_of_many_dimensions_is_the_same_iterated_or_not(monkeypatch):
    system = System(1, 1.0, 3, (0.9,), pauses=(1.0, 0.5))
    direct = _grid(system, 200_000)
    monkeypatch.setattr("backwater.experiments.theory.chain.DIRECT", 10)
    again = _grid(system, 200_000)
    np.testing.assert_allclose(again.shares, direct.shares, atol=1e-12)


def test_a_chain_without_a_steady_state_is_refused():
    crowd = System(2, 0.2, 8, (6.0,), pauses=(1.0,), forever=True, at="start", above=2, factor=2.0)
    with pytest.raises(Unsolved, match="may have no steady state"):
        steady(crowd)


def test_a_chain_too_large_is_refused_before_it_is_built():
    with pytest.raises(Unsolved, match="up to 4,000,000 states, and at most 200,000"):
        solve([2000, 2000], lambda states: [])
