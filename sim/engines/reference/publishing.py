"""The way of messages into a broker, and what that holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import simpy

from backwater import order, random
from backwater.components import broker as rules
from backwater.components.broker import Broker, Sending
from backwater.components.faults import Fault
from backwater.components.queue import Queue, has_room
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.clock import After, at, end_of_event
from backwater.engines.reference.faults import Faults
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.lines import Grouped
from backwater.engines.reference.queue import BoundedQueue
from backwater.outcome import DROPPED, OUTSIDE, REJECTED, STORED


class Word:
    """Whether an attempt is accepted: whoever asked is told at once."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[Any], None]] = []
        self.value = False

    def succeed(self, accepted: bool) -> None:
        """It is known."""
        self.value = accepted
        for tell in self.callbacks:
            tell(self)


class Outbox(NamedTuple):
    """What a source has collected, and when it leaves at the latest [s]."""

    messages: list[Attempt]
    until: float


class Consumers(Protocol):
    """What a broker needs to know of the workers behind it; a node is theirs alone."""

    faults: Faults

    @property
    def busy(self) -> int:
        """How many messages are served."""

    @property
    def resting(self) -> int:
        """How many workers rest."""

    @property
    def waiting(self) -> list[Attempt]:
        """What waits at nodes, or is on its way there."""

    def ask(self) -> None:
        """Nodes that had enough and take messages again ask at once."""

    def next_node(self) -> Any:
        """The node that gets the next message; None where none takes one."""

    def gets(self, node: Any) -> None:
        """A node gets a message."""

    def sleep(self, *, worth: bool) -> None:
        """Nodes that found nothing ask again later."""

    def deliver(self, attempt: Attempt, node: Any, delay: float) -> None:
        """A message is handed to a node."""

    def crash(self, fault: Fault) -> None:
        """Workers crash."""

    def disconnect(self) -> None:
        """All connections are lost."""


class Publishing(BoundedQueue):
    """A queue into which messages come as ``broker`` says, and what it holds of them.

    store    the messages that it holds, in the order in which they came or came back: each its present delivery
    stored   their bytes [B]
    up       whether it is there
    alarm    whether publishers must wait because its memory was found full
    awake    hands messages out
    """

    consumers: Consumers
    awake: Callable[[simpy.Event], None]

    def __init__(
        self, env: simpy.Environment, part: Queue, ledger: Ledger, chance: Chance, levels: Sequence[int], broker: Broker
    ) -> None:
        super().__init__(env, part, ledger, chance, levels)
        self.broker, self.chance, self.mark = broker, chance, broker.watermark
        self.resends, self.outboxes = broker.retries == "message", dict[int, Outbox]()
        self.store: OrderedDict[Attempt, None] = OrderedDict()
        self.stored, self.up, self.alarm, self.looks, self.wakes = 0.0, True, False, False, False
        self.coming: dict[Attempt, None] = {}  # on their way to it
        self.unsure: dict[Attempt, Word] = {}  # of which their sender does not know yet whether they are accepted
        self.blocks = self.blocks or (self.mark is not None and self.mark.full == "block")
        self.groups = None if broker.groups is None else Grouped(self.oldest, chance, broker.groups)
        self.line = self.groups or self.line

    @property
    def kept(self) -> Iterable[Attempt]:
        return [*self.coming, *self.store, *self.consumers.waiting]

    def pending(self, attempt: Attempt) -> Any:
        return self.unsure.get(attempt) or super().pending(attempt)

    # Publishing.

    def offer(self, attempt: Attempt) -> bool:
        """Take an attempt in or let it come, or turn it away (False)."""
        at_once = self.broker.publish_delay is None and self.broker.send is None
        if at_once or (self.blocks and not self._may_enter(attempt)):
            return self._arrives(attempt)
        self.coming[attempt] = None
        self._away(attempt)
        if attempt.goes_on and self.broker.confirm is not None:
            self.unsure[attempt] = Word()
        if self.broker.send is None:
            self._publish(attempt)
        else:
            self._collect(attempt, self.broker.send)
        return True

    def _publish(self, attempt: Attempt) -> None:
        """A message leaves its sender."""
        law, job = self.broker.publish_delay, attempt.job
        if law is None:
            self._published(attempt)
            return
        delay = self.chance.draw(law.table, job.source, job.number, random.PUBLISH, attempt.number)
        self._then(attempt, delay, order.PUBLISHED, self._published)

    def _collect(self, attempt: Attempt, part: Sending) -> None:
        """A source collects a message; the last one sends them all."""
        source, now = attempt.job.source, self.env.now
        if source not in self.outboxes:
            self.outboxes[source] = Outbox([], now + part.linger)
            place = order.key(order.BROKER, order.SENT, source, 0)
            After(self.env, part.linger, place).callbacks.append(lambda _: self._flush_if_due(source))
        self.outboxes[source].messages.append(attempt)
        if len(self.outboxes[source].messages) >= part.size:
            self.wake()

    def _flush_if_due(self, source: int) -> None:
        if source in self.outboxes and self.outboxes[source].until == self.env.now:
            self._flush(source)

    def _flush(self, source: int) -> None:
        for attempt in self.outboxes.pop(source).messages:
            self._publish(attempt)

    def _then(self, attempt: Attempt, delay: float, what: int, do: Any) -> None:
        """Something will happen to a message."""
        number = order.of_message(what, attempt.number, attempt.delivery)
        After(self.env, delay, at(order.DELIVERY, attempt.job, number)).callbacks.append(lambda _: do(attempt))

    def _away(self, attempt: Attempt) -> None:
        if not attempt.away:
            attempt.away = True
            self.ledger.change((self.env.now, OUTSIDE, attempt.job.job_class, 1.0))

    def _no_longer_away(self, attempt: Attempt) -> None:
        if attempt.away:
            attempt.away = False
            self.ledger.change((self.env.now, OUTSIDE, attempt.job.job_class, -1.0))

    def _published(self, attempt: Attempt) -> None:
        """A message comes to the broker."""
        del self.coming[attempt]
        if self._admits(attempt, on_its_way=True):
            self._enter(attempt)
            return
        self._no_longer_away(attempt)
        self._refuse(attempt)
        if attempt.answer is not None:
            attempt.answer.succeed(attempt.outcome)

    def _arrives(self, attempt: Attempt) -> bool:
        if self.up and self.blocks and not self._may_enter(attempt) and attempt.job.size <= self.capacity_bytes:
            self.outside[attempt] = simpy.Event(self.env)
            self.ledger.change((self.env.now, OUTSIDE, attempt.job.job_class, 1.0))
            return True
        if self._admits(attempt, on_its_way=False):
            self._enter(attempt)
            return True
        self._refuse(attempt)
        if attempt.outcome == DROPPED:
            attempt.answer.succeed(DROPPED)  # type: ignore[union-attr]
        return attempt.outcome == DROPPED

    def _refuse(self, attempt: Attempt) -> None:
        """It gets the 503, or vanishes where nobody asks whether it was accepted."""
        if attempt in self.unsure:
            self.unsure.pop(attempt).succeed(False)
        vanishes = attempt.goes_on and self.broker.confirm is None
        attempt.ended, attempt.outcome = self.env.now, DROPPED if vanishes else REJECTED
        self.ledger.close(attempt)

    def _admits(self, attempt: Attempt, *, on_its_way: bool) -> bool:
        door, busy, idle = self.door, self.consumers.busy, self.consumers.resting
        if not self.up:
            return False
        if door is not None and not door.admits(attempt, len(self), busy, idle, self.capacity):
            return False
        if self.mark is not None and self.mark.full == "refuse" and self.stored > self.mark.limit:
            return False
        if not self.bounded or self._would_take() or (on_its_way and self.part.overflow == "block"):
            return True
        size = attempt.job.size
        if has_room(len(self.oldest), self.used, size, self.capacity, self.capacity_bytes):
            return True
        return self.part.overflow in ("drop_oldest", "shed_oldest") and self._yield_oldest(size)

    def _would_take(self) -> bool:
        """Whether a message that comes is handed out at once."""
        return not self.oldest and self.groups is None and self._hands_out() and self.consumers.next_node() is not None

    def _full_alarm(self) -> bool:
        mark = self.mark
        if mark is None or mark.full == "refuse":
            return False
        return self.alarm if mark.every > 0 else self.stored > mark.limit

    def _may_enter(self, attempt: Attempt) -> bool:
        """Whether a message need not wait outside."""
        if self._full_alarm() or self.outside:
            return False
        return self.part.overflow != "block" or self._would_take() or self._lets_in(attempt)

    def _lets_in(self, attempt: Attempt) -> bool:
        room = has_room(len(self.oldest), self.used, attempt.job.size, self.capacity, self.capacity_bytes)
        return bool(room or self.part.overflow != "block") and not self._full_alarm()

    # What it holds.

    def _enter(self, attempt: Attempt) -> None:
        """The broker accepts a message."""
        now, job = self.env.now, attempt.job
        attempt.stored = now
        self.store[attempt] = None
        self._holds(job.job_class, job.size)
        self._confirm(attempt)
        if job.later > 0:
            attempt.due = attempt.sent + job.later
        elif job.part.delay is not None:
            wait = self.chance.draw(job.part.delay.table, job.source, job.number, random.DELAY, 0)
            attempt.due = attempt.sent + wait
        if self.broker.delays_held_by == "broker" and attempt.due > now:
            self._away(attempt)
            self._then(attempt, attempt.due - now, order.READY, self._ready)
        else:
            self._ready(attempt)

    def _confirm(self, attempt: Attempt) -> None:
        """Its sender knows, some time later."""
        later, unsure = self.broker.confirm or 0.0, self.unsure
        if attempt.goes_on and later > 0:
            word = unsure.setdefault(attempt, Word())

            def tell(_: Attempt) -> None:
                unsure.pop(attempt)
                word.succeed(True)

            self._then(attempt, later, order.CONFIRMED, tell)
        elif attempt in unsure:
            unsure.pop(attempt).succeed(True)

    def _holds(self, job_class: int, size: float) -> None:
        """So many bytes more, or less."""
        if size == 0:
            return
        self.stored += size
        self.ledger.change((self.env.now, STORED, job_class, size))
        mark = self.mark
        if mark is not None and mark.every > 0 and self.stored > mark.limit and not self.looks:
            self._look_later(mark.every)

    def _look_later(self, every: float) -> None:
        self.looks = True
        delay = rules.due_check(self.env.now, every) - self.env.now
        After(self.env, delay, order.key(order.BROKER, order.LOOKED, 0, 0)).callbacks.append(self._look)

    def _look(self, _: simpy.Event) -> None:
        """The broker looks at its memory."""
        assert self.mark is not None
        self.looks, self.alarm = False, self.stored > self.mark.limit
        if self.alarm:
            self._look_later(self.mark.every)
        else:
            self._let_in()

    def _ready(self, attempt: Attempt) -> None:
        """A message may be handed out, for the first time or again."""
        if attempt not in self.store:
            return  # lost meanwhile
        self._no_longer_away(attempt)
        if self.groups is not None and attempt.delivery > 1:
            self.groups.locked.discard(self.groups.group(attempt.job))
        self._accept(attempt)
        if attempt.delivery > 1 and self.broker.position == "front":
            self._to_the_front(attempt)
        self.wake()

    def _to_the_front(self, attempt: Attempt) -> None:
        """Those that came back stand before all others, in the order in which they had first come."""
        before = []
        for other in self.oldest:
            if other is attempt or other.delivery == 1 or other.stored > attempt.stored:
                break
            before.append(other)
        self.oldest.move_to_end(attempt, last=False)
        for other in reversed(before):
            self.oldest.move_to_end(other, last=False)

    def _forget(self, attempt: Attempt) -> None:
        """A message is there no more: acknowledged, lost, dropped or withdrawn."""
        if attempt in self.store:
            del self.store[attempt]
            self._gone(attempt)

    def _gone(self, attempt: Attempt) -> None:
        self._holds(attempt.job.job_class, -attempt.job.size)
        out = attempt.delivered == attempt.delivered or attempt.accepted != attempt.accepted
        if self.groups is not None and out and (attempt.delivery > 1 or attempt.accepted == attempt.accepted):
            self.groups.locked.discard(self.groups.group(attempt.job))
        self._let_in()
        self.wake()

    def _is_too_old(self, attempt: Attempt) -> bool:
        return self.broker.retention is not None and self.env.now - attempt.stored > self.broker.retention

    def _evict(self, victim: Attempt, outcome: int) -> None:
        super()._evict(victim, outcome)
        self._forget(victim)

    def withdraw(self, attempt: Attempt) -> None:
        super().withdraw(attempt)
        self._forget(attempt)

    def _from_outside(self) -> Attempt | None:
        return None

    def _let_in(self) -> None:
        if self.outside:
            self.wake()

    def _come_in(self) -> None:
        """Those outside come in, one after the other, as long as they may."""
        super()._let_in()

    def wake(self) -> None:
        """At the end of this event, messages are handed out."""
        if not self.wakes:
            self.wakes = True
            end_of_event(self.env).callbacks.append(self.awake)

    def _hands_out(self) -> bool:
        full = self.mark is not None and self.mark.receive and self.stored > self.mark.limit
        return self.up and not full
