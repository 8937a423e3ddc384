"""What a cell is: phases, each with its equations and what it reads and writes.

A step is made in phases. The first has z = [1, x, h] @ [b; W; U], a block of z for each gate, and makes the new c. A
later one begins when all units are through the one before: a gate that reads the new c of all units, a projection of
what the first phase put out, or equations over numbers that were normalized over all units. Letters as in
docs/equations.md; a `d` in front marks a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .number import Number

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


class Gates(NamedTuple):
    """A number for each gate of an LSTM, or None."""

    i: Any = None
    f: Any = None
    g: Any = None
    o: Any = None


Rows: TypeAlias = tuple[Gates, ...]
"""Unit weights: rows of weights of one number a unit, which the equations take; and what adds up to their gradients."""


class Made(NamedTuple):
    """What a phase forward makes: what the tape keeps of it, the new c, and the new h or what stands in its place.

    None for c where the phase leaves it as it is."""

    kept: tuple[Number, ...]
    c: Number | None
    h: Number


class Given(NamedTuple):
    """What the first phase is given backward.

    Attributes
    ----------
    kept : NamedTuple of Number
        What the tape has of the step (Cell.tape).
    before : NamedTuple of Number
        The same of the step before.
    c_old, t : Number
        The old c, and tanh of the new one.
    dh, dc : Number
        Gradients of h and c; of m in h's place, where that is projected.
    w : Rows
        Unit weights.
    """

    kept: Any
    before: Any
    c_old: Number
    t: Number
    dh: Number
    dc: Number
    w: Rows


class Back(NamedTuple):
    """What the first phase makes backward: the gradients of z and of the old c, tanh of the old c, the old h, and what
    adds up to the gradients of the unit weights."""

    dz: Gates
    dc: Number
    t_old: Number
    h_old: Number
    dw: Rows = ()


@dataclass(frozen=True)
class Product:
    """The first phase: a product, and equations over its gates.

    Attributes
    ----------
    keeps : tuple of str
        The fields of Cell.tape that it fills.
    forward : function
        (z, old c, unit weights) -> Made. Where a second phase follows, what its sums begin with is in h's place, or m.
    backward : function
        Given -> Back.
    touch, touch_back : Touch
        Of the phase forward, with y and all that follows from h; and backward, with what comes before the equations:
        dh = dz @ U.T of the step behind in the last phase, the product with V.T in the first of two.
    """

    keeps: tuple[str, ...]
    forward: Callable[[Any, Number, Rows], Made]
    backward: Callable[[Given], Back]
    touch: Touch
    touch_back: Touch


@dataclass(frozen=True)
class LaterGate:
    """A gate whose sums go on with c @ V, c being the new one of all units.

    forward: (z, new c, old h) -> Made. backward: (kept, tanh of the new c, dh, dc) -> dz, what of dh goes past z to the
    old h, and dc but for what comes through z."""

    keeps: tuple[str, ...]
    forward: Callable[[Number, Number, Number], Made]
    backward: Callable[[Any, Number, Number, Number], tuple[Number, Number, Number]]
    touch: Touch
    touch_back: Touch


@dataclass(frozen=True)
class Projection:
    """A product only: h = m @ V, of another width than c. It keeps the old h.

    m: (kept, tanh of the new c) -> m, made again for the product backward."""

    keeps: tuple[str, ...]
    m: Callable[[Any, Number], Number]
    touch: Touch
    touch_back: Touch


@dataclass(frozen=True)
class Waiting:
    """A product only, the first phase: z waits on the tape until those of all units are there.

    backward: (kept, gradients of the shifts of z's norms, moments of z, means of the gradients, unit weights) -> the
    gradients of z, and the old h."""

    keeps: tuple[str, ...]
    backward: Callable[[Any, Gates, Gates, Gates, Rows], tuple[Gates, Number]]
    touch: Touch
    touch_back: Touch


class Moments(NamedTuple):
    """Of a row: its mean, and the reciprocal of its deviation. Or, of the gradient of the normalized row: its mean, and
    that of its product with the normalized row."""

    mean: Number
    scale: Number


@dataclass(frozen=True)
class NormalGates:
    """Equations over gates, z being normalized over all units.

    forward: (z, old c, moments of z, unit weights) -> Made, what the last phase needs in h's place. backward: (kept,
    Normed, moments of z, unit weights) -> dc, and what adds up to the gradients of the unit weights."""

    keeps: tuple[str, ...]
    forward: Callable[[Gates, Number, Gates, Rows], Made]
    backward: Callable[[Any, Normed, Gates, Rows], tuple[Number, Rows]]
    touch: Touch
    touch_back: Touch


@dataclass(frozen=True)
class NormalOutput:
    """The new h, from c normalized over all units.

    forward: (what the phase before left in h's place, old h, new c, moments of c, unit weights) -> Made. backward:
    (kept, new c, dh, moments of c, unit weights) -> what adds up to the gradients of the unit weights."""

    keeps: tuple[str, ...]
    forward: Callable[[Number, Number, Number, Moments, Rows], Made]
    backward: Callable[[Any, Number, Number, Moments, Rows], Rows]
    touch: Touch
    touch_back: Touch


class Normed(NamedTuple):
    """What `NormalGates` is given backward of c: the new one, the old one, its gradient but for what comes through the
    norm, the sums that the last phase left, the moments of c, and the means of the gradient of c normalized."""

    c: Number
    c_old: Number
    dc: Number
    dw: Rows
    of_c: Moments
    means: Moments


Phase: TypeAlias = Product | LaterGate | Projection | Waiting | NormalGates | NormalOutput


class Cell(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    name : str
        As in `params.CELLS`.
    tape : type
        NamedTuple of what the tape keeps of a unit and step: that of all phases, in order.
    of_x : int
        Gates that read x: the first ones.
    columns : tuple
        For b, W, U: where each of the gates i, f, g, o has its block of columns, -1 for one that has none.
    phases : tuple of Phase
    unit_weights : tuple
        Rows of weights of one number a unit that the equations take: the number of the array, and its columns.
    """

    name: str
    tape: Any
    of_x: int
    columns: tuple[tuple[int, ...], ...]
    phases: tuple[Phase, ...]
    unit_weights: tuple[tuple[int, tuple[int, ...]], ...] = ()

    @property
    def kept(self) -> int:
        """Numbers of a unit and step that the tape keeps."""
        return len(self.tape._fields)

    @property
    def phase_count(self) -> int:
        return len(self.phases)

    @property
    def weight_rows(self) -> int:
        """Rows of unit weights."""
        return len(self.unit_weights)

    @property
    def projects(self) -> bool:
        """Whether h is a projection of what the first phase puts out."""
        return any(isinstance(phase, Projection) for phase in self.phases)

    @property
    def multiplies_later(self) -> bool:
        """Whether there is a second phase that is a product, with panels of its own."""
        return self.phase_count > 1 and isinstance(self.phases[1], (LaterGate, Projection))

    @property
    def normalizes(self) -> bool:
        """Whether there are phases that take moments over all units."""
        return any(isinstance(phase, NormalGates) for phase in self.phases)

    @property
    def parts(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """What the rows of a panel come from: b, W and U, then `unit_weights`."""
        return (*enumerate(self.columns), *self.unit_weights)

    def kept_from(self, phase: Phase) -> int:
        """The place on the tape of the first number that a phase keeps; the others follow."""
        return int(self.tape._fields.index(phase.keeps[0])) if phase.keeps else 0


def checked(*cells: Cell) -> tuple[Cell, ...]:
    """The table; ValueError where threads that share units could not run it, or the tape would not be filled."""
    for cell in cells:
        keeps = tuple(name for phase in cell.phases for name in phase.keeps)
        if keeps != cell.tape._fields:
            raise ValueError(f"cell {cell.name!r}: expected phases that keep {cell.tape._fields}, got {keeps}")
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
