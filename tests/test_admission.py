"""Who is let in and who is next: the rules against tables made by hand, and orders of service worked out on paper."""

import math

import pytest
from scipy.stats import binom
from test_timelines import trace_of

import backwater as bw
from backwater.components import admission

EXTREME = 1e-4  # chance of failing of a statistical test


def sent(scenario, horizon):
    """The attempts of one run in the order in which they were sent."""
    found = bw.simulate(scenario, horizon=horizon, replications=1, record=("attempts",)).attempts
    return found.sort_values(["sent", "job"], kind="stable")


def test_a_rate_limit_lets_in_a_stream_of_just_its_rate():
    made = bw.Scenario(arrivals=bw.Periodic(interval="100 ms"), workers={"service": "0 s", "count": 9},
                       queue={"admission": {"kind": "token_bucket", "rate": "10/s"}})  # fmt: skip
    assert bw.simulate(made, horizon="100 s", replications=1)["rejection_ratio"] == 0


def test_a_rate_limit_lets_in_a_burst_and_then_its_rate():
    # 2 tokens; they come at 2/s and are asked for at 4/s: 2 - 1, 1.5 - 1, 1 - 1, 0.5, 1 - 1, 0.5, ...
    made = bw.Scenario(arrivals=bw.Periodic(interval="250 ms"), workers={"service": "0 s", "count": 9},
                       queue={"admission": {"kind": "token_bucket", "rate": "2/s", "burst": 2}})  # fmt: skip
    let_in = (sent(made, "2.1 s")["outcome"] == "completed").tolist()
    assert let_in == [True, True, True, False, True, False, True, False]


class TestRed:
    """Floyd and Jacobson's gateway."""

    PART = bw.Red(low=5, high=15, probability=0.2, weight=1.0)

    def asked(self, memory, u, waiting):
        return admission.admits(self.PART.params, memory, 0.0, u, waiting, 0, 0)

    def test_the_chance_grows_so_that_the_gap_between_two_503s_is_uniform(self):
        # Ten wait, half way: the base is 0.1, and after k that were let in 0.1 / (1 - k * 0.1): 1/10, 1/9, 1/8, ..., 1.
        memory = self.PART.memory(1)
        for k in range(9):
            edge = 1 / (10 - k)
            assert not self.asked(memory.copy(), edge * (1 - 1e-9), 10)
            assert self.asked(memory, edge * (1 + 1e-9), 10)
        assert not self.asked(memory, 1 - 1e-9, 10)

    def test_an_average_below_low_begins_the_count_anew(self):
        memory = self.PART.memory(1)
        for waiting in (10, 10, 10, 4):
            assert self.asked(memory, 1 - 1e-9, waiting)
        # 1/10 again, not 1/7.
        assert not self.asked(memory.copy(), 0.1 - 1e-9, 10)
        assert self.asked(memory, 0.1 + 1e-9, 10)

    def test_below_low_all_are_let_in_and_from_high_none(self):
        memory = self.PART.memory(1)
        assert self.asked(memory, 1e-12, 4.9)
        assert not self.asked(memory, 1 - 1e-12, 15)

    def test_the_average_moves_by_its_weight(self):
        part = bw.Red(low=5, high=15, weight=0.25)
        memory = part.memory(1)
        for expected in (2.0, 3.5, 4.625):
            admission.admits(part.params, memory, 0.0, 0.5, 8, 0, 0)
            assert memory[0] == expected


class TestCoDel:
    """RFC 8289: its pseudo-code by hand, in milliseconds."""

    PART = bw.CoDel(target="5 ms", interval="100 ms")

    def taken(self, memory, now, wait, left=50):
        return admission.keeps(self.PART.params, memory, now / 1000, (now - wait) / 1000, math.inf, left)

    def test_drops_come_faster_with_the_square_root_of_their_number(self):
        # Waits of 50 ms at every ms from 0 on. The first drop comes an interval after the first long wait, the next
        # ones at 200, + 100 / sqrt(2) = 270.7, + 100 / sqrt(3) = 328.4, + 100 / sqrt(4) = 378.4, ...: at the next ms.
        memory, dropped = self.PART.memory(1), []
        now = 0
        while now < 470:
            if self.taken(memory, now, 50):
                now += 1
            else:
                dropped.append(now)  # the same worker takes the next one at the same time
        assert dropped == [100, 200, 271, 329, 379, 424, 464]

    def test_one_short_wait_ends_it_and_it_resumes_where_it_was(self):
        memory, dropped = self.PART.memory(1), []
        now = 0
        while now < 700:
            short = now == 400
            if self.taken(memory, now, 2 if short else 50):
                now += 1
            else:
                dropped.append(now)
        # It left at 400, after 5 drops (count 5); it may begin again an interval after the next long wait, at 401, so
        # at 501, within 16 intervals, with the count at 5 - 1 = 4: then after 100 / sqrt(4) = 50, + 100 / sqrt(5) =
        # 44.7, + 100 / sqrt(6) = 40.8, + 100 / sqrt(7) = 37.8.
        assert dropped == [100, 200, 271, 329, 379, 501, 551, 596, 637, 675]

    @pytest.mark.parametrize(("until", "dropped"), [(1900, [2001, 2051, 2096, 2137]), (1951, [2052, 2152])])
    def test_it_begins_anew_sixteen_intervals_after_the_drop_that_was_next(self, until, dropped):
        # As above, but waits stay short until then; at 400 the next drop was due at 379 + 100 / sqrt(5), 423.3 or so.
        memory, seen = self.PART.memory(1), []
        now = 0
        while now < 2160:
            if self.taken(memory, now, 2 if 400 <= now <= until else 50):
                now += 1
            else:
                seen.append(now)
        assert [when for when in seen if when > 400] == dropped

    def test_a_worker_that_finds_nobody_ends_it(self):
        # At 300 nobody waits: waits must be long for another interval; of 3 drops 1 was there before, so the count is
        # 2, and the next one comes after 100 / sqrt(2).
        memory, dropped = self.PART.memory(1), []
        now = 0
        while now < 480:
            if now == 300:
                admission.finds_nobody(self.PART.params, memory)
            if self.taken(memory, now, 50):
                now += 1
            else:
                dropped.append(now)
        assert dropped == [100, 200, 271, 400, 471]

    def test_it_does_not_empty_the_queue(self):
        memory = self.PART.memory(1)
        assert all(self.taken(memory, now, 50, left=1) for now in range(500))

    def test_the_request_queue_variant_turns_out_what_waited_twice_the_target(self):
        # folly: from 0 to 100 ms the least wait is 6 ms > 5: then, for an interval, waits above 10 ms are too long.
        part = bw.CoDel(variant="folly", target="5 ms", interval="100 ms")
        memory = part.memory(1)

        def taken(now, wait):
            return admission.keeps(part.params, memory, now / 1000, (now - wait) / 1000, math.inf, 9)

        waits = [(1, 6), (50, 90), (101.5, 30), (102, 9), (103, 11), (150, 4), (202, 30), (203, 30)]
        assert [taken(*each) for each in waits] == [True, True, True, True, False, True, True, True]

    def test_maurers_variant_allows_less_where_the_queue_was_not_empty_for_an_interval(self):
        part = bw.CoDel(variant="facebook", target="5 ms", interval="100 ms")
        assert admission.patience(part.params, 1.0, 0.95) == 0.1
        assert admission.patience(part.params, 1.0, 0.85) == 0.005


class TestLimits:
    """Netflix's concurrency limits, step by step."""

    def follow(self, part, times):
        memory, out = part.memory(1), []
        for took, inside, late in times:
            admission.served(part.params, memory, 100.0, 100.0 - took, inside, late)
            out.append(memory[0])
        return out

    def test_aimd(self):
        part = bw.ConcurrencyLimit(algorithm="aimd", initial=20, most=30)
        times = [(1, 20, False), (1, 10, False), (1, 21, False), (6, 20, False), (1, 15, True), (6, 9, False)]
        # 21; 10 of 21 are less than half; 22; 19.8, 17.1, 15.3 rounded down
        assert self.follow(part, times) == [21, 21, 22, 19, 17, 15]
        down = self.follow(bw.ConcurrencyLimit(algorithm="aimd", initial=4), [(1, 4, True)] * 5)
        assert down == [3, 2, 1, 1, 1]

    def test_it_stays_within_its_bounds_and_lets_in_as_many_whole_attempts(self):
        part = bw.ConcurrencyLimit(algorithm="aimd", initial=20, least=19, most=21)
        assert self.follow(part, [(1, 20, False)] * 3) == [21, 21, 21]
        assert self.follow(part, [(9, 20, False)] * 3) == [19, 19, 19]
        memory = part.memory(1)
        memory[0] = 20.9
        inside = [(9, 10), (19, 0), (10, 10), (20, 0)]
        asked = [bool(admission.admits(part.params, memory, 1.0, 0.5, *each, 0)) for each in inside]
        assert asked == [True, True, False, False]

    def test_a_limit_shrinks_where_clients_give_up_as_where_services_are_late(self):
        # At three times what can be done, patience of 0.5 s: nearly all that wait are withdrawn, so the limit falls.
        limit = {"kind": "limit", "algorithm": "aimd", "most": 1000, "initial": 1000}
        made = bw.Scenario(arrivals=bw.Poisson(rate="300/s"), workers={"service": "10 ms"},
                           client={"attempt_timeout": "500 ms", "on_timeout": "cancel"},
                           queue={"admission": limit})  # fmt: skip
        assert bw.simulate(made, horizon="60 s", warmup="30 s", replications=2)["system_mean"] < 60

    def test_gradient2(self):
        part = bw.ConcurrencyLimit(initial=20)
        times = [(1, 20, False), (1, 20, False), (2, 20, False), (1, 10, False)]
        # 20 + 0.2 * 4; again; the long-run mean of 1, 1, 2 is 4/3: 0.8 * 21.6 + 0.2 * (21.6 * 2/3 + 4); 10 of 20.96:
        # less than half is used
        assert self.follow(part, times) == pytest.approx([20.8, 21.6, 20.96, 20.96])
        # The mean of 1, 9 and 1 is 11/3, more than twice the present 1, so it is cut by a tenth, to 3.3: gradient 1.
        # Of 1, 9: 5 / 9 = 0.556.
        rising = self.follow(part, [(1, 20, False), (9, 20, False), (1, 20, False)])
        assert rising == pytest.approx([20.8, 20.8 * 0.8 + 0.2 * (20.8 * 5 / 9 + 4), rising[1] + 0.8])
        # From there 3.5 makes the mean 3.3 + 0.2 / 4 = 3.35, which is below it.
        falling = self.follow(part, [(1, 20, False), (9, 20, False), (1, 20, False), (3.5, 20, False)])
        assert falling[3] == pytest.approx(falling[2] * 0.8 + 0.2 * (falling[2] * 3.35 / 3.5 + 4))
        # A jump by 100 counts as one by 2.
        assert self.follow(part, [(1, 20, False)] * 10 + [(100, 50, False)])[-1] == pytest.approx(28 * 0.9 + 0.8)

    def test_gradient2_settles_where_what_it_gives_up_is_its_room(self):
        # limit = 4 / (1 - gradient): with the long-run time held at 0.8 of the present one, 20.
        part = bw.ConcurrencyLimit(initial=60, window=1e9)
        settled = self.follow(part, [(0.8, 60, False)] * 10 + [(1.0, 60, False)] * 200)[-1]
        assert settled == pytest.approx(20, rel=1e-3)

    def test_vegas(self):
        part = bw.ConcurrencyLimit(algorithm="vegas", initial=20, most=1000)
        times = [
            (1.0, 20, False),  # the least time seen
            (1.0, 20, False),  # nobody waits: + 6
            (1.2, 26, False),  # 26 * (1 - 1 / 1.2) = 4.3, so 5 wait: between 3 and 6
            (1.28, 26, False),  # 5.69, so 6 wait: not above 6
            (2.0, 26, False),  # 13 wait: - 1
            (1.2, 25, True),  # - 1
            (1.09, 24, False),  # 1.98, so 2 wait: + 1
            (1.0, 12, False),  # less than half of 25 is used
            (0.5, 25, False),  # less than the least: it counts from now on
        ]
        assert self.follow(part, times) == [20, 26, 26, 26, 25, 24, 25, 25, 25]
        assert self.follow(part, [(1.0, 20, False)] * 2 + [(1.35, 26, False)])[-1] == 25  # 6.74, so 7 wait
        # From 100 on a step is 2, and bounds are 6 and 12: 120 * (1 - 1 / 1.05) = 5.7, so 6 is not below 6.
        big = bw.ConcurrencyLimit(algorithm="vegas", initial=120, most=1000)
        steps = [(1.0, 120, False), (1.0, 120, False), (1.04, 132, False), (1.2, 132, False)]
        assert self.follow(big, steps) == [120, 132, 132, 130]  # 5.08, so 6; 22 wait


def test_a_window_of_dagor_ends_after_so_many_attempts():
    # One each at the places 10, 50 and 100 of one level, and all of them wait for too long: half of three at most.
    part = bw.Dagor(target="20 ms", window="1 h", requests=3, alpha=0.5)
    memory = part.memory(1)

    def asked(place):
        return bool(admission.admits(part.params, memory, 1.0, (place + 0.5) / 128, 0, 0, 0))

    assert [asked(place) for place in (10, 50, 100)] == [True] * 3
    admission.keeps(part.params, memory, 1.0, 0.5, math.inf, 0)
    assert [asked(place) for place in (100, 50, 49)] == [False, False, True]


def test_dagor_lets_in_fewer_from_the_last_priorities_on_and_more_by_and_by():
    # Two levels of 128 users. Each second one comes at each of the places 78 to 177: the first fifty have priority 0.
    part = bw.Dagor(target="20 ms", window="1 s", alpha=0.05, beta=0.02)
    memory = part.memory(2)

    def second(start, wait):
        let_in = 0
        for n, place in enumerate(range(78, 178)):
            user = (place % 128 + 0.5) / 128
            let_in += admission.admits(part.params, memory, start + 0.01 * n, user, 0, 0, place // 128)
        admission.keeps(part.params, memory, start + 0.5, start + 0.5 - wait, math.inf, 0)
        return let_in

    assert second(0.0, wait=0.03) == 100
    assert second(1.0, wait=0.03) == 95  # waits were too long: of 100 at most 95
    assert second(2.0, wait=0.01) == 90  # of 95 at most 90.25
    assert second(3.0, wait=0.01) == 92  # short again: 2 % of the 100 that came more
    assert second(4.0, wait=0.01) == 94


class TestDisciplines:
    """Who is next, worked out on paper."""

    def order(self, tmp_path, times, jobs, **parts):
        """Classes in the order in which they are taken; the class of a job is that of its source."""
        arrivals = {}
        for name, when in times.items():
            folder = tmp_path / name
            folder.mkdir()
            # All traces begin with their first row: one at time 0 that finds the worker idle, or that waits with it.
            arrivals[name] = trace_of(folder, when).model_copy(update={"jobs": (name,)})
        made = bw.Scenario(arrivals=arrivals, jobs=jobs, **parts)
        found = bw.simulate(made, horizon="500 s", replications=1, record=("attempts",)).attempts
        return found.sort_values("taken")["class"].tolist()

    def test_the_earliest_deadline_first(self, tmp_path):
        # All come at 0 in the order of the sources; the first is taken at once. Then deadlines 5, 9, 20 s.
        jobs = {"first": bw.Job(), "late": bw.Job(deadline="20 s"), "soon": bw.Job(deadline="5 s"),
                "none": bw.Job(), "mid": bw.Job(deadline="9 s")}  # fmt: skip
        parts = {"queue": {"discipline": "edf"}, "workers": {"service": "1 s"}}
        found = self.order(tmp_path, {name: [0] for name in jobs}, jobs, **parts)
        assert found == ["first", "soon", "mid", "late", "none"]

    def test_the_least_service_first(self, tmp_path):
        jobs = {"a": bw.Job(service="4 s"), "b": bw.Job(service="3 s"), "c": bw.Job(service="1 s"),
                "d": bw.Job(service="2 s")}  # fmt: skip
        found = self.order(tmp_path, {name: [0] for name in jobs}, jobs, queue={"discipline": "sjf"}, workers={})
        assert found == ["a", "c", "d", "b"]

    def test_classes_in_turn_by_weight(self, tmp_path):
        # Start-time fair queueing. x (weight 2) gets tags 0, 1/2, 1, 3/2, y (weight 1) 0, 1, 2; ties go to whoever came
        # first, so to x. The first x is taken when it comes and takes no tag.
        jobs = {"x": bw.Job(weight=2), "y": bw.Job(weight=1)}
        found = self.order(tmp_path, {"x": [0] * 5, "y": [0] * 3}, jobs, queue={"discipline": "fair"},
                           workers={"service": "1 s"})  # fmt: skip
        assert found == ["x", "x", "y", "x", "x", "y", "x", "y"]

    def test_classes_stay_in_turn_though_attempts_of_one_are_withdrawn(self):
        # Equal weights, 300/s and 150/s against 100/s: whoever gives up spends no turn of the class, so both get half.
        arrivals = {"x": bw.Poisson(rate="300/s", jobs=("x",)), "y": bw.Poisson(rate="150/s", jobs=("y",))}
        made = bw.Scenario(arrivals=arrivals, jobs={"x": bw.Job(), "y": bw.Job()}, workers={"service": "10 ms"},
                           client={"attempt_timeout": "500 ms", "on_timeout": "cancel_waiting"},
                           queue={"discipline": "fair"})  # fmt: skip
        found = bw.simulate(made, horizon="70 s", warmup="10 s", replications=4)
        for name in "xy":
            assert found[f"throughput[{name}]"] == pytest.approx(50, abs=0.1)  # they take turns, one by one

    def test_the_newest_first_only_while_the_queue_stands(self, tmp_path):
        # One each second, each takes 2.5 s: taken at 0, then at 2.5 the queue has been empty until 1, for 1.5 s.
        parts = {"queue": {"discipline": "adaptive_lifo", "standing": "4 s"}, "workers": {"service": "2500 ms"}}
        made = bw.Scenario(arrivals=trace_of(tmp_path, range(7)), **parts)
        found = bw.simulate(made, horizon="500 s", replications=1, record=("attempts",)).attempts
        # 2.5: job 1, the oldest; 5: it has stood since 1, for 4 s, not for longer: job 2; 7.5: the newest, job 6; on.
        assert found.sort_values("taken")["job"].tolist() == [0, 1, 2, 6, 5, 4, 3]

    def test_anybody_by_chance(self):
        # Five wait whenever a worker is free: each place in the queue is next once in five times. 400 backlogs of six.
        made = bw.Scenario(arrivals=bw.Poisson(rate="1e-9/s"), workers={"service": "1 s"},
                           queue={"discipline": "random", "backlog": 6})  # fmt: skip
        found = bw.simulate(made, horizon="2.5 s", replications=400, record=("attempts",)).attempts
        second = found[found["taken"] == 1.0].groupby("job").size()
        low, high = binom.ppf([EXTREME / 10, 1 - EXTREME / 10], 400, 1 / 5)  # five places: two sides of each
        assert len(second) == 5
        assert ((second >= low) & (second <= high)).all(), dict(second)


@pytest.mark.parametrize(("admission", "must"), [
    ({"kind": "token_bucket", "rate": "0/s"}, "rate must be above 0"),
    ({"kind": "token_bucket", "rate": "1/s", "burst": 0.5}, "burst must be greater than or equal to 1"),
    ({"kind": "red", "low": 9, "high": 5}, "high must be above low = 9"),
    ({"kind": "red", "low": 1, "high": 5, "weight": 0}, "weight must be above 0"),
    ({"kind": "codel", "target": "0 s"}, "target must be above 0"),
    ({"kind": "codel", "target": "1 s"}, "interval must be at least target = 1 s"),
    ({"kind": "codel", "variant": "facebok"}, "variant must be 'rfc', 'folly' or 'facebook'"),
    ({"kind": "limit", "initial": 300}, "initial must be from least to most"),
    ({"kind": "dagor", "window": "0 s"}, "window must be above 0"),
    ({"kind": "codell"}, 'did you mean "codel"?'),
])  # fmt: skip
def test_a_wrong_admission_is_refused_in_one_line(admission, must):
    with pytest.raises(bw.ScenarioError) as refused:
        bw.Scenario(arrivals=bw.Poisson(rate="1/s"), workers={"service": "1 s"}, queue={"admission": admission})
    assert "queue.admission" in str(refused.value)
    assert must in str(refused.value)
    assert "\n" not in str(refused.value)
