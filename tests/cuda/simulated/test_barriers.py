"""Without any one of its barriers a kernel gives other numbers: the simulator would see it."""

from __future__ import annotations

import functools
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_problems import forward_and_backward, params_of, problem

from fastlstm.cuda import norms, passes, products, small, small_later

BARRIER = "cuda.syncthreads()"
CASES = [(module, number) for module in (products, small, small_later, norms)
         for number in range(Path(module.__file__).read_text().count(BARRIER))]  # fmt: skip


def without_barrier(module: Any, number: int) -> Any:
    """The module once more, without its barrier of that number."""
    parts = Path(module.__file__).read_text().split(BARRIER)
    text = BARRIER.join(parts[: number + 1]) + "pass" + BARRIER.join(parts[number + 1 :])
    other = types.ModuleType(module.__name__)
    other.__package__, other.__file__ = module.__package__, module.__file__
    exec(compile(text, module.__file__, "exec"), vars(other))
    return other


@functools.cache
def right(module: Any, kind: str) -> tuple[Any, Any]:
    """A problem for a module's kernels, and what comes out with all barriers."""
    cell = {norms: "normalized", small_later: "interpolated"}.get(module, "standard")
    D, H, N, T = (3, 5, 3, 4) if module is products else (2, 4, 2, 3)
    given = problem(params_of(cell, D, H, np.float64), N, T, "")
    return given, forward_and_backward(given, kind)


@pytest.mark.parametrize(("module", "number"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_a_missing_barrier_is_seen(module: Any, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "small" if module in (small, small_later) else "product"
    given, expected = right(module, kind)
    name = module.__name__.rpartition(".")[2]
    monkeypatch.setattr(passes, name, without_barrier(module, number))
    for _ in range(5):  # a race may be won by chance
        found = forward_and_backward(given, kind)
        if not all(np.array_equal(a, b) for mine, its in zip(found, expected, strict=True)
                   for a, b in zip(arrays(mine), arrays(its), strict=True)):  # fmt: skip
            return
    pytest.fail("five times the same numbers as with it")


def arrays(tree: Any) -> list[Any]:
    return [tree] if isinstance(tree, np.ndarray) else [*tree]
