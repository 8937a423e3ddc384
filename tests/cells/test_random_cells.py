"""Random cells of one's own over whole sequences: their gradients against differences and against JAX. Their
kernels are the fuzzer's, `python tests/fuzz.py --own`, and those of one of them tests/cpu/lstm/test_own_cells.py's."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from oracles import map_leaves, random_masks, random_params, random_state, slopes
from random_cells import named, text_of

from fastlstm import reference

D, H, N, T = 2, 3, 2, 3
SMOOTH = [name for name in map("own{}".format, range(60)) if text_of(name).smooth]
ANY = [f"own{n}" for n in range(100, 106)]


def problem(name: str, dtype: Any) -> tuple[dict[str, Any], Any, Any]:
    """Arguments of forward; gradients that arrive at y and at the last state."""
    rng = np.random.default_rng(5)
    params = random_params(rng, D, H, dtype, name)
    state, down = (map_leaves(lambda a: a.astype(dtype), random_state(rng, params, N)) for _ in range(2))
    x, dy = (rng.standard_normal((N, T, width)).astype(dtype) for width in (D, H))
    given = {"x": x, "params": params, "state": state, "lengths": [3, 2], "h_mask": random_masks(rng, params, N, dtype)}
    return given | {"reset": rng.random((N, T)) < 0.3}, dy, down


def gradients(given: dict[str, Any], dy: Any, down: Any) -> list[Any]:
    found = reference.backward(reference.forward_train(**given)[2], dy, down)
    return [found.x, *found.params, *found.state]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_against_differences(name: str, rng: Any) -> None:
    given, dy, down = problem(name, np.longdouble)

    def loss() -> Any:
        y, last = reference.forward(**given)
        return (y * dy).sum() + sum((a * b).sum() for a, b in zip(last, down, strict=True))

    found = gradients(given, dy, down)
    for array, gradient in zip((given["x"], *given["params"], *given["state"]), found, strict=True):
        directions = rng.standard_normal((2, *array.shape))
        expected = [(gradient * one).sum() for one in directions]
        np.testing.assert_allclose(slopes(loss, array, directions, 0.2), expected, rtol=1e-11, atol=1e-11)


class Jax:
    """An array of JAX as a number of a cell."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def where(self, a: Any, b: Any) -> Any:
        return applied(lambda condition, a, b: jnp().where(condition, a, b), self, a, b)

    # of two equal numbers the second has the gradient
    def minimum(self, other: Any) -> Any:
        return (self < other).where(self, other)

    def maximum(self, other: Any) -> Any:
        return (self > other).where(self, other)

    def fma(self, factor: Any, term: Any) -> Any:
        return self * factor + term

    def sigmoids(self, *others: Any) -> list[Any]:
        return [applied(lambda a: 1 / (1 + jnp().exp(-a)), one) for one in (self, *others)]

    def __abs__(self) -> Any:
        return (self > 0.0).where(self, -self)


def jnp() -> Any:
    return pytest.importorskip("jax.numpy")


def applied(function: Any, *given: Any) -> Jax:
    return Jax(function(*(one.value if isinstance(one, Jax) else one for one in given)))


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "lt", "le", "gt", "ge", "neg"):
    setattr(Jax, f"__{_name}__", lambda *given, _at=f"__{_name}__": applied(lambda a, *b: getattr(a, _at)(*b), *given))
for _name in ("exp", "log", "log1p", "sqrt", "tanh"):
    setattr(Jax, _name, lambda one, _at=_name: applied(getattr(jnp(), _at), one))


def of_jax(own: Any, given: dict[str, Any], dy: Any, down: Any) -> Any:
    """The loss, a function of x, weights and state."""

    def loss(x: Any, params: Any, state: Any) -> Any:
        (W, U, w, b), total = params, 0.0
        rows = [Jax(w[n * H : (n + 1) * H]) for n in range(len(own.unit_weights))]
        for n, length in enumerate(given["lengths"]):
            h, c = state["h"][n], state.get("c", state["h"])[n]
            for t in range(length):
                if given["reset"][n, t]:
                    h, c = 0 * h, 0 * c
                z = dict.fromkeys(own.gates, 0.0)
                for gates, row in ((own.gates_of_x, x[n, t] @ W), (own.gates_of_h, (given["h_mask"][n] * h) @ U),
                                   (own.gates_of_b, b)):  # fmt: skip
                    for at, gate in enumerate(gates):
                        z[gate] = z[gate] + row[at * H : (at + 1) * H]
                numbers = {"z": type(own.derived.z)(*(Jax(z[gate]) for gate in own.panel_gates)), "c": Jax(c),
                           "h": Jax(h), "w": type(own.derived.w)(*rows)}  # fmt: skip
                reads = own.__wrapped__.__code__.co_varnames[: own.__wrapped__.__code__.co_argcount]
                made = own(**{name: numbers[name] for name in reads})
                c, h = (one.value + 0 * h for one in (made if isinstance(made, tuple) else (made, made)))
                total = total + (h * dy[n, t]).sum()
            last = {"h": h, "c": c}
            total = total + sum((last[name] * array[n]).sum() for name, array in down._asdict().items())
        return total

    return loss


@pytest.mark.parametrize("name", ANY)
def test_gradients_against_jax(name: str) -> None:
    """At random numbers, which are near no kink."""
    jax = pytest.importorskip("jax")
    given, dy, down = problem(name, np.float64)
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        arguments = jax.tree.map(jax.numpy.asarray, (given["x"], tuple(given["params"]), given["state"]._asdict()))
        dx, dparams, dstate = jax.grad(of_jax(named(name), given, dy, down), (0, 1, 2))(*arguments)
        expected = [np.asarray(one) for one in (dx, *dparams, *(dstate[name] for name in given["state"]._fields))]
    finally:
        jax.config.update("jax_enable_x64", before)
    for a, b in zip(gradients(given, dy, down), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_they_are_of_every_kind() -> None:
    cells = [named(name) for name in (*SMOOTH, *ANY)]
    assert {len(one.gates) for one in cells} == {1, 2, 3, 4, 5, 6}
    assert {len(one.unit_weights) for one in cells} >= {0, 1, 4}
    assert {(one.states, one.reads_h) for one in cells} == {(("h",), False), (("h", "c"), False), (("h", "c"), True)}
    assert any(not one.gates_of_b for one in cells)
    assert any(not set(one.gates_of_x) & set(one.gates_of_h) for one in cells)
    assert pickle.loads(pickle.dumps(cells)) == cells
