"""Search along one number: the least that will do, and the best, from as few tries as can be.

Knows no simulation. Values lie on a grid: whole numbers, or steps between two numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

STEPS = 200  # of a range of numbers that need not be whole


class Range(NamedTuple):
    """Where a field may be searched.

    path   dotted path
    low, high  the ends, both included, in base units
    whole  whether it takes whole numbers only
    """

    path: str
    low: float
    high: float
    whole: bool

    @property
    def last(self) -> int:
        """Number of the last place; the first is 0."""
        return int(self.high - self.low) if self.whole else STEPS

    def at(self, place: int) -> float | int:
        """The value at a place."""
        if self.whole:
            return int(self.low) + place
        return self.low + (self.high - self.low) * place / STEPS

    def place(self, value: float) -> int:
        """The place next to a value."""
        return round((value - self.low) / ((self.high - self.low) / self.last)) if self.last else 0


def least(good: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least good place from ``low`` to ``high``, if all after a good one are good; None where ``high`` is not."""
    if not good(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle + 1, high)
    return high


def best(value: Callable[[int], tuple[float, ...]], last: int, enough: Callable[[int], bool] | None = None) -> int:
    """The place from 0 to ``last`` with the lowest value, if values fall and then rise; the first of equals.

    Places far apart are tried first, closer together at the low end, where a unit is a larger share; then golden
    sections around the lowest. ``enough(place)`` ends the search; the lowest so far is taken then.
    """
    found: dict[int, tuple[float, ...]] = {}

    def done(place: int) -> bool:
        if place not in found:
            found[place] = value(place)
        return enough is not None and enough(place)

    def lowest() -> int:
        return min(found, key=lambda place: (found[place], place))

    n = min(7, last + 1)
    grid = sorted({round(math.expm1(math.log1p(last) * i / max(n - 1, 1))) for i in range(n)})
    if any(done(place) for place in grid):
        return lowest()
    at = grid.index(lowest())
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    while high - low > 2:
        inner = low + round((high - low) * 0.382), low + round((high - low) * 0.618)
        one, other = inner if inner[0] < inner[1] else (inner[0], inner[0] + 1)
        if done(one) or done(other):
            return lowest()
        if found[other] < found[one]:
            low = one
        else:
            high = other
    any(done(place) for place in range(low, high + 1))
    return lowest()
