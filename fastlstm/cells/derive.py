"""Backward equations from forward ones.

    def lstm(z, c):
        i, f, o = sigmoids(z.i, z.f, z.o)
        c = f * c + i * tanh(z.g)
        return c, o * tanh(c)

The names of the parameters say what equations read: z has a number for each gate; c and h are those of the step before,
h that of the same unit; w has the unit weights. They return the new c and h, or h alone, where a cell has no other
state. They run once, over numbers that write down each operation. Gradients go from the last operation back to the
first: each hands on to its operands what it gets. A search finds what the tape should keep (kept.py).

Gradients of sigmoid, tanh, exp and sqrt come from what these have made; a product with 0 or 1 is not computed; what is
equal is computed once. A product that is used once, in a sum, becomes a fused multiply-add with it: so it is forward,
and what is made again backward has the same bits. In gradients 1 - t t is left as it stands.
"""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from .kept import Gradients, Recorded, best_tape, names_of
from .number import Number, tanh
from .phases import Back, Given, Made
from .program import Program, contract, program
from .trace import Trace, Traced, Truth

READS = "z", "c", "h", "w"


def record(equations: Callable[..., Any], z: Any, w: Any = ()) -> Recorded:
    """Runs the equations. z, w: as in `Derived`.

    Raises what the equations raise; ValueError if they return neither (c, h) nor h."""
    trace, reads = Trace(), list(inspect.signature(equations).parameters)
    gates, weights = ([trace.input(f"{of}.{name}") for name in leaves(form, form)] for of, form in (("z", z), ("w", w)))
    c, h = trace.input("c"), trace.input("h")
    arguments = {"z": filled(z, iter(gates)), "c": c, "h": h, "w": filled(w, iter(weights))}
    returned = equations(**{name: arguments[name] for name in reads})
    alone = not isinstance(returned, tuple)
    if returned is None or (not alone and len(returned) != 2):
        got = "nothing" if returned is None else f"{len(returned)} of them"
        raise ValueError(f"expected two numbers to be returned, the new c and h, or h alone; got {got}")
    new, made = (trace.number(one).place for one in ((returned, returned) if alone else returned))
    if alone and "c" in reads:
        raise ValueError("expected two numbers to be returned, the new c and h, since the old c is read; got one")
    contract(trace, (new, made), 0, constants=True)
    of_z, of_w = (tuple(one.place for one in numbers) for numbers in (gates, weights))
    t = trace.rows.index(("tanh", new)) if ("tanh", new) in trace.rows and not alone else None
    if alone:
        return Recorded(trace, of_z, of_w, h.place, None, new, made, t)
    return Recorded(trace, of_z, of_w, c.place, h.place if "h" in reads else None, new, made, t)


def gradients(one: Recorded) -> Gradients:
    """Reverse accumulation, written into the same trace behind the equations."""
    trace, first = one.trace, len(one.trace.rows)
    trace.backward = True
    dh, dc = trace.input("dh"), trace.input("dc")
    found = {one.made: dh}
    found[one.new] = found[one.new] + dc if one.new in found else dc
    for place in range(first - 1, -1, -1):
        if place in found and trace.rows[place][0] not in ("input", "constant"):
            _, *operands = trace.rows[place]
            for operand, part in zip(operands, _parts(trace, place, found[place]), strict=True):
                if part is not None and trace.rows[operand][0] != "constant" and trace.value(part) != 0:
                    found[operand] = part + found[operand] if operand in found else part
    zero = trace.constant(0.0)
    z, w, (state,), h = (
        tuple(found.get(place, zero).place for place in places)
        for places in (one.z, one.w, (one.state,), () if one.h is None else (one.h,))
    )
    made = Gradients(dh.place, dc.place, z, w, state, h[0] if h else None)
    contract(trace, made.outputs, first, constants=False)
    return made


def _parts(trace: Trace, place: int, d: Traced) -> Sequence[Traced | None]:
    """What an operation hands on of its gradient d, to each of its operands."""
    op, *operands = trace.rows[place]
    v, (a, *others) = Traced(trace, place), [Traced(trace, operand) for operand in operands]
    if op in _OF_ONE:
        return (_OF_ONE[op](d, v, a),)
    if op in ("less", "less_equal"):
        return None, None
    if op == "where":
        chosen = Truth(trace, a.place)
        return None, chosen.where(d, 0.0), chosen.where(0.0, d)
    b, value = others[0], trace.value(others[0])
    if op in ("minimum", "maximum"):
        asked = a if value is None else v  # against a plain number, what was made shows it as well
        chosen = asked < b if op == "minimum" else asked > b
        return chosen.where(d, 0.0), chosen.where(0.0, d)
    if op == "div":
        dividend = trace.value(a)
        if dividend is not None:
            return None, -(d * v * (v * (1 / dividend))) if dividend else None
        da = d / b if value is None else d * (1 / value) if value else d / b
        return da, -(da * v)
    return _OF_SUMS[op](d, a, b)


# from the gradient d, what was made, and of what
_OF_ONE: dict[str, Callable[[Traced, Traced, Traced], Traced]] = {
    "neg": lambda d, v, a: -d,
    "abs": lambda d, v, a: (a > 0.0).where(d, -d),  # at 0 as of 2 relu(a) - a, so that softplus is smooth
    "sqrt": lambda d, v, a: d * 0.5 / v,
    "exp": lambda d, v, a: d * v,
    "log": lambda d, v, a: d / a,
    "log1p": lambda d, v, a: d / (1.0 + a),
    "tanh": lambda d, v, a: d * (1.0 - v * v),
    "sigmoid": lambda d, v, a: d * (v * (1.0 - v)),
}
_OF_SUMS: dict[str, Callable[[Traced, Traced, Traced], tuple[Traced, ...]]] = {  # and products
    "add": lambda d, a, b: (d, d),
    "sub": lambda d, a, b: (d, -d),
    "mul": lambda d, a, b: (d * b, d * a),
    "fma": lambda d, a, b: (d * b, d * a, d),
    "fms": lambda d, a, b: (d * b, d * a, -d),
    "fnma": lambda d, a, b: (-(d * b), -(d * a), d),
}


class Derived:
    """A cell's equations forward, as given, and backward, as they follow; over any Number.

    Parameters
    ----------
    equations : function
        As above.
    z, w : NamedTuple of str; w may be a tuple of such
        Names of the gates and of the unit weights, in the form in which equations get them. None: no number is there.
    tape : NamedTuple type, optional
        What the tape keeps. It is the search that finds it; but where it is said, equations need not run before they
        are used.

    Raises
    ------
    What the equations raise; ValueError if they return neither (c, h) nor h.
    """

    def __init__(self, equations: Callable[..., Any], z: Any, w: Any = (), tape: Any = None) -> None:
        self.equations, self.z, self.w = equations, z, w
        self._said = tape
        if tape is None:
            _ = self.kept

    @cached_property
    def recorded(self) -> Recorded:
        return record(self.equations, self.z, self.w)

    @cached_property
    def gradients(self) -> Gradients:
        return gradients(self.recorded)

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """Places of what the tape keeps."""
        one, of = self.recorded, self.gradients
        found = best_tape(one, of)
        names = names_of(one, found)
        if self._said is not None and self._said._fields != names:
            raise ValueError(f"expected a tape that keeps {names}, got {self._said._fields}")
        return found

    @cached_property
    def tape(self) -> Any:
        """NamedTuple of the numbers that the tape keeps of each unit and step."""
        return self._said or namedtuple("Kept", names_of(self.recorded, self.kept))

    @property
    def reads_h(self) -> bool:
        """Whether equations read the old h beside c."""
        return self.recorded.h is not None

    @property
    def alone(self) -> bool:
        """Whether h is the only state. It is in the place of c then."""
        return self.recorded.alone

    @cached_property
    def _forward(self) -> Program:
        one = self.recorded
        inputs = (*one.z, one.state, *((one.h,) if one.h is not None else ()), *one.w)
        return program(one.trace, (*self.kept, one.new, one.made), inputs)

    @cached_property
    def _backward(self) -> Program:
        one, of = self.recorded, self.gradients
        t = () if one.t is None else (one.t,)
        return program(one.trace, of.outputs, (*self.kept, one.state, *t, of.dh, of.dc, *one.w))

    @cached_property
    def _old_h(self) -> Program | None:
        """The new h, from what is known of it a step later. None where the old h is there in backward as it is."""
        one = self.recorded
        if one.alone or one.h in self.kept:
            return None
        return program(one.trace, (one.made,), (*self.kept, one.new, *(() if one.t is None else (one.t,)), *one.w))

    def forward(self, z: Any, c_old: Number, w: Any = (), h_old: Number | None = None) -> Made:
        """The equations. h_old: where they read it beside c."""
        h = () if h_old is None else (h_old,)
        *kept, c, made = self._forward.run(*z, c_old, *h, *leaves(self.w, w))
        return Made(tuple(kept), c, made)

    def backward(self, given: Given) -> Back:
        """Their gradients. t_old is made where they have tanh of the new c."""
        one, w = self.recorded, leaves(self.w, given.w)
        t_old = None if one.t is None else tanh(given.c_old)
        t = () if one.t is None else (given.t,)
        found = iter(self._backward.run(*given.kept, given.c_old, *t, given.dh, given.dc, *w))
        dz, dw, dc = filled(self.z, found), filled(self.w, found), next(found)
        if one.h is not None and one.h in self.kept:
            h_old = given.kept[self.kept.index(one.h)]
        elif self._old_h is None:
            h_old = given.c_old
        else:
            olds = () if t_old is None else (t_old,)
            (h_old,) = self._old_h.run(*given.before, given.c_old, *olds, *w)
        return Back(dz, dc, t_old, h_old, dw, None if one.h is None else next(found))

    @property
    def written(self) -> Any:
        """All that is computed, as one value to compare or to hash."""
        one, of = self.recorded, self.gradients
        return one.trace.rows, one[1:], of, self.kept

    @property
    def counts(self) -> tuple[int, int]:
        """Operations forward and backward; a fused multiply-add counts once."""
        old_h = 0 if self._old_h is None else self._old_h.size
        return self._forward.size, self._backward.size + old_h + (self.recorded.t is not None)


def leaves(form: Any, values: Any) -> list[Any]:
    """The values of a form's names, one after another."""
    if isinstance(form, tuple):
        return [leaf for one, value in zip(form, values, strict=True) for leaf in leaves(one, value)]
    return [] if form is None else [values]


def filled(form: Any, values: Iterator[Any]) -> Any:
    """The form with values in the place of names."""
    if not isinstance(form, tuple):
        return None if form is None else next(values)
    parts = [filled(one, values) for one in form]
    return type(form)(*parts) if hasattr(form, "_fields") else tuple(parts)
