"""Jobs that come by the clock: at each instant that a cron expression names, so many at once."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from backwater import random
from backwater.components.source import BATCH, Array, Listed
from backwater.errors import ScenarioError, check

#: The fields of an expression, in order, and what each accepts.
FIELDS = {
    "minute": "0 to 59", "hour": "0 to 23", "day of the month": "1 to 31, L for the last, LW for the last workday",
    "month": "1 to 12 or JAN to DEC", "day of the week": "0 to 7 or SUN to SAT, FRI#2 for the second, 5L for the last",
}  # fmt: skip
YEARS = 28  # after which days of the week and of the month meet again, until 2100
JOBS = 50_000  # of a pass, about
DAY = 86_400.0


def _start(given: Any) -> datetime:
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(given)
    except (TypeError, ValueError):
        raise ScenarioError("", 'must be a date and a time such as "2024-01-01 00:00"', given) from None
    check(moment.tzinfo is None, "", given, "must have no time zone: it is UTC")
    ok = 1900 <= moment.year < 2100 and not moment.microsecond
    check(ok, "", given, "must be from 1900 to 2099, in whole seconds")
    return moment


def _expression(given: Any) -> str:
    """A cron expression, its fields one blank apart."""
    words = given.split() if isinstance(given, str) else []
    must = 'must have five fields such as "*/15 9-17 * * MON-FRI": ' + ", ".join(FIELDS)
    check(len(words) == len(FIELDS), "", given, must)
    for index, (name, accepts) in enumerate(FIELDS.items()):
        alone = ["*"] * len(FIELDS)
        alone[index] = words[index]
        must = f"must have {accepts}, or lists, ranges, steps or * of these, as field {index + 1}, the {name}"
        check(_is_one(" ".join(alone)), "", given, must)
    check(_is_one(" ".join(words)), "", given, "must name a day that there is, with fields 3 and 4")
    return " ".join(words)


def _is_one(expression: str) -> bool:
    try:
        CronSim(expression, datetime(2024, 1, 1))
    except (CronSimError, AssertionError, TypeError, ValueError):
        return False
    return True


class Cron(Listed):
    """``count`` jobs together at each instant that a cron ``expression`` names, in UTC.

    expression  minute, hour, day of the month, month, day of the week, as cron of Vixie and Debian reads them: where
                both days are restricted, which a field that begins with * is not, either will do
    start       the moment that is time 0, at which jobs may come already; the default is a Monday, in a leap year
    ``scale`` multiplies the count, its fraction by chance at each instant; instants stay where they are.
    """

    kind: Literal["cron"] = "cron"
    expression: Annotated[str, BeforeValidator(_expression)]
    count: int = Field(default=1, ge=1, le=BATCH)
    start: Annotated[
        datetime, BeforeValidator(_start), PlainSerializer(lambda moment: moment.isoformat(" "), return_type=str)
    ] = datetime(2024, 1, 1)

    @model_validator(mode="after")
    def _comes(self) -> Cron:
        check(self.batch == 1, "batch", self.batch, "must be 1: count says how many jobs come at once")
        check(self.own_rate > 0, "expression", self.expression, f"must name an instant within {YEARS} years of start")
        return self

    @property
    def mean_batch(self) -> float:
        return self.count

    @property
    def own_rate(self) -> float:
        cron, days = CronSim(self.expression, self.start), YEARS * 1461 // 4
        named = len(_days(self.expression, self.start.date(), days))
        return named * len(cron.hours) * len(cron.minutes) / (days * DAY)

    def pass_through(self, turn: int, scale: float, address: tuple[np.uint64, int, int]) -> tuple[Array, Any]:
        span = min(max(round(JOBS / (self.own_rate * self.count * scale)), 1), YEARS * 365 * DAY)
        instants = _instants(self.expression, self.start, turn * span, span)
        copies = np.full(len(instants), int(self.count * scale))
        rest = self.count * scale - int(self.count * scale)
        if rest > 0:
            chances = (random.uniform(*address, int(time) // 60, random.THIN, 0) for time in instants)
            copies += np.fromiter((u < rest for u in chances), bool, len(instants))
        times = np.repeat(instants, copies)
        return times, np.zeros(len(times), np.int64)


def _instants(expression: str, start: datetime, first: float, span: float) -> Array:
    """The instants that an expression names, from ``first`` up to so much later, since ``start`` [s]."""
    cron, late = CronSim(expression, start), 3600.0 * start.hour + 60.0 * start.minute + start.second
    of_day = np.array(sorted(3600.0 * hour + 60.0 * minute for hour in cron.hours for minute in cron.minutes))
    skipped = (first + late) // DAY
    try:
        until = int((first + late + span) // DAY)
        days = _days(expression, start.date() + timedelta(days=skipped), until - int(skipped) + 1)
    except OverflowError:
        raise ScenarioError("horizon", "must end before the calendar does, in the year 9999", shown=False) from None
    times = (DAY * (skipped + days[:, None]) + of_day - late).ravel()
    return times[(times >= first) & (times < first + span)]


@lru_cache(maxsize=256)
def _days(expression: str, first: date, days: int) -> Array:
    """The days that an expression names, of so many: 0 is the first one."""
    cron, out = CronSim(expression, datetime(2024, 1, 1)), []
    for n in range(days):
        day = first + timedelta(days=n)
        if day.month in cron.months and cron.match_day(day):
            out.append(float(n))
    return np.array(out)


__all__ = ["Cron"]
