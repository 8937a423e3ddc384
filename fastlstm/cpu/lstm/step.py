"""One time step of some samples for some blocks of units, phase by phase: matrix part and cell in one pass."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..compiler.options import compiled, inlined
from ..vectors.rows import clear_vectors
from ..vectors.target import BLOCK, TILE_ROWS
from ..vectors.tiles import product, product_of
from ..vectors.view import view
from ..vectors.views import lanes_of, line_of
from .norms import normalize
from .sizes import behind_x, panel_vectors, panels_for, vectors_for
from .tiles import (
    finish_four,
    finish_one,
    forward_tile_1,
    forward_tile_2,
    forward_tile_3,
    forward_tile_4,
    forward_tile_5,
    forward_tile_6,
    forward_twin,
    input_one,
    input_rows,
)


class Operands(NamedTuple):
    """What the first phase's sums are made of. All but numbers are views of rows of samples and blocks of units.

    old: the operands [x, h], `depth` of them, of which the first `inputs` are x; its blocks are h's, behind these;
    panels: their weights; init: what the sums begin with."""

    old: Any
    depth: int
    inputs: int
    panels: Any
    init: Any


class Step(NamedTuple):
    """Where the phases of a step read and write: views of rows of samples and blocks of units.

    made: where the first phase puts h, or what a second phase goes on from, or m, which it projects. c_old and c_new
    may be the same place."""

    h_old: Any
    h_new: Any
    made: Any
    c_old: Any
    c_new: Any
    gates: Any


@inlined
def panels_of(weights: Any, sizes: Any) -> Any:
    """A view of the blocks of panels: of b."""
    return view(weights.panels, 0, 0, panel_vectors(weights.cell, sizes.D, sizes.P) * lanes_of(weights.panels))


@inlined
def weights_of_x(weights: Any, sizes: Any) -> Any:
    """A view of the rows of W, by blocks; behind the last one those of U begin."""
    cell, L = weights.cell, lanes_of(weights.panels)
    return view(weights.panels, cell.gate_count * L, cell.of_x * L, panel_vectors(cell, sizes.D, sizes.P) * L)


@inlined
def weights_of_h(weights: Any, sizes: Any) -> Any:
    """A view of the rows of U, by blocks."""
    cell, L = weights.cell, lanes_of(weights.panels)
    return view(weights.panels, behind_x(cell, sizes.D) * L, cell.of_h * L, panel_vectors(cell, sizes.D, sizes.P) * L)


@compiled
def inputs(cell: Any, x: Any, steps: Any, D: Any, panel: Any, out: Any) -> None:
    """x @ W + b of some steps for a block of units; of the gates that do not read x there is b alone. panel: a view of
    the block's, x and out of rows of steps."""
    if cell.fills_panels:
        product(x, steps, D, panel + BLOCK * lanes_of(panel), panel, out)
    else:
        step = 0
        while step < steps:
            if step + TILE_ROWS <= steps:
                input_rows(cell, x.at(step, 0), D, panel, out.at(step, 0))
                step += TILE_ROWS
            else:
                input_one(cell, x.at(step, 0), D, panel, out.at(step, 0))
                step += 1


@inlined
def h_of_first(cell: Any, z: Any, at: Any) -> Any:
    """A view of the old h that the first phase's equations read of their own unit."""
    if cell.gates_h:
        return z.old + z.inputs
    return at.h_old


@inlined
def first_phase(lo: Any, hi: Any, rows: Any, back: Any, cell: Any, z: Any, at: Any) -> None:
    """The first phase of a step of some rows for blocks lo to hi of units. z: Operands; at: a Step.

    back: go through the blocks backwards; every other time that finds in cache what was read last. A single row's step
    is part of the caller: a call takes half as long as a small one.
    """
    h_old = h_of_first(cell, z, at)
    if rows == 1:
        j = 0
        while j < hi - lo:
            two = j + 1 < hi - lo
            b = lo + j
            if back:
                b = hi - 2 - j if two else hi - 1 - j
            panel, init = z.panels.at(0, b), z.init.at(0, b)
            where = (h_old.at(0, b), at.c_old.at(0, b), at.c_new.at(0, b), at.made.at(0, b), at.gates.at(0, b))
            if two:
                forward_twin(cell, z.old, z.depth, z.inputs, panel, init, *where)
            else:
                forward_tile_1(cell, z.old, z.depth, z.inputs, panel, 0, init, *where)
            j += 2
    else:
        tiles(lo, hi, rows, back, cell, z, at)


@compiled
def tiles(lo: Any, hi: Any, rows: Any, back: Any, cell: Any, z: Any, at: Any) -> None:
    """`first_phase` for more rows than one."""
    h_old = h_of_first(cell, z, at)
    for j in range(hi - lo):
        b = hi - 1 - j if back else lo + j
        panel = z.panels.at(0, b)
        ahead = -panel.block if back else panel.block
        first = 0
        left = (rows + TILE_ROWS - 1) // TILE_ROWS
        while left > 0:
            height = (rows - first + left - 1) // left
            where = (cell, z.old.at(first, 0), z.depth, z.inputs, panel, ahead, z.init.at(first, b),
                     h_old.at(first, b), at.c_old.at(first, b), at.c_new.at(first, b), at.made.at(first, b),
                     at.gates.at(first, b))  # fmt: skip
            if height == 6:
                forward_tile_6(*where)
            elif height == 5:
                forward_tile_5(*where)
            elif height == 4:
                forward_tile_4(*where)
            elif height == 3:
                forward_tile_3(*where)
            else:
                forward_tile_2(*where)
            ahead += z.depth // 4 * line_of(panel)
            first += height
            left -= 1


@inlined
def blocks_in(phase: Any, sizes: Any, weights: Any) -> Any:
    """Blocks of units that a phase makes: of c, or of h, which may be narrower."""
    L = lanes_of(weights.panels)
    if weights.cell.multiplies_later:  # noqa: SIM102
        if phase == 1:
            return vectors_for(sizes.P, L)
    return vectors_for(sizes.H, L)


@inlined
def later_phase(phase: Any, lo: Any, hi: Any, rows: Any, back: Any, sizes: Any, weights: Any, at: Any) -> None:
    """A phase behind the first, for blocks lo to hi of those that it makes."""
    if weights.cell.multiplies_later:
        finish(lo, hi, rows, back, sizes, weights, at)
    if weights.cell.normalizes:
        L = lanes_of(weights.panels)
        normalize(phase, lo, hi, rows, sizes, weights, at, (vectors_for(sizes.H, L) + 1) * L)


@compiled
def finish(lo: Any, hi: Any, rows: Any, back: Any, sizes: Any, weights: Any, at: Any) -> None:
    """A second phase with a product, for blocks lo to hi of the units of h, lo a multiple of BLOCK: the new h comes to
    where the first phase left what the sums go on from; or from m, which it left."""
    cell, H, L = weights.cell, sizes.H, lanes_of(weights.panels)
    width = BLOCK * L
    panels = view(weights.second, 0, 0, H * width)
    first, last = lo // BLOCK, panels_for(hi * L, L)
    read = at.c_new
    if cell.projects:
        read = at.made
        clear_vectors(at.h_new.at(0, lo), rows, (last * BLOCK - lo) * L)
    for j in range(first, last):
        q = first + last - 1 - j if back else j
        sums = at.h_new.at(0, q * BLOCK)
        product_of(sizes.P - q * width, read, rows, H, panels.at(0, q), sums, sums)
    for r in range(rows):
        b = lo
        while b + BLOCK <= hi:
            h = at.h_new.at(r, b)
            finish_four(cell, h, at.h_old.at(r, b), at.c_new.at(r, b), h, width, at.gates.at(r, b))
            b += BLOCK
        while b < hi:
            h = at.h_new.at(r, b)
            finish_one(cell, h, at.h_old.at(r, b), at.c_new.at(r, b), h, L, at.gates.at(r, b))
            b += 1
