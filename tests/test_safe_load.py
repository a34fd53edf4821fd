"""The load below which every finite trigger passes: by hand, from what each client may send."""

import pytest

import backwater as bw
from backwater.experiments.safe_load import bound

CALM = bw.Scenario(
    name="M/M/1",
    arrivals=bw.Poisson(rate="80/s"),
    workers=bw.Workers(service=bw.Exponential(mean="10 ms")),
)
RETRY = bw.Retry(base="1 s", max_attempts=3)


@pytest.mark.parametrize(
    ("client", "parts", "load", "sharp"),
    [
        (bw.Client(), {}, 1, True),
        (bw.Client(attempt_timeout=1), {}, 1, True),
        (bw.Client(attempt_timeout=1, retry=RETRY), {}, 1 / 3, True),
        (bw.Client(retry=RETRY), {}, 1, True),  # nothing ever fails
        (bw.Client(retry=RETRY), {"queue": bw.Queue(capacity=9)}, 1 / 3, False),
        (bw.Client(attempt_timeout=1, retry=RETRY), {"queue": bw.Queue(discipline="lifo")}, 1 / 3, False),
        (bw.Client(attempt_timeout=1, retry=RETRY, on_timeout="cancel"), {}, 1 / 3, False),
        (bw.Client(attempt_timeout=1, retry=bw.Retry(base=1, cap=1, max_attempts="forever")), {}, 0, True),
        (bw.Client(attempt_timeout=1, retry=RETRY.model_copy(update={"retry_probability": 0.5})), {}, 1 / 1.75, True),
        (bw.Client(attempt_timeout=1, retry=RETRY, retry_budget=bw.Ratio(share=0.1)), {}, 1 / 1.1, True),
        (bw.Client(attempt_timeout=1, retry=RETRY, retry_budget=bw.TokenBucket(capacity=9, per_request=0.2)), {},
         1 / 1.2, True),
        (bw.Client(attempt_timeout=1, retry=RETRY, retry_budget=bw.TokenBucket(capacity=9, per_request=0.2, cost=2)),
         {}, 1 / 1.1, True),
        (bw.Client(attempt_timeout=1, retry=RETRY, retry_budget=bw.TokenBucket(
            capacity=9, per_request=0.2, per_success=0.1)), {}, 1 / 1.3, False),
        (bw.Client(attempt_timeout=1, retry=RETRY, retry_budget=bw.Ratio(share=0.1, min_rate=10)), {},
         (1 - 10 * 0.01) / 1.1, False),  # ten more retries a second take a tenth of the worker
        (bw.Client(attempt_timeout=1, retry=RETRY, proxy=bw.Proxy(retry=RETRY)), {}, 1 / 9, False),  # layers multiply
        (bw.Client(attempt_timeout=1, retry=RETRY, retry_budget=bw.GrpcThrottle()), {}, 1 / 3, False),
        (bw.Client(attempt_timeout=1, retry=RETRY, total_timeout=2), {}, 1 / 3, False),
        (bw.Client(attempt_timeout=1, retry=RETRY, mode="async"), {}, 1 / 3, False),
    ],
)  # fmt: skip
def test_the_load_below_which_every_trigger_passes(client, parts, load, sharp):
    found = bound(bw.Scenario(arrivals=CALM.arrivals, workers=CALM.workers, client=client, **parts))
    assert found.load == pytest.approx(load)
    assert found.sharp == sharp


def test_the_bound_of_two_sources_weighs_their_work_and_of_what_is_unknown_there_is_none():
    two = bw.Scenario(
        arrivals={"plain": bw.Poisson(rate=30), "eager": bw.Poisson(rate=10, client=bw.Client(
            attempt_timeout=1, retry=RETRY))},
        workers=bw.Workers(service=bw.Exponential(mean="10 ms")),
    )  # fmt: skip
    assert bound(two).load == pytest.approx(1 / (0.75 * 1 + 0.25 * 3))
    assert not bound(two).sharp
    slowed = bw.Queue(memory=bw.Memory(slowdown=bw.Slowdown(above=5, factor=2)))
    assert bound(bw.Scenario(arrivals=CALM.arrivals, workers=CALM.workers, queue=slowed)) is None
    hedged = bw.Client(attempt_timeout=1, hedge=bw.Hedge(after="50 ms"))
    assert bound(bw.Scenario(arrivals=CALM.arrivals, workers=CALM.workers, client=hedged)) is None
    closed = bw.Scenario(arrivals=bw.Closed(clients=9, think="1 s"), workers=CALM.workers)
    assert bound(closed) is None
