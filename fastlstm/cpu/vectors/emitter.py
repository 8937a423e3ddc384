"""Arithmetic on vectors, emitted as LLVM IR.

A `Vector` is a value in a register; arithmetic on it emits instructions while a kernel is compiled, so the cells'
equations are written once, in Python, for every width and both float types."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.flat import Flat, fields
from . import activations
from .target import lanes

INT32, INT64 = ir.IntType(32), ir.IntType(64)


class Emitter:
    """Emits vector code for one float type into a function being built."""

    def __init__(self, builder: Any, scalar: Any, itemsize: int) -> None:
        self.builder, self.scalar, self.bits = builder, scalar, 8 * itemsize
        self.lanes = lanes(itemsize)
        self.type = ir.VectorType(scalar, self.lanes)
        self.int_type = ir.VectorType(ir.IntType(self.bits), self.lanes)

    def index(self, value: Any) -> Any:
        return ir.Constant(INT64, value) if isinstance(value, int) else value

    def at(self, pointer: Any, *offsets: Any) -> Any:
        """pointer + the sum of the offsets, in numbers."""
        for offset in offsets:
            pointer = self.builder.gep(pointer, [self.index(offset)])
        return pointer

    def times(self, count: int, stride: Any) -> Any:
        return self.builder.mul(self.index(count), self.index(stride))

    def load(self, pointer: Any, *offsets: Any) -> Vector:
        address = self.builder.bitcast(self.at(pointer, *offsets), self.type.as_pointer())
        value = self.builder.load(address)
        value.align = self.bits // 8
        return Vector(self, value)

    def store(self, vector: Vector, pointer: Any, *offsets: Any) -> None:
        (value,) = vector.values
        address = self.builder.bitcast(self.at(pointer, *offsets), self.type.as_pointer())
        self.builder.store(value, address).align = self.bits // 8

    def load_some(self, count: Any, pointer: Any, *offsets: Any) -> Vector:
        """The first `count` numbers, then zeros; behind them nothing is read."""
        b = self.builder
        place = self.at(pointer, *offsets)
        with b.if_else(b.icmp_signed(">=", count, self.index(self.lanes))) as (whole, part):
            with whole:
                (all_,) = self.load(place).values
                from_whole = b.block
            with part:
                mask = self._mask(count)
                address, align = b.bitcast(place, self.type.as_pointer()), ir.Constant(INT32, self.bits // 8)
                kind = ir.FunctionType(self.type, [address.type, INT32, mask.type, self.type])
                name = f"llvm.masked.load.v{self.lanes}f{self.bits}.p0"
                function = cgutils.get_or_insert_function(b.module, kind, name)
                some = b.call(function, [address, align, mask, ir.Constant(self.type, [0.0] * self.lanes)])
                from_part = b.block
        value = b.phi(self.type)
        value.add_incoming(all_, from_whole)
        value.add_incoming(some, from_part)
        return Vector(self, value)

    def store_some(self, count: Any, vector: Vector, pointer: Any, *offsets: Any) -> None:
        """The first `count` numbers, at least one; behind them nothing is written."""
        b = self.builder
        place = self.at(pointer, *offsets)
        with b.if_else(b.icmp_signed(">=", count, self.index(self.lanes))) as (whole, part):
            with whole:
                self.store(vector, place)
            with part:  # by halves: a load has to wait for what a masked store has written
                (value,), size = vector.values, self.lanes
                while size > 1:
                    size //= 2
                    half = ir.VectorType(INT32, size)
                    low, high = (
                        b.shuffle_vector(value, value, ir.Constant(half, list(range(at, at + size))))
                        for at in (0, size)
                    )
                    some = b.icmp_signed("!=", b.and_(count, self.index(size)), self.index(0))
                    with b.if_then(some):
                        b.store(low, b.bitcast(place, low.type.as_pointer())).align = self.bits // 8
                    value = b.select(some, high, low)
                    place = self.at(place, b.and_(count, self.index(size)))

    def splat(self, number: float) -> Vector:
        return Vector(self, ir.Constant(self.type, [number] * self.lanes))

    def first(self, count: Any, vector: Vector) -> Vector:
        """The first `count` numbers of a vector, then zeros."""
        mask = self._mask(count)
        return vector.each(lambda value, zero: self.builder.select(mask, value, zero), self.splat(0.0))

    def _mask(self, count: Any) -> Any:
        """Which lanes are among the first `count`."""
        b, places = self.builder, ir.VectorType(INT32, self.lanes)
        nothing = ir.Constant(places, ir.Undefined)
        one = b.insert_element(nothing, b.trunc(count, INT32), ir.Constant(INT32, 0))
        every = b.shuffle_vector(one, nothing, ir.Constant(places, [0] * self.lanes))
        return b.icmp_signed("<", ir.Constant(places, list(range(self.lanes))), every)

    def broadcast(self, pointer: Any, *offsets: Any) -> Vector:
        return self.everywhere(self.builder.load(self.at(pointer, *offsets)))

    def everywhere(self, number: Any) -> Vector:
        undefined = ir.Constant(self.type, ir.Undefined)
        one = self.builder.insert_element(undefined, number, ir.Constant(INT32, 0))
        zeros = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(one, undefined, zeros))

    def prefetch(self, pointer: Any, *offsets: Any, write: bool = False) -> None:
        """Have those numbers in cache by the time they are wanted; not to be written, unless so said, since that
        takes them from the other cores."""
        byte, word = ir.IntType(8).as_pointer(), INT32
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        address = self.builder.bitcast(self.at(pointer, *offsets), byte)
        self.builder.call(function, [address, *(ir.Constant(word, number) for number in (int(write), 3, 1))])


def _instruction(name: str) -> Any:
    """The operator that emits this instruction."""

    def operator(self: Vector, *others: Vector | float) -> Vector:
        return self.each(getattr(self.emitter.builder, name), *others)

    return operator


class Vector:
    """One vector register's value, or those of several, with the operators that the cells' equations need.

    An operator is emitted for all the registers in turn: the equations are long chains, and several of them
    side by side keep the processor busy where one would wait for itself.
    """

    def __init__(self, emitter: Emitter, *values: Any) -> None:
        self.emitter, self.values = emitter, values

    @staticmethod
    def together(*vectors: Vector) -> Vector:
        return Vector(vectors[0].emitter, *(value for vector in vectors for value in vector.values))

    def split(self, parts: int) -> list[Vector]:
        """Equal parts, the way back from together."""
        size = len(self.values) // parts
        return [Vector(self.emitter, *self.values[n * size : (n + 1) * size]) for n in range(parts)]

    def each(self, emit: Callable[..., Any], *others: Vector | float) -> Vector:
        """emit(value, other values) for every register; a number, or one register, goes with each of them."""
        rows = [o.values if isinstance(o, Vector) else self.emitter.splat(o).values for o in (self, *others)]
        count = max(len(row) for row in rows)
        rows = [row * count if len(row) == 1 else row for row in rows]
        return Vector(self.emitter, *(emit(*values) for values in zip(*rows, strict=True)))

    def _call(self, name: str, *others: Vector | float) -> Vector:
        """llvm.NAME; inserted by name, since declare_intrinsic takes no vector types."""
        e = self.emitter
        kind = ir.FunctionType(e.type, [e.type] * (1 + len(others)))
        function = cgutils.get_or_insert_function(e.builder.module, kind, f"llvm.{name}.v{e.lanes}f{e.bits}")
        return self.each(lambda *values: e.builder.call(function, values), *others)

    __add__ = __radd__ = _instruction("fadd")
    __sub__, __neg__ = _instruction("fsub"), _instruction("fneg")
    __mul__ = __rmul__ = _instruction("fmul")

    def __rsub__(self, other: float) -> Vector:
        return self.emitter.splat(other) - self

    __truediv__ = _instruction("fdiv")

    def __rtruediv__(self, other: float) -> Vector:
        return self.emitter.splat(other) / self

    def __lt__(self, other: Vector | float) -> Mask:
        return self._compare("<", other)

    def __gt__(self, other: Vector | float) -> Mask:
        return self._compare(">", other)

    def __le__(self, other: Vector | float) -> Mask:
        return self._compare("<=", other)

    def __ge__(self, other: Vector | float) -> Mask:
        return self._compare(">=", other)

    def _compare(self, comparison: str, other: Vector | float) -> Mask:
        """A comparison with a NaN does not hold."""
        b = self.emitter.builder
        return Mask(self.each(lambda v, w: b.fcmp_ordered(comparison, v, w), other))

    def __abs__(self) -> Vector:
        return self._call("fabs")

    def fma(self, factor: Vector | float, term: Vector | float) -> Vector:
        """self * factor + term, rounded once where the processor can.

        fmuladd, not fma: where there is no such instruction the latter is a library call."""
        return self._call("fmuladd", factor, term)

    def minimum(self, other: Vector | float) -> Vector:
        return self.at_most(other) if isinstance(other, (int, float)) else self._outer("<", other)

    def maximum(self, other: Vector | float) -> Vector:
        return self.at_least(other) if isinstance(other, (int, float)) else self._outer(">", other)

    def _outer(self, comparison: str, other: Vector) -> Vector:
        """What lies further out of two; NaN where one of them is."""
        b = self.emitter.builder

        def emit(v: Any, w: Any) -> Any:
            found = b.select(b.fcmp_ordered(comparison, v, w), v, w)  # w where one is NaN
            return b.select(b.fcmp_unordered("uno", v, v), v, found)

        return self.each(emit, other)

    def sqrt(self) -> Vector:
        return self._call("sqrt")

    def exp(self) -> Vector:
        return activations.exp(self)

    def log(self) -> Vector:
        return activations.log(self)

    def log1p(self) -> Vector:
        return activations.log1p(self)

    def tanh(self) -> Vector:
        return activations.tanh(self)

    def sigmoids(self, *others: Vector) -> list[Vector]:
        """The sigmoid of it and of others, side by side."""
        return activations.sigmoid(Vector.together(self, *others)).split(1 + len(others))

    def with_sign_of(self, other: Vector) -> Vector:
        return self._call("copysign", other)

    def at_most(self, bound: float) -> Vector:
        """min(self, bound); a NaN stays one."""
        return self._select(">", bound)

    def at_least(self, bound: float, below: float | None = None) -> Vector:
        """max(self, bound), or `below` in place of what is less than that; a NaN stays one."""
        return self._select("<", bound, below)

    def _select(self, comparison: str, bound: float, beyond: float | None = None) -> Vector:
        b = self.emitter.builder
        return self.each(lambda v, limit, other: b.select(b.fcmp_ordered(comparison, v, limit), other, v),
                         bound, bound if beyond is None else beyond)  # fmt: skip

    def reciprocal(self) -> Vector:
        """1 / self."""
        return self.emitter.splat(1.0).each(self.emitter.builder.fdiv, self)

    def power_of_two(self, mantissa: int, bias: int) -> Vector:
        """2**k, where self is k + 1.5 * 2**mantissa: k stands in the lowest bits and moves to the exponent."""
        e = self.emitter
        b = e.builder
        bias_, shift = (ir.Constant(e.int_type, [number] * e.lanes) for number in (bias, mantissa))
        return self.each(lambda v: b.bitcast(b.shl(b.add(b.bitcast(v, e.int_type), bias_), shift), e.type))

    def power_parts(self, mantissa: int, bias: int) -> tuple[Vector, Vector]:
        """m and k with self = m 2**k, m from sqrt(1/2) to sqrt(2), of positive normal numbers.

        The bits of sqrt(1/2) to sqrt(2) go from `root` on; moved to where those of 1 to 2 are, they count k on from
        where the mantissa ends. k stands in the lowest bits of 2**mantissa then, which is subtracted."""
        e, b = self.emitter, self.emitter.builder
        (root,) = struct.unpack({32: "<I", 64: "<Q"}[e.bits], struct.pack({32: "<f", 64: "<d"}[e.bits], 0.5**0.5))

        def whole(number: int) -> Any:
            return ir.Constant(e.int_type, [number] * e.lanes)

        def moved(v: Any) -> Any:
            return b.add(b.bitcast(v, e.int_type), whole((bias << mantissa) - root))

        def m(v: Any) -> Any:
            return b.bitcast(b.add(b.and_(moved(v), whole((1 << mantissa) - 1)), whole(root)), e.type)

        def k(v: Any) -> Any:
            return b.bitcast(b.or_(b.lshr(moved(v), whole(mantissa)), whole((mantissa + bias) << mantissa)), e.type)

        return self.each(m), self.each(k) - (2.0**mantissa + bias)


class Mask:
    """Whether a comparison holds, of each number of a Vector."""

    def __init__(self, truths: Vector) -> None:
        self._truths = truths

    def where(self, a: Vector | float, b: Vector | float) -> Vector:
        """a where it holds, else b."""
        return self._truths.each(self._truths.emitter.builder.select, a, b)


def data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Pointer to the first number of an array or a Flat."""
    if isinstance(array_type, Flat):
        return fields(context, builder, array_type, array).data
    return context.make_array(array_type)(context, builder, array).data
