"""Formulas over sizes give in compiled code what they give in Python."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from numba import types
from numba.extending import intrinsic

from fastlstm.cpu.callable.buffers import tape_shapes
from fastlstm.cpu.vectors.whole import Whole, alike
from fastlstm.params import CELLS
from fastlstm.strides import apart, choose, in_turn, larger, smaller


def written(formula: Any) -> Any:
    """formula(a, b, ..) of eight whole numbers as compiled code, which takes them in a tuple."""

    @intrinsic  # type: ignore[misc]
    def of_all(typing: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = formula(*(Whole(builder, builder.extract_value(args[0], n)) for n in range(8)))
            return (found if isinstance(found, Whole) else choose(found, 1, 0)).value

        return types.intp(numbers), generate

    return numba.njit(lambda numbers: of_all(numbers))


def shapes_as_one(cell: str, itemsize: int) -> Any:
    """All sizes of a tape in one number."""

    def formula(*sizes: Any) -> Any:
        D, H, P, N, T, M, *_ = (abs(n) + 1 for n in sizes)
        P = P if cell == "projected" else H
        found: Any = 0
        for shape in tape_shapes(cell, itemsize, (D, H, P), N, T, M, 2).values():
            for n in shape:
                found = (found * 31 + n) % 1_000_003
        return found

    return formula


FORMULAS = {
    "floor": lambda a, *_: a // 8 * 100 + a // 6 + -(-a // 4) * 7,
    "order": lambda a, b, c, *_: larger(a, b) * 49 + smaller(b, c) * 7 + choose(a <= c, a - 3, 3 - c),
    "bits": lambda a, b, *_: (a & 7 | b) ^ 5,
    "truth": lambda a, b, c, d, *_: (a > b) & (c >= d) | (a != 2) & (b < c),
    "apart": lambda a, b, c, d, e, *_: apart(a, abs(b), c, abs(d), e),
    "in turn": lambda a, b, c, d, e, f, g, h: in_turn(a, a + abs(b), c, c + abs(d), abs(e), f, abs(g), h),
    **{f"tape {cell} {size}": shapes_as_one(cell, size) for cell in CELLS for size in (4, 8)},
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_in_compiled_code(name: str) -> None:
    formula, rng = FORMULAS[name], np.random.default_rng(2)
    compiled = written(formula)
    found = set()
    for bound in (3, 9, 60):
        for _ in range(100):
            numbers = tuple(map(int, rng.integers(-bound, bound + 1, 8)))
            expected = int(formula(*numbers))
            assert compiled(numbers) == expected, numbers
            found.add(expected)
    assert len(found) > 1


def test_sizes_that_are_alike() -> None:
    compiled = written(lambda a, b, c, d, *_: alike((a, 5, b), (c, d, 7)))
    for numbers in ((1, 7, 1, 5), (1, 7, 2, 5), (1, 6, 1, 5), (1, 7, 1, 4)):
        assert compiled((*numbers, 0, 0, 0, 0)) == (numbers == (1, 7, 1, 5))


def pieces(N: int, row: int, T: int, step: int, begin: int, end: int) -> dict[tuple[int, int], set[int]]:
    """The bytes of each piece."""
    return {(n, t): {n * row + t * step + b for b in range(begin, end)} for n in range(N) for t in range(T)}


def test_pieces_that_lie_apart() -> None:
    """Held against the bytes themselves: no overlap is missed, and slices of an array are told apart."""
    rng = np.random.default_rng(4)
    right = 0
    for _ in range(3000):
        width, N, T = (int(n) for n in rng.integers(1, 4, 3))
        row, step = (int(n) for n in rng.integers(-12, 13, 2))
        places = list(pieces(N, row, T, step, 0, width).values())
        clean = len(set().union(*places)) == width * N * T
        assert not apart(width, N, row, T, step) or clean
        right += bool(apart(width, N, row, T, step))
        assert apart(width, N, T * width + 3, T, width)  # slices
        assert apart(width, N, -width, T, -N * width)
    assert right > 300


def test_pieces_that_take_turns() -> None:
    """y is written at a step after x is read there: what of x is read later must not lie in it."""
    rng = np.random.default_rng(5)
    right = 0
    for _ in range(6000):
        N, T, D, P = (int(n) for n in rng.integers(1, 4, 4))
        ahead, row, step = (int(n) for n in rng.integers(-14, 15, 3))
        x, y = pieces(N, row, T, step, 0, D), pieces(N, row, T, step, ahead, ahead + P)
        clean = all(a == b or not x[a] & y[b] for a in x for b in y)
        if in_turn(0, D, ahead, ahead + P, N, row, T, step):
            assert clean, (N, T, D, P, ahead, row, step)
            right += 1
    assert right > 300
