"""The ready-made systems behind brokers: their tables of defaults hold, and they see the same jobs."""

import re

import pytest

import backwater as bw
from backwater.experiments.compare import compare
from backwater.models import MODELS, SYSTEMS
from backwater.outcome import assert_identical

FIELD = r"(?:broker|workers|queue|client)\.\S+"
ROW = re.compile(rf"^ {{4}}({FIELD}) {{2,}}(\S.*?) {{2,}}(\S.*?) {{2,}}([VMRA])$", re.M)


def stated(name) -> dict[str, object]:
    """Field -> value of the table in a system's docstring."""
    text = MODELS[name].build.__doc__
    found = {path: value for path, value, _, _ in ROW.findall(text)}
    assert list(found) == re.findall(rf"^ +({FIELD}) ", text, re.M), "a row without a value, a source or a letter"
    return {path: None if value == "-" else _number(value) for path, value in found.items()}


def _number(value: str) -> object:
    return int(value) if value.isdecimal() else float(value) if re.fullmatch(r"\d+e-\d+", value) else value


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_default_that_is_stated_is_the_scenarios(name):
    scenario = bw.model(name)
    for path, value in stated(name).items():
        assert path in scenario.settings or value is None
        assert scenario.with_({path: value}) == scenario, path


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_field_that_a_system_sets_is_stated_with_a_source(name):
    told, given = stated(name), bw.model(name).plain()
    sets = [*leaves(given["broker"], "broker."), *leaves(given.get("queue", {}), "queue.")]
    sets += [*leaves(given["client"], "client."), *(["workers.prefetch"] if "prefetch" in given["workers"] else [])]
    assert len(sets) > 5
    for path in sets:
        whole, last = path.rpartition(".")[::2]  # a law: as a whole, or all but its kind
        by_parts = last == "kind" and any(field.startswith(whole + ".") for field in told)
        assert path in told or whole in told or by_parts or path == "client.mode", path


def leaves(table, prefix) -> list[str]:
    """The dotted paths of all values in nested tables."""
    return [
        path for name, value in table.items()
        for path in (leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name])
    ]  # fmt: skip


SPIKE = [
    {"kind": "load", "factor": 2, "start": "10 s", "duration": "5 s"},
    {"kind": "workers_crash", "share": "50 %", "start": "14 s", "duration": "3 s"},
    {"kind": "broker_down", "start": "20 s", "duration": "2 s"},
    {"kind": "errors", "share": "10 %", "start": "5 s", "duration": "20 s"},
]


CRASH = [{"kind": "workers_crash", "start": "5 s", "duration": "2 s"}]  # of all


@pytest.mark.parametrize("name", SYSTEMS)
def test_both_engines_agree_on_every_system_in_a_spike_and_in_crashes(name):
    given = {
        "sqs_fifo": {"groups": 40},  # fewer to look through
        "celery_redis": {"late": True, "visibility": "600 ms", "sweep": "250 ms"},  # many run more than once
        "redis_stream": {"min_idle": "600 ms", "claim": "250 ms"},
    }.get(name, {})
    tight = {"memory": "200 kB", "length": 60, "task_delay": "3 s"}
    for bounds, faults, horizon in (({}, SPIKE, "26 s"), (tight, SPIKE, "26 s"), ({}, CRASH, "10 s")):
        scenario = bw.model(name, **given, **bounds).with_({"faults": faults})
        told = [
            bw.simulate(scenario, horizon=horizon, replications=1, seed=5, engine=engine, record=("attempts", "jobs"))
            for engine in ("simpy", "compiled")
        ]
        assert_identical(*(each.outcomes[0] for each in told))
        assert set(told[0].attempts["outcome"]) & {"lost", "returned", "rejected", "failed"}
        assert faults is SPIKE or told[0].attempts["started"].max() > 7


def test_all_see_the_same_jobs_and_are_compared_by_what_brokers_do():
    run = bw.Run(horizon="60 s", replications=2)
    crash = {"faults": [{"kind": "workers_crash", "start": "5 s", "duration": "2 s"}]}
    found = compare(*[bw.model(name).with_(crash) for name in SYSTEMS], run=run)
    assert len({result["arrival_rate"] for result in found.results}) == 1
    assert {"lost_ratio", "redelivery_ratio", "dead_letter_ratio", "stored_max", "unacked_max"} < set(found.metrics)
    assert {"lost_ratio", "redelivery_ratio", "stored_max"} < set(found.moving)
    assert found.estimate("lost_ratio", SYSTEMS.index("redis_list")).value > 0
    assert found.estimate("lost_ratio", SYSTEMS.index("rabbitmq_classic")).value == 0


def test_without_a_broker_the_usual_metrics_are_compared():
    scenario = bw.model("thumbnails")
    found = compare(scenario, scenario, run=bw.Run(horizon="5 s", replications=2))
    assert "lost_ratio" not in found.metrics


def test_a_word_that_redis_does_not_know_is_one_line():
    with pytest.raises(bw.ScenarioError, match="appendfsync must be always, everysec, no, or None"):
        bw.model("redis_list", appendfsync="sometimes")
