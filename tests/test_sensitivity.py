"""Sensitivity: indices of functions whose shares are known, of a loss system by quadrature; noise told from inputs."""

import json
import math

import numpy as np
import pytest
from scipy import stats
from test_cli import run

import backwater as bw
from backwater.errors import ScenarioError
from backwater.experiments.cli_sensitivity import words
from backwater.experiments.indices import _with_noise, design, independent, indices, noise
from backwater.experiments.progress import Bar
from backwater.experiments.sensitivity import Input, _seen, sensitivity
from backwater.metrics import metric
from backwater.simulation import simulate
from backwater.statistics import t_factor

LOSS = bw.Scenario(arrivals=bw.Poisson(rate=10), queue=bw.Queue(capacity=0),
                   workers=bw.Workers(count=8, service=bw.Exponential(mean=1)))  # fmt: skip
RATES, MEANS = (6.0, 14.0), (0.6, 1.0)
RUN = bw.Run(horizon=140, warmup=20, replications=2)


def ishigami(u: np.ndarray) -> np.ndarray:
    x = math.pi * (2 * u - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def ishigami_shares() -> tuple[list[float], list[float]]:
    """First-order and total indices. Source: Saltelli, Chan and Scott, "Sensitivity Analysis", 2000, 2.9.3."""
    a, b, pi = 7.0, 0.1, math.pi
    one, two = b * pi**4 / 5 + b**2 * pi**8 / 50 + 0.5, a**2 / 8
    both = b**2 * pi**8 * (1 / 18 - 1 / 50)
    whole = one + two + both
    return [one / whole, two / whole, 0.0], [(one + both) / whole, two / whole, both / whole]


def blocking(load: np.ndarray, workers: int = 8) -> np.ndarray:
    """Erlang's loss."""
    lost = np.ones_like(load)
    for k in range(1, workers + 1):
        lost = load * lost / (k + load * lost)
    return lost


def loss_shares() -> tuple[list[float], list[float]]:
    """Of the loss over (arrival rate, service mean), both uniform: by quadrature."""
    x, weight = np.polynomial.legendre.leggauss(40)
    u, w = (x + 1) / 2, weight / 2
    table = blocking(np.outer(RATES[0] + u * (RATES[1] - RATES[0]), MEANS[0] + u * (MEANS[1] - MEANS[0])))
    mean, whole = w @ table @ w, w @ table**2 @ w - (w @ table @ w) ** 2
    first = [(w @ (table @ w) ** 2 - mean**2) / whole, (w @ (w @ table) ** 2 - mean**2) / whole]
    return first, [1 - first[1], 1 - first[0]]


def test_intervals_hold_the_shares_of_a_function_in_which_inputs_work_together():
    first, total = ishigami_shares()
    held = np.zeros(6)
    for seed in range(100):
        cube = design("sobol", 3, 64, seed)
        found = indices("sobol", cube, ishigami(cube), np.zeros((2, len(cube))), 0.95, seed)
        said = [one.first for one in found] + [one.total for one in found]
        held += [one.low <= exact <= one.high for one, exact in zip(said, [*first, *total], strict=True)]
    # 95 of 100, standard deviation 2.2; 3.9 of them below is 86, less often than once in 10,000 times.
    assert (held >= 86).all(), held


def test_the_shares_of_a_loss_system_are_those_of_quadrature_and_an_idle_input_has_none():
    vary = {"arrivals.rate": RATES, "workers.service.mean": MEANS, "queue.retry_after": (1.0, 9.0)}
    seen = []
    for seed in range(12):
        found = sensitivity(LOSS, vary, "rejection_ratio", run=RUN.model_copy(update={"seed": seed}), points=32)
        by = {one.input.path: one for one in found["rejection_ratio"].effects}
        idle = by["queue.retry_after"].found
        assert (idle.first.low, idle.total.low, idle.total.value, idle.total.high) == (0.0, 0.0, 0.0, 0.0)
        pair = [by[path].found for path in list(vary)[:2]]
        seen.append([one.first.value for one in pair] + [one.total.value for one in pair])
        assert found["rejection_ratio"].noise < 0.05
    first, total = loss_shares()
    table = np.array(seen)
    half = t_factor(12, 1 - 1e-4 / 4) * table.std(axis=0, ddof=1) / math.sqrt(12)
    assert (half < 0.15).all()  # sharp enough to tell the two inputs, and a tenth, apart
    np.testing.assert_array_less(np.abs(table.mean(axis=0) - [*first, *total]), half)


def test_the_ends_of_an_input_lie_where_erlangs_formula_puts_them():
    found = sensitivity(LOSS, {"arrivals.rate": RATES, "workers.service.mean": MEANS}, "rejection_ratio", points=16,
                        run=bw.Run(horizon=1000, warmup=20, replications=8), confidence=1 - 1e-4 / 4)  # fmt: skip
    by = {one.input.path: one for one in found["rejection_ratio"].effects}
    for path, loads in [("arrivals.rate", (6 * 0.8, 14 * 0.8)), ("workers.service.mean", (10 * 0.6, 10 * 1.0))]:
        for end, load in zip((by[path].low, by[path].high), loads, strict=True):
            assert end.low <= blocking(np.array(load)) <= end.high
    assert found["rejection_ratio"].effects[0].input.path == "arrivals.rate"
    low, half, high = found["rejection_ratio"].spread
    assert 0 <= low < half < high < 0.5


def test_a_straight_function_has_the_slopes_that_it_has():
    cube = design("morris", 3, 8, 1)
    found = indices("morris", cube, 3 * cube[:, 0] - cube[:, 1], np.zeros((2, len(cube))), 0.95, 1)
    assert [one.effect.value for one in found] == pytest.approx([3.0, 1.0, 0.0])
    assert [one.bend for one in found] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    bent = indices("morris", cube, cube[:, 0] * cube[:, 1], np.zeros((2, len(cube))), 0.95, 1)
    assert bent[0].bend > 0.1
    assert math.isnan(bent[0].total.value)


def test_the_noise_of_a_quantile_beside_a_gap_is_that_of_its_replications():
    # Served at once within 1 s, or after a pause of 9 s: the p99 lies at the edge of the second heap, where the slope
    # of the pooled values, by which a spread maps shares back, is that of a wall.
    twice = LOSS.with_({"workers.count": 20, "arrivals.rate": 13.0, "workers.service": bw.Constant(value=1.0),
                        "client.retry": bw.Retry(base=9.0, jitter="none", max_attempts=2).plain()})  # fmt: skip
    values, errors, walls = [], [], []
    for seed in range(40):
        result = simulate(twice, bw.Run(horizon=1500, warmup=20, replications=4, seed=seed))
        seen = _seen(result, "latency_p99")
        values.append(seen.value)
        errors.append(seen.error)
        walls.append(metric("latency_p99").spread(result.cells()).error)
    low, high = stats.f.ppf([5e-5, 1 - 5e-5], 39, 40 * 3)
    assert low < np.var(values, ddof=1) / np.mean(np.square(errors)) < high
    assert np.var(values, ddof=1) / np.mean(np.square(walls)) > 100  # so the test can tell


def test_what_replications_add_to_all_points_alike_is_no_noise():
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(50):
        truth = rng.random(2000)
        own = rng.normal(0, 0.4, (4, 2000))
        shared = rng.normal(0, 9, (4, 1))
        values = truth + (own + shared).mean(axis=0)
        shares.append(noise(values, own + shared - (own + shared).mean(axis=0)))
    exact = 0.4**2 / 4 / (1 / 12 + 0.4**2 / 4)
    found = stats.ttest_1samp(shares, exact)
    assert found.pvalue > 1e-4
    assert noise(np.arange(5.0), np.outer([1.0, -1.0], np.ones(5))) == 0.0
    assert math.isnan(noise(np.arange(5.0), np.zeros((1, 5))))


def test_the_noise_widens_an_interval_as_the_standard_error_says():
    errors = np.random.default_rng(1).normal(size=(6, 9))
    errors -= errors.mean(axis=0)
    (found,) = _with_noise(lambda y, _: [np.array([[y.mean()], [0.3]])], np.arange(9.0), errors, 0.9)
    error = errors.mean(axis=1).std(ddof=1) / math.sqrt(6)
    assert found[0, 0] == 4.0
    assert found[1, 0] == pytest.approx(math.hypot(0.3, t_factor(6, 0.9) * error))


def test_only_the_bases_of_a_design_are_independent():
    cube = design("sobol", 3, 16, 5)
    kept = cube[independent("sobol", 3, len(cube))]
    assert len(kept) == 32
    assert len(np.unique(kept[:, 0])) == 32
    assert independent("morris", 3, 8).all()


def test_values_of_an_input_are_uniform_straight_in_the_logarithm_or_by_whole_numbers():
    u = (np.arange(1000) + 0.5) / 1000
    assert Input("a", 2.0, 4.0).at(0.25) == 2.5
    assert Input("a", 1.0, 100.0, log=True).at(0.5) == pytest.approx(10.0)
    counts = np.unique([Input("a", 3, 7, whole=True).at(x) for x in u], return_counts=True)
    assert counts[0].tolist() == [3, 4, 5, 6, 7]
    assert counts[1].tolist() == [200] * 5
    log = Input("a", 1, 20, log=True, whole=True)
    assert {type(log.at(x)) for x in u} == {int}
    assert (log.at(0.0), log.at(1.0)) == (1, 20)


def test_whole_numbers_are_found_by_what_a_field_takes_and_units_are_read():
    vary = {"workers.count": (6, 10), "arrivals.rate": ("600/min", "14/s"),
            "workers.service.mean": ("800 ms", "1 s", "log")}  # fmt: skip
    found = sensitivity(LOSS, vary, ["rejection_ratio", "utilization"], run=RUN, points=16)
    assert [(one.low, one.high, one.log, one.whole, one.unit) for one in found.inputs] == [
        (6, 10, False, True, ""), (10.0, 14.0, False, False, "1/s"), (0.8, 1.0, True, False, "s"),
    ]  # fmt: skip
    assert set(found.points[:, 0]) == {6, 7, 8, 9, 10}
    assert found.runs <= 16 * 5 + 7  # points that coincide are run once
    assert [one.metric for one in found.responses] == ["rejection_ratio", "utilization"]


def test_one_input_has_it_all_and_one_thread_finds_what_two_find():
    asked = LOSS, {"arrivals.rate": RATES}, "rejection_ratio"
    one, two = (sensitivity(*asked, run=RUN, points=16, parallel=n) for n in (1, 2))
    (effect,) = one["rejection_ratio"].effects
    assert effect.found.total.low <= 1.0 <= effect.found.total.high
    assert effect.low.value < effect.high.value
    assert (one["rejection_ratio"].values == two["rejection_ratio"].values).all()
    assert one["rejection_ratio"].effects == two["rejection_ratio"].effects


def test_many_inputs_are_screened_and_what_says_nothing_is_said():
    vary = {"arrivals.rate": (2.0, 3.0), "workers.service.mean": (0.5, 0.6), "queue.retry_after": (1.0, 9.0),
            "workers.count": (40, 60), "client.attempt_timeout": (500.0, 900.0), "client.total_timeout": (900.0, 999.0),
            "queue.capacity": (0, 3)}  # fmt: skip
    found = sensitivity(LOSS, vary, ["rejection_ratio", "drain_time", "utilization"], run=RUN, points=4)
    assert found.method == "morris"
    nothing, missing, busy = found.responses
    assert words(found, nothing) == ["rejection_ratio is 0 % at every setting: nothing matters for it."]
    assert "has no value at 32 of 32 settings" in words(found, missing)[0]
    assert math.isnan(missing.effects[0].found.effect.value)
    assert {one.input.path for one in busy.effects[:3]} == {"arrivals.rate", "workers.service.mean", "workers.count"}
    assert busy.effects[-1].found.effect.value == 0.0


def test_noise_is_told_where_it_is_large():
    short = bw.Run(horizon=6, warmup=1, replications=2)
    loud = sensitivity(LOSS, {"arrivals.rate": (9.9, 10.1), "workers.service.mean": (0.99, 1.01)}, "rejection_ratio",
                       run=short, points=16)  # fmt: skip
    assert "take more replications" in words(loud, loud.responses[0])[1]
    quiet = sensitivity(LOSS, {"arrivals.rate": (1.0, 40.0)}, "rejection_ratio", run=RUN, points=16)
    assert "take more replications" not in " ".join(words(quiet, quiet.responses[0]))


RETRIES = LOSS.with_({"client.retry": bw.Retry(base=0.1, cap=2.0).plain()})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"vary": {}}, "--vary must be given"),
        ({"vary": {"workers.cout": (1, 5)}}, 'did you mean "count"'),
        ({"vary": {"workers.count": (5, 1)}}, 'must go up (got "5..1")'),
        ({"vary": {"workers.count": (5, 5)}}, "must go up"),
        ({"vary": {"workers.count": (1, 2, 3, 4)}}, "must be LOW..HIGH"),
        ({"vary": {"workers.count": (1, 5, "lin")}}, "must be LOW..HIGH"),
        ({"vary": {"workers.count": (1, math.inf)}}, "must go from one number to another"),
        ({"vary": {"workers.count": (1, "5 s")}}, "of the same unit"),
        ({"vary": {"queue.retry_after": (0, 5, "log")}}, "must be above 0 where its logarithm"),
        ({"vary": {"workers.count": (-3, 5)}}, "at workers.count = -3"),
        ({"vary": {"client.retry.base": (0.5, 3.0), "client.retry.cap": (2.0, 4.0)}}, "at client.retry.base = "),
        ({"metrics": []}, "--metric must be given"),
        ({"metrics": "latency_p98"}, 'did you mean "latency_p99"'),
        ({"metrics": "latency_p99[gold]"}, "must name a class of jobs"),
        ({"metrics": ["queue_mean", "queue_mean"]}, "must not name a metric twice"),
        ({"points": 48}, "must be a power of two"),
        ({"points": 2}, "must be a power of two from 16"),
        ({"method": "sobel"}, 'did you mean "sobol"'),
        ({"confidence": 2.0}, "must be from 0.5 to below 1"),
        ({"run": None}, "run must be given"),
        ({"run": bw.Run(horizon=5, replications=1)}, "must be at least 2"),
        ({"parallel": 0}, "--parallel must be at least 1"),
    ],
)
def test_a_wrong_question_is_one_line_before_any_work(changes, line, monkeypatch):
    monkeypatch.setattr("backwater.experiments.sensitivity.simulate", lambda *_, **__: pytest.fail("work was done"))
    asked = {"vary": {"workers.count": (1, 5)}, "metrics": "rejection_ratio", "run": RUN} | changes
    with pytest.raises(ScenarioError) as refused:
        sensitivity(RETRIES, **asked)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


WORDS = ["sensitivity", "thumbnails", "--vary", "workers.service.mean=50 ms..70 ms", "--vary",
         "client.retry.base=50 ms..1 s:log", "--horizon", "30 s", "--warmup", "5 s", "--replications", "2", "--points",
         "16"]  # fmt: skip


def test_the_command_tells_draws_and_keeps(tmp_path, capsys):
    status, out, _ = run(capsys, *WORDS, "--metric", "latency_p99", "--out", str(tmp_path / "out"))
    assert status == 0
    assert "client.retry.base     50 ms .. 1 s log" in out
    assert "latency_p99 over all inputs:" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sensitivity.json", "sensitivity_latency_p99.png"}
    kept = json.loads((tmp_path / "out" / "sensitivity.json").read_text())
    (response,) = kept["responses"]
    totals = {one["path"]: one["total"][0] for one in response["inputs"]}
    assert set(totals) == {"workers.service.mean", "client.retry.base"}
    assert list(totals.values()) == sorted(totals.values(), reverse=True)
    assert len(kept["design"]) == len(response["values"]) == 16 * 4
    assert 0 < response["p5"] < response["p95"]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--vary", "workers.count"], "must be PATH=LOW..HIGH"),
        (["--vary", "queue.capacity=1..50:lag"], "--vary queue.capacity"),
        (["--vary", "client.retry.base=1..2"], "--vary must not name an input twice"),
        (["--vary", "client.retry.cap=1..2"], "a number alone has no unit"),
        (["--points", "20"], "must be a power of two"),
    ],
)
def test_a_wrong_flag_is_one_line(more, line, capsys):
    status, out, error = run(capsys, *WORDS, *more)
    assert (status, out) == (2, "")
    assert line in error
    assert error.count("\n") == 1


def test_ctrl_c_leaves_a_line(capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "to", stop)
    assert run(capsys, *WORDS) == (130, "", "Stopped.\n")
