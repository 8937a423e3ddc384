"""The cells' equations as code of one GPU thread: a unit of a row.

A `Scalar` is a `Number` of `cells/number.py`, so the equations run over it as they are, forward and backward. Its tanh,
exp and the like are those of the CPU's vectors (`cpu/vectors/activations.py`), operation by operation: they give the
same bits.

Each function below makes a device function f(inputs, outputs) of two local arrays; its docstring has their order. There
`gates` stands for a number of each gate, `w` for all unit weights, `dw` for their gradients, `kept` for what the tape
has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from ..cells.normalized import Norms
from ..cells.phases import Cell, Given, Moments, Normed, Rows
from ..cpu.vectors import activations
from .device import Maker, Raw, of_arrays


class Scalar:
    """A number of one thread: arithmetic on it makes instructions, or is done. maker: by whom; raw: what that has."""

    def __init__(self, maker: Maker, raw: Raw) -> None:
        self.maker, self.raw = maker, raw

    def splat(self, number: float) -> Scalar:
        """A plain number, as one of these."""
        return Scalar(self.maker, self.maker.number(number))

    @property
    def bits(self) -> int:
        return self.maker.bits

    @property
    def emitter(self) -> Scalar:
        """What the activations ask of a vector's: `bits` and `splat`."""
        return self

    def _raw(self, other: Scalar | float) -> Raw:
        return other.raw if isinstance(other, Scalar) else self.maker.number(other)

    def _do(self, operation: str, *others: Scalar | float) -> Scalar:
        return Scalar(self.maker, getattr(self.maker, operation)(self.raw, *map(self._raw, others)))

    def __add__(self, other: Scalar | float) -> Scalar:
        return self._do("add", other)

    def __sub__(self, other: Scalar | float) -> Scalar:
        return self._do("sub", other)

    def __rsub__(self, other: float) -> Scalar:
        return self.splat(other) - self

    def __mul__(self, other: Scalar | float) -> Scalar:
        return self._do("mul", other)

    def __truediv__(self, other: Scalar | float) -> Scalar:
        return self._do("div", other)

    def __rtruediv__(self, other: float) -> Scalar:
        return self.reciprocal() if other == 1 else self.splat(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Scalar:
        return self._do("neg")

    def __abs__(self) -> Scalar:
        return self._do("absolute")

    def __lt__(self, other: Scalar | float) -> Truth:
        return self._compare("<", other)

    def __gt__(self, other: Scalar | float) -> Truth:
        return self._compare(">", other)

    def __le__(self, other: Scalar | float) -> Truth:
        return self._compare("<=", other)

    def __ge__(self, other: Scalar | float) -> Truth:
        return self._compare(">=", other)

    def _compare(self, comparison: str, other: Scalar | float) -> Truth:
        return Truth(self, self.maker.compare(comparison, self.raw, self._raw(other)))

    def fma(self, factor: Scalar | float, term: Scalar | float) -> Scalar:
        return self._do("fma", factor, term)

    def minimum(self, other: Scalar | float) -> Scalar:
        return self._outer(self < other, other) if isinstance(other, Scalar) else self.at_most(other)

    def maximum(self, other: Scalar | float) -> Scalar:
        return self._outer(self > other, other) if isinstance(other, Scalar) else self.at_least(other)

    def _outer(self, further: Truth, other: Scalar) -> Scalar:
        """What lies further out of two; NaN where one of them is."""
        return Truth(self, self.maker.is_nan(self.raw)).where(self, further.where(self, other))

    def sqrt(self) -> Scalar:
        return self._do("sqrt")

    def exp(self) -> Scalar:
        return _scalar(activations.exp(self))

    def log(self) -> Scalar:
        return _scalar(activations.log(self))

    def log1p(self) -> Scalar:
        return _scalar(activations.log1p(self))

    def tanh(self) -> Scalar:
        return _scalar(activations.tanh(self))

    def sigmoids(self, *others: Scalar) -> list[Scalar]:
        return [_scalar(activations.sigmoid(one)) for one in (self, *others)]

    # what the activations are made of besides

    def at_most(self, bound: float) -> Scalar:
        """min(self, bound); a NaN stays one."""
        return (self > bound).where(bound, self)

    def at_least(self, bound: float, below: float | None = None) -> Scalar:
        """max(self, bound), or `below` in place of what is less than that; a NaN stays one."""
        return (self < bound).where(bound if below is None else below, self)

    def with_sign_of(self, other: Scalar) -> Scalar:
        return self._do("copysign", other)

    def reciprocal(self) -> Scalar:
        return self._do("reciprocal")

    def power_of_two(self, mantissa: int, bias: int) -> Scalar:
        """2**k, where self is k + 1.5 * 2**mantissa: k stands in the lowest bits and moves to the exponent."""
        return self._in_bits(("add", bias), ("shl", mantissa))

    def power_parts(self, mantissa: int, bias: int) -> tuple[Scalar, Scalar]:
        """m and k with self = m 2**k, m from sqrt(1/2) to sqrt(2), of positive normal numbers: as `Vector` has it."""
        (root,) = struct.unpack({32: "<I", 64: "<Q"}[self.bits], struct.pack({32: "<f", 64: "<d"}[self.bits], 0.5**0.5))
        moved = "add", (bias << mantissa) - root
        m = self._in_bits(moved, ("and", (1 << mantissa) - 1), ("add", root))
        k = self._in_bits(moved, ("lshr", mantissa), ("or", (mantissa + bias) << mantissa))
        return m, k - (2.0**mantissa + bias)

    def _in_bits(self, *operations: tuple[str, int]) -> Scalar:
        raw = self.maker.bits_of(self.raw)
        for operation, number in operations:
            raw = self.maker.integer(operation, raw, number)
        return Scalar(self.maker, self.maker.of_bits(raw))


class Truth:
    """Whether a comparison holds."""

    def __init__(self, of: Scalar, raw: Raw) -> None:
        self._of, self._raw = of, raw

    def where(self, a: Scalar | float, b: Scalar | float) -> Scalar:
        """a where it holds, else b."""
        maker = self._of.maker
        return Scalar(maker, maker.select(self._raw, self._of._raw(a), self._of._raw(b)))


def _scalar(found: Any) -> Scalar:
    number: Scalar = found
    return number


Inputs = Iterator[Scalar]


def _device_function(count: int) -> Callable[[Callable[[Inputs], Iterable[Scalar | None]]], Any]:
    """f(inputs, outputs) of equations that take `count` inputs one by one."""

    def decorate(equations: Callable[[Inputs], Iterable[Scalar | None]]) -> Any:
        def body(maker: Maker, raws: list[Raw]) -> list[Raw | None]:
            inputs = iter([Scalar(maker, raw) for raw in raws])
            outputs = [None if number is None else number.raw for number in equations(inputs)]
            assert next(inputs, None) is None, "inputs are left over"
            return outputs

        return of_arrays(body, count, equations.__name__)

    return decorate


def _gates(cell: Cell, inputs: Inputs) -> Any:
    return cell.gates(*islice(inputs, cell.gate_count))


def _weights(cell: Cell, inputs: Inputs) -> Rows:
    return tuple(_gates(cell, inputs) for _ in range(cell.weight_rows))


def _kept(cell: Cell, inputs: Inputs) -> Any:
    return cell.tape(*islice(inputs, cell.kept))


def _moments(cell: Cell, inputs: Inputs) -> Any:
    return cell.gates(*(Moments(next(inputs), next(inputs)) for _ in range(cell.gate_count)))


def weight_count(cell: Cell) -> int:
    """Unit weights of a unit, those that are always 0 too."""
    return cell.weight_rows * cell.gate_count


# forward


@lru_cache(None)
def first(cell: Cell) -> Any:
    """gates, old c, old h, w -> what the first phase keeps, new c, h or what the next phase goes on from."""

    @_device_function(cell.gate_count + 2 + weight_count(cell))
    def first_phase(inputs: Inputs) -> Iterable[Scalar | None]:
        z, c, h, w = _gates(cell, inputs), next(inputs), next(inputs), _weights(cell, inputs)
        phase: Any = cell.phases[0]
        kept, c_new, made = phase.forward(z, c, w, *([h] if cell.reads_h else []))
        return *kept, c_new, made

    return first_phase


@lru_cache(None)
def later(cell: Cell) -> Any:
    """what the first phase keeps, the gate's z, new c, old h -> what the second phase keeps, new h."""
    count = len(cell.phases[0].keeps)

    @_device_function(count + 3)
    def later_phase(inputs: Inputs) -> Iterable[Scalar | None]:
        kept = tuple(islice(inputs, count))
        phase: Any = cell.phases[1]
        found, _, h = phase.forward(kept if cell.gates_h else None, next(inputs), next(inputs), next(inputs))
        return *found, h

    return later_phase


@lru_cache(None)
def normal_gates(cell: Cell) -> Any:
    """gates, old c, a mean and a scale of each gate, w -> what the phase keeps, new c, what the last phase takes."""

    @_device_function(3 * cell.gate_count + 1 + weight_count(cell))
    def normal_gates_phase(inputs: Inputs) -> Iterable[Scalar | None]:
        z, c, of_z, w = _gates(cell, inputs), next(inputs), _moments(cell, inputs), _weights(cell, inputs)
        phase: Any = cell.phases[1]
        kept, c_new, made = phase.forward(z, c, of_z, w)
        return *kept, c_new, made

    return normal_gates_phase


@lru_cache(None)
def normal_output(cell: Cell) -> Any:
    """what the phase before left, old h, new c, mean and scale of c, w -> what the phase keeps, new h."""

    @_device_function(5 + weight_count(cell))
    def normal_output_phase(inputs: Inputs) -> Iterable[Scalar | None]:
        o, h, c, of_c, w = (
            next(inputs), next(inputs), next(inputs), Moments(next(inputs), next(inputs)), _weights(cell, inputs),
        )  # fmt: skip
        phase: Any = cell.phases[2]
        kept, _, h = phase.forward(o, h, c, of_c, w)
        return *kept, h

    return normal_output_phase


# backward


@lru_cache(None)
def first_back(cell: Cell) -> Any:
    """kept, old c, new c, dh, dc, w -> dz of gates, dc, what of dh goes past z, dw."""

    @_device_function(cell.kept + 4 + weight_count(cell))
    def first_phase_back(inputs: Inputs) -> Iterable[Scalar | None]:
        kept, c_old, c_new, dh, dc, w = (
            _kept(cell, inputs), next(inputs), next(inputs), next(inputs), next(inputs), _weights(cell, inputs),
        )  # fmt: skip
        t = c_new.tanh() if cell.carries_t else c_new
        phase: Any = cell.phases[0]
        # of `before` only the old h would be made, which the tape has
        found = phase.backward(Given(kept, kept, c_old, t, dh, dc, w))
        zero = dh.splat(0.0)
        past = found.dh
        if past is None:
            past = dh if cell.passes_h else zero
        dw = [zero if one is None else one for row in found.dw for one in row]
        return *found.dz, found.dc, past, *dw

    return first_phase_back


@lru_cache(None)
def later_back(cell: Cell) -> Any:
    """kept, new c, dh, dc -> dz of the gate, dh that goes on, dc."""

    @_device_function(cell.kept + 3)
    def later_phase_back(inputs: Inputs) -> Iterable[Scalar | None]:
        kept, c_new, dh, dc = _kept(cell, inputs), next(inputs), next(inputs), next(inputs)
        phase: Any = cell.phases[1]
        found: tuple[Scalar, Scalar, Scalar] = phase.backward(kept, c_new.tanh() if cell.carries_t else c_new, dh, dc)
        return found

    return later_phase_back


@lru_cache(None)
def normal_output_back(cell: Cell) -> Any:
    """kept, new c, dh, mean and scale of c, w -> dw, where this phase makes it."""

    @_device_function(cell.kept + 4 + weight_count(cell))
    def normal_output_phase_back(inputs: Inputs) -> Iterable[Scalar | None]:
        kept, c, dh = _kept(cell, inputs), next(inputs), next(inputs)
        of_c, w = Moments(next(inputs), next(inputs)), _weights(cell, inputs)
        phase: Any = cell.phases[2]
        return [one for row in phase.backward(kept, c, dh, of_c, w) for one in row]

    return normal_output_phase_back


@lru_cache(None)
def normal_gates_back(cell: Cell) -> Any:
    """kept, new c, old c, dc, dw, mean and scale of c, the two means of c's gradient, a mean and a scale of each gate,
    w -> dc, dw, where this phase makes it."""

    @_device_function(cell.kept + 7 + 2 * cell.gate_count + 2 * weight_count(cell))
    def normal_gates_phase_back(inputs: Inputs) -> Iterable[Scalar | None]:
        kept, c, c_old, dc, dw = _kept(cell, inputs), next(inputs), next(inputs), next(inputs), _weights(cell, inputs)
        of_c, means = Moments(next(inputs), next(inputs)), Moments(next(inputs), next(inputs))
        of_z, w = _moments(cell, inputs), _weights(cell, inputs)
        phase: Any = cell.phases[1]
        dc, rows = phase.backward(kept, Normed(c, c_old, dc, dw, of_c, means), of_z, w)
        return dc, *(one for row in rows for one in row)

    return normal_gates_phase_back


@lru_cache(None)
def waiting_back(cell: Cell) -> Any:
    """kept, dw, a mean and a scale of each gate, the two means of each gate's gradient, w -> dz of gates."""

    @_device_function(cell.kept + 4 * cell.gate_count + 2 * weight_count(cell))
    def waiting_phase_back(inputs: Inputs) -> Iterable[Scalar | None]:
        kept, dw = _kept(cell, inputs), Norms(*_weights(cell, inputs))
        of_z, means, w = _moments(cell, inputs), _moments(cell, inputs), _weights(cell, inputs)
        phase: Any = cell.phases[0]
        dz, _ = phase.backward(kept, dw.z_shift, of_z, means, w)
        return list(dz)

    return waiting_phase_back
