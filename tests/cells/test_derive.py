"""Derived gradients: against formulas, against the complex step, against what a careful hand wrote.

A derivative by the complex step is Im f(x + i 1e-30) / 1e-30, exact to the last bits, next to a kink as well."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from array_numbers import Numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastlstm.cells import number
from fastlstm.cells.derive import Derived
from fastlstm.cells.kept import TRIES, _Search, choices_of
from fastlstm.cells.number import (
    exp,
    fma,
    hard_sigmoid,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    sigmoids,
    softplus,
    softsign,
    sqrt,
    tanh,
    where,
)
from fastlstm.cells.peephole import lstm_with_peepholes
from fastlstm.cells.phases import Back, Gates, Given
from fastlstm.cells.program import live
from fastlstm.cells.standard import lstm
from fastlstm.cells.trace import Trace, Traced

STEP = 1e-30
SIZE = 40


def real(a: Any) -> Any:
    return np.asarray(a).real


class Steps(Numbers):
    """Complex Numbers, ordered by what is real of them."""

    def where(self, a: Any, b: Any) -> Any:
        return np.where(real(self) != 0, a, b).view(Steps)

    def __lt__(self, other: Any) -> Any:
        return (real(self) < real(other)).view(Steps)

    def __le__(self, other: Any) -> Any:
        return (real(self) <= real(other)).view(Steps)

    def __gt__(self, other: Any) -> Any:
        return (real(self) > real(other)).view(Steps)

    def __ge__(self, other: Any) -> Any:
        return (real(self) >= real(other)).view(Steps)

    def __abs__(self) -> Any:
        return (self < 0).where(-self, self)

    def minimum(self, other: Any) -> Any:
        return (self < other).where(self, other)

    def maximum(self, other: Any) -> Any:
        return (self > other).where(self, other)


def complexes(a: Any) -> Any:
    return a.astype(complex).view(Steps)


def names(text: str) -> Any:
    return namedtuple("Names", text)(*text.split())


def by_steps(function: Callable[..., Any], arguments: dict[str, Any], dc: Any, dh: Any, which: tuple[str, Any]) -> Any:
    """The gradient of dc c + dh h by one number of the arguments: (a name, a field of what has that name, or None)."""
    name, field = which
    wide = {k: type(v)(*map(complexes, v)) if isinstance(v, tuple) else complexes(v) for k, v in arguments.items()}
    stepped = getattr(wide[name], field) if field else wide[name]
    wide[name] = wide[name]._replace(**{field: stepped + 1j * STEP}) if field else stepped + 1j * STEP
    returned = function(**wide)
    c, h = returned if isinstance(returned, tuple) else (0.0, returned)
    return (np.imag(c) * dc + np.imag(h) * (dh if isinstance(returned, tuple) else dh + dc)) / STEP


def check(function: Callable[..., Any], gates: str, weights: str = "", seed: int = 0) -> Derived:
    """One step of random numbers: what equations make, what is made again, and every gradient."""
    z = names(gates)
    w = names(weights) if weights else ()
    derived = Derived(function, z, w)
    rng = np.random.default_rng(seed)

    def some() -> Any:
        return rng.standard_normal(SIZE).view(Numbers)

    reads = function.__code__.co_varnames[: function.__code__.co_argcount]
    arguments = {"z": type(z)(*(some() for _ in z)), "c": some(), "h": some(), "w": type(w)(*(some() for _ in w))}
    arguments = {name: arguments[name] for name in reads}
    old_c, old_h, dh, dc = arguments.get("c", some()), arguments.get("h", some()), some(), some()
    state = old_h if derived.alone else old_c
    weights_ = arguments.get("w", ())
    kept, c, h = derived.forward(arguments["z"], state, weights_, old_h if derived.reads_h else None)
    returned = function(**arguments)
    expected = returned if isinstance(returned, tuple) else (returned, returned)
    for found, wanted in zip((c, h), expected, strict=True):
        assert np.allclose(found, wanted, rtol=1e-12, atol=1e-12)
    made = derived.tape(*kept)
    back = derived.backward(Given(made, made, state, np.tanh(c), dh, dc, weights_))
    found = {("z", k): v for k, v in zip(z._fields, back.dz, strict=True)}
    found |= {("w", k): v for k, v in zip(w._fields, back.dw, strict=True)} if weights and "w" in reads else {}
    found |= {("h" if derived.alone else "c", None): back.dc, ("h", None): back.dh if derived.reads_h else back.dc}
    for (name, field), gradient in found.items():
        if name in reads:
            wanted = by_steps(function, arguments, dc, dh, (name, field))
            assert isinstance(gradient, np.ndarray), (name, field)
            assert np.allclose(gradient, wanted, rtol=1e-9, atol=1e-9 * (1 + abs(np.asarray(wanted)).max())), (
                name,
                field,
            )
    if not derived.alone and "h_old" not in derived.tape._fields:  # of the step behind, whose old c is this one's new
        again = derived.backward(Given(made, made, c, np.tanh(c), dh, dc, weights_)).h_old
        assert np.allclose(again, h, rtol=1e-12, atol=1e-12)
    elif not derived.alone:
        assert (back.h_old == old_h).all()
    else:
        assert (back.h_old == state).all()
    assert back.t_old is None or (back.t_old == np.tanh(state)).all()
    return derived


# each function

EXACT: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "exp": (math.exp, math.exp),
    "log": (math.log, lambda x: 1 / x),
    "log1p": (math.log1p, lambda x: 1 / (1 + x)),
    "sqrt": (math.sqrt, lambda x: 0.5 / math.sqrt(x)),
    "sigmoid": (lambda x: 1 / (1 + math.exp(-x)), lambda x: math.exp(-x) / (1 + math.exp(-x)) ** 2),
    "tanh": (math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    "relu": (lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "softplus": (lambda x: math.log1p(math.exp(-abs(x))) + max(x, 0.0), lambda x: 1 / (1 + math.exp(-x))),
    "hard_sigmoid": (lambda x: min(max(x / 6 + 0.5, 0.0), 1.0), lambda x: 1 / 6 if -3 < x < 3 else 0.0),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: (1 + abs(x)) ** -2.0),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_function_and_its_gradient(name: str) -> None:
    function, (value, slope) = getattr(number, name), EXACT[name]
    derived = Derived(lambda z: function(z.a), names("a"))
    x = np.array([-30.0, -3.5, -3.0, -1.25, -1e-9, 0.0, 1e-9, 0.4, 1.0, 2.9, 3.0, 30.0])
    x = x[x > {"log": 0, "sqrt": 0, "log1p": -1}.get(name, -np.inf)].view(Numbers)
    kept, _, h = derived.forward((x,), x)
    (found,) = derived.backward(Given(kept, kept, x, x, np.full_like(x, 2.0), np.full_like(x, 1.0), ())).dz
    assert np.allclose(h, [*map(value, x)], rtol=1e-14, atol=0)
    assert np.allclose(found, [3 * slope(one) for one in x], rtol=1e-12, atol=1e-15)


def test_of_two_equal_numbers_the_second_has_the_gradient() -> None:
    x = np.array([1.0]).view(Numbers)
    for equations in (lambda z: minimum(z.a, z.b), lambda z: maximum(z.a, z.b)):
        derived = Derived(equations, names("a b"))
        kept, *_ = derived.forward((x, x), x)
        assert derived.backward(Given(kept, kept, x, x, x, 0 * x, ())).dz == (0.0, 1.0)


def test_a_plain_number_may_be_on_either_side() -> None:
    x = np.array([-2.0, 0.5]).view(Numbers)
    for made, wanted in ((minimum(0.25, x), [-2, 0.25]), (maximum(x, 0.25), [0.25, 0.5]), (fma(2.0, x, 1.0), [-3, 2]),
                         (fma(2.0, 3.0, x), [4, 6.5]), (fma(x, x, 1.0), [5, 1.25])):  # fmt: skip
        assert made.tolist() == wanted


@pytest.mark.parametrize("function", [exp, sigmoid, tanh, log, sqrt])
def test_a_plain_number_alone_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a number of the cell, got float 0\.5"):
        function(0.5)
    with pytest.raises(TypeError, match="expected a comparison of numbers, got True"):
        where(True, 1.0, 2.0)  # type: ignore[arg-type]


# whole cells


def coupled(z, c):
    f, o = sigmoid(z.f), sigmoid(z.o)
    c = f * c + (1 - f) * tanh(z.g)
    return c, o * tanh(c)


def leaky(z, c, w):
    c = c + sigmoid(w.rate) * (tanh(z.g) - c)
    return c, sigmoid(z.o) * c


def gru(z, h):
    r, u = sigmoid(z.r), sigmoid(z.u)
    n = tanh(z.x + r * z.h)
    return n + u * (h - n)


def minimal(z, h):
    f = sigmoid(z.f)
    return f * h + (1 - f) * tanh(z.g)


def rectified(z, c):
    i, f, o = hard_sigmoid(z.i), hard_sigmoid(z.f), hard_sigmoid(z.o)
    c = f * c + i * relu(z.g)
    return c, o * relu(c)


def between(z, c, h):
    c = sigmoid(z.f) * c + z.g
    o = sigmoid(z.o)
    return c, o * tanh(c) + (1 - o) * h


def differences(z, c):
    return c - z.a * z.b, z.a * c - z.b


def dear(z, c):
    c = c * tanh(z.a) + sigmoid(z.a)
    return c, c


def everything(z, c, h, w):
    i, f = exp(-relu(z.i)), sigmoid(z.f + w.a)
    c = maximum(f * c + i * sqrt(1.0 + z.g * z.g), -0.5) / (1.0 + exp(tanh(c)))
    u = where(z.o < 0.0, 0.1 * z.o, log(1.0 + exp(z.o))) * tanh(c)
    return c, u + hard_sigmoid(z.g) * softsign(h) + abs(softplus(w.b) - 2 / (3 + tanh(z.i)))


@pytest.mark.parametrize(
    ("function", "gates", "weights", "keeps", "operations"),
    [
        (lstm.equations, "i f g o", "", "i f g o", (8, 23)),
        (coupled, "f g o", "", "f g o", (8, 20)),
        (leaky, "g o", "rate", "g o", (6, 18)),
        (gru, "r u x h", "", "r u z_h h", (6, 16)),
        (minimal, "f g", "", "f g", (5, 11)),
        (rectified, "i f g o", "", "i f g o", (17, 35)),
        (between, "f g o", "", "f o h_old", None),
        (differences, "a b", "", "z_a h z_b", None),
        (dear, "a", "", "a a_", None),  # two are kept, as both would be dear to make again from one
        (everything, "i f g o", "a b", None, None),
    ],
)
def test_cells(function: Any, gates: str, weights: str, keeps: str | None, operations: Any) -> None:
    """Gradients; what the tape keeps; how many operations there are forward and backward."""
    derived = check(function, gates, weights)
    assert keeps is None or derived.tape._fields == tuple(keeps.split())
    assert operations is None or derived.counts == operations


@pytest.mark.parametrize(("function", "gates"), [(lstm.equations, "i f g o"), (coupled, "f g o"), (gru, "r u x h")])
def test_steps_against_central_differences(function: Any, gates: str) -> None:
    """Three steps, one after another, each of whose gates see the old h: gradients of the first step's gates."""
    z, rng, eps = names(gates), np.random.default_rng(2), 1e-6
    derived = Derived(function, z)
    inputs = rng.standard_normal((3, len(z), SIZE)).view(Numbers)
    start, dh, dc = rng.standard_normal((3, SIZE)).view(Numbers)

    def steps(inputs: Any) -> list[Any]:
        made, h, c, found = None, start, start, []
        for sums in inputs:
            old = c
            made = derived.forward([one + 0.5 * h for one in sums], c)
            h, c = made.h, made.c
            found.append((derived.tape(*made.kept), old, c, h))
        return found

    def loss(inputs: Any) -> Any:
        *_, (_, _, c, h) = steps(inputs)
        return dh * h + (0 if derived.alone else dc * c)

    found = steps(inputs)
    dh_, dc_, t = dh, 0 * dc if derived.alone else dc, np.tanh(found[-1][2])
    for at in (2, 1, 0):
        kept, old, *_ = found[at]
        back = derived.backward(Given(kept, found[at - 1][0], old, t, dh_, dc_, ()))
        assert at == 0 or np.allclose(back.h_old, found[at - 1][3], rtol=1e-14)
        dh_, dc_, t = 0.5 * sum(back.dz), back.dc, back.t_old
    for gate, gradient in enumerate(back.dz):
        up, down = inputs.copy(), inputs.copy()
        up[0, gate] += eps
        down[0, gate] -= eps
        assert np.allclose(gradient, (loss(up) - loss(down)) / (2 * eps), rtol=0, atol=1e-8)


# what was written by hand before equations were derived


def hand_lstm(given: Given) -> Back:
    (i, f, g, o), c_old, t = given.kept, given.c_old, given.t
    t_old = tanh(c_old)
    dc = (given.dh * o).fma(1.0 - t * t, given.dc)
    dz = Gates(
        i=dc * g * (i * (1.0 - i)),
        f=dc * c_old * (f * (1.0 - f)),
        g=dc * i * (1.0 - g * g),
        o=given.dh * t * (o * (1.0 - o)),
    )
    return Back(dz, dc * f, t_old, given.before.o * t_old)


def hand_peephole(given: Given) -> Back:
    (i, f, g, o), c_old, (p,) = given.kept, given.c_old, given.w
    dzo = given.dh * given.t * (o * (1.0 - o))
    back = hand_lstm(given._replace(dc=p.o.fma(dzo, given.dc)))
    dz = back.dz
    dc = p.i.fma(dz.i, p.f.fma(dz.f, back.dc))
    return back._replace(dc=dc, dw=(Gates(i=dz.i * c_old, f=dz.f * c_old, o=dz.o * f.fma(c_old, i * g)),))


def flat(back: Any) -> list[Any]:
    if isinstance(back, tuple):
        return [one for part in back for one in flat(part)]
    return [] if back is None else [back]


def given_of(make: Callable[[], Any], peepholes: bool) -> Given:
    kept, before = ([make() for _ in range(4)] for _ in range(2))
    tape = lstm.tape
    return Given(tape(*kept), tape(*before), make(), make(), make(), make(),
                 (Gates(make(), make(), make(), make()),) if peepholes else ())  # fmt: skip


class Fused(Numbers):
    """A fused multiply-add has bits of its own, so that it matters where one stands."""

    def fma(self, factor: Any, term: Any) -> Any:
        exact = np.longdouble(self) * np.longdouble(factor) + np.longdouble(term)
        return exact.astype(np.float64).view(Fused)


@pytest.mark.parametrize(("derived", "by_hand", "operations"),
                         [(lstm, hand_lstm, 23), (lstm_with_peepholes, hand_peephole, 31)])  # fmt: skip
def test_the_bits_and_operations_of_the_hand_written_ones(derived: Derived, by_hand: Any, operations: int) -> None:
    rng = np.random.default_rng(1)
    one = given_of(lambda: rng.standard_normal(1000).view(Fused), operations == 31)
    found, wanted = flat(derived.backward(one)), flat(by_hand(one))
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert (a == b).all()
    trace = Trace()  # equal operations count once, as in a compiler
    numbers = (trace.input(f"{n}") for n in range(100))
    outputs = flat(by_hand(given_of(lambda: next(numbers), operations == 31)))
    rows = live(trace.rows, [number.place for number in outputs])
    assert sum(trace.rows[n][0] not in ("input", "constant") for n in rows) == operations == derived.counts[1]


# simplification


def traced(expression: Callable[[Traced, Traced], Any], backward: bool = False) -> Any:
    trace = Trace()
    x, y = trace.input("x"), trace.input("y")
    trace.backward = backward
    made = expression(x, y)

    def text(place: int) -> str:
        op, *operands = trace.rows[place]
        return str(operands[0]) if op in ("input", "constant") else f"{op}({', '.join(map(text, operands))})"

    return text(made.place)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        (lambda x, y: x + 0, "x"),
        (lambda x, y: 0.0 + x, "x"),
        (lambda x, y: x - 0, "x"),
        (lambda x, y: 0 - x, "neg(x)"),
        (lambda x, y: 1 * x, "x"),
        (lambda x, y: x * -1, "neg(x)"),
        (lambda x, y: -(0 - x), "x"),
        (lambda x, y: x + -y, "sub(x, y)"),
        (lambda x, y: -x + y, "sub(y, x)"),
        (lambda x, y: x - -y, "add(x, y)"),
        (lambda x, y: -x * -y, "mul(x, y)"),
        (lambda x, y: -x * y, "neg(mul(x, y))"),
        (lambda x, y: x / 4, "mul(x, 0.25)"),
        (lambda x, y: x / 3, "div(x, 3.0)"),  # a third is no float
        (lambda x, y: x / 0, "div(x, 0.0)"),
        (lambda x, y: 0 * x, "mul(0.0, x)"),  # NaN of an infinity
        (lambda x, y: where(x < y, y, y), "y"),
        (lambda x, y: where(x >= y, x, 1), "where(less_equal(y, x), x, 1.0)"),
        (lambda x, y: np.float32(2) * x, "mul(2.0, x)"),
        (lambda x, y: (1 + x) - 1, "sub(add(1.0, x), 1.0)"),  # as it is written: it rounds
    ],
)
def test_what_is_trivial_is_not_computed(expression: Any, wanted: str) -> None:
    assert traced(expression) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [(lambda x, y: x * 0, "0.0"), (lambda x, y: y + x * 0, "y"), (lambda x, y: where(x < y, 0, x * 0), "0.0"),
     (lambda x, y: (x * 0) / y, "0.0"), (lambda x, y: -(x * 0), "0.0")],
)  # fmt: skip
def test_in_gradients_a_product_with_0_is_0(expression: Any, wanted: str) -> None:
    assert traced(expression, backward=True) == wanted


def test_what_is_equal_is_computed_once() -> None:
    trace = Trace()
    x, y = trace.input("x"), trace.input("y")
    assert (x * y).place == (y * x).place
    assert (x + y).place == (y + x).place
    assert (x - y).place != (y - x).place
    assert trace.constant(0.0).place != trace.constant(-0.0).place
    assert tanh(x * y).place == tanh(y * x).place


def test_gates_and_weights_may_be_named_as_states() -> None:
    def function(z, c, h, w):
        return z.c * c + w.h, z.h * h + w.c

    check(function, "c h", "c h")


def test_operations_stand_where_they_are_needed_and_sigmoids_side_by_side() -> None:
    def function(z, c):
        i, g = sigmoid(z.i), tanh(z.g)
        f = sigmoid(z.f + 1)
        c = f * c + i * g
        return c, sigmoid(z.o + c) * tanh(c)

    lines = Derived(function, names("i f g o"))._forward.lines
    assert [line.op for line in lines] == ["add", "sigmoid", "tanh", "mul", "fma", "add", "sigmoid", "tanh", "mul"]
    assert [len(line.made) for line in lines if line.op == "sigmoid"] == [2, 1]


def test_a_product_that_is_used_once_becomes_part_of_a_sum() -> None:
    def operations(function: Any) -> list[str]:
        return [line.op for line in Derived(function, names("a b"))._forward.lines]

    assert operations(lambda z, c: (c + z.a * z.b, c)) == ["fma"]
    assert operations(lambda z, c: (1 - z.a * z.b, c)) == ["fnma"]
    assert operations(lambda z, c: (z.a * z.b - c, c)) == ["fms"]
    assert operations(lambda z, c: (c + z.a * z.b, z.b * z.a)) == ["mul", "add"]


def test_long_equations() -> None:
    def function(z, c):
        for _ in range(1200):
            c = 0.5 * c + z.a
        return c, c

    assert Derived(function, names("a")).counts[0] == 1200


def test_what_is_not_used_has_gradient_zero() -> None:
    x = np.array([np.inf, 1.0]).view(Numbers)
    derived = Derived(lambda z, c, w: (z.a * c, z.a), names("a b"), names("p"))
    back = derived.backward(Given((x,), (x,), x, x, x, x, (x,)))
    assert isinstance(back.dz.b, Numbers)
    assert back.dz.b.tolist() == [0, 0] == back.dw.p.tolist()


@pytest.mark.parametrize("function", [lambda z, c: None, lambda z, c: (c, c, c), lambda z, c: c])
def test_what_is_returned(function: Any) -> None:
    with pytest.raises(ValueError, match="expected two numbers to be returned, the new c and h"):
        Derived(function, names("a"))


def test_a_tape_that_is_said_is_the_one_that_is_found() -> None:
    assert Derived(coupled, names("f g o"), tape=names("f g o").__class__).kept
    with pytest.raises(ValueError, match=r"expected a tape that keeps \('f', 'g', 'o'\), got \('f', 'o'\)"):
        _ = Derived(coupled, names("f g o"), tape=names("f o").__class__).kept


def test_the_search_finds_the_cheapest_of_all() -> None:
    """Against all subsets."""
    for function, gates, weights in ((coupled, "f g o", ()), (leaky, "g o", names("rate")), (gru, "r u x h", ())):
        one = Derived(function, names(gates), weights)
        search, found = _Search(one.recorded, one.gradients), frozenset(one.kept)
        choices = choices_of(one.recorded, one.gradients)
        costs = (search.cost(frozenset(place for bit, place in enumerate(choices) if chosen >> bit & 1))
                 for chosen in range(1 << len(choices)))  # fmt: skip
        assert search.cost(found) == min(cost for cost in costs if cost is not None)


# any equations


class Statement(NamedTuple):
    """An operation on earlier numbers."""

    kind: int
    a: int
    b: int
    c: int


KINDS: list[Callable[[Any, Any, Any], Any]] = [  # none grows faster than its operands, or stops to be smooth
    lambda a, b, c: a + b,
    lambda a, b, c: a - 0.5 * b,
    lambda a, b, c: 1.0 - a,
    lambda a, b, c: sigmoid(a) * b + tanh(c) * a,
    lambda a, b, c: tanh(a) * tanh(b),
    lambda a, b, c: fma(a, sigmoid(b), c),
    lambda a, b, c: sigmoid(a) * b - c,
    lambda a, b, c: c - sigmoid(a) * b,
    lambda a, b, c: -a,
    lambda a, b, c: a / (1.0 + b * b),
    lambda a, b, c: 2.0 / (1.5 + tanh(b)),
    lambda a, b, c: a / 3,
    lambda a, b, c: exp(-abs(a)) * b,
    lambda a, b, c: exp(tanh(a)),
    lambda a, b, c: log(1.0 + a * a),
    lambda a, b, c: sqrt(0.5 + a * a),
    lambda a, b, c: abs(a),
    lambda a, b, c: maximum(a, b),
    lambda a, b, c: minimum(0.3, a),
    lambda a, b, c: minimum(a, maximum(b, c)),
    lambda a, b, c: where(a < b, a, c),
    lambda a, b, c: where(a >= 0.1, 2.0, b),
    lambda a, b, c: relu(a),
    lambda a, b, c: softplus(a),
    lambda a, b, c: hard_sigmoid(a),
    lambda a, b, c: softsign(a),
    lambda a, b, c: 0.0 * a + 1.0 * b,
    lambda a, b, c: a - a,
    lambda a, b, c: tanh(a),
    lambda a, b, c: sigmoids(a, b)[1],
]
DEPTH = 8
NUMBERS = st.integers(0, 10_000)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 6), st.integers(0, 3), st.sampled_from(["c", "h", "ch"]),
       st.lists(st.builds(Statement, NUMBERS, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=16),
       st.tuples(NUMBERS, NUMBERS), st.integers(0, 1000))  # fmt: skip
def test_any_equations(gates: int, rows: int, states: str, code: list[Statement], ends: Any, seed: int) -> None:
    """Straight code, of which each line takes the results of earlier ones, up to eight deep."""

    def made(inputs: list[Any]) -> Any:
        known, depth = list(inputs), [0] * len(inputs)
        for kind, *operands in code:
            usable = [n for n, one in enumerate(depth) if one < DEPTH]
            chosen = [usable[n % len(usable)] for n in operands]
            known.append(KINDS[kind % len(KINDS)](*(known[n] for n in chosen)))
            depth.append(1 + max(depth[n] for n in chosen))
        if states == "h":
            return known[-1]
        return known[ends[0] % len(known)], known[-1 - ends[1] % len(known)]

    functions: dict[tuple[str, bool], Any] = {
        ("c", True): lambda z, c, w: made([*z, c, *w]), ("c", False): lambda z, c: made([*z, c]),
        ("h", True): lambda z, h, w: made([*z, h, *w]), ("h", False): lambda z, h: made([*z, h]),
        ("ch", True): lambda z, c, h, w: made([*z, c, h, *w]), ("ch", False): lambda z, c, h: made([*z, c, h]),
    }  # fmt: skip
    letters = "abcdef"
    derived = check(functions[states, rows > 0], " ".join(letters[:gates]), " ".join(letters[:rows]), seed)
    search = _Search(derived.recorded, derived.gradients)
    assert search.cost(frozenset(derived.kept)) is not None
    assert len(search.known) <= TRIES
