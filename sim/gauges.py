"""The gauges of a run: changes of state -> time integrals, peaks, a sampled series. Both engines share them.

A gauge's integral and peak are kept for the present segment of time and handed to the views that cover it when it ends
(see ``backwater.measure``).
"""

from __future__ import annotations

from backwater import outcome as o
from backwater.jit import compiled, inlined
from backwater.measure import KINDS


@inlined
def _account(gauge, now):  # type: ignore[no-untyped-def]
    """Account for a gauge up to now; what lasted no time leaves no trace."""
    gauge.area += gauge.value * (now - gauge.last)
    if now > gauge.last and gauge.value > gauge.peak:
        gauge.peak = gauge.value
    gauge.last = now


@compiled
def end_segment(books, now):  # type: ignore[no-untyped-def]
    """Hand the gauges' integrals and peaks to the views that cover the segment that ends now, and begin the next."""
    start = books.clock[0].start
    for n in range(len(books.gauges)):
        gauge, place, kind = books.gauges[n], n // KINDS, n % KINDS
        _account(gauge, now)
        for view in range(books.ends.shape[0]):
            if books.ends[view, 0] <= start and now <= books.ends[view, 1]:
                books.areas[view, kind, place] += gauge.area
                books.peaks[view, kind, place] = max(books.peaks[view, kind, place], gauge.peak)
        gauge.area = gauge.peak = 0.0
    books.clock[0].start = now


@inlined
def cross(books, now):  # type: ignore[no-untyped-def]
    """Time goes on: take the samples that are due before now, and end the segments that end before it."""
    if books.clock[0].next < now:
        cross_now(books, now)


@compiled
def cross_now(books, now):  # type: ignore[no-untyped-def]
    """What ``cross`` does when there is something to do."""
    clock = books.clock[0]
    while clock.next < now:
        if clock.sample == clock.next:
            for kind in range(KINDS):
                books.samples[clock.samples, kind] = books.gauges[kind].value
            clock.samples += 1
            clock.sample = clock.samples * clock.every
        if clock.edge == clock.next:
            end_segment(books, clock.edge)
            clock.segment += 1
            clock.edge = books.edges[clock.segment]
        clock.next = min(clock.sample, clock.edge)


@inlined
def change(books, now, kind, job_class, by):  # type: ignore[no-untyped-def]
    """A gauge of a class (-1: of none) changes, now [s], after ``cross``; in the order in which changes happen."""
    gauge = books.gauges[kind]
    _account(gauge, now)
    gauge.value += by
    if books.places > 1 and job_class >= 0:
        own = books.gauges[(job_class + 1) * KINDS + kind]
        _account(own, now)
        own.value += by
    # Whoever waits does so because all workers are busy: only the end of a service can leave nobody.
    if kind == o.BUSY and by < 0.0 and gauge.value == books.gauges[o.WAITING].value == 0.0:
        clock = books.clock[0]
        if clock.drained != clock.drained and books.gauges[o.OUTSIDE].value + books.gauges[o.PREFETCHED].value == 0.0:
            clock.drained = now


@compiled
def fold_changes(books, rows):  # type: ignore[no-untyped-def]
    """Fold changes of state, rows (time [s], gauge, class, by how much)."""
    for n in range(len(rows)):
        row = rows[n]
        cross(books, row[0])
        change(books, row[0], int(row[1]), int(row[2]), row[3])
