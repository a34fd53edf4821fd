"""The state of a run as records in flat arrays, and its growth.

A live job and a live attempt each sit in a slot that is used again when they are gone. An attempt may outlive its job
(work that nobody wants), so a job's slot is kept until the last of its attempts has ended.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.components.flow import FLOW
from backwater.measure import ATTEMPT_ROW, JOB_ROW, NOTE_ROW, Books, alone
from backwater.pointers import by_pointer

Records = npt.NDArray[np.void]
Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NONE = -1  # no slot
MANY = -2  # more than one
ROWS = 512  # rows that are held before they are folded
AHEAD = 64  # jobs of a source that are drawn at once
IN_LIST, IN_CALENDAR = 1, 2  # where a timeout is put down
# Why a job has no attempt: its client pauses, waits in line for a token, or has just got one.
PAUSES, IN_LINE, GRANTED = 1, 2, 3
# Where an attempt is.
FREE, WAITING, READING, SERVING, DROPPED, OUTSIDE, PUBLISHING, DELAYED, COMING, HELD, BUFFERED = range(11)

#: A job in progress. ref: see ``calendar``; place: what its events share among those of their instant; attempt: the one
#: that its client waits for; calls, tries, since, paid, proxy_*, accepted, released, let_after, heard: see the
#: reference's ``LiveJob``; attempts_left: slots of its attempts; verdict: what its client has yet to learn; begun: its
#: client is not done with it; listed, sooner, later, expires: its place in the list of its source's total timeouts;
#: hedges: how many its call has sent; live, decided: how many attempts that has, and whether it has its answer; due:
#: when it hedges [s]; ahead, behind: its neighbours in the line for tokens.
LIVE_JOB = np.dtype([
    # A line of the cache each: what is needed most comes first.
    ("ref", "i8"), ("place", "i8"), ("number", "i8"), ("arrived", "f8"), ("size", "f8"), ("demand", "f8"),
    ("pause", "f8"), ("released", "f8"),
    ("source", "u1"), ("begun", "i1"), ("backing_off", "i1"), ("heard", "i1"), ("listed", "i1"), ("decided", "i1"),
    ("job_class", "i2"), ("kind", "i4"), ("attempts", "i4"), ("served", "i4"),
    ("attempts_left", "i4"), ("calls", "i4"), ("tries", "i4"), ("hedges", "i4"), ("attempt", "i4"), ("next", "i4"),
    ("verdict", "i2"), ("live", "i2"), ("since", "i4"), ("row", "i4"), ("expires", "f8"),
    ("proxy_pause", "f8"), ("paid", "f8"), ("proxy_paid", "f8"), ("accepted", "f8"), ("let_after", "f8"),
    ("due", "f8"), ("sooner", "i4"), ("later", "i4"), ("ahead", "i4"), ("behind", "i4"),
])  # fmt: skip
#: One sending of a job. older, newer: neighbours in the queue, outside, or in its batch; before, after: in its level of
#: priority; rank, turn: in its line, where before is its place there; limit: how long it may wait [s]; listed, sooner,
#: later, expires: its place in its source's list of timeouts; wanted: its client waits for it; sibling: an older one
#: that is, too; hedge: its number among those of its call, 0 for the first attempt; superseded: another one has won;
#: delivered, delivery, returned: see the reference's ``Attempt``.
LIVE_ATTEMPT = np.dtype([
    ("ref", "i8"), ("sent", "f8"), ("accepted", "f8"), ("taken", "f8"), ("started", "f8"), ("disk", "f8"),
    ("demand", "f8"), ("factor", "f8"),
    ("job", "i4"), ("number", "i4"), ("worker", "i4"), ("older", "i4"), ("newer", "i4"), ("sibling", "i4"),
    ("hedge", "i4"), ("where", "i1"), ("wanted", "i1"), ("spilled", "i1"), ("timed_out", "i1"), ("listed", "i4"),
    ("superseded", "i4"), ("sooner", "i4"), ("later", "i4"), ("before", "i4"), ("after", "i4"), ("expires", "f8"),
    ("ended", "f8"), ("rank", "f8"), ("turn", "i8"), ("limit", "f8"),
    ("delivered", "f8"), ("delivery", "i4"), ("returned", "i4"),
])  # fmt: skip
#: What changes and is not a slot. free_*: heads of the lists of free slots, and how many there are; oldest, newest:
#: the queue's ends; outside, first_outside, last_outside: how many are held there, and the ends of their list; evicted,
#: last_evicted: attempts whose clients have yet to be told; idle: how many workers are; lingers: the calendar knows
#: when the oldest will have waited for long enough for a batch; hole: the first event of the calendar has happened and
#: gives way to the next one that is pushed; latest: the last time for which an event was ever put down [s]; refill: a
#: trace needs its next pass; freed: a source is; disk_factor, error_share: as faults say; struck: the staff has changed
#: in this event; slowed: what the length of the queue divides speeds by; called: how many workers are on duty.
STATE = np.dtype([
    ("now", "f8"), ("latest", "f8"), ("used", "f8"), ("in_memory", "f8"), ("disk_free", "f8"),
    ("disk_factor", "f8"), ("error_share", "f8"), ("slowed", "f8"), ("struck", "i8"), ("called", "i8"),
    ("free_job", "i8"), ("free_jobs", "i8"), ("free_attempt", "i8"), ("free_attempts", "i8"), ("serial", "i8"),
    ("oldest", "i8"), ("newest", "i8"), ("waiting", "i8"), ("turns", "i8"), ("asked", "i8"),
    ("outside", "i8"), ("first_outside", "i8"), ("last_outside", "i8"),
    ("emptied", "f8"), ("evicted", "i8"), ("last_evicted", "i8"), ("idle", "i8"), ("lingers", "i8"),
    ("hole", "i8"), ("refill", "i8"), ("freed", "i8"), ("alive", "i8"), ("arrived", "i8"), ("stale", "i8"),
    ("attempt_rows", "i8"), ("job_rows", "i8"), ("free_group", "i8"), ("free_groups", "i8"),
    ("note_rows", "i8"),
])  # fmt: skip
#: A source: the number of its next job; where in the present pass of its trace it is, where that ends, and whether
#: it needs the next one; freed: it no longer waits for its last job to be let in; its flow; the ends of the line for
#: tokens, and when the first one in it may have one [s].
SOURCE = np.dtype([
    ("number", "i8"), ("first", "i8"), ("at", "i8"), ("stop", "i8"), ("spent", "i8"), ("freed", "i8"), *FLOW,
    ("first_in_line", "i8"), ("last_in_line", "i8"), ("token_due", "f8"),
])  # fmt: skip
#: A source's timeouts of one kind, in order of time because all are equally long: the first and the last one, whether
#: the calendar knows of the list, and the time and place of the last one that was ever added.
TIMEOUTS = np.dtype([("soonest", "i8"), ("last", "i8"), ("told", "i8"), ("when", "f8"), ("key", "i8")])
#: The next jobs of a source, drawn before their time.
DRAWN = np.dtype([
    ("gap", "f8", (AHEAD,)), ("size", "f8", (AHEAD,)), ("demand", "f8", (AHEAD,)), ("kind", "i8", (AHEAD,)),
])  # fmt: skip
#: A worker. pace: how fast it works as the staff says [1], 0 where it stands still; speed: at which its service goes;
#: left: what was left of that at ``since`` [s]; due: when it ends; holds: the slot of the attempt in its hands; off: it
#: takes no work; broken: it is under repair; failures: so far; ready: on duty and started up; starts, starting: how
#: many start-ups there were, and which of them lasts. Of a batch: ref: its own; holds, last: its first and last member,
#: neighbours in ``older`` and ``newer``; members: how many there are; job_class: for which the worker counts;
#: whole: what its service takes in all [s].
WORKER = np.dtype([
    ("pace", "f8"), ("speed", "f8"), ("left", "f8"), ("since", "f8"), ("due", "f8"), ("holds", "i8"), ("off", "i8"),
    ("broken", "i8"), ("failures", "i8"), ("ready", "i8"), ("starts", "i8"), ("starting", "i8"),
    ("ref", "i8"), ("last", "i8"), ("members", "i8"), ("job_class", "i8"), ("whole", "f8"),
])  # fmt: skip
#: A fault and whether it lasts now; see ``components.faults``.
FAULT = np.dtype([
    ("kind", "i8"), ("on", "i8"), ("start", "f8"), ("stop", "f8"), ("share", "f8"), ("factor", "f8"), ("pauses", "i8"),
])  # fmt: skip
#: Those of a level of priority, of a class or of a broker's group who wait: the first and the last; locked: one of the
#: group is out.
LEVEL = np.dtype([("first", "i8"), ("last", "i8"), ("locked", "i8")])

#: What a broker promises, as ``components.broker`` says; most: deliveries of a message; publish, deliver: where these
#: laws begin; confirm: infinite where the sender never knows; worker_holds: until the ETA; fsync, lag: ``survives``;
#: polls, every, wait, batch, misses: how nodes ask; blocks, looks_every, receive: what happens beyond ``limit``;
#: sends, linger: how many messages of a source leave it together, and when at the latest, 0 and none where each leaves
#: at once; by_any: whether an earlier delivery acknowledges the one that is out; resends: what ended with an error is
#: sent again at once, to be due later; time_limit: of a service.
PROTOCOL = np.dtype([
    ("ack", "i8"), ("on_error", "i8"), ("hides", "f8"), ("sweep", "f8"), ("notices", "f8"), ("front", "i8"),
    ("return_delay", "f8"), ("most", "i8"), ("duplicates", "f8"), ("by_any", "i8"), ("groups", "i8"), ("publish", "i8"),
    ("deliver", "i8"), ("confirm", "f8"), ("worker_holds", "i8"), ("retention", "f8"), ("fsync", "f8"), ("lag", "f8"),
    ("limit", "f8"), ("blocks", "i8"), ("looks_every", "f8"), ("receive", "i8"),
    ("polls", "i8"), ("every", "f8"), ("wait", "f8"), ("batch", "i8"), ("misses", "f8"),
    ("sends", "i8"), ("linger", "f8"), ("resends", "i8"), ("time_limit", "f8"),
])  # fmt: skip
#: What a broker is now. stored: bytes of what it holds; oldest, newest, kept: the ends of the list of that, and how
#: many; looks: the calendar knows when it looks at its memory; wakes: messages are to be handed out at the end of this
#: event; turn: the node that is looked at first; heads: groups of which a message may be taken; sends: a client sends,
#: now, or a message comes that was sent; fresh, takes: what goes to a node as if it had waited for no time, at the end
#: of this event, and to which; changed: the node of which it may have changed whether it takes messages, NONE or MANY;
#: opens: some node's question is open; first_hidden, last_hidden, hides, hidden_until, hidden_key: of the list of those
#: that are hidden, see ``hiding``, its ends, whether the calendar knows of it, and the time and place of the last one
#: that was ever added.
HUB = np.dtype([
    ("stored", "f8"), ("oldest", "i8"), ("newest", "i8"), ("kept", "i8"), ("up", "i8"), ("alarm", "i8"),
    ("looks", "i8"), ("wakes", "i8"), ("turn", "i8"), ("heads", "i8"), ("sends", "i8"), ("fresh", "i8"),
    ("takes", "i8"), ("changed", "i8"), ("opens", "i8"), ("first_hidden", "i8"), ("last_hidden", "i8"), ("hides", "i8"),
    ("hidden_until", "f8"), ("hidden_key", "i8"),
])  # fmt: skip
#: What a source has collected: the first and the last message, how many, and when they leave at the latest [s].
OUTBOX = np.dtype([("first", "i8"), ("last", "i8"), ("count", "i8"), ("until", "f8")])
#: What belongs to an attempt as a message, in the same slot; see the reference's ``Attempt``. kept: the broker holds
#: it; lost: it is gone; older, newer: its neighbours among those that are held; before, after: among those that come to
#: a node, or wait there, or among those of its group that wait, or that its source has collected; demand: of the job;
#: drawn: the uniform of its first delivery, from the block that its way to the broker was drawn from, or NaN; over: its
#: service takes longer than it may; listed, sooner, later: where it is known for how long it is hidden.
MESSAGE = np.dtype([
    ("stored", "f8"), ("due", "f8"), ("hidden_until", "f8"), ("demand", "f8"), ("drawn", "f8"), ("group", "i4"),
    ("node", "i4"), ("older", "i4"), ("newer", "i4"), ("before", "i4"), ("after", "i4"), ("sooner", "i4"),
    ("later", "i4"),
    ("away", "i1"), ("acked", "i1"), ("kept", "i1"), ("lost", "i1"), ("over", "i4"),
    ("listed", "i8"),
])  # fmt: skip
#: A node behind a broker; see the reference's ``Node``. first .. stop: its workers; idle: how many of them rest.
NODE = np.dtype([
    ("first", "i8"), ("stop", "i8"), ("idle", "i8"), ("credit", "f8"), ("held", "i8"), ("inbound", "i8"),
    ("alive", "i8"), ("asks", "i8"), ("open", "i8"), ("asked", "i8"), ("since", "f8"), ("due", "f8"),
    ("first_coming", "i8"), ("last_coming", "i8"), ("first_waiting", "i8"), ("last_waiting", "i8"),
])  # fmt: skip

#: What waits for several jobs, and for all that they lead to; see the reference's ``Group``. above: also the next
#: of the free ones; source, number: the address of the job with which the workflow began; first: it is the workflow
#: itself; job_class, arrived: of its first job; to_send: how many jobs it has yet to send, next: the number of the next
#: one, job_class: its class, unsent: how many more of that; at, part: where the plan of what it sends begins, and the
#: class at which it is; by_source, by_number, served: the job that leads to them, and how often it had been served.
GROUP = np.dtype([
    ("above", "i8"), ("left", "i8"), ("failed", "i8"), ("first", "i8"), ("job_class", "i8"), ("arrived", "f8"),
    ("source", "i8"), ("number", "i8"), ("began", "f8"), ("join", "i8"), ("join_every", "f8"), ("to_send", "i8"),
    ("next", "i8"), ("unsent", "i8"), ("at", "i8"), ("part", "i8"), ("by_source", "i8"), ("by_number", "i8"),
    ("served", "i8"),
])  # fmt: skip
#: What belongs to a job as a part of a workflow, in the same slot: the group that waits for it, and the address of the
#: job with which the workflow began.
LED = np.dtype([("group", "i8"), ("source", "i8"), ("number", "i8")])


#: An event: the bits of its time [s], its place among those of its instant, what it is (a ``ref``, or a source).
EVENT = np.dtype([("when", "i8"), ("key", "i8"), ("ref", "i8")])


@by_pointer()
class Calendar(NamedTuple):
    """A heap of EVENT records; ``size`` is one number, how many there are."""

    events: Records
    size: Ints


@by_pointer("plan", "senders", "kinds", "protocol")
class World(NamedTuple):
    """Everything that a kernel reads and writes.

    The first four are a scenario's layout and do not change while it runs; ``trace_*`` hold the present pass of each
    source that is a trace. ``timeouts`` has two lists per source, of its attempts' and of its jobs'. ``arrivals`` has
    one event per source, ``calendar`` all others. ``workers`` is kept only where ``retimes`` or batches. ``gates`` is
    what the rules of budgets, breakers, throttles and of admission remember. ``line`` are the slots of those that wait
    where a discipline needs them in an order of its own, ``tags`` when each class is next in turn, and before them
    up to where all have been. ``protocol`` to ``outboxes`` are of a broker: what it promises, what it is now, the
    messages in the slots of the attempts, the nodes, on which of them each worker lives, what each source has
    collected. ``groups`` and ``led``, in the slots of the jobs, are of workflows. ``turned_away`` is an attempt that
    stands for all that are rejected; the rows are those of recorded runs.
    """

    plan: Records
    senders: Records
    kinds: Records
    numbers: Array
    trace_times: Array
    trace_rows: Ints
    state: Records
    sources: Records
    timeouts: Records
    drawn: Records
    jobs: Records
    attempts: Records
    levels: Records
    idle: Ints
    workers: Records
    faults: Records
    gates: Array
    line: Ints
    tags: Array
    protocol: Records
    hub: Records
    messages: Records
    nodes: Records
    homes: Ints
    outboxes: Records
    groups: Records
    led: Records
    arrivals: Calendar
    calendar: Calendar
    books: Books
    turned_away: Records
    attempt_rows: Records
    job_rows: Records
    note_rows: Records


def calendar(size: int) -> Calendar:
    """A calendar with room for so many events."""
    return Calendar(alone(size, EVENT), alone(1, np.int64))


def slots(size: int, kind: np.dtype[np.void], first: int = 0) -> Records:
    """So many free slots, numbered from ``first``, each pointing at the next one through the field for it."""
    out = alone(size, kind)
    out["ref"] = NONE
    out["next" if kind == LIVE_JOB else "newer"] = np.append(np.arange(first + 1, first + size), NONE)
    return out


def grown_slots(old: Records, state: np.void, name: str, more: int) -> Records:
    """So many more slots; the new ones come first in the list of free ones."""
    new = slots(more, old.dtype, len(old))
    new[-1]["next" if name == "job" else "newer"] = state[f"free_{name}"]
    state[f"free_{name}"] = len(old)
    state[f"free_{name}s"] += more
    return np.concatenate([old, new])


def grown_calendar(old: Calendar) -> Calendar:
    """Room for twice as many events."""
    return Calendar(np.concatenate([old.events, np.zeros_like(old.events)]), old.size)


def row_buffers(rows: int) -> tuple[Records, Records, Records]:
    """Room for so many rows of ended attempts and jobs, and for two notes on each."""
    return np.empty(rows, ATTEMPT_ROW), np.empty(rows, JOB_ROW), np.empty(2 * rows, NOTE_ROW)


def turned_away() -> Records:
    """An attempt that was never accepted: what stands for all of them."""
    out = alone(1, LIVE_ATTEMPT)
    out["worker"], out["delivery"] = NONE, 1
    for name in ("accepted", "taken", "started", "delivered"):
        out[name] = math.nan
    return out


def plain(rows: Records) -> Array:
    """Rows as numbers, shape (rows, columns)."""
    return rows.view(np.float64).reshape(len(rows), len(rows.dtype.names or ()))
