"""What stands between senders and workers: what a broker promises, when it hands out again, what a crash loses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WrapSerializer, model_validator

from backwater.base import Model
from backwater.components.client import Client
from backwater.components.faults import Fault
from backwater.components.jobs import Job
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import Linear, TimeLaw
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Share, Size, Time


@compiled
def hidden_for(delivered, visibility, sweep):  # type: ignore[no-untyped-def]
    """For how long a message that is delivered then [s] is hidden [s]: until the first sweep after its timeout."""
    if sweep <= 0.0:
        return visibility
    due = delivered + visibility
    turn = math.ceil(due / sweep)
    while turn * sweep < due:
        turn += 1
    return turn * sweep - delivered


@compiled
def next_poll(since, every, wait, now):  # type: ignore[no-untyped-def]
    """When one that polls since then finds what is there [s]: now where it listens, else at its next poll after now.

    It polls at ``since``, and again ``wait`` + ``every`` later; a poll listens for ``wait``.
    """
    cycle = wait + every
    turn = math.floor((now - since) / cycle)
    while since + turn * cycle > now:
        turn -= 1
    while since + (turn + 1) * cycle <= now:
        turn += 1
    listens = wait > 0.0 and (every == 0.0 or now - (since + turn * cycle) < wait)
    return now if listens else since + (turn + 1) * cycle


@compiled
def survives(stored, now, fsync, lag):  # type: ignore[no-untyped-def]
    """Whether a message that was accepted at ``stored`` is still there after a crash of now [s].

    fsync  every how long all is written to disk: 0 at once, infinite never
    lag    how far the one that takes over is behind
    """
    if fsync == math.inf:
        return False
    written = now if fsync <= 0.0 else math.floor(now / fsync) * fsync
    return stored <= min(written, now - lag)


@compiled
def due_check(now, every):  # type: ignore[no-untyped-def]
    """When memory is looked at next, after now [s]."""
    turn = math.floor(now / every)
    while turn * every <= now:
        turn += 1
    return turn * every


def _never(given: Any) -> Any:
    return None if given == "never" else given


def _or_never(given: Any, plainly: Callable[[Any], Any]) -> Any:
    return "never" if given is None else plainly(given)


TimeOrNever = Annotated[Time | None, BeforeValidator(_never), WrapSerializer(_or_never)]


class Polling(Model):
    """Workers ask for messages. A node asks once one of its workers rests and it holds nothing for it.

    every   pause between an answer without messages and the next question [s]
    wait    how long the broker may keep a question open until a message comes [s]: long polling; 0 for short polling
    batch   messages that an answer brings at most; they wait at the node, out of sight of the others
    misses  share of the questions of short polling that find nothing although messages are there [1]
    """

    every: Time = 0.0
    wait: Time = 0.0
    batch: int = Field(default=1, ge=1, le=100_000)
    misses: Share = 0.0

    @model_validator(mode="after")
    def _asks(self) -> Polling:
        check(self.every + self.wait > 0, "every", self.every, "must be above 0, or wait must be")
        check(self.misses < 1, "misses", self.misses, "must be below 1")
        check(self.misses == 0 or self.wait == 0, "misses", self.misses, "has no meaning for long polling (wait)")
        return self


class Sending(Model):
    """Senders collect messages: those of a source leave together, once they are ``size``, or ``linger`` after the
    first.

    size    messages
    linger  [s]
    """

    size: int = Field(ge=2, le=100_000)
    linger: Time

    @model_validator(mode="after")
    def _waits(self) -> Sending:
        check(self.linger > 0, "linger", self.linger, "must be above 0")
        return self


class Durability(Model):
    """What a crash of the broker loses: what it had accepted since it last wrote all to disk, or copied it.

    fsync  "always" (nothing is lost), "never" (everything is), or every how long: what came since the last multiple is
    lag    how far a replica that takes over is behind [s]
    """

    fsync: Time | Literal["always", "never"] = "always"
    lag: Time = 0.0

    @property
    def period(self) -> float:
        """Every how long all is written [s]: 0 at once, infinite never."""
        return {"always": 0.0, "never": math.inf}[self.fsync] if isinstance(self.fsync, str) else self.fsync


class Watermark(Model):
    """What a broker does once the messages that it holds, delivered ones included, are more bytes than ``limit``.

    limit    [B]
    full     refuse: a publish gets the 503; block: every publisher waits until there are no more than ``limit`` again
    every    how often that is looked at [s]; at each publish where it is 0. A message too many is let in between.
    receive  whether handing out a message needs memory, too (Redis: LMOVE), and is refused as well
    """

    limit: Size
    full: Literal["refuse", "block"] = "refuse"
    every: Time = 0.0
    receive: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Watermark:
        check(self.full == "block" or self.every == 0, "every", self.every, "has a meaning for full = block only")
        return self


class Broker(Model):
    """A broker between senders and workers. Where it is silent, messages go to whoever rests, and nothing is lost.

    ack                 when a message is forgotten: none (as it leaves the broker: at most once), early (as its service
                        starts), late (once it is served: at least once)
    visibility_timeout  a message that was delivered and not acknowledged for so long is handed out again [s]
    sweep               the broker, or a janitor, looks for these every so often only [s]
    disconnect          how long until the broker notices that a node is gone, and takes back what that held [s]; never,
                        where it has no connection to lose
    position            where a message that comes back goes: front (before all that were never delivered) or back;
                        under disciplines other than fifo as a new one does
    return_delay        time until it is ready again [s]
    max_deliveries      how often a message is delivered before it goes to the dead-letter queue; no end unless given
    on_error            what a service that ends with an error does with its message: ack it (its client hears of the
                        error), return it at once, or let it expire
    acked_by            whose acknowledgement counts while a delivery of a message is out: its own (present), or that of
                        an earlier one, too (any)
    duplicates          share of the acknowledged messages that are handed out once more [1]
    groups              messages belong to so many groups, each job to one by chance; of a group one is delivered at a
                        time, in order
    poll                workers ask for messages; unless given, the broker pushes as many as ``workers.prefetch`` says
    send                messages leave their source several at once; each as it is sent unless given
    publish_delay       time from a sender to the broker [s]
    delivery_delay      time from the broker to a worker [s]; a worker that waits for it rests
    confirm             time from acceptance until the sender of an async client knows [s]; never: it goes on at once,
                        and what is refused vanishes
    retries             how a job is sent again that ended with an error: by its client, after its pause, or at once as
                        a message that is due then
    delays_held_by      who holds a job that has a ``delay``: the broker, or the workers, which take it at once
    retention           a message that is older than this when it is next is dropped [s]
    durability          what a crash loses
    watermark           what happens when the broker's memory is full
    """

    ack: Literal["none", "early", "late"] = "late"
    visibility_timeout: Time | None = None
    sweep: Time | None = None
    disconnect: TimeOrNever = 0.0
    position: Literal["front", "back"] = "front"
    return_delay: Time = 0.0
    max_deliveries: int | None = Field(default=None, ge=1, le=1_000_000)
    on_error: Literal["ack", "return", "expire"] = "ack"
    acked_by: Literal["present", "any"] = "present"
    duplicates: Share = 0.0
    groups: int | None = Field(default=None, ge=1, le=1_000_000)
    poll: Polling | None = None
    send: Sending | None = None
    publish_delay: TimeLaw | None = None
    delivery_delay: TimeLaw | None = None
    confirm: TimeOrNever = 0.0
    retries: Literal["client", "message"] = "client"
    delays_held_by: Literal["broker", "workers"] = "broker"
    retention: Time | None = None
    durability: Durability = Durability()
    watermark: Watermark | None = None

    @model_validator(mode="after")
    def _fits(self) -> Broker:
        visible, late = self.visibility_timeout, self.ack != "none"
        check(visible is None or visible > 0, "visibility_timeout", visible, "must be above 0")
        check(visible is None or late, "visibility_timeout", visible, "has no meaning without acknowledgement (ack)")
        check(self.sweep is None or visible is not None, "sweep", self.sweep, "must come with a visibility_timeout")
        check(self.sweep is None or self.sweep > 0, "sweep", self.sweep, "must be above 0")
        check(self.retention is None or self.retention > 0, "retention", self.retention, "must be above 0")
        returns = self.on_error == "ack" or self.ack == "late"
        check(returns, "on_error", self.on_error, "must be ack where messages are acknowledged before they are served")
        expires = self.on_error != "expire" or visible is not None
        check(expires, "on_error", self.on_error, "must come with a visibility_timeout")
        of_any = self.acked_by == "any"
        check(late or not of_any, "acked_by", self.acked_by, "has no meaning without acknowledgement (ack)")
        acks = not of_any or self.on_error == "ack"
        check(acks, "acked_by", self.acked_by, "must be present unless on_error is ack")
        check(self.duplicates < 1, "duplicates", self.duplicates, "must be below 1")
        check(
            self.duplicates == 0 or late, "duplicates", self.duplicates, "has no meaning without acknowledgement (ack)"
        )
        endless = self.on_error == "return" and self.max_deliveries is None
        check(not endless, "max_deliveries", None, "must be given where on_error is return: it may fail for ever")
        for name in ("publish_delay", "delivery_delay"):
            law = getattr(self, name)
            if law is not None:
                check(not isinstance(law, Linear), name, "linear", "must be a random law, not columns of a trace")
                check(law.average < math.inf, name, law.average, "must have a finite mean")
        return self

    @property
    def hides(self) -> float:
        """How long a delivered message is hidden [s]; infinite where it is so for good."""
        return math.inf if self.visibility_timeout is None else self.visibility_timeout

    @property
    def notices(self) -> float:
        """How long until a lost connection is noticed [s]; infinite where there is none."""
        return math.inf if self.disconnect is None else self.disconnect

    @property
    def limit(self) -> float:
        """Bytes that it may hold [B]."""
        return math.inf if self.watermark is None else self.watermark.limit


CRASHES = {"workers_crash", "broker_down"}


def check_without(workers: Workers, jobs: dict[str, Job], faults: tuple[Fault, ...]) -> None:
    """Refuse what has a meaning only where there is a broker. Raises ScenarioError, one line."""
    must = "has no meaning without a broker"
    check(workers.nodes == 1, "workers.nodes", workers.nodes, must)
    check(workers.prefetch == 1, "workers.prefetch", workers.prefetch, must)
    check(workers.time_limit is None, "workers.time_limit", workers.time_limit, must)
    for name, job in jobs.items():
        check(job.delay is None, f"jobs.{name}.delay", None if job.delay is None else job.delay.plain(), must)
    for index, fault in enumerate(faults):
        check(fault.kind not in CRASHES, f"faults.{index}.kind", fault.kind, must)


def check_beside(
    broker: Broker, queue: Queue, workers: Workers, jobs: dict[str, Job], clients: dict[str, Client]
) -> None:
    """Refuse what does not fit a broker. Raises ScenarioError, one line."""
    apart = "must not be given beside a broker"
    for name in ("batch", "failures", "shifts", "autoscale"):
        check(getattr(workers, name) is None, f"workers.{name}", f"a {name}", apart)
    check(broker.poll is None or workers.prefetch == 1, "workers.prefetch", workers.prefetch,
          "has no meaning where workers poll: broker.poll.batch says how many come at once")  # fmt: skip
    grouped = broker.groups is not None
    check(not grouped or queue.discipline == "fifo", "queue.discipline", queue.discipline, "must be fifo for groups")
    blocks = queue.overflow == "block"
    check(not blocks or queue.capacity != 0, "queue.capacity", 0, "must be above 0 for block beside a broker")
    most = queue.bounds[0]
    check(queue.backlog <= most, "queue.backlog", queue.backlog, f"must fit in the broker's queue, {most:g} places")
    for name, job in jobs.items():
        sized = broker.watermark is None or job.size is not None
        check(sized, f"jobs.{name}.size", None, "must be given where broker.watermark counts bytes")
        delay = job.delay
        random = delay is None or not isinstance(delay, Linear)
        check(random, f"jobs.{name}.delay", "linear", "must be a random law, not columns of a trace")
    for where, client in clients.items():
        check(client.hedge is None, f"{where}.hedge", "a hedge", apart)
        recalls = client.on_timeout == "cancel"
        must = "must be leave or cancel_waiting: a broker cannot call back what it has handed out"
        check(not recalls, f"{where}.on_timeout", client.on_timeout, must)
        again = broker.retries == "client" or client.rate_limiter is None
        check(again, f"{where}.rate_limiter", "a rate_limiter", "must not be given where broker.retries is message")
        told = broker.confirm == 0 or client.mode == "async"
        check(told, "broker.confirm", broker.confirm, f"has a meaning for async clients only, and {where} is sync")
