"""What a cell is: a list of phases, each with its equations and with what it reads and writes.

One time step runs the phases in order. The first has the product z = [1, x, h] @ [b; W; U], a block of z for each gate.
In most cells it is the only one: from z and the old c it makes the new c and h. Another phase is there where the
equations need what the phase before has made of *all* units: a gate that reads the new c, a projection of what the
first phase puts out, or numbers that are normalized over all units. It begins when all units are through that one.

Equations see a `Number` for each quantity: that of one unit, or of some neighbouring ones. Products, means over units
and the order of steps are an engine's work. Letters as in docs/equations.md; a `d` in front marks a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from ..params import CELLS
from .number import Number

# What threads that share the units of a row see of each other's numbers, by name. One array may have two names, as in
# the old and the new h: these are two rows of it, of which a step reads one and writes the other.
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
    """What a phase reads and writes of the numbers that threads share: names of `FORWARD` or `BACKWARD`.

    Threads wait for each other between two phases, never within one. While a phase runs, what it writes may already be
    new in another thread's units, or still be old. So it may not read, of all units, anything that it writes itself;
    of its own units it may. `checked` refuses a cell that breaks this.

    Attributes
    ----------
    of_all : frozenset
        What the phase reads of all units of a row.
    writes : frozenset
        What it writes, each thread in its own units.
    """

    of_all: frozenset[str]
    writes: frozenset[str]


def touch(of_all: str, writes: str) -> Touch:
    """From names with commas between them."""
    return Touch(frozenset(of_all.split(", ")), frozenset(writes.split(", ")))


class Gates(NamedTuple):
    """A number for each gate: input, forget, candidate, output. None where a gate has no such number."""

    i: Any = None
    f: Any = None
    g: Any = None
    o: Any = None


Rows: TypeAlias = tuple[Gates, ...]
"""Unit weights, such as peepholes: weights with one number a unit, which the equations take. A row has one for each
gate. Backward, rows of the same form hold their gradients at one sample and step, which are then added up."""


class Made(NamedTuple):
    """What a phase's equations return forward.

    kept is for the tape, in the order of the phase's `keeps`. c is the new c, or None where the phase does not change
    it. h is the new h; where a later phase makes h, it is what that one goes on from."""

    kept: tuple[Number, ...]
    c: Number | None
    h: Number


class Given(NamedTuple):
    """What the first phase's equations are given backward.

    Attributes
    ----------
    kept : NamedTuple of Number
        What the tape has of the step (Cell.tape).
    before : NamedTuple of Number
        The same of the step before.
    c_old, t : Number
        The old c, as the step before has made it, and tanh of the new one.
    dh, dc : Number
        Gradients of the new h and the new c. Where h is a projection of m, dh is the gradient of m.
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
    """What the first phase's equations return backward: the gradients of z and of the old c; tanh of the old c and the
    old h, made again; and the gradients of the unit weights at this sample and step.

    Of derived equations t_old is None where no equation has tanh of the new c; and dh is the gradient that reaches the
    old h, where equations read that of their own unit, without passing z."""

    dz: Any
    dc: Number
    t_old: Number | None
    h_old: Number
    dw: Any = ()
    dh: Number | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Phase:
    """What all phases have.

    Attributes
    ----------
    keeps : tuple of str
        The fields of Cell.tape that it fills.
    touch, touch_back : Touch
        What the whole phase reads and writes, products included. Backward, the last phase of a step begins with
        dh = dz @ U.T of the step after it in time; the first of two phases begins with a product with V.T.
    """

    keeps: tuple[str, ...]
    touch: Touch
    touch_back: Touch


@dataclass(frozen=True, eq=False)
class Product(Phase):
    """The first phase: a product, and equations over its gates.

    forward: (z, old c, unit weights) -> Made. Where a second phase follows, h is what that one begins with: the sums of
    a later gate, or m, which is projected. backward: Given -> Back. Of a cell that has h alone, c is the same as h.

    reads_h: forward has a fourth argument, the old h of the same unit.

    Where `Cell.gates_h`, the new c is p. That argument is then the old h as it enters the product, with its mask;
    Given.dc is the gradient of p, and Back.dc what of it reaches that h through p."""

    forward: Callable[..., Made]
    backward: Callable[[Given], Back]
    reads_h: bool = False


@dataclass(frozen=True, eq=False)
class LaterGate(Phase):
    """A second phase: a gate that reads the new c of all units, or the p that stands there (`Cell.gates_h`). c @ V is
    added to the sums that the first phase left.

    forward: (kept, z, new c, old h) -> Made; kept: what the first phase keeps of the unit, where `Cell.gates_h`, else
    None. backward: (kept, tanh of the new c, dh, dc) -> dz; the part of dh that reaches the old h without passing z,
    or, where `Cell.gates_h`, dh as it came, for the first phase to share out; and dc, to which the engine adds what
    comes through z, dz @ V.T.

    gate: its place among the gates. weights: where V is. The number of an array (0: b, 1: W, 2: U, 3: the fourth one),
    and which of its blocks of columns it is."""

    forward: Callable[[Any, Number, Number, Number], Made]
    backward: Callable[[Any, Number, Number, Number], tuple[Number, Number, Number]]
    gate: int
    weights: tuple[int, int] = (3, 0)


@dataclass(frozen=True, eq=False)
class Projection(Phase):
    """A second phase without equations: h = m @ V, which may be narrower than c. It keeps the old h.

    m: (kept, tanh of the new c) -> m, made again backward, where the gradient of V needs it. weights: as of a
    LaterGate."""

    m: Callable[[Any, Number], Number]
    weights: tuple[int, int] = (3, 0)


@dataclass(frozen=True, eq=False)
class Waiting(Phase):
    """A first phase without equations: z waits on the tape until that of all units is there, to be normalized.

    backward: (kept, gradients of z as the gates see it: normalized, scaled and shifted; moments of z; means of the
    gradients of z normalized; unit weights) -> the gradients of z, and the old h."""

    backward: Callable[[Any, Gates, Gates, Gates, Rows], tuple[Gates, Number]]


class Moments(NamedTuple):
    """Two numbers of a row, taken over all its units: its mean, and one over its standard deviation. Of the gradient of
    a normalized row: its mean, and the mean of its product with the normalized row."""

    mean: Number
    scale: Number


class Normed(NamedTuple):
    """What `NormalGates` is given of c backward: the new c, the old c, the gradient of the new one without what comes
    through the norm; dw, what the phase behind it has returned; moments of the new c, and the means of the gradient of
    c normalized."""

    c: Number
    c_old: Number
    dc: Number
    dw: Rows
    of_c: Moments
    means: Moments


@dataclass(frozen=True, eq=False)
class NormalGates(Phase):
    """A second phase: equations over the gates, which normalize z first.

    forward: (z, old c, moments of z, unit weights) -> Made, whose h is what the last phase goes on from. backward:
    (kept, Normed, moments of z, unit weights) -> the gradients of the old c and of the unit weights."""

    forward: Callable[[Gates, Number, Gates, Rows], Made]
    backward: Callable[[Any, Normed, Gates, Rows], tuple[Number, Rows]]


@dataclass(frozen=True, eq=False)
class NormalOutput(Phase):
    """A third phase: the new h, from the new c normalized.

    forward: (h of the phase before's `Made`, old h, new c, moments of c, unit weights) -> Made. backward: (kept, new c,
    dh, moments of c, unit weights) -> the gradients of the unit weights."""

    forward: Callable[[Number, Number, Number, Moments, Rows], Made]
    backward: Callable[[Any, Number, Number, Moments, Rows], Rows]


@dataclass(frozen=True, eq=False)
class Cell:
    """A row of the table. There is one object of each, which every call asks: what it works out it keeps.

    Attributes
    ----------
    name : str
        As in `params.CELLS`.
    tape : type
        NamedTuple of the numbers that the tape keeps of each unit and step: what its phases keep, in order.
    columns : tuple
        For each of b, W and U: the place of each gate's block of H columns, 0 for the first block; -1 for a gate that
        has none. So (0, 1, -1, 2) is an array with the blocks i, f, o. Gates with a block in W are those that read x,
        gates with one in U those that read h. Gates that read only x come first, those that read only h come last.
    phases : tuple of Phase
    unit_weights : tuple
        For each row of unit weights the array it comes from (0: b, 3: the array that is neither b, W nor U), and the
        place of each gate's block in it, as in `columns`.
    gates : type
        NamedTuple with a field for each gate, 1 to 6.
    alone : bool
        Whether h is the only state. In the place of c an engine has the same h once more then; where `gates_h`, p.
    own : OwnCell or None
        What it was made of, if it is none of the table.
    """

    name: str
    tape: Any
    columns: tuple[tuple[int, ...], ...]
    phases: tuple[Phase, ...]
    unit_weights: tuple[tuple[int, tuple[int, ...]], ...] = ()
    gates: Any = Gates
    alone: bool = False
    own: Any = None

    @cached_property
    def record(self) -> Any:
        """The record of its weights."""
        return CELLS[self.name] if self.own is None else self.own.record

    @cached_property
    def gate_count(self) -> int:
        return len(self.gates._fields)

    @cached_property
    def of_x(self) -> int:
        """How many gates read x: the first ones."""
        return sum(column >= 0 for column in self.columns[1])

    @cached_property
    def of_h(self) -> int:
        """How many gates read h: the last ones."""
        return sum(column >= 0 for column in self.columns[2])

    @cached_property
    def fills_panels(self) -> bool:
        """Whether all of four gates read both x and h."""
        return self.of_x == self.of_h == self.gate_count == 4

    @cached_property
    def kept(self) -> int:
        """Numbers of a unit and step that the tape keeps."""
        return len(self.tape._fields)

    @cached_property
    def phase_count(self) -> int:
        return len(self.phases)

    @cached_property
    def weight_rows(self) -> int:
        """Rows of unit weights."""
        return len(self.unit_weights)

    @cached_property
    def reads_h(self) -> bool:
        """Whether the first phase's equations read the old h of their own unit."""
        return isinstance(self.phases[0], Product) and self.phases[0].reads_h

    @cached_property
    def passes_h(self) -> bool:
        """Whether a part of the gradient of h reaches the old h without passing z."""
        return self.reads_h or (self.multiplies_later and not self.projects)

    @cached_property
    def keeps_operand(self) -> bool:
        """Whether the tape has the old h as it entered the product, multiplied by a mask if there is one."""
        return self.projects or self.normalizes

    @cached_property
    def carries_t(self) -> bool:
        """Whether tanh of c is handed on from step to step on the way back."""
        return not (self.normalizes or self.alone)

    @cached_property
    def projects(self) -> bool:
        """Whether h is a projection of what the first phase puts out."""
        return any(isinstance(phase, Projection) for phase in self.phases)

    @cached_property
    def multiplies_later(self) -> bool:
        """Whether a second phase has a product with V, of which there are panels then."""
        return self.phase_count > 1 and isinstance(self.phases[1], LaterGate | Projection)

    @cached_property
    def gates_h(self) -> bool:
        """Whether the first phase gates the old h, and the second one's product is of that: of p = r∘h, which stands in
        the place of c."""
        return self.alone and self.multiplies_later

    @cached_property
    def later_gate(self) -> int:
        """The place of the second phase's gate, where that is a LaterGate."""
        return getattr(self.phases[-1], "gate", -1)

    @cached_property
    def later_array(self) -> int:
        """The number of the array that has the second phase's weights V (`LaterGate`); -1 where there are none."""
        return self._later_weights[0]

    @cached_property
    def later_block(self) -> int:
        """Which of that array's blocks of columns they are."""
        return self._later_weights[1]

    @property
    def _later_weights(self) -> tuple[int, int]:
        return getattr(self.phases[-1], "weights", (-1, -1))

    @cached_property
    def normalizes(self) -> bool:
        """Whether there are phases that take moments over all units."""
        return any(isinstance(phase, NormalGates) for phase in self.phases)

    @cached_property
    def later_reads_kept(self) -> bool:
        """Whether a later phase reads what the first one keeps: then that of all units has to be there at once."""
        return self.normalizes or self.gates_h

    @cached_property
    def parts(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """What a panel is made of, an (array, columns) each: b, W and U, then the rows of `unit_weights`."""
        return (*enumerate(self.columns), *self.unit_weights)

    def kept_from(self, phase: Phase) -> int:
        """Where on the tape the numbers begin that a phase keeps."""
        return int(self.tape._fields.index(phase.keeps[0])) if phase.keeps else 0


def checked(*cells: Cell) -> tuple[Cell, ...]:
    """The same cells; ValueError where a cell's phases do not fill its tape, or threads could not share its units."""
    for cell in cells:
        keeps = tuple(name for phase in cell.phases for name in phase.keeps)
        if keeps != cell.tape._fields:
            raise ValueError(f"cell {cell.name!r}: expected phases that keep {cell.tape._fields}, got {keeps}")
        (_, of_x, of_h), count = cell.columns, cell.gate_count
        if min(of_x[: cell.of_x], default=-1) < 0 or min(of_h[count - cell.of_h :], default=-1) < 0:
            raise ValueError(
                f"cell {cell.name!r}: expected the gates that read x first and those that read h last, got the places "
                f"{of_x} in W and {of_h} in U"
            )
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


BY_NAME: dict[str, Cell] = {}
BY_RECORD: dict[type, Cell] = {}
"""All cells there are, those of one's own among them, by their names and by the records of their weights."""


def register(cell: Cell, record: type) -> None:
    BY_NAME[cell.name] = BY_RECORD[record] = cell
