"""Stress: how a run is judged, by hand; maps, ramps, relief and phases against derived and published values."""

import math

import numpy as np
import pytest

import backwater as bw
from backwater.experiments import stress_figures
from backwater.experiments.recovery import SMOOTH, Lab, Plan, Watched, judge, plan_of, recovery_time
from backwater.experiments.stress import NEVER, NO_NEED, RECOVERS, SLOWLY, drift, hit, ramp, stuck, trigger_map

OUTAGE = bw.Fault(kind="workers_down", start=10, duration=10)
PLAN = Plan(OUTAGE, observe=120, replications=5)
STORM = bw.model("overload")  # load 0.8, one retry at once after 1 s
CALM = bw.Scenario(
    name="M/M/1",
    arrivals=bw.Poisson(rate="80/s"),
    workers=bw.Workers(service=bw.Exponential(mean="10 ms")),
)
BUDGET = bw.model("overload", retries=3, budget=0.1)
LAB = Lab()  # twins are run once for all tests


def lines(completed, waiting):
    """Series as they are judged, one sample a second."""
    time = np.arange(len(completed), dtype=float)
    return {"time": time, "completed": np.array(completed, float), "waiting": np.array(waiting, float)}


class TestRecoveryTime:
    """By hand: a twin that completes 100 a second with 10 waiting; the trigger ends at 20 s; 200 s in all."""

    TWIN = lines([100] * 200, [10] * 200)

    def judged(self, completed, waiting):
        return recovery_time(lines(completed, waiting), [self.TWIN], 20.0)

    def test_back_at_once_and_never(self):
        assert self.judged([100] * 200, [10] * 200) == 0
        assert self.judged([0] * 200, [10] * 200) == math.inf
        assert self.judged([100] * 200, [500] * 200) == math.inf

    def test_ten_per_cent_are_near_enough_and_eleven_are_not(self):
        assert self.judged([90] * 200, [12] * 200) == 0  # one attempt more is no difference: 10 * 1.1 + 1
        assert self.judged([89] * 200, [10] * 200) == math.inf
        assert self.judged([100] * 200, [12.1] * 200) == math.inf

    def test_the_time_at_which_the_average_is_back(self):
        # From sample 60 on 100 are completed; the next 12 hold 90 % of what is usual once 10.8 of them are good.
        found = self.judged([0] * 60 + [100] * 140, [10] * 200)
        assert found == 60 - 20 - 1  # 11 of the 12 samples from 59 on

    def test_a_short_recovery_before_a_relapse_does_not_count(self):
        ups_and_downs = [0] * 40 + [100] * 40 + [0] * 60 + [100] * 60
        assert self.judged(ups_and_downs, [10] * 200) == 140 - 20 - 1

    def test_the_range_of_all_twins_around_that_time_counts(self):
        twins = [self.TWIN, lines([50] * 200, [10] * 100 + [30] * 100)]
        assert recovery_time(lines([45] * 200, [10] * 200), twins, 20.0) == 0
        assert (
            recovery_time(lines([100] * 200, [34] * 200), twins, 20.0) == 100 - SMOOTH - 20
        )  # 30 waiting from 100 s on
        assert recovery_time(lines([44] * 200, [10] * 200), twins, 20.0) == math.inf

    def test_a_twin_that_is_down_is_no_measure_and_has_no_verdict(self):
        fine, down = Watched(self.TWIN, 0.99), Watched(lines([0] * 200, [900] * 200), 0.49)
        half, well = Watched(lines([50] * 200, [500] * 200), 1.0), Watched(lines([95] * 200, [10] * 200), 1.0)
        verdict = judge([well, half, well], [fine, fine, down], 20.0)
        assert verdict.times.tolist() == [0, math.inf, math.inf]
        assert verdict.down.tolist() == [False, False, True]
        assert verdict.share == pytest.approx(1 / 3)
        assert math.isinf(verdict.median)
        assert judge([well], [down], 20.0).times.tolist() == [math.inf]

    def test_one_that_comes_too_late_to_be_sure_does_not_count(self):
        watched = 200 - 20 - SMOOTH
        assert self.judged([0] * 190 + [100] * 10, [10] * 200) == math.inf
        early = 200 - SMOOTH - math.ceil(watched / 8)
        assert self.judged([0] * (early + 1) + [100] * (199 - early), [10] * 200) == early - 20
        assert self.judged([0] * (early + 2) + [100] * (198 - early), [10] * 200) == math.inf


class TestHit:
    """One trigger."""

    @pytest.mark.parametrize(("load", "outage"), [(0.5, 10.0), (0.8, 10.0), (0.75, 4.0)])
    def test_a_fluid_queue_takes_as_long_as_it_takes_to_drain(self, load, outage):
        # Arrivals and services as regular as can be: load * outage / (1 - load).
        regular = bw.Scenario(
            arrivals=bw.Periodic(interval=0.01), workers=bw.Workers(count=10, service=bw.Constant(value=0.1 * load))
        )
        plan = plan_of(regular, bw.Fault(kind="workers_down", start=10, duration=outage), observe=100, replications=1)
        found = hit(regular, plan)
        assert found.times[0] == pytest.approx(load * outage / (1 - load), abs=plan.resolution)

    def test_an_outage_outlives_its_cause_where_clients_retry_and_not_with_a_budget_or_without_retries(self):
        assert hit(STORM, PLAN).share == 0
        assert hit(BUDGET, PLAN).share == 1
        assert hit(bw.model("overload", retries=0), PLAN).share == 1
        assert hit(bw.model("overload", load=0.95, retries=3, budget=0.1), PLAN).share == 0  # 0.95 * 1.1 > 1

    def test_a_function_of_one_s_own_sweeps_recovery(self):
        plan, loads = PLAN._replace(observe=60.0), [0.4, 0.8]

        def model(seed, replication, load):
            made = STORM.with_({"load": load, "faults": [OUTAGE.plain()]})
            return bw.recovery(made, seed, replication, observe="60 s")

        told = bw.sweep(model, {"load": loads}, replications=5).data
        times = [hit(STORM.at_load(load), plan, LAB).times for load in loads]
        found = told["recovery_time"].squeeze().values[0]
        assert np.where(np.isnan(found), np.inf, found).tolist() == times[0].tolist()
        assert np.isnan(told["recovery_time"].squeeze().values[1]).all()
        assert np.isinf(times[1]).all()
        assert told["recovered"].squeeze().values.tolist() == [list(np.isfinite(each)) for each in times]
        assert told["recovered"].squeeze().values[0].sum() > 0

    def test_without_retries_it_takes_as_long_as_derived(self):
        # (load * outage - patience) / (1 - load), the patience being 1 s less a service.
        found = hit(bw.model("overload", retries=0), PLAN)
        assert found.median == pytest.approx((0.8 * 10 - 0.9) / 0.2, abs=8)

    def test_where_the_twin_is_down_there_is_nothing_to_recover_to(self):
        found = hit(STORM.at_load(1.3), PLAN)
        assert found.down.all()
        assert found.share == 0

    def test_a_trigger_of_every_kind(self):
        for fault in (
            bw.Fault(kind="workers_slow", start=10, duration=10, factor=5),
            bw.Fault(kind="errors", start=10, duration=10, share=0.9),
            bw.Fault(kind="load", start=10, duration=10, factor=3),
        ):
            assert hit(CALM, PLAN._replace(fault=fault)).share == 1
            assert hit(CALM, PLAN._replace(fault=fault)).median < 100


@pytest.fixture(scope="module")
def storm():
    loads, sizes = np.array([0.3, 0.47, 0.6, 0.8, 1.2]), np.array([0.4, 2.0, 8.0])
    return trigger_map(STORM, PLAN, loads, sizes, lab=LAB)


class TestMap:
    """The map over (load, trigger)."""

    def test_the_states_are_those_derived(self, storm):
        state = storm.state()
        assert (state[:, 0] == RECOVERS).all()  # 0.3 * 2 < 1, and drains fast
        assert state[2, 1] == SLOWLY  # 0.47 * 2 is hardly below 1: derived 55 s for a trigger of 8 s
        assert (state[1:, 2:4] == NEVER).all()
        assert (state[0, 1:4] == RECOVERS).all()  # nobody is late yet
        assert (state[:, 4] == NO_NEED).all()

    def test_the_boundary_is_where_overload_md_has_it(self, storm):
        # 60 runs each there: half collapse from 1.265 s on at 0.6, from 0.94 s on at 0.8; never at 0.3.
        assert storm.boundary[2] == pytest.approx(1.265, abs=0.25)
        assert storm.boundary[3] == pytest.approx(0.94, abs=0.25)
        assert math.isinf(storm.boundary[0])
        assert storm.boundary[4] == 0

    def test_without_retries_nothing_stays_down(self):
        found = trigger_map(CALM, PLAN, np.array([0.3, 0.6, 0.8]), np.array([1.0, 10.0]), lab=LAB)
        assert np.isinf(found.boundary).all()
        assert (found.share == 1).all()

    def test_a_trigger_may_grow_by_its_share_or_its_factor(self):
        found = trigger_map(STORM, PLAN, np.array([0.8]), np.array([0.1, 1.0]), "share", LAB)
        # 0.8 of the load needs 8 of 10 workers: fewer down than 2 do nothing; 1 second of patience beyond that.
        assert found.state()[:, 0].tolist() == [RECOVERS, NEVER]
        assert 0.15 < found.boundary[0] < 0.5
        slow = PLAN._replace(fault=bw.Fault(kind="workers_slow", start=10, duration=10, factor=2))
        found = trigger_map(STORM, slow, np.array([0.8]), np.array([1.1, 5.0]), "factor", LAB)
        assert found.state()[:, 0].tolist() == [RECOVERS, NEVER]
        assert 1.1 < found.boundary[0] < 2

    def test_one_core_and_two_give_the_same_map(self):
        loads, sizes = np.array([0.4, 0.7]), np.array([1.0, 2.0])
        short = PLAN._replace(observe=30.0, replications=2)
        one, two = (trigger_map(STORM, short, loads, sizes, lab=Lab(parallel=n)) for n in (1, 2))
        for left, right in zip(one, two, strict=True):
            np.testing.assert_array_equal(left, right)


class TestRamp:
    """The load up and down again in one run."""

    LOADS = np.linspace(0.1, 1.2, 12)

    def test_the_loop_is_open_where_retries_keep_it_down(self):
        found = ramp(STORM, self.LOADS, 10.0)
        assert found.load.tolist() == [*self.LOADS, *self.LOADS[-2::-1]]
        assert (found.gap[5:9] > 0.9).all()  # loads of 0.6 to 0.9: fine going up, nothing coming down
        np.testing.assert_allclose(found.goodput[:9], 100 * self.LOADS[:9], rtol=0.15)
        assert found.queue[-5] > 1000

    def test_the_loop_closes_below_half_where_the_queue_is_bounded(self):
        # A queue of 300 forgets: at 2 * load < 1 it drains in 3 s / (1 - 2 load).
        found = ramp(bw.model("overload", capacity=300), self.LOADS, 20.0)
        assert (np.abs(found.gap[:3]) < 0.1).all()
        assert (found.gap[5:9] > 0.5).all()

    def test_the_loop_of_a_plain_queue_is_closed(self):
        found = ramp(CALM, np.linspace(0.1, 0.9, 9), 10.0)
        assert (np.abs(found.gap) < 0.12).all()
        over = ramp(CALM, self.LOADS, 20.0)  # beyond 1 it has to work off what queued up, at full speed
        assert over.gap.max() < 0.12


class TestStuck:
    """To which load a stuck system must be relieved."""

    def test_it_is_the_load_at_which_the_backlog_drains_in_time(self):
        # Backlog of an outage of 30 s: 0.8 * (30 + 29) s of work; drained in (47.2 - 0.9) / (1 - 2 load), which must
        # leave an eighth of the 120 s; and less than half, whatever the time.
        found = stuck(STORM, PLAN, LAB)
        expected = (1 - 46.3 / (0.875 * (120 - PLAN.resolution))) / 2
        assert found.load == pytest.approx(expected, abs=0.03)
        assert found.load in found.loads
        assert len(found.loads) == 8
        assert np.isfinite(found.times[found.loads <= found.load]).all()
        assert np.isinf(found.times[found.loads > found.load]).all()

    def test_one_that_cannot_be_stuck_needs_no_relief(self):
        assert stuck(CALM.at_load(0.5), PLAN).load == pytest.approx(0.5)


class TestDrift:
    """The phase picture."""

    SIZES = np.linspace(0.5, 4, 8)

    def test_the_queue_grows_by_itself_from_where_all_are_late(self):
        found = drift(STORM, PLAN, self.SIZES)
        assert 50 < found.tip < 150  # late from 0.9 s of work on: 90 waiting
        assert len(found.backoff) == 2  # they retry at once
        assert found.change[-1] == pytest.approx(2 * 80 - 100, rel=0.1)  # attempts less services

    def test_a_plain_queue_comes_back_from_everywhere(self):
        found = drift(CALM, PLAN, self.SIZES)
        assert math.isinf(found.tip)
        assert found.change[-1] == pytest.approx(80 - 100, abs=8)

    def test_with_backoff_there_are_two_dimensions(self):
        found = drift(bw.model("overload", retries=3, backoff=("100 ms", "10 s")), PLAN, self.SIZES)
        assert len(found.backoff) > 3
        assert found.to_waiting.shape == (len(found.backoff) - 1, len(found.waiting) - 1)
        assert stress_figures.phases(found).axes
