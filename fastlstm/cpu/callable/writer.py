"""How code of ours is written into a user's compiled function.

Where a user's function calls one of ours, Numba asks for the instructions to put there. What writes them is Python, and
runs once, while the user's function is compiled: a loop over the layers in Python leaves the instructions of each layer
behind, one after the other. What has to loop when the user's function runs is a function that Numba compiles, and that
the instructions call: a `part`, or, where it is long, a `sealed` one.

Python sees an array as a `Place`, a tuple as a `Record`, an integer or a bool as a `Whole` or a `Truth`
(vectors/whole.py), and None as None."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.np.numpy_support import as_dtype

from ..compiler.cache import cached
from ..compiler.flat import Flat, flat_of
from ..compiler.options import HELPER, INLINED
from ..lstm.cell_type import cell_of_type
from ..vectors.emitter import INT64
from ..vectors.whole import Truth, Whole


def part(function: Callable[..., Any]) -> Any:
    """A function for `Writer.call`; it raises nothing. What it compiles to is kept on disk."""
    return cached(njit(no_cpython_wrapper=True, **HELPER)(function))


def inlined_part(function: Callable[..., Any]) -> Any:
    """A `part` that is compiled once more into each function that calls it, with what is constant there."""
    return cached(njit(no_cpython_wrapper=True, **INLINED)(function))


class Place:
    """An array of the running code: its sizes and strides are Wholes, but for `itemsize` and `ndim`."""

    def __init__(self, writer: Writer, kind: Any, value: Any) -> None:
        self.kind, self.value, self._writer = kind, value, writer
        self.ndim, self.itemsize = kind.ndim, as_dtype(kind.dtype).itemsize
        self.shape, self.strides = self._numbers("shape"), self._numbers("strides")
        self.size = writer.whole(self._field("nitems"))

    def _field(self, name: str, *place: int) -> Any:
        position = self._writer.context.data_model_manager[self.kind].get_field_position(name)
        return self._writer.builder.extract_value(self.value, [position, *place])

    def _numbers(self, name: str) -> tuple[Whole, ...]:
        return tuple(self._writer.whole(self._field(name, axis)) for axis in range(self.ndim))

    @property
    def address(self) -> Whole:
        """Where its first number is in memory."""
        return self._writer.whole(self._writer.builder.ptrtoint(self._field("data"), INT64))

    def _other(self, kind: Any, data: Any, shape: tuple[Whole, ...], strides: tuple[Whole, ...]) -> Place:
        """An array of another type and shape in its memory."""
        context, builder = self._writer.context, self._writer.builder
        made = context.make_array(kind)(context, builder)
        context.populate_array(made, data=data, shape=[n.value for n in shape], strides=[n.value for n in strides],
                               itemsize=ir.Constant(INT64, self.itemsize), meminfo=None)  # fmt: skip
        return Place(self._writer, kind, made._getvalue())

    def flat(self) -> Any:
        """All of it from its first number on, as `flat` in vectors/views.py."""
        value = flat_of(self._writer.context, self._writer.builder, self.kind, self.value)
        return SimpleNamespace(kind=Flat(self.kind.dtype), value=value)

    def step(self, t: Whole) -> Place:
        """array[..., t, :], which is only read."""
        place = (self.address + t * self.strides[-2]).value
        data = self._writer.builder.inttoptr(place, self._field("data").type)
        shape, strides = ((*n[:-2], n[-1]) for n in (self.shape, self.strides))
        return self._other(self._input(self.ndim - 1), data, shape, strides)

    def input(self) -> Place:
        """The array, which is only read: x of the first layer and h of any other have one type then, so that one
        compiled function serves all layers."""
        return self._other(self._input(self.ndim), self._field("data"), self.shape, self.strides)

    def _input(self, ndim: int) -> Any:
        return types.Array(self.kind.dtype, ndim, "A", readonly=True)


class Record:
    """A tuple of the running code, with its fields by name where it has names."""

    def __init__(self, writer: Writer, kind: Any, value: Any) -> None:
        self.kind, self.value = kind, value
        self.fields: tuple[str, ...] = getattr(kind, "fields", ())
        self._parts = [writer.seen(part, writer.builder.extract_value(value, n)) for n, part in enumerate(kind.types)]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, n: int) -> Any:
        return self._parts[n]

    def __getattr__(self, name: str) -> Any:
        if name not in self.fields:
            raise AttributeError(name)
        return self._parts[self.fields.index(name)]


def layers_of(record: Any) -> list[Any]:
    """A list with the record of each layer, from that of one layer, a stack of them, or None."""
    return [] if record is None else [record] if record.fields else list(record)


class Marked:
    """What stands for a cell."""

    def __init__(self, kind: Any, value: Any) -> None:
        self.kind, self.value, self.cell = kind, value, cell_of_type(kind)


class Writer:
    """Writes instructions to where `builder` stands in a function."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def whole(self, value: Any) -> Whole:
        return Whole(self.builder, value)

    def seen(self, kind: Any, value: Any) -> Any:
        """What Python sees of a value of that Numba type."""
        if cell_of_type(kind) is not None:
            return Marked(kind, value)
        if isinstance(kind, types.Array):
            return Place(self, kind, value)
        if isinstance(kind, types.BaseTuple):
            return Record(self, kind, value)
        if isinstance(kind, types.Integer):
            return self.whole(self.context.cast(self.builder, value, kind, types.intp))
        return Truth(self.builder, value) if isinstance(kind, types.Boolean) else None

    def arguments(self, kinds: Any, values: Any) -> list[Any]:
        return [self.seen(kind, value) for kind, value in zip(kinds, values, strict=True)]

    def _given(self, value: Any) -> Any:
        """The way back: with `kind`, its Numba type, and `value`, what LLVM has of it."""
        if value is None:
            return SimpleNamespace(kind=types.none, value=self.context.get_dummy_value())
        if isinstance(value, int):
            return self.whole(value)
        if isinstance(value, tuple):
            parts = [self._given(one) for one in value]
            kind = types.Tuple.from_types([one.kind for one in parts])
            return Record(self, kind, self.context.make_tuple(self.builder, kind, [one.value for one in parts]))
        return value

    def call(self, function: Any, *arguments: Any) -> Any:
        """Write a call of a `part`; what it returns."""
        given = [self._given(one) for one in arguments]
        kinds = tuple(one.kind for one in given)
        function.compile(kinds)
        code = function.overloads[kinds]
        self.context.add_linking_libs([code.library])
        _, result = self.context.call_internal_no_propagate(
            self.builder, code.fndesc, code.signature, [one.value for one in given]
        )
        return self.seen(code.signature.return_type, result)

    def apart(self, write: Callable[[Writer, Any], Whole], values: Any) -> Whole:
        """Have write(writer, values) write into a function of its own, and call that here; LLVM makes one of both."""
        module = self.builder.module
        kind = ir.FunctionType(INT64, [value.type for value in values])
        function = ir.Function(module, kind, module.get_unique_name("apart"))
        function.linkage = "internal"
        function.attributes.add("alwaysinline")
        inner = Writer(self.context, ir.IRBuilder(function.append_basic_block("entry")))
        inner.builder.ret(write(inner, function.args).value)
        return self.whole(self.builder.call(function, values))

    @contextmanager
    def each(self, count: Whole, first: Whole | None = None) -> Iterator[Whole]:
        """A loop: what is written inside the `with` runs for each number from `first`, or 0, to count - 1."""
        begin = ir.Constant(INT64, 0) if first is None else first.value
        with cgutils.for_range(self.builder, count.value, begin, intp=INT64) as loop:
            yield self.whole(loop.index)
