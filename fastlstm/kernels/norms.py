"""Layer normalisation: sums over the units of a sample, and the phases that need them, forward and backward.

A normalized cell's first phase leaves z as it is. Each of the two that follow takes means and variances over all units
of a row, then runs its equations over the blocks of units that are asked for. What stands behind the last unit, in the
last vector, counts for nothing. The sums are added up in one order, whoever takes them.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..params import NORMALIZED_EPSILON
from .cells import kept_of, marked, rows_of_vectors
from .options import compiled
from .simd import BLOCK, Emitter, Vector, data, emitter, lanes_of, on_stack

GATES_PHASE, OUTPUT_PHASE = 1, 2  # numbers of the phases behind the first


def _total(e: Emitter, vector: Vector) -> Any:
    """The sum of a vector's numbers, by halves."""
    b, (value,), size = e.builder, vector.values, e.lanes
    while size > 1:
        size //= 2
        low, high = (
            b.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(at, at + size))))
            for at in (0, size)
        )
        value = b.fadd(low, high)
    return b.extract_element(value, ir.Constant(ir.IntType(32), 0))


def _sum_of_row(e: Emitter, units: Any, term: Any) -> Any:
    """The sum of term(block, units from there on) over the blocks of a row; the last block's by halves of its own."""
    b, lanes = e.builder, e.index(e.lanes)
    total = cgutils.alloca_once_value(b, e.splat(0.0).values[0])
    blocks = b.sdiv(b.add(units, e.index(e.lanes - 1)), lanes)
    with cgutils.for_range(b, blocks, intp=units.type) as loop:
        left = b.sub(units, b.mul(loop.index, lanes))
        b.store((Vector(e, b.load(total)) + e.first(left, term(loop.index, left))).values[0], total)
    return _total(e, Vector(e, b.load(total)))


@intrinsic  # type: ignore[misc]
def row_sum(typing: Any, x: Any, xo: Any, stride: Any, units: Any) -> Any:
    """The sum of a row's numbers, in vectors from x[xo] on, `stride` from one to the next."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, x)
        x_ = e.at(data(context, builder, x, args[0]), args[1])
        return _sum_of_row(e, args[3], lambda block, left: e.load_some(left, x_, builder.mul(block, args[2])))

    return x.dtype(x, types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def row_product(typing: Any, x: Any, xo: Any, x_stride: Any, x_mean: Any, y: Any, yo: Any, y_stride: Any, y_mean: Any,
                units: Any) -> Any:  # fmt: skip
    """The sum of (x - x_mean) (y - y_mean) over two rows' numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, x)
        x_, y_ = (e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 4))
        x_mean_, y_mean_ = e.everywhere(args[3]), e.everywhere(args[7])
        return _sum_of_row(
            e, args[8],
            lambda block, left: (e.load_some(left, x_, builder.mul(block, args[2])) - x_mean_)
            * (e.load_some(left, y_, builder.mul(block, args[6])) - y_mean_),
        )  # fmt: skip

    n, number = types.intp, x.dtype
    return number(x, n, n, number, y, n, n, number, n), generate


@compiled
def moments(x: Any, xo: Any, stride: Any, units: Any, out: Any, oo: Any) -> None:
    """out[oo]: the mean of a row, out[oo + 1]: 1 / sqrt(its variance + epsilon)."""
    number = out.dtype.type
    count = number(units)
    mean = row_sum(x, xo, stride, units) / count
    variance = row_product(x, xo, stride, mean, x, xo, stride, mean, units) / count
    out[oo] = mean
    out[oo + 1] = number(1) / number(math.sqrt(variance + number(NORMALIZED_EPSILON)))


@compiled
def means_of(d: Any, do: Any, d_stride: Any, x: Any, xo: Any, x_stride: Any, units: Any, of: Any, oo: Any, out: Any,
             place: Any) -> None:  # fmt: skip
    """Of a gradient d of the normalised x, whose moments stand at of[oo]: out[place] its mean, out[place + 1] that of
    its product with the normalised x."""
    number = out.dtype.type
    count = number(units)
    out[place] = row_sum(d, do, d_stride, units) / count
    out[place + 1] = row_product(d, do, d_stride, number(0), x, xo, x_stride, of[oo], units) * of[oo + 1] / count


def _places(context: Any, e: Emitter, signature: Any, args: Any, *numbers: int) -> list[Any]:
    """Pointers from (array, offset) pairs that begin at those arguments."""
    return [e.at(data(context, e.builder, signature.args[n], args[n]), args[n + 1]) for n in numbers]


def _pairs(e: Emitter, place: Any, first: int, count: int) -> list[tuple[Vector, Vector]]:
    """Pairs of numbers, each in a whole vector."""
    return [(e.broadcast(place, first + 2 * n), e.broadcast(place, first + 2 * n + 1)) for n in range(count)]


def _vectors(e: Emitter, place: Any, count: int) -> list[Vector]:
    return [e.load(place, n * e.lanes) for n in range(count)]


def _normal(number: int) -> Any:
    """normal(cell, gates, go, c, co, h, ho, old, oo, own, wo, stats, so, left, real): that phase for one block of units
    of a sample: from z on the tape, c, what the phase before left in the place of h, the old h, weights for the
    equations and moments. `left` units of c and h, as far as the arrays go; `real` of the old h, and zeros behind."""

    @intrinsic  # type: ignore[misc]
    def normal(typing: Any, cell: Any, gates: Any, go: Any, c: Any, co: Any, h: Any, ho: Any, old: Any, oo: Any,
               own: Any, wo: Any, stats: Any, so: Any, left: Any, real: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, table = emitter(context, builder, gates), marked(cell)
            gates_, c_, h_, old_, own_, stats_ = _places(context, e, signature, args, 1, 3, 5, 7, 9, 11)
            some = args[13]
            first, kept, c_new, hidden = table.phases[number].forward(
                _vectors(e, gates_, BLOCK), e.load_some(some, c_), e.load_some(some, h_), e.load_some(args[14], old_),
                _pairs(e, stats_, 0, BLOCK if number == GATES_PHASE else 1), _vectors(e, own_, table.vectors),
            )  # fmt: skip
            for n, value in enumerate(kept):
                e.store(value, gates_, (first + n) * e.lanes)
            if c_new is not None:
                e.store_some(some, c_new, c_)
            e.store_some(some, hidden, h_)
            return context.get_dummy_value()

        n = types.intp
        return types.void(cell, gates, n, c, n, h, n, old, n, own, n, stats, n, n, n), generate

    return normal


normal_gates, normal_output = _normal(GATES_PHASE), _normal(OUTPUT_PHASE)


@compiled
def normalize(cell: Any, phase: Any, lo: Any, hi: Any, rows: Any, h: Any, h0: Any, h_row: Any, old: Any, old0: Any,
              old_row: Any, panels: Any, p0: Any, p_block: Any, H: Any, cs: Any, c0: Any, c_row: Any, gates: Any,
              g0: Any, g_row: Any, g_block: Any, limit: Any) -> None:  # fmt: skip
    """A phase behind the first, of a step of some rows, for blocks lo to hi of units: z in `gates`, the new c, made
    from the old one, at cs[c0], the new h at h[h0]. p0: where a block's weights for the equations begin; limit: numbers
    of a row of h and c that may be touched. The last block goes first: without a tape, what a block keeps behind its z
    may come to lie where the z of those behind it was."""
    L = lanes_of(panels)
    stats = on_stack(panels, 2 * BLOCK)
    for r in range(rows):
        g, c = g0 + r * g_row, c0 + r * c_row
        if phase == GATES_PHASE:
            for gate in range(BLOCK):
                moments(gates, g + gate * L, g_block, H, stats, 2 * gate)
        else:
            moments(cs, c, L, H, stats, 0)
        for j in range(hi - lo):
            b = hi - 1 - j
            where = (cell, gates, g + b * g_block, cs, c + b * L, h, h0 + r * h_row + b * L, old,
                     old0 + r * old_row + b * L, panels, p0 + b * p_block, stats, 0, limit - b * L,
                     H - b * L)  # fmt: skip
            if phase == GATES_PHASE:
                normal_gates(*where)
            else:
                normal_output(*where)


# moments of the new c, means of the gradient of the normalised c; then the same of each gate's z
_OF_C, _MEANS_OF_C, _OF_Z, _MEANS_OF_Z = 0, 2, 4, 4 + 2 * BLOCK
_STATS = 4 + 4 * BLOCK


def _store_sums(e: Emitter, sums: dict[int, Vector], place: Any) -> None:
    for n, value in sums.items():
        e.store(value, place, n * e.lanes)


@intrinsic  # type: ignore[misc]
def output_back(typing: Any, cell: Any, gates: Any, go: Any, c: Any, co: Any, dh: Any, ho: Any, t: Any, to: Any,
                dz: Any, zo: Any, own: Any, wo: Any, down: Any, do: Any, stats: Any, so: Any) -> Any:  # fmt: skip
    """The last phase for a block of units of one sample: the gradient of the normalised c to t, the last gate's to its
    place in dz, what adds up to those of the weights for the equations to `down`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, gates), marked(cell)
        gates_, c_, dh_, t_, dz_, own_, down_, stats_ = _places(context, e, signature, args, 1, 3, 5, 7, 9, 11, 13, 15)
        last, normal, sums = table.phases[OUTPUT_PHASE].backward(
            _vectors(e, gates_, table.kept), e.load(c_), e.load(dh_), _pairs(e, stats_, _OF_C, 1)[0],
            _vectors(e, own_, table.vectors),
        )  # fmt: skip
        e.store(last, dz_, (BLOCK - 1) * e.lanes)
        e.store(normal, t_)
        _store_sums(e, sums, down_)
        return context.get_dummy_value()

    arrays = (gates, c, dh, t, dz, own, down, stats)
    return types.void(cell, *(kind for array in arrays for kind in (array, types.intp))), generate


@intrinsic  # type: ignore[misc]
def gates_back(typing: Any, cell: Any, gates: Any, go: Any, c: Any, co: Any, c_old: Any, oo: Any, dc: Any, dco: Any,
               t: Any, to: Any, dz: Any, zo: Any, own: Any, wo: Any, down: Any, do: Any, stats: Any,
               so: Any) -> Any:  # fmt: skip
    """The phase before it: the gradients of the normalised z to dz; dc changes in place."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, gates), marked(cell)
        gates_, c_, old_, dc_, t_, dz_, own_, down_, stats_ = _places(
            context, e, signature, args, 1, 3, 5, 7, 9, 11, 13, 15, 17
        )
        normal, dc_new, sums = table.phases[GATES_PHASE].backward(
            _vectors(e, gates_, table.kept), e.load(c_), e.load(old_), e.load(dc_), e.load(t_),
            e.load(dz_, (BLOCK - 1) * e.lanes), *_pairs(e, stats_, _OF_C, 2), _pairs(e, stats_, _OF_Z, BLOCK),
            _vectors(e, own_, table.vectors),
        )  # fmt: skip
        for gate, value in enumerate(normal):
            e.store(value, dz_, gate * e.lanes)
        e.store(dc_new, dc_)
        _store_sums(e, sums, down_)
        return context.get_dummy_value()

    arrays = (gates, c, c_old, dc, t, dz, own, down, stats)
    return types.void(cell, *(kind for array in arrays for kind in (array, types.intp))), generate


@intrinsic  # type: ignore[misc]
def raw_back(typing: Any, cell: Any, gates: Any, go: Any, dz: Any, zo: Any, h_old: Any, ho: Any, stats: Any,
             so: Any) -> Any:  # fmt: skip
    """The first phase: the gradients of z itself, in place; and the old h."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, gates), marked(cell)
        gates_, dz_, h_, stats_ = _places(context, e, signature, args, 1, 3, 5, 7)
        out, hidden = table.phases[0].backward(
            _vectors(e, gates_, table.kept), _vectors(e, dz_, BLOCK), _pairs(e, stats_, _OF_Z, BLOCK),
            _pairs(e, stats_, _MEANS_OF_Z, BLOCK),
        )  # fmt: skip
        for gate, value in enumerate(out):
            e.store(value, dz_, gate * e.lanes)
        e.store(hidden, h_)
        return context.get_dummy_value()

    arrays = (gates, dz, h_old, stats)
    return types.void(cell, *(kind for array in arrays for kind in (array, types.intp))), generate


@compiled
def normalize_back(cell: Any, phase: Any, lo: Any, hi: Any, H: Any, gates: Any, g: Any, cells: Any, c: Any, held: Any,
                   c_old: Any, c_block: Any, t: Any, u: Any, dh: Any, dho: Any, dc: Any, dco: Any, dz: Any, zo: Any,
                   down: Any, h_old: Any, ho: Any, panels: Any, p0: Any, p_block: Any) -> None:  # fmt: skip
    """A phase of a step back of one row, for blocks lo to hi of units, from the last phase to the first: the new c at
    cells[c], the old one at held[c_old], from block to block c_block."""
    L = lanes_of(panels)
    width, g_width = BLOCK * L, kept_of(cell) * L
    stats = on_stack(panels, _STATS)
    if phase > 0:
        moments(cells, c, L, H, stats, _OF_C)
    if phase < OUTPUT_PHASE:
        for gate in range(BLOCK):
            moments(gates, g + gate * L, g_width, H, stats, _OF_Z + 2 * gate)
    if phase == GATES_PHASE:
        means_of(t, u, L, cells, c, L, H, stats, _OF_C, stats, _MEANS_OF_C)
    if phase == 0:
        for gate in range(BLOCK):
            means_of(dz, zo + gate * L, width, gates, g + gate * L, g_width, H, stats, _OF_Z + 2 * gate, stats,
                     _MEANS_OF_Z + 2 * gate)  # fmt: skip
    for b in range(lo, hi):
        tape, z, v, w = g + b * g_width, zo + b * width, u + b * L, p0 + b * p_block
        own_sums = down + b * rows_of_vectors(cell) * width
        if phase == OUTPUT_PHASE:
            output_back(cell, gates, tape, cells, c + b * L, dh, dho + b * L, t, v, dz, z, panels, w, dz, own_sums,
                        stats, 0)  # fmt: skip
        elif phase == GATES_PHASE:
            gates_back(cell, gates, tape, cells, c + b * L, held, c_old + b * c_block, dc, dco + b * L, t, v, dz, z,
                       panels, w, dz, own_sums, stats, 0)  # fmt: skip
        else:
            raw_back(cell, gates, tape, dz, z, h_old, ho + b * L, stats, 0)
