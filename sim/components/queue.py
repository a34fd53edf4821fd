"""Where attempts wait: how many may, in which order they leave, and what happens to one too many."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WrapValidator

from backwater.base import Model, part_table
from backwater.components.admission import Admission
from backwater.components.memory import Memory
from backwater.components.own import Own, in_place
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Size, Time


@compiled
def has_room(waiting, used, size, capacity, capacity_bytes):  # type: ignore[no-untyped-def]
    """Whether one more attempt of ``size`` bytes may wait beside ``waiting`` attempts of ``used`` bytes."""
    return waiting + 1 <= capacity and used + size <= capacity_bytes


@compiled
def stands(emptied, now, standing):  # type: ignore[no-untyped-def]
    """Whether a queue that was last empty at ``emptied`` has stood for longer than ``standing`` [s]."""
    return emptied < now - standing


@compiled
def pick(u, waiting):  # type: ignore[no-untyped-def]
    """Which of those that wait is next, by chance: 0, 1, ..."""
    return min(int(u * waiting), waiting - 1)


@compiled
def start_tag(served_up_to, last):  # type: ignore[no-untyped-def]
    """When a class is next, in turns: Goyal, Vin and Cheng, "Start-time fair queueing", SIGCOMM'96."""
    return max(served_up_to, last)


Word = Literal["fifo", "lifo", "priority", "edf", "sjf", "random", "fair", "adaptive_lifo"]


def _word_or_rule(given: Any, word: Callable[[Any], Any]) -> Any:
    given = in_place("discipline")(given)
    return given if isinstance(given, Own) else word(given)


class _OrTable:
    """In the JSON schema: a table of a rule of one's own may stand for a word."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {"anyOf": [handler(core), handler(Own.__pydantic_core_schema__)]}


if TYPE_CHECKING:
    Discipline = Word | Own
else:
    Discipline = Annotated[
        Word,
        WrapValidator(_word_or_rule),
        PlainSerializer(lambda given: part_table(given) if isinstance(given, Own) else given, return_type=Any),
        _OrTable(),
    ]


def _unbounded(given: Any) -> Any:
    return None if given == "unbounded" else given


def _time_or_never(given: Any) -> Any:
    is_word = isinstance(given, str) and given.isalpha()
    check(not is_word or given == "never", "", given, 'must be a time such as "2 s", or "never"')
    return given


class Queue(Model):
    """The queue.

    capacity        attempts that may wait, those in service not counted; "unbounded" (the default) or a number
    capacity_bytes  bytes that may wait [B]
    discipline      who is next: fifo, lifo, priority (0 first, FIFO within), edf (the earliest deadline), sjf (the
                    least service), random, fair (classes in turn, by weight), adaptive_lifo (the newest once the
                    queue has stood for longer than ``standing``, else the oldest), or a rule of one's own, which gives
                    each attempt a rank; ties go in order of acceptance
    standing        time since the queue was last empty after which it stands [s]
    admission       who is let in, and who is turned out before service: a rate limit, RED, CoDel, an adaptive limit,
                    DAGOR, a rule of one's own; no control unless given
    overflow        who yields when it is full: the new attempt gets the 503 (reject), the oldest waiting one vanishes
                    (drop_oldest), the oldest waiting one gets the 503 (shed_oldest), or the producer waits (block): the
                    new attempt stays outside, in order of arrival, until there is room, and timeouts go on; a source
                    sends nothing until its last job is in, its wait for a token of a rate limiter included. One that is
                    larger than capacity_bytes gets the 503
    retry_after     least pause that a 503 asks of the client [s]; or "never": not to come again, which is an endless
                    pause to clients that believe in any
    backlog         jobs waiting at time 0; they come from the first source's classes and client
    memory          memory, disk and slowdown
    """

    capacity: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_unbounded)] = None
    capacity_bytes: Size | None = None
    discipline: Discipline = "fifo"
    standing: Time = 0.1
    admission: Admission | None = None
    overflow: Literal["reject", "drop_oldest", "shed_oldest", "block"] = "reject"
    retry_after: Annotated[Time | Literal["never"] | None, BeforeValidator(_time_or_never)] = None
    backlog: int = Field(default=0, ge=0)
    memory: Memory | None = None

    @property
    def asked(self) -> float:
        """The pause that a 503 asks for [s]: infinite for never, below 0 where it asks for none."""
        return -1.0 if self.retry_after is None else math.inf if self.retry_after == "never" else self.retry_after

    @property
    def bounds(self) -> tuple[float, float]:
        """Most attempts and most bytes that may wait; infinite where unbounded."""
        return (
            math.inf if self.capacity is None else float(self.capacity),
            math.inf if self.capacity_bytes is None else self.capacity_bytes,
        )
