"""Addressed random numbers: a uniform is a pure function of (seed, replication, source, job, purpose, index).

Philox4x32-10, a counter-based generator: no state, no order of draws. One block of 128 bits holds two uniforms; the
purposes 2k and 2k + 1 share block k, so that what is often drawn together costs one block.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11; known answers of Random123.
"""

from __future__ import annotations

import numpy as np

from backwater.errors import check
from backwater.jit import compiled, compiled_in, inlined

# Purposes are append-only: a number's address is its identity.
GAP = 0  # time from the previous arrival of the source
SERVICE = 1  # service demand (index 0, or the attempt's number)
CLASS = 2  # which class a job belongs to
SIZE = 3  # bytes of a job
BACKOFF = 4  # pause after a failed attempt (index: the failed attempt's number)
TIMEOUT = 5  # patience with an attempt (index: the attempt's number)
RETRY = 6  # whether the client tries again at all (index: the failed attempt's number)
THIN = 7  # which rows of a trace are kept or repeated (job: the row), or minutes of cron have one more
FAIL = 8  # whether a service ends with an error (index: the attempt's number)
BATCH = 9  # how many jobs come at once (job: the first of them)
PHASE = 10  # time in a state of an MMPP (job: how many came before)
FIRST_PHASE = 11  # in which state an MMPP begins
THINK = 12  # time to think after a job (index 1: before a client's first one; job: the client)
THROTTLE = 13  # whether a throttle lets an attempt go (index: the attempt's number)
PROXY_BACKOFF = 14  # pause of a proxy (index: the failed attempt's number)
PROXY_RETRY = 15  # whether a proxy tries again at all (index: the failed attempt's number)
ADMIT = 16  # whether an attempt is let in (index: the attempt's number), or whose job it is (index 0)
PICK = 17  # who is next among those that wait (source 0; job: how often that was asked before)
UP = 22  # how long a worker goes without a failure (source 0; job: the worker; index: its failures before)
REPAIR = 23  # how long the repair after that takes
START_UP = 24  # how long a worker takes to start up (source 0; job: the worker; index: its start-ups before)
HEDGE = 26  # how long a client waits before it hedges (index: the number of the attempt sent last)
RANK = 34  # the rank that a rule of one's own gives an attempt (index: the attempt's number)
GROUP = 38  # to which group of a broker's a job belongs
DELAY = 39  # how long after it was sent a job is due
PUBLISH = 40  # how long a message takes to the broker (index: the attempt's number)
DELIVER = 41  # how long it takes to a worker (index: see ``of_delivery``)
TWICE = 42  # whether an acknowledged message is handed out once more (index: see ``of_delivery``)
MISS = 43  # whether a question finds nothing although messages are there (source 0; job: the node; index: before it)
LEAD = 44  # how many jobs one leads to (index: see ``order.of_lead``)
RESAMPLE = 36  # from where in a trace a piece is taken (job: the pass; index: the piece)

SEEDS = 2**64  # seeds are 0 .. 2**64 - 1
REPLICATIONS = 2**32
JOBS = 2**36  # jobs of one source in one run
SOURCES = 2**8

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@inlined
def _round(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    p0, p1 = _M0 * c0, _M1 * c2
    c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
    return c0, c1, c2, c3, (k0 + _W0) & _LOW, (k1 + _W1) & _LOW


@inlined
def _block(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    # Written out, not looped: so a loop over many addresses becomes vector code, three times as fast.
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@compiled
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Philox4x32-10: four 32-bit words of counter and two of key (all uint64) -> four 32-bit words."""
    return _block(c0, c1, c2, c3, k0, k1)


@inlined
def _unit(high, low):  # type: ignore[no-untyped-def]
    # 52 bits and a half: with 53, (2**53 - 1) + 0.5 rounds up and the uniform could be 1.0.
    return (np.float64(np.int64(((high << _HALF) | low) >> np.uint64(12))) + 0.5) * 2.0**-52


@compiled_in
def pair(seed, replication, source, job, purpose, index):  # type: ignore[no-untyped-def]
    """Both uniforms of the block that holds ``purpose``: those of the even purpose and of the odd one."""
    number = np.uint64(job)
    place = (np.uint64(purpose) >> np.uint64(1)) | (np.uint64(source) << np.uint64(8))
    c0, c1, c2, c3 = _block(
        number & _LOW,
        np.uint64(index) & _LOW,
        np.uint64(replication) & _LOW,
        (place | ((number >> _HALF) << np.uint64(20))) & _LOW,
        seed & _LOW,
        seed >> _HALF,
    )
    return _unit(c0, c1), _unit(c2, c3)


@compiled
def of_delivery(number, delivery):  # type: ignore[no-untyped-def]
    """The index of an attempt that may be delivered more than once: its own number, for the first time."""
    return number + ((delivery - 1) << 14)


@compiled
def uniform(seed, replication, source, job, purpose, index):  # type: ignore[no-untyped-def]
    """The uniform in (0, 1) at an address; ``seed`` a numpy uint64, the rest non-negative integers."""
    even, odd = pair(seed, replication, source, job, purpose, index)
    return odd if purpose & 1 else even


def seed_word(seed: int) -> np.uint64:
    """The seed as the compiled functions take it; ScenarioError outside 0 .. 2**64 - 1."""
    ok = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < SEEDS
    check(ok, "seed", seed, "must be a whole number from 0 to 2**64 - 1")
    return np.uint64(seed)
