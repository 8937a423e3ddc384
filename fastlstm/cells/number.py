"""What a cell's equations may do with a number. Nothing else is known of it.

A vector of neighbouring units in the processor's registers is a Number, and so may be one unit in a thread of a GPU, a
NumPy array, or a note of what was done. The equations are written once and read by all of them.
"""

from __future__ import annotations

from typing import Protocol, Self


class Number(Protocol):
    def __add__(self, other: Self | float) -> Self: ...
    def __radd__(self, other: float) -> Self: ...
    def __sub__(self, other: Self | float) -> Self: ...
    def __rsub__(self, other: float) -> Self: ...
    def __mul__(self, other: Self | float) -> Self: ...
    def __rmul__(self, other: float) -> Self: ...

    def fma(self, factor: Self | float, term: Self | float) -> Self:
        """self * factor + term, rounded once where the processor can do that."""

    def tanh(self) -> Self: ...

    def sigmoids(self, *others: Self) -> list[Self]:
        """The sigmoids of this number and of others. In one call, so that they may be computed side by side."""


def tanh(number: Number) -> Number:
    return number.tanh()


def sigmoid(number: Number) -> Number:
    (found,) = number.sigmoids()
    return found


def sigmoids(first: Number, *others: Number) -> list[Number]:
    """`sigmoid` of each."""
    return first.sigmoids(*others)
