"""What the kernels promise of bits: forward those of the CPU; the same alone, in a batch, and at any place in it."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from cuda_problems import forward, params_of, problem
from oracles import assert_same

import fastlstm
from fastlstm.cpu.vectors.target import vector_bytes
from fastlstm.cuda import small

pytestmark = pytest.mark.skipif(
    vector_bytes() == 16 and platform.machine().lower() in ("x86_64", "amd64"), reason="no fused multiply-adds"
)


@pytest.mark.parametrize(
    ("cell", "kind", "BLOCKS"),
    [("standard", "small", 1), ("standard", "small", 9), ("peephole", "small", 2), ("gru", "small", 3),
     ("standard", "wide", 3), ("peephole", "wide", 9), ("gru", "wide", 3),
     ("interpolated", "small", 9), ("gru_before", "small", 2),
     ("standard", "product", 9), ("projected", "product", 9), ("gru", "product", 9)],
)  # fmt: skip
def test_of_the_cpu(cell: str, kind: str, BLOCKS: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small, "BLOCKS", BLOCKS)
    for options in ("", "lengths reset mask reverse"):
        given = problem(params_of(cell, 3, 5, np.float32), 5, 3, options)
        found = forward(given, kind)
        assert_same(found[:2], fastlstm.forward(given.x, given.params, given.state, **given.options))


@pytest.mark.parametrize("kind", ["small", "wide", "product"])
def test_of_the_cpu_in_float64(kind: str) -> None:
    given = problem(params_of("standard", 3, 5, np.float64), 3, 4, "lengths reverse")
    assert_same(forward(given, kind)[:2], fastlstm.forward(given.x, given.params, given.state, **given.options))


@pytest.mark.parametrize(("cell", "kind"), [("standard", "small"), ("standard", "wide"), ("normalized", "product")])
def test_of_a_sequence_alone_and_in_a_batch(cell: str, kind: str) -> None:
    given = problem(params_of(cell, 2, 3, np.float32), 9, 3, "")
    y, state = forward(given, kind)[:2]
    for n in (0, 4, 8):
        one = given._replace(x=given.x[n : n + 1], state=type(state)(*(a[n : n + 1] for a in given.state)))
        found = forward(one, kind)
        assert_same(found[:2], (y[n : n + 1], type(state)(*(a[n : n + 1] for a in state))))
