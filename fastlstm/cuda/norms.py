"""Layer normalisation: means over the units of a row, by a block of threads a row, and the phases that use them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..cells.normalized import Norms
from ..cells.phases import Cell
from ..params import NORMALIZED_EPSILON
from . import scalars
from .device import SIMULATED, add, cuda, divide, fma, kernel, multiply, square_root, subtract
from .rows import Rows, Size
from .steps import Index, of_units

THREADS = 2 if SIMULATED else 128
Z_SCALE, Z_SHIFT, C_SCALE, C_SHIFT = range(len(Norms._fields))  # rows of unit weights, and of their gradients


@lru_cache(None)
def moments(real: Any) -> Any:
    """Kernel: of a row's numbers the mean, and one over the standard deviation. Blocks: (rows, groups): group g has the
    columns from g * width on, and out[row, 2 (g + first_group)] and the one behind."""

    @kernel
    def of_rows(size: Size, values: Rows, out: Rows, first_group: int) -> None:
        parts = cuda.shared.array(THREADS, real)
        t = cuda.threadIdx.x
        r = cuda.blockIdx.x
        row = values.of[values.first + r]
        column = values.column + cuda.blockIdx.y * size.width
        mean = real(0)
        for turn in range(2):  # the mean, then the mean square of what lies apart from it
            part = real(0)
            for j in range(t, size.width, THREADS):
                value = values.array[row, column + j]
                if turn == 1:
                    value = subtract(value, mean)
                    value = multiply(value, value)
                part = add(part, value)
            parts[t] = part
            cuda.syncthreads()
            total = parts[0]
            for other in range(1, THREADS):
                total = add(total, parts[other])
            total = divide(total, real(size.width))
            cuda.syncthreads()
            if turn == 0:
                mean = total
            elif t == 0:
                place = 2 * (first_group + cuda.blockIdx.y)
                out.array[out.of[out.first + r], place] = mean
                total = square_root(add(total, real(NORMALIZED_EPSILON)))
                out.array[out.of[out.first + r], place + 1] = divide(real(1), total)

    return of_rows


@lru_cache(None)
def gradient_means(real: Any) -> Any:
    """Kernel: the mean of d s over a row's units, and that of d s n, where n are the row's numbers normalized. Blocks:
    (rows, groups), as in `moments`, whose results are in `found`. d: gradients behind the scales; s: from column s0
    on."""

    @kernel
    def means(size: Size, d: Rows, s: Any, s0: int, values: Rows, found: Any, out: Any, first_group: int) -> None:
        parts = cuda.shared.array((2, THREADS), real)
        t = cuda.threadIdx.x
        r = cuda.blockIdx.x
        shift = cuda.blockIdx.y * size.width
        place = 2 * (first_group + cuda.blockIdx.y)
        row = d.of[d.first + r]
        mean = found[row, place]
        inverse = found[row, place + 1]
        part = real(0)
        product = real(0)
        for j in range(t, size.width, THREADS):
            gradient = multiply(d.array[row, d.column + shift + j], s[s0 + shift + j])
            value = subtract(values.array[values.of[values.first + r], values.column + shift + j], mean)
            part = add(part, gradient)
            product = fma(gradient, multiply(value, inverse), product)
        parts[0, t] = part
        parts[1, t] = product
        cuda.syncthreads()
        if t < 2:
            total = parts[t, 0]
            for other in range(1, THREADS):
                total = add(total, parts[t, other])
            out[row, place + t] = divide(total, real(size.width))

    return means


@lru_cache(None)
def normal_gates(cell: Cell, real: Any) -> Any:
    """Kernel: the second phase. z becomes what the last phase goes on from, in its first H columns."""
    equations = scalars.normal_gates(cell)
    G, R, K = cell.gate_count, scalars.weight_count(cell), len(cell.phases[1].keeps)
    kept = len(cell.phases[0].keeps)
    ins, outs = 3 * G + 1 + R, K + 2

    @of_units(real, ins, outs)
    def gates(at: Index, row: int, j: int, H: int, given: Any, inputs: Any, outputs: Any) -> None:
        z, found, states = given
        for g in range(G):
            inputs[g] = z[row, g * H + j]
            inputs[G + 1 + 2 * g] = found[row - at.tape, 2 * g]
            inputs[G + 2 + 2 * g] = found[row - at.tape, 2 * g + 1]
        inputs[G] = states.c[at.old[row], j]
        for n in range(R):
            inputs[3 * G + 1 + n] = states.w[n * H + j]
        equations(inputs, outputs)
        for k in range(K):
            states.gates[row - at.tape, (kept + k) * H + j] = outputs[k]
        states.c[at.new + row, j] = outputs[K]
        z[row, j] = outputs[K + 1]

    return gates


@lru_cache(None)
def normal_output(cell: Cell, real: Any) -> Any:
    """Kernel: the third phase. What it keeps is the old h, which the tape has anyway."""
    equations = scalars.normal_output(cell)
    G, R = cell.gate_count, scalars.weight_count(cell)
    ins, outs = 5 + R, 2

    @of_units(real, ins, outs)
    def output(at: Index, row: int, j: int, H: int, given: Any, inputs: Any, outputs: Any) -> None:
        z, found, states = given
        inputs[0] = z[row, j]
        inputs[1] = states.h[at.old[row], j]
        inputs[2] = states.c[at.new + row, j]
        inputs[3] = found[row - at.tape, 2 * G]
        inputs[4] = found[row - at.tape, 2 * G + 1]
        for n in range(R):
            inputs[5 + n] = states.w[n * H + j]
        equations(inputs, outputs)
        states.h[at.new + row, j] = outputs[1]

    return output


@lru_cache(None)
def normal_back(cell: Cell, real: Any, phase: int) -> Any:
    """Kernel of that phase's equations backward. found: moments of each gate's z and of c, by row; means: those of the
    gradients, by `gradient_means`.

    Phase 2: from dh a part of dw. Phase 1: dc, and the rest of dw. Phase 0: dz; dh and dc go on no further where a row
    began with zeros, and dh not past z at all."""
    makers = scalars.waiting_back, scalars.normal_gates_back, scalars.normal_output_back
    equations = makers[phase](cell)
    G, R, K = cell.gate_count, scalars.weight_count(cell), cell.kept
    ins, outs = K + 7 + 4 * G + 2 * R, 1 + G + R

    @of_units(real, ins, outs)
    def back(at: Index, row: int, j: int, H: int, given: Any, inputs: Any, outputs: Any) -> None:
        found, means, states, flow = given
        n = at.sequence[row]
        old = at.old[row]
        place = K
        for k in range(K):
            inputs[k] = states.gates[row, k * H + j]
        if phase > 0:
            inputs[place] = states.c[at.new + row, j]
            place += 1
        if phase == 2:
            inputs[place] = flow.dh[n, j]
            place += 1
        if phase == 1:
            inputs[place] = states.c[old, j]
            inputs[place + 1] = flow.dc[n, j]
            place += 2
        if phase < 2:
            for m in range(R):
                inputs[place + m] = flow.dw[row, m * H + j]
            place += R
        if phase > 0:
            inputs[place] = found[row, 2 * G]
            inputs[place + 1] = found[row, 2 * G + 1]
            place += 2
        if phase == 1:
            inputs[place] = means[row, 2 * G]
            inputs[place + 1] = means[row, 2 * G + 1]
            place += 2
        if phase < 2:
            for m in range(2 * G):
                inputs[place + m] = found[row, m]
            place += 2 * G
        if phase == 0:
            for m in range(2 * G):
                inputs[place + m] = means[row, m]
            place += 2 * G
        for m in range(R):
            inputs[place + m] = states.w[m * H + j]
        if phase > 0:  # what a phase does not make stays
            for m in range(R):
                outputs[2 - phase + m] = flow.dw[row, m * H + j]
        equations(inputs, outputs)
        if phase > 0:
            for m in range(R):
                flow.dw[row, m * H + j] = outputs[2 - phase + m]
        if phase == 1:
            flow.dc[n, j] = outputs[0]
        if phase == 0:
            for g in range(G):
                flow.dz[row, g * H + j] = outputs[g]
            flow.dh[n, j] = 0
            if old == 0:
                flow.dc[n, j] = 0

    return back
