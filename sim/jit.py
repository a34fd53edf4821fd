"""Compilation: how our functions become machine code, and how that is kept for the next process.

Numba keeps machine code beside the sources, or in the user's cache folder where that cannot be written, or where
NUMBA_CACHE_DIR says. It looks only at the file of the function itself for whether code is still fresh; ours goes into
its callers across files, so here code is fresh only as long as no source of ours has changed. Where nothing can be
kept, or what is kept cannot be read, functions are compiled anew in each process.
"""

from __future__ import annotations

import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import cfunc, njit, types
from numba.core.errors import NumbaError
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from backwater.parts import PartCompiler, WholeCompiler

EVERY = 5.0  # how often a compilation shows that it is alive [s]


@cache
def source_digest() -> str:
    """SHA-256 of the sources that decide the numbers."""
    folder, content = Path(__file__).parent, hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        if not {"experiments", "models"} & set(file.relative_to(folder).parts):
            content.update(file.read_bytes())
    return content.hexdigest()


def _part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator of functions that only compiled code calls."""
    kinds = {"pipeline_class": PartCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **options}

    def decorate(function: Callable[..., Any]) -> Any:
        made = njit(**kinds)(function)
        made.get_call_template = _by_kind(made.get_call_template)
        return made

    return decorate


def _whole(inline: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator of functions that Python calls, and compiled code, which takes the part that it has of them."""

    def decorate(function: Callable[..., Any]) -> Any:
        kinds = {"pipeline_class": WholeCompiler, "forceinline": False, **options}
        try:
            made = njit(cache=True, **kinds)(function)
        except RuntimeError:  # there is no folder that can be written
            made = njit(**kinds)(function)
        else:
            kept = made._cache
            kept._cache_file._source_stamp = source_digest()
            kept.load_overload = _or_nothing(kept.load_overload)
            kept.save_overload = _or_nothing(kept.save_overload)
        part = _part(forceinline=inline, **options)(function)
        made.get_call_template, made.get_overload = part.get_call_template, part.get_overload
        return made

    return decorate


def _by_kind(template: Callable[..., Any]) -> Callable[..., Any]:
    """One version of a function for all whole numbers, where Numba would compile one for each constant."""

    def plain(given: Any) -> Any:
        given = types.unliteral(given)
        return types.int64 if given == types.int32 else given

    def asked(args: Any, kws: dict[str, Any]) -> Any:
        return template(tuple(plain(arg) for arg in args), {name: plain(arg) for name, arg in kws.items()})

    return asked


def _or_nothing(work: Callable[..., Any]) -> Callable[..., Any]:
    """A broken, full or vanished cache folder costs a compilation, never the run."""

    def guarded(*args: Any) -> Any:
        try:
            return work(*args)
        except Exception:
            return None

    return guarded


# Without Numba's counts of references, which it would take at every call for each array of a kernel's world (a factor
# of 60): such functions must not allocate, nor return a part of an array.
compiled = _whole(_nrt=False)
#: Compiled into its compiled callers; Python may call it too.
compiled_in = _whole(inline=True, _nrt=False)
#: Other Python threads run beside it.
kernel = _whole(_nrt=False, nogil=True)
#: May allocate arrays.
allocating = _whole()
#: For compiled callers only. What is not said here, a function would take over from whoever is compiled around it.
inner = _part(_nrt=False, forceinline=False)
#: Compiled into its callers.
inlined = _part(_nrt=False, forceinline=True)


def _call(_: Any, address: Any, frame: Any) -> tuple[Any, Any]:
    """Call the machine code at an address, of an ``Entry``, with an array of floats; returns a float.

    The address is a number like any other: code that calls this is kept, and is the same whatever it calls.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        double = ir.DoubleType()
        kind = ir.FunctionType(double, [double.as_pointer()])
        array = context.make_array(signature.args[1])(context, builder, arguments[1])
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [array.data])

    return types.float64(types.int64, frame), build


call: Any = intrinsic(_call)


# Beyond the end of an array is an error; 1 / 0 is infinite, as everywhere but in Python.
_OWN: dict[str, Any] = {"boundscheck": True, "error_model": "numpy", "no_cfunc_wrapper": True}
# Made from text because a function takes as many arguments as its author wants.
_ENTRY = """
def entry(start):
    frame = carray(start, {size})
    try:
        frame[{result}] = function({arguments})
    except Exception:
        frame[{failed}] = 1.0
    return frame[{result}]
"""


class Entry:
    """Machine code for a person's own function of numbers, for this process only: ``call(address, frame)``.

    Its arguments are places of the frame: a number for one place, a pair for an array, from the first up to the second.
    It writes its result into one place of the frame, and 1 into another one if the function fails.
    Raises TypeError, one line, for a function that cannot be compiled or gives no number.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: list[int | tuple[int, int]], size: int, result: int, failed: int
    ) -> None:
        array = types.Array(types.float64, 1, "C")
        kinds = tuple(types.float64 if isinstance(place, int) else array for place in arguments)
        given = ", ".join(f"frame[{at}]" if isinstance(at, int) else f"frame[{at[0]}:{at[1]}]" for at in arguments)
        text = _ENTRY.format(size=size, arguments=given, result=result, failed=failed)
        try:
            inside = njit(**_OWN)(function)
            inside.compile(kinds)
            gives = inside.nopython_signatures[0].return_type
            if not isinstance(gives, (types.Boolean, types.Integer, types.Float)):
                what = "nothing at times" if isinstance(gives, types.Optional) else str(gives)
                raise TypeError(f"must give a number whatever happens, not {what}")
            names: dict[str, Any] = {"carray": carray, "function": inside}
            exec(text, names)
            self._code: Any = cfunc("float64(CPointer(float64))")(names["entry"])
        except NumbaError as error:
            raise TypeError(f"must be one that can be compiled: {_shortly(error)}") from None

    @property
    def address(self) -> int:
        """Where it begins."""
        return int(self._code.address)


def _shortly(error: NumbaError) -> str:
    """What Numba has against a function, and in which line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    told = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Failed in")]
    place = re.search(r"line (\d+)", text)
    said = " ".join(told[:2] if told and told[0].endswith(":") else told[:1])
    return said + (f" (line {place[1]})" if place else "")


def is_ready(function: Any) -> bool:
    """Whether a function needs no compilation: it has been called, or some process has kept it."""
    try:
        kept = function._cache._cache_file
        here = function.targetctx.codegen().magic_tuple()
        return bool(function.signatures) or any(key[1] == here for key in kept._load_index())
    except Exception:
        return False


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Say on standard error that a compilation has begun, every few seconds that it goes on, and that it is done."""
    begun, done = time.perf_counter(), threading.Event()

    def tell() -> None:
        while not done.wait(EVERY):
            print(f"backwater: still compiling, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)

    print(f"backwater: compiling {what}, once on this machine", file=sys.stderr, flush=True)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        print(f"backwater: compiled in {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
