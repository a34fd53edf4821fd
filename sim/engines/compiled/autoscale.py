"""What the autoscaler sees and decides."""

from __future__ import annotations

from backwater.components import autoscale as rules
from backwater.jit import inner
from backwater.outcome import BUSY, WORKERS, WORKING


@inner
def spend(world):  # type: ignore[no-untyped-def]
    """Account for the time up to now, before how many are busy or on duty changes."""
    plan, gauges = world.plan[0], world.books.gauges
    busy = gauges[WORKING if plan.batch else BUSY].value
    memory = world.gates[plan.autoscale_at : plan.autoscale_at + rules.MEMORY]
    rules.spend(memory, world.state[0].now, busy, gauges[WORKERS].value)


@inner
def look(world):  # type: ignore[no-untyped-def]
    """What it sees now."""
    plan = world.plan[0]
    spend(world)
    params = world.numbers[plan.autoscale : plan.autoscale + rules.PARAMS]
    memory = world.gates[plan.autoscale_at : plan.autoscale_at + rules.MEMORY]
    return rules.look(params, memory, world.state[0].waiting)


@inner
def decide(world, seen):  # type: ignore[no-untyped-def]
    """How many workers it wants on duty after it saw this."""
    plan, state = world.plan[0], world.state[0]
    params = world.numbers[plan.autoscale : plan.autoscale + rules.PARAMS]
    memory = world.gates[plan.autoscale_at : plan.autoscale_at + rules.MEMORY]
    return rules.decide(params, memory, state.now, state.called, seen)
