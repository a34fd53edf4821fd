"""What every source of jobs has in common."""

from __future__ import annotations

from itertools import accumulate
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, model_validator

from backwater.base import Model
from backwater.components.client import Client
from backwater.errors import check

Array = npt.NDArray[np.float64]
BATCH = 1_000_000  # jobs at once, at most


def _batch(given: Any) -> Any:
    """A number, or weights by number; files have only words for keys."""
    if not isinstance(given, dict):
        ok = isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= BATCH
        check(ok, "", given, f"must be a whole number from 1 to {BATCH:,}, or weights by number")
        return given
    out = {int(size): weight for size, weight in given.items() if str(size).isdecimal()}
    ok = len(out) == len(given) > 0 and all(1 <= size <= BATCH for size in out)
    check(ok, "", given, f"must have whole numbers from 1 to {BATCH:,}")
    weights = list(out.values())
    ok = all(isinstance(weight, (int, float)) and 0 <= weight < float("inf") for weight in weights) and sum(weights) > 0
    check(ok, "", given, "must have weights not below 0, one of them above")
    return dict(sorted(out.items()))


class Source(Model):
    """What every source has.

    scale   multiplies its rate
    jobs    names its classes
    client  its own
    batch   jobs at each arrival: a number, or weights by number such as {1 = 9, 10 = 1}
    """

    scale: float = Field(default=1.0, gt=0, le=1e9)
    jobs: tuple[str, ...] | None = None
    client: Client | None = None
    batch: Annotated[int | dict[int, float], BeforeValidator(_batch)] = 1

    @model_validator(mode="before")
    @classmethod
    def _one_class(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("jobs"), str):
            return {**given, "jobs": (given["jobs"],)}
        return given

    def plan(self, scale: float) -> Array:
        """The flat array that ``next_arrival`` reads, at ``scale`` times the rate."""
        raise NotImplementedError

    @property
    def batches(self) -> Array:
        """(jobs at once, cumulative share), one after the other; empty where each arrival is one job."""
        if self.batch == 1:
            return np.empty(0)
        weights = self.batch if isinstance(self.batch, dict) else {self.batch: 1.0}
        shares = np.array(list(accumulate(weights.values()))) / sum(weights.values())
        return np.stack([np.array(list(weights), float), shares], axis=1).ravel()

    @property
    def may_end(self) -> bool:
        """Whether a time may come after which it sends nothing more."""
        return False

    @property
    def mean_batch(self) -> float:
        """Jobs at each arrival, on average [1]."""
        weights = self.batch if isinstance(self.batch, dict) else {self.batch: 1.0}
        return sum(size * weight for size, weight in weights.items()) / sum(weights.values())

    @property
    def own_rate(self) -> float:
        """Arrivals per second in the long run [1/s], before ``scale``."""
        raise NotImplementedError

    @property
    def own_peak(self) -> float:
        """The highest rate of arrivals that lasts [1/s], before ``scale``."""
        return self.own_rate

    @property
    def long_run_rate(self) -> float:
        """Jobs per second in the long run [1/s], before ``scale``."""
        return self.own_rate * self.mean_batch

    @property
    def peak_rate(self) -> float:
        """The highest rate of jobs that lasts [1/s], before ``scale``."""
        return self.own_peak * self.mean_batch


class Listed(Source):
    """A source whose jobs come at times that are known before, in passes: one, or one after the other."""

    def pass_through(self, turn: int, scale: float, address: tuple[np.uint64, int, int]) -> tuple[Array, Any]:
        """Times [s] and rows of the jobs of the ``turn``-th pass (0, 1, ...); there may be none.

        ``address`` is (seed, replication, source).
        """
        raise NotImplementedError
