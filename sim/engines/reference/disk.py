"""The disk on which attempts wait that do not fit in memory."""

from __future__ import annotations

import math

import simpy

from backwater.components.memory import disk_wait


class Disk:
    """One FIFO server for writes and reads. Each operation takes its latency plus size / bandwidth, after its turn.

    write, read  latency of one operation [s]
    bandwidth    [B/s]
    """

    def __init__(
        self, env: simpy.Environment, *, write: float = 0.0, read: float = 0.0, bandwidth: float = math.inf
    ) -> None:
        self.env, self.latency_write, self.latency_read, self.bandwidth = env, write, read, bandwidth
        self.free = 0.0  # when the last operation asked for so far ends
        self.factor = 1.0  # what a fault multiplies the time of an operation by

    def write(self, size: float) -> float:
        """Ask for a write; returns the time until it is done, its turn included [s]."""
        return self._ask(self.latency_write, size)

    def read(self, size: float) -> float:
        """Ask for a read; returns the time until it is done, its turn included [s]."""
        return self._ask(self.latency_read, size)

    def _ask(self, latency: float, size: float) -> float:
        now = self.env.now
        wait: float = disk_wait(self.free, now, latency, self.bandwidth, size, self.factor)
        self.free = now + wait
        return wait
