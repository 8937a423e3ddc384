"""The time loop of a layer whose recurrent weights fit into the registers of one block of threads.

A block has R sequences over all their steps. It has a thread for each column of U, which that thread holds, and meets
twice a step: when all sums are there, and when all of the new h is. A number of z is one chain of multiply-adds over h in
order: the CPU's bits. For the equations a thread has a unit of every G-th sequence, G being the number of gates.

For cells of one phase.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..cells.phases import Cell
from . import scalars
from .device import add, cuda, fma, kernel_of, multiply
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
    def fits(self) -> bool:
        """Whether a block has registers for it: U's column in each thread, and by measure (docs/cuda.md) so many more."""
        words = np.dtype(self.real).itemsize // 4
        wanted = words * (self.H + 2 * self.R) + (70 if words == 1 else 90)
        return self.cell.phase_count == 1 and self.threads <= 1024 and wanted <= min(255, 65536 // self.threads)


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


@lru_cache(None)
def forward(form: Form) -> Any:
    """Kernel: y (N T, width) from column `column` on, the last state in place of the first, and the tape.

    z (M, gates * H) is b + x @ W. Blocks: one for R sequences."""
    cell, real, H, R, masked, resets, tape = form
    equations, threads = scalars.first(cell), form.threads
    G, W, K = cell.gate_count, scalars.weight_count(cell), cell.kept
    ins, outs, Q, unread = G + 2 + W, K + 2, -(-R // G), (G - cell.of_h) * H
    alone, half = cell.alone, min(R, 4)  # longer loops would not be unrolled, and registers not be named

    @kernel_of(threads)
    def small(at: Ranks, z: Any, U: Any, states: States, ends: Ends, y: Any, column: int) -> None:
        hs = cuda.shared.array((R, H), real)
        zs = cuda.shared.array((R, threads), real)
        u = cuda.local.array(H, real)
        sums = cuda.local.array(R, real)
        ahead = cuda.local.array(R, real)
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
            if r < R:
                hs[r, j] = 0
                if first + r < at.N:
                    n = at.order[first + r]
                    if not (resets and at.begins[1] > first + r and at.old[first + r] == 0):
                        h[q] = ends.h[n, j]
                        c[q] = h[q] if alone else ends.c[n, j]
                    hs[r, j] = multiply(h[q], at.mask[n, j]) if masked else h[q]
        for r in range(R):
            ahead[r] = z[min(first + r, at.begins[1] - 1), tid]
        cuda.syncthreads()
        for s in range(at.steps):
            begin = at.begins[s]
            active = at.begins[s + 1] - begin - first
            if active <= 0:
                break
            after = min(s + 1, at.steps - 1)
            left = max(at.begins[after + 1] - at.begins[after] - 1, 0)
            for r in range(R):
                sums[r] = ahead[r]
                ahead[r] = z[at.begins[after] + min(first + r, left), tid]
            for k in range(H):
                for r in range(half):
                    sums[r] = fma(hs[r, k], u[k], sums[r])
            if half < R:
                for k in range(H):
                    for r in range(half, R):
                        sums[r] = fma(hs[r, k], u[k], sums[r])
            for r in range(R):
                zs[r, tid] = sums[r]
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
                    h[q] = outputs[K + 1]
                    c[q] = outputs[K]
                    entered = h[q]
                    if masked:
                        entered = multiply(h[q], at.mask[at.order[first + r], j])
                    if tape:
                        for k in range(K):
                            states.gates[row, k * H + j] = outputs[k]
                        states.c[at.new + row, j] = outputs[K]
                        states.h[at.new + row, j] = outputs[K + 1]
                        states.h_in[at.new + row, j] = entered
                    if resets and s + 1 < at.steps and at.begins[s + 2] - at.begins[s + 1] > first + r:  # noqa: SIM102
                        if at.old[at.begins[s + 1] + first + r] == 0:
                            h[q] = 0
                            c[q] = 0
                            entered = h[q]
                    hs[r, j] = entered
            cuda.syncthreads()
        for q in range(Q):
            r = group + G * q
            if r < R and first + r < at.N:
                n = at.order[first + r]
                if at.begins[1] > first + r:  # else the sequence has no step, and keeps its state
                    ends.h[n, j] = h[q]
                    if not alone:
                        ends.c[n, j] = c[q]

    return small


@lru_cache(None)
def backward(form: Form) -> Any:
    """Kernel: dz of all rows and those of unit weights; the first state's gradients in place of the last one's. dy: from
    column `column` on; none is read where that is negative.

    Thread (gate, k) adds up dh of unit k over the columns of its gate, and holds that part of row k of U."""
    cell, real, H, R, masked, resets, _ = form
    equations, threads = scalars.first_back(cell), form.threads
    G, W, K = cell.gate_count, scalars.weight_count(cell), cell.kept
    ins, outs, Q, unread = K + 4 + W, G + 2 + W, -(-R // G), G - cell.of_h
    alone, half = cell.alone, min(R, 4)

    @kernel_of(threads)
    def small_back(at: Ranks, dy: Any, column: int, U: Any, states: States, ends: Ends, dz: Any, dw: Any) -> None:
        zs = cuda.shared.array((R, G, H), real)
        ps = cuda.shared.array((R, G, H), real)
        u = cuda.local.array(H, real)
        sums = cuda.local.array(R, real)
        dh = cuda.local.array(Q, real)
        dc = cuda.local.array(Q, real)
        inputs = cuda.local.array(ins, real)
        outputs = cuda.local.array(outs, real)
        tid = cuda.threadIdx.x
        first = cuda.blockIdx.x * R
        group = tid // H
        j = tid - group * H
        for k in range(H):
            u[k] = U[j, (group - unread) * H + k] if group >= unread else real(0)
        for n in range(W):
            inputs[K + 4 + n] = states.w[n * H + j]
        for q in range(Q):
            r = group + G * q
            dh[q] = 0
            dc[q] = 0
            if r < R:
                for g in range(G):
                    zs[r, g, j] = 0
                if first + r < at.N:
                    dh[q] = ends.h[at.order[first + r], j]
                    if not alone:
                        dc[q] = ends.c[at.order[first + r], j]
        for back in range(at.steps):
            s = at.steps - 1 - back
            begin = at.begins[s]
            active = at.begins[s + 1] - begin - first
            for q in range(Q):
                r = group + G * q
                row = begin + first + r
                if r < R and r < active:
                    old = at.old[row]
                    for k in range(K):
                        inputs[k] = states.gates[row, k * H + j]
                    inputs[K] = states.c[old, j]
                    inputs[K + 1] = states.c[at.new + row, j]
                    inputs[K + 2] = add(dh[q], dy[at.place[row], column + j]) if column >= 0 else dh[q]
                    inputs[K + 3] = dc[q]
                    equations(inputs, outputs)
                    for g in range(G):
                        zs[r, g, j] = outputs[g]
                        dz[row, g * H + j] = outputs[g]
                    for n in range(W):
                        dw[row, n * H + j] = outputs[G + 2 + n]
                    dc[q] = outputs[G]
                    dh[q] = outputs[G + 1]
            cuda.syncthreads()
            for r in range(R):
                sums[r] = 0
            for k in range(H):
                for r in range(half):
                    sums[r] = fma(zs[r, group, k], u[k], sums[r])
            if half < R:
                for k in range(H):
                    for r in range(half, R):
                        sums[r] = fma(zs[r, group, k], u[k], sums[r])
            for r in range(R):
                ps[r, group, j] = sums[r]
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                if r < R and r < active:
                    through = ps[r, unread, j]
                    for g in range(unread + 1, G):
                        through = add(through, ps[r, g, j])
                    if masked:
                        through = multiply(through, at.mask[at.order[first + r], j])
                    dh[q] = add(dh[q], through)
                    if resets and at.old[begin + first + r] == 0:
                        dh[q] = 0
                        dc[q] = 0
        for q in range(Q):
            r = group + G * q
            if r < R and first + r < at.N:
                n = at.order[first + r]
                ends.h[n, j] = add(dh[q], dc[q]) if alone else dh[q]
                if not alone:
                    ends.c[n, j] = dc[q]

    return small_back
