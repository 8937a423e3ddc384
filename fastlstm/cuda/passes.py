"""A pass of one direction of a layer, forward and backward: which kernels run, one after another.

Forward: x @ W + b of all rows; then the time loop, step by step a product with U and the phases' equations; then y.
Backward: the time loop from the last step to the first, then the sums over all rows that the weights' gradients are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cells.phases import Cell
from ..params import AnyParams, State
from . import norms, products, small, small_later, steps, wide
from .device import cuda
from .products import Depth, Tile, product_blocks, tile_for
from .records import DeviceArray, DeviceBatch, DeviceKept, DeviceWeights
from .rows import THREADS, Rows, Size, accumulate, blocks, clear, copy, past_the_product, scale, spread
from .steps import Flow, Index, States
from .weights import arrays_for, into_record

SUM_BLOCKS = 264  # of a sum over rows: as many pieces run at once as make about that many


def room_for(weights: DeviceWeights, batch: DeviceBatch, stream: Any, *, tape: bool) -> DeviceKept:
    """Room for h and c of all rows, and for what phases keep: of all rows on a tape, else of a step. Kernels that have
    a whole sequence in registers need none but a tape."""
    cell, _, H, P = weights[:4]
    which = batch.schedule
    M, N = which.first[-1], which.N
    if not tape and batch.kind == "small":
        nothing = cuda.device_array((1, 1), weights.W.dtype, stream=stream)
        return DeviceKept(*(nothing for _ in DeviceKept._fields))
    made = M if tape else N

    def empty(rows: int, width: int) -> DeviceArray:
        return cuda.device_array((max(rows, 1), width), weights.W.dtype, stream=stream)

    h = empty(1 + N + M, P)
    return DeviceKept(
        h,
        h if batch.mask is None else empty(1 + N + M, P),
        h if cell.alone and not cell.gates_h else empty(1 + N + M, H),
        empty(made, cell.kept * H),
        empty(M, H) if cell.projects else empty(1, 1),
        empty(made, 2 * (cell.gate_count + 1)) if cell.normalizes else empty(1, 1),
    )


class Pass:
    """What both ways have: sizes, and kernels by name."""

    def __init__(self, weights: DeviceWeights, batch: DeviceBatch, kept: DeviceKept, stream: Any) -> None:
        self.weights, self.batch, self.kept, self.stream = weights, batch, kept, stream
        self.cell: Cell = weights.cell
        self.schedule = batch.schedule
        self.N, self.M, self.new = self.schedule.N, self.schedule.first[-1], 1 + self.schedule.N
        self.dtype = weights.W.dtype
        self.real = self.dtype.type
        self.small = batch.kind == "small"
        self.states = States(kept.h, kept.h_in, kept.c, kept.gates, weights.w)

    def empty(self, *shape: int) -> DeviceArray:
        return cuda.device_array(shape, self.dtype, stream=self.stream)

    def zeros(self, *shape: int) -> DeviceArray:
        return cuda.to_device(np.zeros(shape, self.dtype), stream=self.stream)

    def run(self, kernel: Any, size: Size, *arguments: Any) -> None:
        """A kernel of a thread a number."""
        if size.rows * size.width:
            kernel[blocks(size), THREADS, self.stream](size, *arguments)

    def rows_at(self, s: int) -> tuple[int, int]:
        """The first row of a step, and how many it has."""
        first, end = self.schedule.first[s : s + 2]
        return first, end - first

    def index(self, first: int, tape: int = 0) -> Index:
        return Index(first, tape, self.new, self.schedule.old, self.schedule.sequence)

    def by_row(self, array: DeviceArray, first: int, column: int = 0) -> Rows:
        """Rows of an array that has one for each row of the pass."""
        return Rows(array, self.schedule.own, first, column)

    def form(self, *, tape: bool) -> small.Form:
        return small.form_for(self.weights, self.batch, tape=tape)

    @property
    def loops(self) -> Any:
        """The module that has the kernels of all steps."""
        return small_later if self.cell.later_gate >= 0 else small

    @property
    def recurrent(self) -> Any:
        """The weights that they hold: U, or U and V."""
        return (self.weights.U, self.weights.V) if self.cell.later_gate >= 0 else self.weights.U

    def ranks(self) -> small.Ranks:
        which = self.schedule
        mask = self.weights.U if self.batch.mask is None else self.batch.mask
        steps = len(which.first) - 1
        return small.Ranks(self.N, steps, self.new, which.begins, which.place, which.old, which.order, mask)

    def rounds(self, make: Any, form: wide.Form, count: int, *arguments: Any) -> None:
        """The time loop by kernels that have U in the registers of all blocks."""
        ranks = self.ranks()
        rows = wide.group_rows(form, self.N)
        rounds = wide.Rounds(0, count, rows, ranks.steps, ranks.begins, ranks.place, ranks.mask, ranks.begins)
        wide.run(make, form, -(-self.N // rows), self.stream, self.index(0), rounds, *arguments)

    def product(
        self, size: Depth, a: Rows, b: DeviceArray, out: Rows, *, transposed: bool = False, adds: bool = False
    ) -> None:
        """out = a @ b, or b.T; or added to out."""
        if size.rows * size.width:
            tile = tile_for(size.rows)
            kernel = products.product(self.real, tile, transposed, adds)
            kernel[product_blocks(tile, size), (tile.across, tile.down), self.stream](size, a, b, out)


class Forward(Pass):
    """tape: whether what phases keep is kept of all rows."""

    def __init__(
        self, weights: DeviceWeights, batch: DeviceBatch, kept: DeviceKept, stream: Any, *, tape: bool
    ) -> None:
        super().__init__(weights, batch, kept, stream)
        self.tape = tape
        self.z = self.empty(max(self.M, 1), self.cell.gate_count * weights.H)

    def begin(self, state: Any) -> None:
        """The initial states, and z = b + x @ W of all rows."""
        weights, cell, which = self.weights, self.cell, self.schedule
        D, H, P = weights[1:4]
        given = (
            [(state.h, self.kept.h, P)] if self.tape or not self.small else []
        )  # kernels of whole sequences read them
        if given and isinstance(state, State):
            given.append((state.c, self.kept.c, H))
        for source, target, width in given:
            self.run(clear, Size(1, width), Rows(target, which.own, 0))
            self.run(copy, Size(self.N, width), Rows(source, which.own, 0), Rows(target, which.own, 1))
        if given and self.batch.mask is not None:
            self.run(clear, Size(1, P), Rows(self.kept.h_in, which.own, 0))
            self.masked(Rows(self.kept.h, which.own, 1), Rows(self.kept.h_in, which.own, 1), which.own, 0, self.N)
        self.run(spread, Size(self.M, cell.gate_count * H), weights.b, self.z)
        x = Rows(self.batch.x.reshape(-1, D), which.place, 0)
        self.product(Depth(self.M, cell.of_x * H, D), x, weights.W, self.by_row(self.z, 0), adds=True)

    def masked(self, source: Rows, target: Rows, sequence: DeviceArray, first: int, count: int) -> None:
        """Rows of h as they enter a product. sequence[first:]: each one's."""
        self.run(scale, Size(count, self.weights.P), source, Rows(self.batch.mask, sequence, first), target)

    def steps(self, state: Any, y: DeviceArray, column: int) -> None:
        """The time loop, y, and the last states in place of the first ones."""
        if self.small:
            form, flat = self.form(tape=self.tape), y.reshape(-1, y.shape[2])
            self.loops.forward(form)[-(-self.N // form.R), form.threads, self.stream](
                self.ranks(), self.z, self.recurrent, self.states, small.Ends(state[0], state[-1]), flat, column
            )
            return
        count = len(self.schedule.first) - 1
        if self.batch.kind == "wide":
            form = wide.form_for(self.weights, self.batch, tape=self.tape)
            self.rounds(wide.forward, form, count, self.z, self.weights.U, self.states)
        else:
            for s in range(count):
                self.step(*self.rows_at(s))
        self.end(state, y, column)

    def step(self, first: int, count: int) -> None:
        weights, cell, real, kept = self.weights, self.cell, self.real, self.kept
        _, H, P = weights[1:4]
        at, size = self.index(first, 0 if self.tape else first), Size(count, H)
        of_h = (cell.gate_count - cell.of_h) * H
        self.product(Depth(count, cell.of_h * H, P), Rows(kept.h_in, self.schedule.old, first), weights.U,
                     self.by_row(self.z, first, of_h), adds=True)  # fmt: skip
        if cell.normalizes:
            self.normalized(at, size)
        else:
            made = kept.made if cell.projects else self.z
            self.run(steps.first_phase(cell, real), size, at, (self.z, self.states, made))
        if cell.projects:
            self.product(Depth(count, P, H), self.by_row(kept.made, first), weights.V,
                         self.by_row(kept.h, self.new + first))  # fmt: skip
        elif cell.multiplies_later:
            self.product(Depth(count, H, H), self.by_row(kept.c, self.new + first), weights.V,
                         self.by_row(self.z, first, cell.later_gate * H), adds=True)  # fmt: skip
            self.run(steps.later_phase(cell, real), size, at, (self.z, self.states))
        if self.batch.mask is not None:
            new = self.new + first
            self.masked(self.by_row(kept.h, new), self.by_row(kept.h_in, new), self.schedule.sequence, first, count)

    def normalized(self, at: Index, size: Size) -> None:
        """The phases behind the product of a cell that normalizes."""
        cell, real, found = self.cell, self.real, self.kept.moments
        G, kept = cell.gate_count, at.first - at.tape
        z = self.by_row(self.z, at.first)
        self.run(copy, Size(size.rows, G * size.width), z, self.by_row(self.kept.gates, kept))
        moments, out = norms.moments(real), self.by_row(found, kept)
        moments[(size.rows, G), norms.THREADS, self.stream](size, z, out, 0)
        self.run(norms.normal_gates(cell, real), size, at, (self.z, found, self.states))
        c = self.by_row(self.kept.c, self.new + at.first)
        moments[(size.rows, 1), norms.THREADS, self.stream](size, c, out, G)
        self.run(norms.normal_output(cell, real), size, at, (self.z, found, self.states))

    def end(self, state: Any, y: DeviceArray, column: int) -> None:
        """y, and the last states."""
        which, (H, P) = self.schedule, self.weights[2:4]
        flat = y.reshape(-1, y.shape[2])
        self.run(copy, Size(self.M, P), self.by_row(self.kept.h, self.new), Rows(flat, which.place, 0, column))
        self.run(copy, Size(self.N, P), Rows(self.kept.h, which.last, 0), Rows(state.h, which.own, 0))
        if isinstance(state, State):
            self.run(copy, Size(self.N, H), Rows(self.kept.c, which.last, 0), Rows(state.c, which.own, 0))


class Backward(Pass):
    """dstate: gradients of the last state, which become those of the first."""

    def __init__(self, weights: DeviceWeights, batch: DeviceBatch, kept: DeviceKept, stream: Any, dstate: Any) -> None:
        super().__init__(weights, batch, kept, stream)
        cell, H = self.cell, weights.H
        M, G = max(self.M, 1), self.cell.gate_count
        self.dh = dstate.h
        self.flow = Flow(
            self.empty(self.N, H) if cell.projects else dstate.h,
            dstate.c if isinstance(dstate, State) else self.zeros(self.N, H),
            self.empty(M, G * H),
            self.zeros(M, cell.weight_rows * G * H) if cell.weight_rows else self.empty(1, 1),
        )
        self.means = self.empty(M, 2 * (G + 1)) if cell.normalizes else None
        self.dprojected = self.empty(M, weights.P) if cell.projects else None
        self.through = self.empty(self.N, weights.P) if cell.gates_h or batch.mask is not None else None

    def steps(self, dy: DeviceArray | None, column: int, dstate: Any) -> None:
        """The time loop: dz of all rows; the gradients of the first states in place of those of the last ones."""
        if self.small:
            form, flow = self.form(tape=True), self.flow
            flat = flow.dz if dy is None else dy.reshape(-1, dy.shape[2])
            self.loops.backward(form)[-(-self.N // form.R), form.threads, self.stream](
                self.ranks(), flat, -1 if dy is None else column, self.recurrent, self.states,
                small.Ends(dstate[0], dstate[-1]), flow.dz, flow.dw,
            )  # fmt: skip
            return
        flat = None if dy is None else dy.reshape(-1, dy.shape[2])
        if self.batch.kind == "wide":
            form, flow = wide.form_for(self.weights, self.batch, tape=True), self.flow
            self.rounds(wide.backward, form, len(self.schedule.first), flow.dz if flat is None else flat,
                        -1 if flat is None else column, self.weights.U, self.states, flow)  # fmt: skip
        else:
            self.step_by_step(flat, column)
        if self.cell.alone:  # h is in the place of c: its gradient is the sum of the two
            own = self.schedule.own
            self.run(accumulate, Size(self.N, self.weights.H), Rows(self.flow.dc, own, 0), Rows(self.dh, own, 0))

    def step_by_step(self, dy: DeviceArray | None, column: int) -> None:
        for s in reversed(range(len(self.schedule.first) - 1)):
            first, count = self.rows_at(s)
            if dy is not None:
                self.run(accumulate, Size(count, self.weights.P), Rows(dy, self.schedule.place, first, column),
                         Rows(self.dh, self.schedule.sequence, first))  # fmt: skip
            self.step(first, count)
            self.past(first, count)

    def step(self, first: int, count: int) -> None:
        """From dh and dc of a step's rows those of z."""
        weights, cell, real, flow, which = self.weights, self.cell, self.real, self.flow, self.schedule
        _, H, P = weights[1:4]
        at, size = self.index(first), Size(count, H)
        if cell.projects:
            dh, here = Rows(self.dh, which.sequence, first), self.by_row(self.dprojected, first)
            self.run(copy, Size(count, P), dh, here)
            self.run(clear, Size(count, P), dh)
            self.product(Depth(count, H, P), here, weights.V, Rows(flow.dh, which.sequence, first), transposed=True)
        elif cell.multiplies_later:
            self.run(steps.later_phase_back(cell, real), size, at, (self.states, flow))
            self.product(Depth(count, H, H), self.by_row(flow.dz, first, cell.later_gate * H), weights.V,
                         Rows(flow.dc, which.sequence, first), transposed=True, adds=True)  # fmt: skip
        if cell.normalizes:
            self.normalized(at, size)
        else:
            self.run(steps.first_phase_back(cell, real), size, at, (self.states, flow))

    def normalized(self, at: Index, size: Size) -> None:
        cell, real, found, flow, means = self.cell, self.real, self.kept.moments, self.flow, self.means
        G, H = cell.gate_count, size.width
        of_gradients, w = norms.gradient_means(real), self.weights.w

        def phase(number: int) -> None:
            self.run(norms.normal_back(cell, real, number), size, at, (found, means, self.states, flow))

        phase(2)
        of_gradients[(size.rows, 1), norms.THREADS, self.stream](
            size, self.by_row(flow.dw, at.first, norms.C_SHIFT * G * H), w, norms.C_SCALE * G * H,
            self.by_row(self.kept.c, self.new + at.first), found, means, G,
        )  # fmt: skip
        phase(1)
        of_gradients[(size.rows, G), norms.THREADS, self.stream](
            size, self.by_row(flow.dw, at.first, norms.Z_SHIFT * G * H), w, norms.Z_SCALE * G * H,
            self.by_row(self.kept.gates, at.first), found, means, 0,
        )  # fmt: skip
        phase(0)

    def past(self, first: int, count: int) -> None:
        """dh of the step before: dz @ U.T, and what went past z."""
        cell, (H, P), which = self.cell, self.weights[2:4], self.schedule
        size = Depth(count, P, cell.of_h * H)
        dz = self.by_row(self.flow.dz, first, (cell.gate_count - cell.of_h) * H)
        if self.through is None:
            self.product(size, dz, self.weights.U, Rows(self.dh, which.back, first), transposed=True, adds=True)
            return
        self.product(size, dz, self.weights.U, Rows(self.through, which.sequence, first), transposed=True)
        mask = self.through if self.batch.mask is None else self.batch.mask
        kernel = past_the_product(self.batch.mask is not None, cell.gates_h)
        self.run(kernel, Size(count, P), Rows(self.dh, which.sequence, first), which.old, self.through, mask,
                 self.flow.dc)  # fmt: skip

    def inputs(self, dx: DeviceArray | None) -> None:
        """dx += dz @ W.T."""
        if dx is not None:
            D, H, _ = self.weights[1:4]
            out = Rows(dx.reshape(-1, D), self.schedule.place, 0)
            self.product(Depth(self.M, D, self.cell.of_x * H), self.by_row(self.flow.dz, 0), self.weights.W, out,
                         transposed=True, adds=True)  # fmt: skip

    def gradients(self) -> AnyParams:
        """The record of the weights' gradients."""
        weights, cell, kept, which = self.weights, self.cell, self.kept, self.schedule
        D, H, P = weights[1:4]
        if self.M == 0:
            forms = arrays_for(cell, D, H, P)
            return into_record(weights, {name: self.zeros(*form) for name, form in forms.items()}, self.stream)
        G, dz = cell.gate_count, self.flow.dz
        found = {
            "W": self.sums(Rows(self.batch.x.reshape(-1, D), which.place, 0), self.by_row(dz, 0), D, cell.of_x * H),
            "U": self.sums(Rows(kept.h_in, which.old, 0), self.by_row(dz, 0, (G - cell.of_h) * H), P, cell.of_h * H),
            "b": self.column_sums(dz),
            "w": self.column_sums(self.flow.dw) if cell.weight_rows else None,
        }
        if cell.projects:
            found["V"] = self.sums(self.by_row(kept.made, 0), self.by_row(self.dprojected, 0), H, P)
        elif cell.multiplies_later:
            later = self.by_row(dz, 0, cell.later_gate * H)
            found["V"] = self.sums(self.by_row(kept.c, self.new), later, H, H)
        return into_record(weights, found, self.stream)

    def sums(self, a: Rows, b: Rows, rows: int, width: int) -> DeviceArray:
        """a.T @ b over all rows."""
        if width == 0:
            return self.empty(rows, 1)
        tile: Tile = tile_for(rows)
        size = Depth(rows, width, self.M)
        down, across = product_blocks(tile, size)
        share, count = shares(self.M, down * across)
        parts = self.empty(count * rows, width)
        kernel = products.sums(self.real, tile)
        kernel[(down, across, count), (tile.across, tile.down), self.stream](size, share, a, b, parts)
        return self.added(size, parts, count)

    def column_sums(self, a: DeviceArray) -> DeviceArray:
        size = Depth(1, a.shape[1], self.M)
        across = -(-size.width // THREADS)
        share, count = shares(self.M, across)
        parts = self.empty(count, size.width)
        products.column_sums(self.real)[(across, count), THREADS, self.stream](size, share, a, parts)
        return self.added(size, parts, count)

    def added(self, size: Depth, parts: DeviceArray, count: int) -> DeviceArray:
        if count == 1:
            return parts
        found = self.empty(size.rows, size.width)
        kernel = products.add_up(self.real)
        kernel[blocks(Size(size.rows, size.width)), THREADS, self.stream](size, parts, count, found)
        return found


def shares(depth: int, blocks_each: int) -> tuple[int, int]:
    """A sum over `depth` rows in parts: rows of each, whole pieces, and how many parts. A function of sizes alone."""
    pieces = -(-depth // products.PIECE)
    count = max(1, min(pieces, SUM_BLOCKS // blocks_each))
    each = -(-pieces // count)
    return each * products.PIECE, -(-pieces // each)
