"""Workers behind a broker: they live on nodes, which hold messages that it has handed to them."""

from __future__ import annotations

import math
from collections.abc import Generator
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

import simpy

from backwater import order, random
from backwater.components import broker as rules
from backwater.components.faults import Fault, struck
from backwater.engines.reference.broker import BrokerQueue
from backwater.engines.reference.clock import After, at
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.workers import WorkerPool
from backwater.outcome import ABANDONED_COMPLETED, BUSY, COMPLETED, DROPPED, FAILED, LOST, PREFETCHED, RETURNED


class Node:
    """Workers that live together, and what they hold.

    idle    those that rest, a heap
    coming  messages on their way to it, and those that it holds until their ETA
    buffer  messages that wait for one of its workers
    held    messages that count against what it may hold
    inbound how many are on their way
    asks    whether it takes messages; since when [s], and how often it has asked; due: when it asks next [s]
    open    whether it finds what is there now
    """

    def __init__(self, number: int, workers: range, credit: float) -> None:
        self.number, self.workers, self.credit = number, workers, credit
        self.idle = list(workers)
        self.coming: dict[Attempt, None] = {}
        self.buffer: dict[Attempt, None] = {}
        self.held = self.inbound = self.asked = 0
        self.alive, self.asks, self.open = True, True, False
        self.since, self.due = 0.0, math.inf


class ConsumerPool(WorkerPool):
    """The workers of a ``BrokerQueue``, on their nodes."""

    queue: BrokerQueue

    def __init__(self, env: simpy.Environment, queue: BrokerQueue, **parts: Any) -> None:
        super().__init__(env, queue, **parts)
        queue.consumers, self.broker, workers = self, queue.broker, self.staff.part
        self.poll, self.early = self.broker.poll, self.broker.ack == "early"
        firsts, each = workers.firsts, math.inf if workers.prefetch == "unlimited" else workers.prefetch
        self.nodes = [
            Node(number, range(first, stop), each * (stop - first))
            for number, (first, stop) in enumerate(pairwise(firsts))
        ]
        self.home = [node for node in self.nodes for _ in node.workers]
        self.turn = 0  # the node that is looked at first
        self.faults.crashed = queue.crash
        self.faults.changed.append(queue.judge)

    @property
    def waiting(self) -> list[Attempt]:
        """What waits at nodes, or is on its way there."""
        return [attempt for node in self.nodes for attempt in (*node.coming, *node.buffer)]

    @property
    def resting(self) -> int:
        """How many workers rest."""
        return sum(len(node.idle) for node in self.nodes)

    # Who takes messages.

    def _takes(self, node: Node) -> bool:
        if self.poll is None:
            return node.alive and node.held < node.credit
        return node.alive and bool(node.idle) and not node.buffer and node.inbound == 0

    def _finds(self, node: Node) -> bool:
        """Whether a node finds what is there now."""
        if self.poll is None or node.open:
            return True
        poll, now = self.poll, self.env.now
        return poll.wait > 0 and rules.next_poll(node.since, poll.every, poll.wait, now) == now

    def _misses(self, node: Node) -> bool:
        """Whether the question that a node asks now finds nothing although messages are there."""
        assert self.poll is not None
        if self.poll.misses == 0:
            return False
        u = self.chance.uniform(0, node.number, random.MISS, node.asked)
        node.asked += 1
        return u < self.poll.misses

    def ask(self) -> None:
        """Nodes that had enough and take messages again ask at once."""
        if self.poll is None:
            return
        for node in self.nodes:
            takes = self._takes(node)
            if takes and not node.asks:
                node.since, node.open = self.env.now, not self._misses(node)
            node.asks = takes

    def next_node(self) -> Node | None:
        """The node that gets the next message: each in turn, if it takes one."""
        for step in range(len(self.nodes)):
            node = self.nodes[(self.turn + step) % len(self.nodes)]
            if self._takes(node) and self._finds(node):
                return node
        return None

    def gets(self, node: Node) -> None:
        """A node gets a message."""
        self.turn, node.asks, node.due = (node.number + 1) % len(self.nodes), False, math.inf

    def sleep(self, *, worth: bool) -> None:
        """Nodes that found nothing ask again later; it is ``worth`` noting when, where something is there."""
        if self.poll is None:
            return
        for node in self.nodes:
            node.open = False
            if worth and node.asks and node.due == math.inf:
                now = self.env.now
                delay = rules.next_poll(node.since, self.poll.every, self.poll.wait, now) - now
                node.due = now + delay
                place = order.key(order.BROKER, order.ASKED, node.number, 0)
                After(self.env, delay, place).callbacks.append(self._asking(node))

    def _asking(self, node: Node) -> Any:
        def look(_: simpy.Event) -> None:
            if node.due == self.env.now:
                node.due = math.inf
                node.open = node.asks and not self._misses(node)
                self.queue.wake()

        return look

    # What comes to a node.

    def deliver(self, attempt: Attempt, node: Node, delay: float) -> None:
        """A message is handed to a node, which has it after ``delay`` [s]."""
        attempt.node = node.number
        node.held += 1
        if delay > 0:
            node.coming[attempt] = None
            node.inbound += 1
            self._then(attempt, delay, order.ARRIVED, self._arrive)
        elif self._reach(attempt, node):
            self._begin(heappop(node.idle), attempt)
            return  # what lasts no time is not counted
        self.ledger.change((self.env.now, PREFETCHED, attempt.job.job_class, 1.0))

    def _then(self, attempt: Attempt, delay: float, what: int, do: Any) -> None:
        number = order.of_message(what, attempt.number, attempt.delivery)
        After(self.env, delay, at(order.DELIVERY, attempt.job, number)).callbacks.append(lambda _: do(attempt))

    def _arrive(self, attempt: Attempt) -> None:
        node = self.nodes[attempt.node]
        if attempt in node.coming:
            del node.coming[attempt]
            node.inbound -= 1
            self._come(attempt, node)

    def _come(self, attempt: Attempt, node: Node) -> None:
        """A message that was on its way, or not due, is there."""
        if self._reach(attempt, node):
            self._leave_node(attempt)
            self._begin(heappop(node.idle), attempt)
        self.queue.wake()

    def _leave_node(self, attempt: Attempt) -> None:
        self.ledger.change((self.env.now, PREFETCHED, attempt.job.job_class, -1.0))

    def _reach(self, attempt: Attempt, node: Node) -> bool:
        """A node has a message; one that is not due is held, beside what it may hold. Whether a worker takes it now."""
        if self.broker.delays_held_by == "workers" and attempt.due > self.env.now:
            node.coming[attempt] = None
            node.held -= 1
            self._then(attempt, attempt.due - self.env.now, order.ETA, self._fall_due)
        elif node.idle:
            return True
        else:
            node.buffer[attempt] = None
        return False

    def _fall_due(self, attempt: Attempt) -> None:
        node = self.nodes[attempt.node]
        if attempt in node.coming:
            del node.coming[attempt]
            node.held += 1
            attempt.due = -math.inf
            self._come(attempt, node)

    def _hold(self, number: int, attempt: Attempt) -> None:
        """A worker takes a message of its node."""
        attempt.taken, attempt.worker = self.env.now, number
        self.staff.hold(number, attempt)
        self.ledger.change((self.env.now, BUSY, attempt.job.job_class, 1.0))
        if self.early:
            self.home[number].held -= 1
            self.queue.acknowledge(attempt)
            self.queue.wake()

    # What workers do.

    def _work(self, number: int, attempt: Attempt | None) -> Generator[simpy.Event, Any, None]:
        """A worker's story: serve, take whoever is next at its node, rest when nobody is."""
        node = self.home[number]
        while attempt is not None:
            attempt.started = self.env.now
            place = at(order.COMPLETION, attempt.job, order.of_delivery(attempt.number, attempt.delivery))
            try:
                yield from self._serve(number, self._takes_so_long(attempt), place)
                self._complete(attempt)
            except simpy.Interrupt:
                pass  # it has crashed, and that is written down
            self.staff.put_down(number)
            attempt = self._next(number, node)
        if not self.off[number]:
            heappush(node.idle, number)
        self.queue.wake()

    def _takes_so_long(self, attempt: Attempt) -> float:
        """The time of a service [s], which may have a limit."""
        whole, limit = attempt.demand * attempt.factor, self.staff.part.time_limit
        attempt.over = limit is not None and whole > limit
        return limit if attempt.over and limit is not None else whole

    def _next(self, number: int, node: Node) -> Attempt | None:
        """What a worker takes next from its node; None where nothing waits there, or it takes no work."""
        if self.off[number] or not node.buffer:
            return None
        attempt = next(iter(node.buffer))
        del node.buffer[attempt]
        self._leave_node(attempt)
        self._hold(number, attempt)
        self.queue.wake()
        return attempt

    def _leave_idle(self, number: int) -> None:
        idle = self.home[number].idle
        idle.remove(number)
        heapify(idle)

    def _return(self, number: int) -> None:
        node = self.home[number]
        if node.buffer:
            attempt = next(iter(node.buffer))
            del node.buffer[attempt]
            self._leave_node(attempt)
            self._begin(number, attempt)
        else:
            heappush(node.idle, number)
        self.queue.wake()

    def _complete(self, attempt: Attempt) -> None:
        job, rule = attempt.job, self.broker.on_error
        current = attempt.latest
        answer, mine = current.answer, not attempt.returned
        job.served += 1
        attempt.ended = self.env.now
        failed = attempt.over or ((answer is not None or rule != "ack") and self._fails(attempt))
        attempt.outcome = FAILED if failed else ABANDONED_COMPLETED if answer is None else COMPLETED
        if self.queue.door is not None:
            self.queue.door.served(attempt, len(self.queue) + self.busy)
        comes_back = mine and failed and rule != "ack" and not attempt.acked
        told = answer is not None and (not failed or (mine and not comes_back))
        if not self.early:
            self.home[attempt.worker].held -= 1
        if told:
            current.answer = None
            if current is not attempt:
                current.superseded = True
        if comes_back:
            later = attempt.hidden_until if rule == "expire" else self.env.now + self.broker.return_delay
            self.queue.give_back(attempt, later)
        else:
            self.queue.acknowledge(attempt)
        self.ledger.close(attempt)
        self.ledger.change((self.env.now, BUSY, job.job_class, -1.0))
        if not failed:
            self.ledger.served(job)
        if told and current is not attempt and current.outcome in (DROPPED, LOST):
            self.ledger.close(current)  # it had vanished, and nobody waits for it any more
        if told:
            answer.succeed(attempt.outcome)  # type: ignore[union-attr]

    def _fails(self, attempt: Attempt) -> bool:
        share, job = self.faults.error_share, attempt.job
        index = random.of_delivery(attempt.number, attempt.delivery)
        return share > 0 and self.chance.uniform(job.source, job.number, random.FAIL, index) < share

    # Crashes.

    def crash(self, fault: Fault) -> None:
        """Workers crash: what they serve is gone, and what waits on nodes that they leave empty."""
        count = self.staff.called
        hit = [number for number in range(count) if struck(number, count, fault.portion)]
        for number in hit:
            attempt = self.in_hand.get(number)
            if attempt is not None:
                self._lose_hold(attempt)
                self.ledger.change((self.env.now, BUSY, attempt.job.job_class, -1.0))
                if not self.early:
                    self.home[number].held -= 1
                self.stories[number].interrupt()
        for node in self.nodes:
            if all(number in hit for number in node.workers):
                self._empty(node)

    def _lose_hold(self, attempt: Attempt) -> None:
        """A delivery comes to nothing, now."""
        attempt.ended = self.env.now
        if attempt.acked and not attempt.returned:
            self.queue.lose(attempt)
            return
        if not attempt.returned:
            later = min(attempt.hidden_until, self.env.now + self.broker.notices)
            self.queue.give_back(attempt, later)
        attempt.outcome = RETURNED
        self.ledger.close(attempt)

    def _empty(self, node: Node) -> None:
        """A node loses what it holds and nobody serves."""
        node.held -= node.inbound + len(node.buffer)
        for attempt in (*node.coming, *node.buffer):
            self._leave_node(attempt)
            self._lose_hold(attempt)
        node.coming, node.buffer, node.inbound = {}, {}, 0

    def disconnect(self) -> None:
        """All connections are lost: nodes drop what they hold; what is served goes on."""
        for node in self.nodes:
            self._empty(node)

    def _judge(self) -> None:
        crashed = self.faults.active("workers_crash")
        for node in self.nodes:
            gone = [all(struck(n, self.staff.called, part.portion) for n in node.workers) for part in crashed]
            node.alive = not any(gone)
        super()._judge()
        self.queue.wake()
