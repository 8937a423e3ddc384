"""The GRUs.

The reset gate acts after the product in cuDNN, in PyTorch, and in Keras with reset_after=True; before it in Cho et al.
(2014), in ONNX by default, and in Keras with reset_after=False.
"""

from __future__ import annotations

import hashlib
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from ..params import reset_record
from .derive import Derived
from .number import Number, sigmoids, tanh
from .own import cell
from .phases import Back, Cell, Given, LaterGate, Made, Product, touch


@cell(gates="r z n m", unit_weights="b_n", gates_of_x="r z n", gates_of_h="r z m", gates_of_b="r z n")
def gru(z: Any, h: Number, w: Any) -> Number:
    """n is what x puts into the candidate, m what h does. In this form h is exactly the old one where u is 1."""
    r, u = sigmoids(z.r, z.z)
    n = tanh(z.n + r * (z.m + w.b_n))
    return (1.0 - u) * n + u * h


class ResetBefore:
    """The GRU whose reset gate acts before the product.

    It has two phases. The first makes p = r∘h, in the place of c; n's sums take p in the second.

    Parameters
    ----------
    gates : function
        (a_r, a_z) -> r, z.
    activation : function
        a_n -> n.
    order : str
        Of the blocks in W, U and b.
    maker : (function, arguments), optional
        What makes the object again from a pickle; one without is not to be pickled.
    """

    def __init__(
        self,
        gates: Callable[[Number, Number], Any],
        activation: Callable[[Number], Number],
        order: str = "r z n",
        maker: tuple[Callable[..., Any], tuple[Any, ...]] | None = None,
    ) -> None:
        def both(z: Any) -> tuple[Number, Number]:
            r, u = gates(z.r, z.z)
            return r, u

        self.order, self.maker = tuple(order.split()), maker
        self.gates = Derived(both, _Both("r", "z"))  # as if r were the new c, and z the new h
        self.candidate = Derived(lambda z: activation(z.n), _One("n"))
        self._of_gates, self._of_candidate = _places(self.gates), _places(self.candidate)
        first, second = ([f"{of}{n}" for n in range(len(places))]
                         for of, places in (("gate", self._of_gates), ("candidate", self._of_candidate)))  # fmt: skip
        self._keeps = (*first, "h_in"), (*second, "h_old")
        self.tape: Any = namedtuple("Kept", [*first, "h_in", *second, "h_old"])  # type: ignore[misc]
        what = self.order, self.gates.written, self.candidate.written
        self.fingerprint = hashlib.sha256(repr(what).encode()).hexdigest()

    @cached_property
    def cell(self) -> Cell:
        """Its row, of a name that no other cell has."""
        return replace(self.as_cell(f"{__name__}.ResetBefore#{self.fingerprint[:16]}"), own=self)

    @cached_property
    def record(self) -> Any:
        """The type of its weights, a `GRUBeforeParams`."""
        return reset_record(self, self.cell.name)

    def as_cell(self, name: str) -> Cell:
        """A row of the table."""
        n, r, z = (self.order.index(gate) for gate in _Gates._fields)
        first, second = self._keeps
        return Cell(
            name, self.tape, ((n, r, z), (n, r, z), (-1, r, z)),
            (Product(self._reset, self._reset_back, reads_h=True, keeps=first,
                     touch=touch("operands", "h, c, gates"), touch_back=touch("dv", "dz, dh, operands")),
             LaterGate(self._mix, self._mix_back, gate=0, weights=(2, n), keeps=second,
                       touch=touch("c", "h, gates"), touch_back=touch("later dz", "dz, dv, dh, operands"))),
            gates=_Gates, alone=True,
        )  # fmt: skip

    def reset(self, a_r: Number, a_z: Number, m: Number) -> tuple[Any, Number]:
        """What the tape keeps of the first phase, and p. m: the old h as it enters the product."""
        made: Any = self.gates.forward((a_r, a_z), m)  # its c is r, its h z
        return (*_values(self.gates, made), m), made.c * m

    def mix(self, kept: Any, a_n: Number, h: Number) -> tuple[Any, Number]:
        """What it keeps of the second, and the new h, which is exactly the old one where z is 1. kept: by the first."""
        made, z = self.candidate.forward((a_n,), h), self._gate(kept, self.gates.recorded.made)
        return (*_values(self.candidate, made), h), (1.0 - z).fma(made.h, z * h)

    def mix_back(self, kept: Any, dh: Number, zero: Number) -> Any:
        """The gradient of a_n. kept: by both phases; zero: 0."""
        z, (first, _) = self._gate(kept, self.gates.recorded.made), self._keeps
        own = kept[len(first) : len(first) + len(self.candidate.kept)]
        return self.candidate.backward(Given(own, own, dh, dh, dh * (1.0 - z), zero, ())).dz.n

    def reset_back(self, kept: Any, dh: Number, dp: Number) -> tuple[Any, Number, Number]:
        """The gradients of a_r and a_z; of m, but for what passes these; and of h, but for what passes m."""
        one, own = self.gates.recorded, kept[: len(self.gates.kept)]
        r, z = self.reset_gate(kept), self._gate(kept, one.made)
        n = kept[len(self._keeps[0]) + self._of_candidate.index(self.candidate.recorded.made)]
        da = self.gates.backward(Given(own, own, r, r, dh * (kept.h_old - n), dp * kept.h_in, ())).dz
        return da, dp * r, dh * z

    def reset_gate(self, kept: Any) -> Any:
        """r."""
        return self._gate(kept, self.gates.recorded.new)

    def __reduce__(self) -> Any:
        return self.maker or super().__reduce__()

    def _reset(self, z: Any, _: Number, w: Any, m: Number) -> Made:
        kept, p = self.reset(z.r, z.z, m)
        return Made(kept, p, z.n)

    def _mix(self, kept: Any, a_n: Number, _: Number, h: Number) -> Made:
        found, h_new = self.mix(kept, a_n, h)
        return Made(found, None, h_new)

    def _mix_back(self, kept: Any, _: Number, dh: Number, dc: Number) -> tuple[Number, Number, Number]:
        """dc is 0, as nothing reads p but this gate. dh goes on to the first phase as it came."""
        return self.mix_back(kept, dh, dc), dh, dc

    def _reset_back(self, given: Given) -> Back:
        da, dm, past = self.reset_back(given.kept, given.dh, given.dc)
        return Back(_Gates(None, da.r, da.z), dm, None, given.kept.h_old, dh=past)

    def _gate(self, kept: Any, place: int) -> Any:
        return kept[self._of_gates.index(place)]


def _places(derived: Derived) -> tuple[int, ...]:
    """Of what the tape keeps of some equations, by the numbers of the operations: what their gradients need, and their
    results."""
    one = derived.recorded
    return tuple(dict.fromkeys((*derived.kept, one.new, one.made)))


def _values(derived: Derived, made: Made) -> list[Any]:
    """The numbers that belong there."""
    one = derived.recorded
    known = {one.new: made.c, one.made: made.h, **dict(zip(derived.kept, made.kept, strict=True))}
    return [known[place] for place in _places(derived)]


class _Gates(NamedTuple):
    """n reads x, and in the second phase p; the others read x and h."""

    n: Any
    r: Any
    z: Any


class _Both(NamedTuple):
    r: Any
    z: Any


class _One(NamedTuple):
    n: Any
