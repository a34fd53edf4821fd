"""Redis and RabbitMQ: timelines worked out on paper, from their documentation, that both engines must reproduce.

Columns: job, delivery, delivered at, started at, ended at, outcome. One worker unless it says otherwise.
"""

import pytest
from timetables import come, on_both_engines, rows, simulate, timetable

import backwater as bw

ONE = {"workers": 1, "nodes": 1}


def crash(start, duration=None, **more) -> bw.Fault:
    return bw.Fault(kind="workers_crash", start=start, duration=duration, **more)


# Redis.

# Jobs take 1.75 s. Redis crashes at 2.375 and is back at 3.375; the consumer goes on with what it has popped.
AT_MOST = [0, 0.5, 1.25, 1.625, 2.125, 3, 3.625]
BEFORE = [(0, 1, 0, 0, 1.75, "completed"), (1, 1, 1.75, 1.75, 3.5, "completed")]  # popped before the crash
REFUSED = (5, 1, None, None, 3, "rejected")  # came while Redis was down
CRASH = {
    # Everything is written at 0, 1, 2: what came at 2.125 is lost.
    "everysec": [
        (2, 1, 3.5, 3.5, 5.25, "completed"),
        (3, 1, 5.25, 5.25, 7, "completed"),
        (4, 1, None, None, 2.375, "lost"),
        REFUSED,
        (6, 1, 7, 7, 8.75, "completed"),
    ],
    "always": [
        (2, 1, 3.5, 3.5, 5.25, "completed"),
        (3, 1, 5.25, 5.25, 7, "completed"),
        (4, 1, 7, 7, 8.75, "completed"),
        REFUSED,
        (6, 1, 8.75, 8.75, 10.5, "completed"),
    ],
    # Snapshots only: all that waits is lost.
    None: [
        (2, 1, None, None, 2.375, "lost"),
        (3, 1, None, None, 2.375, "lost"),
        (4, 1, None, None, 2.375, "lost"),
        REFUSED,
        (6, 1, 3.625, 3.625, 5.375, "completed"),
    ],
}


@on_both_engines
@pytest.mark.parametrize("appendfsync", CRASH)
def test_a_crash_of_redis_loses_what_came_since_it_last_wrote(appendfsync, engine, tmp_path):
    down = bw.Fault(kind="broker_down", start=2.375, duration=1)
    told = timetable(
        "redis_list", engine, rate=come(tmp_path, AT_MOST), service=1.75, appendfsync=appendfsync, faults=(down,), **ONE
    )
    assert told == BEFORE + CRASH[appendfsync]


# Messages of 100 B, maxmemory 250 B: Redis looks before each command, so the third is let in (300 B). The consumer is
# away from 1.25 to 4, and Redis fills meanwhile. Jobs take 1 s.
FULL = [0, 1.5, 2, 2.5, 3, 4.5]
DRAINED = [
    (0, 1, 0, 0, 1, "completed"),
    (1, 1, 4, 4, 5, "completed"),
    (2, 1, 5, 5, 6, "completed"),
    (3, 1, 6, 6, 7, "completed"),
    (4, 1, None, None, 3, "rejected"),  # OOM command not allowed
]
WHEN_FULL = {
    # BRPOP frees at 4 what it takes: 200 B are left, so job 5 comes in.
    "redis_list": [*DRAINED, (5, 1, 7, 7, 8, "completed")],
    # XREADGROUP is allowed, too, but frees nothing before the XACK (and XDEL) at 5: job 5 is refused at 4.5.
    "redis_stream": [*DRAINED, (5, 1, None, None, 4.5, "rejected")],
    # LMOVE is refused as LPUSH is: nobody can make room.
    "redis_reliable": [
        (0, 1, 0, 0, 1, "completed"),
        (1, 1, None, None, 200, "unfinished"),
        (2, 1, None, None, 200, "unfinished"),
        (3, 1, None, None, 200, "unfinished"),
        (4, 1, None, None, 3, "rejected"),
        (5, 1, None, None, 4.5, "rejected"),
    ],
}


@on_both_engines
@pytest.mark.parametrize("name", WHEN_FULL)
def test_lmove_cannot_drain_a_full_redis_and_a_plain_pop_can(name, engine, tmp_path):
    told = timetable(
        name, engine, rate=come(tmp_path, FULL), service=1, size="100 B", memory="250 B", faults=(crash(1.25, 2.75),),
        **ONE,
    )  # fmt: skip
    assert told == WHEN_FULL[name]


# The consumer crashes at 3, in the middle of job 1, and is back at 4. Jobs take 2 s.
POPPED = [0, 1, 3.5, 5, 14, 14.5]
GONE = {
    "redis_list": [
        (0, 1, 0, 0, 2, "completed"),
        (1, 1, 2, 2, 3, "lost"),
        (2, 1, 4, 4, 6, "completed"),
        (3, 1, 6, 6, 8, "completed"),
        (4, 1, 14, 14, 16, "completed"),
        (5, 1, 16, 16, 18, "completed"),
    ],
    "redis_reliable": [
        (0, 1, 0, 0, 2, "completed"),
        (1, 1, 2, 2, 3, "returned"),
        (1, 2, 18, 18, 20, "completed"),  # too old at 12, found by the janitor at 15, behind job 5 then
        (2, 1, 4, 4, 6, "completed"),
        (3, 1, 6, 6, 8, "completed"),
        (4, 1, 14, 14, 16, "completed"),
        (5, 1, 16, 16, 18, "completed"),
    ],
}


@on_both_engines
@pytest.mark.parametrize("name", GONE)
def test_what_is_popped_is_gone_and_what_is_moved_is_found_by_the_janitor(name, engine, tmp_path):
    late = {"visibility": "10 s", "janitor": "5 s"} if name == "redis_reliable" else {}
    told = timetable(name, engine, rate=come(tmp_path, POPPED), service=2, faults=(crash(3, 1),), **ONE, **late)
    assert told == GONE[name]


@on_both_engines
def test_an_entry_of_a_stream_is_claimed_once_it_has_been_idle_for_long_enough(engine, tmp_path):
    # Two consumers; the second one dies at 3. Jobs take 5 s. XAUTOCLAIM every 4 s, min-idle 10 s.
    told = timetable(
        "redis_stream", engine, rate=come(tmp_path, [0, 1, 2, 11, 11.5]), service=5, workers=2, nodes=2,
        min_idle="10 s", claim="4 s", faults=(crash(3, share="50 %"),),
    )  # fmt: skip
    assert told == [
        (0, 1, 0, 0, 5, "completed"),
        (1, 1, 1, 1, 3, "returned"),
        (1, 2, 16, 16, 21, "completed"),  # idle since 1, so old enough at 11, and claimed at 12, before job 4
        (2, 1, 5, 5, 10, "completed"),
        (3, 1, 11, 11, 16, "completed"),
        (4, 1, 21, 21, 26, "completed"),
    ]


# RabbitMQ. Jobs take 10 s and come each second; max-length is 2.

SECOND = [0, 1, 2, 3, 4, 5]
LIMITED = {
    # One is in service. Job 3 drops the head, job 1; 4 drops 2; 5 drops 3.
    (1, "drop-head", "never"): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, None, None, 3, "dropped"),
        (2, 1, None, None, 4, "dropped"),
        (3, 1, None, None, 5, "dropped"),
        (4, 1, 10, 10, 20, "completed"),
        (5, 1, 20, 20, 30, "completed"),
    ],
    # One more at the consumer is hidden from the limit: 2 ready and 2 unacknowledged. Jobs 4 and 5 drop 2 and 3.
    (2, "drop-head", "never"): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 1, 10, 20, "completed"),
        (2, 1, None, None, 4, "dropped"),
        (3, 1, None, None, 5, "dropped"),
        (4, 1, 10, 20, 30, "completed"),
        (5, 1, 20, 30, 40, "completed"),
    ],
    # All are hidden.
    ("unlimited", "drop-head", "never"): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 1, 10, 20, "completed"),
        (2, 1, 2, 20, 30, "completed"),
        (3, 1, 3, 30, 40, "completed"),
        (4, 1, 4, 40, 50, "completed"),
        (5, 1, 5, 50, 60, "completed"),
    ],
    # The new ones are refused; without publisher confirms they vanish.
    (1, "reject-publish", "never"): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 10, 10, 20, "completed"),
        (2, 1, 20, 20, 30, "completed"),
        (3, 1, None, None, 3, "dropped"),
        (4, 1, None, None, 4, "dropped"),
        (5, 1, None, None, 5, "dropped"),
    ],
    # With confirms, a nack tells the publisher.
    (1, "reject-publish", "0 s"): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 10, 10, 20, "completed"),
        (2, 1, 20, 20, 30, "completed"),
        (3, 1, None, None, 3, "rejected"),
        (4, 1, None, None, 4, "rejected"),
        (5, 1, None, None, 5, "rejected"),
    ],
}


@on_both_engines
@pytest.mark.parametrize("given", LIMITED, ids=str)
def test_max_length_counts_ready_messages_only_and_drops_the_head_or_rejects(given, engine, tmp_path):
    prefetch, overflow, confirm = given
    told = timetable(
        "rabbitmq_classic", engine, rate=come(tmp_path, SECOND), service=10, length=2, prefetch=prefetch,
        overflow=overflow, confirm=confirm, **ONE,
    )  # fmt: skip
    assert told == LIMITED[given]


@on_both_engines
def test_the_alarm_blocks_every_publisher_until_memory_is_below_the_watermark(engine, tmp_path):
    # Messages of 100 B, watermark 0.4 x 1000 B, looked at every 2.5 s. Jobs take 4 s.
    (tmp_path / "b").mkdir()
    both = {"a": come(tmp_path, [0, 0.5, 1, 1.5, 3]), "b": come(tmp_path / "b", [0, 2.25, 3.5])}
    result = simulate("rabbitmq_classic", engine, rate=both, service=4, size="100 B", memory="1 kB", **ONE)
    # 500 B at 1.5 and 600 B at 2.25, still let in; alarm at 2.5. One leaves at 4: 500 B at 5 and 7.5. The next leaves
    # at 8: 400 B at 10, and both publishers go on. They wait since 3 and 3.5.
    assert rows(result, "source job sent accepted delivered started ended") == [
        ("a", 0, 0, 0, 0, 0, 4),
        ("a", 1, 0.5, 0.5, 0.5, 8, 12),
        ("a", 2, 1, 1, 1, 12, 16),
        ("a", 3, 1.5, 1.5, 1.5, 16, 20),
        ("a", 4, 3, 10, 10, 24, 28),
        ("b", 0, 0, 0, 0, 4, 8),
        ("b", 1, 2.25, 2.25, 2.25, 20, 24),
        ("b", 2, 3.5, 10, 10, 28, 32),
    ]


@on_both_engines
def test_a_quorum_queue_dead_letters_what_came_back_too_often(engine, tmp_path):
    # Delivery limit 2: the third return goes to the dead letters. Jobs take 2 s, and fail until 7. The consumer dies at
    # 21 and is back at 22: a return, too, to the front, at once.
    errors = bw.Fault(kind="errors", share=1, start=0, duration=7)
    result = simulate(
        "rabbitmq_quorum", engine, rate=come(tmp_path, [0, 1, 1.5, 9, 20, 20.5]), service=2, prefetch=1,
        delivery_limit=2, faults=(errors, crash(21, 1)), **ONE,
    )  # fmt: skip
    assert rows(result) == [
        (0, 1, 0, 0, 2, "failed"),
        (0, 2, 2, 2, 4, "failed"),
        (0, 3, 4, 4, 6, "failed"),
        (1, 1, 6, 6, 8, "completed"),
        (2, 1, 8, 8, 10, "completed"),
        (3, 1, 10, 10, 12, "completed"),
        (4, 1, 20, 20, 21, "returned"),
        (4, 2, 22, 22, 24, "completed"),
        (5, 1, 24, 24, 26, "completed"),
    ]
    jobs = result.jobs.sort_values("job")
    assert list(zip(jobs["outcome"], jobs["ended"], strict=True))[:2] == [("dead_lettered", 6), ("completed", 8)]
