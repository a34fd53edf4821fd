"""What brokers promise, on random scenarios with crashes, on both engines."""

from collections import defaultdict
from itertools import pairwise

import pytest
from brokered import brokered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leading import leading

import backwater as bw
from backwater import random
from backwater.components.queue import pick
from backwater.outcome import ATTEMPT, DROPPED, JOB, JOB_COMPLETED, JOB_DEAD_LETTERED, LOST, assert_identical
from backwater.simulation import replicate

RUN = bw.Run(horizon="16 s", seed=7, record=("attempts", "jobs"), warmup="2 s", windows={"w": "4 s..8 s"})
ROW = {column.name: index for index, column in enumerate(ATTEMPT)}
JOBS = {column.name: index for index, column in enumerate(JOB)}
ASYNC = {"mode": "async"}
seeds = st.integers(0, 2**64 - 1)


def many(examples: int) -> settings:
    """So many random scenarios, the same ones each time."""
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def run(scenario: bw.Scenario, seed: int):
    """The outcome, on which both engines agree."""
    how = RUN.model_copy(update={"seed": seed})
    outcome = replicate(scenario, how, 1, "compiled")
    assert_identical(outcome, replicate(scenario, how, 1, "simpy"))
    return outcome


def messages(outcome) -> dict:
    """The deliveries of each message, in order: rows by (source, job, attempt)."""
    found = defaultdict(list)
    for row in outcome.attempts:
        found[tuple(int(row[ROW[name]]) for name in ("source", "job", "number"))].append(row)
    return {name: sorted(rows, key=lambda row: row[ROW["delivery"]]) for name, rows in found.items()}


def at(row, name):
    """A column of a row."""
    return float(row[ROW[name]])


def went(row, name) -> bool:
    """Whether something happened to a delivery."""
    return at(row, name) == at(row, name)


@many(300)
@given(scenario=leading(brokered()), seed=seeds)
def test_engines_agree_on_everything(scenario, seed):
    run(scenario, seed)


@many(120)
@given(scenario=brokered(ack="none"), seed=seeds)
def test_at_most_once_never_runs_a_message_twice(scenario, seed):
    for rows in messages(run(scenario, seed)).values():
        assert sum(went(row, "started") for row in rows) <= 1
        assert len(rows) == 1


@many(60)
@given(scenario=brokered(ack="early", visibility_timeout=None, sweep=None, duplicates=None), seed=seeds)
def test_early_acknowledgement_starts_a_message_once(scenario, seed):
    for rows in messages(run(scenario, seed)).values():
        assert sum(went(row, "started") for row in rows) <= 1


KEEPS = {"ack": "late", "durability": None, "retention": None, "max_deliveries": None, "on_error": "ack",
         "disconnect": "0 s", "confirm": None, "acked_by": None}  # fmt: skip


@many(120)
@given(scenario=brokered(clients=ASYNC, **KEEPS), seed=seeds)
def test_at_least_once_never_loses_a_message(scenario, seed):
    if scenario.queue.overflow == "drop_oldest":
        return
    outcome = run(scenario, seed)
    assert outcome.counter("lost", 0) == outcome.counter("dropped", 0) == outcome.counter("dead_lettered", 0) == 0
    for rows in messages(outcome).values():
        assert all(row[ROW["outcome"]] not in (LOST, DROPPED) for row in rows)
        assert [at(row, "returned") for row in rows[:-1]] == [1.0] * (len(rows) - 1)
        # Whatever came back is delivered again, or waits for that at the end.
        assert not rows[-1][ROW["returned"]]


@many(120)
@given(scenario=brokered(clients=ASYNC, groups=2, duplicates=None, position="front"), seed=seeds)
def test_messages_of_a_group_never_overtake_each_other(scenario, seed):
    outcome = run(scenario, seed)
    groups = defaultdict(list)
    for (source, job, _), rows in messages(outcome).items():
        u = random.uniform(random.seed_word(seed), 1, source, job, random.GROUP, 0)
        handed = [at(row, "delivered") for row in rows if went(row, "delivered")]
        if handed:
            groups[pick(u, 2)].append((at(rows[0], "accepted"), handed))
    for one in groups.values():
        one.sort()
        for (first, before), (second, after) in pairwise(one):
            if first < second:
                assert max(before) <= min(after)


@many(120)
@given(scenario=brokered(clients=ASYNC, ack="late", duplicates=None, max_deliveries=2), seed=seeds)
def test_the_dead_letter_queue_holds_what_was_delivered_too_often(scenario, seed):
    outcome = run(scenario, seed)
    ends = {(int(row[0]), int(row[1])): row[JOBS["outcome"]] for row in outcome.jobs}
    often = set()
    for (source, job, _), rows in messages(outcome).items():
        assert rows[-1][ROW["delivery"]] <= 2
        if rows[-1][ROW["delivery"]] == 2 and rows[-1][ROW["returned"]]:
            often.add((source, job))
    dead = {job for job, end in ends.items() if end == JOB_DEAD_LETTERED}
    assert dead <= often
    # One that was delivered too often is dead, unless a delivery that was taken back has completed it.
    assert all(ends[job] == JOB_COMPLETED for job in often - dead)


def test_a_broker_that_promises_nothing_changes_nothing():
    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate="5/s"), workers={"count": 3, "service": bw.Exponential(mean="500 ms")},
        queue={"capacity": 4}, client={"attempt_timeout": "2 s", "retry": {"base": "200 ms", "cap": "2 s"}},
    )  # fmt: skip
    for engine in ("compiled", "simpy"):
        plain = replicate(scenario, RUN, 0, engine)
        brokered = replicate(scenario.with_({"broker": {}}), RUN, 0, engine)
        kept = [index for name, index in ROW.items() if name != "delivered"]
        assert brokered.attempts[:, kept].tobytes() == plain.attempts[:, kept].tobytes()
        assert brokered.jobs.tobytes() == plain.jobs.tobytes()


@pytest.mark.parametrize(("broker", "parts", "told"), [
    ({"ack": "lat"}, {}, "broker.ack must be 'none', 'early' or 'late'"),
    ({"ackk": "late"}, {}, 'broker has no field "ackk"; did you mean "ack"?'),
    ({"ack": "none", "visibility_timeout": "1 s"}, {}, "broker.visibility_timeout has no meaning without"),
    ({"sweep": "1 s"}, {}, "broker.sweep must come with a visibility_timeout"),
    ({"visibility_timeout": "0 s"}, {}, "broker.visibility_timeout must be above 0"),
    ({"disconnect": "nver"}, {}, "broker.disconnect must be a time"),
    ({"max_deliveries": 0}, {}, "broker.max_deliveries must be greater than or equal to 1"),
    ({"on_error": "return"}, {}, "broker.max_deliveries must be given where on_error is return"),
    ({"on_error": "expire"}, {}, "broker.on_error must come with a visibility_timeout"),
    ({"ack": "early", "on_error": "return"}, {}, "broker.on_error must be ack where"),
    ({"ack": "none", "acked_by": "any"}, {}, "broker.acked_by has no meaning without"),
    ({"acked_by": "any", "on_error": "return", "max_deliveries": 2}, {}, "broker.acked_by must be present unless"),
    ({"duplicates": 1.0}, {}, "broker.duplicates must be below 1"),
    ({"ack": "none", "duplicates": 0.1}, {}, "broker.duplicates has no meaning without"),
    ({"groups": 3}, {"queue": {"discipline": "lifo"}}, "queue.discipline must be fifo for groups"),
    ({"poll": {}}, {}, "broker.poll.every must be above 0"),
    ({"poll": {"every": "1 s", "batch": 0}}, {}, "broker.poll.batch must be greater than or equal to 1"),
    ({"poll": {"wait": "1 s", "misses": 0.5}}, {}, "broker.poll.misses has no meaning for long polling"),
    ({"poll": {"every": "1 s"}}, {"workers": {"prefetch": 2}}, "workers.prefetch has no meaning where workers poll"),
    ({"send": {"size": 1, "linger": "1 s"}}, {}, "broker.send.size must be greater than or equal to 2"),
    ({"send": {"size": 2, "linger": "0 s"}}, {}, "broker.send.linger must be above 0"),
    ({"confirm": "1 s"}, {}, "broker.confirm has a meaning for async clients only"),
    ({"durability": {"fsync": "sometimes"}}, {}, "broker.durability.fsync must be a time"),
    ({"watermark": {"limit": "1 kB"}}, {}, "jobs.job.size must be given where broker.watermark counts bytes"),
    ({"watermark": {"limit": "1 kB", "every": "1 s"}}, {}, "broker.watermark.every has a meaning for full = block"),
    ({"retention": "0 s"}, {}, "broker.retention must be above 0"),
    ({}, {"workers": {"nodes": 2}}, "workers.nodes must be at most the count of workers, 1"),
    ({}, {"workers": {"time_limit": "0 s"}}, "workers.time_limit must be above 0"),
    ({}, {"workers": {"batch": {"size": 2}}}, "workers.batch must not be given beside a broker"),
    ({}, {"client": {"on_timeout": "cancel"}}, "client.on_timeout must be leave or cancel_waiting"),
    ({}, {"queue": {"overflow": "block", "capacity": 0}}, "queue.capacity must be above 0 for block beside a broker"),
    (None, {"workers": {"prefetch": 2}}, "workers.prefetch has no meaning without a broker"),
    (None, {"workers": {"time_limit": "1 s"}}, "workers.time_limit has no meaning without a broker"),
    (None, {"jobs": {"job": {"delay": "1 s"}}}, "jobs.job.delay has no meaning without a broker"),
    (None, {"faults": [{"kind": "broker_down"}]}, "faults.0.kind has no meaning without a broker"),
])  # fmt: skip
def test_what_does_not_fit_gets_one_line(broker, parts, told):
    workers = {"count": 1, "service": "1 s", **parts.pop("workers", {})}
    with pytest.raises(bw.ScenarioError) as refused:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers=workers, broker=broker, **parts)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


def test_steps_tell_what_comes_back():
    scenario = bw.Scenario(
        arrivals=bw.Periodic(interval="1 s"), workers={"service": "700 ms"}, client=ASYNC,
        broker={"visibility_timeout": "500 ms", "max_deliveries": 2, "publish_delay": "100 ms"},
    )  # fmt: skip
    result = bw.simulate(scenario, horizon="1950 ms", replications=1, record=("events",))
    told = [(round(event.time, 6), event.what) for event in result.events.itertuples()]
    assert told == [
        (1.0, "sent"), (1.1, "accepted, and ready"), (1.1, "service starts on worker 0"),
        (1.6, "back in the queue: delivery 2"), (1.8, "completed, though it had been taken back"),
        (1.8, "service starts on worker 0"),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_each_delivery_has_chance_of_its_own(engine):
    """How long it takes, whether it fails, whether its acknowledgement gets lost: not as the one before it."""
    away = bw.Exponential(mean="100 ms")
    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate="5/s"), workers={"count": 50, "service": "10 ms"}, client=ASYNC,
        broker={"publish_delay": away, "delivery_delay": away, "on_error": "return", "max_deliveries": 20,
                "duplicates": 0.5}, faults=[{"kind": "errors", "share": 0.5, "start": "0 s"}],
    )  # fmt: skip
    table = bw.simulate(scenario, horizon="60 s", replications=1, engine=engine, record=("attempts",)).attempts
    after = defaultdict(set)
    for _, rows in table.sort_values("delivery").groupby("job"):
        ways = [rows["accepted"].iloc[0] - rows["sent"].iloc[0], *(rows["started"] - rows["delivered"]).dropna()]
        assert all(later - sooner > 1e-9 for sooner, later in pairwise(sorted(ways)))
        outcomes = rows["outcome"].tolist()
        for number, (before, now) in enumerate(pairwise(outcomes), 2):
            after[before].add((now, number == len(outcomes)))
    assert {now for now, _ in after["failed"]} >= {"failed", "completed"}
    # What was acknowledged in vain comes again, for the last time or not.
    assert after["completed"] >= {("abandoned_completed", True), ("abandoned_completed", False)}
