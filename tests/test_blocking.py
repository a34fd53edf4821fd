"""Producers that wait where the queue is full: exact chains, timelines by hand, an identity, who waits."""

import numpy as np
import pytest
from test_timelines import trace_of

import backwater as bw
from backwater.outcome import assert_identical
from backwater.simulation import replicate

LEVEL = 0.9999  # each comparison fails by chance once in 10,000 times


def blocked(capacity=1, **queue):
    return bw.Queue(capacity=capacity, overflow="block", **queue)


def rows(scenario, horizon="100 s"):
    """(sent, accepted, taken, ended) of each attempt, in order of job and number; the engines agree."""
    run = bw.Run(horizon=horizon, record=("attempts", "jobs"))
    found = replicate(scenario, run, 0, "compiled")
    assert_identical(found, replicate(scenario, run, 0, "simpy"))
    order = np.lexsort((found.attempts[:, 3], found.attempts[:, 1], found.attempts[:, 0]))
    return [tuple(row) for row in found.attempts[order][:, [5, 6, 7, 9]].tolist()]


def same(found, wanted):
    """Equal, NaN to NaN."""
    np.testing.assert_array_equal(np.array(found), np.array(wanted, float))


def chain(rate, mean, workers, capacity, sources):
    """Shares of time with n = 0, 1, ... in the room or outside, by the rates up and down between neighbours.

    Up: ``rate`` from each source that does not wait outside; down: each busy worker by itself.
    """
    places = workers + capacity
    shares = [1.0]
    for n in range(places + sources):
        free = sources - max(n - places, 0)
        shares.append(shares[-1] * free * rate / (min(n + 1, workers) / mean))
    return np.array(shares) / sum(shares)


@pytest.mark.parametrize(("rate", "workers", "capacity", "sources"), [
    (8.0, 1, 2, 1), (20.0, 3, 0, 1), (3.0, 2, 4, 3), (9.0, 1, 0, 2)])  # fmt: skip
def test_sources_that_stop_while_they_wait_are_a_chain_of_states(rate, workers, capacity, sources):
    # From the definition: a Poisson source begins a new exponential gap when its job is in, so the state is how many
    # are in the room or outside, and at most one per source is outside.
    mean, places = 0.2, workers + capacity
    p = chain(rate, mean, workers, capacity, sources)
    n = np.arange(len(p))
    outside = np.maximum(n - places, 0)
    throughput = (p * np.minimum(n, workers)).sum() / mean
    wanted = {
        "throughput": throughput, "arrival_rate": rate * (p * (sources - outside)).sum(),
        "queue_mean": (p * np.clip(n - workers, 0, capacity)).sum(), "outside_mean": (p * outside).sum(),
        "busy_mean": (p * np.minimum(n, workers)).sum(), "rejection_ratio": 0.0,
        # Little's law: outside and in the room together, by the jobs that are sent.
        "latency_mean": (p * n).sum() / throughput,
        "sojourn_mean": (p * np.minimum(n, places)).sum() / throughput,
    }  # fmt: skip
    scenario = bw.Scenario(
        arrivals={f"source{i}": bw.Poisson(rate=rate) for i in range(sources)}, queue=blocked(capacity),
        workers={"count": workers, "service": bw.Exponential(mean=mean)},
    )  # fmt: skip
    result = bw.simulate(scenario, horizon=2000, warmup=20, replications=16, seed=20)
    for name, exact in wanted.items():
        _, low, high, _ = result.estimate(name, LEVEL)
        assert low - 1e-9 <= exact <= high + 1e-9, (name, exact, low, high)


def test_the_phases_of_a_source_go_on_while_it_waits():
    rates, stays, mean, places = (2.0, 20.0), (1.0, 0.5), 0.2, 3
    # (phase, n in the room or outside): one more by the phase's rate unless one is outside, one fewer, another phase.
    size = places + 2
    flow = np.zeros((2 * size, 2 * size))
    for phase in (0, 1):
        for n in range(size):
            here = phase * size + n
            flow[here, (1 - phase) * size + n] = 1 / stays[phase]
            if n <= places:
                flow[here, here + 1] = rates[phase]
            if n:
                flow[here, here - 1] = 1 / mean
    balance = flow.T - np.diag(flow.sum(axis=1))
    balance[-1] = 1.0
    p = np.linalg.solve(balance, np.eye(2 * size)[-1]).reshape(2, size).sum(axis=0)
    made = bw.Scenario(arrivals=bw.MMPP(rates=rates, sojourns=stays), queue=blocked(places - 1),
                       workers={"service": bw.Exponential(mean=mean)})  # fmt: skip
    result = bw.simulate(made, horizon=4000, warmup=20, replications=16, seed=20)
    for name, exact in (("throughput", (1 - p[0]) / mean), ("outside_mean", p[-1])):
        _, low, high, _ = result.estimate(name, LEVEL)
        assert low <= exact <= high, (name, exact, low, high)


def test_a_source_begins_its_next_gap_when_its_job_is_in():
    every = bw.Renewal(gap="1 s")
    made = bw.Scenario(arrivals=every, queue=blocked(), workers={"service": "3 s"})
    # Job 0 is served from 1 to 4, job 1 waits from 2; job 2 comes at 3, is let in at 4, job 3 comes at 5, in at 7, ...
    same(rows(made, "11 s"), [(1, 1, 1, 4), (2, 2, 4, 7), (3, 4, 7, 10), (5, 7, 10, 11), (8, 10, np.nan, 11),
                              (11, np.nan, np.nan, 11)])  # fmt: skip


def test_a_timetable_does_not_wait(tmp_path):
    timetables = bw.Periodic(interval="1 s"), trace_of(tmp_path, [0, 1, 2, 3, 4, 5])
    periodic, trace = (bw.Scenario(arrivals=each, queue=blocked(), workers={"service": "3 s"}) for each in timetables)
    # Each job comes at its time, or at once when the one before it is in: jobs of 4 and 5 s have to wait for that.
    wanted = [(0, 0, 0, 3), (1, 1, 3, 6), (2, 3, 6, 9), (3, 6, 9, 12), (6, 9, 12, 15), (9, 12, 15, 18)]
    same(rows(trace), wanted)
    same(rows(periodic, "19 s")[:6], np.array(wanted) + 1)


def test_whoever_waits_outside_comes_in_in_order_even_past_a_smaller_one_that_would_fit(tmp_path):
    sizes, sources = {"kind": "linear", "per": {"bytes": "1 B"}}, {}
    for name, lines in (("a", "0,100\n1,200\n"), ("b", "0,0\n2,200\n"), ("c", "0,0\n3,100\n")):
        (tmp_path / f"{name}.csv").write_text("t,bytes\n" + lines)
        sources[name] = bw.Trace(file=str(tmp_path / f"{name}.csv"), time="t", columns=("bytes",))
    made = bw.Scenario(
        arrivals=sources, jobs={"job": bw.Job(size=sizes)}, workers={"service": "4 s"},
        queue=bw.Queue(capacity_bytes="300 B", overflow="block"),
    )  # fmt: skip
    # a0 is served until 4, b0 and c0 (0 B) wait; a1 (200 B) joins at 1; b1 (200 B) is held from 2, c1 (100 B) would
    # fit at 3 but stands behind it. a1 is taken at 12: then both come in.
    same(rows(made), [(0, 0, 0, 4), (1, 1, 12, 16), (0, 0, 4, 8), (2, 12, 16, 20), (0, 0, 8, 12), (3, 12, 20, 24)])


def test_patience_counts_from_when_it_was_sent_and_who_loses_it_outside_leaves(tmp_path):
    def impatient(on_timeout):
        client = {"attempt_timeout": "8 s", "on_timeout": on_timeout}
        arrivals = trace_of(tmp_path, [0, 1, 2, 3])
        return bw.Scenario(arrivals=arrivals, queue=blocked(), workers={"service": "12 s"}, client=client)

    # Job 2 is held from 2 until its client gives up at 10; job 3, due at 3, comes then, and in when job 1 is taken.
    wanted = [(0, 0, 0, 12), (1, 1, 12, 24), (2, np.nan, np.nan, 10), (10, 12, 24, 36)]
    same(rows(impatient("leave")), wanted)
    # Job 0 is stopped at 8 and job 1 taken; job 2 comes in then, job 3 when job 1 is stopped, at 9.
    same(rows(impatient("cancel")), [(0, 0, 0, 8), (1, 1, 8, 9), (2, 8, 9, 10), (8, 9, 10, 16)])
    result = bw.simulate(impatient("leave"), horizon="100 s", replications=1)
    assert (result["timeout_ratio"], result["cancelled_ratio"], result["rejection_ratio"]) == (1.0, 0.25, 0.0)


def test_a_retry_waits_outside_by_itself_while_its_source_goes_on(tmp_path):
    retry = {"kind": "constant", "base": "500 ms", "jitter": "none", "max_attempts": 2}
    errors = [{"kind": "errors", "share": 1.0, "start": "2 s", "duration": "2 s"}]
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1, 2, 3.75]), queue=blocked(0), client={"retry": retry},
                       workers={"service": "3 s"}, faults=errors)  # fmt: skip
    # Job 0 fails at 3; job 1, outside since 1, is taken then, and job 2 (of 2) comes at once and is held. Job 0 comes
    # again at 3.5 and stands behind it, until 9; job 3 (of 3.75) comes at 6, when job 2 is in.
    same(rows(made, "30 s"), [(0, 0, 0, 3), (3.5, 9, 9, 12), (1, 3, 3, 6), (3, 6, 6, 9), (6, 12, 12, 15)])


def test_a_caller_that_goes_on_is_blocked_until_it_is_let_in(tmp_path):
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1, 2, 3]), queue=blocked(), workers={"service": "6 s"},
                       client={"mode": "async", "attempt_timeout": "3 s"})  # fmt: skip
    # Timeouts cover acceptance only: job 2 is given up outside at 5; job 3 comes then, is let in at 6, and stays.
    same(rows(made), [(0, 0, 0, 6), (1, 1, 6, 12), (2, np.nan, np.nan, 5), (5, 6, 12, 18)])
    assert bw.simulate(made, horizon="100 s", replications=1)["blocked_mean"] == (0 + 0 + 3 + 1) / 4


def test_a_closed_population_does_not_mind_where_it_waits():
    parts = {"arrivals": bw.Closed(clients=12, think=bw.Exponential(mean="1 s")),
             "workers": {"count": 2, "service": bw.LogNormal(mean="300 ms", cv=1.5)}}  # fmt: skip
    run = bw.Run(horizon="500 s", record=("attempts",))
    held, free = (
        replicate(bw.Scenario(**parts, queue=queue), run, 0, "compiled") for queue in (blocked(2), bw.Queue())
    )
    keep = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 16]  # all but when it was accepted
    np.testing.assert_array_equal(held.attempts[:, keep], free.attempts[:, keep])
    assert (held.attempts[:, 6] > held.attempts[:, 5]).mean() > 0.3


def test_one_that_could_never_come_in_gets_the_503():
    made = bw.Scenario(arrivals=bw.Periodic(interval="1 s"), jobs={"job": bw.Job(size="300 B")},
                       workers={"service": "10 s"}, queue=blocked(None, capacity_bytes="200 B"))  # fmt: skip
    result = bw.simulate(made, horizon="9 s", replications=1)
    assert result["rejection_ratio"] == pytest.approx(8 / 9)


def test_the_steps_tell_of_those_outside(tmp_path):
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1, 2]), queue=blocked(), workers={"service": "3 s"})
    events = bw.simulate(made, horizon="100 s", replications=1, record=("events",)).events
    told = events[events["job"] == 2]
    assert told["time"].tolist() == [2, 3, 6, 9]
    assert told["what"].tolist() == ["full, held outside", "let in: waits", "service starts on worker 0", "completed"]
