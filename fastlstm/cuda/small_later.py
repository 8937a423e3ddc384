"""The same as small.py for cells with a later gate, whose second product is with V.

A thread holds a column of V besides its column of U, backward a row of each: in every group of threads those of all
units. So a group makes the second product of the sequences that it has the equations of. A block meets three times a
step. Sums, too, are chains in the CPU's order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from . import scalars
from .device import add, cuda, fma, helper, kernel_of, multiply
from .small import Ends, Form, Ranks, begins_anew, chains
from .steps import States


@lru_cache(None)
def chain(H: int) -> Any:
    """total + operands[r] @ v, in order."""

    @helper
    def added(operands: Any, r: int, v: Any, total: Any) -> Any:
        for k in range(H):
            total = fma(operands[r, k], v[k], total)
        return total

    return added


@lru_cache(None)
def forward(form: Form) -> Any:
    """Kernel: as that of `small.forward`; V (H, H)."""
    cell, real, H, R, masked, resets, tape = form
    first_phase, later_phase, add_products, added = scalars.first(cell), scalars.later(cell), chains(H, R), chain(H)
    threads, alone, G, W = form.threads, cell.alone, cell.gate_count, scalars.weight_count(cell)
    K, L = len(cell.phases[0].keeps), len(cell.phases[1].keeps)
    reads_h, gates_h, unread, Q = cell.reads_h, cell.gates_h, (G - cell.of_h) * H, -(-R // G)
    ins, outs, later_ins, later_outs = G + 2 + W, K + 2, K + 3, L + 1

    @kernel_of(threads)
    def small(at: Ranks, z: Any, U: Any, V: Any, states: States, ends: Ends, y: Any, column: int) -> None:
        hs = cuda.shared.array((R, 1, H), real)
        zs = cuda.shared.array((R, threads), real)
        cs = cuda.shared.array((R, H), real)
        u = cuda.local.array(H, real)
        v = cuda.local.array(H, real)
        sums = cuda.local.array(R, real)
        ahead = cuda.local.array(R, real)
        h = cuda.local.array(Q, real)
        c = cuda.local.array(Q, real)
        entered = cuda.local.array(Q, real)
        begun = cuda.local.array(Q, real)
        kept = cuda.local.array((Q, K), real)
        inputs = cuda.local.array(ins, real)
        made = cuda.local.array(outs, real)
        later_inputs = cuda.local.array(later_ins, real)
        later_made = cuda.local.array(later_outs, real)
        tid = cuda.threadIdx.x
        first = cuda.blockIdx.x * R
        group = tid // H
        j = tid - group * H
        for k in range(H):
            u[k] = U[k, tid - unread] if tid >= unread else real(0)
            v[k] = V[k, j]
        for n in range(W):
            inputs[G + 2 + n] = states.w[n * H + j]
        for q in range(Q):
            r = group + G * q
            h[q] = c[q] = entered[q] = 0
            if r < R and first + r < at.N:
                n = at.order[first + r]
                if not (resets and begins_anew(at, 0, first + r)):
                    h[q] = ends.h[n, j]
                    if not alone:
                        c[q] = ends.c[n, j]
                entered[q] = multiply(h[q], at.mask[n, j]) if masked else h[q]
                hs[r, 0, j] = entered[q]
        for r in range(R):
            ahead[r] = z[min(first + r, at.begins[1] - 1), tid]
        cuda.syncthreads()
        for s in range(at.steps):
            begin = at.begins[s]
            active = at.begins[s + 1] - begin - first
            if active <= 0:
                break
            after = at.begins[min(s + 1, at.steps - 1)]
            last = max(at.begins[min(s + 2, at.steps)] - 1, after)
            for r in range(R):
                sums[r] = ahead[r]
                ahead[r] = z[min(after + first + r, last), tid]
            add_products(hs, 0, u, sums)
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
                    inputs[G + 1] = 0
                    if reads_h:
                        inputs[G + 1] = entered[q] if gates_h else h[q]
                    first_phase(inputs, made)
                    for k in range(K):
                        kept[q, k] = made[k]
                    c[q] = made[K]
                    cs[r, j] = made[K]
                    begun[q] = made[K + 1]
                    if tape:
                        for k in range(K):
                            states.gates[row, k * H + j] = made[k]
                        states.c[at.new + row, j] = made[K]
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                if r < R and r < active:
                    row = begin + first + r
                    for k in range(K):
                        later_inputs[k] = kept[q, k]
                    later_inputs[K] = added(cs, r, v, begun[q])
                    later_inputs[K + 1] = c[q]
                    later_inputs[K + 2] = h[q]
                    later_phase(later_inputs, later_made)
                    h[q] = later_made[L]
                    entered[q] = multiply(h[q], at.mask[at.order[first + r], j]) if masked else h[q]
                    y[at.place[row], column + j] = h[q]
                    if tape:
                        for k in range(L):
                            states.gates[row, (K + k) * H + j] = later_made[k]
                        states.h[at.new + row, j] = h[q]
                        states.h_in[at.new + row, j] = entered[q]
                    if resets and begins_anew(at, s + 1, first + r):
                        h[q] = c[q] = entered[q] = 0
                    hs[r, 0, j] = entered[q]
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
    """Kernel: as that of `small.backward`."""
    cell, real, H, R, masked, resets, _ = form
    first_back, later_back, add_products, added = (
        scalars.first_back(cell), scalars.later_back(cell), chains(H, R), chain(H),
    )  # fmt: skip
    threads, alone, gates_h, G, W, K = (
        form.threads, cell.alone, cell.gates_h, cell.gate_count, scalars.weight_count(cell), cell.kept,
    )  # fmt: skip
    Q, unread, later = -(-R // G), (G - cell.of_h) * H, cell.later_gate
    ins, outs, later_ins = K + 4 + W, G + 2 + W, K + 3

    @kernel_of(threads)
    def small_back(
        at: Ranks, dy: Any, column: int, U: Any, V: Any, states: States, ends: Ends, dz: Any, dw: Any
    ) -> None:
        ds = cuda.shared.array((R, H), real)
        zs = cuda.shared.array((R, G, H), real)
        ps = cuda.shared.array((R, threads), real)
        u = cuda.local.array(H, real)
        v = cuda.local.array(H, real)
        sums = cuda.local.array(R, real)
        dh = cuda.local.array(Q, real)
        dc = cuda.local.array(Q, real)
        later_inputs = cuda.local.array(later_ins, real)
        later_made = cuda.local.array(3, real)
        inputs = cuda.local.array(ins, real)
        made = cuda.local.array(outs, real)
        tid = cuda.threadIdx.x
        first = cuda.blockIdx.x * R
        group = tid // H
        j = tid - group * H
        for k in range(H):
            u[k] = U[j, group * H - unread + k] if tid >= unread else real(0)
            v[k] = V[j, k]
        for n in range(W):
            inputs[K + 4 + n] = states.w[n * H + j]
        for q in range(Q):
            r = group + G * q
            dh[q] = dc[q] = 0
            if r < R and first + r < at.N:
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
                    for k in range(K):
                        later_inputs[k] = states.gates[row, k * H + j]
                    later_inputs[K] = states.c[at.new + row, j]
                    later_inputs[K + 1] = add(dh[q], dy[at.place[row], column + j]) if column >= 0 else dh[q]
                    later_inputs[K + 2] = dc[q]
                    later_back(later_inputs, later_made)
                    ds[r, j] = later_made[0]
                    dz[row, later * H + j] = later_made[0]
                    dh[q] = later_made[1]
                    dc[q] = later_made[2]
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                row = begin + first + r
                if r < R and r < active:
                    for k in range(K):
                        inputs[k] = states.gates[row, k * H + j]
                    inputs[K] = states.c[at.old[row], j]
                    inputs[K + 1] = states.c[at.new + row, j]
                    inputs[K + 2] = dh[q]
                    inputs[K + 3] = added(ds, r, v, dc[q])
                    first_back(inputs, made)
                    for g in range(G):
                        if g == later:
                            zs[r, g, j] = ds[r, j]
                        else:
                            zs[r, g, j] = made[g]
                            dz[row, g * H + j] = made[g]
                    for n in range(W):
                        dw[row, n * H + j] = made[G + 2 + n]
                    dc[q] = made[G]
                    dh[q] = made[G + 1]
            cuda.syncthreads()
            for r in range(R):
                sums[r] = 0
            add_products(zs, group, u, sums)
            for r in range(R):
                ps[r, tid] = sums[r]
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                if r < R and r < active:
                    through = ps[r, unread + j]
                    for g in range(unread // H + 1, G):
                        through = add(through, ps[r, g * H + j])
                    if gates_h:  # what reaches the old h through p passes the mask too
                        through = add(through, dc[q])
                        dc[q] = 0
                    if masked:
                        through = multiply(through, at.mask[at.order[first + r], j])
                    dh[q] = add(dh[q], through)
                    if resets and begins_anew(at, s, first + r):
                        dh[q] = dc[q] = 0
        for q in range(Q):
            r = group + G * q
            if r < R and first + r < at.N:
                ends.h[at.order[first + r], j] = dh[q]
                if not alone:
                    ends.c[at.order[first + r], j] = dc[q]

    return small_back
