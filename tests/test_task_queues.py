"""SQS and Celery: timelines worked out on paper, from their documentation, that both engines must reproduce.

Columns: job, delivery, delivered at, started at, ended at, outcome.
"""

import pytest
from timetables import ITS_OWN, come, on_both_engines, rows, simulate, timetable

import backwater as bw

TWO = {"workers": 2, "nodes": 2}  # each on a node of its own
LISTENS = {"wait": "20 s"}  # long polling


def crash(start, duration=None, **more) -> bw.Fault:
    return bw.Fault(kind="workers_crash", start=start, duration=duration, **more)


# SQS: visibility timeout 30 s.


@on_both_engines
def test_a_job_that_outlives_its_visibility_timeout_runs_twice(engine, tmp_path):
    # Jobs take 20 s, and 40 s at the second worker, which is slow until 45.
    slow = bw.Fault(kind="workers_slow", share="50 %", factor=2, start=0, duration=45)
    times = come(tmp_path, [0, 1, 60, 61, 62])
    told = timetable("sqs_standard", engine, rate=times, service=20, duplicates=0, faults=(slow,), **TWO, **LISTENS)
    assert told == [
        (0, 1, 0, 0, 20, "completed"),
        (1, 1, 1, 1, 41, "completed"),  # seen again at 31, so that the delete at 41 has an old receipt handle
        (1, 2, 31, 31, 51, "abandoned_completed"),  # deleted in time: hidden until 61
        (2, 1, 60, 60, 80, "completed"),
        (3, 1, 61, 61, 81, "completed"),
        (4, 1, 80, 80, 100, "completed"),
    ]


@on_both_engines
def test_the_last_message_of_a_batch_waits_beyond_its_visibility_timeout(engine, tmp_path):
    # One consumer that takes up to 3 at once; jobs take 12 s.
    times = come(tmp_path, [0, 1, 2, 3, 4])
    told = timetable(
        "sqs_standard", engine, rate=times, service=12, duplicates=0, batch=3, workers=1, nodes=1, **LISTENS
    )
    assert told == [
        (0, 1, 0, 0, 12, "completed"),
        (1, 1, 12, 12, 24, "completed"),
        (2, 1, 12, 24, 36, "completed"),
        (3, 1, 12, 36, 48, "completed"),  # hidden until 42 only
        (3, 2, 48, 48, 60, "abandoned_completed"),  # the next batch: job 3 again, and job 4
        (4, 1, 48, 60, 72, "completed"),
    ]


@on_both_engines
def test_a_message_received_too_often_goes_to_the_dead_letter_queue_though_its_job_was_done(engine, tmp_path):
    # maxReceiveCount 2; job 0 takes 70 s, the others 5 s; three consumers.
    times = come(tmp_path, [0, 1, 5, 31, 62], [70, 5, 5, 5, 5])
    result = simulate(
        "sqs_standard", engine, rate=times, service=ITS_OWN, duplicates=0, max_receive=2, workers=3, nodes=3, **LISTENS
    )
    assert rows(result) == [
        (0, 1, 0, 0, 70, "abandoned_completed"),
        (0, 2, 30, 30, 100, "abandoned_completed"),
        (1, 1, 1, 1, 6, "completed"),
        (2, 1, 5, 5, 10, "completed"),
        (3, 1, 31, 31, 36, "completed"),
        (4, 1, 62, 62, 67, "completed"),
    ]
    # At 60 it is seen for a third time, by the consumer that listens, and moved.
    jobs = result.jobs.sort_values("job")
    assert list(zip(jobs["outcome"], jobs["ended"], strict=True))[:2] == [("dead_lettered", 60), ("completed", 6)]


@on_both_engines
def test_of_a_fifo_group_one_message_is_out_at_a_time_and_none_overtakes(engine, tmp_path):
    # One group; jobs take 5 s; the second of two consumers dies at 7, with job 1.
    times = come(tmp_path, [0, 1, 2, 3, 4])
    told = timetable(
        "sqs_fifo", engine, rate=times, service=5, groups=1, faults=(crash(7, share="50 %"),), **TWO, **LISTENS
    )
    assert told == [
        (0, 1, 0, 0, 5, "completed"),
        (1, 1, 5, 5, 7, "returned"),  # the other consumer, but not before 5
        (1, 2, 35, 35, 40, "completed"),  # hidden until 35, and with it all that follow it in its group
        (2, 1, 40, 40, 45, "completed"),
        (3, 1, 45, 45, 50, "completed"),
        (4, 1, 50, 50, 55, "completed"),
    ]


@on_both_engines
def test_short_polls_find_a_message_only_when_they_come(engine, tmp_path):
    # A question each 16 ms while nothing is there; the first one at 0, just before job 0 comes. Jobs take 1 s.
    times = [0, 0.5, 3, 3.25, 6.004]
    told = timetable("sqs_standard", engine, rate=come(tmp_path, times), service=1, duplicates=0, workers=1, nodes=1)
    waits = [round(1000 * (started - came), 6) for came, (_, _, _, started, _, _) in zip(times, told, strict=True)]
    # Job 1: asked for at 1.016, as job 0 ends. Job 2: at 2.016 + 16 ms n, so at 3.008. Job 3: at 4.008, as job 2 ends.
    # Job 4: at 5.008 + 16 ms n, so at 6.016.
    assert waits == [16, 516, 8, 758, 12]


# Celery.


@on_both_engines
def test_an_eta_beyond_the_visibility_timeout_is_delivered_and_run_again_and_again(engine, tmp_path):
    # Countdown 25 s, visibility timeout 10 s, a sweep every 4 s. Two nodes in turn; jobs take 3 s.
    times = come(tmp_path, [0, 5])
    told = timetable(
        "celery_redis", engine, rate=times, service=3, task_delay="25 s", visibility="10 s", sweep="4 s", **TWO
    )
    assert told == [
        (0, 1, 0, 25, 28, "completed"),
        (0, 2, 12, 28, 31, "abandoned_completed"),  # due again at 10, swept at 12; the first node holds both
        (0, 3, 24, 31, 34, "abandoned_completed"),  # due at 22, swept at 24; hidden until 36, so its ack counts
        (1, 1, 5, 30, 33, "completed"),
        (1, 2, 16, 33, 36, "abandoned_completed"),
        (1, 3, 28, 36, 39, "abandoned_completed"),
    ]


@on_both_engines
def test_an_eta_within_the_visibility_timeout_is_run_once(engine, tmp_path):
    times = come(tmp_path, [0, 5])
    told = timetable("celery_redis", engine, rate=times, service=3, task_delay="25 s", **TWO)
    assert told == [(0, 1, 0, 25, 28, "completed"), (1, 1, 5, 30, 33, "completed")]


LATE = {
    "celery_redis": {"late": True, "multiplier": 1, "visibility": "10 s", "sweep": "4 s"},
    "redis_stream": {"min_idle": "10 s", "claim": "4 s"},
}


@on_both_engines
@pytest.mark.parametrize("name", LATE)
def test_the_first_of_two_runs_acknowledges_the_message_for_both(name, engine, tmp_path):
    # Job 0 takes 20 s, the others 2 s; what is not acknowledged within 10 s comes back, looked for every 4 s.
    times = come(tmp_path, [0, 5, 13, 25, 33], [20, 2, 2, 2, 2])
    told = timetable(name, engine, rate=times, service=ITS_OWN, **TWO, **LATE[name])
    assert told == [
        (0, 1, 0, 0, 20, "completed"),  # kombu keeps one tag for all deliveries, XACK names the entry
        (0, 2, 12, 12, 32, "abandoned_completed"),  # so this one, overdue at 22, does not come back at 24
        (1, 1, 5, 5, 7, "completed"),
        (2, 1, 20, 20, 22, "completed"),
        (3, 1, 25, 25, 27, "completed"),
        (4, 1, 33, 33, 35, "completed"),
    ]


@on_both_engines
def test_a_retry_is_a_new_message_at_once_that_a_worker_holds_until_its_countdown(engine, tmp_path):
    # One process; jobs take 2 s and fail until 3. Countdown 20 s, visibility timeout 10 s, a sweep every 5 s.
    errors = bw.Fault(kind="errors", share=1, start=0, duration=3)
    result = simulate(
        "celery_redis", engine, rate=come(tmp_path, [0, 1, 1.5, 4, 4.5]), service=2, max_retries=3, countdown="20 s",
        visibility="10 s", sweep="5 s", faults=(errors,), workers=1, nodes=1,
    )  # fmt: skip
    assert rows(result, "job number delivery sent delivered started ended outcome") == [
        (0, 1, 1, 0, 0, 0, 2, "failed"),
        (0, 2, 1, 2, 2, 22, 24, "completed"),  # sent at 2, due at 22
        (0, 2, 2, 2, 15, 24, 26, "abandoned_completed"),  # longer than the visibility timeout: swept at 15
        (1, 1, 1, 1, 1, 2, 4, "completed"),
        (2, 1, 1, 1.5, 1.5, 4, 6, "completed"),
        (3, 1, 1, 4, 4, 6, 8, "completed"),
        (4, 1, 1, 4.5, 4.5, 8, 10, "completed"),
    ]


@on_both_engines
def test_a_task_beyond_its_time_limit_is_ended_and_has_failed(engine, tmp_path):
    times = come(tmp_path, [0, 1, 2, 3, 20], [20, 2, 6, 5, 1])
    told = timetable("celery_rabbitmq", engine, rate=times, service=ITS_OWN, time_limit="5 s", workers=1, nodes=1)
    assert told == [
        (0, 1, 0, 0, 5, "failed"),
        (1, 1, 1, 5, 7, "completed"),
        (2, 1, 2, 7, 12, "failed"),
        (3, 1, 3, 12, 17, "completed"),
        (4, 1, 20, 20, 21, "completed"),
    ]


# One node with one process, which dies at 12, in the middle of job 1, and is back at 15. Jobs take 10 s.
ACKED = {
    # Early: job 0 is acknowledged as it starts, so the node holds 1 to 4, and gets 5 at 10.
    ("celery_redis", False): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 1, 10, 12, "lost"),
        (2, 1, 2, None, 12, "returned"),
        (2, 2, 24, 24, 34, "completed"),  # 20 s after 2, 3 and 4, a sweep every 8 s: at 24
        (3, 1, 3, None, 12, "returned"),
        (3, 2, 24, 34, 44, "completed"),
        (4, 1, 4, None, 12, "returned"),
        (4, 2, 24, 44, 54, "completed"),
        (5, 1, 10, None, 12, "returned"),
        (5, 2, 32, 54, 64, "completed"),  # 20 s after 10, swept at 32
    ],
    # RabbitMQ takes back at once what the node held.
    ("celery_rabbitmq", False): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 1, 10, 12, "lost"),
        (2, 1, 2, None, 12, "returned"),
        (2, 2, 15, 15, 25, "completed"),
        (3, 1, 3, None, 12, "returned"),
        (3, 2, 15, 25, 35, "completed"),
        (4, 1, 4, None, 12, "returned"),
        (4, 2, 15, 35, 45, "completed"),
        (5, 1, 10, None, 12, "returned"),
        (5, 2, 15, 45, 55, "completed"),
    ],
    # Late: 4 with the one in service, so 4 comes at 10, and 5 is ready still. Job 1 comes back, too.
    ("celery_rabbitmq", True): [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 1, 10, 12, "returned"),
        (1, 2, 15, 15, 25, "completed"),
        (2, 1, 2, None, 12, "returned"),
        (2, 2, 15, 25, 35, "completed"),
        (3, 1, 3, None, 12, "returned"),
        (3, 2, 15, 35, 45, "completed"),
        (4, 1, 10, None, 12, "returned"),
        (4, 2, 15, 45, 55, "completed"),
        (5, 1, 25, 55, 65, "completed"),
    ],
}


@on_both_engines
@pytest.mark.parametrize("given", ACKED, ids=str)
def test_early_acks_lose_the_task_that_ran_and_what_was_prefetched_comes_back(given, engine, tmp_path):
    name, late = given
    soon = {"visibility": "20 s", "sweep": "8 s"} if name == "celery_redis" else {}
    times = come(tmp_path, [0, 1, 2, 3, 4, 5])
    dies = (crash(12, 3),)
    told = timetable(name, engine, rate=times, service=10, late=late, faults=dies, workers=1, nodes=1, **soon)
    assert told == ACKED[given]


# Two processes, late acknowledgement; job 0 takes 20 s, the others 0.5 s.
AT_ONCE = [(0, 1, 0, 0, 20, "completed"), *[(n, 1, n, n, n + 0.5, "completed") for n in range(1, 6)]]
UNFAIR = [
    (0, 1, 0, 0, 20, "completed"),
    (1, 1, 1, 1, 1.5, "completed"),
    (2, 1, 2, 20, 20.5, "completed"),  # in the buffer of the first node, though the second one rests
    (3, 1, 3, 3, 3.5, "completed"),
    (4, 1, 4, 20.5, 21, "completed"),
    (5, 1, 5, 5, 5.5, "completed"),
]


@on_both_engines
@pytest.mark.parametrize(
    ("nodes", "multiplier", "table"), [(2, 4, UNFAIR), (2, 1, AT_ONCE), (1, 4, AT_ONCE), (1, 1, AT_ONCE)]
)
def test_buffers_of_nodes_make_prefetch_unfair_and_one_node_does_not_care(nodes, multiplier, table, engine, tmp_path):
    times = come(tmp_path, [0, 1, 2, 3, 4, 5], [20, 0.5, 0.5, 0.5, 0.5, 0.5])
    told = timetable(
        "celery_rabbitmq", engine, rate=times, service=ITS_OWN, late=True, multiplier=multiplier, workers=2, nodes=nodes
    )
    assert told == table


# A canvas: task_acks_late off, so that a task is acknowledged as it starts.


@on_both_engines
def test_the_body_of_a_chord_is_sent_by_the_worker_that_ends_its_header(engine, tmp_path):
    times = come(tmp_path, [0])
    result = simulate("celery_redis", engine, rate=times, service=5, canvas={"chord": 3}, **TWO)
    table = result.attempts.sort_values(["sent", "job"])[["class", "worker", "delivered", "started", "ended"]]
    assert [tuple(row) for row in table.itertuples(index=False, name=None)] == [
        ("job", 0, 0, 0, 5),
        ("header", 1, 5, 5, 10),  # nodes in turn
        ("header", 0, 5, 5, 10),
        ("header", 1, 5, 10, 15),  # in that node's buffer
        ("body", 0, 15, 15, 20),
    ]
    assert result["workflow_mean"] == pytest.approx(20, rel=1e-12)


@on_both_engines
def test_a_back_end_that_does_not_count_is_asked_every_second(engine, tmp_path):
    result = simulate("celery_rabbitmq", engine, rate=come(tmp_path, [0]), service=2.3, canvas={"chord": 3}, **TWO)
    # The header is sent at 2.3 and done at 6.9: asked at 6.3, and at 7.3.
    sent = result.jobs.sort_values("arrived").groupby("class", observed=True)["arrived"].last()
    assert sent.round(9).to_dict() == {"job": 0, "header": 2.3, "body": 7.3}


@on_both_engines
def test_a_chain_is_lost_with_the_task_that_was_acknowledged_early(engine, tmp_path):
    # The node of the second link dies at 8.
    work = {"rate": come(tmp_path, [0]), "service": 5, "canvas": {"chain": 2}, "workers": 1, "nodes": 1}
    early = simulate("celery_rabbitmq", engine, faults=(crash(8, duration=1),), **work)
    assert early.jobs[["class", "outcome"]].to_numpy().tolist() == [["job", "completed"], ["link 1", "lost"]]
    assert early["workflow_failure_ratio"] == 1
    # Acknowledged late it is delivered again, and the chain goes on: 9 to 14, and 14 to 19.
    late = simulate("celery_rabbitmq", engine, faults=(crash(8, duration=1),), late=True, **work)
    assert late["workflow_mean"] == pytest.approx(19, rel=1e-12)


@pytest.mark.parametrize(("given", "line"), [
    ({"chrod": 3}, 'group, chord and a number, such as {"chord": 8}; did you mean "chord"?'),
    ({"chord": 3, "group": 2}, "canvas must be one of chain, group, chord and a number"),
    ({"chain": 61}, "canvas.chain must be a whole number from 1 to 60 (got 61)"),
    ({"group": 0}, "canvas.group must be a whole number from 1 to 1,000,000 (got 0)"),
])  # fmt: skip
def test_a_wrong_canvas_is_one_line(given, line):
    with pytest.raises(bw.ScenarioError) as refused:
        bw.model("celery_redis", canvas=given)
    assert line in str(refused.value)
