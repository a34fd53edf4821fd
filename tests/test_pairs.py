"""Features that meet in one worker, in one place of the queue or in one call: timelines by hand, and a chain."""

import numpy as np
import pytest
from test_modes import again
from test_staff import ENGINES, ways
from test_timelines import trace_of

import backwater as bw

COLUMNS = ["job", "number", "sent", "accepted", "taken", "ended"]


def jobs(tmp_path, lines, column="work") -> bw.Trace:
    """Jobs at (time, value of the column)."""
    file = tmp_path / "jobs.csv"
    file.write_text(f"t,{column}\n" + "".join(f"{t},{value}\n" for t, value in lines))
    return bw.Trace(file=str(file), time="t", columns=(column,))


def simulate(engine, horizon="40 s", **parts):
    scenario, record = bw.Scenario(**parts), ("attempts", "jobs")
    return bw.simulate(scenario, horizon=horizon, replications=1, record=record, engine=engine)


def table(result, columns=COLUMNS) -> list[tuple]:
    """These columns of every attempt, in order of job and number; None where there is no value."""
    rows = result.attempts.sort_values(["job", "number"])[columns]
    return [tuple(None if v != v else v for v in row) for row in rows.itertuples(index=False, name=None)]


WORK = {"kind": "linear", "per": {"work": "1 s"}}
UP = {"up": "4 s", "repair": "2 s"}  # under repair from 4 to 6, 10 to 12, 16 to 18, ...


@pytest.mark.parametrize(("engine", "in_hand", "expected"), ways(
    # Jobs 0 and 1 begin at 1 and would end at 4.5. Half a second is left at 4.
    ("pause", [(1, 6.5), (1, 6.5), (6.5, 7.5), (6.5, 7.5)]),
    # They begin anew at 6. Jobs 2 and 3 have done 0.5 s at 10 and begin anew at 12.
    ("restart", [(1, 9.5), (1, 9.5), (9.5, 13), (9.5, 13)]),
    # They end as if nothing had happened; the worker takes no more until it is repaired.
    ("finish", [(1, 4.5), (1, 4.5), (6, 7), (6, 7)]),
))  # fmt: skip
def test_a_worker_fails_with_a_batch_in_hand(tmp_path, engine, in_hand, expected):
    come = jobs(tmp_path, [(0, 3.5), (1, 1), (3, 1), (3.5, 0.5)])
    workers = {"service": WORK, "batch": {"size": 2, "least": 2}, "failures": {**UP, "in_hand": in_hand}}
    result = simulate(engine, arrivals=come, workers=workers)
    assert table(result, ["started", "ended"]) == expected
    assert result["utilization"] == pytest.approx((expected[0][1] - 1 + expected[2][1] - expected[2][0]) / 40)


@pytest.mark.parametrize(("engine", "work", "parts", "expected"), ways(
    # From 2 to 4, when 0.5 s are left; anew from 6. Job 0, which alone takes so long, leaves at 7: it ends at 8.5.
    ((2.5, 1), {}, [(2, 7), (2, 8.5)]),
    # It stands from 3, when 0.75 s are left, to 7.125, and fails meanwhile: it begins anew then, though job 0, the one
    # taken first, has left at 7.
    ((1.75, 0.5), {"faults": [{"kind": "workers_down", "start": "3 s", "duration": "4125 ms"}]}, [(2, 7), (2, 8.875)]),
))  # fmt: skip
def test_a_batch_that_begins_anew_is_as_long_as_it_was_whoever_has_left(tmp_path, engine, work, parts, expected):
    come = jobs(tmp_path, [(0, work[0]), (2, work[1])])
    workers = {"service": WORK, "batch": {"size": 2, "least": 2}, "failures": {**UP, "in_hand": "restart"}}
    client = {"attempt_timeout": "7 s", "on_timeout": "cancel"}
    result = simulate(engine, arrivals=come, workers=workers, client=client, **parts)
    assert table(result, ["started", "ended"]) == expected


def failing(load, size, room, fails, repaired, finishes):
    """Shares of time by (broken, busy, waiting) of a worker that serves up to ``size`` at once, in a mean time of 1."""
    # A worker that is not broken rests only where nobody waits.
    states = [(0, 0, 0), *((broken, busy, n) for broken, busy in ((0, 1), (1, 0), (1, 1)) for n in range(room + 1))]
    place = {state: at for at, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))

    def add(here, there, rate):
        rates[place[here], place[there]] += rate

    for broken, busy, n in states:
        here, after = (broken, busy, n), (0, 1, n - min(n, size)) if n else (0, 0, 0)
        if n < room:
            add(here, (broken, busy, n + 1) if broken or busy else (0, 1, 0), load)
        add(here, ((0, 1, n) if busy else after) if broken else (1, busy, n), repaired if broken else fails)
        if busy and not broken:
            add(here, after, 1.0)
        elif busy and finishes:
            add(here, (1, 0, n), 1.0)
    balance = rates.T - np.diag(rates.sum(axis=1))
    balance[-1] = 1.0
    return dict(zip(states, np.linalg.solve(balance, np.eye(len(states))[-1]), strict=True))


@pytest.mark.parametrize("in_hand", ["pause", "finish"])
def test_batches_of_a_worker_that_fails_are_a_chain_of_states(in_hand):
    mean, load, size, room = 0.1, 2.0, 3, 6
    p = failing(load, size, room, 0.2, 0.5, in_hand == "finish")
    lost = sum(share for (*_, n), share in p.items() if n == room)
    ends = sum(share for (broken, busy, _), share in p.items() if busy and (not broken or in_hand == "finish"))
    wanted = {
        "throughput": load / mean * (1 - lost), "rejection_ratio": lost, "batch_mean": load * (1 - lost) / ends,
        "utilization": sum(share for (_, busy, _), share in p.items() if busy),
        "queue_mean": sum(n * share for (*_, n), share in p.items()),
    }  # fmt: skip
    failures = {"up": bw.Exponential(mean=mean / 0.2), "repair": bw.Exponential(mean=mean / 0.5), "in_hand": in_hand}
    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate=load / mean), queue={"capacity": room},
        workers={"service": bw.Exponential(mean=mean), "batch": {"size": size, "time": "first"}, "failures": failures},
    )  # fmt: skip
    result = bw.simulate(scenario, horizon=1000, warmup=20, replications=16, seed=20)
    for name, exact in wanted.items():
        _, low, high, _ = result.estimate(name, 0.99999)  # ten comparisons
        assert low <= exact <= high, (name, exact, low, high)


@pytest.mark.parametrize("engine", ENGINES)
def test_shifts_of_workers_that_serve_batches(tmp_path, engine):
    points = [("0 s", 1), ("4 s", 2), ("8 s", 0), ("10 s", 1)]
    workers = {"service": "3 s", "batch": {"size": 2}, "shifts": {"points": points}}
    result = simulate(engine, "20 s", arrivals=trace_of(tmp_path, range(10)), workers=workers)
    assert table(result, ["worker", "started", "ended"]) == [
        (0, 0, 3),
        (0, 3, 6), (0, 3, 6),
        (1, 4, 7),  # called at 4, when job 3 waits alone
        (0, 6, 9), (0, 6, 9),  # off duty from 8 on, finishing
        (1, 7, 10),  # the same; gone at 10
        (0, 10, 13), (0, 10, 13),  # called again at 10
        (0, 13, 16),
    ]  # fmt: skip
    # One until 4, two until 9, one from then on: worker 1 until 10, worker 0 after that.
    assert result["workers_mean"] == pytest.approx((4 * 1 + 5 * 2 + 11 * 1) / 20, rel=1e-12)
    assert result["utilization"] == pytest.approx(21 / 25, rel=1e-12)
    assert result["batch_mean"] == pytest.approx(30 / 21, rel=1e-12)


# Two jobs, served together in 3 s, come every 2 s, complete at 2, 4, 6, ...: 1.5 workers are busy, with 3 attempts.
@pytest.mark.parametrize(("engine", "scale", "area"), ways(
    # Busy workers count, not attempts: 55 % by 10 is near enough to 50 %; 75 % from 10 to 20: three at 20. Then 50 %.
    ({"tolerance": 0.2}, 20 * 2 + 30 * 3),
    # One waits at 10: one worker is enough, and the other one finishes by 11. Three wait at 20: two. One at 30, when
    # the second worker rests; five at 40.
    ({"on": "queue", "target": 2, "max": 2}, 11 * 2 + 9 + 10 * 2 + 10 + 10 * 2),
))  # fmt: skip
def test_an_autoscaler_sees_workers_not_attempts(engine, scale, area):
    scale = {"max": 10, "target": "50 %", "every": "10 s", **scale}
    workers = {"service": "3 s", "batch": {"size": 2, "least": 2}, "count": 2, "autoscale": scale}
    result = simulate(engine, "50 s", arrivals=bw.Periodic(interval="1 s"), workers=workers)
    assert result["workers_mean"] == pytest.approx(area / 50, rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_those_outside_count_towards_a_batch(tmp_path, engine):
    # Jobs 0 and 1 are served from 1 to 4. Of jobs 2, 3 and 4 one waits inside; job 3 is held at 3, which makes two.
    workers = {"service": "3 s", "batch": {"size": 3, "least": 2}}
    parts = {"queue": {"capacity": 1, "overflow": "block"}, "workers": workers}
    result = simulate(engine, arrivals=trace_of(tmp_path, range(5)), **parts)
    # Job 4, due at 4, comes when job 3 is in, at 4, and waits for company for ever.
    assert table(result, ["sent", "accepted", "taken"]) == [(0, 0, 1), (1, 1, 1), (2, 2, 4), (3, 4, 4), (4, 4, None)]


EVERYBODY_WAITS = {"workers": {"service": "1 s"}, "faults": [{"kind": "workers_down"}]}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_source_that_waits_for_room_waits_for_its_jobs_token_too(tmp_path, engine):
    # Job 0 is too large: its 503, at 0, has attempts wait for tokens, of which there are none, and 0.5 come a second.
    sizes = {"job": bw.Job(size={"kind": "linear", "per": {"bytes": "1 B"}})}
    come = jobs(tmp_path, [(0, 600), (1, 100), (1.5, 100), (2.5, 100)], "bytes")
    parts = {"arrivals": come, "jobs": sizes, **EVERYBODY_WAITS}
    bounds = {"capacity": 1, "capacity_bytes": "500 B", "overflow": "block"}
    client = {"rate_limiter": {}, "total_timeout": "5 s", "on_timeout": "cancel_waiting"}
    found = table(simulate(engine, **parts, queue=bounds, client=client), ["arrived", "sent", "accepted", "ended"])
    assert found == [
        (0, 0, None, 0),
        (1, 2, 2, 6),  # has its token at 2, waits inside, and is given up
        (2, 4, 6, 7),  # due at 1.5, it comes when job 1 is in; outside from 4 on, inside when job 1 has left
        (6, 6, 7, 11),  # due at 2.5, it comes when job 2 is in, and finds a token
    ]
    # Whoever gives up before its turn lets its source go on: job 1 at 1.75, before its token comes at 2.
    result = simulate(engine, **parts, queue=bounds, client={**client, "total_timeout": "750 ms"})
    assert result.jobs.sort_values("job")[["arrived", "ended", "attempts"]].to_numpy()[:3].tolist() == [
        [0, 0, 1], [1, 1.75, 0], [1.75, 2.5, 1]]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_retry_in_line_for_a_token_does_not_let_its_source_go_on(tmp_path, engine):
    # Job 0 fails at 0, job 1 of the same source waits for its token until 2 and is held outside then; job 0's retry, at
    # 3, is in line until 4 and stands behind it. Nobody is taken, so job 2, due at 2, never comes.
    sizes = {"job": bw.Job(size={"kind": "linear", "per": {"bytes": "1 B"}})}
    queue = {"capacity": 0, "capacity_bytes": "500 B", "overflow": "block"}
    come = jobs(tmp_path, [(0, 600), (1, 100), (2, 100)], "bytes")
    client = {"rate_limiter": {}, "retry": again("3 s", 2)}
    result = simulate(engine, arrivals=come, jobs=sizes, queue=queue, client=client, **EVERYBODY_WAITS)
    assert table(result, ["job", "sent", "accepted"]) == [(0, 0, None), (0, 4, None), (1, 2, None)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hedge_waits_outside_in_its_turn_and_leaves_when_another_one_has_won(tmp_path, engine):
    parts = {"arrivals": trace_of(tmp_path, [0, 1, 2, 2.5]), "workers": {"service": "4 s"},
             "queue": {"capacity": 1, "overflow": "block"}}  # fmt: skip
    result = simulate(engine, **parts, client={"hedge": {"after": "3 s"}})
    assert table(result) == [
        (0, 1, 0, 0, 0, 4), (0, 2, 3, None, None, 4),  # outside behind job 2, given up there
        # At 8 job 2 is taken and the hedge of 4 let in; then its client hears of job 1, and that makes room for job 3.
        (1, 1, 1, 1, 4, 8), (1, 2, 4, 8, None, 8),
        (2, 1, 2, 4, 8, 12), (2, 2, 5, 12, None, 12),
        # Due at 2.5, it comes when job 2 is in, at 4. Its hedge is taken at 16 before its client hears of it.
        (3, 1, 4, 8, 12, 16), (3, 2, 7, 12, 16, 16),
    ]  # fmt: skip
    assert result["hedge_ratio"] == 0.5  # the one that was never let in is one, too
    left = table(simulate(engine, **parts, client={"hedge": {"after": "3 s", "losers": "leave"}}))
    # Who is let in stays; who is outside is not sent at all.
    assert [row[2:] for row in left if row[:2] == (0, 2)] == [(3, None, None, 4)]
    assert [row[2:] for row in left if row[:2] == (1, 2)] == [(4, 8, 12, 16)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hedge_takes_a_token_that_is_there_and_waits_for_none(tmp_path, engine):
    # Job 2 is turned away at 0, when there is no token; they come at 0.5/s, one at most. At 3 there is one for job 0's
    # hedge, which finds no room, and none for job 1's. Answers at 5 make it 0.64/s. Job 3 takes the one of 6; by 9
    # there is another one.
    parts = {"workers": {"count": 2, "service": "5 s"}, "queue": {"capacity": 0}}
    client = {"rate_limiter": {}, "hedge": {"after": "3 s"}}
    found = simulate(engine, arrivals=trace_of(tmp_path, [0, 0, 0, 6]), client=client, **parts)
    assert table(found, ["job", "number", "sent", "ended"]) == [
        (0, 1, 0, 5), (0, 2, 3, 3), (1, 1, 0, 5), (2, 1, 0, 0), (3, 1, 6, 11), (3, 2, 9, 11)]  # fmt: skip


@pytest.mark.parametrize(("engine", "tries", "budget", "expected"), ways(
    # Errors until 5: the attempts of 0 and 1 end with one at 2 and 3, and that fails the try. The next one, of 4 and 5,
    # succeeds at 6.
    (2, None, (6, 4, "completed")), (1, None, (3, 2, "gave_up")),
    # Hedges are the client's to pay for: its only token is spent at 1.
    (2, {"kind": "token_bucket", "capacity": 1}, (6, 3, "completed")),
))  # fmt: skip
def test_a_try_of_a_proxy_is_hedged_and_fails_with_its_last_attempt(tmp_path, engine, tries, budget, expected):
    errors = [{"kind": "errors", "share": 1.0, "start": "0 s", "duration": "5 s"}]
    client = {"hedge": {"after": "1 s"}, "proxy": {"retry": again("1 s", tries)}, "retry_budget": budget}
    workers = {"count": 4, "service": "2 s"}
    result = simulate(engine, arrivals=trace_of(tmp_path, [0]), client=client, workers=workers, faults=errors)
    assert list(result.jobs[["ended", "attempts", "outcome"]].itertuples(index=False, name=None)) == [expected]


@pytest.mark.parametrize("engine", ENGINES)
def test_attempts_of_one_call_in_one_batch(tmp_path, engine):
    parts = {"arrivals": trace_of(tmp_path, [0, 1]), "workers": {"service": "4 s", "batch": {"size": 5}},
             "client": {"hedge": {"after": "1 s", "most": 2}}}  # fmt: skip
    # Job 0 is served until 4; all others wait and are taken then. Its client stops its hedges, and the batch goes on
    # with job 1's three attempts, the first of which answers.
    result = simulate(engine, "20 s", **parts)
    late = "abandoned_completed"
    assert table(result, ["job", "number", "started", "ended", "outcome", "superseded"]) == [
        (0, 1, 0, 4, "completed", False), (0, 2, 4, 4, "cancelled", True), (0, 3, 4, 4, "cancelled", True),
        (1, 1, 4, 8, "completed", False), (1, 2, 4, 8, late, True), (1, 3, 4, 8, late, True),
    ]  # fmt: skip
    assert (result["goodput"], result["throughput"], result["wasted_ratio"]) == (0.1, 0.2, 0.5)
    # Where all are errors, the last one of them fails the call.
    errors = [{"kind": "errors", "share": 1.0, "start": "5 s"}]
    result = simulate(engine, "20 s", **parts, faults=errors)
    assert table(result, ["outcome"])[3:] == [("failed",)] * 3
    assert result.jobs[["ended", "outcome"]].to_numpy().tolist() == [[4, "completed"], [8, "gave_up"]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_of_losers_alone_is_over_and_its_worker_is_free_once(tmp_path, engine):
    # At 4 the worker takes both hedges of job 0, which its client stops: it rests, and takes job 1 at 6 and jobs 2 and
    # 3 at 10. At 14 it takes a hedge of each, and two clients stop them.
    result = simulate(
        engine, arrivals=trace_of(tmp_path, [0, 6, 7, 7.5, 20, 21]), workers={"service": "4 s", "batch": {"size": 9}},
        client={"hedge": {"after": "1800 ms", "most": 2}},
    )  # fmt: skip
    firsts = [row[1:] for row in table(result, ["number", "taken", "ended"]) if row[0] == 1]
    assert firsts == [(0, 4), (6, 10), (10, 14), (10, 14), (20, 24), (24, 28)]
