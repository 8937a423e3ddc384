"""Cells of one's own: what the decorator makes, and what it refuses, with the line."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from array_numbers import Numbers

from fastlstm.cells import cell, exp, maximum, sigmoid, tanh, where
from fastlstm.cells.phases import Given, Product, checked
from fastlstm.cells.table import cell_named, cell_with


@cell(gates="i f g o", unit_weights="p")
def mine(z, c, w):
    """Peepholes to the forget gate."""
    i, f, o = sigmoid(z.i), sigmoid(z.f + w.p * c), sigmoid(z.o)
    c = f * c + i * tanh(z.g)
    return c, o * tanh(c)


@cell("r u x h", gates_of_x="x r u", gates_of_h="r u h")
def gru(h, z):
    r, u = sigmoid(z.r), sigmoid(z.u)
    n = tanh(z.x + r * z.h)
    return n + u * (h - n)


def test_what_it_is() -> None:
    assert (mine.name, mine.__module__, mine.__doc__) == ("mine", __name__, "Peepholes to the forget gate.")
    assert mine.gates == mine.gates_of_x == mine.gates_of_h == ("i", "f", "g", "o")
    assert mine.unit_weights == ("p",)
    assert mine.states == ("h", "c")
    assert mine.tape._fields == mine.phase.keeps == ("i", "f", "g", "o")
    assert repr(mine) == "<cell mine: gates i f g o, unit weights p, states h c, the tape keeps i f g o>"
    assert (gru.gates_of_x, gru.gates_of_h) == (("r", "u", "x"), ("r", "u", "h"))
    assert gru.states == ("h",)
    assert not gru.reads_h
    assert repr(gru) == "<cell gru: gates r u x h, states h, the tape keeps r u z_h h>"


def test_it_is_what_a_row_of_the_table_is_made_of() -> None:
    row = mine.cell
    assert checked(row) == (row,)
    assert isinstance(row.phases[0], Product)
    assert row.columns == ((0, 1, 2, 3),) * 3
    assert row.unit_weights == ((3, (0, -1, -1, -1)),)
    assert (row.own, cell_with(mine.record), cell_named(row.name)) == (mine, row, row)


def test_it_is_called_as_the_function_was(rng: Any) -> None:
    z, w = (type(form)(*(rng.standard_normal(9).view(Numbers) for _ in form))
            for form in (mine.derived.z, mine.derived.w))  # fmt: skip
    c_old = rng.standard_normal(9).view(Numbers)
    kept, c, h = mine.phase.forward(z, c_old, w)
    i, f, g, o = kept
    assert np.allclose(c, f * c_old + i * g)
    assert np.allclose(h, o * np.tanh(c))
    for found, wanted in zip(mine(z, c_old, w), (c, h), strict=True):
        assert np.allclose(found, wanted, rtol=1e-14)
    back = mine.phase.backward(Given(kept, kept, c_old, np.tanh(c), h, c, w))
    assert back.dz._fields == ("i", "f", "g", "o")
    assert np.allclose(back.dw.p, back.dz.f * c_old)


def test_h_beside_c() -> None:
    @cell("f o")
    def between(z, c, h):
        c = sigmoid(z.f) * c
        o = sigmoid(z.o)
        return c, o * tanh(c) + (1 - o) * h

    assert between.reads_h
    assert between.phase.reads_h
    assert "h_old" in between.tape._fields


def test_the_fingerprint_is_of_what_is_computed() -> None:
    def made(factor: float, **options: str) -> str:
        @cell(**{"gates": "a b", **options})
        def one(z, c):
            return c * factor, sigmoid(z[0]) + z[1]

        return one.fingerprint

    assert made(0.5) == made(0.5)
    others = {made(0.5), made(0.25), made(0.5, gates="b a"), made(0.5, gates_of_x="a"), made(0.5, gates_of_h="b")}
    assert len(others) == 5


def test_the_same_in_another_process() -> None:
    code = "import sys; sys.path[:0] = sys.argv[1:]; from cells.test_own import mine; print(mine.fingerprint)"
    paths = [str(__import__("pathlib").Path(__file__).parents[1])]
    found = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == mine.fingerprint


def test_in_a_pickle_there_is_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("cells_of_mine")
    monkeypatch.setitem(sys.modules, "cells_of_mine", module)
    here = cell("a")(lambda z, c: (c + z.a, c))
    here.__module__, here.__qualname__ = "cells_of_mine", "here"
    module.here = here  # type: ignore[attr-defined]
    text = pickle.dumps(here)
    assert pickle.loads(text) is here
    assert copy.deepcopy(here) is here
    del module.here  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"'cells_of_mine'.* 'here'|'here' on <module 'cells_of_mine'"):
        pickle.loads(text)


def no_return(z, c):
    c = c + z.a  # last


def three(z, c):
    return c, c, z.a  # here


def one_and_c(z, c):
    return c * z.a  # here


def a_list(z, c):
    return [c, z.a]  # here


def text_for_h(z, c):
    return c, "h"  # here


def a_condition(z, c):
    return c, c < z.a  # here


def an_if(z, c):
    if z.a > 0:  # here
        return c, z.a
    return c, c


def an_and(z, c):
    return c, where(z.a > 0 and z.a < 1, c, 0)  # here


def both(z, c):
    return c, where((z.a > 0) & (z.a < 1), c, 0)  # here


def between(z, c):
    return c, where(0 < z.a < 1, c, 0)  # here


def a_bool(z, c):
    return c, c * bool(z.a)  # here


def builtin_max(z, c):
    return c, max(z.a, c)  # here


def equal(z, c):
    return c, where(z.a == 0, c, 0)  # here


def numpy_tanh(z, c):
    return c, np.tanh(z.a)  # here


def numpy_where(z, c):
    return c, np.where(z.a < c, z.a, c)  # here


def numpy_array(z, c):
    return c, np.array([z.a, c]).sum()  # here


def an_array(z, c):
    return c, np.ones(3) * z.a  # here


def math_exp(z, c):
    return c, math.exp(z.a)  # here


def of_a_number(z, c):
    return c, z.a * exp(1)  # here


def of_a_truth(z, c):
    return c, where(True, z.a, c)  # here


def unknown_gate(z, c):
    return c, sigmoid(z.k)  # here


def unknown_weight(z, c, w):
    return c, z.a * w.q  # here


def a_power(z, c):
    return c, z.a**2  # here


def a_helper(z, c):
    return c, of_helper(z.a)


def of_helper(a):
    return a if a > 0 else -a  # here


def nested(z, c):
    parts = [maximum(one, 0) if one else one for one in (z.a, c)]  # here
    return tuple(parts)


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (no_return, ValueError, "expected two numbers to be returned, the new c and h, or h alone; got nothing"),
        (three, ValueError, "expected two numbers to be returned, the new c and h, or h alone; got 3 of them"),
        (one_and_c, ValueError, "expected two numbers to be returned, the new c and h, since the old c is read"),
        (a_list, TypeError, "expected a number, got list"),
        (text_for_h, TypeError, "expected a number, got str 'h'"),
        (a_condition, TypeError, "expected a number, got Truth <less of a cell>"),
        (an_if, TypeError, "there is nothing to branch on: write where(condition, a, b)"),
        (an_and, TypeError, "there is nothing to branch on"),
        (between, TypeError, "there is nothing to branch on"),
        (both, TypeError, "conditions cannot be joined by & or |: put one where in another"),
        (a_bool, TypeError, "there is nothing to branch on"),
        (builtin_max, TypeError, "there is nothing to branch on"),
        (equal, TypeError, "compare by < > <= or >="),
        (numpy_tanh, TypeError, "NumPy cannot be followed: use the functions of fastlstm.cells"),
        (numpy_where, TypeError, "numpy.where cannot be followed: use the functions of fastlstm.cells"),
        (numpy_array, TypeError, "NumPy cannot be followed: use the functions of fastlstm.cells"),
        (an_array, TypeError, "expected a number, got ndarray"),
        (math_exp, TypeError, "use the functions of fastlstm.cells, not those of math"),
        (of_a_number, TypeError, "expected a number of the cell, got int 1"),
        (of_a_truth, TypeError, "expected a comparison of numbers, got True"),
        (unknown_gate, ValueError, "z has no gate 'k', but 'a b'"),
        (unknown_weight, ValueError, "w has no unit weight 'q', but 'p'"),
        (a_power, TypeError, "a square is a product, z * z"),
        (a_helper, TypeError, "there is nothing to branch on"),
        (nested, TypeError, "there is nothing to branch on"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_what_cannot_be_followed_is_an_error_with_the_line(function: Any, kind: type, message: str) -> None:
    lines, first = inspect.getsourcelines(of_helper if function is a_helper else function)
    (at,) = (n for n, line in enumerate(lines) if "# here" in line or "# last" in line)
    with pytest.raises(kind) as caught:
        cell("a b", "p" if function is unknown_weight else "")(function)
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"{__file__}, line {first + at}, in cell {function.__name__!r}: ")
    assert text.endswith("\n    " + lines[at].strip())


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"gates": ""}, ValueError, r"gates: expected 1 to 6 names, got 0"),
        ({"gates": "a b c d e f g"}, ValueError, r"gates: expected 1 to 6 names, got 7: 'a b c d e f g'"),
        ({"gates": "a b a"}, ValueError, "gates: expected names that differ, got 'a' twice"),
        ({"gates": "a 2b"}, ValueError, "gates: expected names as in Python, without _ in front, got '2b'"),
        ({"gates": "a,b"}, ValueError, "gates: expected names as in Python, without _ in front, got 'a,b'"),
        ({"gates": "a if"}, ValueError, "got 'if'"),
        ({"gates": "a _b"}, ValueError, "got '_b'"),
        ({"gates": 4}, TypeError, "gates: expected names with spaces between them, got 4"),
        ({"gates": ["a", 1]}, TypeError, "gates: expected names with spaces between them"),
        ({"gates": "a", "unit_weights": "p p"}, ValueError, "unit_weights: expected names that differ, got 'p' twice"),
        ({"gates": "a", "unit_weights": "p"}, ValueError, "expected w, since there are unit weights, got none"),
        ({"gates": "a b", "gates_of_x": "a k"}, ValueError, "gates_of_x: expected names of the gates 'a b', got 'k'"),
        ({"gates": "a b", "gates_of_h": "k"}, ValueError, "gates_of_h: expected names of the gates 'a b', got 'k'"),
        ({"gates": "a b", "gates_of_x": "a", "gates_of_h": "a"}, ValueError, "got 'b' in neither"),
    ],
)
def test_names(options: dict[str, Any], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        cell(**options)(lambda z, c: (c, z.a))


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda z, c, leak: (c, z.a), ValueError, "expected parameters of the names z c h w, got 'leak'"),
        (lambda z, c, h=0: (c, z.a), None, ""),
        (lambda *z: (z, z), ValueError, r"got '\*z'"),
        (lambda z, /, c: (c, c), ValueError, "expected parameters of the names z c h w, got 'z'"),
        (lambda c: (c, c), ValueError, "expected a parameter z, the sums of the gates, got 'c'"),
        (lambda z, w: z.a, ValueError, "expected unit_weights for w, got no names"),
        (np.tanh, TypeError, "cell: expected a function, got <ufunc 'tanh'>"),
        (print, TypeError, "cell: expected a function, got <built-in function print>"),
    ],
)
def test_parameters(function: Any, kind: Any, message: str) -> None:
    if kind is None:
        assert cell("a")(function).reads_h
        return
    with pytest.raises(kind, match=message):
        cell("a")(function)


def test_without_parentheses() -> None:
    with pytest.raises(TypeError, match=r'write @cell\(gates="i f g o"\)'):

        @cell
        def forgotten(z, c):
            return c, z.a


def test_what_python_raises_itself_stays() -> None:
    with pytest.raises(NameError):
        cell("a")(lambda z: nowhere)  # type: ignore[name-defined]  # noqa: F821


def test_nothing_is_derived_at_import() -> None:
    code = "import fastlstm.cells.table; from fastlstm.cells.standard import lstm; print('recorded' in vars(lstm))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
