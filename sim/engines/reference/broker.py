"""A broker: a queue that hands messages out and may take them back."""

from __future__ import annotations

import math
from typing import Any

import simpy

from backwater import order, random
from backwater.components import broker as rules
from backwater.components.faults import Fault
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.publishing import Publishing
from backwater.outcome import DEAD, LOST, UNACKED


class BrokerQueue(Publishing):
    """What ``broker`` says about the messages in a queue. Those that are ready wait in it; workers are on nodes."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.awake = self._hand_out

    # Handing out.

    def _hand_out(self, _: simpy.Event) -> None:
        """Those that are ready go to the nodes that take some."""
        for source in sorted(self.outboxes):
            if len(self.outboxes[source].messages) >= self.broker.send.size:  # type: ignore[union-attr]
                self._flush(source)
        self.wakes = False
        self.consumers.ask()
        self._come_in()
        asleep = False
        while self.oldest and self._hands_out() and not asleep:
            node = self.consumers.next_node()
            asleep = node is None
            if node is not None and not self._answer(node):
                break
            self.consumers.ask()
            self._come_in()
        self.consumers.sleep(worth=asleep)

    def _answer(self, node: Any) -> bool:
        """Hand a node as many as it gets at once; whether it got any."""
        most = 1 if self.broker.poll is None else self.broker.poll.batch
        for number in range(most):
            attempt = self.take()
            if attempt is None:
                return number > 0
            self.consumers.gets(node)
            self._deliver(attempt, node)
        return True

    def _deliver(self, attempt: Attempt, node: Any) -> None:
        now, job, broker = self.env.now, attempt.job, self.broker
        attempt.delivered = now
        if self.groups is not None:
            self.groups.locked.add(self.groups.group(job))
        if attempt.spilled:
            self.leave_disk(attempt)
        if broker.ack == "none":
            attempt.acked = True
            self._forget(attempt)
        else:
            self.ledger.change((now, UNACKED, job.job_class, 1.0))
            if broker.visibility_timeout is not None:
                delay = rules.hidden_for(now, broker.visibility_timeout, broker.sweep or 0.0)
                attempt.hidden_until = now + delay
                self._then(attempt, delay, order.EXPIRED, self._expire)
        delay, law = 0.0, broker.delivery_delay
        if law is not None:
            index = random.of_delivery(attempt.number, attempt.delivery)
            delay = self.chance.draw(law.table, job.source, job.number, random.DELIVER, index)
        if attempt.spilled:
            attempt.read = self.disk.read(job.size)
            attempt.disk += attempt.read
            delay += attempt.read
        self.consumers.deliver(attempt, node, delay)

    # Acknowledging, and taking back.

    def acknowledge(self, attempt: Attempt) -> None:
        """A message is done with; one that was taken back before is not, unless any delivery may say so."""
        if attempt.returned and not attempt.acked and self.broker.acked_by == "any":
            attempt = attempt.latest
        if attempt.returned or attempt.acked or attempt.delivered != attempt.delivered:
            return
        attempt.acked, attempt.hidden_until = True, math.inf
        job = attempt.job
        index = random.of_delivery(attempt.number, attempt.delivery)
        share = self.broker.duplicates
        if share > 0 and self.chance.uniform(job.source, job.number, random.TWICE, index) < share:
            self.give_back(attempt, self.env.now, for_good=True)
            return
        self.ledger.change((self.env.now, UNACKED, job.job_class, -1.0))
        self._forget(attempt)

    def _expire(self, attempt: Attempt) -> None:
        """A message has been hidden for long enough."""
        if attempt.hidden_until == self.env.now:
            self.give_back(attempt, self.env.now + self.broker.return_delay)

    def give_back(self, attempt: Attempt, when: float, *, for_good: bool = False) -> None:
        """Take a message back from its present delivery.

        It is ready again at ``when`` [s], or goes to the dead letters.
        for_good  not there: it was acknowledged
        """
        attempt.returned, attempt.hidden_until = True, math.inf
        now, job, answer = self.env.now, attempt.job, attempt.answer
        self.ledger.change((now, UNACKED, job.job_class, -1.0))
        del self.store[attempt]
        most = self.broker.max_deliveries
        if not for_good and most is not None and attempt.delivery >= most:
            self._gone(attempt)
            attempt.answer = None
            if answer is not None:
                answer.succeed(DEAD)
            return
        heir = attempt.heir = Attempt(job, attempt.sent, attempt.demand, answer)
        heir.number, heir.delivery = attempt.number, attempt.delivery + 1
        heir.stored, heir.due = attempt.stored, attempt.due
        heir.expires, heir.goes_on, heir.patient = attempt.expires, attempt.goes_on, attempt.patient
        heir.superseded, attempt.answer = answer is None, None
        if job.attempt is attempt:
            job.attempt = heir
        self.store[heir] = None
        if when > now:
            if when < math.inf:
                self._then(heir, when - now, order.READY, self._ready)
        else:
            self._ready(heir)

    def lose(self, attempt: Attempt) -> None:
        """A message is gone, and nobody is told; a client with a timeout finds out by that."""
        attempt.ended, attempt.outcome = self.env.now, LOST
        answer, unsure = attempt.answer, attempt.goes_on and attempt.patient and not attempt.job.heard
        if answer is not None and (attempt.expires or unsure):
            return
        self.ledger.close(attempt)
        attempt.answer = None
        if answer is not None:
            answer.succeed(LOST)

    # Crashes.

    def crash(self, fault: Fault) -> None:
        """Something crashes, now."""
        if fault.kind == "workers_crash":
            self.consumers.crash(fault)
        elif fault.kind == "broker_down":
            self._go_down(fault.stop)

    def _go_down(self, until: float) -> None:
        """The broker crashes: messages are lost; connections are, where it has any, and what they held comes back."""
        self.up, connected = False, self.broker.disconnect is not None
        lasting = self.broker.durability
        for attempt in list(self.store):
            if rules.survives(attempt.stored, self.env.now, lasting.period, lasting.lag):
                if connected and attempt.delivered == attempt.delivered:
                    self.give_back(attempt, until + self.broker.return_delay)
            elif attempt.delivered == attempt.delivered:
                attempt.acked, attempt.hidden_until = True, math.inf
                self.ledger.change((self.env.now, UNACKED, attempt.job.job_class, -1.0))
                self._forget(attempt)
            else:
                self._no_longer_away(attempt)
                if attempt in self.oldest:
                    self._remove(attempt)
                self._forget(attempt)
                self.lose(attempt)
        if connected:
            self.consumers.disconnect()

    def judge(self) -> None:
        """Faults have begun or ended."""
        self.up = not self.consumers.faults.active("broker_down")
        self.wake()
