"""The planner's question: the cheapest setting that meets every requirement in every case, and how sure that is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.alarm import Alarm, alarms
from backwater.experiments.experiment import read_scenario, takes
from backwater.experiments.require import check_fits, check_serving, requirement
from backwater.experiments.search import Range, best, least
from backwater.experiments.trials import FREE, Judged, Lab, Prices, Question, Trial, check_question
from backwater.run import Run
from backwater.scenario import Scenario

COST = "cost"
LOADS = (1.1, 1.2, 1.5)  # of the planned load, at which the answer is tried too
FAIRLY = 0.05  # sure that a requirement is met, at most, for it to count as missed where a search is given up
STEPS = 6  # doubling, that an answer goes up where the independent runs are not sure of it


@dataclass(frozen=True)
class Planned:
    """The answer to a plan.

    answer     the cheapest setting that meets all, tried with random numbers of its own; None where none does
    closest    where none does: the setting that comes closest
    below      the next cheaper setting: what it misses binds the answer
    above      the next dearer one: what one more step would buy
    alarms     queue lengths and ages from which a requirement is lost
    loads      (factor, trial) of the answer at higher loads
    tried      every setting of the search
    runs, jobs, seconds  what it took
    """

    question: Question
    find: tuple[Range, ...]
    minimize: tuple[str, ...]
    answer: Trial | None
    closest: Trial | None
    below: Trial | None
    above: Trial | None
    alarms: tuple[Alarm, ...]
    loads: tuple[tuple[float, Trial], ...]
    tried: tuple[Trial, ...]
    runs: int
    jobs: int
    seconds: float

    @property
    def sure(self) -> bool:
        """Whether each requirement is met with the confidence asked for."""
        return self.answer is not None and self.answer.met

    @property
    def rank(self) -> tuple[float, ...]:
        """Lower is better: sure answers by what was minimized, then unsure ones, then what comes closest."""
        if self.answer is None:
            return 2.0, math.inf if self.closest is None else -self.closest.worst.margin
        return float(not self.sure), *(self.answer.cost if aim == COST else self.answer.setting[aim]
                                       for aim in self.minimize)  # fmt: skip

    @property
    def binds(self) -> Judged | None:
        """What the next cheaper setting misses by most; where there is no answer, what the closest one misses."""
        trial = self.below if self.answer is not None else self.closest
        return None if trial is None or trial.met else trial.worst


def plan(
    what: Scenario | str, find: Mapping[str, Any], require: Iterable[str], minimize: str | Iterable[str], *,
    cases: Mapping[str, Mapping[str, Any]] | None = None, run: Run | None = None, prices: Prices = FREE,
    confidence: float = 0.95, **options: Any,
) -> Planned:  # fmt: skip
    """Find the cheapest setting of a scenario (or a model's name, a file) that meets all requirements in all cases.

    find      dotted path -> (low, high), both included
    require   such as ``"served_within(2 s) >= 99 %"``; one of them must be such that turning everybody away breaks it
    minimize  a path of ``find``, or "cost" for what ``prices`` say; of several, the later ones decide between equals
    cases     named changes of the scenario, the first one being the usual state
    Options: ``most`` replications of a setting in a case (200), ``parallel``, ``halt``, ``progress(trial)``.
    Feasible settings are assumed to lie together: more of what is minimized does not break a requirement, and along the
    other paths requirements get better and then worse. Raises ScenarioError before any work where anything is wrong.
    """
    asked: dict[str, Any] = {"cases": cases, "run": run, "prices": prices, "confidence": confidence, **options}
    return _asked(what, find, require, minimize, **asked).answer()


def plans(what: Mapping[str, Scenario | str], *question: Any, **options: Any) -> dict[str, Planned]:
    """Plan several scenarios under the same question, that of ``plan``: by name, the cheapest sure answer first.

    Raises ScenarioError before any work where anything is wrong with one of them.
    """
    check(what, "scenarios", None, "must be given: at least one")
    planners = {}
    for name, each in what.items():
        try:
            planners[name] = _asked(each, *question, **options)
        except ScenarioError as error:
            raise ScenarioError("", f"{error} (scenario {name})", shown=False) from None
    found = {name: planner.answer() for name, planner in planners.items()}
    return dict(sorted(found.items(), key=lambda pair: pair[1].rank))


def _asked(
    what: Scenario | str, find: Mapping[str, Any], require: Iterable[str], minimize: str | Iterable[str], *,
    cases: Mapping[str, Mapping[str, Any]] | None = None, run: Run | None = None, prices: Prices = FREE,
    confidence: float = 0.95, **options: Any,
) -> _Planner:  # fmt: skip
    """A question that has been checked."""
    scenario, carried = (what, {}) if isinstance(what, Scenario) else read_scenario(what)
    if run is None and not carried:
        raise ScenarioError("run", "must be given: how long and how often", shown=False)
    wanted = tuple(requirement(text) for text in require)
    plan_run = run or Run(**carried)
    most = options.pop("most", 200)
    question = Question(scenario, plan_run, wanted, cases or {"as is": {}}, prices, confidence, most)
    ranges = tuple(range_of(path, ends, scenario) for path, ends in find.items())
    aims = (minimize,) if isinstance(minimize, str) else tuple(minimize)
    _check(question, ranges, aims)
    return _Planner(question, ranges, aims, Lab(question, plan_run.seed, **options))


def range_of(path: str, ends: Any, scenario: Scenario) -> Range:
    """Where a path may be searched; ScenarioError for anything but two numbers that the field takes."""
    where = f"--find {path}"
    ok = isinstance(ends, (tuple, list)) and len(ends) == 2
    ok = ok and all(isinstance(end, (int, float)) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    check(ok, where, ends, "must be LOW..HIGH, two numbers in base units")
    low, high = ends
    check(low < high, where, f"{low:g}..{high:g}", "must go up")
    middle = low + 0.37 * (high - low)
    fraction = middle if middle != round(middle) else middle + 1e-3
    whole = low == round(low) and high == round(high) and not takes(scenario, path, fraction)
    return Range(path, low, high, whole)


def _check(question: Question, ranges: tuple[Range, ...], aims: tuple[str, ...]) -> None:
    check(ranges, "--find", None, "must be given: at least one PATH=LOW..HIGH")
    paths = [one.path for one in ranges]
    check(aims, "--minimize", None, "must be given: a path that --find names, or cost")
    for aim in aims:
        check(aim in [*paths, COST], "--minimize", aim, f"must be searched, or be cost{nearest(aim, [*paths, COST])}")
    priced = question.prices != FREE
    check(COST not in aims or priced, "--minimize", COST, "must have prices: --price worker_hour=... or lost_job=...")
    check(0.5 <= question.confidence < 1, "--confidence", question.confidence, "must be from 0.5 to below 1")
    check(question.run.replications >= 2, "run.replications", question.run.replications, "must be at least 2")
    most = question.most
    check(most >= question.run.replications, "--most", most, "must be at least the replications of the run")
    check_serving(question.require)
    check_fits(question.require, question.scenario, question.run)
    check_question(question, [{one.path: one.at(place(one)) for one in ranges} for place in (_first, _last)])


def _first(_: Range) -> int:
    return 0


def _last(one: Range) -> int:
    return one.last


def hopeless(here: Trial, found: Mapping[int, Trial], place: int) -> bool:
    """Whether a place shows that none along its line will do: one requirement is missed here and better only to
    one side, another is missed and better only to the other side."""
    sides: set[int] = set()
    for number, one in enumerate(here.judged):
        if one.confidence > FAIRLY or one.margin >= 0:
            continue
        better = {1 if at > place else -1 for at, trial in found.items() if trial.judged[number].margin > one.margin}
        sides |= better if len(better) == 1 else set()
    return len(sides) == 2


ENDS: tuple[Callable[[Range], Any], ...] = (lambda one: one.at(0), lambda one: one.at(one.last))


class _Planner:
    """A search in progress. Settings are kept as places along the ranges."""

    def __init__(self, question: Question, find: tuple[Range, ...], minimize: tuple[str, ...], lab: Lab) -> None:
        self.question, self.find, self.minimize, self.lab = question, find, minimize, lab
        self.start = time.perf_counter()
        self.last: dict[str, int] = {}  # where the last setting was that met all

    def trial(self, places: Mapping[str, int]) -> Trial:
        """Try places: values along the ranges."""
        return self.lab.trial({one.path: one.at(places[one.path]) for one in self.find})

    def settle(self, fixed: dict[str, int], within: Callable[[Trial], bool] | None = None) -> dict[str, int]:
        """Places of the ranges that are not fixed at which the requirements are met, or missed by least."""
        free = [one for one in self.find if one.path not in fixed]
        if not free:
            return fixed
        first = free[0]
        found: dict[int, dict[str, int]] = {}
        remembered = self.last | fixed
        if len(remembered) == len(self.find) and self.trial(remembered).met:
            return remembered

        def value(place: int) -> tuple[float, ...]:
            found[place] = self.settle(fixed | {first.path: place})
            return (-self.trial(found[place]).worst.margin,)

        def enough(place: int) -> bool:
            here = self.trial(found[place])
            return here.met or hopeless(here, {at: self.trial(places) for at, places in found.items()}, place)

        return found[best(value, first.last, enough)]

    def search(self) -> dict[str, int]:
        """The cheapest places that meet all, by the estimates; the closest ones where none do."""
        fixed: dict[str, int] = {}
        found: dict[str, int] = {}
        for aim in self.minimize:
            found = self.cheapest(fixed) if aim == COST else self.lowest(aim, fixed, found)
            if not self.trial(found).met:
                return found
            fixed = found if aim == COST else fixed | {aim: found[aim]}
        return found

    def lowest(self, aim: str, fixed: dict[str, int], known: dict[str, int]) -> dict[str, int]:
        """The lowest place along one path at which all can be met; ``known`` is a place where they are."""
        last = known.get(aim, next(one.last for one in self.find if one.path == aim))
        found: dict[int, dict[str, int]] = {}

        def good(place: int) -> bool:
            found[place] = self.settle(fixed | {aim: place})
            met = self.trial(found[place]).met
            self.last = found[place] if met else self.last
            return met

        place = least(good, 0, last)
        return found[last if place is None else place]

    def cheapest(self, fixed: dict[str, int]) -> dict[str, int]:
        """The places that cost least of those that meet all."""
        free = [one for one in self.find if one.path not in fixed]
        if not free:
            return fixed
        first, found = free[0], {}

        def value(place: int) -> tuple[float, ...]:
            found[place] = self.cheapest(fixed | {first.path: place})
            return self.rank(self.trial(found[place]))

        return found[best(value, first.last)]

    @staticmethod
    def rank(trial: Trial) -> tuple[float, ...]:
        """Lower is better: what meets all by its cost, the rest by what it misses."""
        return (0.0, trial.cost) if trial.met else (1.0, -trial.worst.margin)

    def confirm(self, places: dict[str, int]) -> tuple[dict[str, int], Trial, Lab]:
        """The answer tried with random numbers of its own; a step or more dearer where those are not sure."""
        fresh, aim = self.lab.independent(), self.minimize[-1]
        steps = next((one for one in self.find if one.path == aim), None)
        tried = self.setting(places, fresh)
        for step in range(STEPS):
            if tried.met or steps is None or places[aim] >= steps.last:
                break
            places = places | {aim: min(places[aim] + 2**step, steps.last)}
            tried = self.setting(places, fresh)
        return places, tried, fresh

    def setting(self, places: Mapping[str, int], lab: Lab) -> Trial:
        """Try places in another lab."""
        return lab.trial({one.path: one.at(places[one.path]) for one in self.find})

    def answer(self) -> Planned:
        """Search, confirm, and look around."""
        places = self.search()
        if not self.trial(places).met:
            return self.told(None, self.trial(places))
        places, tried, fresh = self.confirm(places)
        self.lab.runs, self.lab.jobs = self.lab.runs + fresh.runs, self.lab.jobs + fresh.jobs
        around = {"below": self.next_to(places, -1), "above": self.next_to(places, 1)}
        found = tuple(alarms(self.question, tried.setting))
        loads = tuple((load, self.lab.trial(tried.setting, load)) for load in LOADS if self.can_grow)
        return self.told(tried, None, alarms=found, loads=loads, **around)

    @property
    def can_grow(self) -> bool:
        """Whether the load can be set: not of so many clients who think."""
        return not math.isclose(self.question.scenario.load, 0.0)

    def next_to(self, places: dict[str, int], step: int) -> Trial | None:
        """The setting one step along the first aim; what is not minimized is settled anew going down."""
        aim = self.minimize[0] if self.minimize[0] != COST else self.find[0].path
        one = next(each for each in self.find if each.path == aim)
        if not 0 <= places[aim] + step <= one.last:
            return None
        moved = places | {aim: places[aim] + step}
        return self.trial(self.settle({aim: moved[aim]}) if step < 0 else moved)

    def told(self, answer: Trial | None, closest: Trial | None, **parts: Any) -> Planned:
        tried = tuple(trial for (*_, load), trial in self.lab.kept.items() if load == 1.0)
        rest: dict[str, Any] = {"below": None, "above": None, "alarms": (), "loads": ()} | parts
        return Planned(
            self.question, self.find, self.minimize, answer, closest, tried=tried, runs=self.lab.runs,
            jobs=self.lab.jobs, seconds=time.perf_counter() - self.start, **rest,
        )  # fmt: skip
