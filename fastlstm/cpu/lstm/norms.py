"""Layer normalisation: sums over the units of a sample, and the phases that need them, forward and backward.

A normalized cell's first phase leaves z as it is. Each of the two that follow takes means and variances over all units
of a row, then runs its equations over the blocks of units that are asked for. What stands behind the last unit, in the
last vector, counts for nothing. The sums are added up in one order, whoever takes them.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ...cells.normalized import Norms
from ...cells.phases import Cell, Gates, Moments, NormalGates, Normed, Rows
from ...params import NORMALIZED_EPSILON
from ..compiler.options import compiled, inlined
from ..vectors.emitted import Array, Int, Place, Real, emitted
from ..vectors.emitter import Emitter, Vector
from ..vectors.view import View, view
from ..vectors.views import lanes_of, on_stack
from .sizes import behind_h, panel_vectors

GATES = len(Gates._fields)
_SHIFTS_OF_Z = Norms._fields.index("z_shift")
Z_SCALE, Z_SHIFT, C_SCALE, C_SHIFT = (GATES * row for row in range(len(Norms._fields)))  # their first vectors
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


@emitted
def row_sum(e: Emitter, x: View, units: Int) -> Real:
    """The sum of a row's numbers, in vectors, a block from one to the next."""
    terms = lambda block, left: [e.load_some(left, x.data, e.builder.mul(block, x.block))]  # noqa: E731
    return _sums_of_row(e, units, 1, terms)[0]


@emitted
def row_squares(e: Emitter, x: View, mean: Real, units: Int) -> Real:
    """The sum of (x - mean)² over a row's numbers."""
    mean = e.everywhere(mean)

    def terms(block: Any, left: Any) -> list[Vector]:
        apart = e.load_some(left, x.data, e.builder.mul(block, x.block)) - mean
        return [apart * apart]

    return _sums_of_row(e, units, 1, terms)[0]


@emitted
def gradient_sums(e: Emitter, d: View, s: View, x: View, mean: Real, units: Int, out: Array, at: Int) -> None:
    """out[at]: the sum of d s over rows of whole vectors, out[at + 1]: that of d s (x - mean)."""
    mean = e.everywhere(mean)

    def terms(block: Any, left: Any) -> list[Vector]:
        d_, s_, x_ = (e.load(place.data, e.builder.mul(block, place.block)) for place in (d, s, x))
        scaled = d_ * s_
        return [scaled, scaled * (x_ - mean)]

    for n, total in enumerate(_sums_of_row(e, units, 2, terms)):
        e.builder.store(total, out.at(at, n))


@inlined
def moments(x: Any, units: Any, stats: Any, at: Any) -> None:
    """stats[at]: the mean of a row, stats[at + 1]: 1 / sqrt(its variance + epsilon)."""
    number = stats.dtype.type
    count = number(units)
    mean = row_sum(x, units) / count
    variance = row_squares(x, mean, units) / count
    stats[at] = mean
    stats[at + 1] = number(1) / number(math.sqrt(variance + number(NORMALIZED_EPSILON)))


@inlined
def means_of(d: Any, s: Any, x: Any, units: Any, stats: Any, of: Any, at: Any) -> None:
    """Of the gradient d s of the normalised x, whose moments stand at stats[of]: stats[at] its mean, stats[at + 1] that
    of its product with the normalised x. d: the gradient of the norm's shifts, s: its scales."""
    number = stats.dtype.type
    count = number(units)
    gradient_sums(d, s, x, stats[of], units, stats, at)
    stats[at] = stats[at] / count
    stats[at + 1] = stats[at + 1] * stats[of + 1] / count


def _moments(stats: Place, at: int) -> Moments:
    """A pair of numbers, each in a whole vector."""
    return Moments(stats.e.broadcast(stats.data, at), stats.e.broadcast(stats.data, at + 1))


def _of_gates(stats: Place, at: int) -> Gates:
    """Pairs for each gate."""
    return Gates(*(_moments(stats, at + 2 * gate) for gate in range(GATES)))


def _rows(cell: Cell, place: Place) -> Rows:
    """Unit weights, or what adds up to their gradients."""
    return tuple(
        Gates(*(place.load(1, (n * GATES + gate) * place.e.lanes) for gate in range(GATES)))
        for n in range(cell.weight_rows)
    )


def _kept(cell: Cell, place: Place) -> Any:
    return cell.tape(*(place.load(1, n * place.e.lanes) for n in range(cell.kept)))


def _normal(number: int) -> Any:
    """normal(cell, gates, c, h, h_old, weights, stats, left, real): that phase for one block of units of a sample: from
    z on the tape, c, what the phase before left in the place of h, the old h, unit weights and moments. `left` units of
    c and h, as far as the arrays go; `real` of the old h, and zeros behind."""

    @emitted
    def normal(e: Emitter, cell: Cell, gates: View, c: View, h: View, h_old: View, weights: View, stats: Array,
               left: Int, real: Int) -> None:  # fmt: skip
        phase, w = cell.phases[number], _rows(cell, weights)
        c_now, made, old = e.load_some(left, c.data), e.load_some(left, h.data), e.load_some(real, h_old.data)
        if isinstance(phase, NormalGates):
            z = Gates(*(gates.load(1, gate * e.lanes) for gate in range(GATES)))
            found = phase.forward(z, c_now, _of_gates(stats, 0), w)
        else:
            found = phase.forward(made, old, c_now, _moments(stats, 0), w)
        for n, value in enumerate(found.kept, cell.kept_from(phase)):
            gates.store(value, n * e.lanes)
        if found.c is not None:
            e.store_some(left, found.c, c.data)
        e.store_some(left, found.h, h.data)

    return normal


normal_gates, normal_output = _normal(GATES_PHASE), _normal(OUTPUT_PHASE)


@compiled
def normalize(phase: Any, lo: Any, hi: Any, rows: Any, sizes: Any, weights: Any, at: Any, limit: Any) -> None:
    """A phase behind the first, of a step of some rows, for blocks lo to hi of units. at: a `step.Step`, of which c_new
    holds the old c until a phase makes the new one. limit: numbers of a row of h and c that may be touched. The last
    block goes first: without a tape, what a block keeps behind its z may come to lie where the z of those behind it
    was."""
    L, cell, D, H, P = lanes_of(weights.panels), weights.cell, sizes.D, sizes.H, sizes.P
    unit_weights = view(weights.panels, behind_h(cell, D, P) * L, 0, panel_vectors(cell, D, P) * L)
    stats = on_stack(weights.panels, 2 * GATES)
    for r in range(rows):
        if phase == GATES_PHASE:
            for gate in range(GATES):
                moments(at.gates.at(r, 0) + gate * L, H, stats, 2 * gate)
        else:
            moments(at.c_new.at(r, 0), H, stats, 0)
        for j in range(hi - lo):
            b = hi - 1 - j
            where = (cell, at.gates.at(r, b), at.c_new.at(r, b), at.h_new.at(r, b), at.h_old.at(r, b),
                     unit_weights.at(0, b), stats, limit - b * L, H - b * L)  # fmt: skip
            if phase == GATES_PHASE:
                normal_gates(*where)
            else:
                normal_output(*where)


# moments of the new c, means of the gradient of the normalised c; then the same of each gate's z
_OF_C, _MEANS_OF_C, _OF_Z, _MEANS_OF_Z = 0, 2, 4, 4 + 2 * GATES
_STATS = 4 + 4 * GATES


def _store_sums(sums: Rows, place: Place) -> None:
    for n, value in enumerate(value for row in sums for value in row):
        if value is not None:
            place.store(value, n * place.e.lanes)


@emitted
def output_back(e: Emitter, cell: Cell, gates: View, c: View, dh: View, weights: View, down: View,
                stats: Array) -> None:  # fmt: skip
    """The last phase for a block of units of one sample: what adds up to the gradients of the unit weights goes to
    `down`."""
    phase, w = cell.phases[OUTPUT_PHASE], _rows(cell, weights)
    _store_sums(phase.backward(_kept(cell, gates), c.load(1), dh.load(1), _moments(stats, _OF_C), w), down)


@emitted
def gates_back(e: Emitter, cell: Cell, gates: View, c: View, c_old: View, dc: View, weights: View, down: View,
               stats: Array) -> None:  # fmt: skip
    """The phase before it: of the same kind; dc changes in place."""
    phase, w = cell.phases[GATES_PHASE], _rows(cell, weights)
    given = Normed(c.load(1), c_old.load(1), dc.load(1), _rows(cell, down), _moments(stats, _OF_C),
                   _moments(stats, _MEANS_OF_C))  # fmt: skip
    dc_new, sums = phase.backward(_kept(cell, gates), given, _of_gates(stats, _OF_Z), w)
    dc.store(dc_new)
    _store_sums(sums, down)


@emitted
def raw_back(e: Emitter, cell: Cell, gates: View, weights: View, down: View, dz: View, h_old: View,
             stats: Array) -> None:  # fmt: skip
    """The first phase: the gradients of z from those of the shifts, which other threads read too; and the old h."""
    shifts, w = _rows(cell, down)[_SHIFTS_OF_Z], _rows(cell, weights)
    of_z, means = _of_gates(stats, _OF_Z), _of_gates(stats, _MEANS_OF_Z)
    out, hidden = cell.phases[0].backward(_kept(cell, gates), shifts, of_z, means, w)
    for gate, value in enumerate(out):
        dz.store(value, gate * e.lanes)
    h_old.store(hidden)


@inlined
def normalize_back(phase: Any, lo: Any, hi: Any, H: Any, cell: Any, at: Any, zeros: Any) -> None:
    """A phase of a step back of one row, for blocks lo to hi of units, from the last phase to the first. at: a
    `step_back.RowBack`; zeros: any array of the float type.

    The gradient of a normalised number is that of its shift, times its scale. The last phase leaves those of c's shifts
    at at.down, the next those of z's: the phase after each reads them of all units, and writes to other places."""
    L = lanes_of(zeros)
    stats = on_stack(zeros, _STATS)
    if phase > 0:
        moments(at.c_new, H, stats, _OF_C)
    if phase < OUTPUT_PHASE:
        for gate in range(GATES):
            moments(at.gates + gate * L, H, stats, _OF_Z + 2 * gate)
    if phase == GATES_PHASE:
        means_of(at.down + C_SHIFT * L, at.unit_weights + C_SCALE * L, at.c_new, H, stats, _OF_C, _MEANS_OF_C)
    if phase == 0:
        for gate in range(GATES):
            means_of(at.down + (Z_SHIFT + gate) * L, at.unit_weights + (Z_SCALE + gate) * L, at.gates + gate * L, H,
                     stats, _OF_Z + 2 * gate, _MEANS_OF_Z + 2 * gate)  # fmt: skip
    for b in range(lo, hi):
        gates, weights, down = at.gates.at(0, b), at.unit_weights.at(0, b), at.down.at(0, b)
        if phase == OUTPUT_PHASE:
            output_back(cell, gates, at.c_new.at(0, b), at.dh.at(0, b), weights, down, stats)
        elif phase == GATES_PHASE:
            gates_back(cell, gates, at.c_new.at(0, b), at.c_old.at(0, b), at.dc.at(0, b), weights, down, stats)
        else:
            raw_back(cell, gates, weights, down, at.dz + b * GATES * L, at.h_old.at(0, b), stats)
