"""Rules of one's own as parts of a scenario, and how both engines ask them: see ``backwater.rules``.

``frame`` is what a rule and an engine share. A rule that has failed is not asked again, and its run ends with the
first thing that went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from backwater.base import Model
from backwater.errors import check, nearest
from backwater.jit import call, compiled
from backwater.rules import FAILED, GIVEN, TOLD, WRONG, Rule, named, of_sort

Array = npt.NDArray[np.float64]


@compiled
def _ask(address, frame, least):  # type: ignore[no-untyped-def]
    """What a rule gives for what it has been told; ``least``, where it is below that or no number."""
    given = call(address, frame)
    if frame[FAILED] != 0.0:
        return least
    if given >= least:
        return given
    frame[FAILED], frame[GIVEN] = WRONG, given
    return least


@compiled
def lets_in(  # type: ignore[no-untyped-def]
    address, frame, now, u, waiting, busy, idle, capacity, size, demand, priority, attempt, arrived, deadline
):
    """Whether a rule of admission lets an attempt in."""
    if frame[FAILED] != 0.0:
        return True
    frame[TOLD], frame[TOLD + 1], frame[TOLD + 2], frame[TOLD + 3] = now, u, waiting, busy
    frame[TOLD + 4], frame[TOLD + 5], frame[TOLD + 6], frame[TOLD + 7] = idle, capacity, size, demand
    frame[TOLD + 8], frame[TOLD + 9], frame[TOLD + 10], frame[TOLD + 11] = priority, attempt, arrived, deadline
    return _ask(address, frame, -np.inf) != 0.0


@compiled
def pause(address, frame, now, u, failed, previous, base, factor, cap, timed_out):  # type: ignore[no-untyped-def]
    """The pause that a rule of backoff gives [s]."""
    if frame[FAILED] != 0.0:
        return 0.0
    frame[TOLD], frame[TOLD + 1], frame[TOLD + 2], frame[TOLD + 3] = now, u, failed, previous
    frame[TOLD + 4], frame[TOLD + 5], frame[TOLD + 6], frame[TOLD + 7] = base, factor, cap, timed_out
    given = _ask(address, frame, 0.0)
    if given == np.inf:
        frame[FAILED] = WRONG
        return 0.0
    return given


@compiled
def rank(  # type: ignore[no-untyped-def]
    address, frame, now, u, waiting, size, demand, priority, weight, attempt, arrived, deadline
):
    """The rank that a rule of discipline gives: the least goes first."""
    if frame[FAILED] != 0.0:
        return 0.0
    frame[TOLD], frame[TOLD + 1], frame[TOLD + 2], frame[TOLD + 3] = now, u, waiting, size
    frame[TOLD + 4], frame[TOLD + 5], frame[TOLD + 6], frame[TOLD + 7] = demand, priority, weight, attempt
    frame[TOLD + 8], frame[TOLD + 9] = arrived, deadline
    return _ask(address, frame, -np.inf)


def check_params(rule: Rule, params: Mapping[str, float]) -> None:
    """Refuse what is no parameter of a rule."""
    for name in params:
        check(name in rule.params, "params", name, f"must be parameters of {rule.name}{nearest(name, rule.params)}")


if TYPE_CHECKING:
    AnyRule = Rule
else:
    #: A rule, or its text: "module:name".
    AnyRule = Annotated[
        Any,
        BeforeValidator(lambda given: named(given) if isinstance(given, str) else given),
        PlainSerializer(lambda rule: None if rule is None else rule.text, return_type=str | None),
        WithJsonSchema({"type": "string", "pattern": "^.+:.+$"}),
    ]


class Own(Model):
    """A rule of one's own in the place of a kind of admission or of a discipline.

    rule    made by ``backwater.rule``; in files "module:name", a module that Python can import
    params  those of its parameters that are not at the rule's own defaults
    """

    kind: Literal["own"] = "own"
    rule: AnyRule
    params: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Own:
        check(isinstance(self.rule, Rule), "rule", self.rule, "must be a rule; see backwater.rule")
        check_params(self.rule, self.params)
        return self

    def __str__(self) -> str:
        return f"by {self.rule.name}"

    @property
    def frame(self) -> Array:
        """What the rule and an engine share at time 0."""
        return self.rule.frame(self.params)


def is_rule(given: Any) -> bool:
    """Whether something is a rule, its text, or a function that should have been made one."""
    return isinstance(given, (Rule, FunctionType)) or (isinstance(given, str) and ":" in given)


def in_place(sort: str) -> Callable[[Any], Any]:
    """Reads a rule of this sort in the place of a part: the rule itself, its text, or a table with its kind."""

    def read(given: Any) -> Any:
        if is_rule(given):
            given = Own(rule=of_sort(sort, given))
        elif isinstance(given, Mapping) and given.get("kind") == "own":
            given = Own(**given)
        if isinstance(given, Own):
            of_sort(sort, given.rule)
        return given

    return read
