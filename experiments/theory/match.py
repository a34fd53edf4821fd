"""From a scenario to what theory says of it, of itself and of its nearest simplification."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from backwater.errors import ScenarioError
from backwater.experiments.theory.answers import (
    Answer,
    about,
    exact_chain,
    exact_conserved,
    exact_constant_patience,
    exact_loss,
    exact_renewal,
    exact_single,
)
from backwater.experiments.theory.chain import MOST, Unsolved
from backwater.experiments.theory.markov import in_the_way, without_retries
from backwater.experiments.theory.reading import Facts, Obstacle, read
from backwater.scenario import Scenario

ROUNDS = 6  # simplifications, one after the other, at most
SIMPLER = 20_000  # states of the chain of a simplification, at most


class Theory(NamedTuple):
    """What is known of a scenario without running it.

    answers    each metric's exact value first; more than one where there are bounds and approximations too
    obstacles  what keeps an exponential system from being the scenario itself
    """

    answers: tuple[Answer, ...]
    obstacles: tuple[Obstacle, ...]

    def of(self, metric: str) -> Answer | None:
        """The best value of a metric: exact, else approximate, else of a simplification; None where none is known."""
        known = [answer for answer in self.answers if answer.metric == metric and answer.kind != "bound"]
        return known[0] if known else None

    @property
    def exact(self) -> tuple[Answer, ...]:
        """The exact values."""
        return tuple(answer for answer in self.answers if answer.kind == "exact")


def theory(scenario: Scenario, asked: Iterable[str] = (), most: int = MOST) -> Theory:
    """Everything that is known of a scenario, of its steady state.

    asked  metrics besides the usual ones, such as "served_within(2 s)"
    most   states of a Markov chain, beyond which none is solved
    """
    facts, wanted = read(scenario), tuple(name for name in asked if name.startswith("served_within("))
    if not facts.sorts or facts.mean == 0:
        return Theory(tuple(_simplified(facts, wanted, most)), tuple(in_the_way(facts)))
    found, obstacles = _itself(facts, wanted, most)
    known = {answer.metric for answer in found if answer.kind != "bound"}
    if obstacles:
        found += [answer for answer in _simplified(facts, wanted, most) if answer.metric not in known]
    return Theory(tuple(found), tuple(obstacles))


def _itself(facts: Facts, asked: tuple[str, ...], most: int) -> tuple[list[Answer], list[Obstacle]]:
    """What is known of the scenario as it is, each metric's exact value once and first."""
    obstacles, answers = in_the_way(facts), []
    if not obstacles:
        try:
            answers += exact_chain(facts, asked, most)
        except Unsolved as error:
            obstacles = [Obstacle("queue.capacity", str(error), "", {})]
    answers += [*exact_single(facts), *exact_loss(facts), *exact_renewal(facts)]
    answers += [*exact_constant_patience(facts), *exact_conserved(facts)]
    answers += about(facts)
    first: dict[tuple[str, bool], Answer] = {}
    for answer in answers:
        first.setdefault((answer.metric, answer.kind == "bound"), answer)
    exact = {answer.metric for answer in first.values() if answer.kind == "exact"}
    kept = [answer for answer in first.values() if answer.kind != "bound" or answer.metric not in exact]
    return kept, obstacles


def _simplified(facts: Facts, asked: tuple[str, ...], most: int) -> list[Answer]:
    """What is known of the nearest exponential system; none where there is none."""
    scenario, words = facts.scenario, list[str]()
    for _ in range(ROUNDS):
        simpler = read(scenario)
        obstacles = in_the_way(simpler)
        if not obstacles:
            try:
                answers = exact_chain(simpler, asked, min(most, SIMPLER))
            except Unsolved:
                if simpler.retry is None:
                    break
                obstacles = [without_retries(simpler, "its chain is too large")]
            else:
                said = "; ".join(words)
                return [answer._replace(kind="approximate", simplification=said) for answer in answers]
        if any(not obstacle.changes for obstacle in obstacles):
            break
        changes = {path: value for obstacle in obstacles for path, value in obstacle.changes.items()}
        try:
            scenario = scenario.with_(changes)
        except ScenarioError:
            break
        words += [obstacle.without for obstacle in obstacles if obstacle.without not in words]
    return []
