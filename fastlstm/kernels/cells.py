"""The cells: a table of phases, and each phase's mathematics forward and backward.

A phase is a product of operands and weights, followed by element-wise equations over its gate blocks. The first phase
of every cell has z = [1, x, h] @ [b; W; U], four gate blocks, and makes the new c. A second one begins when all units
are through the first. Either a gate reads the new c: the sums of the last gate go on with c @ V. Or the first phase's
output m is projected: h = m @ V, of another width than c. Or z is normalized over all units: then the first phase
leaves z as it is, the second makes c from z's means and variances, and a third one h from those of c. The equations
are written over `simd.Vector`s: one vector holds neighbouring units of one sample. Letters as in docs/equations.md; a
`d` in front marks a gradient.

What runs the equations over rows and blocks of units is in `phases` and `norms`, the same for every cell. To add one,
write its equations and its row of `CELLS` here, its record of weights in `params`, and its section of `reference`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from ..params import CELLS as RECORDS
from .activations import sigmoid, tanh
from .simd import BLOCK, Vector

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


def lstm_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c_old: Vector) -> Any:
    i, f, o = sigmoid(Vector.together(zi, zf, zo)).split(3)
    g = tanh(zg)
    c = f.fma(c_old, i * g)
    return (i, f, g, o), c, o * tanh(c)


def lstm_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dh: Vector, dc: Vector) -> Any:
    """The old h is not on the tape: it is made again from what is."""
    i, f, g, o = kept
    t_old = tanh(c_old)
    dc = (dh * o).fma(1.0 - t * t, dc)
    dzi = dc * g * (i * (1.0 - i))
    dzf = dc * c_old * (f * (1.0 - f))
    dzg = dc * i * (1.0 - g * g)
    dzo = dh * t * (o * (1.0 - o))
    return (dzi, dzf, dzg, dzo), dc * f, t_old, before[3] * t_old


def peephole_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c_old: Vector, pi: Vector, pf: Vector, _: Vector,
                     po: Vector) -> Any:  # fmt: skip
    i, f = sigmoid(Vector.together(pi.fma(c_old, zi), pf.fma(c_old, zf))).split(2)
    g = tanh(zg)
    c = f.fma(c_old, i * g)
    o = sigmoid(po.fma(c, zo))
    return (i, f, g, o), c, o * tanh(c)


def peephole_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dh: Vector, dc: Vector,
                      pi: Vector, pf: Vector, _: Vector, po: Vector) -> Any:  # fmt: skip
    i, f, g, o = kept
    dzo = dh * t * (o * (1.0 - o))
    through_c = po.fma(dzo, dc)
    (dzi, dzf, dzg, dzo), dc, t_old, h_old = lstm_backward(kept, before, c_old, t, dh, through_c)
    dc = pi.fma(dzi, pf.fma(dzf, dc))
    return (dzi, dzf, dzg, dzo), dc, t_old, h_old, dzi * c_old, dzf * c_old, None, dzo * f.fma(c_old, i * g)


def gated_forward(zi: Vector, zf: Vector, a: Vector, zo: Vector, c_old: Vector) -> Any:
    i, f = sigmoid(Vector.together(zi, zf)).split(2)
    g = tanh(f.fma(c_old, i * a))
    return (i, f, a), f.fma(c_old, i * g), zo


def gated_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dh: Vector, dc: Vector) -> Any:
    i, f, a, _, h_old = kept
    g = tanh(f.fma(c_old, i * a))
    du = dc * i * (1.0 - g * g)
    dzi = dc.fma(g, du * a) * (i * (1.0 - i))
    both = dc + du
    dzf = both * c_old * (f * (1.0 - f))
    return (dzi, dzf, du * i), both * f, tanh(c_old), h_old


def between_forward(zo: Vector, c: Vector, h_old: Vector) -> Any:
    """h stays what it was exactly where o is 0, and becomes tanh(c) exactly where it is 1."""
    o = sigmoid(zo)
    return (o, h_old), o.fma(tanh(c), (1.0 - o) * h_old)


def between_backward(kept: list[Vector], t: Vector, dh: Vector, dc: Vector) -> Any:
    _, _, _, o, h_old = kept
    dzo = dh * (t - h_old) * (o * (1.0 - o))
    return dzo, dh * (1.0 - o), (dh * o).fma(1.0 - t * t, dc)


def unprojected_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dm: Vector,
                         dc: Vector) -> Any:  # fmt: skip
    """The standard cell's, whose h is m here."""
    *gates, h_old = kept
    dz, dc, t_old, _ = lstm_backward(gates, before, c_old, t, dm, dc)
    return dz, dc, t_old, h_old


def projected_forward(h: Vector, c: Vector, h_old: Vector) -> Any:
    return (h_old,), h


def projected_backward(kept: list[Vector], t: Vector) -> Vector:
    return kept[3] * t


def raw_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c_old: Vector, *weights: Vector) -> Any:
    return (zi, zf, zg, zo), c_old, zo


def raw_backward(kept: list[Vector], da: list[Vector], of_z: list[Any], means: list[Any], own: list[Vector]) -> Any:
    scales = own[Z_SCALE:]
    return [_through_norm(d * s, z, *of) for d, s, z, *of in zip(da, scales, kept, of_z, means, strict=False)], kept[8]


def normal_gates_forward(z: list[Vector], c: Vector, h: Vector, h_old: Vector, of_z: list[Any],
                         own: list[Vector]) -> Any:  # fmt: skip
    scales, shifts = own[Z_SCALE : Z_SCALE + 4], own[Z_SHIFT : Z_SHIFT + 4]
    ai, af, ag, ao = (s.fma(_norm(v, of), b) for v, of, s, b in zip(z, of_z, scales, shifts, strict=True))
    i, f, o = sigmoid(Vector.together(ai, af, ao)).split(3)
    g = tanh(ag)
    return 4, (i, f, g, o), f.fma(c, i * g), o


def normal_gates_backward(kept: list[Vector], c: Vector, c_old: Vector, dc: Vector, dao: Vector, du: Vector, of_c: Any,
                          means: Any, of_z: list[Any], own: list[Vector]) -> Any:  # fmt: skip
    z, (i, f, g, _) = kept[:4], kept[4:8]
    dc = dc + _through_norm(du * own[C_SCALE], c, of_c, means)
    da = dc * g * (i * (1.0 - i)), dc * c_old * (f * (1.0 - f)), dc * i * (1.0 - g * g), dao
    sums = {n: d * _norm(v, of) for n, (d, v, of) in enumerate(zip(da, z, of_z, strict=True), Z_SCALE)}
    return dc * f, sums | dict(enumerate(da[:3], Z_SHIFT))


def normal_output_forward(z: list[Vector], c: Vector, o: Vector, h_old: Vector, of_c: list[Any],
                          own: list[Vector]) -> Any:  # fmt: skip
    return 8, (h_old,), None, o * tanh(own[C_SCALE].fma(_norm(c, of_c[0]), own[C_SHIFT]))


def normal_output_backward(kept: list[Vector], c: Vector, dh: Vector, of_c: Any, own: list[Vector]) -> Any:
    o, n = kept[7], _norm(c, of_c)
    t = tanh(own[C_SCALE].fma(n, own[C_SHIFT]))
    du = dh * o * (1.0 - t * t)
    return {Z_SHIFT + 3: dh * t * (o * (1.0 - o)), C_SCALE: du * n, C_SHIFT: du}


def _norm(v: Vector, of: tuple[Vector, Vector]) -> Vector:
    """v normalised, from its mean and the reciprocal of its deviation."""
    mean, reciprocal = of
    return (v - mean) * reciprocal


def _through_norm(dn: Vector, v: Vector, of: tuple[Vector, Vector], means: tuple[Vector, Vector]) -> Vector:
    """The gradient of v from that of v normalised, and the means of that and of its product with v normalised."""
    return (dn - means[0] - _norm(v, of) * means[1]) * of[1]


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


_EVERY, _NONE = (0, 1, 2, 3), (-1, -1, -1, -1)
_BIAS, _OWN = 0, 3  # arrays: b, W, U, and the fourth of a cell that has one
CELLS = checked(
    Cell(
        "standard", np.bool_, 4, 4, (_EVERY, _EVERY, _EVERY),
        (Phase(lstm_forward, lstm_backward,
               touch("operands", "h, c, gates"), touch("later dz", "dz, dh, dc, t, operands")),),
    ),
    Cell(
        "interpolated", np.int8, 5, 3, ((0, 1, -1, 2), (0, 1, 2, -1), _EVERY),
        (Phase(gated_forward, gated_backward,
               touch("operands", "h, c, gates"), touch("dv", "dz, dc, t, operands")),
         Phase(between_forward, between_backward,
               touch("c", "h, gates"), touch("later dz", "dz, dv, dh, dc, t, operands"))),
    ),
    Cell(
        "projected", np.uint8, 5, 4, (_EVERY, _EVERY, _EVERY),
        (Phase(lstm_forward, unprojected_backward,
               touch("operands", "m, c, gates"), touch("dv", "dz, dh, dc, t, operands")),
         Phase(projected_forward, projected_backward,
               touch("m", "h, gates"), touch("later dz", "dv, dh, dc, t, operands"))),
        projects=True,
    ),
    Cell(
        "peephole", np.int16, 4, 4, (_EVERY, _EVERY, _EVERY),
        (Phase(peephole_forward, peephole_backward,
               touch("operands", "h, c, gates"), touch("later dz", "dz, dh, dc, t, operands, dw")),),
        own=((_OWN, (0, 1, -1, 2)),),
    ),
    Cell(
        "normalized", np.uint16, 9, 4, (_NONE, _EVERY, _EVERY),
        (Phase(raw_forward, raw_backward,
               touch("operands", "z, h, c"), touch("dw", "dz, operands")),
         Phase(normal_gates_forward, normal_gates_backward,
               touch("z", "h, c, gates"), touch("dw of c", "dw, dc")),
         Phase(normal_output_forward, normal_output_backward,
               touch("c", "h, gates"), touch("later dz", "dw, dw of c, dh, dc"))),
        own=((_OWN, _EVERY), (_BIAS, _EVERY), (_OWN, (4, -1, -1, -1)), (_BIAS, (4, -1, -1, -1))),
    ),
)  # fmt: skip
Z_SCALE, Z_SHIFT, C_SCALE, C_SHIFT = (BLOCK * row for row in range(4))  # vectors of the normalized cell's own weights


def cell_of(mark: Any) -> Cell:
    """The cell that a dtype stands for; KeyError if it is none."""
    return _BY_MARK[mark]


def cell_with(record: type) -> Cell:
    """The cell whose weights such a record holds."""
    return _BY_RECORD[record]


def cell_named(name: str) -> Cell:
    """The cell of that name."""
    return _BY_NAME[name]


_BY_NAME = {cell.name: cell for cell in CELLS}
_BY_RECORD = {RECORDS[cell.name]: cell for cell in CELLS}
_BY_MARK = {np.dtype(cell.mark): cell for cell in CELLS}


def marked(kind: Any) -> Cell:
    """The cell that an array's Numba type stands for."""
    return cell_of(as_dtype(kind.dtype))


@intrinsic  # type: ignore[misc]
def kept_of(typing: Any, cell: Any) -> Any:
    """Vectors of a block on the tape; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), marked(cell).kept)

    return types.intp(cell), generate


@intrinsic  # type: ignore[misc]
def projects(typing: Any, cell: Any) -> Any:
    """Whether the second phase is a projection; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), marked(cell).projects)

    return types.boolean(cell), generate


@intrinsic  # type: ignore[misc]
def width_of(typing: Any, cell: Any, H: Any, P: Any) -> Any:
    """P, the width of h; H where it can be nothing else, so that compiled code has one number less."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[2] if marked(cell).projects else args[1]

    return types.intp(cell, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def rows_of_vectors(typing: Any, cell: Any) -> Any:
    """Rows of a panel that hold weights for the equations; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), len(marked(cell).own))

    return types.intp(cell), generate


@intrinsic  # type: ignore[misc]
def of_x(typing: Any, cell: Any) -> Any:
    """Gates that read x; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), marked(cell).of_x)

    return types.intp(cell), generate


def _looked_up(builder: Any, numbers: list[int], place: Any) -> Any:
    """One of some constant numbers."""
    word = ir.IntType(64)
    table = cgutils.global_constant(builder.module, "table", ir.Constant(ir.ArrayType(word, len(numbers)), numbers))
    return builder.load(builder.gep(table, [ir.Constant(word, 0), place]))


@intrinsic  # type: ignore[misc]
def column_of(typing: Any, cell: Any, part: Any, gate: Any) -> Any:
    """Where a gate's block of columns is in the array of a part (Cell.parts), in blocks; -1: nowhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = [column for _, row in marked(cell).parts for column in row]
        place = builder.add(builder.mul(args[1], ir.Constant(args[1].type, BLOCK)), args[2])
        return _looked_up(builder, numbers, place)

    return types.intp(cell, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def array_of(typing: Any, cell: Any, part: Any) -> Any:
    """The number of the array that a part comes from: b, W, U, and the fourth of a cell that has one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _looked_up(builder, [array for array, _ in marked(cell).parts], args[1])

    return types.intp(cell, types.intp), generate


@intrinsic  # type: ignore[misc]
def blocks_of(typing: Any, cell: Any, array: Any) -> Any:
    """Blocks of columns that an array has, of H numbers each."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = [0] * 4
        for number, row in marked(cell).parts:
            numbers[number] = max(numbers[number], 1 + max(row))
        return _looked_up(builder, numbers, args[1])

    return types.intp(cell, types.intp), generate
