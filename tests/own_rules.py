"""Rules of one's own for the tests, in a module that files can name."""

import math
from typing import Any

import backwater as bw

LATE = 1.5  # [s]


@bw.rule("admission")
def few(idle, waiting, k=3.0):
    """As a queue of capacity k."""
    return idle > 0 or waiting < k


@bw.rule("admission")
def bucket(now, memory, rate=3.0, burst=2.0):
    """As ``RateLimit``."""
    if memory[2] == 0.0:
        memory[0], memory[2] = burst, 1.0
    memory[0] = min(burst, memory[0] + (now - memory[1]) * rate)
    memory[1] = now
    if memory[0] < 1.0:
        return False
    memory[0] -= 1.0
    return True


@bw.rule("admission")
def red(u, waiting, memory, low=1.0, high=6.0, most=0.3, weight=0.2):
    """As ``Red``."""
    memory[0] += weight * (waiting - memory[0])
    if memory[0] < low:
        memory[1] = 0.0
        return True
    chance = 1.0
    if memory[0] < high:
        base = most * (memory[0] - low) / (high - low)
        chance = base / max(1.0 - memory[1] * base, 1e-12)
    memory[1] = 0.0 if u < chance else memory[1] + 1.0
    return u >= chance


@bw.rule("admission")
def choosy(u, busy, idle, capacity, size, demand, priority, attempt, arrived, now, deadline, memory):
    """Something of everything that a rule is told."""
    memory[7] += 1.0
    if now - arrived > LATE or deadline < now + demand:
        return False
    return idle > 0 or u * (busy + size / 1000.0 + priority) < 1.5 + attempt or memory[7] > min(capacity, 99.0)


@bw.rule("backoff")
def full(failed, base, factor, cap, u):
    """As full jitter."""
    return u * min(cap, base * factor ** (failed - 1.0))


@bw.rule("backoff")
def plain(failed, base, factor, cap):
    """As no jitter."""
    return min(cap, base * factor ** (failed - 1.0))


@bw.rule("backoff")
def decorrelated(base, previous, cap, u):
    """As decorrelated jitter."""
    return min(cap, base + u * (3.0 * previous - base))


@bw.rule("backoff")
def fibonacci(memory, now, timed_out, u, step=0.1):
    """Ever longer pauses for all clients of a source, twice as long after a timeout; none before 5 s."""
    memory[0], memory[1] = memory[1], max(memory[0] + memory[1], step) % 3.0
    return 0.0 if now < 5.0 else math.sqrt(memory[1] * u) * (1.0 + timed_out)


@bw.rule("discipline")
def shortest(demand):
    """As sjf."""
    return demand


@bw.rule("discipline")
def earliest(deadline):
    """As edf."""
    return deadline


@bw.rule("discipline")
def first(memory):
    """As fifo."""
    memory[0] += 1.0
    return memory[0]


@bw.rule("discipline")
def mixed(u, waiting, size, demand, priority, weight, attempt, arrived, now, deadline):
    """Something of everything that a rule is told."""
    late = 0.0 if math.isinf(deadline) else deadline
    return priority + demand / weight + 0.1 * size * u - attempt * (now - arrived) + 0.01 * waiting + late


def rerun(scenario: bw.Scenario, run: bw.Run) -> Any:
    """A replication on the compiled engine, for another process."""
    from backwater.simulation import replicate

    return replicate(scenario, run, 0, "compiled")
