"""Passes of one direction of a layer against the reference: every cell, every kind of kernels, all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import own_cells
import pytest
from cuda_problems import (
    Found,
    batch_of,
    expected,
    forward,
    forward_and_backward,
    params_of,
    problem,
    to_device,
    to_host,
)
from oracles import assert_same, error, random_params

from fastlstm.cells.table import cell_named
from fastlstm.cuda import launch, small
from fastlstm.params import CELLS, shapes

SMALL = [name for name in CELLS if cell_named(name).phase_count == 1 or cell_named(name).later_gate >= 0]
WAYS = [*((name, "product") for name in CELLS), *((name, "small") for name in SMALL)]


def check(found: Found, wanted: Found, bound: float) -> None:
    for name, mine, right in zip(Found._fields, found, wanted, strict=True):
        if right is not None:
            assert error(mine, right) < bound, name


@pytest.mark.parametrize("options", ["", "lengths reset mask reverse"])
@pytest.mark.parametrize(("cell", "kind"), WAYS)
def test_a_pass_and_its_way_back(cell: str, kind: str, options: str) -> None:
    given = problem(params_of(cell, 3, 5, np.float64), 5 if options else 2, 3, options)
    check(forward_and_backward(given, kind), expected(given), 1e-13)


@pytest.mark.parametrize(("cell", "kind"), [("standard", "small"), ("interpolated", "product")])
def test_in_float32_with_some_of_the_options(cell: str, kind: str) -> None:
    for options in ("reset", "lengths reverse", "mask"):
        given = problem(params_of(cell, 2, 3, np.float32), 3, 3, options)
        check(forward_and_backward(given, kind), expected(given), 2e-6)


@pytest.mark.parametrize("kind", ["product", "small"])
@pytest.mark.parametrize("own", own_cells.CELLS, ids=lambda own: own.name)
def test_a_cell_of_ones_own(own: Any, kind: str) -> None:
    if kind == "small" and not own.cell.of_h:
        return  # nothing to hold in registers: `fits` says no
    rng = np.random.default_rng(3)
    params = own.record(*(rng.uniform(-1, 1, form) for form in shapes(own.record, 3, 4, 4).values()))
    given = problem(params, 3, 3, "lengths reset mask")
    check(forward_and_backward(given, kind), expected(given), 1e-12)


@pytest.mark.parametrize("cell", ["standard", "projected", "normalized", "gru_before"])
@pytest.mark.parametrize("kind", ["product", "small"])
def test_a_pass_without_a_tape_gives_the_same_bits(cell: str, kind: str) -> None:
    if kind == "small" and cell not in SMALL:
        return
    given = problem(params_of(cell, 2, 3, np.float32), 3, 3, "lengths reset mask")
    with_tape = forward_and_backward(given, kind)
    assert_same(forward(given, kind)[:2], with_tape[:2])


@pytest.mark.parametrize("R", [2, 4, 8])
def test_several_sequences_of_a_block(R: int, monkeypatch: pytest.MonkeyPatch) -> None:
    N = 5
    monkeypatch.setattr(small, "BLOCKS", {2: 3, 4: 2, 8: 1}[R])
    for cell in ("standard", "gru", *(["interpolated"] if R == 8 else [])):
        given = problem(params_of(cell, 2, 3, np.float64), N, 3, "lengths reset")
        batch, weights = batch_of(given, "small"), launch.pack(to_device(given.params))
        assert small.form_for(weights, batch, tape=True).R == R
        check(forward_and_backward(given, "small"), expected(given), 1e-13)


@pytest.mark.parametrize("cell", [*CELLS, "everything", "minimal"])
def test_weights_come_back_from_the_device(cell: str) -> None:
    rng = np.random.default_rng(5)
    if cell in CELLS:
        params = random_params(rng, 3, 4, np.float32, cell)
    else:
        record = getattr(own_cells, cell).record
        params = record(*(rng.uniform(-1, 1, form).astype(np.float32) for form in shapes(record, 3, 4, 4).values()))
    assert_same(to_host(launch.unpack(launch.pack(to_device(params)))), params)


@pytest.mark.parametrize("kind", ["product", "small"])
@pytest.mark.parametrize(("N", "T"), [(0, 3), (2, 0)])
def test_nothing_to_do(N: int, T: int, kind: str) -> None:
    given = problem(params_of("standard", 3, 4, np.float64), N, T, "")
    found = forward_and_backward(given, kind)
    assert_same(found.state, given.state)
    assert_same(found.dstate, given.dstate)
    assert all((gradient == 0).all() for gradient in found.dparams)


def test_sequences_of_no_length() -> None:
    given = problem(params_of("gru", 3, 4, np.float64), 2, 3, "")
    given.options["lengths"] = np.array([0, 0])
    found = forward_and_backward(given, "small")
    assert (found.y == 0).all()
    assert_same(found.state, given.state)
    assert (found.dx == 0).all()


@pytest.mark.parametrize(
    ("H", "registers"), [(8, 255), (64, 255), (65, 168), (96, 168), (97, 128), (128, 128), (129, 96), (256, 64)]
)
def test_registers_of_a_thread(H: int, registers: int) -> None:
    """As ptxas gives them."""
    assert small.Form(cell_named("standard"), np.float32, H, 1, False, False).registers == registers
