"""The store: killed at random moments, shared, written by two at once, never mixed, never computed twice."""

import json
import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import xarray as xr
from test_cli import run
from test_sweep import OVER, RUN, SMALL

import backwater as bw
from backwater.experiments.store import Store, key, packed, unpacked
from backwater.experiments.sweep import load_sweep

# Each round is a process of its own, made by fork from one that has everything loaded, and killed at a random moment.
# What it says is done, it says after it is kept.
ROUNDS = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
import backwater as bw
from backwater.engines import compiled
from backwater.experiments.store import Store

folder, said = Path(sys.argv[1]), Path(sys.argv[2])

def child(number):
    log = os.open(said, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    work(number, lambda text: os.write(log, f"{text}\\n".encode()))

def told():
    return said.read_text().split() if said.exists() else []

{work}

chance = random.Random(20)
for number in range(20):
    pid = os.fork()
    if pid == 0:
        child(number)
        os._exit(0)
    lines = len(told())
    while number % 4 and len(told()) < lines + 2:  # most at a moment at which it is at work
        time.sleep(0.01)
    time.sleep(chance.uniform(0.0, {longest}))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check()
print("20 killed")
"""
SWEEP = """
compiled.prepare()
sweep = bw.sweep  # imported before the rounds begin
scenario = bw.Scenario(arrivals=bw.Poisson(rate="80/s"), workers=bw.Workers(service=bw.Exponential(mean="10 ms")))
over = {"queue.capacity": list(range(1, 51)), "load": [0.5, 0.8, 1.1, 1.4]}
plan = bw.Run(arrivals=50, replications=2, seed=3)

def work(number, tell):
    sweep(scenario, over, run=plan, store=folder, resume=True, parallel=1,
             progress=lambda done, of: tell(done))

before = set()
def check():
    global before
    there = set(Store(folder).points())
    assert before <= there, "a finished point was lost"
    assert len(there) >= max(map(int, told()), default=0), "a point that was told as finished is not there"
    before = there
"""
WRITES = """
def content(n):
    return {"n": n, "numbers": np.random.default_rng(n).random(20_000)}

def work(number, tell):
    store, n = Store(folder), 10_000 * number
    store.make()
    while True:
        store.save(f"{n:08d}", content(n))
        tell(n)
        n += 1

def check():
    store = Store(folder)
    for name in store.points():
        have, said_of = store.load(name), content(int(name))
        assert have["n"] == said_of["n"] and (have["numbers"] == said_of["numbers"]).all(), name
    assert {int(n) for n in told()} <= {int(name) for name in store.points()}, "what was kept is not there"
"""


def killed(work: str, longest: float, tmp_path) -> None:
    text = textwrap.dedent(ROUNDS).replace("{work}", work).replace("{longest}", str(longest))
    words = [sys.executable, "-c", text, str(tmp_path / "out"), str(tmp_path / "said")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "20 killed\n", done.stderr
    with sqlite3.connect(tmp_path / "out" / "points.sqlite") as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    base.close()


def test_a_sweep_killed_at_twenty_random_moments_loses_nothing_and_ends_the_same(tmp_path):
    killed(SWEEP, 0.05, tmp_path)
    assert 10 < Store(tmp_path / "out").count() < 200  # or it was killed before or after all of its work
    scope: dict = {}
    exec("import backwater as bw\nfrom backwater.engines import compiled\n" + SWEEP, scope)
    resumed = bw.sweep(scope["scenario"], scope["over"], run=scope["plan"], store=tmp_path / "out", resume=True)
    whole = bw.sweep(scope["scenario"], scope["over"], run=scope["plan"])
    xr.testing.assert_identical(resumed.data, whole.data)
    xr.testing.assert_identical(load_sweep(tmp_path / "out").estimates, whole.estimates)


def test_a_store_killed_while_it_writes_is_whole(tmp_path):
    killed(WRITES, 0.05, tmp_path)
    assert Store(tmp_path / "out").count() > 20


def test_two_processes_fill_one_pool_at_once(tmp_path):
    text = """
import sys, numpy as np
from backwater.experiments.store import Store
store = Store(sys.argv[1])
store.make()
for n in range(200):
    store.save(f"{n % 150}-{sys.argv[2] if n < 100 else ''}", {"n": n, "numbers": np.full(1000, n, float)})
"""
    both = [subprocess.Popen([sys.executable, "-c", text, str(tmp_path), str(n)]) for n in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    store = Store(tmp_path)
    assert store.count() == 2 * 100 + 100
    for name in store.points():
        have = store.load(name)
        assert (have["numbers"] == have["n"]).all()


def test_what_is_packed_comes_back_to_the_bit():
    content = {"a": [1, None, "ü"], "one": np.array([[np.nan, -0.0, 1e-310]]), "two": np.arange(6.0).reshape(3, 2)}
    again = unpacked(packed(content))
    assert again["a"] == content["a"]
    for name in ("one", "two"):
        assert again[name].tobytes() == content[name].tobytes()
        assert again[name].shape == content[name].shape
        assert not again[name].flags.writeable


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"over": {"queue.capacity": [1, 4]}}, "sweep"),
        ({"run": RUN.model_copy(update={"seed": 6})}, "run"),
        ({"scenario": SMALL.with_({"workers.count": 3})}, "scenario"),
        ({"cases": {"slow": {"workers.count": 1}}}, "cases"),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_one_experiment_takes_no_points_of_another(changed, part, resume, tmp_path):
    bw.sweep(SMALL, OVER, run=RUN, store=tmp_path)
    before = (tmp_path / "experiment.json").read_text()
    parts = {"scenario": SMALL, "over": OVER, "run": RUN, "cases": None, **changed}
    with pytest.raises(bw.ScenarioError, match=rf"must not hold the points of another experiment.*{part}"):
        bw.sweep(
            parts["scenario"], parts["over"], run=parts["run"], cases=parts["cases"], store=tmp_path, resume=resume
        )
    assert Store(tmp_path).count() == 6
    assert (tmp_path / "experiment.json").read_text() == before


def test_a_finished_point_is_never_computed_again_in_another_experiment(tmp_path, monkeypatch):
    pool = tmp_path / "pool"
    first = bw.sweep(SMALL, OVER, run=RUN, store=tmp_path / "one", pool=pool)
    told = []
    renamed = SMALL.model_copy(update={"name": "another name", "notes": {}})
    more = {"load": [0.8, 1.2, 1.4], "queue.capacity": [4, 16]}
    second = bw.sweep(renamed, more, run=RUN, store=tmp_path / "two", pool=pool,
                      progress=lambda done, of: told.append(done))  # fmt: skip
    assert told == [4, 5, 6]
    shared = {"load": [0.8, 1.2], "queue.capacity": [4, 16]}
    one, two = (found.data["latency_p99"].sel(shared).transpose(*more, ...) for found in (first, second))
    assert one.values.tobytes() == two.values.tobytes()
    assert Store(tmp_path / "two").count() == 6  # the folder needs the pool no more
    assert Store(pool).count() == 8


def test_a_point_is_named_by_what_decides_its_numbers():
    names = {key(SMALL, RUN)}
    for scenario, run_ in [
        (SMALL.with_({"queue.capacity": 11}), RUN),
        (SMALL, RUN.model_copy(update={"seed": 6})),
        (SMALL, RUN.model_copy(update={"replications": 4})),
        (SMALL, RUN.model_copy(update={"windows": {}})),
    ]:
        names.add(key(scenario, run_))
    assert len(names) == 5
    assert key(SMALL.model_copy(update={"name": "x", "notes": {}}), RUN) in names


def test_a_file_that_is_none_of_ours_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "points.sqlite").write_text("not a base " * 200)
    words = ["sweep", "overload", "--over", "load=0.5,0.6"]
    for flag in ("--out", "--pool"):
        status, _, error = run(
            capsys, *words, flag, str(tmp_path), *(["--out", str(tmp_path / "x")] * (flag != "--out"))
        )
        assert (status, len(error.splitlines())) == (2, 1)
        assert "must be a file of finished points: it is not whole" in error


def test_what_an_experiment_leaves_beside_its_points_is_plain_json(tmp_path):
    bw.sweep(SMALL, OVER, run=RUN, store=tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert sorted(manifest["points"]) == Store(tmp_path).points()
