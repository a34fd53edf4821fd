"""Figures to judge a fit by: the log beside what the scenario simulates, with the band of one more replication."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from backwater.experiments.figures import COLOURS, seconds, shares, style
from backwater.experiments.fit.fit import Fit
from backwater.experiments.fit.judge import CHANCE, Band
from backwater.experiments.fit.scenario import KINDS
from backwater.experiments.fit.service import Service
from backwater.quantile import quantile
from backwater.units import human

LOG, FITTED = COLOURS[0], COLOURS[1]
CLOCK = [1e-4, 1e-3, 0.01, 0.1, 1, 3, 10, 30, 60, 300, 1800, 7200, 6 * 3600, 86400, 7 * 86400]  # ticks [s]
POINTS = 400  # of a line of many values


def arrivals(found: Fit) -> Figure:
    """Rate over time, its residuals, quantiles of the gaps, and how counts scatter by the length of their bins."""
    figure = Figure(figsize=(10.4, 7.0), layout="constrained")
    (top, gaps), (low, spread) = figure.subplots(2, 2)
    bands = found.judged.bands
    _rate(top, found, bands["counts"])
    _residuals(low, bands["counts"])
    _quantiles(gaps, bands["gaps"], "gap between requests")
    _dispersion(spread, bands["dispersion"])
    kind = KINDS.get(found.kind, "the log as recorded")
    figure.suptitle(f"Arrivals: {kind}. Bands: one more replication of the scenario", fontsize=11)
    return figure


def _band(axis: Axes, band: Band, x: Any, scale: float = 1.0, *, step: bool = False) -> None:
    """The simulated middle with the bands of 95 % at each place, and of all places at once."""
    kind: dict[str, Any] = {"step": "mid"} if step else {}
    wide, narrow = band.interval(CHANCE / len(band.x)), band.interval(0.05)
    at_once = f"{human(1 - CHANCE, 'share')}, all at once"
    axis.fill_between(x, wide[0] * scale, wide[2] * scale, color=FITTED, alpha=0.14, linewidth=0, label=at_once, **kind)
    axis.fill_between(
        x, narrow[0] * scale, narrow[2] * scale, color=FITTED, alpha=0.25, linewidth=0, label="95 %, each", **kind
    )
    axis.plot(
        x,
        narrow[1] * scale,
        color=FITTED,
        linewidth=1.3,
        label="scenario",
        drawstyle="steps-mid" if step else "default",
    )


def _rate(axis: Axes, found: Fit, band: Band) -> None:
    width = float(band.x[1] - band.x[0])
    _band(axis, band, band.x, 1 / width, step=True)
    axis.plot(band.x, band.data / width, color=LOG, marker=".", markersize=5, linewidth=0, label="log")
    axis.set(xlim=(0, found.log.span), ylabel=f"requests per second, in bins of {human(width, 'time')}")
    axis.set_ylim(0, 1.4 * max(float(band.data.max()), float(band.interval(0.05)[2].max())) / width)
    axis.set_xlabel(f"time from {found.log.origin.partition('.')[0].removesuffix(' UTC')}", fontsize=9)
    seconds(axis, "x")
    style(axis)
    axis.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)


def _residuals(axis: Axes, band: Band) -> None:
    """How many half widths of the 95 % interval each count is from the middle, roots taken."""
    low, middle, high = (np.sqrt(part) for part in band.interval(0.05))
    half = np.where(high > low, (high - middle), np.inf)
    axis.axhspan(-1, 1, color=FITTED, alpha=0.22, linewidth=0, label="95 %, each")
    axis.axhline(0, color=FITTED, linewidth=1.0)
    axis.plot(
        band.x, (np.sqrt(band.data) - middle) / half, color=LOG, marker=".", markersize=5, linewidth=0, label="log"
    )
    most = max(2.0, 1.15 * float(np.nanmax(np.abs((np.sqrt(band.data) - middle) / half))))
    axis.set(ylim=(-most, most), xlabel="time", ylabel="counts: log less scenario\n[half widths of 95 %]")
    seconds(axis, "x")
    style(axis)
    axis.legend(frameon=False, fontsize=8, loc="upper right")


def _log_times(axis: Axes) -> None:
    """Both axes hold times, on a log scale."""
    axis.set(xscale="log", yscale="log")
    for part in (axis.xaxis, axis.yaxis):
        low, high = part.get_view_interval()
        part.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 3.0), numticks=9))
        part.set_major_formatter(FuncFormatter(lambda x, _: human(x, "time")))
        part.set_minor_formatter(NullFormatter())


def _quantiles(axis: Axes, band: Band, what: str) -> None:
    """Quantiles of the log against those of the scenario; on the diagonal they are equal."""
    low, middle, high = band.interval(CHANCE / len(band.x))
    ends = [min(band.data.min(), low.min()), max(band.data.max(), high.max())]
    axis.plot(ends, ends, color="#888888", linewidth=0.9, linestyle="--", label="equal")
    axis.fill_betweenx(band.data, low, high, color=FITTED, alpha=0.25, linewidth=0, label="99 %, all at once")
    axis.plot(middle, band.data, color=LOG, marker="o", markersize=4, linewidth=0.9)
    _log_times(axis)
    for at, (level, x, y) in enumerate(zip(band.x, middle, band.data, strict=True)):
        axis.annotate(f"p{100 * level:g}", (x, y), xytext=(-6, 5) if at % 2 else (6, -11), textcoords="offset points",
                      fontsize=8, ha="right" if at % 2 else "left", color=LOG)  # fmt: skip
    axis.set(xlabel=f"{what}, scenario", ylabel=f"{what}, log")
    style(axis)
    axis.legend(frameon=False, fontsize=8)


def _dispersion(axis: Axes, band: Band) -> None:
    _band(axis, band, band.x)
    axis.plot(band.x, band.data, color=LOG, marker="o", markersize=4, linewidth=0.9, label="log")
    axis.axhline(1, color="#888888", linewidth=0.9, linestyle="--")
    axis.annotate("Poisson at a constant rate", (1, 1), (-4, 3), ("axes fraction", "data"), "offset points", ha="right",
                  fontsize=8, color="#555555")  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="length of the bins", ylabel="variance / mean of the counts")
    axis.xaxis.set_major_locator(FixedLocator(CLOCK))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: human(x, "time")))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: human(y)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_minor_formatter(NullFormatter())
    style(axis)
    axis.legend(frameon=False, fontsize=8)


def service(found: Fit) -> Figure | None:
    """The share of durations above each value beside the laws, and quantiles; None where the log tells no durations."""
    values = found.service.values
    if not len(values) or values.max() <= 0:
        return None
    figure = Figure(figsize=(10.4, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    _tails(left, found.service)
    _quantiles(right, found.judged.bands["service"], "duration")
    name = "the durations of the log themselves" if found.service.law is None else found.service.name
    figure.suptitle(f"Service times: {name}", fontsize=11)
    return figure


def _tails(axis: Axes, service: Service) -> None:
    values = np.sort(service.values)
    at = np.unique(np.geomspace(1, len(values), POINTS).astype(int))  # finest in the tail
    axis.plot(values[-at], at / len(values), color=LOG, linewidth=2.2, label="log")
    for candidate, colour in zip(service.candidates[:3], COLOURS[1:], strict=False):
        above = np.geomspace(0.5 / len(values), 1 - 0.5 / len(values), POINTS)
        x = [quantile(candidate.law.table, 1 - share) for share in above]
        taken = " (taken)" if candidate.name == service.name else ""
        axis.plot(x, above, color=colour, linewidth=1.1, label=f"{candidate.name}{taken}")
    positive = values[values > 0]
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="duration",
        ylabel="share above",
        xlim=(positive.min() / 1.5, values.max() * 2),
    )
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=9))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: human(x, "time")))
    axis.xaxis.set_minor_formatter(NullFormatter())
    shares(axis)
    style(axis)
    axis.legend(frameon=False, fontsize=8)


def draw_all(found: Fit, folder: Path) -> list[Path]:
    """Write the figures as PNG; their paths."""
    figures = {"arrivals": arrivals(found), "service": service(found)}
    paths = []
    for name, figure in figures.items():
        path = folder / f"fit-{name}.png"
        path.unlink(missing_ok=True)  # of an earlier fit
        if figure is not None:
            figure.savefig(path, dpi=130)
            paths.append(path)
    return paths
