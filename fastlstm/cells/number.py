"""What a cell's equations may do with a number. Nothing else is known of it.

A vector of neighbouring units in the processor's registers is a Number, and so may be one unit in a thread of a GPU, a
NumPy array, or a note of what was done. The equations are written once and read by all of them.

The functions below are what equations are written with. A number's own methods are few: what can be made of others is
made of them here. An operand may be a plain Python number, as long as one of a function's operands is a Number.
"""

from __future__ import annotations

from typing import Any, Protocol, Self


class Condition(Protocol):
    """Whether a comparison holds, of each number of a vector."""

    def where(self, a: Any, b: Any) -> Any:
        """a where it holds, else b: Numbers like those compared, or plain ones."""


class Number(Protocol):
    def __add__(self, other: Self | float) -> Self: ...
    def __radd__(self, other: float) -> Self: ...
    def __sub__(self, other: Self | float) -> Self: ...
    def __rsub__(self, other: float) -> Self: ...
    def __mul__(self, other: Self | float) -> Self: ...
    def __rmul__(self, other: float) -> Self: ...
    def __truediv__(self, other: Self | float) -> Self: ...
    def __rtruediv__(self, other: float) -> Self: ...
    def __neg__(self) -> Self: ...
    def __abs__(self) -> Self: ...
    def __lt__(self, other: Self | float) -> Condition: ...
    def __gt__(self, other: Self | float) -> Condition: ...
    def __le__(self, other: Self | float) -> Condition: ...
    def __ge__(self, other: Self | float) -> Condition: ...

    def fma(self, factor: Self | float, term: Self | float) -> Self:
        """self * factor + term, rounded once where the processor can do that."""

    def minimum(self, other: Self | float) -> Self:
        """The smaller of two; NaN where one of them is."""

    def maximum(self, other: Self | float) -> Self:
        """The larger of two; NaN where one of them is."""

    def sqrt(self) -> Self: ...

    def exp(self) -> Self: ...

    def log(self) -> Self: ...

    def log1p(self) -> Self:
        """log(1 + self), exact for small numbers too."""

    def tanh(self) -> Self: ...

    def sigmoids(self, *others: Self) -> list[Self]:
        """The sigmoids of this number and of others. In one call, so that they may be computed side by side."""


def fma(a: Number | float, b: Number | float, c: Number | float) -> Number:
    """a * b + c, rounded once if the processor can do that.

    Parameters
    ----------
    a, b, c : Number or float
        At least one of them a number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    if isinstance(a, (int, float)):
        a, b = b, a
    return a * b + _number(c) if isinstance(a, (int, float)) else _number(a).fma(b, c)


def exp(x: Number) -> Number:
    """exp(x).

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return _number(x).exp()


def log(x: Number) -> Number:
    """The natural logarithm: minus infinity at 0, NaN below.

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return _number(x).log()


def log1p(x: Number) -> Number:
    return _number(x).log1p()


def sqrt(x: Number) -> Number:
    """The square root: NaN below 0.

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return _number(x).sqrt()


def minimum(a: Number | float, b: Number | float) -> Number:
    """The smaller of two; NaN if one of them is.

    If they are equal, b gets the gradient; if b is a plain number, nothing gets it.

    Parameters
    ----------
    a, b : Number or float
        At least one of them a number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return _number(b).minimum(a) if isinstance(a, (int, float)) else _number(a).minimum(b)


def maximum(a: Number | float, b: Number | float) -> Number:
    """The larger of two; NaN if one of them is.

    If they are equal, b gets the gradient; if b is a plain number, nothing gets it.

    Parameters
    ----------
    a, b : Number or float
        At least one of them a number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return _number(b).maximum(a) if isinstance(a, (int, float)) else _number(a).maximum(b)


def where(condition: Condition, a: Number | float, b: Number | float) -> Number:
    """a where a condition holds, else b: what an `if` would be.

    Parameters
    ----------
    condition : comparison
        Of numbers of the cell, by <, >, <= or >=.
    a, b : Number or float

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no comparison.
    """
    if not hasattr(condition, "where"):
        raise TypeError(f"expected a comparison of numbers, got {condition!r}")
    found: Number = condition.where(a, b)
    return found


def tanh(x: Number) -> Number:
    """The hyperbolic tangent.

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return _number(x).tanh()


def sigmoid(x: Number) -> Number:
    """1 / (1 + exp(-x)).

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    (found,) = _number(x).sigmoids()
    return found


def sigmoids(first: Number, *others: Number) -> list[Number]:
    """`sigmoid` of each."""
    return first.sigmoids(*others)


def relu(x: Number) -> Number:
    """max(x, 0). Its gradient is 0 at 0.

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return maximum(x, 0.0)


def softplus(x: Number) -> Number:
    """log(1 + exp(x)).

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return relu(x) + log1p(exp(-abs(x)))


def hard_sigmoid(x: Number) -> Number:
    """(x + 3) / 6, clipped to 0 to 1, as in Keras 3 and PyTorch.

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    # x + 3 first: near -3 it is exact, and x / 6 is not
    return minimum(maximum((x + 3.0) * (1 / 6), 0.0), 1.0)


def softsign(x: Number) -> Number:
    """x / (1 + |x|).

    Parameters
    ----------
    x : Number
        A number of the cell.

    Returns
    -------
    Number

    Raises
    ------
    TypeError
        Something that is no number of the cell.
    """
    return x / (1.0 + abs(x))


def _number(x: Any) -> Number:
    if not hasattr(x, "sigmoids"):
        raise TypeError(f"expected a number of the cell, got {type(x).__name__} {x!r}")
    number: Number = x
    return number
