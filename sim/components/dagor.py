"""The rules of DAGOR; see ``admission.Dagor``.

Memory: the highest place that is let in, the start of the window [s], attempts that came and that were let in, waits
summed [s] and counted; then how many came at each place: priority first, then one of 128 users.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backwater.jit import compiled

USERS = 128
HIGHEST, START, CAME, LET_IN, WAITED, TAKEN = range(6)
HEAD = 6


def memory(levels: int) -> npt.NDArray[np.float64]:
    """What is remembered at time 0, for so many levels of priority: all are let in."""
    out = np.zeros(HEAD + levels * USERS)
    out[HIGHEST] = levels * USERS - 1
    return out


@compiled
def _adjust(params, memory):  # type: ignore[no-untyped-def]
    """Another window: let in fewer by ``alpha``, or more by ``beta`` of those that came, by what came at each place."""
    overloaded = memory[TAKEN] > 0.0 and memory[WAITED] / memory[TAKEN] > params[1]
    highest, count = int(memory[HIGHEST]), memory[LET_IN]
    if overloaded:
        while highest > 0 and count > (1.0 - params[4]) * memory[LET_IN]:
            count -= memory[HEAD + highest]
            highest -= 1
    else:
        most = memory[LET_IN] + params[5] * memory[CAME]
        while highest + 1 < len(memory) - HEAD and count + memory[HEAD + highest + 1] <= most:
            highest += 1
            count += memory[HEAD + highest]
    memory[HIGHEST] = highest


@compiled
def admits(params, memory, now, u, level):  # type: ignore[no-untyped-def]
    """Whether an attempt of this level of priority and of the user that ``u`` means is let in, now [s]."""
    if now - memory[START] >= params[2] or memory[CAME] >= params[3]:
        _adjust(params, memory)
        memory[START] = now
        for n in range(CAME, len(memory)):
            memory[n] = 0.0
    place = int(level) * USERS + int(u * USERS)
    memory[CAME] += 1.0
    memory[HEAD + place] += 1.0
    if place > memory[HIGHEST]:
        return False
    memory[LET_IN] += 1.0
    return True


@compiled
def waited(memory, wait):  # type: ignore[no-untyped-def]
    """A worker takes an attempt that has waited so long [s]."""
    memory[WAITED] += wait
    memory[TAKEN] += 1.0
