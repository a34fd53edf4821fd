"""What jobs are: their classes, with share, size, priority, deadline and service."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field

from backwater.base import Model
from backwater.components.workflow import AnyThen
from backwater.distributions import SizeLaw, TimeLaw
from backwater.errors import check, nearest
from backwater.units import Time


class Job(Model):
    """One class of jobs.

    share     its weight among the classes that a source sends [1]
    size      bytes while it waits [B]
    priority  0 is served first under ``discipline = "priority"``
    deadline  the time from its first attempt within which it is on time [s]; the earliest goes first under ``edf``
    weight    its part of the turns under ``discipline = "fair"`` [1]
    service   its own service time [s]; the workers' one unless given
    delay     how long after it was sent it is due, where there is a broker [s]: a countdown or an ETA
    then      what a worker sends once it has served one: a class, or a ``Then``
    """

    share: float = Field(default=1.0, gt=0)
    size: SizeLaw | None = None
    priority: int = Field(default=0, ge=0, le=1_000_000)
    deadline: Time | None = None
    weight: float = Field(default=1.0, gt=0, le=1e9)
    service: TimeLaw | None = None
    delay: TimeLaw | None = None
    then: AnyThen | None = None


def led_to(jobs: Mapping[str, Job]) -> set[str]:
    """The classes that other jobs lead to."""
    return {name for job in jobs.values() if job.then is not None for name in job.then.names}


def check_led(jobs: Mapping[str, Job]) -> None:
    """Refuse unknown classes and circles. Raises ScenarioError, one line."""
    for name, job in jobs.items():
        for part, words in () if job.then is None else (("send", job.then.send), ("join", [job.then.join or name])):
            for word in words:
                must = f"must be classes of jobs{nearest(word, jobs)}"
                check(word in jobs, f"jobs.{name}.then.{part}", word, must)
    for name in jobs:
        reached, fresh = set[str](), {name}
        while fresh:
            fresh = {word for one in fresh if (then := jobs[one].then) is not None for word in then.names} - reached
            reached |= fresh
        check(name not in reached, f"jobs.{name}.then", name, "must not lead back to the same class")


def with_led(jobs: Mapping[str, Job], sent: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How many jobs of each class there are, led ones included, where so many are sent and all are served."""
    names = list(jobs)
    leads = np.zeros((len(names), len(names)))
    for index, job in enumerate(jobs.values()):
        for name, mean in ({} if job.then is None else job.then.means).items():
            leads[index, names.index(name)] = mean
    found: npt.NDArray[np.float64] = np.linalg.solve(np.eye(len(names)) - leads.T, sent).astype(np.float64)
    return found
