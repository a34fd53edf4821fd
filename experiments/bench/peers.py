"""The benchmark systems in other simulators, where the extra ``bench`` is installed: cimba, Ciw, salabim.

Each function takes a seed and a number of jobs and returns how many it simulated. A system that a package cannot say
in its own terms is left out: Ciw knows no client who comes back, and none of the three has a queue that spills.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib.util import find_spec
from typing import Any

Side = Callable[[int, int], int]


def sides() -> dict[str, dict[str, Side]]:
    """By package, the systems that it can run here."""
    known = {"cimba": _cimba, "Ciw": _ciw, "salabim": _salabim}
    return {name: make() for name, make in known.items() if find_spec(name.lower()) is not None}


def _cimba() -> dict[str, Side]:
    from backwater.experiments.bench import cimba_models

    return cimba_models.sides()


def _ciw() -> dict[str, Side]:
    import ciw

    def queue(rate: float, workers: int) -> Side:
        network = ciw.create_network(
            arrival_distributions=[ciw.dists.Exponential(rate)],
            service_distributions=[ciw.dists.Exponential(1.0)],
            number_of_servers=[workers],
        )

        def run(seed: int, jobs: int) -> int:
            ciw.seed(seed)
            simulation = ciw.Simulation(network)
            simulation.simulate_until_max_customers(jobs)
            return jobs

        return run

    return {"M/M/1": queue(0.8, 1), "M/M/16": queue(12.8, 16)}


def _salabim() -> dict[str, Side]:
    import salabim as sim

    sim.yieldless(False)
    Events = Generator[Any, Any, None]

    def system(rate: float, workers: int, places: float, attempts: int) -> Side:
        def run(seed: int, jobs: int) -> int:
            env = sim.Environment(trace=False, random_seed=seed)
            pool = sim.Resource("workers", capacity=workers)
            service, gap, share = sim.Exponential(1.0), sim.Exponential(1 / rate), sim.Uniform(0, 1)

            class Client(sim.Component):
                def process(self) -> Events:
                    for attempt in range(attempts):
                        if pool.available_quantity() > 0 or len(pool.requesters()) < places:
                            yield self.request(pool)
                            yield self.hold(service.sample())
                            self.release()
                            return
                        if attempt < attempts - 1:
                            yield self.hold(share.sample() * min(30.0, 0.5 * 2**attempt))

            class Source(sim.Component):
                def process(self) -> Events:
                    for _ in range(jobs):
                        yield self.hold(gap.sample())
                        Client()

            Source()
            env.run()
            return jobs

        return run

    endless = float("inf")
    return {
        "M/M/1": system(0.8, 1, endless, 1), "M/M/16": system(12.8, 16, endless, 1), "retries": system(24, 16, 64, 8),
    }  # fmt: skip
