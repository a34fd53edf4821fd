"""What only the compiled engine has: slots, a calendar, threads, kernels that are kept, answers to Ctrl-C."""

import heapq
import os
import signal
import subprocess
import sys
import textwrap
import time
from threading import Event, Timer

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backwater as bw
from backwater import jit
from backwater.engines.compiled import calendar, system, world
from backwater.jit import compiled
from backwater.outcome import assert_identical
from backwater.simulation import in_threads, replicate, resolve

MM1 = bw.Scenario(arrivals=bw.Poisson(rate=0.8), workers=bw.Workers(service=bw.Exponential(mean="1 s")))


def test_memory_grows_with_the_jobs_alive_and_not_with_those_run():
    sizes = {}
    for jobs in (1_000, 300_000):
        run = system.System(MM1, bw.Run(arrivals=jobs), 0)
        run.go()
        sizes[jobs] = [len(run.world.jobs), len(run.world.attempts), len(run.world.calendar.events)]
    assert sizes[1_000] == sizes[300_000]


def test_workflows_that_are_over_leave_their_room_to_others():
    """An hour of chords, of which two are under way at a time: one waits for its parts, one for its join."""
    jobs = {"a": bw.Job(then={"send": {"b": 2}, "join": "c"}), "b": bw.Job(then="c"), "c": bw.Job()}
    chords = bw.Scenario(arrivals=bw.Periodic(interval="1 s"), jobs=jobs, workers=bw.Workers(count=9, service="500 ms"))
    run = system.System(chords, bw.Run(horizon="1 h"), 0)
    run.go()
    assert len(run.world.groups) == system.SLOTS
    assert run.world.state[0]["free_groups"] >= system.SLOTS - 10


@pytest.mark.parametrize("law", ["3 s", bw.Exponential(mean="3 s")])
def test_timeouts_that_no_longer_matter_do_not_fill_the_calendar(law):
    client = bw.Client(attempt_timeout=law)
    patient = bw.Scenario(arrivals=bw.Poisson(rate=1000), client=client, workers=bw.Workers(count=9, service="1 ms"))
    run = system.System(patient, bw.Run(arrivals=50_000), 0)
    run.go()  # 3,000 timeouts are pending at a time, of nine jobs or so
    assert len(run.world.calendar.events) <= 1024


def test_a_crowd_that_yields_at_once_finds_room_in_the_calendar():
    # A job of 100 kB takes the places of up to 1,000 small ones, whose clients all back off; most timeouts are void.
    client = bw.Client(attempt_timeout=bw.Exponential(mean="60 s"), retry=bw.Retry(base="5 s", max_attempts=3))
    crowd = bw.Scenario(
        arrivals=bw.Poisson(rate=200), client=client, workers=bw.Workers(count=2, service="10 ms"),
        jobs={"small": bw.Job(share=400, size="100 B"), "large": bw.Job(size="100 kB")},
        queue=bw.Queue(capacity_bytes="100 kB", overflow="shed_oldest"),
    )  # fmt: skip
    run = bw.Run(horizon="30 s", record=("jobs", "attempts"), seed=4)
    assert_identical(replicate(crowd, run, 0, "compiled"), replicate(crowd, run, 0, "simpy"))


def test_many_live_jobs_in_grown_room_agree_with_the_reference():
    retry = bw.Retry(kind="constant", base="20 s", max_attempts=2)
    flood = bw.Scenario(
        arrivals=bw.Poisson(rate=200), client=bw.Client(attempt_timeout=bw.Exponential(mean="5 s"), retry=retry),
        queue=bw.Queue(backlog=700), workers=bw.Workers(count=3, service="50 ms"),
    )  # fmt: skip
    run = bw.Run(horizon="15 s", record=("jobs", "attempts"))
    assert_identical(replicate(flood, run, 0, "compiled"), replicate(flood, run, 0, "simpy"))


def test_live_jobs_that_outgrow_the_memory_allowed_end_in_one_line_with_the_figures(monkeypatch):
    monkeypatch.setattr(system, "LIVE_JOBS", 1000)
    flood = MM1.with_({"load": 3.0})
    told = r"at [\d.]+ s 1,000 jobs were alive and 999 attempts waiting, up from 512 at [\d.]+ s: .*, 1,000 of either"
    with pytest.raises(bw.LimitError, match=told):
        replicate(flood, bw.Run(arrivals=5_000), 0, "compiled")


def test_the_result_does_not_depend_on_the_number_of_threads():
    scenario, run = bw.model("thumbnails"), bw.Run(horizon="70 s", replications=5)
    alone, beside = (bw.simulate(scenario, run, engine="compiled", parallel=n) for n in (1, 3))
    for left, right in zip(alone.outcomes, beside.outcomes, strict=True):
        assert_identical(left, right)
    assert alone.summary.equals(beside.summary)


def test_an_error_in_one_replication_ends_the_others_and_names_it(monkeypatch):
    monkeypatch.setattr(system, "LIVE_JOBS", 3000)
    with pytest.raises(bw.LimitError, match=r"\(replication \d\)"):
        bw.simulate(MM1.with_({"load": 0.999}), arrivals=10**9, replications=3, engine="compiled", parallel=3)


def test_a_run_is_halted_within_a_second():
    halt = Event()
    Timer(0.3, halt.set).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        replicate(MM1, bw.Run(arrivals=10**10), 0, "compiled", halt)
    assert time.perf_counter() - start < 1.3


# The command, which tells when its kernels are read and its first events are done.
TELLING = """
import sys
from backwater.engines.compiled.system import System
from backwater.experiments.cli import main

check = System._check_rules

def told(self):
    if System._check_rules is not check:
        System._check_rules = check
        print("begun", file=sys.stderr, flush=True)

System._check_rules = told
main()
"""


@pytest.mark.parametrize("replications", ["1", "4"])
def test_ctrl_c_is_answered_within_a_second(replications):
    replicate(MM1, bw.Run(arrivals=10), 0, "compiled")  # so that the kernels are kept
    command = [sys.executable, "-c", TELLING, "run", "thumbnails", "--engine", "compiled", "--horizon", "90000 h"]
    long = subprocess.Popen([*command, "--replications", replications], stderr=subprocess.PIPE, text=True)
    assert long.stderr.readline() == "begun\n"
    start = time.perf_counter()
    long.send_signal(signal.SIGINT)
    told = long.communicate(timeout=20)[1]
    assert long.returncode == 130, told
    assert time.perf_counter() - start < 2  # leaving Python included
    assert told.strip().splitlines()[-1] == "Stopped."


def test_auto_takes_the_reference_only_for_small_runs_without_kernels(monkeypatch):
    from backwater.engines import compiled as engine

    ready, prepared = [False], []
    monkeypatch.setattr(engine, "is_ready", lambda: ready[0])
    monkeypatch.setattr(engine, "prepare", lambda: prepared.append(1))
    small, large = bw.Run(arrivals=100), bw.Run(arrivals=10**6)
    assert [resolve("auto", MM1, run) for run in (small, large)] == ["simpy", "compiled"]
    assert resolve("auto", MM1, small, points=10_000) == "compiled"
    ready[0] = True
    assert resolve("auto", MM1, small) == "compiled"
    assert len(prepared) == 3
    with pytest.raises(bw.ScenarioError, match='did you mean "compiled"'):
        resolve("compield", MM1, small)


@compiled
def play(its, moves, out):  # type: ignore[no-untyped-def]
    """Push (time, key) of each move; a move with a key below 0 takes the first event out, 1 beyond replaces it."""
    n = 0
    for k in range(len(moves)):
        time, key = moves[k, 0], int(moves[k, 1])
        if key < 0 or (key % 3 == 0 and its.size[0] > 0):
            if its.size[0] == 0:
                continue
            out[n, 0], out[n, 1] = calendar.first_time(its), its.events[0].key
            n += 1
            if key < 0:
                calendar.pop(its)
            else:
                calendar.replace(its, time, key, k)
        else:
            calendar.push(its, time, key, k)
    return n


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.5, 1e9]), st.integers(-2, 40)), max_size=120))
def test_the_calendar_is_a_heap(moves):
    out, told, heap = np.zeros((len(moves) + 1, 2)), [], []
    for when, key in moves:
        if key >= 0 and (key % 3 or not heap):
            heapq.heappush(heap, (when, key))
        elif heap:
            told.append(heap[0])
            heapq.heappop(heap) if key < 0 else heapq.heapreplace(heap, (when, key))
    n = play(world.calendar(len(moves) + 1), np.array(moves, np.float64).reshape(-1, 2), out)
    assert [tuple(row) for row in out[:n]] == told


SMALL = """
    import sys
    from backwater import quantile, random
    print(quantile.normal_quantile(0.25), random.uniform(random.seed_word(1), 0, 0, 0, 0, 0), file=sys.stdout)
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a new process."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=True)


def test_importing_compiles_nothing(tmp_path):
    run("import backwater, backwater.simulation, backwater.engines.compiled", NUMBA_CACHE_DIR=str(tmp_path))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_kept_is_used_again_and_what_is_broken_is_made_anew(tmp_path):
    first = run(SMALL, NUMBA_CACHE_DIR=str(tmp_path)).stdout
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ic]")}
    assert len(kept) >= 4
    assert run(SMALL, NUMBA_CACHE_DIR=str(tmp_path)).stdout == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ic]")} == kept
    for path in kept:
        path.write_bytes(b"broken")
    assert run(SMALL, NUMBA_CACHE_DIR=str(tmp_path)).stdout == first


def test_without_a_folder_to_keep_kernels_in_they_are_compiled_each_time(tmp_path):
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    only_there = {"NUMBA_CACHE_DIR": str(blocked), "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    assert run(SMALL, **only_there).stdout == run(SMALL).stdout
    gone = tmp_path / "gone"
    code = SMALL.replace("import sys", "import shutil, sys") + f"\n    shutil.rmtree({str(gone)!r})"
    code = code.replace("    print(", f"    shutil.rmtree({str(gone)!r}); open({str(gone)!r}, 'w'); print(", 1)
    code = code.rpartition("\n")[0]
    assert run(code, NUMBA_CACHE_DIR=str(gone)).stdout == run(SMALL).stdout


def test_kernels_of_other_sources_are_not_used(monkeypatch):
    assert jit.is_ready(compiled(lambda x: x + 1)) is False
    replicate(MM1, bw.Run(arrivals=10), 0, "compiled")
    from backwater.engines.compiled import kernel

    kept = kernel.run._cache._cache_file
    assert kept._load_index()
    monkeypatch.setattr(kept, "_source_stamp", "of other sources")
    assert not kept._load_index()


def test_a_compilation_shows_that_it_is_alive(monkeypatch, capsys):
    monkeypatch.setattr(jit, "EVERY", 0.05)
    with jit.telling("the kernels"):
        time.sleep(0.3)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "backwater: compiling the kernels, once on this machine"
    assert told[1].startswith("backwater: still compiling, 0 s")
    assert told[-1].startswith("backwater: compiled in ")


def test_a_halted_run_gives_way_to_the_error_that_halted_it():
    def work(item, halt):
        if item == "broken":
            halt.wait(0.2)
            halt.set()
            time.sleep(0.3)
            raise bw.LimitError("too much")
        while not halt.wait(0.01):
            pass
        raise KeyboardInterrupt

    with pytest.raises(bw.LimitError, match="too much"):
        list(in_threads(work, ["long", "broken", "longer"], 3))
    halt = Event()
    halt.set()
    with pytest.raises(KeyboardInterrupt):
        list(in_threads(work, ["long"], 1, halt))
