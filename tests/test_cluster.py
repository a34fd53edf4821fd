"""A Dask cluster of two worker processes: the same bits as here, a killed worker, and refusals in one line."""

import os
import signal
import sys

import pytest
import xarray as xr
from test_cli import run
from test_own_model import broken, walk
from test_sweep import OVER, RUN, SMALL

import backwater as bw
from backwater.experiments import cluster as door
from backwater.experiments.experiment import Experiment
from backwater.experiments.store import Store

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # of a library that is not ours


class _Path(distributed.WorkerPlugin):
    """Lets every worker, those that come later too, import from a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self, worker) -> None:
        sys.path.append(self.folder)


@pytest.fixture(scope="module")
def cluster():
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**settings) as made, distributed.Client(made, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        client.register_plugin(_Path(os.path.dirname(__file__)))  # models of these tests stand beside them
        yield client


def address(client) -> str:
    return client.scheduler.address


def test_two_worker_processes_give_the_same_bits_as_threads_here(cluster, tmp_path):
    pids = set(cluster.run(os.getpid).values())
    assert len(pids | {os.getpid()}) == 3
    here = bw.sweep(SMALL, OVER, run=RUN)
    there = bw.sweep(SMALL, OVER, run=RUN, cluster=address(cluster), store=tmp_path)
    xr.testing.assert_identical(here.data, there.data)
    xr.testing.assert_identical(here.estimates, there.estimates)
    assert Store(tmp_path).count() == 6


def test_a_precision_takes_the_same_replications_there_as_here(cluster, tmp_path):
    asked = Experiment(scenario=SMALL, run=bw.Run(horizon=200, warmup=20, replications=5), budget=150,
                       sweep=OVER, precision={"latency_mean": "8 %", "rejection_ratio": "10 % or ± 0.5 %"})  # fmt: skip
    here = bw.sweep(asked)
    there = bw.sweep(asked, cluster=address(cluster), store=tmp_path)
    assert here.numbers.shape[-1] > 3 + 2 * 5  # there was something to refine
    xr.testing.assert_identical(here.data, there.data)
    xr.testing.assert_identical(here.estimates, there.estimates)
    assert (here.manifest["points"], here.manifest["imprecise"]) == (
        there.manifest["points"], there.manifest["imprecise"])  # fmt: skip
    again = bw.sweep(asked, cluster="tcp://127.0.0.1:9", store=tmp_path, resume=True)  # all is there: nobody is asked
    xr.testing.assert_identical(here.data, again.data)


def test_a_worker_that_is_killed_in_the_middle_is_survived(cluster):
    long = RUN.model_copy(update={"horizon": 2000.0})
    over = {"queue.capacity": [*range(1, 11)], "load": [0.8, 1.2]}
    killed = []

    def kill(done: int, _: int) -> None:
        if done == 4 and not killed:
            killed.append(next(iter(cluster.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    there = bw.sweep(SMALL, over, run=long, cluster=address(cluster), progress=kill)
    assert killed
    xr.testing.assert_identical(bw.sweep(SMALL, over, run=long).data, there.data)


def test_somebodys_own_model_runs_there_too(cluster):
    there = bw.sweep(walk, {"x": [1, 2]}, replications=3, cluster=address(cluster))
    xr.testing.assert_identical(bw.sweep(walk, {"x": [1, 2]}, replications=3).data, there.data)


def test_what_fails_there_is_told_as_here_and_what_was_finished_is_kept(cluster, tmp_path):
    with pytest.raises(bw.RuleError, match=r"must give a table metric -> value .* \(at x = 4.0, case = as is\)"):
        bw.sweep(broken, {"x": [6, 4]}, replications=1, cluster=address(cluster), store=tmp_path)
    assert Store(tmp_path).count() <= 1
    bw.sweep(broken, {"x": [6]}, replications=1, cluster=address(cluster), store=tmp_path / "other")


def test_workers_with_other_code_are_refused(cluster, monkeypatch):
    monkeypatch.setattr(door, "source_digest", lambda: "another" * 10)
    with pytest.raises(bw.ScenarioError, match="must run the same code on every worker as here"):
        bw.sweep(SMALL, OVER, run=RUN, cluster=address(cluster))


def test_a_cluster_that_does_not_answer_is_one_clear_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(door, "PATIENCE", 1.0)
    words = ["sweep", "overload", "--over", "load=0.5,0.6", "--out", str(tmp_path / "out")]
    status, _, error = run(capsys, *words, "--cluster", "tcp://127.0.0.1:9")
    assert (status, len(error.splitlines())) == (2, 1)
    assert "--cluster must be the address of a Dask scheduler that answers within 1 s" in error


def test_without_dask_there_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(bw.ScenarioError, match=r"pip install 'backwater\[cluster\]'"):
        bw.sweep(SMALL, OVER, run=RUN, cluster="tcp://127.0.0.1:9")
