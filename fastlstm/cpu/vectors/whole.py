"""Integers and truths that only the running code knows.

Python sees each as an object, a `Whole` or a `Truth`. An operation on such objects writes the LLVM instruction that
does it in the running code, without Numba, and gives the object for its result.

So a formula over sizes serves twice: over Python's own integers it gives a number, over Wholes it writes the code that
computes it. It may not ask, while it is written, what only the running code knows: in place of `if`, `and`, `or` and
`max` it has `choose`, `&`, `|` and `larger`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types

from ...strides import choose, larger
from .emitter import INT64


def _instruction(name: str) -> Any:
    """The operator that writes this instruction."""

    def operator(self: Whole, other: Any) -> Whole:
        return self._made(getattr(self.builder, name), self, other)

    return operator


def _comparison(sign: str) -> Any:
    """The operator that writes this comparison."""

    def operator(self: Whole, other: Any) -> Truth:
        return Truth(self.builder, self._made(lambda a, b: self.builder.icmp_signed(sign, a, b), self, other).value)

    return operator


class Whole:
    """An integer of 64 bits."""

    kind = types.intp
    __hash__ = None  # type: ignore[assignment] # == gives no bool

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, ir.Constant(INT64, value) if isinstance(value, int) else value

    def _made(self, emit: Any, *others: Any) -> Whole:
        values = [other.value if isinstance(other, Whole) else ir.Constant(INT64, other) for other in others]
        return Whole(self.builder, emit(*values))

    __add__ = __radd__ = _instruction("add")
    __sub__ = _instruction("sub")
    __mul__ = __rmul__ = _instruction("mul")
    __mod__ = _instruction("srem")  # of numbers above 0
    __and__, __or__, __xor__ = _instruction("and_"), _instruction("or_"), _instruction("xor")
    __eq__, __ne__ = _comparison("=="), _comparison("!=")
    __lt__, __le__ = _comparison("<"), _comparison("<=")
    __gt__, __ge__ = _comparison(">"), _comparison(">=")

    def __rsub__(self, other: Any) -> Whole:
        return self._made(self.builder.sub, other, self)

    def __neg__(self) -> Whole:
        return 0 - self

    def __abs__(self) -> Whole:
        return larger(self, -self)

    def __floordiv__(self, other: int) -> Whole:
        if other & (other - 1) == 0:
            return self._made(self.builder.ashr, self, other.bit_length() - 1)
        return self._made(self.builder.sdiv, choose(self < 0, self - (other - 1), self), other)

    def below(self, other: Whole) -> Truth:
        """Whether it is less, both taken as numbers without a sign."""
        return Truth(self.builder, self.builder.icmp_unsigned("<", self.value, other.value))


class Truth:
    """Whether something is so."""

    kind = types.boolean

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, ir.Constant(ir.IntType(1), value) if isinstance(value, bool) else value

    def _of(self, other: Any) -> Any:
        return other.value if isinstance(other, Truth) else ir.Constant(ir.IntType(1), other)

    def __and__(self, other: Any) -> Truth:
        return Truth(self.builder, self.builder.and_(self.value, self._of(other)))

    def __or__(self, other: Any) -> Truth:
        return Truth(self.builder, self.builder.or_(self.value, self._of(other)))

    __rand__, __ror__ = __and__, __or__

    def __invert__(self) -> Truth:
        return Truth(self.builder, self.builder.not_(self.value))

    def choose(self, one: Any, other: Any) -> Whole:
        """`one` where that is so, else `other`."""
        one, other = (n if isinstance(n, Whole) else Whole(self.builder, n) for n in (one, other))
        return Whole(self.builder, self.builder.select(self.value, one.value, other.value))


def alike(ones: Iterable[Any], others: Iterable[Any]) -> Any:
    """Whether two sequences of as many numbers, one at least a Whole, are the same."""
    differ: Any = 0
    for one, other in zip(ones, others, strict=True):
        differ = (one if isinstance(one, Whole) else other) ^ (other if isinstance(one, Whole) else one) | differ
    return differ == 0
