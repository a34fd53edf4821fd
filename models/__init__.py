"""Ready-made systems: parameters -> Scenario, each with a run that suits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from backwater.errors import check, nearest
from backwater.models import (
    autoscaling,
    celery,
    front_ends,
    herd,
    inline_or_queue,
    llm_inference,
    mongodb_retries,
    overload,
    rabbitmq,
    redis,
    retry_storm,
    spill_collapse,
    sqs,
    thumbnails,
    use_cases,
)
from backwater.run import Run
from backwater.scenario import Scenario


class Ready(NamedTuple):
    """A ready-made system: the function that makes its scenario, a run that suits it, a line on what it is."""

    build: Callable[..., Scenario]
    run: Run
    about: str


_MODULES = {
    "thumbnails": thumbnails, "llm_inference": llm_inference, "overload": overload, "retry_storm": retry_storm,
    "mongodb_retries": mongodb_retries, "spill_collapse": spill_collapse, "herd": herd,
    "autoscaling": autoscaling,
    "redis_list": redis, "redis_reliable": redis, "redis_stream": redis,
    "rabbitmq_classic": rabbitmq, "rabbitmq_quorum": rabbitmq,
    "sqs_standard": sqs, "sqs_fifo": sqs, "celery_redis": celery, "celery_rabbitmq": celery,
    **dict.fromkeys(use_cases.RUNS, use_cases), "sync_inline": inline_or_queue, "async_queue": inline_or_queue,
    **dict.fromkeys(front_ends.NAMES, front_ends),
}  # fmt: skip


def _ready(name: str, module: Any) -> Ready:
    build = getattr(module, name)
    alone = module.__name__.endswith(f".{name}")  # else the module has several, and each says what it is
    run = module.RUNS[name] if hasattr(module, "RUNS") else module.RUN
    return Ready(build, run, ((module if alone else build).__doc__ or "").splitlines()[0])


MODELS = {name: _ready(name, module) for name, module in _MODULES.items()}
#: The brokers and task queues that people run; the other models are what is done with them, or without.
SYSTEMS = tuple(name for name, module in _MODULES.items() if module in (redis, rabbitmq, sqs, celery))


def ready(name: str) -> Ready:
    """The ready-made system of this name; ScenarioError naming the nearest."""
    check(name in MODELS, "model", name, f"must be a ready-made model{nearest(name, MODELS)}")
    return MODELS[name]


def model(name: str, **parameters: Any) -> Scenario:
    """The scenario of a ready-made system, with its parameters."""
    return ready(name).build(**parameters)
