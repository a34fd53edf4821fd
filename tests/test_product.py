"""What a user meets first: the README's code, the names, plots, events, the bench."""

import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import simpy

import backwater as bw
from backwater.engines.reference import BoundedQueue, Chance, Client, Jobs, Producer, WorkerPool
from backwater.experiments.bench.systems import ratio, speeds, systems

README = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")


def test_the_readmes_python_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    said: dict = {}
    # The lengths are cut: what is tested is that it runs and gives what it says.
    exec(code.replace("3 min", "70 s"), said)
    assert set(said["sweep"].data.dims) == {"queue.capacity", "case", "class", "window", "replication"}
    assert said["result"]["rejection_ratio"] > 0


def test_the_readme_shows_the_commands_that_there_are():
    words = set(re.findall(r"\.venv/bin/backwater ([\w-]+)", README))
    command = [sys.executable, "-m", "backwater.experiments.cli", "--help"]
    help_ = subprocess.run(command, capture_output=True, text=True).stdout
    assert words == set(re.findall(r"^  ([\w-]+)  +\S", help_.partition("Commands:")[2], re.MULTILINE))
    assert {"list", "run", "sweep", "plan"} < words


def test_every_public_name_is_there_whatever_is_imported_first():
    code = "import backwater.simulation, backwater.experiments.sweep, backwater as bw;"
    code += "print(all(callable(getattr(bw, name)) for name in bw.__all__))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "True\n"
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        bw.simulat  # noqa: B018


def test_importing_loads_no_library_that_describing_does_not_need():
    heavy = ("matplotlib", "pandas", "xarray", "simpy", "scipy.stats")
    code = f"import sys, backwater; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


SMALL = bw.model("thumbnails").with_({"queue.capacity": 5, "workers.count": 2, "arrivals.scale": 0.3})


def test_a_result_draws_itself_and_keeps_what_was_asked_for():
    result = bw.simulate(SMALL, horizon="20 s", replications=2, sample="1 s", record=("jobs", "attempts", "events"))
    for kind in ("series", "bytes", "latency"):
        assert result.plot(kind).get_ylabel()
    with pytest.raises(bw.ScenarioError, match='did you mean "series"'):
        result.plot("serie")
    assert result.series["time"].max() == 20
    assert result.histograms["latency"].sum() == (result.jobs["outcome"] == "completed").sum()
    rejected = result.attempts[result.attempts["outcome"] == "rejected"]
    assert len(rejected) == result.events["what"].str.contains("503").sum() > 0
    assert result.series["rejected"].sum() == len(rejected)
    assert set(result.manifest) >= {"digest", "seed", "versions", "engine"}


def test_rows_that_were_not_recorded_are_refused_with_what_to_do():
    result = bw.simulate(SMALL, horizon="5 s", replications=1)
    for rows in ("jobs", "attempts", "events", "series"):
        with pytest.raises(bw.ScenarioError, match=r"run\.(record|sample) must"):
            getattr(result, rows)
    with pytest.raises(bw.ScenarioError, match='did you mean "latency_p99"'):
        result["latency_p98"]


def test_importing_models_compiles_nothing():
    # What has been compiled fixes the order in which Numba asks: other libraries' extensions then come too late.
    code = "from numba.core.typing.context import BaseContext as Context; asked = []; refresh = Context.refresh\n"
    code += "Context.refresh = lambda self: (asked.append(1), refresh(self))[1]\nimport backwater.models; print(asked)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def benched() -> tuple[list[dict[str, int]], float]:
    """How many jobs each side of each system simulated, and how many times as fast as simpy the compiled engine is."""
    known = systems()
    few = known[-1]._replace(jobs=dict.fromkeys(known[-1].sides, 500))
    counts = [{name: side(3, 1500) for name, side in system.sides.items()} for system in known]
    return counts, ratio(*(speeds(few, rounds=1)[name] for name in ("compiled", "simpy")))[0]


def test_the_bench_measures_the_same_systems():
    # In a process of its own: cimba 0.9.6 compiles nothing in one in which Numba compiled before it was imported.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        counts, faster = pool.submit(benched).result()
    assert len(counts) >= 4
    assert [set(its.values()) for its in counts] == [{1500}] * len(counts)
    assert faster > 1


def test_a_producer_of_ones_own_environment():
    env, chance = simpy.Environment(), Chance(seed=3)
    queue = BoundedQueue(env, SMALL.queue)
    WorkerPool(env, queue, count=2)
    part = SMALL.producers[0]
    sent = []
    client = Client(env, queue, SMALL.client, chance)
    Producer(env, part, Jobs(SMALL, part, 0, chance), client, lambda: sent.append(env.now))
    env.run(until=10)
    assert abs(len(sent) - 300) < 3.9 * 300**0.5
