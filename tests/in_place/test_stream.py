"""A stream of steps and chunks is one pass over all of them, bit for bit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from oracles import MIXED, assert_same, random_stack

import fastlstm


@pytest.mark.parametrize("cell", ["standard", MIXED, "gru", "gru on standard"])
def test_stream(rng: Any, cell: str) -> None:
    params = random_stack(rng, 4, [(20, False), (5, False)], np.float32, cell)
    x = rng.standard_normal((3, 10, 4)).astype(np.float32)
    y, last = fastlstm.forward(x, params)
    stream = fastlstm.Stream(params, batch_size=3)
    assert_same(np.stack([stream(x[:, t]) for t in range(4)], 1), y[:, :4].copy())
    copy, saved = pickle.loads(pickle.dumps(stream)), stream.state
    assert_same(stream.run(x[:, 4:]), y[:, 4:].copy())
    assert_same(stream.state, last)
    assert_same(copy.run(x[:, 4:]), y[:, 4:].copy())
    stream.state = saved
    assert_same(stream(x[:, 4]), y[:, 4].copy())
    stream.reset(np.array([False, True, False]))
    again = stream.run(x[:, 5:])
    assert_same(again[::2].copy(), y[::2, 5:].copy())
    assert_same(again[1], fastlstm.forward(x[1, 5:], params)[0])
    stream.reset()
    assert_same(stream.run(x), y)
    alone = fastlstm.Stream(params)
    assert_same(np.stack([alone(row) for row in x[1]]), y[1].copy())
