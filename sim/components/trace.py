"""Recorded arrivals: rows of a CSV file, as they are or put together anew; thinned, or taken more than once."""

from __future__ import annotations

import math
import re
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from backwater import random
from backwater.components.source import Array, Listed
from backwater.distributions import Law, Linear
from backwater.errors import ScenarioError, check, nearest
from backwater.jit import allocating
from backwater.tables import read_columns, read_rows
from backwater.units import Time

PIECES = 100_000  # of a trace that is resampled, at most
_SHIFTED = re.compile(r":\d\d(\.\d+)?\s*[+-](?!00:?00$)\d\d:?\d\d$")


@allocating
def thin(gaps, scale, seed, replication, source, first):  # type: ignore[no-untyped-def]
    """A pass through a trace at ``scale`` times its rate: (rows, delays after them [s]), in order of time.

    Each row is taken floor(scale) times, once more with the chance of the rest; further copies fall uniformly into the
    gap to the next row. ``first`` is the number of rows before this pass.
    """
    whole = math.floor(scale)
    most = len(gaps) * (int(whole) + 1)
    rows, delays, n = np.empty(most, np.int64), np.empty(most, np.float64), 0
    for row in range(len(gaps)):
        u = random.uniform(seed, replication, source, first + row, random.THIN, 0)
        copies = int(whole) + (1 if u < scale - whole else 0)
        start = n
        for copy in range(copies):
            v = random.uniform(seed, replication, source, first + row, random.THIN, copy) if copy > 0 else 0.0
            rows[n], delays[n] = row, v * gaps[row]
            n += 1
        delays[start:n].sort()
    return rows[:n], delays[:n]


class Trace(Listed):
    """Recorded arrivals: a CSV ``file`` with a header, one row per job, in order of time.

    time     name of the column with the time of arrival: ISO date and time, or a number in ``unit`` [s]
    columns  names of numeric columns that ``Linear`` laws may use
    repeat   start again after the last row, one mean gap later
    resample each pass is put together anew from pieces of about this length, taken from anywhere with replacement [s]
    within   pieces are taken from at most so far from their own place [s]; so the rate over the day stays
    The first row comes at time 0, except where it is put together anew. ``scale`` thins the trace or takes rows more
    than once; it is not sped up.
    Source of ``resample``: Politis and Romano, "A circular block-resampling procedure for stationary data", 1992; of
    ``within``: Paparoditis and Politis, "Local block bootstrap", C. R. Acad. Sci. Paris 335, 2002.
    """

    kind: Literal["trace"] = "trace"
    file: str
    time: str
    columns: tuple[str, ...] = ()
    unit: Time = 1.0
    repeat: bool = False
    resample: Time | None = None
    within: Time | None = None

    @model_validator(mode="after")
    def _readable(self) -> Trace:
        check(self.batch == 1, "batch", self.batch, "must be 1: a trace has one row per job")
        _ = self.times, self.values
        if self.resample is not None:
            must = (
                f"must be above 0 and at most the {self._span:g} s that the trace lasts, in at most {PIECES:,} pieces"
            )
            check(self._span / PIECES <= self.resample <= self._span, "resample", self.resample, must)
        if self.within is not None:
            check(self.resample is not None, "within", self.within, "has no meaning without resample")
            check(self.within > 0, "within", self.within, "must be above 0")
        return self

    @property
    def _span(self) -> float:
        """How long a pass lasts [s]."""
        return float(self.times[-1] + self.gaps[-1])

    @cached_property
    def times(self) -> Array:
        """When each row arrives, the first at 0 [s], shape (rows,)."""
        rows = read_rows(self.file)
        if self.time not in rows:
            raise ScenarioError("time", f"must be a column of {self.file}{nearest(self.time, rows)}", self.time)
        out = self._moments(rows[self.time])
        back = np.flatnonzero(np.diff(out) < 0)
        if len(back):
            line = int(back[0]) + 3
            raise ScenarioError(
                "time", f"must not go back in time: {self.file}, line {line}", rows[self.time][line - 2]
            )
        return out - out[0]

    def _moments(self, texts: list[str]) -> Array:
        try:
            float(texts[0])
        except ValueError:
            return _iso(self.file, texts)
        return read_columns(self.file, [self.time])[self.time] * self.unit

    @cached_property
    def values(self) -> dict[str, Array]:
        """The columns by name, shape (rows,) each."""
        return read_columns(self.file, self.columns)

    @property
    def gaps(self) -> Array:
        """Time from each row to the next [s], shape (rows,); after the last row, the mean gap."""
        mean = self.times[-1] / max(len(self.times) - 1, 1)
        return np.append(np.diff(self.times), mean if mean > 0 else 1.0)

    def pass_through(self, turn: int, scale: float, address: tuple[np.uint64, int, int]) -> tuple[Array, Any]:
        """Times [s] and rows of the jobs of the ``turn``-th pass (0, 1, ...); empty where the trace has ended.

        ``address`` is (seed, replication, source).
        """
        if turn and not self.repeat:
            return np.empty(0), np.empty(0, np.int64)
        times, gaps, taken = self.times, self.gaps, None
        if self.resample is not None:
            times, taken = self._put_together(turn, *address)
            gaps = np.diff(times, append=self._span)
        at, delays = thin(gaps, scale, *address, turn * len(self.times))
        return turn * self._span + times[at] + delays, at if taken is None else taken[at]

    def _put_together(self, turn: int, seed: np.uint64, replication: int, source: int) -> tuple[Array, Any]:
        """Times [s] and rows of a pass made of pieces of the trace, which is taken to be a circle.

        Pieces are equally long, so each row is taken once in the mean, and the rate stays what it is.
        """
        span, wrapped = self._span, np.concatenate([self.times, self.times + self._span])
        pieces = max(round(span / float(self.resample or span)), 1)
        length, parts = span / pieces, []
        far = span / 2 if self.within is None else min(self.within, span / 2)
        for piece in range(pieces):
            u = random.uniform(seed, replication, source, turn, random.RESAMPLE, piece)
            start = (piece * length + (2 * u - 1) * far) % span
            first, last = np.searchsorted(wrapped, [start, start + length])
            parts.append((piece * length + (wrapped[first:last] - start), np.arange(first, last) % len(self.times)))
        times = np.minimum(np.concatenate([part[0] for part in parts]), span)
        return np.maximum.accumulate(times), np.concatenate([part[1] for part in parts])

    @property
    def may_end(self) -> bool:
        return not self.repeat

    @property
    def own_rate(self) -> float:
        return len(self.times) / self._span


def _iso(file: str, texts: list[str]) -> Array:
    """Seconds of ISO dates and times, to the nanosecond."""
    try:
        shifted = next((text for text in texts if _SHIFTED.search(text)), None)
        check(shifted is None, "time", shifted, f"must hold times of UTC, without another offset, in {file}")
        moments = np.array([text.strip().removesuffix("Z").removesuffix("+00:00") for text in texts], "datetime64[ns]")
    except ValueError as error:
        raise ScenarioError("time", f"must hold numbers or ISO dates and times in {file}: {error}", texts[0]) from None
    check(not np.isnat(moments).any(), "time", "NaT", f"must hold a date and time in every row of {file}")
    return np.asarray((moments - moments[0]).astype(np.int64) / 1e9)


def mean_of(law: Law, source: object) -> float:
    """Mean of a law [s or B]; of a trace's columns, over the trace's rows."""
    if isinstance(law, Linear):
        assert isinstance(source, Trace)  # a scenario refuses anything else
        return float(law.of(source.values).mean())
    return law.average
