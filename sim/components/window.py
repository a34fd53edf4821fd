"""Two counts over a sliding window, kept in sixteenths of it: what budgets, breakers and throttles remember."""

from __future__ import annotations

import math

from backwater.jit import compiled

SLICES = 16
WINDOW = 1 + 2 * SLICES  # numbers: the present slice, then both counts by slice


@compiled
def note(memory, at, now, window, a, b):  # type: ignore[no-untyped-def]
    """Count ``a`` and ``b`` now [s] in the window that begins at ``memory[at]``, after forgetting what is too old."""
    present = math.floor(now / window * SLICES)
    old = present - memory[at]
    if old > 0:
        for n in range(min(int(old), SLICES)):
            slot = at + 1 + 2 * int((present - n) % SLICES)
            memory[slot] = memory[slot + 1] = 0.0
        memory[at] = present
    slot = at + 1 + 2 * int(present % SLICES)
    memory[slot] += a
    memory[slot + 1] += b


@compiled
def total(memory, at, which):  # type: ignore[no-untyped-def]
    """The first (0) or second (1) count over the window, as of the last ``note``."""
    out = 0.0
    for n in range(SLICES):
        out += memory[at + 1 + 2 * n + which]
    return out


@compiled
def forget(memory, at):  # type: ignore[no-untyped-def]
    """Begin both counts again."""
    for n in range(2 * SLICES):
        memory[at + 1 + n] = 0.0
