"""Rules of one's own: a scalar function, compiled once, that both engines ask.

    @bw.rule("admission")
    def half_full(waiting, capacity, share=0.5):
        return waiting < share * capacity

An argument without a default is one of ``SORTS``; one with a default is a parameter, which a scenario may set. A rule
may use numbers, ``math`` and ``numpy`` from around it, so its source and they are all that it is: its digest is of
these, and it can be rebuilt from them in another process.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import json
import math
import numbers
import sys
import textwrap
from collections.abc import Callable
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from backwater.errors import RuleError, ScenarioError, check, nearest
from backwater.jit import Entry

Array = npt.NDArray[np.float64]
Sort = Literal["admission", "backoff", "discipline"]
#: What a rule of each sort may ask for, in the order in which an engine tells it. All are floats; times are in [s],
#: since the start of the run where they are moments.
SORTS: dict[str, dict[str, str]] = {
    "admission": {
        "now": "the time [s]", "u": "a uniform in (0, 1), another one for each attempt",
        "waiting": "attempts that wait", "busy": "attempts in the hands of workers", "idle": "workers that rest",
        "capacity": "attempts that may wait; infinite where unbounded", "size": "of the job [B]",
        "demand": "its service time [s]", "priority": "its class's", "attempt": "how often it was sent, from 1",
        "arrived": "when it was first sent [s]", "deadline": "when it is late [s]; infinite without one",
    },
    "backoff": {
        "now": "the time [s]", "u": "a uniform in (0, 1), another one for each pause",
        "failed": "attempts that have failed, from 1",
        "previous": "the pause that it gave before, whatever a 503 asked for; at first ``base`` [s]",
        "base": "of the policy [s]", "factor": "of the policy [1]", "cap": "of the policy [s]; infinite without one",
        "timed_out": "1 after a timeout, else 0",
    },
    "discipline": {
        "now": "the time of its acceptance [s]", "u": "a uniform in (0, 1), another one for each attempt",
        "waiting": "other attempts that wait", "size": "of the job [B]", "demand": "its service time [s]",
        "priority": "its class's", "weight": "its class's [1]", "attempt": "how often it was sent, from 1",
        "arrived": "when it was first sent [s]", "deadline": "when it is late [s]; infinite without one",
    },
}  # fmt: skip
MUST = {
    "admission": "give True or False", "backoff": "give a pause in seconds, finite and not below 0",
    "discipline": "give a number",
}  # fmt: skip
# What a rule and an engine share, flat: whether the rule failed, what it gave, what it is told, what it keeps, its
# parameters.
FAILED, GIVEN, TOLD = 0, 1, 2
MEMORY, PARAMS = 14, 22
FRAME = 30
RAISED, WRONG = 1, 2  # how it failed
SAFE = (math, np)  # what it may use from around it, beside numbers

_known: dict[str, Rule] = {}  # every rule of this process, by its text


class Rule:
    """A rule of one's own; made by ``rule(sort)``. Calling it calls the function as it was written, in Python.

    sort     admission, backoff or discipline
    name     of the function
    params   its parameters and their defaults
    source   its text
    digest   SHA-256 of its text and of the numbers that it uses
    address  of its machine code in this process
    """

    def __init__(
        self, function: Callable[..., Any], sort: str, source: str, place: str, around: dict[str, Any]
    ) -> None:
        self.function, self.sort, self.source, self.place, self.around = function, sort, source, place, around
        self.name = function.__name__
        self.wants, self.params = _signature(function, sort)
        self.digest = _digest(sort, source, list(self.params.items()), sorted(around.items()))
        self.text = f"{place}@{self.digest[:16]}"
        places = {name: TOLD + index for index, name in enumerate(SORTS[sort])}
        own = {name: PARAMS + index for index, name in enumerate(self.params)}
        where = [(MEMORY, PARAMS) if name == "memory" else {**places, **own}[name] for name in self.wants]
        try:
            self._entry = Entry(function, where, FRAME, GIVEN, FAILED)
        except TypeError as error:
            raise ScenarioError(f"rule {self.name}", str(error), shown=False) from None
        self.address = self._entry.address
        self.__doc__ = function.__doc__
        _known[self.text] = self

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f'rule("{self.sort}") {self.text}'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __deepcopy__(self, _: Any) -> Rule:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        modules = {name: value.__name__ for name, value in self.around.items() if isinstance(value, ModuleType)}
        values = {name: value for name, value in self.around.items() if name not in modules}
        return _rebuilt, (self.text, self.sort, self.source, self.place, values, modules, tuple(self.params.values()))

    def frame(self, params: dict[str, float]) -> Array:
        """What it shares with an engine at the start of a run, with these parameters, shape (FRAME,)."""
        frame = np.zeros(FRAME)
        frame[PARAMS : PARAMS + len(self.params)] = [params.get(name, value) for name, value in self.params.items()]
        return frame

    def check(self, frame: Array) -> None:
        """Raise RuleError where it has failed."""
        if not frame[FAILED]:
            return
        told = dict(zip(SORTS[self.sort], frame[TOLD:MEMORY].tolist(), strict=False))
        told |= dict(zip(self.params, frame[PARAMS:].tolist(), strict=False))
        given = [frame[MEMORY:PARAMS].copy() if name == "memory" else told[name] for name in self.wants]
        shown = ", ".join(f"{name} = {told[name]:g}" for name in self.wants if name != "memory")
        what = f"it gave {frame[GIVEN]:g}" if frame[FAILED] == WRONG else f"it failed{self._why(given)}"
        raise RuleError(f"rule {self.name} must {MUST[self.sort]}: {what} for {shown or 'nothing'}")

    def _why(self, given: list[Any]) -> str:
        """What goes wrong in Python for the same numbers: compiled code cannot say."""
        try:
            self.function(*given)
        except Exception as error:
            return f" ({type(error).__name__}: {error})"
        return ""

    def check_importable(self) -> None:
        """Raise ScenarioError where another process could not find it by its text."""
        module, _, path = self.place.partition(":")
        ok = module != "__main__" and "<" not in path and _at(module, path) == self
        where = f"{path} of {'a notebook or script' if module == '__main__' else module}"
        must = "must stand in a module that can be imported, so that a file can name it"
        check(ok, f"rule {self.name}", where, must)


def rule(sort: Sort) -> Callable[[Callable[..., Any]], Rule]:
    """Make a function a rule: of admission (whether an attempt is let in), backoff (the pause before the next attempt
    [s]) or discipline (a rank: the least goes first).

    Its arguments are named in ``backwater.rules.SORTS``, and ``memory``: eight numbers that it may change, all 0 at the
    start of a run; those of a queue, or of one source's clients. An argument with a default is a parameter. It gives a
    number, or True or False, takes chance only from ``u``, and uses nothing around it but numbers, math and numpy.
    Raises ScenarioError, one line, for a function that cannot be one.
    """
    check(sort in SORTS, "rule", sort, f"must be of a sort{nearest(str(sort), SORTS)}")

    def decorate(function: Callable[..., Any]) -> Rule:
        check(isinstance(function, FunctionType), "rule", function, "must be a function")
        assert isinstance(function, FunctionType)
        source, node = _source(function)
        place = f"{function.__module__}:{function.__qualname__}"
        return Rule(function, sort, source, place, _around(function, node))

    return decorate


rule.__doc__ = (
    f"{rule.__doc__}".rstrip()
    + "\n\n"
    + "\n\n".join(
        f"    {sort}\n" + "\n".join(f"        {name:<10} {meaning}" for name, meaning in told.items())
        for sort, told in SORTS.items()
    )
)


def named(text: str) -> Rule:
    """The rule that a text names: "module:name", and which version of it, where "@digest" follows."""
    if text in _known:
        return _known[text]
    place, _, digest = text.partition("@")
    module, _, path = place.partition(":")
    check(module and path, "", text, 'must name a rule as "module:name"')
    found = _at(module, path)
    check(isinstance(found, Rule), "", text, f"must name a rule: {path} of {module} is none; see backwater.rule")
    assert isinstance(found, Rule)
    changed = "must be the rule that was written down: it has changed since; without what follows @, it is taken as is"
    check(found.digest.startswith(digest), "", text, changed)
    return found


def of_sort(sort: str, given: Any) -> Rule:
    """A rule of this sort from itself or its text."""
    if isinstance(given, FunctionType):
        raise ScenarioError("", f'must be made a rule first: @bw.rule("{sort}")', given.__name__)
    check(isinstance(given, (Rule, str)), "", given, 'must be a rule, or name one as "module:name"')
    found = named(given) if isinstance(given, str) else given
    check(found.sort == sort, "", found.name, f"must be a rule of the sort {sort}, not {found.sort}")
    return found


def _at(module: str, path: str) -> Any:
    """What a module holds under a name. Raises ScenarioError where it cannot be imported."""
    try:
        found: Any = sys.modules[module] if module == "__main__" else import_module(module)
    except Exception as error:  # whatever its author's code does when it is imported
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        must = f"must name a rule in a module that can be imported, from the folders of PYTHONPATH: {told}"
        raise ScenarioError("", must, module) from None
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _signature(function: Callable[..., Any], sort: str) -> tuple[list[str], dict[str, float]]:
    """What a function wants, in its order, and the defaults of its parameters."""
    who, known = f"rule {function.__name__}", [*SORTS[sort], "memory"]
    params: dict[str, float] = {}
    for argument in inspect.signature(function).parameters.values():
        name, default = argument.name, argument.default
        check(argument.kind is argument.POSITIONAL_OR_KEYWORD, who, name, "must take plain arguments: no *, **, /")
        if default is argument.empty:
            ok = name in known
            check(ok, who, name, f"must take what {sort} rules are told{nearest(name, known)}")
        else:
            ok = isinstance(default, numbers.Real) and math.isfinite(default)
            check(ok, f"{who}: {name}", default, "must have a finite number as its default")
            check(name not in known, f"{who}: {name}", default, "must have no default: it is told, not set")
            params[name] = float(default)
    check(len(params) <= FRAME - PARAMS, who, len(params), f"must have at most {FRAME - PARAMS} parameters")
    return list(inspect.signature(function).parameters), params


def _source(function: FunctionType) -> tuple[str, ast.FunctionDef]:
    who = f"rule {function.__name__.strip('<>')}"
    try:
        source = textwrap.dedent(inspect.getsource(function))
        node = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError):
        raise ScenarioError(who, "must stand in a file or a notebook: its source cannot be read", shown=False) from None
    if not isinstance(node, ast.FunctionDef):
        raise ScenarioError(who, "must be a function with a name of its own: def ...", shown=False)
    first = function.__code__.co_firstlineno - 1
    for inner in ast.walk(node):
        line = f"(line {first + getattr(inner, 'lineno', 0)})"
        if isinstance(inner, (ast.Raise, ast.Assert)):
            raise ScenarioError(who, f"must not raise: what it gives decides {line}", shown=False)
        if isinstance(inner, ast.Attribute) and inner.attr == "random":
            raise ScenarioError(who, f"must take chance from its argument u {line}", shown=False)
    return source, node


def _around(function: FunctionType, node: ast.FunctionDef) -> dict[str, Any]:
    """What a function uses from around it: numbers, math, numpy."""
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    inside = {name.id for name in names if not isinstance(name.ctx, ast.Load)} | {arg.arg for arg in node.args.args}
    notes = [note for note in (node.returns, *(arg.annotation for arg in node.args.args)) if note is not None]
    decorating = {name for part in (*node.decorator_list, *node.args.defaults, *notes) for name in ast.walk(part)}
    outer = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    around: dict[str, Any] = {}
    for name in (name.id for name in names if name not in decorating and name.id not in inside):
        if name not in outer:
            ok = hasattr(builtins, name)
            check(ok, f"rule {function.__name__}", name, "must use names that are there")
            continue
        value = outer[name]
        ok = isinstance(value, numbers.Real) or any(value is module for module in SAFE)
        check(ok, f"rule {function.__name__}", name, "must use nothing around it but numbers, math and numpy")
        around[name] = value
    return around


def _digest(sort: str, source: str, params: list[Any], around: list[Any]) -> str:
    used = [[name, value.__name__ if isinstance(value, ModuleType) else repr(value)] for name, value in around]
    return hashlib.sha256(json.dumps([sort, source, params, used]).encode()).hexdigest()


def _rebuilt(
    text: str, sort: str, source: str, place: str, values: dict[str, Any], modules: dict[str, str],
    defaults: tuple[float, ...],
) -> Rule:  # fmt: skip
    """A rule that has come from another process, from its source."""
    if text in _known:
        return _known[text]
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    node.decorator_list, node.returns, node.args.defaults = [], None, [ast.Constant(value) for value in defaults]
    for argument in node.args.args:
        argument.annotation = None
    around = {**values, **{name: import_module(module) for name, module in modules.items()}}
    names = dict(around)
    exec(compile(ast.fix_missing_locations(ast.Module([node], [])), f"<rule {node.name}>", "exec"), names)
    return Rule(names[node.name], sort, source, place, around)
