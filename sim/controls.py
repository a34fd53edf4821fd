"""What is known exactly of a run whatever comes of it: control variates for its estimates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backwater.components.arrivals import Poisson
from backwater.distributions import Linear
from backwater.metrics import Cells
from backwater.outcome import MAIN
from backwater.scenario import Scenario

# What services are known to be as long as drawn under. A field besides these may stretch, stop or choose them.
QUEUE = {"capacity", "discipline", "overflow", "retry_after"}
WORKERS = {"count", "service", "demand"}


def controls(cells: Cells) -> npt.NDArray[np.float64]:
    """Deviations of known quantities from their exact means, by replication, shape (replications, quantities).

    New jobs per second, where all sources are Poisson; busy time beyond what as many mean services take, where nothing
    stretches, stops or chooses services. The second one is of a steady state: its mean is 0 after a warm-up. None for
    named windows and single classes.
    """
    scenario, known = cells.scenario, []
    if scenario.follow_up is None and cells.view == MAIN and cells.job_class == 0:
        if _steady(scenario):
            known.append(cells.count("arrived") / cells.length - scenario.rate)
        if _as_drawn(scenario):
            mean = scenario.work / scenario.rate
            known.append((cells.count("busy_time") - cells.count("served") * mean) / cells.length)
    return np.column_stack(known) if known else np.empty((len(cells.outcomes), 0))


def _steady(scenario: Scenario) -> bool:
    """Whether jobs come in Poisson streams whose rates nothing changes."""
    plain = all(isinstance(part.source, Poisson) and part.source.batch == 1 for part in scenario.producers)
    return plain and not scenario.faults and scenario.queue.overflow != "block"


def _as_drawn(scenario: Scenario) -> bool:
    """Whether each service that begins takes what it was drawn to take, whoever gets one."""
    queue, workers = scenario.queue, scenario.workers
    if not set(queue.plain()) <= QUEUE or not set(workers.plain()) <= WORKERS or scenario.faults:
        return False
    laws = [scenario.service_law(index) for index in range(len(scenario.jobs))]
    stopped = any(part.client.on_timeout == "cancel" for part in scenario.producers)
    hedged = any(part.client.hedge is not None for part in scenario.producers)
    one_mean = len(scenario.jobs) == 1  # of several classes some may be turned away more often than others
    chosen = queue.discipline == "sjf" or any(isinstance(law, Linear) for law in laws)
    return one_mean and not (stopped or hedged or chosen)
