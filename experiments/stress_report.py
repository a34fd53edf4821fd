"""A stress test from its question to a page: run the sections that are asked for, draw them, say what they mean."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from backwater.errors import check
from backwater.experiments import document, store, stress, stress_figures
from backwater.experiments.against import STATES
from backwater.experiments.document.drawn import picture
from backwater.experiments.document.files import publish
from backwater.experiments.method import manifest, method
from backwater.experiments.recovery import Array, Lab, Plan, struck
from backwater.experiments.report import assumed, before, unmodelled
from backwater.experiments.safe_load import Bound, bound
from backwater.experiments.stress_figures import sized
from backwater.experiments.theory import theory
from backwater.experiments.theory_figures import simplifications
from backwater.scenario import Scenario
from backwater.simulation import check_memory, versions
from backwater.units import human

PARTS = ("map", "ramp", "stuck", "phases")  # what may be asked for besides the trigger itself
MAP_LOADS, RAMP_LOADS = np.linspace(0.1, 0.96, 20), np.linspace(0.075, 1.2, 16)
VERBS = ("recover", "recover slowly", "never do", "are down without a trigger")  # of a map's states
OPEN = 0.2  # share of the goodput missing on the way back from which a loop is open


class Section(NamedTuple):
    """One part of the answer: what it says, its figure, and its numbers; ``note`` on what is drawn by theory."""

    name: str
    title: str
    text: str
    figure: Figure
    numbers: dict[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Stress:
    """A stress test.

    parts  what is asked besides whether it recovers from the trigger: some of PARTS
    load   loads of the map and of the ramp, going up [1]
    size   sizes of the triggers of the map and the phases, going up, along ``axis``: duration, share or factor
    """

    scenario: Scenario
    plan: Plan
    parts: tuple[str, ...] = ()
    load: Array | None = None
    size: Array | None = None
    axis: str = "duration"

    @cached_property
    def bound(self) -> Bound | None:
        """The load below which every finite trigger passes, where that is known."""
        return bound(self.scenario)

    @property
    def map_loads(self) -> Array:
        """Loads of the map [1]."""
        return MAP_LOADS if self.load is None else self.load

    @property
    def ramp_loads(self) -> Array:
        """Loads of the ramp going up [1]."""
        return RAMP_LOADS if self.load is None else self.load

    @property
    def sizes(self) -> Array:
        """Sizes of the triggers: a tenth to twice the plan's duration unless given."""
        return np.linspace(0.1, 2, 20) * self.plan.lasts if self.size is None else self.size

    @property
    def settings(self) -> int:
        """How many settings are judged, about."""
        steps = {"map": (len(self.sizes) + stress.BISECTIONS) * len(self.map_loads), "stuck": stress.LOWERINGS + 1}
        return sum(steps.get(part, 0) for part in self.parts)

    def check(self) -> None:
        """Raise ScenarioError for anything wrong with what is asked."""
        if {"map", "phases"} & set(self.parts):
            widest = self.plan.widest(self.axis, self.sizes)
            most = self.map_loads[-1] if "map" in self.parts else self.scenario.load
            check_memory(self.scenario.at_load(float(most)), widest.run())
        else:
            check(self.size is None, f"--over {self.axis}", "sizes", "needs --map or --phases")
        if "ramp" in self.parts:
            stress.check_ramp(self.scenario, self.ramp_loads)
        if not {"map", "ramp"} & set(self.parts):
            check(self.load is None, "--over load", "loads", "needs --map or --ramp")
        if "stuck" in self.parts:
            stress.refuse_traces(self.scenario)

    def sections(self, lab: Lab) -> Iterator[Section]:
        """The sections, each as soon as it is done; the trigger itself comes first."""
        make = {"map": self._map, "ramp": self._ramp, "stuck": self._stuck, "phases": self._phases}
        yield self._trigger(lab)
        for part in self.parts:
            yield make[part](lab)

    def _trigger(self, lab: Lab) -> Section:
        plan, found = self.plan, stress.hit(self.scenario, self.plan, lab)
        watched = human(plan.observe, "time")
        text = f"After {fault_words(plan)} at a load of {self.scenario.load:.3g}, "
        if found.down.mean() > 0.5:
            text += "there is nothing to recover to: without it, fewer than half of the late jobs succeed, too."
        elif found.share == 0:
            text += f"the system does not recover within {watched}, in any run: the outage outlives its cause."
        else:
            runs = "in every run" if found.share == 1 else f"in {100 * found.share:.3g} % of the runs"
            took = f", half of them within {human(found.median, 'time')}" if math.isfinite(found.median) else ""
            text += f"the system recovers {runs}{took}. It was watched for {watched}."
        if self.bound is not None:
            text += f" {safe(self.bound)}"
        numbers = {
            "load": self.scenario.load, "share_recovered": found.share, "recovery_time_s": found.median,
            "recovery_times_s": found.times.tolist(), "down_without_trigger": found.down.tolist(),
            "series": stress_figures.medians(found),
        }  # fmt: skip
        known = theory(struck(self.scenario), most=STATES)  # without the trigger
        figure = stress_figures.trigger(found, plan, known)
        return Section("trigger", "The trigger", text, figure, numbers, simplifications([known]))

    def _map(self, lab: Lab) -> Section:
        found = stress.trigger_map(self.scenario, self.plan, self.map_loads, self.sizes, self.axis, lab)
        figure = stress_figures.trigger_map(found, self.plan, self.bound)
        numbers = {name: _listed(value) for name, value in found._asdict().items()}
        numbers["state"] = [[stress_figures.STATES[state] for state in row] for row in found.state()]
        numbers["recovery_time_s"] = numbers.pop("time")
        return Section("map", "Which triggers, at which loads", map_words(found, self.plan), figure, numbers)

    def _ramp(self, lab: Lab) -> Section:
        step, plan = self.plan.observe / 10, self.plan
        found = stress.ramp(
            self.scenario, self.ramp_loads, step, replications=plan.replications, seed=plan.seed, lab=lab
        )
        numbers = {name: _listed(value) for name, value in found._asdict().items()} | {"gap": found.gap.tolist()}
        known = [theory(struck(self.scenario.at_load(float(load))), most=STATES) for load in self.ramp_loads]
        figure = stress_figures.loop(found, self.bound, known)
        return Section("ramp", "Load up, and down again", ramp_words(found), figure, numbers, simplifications(known))

    def _stuck(self, lab: Lab) -> Section:
        found, watched = stress.stuck(self.scenario, self.plan, lab), human(self.plan.observe, "time")
        hit = f"{stress.STUCK} times the trigger"
        if found.load >= self.scenario.load:
            text = f"{hit.capitalize()} does not get it stuck at its load of {self.scenario.load:.3g}: it recovers."
        elif found.load == 0:
            text = f"Hit by {hit}, it does not recover within {watched} at any load that was tried."
        else:
            text = (
                f"Stuck after {hit}, it recovers within {watched} if the load is then lowered from "
                f"{self.scenario.load:.3g} to {found.load:.3g} or less."
            )
        if self.bound is not None and found.load < self.scenario.load:
            text += f" {safe(self.bound)}"
        figure = stress_figures.stuck(found, self.bound, watched)
        numbers = {"load": found.load, "loads": found.loads.tolist(), "recovery_time_s": found.times.tolist()}
        return Section("stuck", "How far the load must fall", text, figure, numbers)

    def _phases(self, lab: Lab) -> Section:
        found = stress.drift(self.scenario, self.plan, self.sizes, self.axis, lab)
        text = "How queue and clients in backoff went on, on average, from each state seen after a trigger at a load "
        text += f"of {self.scenario.load:.3g}. "
        if math.isfinite(found.tip):
            text += f"The queue shrinks while it is short, and grows from about {found.tip:,.0f} waiting on: beyond "
            text += "that the system keeps itself down."
        else:
            text += "From wherever it has been, the queue does not grow again: the system comes back by itself."
        numbers = {name: _listed(value) for name, value in found._asdict().items()} | {"tip": found.tip}
        return Section("phases", "Where each state leads", text, stress_figures.phases(found), numbers)

    def write(self, folder: Path, done: list[Section], command: str) -> dict[str, Any]:
        """Write the page, the figures as PNG and the numbers as JSON of the sections so far; returns the numbers."""
        told = {
            "scenario": self.scenario.name, "digest": self.scenario.digest, "command": command,
            "fault": self.plan.fault.plain(), "observe_s": self.plan.observe, "seed": self.plan.seed,
            "replications": self.plan.replications, "versions": versions(),
            "bound": None if self.bound is None else self.bound._asdict(),
        }  # fmt: skip
        numbers = finite({**told, **{each.name: {"text": each.text, **each.numbers} for each in done}})
        store.write(folder / "stress.json", numbers)
        publish(self.document(done, command), folder)
        return dict(numbers)

    def document(self, done: list[Section], command: str) -> document.Document:
        """The report of the sections so far; the first one, about the trigger itself, is the answer."""
        scenario, plan = self.scenario, self.plan
        answer = [document.Text(each.text, strong=each is done[0]) for each in done]
        shown = tuple(picture(each.name, f"{each.title}: {each.text}", f"{each.title}.{each.note}", each.figure)
                      for each in done)  # fmt: skip
        length = f"{plan.replications} of each setting, watched for {human(plan.observe, 'time')} after the trigger"
        made = [("trigger", fault_words(plan)), ("replications", length), ("seed", str(plan.seed)),
                ("scenario", f"SHA-256 {scenario.digest}")]  # fmt: skip
        sections = (
            document.Section("Answer", tuple(answer)),
            document.Section("Figures", shown),
            before(scenario), assumed(scenario, set()),
            unmodelled(scenario.model_copy(update={"faults": (*scenario.faults, plan.fault)})),
            method(details=document.pairs("What the words mean", ("what", "meaning"), self._words())),
            manifest(made, versions(), command),
        )  # fmt: skip
        return document.Document(scenario.name, f"Does it recover from {fault_words(plan)}?", sections)

    def _words(self) -> list[tuple[str, str]]:
        return [
            ("recovered", "goodput and queue are within 10 % of what they are in the same runs without the trigger at "
             "about that time, and stay so; the recovery time counts from the end of the trigger"),
            ("down anyway", "without the trigger, fewer than half of the jobs that come in the last eighth of a run "
             "are served in time before it ends"),
            ("a setting's state", "that of most of its runs"),
        ]  # fmt: skip


def fault_words(plan: Plan) -> str:
    """The trigger in words."""
    fault, said = plan.fault, []
    said += [f"{100 * fault.share:.3g} %"] if fault.share is not None else []
    said += [f"factor {fault.factor:.3g}"] if fault.factor is not None else []
    more = f" ({', '.join(said)})" if said else ""
    return f'"{fault.kind.replace("_", " ")}"{more} for {human(plan.lasts, "time")}'


def safe(known: Bound) -> str:
    """What is derived of it, in words."""
    if known.load <= 0:
        return f"Derived: there is {known.words}, so no load is safe."
    beyond = "; above it, a large enough one is for good" if known.sharp else ""
    return f"Derived: {known.words}, so below a load of {known.load:.3g} every trigger passes in the end{beyond}."


def map_words(found: stress.Map, plan: Plan) -> str:
    """A map in a few sentences."""
    state = found.state()
    counts = [int((state == n).sum()) for n in range(len(VERBS))]
    several = ", ".join(f"{count} {verb}" for count, verb in zip(counts, VERBS, strict=True) if count)
    text = f"Of {state.size} settings, {several} (slowly: longer than {stress.SLOW:g} times the trigger; never: not "
    text += f"within {human(plan.observe, 'time')})."
    lost = np.flatnonzero(np.isfinite(found.boundary) & (found.down <= 0.5))
    if not len(lost):
        return text + " No trigger of these kept any of these loads down."
    text += f" The lowest load that stays down is {found.loads[lost[0]]:.3g}, "
    text += f"from a {found.axis} of {sized(found, found.boundary[lost[0]])} on"
    if len(lost) > 1:
        text += f"; at {found.loads[lost[-1]]:.3g}, {sized(found, found.boundary[lost[-1]])} are enough"
    return text + "."


def ramp_words(found: stress.Ramp) -> str:
    """A loop in a few sentences."""
    n, gap = (len(found.load) + 1) // 2, found.gap
    pace = f"The load went up and down again in {len(found.load)} steps of {human(found.step, 'time')}. "
    if gap.max() <= OPEN:
        return pace + "Coming down, the system does no worse than it did going up: its past does not keep it down."
    held, worst = found.load[:n][gap > OPEN], int(np.argmax(gap))
    up, down = found.goodput[worst], found.goodput[::-1][worst]
    return pace + (
        f"The way back is another one: at loads from {held[0]:.3g} to {held[-1]:.3g}, goodput is more than "
        f"{100 * OPEN:.0f} % lower coming down than it was going up; at {found.load[worst]:.3g}, {human(down, 'rate')} "
        f"instead of {human(up, 'rate')}. The same load, two states: the past decides."
    )


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def finite(value: Any) -> Any:
    """Numbers as JSON knows them: what is not finite is null."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
