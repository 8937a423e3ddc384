"""How weights begin; wrong sizes and options of init_params are in test_checks.py."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import assert_same, error

import fastlstm


@pytest.mark.parametrize("cell", ["gru", "gru_before"])
def test_the_first_weights_of_a_gru(cell: str) -> None:
    params = fastlstm.init_params(5, 8, rng=3, dtype=np.float64, cell=cell)
    assert [a.shape for a in params] == [(5, 24), (8, 24), (24,), (8,)][: len(params)]
    for turned in np.split(params.U, 3, axis=1):
        assert error(turned @ turned.T, np.eye(8)) < 1e-13
    assert 0.5 < np.abs(params.W).max() < np.sqrt(6 / 13)
    assert not any(b.any() for b in params[2:])
    state = fastlstm.zero_state(params, 3)
    assert type(state) is fastlstm.Hidden
    assert state.h.shape == (3, 8)
    standard = fastlstm.init_params(16, 4, dtype=np.float64)
    both, one = fastlstm.zero_state([fastlstm.Bidirectional(params, params), standard], 2)
    assert [a.shape for a in (*both.forward, *both.backward, *one)] == [(2, 8), (2, 8), (2, 4), (2, 4)]


@pytest.mark.parametrize("P", [1, 3, 8])
def test_the_first_weights_of_a_projected_cell(P: int) -> None:
    params = fastlstm.init_params(5, 8, rng=3, dtype=np.float64, cell="projected", projection_size=P)
    assert [a.shape for a in params] == [(5, 32), (P, 32), (8, P), (32,)]
    for turned in (*np.split(params.U, 4, axis=1), params.V.T):
        assert error(turned @ turned.T, np.eye(P)) < 1e-13
    assert params.b.tolist() == [0] * 8 + [1] * 8 + [0] * 16
    assert 0.5 < np.abs(params.W).max() < np.sqrt(6 / 13)


def test_the_first_weights_of_a_peephole_cell() -> None:
    params = fastlstm.init_params(5, 8, rng=3, dtype=np.float64, cell="peephole")
    standard = fastlstm.init_params(5, 8, rng=3, dtype=np.float64)
    assert_same((params.W, params.U, params.b), standard)
    assert params.p.shape == (24,)
    for part in np.split(params.p, 3):
        assert 0.2 < np.abs(part).max() < 1 / np.sqrt(8)
        assert len(set(part)) == 8
    other = fastlstm.init_params(5, 8, rng=3, cell="peephole", forget_bias=0.5)
    assert other.b.tolist() == [0] * 8 + [0.5] * 8 + [0] * 16


def test_the_first_weights_of_a_normalized_cell() -> None:
    params = fastlstm.init_params(5, 8, rng=3, dtype=np.float64, cell="normalized")
    standard = fastlstm.init_params(5, 8, rng=3, dtype=np.float64)
    assert_same((params.W, params.U), (standard.W, standard.U))
    assert params.s.tolist() == [1] * 40
    assert params.b.tolist() == [0] * 8 + [1] * 8 + [0] * 24
    other = fastlstm.init_params(5, 8, rng=3, cell="normalized", forget_bias=0.5)
    assert other.b.tolist() == [0] * 8 + [0.5] * 8 + [0] * 24
