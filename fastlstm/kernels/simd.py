"""Vectors of the processor at hand, as LLVM IR: the matrix micro-kernel, and arithmetic for the cells.

A `Vector` is a value in a register; arithmetic on it emits instructions while a kernel is compiled, so
the cells' equations are written once, in Python, for every width and both float types.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_i32, _i64 = ir.IntType(32), ir.IntType(64)
TILE_ROWS = 6  # rows of the micro-kernel's tile: 6 x 2 vectors fill 12 of 16 registers, 6 x 4 24 of 32
BLOCK = 4  # vectors of a panel's row: one for each gate
CACHE_LINE = 64  # bytes


@functools.cache
def vector_bytes() -> int:
    """Width of a vector register of the target that Numba compiles for (not of the host: they may differ)."""
    features = set(cpu_target.target_context.codegen()._tm_features.split(","))
    if "+avx512f" in features:
        return 64
    return 32 if "+avx2" in features and "+fma" in features else 16


@functools.cache
def registers() -> int:
    """Vector registers of that target."""
    arm = cpu_target.target_context.codegen().magic_tuple()[0].startswith(("aarch64", "arm64"))
    return 32 if arm or vector_bytes() == 64 else 16


def lanes(itemsize: int) -> int:
    """Numbers of that size in a vector register."""
    return vector_bytes() // itemsize


class Emitter:
    """Emits vector code for one float type into a function being built."""

    def __init__(self, builder: Any, scalar: Any, itemsize: int) -> None:
        self.builder, self.scalar, self.bits = builder, scalar, 8 * itemsize
        self.lanes = lanes(itemsize)
        self.type = ir.VectorType(scalar, self.lanes)
        self.int_type = ir.VectorType(ir.IntType(self.bits), self.lanes)

    def index(self, value: Any) -> Any:
        return ir.Constant(_i64, value) if isinstance(value, int) else value

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
                places = ir.VectorType(_i32, self.lanes)
                nothing = ir.Constant(places, ir.Undefined)
                one = b.insert_element(nothing, b.trunc(count, _i32), ir.Constant(_i32, 0))
                every = b.shuffle_vector(one, nothing, ir.Constant(places, [0] * self.lanes))
                mask = b.icmp_signed("<", ir.Constant(places, list(range(self.lanes))), every)
                address, align = b.bitcast(place, self.type.as_pointer()), ir.Constant(_i32, self.bits // 8)
                kind = ir.FunctionType(self.type, [address.type, _i32, mask.type, self.type])
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
                    half = ir.VectorType(_i32, size)
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
        b, zeros = self.builder, self.splat(0.0)
        places = ir.VectorType(_i32, self.lanes)
        nothing = ir.Constant(places, ir.Undefined)
        one = b.insert_element(nothing, b.trunc(count, _i32), ir.Constant(_i32, 0))
        every = b.shuffle_vector(one, nothing, ir.Constant(places, [0] * self.lanes))
        mask = b.icmp_signed("<", ir.Constant(places, list(range(self.lanes))), every)
        return vector.each(lambda value, zero: b.select(mask, value, zero), zeros)

    def broadcast(self, pointer: Any, *offsets: Any) -> Vector:
        return self.everywhere(self.builder.load(self.at(pointer, *offsets)))

    def everywhere(self, number: Any) -> Vector:
        undefined = ir.Constant(self.type, ir.Undefined)
        one = self.builder.insert_element(undefined, number, ir.Constant(_i32, 0))
        zeros = ir.Constant(ir.VectorType(_i32, self.lanes), [0] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(one, undefined, zeros))

    def prefetch(self, pointer: Any, *offsets: Any, write: bool = False) -> None:
        """Have those numbers in cache by the time they are wanted; not to be written, unless so said, since that
        takes them from the other cores."""
        byte, word = ir.IntType(8).as_pointer(), _i32
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        address = self.builder.bitcast(self.at(pointer, *offsets), byte)
        self.builder.call(function, [address, *(ir.Constant(word, number) for number in (int(write), 3, 1))])

    def function(self, name: str, *arguments: Any) -> Any:
        """llvm.NAME, vector to vector; inserted by name, since declare_intrinsic takes no vector types."""
        return cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(self.type, arguments), f"llvm.{name}"
        )


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
        e = self.emitter
        function = e.function(f"{name}.v{e.lanes}f{e.bits}", *[e.type] * (1 + len(others)))
        return self.each(lambda *values: e.builder.call(function, values), *others)

    def __add__(self, other: Vector | float) -> Vector:
        return self.each(self.emitter.builder.fadd, other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self.each(self.emitter.builder.fsub, other)

    def __rsub__(self, other: float) -> Vector:
        return self.emitter.splat(other) - self

    def __mul__(self, other: Vector | float) -> Vector:
        return self.each(self.emitter.builder.fmul, other)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Vector:
        return self.each(self.emitter.builder.fneg)

    def __abs__(self) -> Vector:
        return self._call("fabs")

    def fma(self, factor: Vector | float, term: Vector | float) -> Vector:
        """self * factor + term, rounded once where the processor can.

        fmuladd, not fma: where there is no such instruction the latter is a library call."""
        return self._call("fmuladd", factor, term)

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


def data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Pointer to an array's first number."""
    return context.make_array(array_type)(context, builder, array).data


def emitter(context: Any, builder: Any, array_type: Any) -> Emitter:
    """An Emitter for the float type of that array."""
    scalar = array_type.dtype
    return Emitter(builder, context.get_data_type(scalar), scalar.bitwidth // 8)


def _tile(rows: int, vectors: int = BLOCK) -> Any:
    """tile(a, ao, lda, depth, p, po, ahead, init, io, ldi, out, oo, ldo):
    out[oo + r ldo + j] = init[io + r ldi + j] + sum over k < depth of a[ao + r lda + k] p[po + k 4 lanes + j],
    in that order, for r < rows and j < `vectors` lanes. p[ahead] is fetched into the cache meanwhile (`multiply`)."""

    @intrinsic  # type: ignore[misc]
    def tile(typing: Any, a: Any, ao: Any, lda: Any, depth: Any, p: Any, po: Any, ahead: Any, init: Any, io: Any,
             ldi: Any, out: Any, oo: Any, ldo: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, p)
            pointers = [data(context, builder, signature.args[n], args[n]) for n in (0, 4, 4, 7, 10)]
            a_, p_, ahead_, init_, out_ = map(e.at, pointers, (args[n] for n in (1, 5, 6, 8, 11)))
            a_rows = [e.at(a_, e.times(r, args[2])) for r in range(rows)]
            for side in passes(rows, vectors):
                sums = {(r, v): e.load(init_, e.times(r, args[9]), v * e.lanes) for r in range(rows) for v in side}
                behind = ahead_ if side.start == 0 else None
                sums = multiply(e, args[3], sums, [p_], BLOCK * e.lanes, a_rows, 1, 0, behind)
                for (r, v), total in sums.items():
                    e.store(total, out_, e.times(r, args[12]), v * e.lanes)
            return context.get_dummy_value()

        n = types.intp
        return types.void(a, n, n, n, p, n, n, init, n, n, out, n, n), generate

    return tile


@intrinsic  # type: ignore[misc]
def outer(typing: Any, a: Any, ao: Any, lda: Any, depth: Any, p: Any, po: Any, ldp: Any, out: Any, oo: Any,
          ldo: Any) -> Any:  # fmt: skip
    """out[oo + r ldo + j] += sum over k < depth of a[ao + k lda + r] p[po + k ldp + j], r < TILE_ROWS,
    j < 4 lanes; the sum begins at 0: one rounding for the whole of it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, p)
        a_, p_, out_ = (e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 4, 7))
        for r in range(TILE_ROWS):
            for v in range(BLOCK):
                e.prefetch(out_, e.times(r, args[9]), v * e.lanes, write=True)
        for side in passes(TILE_ROWS):
            sums = {(r, v): e.splat(0.0) for r in range(TILE_ROWS) for v in side}
            sums = multiply(e, args[3], sums, [p_], args[6], [a_], args[2], 1)
            for (r, v), total in sums.items():
                place = e.at(out_, e.times(r, args[9]), v * e.lanes)
                e.store(e.load(place) + total, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(a, index, index, index, p, index, index, out, index, index), generate


def passes(rows: int, vectors: int = BLOCK) -> list[range]:
    """The panel's vectors in passes: a pass's sums, a row of its weights and one number share the registers."""
    together = max(v for v in (1, 2, 4) if v == 1 or (v <= vectors and rows * v + v + 1 <= registers()))
    return [range(first, first + together) for first in range(0, vectors, together)]


def multiply(
    e: Emitter, depth: Any, sums: dict[tuple[int, int], Vector], panels: list[Any], ldp: Any, a: list[Any], lda: Any,
    across: int, ahead: Any = None,
) -> dict[tuple[int, int], Vector]:  # fmt: skip
    """sums[r, v] + sum over k of a[r] at k lda (or a[0] at k lda + r `across`) times vector v of the panels, each of
    which has BLOCK of them, at k ldp.

    ahead: what is wanted next, fetched meanwhile, a cache line for every four k: from one panel to the next the
    processor's own prefetching finds no way."""
    b = e.builder
    line = CACHE_LINE * 8 // e.bits
    pointers = [*panels, *a]
    steps = [ldp] * len(panels) + [lda] * len(a)
    if ahead is not None:
        pointers.append(ahead)
    for unroll, count in ((4, b.ashr(depth, e.index(2))), (1, b.and_(depth, e.index(3)))):
        before = b.block
        head, body, end = (b.append_basic_block(name) for name in ("k.head", "k.body", "k.end"))
        b.branch(head)
        b.position_at_end(head)
        left = b.phi(_i64)
        # every operand has a pointer that moves: offsets would need registers that there are not
        moving = [b.phi(pointer.type) for pointer in pointers]
        running = {cell: b.phi(e.type) for cell in sums}
        b.cbranch(b.icmp_signed(">", left, e.index(0)), body, end)
        b.position_at_end(body)
        after = {cell: Vector(e, value) for cell, value in running.items()}
        if ahead is not None and unroll == 4:
            e.prefetch(moving[-1])
        for k in range(unroll):
            weights = {
                v: e.load(moving[v // BLOCK], e.times(k, ldp), v % BLOCK * e.lanes)
                for v in sorted({v for _, v in sums})
            }
            for r in sorted({r for r, _ in sums}):
                source = moving[len(panels)] if across else moving[len(panels) + r]
                number = e.broadcast(source, e.times(k, lda), r * across)
                for v, weight in weights.items():
                    after[r, v] = number.fma(weight, after[r, v])
        left.add_incoming(count, before)
        left.add_incoming(b.sub(left, e.index(1)), body)
        strides = [e.times(unroll, step) for step in steps] + [e.index(line)] * (ahead is not None)
        for phi, pointer, stride in zip(moving, pointers, strides, strict=True):
            phi.add_incoming(pointer, before)
            phi.add_incoming(e.at(phi, stride), body)
        for cell, phi in running.items():
            phi.add_incoming(sums[cell].values[0], before)
            phi.add_incoming(after[cell].values[0], body)
        b.branch(head)
        b.position_at_end(end)
        sums, pointers = {cell: Vector(e, phi) for cell, phi in running.items()}, moving
    return sums


tile_1, tile_2, tile_3, tile_4, tile_5, tile_6 = (_tile(rows) for rows in range(1, TILE_ROWS + 1))
half_1, half_2, half_3, half_4, half_5, half_6 = (_tile(rows, BLOCK // 2) for rows in range(1, TILE_ROWS + 1))


@intrinsic  # type: ignore[misc]
def lanes_of(typing: Any, array: Any) -> Any:
    """Numbers of that array's type in a vector register; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_i64, lanes(array.dtype.bitwidth // 8))

    return types.intp(array), generate


@intrinsic  # type: ignore[misc]
def line_of(typing: Any, array: Any) -> Any:
    """Numbers of that array's type in a cache line; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_i64, CACHE_LINE * 8 // array.dtype.bitwidth)

    return types.intp(array), generate


@intrinsic  # type: ignore[misc]
def numbers(typing: Any, array: Any, size: Any) -> Any:
    """That many bytes, as numbers of that array's type: a stride's, without the division that `itemsize` would need."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ashr(args[1], ir.Constant(_i64, (array.dtype.bitwidth // 8).bit_length() - 1))

    return types.intp(array, types.intp), generate


def _row(combine: str | None) -> Any:
    """row(out, oo, source, so, count): out[oo + j] = source[so + j], or with both what that instruction makes of them,
    for j < count; two different arrays. Rows are short: a call of memcpy would cost more than the loop."""

    @intrinsic  # type: ignore[misc]
    def row(typing: Any, out: Any, oo: Any, source: Any, so: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, out)
            target = e.at(data(context, builder, out, args[0]), args[1])
            origin = e.at(data(context, builder, source, args[2]), args[3])
            whole = builder.and_(args[4], e.index(-e.lanes))
            with cgutils.for_range_slice(builder, e.index(0), whole, e.index(e.lanes), intp=_i64) as (j, _):
                vector = e.load(origin, j)
                if combine:
                    vector = e.load(target, j).each(getattr(builder, combine), vector)
                e.store(vector, target, j)
            with cgutils.for_range_slice(builder, whole, args[4], e.index(1), intp=_i64) as (j, _):
                number, place = builder.load(e.at(origin, j)), e.at(target, j)
                if combine:
                    number = getattr(builder, combine)(builder.load(place), number)
                builder.store(number, place)
            return context.get_dummy_value()

        return types.void(out, types.intp, source, types.intp, types.intp), generate

    return row


copy, accumulate, scale = _row(None), _row("fadd"), _row("fmul")


def _flat_type(array: Any) -> Any:
    return types.Array(array.dtype, 1, "C")


def _flat_array(context: Any, builder: Any, kind: Any, pointer: Any, count: Any) -> Any:
    """An array of that many numbers, whose memory is none of its business."""
    made = context.make_array(kind)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    pointer = builder.bitcast(pointer, made.data.type)
    context.populate_array(made, data=pointer, shape=[count], strides=[size], itemsize=size, meminfo=None)
    return made._getvalue()


@intrinsic  # type: ignore[misc]
def on_stack(typing: Any, like: Any, count: Any) -> Any:
    """An array of that many numbers on the stack, beginning on a cache line; gone when the function returns."""
    kind = _flat_type(like)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.alloca(context.get_data_type(kind.dtype), args[1])
        place.align = CACHE_LINE
        return _flat_array(context, builder, kind, place, args[1])

    return kind(like, types.intp), generate


@intrinsic  # type: ignore[misc]
def flat(typing: Any, array: Any) -> Any:
    """The memory from an array's first number on, as an array of one type whatever that of the whole; no owner."""
    kind = _flat_type(array)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = context.make_array(array)(context, builder, args[0])
        return _flat_array(context, builder, kind, whole.data, whole.nitems)

    return kind(array), generate


@intrinsic  # type: ignore[misc]
def array_or_flat(typing: Any, given: Any, other: Any) -> Any:
    """`given` where that is an array; where it is None, flat(other), another type that can be told from the first."""
    kind = given if isinstance(given, types.Array) else _flat_type(other)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(given, types.Array):
            return impl_ret_borrowed(context, builder, kind, args[0])
        whole = context.make_array(other)(context, builder, args[1])
        return _flat_array(context, builder, kind, whole.data, whole.nitems)

    return kind(given, other), generate


@intrinsic  # type: ignore[misc]
def clear_behind(typing: Any, array: Any, offset: Any, vectors: Any, count: Any) -> Any:
    """Zeros behind the first `count` numbers of each of some vectors side by side, from array[offset] on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, array)
        place = e.at(data(context, builder, array, args[0]), args[1])
        with cgutils.for_range(builder, args[2], intp=_i64) as loop:
            one = e.times(e.lanes, loop.index)
            e.store(e.first(args[3], e.load(place, one)), place, one)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def lowest_bit(typing: Any, array: Any, offset: Any) -> Any:
    """Of array[offset] as it stands in memory: 0 or 1, of any number, a NaN too."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(data(context, builder, signature.args[0], args[0]), [args[1]])
        whole = ir.IntType(8 * context.get_abi_sizeof(place.type.pointee))
        bits = builder.load(builder.bitcast(place, whole.as_pointer()))
        return builder.zext(builder.trunc(bits, ir.IntType(1)), args[1].type)

    return types.intp(array, types.intp), generate


@intrinsic  # type: ignore[misc]
def transpose(typing: Any, out: Any, oo: Any, ldo: Any, source: Any, so: Any, lds: Any) -> Any:
    """out[oo + r ldo + k] = source[so + k lds + r] for r, k < lanes.

    Each stage exchanges one bit of the row's number with the same bit of the place in the row."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, out)
        out_, source_ = (e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 3))
        rows = [e.load(source_, e.times(k, args[5])).values[0] for k in range(e.lanes)]
        bit = 1
        while bit < e.lanes:
            low = [k if not k & bit else e.lanes + k - bit for k in range(e.lanes)]
            high = [k + bit if not k & bit else e.lanes + k for k in range(e.lanes)]
            masks = [ir.Constant(ir.VectorType(_i32, e.lanes), choice) for choice in (low, high)]
            for r in range(e.lanes):
                if not r & bit:
                    pair = rows[r], rows[r | bit]
                    rows[r], rows[r | bit] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            bit *= 2
        for r, value in enumerate(rows):
            e.store(Vector(e, value), out_, e.times(r, args[2]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(out, n, n, source, n, n), generate
