"""The time loop of a layer whose recurrent weights fit into the registers of one block of threads.

A block has R sequences over all their steps. It has a thread for each column of U, which that thread holds, and meets
twice a step: when all sums are there, and when all of the new h is. A number of z is one chain of multiply-adds over h
in order: the CPU's bits. For the equations a thread has a unit of every G-th sequence, G being the number of gates.

For cells of one phase; small_later.py has the same for those with a later gate.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..cells.phases import Cell
from . import scalars
from .device import add, cuda, fma, helper, kernel_of, multiply
from .records import DeviceBatch, DeviceWeights
from .steps import States

BLOCKS = 132  # that may run at the same time: multiprocessors of an H100


class Form(NamedTuple):
    """What a kernel is made for.

    Attributes
    ----------
    cell : Cell
    real : type
        numpy.float32 or numpy.float64.
    H, R : int
        Units, and sequences of a block.
    masked, resets, tape : bool
        Whether h has a mask, whether some rows begin with zeros, whether all rows are kept.
    """

    cell: Cell
    real: Any
    H: int
    R: int
    masked: bool
    resets: bool
    tape: bool = True

    @property
    def threads(self) -> int:
        return self.cell.gate_count * self.H

    @property
    def registers(self) -> int:
        """That a thread can have: a quarter of a multiprocessor's is for a quarter of the warps."""
        warps = -(-self.threads // (4 * 32))
        return min(255, 16384 // (32 * warps) // 8 * 8)

    @property
    def fits(self) -> bool:
        """Whether a block has registers for it: a column of U in each thread, and one of V where there is a later gate;
        and by measure (docs/cuda.md) so many more."""
        words, products = np.dtype(self.real).itemsize // 4, self.cell.phase_count
        wanted = words * (products * self.H + 2 * self.R) + (60 + 8 * products if words == 1 else 90)
        made_for = products == 1 or self.cell.later_gate >= 0
        return made_for and self.cell.of_h > 0 and self.threads <= 1024 and wanted <= self.registers


def form_for(weights: DeviceWeights, batch: DeviceBatch, *, tape: bool) -> Form:
    """The kernel for a pass: as few sequences a block as keep a large device's multiprocessors busy."""
    which = batch.schedule
    R = next((R for R in (1, 2, 4) if which.N <= R * BLOCKS), 8)
    form = Form(weights.cell, weights.W.dtype.type, weights.H, R, batch.mask is not None, which.resets, tape)
    while form.R > 1 and not form.fits:
        form = form._replace(R=form.R // 2)
    return form


class Ranks(NamedTuple):
    """Sequences by falling length, as in `records.Schedule`; new: where the new state of row 0 is; mask: (N, P)."""

    N: int
    steps: int
    new: int
    begins: Any
    place: Any
    old: Any
    order: Any
    mask: Any


class Ends(NamedTuple):
    """h and c, or their gradients, of the first step and of the last: (N, P) and (N, H), in place."""

    h: Any
    c: Any


@helper
def begins_anew(at: Ranks, s: int, rank: int) -> bool:
    """Whether a sequence has step s, and begins it with zeros."""
    return s < at.steps and rank < at.begins[s + 1] - at.begins[s] and at.old[at.begins[s] + rank] == 0


@lru_cache(None)
def chains(H: int, R: int) -> Any:
    """sums[r] += operands[r, part] @ u, in order; R sums over H numbers."""
    half = min(R, 4)  # longer loops would not be unrolled, and sums not be in registers

    @helper
    def add_products(operands: Any, part: int, u: Any, sums: Any) -> None:
        for k in range(H):
            for r in range(half):
                sums[r] = fma(operands[r, part, k], u[k], sums[r])
        if half < R:
            for k in range(H):
                for r in range(half, R):
                    sums[r] = fma(operands[r, part, k], u[k], sums[r])

    return add_products


class Unit(NamedTuple):
    """Unit j of a row: that of sequence r of the block, the q-th one that the thread has."""

    q: int
    r: int
    row: int
    j: int


class Sums(NamedTuple):
    """What a step's sums are made of: h as it enters the product (R, 1, H), and where they go (R, threads), in shared
    memory; the thread's column of U, its sums, and what the next step's begin with."""

    hs: Any
    zs: Any
    u: Any
    sums: Any
    ahead: Any


class PhaseRoom(NamedTuple):
    """For the equations of a phase: local arrays."""

    inputs: Any
    made: Any


@lru_cache(None)
def sums_of_step(form: Form) -> Any:
    """A thread's sums of a step: z + hs @ u; what the next step's begin with is loaded meanwhile."""
    R, add_products = form.R, chains(form.H, form.R)

    @helper
    def add_up(at: Ranks, s: int, first: int, tid: int, z: Any, of: Sums) -> None:
        after = at.begins[min(s + 1, at.steps - 1)]
        last = max(at.begins[min(s + 2, at.steps)] - 1, after)
        for r in range(R):
            of.sums[r] = of.ahead[r]
            of.ahead[r] = z[min(after + first + r, last), tid]
        add_products(of.hs, 0, of.u, of.sums)
        for r in range(R):
            of.zs[r, tid] = of.sums[r]

    return add_up


@lru_cache(None)
def sums_back(form: Form) -> Any:
    """A thread's part of what comes through the product with U: ps = zs @ u."""
    R, add_products = form.R, chains(form.H, form.R)

    @helper
    def add_up(tid: int, group: int, zs: Any, u: Any, sums: Any, ps: Any) -> None:
        for r in range(R):
            sums[r] = 0
        add_products(zs, group, u, sums)
        for r in range(R):
            ps[r, tid] = sums[r]

    return add_up


@lru_cache(None)
def first_phase_back(form: Form) -> Any:
    """The way back of the first phase: from dh and dc the gradients of z and of unit weights, and what goes on.

    dc: with what comes through a later gate; rows: dz and dw."""
    cell, H, K, equations = form.cell, form.H, form.cell.kept, scalars.first_back(form.cell)
    G, W, gate = cell.gate_count, scalars.weight_count(cell), cell.later_gate

    @helper
    def back(at: Ranks, unit: Unit, dc: Any, zs: Any, rows: Any, d: Ends, states: States, room: Any) -> None:
        q, r, row, j = unit
        dz, dw = rows
        for k in range(K):
            room.inputs[k] = states.gates[row, k * H + j]
        room.inputs[K] = states.c[at.old[row], j]
        room.inputs[K + 1] = states.c[at.new + row, j]
        room.inputs[K + 2] = d.h[q]
        room.inputs[K + 3] = dc
        equations(room.inputs, room.made)
        for g in range(G):
            if g != gate:
                zs[r, g, j] = dz[row, g * H + j] = room.made[g]
        for n in range(W):
            dw[row, n * H + j] = room.made[G + 2 + n]
        d.c[q] = room.made[G]
        d.h[q] = room.made[G + 1]

    return back


@lru_cache(None)
def past_the_product(form: Form) -> Any:
    """What comes through the product with U to dh; and through p, which passes the mask too."""
    cell, H, masked, resets, real = form.cell, form.H, form.masked, form.resets, form.real
    G, gates_h, begin = cell.gate_count, cell.gates_h, cell.gate_count - cell.of_h

    @helper
    def past(at: Ranks, s: int, rank: int, unit: Unit, ps: Any, d: Ends) -> None:
        q, r, _, j = unit
        through = ps[r, begin * H + j]
        for g in range(begin + 1, G):
            through = add(through, ps[r, g * H + j])
        if gates_h:
            through = add(through, d.c[q])
            d.c[q] = 0
        if masked:
            through = multiply(through, at.mask[at.order[rank], j])
        d.h[q] = add(d.h[q], through)
        if resets and begins_anew(at, s, rank):
            d.h[q] = d.c[q] = real(0)

    return past


@lru_cache(None)
def last_gradients(form: Form) -> Any:
    """dh and dc of the sequences that a thread has a unit of, before the last step."""
    G, R, alone, real = form.cell.gate_count, form.R, form.cell.alone, form.real

    @helper
    def begin(at: Ranks, first: int, group: int, j: int, ends: Ends, d: Ends) -> None:
        for q in range(-(-R // G)):
            r = group + G * q
            d.h[q] = d.c[q] = 0
            if r < R and first + r < at.N:
                d.h[q] = ends.h[at.order[first + r], j]
                d.c[q] = real(0) if alone else ends.c[at.order[first + r], j]

    return begin


@lru_cache(None)
def tape_writer(K: int, H: int) -> Any:
    """What the tape keeps of unit j of a row: K numbers, c, h, and h as it enters the next product."""

    @helper
    def write(states: States, row: int, new: int, j: int, made: Any, entered: Any) -> None:
        for k in range(K):
            states.gates[row, k * H + j] = made[k]
        states.c[new, j] = made[K]
        states.h[new, j] = made[K + 1]
        states.h_in[new, j] = entered

    return write


@lru_cache(None)
def forward(form: Form) -> Any:
    """Kernel: y (N T, width) from column `column` on, the last state in place of the first, and the tape.

    z (M, gates * H) is b + x @ W. Blocks: one for R sequences."""
    cell, real, H, R, masked, resets, tape = form
    equations, add_up = scalars.first(cell), sums_of_step(form)
    threads, alone, G, W, K = form.threads, cell.alone, cell.gate_count, scalars.weight_count(cell), cell.kept
    ins, outs, Q, unread, write = G + 2 + W, K + 2, -(-R // G), (G - cell.of_h) * H, tape_writer(K, H)

    @kernel_of(threads)
    def small(at: Ranks, z: Any, U: Any, states: States, ends: Ends, y: Any, column: int) -> None:
        hs = cuda.shared.array((R, 1, H), real)
        zs = cuda.shared.array((R, threads), real)
        u = cuda.local.array(H, real)
        ahead = cuda.local.array(R, real)
        of = Sums(hs, zs, u, cuda.local.array(R, real), ahead)
        h = cuda.local.array(Q, real)
        c = cuda.local.array(Q, real)
        inputs = cuda.local.array(ins, real)
        outputs = cuda.local.array(outs, real)
        tid = cuda.threadIdx.x
        first = cuda.blockIdx.x * R
        group = tid // H
        j = tid - group * H
        for k in range(H):
            u[k] = U[k, tid - unread] if tid >= unread else real(0)
        for n in range(W):
            inputs[G + 2 + n] = states.w[n * H + j]
        for q in range(Q):
            r = group + G * q
            h[q] = 0
            c[q] = 0
            if r < R and first + r < at.N:
                n = at.order[first + r]
                if not (resets and begins_anew(at, 0, first + r)):
                    h[q] = ends.h[n, j]
                    c[q] = h[q] if alone else ends.c[n, j]
                hs[r, 0, j] = multiply(h[q], at.mask[n, j]) if masked else h[q]
        for r in range(R):
            ahead[r] = z[min(first + r, at.begins[1] - 1), tid]
        cuda.syncthreads()
        for s in range(at.steps):
            begin = at.begins[s]
            active = at.begins[s + 1] - begin - first
            if active <= 0:
                break
            add_up(at, s, first, tid, z, of)
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                if r < R and r < active:
                    row = begin + first + r
                    for g in range(G):
                        inputs[g] = zs[r, g * H + j]
                    inputs[G] = c[q]
                    inputs[G + 1] = h[q]
                    equations(inputs, outputs)
                    y[at.place[row], column + j] = outputs[K + 1]
                    c[q] = outputs[K]
                    h[q] = outputs[K + 1]
                    entered = multiply(h[q], at.mask[at.order[first + r], j]) if masked else h[q]
                    if tape:
                        write(states, row, at.new + row, j, outputs, entered)
                    if resets and begins_anew(at, s + 1, first + r):
                        h[q] = c[q] = entered = real(0)
                    hs[r, 0, j] = entered
            cuda.syncthreads()
        for q in range(Q):
            r = group + G * q
            if r < R and first + r < at.begins[1]:  # a sequence without a step keeps its state
                ends.h[at.order[first + r], j] = h[q]
                if not alone:
                    ends.c[at.order[first + r], j] = c[q]

    return small


@lru_cache(None)
def backward(form: Form) -> Any:
    """Kernel: dz of all rows and those of unit weights; the first state's gradients in place of the last one's. dy:
    from column `column` on; none is read where that is negative.

    Thread (gate, k) adds up dh of unit k over the columns of its gate, and holds that part of row k of U."""
    cell, real, H, R = form[:4]
    begin_with, phase, add_up, past = (
        last_gradients(form),
        first_phase_back(form),
        sums_back(form),
        past_the_product(form),
    )
    threads, alone, G, W, K = form.threads, cell.alone, cell.gate_count, scalars.weight_count(cell), cell.kept
    ins, outs, Q, unread = K + 4 + W, G + 2 + W, -(-R // G), (G - cell.of_h) * H

    @kernel_of(threads)
    def small_back(at: Ranks, dy: Any, column: int, U: Any, states: States, ends: Ends, dz: Any, dw: Any) -> None:
        zs = cuda.shared.array((R, G, H), real)
        ps = cuda.shared.array((R, threads), real)
        u = cuda.local.array(H, real)
        sums = cuda.local.array(R, real)
        d = Ends(cuda.local.array(Q, real), cuda.local.array(Q, real))
        room = PhaseRoom(cuda.local.array(ins, real), cuda.local.array(outs, real))
        tid = cuda.threadIdx.x
        first = cuda.blockIdx.x * R
        group = tid // H
        j = tid - group * H
        for k in range(H):
            u[k] = U[j, group * H - unread + k] if tid >= unread else real(0)
        for n in range(W):
            room.inputs[K + 4 + n] = states.w[n * H + j]
        begin_with(at, first, group, j, ends, d)
        for back in range(at.steps):
            s = at.steps - 1 - back
            begin = at.begins[s]
            active = at.begins[s + 1] - begin - first
            for q in range(Q):
                r = group + G * q
                row = begin + first + r
                if r < R and r < active:
                    if column >= 0:
                        d.h[q] = add(d.h[q], dy[at.place[row], column + j])
                    phase(at, Unit(q, r, row, j), d.c[q], zs, (dz, dw), d, states, room)
            cuda.syncthreads()
            add_up(tid, group, zs, u, sums, ps)
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                if r < R and r < active:
                    past(at, s, first + r, Unit(q, r, begin + first + r, j), ps, d)
        for q in range(Q):
            r = group + G * q
            if r < R and first + r < at.N:
                ends.h[at.order[first + r], j] = add(d.h[q], d.c[q]) if alone else d.h[q]
                if not alone:
                    ends.c[at.order[first + r], j] = d.c[q]

    return small_back
