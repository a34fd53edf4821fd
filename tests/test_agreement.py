"""The contract between the engines: the same rows, counters, histograms, integrals and series, bit by bit.

The reference reads the scenario as written and the compiled engine its own layout of it; they share laws, rules, keys
and folds, which other tests hold against their definitions.
"""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from gallery import gallery
from gallery_brokers import brokers
from gallery_more import more
from gallery_pairs import pairs
from gallery_workflows import workflows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leading import leading
from scenarios import scenarios

import backwater as bw
from backwater.base import Model
from backwater.outcome import ATTEMPT, assert_identical
from backwater.simulation import replicate

SHOWN = bw.Run(horizon="30 s", warmup="3 s", windows={"w": "5 s..9 s", "v": "8 s..20 s"}, sample="700 ms", seed=1,
               record=("jobs", "attempts", "events"))  # fmt: skip
# Nothing recorded: rows are folded without being kept.
PLAIN = bw.Run(horizon="30 s", seed=2**64 - 7)
SHORT = bw.Run(arrivals=23, seed=5, warmup="200 ms", sample="300 ms", record=("jobs",))


@cache
def shown() -> dict[str, bw.Scenario]:
    """The gallery."""
    return {**gallery(Path(mkdtemp())), **more(), **brokers(), **workflows(), **pairs()}


def agree(scenario: bw.Scenario, run: bw.Run, replication: int = 0) -> None:
    """Both engines give the same outcome; the message names the first row and column that differ."""
    compiled = replicate(scenario, run, replication, "compiled")
    assert_identical(compiled, replicate(scenario, run, replication, "simpy"))


class TestAgreement:
    """Both engines on the gallery and on random scenarios."""

    @pytest.mark.parametrize("name", list(shown()))
    def test_on_the_gallery(self, name):
        for run in (SHOWN, PLAIN, SHORT):
            for replication in (0, 3):
                agree(shown()[name], run, replication)

    @settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        scenario=leading(scenarios()),
        run=st.sampled_from([SHOWN, PLAIN, SHORT]),
        seed=st.integers(0, 2**64 - 1),
        replication=st.integers(0, 2**32 - 1),
    )
    def test_on_random_scenarios(self, scenario, run, seed, replication):
        # Producers that wait for good, as nobody is ever served, would not end a run of so many arrivals.
        horizon = run.horizon or (300.0 if scenario.queue.overflow == "block" else None)
        agree(scenario, run.model_copy(update={"seed": seed, "horizon": horizon}), replication)

    @pytest.mark.parametrize("arrivals", [24, 25, 48, 1000])
    @pytest.mark.parametrize("name", ["trace", "trace, again", "trace, taken more than once"])
    def test_where_a_trace_ends(self, name, arrivals):
        # Twenty-four rows: the last job that is wanted is the last of a pass, or more are wanted than there are.
        patient = bw.Client(attempt_timeout=bw.Exponential(mean="20 s"), total_timeout="50 s")
        for scenario in (shown()[name], shown()[name].with_({"client": patient.plain()})):
            agree(scenario, bw.Run(arrivals=arrivals, sample="1 s", record=("jobs", "attempts")))

    def test_on_a_long_overload(self):
        flood = bw.model("thumbnails").with_({"load": 1.3})
        agree(flood, bw.Run(horizon="3 min", warmup="30 s", seed=9, record=("jobs",)))

    def test_on_a_recorded_trace(self, trace_file):
        experiment = Path(__file__).resolve().parents[1] / "experiments" / "llm_trace.toml"
        from backwater.experiments.experiment import load_experiment

        agree(load_experiment(str(experiment)).scenario, bw.Run(horizon="20 min", seed=3))


def test_the_gallery_holds_what_it_should():
    assert len(shown()) >= 40
    ties = replicate(shown()["no room, ties, retries"], SHOWN, 0, "compiled").attempts
    sent = ties[:, [column.name for column in ATTEMPT].index("sent")]
    assert len(np.unique(sent)) < len(sent) * 0.7
    overload = replicate(shown()["an overload that retries"], SHOWN, 0, "compiled")
    assert overload.counter("rejected") > overload.counter("accepted")


def parts() -> list[type[Model]]:
    """Every kind of part of which a scenario is made."""
    known, new = set(), [Model]
    while new:
        new = [sub for each in new for sub in each.__subclasses__()]
        known |= set(new)
    out = [part for part in known if part.__module__.startswith("backwater") and not part.__name__.startswith("_")]
    return sorted((part for part in out if not part.__module__.startswith("backwater.experiments")), key=str)


def choices(annotation: Any) -> list[Any]:
    """The words that a field allows, where it takes words."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for inner in get_args(annotation) for word in choices(inner)]


def touched(value: Any, seen: set) -> None:
    """Note (kind of part, field, word or whether it is not the default) of everything within a part."""
    if isinstance(value, Model):
        for name, field in type(value).model_fields.items():
            given = getattr(value, name)
            seen.add((type(value), name, given if isinstance(given, str) else given != field.default))
            touched(given, seen)
    elif isinstance(value, (dict, list, tuple)):
        for inner in value.values() if isinstance(value, dict) else value:
            touched(inner, seen)


def own_fields(part: type[Model]) -> dict[str, Any]:
    """The fields that a kind of part has beyond those of the kind that it is made from."""
    above = {name for base in part.__mro__[1:] for name in getattr(base, "model_fields", {})}
    return {name: field for name, field in part.model_fields.items() if name not in above or choices(field.annotation)}


def test_every_field_of_the_language_is_in_the_gallery():
    seen: set = set()
    for scenario in shown().values():
        touched(scenario, seen)
    missing = []
    for part in parts():
        if part is bw.Run:  # says how long, not what
            continue
        for name, field in own_fields(part).items():
            if name in ("name", "notes"):  # what people say about a scenario
                continue
            used = {what for kind, field_name, what in seen if issubclass(kind, part) and field_name == name}
            words = choices(field.annotation)
            left = [word for word in words if word not in used] if words else [] if used - {False} else ["a value"]
            missing += [f"{part.__name__}.{name}: {word}" for word in left]
    assert not missing, "No scenario of tests/gallery.py has: " + "; ".join(missing)
