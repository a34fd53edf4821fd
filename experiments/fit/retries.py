"""Requests that are another attempt of one before them: the same client asks for the same again after a failure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.components.client import Retry
from backwater.experiments.fit.log import IDS, Flags, Log, plain

Array = npt.NDArray[np.float64]
# Coefficient of variation of a pause, and its mean over the pause before jitter, by the language's kinds of jitter.
JITTER = {"none": (0.0, 1.0), "equal": (0.1925, 0.75), "full": (0.5774, 0.5), "exponential": (1.0, 1.0)}


class Retries(NamedTuple):
    """What was found.

    again      which requests of the log are not the first attempt of theirs
    pauses     from the end of an attempt to the next one [s], by the number of failures so far, 1 first
    attempts   the most attempts of one request
    chances    failed attempts after which another came, or could have come before ``attempts`` were reached
    """

    again: Flags
    pauses: list[Array]
    attempts: int
    chances: int

    @property
    def policy(self) -> Retry | None:
        """A retry that pauses alike; None where nobody retried.

        The jitter is the one whose coefficient of variation is nearest to that of the first pauses; base and factor
        follow from the means, the cap from the longest pause.
        """
        if not self.pauses:
            return None
        first, mean = self.pauses[0], float(self.pauses[0].mean())
        spread = float(first.std() / mean) if mean > 0 else 0.0
        jitter = min(JITTER, key=lambda name: abs(JITTER[name][0] - spread)) if len(first) >= 20 else "full"
        base = max(mean / JITTER[jitter][1], 1e-6)
        factor = float(self.pauses[1].mean()) / max(mean, 1e-9) if len(self.pauses) > 1 else 2.0
        cap = max(max(float(part.max()) for part in self.pauses), base)
        share = float(self.again.sum()) / self.chances
        return Retry(base=base, factor=min(max(factor, 1.0), 100.0), cap=cap, jitter=jitter,
                     max_attempts=max(self.attempts, 2), retry_probability=min(share, 1.0))  # fmt: skip


def find_retries(log: Log, window: float) -> Retries | None:
    """Recognise retries; None where the log does not tell who asked for what, or what failed.

    window  the longest pause after which a request still counts as another attempt [s]
    Where no column tells failures, only the same id again is another attempt.
    """
    if log.key is None or not (log.failed is not None or plain(log.columns_of["key"]) in IDS):
        return None
    client = np.zeros(len(log), np.int64) if log.client is None else log.client
    order = np.lexsort((log.times, client, log.key))
    same = (np.diff(log.key[order]) == 0) & (np.diff(client[order]) == 0)
    failed = np.ones(len(log), bool) if log.failed is None else log.failed
    ends = log.times if log.service is None else log.times + np.nan_to_num(log.service)
    pause = log.times[order][1:] - ends[order][:-1]
    follows = np.concatenate([[False], same & failed[order][:-1] & (pause <= window) & (pause >= -log.resolution)])
    number = np.arange(len(log)) - np.maximum.accumulate(np.where(follows, 0, np.arange(len(log))))
    pauses = [np.maximum(pause[number[1:] == n], 0.0) for n in range(1, int(number.max()) + 1)]
    again = np.zeros(len(log), bool)
    again[order] = follows
    most = int(number.max()) + 1
    chances = again.sum() if log.failed is None else (failed[order] & (number < max(most - 1, 1))).sum()
    return Retries(again, pauses, most, int(chances))
