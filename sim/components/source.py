"""What every source of jobs has in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater.base import Model
from backwater.components.client import Client

Array = npt.NDArray[np.float64]


class Source(Model):
    """What every source has: ``scale`` multiplies its rate; ``jobs`` names its classes; ``client`` is its own."""

    scale: float = Field(default=1.0, gt=0, le=1e9)
    jobs: tuple[str, ...] | None = None
    client: Client | None = None

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
    def long_run_rate(self) -> float:
        """Jobs per second in the long run [1/s], before ``scale``."""
        raise NotImplementedError

    @property
    def peak_rate(self) -> float:
        """The highest rate that lasts [1/s], before ``scale``."""
        return self.long_run_rate
