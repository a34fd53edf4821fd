"""A finished sweep as curves: one metric against one axis, a curve per combination of the others; and their knees."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backwater.experiments.experiment import Axis
from backwater.experiments.sweep import Sweep

Array = npt.NDArray[np.float64]
MOST = 8  # curves that a figure can tell apart


@dataclass(frozen=True)
class Curve:
    """The points of a sweep along its main axis, all else held.

    label  what is held
    place  where: index along each axis (0 along the main one), then of the case
    """

    label: str
    place: tuple[int, ...]
    sweep: Sweep
    along: int

    def estimates(self, metric: str, job_class: str = "all", window: str = "all") -> Array:
        """Estimate and interval of a metric along the axis, shape (points, 3)."""
        data = self.sweep.estimates[metric].sel({"class": job_class, "window": window})
        at = {axis.name: self.place[i] for i, axis in enumerate(self.sweep.axes) if i != self.along}
        return np.asarray(
            data.isel({**at, "case": self.place[-1]}).transpose(self.sweep.axes[self.along].name, "bound")
        )

    @property
    def knee(self) -> int:
        """Index of the point nearest to no 503s and no latency (see ``traded``), both scaled to 0..1 over the curve.

        The fastest and the most permissive ends of a curve cost most; the knee is where neither can be had cheaper.
        """
        refused, latency = self.estimates("rejection_ratio")[:, 0], self.estimates(traded(self.sweep))[:, 0]
        distance = np.hypot(_scaled(refused), _scaled(latency))
        return 0 if np.isnan(distance).all() else int(np.nanargmin(distance))


def _scaled(values: Array) -> Array:
    if np.isnan(values).all():
        return values
    low, high = np.nanmin(values), np.nanmax(values)
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def leads(sweep: Sweep) -> bool:
    """Whether workflows ended somewhere in it, served or not."""
    name = "workflow_failure_ratio"
    return name in sweep.metrics and bool(np.isfinite(sweep.estimates[name].sel(bound="estimate")).any())


def traded(sweep: Sweep) -> str:
    """The latency that 503s buy: of whole workflows where jobs lead to others, for their parts may be quick."""
    return "workflow_p99" if leads(sweep) else "latency_p99"


def main_axis(sweep: Sweep) -> int:
    """Index of the axis along which figures are drawn: a design, the queue's capacity, or the longest of numbers."""
    if sweep.axes[0].along:
        return 0
    names = [axis.name for axis in sweep.axes]
    if "queue.capacity" in names:
        return names.index("queue.capacity")
    return max(range(len(names)), key=lambda i: (numeric(sweep.axes[i]), len(sweep.axes[i].values)))


def numeric(axis: Axis) -> bool:
    """Whether the coordinates are numbers."""
    return all(isinstance(value, float) for value in axis.values)


def curves(sweep: Sweep) -> list[Curve]:
    """Every curve along the main axis, in the order of the grid."""
    along = main_axis(sweep)
    cases = list(sweep.experiment.cases)
    sizes = [range(1) if i == along else range(len(axis.values)) for i, axis in enumerate(sweep.axes)]
    out = []
    for place in itertools.product(*sizes, range(len(cases))):
        held = [
            f"{axis.name} {value(axis, place[i])}"
            for i, axis in enumerate(sweep.axes)
            if i != along and len(axis.values) > 1
        ]
        label = ", ".join(held + ([cases[place[-1]]] if len(cases) > 1 else []))
        out.append(Curve(label, place, sweep, along))
    return out


def value(axis: Axis, index: int) -> str:
    """A coordinate as people read it; of a design, what is set at the point."""
    if axis.along:
        return ", ".join(f"{path} {shown(values[index], unit)}" for path, (unit, values) in axis.along.items())
    return shown(axis.values[index], axis.unit)


def shown(given: float | str, unit: str) -> str:
    """A number in its unit as people read it."""
    from backwater.units import human

    dimension = {"s": "time", "B": "size", "1/s": "rate", "B/s": "bandwidth"}.get(unit, "")
    return human(given, dimension) if isinstance(given, float) else given


def middle(sweep: Sweep) -> Curve:
    """The curve that the figures over time are about: the middle one."""
    found = curves(sweep)
    return found[len(found) // 2]


def around(curve: Curve) -> list[int]:
    """Indices of a point below, at and above the knee, as far as the axis goes; of a design, the knee's alone."""
    if curve.sweep.axes[curve.along].along:
        return [curve.knee]
    n, knee = len(curve.sweep.axes[curve.along].values), curve.knee
    reach = max(n // 4, 1)
    return sorted({max(knee - reach, 0), knee, min(knee + reach, n - 1)})
