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

from ...cells.cell import Cell, Gates, Moments, NormalGates, Normed, Rows
from ...cells.normalized import Norms
from ...params import NORMALIZED_EPSILON
from ..compiler.options import compiled
from ..vectors.emitter import Emitter, Vector, data, emitter
from ..vectors.target import BLOCK
from ..vectors.views import lanes_of, on_stack
from .cell_type import kept_of, marked, rows_of_vectors

_SHIFTS_OF_Z = Norms._fields.index("z_shift")
Z_SCALE, Z_SHIFT, C_SCALE, C_SHIFT = (BLOCK * row for row in range(len(Norms._fields)))  # their first vectors
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


def _sums_of_row(e: Emitter, units: Any, count: int, terms: Any) -> list[Any]:
    """The sums of each of the `count` terms(block, units from there on) over the blocks of a row."""
    b, lanes = e.builder, e.index(e.lanes)
    totals = [cgutils.alloca_once_value(b, e.splat(0.0).values[0]) for _ in range(count)]
    blocks = b.sdiv(b.add(units, e.index(e.lanes - 1)), lanes)
    with cgutils.for_range(b, blocks, intp=units.type) as loop:
        left = b.sub(units, b.mul(loop.index, lanes))
        for total, term in zip(totals, terms(loop.index, left), strict=True):
            b.store((Vector(e, b.load(total)) + e.first(left, term)).values[0], total)
    return [_total(e, Vector(e, b.load(total))) for total in totals]


@intrinsic  # type: ignore[misc]
def row_sum(typing: Any, x: Any, xo: Any, stride: Any, units: Any) -> Any:
    """The sum of a row's numbers, in vectors from x[xo] on, `stride` from one to the next."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, x)
        x_ = e.at(data(context, builder, x, args[0]), args[1])
        terms = lambda block, left: [e.load_some(left, x_, builder.mul(block, args[2]))]  # noqa: E731
        return _sums_of_row(e, args[3], 1, terms)[0]

    return x.dtype(x, types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def row_squares(typing: Any, x: Any, xo: Any, stride: Any, mean: Any, units: Any) -> Any:
    """The sum of (x - mean)² over a row's numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, x)
        x_, mean_ = e.at(data(context, builder, x, args[0]), args[1]), e.everywhere(args[3])

        def terms(block: Any, left: Any) -> list[Vector]:
            apart = e.load_some(left, x_, builder.mul(block, args[2])) - mean_
            return [apart * apart]

        return _sums_of_row(e, args[4], 1, terms)[0]

    return x.dtype(x, types.intp, types.intp, x.dtype, types.intp), generate


@intrinsic  # type: ignore[misc]
def gradient_sums(typing: Any, d: Any, do: Any, d_stride: Any, s: Any, so: Any, s_stride: Any, x: Any, xo: Any,
                  x_stride: Any, mean: Any, units: Any, out: Any, oo: Any) -> Any:  # fmt: skip
    """out[oo]: the sum of d s over rows of whole vectors, out[oo + 1]: that of d s (x - mean)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, d)
        d_, s_, x_, out_ = _places(context, e, signature, args, 0, 3, 6, 11)
        mean_ = e.everywhere(args[9])

        def terms(block: Any, left: Any) -> list[Vector]:
            scaled = e.load(d_, builder.mul(block, args[2])) * e.load(s_, builder.mul(block, args[5]))
            return [scaled, scaled * (e.load(x_, builder.mul(block, args[8])) - mean_)]

        for n, total in enumerate(_sums_of_row(e, args[10], 2, terms)):
            builder.store(total, e.at(out_, e.index(n)))
        return context.get_dummy_value()

    n = types.intp
    return types.void(d, n, n, s, n, n, x, n, n, d.dtype, n, out, n), generate


@compiled
def moments(x: Any, xo: Any, stride: Any, units: Any, out: Any, oo: Any) -> None:
    """out[oo]: the mean of a row, out[oo + 1]: 1 / sqrt(its variance + epsilon)."""
    number = out.dtype.type
    count = number(units)
    mean = row_sum(x, xo, stride, units) / count
    variance = row_squares(x, xo, stride, mean, units) / count
    out[oo] = mean
    out[oo + 1] = number(1) / number(math.sqrt(variance + number(NORMALIZED_EPSILON)))


@compiled
def means_of(d: Any, do: Any, d_stride: Any, s: Any, so: Any, s_stride: Any, x: Any, xo: Any, x_stride: Any,
             units: Any, stats: Any, of: Any, place: Any) -> None:  # fmt: skip
    """Of the gradient d s of the normalised x, whose moments stand at stats[of]: stats[place] its mean,
    stats[place + 1] that of its product with the normalised x. d: the gradient of the norm's shifts, s: its scales."""
    number = stats.dtype.type
    count = number(units)
    gradient_sums(d, do, d_stride, s, so, s_stride, x, xo, x_stride, stats[of], units, stats, place)
    stats[place] = stats[place] / count
    stats[place + 1] = stats[place + 1] * stats[of + 1] / count


def _places(context: Any, e: Emitter, signature: Any, args: Any, *numbers: int) -> list[Any]:
    """Pointers from (array, offset) pairs that begin at those arguments."""
    return [e.at(data(context, e.builder, signature.args[n], args[n]), args[n + 1]) for n in numbers]


def _moments(e: Emitter, place: Any, at: int) -> Moments:
    """A pair of numbers, each in a whole vector."""
    return Moments(e.broadcast(place, at), e.broadcast(place, at + 1))


def _of_gates(e: Emitter, place: Any, at: int) -> Gates:
    """Pairs for each gate."""
    return Gates(*(_moments(e, place, at + 2 * gate) for gate in range(BLOCK)))


def _rows(e: Emitter, cell: Cell, place: Any) -> Rows:
    """Unit weights, or what adds up to their gradients."""
    return tuple(
        Gates(*(e.load(place, (n * BLOCK + gate) * e.lanes) for gate in range(BLOCK)))
        for n in range(len(cell.unit_weights))
    )


def _tape(e: Emitter, cell: Cell, place: Any) -> Any:
    return cell.tape(*(e.load(place, n * e.lanes) for n in range(cell.kept)))


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
            phase, c, h, h_old = (
                table.phases[number], e.load_some(some, c_), e.load_some(some, h_), e.load_some(args[14], old_),
            )  # fmt: skip
            if isinstance(phase, NormalGates):
                z = Gates(*(e.load(gates_, gate * e.lanes) for gate in range(BLOCK)))
                made = phase.forward(z, c, _of_gates(e, stats_, 0), _rows(e, table, own_))
            else:
                made = phase.forward(h, h_old, c, _moments(e, stats_, 0), _rows(e, table, own_))
            for n, value in enumerate(made.kept, table.kept_from(phase)):
                e.store(value, gates_, n * e.lanes)
            if made.c is not None:
                e.store_some(some, made.c, c_)
            e.store_some(some, made.h, h_)
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


def _store_sums(e: Emitter, sums: Rows, place: Any) -> None:
    for n, value in enumerate(value for row in sums for value in row):
        if value is not None:
            e.store(value, place, n * e.lanes)


@intrinsic  # type: ignore[misc]
def output_back(typing: Any, cell: Any, gates: Any, go: Any, c: Any, co: Any, dh: Any, ho: Any, own: Any, wo: Any,
                down: Any, do: Any, stats: Any, so: Any) -> Any:  # fmt: skip
    """The last phase for a block of units of one sample: what adds up to the gradients of the weights for the
    equations goes to `down`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, gates), marked(cell)
        gates_, c_, dh_, own_, down_, stats_ = _places(context, e, signature, args, 1, 3, 5, 7, 9, 11)
        sums = table.phases[OUTPUT_PHASE].backward(
            _tape(e, table, gates_), e.load(c_), e.load(dh_), _moments(e, stats_, _OF_C), _rows(e, table, own_)
        )
        _store_sums(e, sums, down_)
        return context.get_dummy_value()

    arrays = (gates, c, dh, own, down, stats)
    return types.void(cell, *(kind for array in arrays for kind in (array, types.intp))), generate


@intrinsic  # type: ignore[misc]
def gates_back(typing: Any, cell: Any, gates: Any, go: Any, c: Any, co: Any, c_old: Any, oo: Any, dc: Any, dco: Any,
               own: Any, wo: Any, down: Any, do: Any, stats: Any, so: Any) -> Any:  # fmt: skip
    """The phase before it: of the same kind; dc changes in place."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, gates), marked(cell)
        gates_, c_, old_, dc_, own_, down_, stats_ = _places(context, e, signature, args, 1, 3, 5, 7, 9, 11, 13)
        given = Normed(
            e.load(c_), e.load(old_), e.load(dc_), _rows(e, table, down_), _moments(e, stats_, _OF_C),
            _moments(e, stats_, _MEANS_OF_C),
        )  # fmt: skip
        dc_new, sums = table.phases[GATES_PHASE].backward(
            _tape(e, table, gates_), given, _of_gates(e, stats_, _OF_Z), _rows(e, table, own_)
        )
        e.store(dc_new, dc_)
        _store_sums(e, sums, down_)
        return context.get_dummy_value()

    arrays = (gates, c, c_old, dc, own, down, stats)
    return types.void(cell, *(kind for array in arrays for kind in (array, types.intp))), generate


@intrinsic  # type: ignore[misc]
def raw_back(typing: Any, cell: Any, gates: Any, go: Any, own: Any, wo: Any, down: Any, do: Any, dz: Any, zo: Any,
             h_old: Any, ho: Any, stats: Any, so: Any) -> Any:  # fmt: skip
    """The first phase: the gradients of z from those of the shifts, which other threads read too; and the old h."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, gates), marked(cell)
        gates_, own_, down_, dz_, h_, stats_ = _places(context, e, signature, args, 1, 3, 5, 7, 9, 11)
        out, hidden = table.phases[0].backward(
            _tape(e, table, gates_), _rows(e, table, down_)[_SHIFTS_OF_Z], _of_gates(e, stats_, _OF_Z),
            _of_gates(e, stats_, _MEANS_OF_Z), _rows(e, table, own_),
        )  # fmt: skip
        for gate, value in enumerate(out):
            e.store(value, dz_, gate * e.lanes)
        e.store(hidden, h_)
        return context.get_dummy_value()

    arrays = (gates, own, down, dz, h_old, stats)
    return types.void(cell, *(kind for array in arrays for kind in (array, types.intp))), generate


@compiled
def normalize_back(cell: Any, phase: Any, lo: Any, hi: Any, H: Any, gates: Any, g: Any, cells: Any, c: Any, held: Any,
                   c_old: Any, c_block: Any, dh: Any, dho: Any, dc: Any, dco: Any, dz: Any, zo: Any, down: Any,
                   h_old: Any, ho: Any, panels: Any, p0: Any, p_block: Any) -> None:  # fmt: skip
    """A phase of a step back of one row, for blocks lo to hi of units, from the last phase to the first: the new c at
    cells[c], the old one at held[c_old], from block to block c_block.

    The gradient of a normalised number is that of its shift, times its scale. The last phase leaves those of c's shifts
    at dz[down], the next those of z's: the phase after each reads them of all units, and writes to other places."""
    L = lanes_of(panels)
    width, g_width = BLOCK * L, kept_of(cell) * L
    d_block = rows_of_vectors(cell) * width
    stats = on_stack(panels, _STATS)
    if phase > 0:
        moments(cells, c, L, H, stats, _OF_C)
    if phase < OUTPUT_PHASE:
        for gate in range(BLOCK):
            moments(gates, g + gate * L, g_width, H, stats, _OF_Z + 2 * gate)
    if phase == GATES_PHASE:
        means_of(dz, down + C_SHIFT * L, d_block, panels, p0 + C_SCALE * L, p_block, cells, c, L, H, stats, _OF_C,
                 _MEANS_OF_C)  # fmt: skip
    if phase == 0:
        for gate in range(BLOCK):
            means_of(dz, down + (Z_SHIFT + gate) * L, d_block, panels, p0 + (Z_SCALE + gate) * L, p_block, gates,
                     g + gate * L, g_width, H, stats, _OF_Z + 2 * gate, _MEANS_OF_Z + 2 * gate)  # fmt: skip
    for b in range(lo, hi):
        tape, weights, sums = g + b * g_width, p0 + b * p_block, down + b * d_block
        if phase == OUTPUT_PHASE:
            output_back(cell, gates, tape, cells, c + b * L, dh, dho + b * L, panels, weights, dz, sums, stats, 0)
        elif phase == GATES_PHASE:
            gates_back(cell, gates, tape, cells, c + b * L, held, c_old + b * c_block, dc, dco + b * L, panels,
                       weights, dz, sums, stats, 0)  # fmt: skip
        else:
            raw_back(cell, gates, tape, panels, weights, dz, sums, dz, zo + b * width, h_old, ho + b * L, stats, 0)
