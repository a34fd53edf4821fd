"""How theory is drawn into a figure, whichever it is: what is exact, what is about, what is of a simplification."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from backwater.experiments.against import Theories, sort_of, told
from backwater.experiments.curves import Curve
from backwater.experiments.theory import Answer, Theory

Numbers = np.ndarray[Any, Any]
COLOURS = (
    "#0b6e99",
    "#d9730d",
    "#4d6461",
    "#ad1a72",
    "#6940a5",
    "#b58900",
    "#0f7b6c",
    "#9b2c2c",
)  # told apart in grey too

# How theory is drawn: kind -> name in the legend, line. What is about it has the colour of what it is about.
THEORY: dict[str, tuple[str, dict[str, Any]]] = {
    "exact": ("exact theory", {"color": "#1a1a1a", "linewidth": 1.1, "linestyle": (0, (5, 3))}),
    "approximate": ("theory, approximate", {"linewidth": 1.4, "linestyle": (0, (1, 1.3))}),
    "simplified": ("theory of a simplification", {"linewidth": 1.2, "linestyle": (0, (1, 2.6))}),
}


def answered(found: Theory, metric: str, job_class: str = "all") -> Answer | None:
    """What theory says of a metric of a class."""
    return found.of(metric if job_class == "all" else f"{metric}[{job_class}]")


def by_theory(axis: Axes, found: list[Curve], known: Theories, metric: str, x: Numbers | str) -> None:
    """What theory says along curves, against ``x`` or another metric; only what is exact may stretch the axes."""
    for kind in THEORY:
        for index, curve in enumerate(found):
            y = np.array(told(curve, known, metric, kind))
            if isinstance(x, str) and kind == "simplified":
                continue
            at = np.array(told(curve, known, x, kind)) if isinstance(x, str) else x
            apart = bool(curve.sweep.axes[curve.along].along)  # points of a design have no order
            _line(axis, kind, at, y, COLOURS[index], both=isinstance(x, str), apart=apart)


def curve(axis: Axes, x: Sequence[float], answers: Sequence[Answer | None], colour: str) -> None:
    """What theory says at places of a curve, as it is drawn along curves of a sweep."""
    for kind in THEORY:
        y = [one.value if one is not None and sort_of(one) == kind else np.nan for one in answers]
        _line(axis, kind, np.array(x), np.array(y), colour)


def mark(axis: Axes, answer: Answer | None, place: float, colour: str) -> None:
    """What theory says beside an estimate that lies on the line ``place``, values going to the right."""
    if answer is None or not np.isfinite(answer.value):
        return
    kind = sort_of(answer)
    label, line = THEORY[kind]
    limits = axis.get_xlim()
    axis.plot([answer.value] * 2, [place - 0.32, place + 0.32], **{"color": colour, **line, "zorder": 1})
    _name(axis, label, line)
    if kind != "exact":
        axis.set_xlim(limits)


def simplifications(found: Iterable[Theory]) -> str:
    """What was left out where theory is of a simplification."""
    return left_out(answer for each in found for answer in each.answers)


def left_out(answers: Iterable[Answer | None]) -> str:
    """What was left out in the answers that are of a simplification."""
    words = {answer.simplification for answer in answers if answer is not None} - {""}
    if not words:
        return ""
    return f" Theory of a simplification: {'; or: '.join(sorted(words))}."


def _line(
    axis: Axes, kind: str, x: Numbers, y: Numbers, colour: str, *, both: bool = False, apart: bool = False
) -> None:
    """One kind's line, or crosses where points lie ``apart``; only what is exact may stretch the axes, or ``both``."""
    if not np.isfinite(x + y).any():
        return
    label, line = THEORY[kind]
    bounds = {"ylim": axis.get_ylim()} | ({"xlim": axis.get_xlim()} if both else {})
    crosses = {"linestyle": "none", "marker": "x" if kind == "simplified" else "+", "markersize": 5}
    look = {"color": colour, **line, **(crosses if apart else {"marker": "_" if np.isfinite(y).sum() == 1 else None})}
    axis.plot(x, y, zorder=3, **look)
    _name(axis, label, line | crosses if apart else line)
    if kind != "exact":
        axis.set(**bounds)


def _name(axis: Axes, label: str, line: dict[str, Any]) -> None:
    """A line of the legend, once."""
    if label not in axis.get_legend_handles_labels()[1]:
        axis.plot([], [], label=label, **{"color": "#555555", **line})
