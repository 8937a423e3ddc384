"""The public functions on simulated kernels, against the reference: small problems with everything in them. What
kernels do is tested by themselves; here is that the whole way is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device_arrays import off, on
from oracles import leaves, random_masks, random_params, random_stack, random_state
from own_cells import minimal

import fastlstm
from fastlstm import reference
from fastlstm.cuda import launch

pytestmark = pytest.mark.usefixtures("libraries")
N, T, D = 2, 3, 2


def close(found: Any, expected: Any, limit: float = 1e-5) -> None:
    for a, b in zip(leaves(off(found)), leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, limit, limit)


def in_single(found: Any) -> Any:
    if isinstance(found, np.ndarray):
        return found.astype(np.float32)
    if hasattr(found, "_fields"):
        return type(found)(*map(in_single, found))
    return tuple(map(in_single, found))


def test_all_options_at_once(rng: Any) -> None:
    params = random_stack(rng, D, [(2, True), (2, False)], np.float32, "standard on interpolated")
    x = rng.standard_normal((N, T, D)).astype(np.float32)
    state = in_single(random_state(rng, params, N))
    options = {"lengths": np.array([2, 3]), "reset": np.array([[0, 1, 0], [0, 0, 1]], bool)}
    masks = random_masks(rng, params, N, np.float32)
    y, last, tape = fastlstm.forward_train(on("torch", x), on("torch", params), on("torch", state),
                                           h_mask=on("torch", masks), **options)  # fmt: skip
    y_, last_, tape_ = reference.forward_train(x, params, state, h_mask=masks, **options)
    close((y, last), (y_, last_))
    dy, dstate = rng.standard_normal(y_.shape).astype(np.float32), in_single(random_state(rng, params, N))
    close(fastlstm.backward(tape, on("torch", dy), on("torch", dstate)), reference.backward(tape_, dy, dstate))


def test_double_precision(rng: Any) -> None:
    params = random_stack(rng, D, [(3, False)], np.float64)
    x = rng.standard_normal((N, T, D))
    y, state, c = fastlstm.forward_cells(on("cupy", x), on("cupy", params), reverse=True)
    assert y.dtype == np.float64
    close((y, state, c), reference.forward_cells(x, params, reverse=True), 1e-12)


def test_a_cell_of_ones_own(rng: Any) -> None:
    own = fastlstm.init_params(D, 2, cell=minimal, rng=0)
    params = type(own)(*(rng.uniform(-1, 1, array.shape).astype(np.float32) for array in own))
    x = rng.standard_normal((N, T, D)).astype(np.float32)
    y, _, tape = fastlstm.forward_train(on("torch", x), on("torch", params))
    y_, _, tape_ = reference.forward_train(x, params)
    close(y, y_)
    close(fastlstm.backward(tape, y), reference.backward(tape_, y_))


def test_steps_and_chunks_are_the_whole(rng: Any) -> None:
    """The same bits, the state kept on the device."""
    params = random_stack(rng, D, [(2, False), (3, False)], np.float32, "gru on projected")
    x = rng.standard_normal((N, T, D)).astype(np.float32)
    packed = fastlstm.pack(on("torch", params))
    y, state = off(fastlstm.forward(on("torch", x), packed))
    close((y, state), reference.forward(x, params))
    kept = on("torch", off(fastlstm.zero_state(packed, N)))
    fastlstm.step(on("torch", x[:, 0]), packed, kept)
    np.testing.assert_array_equal(off(kept)[1].h, y[:, 0])
    rest = on("torch", np.full((N, T - 1, y.shape[2]), np.nan, np.float32))
    fastlstm.forward_into(on("torch", x[:, 1:]), packed, kept, rest)
    np.testing.assert_array_equal(off(rest), y[:, 1:])
    for a, b in zip(leaves(off(kept)), leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_how_many_rows_a_pass_works_on_at_once(rng: Any) -> None:
    layout = fastlstm.pack(on("torch", random_params(rng, D, 3, np.float32))).layout
    assert launch.rows_at_once(layout) == 2**28 // (4 * 6 * 3)
    assert launch.rows_at_once(layout._replace(H=2**28)) == 1


@pytest.mark.parametrize("cell", ["standard", "gru_before"])
def test_long_sequences_are_passed_in_pieces(rng: Any, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their number is, the bits are the same; resets at their ends, and sequences that are over."""
    params, n = random_params(rng, D, 2, np.float32, cell), 4
    x = rng.standard_normal((n, 5, D)).astype(np.float32)
    options: dict[str, Any] = {"lengths": np.array([2, 5, 0, 4]), "reset": rng.random((n, 5)) < 0.3}
    state = in_single(random_state(rng, params, n))
    h_mask = on("torch", in_single(rng.uniform(0, 2, state.h.shape)))
    for reverse in (False, True):
        found, counts = [], []
        for most in (14, 5, 1):
            monkeypatch.setattr(launch, "rows_at_once", lambda weights, most=most: most)
            counts.append(len(launch.schedule(n, 5, **options, reverse=reverse, most=most).parts))
            found.append(off(fastlstm.forward(on("torch", x), on("torch", params), on("torch", state), h_mask=h_mask,
                                              reverse=reverse, **options)))  # fmt: skip
        assert counts == [0, 3, 5]
        for other in found[1:]:
            for mine, whole in zip(leaves(other), leaves(found[0]), strict=True):
                np.testing.assert_array_equal(mine, whole)
        right = reference.forward(x, params, state, h_mask=off(h_mask), reverse=reverse, **options)
        close(found[0], right)


def test_training_on_the_callers_arrays(rng: Any) -> None:
    params = random_stack(rng, D, [(3, False)], np.float32)
    x = rng.standard_normal((N, T, D)).astype(np.float32)
    packed = fastlstm.pack(on("torch", params))
    tape, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)
    state, y = on("torch", off(fastlstm.zero_state(packed, N))), on("torch", np.zeros((N, T, 3), np.float32))
    fastlstm.forward_train_into(on("torch", x), packed, state, y, tape)
    fastlstm.backward_into(tape, packed, y, None, grads)
    y_, _, tape_ = reference.forward_train(x, params)
    close(y, y_)
    close(grads, reference.backward(tape_, y_))
