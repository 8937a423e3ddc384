"""The same as small.py for cells with a later gate, whose second product is with V.

A thread holds a column of V besides its column of U, backward a row of each: in every group of threads those of all
units. So a group makes the second product of the sequences that it has the equations of. A block meets three times a
step. Sums, too, are chains in the CPU's order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from . import scalars
from .device import add, cuda, fma, helper, kernel_of, multiply
from .products import NOTHING
from .small import (
    Ends,
    Form,
    Ranks,
    Sums,
    Unit,
    begins_anew,
    first_phase_back,
    last_gradients,
    past_the_product,
    sums_back,
    sums_of_step,
)
from .steps import States


class Mine(NamedTuple):
    """What a thread has of its unit of each sequence that it works on: h, c, h as it enters the product, what the later
    gate's sums begin with, and what the first phase keeps (Q, K)."""

    h: Any
    c: Any
    entered: Any
    begun: Any
    kept: Any


class Room(NamedTuple):
    """For the equations of both phases: local arrays."""

    inputs: Any
    made: Any
    later_inputs: Any
    later_made: Any


@lru_cache(None)
def chain(H: int) -> Any:
    """total + operands[r, part] @ v, in order."""

    @helper
    def added(operands: Any, r: int, part: int, v: Any, total: Any) -> Any:
        for k in range(H):
            total = fma(operands[r, part, k], v[k], total)
        return total

    return added


@lru_cache(None)
def first_states(form: Form) -> Any:
    """The states that a thread begins with; hs: h as it enters the product, in shared memory."""
    real, alone, masked, resets = form.real, form.cell.alone, form.masked, form.resets

    @helper
    def begin(at: Ranks, rank: int, unit: Unit, ends: Ends, mine: Mine, hs: Any) -> None:
        q, r, _, j = unit
        n = at.order[rank]
        if not (resets and begins_anew(at, 0, rank)):
            mine.h[q] = ends.h[n, j]
            mine.c[q] = real(0) if alone else ends.c[n, j]
        mine.entered[q] = multiply(mine.h[q], at.mask[n, j]) if masked else mine.h[q]
        hs[r, 0, j] = mine.entered[q]

    return begin


@lru_cache(None)
def first_phase(form: Form) -> Any:
    """The first phase of a unit: from zs, the sums, its new c, or p, which goes to cs too."""
    cell, H, tape, equations = form.cell, form.H, form.tape, scalars.first(form.cell)
    G, K, reads_h, gates_h = cell.gate_count, len(cell.phases[0].keeps), cell.reads_h, cell.gates_h

    @helper
    def first(at: Ranks, unit: Unit, zs: Any, cs: Any, mine: Mine, states: States, room: Room) -> None:
        q, r, row, j = unit
        for g in range(G):
            room.inputs[g] = zs[r, g * H + j]
        room.inputs[G] = mine.c[q]
        room.inputs[G + 1] = 0
        if reads_h:
            room.inputs[G + 1] = mine.entered[q] if gates_h else mine.h[q]
        equations(room.inputs, room.made)
        for k in range(K):
            mine.kept[q, k] = room.made[k]
            if tape:
                states.gates[row, k * H + j] = room.made[k]
        mine.c[q] = cs[r, 0, j] = room.made[K]
        mine.begun[q] = room.made[K + 1]
        if tape:
            states.c[at.new + row, j] = room.made[K]

    return first


@lru_cache(None)
def later_phase(form: Form) -> Any:
    """The second phase of a unit: from the sum of the later gate the new h."""
    cell, H, tape, masked, equations = form.cell, form.H, form.tape, form.masked, scalars.later(form.cell)
    K, L = len(cell.phases[0].keeps), len(cell.phases[1].keeps)

    @helper
    def later(at: Ranks, rank: int, unit: Unit, total: Any, mine: Mine, states: States, room: Room) -> None:
        q, _, row, j = unit
        for k in range(K):
            room.later_inputs[k] = mine.kept[q, k]
        room.later_inputs[K] = total
        room.later_inputs[K + 1] = mine.c[q]
        room.later_inputs[K + 2] = mine.h[q]
        equations(room.later_inputs, room.later_made)
        mine.h[q] = room.later_made[L]
        mine.entered[q] = multiply(mine.h[q], at.mask[at.order[rank], j]) if masked else mine.h[q]
        if tape:
            for k in range(L):
                states.gates[row, (K + k) * H + j] = room.later_made[k]
            states.h[at.new + row, j] = mine.h[q]
            states.h_in[at.new + row, j] = mine.entered[q]

    return later


@lru_cache(None)
def forward(form: Form) -> Any:
    """Kernel: as that of `small.forward`; recurrent: U, and V (H, H)."""
    cell, real, H, R, _, resets, _ = form
    begin_with, first_of, later_of = first_states(form), first_phase(form), later_phase(form)
    add_up, added, threads = sums_of_step(form), chain(H), form.threads
    G, W, K, L = cell.gate_count, scalars.weight_count(cell), *(len(phase.keeps) for phase in cell.phases)
    unread, Q, alone = (G - cell.of_h) * H, -(-R // G), cell.alone
    ins, outs, later_ins, later_outs = G + 2 + W, K + 2, K + 3, L + 1

    @kernel_of(threads)
    def small(at: Ranks, z: Any, recurrent: Any, states: States, ends: Ends, y: Any, column: int) -> None:
        U, V = recurrent
        hs = cuda.shared.array((R, 1, H), real)
        zs = cuda.shared.array((R, threads), real)
        cs = cuda.shared.array((R, 1, H), real)
        u = cuda.local.array(H, real)
        v = cuda.local.array(H, real)
        ahead = cuda.local.array(R, real)
        of = Sums(hs, zs, u, cuda.local.array(R, real), ahead)
        mine = Mine(cuda.local.array(Q, real), cuda.local.array(Q, real), cuda.local.array(Q, real),
                    cuda.local.array(Q, real), cuda.local.array((Q, K), real))  # fmt: skip
        room = Room(cuda.local.array(ins, real), cuda.local.array(outs, real), cuda.local.array(later_ins, real),
                    cuda.local.array(later_outs, real))  # fmt: skip
        tid = cuda.threadIdx.x
        first = cuda.blockIdx.x * R
        group = tid // H
        j = tid - group * H
        for k in range(H):
            u[k] = U[k, tid - unread] if tid >= unread else real(0)
            v[k] = V[k, j]
        for n in range(W):
            room.inputs[G + 2 + n] = states.w[n * H + j]
        for q in range(Q):
            r = group + G * q
            mine.h[q] = mine.c[q] = 0
            if r < R and first + r < at.N:
                begin_with(at, first + r, Unit(q, r, 0, j), ends, mine, hs)
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
                    first_of(at, Unit(q, r, begin + first + r, j), zs, cs, mine, states, room)
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                if r < R and r < active:
                    row = begin + first + r
                    total = added(cs, r, 0, v, mine.begun[q])
                    later_of(at, first + r, Unit(q, r, row, j), total, mine, states, room)
                    y[at.place[row], column + j] = mine.h[q]
                    if resets and begins_anew(at, s + 1, first + r):
                        mine.h[q] = mine.c[q] = mine.entered[q] = 0
                    hs[r, 0, j] = mine.entered[q]
            cuda.syncthreads()
        for q in range(Q):
            r = group + G * q
            if r < R and first + r < at.begins[1]:  # a sequence without a step keeps its state
                ends.h[at.order[first + r], j] = mine.h[q]
                if not alone:
                    ends.c[at.order[first + r], j] = mine.c[q]

    return small


@lru_cache(None)
def later_phase_back(form: Form) -> Any:
    """The way back of the second phase: from dh and dc the gradient of the later gate's sum, and what goes on.

    above: what comes from dy."""
    cell, H, K, equations = form.cell, form.H, form.cell.kept, scalars.later_back(form.cell)
    gate = cell.later_gate

    @helper
    def back(at: Ranks, unit: Unit, above: Any, zs: Any, dz: Any, d: Ends, states: States, room: Room) -> None:
        q, r, row, j = unit
        for k in range(K):
            room.later_inputs[k] = states.gates[row, k * H + j]
        room.later_inputs[K] = states.c[at.new + row, j]
        room.later_inputs[K + 1] = add(d.h[q], above)
        room.later_inputs[K + 2] = d.c[q]
        equations(room.later_inputs, room.later_made)
        zs[r, gate, j] = dz[row, gate * H + j] = room.later_made[0]
        d.h[q] = room.later_made[1]
        d.c[q] = room.later_made[2]

    return back


@lru_cache(None)
def backward(form: Form) -> Any:
    """Kernel: as that of `small.backward`; recurrent: U and V."""
    cell, real, H, R = form[:4]
    later_back, first_back, past = later_phase_back(form), first_phase_back(form), past_the_product(form)
    begin_with, add_up, added, threads = last_gradients(form), sums_back(form), chain(H), form.threads
    alone, gate, G, W, K = cell.alone, cell.later_gate, cell.gate_count, scalars.weight_count(cell), cell.kept
    Q, unread, ins, outs, later_ins = -(-R // G), (G - cell.of_h) * H, K + 4 + W, G + 2 + W, K + 3

    @kernel_of(threads)
    def small_back(
        at: Ranks, dy: Any, column: int, recurrent: Any, states: States, ends: Ends, dz: Any, dw: Any
    ) -> None:
        U, V = recurrent
        zs = cuda.shared.array((R, G, H), real)
        ps = cuda.shared.array((R, threads), real)
        u = cuda.local.array(H, real)
        v = cuda.local.array(H, real)
        sums = cuda.local.array(R, real)
        d = Ends(cuda.local.array(Q, real), cuda.local.array(Q, real))
        room = Room(cuda.local.array(ins, real), cuda.local.array(outs, real), cuda.local.array(later_ins, real),
                    cuda.local.array(3, real))  # fmt: skip
        tid = cuda.threadIdx.x
        first = cuda.blockIdx.x * R
        group = tid // H
        j = tid - group * H
        for k in range(H):
            u[k] = U[j, group * H - unread + k] if tid >= unread else real(0)
            v[k] = V[j, k]
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
                    above = dy[at.place[row], column + j] if column >= 0 else real(NOTHING)
                    later_back(at, Unit(q, r, row, j), above, zs, dz, d, states, room)
            cuda.syncthreads()
            for q in range(Q):
                r = group + G * q
                if r < R and r < active:
                    dc = added(zs, r, gate, v, d.c[q])
                    first_back(at, Unit(q, r, begin + first + r, j), dc, zs, (dz, dw), d, states, room)
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
                ends.h[at.order[first + r], j] = d.h[q]
                if not alone:
                    ends.c[at.order[first + r], j] = d.c[q]

    return small_back
