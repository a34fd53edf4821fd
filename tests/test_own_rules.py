"""Rules of one's own: as good as the built-in ones, told what they are told they are, refused in one line."""

import math
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import own_rules
import pytest
import simpy

import backwater as bw
from backwater.engines.compiled import system
from backwater.engines.reference.system import System
from backwater.experiments.store import key
from backwater.outcome import assert_identical
from backwater.rules import FRAME, MEMORY, SORTS, TOLD
from backwater.simulation import replicate

RUN = bw.Run(horizon="40 s", warmup="2 s", sample="1 s", record=("jobs", "attempts"), seed=11)
FLOOD = {"arrivals": bw.Poisson(rate=6), "workers": {"count": 2, "service": bw.Exponential(mean="500 ms")},
         "jobs": {"a": bw.Job(deadline="2 s"), "b": bw.Job()}}  # fmt: skip
GROWING = {"base": "200 ms", "cap": "2 s", "max_attempts": 6}
KNOWN = {
    "few, as a capacity": ({"capacity": 3}, {"admission": own_rules.few}),
    "none may wait": ({"capacity": 0}, {"admission": {"kind": "own", "rule": own_rules.few, "params": {"k": 0}}}),
    "tokens": ({"admission": bw.RateLimit(rate=3, burst=2)}, {"admission": own_rules.bucket}),
    "red": ({"admission": bw.Red(low=1, high=6, probability=0.3, weight=0.2)}, {"admission": own_rules.red}),
    "sjf": ({"discipline": "sjf"}, {"discipline": own_rules.shortest}),
    "edf": ({"discipline": "edf"}, {"discipline": own_rules.earliest}),
    "fifo": ({"discipline": "fifo"}, {"discipline": own_rules.first}),
}  # fmt: skip
PAUSES = {
    "full jitter": ({}, own_rules.full), "no jitter": ({"jitter": "none", "factor": 3.0}, own_rules.plain),
    "decorrelated": ({"kind": "decorrelated"}, own_rules.decorrelated),
}  # fmt: skip


def both(scenario: bw.Scenario, run: bw.Run = RUN) -> list:
    """The outcome on either engine."""
    return [replicate(scenario, run, 1, engine) for engine in ("simpy", "compiled")]


@pytest.mark.parametrize("name", list(KNOWN))
def test_what_is_built_in_can_be_written_again(name):
    given, own = (bw.Scenario(**FLOOD, client={"retry": GROWING}, queue=queue) for queue in KNOWN[name])
    for built_in, again in zip(both(given), both(own), strict=True):
        assert_identical(built_in, again)


@pytest.mark.parametrize("where", ["retry", "proxy"])
@pytest.mark.parametrize("name", list(PAUSES))
def test_so_can_the_pauses_of_clients_and_proxies(name, where):
    policy, rule = PAUSES[name]
    own = {"rule": rule, **GROWING, **{word: value for word, value in policy.items() if word == "factor"}}
    for built_in, again in zip(*([
        both(bw.Scenario(**FLOOD, client={"retry": retry} if where == "retry" else {"proxy": {"retry": retry}},
                         queue={"capacity": 2})) for retry in ({**GROWING, **policy}, own)]), strict=True):  # fmt: skip
        assert_identical(built_in, again)


# Jobs at 1, 2, 3, 4 of one class; one worker, 2.5 s each: the first from 1 to 3.5, the second waits from 2, the third
# from 3; the fourth comes while one is served and two wait, less the second, which is served from 3.5.
TOLD_BY_HAND = {
    "now": 4.0, "waiting": 1, "busy": 1, "idle": 0, "capacity": 5, "size": 100, "demand": 2.5, "priority": 3,
    "weight": 2, "attempt": 1, "arrived": 4.0, "deadline": 8.0,
}  # fmt: skip
# A service of 0.25 s from 1 fails at 1.25; the pause is base + 1 = 1.5; another from 2.75 fails at 3.
FAILED_BY_HAND = {"now": 3.0, "failed": 2, "previous": 1.5, "base": 0.5, "factor": 3, "cap": 10, "timed_out": 0}


def growing(previous, failed):
    return previous + failed


def let(memory):
    memory[0] += 1.0
    return True


def by_time(now):
    return now


SIMPLE = {"admission": let, "backoff": growing, "discipline": by_time}


def frames(scenario: bw.Scenario, horizon: float) -> tuple[np.ndarray, np.ndarray]:
    """What the only rule shares with either engine at the end of a run."""
    run = bw.Run(horizon=horizon)
    compiled = system.System(scenario, run, 0)
    compiled.go()
    at = next(iter(compiled.own))
    env = simpy.Environment()
    reference = System(env, scenario, run)
    env.run(until=horizon)
    queue, client = reference.queue, reference.clients[0]
    kept = [queue.door.memory] if queue.door else [queue.line.frame] if hasattr(queue.line, "frame") else []
    kept += [frame for rule, frame in client.own_rules.values() if rule is not None]
    return kept[0], compiled.world.gates[at : at + FRAME]


@pytest.mark.parametrize("sort", list(SORTS))
def test_a_rule_is_told_what_it_is_said_to_be_told(sort):
    made = bw.rule(sort)(SIMPLE[sort])
    if sort == "backoff":
        scenario = bw.Scenario(
            arrivals=bw.Periodic(interval="1 s"), workers={"service": "250 ms", "count": 9},
            faults=[{"kind": "errors", "share": 1.0}],
            client={"retry": {"rule": made, "base": "500 ms", "factor": 3.0, "cap": "10 s"}},
        )  # fmt: skip
        # Only the first job: the second comes at 2 and fails for the first time at 2.25, the third at 3.25.
        by_hand, horizon = FAILED_BY_HAND, 3.1
    else:
        part = {"admission": made} if sort == "admission" else {"discipline": made}
        scenario = bw.Scenario(
            arrivals=bw.Periodic(interval="1 s"), workers={"service": "2.5 s"}, queue={"capacity": 5, **part},
            jobs={"job": bw.Job(size="100 B", priority=3, deadline="4 s", weight=2.0)},
        )  # fmt: skip
        by_hand, horizon = TOLD_BY_HAND, 4.5
    for frame in frames(scenario, horizon):
        told = dict(zip(SORTS[sort], frame[TOLD:MEMORY], strict=False))
        assert 0 < told.pop("u") < 1
        assert told == {name: by_hand[name] for name in told}
        assert frame[MEMORY] == (4.0 if sort == "admission" else 0.0)


def test_a_pause_knows_of_a_timeout():
    made = bw.rule("backoff")(growing)
    late = {"attempt_timeout": "100 ms", "retry": {"rule": made, "base": "1 s"}}
    scenario = bw.Scenario(arrivals=bw.Periodic(interval="1 s"), workers={"service": "10 s", "count": 9}, client=late)
    for frame in frames(scenario, 1.5):
        told = dict(zip(SORTS["backoff"], frame[TOLD:], strict=False))
        assert told["timed_out"] == 1.0
        assert told["now"] == 1.1
        assert told["previous"] == 1.0


def test_a_503_is_no_timeout_and_what_it_asks_for_is_no_pause_that_a_rule_gave():
    """The first job is turned away at 8, its rule gives 1.5 s and the 503 asks for 10 s: it is turned away at 18."""
    made = bw.rule("backoff")(growing)
    scenario = bw.Scenario(
        arrivals=bw.Periodic(interval="8 s"), workers={"service": "1 s"}, queue={"capacity": 0, "retry_after": "10 s"},
        faults=[{"kind": "workers_down", "start": "0 s"}], client={"retry": {"rule": made, "base": "500 ms"}},
    )  # fmt: skip
    for frame in frames(scenario, 18.5):
        told = dict(zip(SORTS["backoff"], frame[TOLD:], strict=False))
        assert {name: told[name] for name in ("now", "failed", "previous", "timed_out")} == {
            "now": 18.0, "failed": 2.0, "previous": 1.5, "timed_out": 0.0
        }  # fmt: skip


def noting(u, attempt, arrived, memory):
    memory[int(attempt)], memory[int(attempt) + 4] = u, arrived
    return True


def noting_pauses(u, failed, previous, memory):
    memory[int(failed)], memory[int(failed) + 4] = u, previous
    return 0.125 * failed


# A job at 1 that nobody serves: its attempts leave at 1.25 and 1.625, and the third one follows at 1.875.
@pytest.mark.parametrize(("sort", "rule", "kept"), [
    ("admission", noting, [1.0, 1.0]), ("discipline", noting, [1.0, 1.0]), ("backoff", noting_pauses, [0.5, 0.125])
])  # fmt: skip
def test_each_attempt_and_each_pause_has_chance_of_its_own(sort, rule, kept):
    """What a rule is told the second time, which it notes by ``attempt`` or ``failed``."""
    made = bw.rule(sort)(rule)
    pauses = made if sort == "backoff" else bw.rule("backoff")(noting_pauses)
    client = {"attempt_timeout": "250 ms", "on_timeout": "cancel_waiting", "retry": {"rule": pauses, "base": "500 ms"}}
    scenario = bw.Scenario(
        arrivals=bw.Periodic(interval="1 s"), workers={"service": "1 s"}, client=client,
        queue={} if sort == "backoff" else {sort: made}, faults=[{"kind": "workers_down", "start": "0 s"}],
    )  # fmt: skip
    for frame in frames(scenario, 1.9):
        low, high = sorted(frame[MEMORY + 1 : MEMORY + 3])
        assert 0 < low < high < 1
        assert frame[MEMORY + 5 : MEMORY + 7].tolist() == kept


def one_more(memory):
    memory[0] += 1.0
    return memory[0]


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_what_a_rule_keeps_is_of_one_source_and_one_run(engine):
    """Each source's first failure, in each replication, is the first that the rule of its clients knows of."""
    own = bw.Client(retry={"rule": bw.rule("backoff")(one_more), "max_attempts": 2})
    source = {name: bw.Periodic(interval=interval, client=own) for name, interval in (("a", 10.0), ("b", 10.5))}
    scenario = bw.Scenario(
        arrivals=source, workers={"service": "1 s"}, queue={"capacity": 0},
        faults=[{"kind": "workers_down", "start": "0 s"}],
    )  # fmt: skip
    run = {"horizon": "25 s", "replications": 2, "parallel": 1, "record": ("attempts",), "engine": engine}
    sent = bw.simulate(scenario, **run).attempts.sort_values(["replication", "source", "sent"])
    # Pauses of 1 s, and of 2 s for the second job of each source.
    once = [10.0, 11.0, 20.0, 22.0, 10.5, 11.5, 21.0, 23.0]
    assert sent["sent"].tolist() == [*once, *once]


def nan(waiting):
    return math.sqrt(-1.0 - waiting)


def negative(failed):
    return 2.0 - 2.0 * failed


def endless(failed):
    return 1.0 / (2.0 - failed) if failed > 1.0 else 0.1


def beyond(memory, waiting):
    memory[int(waiting) + 7] = 1.0
    return True


@pytest.mark.parametrize(("sort", "function", "says"), [
    ("admission", nan, "rule nan must give True or False: it gave nan for waiting = 0"),
    ("discipline", nan, "rule nan must give a number: it gave nan for waiting = 0"),
    ("backoff", negative, "must give a pause in seconds, finite and not below 0: it gave -2 for failed = 2"),
    ("backoff", endless, "must give a pause in seconds, finite and not below 0: it gave inf for failed = 2"),
    ("admission", beyond, "rule beyond must give True or False: it failed (IndexError: index 8 is out of bounds for "
                          "axis 0 with size 8) for waiting = 1"),
])  # fmt: skip
@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_rule_that_goes_wrong_ends_the_run_in_one_line(sort, function, says, engine):
    made = bw.rule(sort)(function)
    queue = {"capacity": 3} if sort == "backoff" else {sort: made}
    client = {"retry": {"rule": made, "max_attempts": 9}} if sort == "backoff" else {}
    scenario = bw.Scenario(**FLOOD, queue=queue, client=client)
    with pytest.raises(bw.RuleError) as error:
        bw.simulate(scenario, RUN, engine=engine, replications=2, parallel=1)
    assert says in str(error.value)
    assert str(error.value).endswith("(replication 0)")
    assert "\n" not in str(error.value)


K = 3


def misspelt(wating):
    return True


def nothing(waiting):
    return 1.0 if waiting > K else None


def raising(waiting):
    raise ValueError(waiting)


def objects(waiting):
    return {}.nowhere


def around(waiting):
    return bw.ScenarioError


def by_dice(waiting):
    return np.random.random() < 0.5  # noqa: NPY002 (what is wrong with it)


def with_default(waiting=3):
    return True


def with_word(waiting, k="three"):
    return True


@pytest.mark.parametrize(("function", "says"), [
    (misspelt, 'rule misspelt must take what admission rules are told; did you mean "waiting"? (got "wating")'),
    (nothing, "rule nothing must give a number whatever happens, not nothing at times"),
    (raising, "rule raising must not raise: what it gives decides (line "),
    (objects, "rule objects must be one that can be compiled: Unknown attribute 'nowhere'"),
    (around, 'rule around must use nothing around it but numbers, math and numpy (got "bw")'),
    (by_dice, "rule by_dice must take chance from its argument u (line "),
    (with_default, "rule with_default: waiting must have no default: it is told, not set (got 3)"),
    (with_word, 'rule with_word: k must have a finite number as its default (got "three")'),
    (lambda waiting: True, "rule lambda must be a function with a name of its own: def ..."),
    ("few", 'rule must be a function (got "few")'),
])  # fmt: skip
def test_a_function_that_is_no_rule_is_refused_in_one_line(function, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.rule("admission")(function)
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("parts", "says"), [
    ({"queue": {"admission": misspelt}}, 'queue.admission must be made a rule first: @bw.rule("admission")'),
    ({"queue": {"admission": own_rules.full}}, "queue.admission must be a rule of the sort admission, not backoff"),
    ({"queue": {"discipline": "own_rules:few"}}, "queue.discipline must be a rule of the sort discipline, "),
    ({"queue": {"admission": "nowhere:few"}}, "queue.admission must name a rule in a module that can be imported"),
    ({"queue": {"admission": "own_rules:fewer"}}, "queue.admission must name a rule: fewer of own_rules is none"),
    ({"queue": {"admission": "own_rules:few@00ff"}}, "queue.admission must be the rule that was written down"),
    ({"queue": {"admission": {"kind": "own", "rule": own_rules.few, "params": {"l": 1}}}},
     "queue.admission.params must be parameters of few; known are k"),
    ({"client": {"retry": {"kind": "own"}}}, 'client.retry.rule must be given where kind is "own"'),
    ({"client": {"retry": {"base": 1, "params": {"k": 1}}}}, "client.retry.params must be left out"),
    ({"client": {"retry": {"rule": own_rules.full, "jitter": "none"}}}, "client.retry.jitter must be left out"),
])  # fmt: skip
def test_a_rule_in_the_wrong_place_is_refused_in_one_line(parts, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(**FLOOD, **parts)
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_names_a_rule_and_which_version_of_it():
    text = """
        arrivals = { kind = "poisson", rate = "6/s" }
        workers = { service = "1 s" }
        client = { retry = { kind = "own", rule = "own_rules:fibonacci", params = { step = 0.3 } } }
        [queue]
        admission = { kind = "own", rule = "own_rules:few" }
        discipline = { kind = "own", rule = "own_rules:first" }
    """
    scenario = bw.loads(text)
    assert scenario.rules == [own_rules.fibonacci, own_rules.first, own_rules.few]
    assert bw.loads(bw.dumps(scenario)) == scenario
    assert f'rule = "own_rules:few@{own_rules.few.digest[:16]}"' in bw.dumps(scenario)
    changed = scenario.with_({"queue.admission.params.k": 7.0})
    assert changed.queue.admission.frame[MEMORY + 8] == 7.0
    assert changed.digest != scenario.digest


def test_a_rule_that_no_file_can_name_is_not_written(tmp_path):
    def here(waiting):
        return waiting < K

    scenario = bw.Scenario(**FLOOD, queue={"admission": bw.rule("admission")(here)})
    with pytest.raises(bw.ScenarioError, match=r"^rule here must stand in a module that can be imported"):
        bw.dumps(scenario)
    with pytest.raises(bw.ScenarioError, match=r"^rule here must stand in a module that can be imported"):
        bw.sweep(scenario, {"queue.capacity": [1, 2]}, run=bw.Run(horizon="1 s"), store=tmp_path)
    assert bw.simulate(scenario, RUN, engine="simpy", replications=1)["rejection_ratio"] > 0


def bounded(limit, extra):
    """A rule that uses a number from around it."""

    def fewer(waiting, more=extra):
        return waiting < limit + more

    return bw.rule("admission")(fewer)


def test_a_changed_rule_is_another_scenario():
    few = [
        bw.Scenario(**FLOOD, queue={"admission": rule}) for rule in (bounded(1, 2.0), bounded(2, 2.0), bounded(1, 3.0))
    ]
    assert len({key(scenario, RUN) for scenario in few}) == 3
    assert few[0].queue.admission.rule == bounded(1, 2.0)
    shown = bw.simulate(few[0], RUN, engine="simpy", replications=1).manifest["rules"]
    assert list(shown.values()) == [few[0].rules[0].digest]
    assert len(shown.popitem()[1]) == 64


def test_a_rule_travels_by_its_source():
    scenario = bw.Scenario(**FLOOD, queue={"admission": bounded(2, 1.0), "discipline": own_rules.mixed}, client={
        "retry": {"rule": own_rules.fibonacci}})  # fmt: skip
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        elsewhere = pool.submit(own_rules.rerun, scenario, RUN).result()
    assert_identical(elsewhere, own_rules.rerun(scenario, RUN))


def test_threads_ask_a_rule_each_for_itself():
    scenario = bw.Scenario(**FLOOD, queue={"admission": own_rules.bucket}, client={"retry": own_rules.fibonacci})
    alone, beside = (bw.simulate(scenario, RUN, engine="compiled", replications=6, parallel=n) for n in (1, 3))
    for left, right in zip(alone.outcomes, beside.outcomes, strict=True):
        assert_identical(left, right)


def test_rules_stand_on_the_axes_of_a_sweep(tmp_path):
    grid = {"queue.admission": [own_rules.few, own_rules.bucket], "queue.discipline": ["fifo", own_rules.first]}
    run = bw.Run(horizon="20 s", replications=2)
    found = bw.sweep(bw.Scenario(**FLOOD), grid, run=run, store=tmp_path)
    ratio = found.estimates["rejection_ratio"].sel({"bound": "estimate", "class": "all", "window": "all"}).squeeze()
    assert ratio.sel({"queue.discipline": "fifo"}).values == pytest.approx(
        ratio.sel({"queue.discipline": "first"}).values
    )
    assert ratio.sel({"queue.admission": "few"}).max() != ratio.sel({"queue.admission": "bucket"}).min()
    again = bw.sweep(bw.Scenario(**FLOOD), grid, run=run, store=tmp_path, resume=True)
    assert again.estimates.equals(found.estimates)


def test_a_rule_is_still_a_function():
    assert own_rules.few(idle=0, waiting=2)
    assert not own_rules.few(0, 3)
    assert own_rules.few.__doc__ == "As a queue of capacity k."
    assert str(own_rules.few) == "few"
