"""Vectors of the processor at hand, as LLVM IR: the matrix micro-kernel, and arithmetic for the cells.

A `Vector` is a value in a register; arithmetic on it emits instructions while a kernel is compiled, so
the cells' equations are written once, in Python, for every width and both float types.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_i32, _i64 = ir.IntType(32), ir.IntType(64)
TILE_ROWS = 6  # rows of the micro-kernel's tile: 6 x 2 vectors fill 12 of 16 registers, 6 x 4 24 of 32
BLOCK = 4  # vectors of a panel's row: one for each gate


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

    def at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.gep(pointer, [self.index(offset)])

    def load(self, pointer: Any, offset: Any = 0) -> Vector:
        address = self.builder.bitcast(self.at(pointer, offset), self.type.as_pointer())
        value = self.builder.load(address)
        value.align = self.bits // 8
        return Vector(self, value)

    def store(self, vector: Vector, pointer: Any, offset: Any = 0) -> None:
        address = self.builder.bitcast(self.at(pointer, offset), self.type.as_pointer())
        self.builder.store(vector.value, address).align = self.bits // 8

    def splat(self, number: float) -> Vector:
        return Vector(self, ir.Constant(self.type, [number] * self.lanes))

    def broadcast(self, pointer: Any, offset: Any) -> Vector:
        undefined = ir.Constant(self.type, ir.Undefined)
        one = self.builder.insert_element(
            undefined, self.builder.load(self.at(pointer, offset)), ir.Constant(_i32, 0)
        )
        zeros = ir.Constant(ir.VectorType(_i32, self.lanes), [0] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(one, undefined, zeros))

    def call(self, name: str, *arguments: Vector) -> Vector:
        """llvm.NAME over vectors; inserted by name, since declare_intrinsic takes no vector types."""
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(self.type, [self.type] * len(arguments)),
            f"llvm.{name}.v{self.lanes}f{self.bits}",
        )
        return Vector(self, self.builder.call(function, [a.value for a in arguments]))

    def fma(self, a: Vector, b: Vector, c: Vector) -> Vector:
        """a * b + c; fmuladd, not fma: where there is no such instruction the latter is a library call."""
        return self.call("fmuladd", a, b, c)


class Vector:
    """A vector register's value with the operators that the cells' equations need."""

    def __init__(self, emitter: Emitter, value: Any) -> None:
        self.emitter, self.value = emitter, value

    def _of(self, other: Vector | float) -> Vector:
        return other if isinstance(other, Vector) else self.emitter.splat(other)

    def _emit(self, name: str, left: Vector | float, right: Vector | float) -> Vector:
        a, b = self._of(left).value, self._of(right).value
        return Vector(self.emitter, getattr(self.emitter.builder, name)(a, b))

    def __add__(self, other: Vector | float) -> Vector:
        return self._emit("fadd", self, other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._emit("fsub", self, other)

    def __rsub__(self, other: Vector | float) -> Vector:
        return self._emit("fsub", other, self)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._emit("fmul", self, other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._emit("fdiv", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Vector:
        return Vector(self.emitter, self.emitter.builder.fneg(self.value))

    def fma(self, factor: Vector | float, term: Vector | float) -> Vector:
        """self * factor + term, rounded once where the processor can."""
        return self.emitter.fma(self, self._of(factor), self._of(term))

    def _select(self, comparison: str, bound: float) -> Vector:
        b, limit = self.emitter.builder, self._of(bound)
        return Vector(
            self.emitter,
            b.select(b.fcmp_ordered(comparison, self.value, limit.value), limit.value, self.value),
        )

    def at_most(self, bound: float) -> Vector:
        """min(self, bound); a NaN stays one."""
        return self._select(">", bound)

    def at_least(self, bound: float) -> Vector:
        """max(self, bound); a NaN stays one."""
        return self._select("<", bound)

    def __abs__(self) -> Vector:
        return self.emitter.call("fabs", self)

    def with_sign_of(self, other: Vector) -> Vector:
        return self.emitter.call("copysign", self, other)

    def reciprocal(self) -> Vector:
        """1 / self, for 1 <= self < 2**126 (2**1022 in float64).

        A 512-bit division keeps its unit busy for 16 cycles or more. There an estimate of 14 bits is refined by
        Newton steps, the last of which rounds as the division does (P. Markstein, "Computation of elementary
        functions on the IBM RISC System/6000 processor", 1990), but for one mantissa, all ones.
        """
        e = self.emitter
        if vector_bytes() != 64:
            return self._emit("fdiv", 1.0, self)
        kind, mask = ("ps", 16) if e.bits == 32 else ("pd", 8)
        function = cgutils.get_or_insert_function(
            e.builder.module,
            ir.FunctionType(e.type, [e.type, e.type, ir.IntType(mask)]),
            f"llvm.x86.avx512.rcp14.{kind}.512",
        )
        everyone = ir.Constant(ir.IntType(mask), -1)
        r = Vector(e, e.builder.call(function, [self.value, e.splat(0.0).value, everyone]))
        for _ in range(2 if e.bits == 32 else 3):
            r = r.fma((-self).fma(r, 1.0), r)
        return r

    def power_of_two(self, mantissa_bits: int, bias: int) -> Vector:
        """2**k, where self is k + 1.5 * 2**mantissa_bits: k stands in the lowest bits and moves to the exponent."""
        e = self.emitter
        b = e.builder
        constant = lambda v: ir.Constant(e.int_type, [v] * e.lanes)  # noqa: E731
        integer = b.bitcast(self.value, e.int_type)
        exponent = b.shl(b.add(integer, constant(bias)), constant(mantissa_bits))
        return Vector(e, b.bitcast(exponent, e.type))


def data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Pointer to an array's first number."""
    return context.make_array(array_type)(context, builder, array).data


def emitter(context: Any, builder: Any, array_type: Any) -> Emitter:
    """An Emitter for the float type of that array."""
    scalar = array_type.dtype
    return Emitter(builder, context.get_data_type(scalar), scalar.bitwidth // 8)


def _tile(rows: int, row_of_a: int | None = None) -> Any:
    """tile(a, ao, lda, depth, p, po, init, io, ldi, out, oo, ldo):
    out[oo + r ldo + j] = init[io + r ldi + j] + sum over k of A[r, k] p[po + k 4 lanes + j], in that order,
    for r < rows and j < 4 lanes. A[r, k] is a[ao + r lda + k]. Where `row_of_a` is given, A[r, k] is
    a[ao + k row_of_a + r], and the sum starts from 0 and is added to out: one rounding for a whole block."""

    @intrinsic  # type: ignore[misc]
    def tile(typing: Any, a: Any, ao: Any, lda: Any, depth: Any, p: Any, po: Any, init: Any, io: Any, ldi: Any,
             out: Any, oo: Any, ldo: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, p)
            array = lambda n: data(context, builder, signature.args[n], args[n])  # noqa: E731
            a_base, panel = e.at(array(0), args[1]), e.at(array(4), args[5])
            start, result = e.at(array(6), args[7]), e.at(array(9), args[10])
            starts = [e.at(a_base, builder.mul(args[2], e.index(r))) for r in range(1 if row_of_a else rows)]
            init_rows = [e.at(start, builder.mul(args[8], e.index(r))) for r in range(rows)]
            out_rows = [e.at(result, builder.mul(args[11], e.index(r))) for r in range(rows)]
            whole = builder.ashr(args[3], e.index(2))  # turns of 4 k each, then the rest one by one
            rest = builder.and_(args[3], e.index(3))
            # all the sums of a pass, one row of the panel and one broadcast number share the registers
            vectors = max(v for v in (1, 2, 4) if v == 1 or rows * v + v + 1 <= registers())
            for side in range(0, BLOCK, vectors):
                cells = [(r, side + v) for r in range(rows) for v in range(vectors)]
                if row_of_a:
                    sums = {cell: e.splat(0.0) for cell in cells}
                else:
                    sums = {(r, v): e.load(init_rows[r], v * e.lanes) for r, v in cells}
                sums, pointers = _turns(e, whole, 4, sums, [panel, *starts], row_of_a)
                sums, _ = _turns(e, rest, 1, sums, pointers, row_of_a)
                for (r, v), total in sums.items():
                    if row_of_a:
                        total = e.load(out_rows[r], v * e.lanes) + total
                    e.store(total, out_rows[r], v * e.lanes)
            return context.get_dummy_value()

        index = types.intp
        signature = types.void(a, index, index, index, p, index, init, index, index, out, index, index)
        return signature, generate

    return tile


def _turns(
    e: Emitter, count: Any, unroll: int, sums: dict[Any, Vector], pointers: list[Any], row_of_a: int | None
) -> tuple[dict[Any, Vector], list[Any]]:
    """A loop of `count` turns, each `unroll` rows k of the panel; sums and pointers after it. Every operand has
    a pointer of its own that moves, or the compiler keeps offsets in registers it has not got."""
    b = e.builder
    before = b.block
    head, body, end = (b.append_basic_block(name) for name in ("k.head", "k.body", "k.end"))
    b.branch(head)
    b.position_at_end(head)
    left = b.phi(_i64)
    moving = [b.phi(pointer.type) for pointer in pointers]
    running = {cell: b.phi(e.type) for cell in sums}
    b.cbranch(b.icmp_signed(">", left, e.index(0)), body, end)
    b.position_at_end(body)
    after = {cell: Vector(e, value) for cell, value in running.items()}
    panel, a = moving[0], moving[1:]
    for k in range(unroll):
        weights = {v: e.load(panel, (k * BLOCK + v) * e.lanes) for v in sorted({v for _, v in sums})}
        for r in sorted({r for r, _ in sums}):
            number = e.broadcast(a[0], k * row_of_a + r) if row_of_a else e.broadcast(a[r], k)
            for v, weight in weights.items():
                after[r, v] = e.fma(number, weight, after[r, v])
    left.add_incoming(count, before)
    left.add_incoming(b.sub(left, e.index(1)), body)
    steps = [unroll * BLOCK * e.lanes] + [unroll * (row_of_a or 1)] * len(a)
    for phi, pointer, step in zip(moving, pointers, steps, strict=True):
        phi.add_incoming(pointer, before)
        phi.add_incoming(e.at(phi, step), body)
    for cell, phi in running.items():
        phi.add_incoming(sums[cell].value, before)
        phi.add_incoming(after[cell].value, body)
    b.branch(head)
    b.position_at_end(end)
    return {cell: Vector(e, phi) for cell, phi in running.items()}, moving


tile_1, tile_2, tile_3, tile_4, tile_5, tile_6 = (_tile(rows) for rows in range(1, TILE_ROWS + 1))
outer_6 = _tile(TILE_ROWS, TILE_ROWS)


@intrinsic  # type: ignore[misc]
def lanes_of(typing: Any, array: Any) -> Any:
    """Numbers of that array's type in a vector register; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_i64, lanes(array.dtype.bitwidth // 8))

    return types.intp(array), generate


@intrinsic  # type: ignore[misc]
def copy(typing: Any, out: Any, oo: Any, source: Any, so: Any, count: Any) -> Any:
    """out[oo : oo + count] = source[so : so + count], two different arrays. Rows are short: a call of memcpy
    would cost more than the loop."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, out)
        target = e.at(data(context, builder, out, args[0]), args[1])
        origin = e.at(data(context, builder, source, args[2]), args[3])
        whole = builder.and_(args[4], e.index(-e.lanes))
        with cgutils.for_range_slice(builder, e.index(0), whole, e.index(e.lanes), intp=_i64) as (j, _):
            e.store(e.load(origin, j), target, j)
        with cgutils.for_range_slice(builder, whole, args[4], e.index(1), intp=_i64) as (j, _):
            builder.store(builder.load(e.at(origin, j)), e.at(target, j))
        return context.get_dummy_value()

    return types.void(out, types.intp, source, types.intp, types.intp), generate
