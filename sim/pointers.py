"""Named tuples of arrays as compiled code sees them: one pointer.

Numba hands a tuple on as all that it consists of: seven words for each of its arrays, at every call. Most of what it
then types, lowers and optimises are these words. A class marked ``by_pointer`` goes into compiled code as the address
of its fields, which do not change while that runs: their loads are marked as invariant, so that none is repeated.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, datamodel
from numba.core.pythonapi import NativeValue, unbox
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_builtin, lower_getattr_generic, register_model, typeof_impl
from numba.np.arrayobj import getitem_array_tuple, getitem_arraynd_intp, setitem_array

DATA, SHAPE = 4, 5  # fields of an array in compiled code


class Pointer(types.Type):
    """To the fields of a named tuple."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        super().__init__(name=f"Pointer({whole.instance_class.__name__})")

    @property
    def key(self) -> Any:
        """What makes two of them the same."""
        return self.whole


class Settled(types.Record):
    """A record that does not change while compiled code runs."""

    def __init__(self, like: Any) -> None:
        super().__init__([(name, field._asdict()) for name, field in like.fields.items()], like.size, like.aligned)


register_model(Settled)(datamodel.models.RecordModel)


@lower_getattr_generic(Settled)
def _settled(context: Any, builder: Any, kind: Settled, record: Any, name: str) -> Any:
    field = context.get_data_type(kind.typeof(name))
    place = cgutils.get_record_member(builder, record, kind.offset(name), field)
    return _load(builder, place)


class FromStart(types.Array):
    """An array whose places are counted from the start only, which no index has to be asked about.

    A part of one of a single dimension, ``a[start:stop]``, must lie in it, which it is not asked about either.
    """

    def copy(self, dtype: Any = None, ndim: Any = None, layout: Any = None, readonly: Any = None) -> Any:
        """The type of a part."""
        if layout in (None, "C"):
            return FromStart(dtype or self.dtype, ndim or self.ndim, "C")
        return super().copy(dtype, ndim, layout, readonly)


register_model(FromStart)(datamodel.models.ArrayModel)


@register_model(Pointer)
class _Model(datamodel.models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Pointer) -> None:
        super().__init__(manager, kind, manager.lookup(kind.whole).get_value_type().as_pointer())


_SETTLED: dict[Any, tuple[str, ...]] = {}


def by_pointer(*settled: str) -> Callable[[Any], Any]:
    """Let the tuples of a class go into compiled code as pointers.

    settled  the arrays whose contents do not change either while that runs
    """

    def register(named: Any) -> Any:
        _SETTLED[named] = settled
        typeof_impl.register(named)(lambda value, context: Pointer(_typeof_fields(value, context)))
        return named

    return register


def _typeof_fields(value: Any, context: Any) -> Any:
    return types.NamedTuple([typeof_impl(field, context) for field in value], type(value))


@unbox(Pointer)
def _unbox(kind: Pointer, given: Any, c: Any) -> Any:
    fields = c.unbox(kind.whole, given)
    place = cgutils.alloca_once_value(c.builder, fields.value)

    def leave() -> None:
        if fields.cleanup is not None:
            fields.cleanup()
        if c.context.enable_nrt:  # it has counted the arrays, and would give back those of the pointer: none
            c.context.nrt.decref(c.builder, kind.whole, fields.value)

    return NativeValue(place, is_error=fields.is_error, cleanup=leave)


@infer_getattr
class _Fields(AttributeTemplate):
    key = Pointer

    def generic_resolve(self, value: Any, attr: str) -> Any:  # type: ignore[override]
        """The type of a field."""
        return _seen(value, attr) if attr in value.whole.fields else None


def _seen(kind: Pointer, name: str) -> Any:
    """The type of a field as compiled code sees it."""
    field = kind.whole[kind.whole.fields.index(name)]
    if not isinstance(field, types.Array) or field.layout != "C":
        return field
    settled = isinstance(field.dtype, types.Record) and name in _SETTLED[kind.whole.instance_class]
    return FromStart(Settled(field.dtype) if settled else field.dtype, field.ndim, "C")


@lower_getattr_generic(Pointer)
def _getattr(context: Any, builder: Any, kind: Pointer, place: Any, name: str) -> Any:
    at = kind.whole.fields.index(name)
    field = _seen(kind, name)
    where = cgutils.gep_inbounds(builder, place, 0, at)
    if not isinstance(field, FromStart):
        return _load(builder, where)
    array = context.make_array(field)(context, builder)
    shape = _load(builder, cgutils.gep_inbounds(builder, where, 0, SHAPE))
    data = _load(builder, cgutils.gep_inbounds(builder, where, 0, DATA))
    _fill(context, builder, array, field, data, cgutils.unpack_tuple(builder, shape, field.ndim))
    return array._getvalue()


def _fill(context: Any, builder: Any, array: Any, kind: Any, data: Any, sizes: list[Any]) -> None:
    """Make an array of what is known of it: where it begins, and its sizes."""
    step = ir.Constant(array.itemsize.type, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides, items = [step], sizes[-1]
    for size in reversed(sizes[1:]):
        strides.insert(0, builder.mul(strides[0], size))
    for size in sizes[:-1]:
        items = builder.mul(items, size)
    array.data, array.nitems, array.itemsize = data, items, step
    array.shape, array.strides = cgutils.pack_array(builder, sizes), cgutils.pack_array(builder, strides)
    array.parent, array.meminfo = ir.Constant(array.parent.type, None), ir.Constant(array.meminfo.type, None)


def _load(builder: Any, where: Any) -> Any:
    loaded = builder.load(where)
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return loaded


def _unsigned(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any]:
    """The same access, at an index that cannot be counted from the end."""
    kinds, values = list(signature.args), list(arguments)
    if isinstance(signature.args[1], types.BaseTuple):
        given = list(kinds[1])
        parts = cgutils.unpack_tuple(builder, values[1], len(given))
        words = [context.cast(builder, part, kind, types.intp) for part, kind in zip(parts, given, strict=True)]
        kinds[1] = types.UniTuple(types.uintp, len(given))
        values[1] = context.make_tuple(builder, kinds[1], words)
    else:
        kinds[1], values[1] = types.uintp, context.cast(builder, values[1], kinds[1], types.intp)
    return signature.replace(args=tuple(kinds)), values


@lower_builtin(operator.getitem, FromStart, types.Integer)
def _item(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return getitem_arraynd_intp(context, builder, *_unsigned(context, builder, signature, arguments))


@lower_builtin(operator.getitem, FromStart, types.BaseTuple)
def _item_of_many(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return getitem_array_tuple(context, builder, *_unsigned(context, builder, signature, arguments))


@lower_builtin(operator.getitem, FromStart, types.SliceType)
def _part(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    kind, place = signature.args
    whole = context.make_array(kind)(context, builder, arguments[0])
    given = context.make_helper(builder, place, arguments[1])
    part = context.make_array(signature.return_type)(context, builder)
    size = builder.sub(given.stop, given.start)
    _fill(context, builder, part, kind, builder.gep(whole.data, [given.start]), [size])
    return part._getvalue()


@lower_builtin(operator.setitem, FromStart, types.Integer, types.Any)
@lower_builtin(operator.setitem, FromStart, types.BaseTuple, types.Any)
def _put(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return setitem_array(context, builder, *_unsigned(context, builder, signature, arguments))
