"""Ready-made systems: parameters -> Scenario, each with a run that suits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from backwater.errors import check, nearest
from backwater.models import (
    autoscaling,
    herd,
    llm_inference,
    mongodb_retries,
    overload,
    retry_storm,
    spill_collapse,
    thumbnails,
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
}  # fmt: skip
MODELS = {
    name: Ready(getattr(module, name), module.RUN, (module.__doc__ or "").splitlines()[0])
    for name, module in _MODULES.items()
}


def ready(name: str) -> Ready:
    """The ready-made system of this name; ScenarioError naming the nearest."""
    check(name in MODELS, "model", name, f"must be a ready-made model{nearest(name, MODELS)}")
    return MODELS[name]


def model(name: str, **parameters: Any) -> Scenario:
    """The scenario of a ready-made system, with its parameters."""
    return ready(name).build(**parameters)
