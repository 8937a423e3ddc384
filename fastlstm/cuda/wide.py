"""The time loop of a layer whose recurrent weights fit into the registers of the whole device.

A block owns some units, and its threads hold the parts of U that make these, over all steps. The sequences are in
groups; the blocks of a group exchange h, and backward dz, through the rows of the pass, and meet after each step. No
block waits for another within a step: where they cannot all run at once, a launch for each step does the same.

Forward, a number of z is one chain of multiply-adds over h in order: the CPU's bits. The threads that share a column
take turns: each goes on with the sum where the one before has left it, while that one has the next sequences.

For cells of one phase.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..cells.phases import Cell
from . import scalars, small
from .device import SIMULATED, add, blocks_at_once, cuda, fma, helper, kernel_of, multiply
from .products import NOTHING
from .records import DeviceBatch, DeviceWeights
from .steps import Flow, Index, States, of_unit, of_unit_back

COLUMNS, DEEP, THREADS = 32, 128, 256  # of a block; float32 weights of a thread, forward; threads of a block, at most
if SIMULATED:  # where a thread is a Python thread
    COLUMNS, DEEP = 8, 4
SHARED = 40960  # bytes of shared memory that a block takes, at most
ROWS = 16  # that it works on at a time, at most
FEW = 32  # sequences of a group: with more, a product that shares the loads of U among rows is better
UNROLLED = 32  # turns of a loop
LONGEST = 1 << 20  # steps of a launch: a counter of meetings has 31 bits


class Tile(NamedTuple):
    """What a block does at a time, in one direction.

    Attributes
    ----------
    parts, deep : int
        The depth of a sum is cut into that many parts, of so many numbers: a multiple of four.
    rows, few : int
        Sequences, and how many of them a thread adds up side by side.
    threads : int
    """

    parts: int
    deep: int
    rows: int
    few: int
    threads: int


class Form(NamedTuple):
    """What a kernel is made for.

    Attributes
    ----------
    cell : Cell
    real : type
        numpy.float32 or numpy.float64.
    H, R : int
        Units, and sequences that a block works on at a time: a power of two; fewer where memory is short.
    masked, tape : bool
        Whether h has a mask, whether all rows are kept.
    """

    cell: Cell
    real: Any
    H: int
    R: int
    masked: bool
    tape: bool = True

    @property
    def units(self) -> int:
        """Of a block."""
        return COLUMNS // max(self.cell.of_h, 1)

    @property
    def blocks(self) -> int:
        """Of a group."""
        return -(-self.H // max(self.units, 1))

    @property
    def forward(self) -> Tile:
        """A thread has a column of U, and a part of the depth."""
        return self._tile(self.H, COLUMNS, COLUMNS)

    @property
    def backward(self) -> Tile:
        """A thread has a row of U, a unit's, and a part of the depth."""
        units = max(self.units, 1)
        return self._tile(self.cell.of_h * self.H, units, self._parts(self.cell.of_h * self.H) * units)

    def _parts(self, depth: int) -> int:
        most = DEEP if SIMULATED else DEEP * 4 // np.dtype(self.real).itemsize
        return max(1, -(-depth // most))

    def _tile(self, depth: int, wide: int, sums: int) -> Tile:
        """wide: threads of a part; sums: how many numbers a row has in shared memory besides its operands."""
        parts = self._parts(depth)
        deep = -(-depth // (4 * parts)) * 4
        rows, room = self.R, np.dtype(self.real).itemsize * (parts * (deep + 4) + sums)
        while rows > 1 and rows * room > SHARED:
            rows //= 2
        return Tile(parts, deep, rows, min(rows, 4), parts * wide)

    @property
    def fits(self) -> bool:
        """Whether its blocks have registers for U, and a large device runs them all at once."""
        if self.cell.phase_count != 1 or not 0 < self.cell.of_h <= COLUMNS:
            return False
        return max(self.forward.threads, self.backward.threads) <= THREADS and self.blocks <= small.BLOCKS


def group_rows(form: Form, N: int) -> int:
    """Sequences of a group: as many groups as a large device runs at once."""
    return max(1, -(-N // max(1, small.BLOCKS // form.blocks)))


def form_for(weights: DeviceWeights, batch: DeviceBatch, *, tape: bool) -> Form:
    """The kernels for a pass: a function of sizes alone."""
    form = Form(weights.cell, weights.W.dtype.type, weights.H, 1, batch.mask is not None, tape)
    rows = group_rows(form, batch.schedule.N)
    return form._replace(R=next((R for R in (1, 2, 4, 8) if rows <= R), ROWS))


class Rounds(NamedTuple):
    """Which rounds a launch runs, of a step each.

    Attributes
    ----------
    first, end : int
    rows : int
        Sequences of a group.
    steps : int
    begins, place : device array
        As in `records.Schedule`.
    mask : device array, shape (N, H)
    arrived : device array of int32
        How often blocks of each group have come to their meetings.
    """

    first: int
    end: int
    rows: int
    steps: int
    begins: Any
    place: Any
    mask: Any
    arrived: Any


@helper
def meet(arrived: Any, group: int, wanted: int) -> None:
    """Wait for the blocks of a group: what each has written is seen by all. The block's own threads have met before."""
    if cuda.threadIdx.x == 0:
        cuda.threadfence()
        cuda.atomic.add(arrived, group, 1)
        while cuda.atomic.add(arrived, group, 0) < wanted:
            pass
        cuda.threadfence()
    cuda.syncthreads()


def in_pieces(piece: Callable[[int, int], Any], begin: int, end: int) -> Any:
    """A loop from begin to end as helpers one after another, piece(begin, end) each: a longer one would not be
    unrolled, and what it indexes not be in registers."""
    if end - begin <= UNROLLED:
        return piece(begin, end)
    middle = (begin + end) // 2
    before, behind = in_pieces(piece, begin, middle), in_pieces(piece, middle, end)

    @helper
    def both(*given: Any) -> None:
        before(*given)
        behind(*given)

    return both


def holding(deep: int, H: int, real: Any) -> Any:
    """u = U[row : row + deep, column]; what nothing comes of from `known` on."""

    def piece(begin: int, end: int) -> Any:
        @helper
        def hold(U: Any, row: int, column: int, known: int, u: Any) -> None:
            for k in range(begin, end):
                value = U[min(row + k, H - 1), column]
                u[k] = value if k < known else real(NOTHING)

        return hold

    return in_pieces(piece, 0, deep)


def chains(deep: int, few: int) -> Any:
    """sums[r] += operands[r, part] @ u, in order; `few` sums over `deep` numbers."""

    def piece(begin: int, end: int) -> Any:
        @helper
        def add_products(operands: Any, part: int, u: Any, sums: Any) -> None:
            for k in range(begin, end):
                for r in range(few):
                    sums[r] = fma(operands[r, part, k], u[k], sums[r])

        return add_products

    return in_pieces(piece, 0, deep)


@lru_cache(None)
def forward(form: Form, meets: bool) -> Any:
    """Kernel: h, c and what the phase keeps, of all rows. z (M, gates * H) is b + x @ W. A round is a step.

    Blocks: (form.blocks, groups). meets: whether all run at once, and so any number of rounds in one launch."""
    cell, real, H, _, masked, tape = form
    S, deep, R, A, threads = form.forward
    J, C, Q, slots, width = form.units, COLUMNS, R // A, R // A * S, deep + 4
    G, heard, K = cell.gate_count, cell.of_h, cell.kept
    unread = G - heard  # gates of x alone
    unit, add_products = of_unit(cell), chains(deep, A)
    hold = holding(deep, H, real)
    ins, outs = G + 2 + scalars.weight_count(cell), K + 2

    @kernel_of(threads)
    def wide(at: Index, rounds: Rounds, z: Any, U: Any, states: States) -> None:
        hs = cuda.shared.array((A, slots, width), real)
        zs = cuda.shared.array((R, C), real)
        u = cuda.local.array(deep, real)
        sums = cuda.local.array(A, real)
        inputs = cuda.local.array(ins, real)
        outputs = cuda.local.array(outs, real)
        tid = cuda.threadIdx.x
        part = tid // C
        column = tid - part * C
        own = cuda.blockIdx.x * J
        group = cuda.blockIdx.y
        low = group * rounds.rows
        g = column // J
        j = own + column - g * J
        known = H - part * deep if g < heard and j < H else 0
        place = min(g, heard - 1) * H + min(j, H - 1)
        hold(U, part * deep, place, known, u)
        for s in range(rounds.first, rounds.end):
            begin = rounds.begins[s]
            high = min(low + rounds.rows, rounds.begins[s + 1] - begin)
            if low >= high:
                break
            for base in range(low, high, R):
                for e in range(tid, R * S * deep, threads):
                    r = e // (S * deep)
                    k = e - r * (S * deep)
                    there = base + r < high and k < H
                    hs[r % A, r // A * S + k // deep, k % deep] = (
                        states.h_in[at.old[begin + base + r], k] if there else real(0)
                    )
                for e in range(tid, R * C, threads):
                    r = e // C
                    g = (e - r * C) // J
                    j = own + e - r * C - g * J
                    there = base + r < high and g < heard and j < H
                    zs[r, e - r * C] = z[begin + base + r, (unread + g) * H + j] if there else real(0)
                cuda.syncthreads()
                for turn in range(S + Q - 1):
                    q = turn - part
                    if q >= 0 and q < Q:
                        for r in range(A):
                            sums[r] = zs[q * A + r, column]
                        add_products(hs, q * S + part, u, sums)
                        for r in range(A):
                            zs[q * A + r, column] = sums[r]
                    cuda.syncthreads()
                for e in range(tid, R * J, threads):
                    r = e // J
                    j = own + e - r * J
                    row = begin + base + r
                    if base + r < high and j < H:
                        for g in range(unread):
                            inputs[g] = z[row, g * H + j]
                        for g in range(heard):
                            inputs[unread + g] = zs[r, g * J + e - r * J]
                        unit(at, states, row, row if tape else base + r, j, H, inputs, outputs)
                        states.h[at.new + row, j] = outputs[K + 1]
                        if masked:
                            states.h_in[at.new + row, j] = multiply(outputs[K + 1], rounds.mask[at.sequence[row], j])
                cuda.syncthreads()
            if meets and s + 1 < rounds.end:
                meet(rounds.arrived, group, cuda.gridDim.x * (s + 1 - rounds.first))

    return wide


@lru_cache(None)
def backward(form: Form, meets: bool) -> Any:
    """Kernel: dz of all rows and those of unit weights; dh and dc turn from the gradients of the last state into those
    of the first. dy: from column `column` on; none is read where that is negative.

    A round adds to dh what comes through U from the step behind, then has the equations of its own step: the first has
    none behind it, the last, one more than there are steps, no step of its own. Blocks: as forward."""
    cell, real, H, _, masked, _ = form
    S, deep, R, A, threads = form.backward
    J, Q, slots, width = form.units, R // A, R // A * S, deep + 4
    unread, depth = (cell.gate_count - cell.of_h) * H, cell.of_h * H
    unit, add_products, W = of_unit_back(cell, real), chains(deep, A), scalars.weight_count(cell)
    ins, outs = cell.kept + 4 + W, cell.gate_count + 2 + W

    @kernel_of(threads)
    def wide_back(at: Index, rounds: Rounds, dy: Any, column: int, U: Any, states: States, flow: Flow) -> None:
        zs = cuda.shared.array((A, slots, width), real)
        ps = cuda.shared.array((S, R, J), real)
        u = cuda.local.array(deep, real)
        sums = cuda.local.array(A, real)
        inputs = cuda.local.array(ins, real)
        outputs = cuda.local.array(outs, real)
        tid = cuda.threadIdx.x
        part = tid // J
        m = tid - part * J
        own = cuda.blockIdx.x * J
        group = cuda.blockIdx.y
        low = group * rounds.rows
        known = depth - part * deep if own + m < H else 0
        for k in range(deep):
            u[k] = U[own + m, part * deep + k] if k < known else real(NOTHING)
        for back in range(rounds.first, rounds.end):
            s = rounds.steps - back
            if back > 0:
                begin = rounds.begins[s]
                high = min(low + rounds.rows, rounds.begins[s + 1] - begin)
                for base in range(low, high, R):
                    for e in range(tid, R * S * deep, threads):
                        r = e // (S * deep)
                        k = e - r * (S * deep)
                        there = base + r < high and k < depth
                        zs[r % A, r // A * S + k // deep, k % deep] = (
                            flow.dz[begin + base + r, unread + k] if there else real(0)
                        )
                    cuda.syncthreads()
                    for q in range(Q):
                        for r in range(A):
                            sums[r] = 0
                        add_products(zs, q * S + part, u, sums)
                        for r in range(A):
                            ps[part, q * A + r, m] = sums[r]
                    cuda.syncthreads()
                    for e in range(tid, R * J, threads):
                        r = e // J
                        i = e - r * J
                        row = begin + base + r
                        if base + r < high and own + i < H and at.old[row] > 0:
                            through = ps[0, r, i]
                            for p in range(1, S):
                                through = add(through, ps[p, r, i])
                            n = at.sequence[row]
                            if masked:
                                through = multiply(through, rounds.mask[n, own + i])
                            flow.dh[n, own + i] = add(flow.dh[n, own + i], through)
                    cuda.syncthreads()
            if s > 0:
                begin = rounds.begins[s - 1]
                high = min(low + rounds.rows, rounds.begins[s] - begin)
                for e in range(tid, max(high - low, 0) * J, threads):
                    row = begin + low + e // J
                    j = own + e % J
                    if j < H:
                        n = at.sequence[row]
                        if column >= 0:
                            flow.dh[n, j] = add(flow.dh[n, j], dy[rounds.place[row], column + j])
                        unit(at, states, flow, row, j, H, inputs, outputs)
                cuda.syncthreads()
            if meets and back + 1 < rounds.end:
                meet(rounds.arrived, group, cuda.gridDim.x * (back + 1 - rounds.first))

    return wide_back


def run(make: Callable[[Form, bool], Any], form: Form, groups: int, stream: Any, *given: Any) -> None:
    """All rounds: in one launch where all blocks run at once, else one for each. given: what the kernel takes, its
    Rounds those of the whole pass."""
    at, whole, *rest = given
    threads = (form.backward if make is backward else form.forward).threads

    def rounds_from(first: int) -> Rounds:
        arrived = cuda.to_device(np.zeros(groups, np.int32), stream=stream)
        return whole._replace(first=first, end=min(first + LONGEST, whole.end), arrived=arrived)

    rounds, meets = whole, False
    if whole.end > 1:
        rounds = rounds_from(0)
        meets = blocks_at_once(make(form, True), threads, (at, rounds, *rest)) >= form.blocks * groups
    for first in range(0, whole.end, LONGEST if meets else 1):
        if not meets:
            rounds = whole._replace(first=first, end=first + 1)
        elif first:
            rounds = rounds_from(first)
        make(form, meets)[(form.blocks, groups), threads, stream](at, rounds, *rest)
