"""What a simulation gives: labelled tables of estimates, replications, rows and series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from backwater import events, statistics
from backwater.controls import controls
from backwater.errors import ScenarioError, check, nearest
from backwater.metrics import METRICS, WHOLE_RUN, Cells, bin_edges, metric, named
from backwater.outcome import ATTEMPT, ATTEMPT_OUTCOMES, JOB, JOB_OUTCOMES, LATENCIES, MAIN, Outcome
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.statistics import Estimate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Result:
    """The replications of one scenario.

    summary       one row per metric, class and window: estimate, ci_low, ci_high (95 %), unit, n
    replications  one row per replication, metric, class and window: value
    series        gauges and counts over time, where ``sample`` was given
    jobs, attempts, events  rows, where recorded
    histograms    counts of wait, sojourn, latency and blocked, all replications together
    manifest      what it came from
    """

    scenario: Scenario
    run: Run
    outcomes: tuple[Outcome, ...]
    manifest: dict[str, Any]

    @cached_property
    def classes(self) -> list[str]:
        """ "all", then the classes where there are several."""
        return ["all", *self.scenario.jobs] if len(self.scenario.jobs) > 1 else ["all"]

    @cached_property
    def windows(self) -> list[str]:
        """ "all", then the named windows."""
        return ["all", *self.run.windows]

    def cells(self, job_class: str = "all", window: str = "all") -> Cells:
        """The outcomes in one class and window."""
        known = ["all", *self.scenario.jobs]
        if job_class not in known:
            raise ScenarioError("class", f"must be a class of jobs{nearest(job_class, known)}", job_class)
        if window not in self.windows:
            raise ScenarioError("window", f"must be a window{nearest(window, self.windows)}", window)
        view = MAIN + self.windows.index(window)
        return Cells(list(self.outcomes), self.scenario, view, known.index(job_class))

    def estimate(self, name: str, level: float = 0.95, *, controlled: bool = False) -> Estimate:
        """The estimate of a metric such as ``latency_p99[invoice, spike]`` with its interval at this ``level``.

        controlled  freed from what the numbers of jobs and their service times, whose means are known, explain of it:
                    a narrower interval, where the run has a warm-up; see ``controls``
        """
        word, job_class, window = named(name)
        cells, known = self.cells(job_class, window), metric(word)
        if not controlled:
            return known.estimate(cells, level)
        freed = statistics.controlled(known.spread(cells), controls(cells))
        return known.within(freed.interval(level))

    def __getitem__(self, name: str) -> float:
        """The estimate of a metric, without its interval."""
        return self.estimate(name).value

    def each(self) -> list[tuple[str, str, str, Cells]]:
        """Metric, class and window of every row of the summary, with the outcomes that it is estimated from."""
        return [
            (name, job_class, window, cells)
            for window in self.windows
            for job_class in self.classes
            for cells in [self.cells(job_class, window)]
            for name in METRICS
            if name not in WHOLE_RUN or (job_class == window == "all" and self.scenario.queue.backlog)
        ]

    @cached_property
    def estimates(self) -> list[tuple[str, str, str, Estimate]]:
        """Metric, class, window and estimate (95 %) of every row of the summary."""
        return [(*where, METRICS[where[0]].estimate(cells, 0.95)) for *where, cells in self.each()]  # type: ignore[misc]

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per metric, class and window."""
        import pandas as pd

        rows = [
            (name, job_class, window, found.value, found.low, found.high, METRICS[name].unit, found.n)
            for name, job_class, window, found in self.estimates
        ]
        return pd.DataFrame(rows, columns=["metric", "class", "window", "estimate", "ci_low", "ci_high", "unit", "n"])

    @cached_property
    def replications(self) -> pd.DataFrame:
        """One row per metric, class, window and replication."""
        import pandas as pd

        parts = [
            pd.DataFrame({"metric": name, "class": job_class, "window": window,
                          "replication": np.arange(len(self.outcomes)), "value": METRICS[name].each(cells)})
            for name, job_class, window, cells in self.each()
        ]  # fmt: skip
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row per replication and sample time [s]: gauges then, counts since the previous sample."""
        import pandas as pd

        check(self.run.sample is not None, "run.sample", None, "must be given for a series to be kept")
        parts = [pd.DataFrame({"replication": i, **done.series}) for i, done in enumerate(self.outcomes)]
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """One row per attempt, in the order in which they ended."""
        return self._rows("attempts", [column.name for column in ATTEMPT], ATTEMPT_OUTCOMES)

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """One row per job, in the order in which they ended."""
        return self._rows("jobs", [column.name for column in JOB], JOB_OUTCOMES)

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row per event: replication, time [s], source, job, attempt, what happened; workers are of no source."""
        import pandas as pd

        check("events" in self.run.record, "run.record", list(self.run.record), 'must name "events"')
        fields = list(events.Event._fields)
        parts = [pd.DataFrame(events.of(done, self.scenario), columns=fields) for done in self.outcomes]
        return pd.concat(parts, keys=range(len(parts)), names=["replication", "event"]).reset_index(level=0)

    def _rows(self, name: str, columns: list[str], outcomes: tuple[str, ...]) -> pd.DataFrame:
        import pandas as pd

        parts = [getattr(done, name) for done in self.outcomes]
        if any(part is None for part in parts):
            raise ScenarioError("run.record", f'must name "{name}" for these rows to be kept', list(self.run.record))
        frames = [pd.DataFrame(part, columns=columns) for part in parts]
        table = pd.concat(frames, keys=range(len(frames)), names=["replication", "row"]).reset_index(level=0)
        sources = self.scenario.sender_names
        for column in {"source", "origin_source"} & set(table):
            table[column] = pd.Categorical.from_codes(table[column].astype(int), sources)
        table["class"] = pd.Categorical.from_codes(table["class"].astype(int), list(self.scenario.jobs))
        table["outcome"] = pd.Categorical.from_codes(table["outcome"].astype(int), list(outcomes))
        whole = [c for c in ("job", "number", "worker", "attempts", "served", "origin") if c in table]
        yes = [c for c in ("spilled", "timed_out", "hedge", "superseded") if c in table]
        return table.astype({**dict.fromkeys(whole, int), **dict.fromkeys(yes, bool)})

    @cached_property
    def histograms(self) -> pd.DataFrame:
        """Counts per bin (low, high] [s] of each of LATENCIES; bins that hold nothing are left out."""
        import pandas as pd

        edges, cells = bin_edges(), self.cells()
        counts = {name: cells.bins(index).sum(axis=0) for index, name in enumerate(LATENCIES)}
        table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], **counts})
        return table[table[list(LATENCIES)].sum(axis=1) > 0].reset_index(drop=True)

    def plot(self, kind: str = "series", ax: Axes | None = None) -> Axes:
        """Draw ``series`` (gauges over time), ``bytes`` (memory and disk over time) or ``latency`` (distribution)."""
        from backwater import plots

        return plots.draw(self, kind, ax)
