"""backwater: a queueing simulator for systems that back up.

A scenario (data) run by an engine with a seed leaves an outcome (data); metrics turn outcomes into numbers.

    import backwater as bw

    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate="90/s"),
        queue=bw.Queue(capacity=20),
        workers=bw.Workers(count=8, service=bw.Exponential(mean="80 ms")),
    )
    print(bw.simulate(scenario, horizon="10 min").summary)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backwater.components.admission import CoDel, ConcurrencyLimit, Dagor, RateLimit, Red
from backwater.components.arrivals import Bursts, Periodic, Poisson, Profile, Renewal
from backwater.components.autoscale import Autoscale
from backwater.components.batch import Batch
from backwater.components.breaker import Breaker, Throttle
from backwater.components.broker import Broker, Durability, Polling, Watermark
from backwater.components.budget import Concurrent, GrpcThrottle, Ratio, TokenBucket
from backwater.components.client import Client, Proxy, Retry, RetryAfter
from backwater.components.closed import Closed
from backwater.components.cron import Cron
from backwater.components.failures import Failures
from backwater.components.faults import Fault
from backwater.components.flow import MMPP
from backwater.components.hedge import Hedge
from backwater.components.jobs import Job
from backwater.components.limiter import RateLimiter
from backwater.components.memory import Memory, Slowdown
from backwater.components.notify import Poll, Push
from backwater.components.own import Own
from backwater.components.queue import Queue
from backwater.components.shifts import Shifts
from backwater.components.trace import Trace
from backwater.components.workers import Workers
from backwater.distributions import (
    Constant,
    Empirical,
    Erlang,
    Exponential,
    Gamma,
    Histogram,
    HyperExponential,
    Linear,
    LogNormal,
    Mixture,
    Pareto,
    PhaseType,
    Scipy,
    Uniform,
    Weibull,
)
from backwater.errors import AuditError, BackwaterError, LimitError, RuleError, ScenarioError
from backwater.files import dump, dumps, json_schema, load, loads
from backwater.rules import rule
from backwater.run import Run
from backwater.scenario import Scenario

if TYPE_CHECKING:
    from backwater.experiments.compare import compare
    from backwater.experiments.design import Design
    from backwater.experiments.frontier import frontier
    from backwater.experiments.plan import plan, plans
    from backwater.experiments.recovery import recovery
    from backwater.experiments.sensitivity import sensitivity
    from backwater.experiments.sweep import Sweep, sweep
    from backwater.models import model
    from backwater.result import Result
    from backwater.simulation import simulate

# Names whose modules are imported when first asked for: simulating and sweeping need more than describing does.
_LATER = {
    "Design": "backwater.experiments.design",
    "Result": "backwater.result",
    "compare": "backwater.experiments.compare",
    "frontier": "backwater.experiments.frontier",
    "plan": "backwater.experiments.plan",
    "plans": "backwater.experiments.plan",
    "recovery": "backwater.experiments.recovery",
    "sensitivity": "backwater.experiments.sensitivity",
    "Sweep": "backwater.experiments.sweep",
    "model": "backwater.models",
    "simulate": "backwater.simulation",
    "sweep": "backwater.experiments.sweep",
}

__all__ = [
    "Scenario", "load", "loads", "dump", "dumps", "json_schema", "model",
    "Poisson", "Periodic", "Renewal", "MMPP", "Profile", "Bursts", "Trace", "Cron", "Closed",
    "Job", "Client", "Retry", "RetryAfter", "Proxy", "TokenBucket", "GrpcThrottle", "Ratio", "Concurrent",
    "Breaker", "Throttle", "RateLimiter", "Hedge", "Push", "Poll",
    "Queue", "Memory", "Slowdown", "RateLimit", "Red", "CoDel", "ConcurrencyLimit", "Dagor", "Workers", "Batch",
    "Broker", "Polling", "Durability", "Watermark", "Fault", "Failures", "Shifts", "Autoscale",
    "rule", "Own",
    "Constant", "Exponential", "Erlang", "Gamma", "LogNormal", "Weibull", "HyperExponential", "Pareto", "Uniform",
    "PhaseType", "Empirical", "Histogram", "Mixture", "Scipy", "Linear",
    "Run", "simulate", "Result", "sweep", "Sweep", "Design", "compare", "plan", "plans",
    "sensitivity", "frontier", "recovery",
    "BackwaterError", "ScenarioError", "AuditError", "LimitError", "RuleError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'backwater' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
