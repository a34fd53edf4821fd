"""Where a queue stops paying: known ends of the frontier; comparisons case by case, on a page."""

import json

import numpy as np
import pytest
from test_cli import run as cli

import backwater as bw
from backwater.experiments import inline_or_queue as question
from backwater.experiments import inline_or_queue_figures as figures
from backwater.experiments.compare import compare
from backwater.experiments.compare_figures import cases_compared
from backwater.experiments.compare_report import decisive, spread, table


@pytest.fixture(scope="module")
def handed() -> question.Handover:
    """A small grid."""
    return question.handover(np.geomspace(1e-3, 3e-2, 6), np.array([0.1, 0.6, 0.9]), jobs=4000, replications=2)


@pytest.fixture(scope="module")
def late() -> question.Lateness:
    """A gentle peak and a high one."""
    run = bw.Run(horizon="570 s", replications=4)
    return question.lateness(np.array([0.6, 2.0]), np.array([0.05, 0.5, 2.0, 60.0, 250.0]), run=run)


def test_work_that_takes_less_than_handing_it_over_blocks_less_inline(handed):
    # Four workers at a load of 0.1 hardly let anybody wait: what blocks is the work, so that the frontier is where the
    # work takes as long as the broker; interpolated between points that bend a little, and a mean of 8,000 (cv 1).
    for broker in ("rabbitmq", "sqs"):
        assert handed.frontier(broker)[0] == pytest.approx(handed.brokers[broker], rel=4 / np.sqrt(8000) + 0.01)
    assert handed.brokers["redis"] == pytest.approx(0.00066)
    assert handed.brokers["rabbitmq"] == pytest.approx(0.004)
    # Redis takes less than any work of this grid: its frontier lies beyond.
    assert np.isnan(handed.frontier("redis")).all()
    # Where workers are busy, inline work waits.
    assert (np.diff(handed.frontier("rabbitmq")) < 0).all()
    assert (np.diff(handed.inline, axis=0) > 0).all()
    assert (np.diff(handed.inline, axis=1) > 0).all()


def test_who_is_in_a_hurry_is_better_served_inline_and_who_has_time_through_the_queue(late):
    # At the peak of 2.0: within 0.5 s and 2 s inline serves surely more, after the backlog's minutes the queue does.
    assert list(late.sure[1][1:]) == [-1, -1, 1, 1]
    assert 2 < late.frontier()[1] < 60
    # Without overload nobody is refused, and the way to the broker is all the difference.
    assert abs(late.gain[0][2:]).max() < 0.02
    # Who asks every 5 s has nothing before 5 s.
    assert late.polled[1][2] < late.gain[1][2] - 0.5
    assert late.polled[1][4] == pytest.approx(late.gain[1][4], abs=1e-9)


def test_frontiers_lie_between_the_points_where_the_sign_changes_for_good():
    gain = np.array([[-0.1, 0.1, -0.1, 0.3], [-0.2, -0.1, -0.1, -0.1], [0.1, 0.1, 0.1, 0.1]])
    made = question.Lateness(
        np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0, 1000.0]), gain, gain - 0.15, gain + 0.15, -gain, 5.0
    )
    # A quarter of the way from 100 to 1000, on logarithms; never; from the first limit on, so that none is known.
    assert np.allclose(made.frontier(), [10**2.25, np.nan, np.nan], equal_nan=True)
    assert made.sure.tolist() == [[0, 0, 0, 1], [-1, 0, 0, 0], [0, 0, 0, 0]]
    blocked = question.Handover(np.array([1.0, 100.0]), np.array([0.5, 0.9]), np.array([[1.0, 30.0], [100.0, 300.0]]),
                                {"some": 10.0})  # fmt: skip
    assert np.allclose(blocked.frontier("some"), [10.0, np.nan], equal_nan=True)


def test_the_figures_show_the_frontiers(handed, late):
    caption, figure = figures.handed(handed)
    assert "handing the work over" in caption
    lines = {line.get_label(): line.get_xdata() for line in figure.axes[0].lines}
    assert np.array_equal(lines["RabbitMQ, quorum queue: 4 ms"], handed.frontier("rabbitmq"))
    caption, figure = figures.late(late)
    assert f"at {np.count_nonzero(late.sure)} of 10 settings" in caption
    assert np.array_equal(figure.axes[0].lines[0].get_xdata(), late.frontier(), equal_nan=True)
    assert len(figures.curves(late, 2.0)[1].axes[0].lines) == 3


SLOW = bw.Scenario(name="slow", arrivals=bw.Poisson(rate="4/s"), workers=bw.Workers(service="200 ms"))
FAST = SLOW.with_({"name": "fast", "workers.count": 2})


def test_a_report_tells_each_case_by_what_differs():
    run = bw.Run(horizon="100 s", replications=4)
    hit = {"faults": [{"kind": "load", "factor": 2.0, "start": "50 s"}]}
    found = {"usual": compare(SLOW, FAST, run=run), "twice": compare(SLOW.with_(hit), FAST.with_(hit), run=run)}
    names = decisive(found)
    assert names == ["failure_ratio", "latency_p99"]
    told = table("twice", found["twice"], names)
    assert told.head == ("system", "failure ratio", "latency p99")
    assert [row[0] for row in told.rows] == ["slow", "fast"]
    assert told.rows[1][2].endswith(" *")
    assert told.rows[0][1] == "0 %"
    assert spread(found["twice"], "failure_ratio") == "failure_ratio: 0 %, the same in all systems."
    assert spread(found["twice"], "latency_p99").endswith("(slow).")
    figure = cases_compared(found, names)[1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["usual", "twice"]


def test_the_command_compares_in_several_cases_and_writes_a_page(tmp_path, capsys):
    folder = tmp_path / "out"
    status, out, _ = cli(
        capsys, "compare", "redis_list", "rabbitmq_classic", "--horizon", "30 s", "--warmup", "0 s", "--replications",
        "4", "--case", "usual:", "--case", "crash: workers_crash share=1/2 start=10s duration=5s; load factor=1.5",
        "--out", str(folder),
    )  # fmt: skip
    assert status == 0
    assert "Case usual" in out
    cases = json.loads((folder / "compare.json").read_text("utf-8"))["cases"]
    lost = {
        (case, row["system"]): row["estimate"][0]
        for case, told in cases.items() for row in told["rows"] if row["metric"] == "lost_ratio"
    }  # fmt: skip
    assert lost["crash", "redis_list"] > 0
    assert (lost["usual", "redis_list"], lost["crash", "rabbitmq_classic"]) == (0, 0)
    page = (folder / "report.html").read_text("utf-8")
    assert "In case crash:" in page
    assert "broker.ack" in page
    assert "none: redis_list; late: rabbitmq_classic" in page


def test_the_command_says_from_where_on_a_queue_pays(tmp_path, capsys, monkeypatch):
    for name, values in (("SERVICES", [1e-3, 8e-3]), ("LOADS", [0.1, 0.8]), ("PEAKS", [0.75, 2.0]),
                         ("LIMITS", [0.5, 240.0])):  # fmt: skip
        monkeypatch.setattr(question, name, np.array(values))
    folder = tmp_path / "out"
    status, out, _ = cli(capsys, "inline-or-queue", "--replications", "2", "--out", str(folder))
    assert status == 0
    assert "RabbitMQ, quorum queue: handing over takes 4 ms." in out
    found = json.loads((folder / "inline_or_queue.json").read_text("utf-8"))
    assert found["handover"]["brokers"]["redis"]["frontier"] == [None, None]
    assert 0.5 < found["lateness"]["frontier"][1] < 240
    assert "At a peak of 2 times what the workers can do, the queue serves more in time" in out
    page = (folder / "report.html").read_text("utf-8")
    assert "it asks every 5 s" in page
    assert {"handed.png", "late.png", "curves.png"} < {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--broker", "kafka"), "broker must be one of redis, rabbitmq, sqs"),
        (("--service", "3"), "--service must be a time such as"),
        (("--replications", "1"), "--replications must be at least 2"),
        (("--asks", "0 s"), "every must be above 0"),
    ],
)
def test_a_wrong_question_is_one_line(words, line, capsys):
    status, out, error = cli(capsys, "inline-or-queue", *words)
    assert (status, out) == (2, "")
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("spike", 'must be "NAME: KIND NAME=VALUE ...; ..."'),
        ("spike: lod factor=2", "--case.kind"),
        ("spike: load factor", "--case must be KIND NAME=VALUE"),
        ("spike: load", "--case.factor must be given for load"),
    ],
)
def test_a_wrong_case_is_one_line(case, line, capsys):
    status, out, error = cli(capsys, "compare", "redis_list", "redis_stream", "--case", case)
    assert (status, out) == (2, "")
    assert line in error
    assert error.count("\n") == 1
