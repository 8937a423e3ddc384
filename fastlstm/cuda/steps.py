"""Kernels of one step's phases, behind their products forward and before them backward: a thread has a unit of a row.

`size` is that of a step: its rows, and H. Where their numbers are says `Index`; states stand as in `records.Schedule`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from ..cells.phases import Cell
from . import scalars
from .device import cuda, helper, kernel
from .rows import Size


class Index(NamedTuple):
    """Where a step's rows have their numbers.

    Attributes
    ----------
    first : int
        The number of the step's first row.
    tape : int
        What the tape has there is at the row's number less this.
    new : int
        Where the new state of row 0 is: 1 + N.
    old, sequence : device array
        As in `records.Schedule`.
    """

    first: int
    tape: int
    new: int
    old: Any
    sequence: Any


class States(NamedTuple):
    """h, h as it enters the product, and c of all rows; gates: what the phases keep; w: unit weights."""

    h: Any
    h_in: Any
    c: Any
    gates: Any
    w: Any


class Flow(NamedTuple):
    """Gradients: of h (N, P) and c (N, H), by sequence; of z (M, gates * H) and of unit weights (M, rows * gates *
    H)."""

    dh: Any
    dc: Any
    dz: Any
    dw: Any


def of_units(real: Any, ins: int, outs: int) -> Callable[[Any], Any]:
    """A kernel that does what it decorates, a device function, for each unit of a step's rows, in a thread each.

    Kernel: (size, at, given). Function: (at, row, j, H, given, inputs, outputs), of unit j of a row; inputs and outputs
    are local arrays of so many numbers; given: a tuple of what it works on."""

    def decorate(function: Any) -> Any:
        of_one = helper(function)

        @kernel
        def units(size: Size, at: Index, given: Any) -> None:
            inputs = cuda.local.array(ins, real)
            outputs = cuda.local.array(outs, real)
            e = cuda.grid(1)
            if e < size.rows * size.width:
                of_one(at, at.first + e // size.width, e % size.width, size.width, given, inputs, outputs)

        return units

    return decorate


@lru_cache(None)
def of_unit(cell: Cell) -> Any:
    """The first phase of unit j of a row: inputs begin with z of its gates. What the phase keeps goes to row `kept` of
    the tape, the new c to its place; outputs end with h, or with what another phase goes on from."""
    equations = scalars.first(cell)
    G, R, K = cell.gate_count, scalars.weight_count(cell), len(cell.phases[0].keeps)
    reads_h, gates_h = cell.reads_h, cell.gates_h

    @helper
    def unit(at: Index, states: States, row: int, kept: int, j: int, H: int, inputs: Any, outputs: Any) -> None:
        old = at.old[row]
        inputs[G] = states.c[old, j]
        inputs[G + 1] = 0
        if reads_h:
            inputs[G + 1] = states.h_in[old, j] if gates_h else states.h[old, j]
        for n in range(R):
            inputs[G + 2 + n] = states.w[n * H + j]
        equations(inputs, outputs)
        for k in range(K):
            states.gates[kept, k * H + j] = outputs[k]
        states.c[at.new + row, j] = outputs[K]

    return unit


@lru_cache(None)
def of_unit_back(cell: Cell, real: Any) -> Any:
    """The way back of it: from dh and dc the gradients of z, of unit weights, and of the old c; dh becomes what goes
    past z. Nothing goes on where the row began with zeros, but for dc of cells with p in its place, which has to pass a
    mask yet."""
    equations = scalars.first_back(cell)
    G, R, K = cell.gate_count, scalars.weight_count(cell), cell.kept
    later, gates_h = cell.later_gate, cell.gates_h

    @helper
    def unit(at: Index, states: States, flow: Flow, row: int, j: int, H: int, inputs: Any, outputs: Any) -> None:
        n = at.sequence[row]
        old = at.old[row]
        for k in range(K):
            inputs[k] = states.gates[row, k * H + j]
        inputs[K] = states.c[old, j]
        inputs[K + 1] = states.c[at.new + row, j]
        inputs[K + 2] = flow.dh[n, j]
        inputs[K + 3] = flow.dc[n, j]
        for m in range(R):
            inputs[K + 4 + m] = states.w[m * H + j]
        equations(inputs, outputs)
        for g in range(G):
            if g != later:
                flow.dz[row, g * H + j] = outputs[g]
        for m in range(R):
            flow.dw[row, m * H + j] = outputs[G + 2 + m]
        flow.dc[n, j] = outputs[G] if old > 0 or gates_h else real(0)
        flow.dh[n, j] = outputs[G + 1] if old > 0 else real(0)

    return unit


@lru_cache(None)
def first_phase(cell: Cell, real: Any) -> Any:
    """Kernel: from z (M, gates * H) and the old state the new c, and h; where another phase follows, what that goes on
    from in the place of h: into `made`, which is z itself but for a projection."""
    unit, G, K = of_unit(cell), cell.gate_count, len(cell.phases[0].keeps)
    ends, made_gate = cell.phase_count == 1, max(cell.later_gate, 0)

    @of_units(real, G + 2 + scalars.weight_count(cell), K + 2)
    def first(at: Index, row: int, j: int, H: int, given: Any, inputs: Any, outputs: Any) -> None:
        z, states, made = given
        for g in range(G):
            inputs[g] = z[row, g * H + j]
        unit(at, states, row, row - at.tape, j, H, inputs, outputs)
        if ends:
            states.h[at.new + row, j] = outputs[K + 1]
        else:
            made[row, made_gate * H + j] = outputs[K + 1]

    return first


@lru_cache(None)
def later_phase(cell: Cell, real: Any) -> Any:
    """Kernel: from the sums of the last gate, in z, the new h."""
    equations = scalars.later(cell)
    K, L, gate = len(cell.phases[0].keeps), len(cell.phases[1].keeps), cell.later_gate
    ins, outs = K + 3, L + 1

    @of_units(real, ins, outs)
    def later(at: Index, row: int, j: int, H: int, given: Any, inputs: Any, outputs: Any) -> None:
        z, states = given
        for k in range(K):
            inputs[k] = states.gates[row - at.tape, k * H + j]
        inputs[K] = z[row, gate * H + j]
        inputs[K + 1] = states.c[at.new + row, j]
        inputs[K + 2] = states.h[at.old[row], j]
        equations(inputs, outputs)
        for k in range(L):
            states.gates[row - at.tape, (K + k) * H + j] = outputs[k]
        states.h[at.new + row, j] = outputs[L]

    return later


@lru_cache(None)
def later_phase_back(cell: Cell, real: Any) -> Any:
    """Kernel: the gradient of the last gate's sums; dh and dc go on, without what comes through the product with V."""
    equations = scalars.later_back(cell)
    K, gate = cell.kept, cell.later_gate
    ins, outs = K + 3, 3

    @of_units(real, ins, outs)
    def later_back(at: Index, row: int, j: int, H: int, given: Any, inputs: Any, outputs: Any) -> None:
        states, flow = given
        n = at.sequence[row]
        for k in range(K):
            inputs[k] = states.gates[row, k * H + j]
        inputs[K] = states.c[at.new + row, j]
        inputs[K + 1] = flow.dh[n, j]
        inputs[K + 2] = flow.dc[n, j]
        equations(inputs, outputs)
        flow.dz[row, gate * H + j] = outputs[0]
        flow.dh[n, j] = outputs[1]
        flow.dc[n, j] = outputs[2]

    return later_back


@lru_cache(None)
def first_phase_back(cell: Cell, real: Any) -> Any:
    """Kernel: `of_unit_back` of all units of a step."""
    unit, R = of_unit_back(cell, real), scalars.weight_count(cell)

    @of_units(real, cell.kept + 4 + R, cell.gate_count + 2 + R)
    def first_back(at: Index, row: int, j: int, H: int, given: Any, inputs: Any, outputs: Any) -> None:
        states, flow = given
        unit(at, states, flow, row, j, H, inputs, outputs)

    return first_back
