"""How a sender behaves: how long it waits for an answer, and when it tries again."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, model_validator

from backwater.base import Model
from backwater.components.breaker import Breaker, Throttle
from backwater.components.budget import Budget
from backwater.components.hedge import Hedge
from backwater.components.limiter import RateLimiter
from backwater.components.notify import Notify, Push
from backwater.components.own import AnyRule, check_params, is_rule
from backwater.components.presets import PRESETS, filled
from backwater.distributions import TimeLaw
from backwater.errors import ScenarioError, check
from backwater.jit import compiled
from backwater.rules import of_sort
from backwater.units import Share, Time, parse, text

Array = npt.NDArray[np.float64]
EXPONENTIAL, DECORRELATED, DECORRELATED_V2, OWN = range(4)  # constant and linear are exponential with factor 1
NONE, FULL, EQUAL, SPREAD, EXPONENTIAL_JITTER, ADDED = range(6)
HEAD, STEPS = 11, 16  # numbers of a policy; then its first pauses before jitter, which save a power each, or where the
# machine code of a rule of one's own is
JITTERS = ("full", "none", "equal", "exponential")


@compiled
def _grown(policy, failed):  # type: ignore[no-untyped-def]
    """The pause before jitter, of any number of failures [s]."""
    if failed <= STEPS:
        return policy[HEAD + int(failed) - 1]
    base, factor, cap, step = policy[1], policy[2], policy[3], policy[8]
    power = min(math.pow(factor, failed - 1.0), 1e300)
    steps = (power - 1.0) / (factor - 1.0) if factor > 1.0 else failed - 1.0
    return max(policy[9], min(cap, base * power + step * steps))


@compiled
def _curve(t):  # type: ignore[no-untyped-def]
    """What Polly's pauses are the differences of, in units of base / 1.4, ``t`` failures after the first."""
    return math.pow(2.0, t) * math.tanh(math.sqrt(4.0 * t))


@compiled
def _jittered(policy, b, u):  # type: ignore[no-untyped-def]
    """A pause of ``b`` before jitter [s]."""
    jitter, spread, floor = policy[4], policy[5], policy[9]
    if jitter == NONE:
        return b
    if jitter == FULL:
        return floor + u * (b - floor)
    if jitter == EQUAL:
        return b / 2 + u * (b / 2)
    if jitter == SPREAD:
        return b * (1.0 - spread + 2.0 * spread * u)
    if jitter == ADDED:
        return min(policy[3], b + spread * u)
    return -b * math.log1p(-u)


@compiled
def backoff(policy, failed, previous, u):  # type: ignore[no-untyped-def]
    """Pause after the ``failed``-th failed attempt (1, 2, ...) [s].

    ``policy`` is ``Retry.policy``; ``previous`` what ``remembers`` said after the attempt before it, first the base.
    Sources: Brooker, "Exponential backoff and jitter", AWS Architecture Blog 2015; Polly's RetryHelper for
    decorrelated_v2.
    """
    kind, base, cap = policy[0], policy[1], policy[3]
    if failed == 1 and policy[10] >= 0.0:
        return policy[10]
    if kind == DECORRELATED:
        pause = min(cap, base + u * (3.0 * previous - base))
    elif kind == DECORRELATED_V2:
        before = 0.0 if failed == 1 else previous
        pause = min(cap, (_curve(failed - 1.0 + u) - before) * (base / 1.4))
    else:
        pause = _jittered(policy, _grown(policy, failed), u)
    return max(policy[9], pause)


@compiled
def remembers(policy, failed, pause, u):  # type: ignore[no-untyped-def]
    """What the next pause depends on, after this one: the pause itself, or where on its curve it was."""
    return _curve(failed - 1.0 + u) if policy[0] == DECORRELATED_V2 else pause


@compiled
def heeds(pause, asked, exactly, most, beyond, least):  # type: ignore[no-untyped-def]
    """Pause of a client that would wait ``pause`` and whose 503 asks for ``asked`` [s], below 0 for nothing.

    The rest is what its ``RetryAfter`` says.
    """
    if asked < least:
        return pause
    hint = min(asked, min(most, pause + beyond))
    return hint if exactly else max(pause, hint)


@compiled
def tries_again(policy, failed, u):  # type: ignore[no-untyped-def]
    """Whether a client whose ``failed``-th attempt has failed sends another one."""
    return failed < policy[6] and u < policy[7]


def _jitter(given: Any) -> str | float:
    if isinstance(given, str) and given in JITTERS:
        return given
    share = re.sub(r"^\s*(±|\+/-)\s*", "", given) if isinstance(given, str) else given
    dimensions = (("share", 1.0), ("time", math.inf)) if isinstance(given, str) else (("share", 1.0),)
    for dimension, most in dimensions:
        try:
            found = parse(share, dimension, most=most)
        except ScenarioError:
            continue
        return found if dimension == "share" else text(found, "time")
    kinds = ", ".join(f'"{jitter}"' for jitter in JITTERS)
    raise ScenarioError("", f'must be one of {kinds}, a fraction such as "±20 %", or a time such as "1 s"', given)


class Retry(Model):
    """When a failed attempt is tried again.

    kind               constant, linear, exponential, decorrelated, decorrelated_v2, or own: a rule of one's own, which
                       gives the pause itself
    rule, params       that rule, and those of its parameters that are not at its defaults
    base, cap          first and largest pause before jitter [s]; no cap unless given; a rule of one's own makes of
                       them what it likes, and needs none
    rejected_base      the same as base, after a 503; as base unless given [s]
    factor             growth of the pause from one attempt to the next, of exponential [1]
    step               what is added from one attempt to the next, after the growth [s]: by linear, the base unless
                       given; by exponential, nothing unless given
    first              the pause after the first failure, exactly; as the others unless given [s]
    floor              smallest pause [s]; full jitter draws from it up
    jitter             full, none, equal, exponential, a fraction x for U(1 - x, 1 + x), or a time t, which adds
                       U(0, t), the sum being at most the cap
    max_attempts       attempts in all, the first included, or "forever"
    retry_probability  chance that a client whose attempt failed tries again at all [1]
    """

    kind: Literal["constant", "linear", "exponential", "decorrelated", "decorrelated_v2", "own"] = "exponential"
    rule: AnyRule | None = None
    params: dict[str, float] = Field(default_factory=dict)
    base: Time
    rejected_base: Time | None = None
    factor: float = Field(default=2.0, ge=1.0, le=1e6)
    step: Time | None = None
    first: Time | None = None
    floor: Time = 0.0
    cap: Time | None = None
    jitter: Annotated[str | float, BeforeValidator(_jitter)] = "full"
    max_attempts: Annotated[int, Field(ge=1, le=10**9)] | Literal["forever"] = 3
    retry_probability: Share = 1.0

    @model_validator(mode="before")
    @classmethod
    def _needs_no_base(cls, given: Any) -> Any:
        own = isinstance(given, dict) and (given.get("kind") == "own" or ("kind" not in given and "rule" in given))
        return {"kind": "own", "base": "0 s", **given} if own else given

    @model_validator(mode="after")
    def _fits(self) -> Retry:
        own = self.kind == "own"
        check(own == (self.rule is not None), "rule", self.rule, 'must be given where kind is "own", and only there')
        if own:
            check_params(of_sort("backoff", self.rule), self.params)
        else:
            check(not self.params, "params", self.params, "must be left out: they are those of a rule of one's own")
        if self.cap is not None:
            least = max(self.base, self.rejected_base or 0.0, self.floor)
            of = "base" if least == self.base else "floor" if least == self.floor else "rejected_base"
            check(self.cap >= least, "cap", self.cap, f"must be at least {of} = {least:g} s")
        curved = self.kind in ("decorrelated", "decorrelated_v2")
        needless = ("jitter", "first", "step") if curved or own else ("step",) if self.kind == "constant" else ()
        for name in (*needless, *(("rejected_base",) if own else ())):
            fits = name not in self.model_fields_set or getattr(self, name) is None
            check(fits, name, getattr(self, name), f"must be left out where kind is {self.kind}")
        grows = curved or (not own and self.growth != (1.0, 0.0))
        endless = grows and self.max_attempts == "forever" and self.cap is None
        check(not endless, "cap", None, 'must be given where max_attempts is "forever" and the pause grows')
        return self

    @property
    def growth(self) -> tuple[float, float]:
        """What multiplies the pause from one attempt to the next [1], and what is then added [s]."""
        if self.kind == "linear":
            return 1.0, self.base if self.step is None else self.step
        return 1.0 if self.kind == "constant" else self.factor, self.step or 0.0

    @property
    def most(self) -> float:
        """Attempts in all; infinite for "forever"."""
        return math.inf if self.max_attempts == "forever" else float(self.max_attempts)

    @property
    def pauses(self) -> bool:
        """Whether there is any pause between attempts."""
        return bool(self.policy[HEAD:].max() > 0 or (self.policy[4] == ADDED and self.policy[5] > 0))

    @property
    def policy(self) -> Array:
        """The flat array that ``backoff`` and ``tries_again`` read."""
        return self._policy(self.base)

    @property
    def rejected_policy(self) -> Array:
        """The same, for what follows a 503."""
        return self._policy(self.base if self.rejected_base is None else self.rejected_base)

    def _policy(self, base: float) -> Array:
        named = {"none": NONE, "full": FULL, "equal": EQUAL, "exponential": EXPONENTIAL_JITTER}
        if self.jitter in JITTERS:
            jitter, spread = named[str(self.jitter)], 0.0
        else:
            jitter = ADDED if isinstance(self.jitter, str) else SPREAD
            spread = parse(self.jitter, "time" if isinstance(self.jitter, str) else "share")
        kinds = {"decorrelated": DECORRELATED, "decorrelated_v2": DECORRELATED_V2, "own": OWN}
        cap, (factor, step) = math.inf if self.cap is None else self.cap, self.growth
        step = base if self.kind == "linear" and self.step is None else step
        first = math.nan if self.first is None else self.first
        head = [kinds.get(self.kind, EXPONENTIAL), base, factor, cap, jitter, spread, self.most,
                self.retry_probability, step, self.floor, first]  # fmt: skip
        if self.rule is not None:
            return np.array([*head, self.rule.address, *[0.0] * (STEPS - 1)])
        steps = [(factor**n - 1) / (factor - 1) if factor > 1 else n for n in range(STEPS)]
        return np.array([*head, *(
            max(self.floor, min(cap, base * factor**n + step * steps[n])) for n in range(STEPS)
        )])  # fmt: skip

    @property
    def frame(self) -> Array:
        """What a rule of one's own and an engine share at time 0; empty without one."""
        return np.empty(0) if self.rule is None else self.rule.frame(self.params)


def _retry(given: Any) -> Any:
    """A rule alone is a policy that is at its defaults otherwise."""
    if is_rule(given):
        return Retry(kind="own", rule=of_sort("backoff", given))  # type: ignore[call-arg]
    return given


if TYPE_CHECKING:
    Policy = Retry
else:
    Policy = Annotated[Retry, BeforeValidator(_retry)]


class RetryAfter(Model):
    """How a client takes what a 503 says of when to come back: it waits at least as long.

    exactly  it waits just so long, whatever its own pause would be
    most     longest time that it believes [s]
    beyond   by how much its own pause may grow [s]
    least    shortest time that it takes for a hint [s]
    resets   its own pauses begin anew after a hint, as if no attempt had failed before; those of a proxy do not
    """

    exactly: bool = False
    most: Time | None = None
    beyond: Time | None = None
    least: Time = 0.0
    resets: bool = False


def _hint(given: Any) -> Any:
    ok = isinstance(given, (bool, dict, RetryAfter))
    check(ok, "", given, 'must be true, false or a table such as { most = "6 h" }')
    return RetryAfter(**given) if isinstance(given, dict) else given


class Proxy(Model):
    """What stands between a client and the queue and tries again before the client hears of it: attempts multiply.

    retry         when it tries again
    retry_budget  what all its retries may spend, for the jobs of one source
    """

    retry: Policy
    retry_budget: Budget | None = None


class Client(Model):
    """A sender of jobs.

    attempt_timeout  patience with each attempt, waiting and service included [s]; drawn anew at each attempt
    total_timeout    patience with all attempts and pauses together [s]
    on_timeout       what happens to an attempt that timed out: leave it, take it from the queue (cancel_waiting), or
                     take it from the queue or stop its service (cancel)
    retry            when it tries again, or a rule of one's own for the pauses; never unless given
    retry_budget     what the retries and the hedges of all its jobs may spend
    breaker          stops sending while too many attempts fail
    throttle         sends only a share of the attempts while too many fail
    rate_limiter     lets attempts wait before they are sent, after a 503; then the breaker and the throttle are asked
    proxy            what tries again before the client hears of a failure; timeouts are those of its attempts
    hedge            when it sends another attempt while it still waits for one
    honours_retry_after  whether it waits at least as long as a 503 asks; or a table: exactly, most, beyond
    mode             sync: its caller is blocked until the answer; async: until the job is accepted. Then timeouts cover
                     only that, and nobody gives up afterwards. To budgets, breakers, throttles and proxies acceptance
                     is the success of the call; an error that is heard of later may be tried again like any other
    notify           how the result of an accepted job arrives in async mode: push, or poll every so often

    Instead of a table, the name of a ready-made client (``backwater list``) may stand, or ``preset`` may give it beside
    fields of one's own, which go before its; a scenario keeps the fields, not the name.
    """

    attempt_timeout: TimeLaw | None = None
    total_timeout: Time | None = None
    on_timeout: Literal["leave", "cancel_waiting", "cancel"] = "leave"
    retry: Policy | None = None
    retry_budget: Budget | None = None
    breaker: Breaker | None = None
    throttle: Throttle | None = None
    rate_limiter: RateLimiter | None = None
    proxy: Proxy | None = None
    hedge: Hedge | None = None
    honours_retry_after: Annotated[bool | RetryAfter, BeforeValidator(_hint)] = True
    mode: Literal["sync", "async"] = "sync"
    notify: Notify = Push()

    @model_validator(mode="before")
    @classmethod
    def _ready_made(cls, given: Any) -> Any:
        return filled(given)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        schema = handler(core)
        names = {"enum": list(PRESETS)}
        handler.resolve_ref_schema(schema)["properties"]["preset"] = names
        return {"anyOf": [names, schema]}

    @model_validator(mode="after")
    def _fits(self) -> Client:
        has = self.retry is not None or self.hedge is not None or self.retry_budget is None
        check(has, "retry_budget", "a budget", "must come with a retry policy or hedges that spend it")
        check(
            self.total_timeout is None or self.total_timeout > 0,
            "total_timeout",
            self.total_timeout,
            "must be above 0",
        )
        must = 'must stand with mode = "sync": in async an answer is acceptance, which comes at once or in turn'
        check(self.mode == "sync" or self.hedge is None, "hedge", "a hedge", must)
        waits = self.mode == "sync" and self.notify != Push()
        check(not waits, "notify", "poll", 'must come with mode = "async": in sync the caller waits for the answer')
        return self

    @property
    def hint(self) -> tuple[bool, bool, float, float, float]:
        """Whether it honours what a 503 asks for, whether exactly, and ``most``, ``beyond``, ``least`` of that [s]."""
        how = self.honours_retry_after
        if isinstance(how, bool):
            return how, False, math.inf, math.inf, 0.0
        most, beyond = (math.inf if limit is None else limit for limit in (how.most, how.beyond))
        return True, how.exactly, most, beyond, how.least

    @property
    def resets(self) -> bool:
        """Whether its own pauses begin anew after a hint."""
        return isinstance(self.honours_retry_after, RetryAfter) and self.honours_retry_after.resets

    def waits_exactly(self, asked: float) -> float:
        """How long it waits after any 503 that asks for ``asked`` [s]; NaN where its own policy has a say in that."""
        honours, exactly, most, beyond, least = self.hint
        hint = min(asked, most)
        settled = honours and asked >= least and math.isinf(beyond) and (exactly or math.isinf(hint))
        return hint if settled else math.nan
