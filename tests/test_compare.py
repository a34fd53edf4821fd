"""The same jobs through several systems: paired differences hold, and are narrower than independent ones."""

import math

import pytest
from test_cli import run

import backwater as bw
from backwater.errors import ScenarioError
from backwater.experiments.compare import compare
from backwater.experiments.compare_figures import compared

MM1 = bw.Scenario(name="one", arrivals=bw.Poisson(rate=0.8),
                  workers=bw.Workers(count=1, service=bw.Exponential(mean=1)))  # fmt: skip
FASTER = MM1.with_({"name": "faster", "workers.service.mean": 0.9})
RUN = bw.Run(horizon=2000, warmup=100, replications=8)


def test_differences_of_known_systems_are_held_and_pairing_pays():
    # M/M/1: mean latency 1 / (mu - lambda) is 5 s, and 1 / (1 / 0.9 - 0.8) = 3.214 s.
    truth, inside, gains = 1 / (1 / 0.9 - 0.8) - 5, 0, []
    for seed in range(100):
        found = compare(MM1, FASTER, run=RUN.model_copy(update={"seed": seed}), metrics=["latency_mean"])
        gap = found.difference("latency_mean", 1)
        inside += gap.found.low <= truth <= gap.found.high
        gains.append(gap.alone / (gap.found.high - gap.found.value))
    # 95 of 100, standard deviation 2.2; 3.9 of them below is 86, less often than once in 10,000 times.
    assert inside >= 86
    assert sorted(gains)[50] > 1.5  # median: independent runs would need 2.25 times as many replications


def test_the_same_system_twice_does_not_differ():
    found = compare(MM1, MM1, run=RUN)
    assert found.names == ("one (1)", "one (2)")
    for name in found.metrics:
        value = found.estimate(name, 1).value
        gap = found.difference(name, 1)
        assert not gap.sure
        assert math.isnan(value) or gap.found.value == 0
    assert found.moving == ["rejection_ratio", "failure_ratio"]


def test_theory_is_marked_beside_each_system_that_has_one():
    found = compare(MM1, FASTER.with_({"workers.service": bw.LogNormal(mean=0.9, cv=2.0)}), run=RUN,
                    metrics=["latency_mean", "latency_p50"])  # fmt: skip
    _, figure = compared(found)
    marks = {axis.get_title(loc="left"): [line.get_xdata()[0] for line in axis.lines if line.get_zorder() == 1]
             for axis in figure.axes}  # fmt: skip
    wait = 0.8 * 0.9**2 * (1 + 2.0**2) / 2 / (1 - 0.72)  # Pollaczek and Khinchine
    assert marks["latency_mean"] == pytest.approx([5.0, wait + 0.9])
    assert marks["latency_p50"][0] == pytest.approx(5 * math.log(2))


def test_wrong_input_is_one_line():
    with pytest.raises(ScenarioError, match="at least two scenarios"):
        compare(MM1, run=RUN)
    with pytest.raises(ScenarioError, match="run must be given"):
        compare(MM1, FASTER)
    with pytest.raises(ScenarioError, match='did you mean "latency_p99"'):
        compare(MM1, FASTER, run=RUN, metrics=["latency_p98"])
    with pytest.raises(ScenarioError, match="must name a class of every scenario"):
        compare(MM1, FASTER, run=RUN, metrics=["latency_p99[gold]"])
    with pytest.raises(ScenarioError, match="at least 2 for an interval"):
        compare(MM1, FASTER, run=bw.Run(horizon=10, replications=1))


def test_the_command_compares_variants_and_writes_table_and_figure(tmp_path, capsys):
    folder = tmp_path / "out"
    status, out, _ = run(
        capsys, "compare", "thumbnails", "--variant", "small: queue.capacity=50", "--replications", "3", "--horizon",
        "1 min", "--warmup", "10 s", "--out", str(folder),
    )  # fmt: skip
    assert status == 0
    assert "small" in out
    assert "minus that of thumbnails" in out
    assert {path.name for path in folder.iterdir()} == {"compare.json", "compare.png", "report.html", "report.json"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "at least two scenarios"),
        (("thumbnails",), "must not be given a scenario twice"),
        (("--variant", "small"), "must be"),
        (("--variant", "small: queue.capacit=5"), 'did you mean "capacity"'),
        (("--variant", "thumbnails: queue.capacity=5"), "must have a name of its own"),
    ],
)
def test_a_wrong_word_is_one_line(words, line, capsys):
    status, out, error = run(capsys, "compare", "thumbnails", *words)
    assert (status, out) == (2, "")
    assert line in error
    assert error.count("\n") == 1
