"""Events with a place among those of their instant."""

from __future__ import annotations

import simpy

from backwater import order
from backwater.engines.reference.jobs import LiveJob

# SimPy's own zero-delay steps have the priorities 0 and 1; then comes the end of an event; then the next one of ours.
END, OURS = 2, 3
_RANKS = [rank << order.RANK_SHIFT for rank in range(order.SAMPLE + 1)]


class After(simpy.Event):
    """An event ``delay`` from now [s], at its place ``key`` (see ``backwater.order``) among those of its instant."""

    def __init__(self, env: simpy.Environment, delay: float, key: int) -> None:
        # What simpy.Timeout sets, which takes no priority.
        self.env, self.callbacks, self._ok, self._value, self._defused = env, [], True, None, False
        env.schedule(self, OURS + key, delay)  # type: ignore[arg-type]


def at(rank: int, job: LiveJob, attempt: int) -> int:
    """The place of an event of this job's ``attempt`` among those of its instant."""
    return _RANKS[rank] + job.place + (attempt if attempt < order.ATTEMPT_MAX else order.ATTEMPT_MAX)


def end_of_event(env: simpy.Environment) -> simpy.Event:
    """An event of now, after what the present event sets off and before any other event."""
    event = simpy.Event(env)
    event._ok, event._value = True, None
    env.schedule(event, END)  # type: ignore[arg-type]
    return event
