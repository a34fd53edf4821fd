"""The benchmark systems in cimba, compiled coroutines: the fastest peer that we know of.

A model counts what its package counts by itself; it keeps no histograms and checks nothing.
"""

from collections.abc import Callable
from typing import Any

import cimba as cb
from cimba import inputs


class Queue(cb.Model):
    """M/M/c: jobs are counted into a container, workers take them out."""

    gap: cb.Input[float] = inputs.dist.exponential(mean=1.25)
    service: cb.Input[float] = inputs.dist.exponential(mean=1.0)
    queue: cb.Container
    mean_queue: cb.Output[float]

    @cb.process
    def arrivals(self) -> None:
        """Jobs come."""
        while True:
            cb.hold(self.gap.next())
            self.queue.put(1)

    @cb.process
    def worker(self) -> None:
        """One worker."""
        while True:
            self.queue.get(1)
            cb.hold(self.service.next())

    @cb.on_end
    def measure(self) -> None:
        """What it tells."""
        self.mean_queue = self.queue.mean_level()


class Queue16(cb.Model):
    """The same with sixteen workers."""

    gap: cb.Input[float] = inputs.dist.exponential(mean=1 / 12.8)
    service: cb.Input[float] = inputs.dist.exponential(mean=1.0)
    queue: cb.Container
    mean_queue: cb.Output[float]

    @cb.process
    def arrivals(self) -> None:
        """Jobs come."""
        while True:
            cb.hold(self.gap.next())
            self.queue.put(1)

    @cb.process(copies=16)
    def worker(self) -> None:
        """One worker of sixteen."""
        while True:
            self.queue.get(1)
            cb.hold(self.service.next())

    @cb.on_end
    def measure(self) -> None:
        """What it tells."""
        self.mean_queue = self.queue.mean_level()


class Client(cb.Model):
    """A client that comes back."""

    shop: cb.Ref["Shop"]

    @cb.process
    def life(self) -> None:
        """Up to eight attempts with full jitter."""
        pause = 0.5
        attempts = 0
        while True:
            attempts += 1
            if self.shop.workers.available() > 0 or self.shop.waiting < 64:
                self.shop.waiting += 1
                self.shop.workers.acquire(1)
                self.shop.waiting -= 1
                cb.hold(cb.random.exponential(1.0))
                self.shop.workers.release(1)
                self.shop.done += 1
                break
            if attempts == 8:
                break
            cb.hold(cb.random.uniform(0.0, min(30.0, pause)))
            pause = pause * 2.0
        cb.release(self)


class Shop(cb.Model):
    """24 clients/s, 16 workers of mean 1 s, 64 places."""

    workers: cb.Resource = cb.Resource(capacity=16)
    waiting: int = 0
    done: int = 0
    completed: cb.Output[float]

    @cb.process
    def arrivals(self) -> None:
        """Clients come."""
        while True:
            cb.hold(cb.random.exponential(1 / 24))
            cb.spawn(Client, shop=self)

    @cb.on_end
    def measure(self) -> None:
        """What it tells."""
        self.completed = self.done * 1.0


def _side(model: Any, rate: float) -> Callable[[int, int], int]:
    def run(seed: int, jobs: int) -> int:
        window = cb.Window(warmup=0, duration=jobs / rate)
        cb.Experiment(model, replications=1, window=window, seed=seed).run()
        return jobs

    return run


def sides() -> dict[str, Callable[[int, int], int]]:
    """The systems by name."""
    return {"M/M/1": _side(Queue(), 0.8), "M/M/16": _side(Queue16(), 12.8), "retries": _side(Shop(), 24.0)}
