"""A cell's step from its own equations, as text in another language.

The equations run once, over numbers that write down each operation (`fastlstm.cells.trace`); what is written down
becomes lines such as ``c_new = sigmoid(z_f) * c + sigmoid(z_i) * tanh(z_g)``. So a cell is said once, in
`fastlstm.cells`, and a cell of one's own is written like any other.

What runs over all units at once, products and moments, is no equation: a `Section` says which of them come before its
lines.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..cells.phases import BY_RECORD, Cell, LaterGate, Moments, NormalGates, NormalOutput, Product, Projection, Waiting
from ..cells.program import live
from ..cells.trace import Row, Trace, Traced
from ..params import AnyParams

_ARRAYS = "b", "W", "U"  # the places of arrays in `Cell.columns` and `Cell.unit_weights`; the fourth is the cell's own


class Unit(NamedTuple):
    """A row of unit weights: a block of H numbers of one of the record's fields."""

    name: str
    field: str
    block: int


class Times(NamedTuple):
    """made = of @ field, or a block of its columns where `block` is not None; both are of all units."""

    made: str
    of: str
    field: str
    block: int | None = None


class Normed(NamedTuple):
    """mean and scale: the mean over all units of `of`, and one over its standard deviation."""

    mean: str
    scale: str
    of: str


class Section(NamedTuple):
    """What is done over all units, then the names and places of what equations make of each unit."""

    before: tuple[Times | Normed, ...]
    outputs: tuple[tuple[str, int], ...]


class Step(NamedTuple):
    """One step of a cell: from h, c where it has one, and x @ W, h @ U, b to h_new and c_new.

    Attributes
    ----------
    gates : tuple of str
        z_i and so on is the sum of the gate i: of its blocks of x @ W, h @ U and b.
    columns : dict of str to tuple of int
        For W, U and b each gate's block, -1 where it has none there.
    units : tuple of Unit
    rows : list of Row
        What the equations do; inputs have the names that are used here.
    sections : tuple of Section
    states : tuple of str
        ("h", "c") or ("h",).
    """

    gates: tuple[str, ...]
    columns: dict[str, tuple[int, ...]]
    units: tuple[Unit, ...]
    rows: list[Row]
    sections: tuple[Section, ...]
    states: tuple[str, ...]

    def blocks(self, field: str) -> list[str]:
        """The gates of a field's blocks, in their order."""
        there = [(block, gate) for block, gate in zip(self.columns[field], self.gates, strict=True) if block >= 0]
        return [gate for _, gate in sorted(there)]


def step_of(record: type[AnyParams]) -> Step:
    """A step of the cell that has such weights.

    Raises
    ------
    TypeError
        It has no equations in `fastlstm.cells`.
    """
    if record not in BY_RECORD:
        raise TypeError(f"params: expected weights of a cell with equations, got {record.__name__}")
    return _Recorder(BY_RECORD[record], record).step()


class _Recorder:
    """Runs a cell's phases over numbers that write themselves down."""

    def __init__(self, cell: Cell, record: type[AnyParams]) -> None:
        self.cell, self.trace = cell, Trace()
        self.own = next((field for field in record._fields if field not in _ARRAYS), "")
        self.gates = tuple(plain(gate) for gate in cell.gates._fields)
        self.z = cell.gates(*(self.trace.input(f"z_{gate}") for gate in self.gates))
        self.h = self.trace.input("h")
        self.c = self.h if cell.alone else self.trace.input("c")
        self.units: list[Unit] = []
        self.weights = tuple(self._row(*row) for row in cell.unit_weights)
        self.sections: list[Section] = []
        self.before: list[Times | Normed] = []

    def step(self) -> Step:
        states = ("h",) if self.cell.alone else ("h", "c")
        self._phases()
        columns = dict(zip(_ARRAYS, self.cell.columns, strict=True))
        return Step(self.gates, columns, tuple(self.units), self.trace.rows, tuple(self.sections), states)

    def _row(self, array: int, blocks: tuple[int, ...]) -> Any:
        """A row of unit weights, in the form in which equations get it."""
        field = (*_ARRAYS, self.own)[array]
        found: list[Traced | None] = []
        for gate, block in zip(self.gates, blocks, strict=True):
            if block < 0:
                found.append(None)
                continue
            name = f"{field}_{self._called(gate, block)}"
            if self.own == "b_n":  # the one row of the GRU
                name = field
            self.units.append(Unit(name, field, block))
            found.append(self.trace.input(name))
        return self.cell.gates(*found)

    def _called(self, gate: str, block: int) -> str:
        if self.cell.own is not None:
            return plain(self.cell.own.unit_weights[block])
        return gate if block < len(self.gates) else "c"

    def _phases(self) -> None:
        made: Any = None  # of the phase before
        c = self.c
        for number, phase in enumerate(self.cell.phases):
            last = number == self.cell.phase_count - 1
            if isinstance(phase, Product):
                old = (self.h,) if phase.reads_h else ()
                made = phase.forward(self.z, self.c, self.weights, *old)
            elif isinstance(phase, LaterGate):
                self._ends(c=c)
                summed = made.h + self._times(phase, "p" if self.cell.alone else "c_new")
                given = (made.kept, summed, c, self.h)
                made = phase.forward(*given[-len(inspect.signature(phase.forward).parameters) :])
            elif isinstance(phase, Projection):
                self._ends(c=c, m=made.h)
                self._times(phase, "m", made="h_new")
                self._ends()
                return
            elif isinstance(phase, NormalGates):
                of_z = type(self.z)(*(self._normed(f"z_{gate}", gate) for gate in self.gates))
                made = phase.forward(self.z, self.c, of_z, self.weights)
            elif isinstance(phase, NormalOutput):
                self._ends(c=c)
                made = phase.forward(made.h, self.h, c, self._normed("c_new", "c"), self.weights)
            else:
                assert isinstance(phase, Waiting)
                continue
            c = c if made.c is None else made.c
            if last:
                self._ends(c=None if self.cell.alone or number else c, h=made.h)

    def _times(self, phase: LaterGate | Projection, of: str, made: str = "q") -> Traced:
        array, block = getattr(phase, "weights", (len(_ARRAYS), 0))
        whole = array == len(_ARRAYS)
        field = self.own if whole else _ARRAYS[array]
        self.before.append(Times(made, of, field, None if whole else block))
        return self.trace.input(made)

    def _normed(self, of: str, name: str) -> Moments:
        self.before.append(Normed(f"mean_{name}", f"scale_{name}", of))
        return Moments(self.trace.input(f"mean_{name}"), self.trace.input(f"scale_{name}"))

    def _ends(self, **made: Any) -> None:
        """A section that makes these. A cell without c has in its place what the next product is of."""
        names = {"c": "p" if self.cell.alone else "c_new", "h": "h_new"}
        outputs = [
            (names.get(name, name), self.trace.number(one).place) for name, one in made.items() if one is not None
        ]
        self.sections.append(Section(tuple(self.before), tuple(outputs)))
        self.before = []


def plain(name: str) -> str:
    """A name of Python as one that any language has."""
    return name.encode("ascii", "backslashreplace").decode().replace("\\", "_")


Text: TypeAlias = tuple[str, int]
"""An expression, and how tightly it is bound."""
_SUM, _PRODUCT, _SIGN, _WHOLE = range(1, 5)
_SIGNS = {"add": ("+", _SUM), "sub": ("-", _SUM), "mul": ("*", _PRODUCT), "div": ("/", _PRODUCT),
          "less": ("<", 0), "less_equal": ("<=", 0)}  # fmt: skip


class Language(NamedTuple):
    """How a language writes what is not written alike in all.

    Attributes
    ----------
    functions : dict of str to str
        What an operation is called.
    number : function
        How a constant is written.
    where : str
        A form with three gaps: condition, a, b.
    """

    functions: Mapping[str, str]
    number: Callable[[float], str]
    where: str


def lines_of(
    step: Step, section: Section, known: dict[int, str], language: Language, used: set[str]
) -> list[tuple[str, str]]:
    """Names and expressions, each of which may use the names before it.

    Parameters
    ----------
    known : dict
        The names of what earlier sections have made, by place. What this one makes is added.
    used : set of str
        Operations, and names that expressions have, are added.
    """
    return _Writer(step.rows, known, language, used).lines(section.outputs)


class _Writer:
    def __init__(self, rows: list[Row], known: dict[int, str], language: Language, used: set[str]) -> None:
        self.rows, self.known, self.language, self.used = rows, known, language, used

    def lines(self, outputs: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
        """An output gets its name, and so does what is used twice; all else stands where it is used."""
        outputs = tuple(outputs)
        needed = live(self.rows, [place for _, place in outputs], self.known)
        uses: dict[int, int] = {}
        for place in needed - self.known.keys():
            for operand in self._operands(place):
                uses[operand] = uses.get(operand, 0) + 1
        named = {place: name for name, place in outputs if self._operands(place)}
        found = []
        for place in sorted(needed - self.known.keys()):
            if place in named or (uses.get(place, 0) > 1 and self._worth_a_name(place)):
                text = self._made(place)[0]
                self.known[place] = named.get(place) or self._free_name(place)
                found.append((self.known[place], text))
        there = {name for name, _ in found}
        # what is an input or a constant, or was made already
        found += [(name, self._text(place)[0]) for name, place in outputs if name not in there]
        return found

    def _operands(self, place: int) -> tuple[int, ...]:
        op, *operands = self.rows[place]
        return () if op in ("input", "constant") else tuple(operands)

    def _worth_a_name(self, place: int) -> bool:
        return bool(self._operands(place)) and self.rows[place][0] not in ("less", "less_equal", "neg")

    def _free_name(self, place: int) -> str:
        """a_i is the gate i, or the candidate of that name."""
        op, *operands = self.rows[place]
        of = [self.rows[one][1] for one in live(self.rows, operands) if self.rows[one][0] == "input"]
        gates = [name[2:] for name in of if name.startswith("z_")]
        names = set(self.known.values())
        if op in ("sigmoid", "tanh") and len(gates) == 1 and f"a_{gates[0]}" not in names:
            return f"a_{gates[0]}"
        return next(name for n in range(1, len(names) + 2) if (name := f"t{n}") not in names)

    def _text(self, place: int) -> Text:
        if place not in self.known:
            return self._made(place)
        self.used.add(self.known[place])
        return self.known[place], _WHOLE

    def _at(self, place: int, least: int) -> str:
        """In brackets where it is bound less tightly."""
        text, bound = self._text(place)
        return f"({text})" if bound < least else text

    def _made(self, place: int) -> Text:
        op, *operands = self.rows[place]
        self.used.add(operands[0] if op == "input" else op)
        if op == "input":
            return operands[0], _WHOLE
        if op == "constant":
            value = operands[0]
            return self.language.number(value), _SIGN if value < 0 else _WHOLE
        if op in _SIGNS:
            sign, bound = _SIGNS[op]
            a, b = operands
            return f"{self._at(a, bound)} {sign} {self._at(b, bound + 1)}", bound
        if op == "neg":
            return f"-{self._at(operands[0], _SIGN + 1)}", _SIGN
        if op in ("fma", "fms", "fnma"):
            return self._fused(op, *operands)
        if op == "where":
            texts = [self._text(one)[0] for one in operands]
            return self.language.where.format(*texts), _WHOLE
        inner = ", ".join(self._text(one)[0] for one in operands)
        return f"{self.language.functions[op]}({inner})", _WHOLE

    def _fused(self, op: str, a: int, b: int, c: int) -> Text:
        """a * b + c, a * b - c or c - a * b; signs of a and c are drawn out."""
        inner, term = op == "fnma", op == "fms"  # whether a, whether c is taken away
        if self._negated(a):
            a, inner = self.rows[a][1], not inner
        if self._negated(c):
            c, term = self.rows[c][1], not term
        product = f"{self._at(a, _PRODUCT)} * {self._at(b, _PRODUCT + 1)}"
        if not inner:
            return f"{product} {'-' if term else '+'} {self._at(c, _SUM + 1)}", _SUM
        first = f"-{self._at(c, _SIGN + 1)}" if term else self._at(c, _SUM)
        return f"{first} - {product}", _SUM

    def _negated(self, place: int) -> bool:
        return place not in self.known and self.rows[place][0] == "neg"
