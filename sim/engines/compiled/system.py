"""One replication on the compiled engine: prepare, let the kernel run in shares, grow what it outgrows, close."""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import cache
from threading import Event

import numpy as np

from backwater import jit
from backwater.books import Fold
from backwater.components.arrivals import Periodic
from backwater.components.source import Listed
from backwater.components.workers import Workers
from backwater.engines.compiled import faults, kernel, producer, protocol, staff, workflow
from backwater.engines.compiled import world as w
from backwater.engines.compiled.layout import Layout, for_run, layout
from backwater.errors import LimitError
from backwater.measure import alone
from backwater.outcome import Outcome, audit
from backwater.rules import FRAME
from backwater.run import Run
from backwater.scenario import Scenario

LIVE_JOBS = 5_000_000  # a live job takes about 0.4 kB here
EVENTS = 400_000  # that happen before Python looks up: some tens of milliseconds
SLOTS = 256  # at the start
ROOM_FOR = 32  # events at the start, whatever each may put down: how much room is left is asked again after so many


class System:
    """A replication in progress."""

    def __init__(self, scenario: Scenario, run: Run, replication: int, slots: int = SLOTS) -> None:
        self.scenario, self.run, self.replication = scenario, run, replication
        deadlines = [math.inf if job.deadline is None else job.deadline for job in scenario.jobs.values()]
        self.fold = Fold(run, np.array(deadlines), scenario.workers.at_first)
        base = layout(scenario)
        plan = for_run(base, run, replication, self.fold.records)
        self.world = _new_world(scenario, base, plan, self.fold, slots)
        self.traces = {n: p.source for n, p in enumerate(scenario.producers) if isinstance(p.source, Listed)}
        self.passes = {n: (0, np.empty(0), np.empty(0, np.int64)) for n in self.traces}
        self.own = base.own
        self.outgrown = (slots, 0.0)  # the room that jobs or attempts last outgrew, and when [s]

    def go(self, halt: Event | None = None) -> Outcome:
        """Run to the end, or until ``halt`` is set: then raises KeyboardInterrupt."""
        self._open()
        until = self._make_room(0.0 if math.isinf(self.run.end) else self.run.end)
        while True:
            code = kernel.run(self.world, until, EVENTS)
            self._check_rules()
            self._hand_over()
            if code == kernel.ROOM:
                self._grow()
            elif code == kernel.PASS:
                for source in self.traces:
                    if self.world.sources[source]["spent"]:
                        self._next_pass(source)
            elif code == kernel.LATER and until < self.run.end:
                until = self._make_room(2.0 * until)
            elif code != kernel.PAUSED:
                return self._finish()
            elif halt is not None and halt.is_set():
                raise KeyboardInterrupt

    def _check_rules(self) -> None:
        """Raise RuleError where a rule of one's own has failed."""
        for at, rule in self.own.items():
            rule.check(self.world.gates[at : at + FRAME])

    def _make_room(self, until: float) -> float:
        """Make room for samples, and return the time up to which the run may go."""
        room = self.fold.make_room(until)
        self.world = self.world._replace(books=self.fold.books)
        return min(room, self.run.end)

    def _open(self) -> None:
        """Put down each source's first job, the backlog's too, the faults, and what the staff does."""
        self._room_for(2 * len(self.world.faults))
        faults.put_down(self.world)
        self._room_for(int(kernel.spare(self.world)))
        staff.put_down(self.world)
        for source in range(len(self.scenario.producers) + 1):
            if source in self.traces:
                self._next_pass(source)
            elif self.world.senders[source]["clients"]:
                self._populate(source)
            else:
                producer.put_down(self.world, source)

    def _populate(self, source: int) -> None:
        """Let a closed population think, once there is room for it."""
        self._room_for(int(self.world.senders[source]["clients"]))
        producer.populate(self.world, source)

    def _room_for(self, events: int) -> None:
        """Let the calendar have room for so many more events."""
        while self.world.calendar.size[0] + events > len(self.world.calendar.events):
            self.world = self.world._replace(calendar=w.grown_calendar(self.world.calendar))

    def _next_pass(self, source: int) -> None:
        """Give a source the next pass through its trace that holds any job."""
        trace, scale = self.traces[source], self.scenario.producers[source].scale
        turn, times, rows = self.passes[source]
        address = self.world.plan[0]["seed"], self.replication, source
        times, rows = trace.pass_through(turn, scale, address)
        while not trace.may_end and not len(times):
            turn += 1
            times, rows = trace.pass_through(turn, scale, address)
        self.passes[source] = (turn + 1, times, rows)
        self._place_traces()
        self.world.state["refill"] = w.NONE
        self.world.sources[source]["at"], self.world.sources[source]["spent"] = self.world.sources[source]["first"], 0
        producer.put_down(self.world, source)

    def _place_traces(self) -> None:
        """Lay the present passes of all traces one after the other."""
        at = 0
        for source, (_, times, _) in self.passes.items():
            its = self.world.sources[source]
            its["at"], its["first"], its["stop"] = its["at"] - its["first"] + at, at, at + len(times)
            at += len(times)
        times, rows = (np.concatenate([each[n] for each in self.passes.values()]) for n in (1, 2))
        self.world = self.world._replace(trace_times=times, trace_rows=rows)

    def _hand_over(self) -> None:
        """Hand over the rows that are held, where they are recorded."""
        state = self.world.state[0]
        self.fold.keep_attempts(w.plain(self.world.attempt_rows[: state["attempt_rows"]]))
        self.fold.keep_jobs(w.plain(self.world.job_rows[: state["job_rows"]]))
        self.fold.notes(w.plain(self.world.note_rows[: state["note_rows"]]))
        state["attempt_rows"] = state["job_rows"] = state["note_rows"] = 0

    def _grow(self) -> None:
        """Double whatever has no room left."""
        world, state = self.world, self.world.state[0]
        spare = int(kernel.spare(world))
        if state["free_jobs"] == 0:
            more = self._allowed(len(world.jobs))
            world = world._replace(jobs=w.grown_slots(world.jobs, state, "job", more))
            if len(world.led):
                world = world._replace(led=np.append(world.led, alone(more, w.LED)))
        if state["free_groups"] < world.plan[0]["leads"]:
            world = world._replace(groups=workflow.grown_groups(world.groups, state))
        if state["free_attempts"] <= int(kernel.reserve(world)):
            more = self._allowed(len(world.attempts))
            world = world._replace(attempts=w.grown_slots(world.attempts, state, "attempt", more))
            if len(world.messages):
                world = world._replace(messages=np.append(world.messages, alone(more, w.MESSAGE)))
            world = world._replace(
                line=np.append(world.line, np.zeros(len(world.attempts) - len(world.line), np.int64))
            )
        if 2 * spare > len(world.job_rows):
            attempt_rows, job_rows, note_rows = w.row_buffers(2 * spare)
            world = world._replace(attempt_rows=attempt_rows, job_rows=job_rows, note_rows=note_rows)
        self.world = world
        self._room_for(spare)

    def _allowed(self, slots: int) -> int:
        """How many slots to add; LimitError where there may be no more."""
        state = self.world.state[0]
        alive, waiting, now = int(state["alive"]), int(state["waiting"]), float(state["now"])
        if slots >= LIVE_JOBS:
            before, when = self.outgrown
            raise LimitError(
                f"at {now:,.1f} s {alive:,} jobs were alive and {waiting:,} attempts waiting, up from {before:,} at "
                f"{when:,.1f} s: it outgrows the memory allowed, {LIVE_JOBS:,} of either; bound queue.capacity, lower "
                "the load or shorten the horizon"
            )
        self.outgrown = slots, now
        return min(slots, LIVE_JOBS - slots)

    def _finish(self) -> Outcome:
        """Close the books at the present time: what is in progress ends as unfinished."""
        state = self.world.state[0]
        if state["arrived"] < self.world.plan[0]["arrivals"]:
            state["now"] = self.run.end if math.isfinite(self.run.end) else max(state["now"], state["latest"])
        attempts, jobs = kernel.live(self.world)
        of, own = self.world.jobs[self.world.attempts[attempts]["job"]], self.world.jobs[jobs]
        live = self.world.attempts[attempts]
        attempts = attempts[np.lexsort((live["delivery"], live["number"], of["number"], of["source"]))]
        jobs = jobs[np.lexsort((own["number"], own["source"]))]
        attempt_rows, job_rows, _ = w.row_buffers(max(len(attempts), len(jobs), 1))
        self.world = self.world._replace(attempt_rows=attempt_rows, job_rows=job_rows)
        kernel.leave(self.world, attempts, jobs, workflow.under_way(self.world.groups))
        self._hand_over()
        outcome = self.fold.close(float(state["now"]))
        audit(outcome, self.scenario.queue.bounds[0] if self.scenario.broker is None else math.inf)
        return outcome


def _new_world(scenario: Scenario, base: Layout, plan: w.Records, fold: Fold, slots: int) -> w.World:
    broker = scenario.broker
    nodes, homes = protocol.nodes(broker, scenario.workers)
    sources, workers, at_first = len(base.senders), int(plan["workers"][0]), int(plan["at_first"][0])
    state, drawn, idle = alone(1, w.STATE), alone(sources, w.DRAWN), alone(workers, np.int64)
    timeouts, levels = alone(2 * sources, w.TIMEOUTS), alone(base.levels, w.LEVEL)
    for name in ("oldest", "newest", "evicted", "last_evicted", "refill", "first_outside", "last_outside"):
        state[name] = w.NONE
    state["free_jobs"] = state["free_attempts"] = slots
    state["arrived"] = -plan["backlog"]  # whose jobs do not count among those that a run asks for
    state["idle"] = state["called"] = at_first
    idle[:] = np.arange(workers)
    state["disk_factor"] = state["slowed"] = 1.0
    held = workers if plan["retimes"][0] or plan["batch"][0] else 0
    pool, broken = alone(held, w.WORKER), alone(len(base.faults), w.FAULT)
    pool["pace"] = pool["speed"] = 1.0
    pool["holds"], broken[:] = w.NONE, base.faults
    pool["ready"] = np.arange(len(pool)) < at_first
    pool["off"] = 1 - pool["ready"]
    gates = alone(len(base.gates), np.float64)
    gates[:] = base.gates
    timeouts["soonest"] = timeouts["last"] = w.NONE
    flows = alone(sources, w.SOURCE)
    flows["first_in_line"] = flows["last_in_line"] = w.NONE
    levels["first"] = levels["last"] = w.NONE
    groups = workflow.groups(scenario, slots)
    state["free_groups"] = len(groups)
    drawn["kind"] = np.arange(sources)[:, None] * int(plan["most_classes"][0])
    attempt_rows, job_rows, note_rows = w.row_buffers(w.ROWS)
    return w.World(
        plan=plan, senders=base.senders, kinds=base.kinds, numbers=base.numbers, trace_times=np.empty(0),
        trace_rows=np.empty(0, np.int64), state=state, sources=flows, timeouts=timeouts,
        drawn=drawn, jobs=w.slots(slots, w.LIVE_JOB), attempts=w.slots(slots, w.LIVE_ATTEMPT), levels=levels,
        idle=idle, workers=pool, faults=broken, gates=gates,
        line=np.zeros(slots, np.int64), tags=np.zeros(1 + len(fold.books.deadlines)), arrivals=w.calendar(sources),
        calendar=w.calendar(max(2 * slots, ROOM_FOR * int(plan["spare"][0]))), books=fold.books,
        protocol=base.protocol, hub=protocol.hub(broker), messages=protocol.messages(broker, slots), nodes=nodes,
        homes=homes, outboxes=protocol.outboxes(broker, sources),
        groups=groups, led=workflow.led(scenario, slots),
        turned_away=w.turned_away(), attempt_rows=attempt_rows, job_rows=job_rows, note_rows=note_rows,
    )  # fmt: skip


def run(scenario: Scenario, run: Run, replication: int = 0, halt: Event | None = None) -> Outcome:
    """Run one replication of a scenario. Raises AuditError where the books do not balance, LimitError for memory.

    halt  once it is set, the run ends within a fraction of a second: KeyboardInterrupt
    """
    return System(scenario, run, replication).go(halt)


def is_ready() -> bool:
    """Whether the kernels need no compilation."""
    return jit.is_ready(kernel.run)


@cache
def prepare() -> None:
    """Compile the kernels where that has not been done on this machine, or read them."""
    # Any run will do: the types of its arrays are those of every run.
    any_scenario = Scenario(arrivals=Periodic(interval="1 s"), workers=Workers(service="1 s"))
    with nullcontext() if is_ready() else jit.telling("the kernels"):
        run(any_scenario, Run(arrivals=1))
