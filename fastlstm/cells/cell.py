"""What a cell is: phases, each with its equations and what it reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..cpu.vectors.target import BLOCK

# What a phase reads of all units, or writes of its own, where threads share the units of a row. Other rows of the same
# arrays have other names, since a step reads what the one before it has written.
FORWARD = {
    "operands": "x and the old h",
    "h": "the new h, or what stands in its place until the last phase has made it",
    "m": "what is projected",
    "c": "the new c",
    "z": "the first phase's z, where a later one reads it from the tape",
    "gates": "all else that the tape keeps",
}
BACKWARD = {
    "later dz": "gradients of z of the step behind this one in the order of computation",
    "dz": "gradients of z",
    "dv": "gradients of the second phase's sums, or of a projected h",
    "dh": "gradients of h, or of what is projected",
    "dc": "gradients of c",
    "t": "tanh of c",
    "operands": "the old h, and what a second phase read",
    "dw": "what adds up to the gradients of weights of one number a unit; of a norm, those of z",
    "dw of c": "the same of the norm of c",
}


class Touch(NamedTuple):
    """What a phase has to do with numbers that threads share: names of `FORWARD` or `BACKWARD`.

    The threads meet behind a phase, not within it. So what a phase writes of its units, it may read of these alone:
    another thread's numbers there are the old ones or the new ones, as it happens. `checked` sees to that.

    Attributes
    ----------
    of_all : frozenset
        What it reads of all units of a row.
    writes : frozenset
        What it writes of its own.
    """

    of_all: frozenset[str]
    writes: frozenset[str]


def touch(of_all: str, writes: str) -> Touch:
    """From names with commas between them."""
    return Touch(frozenset(of_all.split(", ")), frozenset(writes.split(", ")))


class Phase(NamedTuple):
    """A phase's equations, and what it touches.

    Attributes
    ----------
    forward : function
        Of the first phase: (z of each gate, old c, weights for the equations) -> (what the tape keeps), new c, new h;
        where a second phase follows, what its sums begin with, or m, in h's place. Of the second: (sums, new c, old h)
        -> (what the tape keeps), new h.
    backward : function
        Of the first phase: (kept, kept by the step before, old c, tanh of the new c, dh, dc, weights for the equations)
        -> (dz of each gate), dc, tanh of the old c, old h, then for those weights what adds up to their gradients, None
        for what is none; dm in dh's place where m is projected. Of the second: (kept, tanh of the new c, dh,
        dc) -> dz, what of dh goes past z to the old h, dc but for z's part. Of a projection, whose dz is dh: (kept,
        tanh of the new c) -> m. Those of a normalized cell: norms.py says what they are given.
    touch, touch_back : Touch
        Of the phase forward, with y and all that follows from h; and backward, with what comes before the equations:
        dh = dz @ U.T of the step behind in the last phase, the product with V.T in the first of two.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    touch: Touch
    touch_back: Touch


class Cell(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    name : str
        As in `params.CELLS`.
    mark : type
        Stands for the cell in the types that Numba sees: the dtype of `Packed.layout`.
    kept : int
        Vectors of a block that the tape keeps: those of all phases, in order.
    of_x : int
        Gates that read x: the first ones.
    columns : tuple
        For b, W, U: where each of the gates i, f, g, o has its block of columns, -1 for one that has none.
    phases : tuple of Phase
    projects : bool
        Whether the second phase is the projection of what the first puts out.
    own : tuple
        Rows of weights of one number a unit that the equations take: the array, _OWN or _BIAS, and its columns.
    """

    name: str
    mark: type
    kept: int
    of_x: int
    columns: tuple[tuple[int, ...], ...]
    phases: tuple[Phase, ...]
    projects: bool = False
    own: tuple[tuple[int, tuple[int, ...]], ...] = ()

    @property
    def vectors(self) -> int:
        """Vectors of weights that the equations take."""
        return BLOCK * len(self.own)

    @property
    def later(self) -> int:
        """Axes of the array that stands for the later phases in the types that Numba sees, by which it leaves out what
        a cell does not have: 3 for panels of a second one, 2 for those of a normalized cell, 1 for none."""
        return (1, 3, 2)[len(self.phases) - 1]

    @property
    def parts(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """What the rows of a panel come from: b, W and U, then `own`."""
        return (*enumerate(self.columns), *self.own)


def checked(*cells: Cell) -> tuple[Cell, ...]:
    """The table; ValueError where threads that share units could not run it."""
    for cell in cells:
        for number, phase in enumerate(cell.phases):
            for way, names, touched in (("forward", FORWARD, phase.touch), ("backward", BACKWARD, phase.touch_back)):
                where = f"cell {cell.name!r}, phase {number} {way}"
                for name in sorted((touched.of_all | touched.writes) - set(names)):
                    raise ValueError(f"{where}: expected names of {sorted(names)}, got {name!r}")
                for name in sorted(touched.of_all & touched.writes):
                    raise ValueError(
                        f"{where}: it writes {name!r}, {names[name]}, and reads the same of all units; "
                        "threads that share them meet behind a phase, so it would read some old and some new ones"
                    )
    return cells
