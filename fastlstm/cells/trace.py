"""Numbers that write down what is done with them."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NoReturn, TypeAlias

Row: TypeAlias = tuple[Any, ...]
"""An operation's name and the places of its operands; ("input", a name); ("constant", a number)."""

_EITHER_WAY = {"add", "mul", "fma", "minimum", "maximum"}  # of the first two operands
_BRANCH = "a number of a cell has no value yet, there is nothing to branch on: write where(condition, a, b)"


class Trace:
    """Operations in the order in which they were asked for. Equal ones are written once, and trivial ones not at all.

    Attributes
    ----------
    rows : list of Row
        Each at its place, after its operands.
    backward : bool
        Whether gradients are being written: then a product with 0 is 0, whatever it is a product of.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.backward = False
        self._found: dict[Row, int] = {}

    def input(self, name: str) -> Traced:
        return Traced(self, self._put("input", name))

    def constant(self, value: float) -> Traced:
        key = "constant", float(value).hex()  # 0 and -0 differ
        if key not in self._found:
            self._found[key] = len(self.rows)
            self.rows.append(("constant", float(value)))
        return Traced(self, self._found[key])

    def value(self, number: Traced) -> float | None:
        """Of a constant."""
        op, value = self.rows[number.place][:2]
        return value if op == "constant" else None

    def number(self, given: Any) -> Traced:
        """What an operation is given as one of its operands."""
        if isinstance(given, Traced):
            if given.trace is not self:
                raise TypeError("expected a number of this cell, got one of another")
            return given
        if isinstance(given, bool) or not isinstance(given, Real):
            raise TypeError(f"expected a number, got {type(given).__name__} {given!r}")
        return self.constant(float(given))

    def make(self, op: str, *operands: Any) -> Any:
        numbers = [self.number(one) for one in operands]
        made = self._simpler(op, *numbers)
        if made is not None:
            return made
        kind = Truth if op in ("less", "less_equal") else Traced
        return kind(self, self._put(op, *(one.place for one in numbers)))

    def _put(self, op: str, *operands: Any) -> int:
        key = (op, *sorted(operands[:2]), *operands[2:]) if op in _EITHER_WAY else (op, *operands)
        if key not in self._found:
            self._found[key] = len(self.rows)
            self.rows.append((op, *operands))
        return self._found[key]

    def _negated(self, number: Traced) -> Traced | None:
        """What a number is the negative of."""
        op, *operands = self.rows[number.place]
        return Traced(self, operands[0]) if op == "neg" else None

    def _simpler(self, op: str, *numbers: Traced) -> Traced | None:
        """The same by less, if there is less."""
        if op == "neg":
            value = self.value(numbers[0])
            return self._negated(numbers[0]) if value is None else self.constant(0.0 - value)
        if op == "where":
            _, a, b = numbers
            return a if a.place == b.place and (self.backward or self.value(a) is None) else None
        if len(numbers) < 2:
            return None
        a, b, *_ = numbers
        of_a, of_b = self.value(a), self.value(b)
        if of_a is not None and of_b is not None:
            return None
        if op == "add":
            return self._sum(a, b)
        if op == "sub":
            inner = self._negated(b)
            return a if of_b == 0 else -b if of_a == 0 else None if inner is None else a + inner
        if op == "mul":
            return self._product(a, b)
        if op == "div":
            if of_a == 0 and self.backward:
                return a
            exact = of_b is not None and abs(math.frexp(of_b)[0]) == 0.5 and abs(math.frexp(of_b)[1]) < 100
            return a * (1 / of_b) if exact and of_b else None
        return None

    def _sum(self, a: Traced, b: Traced) -> Traced | None:
        if self.value(a) == 0 or self.value(b) == 0:
            return b if self.value(a) == 0 else a
        inner_a, inner_b = self._negated(a), self._negated(b)
        return a - inner_b if inner_b is not None else b - inner_a if inner_a is not None else None

    def _product(self, a: Traced, b: Traced) -> Traced | None:
        for factor, other in ((a, b), (b, a)):
            value = self.value(factor)
            if value == 0 and self.backward:
                return self.constant(0.0)
            if value in (1, -1):
                return other if value == 1 else -other
        inner_a, inner_b = self._negated(a), self._negated(b)
        if inner_a is not None:
            return inner_a * inner_b if inner_b is not None else -(inner_a * b)
        return -(a * inner_b) if inner_b is not None else None


class _Unknown:
    """What has a place in a trace, and no value."""

    __array_ufunc__ = None  # NumPy leaves operators to it, and refuses its functions
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, trace: Trace, place: int) -> None:
        self.trace, self.place = trace, place

    def __repr__(self) -> str:
        return f"<{self.trace.rows[self.place][0]} of a cell>"

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} cannot be followed: use the functions of fastlstm.cells")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("NumPy cannot be followed: use the functions of fastlstm.cells")

    def __float__(self) -> float:
        raise TypeError("a number of a cell has no value yet: use the functions of fastlstm.cells, not those of math")

    __int__ = __index__ = __float__

    def __bool__(self) -> bool:
        raise TypeError(_BRANCH)

    def __pow__(self, other: object) -> NoReturn:
        raise TypeError("powers cannot be followed: a square is a product, z * z")

    __rpow__ = __pow__

    def __and__(self, other: object) -> NoReturn:
        raise TypeError("conditions cannot be joined by & or |: put one where in another")

    __or__ = __rand__ = __ror__ = __and__

    def __eq__(self, other: object) -> bool:
        raise TypeError("numbers of a cell cannot be asked whether they are equal: compare by < > <= or >=")

    __ne__ = __eq__


class Truth(_Unknown):
    """A Condition that writes down what is asked of it."""

    def where(self, a: Any, b: Any) -> Any:
        return self.trace.make("where", Traced(self.trace, self.place), a, b)


class Traced(_Unknown):
    """A Number that writes down what is done with it."""

    def __add__(self, other: Any) -> Traced:
        return self._make("add", self, other)

    def __radd__(self, other: Any) -> Traced:
        return self._make("add", other, self)

    def __sub__(self, other: Any) -> Traced:
        return self._make("sub", self, other)

    def __rsub__(self, other: Any) -> Traced:
        return self._make("sub", other, self)

    def __mul__(self, other: Any) -> Traced:
        return self._make("mul", self, other)

    def __rmul__(self, other: Any) -> Traced:
        return self._make("mul", other, self)

    def __truediv__(self, other: Any) -> Traced:
        return self._make("div", self, other)

    def __rtruediv__(self, other: Any) -> Traced:
        return self._make("div", other, self)

    def __neg__(self) -> Traced:
        return self._make("neg", self)

    def __abs__(self) -> Traced:
        return self._make("abs", self)

    def __lt__(self, other: Any) -> Truth:
        return self._compare("less", self, other)

    def __gt__(self, other: Any) -> Truth:
        return self._compare("less", other, self)

    def __le__(self, other: Any) -> Truth:
        return self._compare("less_equal", self, other)

    def __ge__(self, other: Any) -> Truth:
        return self._compare("less_equal", other, self)

    def fma(self, factor: Any, term: Any) -> Traced:
        return self._make("fma", self, factor, term)

    def minimum(self, other: Any) -> Traced:
        return self._make("minimum", self, other)

    def maximum(self, other: Any) -> Traced:
        return self._make("maximum", self, other)

    def sqrt(self) -> Traced:
        return self._make("sqrt", self)

    def exp(self) -> Traced:
        return self._make("exp", self)

    def log(self) -> Traced:
        return self._make("log", self)

    def log1p(self) -> Traced:
        return self._make("log1p", self)

    def tanh(self) -> Traced:
        return self._make("tanh", self)

    def sigmoids(self, *others: Any) -> list[Traced]:
        return [self._make("sigmoid", one) for one in (self, *others)]

    def _make(self, op: str, *operands: Any) -> Traced:
        made: Traced = self.trace.make(op, *operands)
        return made

    def _compare(self, op: str, *operands: Any) -> Truth:
        made: Truth = self.trace.make(op, *operands)
        return made
