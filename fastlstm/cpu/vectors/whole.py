"""Whole numbers in code that is being written as LLVM IR: what stands here in Python is compiled without Numba.

A formula over sizes serves twice: over Python's own integers it gives a number, over a `Whole` the code that finds one.
Such a formula has no `if`, `and`, `or`, `max` of what may be a Whole, but `choose`, `&`, `|`, `larger`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types

from ...strides import choose, larger
from .emitter import INT64


class Whole:
    """An integer of 64 bits."""

    kind = types.intp
    __hash__ = None  # type: ignore[assignment] # == gives no bool

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, ir.Constant(INT64, value) if isinstance(value, int) else value

    def _made(self, emit: Any, *others: Any) -> Whole:
        values = [other.value if isinstance(other, Whole) else ir.Constant(INT64, other) for other in others]
        return Whole(self.builder, emit(*values))

    def _compared(self, how: str, other: Any) -> Truth:
        return Truth(self.builder, self._made(lambda a, b: self.builder.icmp_signed(how, a, b), self, other).value)

    def __add__(self, other: Any) -> Whole:
        return self._made(self.builder.add, self, other)

    def __sub__(self, other: Any) -> Whole:
        return self._made(self.builder.sub, self, other)

    def __rsub__(self, other: Any) -> Whole:
        return self._made(self.builder.sub, other, self)

    def __neg__(self) -> Whole:
        return 0 - self

    def __mul__(self, other: Any) -> Whole:
        return self._made(self.builder.mul, self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __floordiv__(self, other: int) -> Whole:
        if other & (other - 1) == 0:
            return self._made(self.builder.ashr, self, other.bit_length() - 1)
        return self._made(self.builder.sdiv, choose(self < 0, self - (other - 1), self), other)

    def __mod__(self, other: Any) -> Whole:
        """Of numbers above 0."""
        return self._made(self.builder.srem, self, other)

    def __and__(self, other: Any) -> Whole:
        return self._made(self.builder.and_, self, other)

    def __or__(self, other: Any) -> Whole:
        return self._made(self.builder.or_, self, other)

    def __xor__(self, other: Any) -> Whole:
        return self._made(self.builder.xor, self, other)

    def __abs__(self) -> Whole:
        return larger(self, -self)

    def below(self, other: Whole) -> Truth:
        """The same of numbers without a sign."""
        return Truth(self.builder, self.builder.icmp_unsigned("<", self.value, other.value))

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compared("==", other)

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compared("!=", other)

    def __lt__(self, other: Any) -> Truth:
        return self._compared("<", other)

    def __le__(self, other: Any) -> Truth:
        return self._compared("<=", other)

    def __gt__(self, other: Any) -> Truth:
        return self._compared(">", other)

    def __ge__(self, other: Any) -> Truth:
        return self._compared(">=", other)


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
