"""Designs: where the points lie, what they set, how they are labelled, drawn and refused."""

import numpy as np
import pytest
import xarray as xr
from test_cli import run
from test_sweep import RUN, SMALL

import backwater as bw
from backwater.experiments.experiment import load_experiment
from backwater.experiments.figures import draw_all
from backwater.experiments.report import document, write_report
from backwater.experiments.store import Store
from backwater.experiments.study import study
from backwater.experiments.sweep import load_sweep

OVER = {
    "queue.capacity": {"from": 1, "to": 64, "spacing": "log"},
    "load": {"from": 0.5, "to": 1.5},
    "workers.service.mean": {"from": "50 ms", "to": "0.2 s"},
}
POINTS = "queue.capacity,load,workers.service.mean\n4,0.8,100 ms\n16,1.2,100 ms\n\n4,0.8,0.2 s\n"


@pytest.mark.parametrize("kind", ["sobol", "latin_hypercube"])
def test_each_equal_part_of_each_range_is_hit_once(kind):
    axis = bw.Design(kind=kind, points=64, over=OVER).axis(SMALL)
    load, mean = (np.array(axis.along[path][1]) for path in ("load", "workers.service.mean"))
    for values, low, high in ((load, 0.5, 1.5), (mean, 0.05, 0.2)):
        assert sorted(np.floor((values - low) / (high - low) * 64)) == list(range(64))
    capacity = np.array(axis.along["queue.capacity"][1])
    assert set(capacity) <= set(range(1, 65))
    assert sum(capacity < 8) == pytest.approx(32, abs=6)  # half of them in the lower half of its logarithm
    assert axis.along["workers.service.mean"][0] == "s"


def test_sobol_points_are_even_in_every_plane():
    share = bw.Design(kind="sobol", points=64, over=OVER)._shares()
    for one, two in ((0, 1), (0, 2), (1, 2)):
        cells = np.histogram2d(share[:, one], share[:, two], bins=4, range=[[0, 1], [0, 1]])[0]
        assert cells.min() >= 1


def test_a_seed_decides_the_points():
    one, same, other = (bw.Design(kind="sobol", points=8, seed=n, over=OVER).axis(SMALL) for n in (1, 1, 2))
    assert one == same != other


def test_points_lie_along_one_dimension_with_their_fields_as_coordinates(tmp_path):
    done = bw.sweep(SMALL, bw.Design(kind="latin_hypercube", points=6, over=OVER), run=RUN, store=tmp_path)
    data = done.data["rejection_ratio"]
    assert data.dims == ("point", "case", "class", "window", "replication")
    assert data["load"].dims == ("point",)
    at = {path: float(data[path][3]) for path in OVER}
    assert at["queue.capacity"] == round(at["queue.capacity"])
    alone = bw.simulate(SMALL.with_({**at, "queue.capacity": int(at["queue.capacity"])}), RUN)
    rows = alone.replications.query("metric == 'rejection_ratio' and window == 'all'")["value"]
    assert data.sel(window="all").squeeze()[3].values.tolist() == rows.tolist()
    xr.testing.assert_identical(done.data, load_sweep(tmp_path).data)


def test_a_csv_file_of_points_and_equal_points_run_once(tmp_path):
    (tmp_path / "points.csv").write_text(POINTS + "4,0.8,100 ms\n")
    design = bw.Design(kind="points", file=str(tmp_path / "points.csv"))
    done = bw.sweep(SMALL, design, run=RUN, store=tmp_path / "out")
    (tmp_path / "points.csv").unlink()  # what is kept says all there is to it
    assert load_sweep(tmp_path / "out").data["workers.service.mean"].values.tolist() == [0.1, 0.1, 0.2, 0.1]
    assert done.data.sizes["point"] == 4
    assert Store(tmp_path / "out").count() == 3
    assert (done.data["goodput"][0] == done.data["goodput"][3]).all()


def test_a_design_from_the_command_line_and_its_report(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = ["--horizon", "20 s", "--warmup", "0 s", "--replications", "2"]
    over = ["--over", "queue.capacity=1..64:log", "--over", "load=0.5..1.5"]
    assert run(capsys, "sweep", "thumbnails", "--design", "sobol:8:3", *over, *short, "--out", "a")[0] == 0
    (tmp_path / "points.csv").write_text("queue.capacity,load\n4,0.8\n16,1.2\n")
    words = ["sweep", "thumbnails", "--points", "points.csv", "--over", "workers.count=2,8", *short, "--out", "b"]
    status, told, _ = run(capsys, *words)
    assert (status, told.split(",")[0]) == (0, "4 points")
    for folder in ("a", "b"):
        assert run(capsys, "report", folder)[0] == 0
        page = (tmp_path / folder / "report.html").read_text()
        assert "At the knee, queue.capacity" in page or "at the knee, queue.capacity" in page
        assert page.count("data:image/png;base64,") == 4


def test_a_figure_shows_each_metric_against_each_field(tmp_path):
    experiment = load_experiment("space")
    small = experiment.model_copy(update={
        "run": bw.Run(horizon="20 s", replications=2),
        "design": experiment.design.model_copy(update={"points": 8}),
    })  # fmt: skip
    done = study(small, tmp_path)
    (name, _, figure), *_ = draw_all(done, [], {})
    assert name == "space"
    assert [axis.get_xlabel() for axis in figure.axes[-3:]] == ["queue.capacity", "queue.memory.limit", "load"]
    assert len(figure.axes) in (9, 12)  # 503s, failures and latency; and spill, where anything is spilled
    told = {section.title: section.parts for section in document(done, [], {}).sections}
    assert len(told["All points"][0].rows) == 8
    assert write_report(tmp_path).exists()


@pytest.mark.parametrize(
    ("design", "line"),
    [
        ({"kind": "sobol", "points": 100, "over": OVER}, "points must be a power of 2 for sobol; the nearest is 128"),
        ({"kind": "sobol", "over": OVER}, "points must be given: how many"),
        ({"kind": "sobl", "points": 4, "over": OVER}, "kind must be"),
        ({"kind": "sobol", "points": 4}, "over must name at least one field"),
        ({"kind": "latin_hypercube", "points": 4, "over": {"load": [1, 2]}}, "must be a range"),
        ({"kind": "latin_hypercube", "points": 4, "over": {"load": {"from": 2, "to": 1}}}, "must be above from = 2"),
        ({"kind": "latin_hypercube", "points": 4, "over": {"queue.capcity": {"from": 1, "to": 2}}}, '"capacity"'),
        ({"kind": "points"}, "file must be given"),
        ({"kind": "points", "rows": [{"load": 1}, {"laod": 1}]}, "rows.1 must set load"),
        ({"kind": "points", "rows": [{"load": 1}, {"load": -1}]}, "load must be a number above 0 .* at point = 1.0"),
        ({"kind": "points", "file": "nowhere.csv"}, "file must be a CSV file that can be read"),
        ({"kind": "sobol", "points": 4, "over": {"latency_p99": {"from": 1, "to": 2}}}, "the name of a metric"),
    ],
)
def test_a_wrong_design_is_refused_before_any_work(design, line):
    with pytest.raises(bw.ScenarioError, match=line):
        bw.sweep(SMALL, bw.Design(**design), run=RUN)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("load,load\n1,2\n", "must name each column, each once"),
        ("load\n", "must hold a line of dotted paths and at least one point"),
        ("load,queue.capacity\n1,2\n1\n", "line 3, must have 2 values, none empty"),
        ("load,queue.capacity\n1,\n", "line 2, must have 2 values, none empty"),
    ],
)
def test_a_wrong_file_of_points_names_the_line(text, line, tmp_path):
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(bw.ScenarioError, match=line):
        bw.Design(kind="points", file=str(tmp_path / "points.csv"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--design", "sobol:8"], "--over must be given"),
        (["--design", "sobbol:8", "--over", "load=1..2"], 'did you mean "sobol"'),
        (["--design", "sobol", "--over", "load=1..2"], "must be sobol:POINTS"),
        (["--design", "sobol:8", "--over", "load=1..2:8"], "must be PATH=LOW..HIGH[:log]"),
        (["--design", "sobol:8", "--points", "x.csv", "--over", "load=1..2"], "must not be given beside --design"),
        (["--points", "x.csv"], "design.file must be a CSV file that can be read"),
    ],
)
def test_wrong_flags_are_one_clear_line(words, line, capsys):
    status, _, error = run(capsys, "sweep", "overload", *words)
    assert (status, len(error.splitlines())) == (2, 1)
    assert line in error
