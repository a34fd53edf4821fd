"""The rules by which a limit on concurrency adapts; see ``admission.ConcurrencyLimit``.

Memory: the limit, the long-run time or the least one [s], how many times were seen.
"""

from __future__ import annotations

import math

from backwater.jit import compiled

AIMD, GRADIENT2, VEGAS = range(3)
ALGORITHMS = {"aimd": AIMD, "gradient2": GRADIENT2, "vegas": VEGAS}
WARM = 10  # times of which the long-run one is the plain mean


@compiled
def _gradient2(params, memory, took, inside):  # type: ignore[no-untyped-def]
    limit = memory[0]
    memory[2] += 1.0
    if memory[2] <= WARM:
        memory[1] += (took - memory[1]) / memory[2]
    else:
        memory[1] += (took - memory[1]) * 2.0 / (params[8] + 1.0)
    if took > 0.0 and memory[1] / took > 2.0:
        memory[1] *= 0.9
    if inside < limit / 2:
        return limit
    gradient = max(0.5, min(1.0, params[9] * memory[1] / took)) if took > 0.0 else 1.0
    return limit * (1.0 - params[6]) + (limit * gradient + params[7]) * params[6]


@compiled
def _vegas(memory, took, inside, late):  # type: ignore[no-untyped-def]
    limit = memory[0]
    if memory[2] == 0.0 or took < memory[1]:
        memory[1], memory[2] = took, 1.0
        return limit
    step = max(1.0, math.floor(math.log10(limit)))
    if late:
        return limit - step
    if inside * 2 < limit:
        return limit
    queue = math.ceil(limit * (1.0 - memory[1] / took)) if took > 0.0 else 0.0
    if queue <= step:
        return limit + 6.0 * step
    return limit + step if queue < 3.0 * step else limit - step if queue > 6.0 * step else limit


@compiled
def adapt(params, memory, took, inside, late):  # type: ignore[no-untyped-def]
    """An attempt took so long [s] while so many were inside; ``late``: nobody waited for it any more."""
    if params[1] == AIMD:
        limit = memory[0]
        if late or took > params[5]:
            limit = min(limit - 1.0, math.floor(limit * params[4]))
        elif 2 * inside >= limit:
            limit += 1.0
    elif params[1] == GRADIENT2:
        limit = _gradient2(params, memory, took, inside)
    else:
        limit = _vegas(memory, took, inside, late)
    memory[0] = max(params[2], min(params[3], limit))
