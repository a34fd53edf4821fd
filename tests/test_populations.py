"""Rates that jump and closed populations, against their definitions: from the addressed random numbers themselves."""

import math

import numpy as np
import pytest

import backwater as bw
from backwater import random

ENGINES = ("simpy", "compiled")
RATES, STAYS = (2.0, 8.0, 0.0), (1.0, 2.0, 3.0)  # jobs a second, and mean times [s], of three states
SEED = np.uint64(7)


def arrived(arrivals, engine, replication=0, horizon="60 s", faults=(), **workers):
    """When each job arrived and ended [s], by its number."""
    made = bw.Scenario(arrivals=arrivals, workers={"count": 500, "service": "0 s", **workers}, faults=faults)
    run = bw.Run(horizon=horizon, seed=int(SEED), record=("jobs",), replications=1)
    from backwater.simulation import replicate

    rows = replicate(made, run, replication, engine).jobs
    return rows[np.argsort(rows[:, 1])][:, 3:5]


def states(replication, horizon):
    """(start, end, state) of each stay of the chain that RATES and STAYS describe, by hand."""
    now, number, out = 0.0, 0, []
    first = random.uniform(SEED, replication, 0, 0, random.FIRST_PHASE, 0)
    state = next(n for n, share in enumerate(np.cumsum(STAYS) / sum(STAYS)) if first < share)
    while now < horizon:
        stay = -STAYS[state] * math.log(1 - random.uniform(SEED, replication, 0, number, random.PHASE, 0))
        out.append((now, now + stay, state))
        now, number, state = now + stay, number + 1, (state + 1) % 3
    return out


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("replication", range(6))
def test_an_mmpp_s_jobs_are_a_unit_apart_along_its_cumulative_rate(engine, replication):
    found = arrived(bw.MMPP(rates=RATES, sojourns=STAYS), engine, replication)[:, 0]
    stays = states(replication, 60.0)

    def worked(until):
        return sum(RATES[state] * max(min(end, until) - start, 0.0) for start, end, state in stays)

    units = np.diff([0.0, *(worked(when) for when in found)])
    drawn = [-math.log(1 - random.uniform(SEED, replication, 0, n, random.GAP, 0)) for n in range(len(found) + 1)]
    assert units == pytest.approx(drawn[:-1], rel=1e-9, abs=1e-9)
    assert worked(60.0) - worked(found[-1]) < drawn[-1]  # the next one is not due
    assert not any(start < when < end for start, end, state in stays if state == 2 for when in found)


def test_an_mmpp_begins_in_its_states_by_their_long_run_shares():
    seen = [states(replication, 0.1)[0][2] for replication in range(6)]
    assert len(set(seen)) == 3  # so the test above begins in each


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("scale", "faults", "pace"), [
    (1.0, (), [1.0, 1.0]), (2.0, (), [2.0, 2.0]),
    (1.0, [{"kind": "load", "factor": 4.0, "start": "10 s", "duration": "90 s"}], [1.0, 4.0]),
])  # fmt: skip
def test_a_closed_client_thinks_sends_waits_and_thinks_again(engine, scale, faults, pace):
    # Three clients, services of 2 s on workers enough for all: each client's story by hand.
    source = bw.Closed(clients=3, think=bw.Exponential(mean="5 s"), scale=scale)
    found = arrived(source, engine, faults=faults, service="2 s")

    def think(at, job, index):
        u = random.uniform(SEED, 0, 0, job, random.THINK, index)
        return -5.0 * math.log(1 - u) / pace[at >= 10.0]

    due = [(think(0.0, client, 1), client) for client in range(3)]
    for number, (came, ended) in enumerate(found):
        when, client = min(due)
        assert (came, ended) == (pytest.approx(when, rel=1e-12), pytest.approx(min(when + 2.0, 60.0), rel=1e-12))
        due[client] = (when + 2.0 + think(when + 2.0, number, 0), client)
    assert min(due)[0] > 60.0
    assert len(found) > 10
