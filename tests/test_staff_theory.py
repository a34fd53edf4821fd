"""Workers that fail by chance against what is known exactly, on both engines; and the autoscaled model.

Every exact value lies in its 99.99 % interval, so each comparison fails by chance once in 10,000 times; the seed is
fixed, so what passes keeps passing.
"""

import math
from collections import deque

import numpy as np
import pytest
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve

import backwater as bw

LEVEL = 0.9999


def failing(law="exponential", *, lam, mu, up, repair, in_hand="pause", count=1, capacity=None):
    """M/M/c whose workers fail; or M/D/c."""
    service = bw.Exponential(mean=1 / mu) if law == "exponential" else bw.Constant(value=1 / mu)
    failures = {"up": bw.Exponential(mean=up), "repair": bw.Exponential(mean=repair), "in_hand": in_hand}
    return bw.Scenario(
        arrivals=bw.Poisson(rate=lam), queue={"capacity": capacity},
        workers={"count": count, "service": service, "failures": failures},
    )  # fmt: skip


def compare(scenario, exact, horizon, engine="compiled", replications=16):
    """Each exact value by metric lies in its interval."""
    result = bw.simulate(
        scenario, horizon=horizon, warmup=horizon / 20, replications=replications, seed=20, engine=engine
    )
    for name, value in exact.items():
        found = result.estimate(name, LEVEL)
        assert found.low <= value <= found.high, (name, value, found)


def mm1_with_breakdowns(lam, mu, up, repair):
    """M/M/1 whose server breaks down busy or not, at rate a, and is repaired at rate b; work goes on where it stood.

    Source: White, Christie, "Queuing with preemptive priorities or with breakdown", Operations Research 6 (1958); Avi-
    Itzhak, Naor, "Some queuing problems with the service station subject to breakdown", Operations Research 11 (1963).
    Derived: with P1(z), P0(z) the generating functions of the number in system while up and while down,
    (lam (1 - z) + b) P0 = a P1 and (lam (1 - z) + mu (1 - 1/z) + a) P1 = b P0 + mu (1 - 1/z) p10, so
    P1 = mu p10 / (mu - lam z - a lam z / (lam (1 - z) + b)), and P1(1) = b / (a + b) gives p10. L = P1' + P0' at 1.
    """
    a, b, rho = 1 / up, 1 / repair, lam / mu
    availability, k = b / (a + b), lam * a / (b * (a + b))
    return {"system_mean": rho * (1 + k) / (availability - rho) + k, "utilization": rho / availability}


@pytest.mark.parametrize(("engine", "horizon"), [("compiled", 200_000), ("simpy", 4_000)])
@pytest.mark.parametrize(("lam", "mu", "up", "repair"), [(0.5, 1.0, 10.0, 2.0), (3.0, 10.0, 0.5, 0.5)])
def test_one_worker_that_breaks_down_and_resumes(engine, horizon, lam, mu, up, repair):
    scenario, exact = failing(lam=lam, mu=mu, up=up, repair=repair), mm1_with_breakdowns(lam, mu, up, repair)
    compare(scenario, exact, horizon, engine)


@pytest.mark.parametrize(("engine", "horizon"), [("compiled", 200_000), ("simpy", 4_000)])
def test_one_worker_that_breaks_down_and_begins_anew(engine, horizon):
    # A service of d goes through undisturbed with chance exp(-a d): it takes (exp(a d) - 1) (1/a + 1/b) on average
    # from its start to its end (preemptive repeat, identical), of which no failure before the start is a part.
    lam, mu, up, repair = 0.3, 1.0, 2.0, 0.5
    takes = math.expm1(1 / (mu * up)) * (up + repair)
    scenario = failing("constant", lam=lam, mu=mu, up=up, repair=repair, in_hand="restart")
    compare(scenario, {"busy_mean": lam * takes}, horizon, engine)


def chain(scenario, moves):
    """Stationary probabilities of a Markov chain, by state; ``moves(state)`` yields (rate, state)."""
    index, todo, rates = {scenario: 0}, deque([scenario]), []
    while todo:
        state = todo.popleft()
        for rate, to in moves(state):
            if rate > 0:
                if to not in index:
                    index[to] = len(index)
                    todo.append(to)
                rates.append((index[state], index[to], rate))
    n = len(index)
    q = np.zeros((n, n))
    for at, to, rate in rates:
        q[at, to] += rate
        q[at, at] -= rate
    q[:, -1] = 1.0  # the probabilities add up to 1
    right = np.zeros(n)
    right[-1] = 1.0
    return dict(zip(index, spsolve(csc_matrix(q.T), right), strict=True))


def staffed(lam, mu, up, repair, *, in_hand, count, capacity):
    """M/M/c/c+K whose workers fail: (resting, serving, broken with a job in hand, broken without, waiting).

    A worker that fails keeps its job: it stands still with it (pause) or finishes it (finish); no other can take it.
    """
    a, b = 1 / up, 1 / repair

    def serves(rest, busy, held, gone, wait):
        """A worker that is up has nothing in hand: it takes who waits."""
        return (rest, busy + 1, held, gone, wait - 1) if wait else (rest + 1, busy, held, gone, wait)

    def moves(state):
        rest, busy, held, gone, wait = state
        if rest:
            yield lam, (rest - 1, busy + 1, held, gone, wait)
        elif wait < capacity:
            yield lam, (rest, busy, held, gone, wait + 1)
        yield busy * mu, serves(rest, busy - 1, held, gone, wait)
        yield rest * a, (rest - 1, busy, held, gone + 1, wait)
        yield busy * a, (rest, busy - 1, held + 1, gone, wait)
        yield held * b, (rest, busy + 1, held - 1, gone, wait)
        yield gone * b, serves(rest, busy, held, gone - 1, wait)
        if in_hand == "finish":
            yield held * mu, (rest, busy, held - 1, gone + 1, wait)

    found = chain((count, 0, 0, 0, 0), moves).items()
    return {
        "queue_mean": sum(p * state[4] for state, p in found),
        "busy_mean": sum(p * (state[1] + state[2]) for state, p in found),
        "rejection_ratio": sum(p for state, p in found if state[0] == 0 and state[4] == capacity),
        "throughput": sum(p * mu * (state[1] + (state[2] if in_hand == "finish" else 0)) for state, p in found),
    }


@pytest.mark.parametrize(("engine", "horizon"), [("compiled", 100_000), ("simpy", 1_500)])
@pytest.mark.parametrize("in_hand", ["pause", "finish"])
@pytest.mark.parametrize(("lam", "count", "capacity"), [(2.0, 3, 8), (1.2, 2, 6)])
def test_several_workers_that_fail(engine, horizon, in_hand, lam, count, capacity):
    part = {"lam": lam, "mu": 1.0, "up": 4.0, "repair": 1.5, "in_hand": in_hand, "count": count, "capacity": capacity}
    compare(failing(**part), staffed(**part), horizon, engine)


def test_the_chain_of_workers_that_never_fail_is_erlangs():
    # M/M/2/2+K: p0 = 1 / (1 + a + a^2/2 (1 + r + ... + r^K)), r = a / 2.
    found = staffed(1.2, 1.0, 1e12, 1.0, in_hand="pause", count=2, capacity=5)
    tail = [1.2**2 / 2 * 0.6**n for n in range(6)]
    p0 = 1 / (1 + 1.2 + sum(tail))
    assert found["rejection_ratio"] == pytest.approx(p0 * tail[-1], rel=1e-9)
    assert found["queue_mean"] == pytest.approx(p0 * sum(n * p for n, p in enumerate(tail)), rel=1e-9)


def test_the_autoscaled_model_is_late_for_its_bursts():
    runs = {"horizon": "70 min", "warmup": "10 min", "replications": 4, "seed": 20}
    late = bw.simulate(bw.model("autoscaling"), **runs)
    prompt = bw.simulate(bw.model("autoscaling", lag="0 s", start_up="0 s"), **runs)
    roomy = bw.simulate(bw.model("autoscaling", least=14), **runs)
    assert late["failure_ratio"] > 0.4
    assert late["workers_mean"] > 4 * late["busy_mean"]
    assert prompt["failure_ratio"] < late["failure_ratio"] / 2
    assert roomy["failure_ratio"] < 0.001
    # Twelve are busy in a burst, so that twenty would be busy to 60 %.
    assert roomy["workers_max"] == 40
