"""A cell of one's own: a function of forward equations, and all that follows from it."""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import inspect
import keyword
import linecache
from collections import namedtuple
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

from ..params import own_record
from .derive import READS, Derived
from .number import Number
from .phases import BY_NAME, Back, Cell, Given, Made, Product, register, touch

MOST_GATES = 6


class OwnCell:
    """A cell of one's own: what `cell` makes of a function. It can be called as the function.

    Attributes
    ----------
    name : str
        The function's qualified name.
    gates, unit_weights : tuple of str
        Their names. A gate is a block of H columns; a unit weight is a row of weights, with one number for each unit.
    gates_of_x, gates_of_h, gates_of_b : tuple of str
        The gates whose sums have the input in them; the old h; a bias.
    states : tuple of str
        ("h", "c"), or ("h",) if the function returns h alone. Then h is in the place of c in `phase`.
    reads_h : bool
        Whether equations read the old h beside c.
    tape : NamedTuple type
        The numbers that the tape keeps of each unit and step.
    phase : Product
        Equations forward and backward. Unit weights, and their gradients, are a NamedTuple of their names.
    fingerprint : str
        A hash of all that `phase` computes. Two cells with the same one compute the same.
    maker : (function, arguments) or None
        What makes the cell again from a pickle, if its name does not lead to it.

    Examples
    --------
    See `cell`.
    """

    __name__: str
    __qualname__: str
    maker: tuple[Callable[..., Any], tuple[Any, ...]] | None = None

    def __init__(
        self,
        function: Callable[..., Any],
        gates: tuple[str, ...],
        unit_weights: tuple[str, ...],
        gates_of_x: tuple[str, ...],
        gates_of_h: tuple[str, ...],
        gates_of_b: tuple[str, ...],
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = function.__qualname__
        self.gates, self.unit_weights = gates, unit_weights
        self.gates_of_x, self.gates_of_h, self.gates_of_b = gates_of_x, gates_of_h, gates_of_b
        # gates that read only x first, those that read only h last (phases.Cell.columns)
        self.panel_gates = tuple(sorted(gates, key=lambda gate: (gate in gates_of_h) - (gate in gates_of_x)))
        z, w = _record("z", "gate", self.panel_gates), _record("w", "unit weight", unit_weights)
        try:
            self.derived = Derived(function, z(*self.panel_gates), w(*unit_weights))
        except (TypeError, ValueError, AttributeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(_located(function, error)) from error
        self.states = ("h",) if self.derived.alone else ("h", "c")
        self.reads_h = self.derived.reads_h
        self.tape = self.derived.tape
        self.phase = Product(
            self.derived.forward,
            self.derived.backward,
            self.derived.reads_h,
            keeps=self.tape._fields,
            touch=touch("operands", "h, c, gates"),
            touch_back=touch(
                "later dz", "dz, dh, dc, operands" + ", t" * (not self.derived.alone) + ", dw" * bool(unit_weights)
            ),
        )
        what = gates, unit_weights, gates_of_x, gates_of_h, gates_of_b, self.states, self.derived.written
        self.fingerprint = hashlib.sha256(repr(what).encode()).hexdigest()

    def back(self, kept: Any, c_old: Number, t: Number, dh: Number, dc: Number, w: Any) -> Back:
        """The gradients of a step; letters as in `Given`."""
        return self.derived.backward(Given(kept, kept, c_old, t, dh, dc, w))

    @functools.cached_property
    def cell(self) -> Cell:
        """Its row, of a name that no other cell has."""
        return dataclasses.replace(self.as_cell(f"{self.__module__}.{self.name}#{self.fingerprint[:16]}"), own=self)

    @functools.cached_property
    def record(self) -> Any:
        """The type of its weights, `OwnParams`."""
        return own_record(self, self.cell.name)

    def as_cell(self, name: str) -> Cell:
        """A row of the table: b, W and U have a block for each gate that they are for, and a fourth array one for each
        unit weight."""
        order, weights = self.panel_gates, len(self.unit_weights)
        G = len(order)
        rows = -(-weights // G)
        blocks = [*range(weights)] + [-1] * (rows * G - weights)
        row, own = namedtuple("Row", order), type(self.derived.w)

        def forward(z: Any, c_old: Number, w: Any, *h: Number) -> Made:
            return self.derived.forward(z, c_old, of_rows(w), *h)

        def backward(given: Given) -> Back:
            found = self.derived.backward(given._replace(w=of_rows(given.w)))
            dw = [*found.dw] + [None] * (rows * G - weights)
            return found._replace(dw=tuple(row(*dw[n : n + G]) for n in range(0, rows * G, G)))

        def of_rows(w: Any) -> Any:
            return own(*[one for numbers in w for one in numbers][:weights])

        readers = self.gates_of_b, self.gates_of_x, self.gates_of_h
        return Cell(
            name, self.tape,
            tuple(tuple(of.index(gate) if gate in of else -1 for gate in order) for of in readers),
            (dataclasses.replace(self.phase, forward=forward, backward=backward),),
            tuple((3, tuple(blocks[n : n + G])) for n in range(0, rows * G, G)),
            gates=row, alone=self.derived.alone,
        )  # fmt: skip

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.derived.equations(*args, **kwargs)

    def __repr__(self) -> str:
        weights = f", unit weights {' '.join(self.unit_weights)}" if self.unit_weights else ""
        return (
            f"<cell {self.name}: gates {' '.join(self.gates)}{weights}, "
            f"states {' '.join(self.states)}, the tape keeps {' '.join(self.tape._fields)}>"
        )

    def __reduce__(self) -> Any:
        return self.maker or self.__qualname__  # in a pickle there is its name, as of a function


Names = str | Sequence[str]


def cell(
    gates: Names,
    unit_weights: Names = "",
    *,
    gates_of_x: Names | None = None,
    gates_of_h: Names | None = None,
    gates_of_b: Names | None = None,
) -> Callable[[Callable[..., Any]], OwnCell]:
    """A decorator that makes a cell of a function, which says how one step computes the new state from the old one.

    The function is written for one unit, and its parameters say what it reads:

    - ``z``, the sums of the gates by their names: z.i is the unit's number in x @ W + h @ U + b for the gate i
    - ``c`` and ``h``, the old state
    - ``w``, the unit weights by their names, such as w.p

    It returns the new c and h, in this order; or h alone, for a cell that has no c. It may use + - * /, plain numbers,
    comparisons in `where`, and the functions of fastlstm.cells. Backward is derived from it.

    Parameters
    ----------
    gates : str or sequence of str
        Names of 1 to 6 gates, with spaces between them, in the order of their blocks of columns.
    unit_weights : str or sequence of str
        Names of rows of weights that have one number for each unit.
    gates_of_x, gates_of_h, gates_of_b : str or sequence of str, optional
        Which gates have x @ W in their sums; h @ U; b. All gates, if not given.

    Returns
    -------
    callable
        It takes the function, and returns an `OwnCell`: what `fastlstm.init_params` and `fastlstm.nn.LSTM` take as
        cell.

    Raises
    ------
    ValueError
        Something that is no name; a gate or a weight that the function reads and that has not been named; a function
        that returns neither (c, h) nor h. The message says the line.
    TypeError
        What cannot be followed: an `if`, `and` or `bool` of a number, a function of NumPy or math. The message says the
        line.

    Examples
    --------
    An LSTM whose input gate is 1 minus the forget gate:

    >>> import fastlstm
    >>> from fastlstm.cells import cell, sigmoid, tanh
    >>> @cell(gates="f g o")
    ... def coupled(z, c):
    ...     f, o = sigmoid(z.f), sigmoid(z.o)
    ...     c = f * c + (1 - f) * tanh(z.g)
    ...     return c, o * tanh(c)
    >>> coupled.gates, coupled.states
    (('f', 'g', 'o'), ('h', 'c'))
    >>> params = fastlstm.init_params(16, 32, cell=coupled, rng=0)
    >>> params.W.shape, params.b.shape
    ((16, 96), (96,))
    """
    if callable(gates):
        raise TypeError('expected names of gates: write @cell(gates="i f g o")')
    names, weights = _names("gates", gates), _names("unit_weights", unit_weights)
    if not 1 <= len(names) <= MOST_GATES:
        raise ValueError(f"gates: expected 1 to {MOST_GATES} names, got {len(names)}: {' '.join(names)!r}")
    given = {"gates_of_x": gates_of_x, "gates_of_h": gates_of_h, "gates_of_b": gates_of_b}
    of_x, of_h, of_b = (names if some is None else _some_of(names, one, some) for one, some in given.items())
    if not of_x:
        raise ValueError("gates_of_x: expected at least one name, got none: the cell would not see its input")
    for name in names:
        if name not in (*of_x, *of_h):
            raise ValueError(f"gates: expected each in gates_of_x or gates_of_h, got {name!r} in neither")

    def decorate(function: Callable[..., Any]) -> OwnCell:
        _check_parameters(function, bool(weights))
        found = OwnCell(function, names, weights, of_x, of_h, of_b)
        known = BY_NAME.get(found.cell.name)
        if known is not None:  # the same once more, as where a notebook's cell is run again
            same: OwnCell = known.own
            return same
        register(found.cell, found.record)
        return found

    return decorate


def _names(argument: str, given: Any) -> tuple[str, ...]:
    names = tuple(given.split()) if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument}: expected names with spaces between them, got {given!r}")
    for at, name in enumerate(names):
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise ValueError(f"{argument}: expected names as in Python, without _ in front, got {name!r}")
        if name in names[:at]:
            raise ValueError(f"{argument}: expected names that differ, got {name!r} twice")
    return tuple(names)


def _some_of(gates: tuple[str, ...], argument: str, given: Names) -> tuple[str, ...]:
    names = _names(argument, given)
    for name in names:
        if name not in gates:
            raise ValueError(f"{argument}: expected names of the gates {' '.join(gates)!r}, got {name!r}")
    return tuple(name for name in gates if name in names)


def _check_parameters(function: Any, weights: bool) -> None:
    odd = inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function)
    if odd or not inspect.isfunction(function):
        raise TypeError(f"cell: expected a function, got {function!r}")
    where = _place(function.__code__, function.__code__.co_firstlineno, function)
    parameters = inspect.signature(function).parameters.values()
    for one in parameters:
        if one.name not in READS or one.kind is not one.POSITIONAL_OR_KEYWORD:
            raise ValueError(f"{where}: expected parameters of the names {' '.join(READS)}, got {str(one)!r}")
    names = [one.name for one in parameters]
    if "z" not in names:
        raise ValueError(f"{where}: expected a parameter z, the sums of the gates, got {' '.join(names)!r}")
    if weights is not ("w" in names):
        wanted, got = ("w, since there are unit weights", "none") if weights else ("unit_weights for w", "no names")
        raise ValueError(f"{where}: expected {wanted}, got {got}")


def _record(variable: str, what: str, names: tuple[str, ...]) -> Any:
    """A NamedTuple type which says its names where one is asked for that it does not have."""

    def missing(self: Any, name: str) -> Any:
        raise AttributeError(f"{variable} has no {what} {name!r}, but {' '.join(names)!r}")

    base = namedtuple(variable, names)  # type: ignore[misc]
    return type(variable, (base,), {"__slots__": (), "__getattr__": missing})


def _located(function: Any, error: Exception) -> str:
    """An error's message, and the line of the function's file where it came up."""
    code, message = function.__code__, str(error)
    line, at, trace = None, code, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            line, at = trace.tb_lineno, trace.tb_frame.f_code
        trace = trace.tb_next
    if line is None:  # of what the function returned
        returns = [one.positions for one in dis.get_instructions(code) if one.opname.startswith("RETURN")]
        line = max((one.lineno or 0 for one in returns if one is not None), default=0) or code.co_firstlineno
    if "ufunc" in message:
        message = "NumPy cannot be followed: use the functions of fastlstm.cells"
    text = linecache.getline(at.co_filename, line).strip()
    return f"{_place(at, line, function)}: {message}" + (f"\n    {text}" if text else "")


def _place(code: CodeType, line: int, function: Any) -> str:
    return f"{code.co_filename}, line {line}, in cell {function.__qualname__!r}"
