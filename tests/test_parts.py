"""How compiled functions are put together, and how tuples of arrays go into them."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
import pytest
from numba import types

from backwater.jit import allocating, compiled, inlined, inner
from backwater.pointers import by_pointer

PAIR = np.dtype([("weight", "f8"), ("at", "i4")])


@by_pointer()
class Inside(NamedTuple):
    """Within another one."""

    sums: np.ndarray
    scale: int


@by_pointer("plan")
class Bundle(NamedTuple):
    """What goes into the functions below."""

    plan: np.ndarray
    values: np.ndarray
    table: np.ndarray
    inside: Inside


@inner
def _weight(bundle, at):
    return bundle.plan[at].weight


@inner
def _sum(part):
    total = 0.0
    for n in range(len(part)):
        total += part[n]
    return total


@inlined
def _add(bundle, at):
    inside = bundle.inside
    inside.sums[at] += _weight(bundle, at) * bundle.values[bundle.plan[at].at] * inside.scale
    bundle.table[at, 0] = inside.sums[at]


@compiled
def _run(bundle, first, last):
    for at in range(len(bundle.plan)):
        _add(bundle, at)
    bundle.values[0] = -1.0
    return _sum(bundle.values[first:last])


@allocating
def _fresh(bundle):
    out = np.empty(len(bundle.values) + 1)
    out[:-1], out[-1] = bundle.values, bundle.inside.sums[1]
    return out


@compiled
def _one_more(x):
    return x + 1.0


@compiled
def _two_more(x):
    return _one_more(_one_more(x))


def bundle() -> Bundle:
    """Two weights, four values."""
    plan = np.array([(2.0, 3), (0.5, 1)], PAIR)
    return Bundle(plan, np.array([1.0, 10.0, 100.0, 1000.0]), np.zeros((2, 2)), Inside(np.zeros(2), 3))


def test_arrays_behind_a_pointer_are_read_and_written():
    given = bundle()
    assert _run(given, 1, 3) == 110.0
    np.testing.assert_array_equal(given.inside.sums, [6000.0, 15.0])
    np.testing.assert_array_equal(given.table[:, 0], [6000.0, 15.0])
    np.testing.assert_array_equal(given.values, [-1.0, 10.0, 100.0, 1000.0])


def test_each_call_takes_the_arrays_that_the_tuple_has_then():
    given = bundle()
    _run(given, 0, 1)
    other = given._replace(values=np.array([1.0, 20.0, 1.0, 1.0]))
    assert _run(other, 1, 2) == 20.0
    np.testing.assert_array_equal(given.inside.sums, [6000.0 + 6.0, 15.0 + 30.0])


def test_a_tuple_of_other_arrays_is_another_type():
    given = bundle()._replace(values=np.array([1, 2, 3, 4]))
    assert _run(given, 1, 3) == 5.0


def test_arrays_are_given_back_after_a_call():
    given = bundle()
    arrays = [*given[:3], given.inside.sums]
    before = [sys.getrefcount(array) for array in arrays]
    assert _run(given, 1, 3) == 110.0
    np.testing.assert_array_equal(_fresh(given), [-1.0, 10.0, 100.0, 1000.0, 15.0])
    assert [sys.getrefcount(array) for array in arrays] == before


def test_only_what_says_so_is_compiled_into_its_callers():
    _run(bundle(), 0, 1)
    assert all(made.fndesc.inline for made in _add.overloads.values())
    # Called from a function that is, and compiled while that was.
    assert _weight.overloads
    assert not any(made.fndesc.inline for made in _weight.overloads.values())


def test_parts_leave_nothing_to_call_and_wholes_do():
    assert _two_more(1.0) == 3.0
    assert _one_more(1.0) == 2.0
    (whole,) = _two_more.overloads.values()
    assert whole.library.get_pointer_to_function(whole.fndesc.llvm_func_name)
    assert _one_more.get_overload((types.float64,)) is not next(iter(_one_more.overloads.values())).entry_point
    _run(bundle(), 0, 1)
    part = next(iter(_sum.overloads.values()))
    assert not whole.library.get_pointer_to_function(part.fndesc.llvm_func_name)


def test_a_field_that_a_tuple_lacks_is_an_error():
    @compiled
    def wrong(bundle):
        return bundle.plans[0].weight

    with pytest.raises(Exception, match="plans"):
        wrong(bundle())
