"""Layers alone: gradients against central differences, the LSTM against the reference, masks against their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ways
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import central_differences, slopes

import fastlstm
from fastlstm import InterpolatedParams, Params, ProjectedParams, State, nn, reference
from fastlstm.cpu.training import dense
from fastlstm.nn._src.activations import FUNCTIONS
from fastlstm.nn.layers import Layer
from fastlstm.params import CELLS


def filled(layer: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Built, with random weights."""
    layer.build((None, *shape[1:]))
    layer.set_weights([rng.uniform(-0.6, 0.6, array.shape) for array in layer.get_weights()])
    return layer


def fresh(layer: Any) -> Any:
    """The same layer with the same weights and a generator that begins anew."""
    again = type(layer).from_config(layer.get_config())
    again.build((None, *layer.input_shape[1:]))
    again.set_weights(layer.get_weights())
    return again


def check_gradients(layer: Any, x: np.ndarray, rng: np.random.Generator, **call: Any) -> None:
    """dx and all weights' gradients of a random linear function of y, along a direction in which every entry moves."""
    y = fresh(layer)(x, training=True, **call)
    direction = rng.standard_normal(y.shape)
    trained = fresh(layer)
    trained(x, training=True, **call)
    dx = trained.backward(direction)
    assert dx.shape == x.shape

    def loss() -> float:
        again = fresh(layer)
        return float((again(x, training=True, **call) * direction).sum()) + again.penalty()

    pairs = [(x, dx), *((layer.params[name], trained.grads[name]) for name in layer.params)]
    for array, gradient in pairs:
        along = rng.choice((-1, 1), array.shape) / np.sqrt(array.size)
        assert (gradient * along).sum() == pytest.approx(slopes(loss, array, [along], 1 / 8)[0], rel=1e-8, abs=1e-9)


F64 = {"dtype": "float64"}
NARROW: dict[str, Any] = {"cell": "projected", "projection_size": 3}
MASKS = {"none": None, "right": "right", "holes": "holes"}


def a_mask(kind: str | None, N: int, T: int, rng: np.random.Generator) -> np.ndarray | None:
    if kind is None:
        return None
    lengths = rng.integers(0, T + 1, N)
    lengths[0] = 0
    if kind == "right":
        return np.arange(T) < lengths[:, None]
    mask = rng.random((N, T)) < 0.5
    mask[0], mask[1, 0], mask[1, -1] = False, False, True
    return mask


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True},
        {"return_sequences": True, "go_backwards": True},
        {"go_backwards": True, "use_bias": False},
        {"return_sequences": True, "zero_output_for_mask": True},
        {"dropout": 0.4, "seed": 3, "return_sequences": True},
        {"kernel_regularizer": "l2", "recurrent_regularizer": nn.regularizers.L1L2(0.1, 0.2)},
    ],
    ids=lambda options: "+".join(options) or "default",
)
def test_lstm_gradients(options: dict[str, Any], mask: str, rng: np.random.Generator) -> None:
    shape = (4, 5, 3)
    layer = filled(nn.LSTM(6, **options, **F64), shape, rng)
    check_gradients(layer, rng.standard_normal(shape), rng, mask=a_mask(MASKS[mask], 4, 5, rng))


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_the_interpolated_cell(sequences: bool, use_bias: bool, rng: np.random.Generator) -> None:
    shape, options = (4, 5, 3), {"cell": "interpolated", "return_sequences": sequences, "use_bias": use_bias}
    layer = filled(nn.LSTM(6, **options, **F64), shape, rng)
    assert list(layer.params)[:3] == ["kernel", "recurrent_kernel", "memory_kernel"]
    x = rng.standard_normal(shape)
    arrays = [*layer.params.values()]
    y = reference.forward(x, InterpolatedParams(*arrays[:3], arrays[3] if use_bias else np.zeros(18)))[0]
    np.testing.assert_allclose(layer(x), y if sequences else y[:, -1], atol=1e-13)
    check_gradients(layer, x, rng, mask=a_mask("holes", 4, 5, rng))
    check_gradients(filled(nn.Bidirectional(nn.LSTM(5, dropout=0.3, seed=2, **options, **F64)), shape, rng), x, rng)
    new = nn.LSTM(6, cell="interpolated", **F64)
    new.build((None, 5, 3))
    assert (new.params["bias"].reshape(3, 6) == [[0], [-0.25], [0]]).all()
    with pytest.raises(ValueError, match=r"cell: expected one of .*, got 'gru'"):
        nn.LSTM(6, cell="gru")


def record(weights: Any) -> Any:
    """What the functional core takes, of a layer of the standard or the projected cell with a bias."""
    found = list(weights)
    return Params(*found) if len(found) == 3 else ProjectedParams(*found)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_projected_cell(dtype: str, sequences: bool, use_bias: bool, rng: np.random.Generator) -> None:
    """The bits of the functional core."""
    N, T, D, H, P = 4, 5, 3, 19, 7
    layer = filled(
        nn.LSTM(H, cell="projected", projection_size=P, return_sequences=sequences, return_state=True,
                use_bias=use_bias, dtype=dtype),
        (N, T, D), rng,
    )  # fmt: skip
    assert {name: array.shape for name, array in layer.params.items()} == {
        "kernel": (D, 4 * H), "recurrent_kernel": (P, 4 * H), "projection_kernel": (H, P),
        **({"bias": (4 * H,)} if use_bias else {}),
    }  # fmt: skip
    y_shape = (None, T, P) if sequences else (None, P)
    assert layer.compute_output_shape((None, T, D)) == (y_shape, (None, P), (None, H))
    params = ProjectedParams(*[*layer.get_weights(), np.zeros(4 * H, dtype)][:4])
    x, first = rng.standard_normal((N, T, D)), State(rng.standard_normal((N, P)), rng.standard_normal((N, H)))
    dy, dlast = rng.standard_normal((N, T, P)), State(rng.standard_normal((N, P)), rng.standard_normal((N, H)))
    dy, dlast = dy.astype(dtype), State(*(array.astype(dtype) for array in dlast))
    for state, dstate in ((first, dlast), (None, None)):
        y, h, c = layer(x, training=True, initial_state=state)
        dx = layer.backward(dy if sequences else dy[:, -1], dstate)
        y_, last, tape = fastlstm.forward_train(x, params, state)
        if sequences:
            grads = fastlstm.backward(tape, dy, dstate)
        else:
            zero = np.zeros((N, H), dtype)
            grads = fastlstm.backward(
                tape, None, State(dy[:, -1], zero) if dstate is None else State(dstate.h + dy[:, -1], dstate.c)
            )
        found = [y, h, c, dx, *layer.state_grads, *layer.grads.values()]
        expected = [y_ if sequences else y_[:, -1], *last, grads.x, *grads.state, *grads.params]
        for a, b in zip(found, expected[: len(found)], strict=True):  # without the bias's, where there is none
            assert a.dtype == dtype
            np.testing.assert_array_equal(a, b)
        reference_y = reference.forward(x, ProjectedParams(*(array.astype(float) for array in params)), state)[0]
        np.testing.assert_allclose(y_, reference_y, atol=1e-13 if dtype == "float64" else 1e-5)
        inference = layer(x, initial_state=state)
        np.testing.assert_array_equal(inference[0], y)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "go_backwards": True},
        {"return_sequences": True, "zero_output_for_mask": True, "use_bias": False},
        {"dropout": 0.4, "seed": 3, "recurrent_regularizer": "l2"},
    ],
    ids=lambda options: "+".join(options) or "default",
)
def test_projected_gradients(options: dict[str, Any], mask: str, rng: np.random.Generator) -> None:
    shape = (4, 5, 3)
    layer = filled(nn.LSTM(6, **NARROW, **options, **F64), shape, rng)
    check_gradients(layer, rng.standard_normal(shape), rng, mask=a_mask(MASKS[mask], 4, 5, rng))


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul"])
@pytest.mark.parametrize("sequences", [False, True])
def test_projected_both_ways(merge_mode: str, sequences: bool, rng: np.random.Generator) -> None:
    """The widths of h count, not the units: those of the halves differ here."""
    shape = (4, 5, 3)
    options = {"return_sequences": sequences, **F64}
    one = nn.LSTM(6, **NARROW, **options)
    two = nn.LSTM(5, cell="projected", projection_size=2 if merge_mode == "concat" else 3, go_backwards=True, **options)
    both = filled(nn.Bidirectional(one, merge_mode, two), shape, rng)
    x, weights = rng.standard_normal(shape), both.get_weights()
    ys = [
        reference.forward(x, record(weights[4 * way : 4 * way + 4]), reverse=way == 1)[0][:, slice(None) if sequences
                          else 0 if way else -1]
        for way in range(2)
    ]  # fmt: skip
    expected = {
        "concat": lambda: np.concatenate(ys, axis=-1), "sum": lambda: ys[0] + ys[1],
        "ave": lambda: (ys[0] + ys[1]) / 2, "mul": lambda: ys[0] * ys[1],
    }[merge_mode]()  # fmt: skip
    found = both(x)
    assert both.compute_output_shape((4, 5, 3)) == found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    check_gradients(both, x, rng, mask=a_mask("holes", 4, 5, rng))
    wrapped = nn.TimeDistributed(nn.LSTM(6, **NARROW, **F64))
    check_gradients(filled(wrapped, (3, 2, 5, 3), rng), rng.standard_normal((3, 2, 5, 3)), rng)


def test_how_the_projected_cell_begins() -> None:
    layer = nn.LSTM(6, **NARROW, **F64, seed=0, recurrent_regularizer="l2", kernel_regularizer="l1")
    layer.build((None, 5, 3))
    _, U, V, b = layer.get_weights()
    np.testing.assert_allclose(U @ U.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(V.T @ V, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(b, np.repeat([0, 1, 0, 0], 6))
    assert [type(weight.regularizer).__name__ for weight in layer.weights_] == ["L1", "L2", "L2", "NoneType"]
    config = layer.get_config()
    assert (config["cell"], config["projection_size"], layer.output_size) == ("projected", 3, 3)
    again = nn.LSTM.from_config(config)
    assert again.get_config() == config
    for name in ("standard", "interpolated", "peephole", "normalized"):
        other = nn.LSTM(6, cell=name)
        assert (other.projection_size, other.output_size) == (None, 6)
    old = nn.LSTM(6).get_config()
    del old["projection_size"]
    assert nn.LSTM.from_config(old).get_config() == nn.LSTM(6).get_config()
    assert type(nn.LSTM(6, cell="projected", projection_size=np.int64(6)).get_config()["projection_size"]) is int


OWN = {"peephole": ("peephole_kernel", 3, 4), "normalized": ("scale", 5, 5)}  # the weight, its blocks, the bias's


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", OWN)
def test_a_cell_with_weights_of_its_units(cell: str, dtype: str, use_bias: bool, rng: np.random.Generator) -> None:
    """The bits of the functional core."""
    N, T, D, H = 4, 5, 3, 19
    options: Any = {"return_sequences": True, "return_state": True, "use_bias": use_bias, "dtype": dtype}
    (own, blocks, of_bias), record = OWN[cell], CELLS[cell]
    layer = filled(nn.LSTM(H, cell=cell, **options), (N, T, D), rng)
    assert [(name, array.shape) for name, array in layer.params.items()] == [
        ("kernel", (D, 4 * H)), ("recurrent_kernel", (H, 4 * H)), (own, (blocks * H,)),
        *([("bias", (of_bias * H,))] if use_bias else []),
    ]  # fmt: skip
    params: Any = record(*[*layer.get_weights(), np.zeros(of_bias * H, dtype)][:4])
    x, first = rng.standard_normal((N, T, D)), State(*rng.standard_normal((2, N, H)))
    dy, dlast = rng.standard_normal((N, T, H)).astype(dtype), State(*rng.standard_normal((2, N, H)).astype(dtype))
    for state, dstate in ((first, dlast), (None, None)):
        y, h, c = layer(x, training=True, initial_state=state)
        dx = layer.backward(dy, dstate)
        y_, last, tape = fastlstm.forward_train(x, params, state)
        grads = fastlstm.backward(tape, dy, dstate)
        found = [y, h, c, dx, *layer.state_grads, *layer.grads.values()]
        expected = [y_, *last, grads.x, *grads.state, *grads.params]
        for a, b in zip(found, expected[: len(found)], strict=True):  # without the bias's, where there is none
            assert a.dtype == dtype
            np.testing.assert_array_equal(a, b)
        reference_y = reference.forward(x, record(*(array.astype(float) for array in params)), state)[0]
        np.testing.assert_allclose(y_, reference_y, atol=1e-13 if dtype == "float64" else 1e-5)
        np.testing.assert_array_equal(layer(x, initial_state=state)[0], y)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "options", [{}, {"return_sequences": True, "go_backwards": True, "dropout": 0.4, "seed": 3, "use_bias": False}],
    ids=lambda options: "+".join(options) or "default",
)  # fmt: skip
@pytest.mark.parametrize("cell", OWN)
def test_their_gradients(cell: str, options: dict[str, Any], mask: str, rng: np.random.Generator) -> None:
    shape = (4, 5, 3)
    layer = filled(nn.LSTM(6, cell=cell, **options, **F64), shape, rng)
    check_gradients(layer, rng.standard_normal(shape), rng, mask=a_mask(MASKS[mask], 4, 5, rng))


def begun(cell: str, H: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The first weights of a layer of that cell, and of the standard one; its third weight has no regularizer, and its
    config makes it again."""
    regularizers = {"kernel_regularizer": "l1", "recurrent_regularizer": "l2", "bias_regularizer": "l1"}
    layer = nn.LSTM(H, cell=cell, seed=0, **regularizers, **F64)
    standard = nn.LSTM(H, seed=0, **F64)
    for one in (layer, standard):
        one.build((None, 5, 3))
    assert [type(weight.regularizer).__name__ for weight in layer.weights_] == ["L1", "L2", "NoneType", "L1"]
    config = layer.get_config()
    assert (config["cell"], config["projection_size"], layer.output_size) == (cell, None, H)
    again = nn.LSTM.from_config(config)
    assert again.get_config() == config
    again.build((None, 5, 3))
    for a, expected in zip(again.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, expected)
    return layer.get_weights(), standard.get_weights()


def test_how_the_peephole_cell_begins() -> None:
    H = 50
    (W, U, p, b), standard = begun("peephole", H)
    for a, expected in zip((W, U, b), standard, strict=True):
        np.testing.assert_array_equal(a, expected)
    assert len(set(p)) == 3 * H
    assert 0.9 / np.sqrt(H) < np.abs(p).max() < 1 / np.sqrt(H)
    assert abs(p.mean()) < 0.2 / np.sqrt(H)


def test_how_the_normalized_cell_begins() -> None:
    H = 50
    (W, U, s, b), standard = begun("normalized", H)
    for a, expected in zip((W, U), standard[:2], strict=True):
        np.testing.assert_array_equal(a, expected)
    assert s.tolist() == [1] * 5 * H
    assert b.tolist() == [0] * H + [1] * H + [0] * 3 * H
    other = nn.LSTM(3, cell="normalized", bias_initializer=nn.initializers.Constant(0.5), unit_forget_bias=False)
    other.build((None, 5, 3))
    assert other.params["bias"].tolist() == [0.5] * 15


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("cell", ["standard", "interpolated", "projected", "peephole", "normalized"])
def test_recurrent_dropout_gradients(cell: str, sequences: bool, rng: np.random.Generator) -> None:
    shape = (4, 5, 3)
    options = {"recurrent_dropout": 0.4, "dropout": 0.3, "seed": 2, "return_sequences": sequences, "cell": cell}
    options |= {"projection_size": 3} if cell == "projected" else {}
    check_gradients(filled(nn.LSTM(6, **options, **F64), shape, rng), rng.standard_normal(shape), rng)
    both = filled(nn.Bidirectional(nn.LSTM(5, **options, **F64)), shape, rng)
    check_gradients(both, rng.standard_normal(shape), rng, mask=a_mask("holes", 4, 5, rng))


def test_recurrent_dropout_drops_units_of_h(rng: np.random.Generator) -> None:
    shape = (200, 1, 3)
    layer = filled(nn.LSTM(5, recurrent_dropout=0.25, **F64), shape, rng)
    x, h, c = rng.standard_normal(shape), np.ones((200, 5)), rng.standard_normal((200, 5))
    y = layer(x, training=True, initial_state=[h, c])
    layer.discard()
    expected = {}
    for bits in range(32):
        kept = np.array([bits >> i & 1 for i in range(5)]) / 0.75
        params = Params(*layer.params.values())
        expected[bits] = reference.forward(x, params, State(np.broadcast_to(kept, (200, 5)), c))[1].h
    seen = [min(expected, key=lambda bits: np.abs(expected[bits][n] - y[n]).max()) for n in range(200)]
    assert max(np.abs(expected[bits][n] - y[n]).max() for n, bits in enumerate(seen)) < 1e-12
    assert np.mean([bin(bits).count("1") for bits in seen]) / 5 == pytest.approx(0.75, abs=0.06)
    np.testing.assert_allclose(layer(x, initial_state=[h, c]), expected_all(layer, x, h, c), atol=1e-12)


def expected_all(layer: Any, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    return reference.forward(x, Params(*layer.params.values()), State(h, c))[1].h


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul"])
@pytest.mark.parametrize("sequences", [False, True])
def test_bidirectional_gradients(merge_mode: str, mask: str, sequences: bool, rng: np.random.Generator) -> None:
    shape = (4, 5, 3)
    layer = nn.Bidirectional(nn.LSTM(4, return_sequences=sequences, **F64), merge_mode)
    check_gradients(filled(layer, shape, rng), rng.standard_normal(shape), rng, mask=a_mask(MASKS[mask], 4, 5, rng))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dense(7, activation="tanh", kernel_regularizer="l2", **F64), (5, 13)),
        (nn.Dense(3, activation="softmax", **F64), (5, 4, 6)),
        (nn.Dense(65, activation="elu", use_bias=False, **F64), (3, 7)),
        (nn.Dense(5, activation="softplus", **F64), (3, 7)),
        (nn.Dropout(0.3, seed=1, **F64), (6, 7)),
        (nn.Dropout(0.3, noise_shape=(None, 1, None), seed=1, **F64), (6, 4, 7)),
        (nn.TimeDistributed(nn.Dense(4, activation="sigmoid", **F64)), (3, 5, 6)),
        (nn.TimeDistributed(nn.LSTM(4, **F64)), (3, 2, 5, 6)),
        (nn.TimeDistributed(nn.Dropout(0.5, seed=2, **F64)), (3, 5, 6)),
        (nn.Bidirectional(nn.LSTM(4, dropout=0.3, seed=5, kernel_regularizer="l2", **F64)), (3, 5, 6)),
    ],
    ids=lambda value: repr(value) if isinstance(value, Layer) else None,
)
def test_gradients(layer: Any, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    check_gradients(filled(fresh_unbuilt(layer), shape, rng), rng.standard_normal(shape), rng)


def fresh_unbuilt(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def test_masking(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 5, 2))
    x[0, 2], x[1, 0, 0], x[2] = -1, -1, -1
    layer = nn.Masking(-1.0, **F64)
    expected = x.copy()
    expected[0, 2], expected[2] = 0, 0
    np.testing.assert_array_equal(layer(x, training=True), expected)
    dy = rng.standard_normal(x.shape)
    dx = layer.backward(dy)
    np.testing.assert_array_equal(dx, np.where((x != -1).any(axis=-1)[..., None], dy, 0))


def test_states_in_and_out(rng: np.random.Generator) -> None:
    N, T, D, H = 4, 6, 3, 5
    layer = filled(nn.LSTM(H, return_state=True, return_sequences=True, **F64), (N, T, D), rng)
    params, x = Params(*layer.params.values()), rng.standard_normal((N, T, D))
    first, dlast = (State(*rng.standard_normal((2, N, H))) for _ in range(2))
    dy = rng.standard_normal((N, T, H))
    y, h, c = layer(x, training=True, initial_state=first)
    dx = layer.backward(dy, list(dlast))
    y_, last, tape = reference.forward_train(x, params, first)
    grads = reference.backward(tape, dy, dlast)
    for found, expected in zip(
        (y, h, c, dx, *layer.grads.values(), *layer.state_grads), (y_, *last, grads.x, *grads.params, *grads.state),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", [{}, NARROW], ids=["standard", "projected"])
@pytest.mark.parametrize("backwards", [False, True])
def test_gradients_at_the_first_state_under_a_mask(
    backwards: bool, cell: dict[str, Any], rng: np.random.Generator
) -> None:
    N, T, D, H = 3, 5, 2, 4
    layer = filled(nn.LSTM(H, return_sequences=True, go_backwards=backwards, **cell, **F64), (N, T, D), rng)
    P = layer.output_size
    x, dy = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, P))
    first = rng.standard_normal((N, P)), rng.standard_normal((N, H))
    mask = np.array([[0, 0, 1, 0, 1], [1, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    layer(x, training=True, mask=mask, initial_state=list(first))
    layer.backward(dy)

    def loss() -> float:
        return float((layer(x, mask=mask, initial_state=list(first)) * dy).sum())

    for array, gradient in zip(first, layer.state_grads, strict=True):
        for i, expected in central_differences(loss, array, 12, rng):
            assert gradient.reshape(-1)[i] == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("cell", [{}, NARROW], ids=["standard", "projected"])
def test_both_states_in_and_out(cell: dict[str, Any], rng: np.random.Generator) -> None:
    N, T, D, H = 4, 6, 3, 5
    P, count = cell.get("projection_size", H), 4 if cell else 3
    both = filled(nn.Bidirectional(nn.LSTM(H, return_state=True, **cell, **F64), merge_mode=None), (N, T, D), rng)
    assert both.compute_output_shape((N, T, D)) == ((N, P), (N, P), (N, P), (N, H), (N, P), (N, H))
    x, dys = rng.standard_normal((N, T, D)), rng.standard_normal((2, N, P))
    first, dlast = ([rng.standard_normal((N, width)) for width in (P, H, P, H)] for _ in range(2))
    found = both(x, training=True, initial_state=first)
    dx = both.backward(list(dys), dlast)
    weights, expected, dx_ = list(both.params.values()), [], 0
    for way in range(2):
        part = slice(count * way, count * way + count)
        params = record(weights[part])
        state, dstate = State(*first[2 * way : 2 * way + 2]), State(*dlast[2 * way : 2 * way + 2])
        _, last, tape = reference.forward_train(x, params, state, reverse=way == 1)
        grads = reference.backward(tape, None, State(dstate.h + dys[way], dstate.c))
        expected.append(last)
        dx_ = dx_ + grads.x
        pairs = [(both.grads[name], array) for name, array in zip(list(both.params)[part], grads.params, strict=True)]
        for a, b in (*pairs, *zip(both.state_grads[way], grads.state, strict=True)):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    for a, b in zip(found, (expected[0].h, expected[1].h, *expected[0], *expected[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dx, dx_, rtol=0, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    N=st.integers(1, 5), T=st.integers(1, 7), backwards=st.booleans(), zero=st.booleans(), seed=st.integers(0, 1000),
    started=st.booleans(), cell=st.sampled_from([{}, {"cell": "projected", "projection_size": 2}]),
)  # fmt: skip
def test_a_mask_leaves_out_steps(
    N: int, T: int, backwards: bool, zero: bool, seed: int, started: bool, cell: dict[str, Any]
) -> None:
    """Step by step, as the words say it: a masked step changes no state and repeats y."""
    rng = np.random.default_rng(seed)
    D, H = 2, 3
    layer = filled(
        nn.LSTM(H, return_sequences=True, return_state=True, go_backwards=backwards, zero_output_for_mask=zero, **cell,
                **F64),
        (N, T, D), rng,
    )  # fmt: skip
    P = layer.output_size
    x, mask = rng.standard_normal((N, T, D)), rng.random((N, T)) < 0.6
    x[~mask] = np.nan
    first = State(np.zeros((N, P)), np.zeros((N, H)))
    if started:
        first = State(rng.standard_normal((N, P)), rng.standard_normal((N, H)))
    y, h, c = layer(x, mask=mask, initial_state=first if started else None)
    params = record(layer.params.values())
    for n in range(N):
        state = State(first.h[n], first.c[n])
        for place, t in enumerate(reversed(range(T)) if backwards else range(T)):
            shown = state.h
            if mask[n, t]:
                _, state = reference.forward(x[n, t : t + 1], params, state)
                shown = state.h
            elif zero:
                shown = np.zeros(P)
            np.testing.assert_allclose(y[n, place], shown, rtol=0, atol=1e-13)
        np.testing.assert_allclose(h[n], state.h, rtol=0, atol=1e-13)
        np.testing.assert_allclose(c[n], state.c, rtol=0, atol=1e-13)


def test_lengths_are_a_mask(rng: np.random.Generator) -> None:
    layer = filled(nn.LSTM(4, return_sequences=True), (3, 5, 2), rng)
    x, lengths = rng.standard_normal((3, 5, 2)), np.array([5, 0, 3])
    np.testing.assert_array_equal(layer(x, lengths=lengths), layer(x, mask=np.arange(5) < lengths[:, None]))
    with pytest.raises(ValueError, match="expected mask or lengths, got both"):
        layer(x, lengths=lengths, mask=np.ones((3, 5), bool))


@pytest.mark.parametrize("cell", [{}, NARROW], ids=["standard", "projected"])
def test_stateful_layers_go_on(cell: dict[str, Any], rng: np.random.Generator) -> None:
    whole = filled(nn.LSTM(4, return_sequences=True, **cell), (3, 8, 2), rng)
    parts = nn.LSTM(4, return_sequences=True, stateful=True, **cell)
    parts.build((None, None, 2))
    parts.set_weights(whole.get_weights())
    x = rng.standard_normal((3, 8, 2))
    expected = whole(x)
    for _ in range(2):
        found = np.concatenate([parts(x[:, :5]), parts(x[:, 5:])], axis=1)
        np.testing.assert_array_equal(found, expected)
        parts.reset_state()
    last = nn.LSTM(4, stateful=True, **cell)
    last.build((None, None, 2))
    last.set_weights(whole.get_weights())
    last(x[:, :5])[...] = np.nan  # the caller's own
    np.testing.assert_array_equal(last(x[:, 5:]), expected[:, -1])
    parts(x)
    with pytest.raises(ValueError, match="lstm: expected batches of 3 samples, as its state is of, got 2"):
        parts(x[:2])


def test_one_call_in_training_then_one_backward(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4))
    for layer in (nn.LSTM(3), nn.Dense(2), nn.Dropout(0.5), nn.Masking(), nn.Bidirectional(nn.LSTM(2)),
                  nn.TimeDistributed(nn.Dense(2))):  # fmt: skip
        with pytest.raises(RuntimeError, match=f"{layer.name}: expected a call with training=True before backward"):
            layer.backward(np.zeros(3))
        y = layer(x, training=True)
        layer(x)  # inference in between keeps nothing
        with pytest.raises(RuntimeError, match=f"{layer.name}: expected backward after a call in training"):
            layer(x, training=True)
        layer.backward(y)
        with pytest.raises(RuntimeError, match="before backward, got none"):
            layer.backward(y)
        layer(x, training=True)
        layer.discard()
        layer(x, training=True)


def test_the_caller_may_change_his_arrays(rng: np.random.Generator) -> None:
    for layer in (nn.LSTM(3, return_sequences=True), nn.Dense(3, "tanh"), nn.Dropout(0.0),
                  nn.Bidirectional(nn.LSTM(3, return_sequences=True), "mul")):  # fmt: skip
        x = rng.standard_normal((2, 4, 3)).astype(np.float32)
        y = layer(x, training=True)
        dx = layer.backward(dy := rng.standard_normal(y.shape))
        grads = {name: array.copy() for name, array in layer.grads.items()}
        x_again = x.copy()
        y = layer(x_again, training=True)
        x_again[...], y[...] = np.nan, np.nan
        np.testing.assert_array_equal(layer.backward(dy), dx)
        for name, array in grads.items():
            np.testing.assert_array_equal(layer.grads[name], array)


def test_dropout_statistics() -> None:
    x = np.ones((400, 50, 10))
    y = nn.Dropout(0.3, seed=0)(x, training=True)
    values = np.unique(y)
    np.testing.assert_allclose(values, [0, 1 / 0.7], rtol=1e-6)
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.005)
    assert (nn.Dropout(1.0)(x, training=True) == 0).all()
    np.testing.assert_array_equal(nn.Dropout(0.3)(x), x)


def test_lstm_drops_the_same_features_at_all_steps(rng: np.random.Generator) -> None:
    layer = filled(nn.LSTM(3, dropout=0.5, seed=0, **F64), (64, 6, 4), rng)
    x = rng.uniform(1, 2, (64, 6, 4))
    layer(x, training=True)
    dx = layer.backward(np.ones((64, 3)))
    dropped = (dx == 0).all(axis=1)
    assert ((dx == 0).any(axis=1) == dropped).all()
    assert dropped.mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("M", "D", "U"), [(1, 1, 1), (2, 5, 3), (7, 12, 65), (130, 6, 5), (1600, 7, 2), (3, 70, 130)])
def test_dense_products(M: int, D: int, U: int, dtype: str, rng: np.random.Generator) -> None:
    """Against NumPy, for every activation, and the same bits on threads."""
    activations: dict[int, Any] = {
        dense.LINEAR: lambda z: (z, np.ones_like(z)),
        dense.RELU: lambda z: (np.maximum(z, 0), (z > 0).astype(z.dtype)),
        dense.SIGMOID: lambda z: ((s := 1 / (1 + np.exp(-z))), s * (1 - s)),
        dense.TANH: lambda z: (np.tanh(z), 1 - np.tanh(z) ** 2),
        dense.SOFTPLUS: lambda z: (np.log1p(np.exp(z)), 1 / (1 + np.exp(-z))),
        dense.ELU: lambda z: (np.where(z > 0, z, np.expm1(z)), np.where(z > 0, 1, np.exp(z))),
        dense.EXPONENTIAL: lambda z: (np.exp(z), np.exp(z)),
    }
    x, W, b, dy = (rng.standard_normal(s) / np.sqrt(s[0]) for s in ((M, D), (D, U), (U,), (M, U)))
    z = x @ W + b
    mine = [a.astype(dtype) for a in (x, W, b, dy)]
    tolerance = 3e-6 if dtype == "float32" else 1e-13
    for kind in (*activations, dense.SOFTMAX):
        if kind == dense.SOFTMAX:
            p = np.exp(z - z.max(axis=1, keepdims=True))
            expected_y = p / p.sum(axis=1, keepdims=True)
            dz = expected_y * (dy - (dy * expected_y).sum(axis=1, keepdims=True))
        else:
            expected_y, slope = activations[kind](z)
            dz = dy * slope
        expected = [expected_y, x.T @ dz, dz.sum(axis=0), dz @ W.T]
        found = [np.empty(a.shape, dtype) for a in expected]
        dense.forward(mine[0], mine[1], mine[2], kind, found[0])
        dense.backward(mine[0], mine[1], found[0], mine[3], kind, *found[1:])
        for a, e in zip(found, expected, strict=True):
            assert np.abs(a - e).max() <= tolerance * max(np.abs(e).max(), 0.1), kind


def test_dense_has_the_same_bits_on_threads(rng: np.random.Generator) -> None:
    x, W, b = (rng.standard_normal(s).astype(np.float32) for s in ((1700, 37), (37, 70), (70,)))
    results = []
    for way, count in (("one", 1), ("rows", 2), ("rows", 5)):
        with ways.forced(way, count):
            y, dW, db, dx = (np.empty(s, np.float32) for s in ((1700, 70), W.shape, b.shape, x.shape))
            dense.forward(x, W, b, dense.TANH, y)
            dense.backward(x, W, y, y, dense.TANH, dW, db, dx)
            results.append([a.tobytes() for a in (y, dW, db, dx)])
    assert results[0] == results[1] == results[2]
    rows = np.empty((3, 70), np.float32)
    dense.forward(x[5:8], W, b, dense.TANH, rows)
    assert rows.tobytes() == results[0][0][5 * 280 : 8 * 280]


def test_a_nan_stays_in_its_row(rng: np.random.Generator) -> None:
    x, W, b = (rng.standard_normal(s) for s in ((9, 4), (4, 3), (3,)))
    x[4, 1] = np.nan
    for kind in range(8):
        y = np.empty((9, 3))
        dense.forward(x, W, b, kind, y)
        assert np.isnan(y[4]).all()
        assert np.isfinite(np.delete(y, 4, axis=0)).all()


BAD = [
    (lambda: nn.LSTM(0), ValueError, "units: expected at least 1, got 0"),
    (lambda: nn.LSTM(2.5), TypeError, "units: expected an integer, got float"),
    (lambda: nn.LSTM(3, dropout=1.0), ValueError, "dropout: expected less than 1, got 1"),
    (lambda: nn.LSTM(3, dropout=-0.1), ValueError, "dropout: expected 0 to 1"),
    (lambda: nn.LSTM(3, return_sequence=True), TypeError, "no argument 'return_sequence'.*'return_sequences'"),
    (lambda: nn.LSTM(3, unroll=True), TypeError, "LSTM: no argument 'unroll' here"),
    (lambda: nn.LSTM(3, use_bias="yes"), TypeError, "use_bias: expected True or False"),
    (lambda: nn.LSTM(3, kernel_initializer="glorot_unifrom"), ValueError, "did you mean 'glorot_uniform'"),
    (lambda: nn.LSTM(3, kernel_regularizer=3), TypeError, "kernel_regularizer: expected a name"),
    (lambda: nn.LSTM(3, seed=-1), ValueError, "seed: expected at least 0"),
    (lambda: nn.LSTM(3, dtype="float16"), TypeError, "dtype: expected float32 or float64, got 'float16'"),
    (lambda: nn.Dense(3, activation="swishy"), ValueError, "activation: expected a known name, got 'swishy'"),
    (lambda: nn.Dense(True), TypeError, "units: expected an integer, got bool"),
    (lambda: nn.Dropout(1.5), ValueError, "rate: expected 0 to 1, got 1.5"),
    (lambda: nn.Bidirectional(nn.Dense(3)), TypeError, "layer: expected an LSTM or a GRU, got Dense"),
    (lambda: nn.Bidirectional(nn.LSTM(3), "add"), ValueError, "merge_mode: expected one of"),
    (lambda: nn.Bidirectional(nn.LSTM(3, go_backwards=True)), ValueError, "expected one with go_backwards=False"),
    (lambda: nn.Bidirectional(nn.LSTM(3), backward_layer=nn.LSTM(3)), ValueError, "expected one with go_backwards"),
    (lambda: nn.Bidirectional(nn.LSTM(3), "sum", nn.LSTM(4, go_backwards=True)), ValueError,
     "backward_layer: expected outputs of size 3, as in layer, to sum both, got 4"),
    (lambda: nn.LSTM(3, cell="projected"), TypeError, "projection_size: expected an integer, got NoneType"),
    (lambda: nn.LSTM(3, cell="projected", projection_size=2.0), TypeError, "projection_size: expected an integer"),
    (lambda: nn.LSTM(3, cell="projected", projection_size=True), TypeError, "projection_size: expected an integer"),
    (lambda: nn.LSTM(3, cell="projected", projection_size=0), ValueError, "projection_size: expected at least 1, got 0"),
    (lambda: nn.LSTM(3, cell="projected", projection_size=4), ValueError, "projection_size: expected at most units, 3"),
    (lambda: nn.LSTM(3, projection_size=2), ValueError, "projection_size: expected None for the standard cell, got 2"),
    (lambda: nn.LSTM(3, cell="interpolated", projection_size=3), ValueError, "projection_size: expected None for the i"),
    (lambda: nn.LSTM(3, cell="peephole", projection_size=3), ValueError, "projection_size: expected None for the peep"),
    (lambda: nn.LSTM(3, cell="normalized", projection_size=3), ValueError, "projection_size: expected None for the norm"),
    (lambda: nn.LSTM(4, **NARROW)(np.ones((2, 3, 4)), initial_state=[np.ones((2, 4)), np.ones((2, 4))]), ValueError,
     r"initial_state.h: expected shape \(2, 3\), got \(2, 4\)"),
    (lambda: nn.LSTM(4, **NARROW)(np.ones((2, 3, 4)), initial_state=[np.ones((2, 3)), np.ones((2, 3))]), ValueError,
     r"initial_state.c: expected shape \(2, 4\), got \(2, 3\)"),
    (lambda: nn.Bidirectional(nn.LSTM(4, **NARROW), "sum",
                              nn.LSTM(4, cell="projected", projection_size=2, go_backwards=True)), ValueError,
     "backward_layer: expected outputs of size 3, as in layer, to sum both, got 2"),
    (lambda: nn.TimeDistributed(3), TypeError, "layer: expected a layer, got int"),
    (lambda: nn.TimeDistributed(nn.LSTM(3, stateful=True)), ValueError, "expected one without states"),
    (lambda: nn.LSTM(3)(np.ones((2, 3))), ValueError, r"lstm: expected x of 3 axes, \(N, T, D\), got shape \(2, 3\)"),
    (lambda: nn.LSTM(3)([[["a"]]]), TypeError, "lstm: x: expected real numbers"),
    (lambda: nn.Dense(3)(np.ones(3)), ValueError, "dense: expected x of at least 2 axes"),
    (lambda: nn.LSTM(3)(np.ones((2, 3, 4)), mask=np.ones((2, 4), bool)), ValueError, r"mask: expected shape \(2, 3\)"),
    (lambda: nn.LSTM(3)(np.ones((2, 3, 4)), mask=np.ones((2, 3))), TypeError, "mask: expected booleans"),
    (lambda: nn.LSTM(3)(np.ones((2, 3, 4)), lengths=[1, 4]), ValueError, "lengths: expected 0 to 3"),
    (lambda: nn.LSTM(3)(np.ones((2, 3, 4)), initial_state=np.ones(3)), ValueError, r"initial_state: expected \[h, c\]"),
    (lambda: nn.LSTM(3)(np.ones((2, 3, 4)), initial_state=[np.ones((2, 3)), np.ones((3, 3))]), ValueError,
     r"initial_state.c: expected shape \(2, 3\), got \(3, 3\)"),
    (lambda: nn.LSTM(3).set_weights([]), ValueError, "lstm: expected a layer that has been built"),
    (lambda: nn.Input(), ValueError, "Input: expected shape, or batch_shape"),
    (lambda: nn.Input((0, 3)), ValueError, "shape: expected sizes of at least 1"),
    (lambda: nn.Input((2.5,)), TypeError, "shape: expected integers or None"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_bad_input_later(rng: np.random.Generator) -> None:
    layer = filled(nn.LSTM(3), (2, 5, 4), rng)
    with pytest.raises(ValueError, match=r"lstm: expected x of shape \(N, 5, 4\), got \(2, 5, 7\)"):
        layer(np.ones((2, 5, 7)))
    with pytest.raises(ValueError, match=r"expected x of shape \(N, 5, 4\), got \(2, 1, 4\); .*=\(None, 4\) .* any T"):
        layer(np.ones((2, 1, 4)))
    with pytest.raises(TypeError, match=r"params: expected Params, .*, got LSTM; its to_params\(\) gives them"):
        fastlstm.pack(layer)
    with pytest.raises(TypeError, match=r"got Sequential; to_params\(\) of its recurrent layers gives them"):
        fastlstm.pack(nn.Sequential([layer]))
    layer(np.ones((2, 5, 4)), training=True)
    with pytest.raises(ValueError, match=r"lstm: dy: expected shape \(2, 3\), got \(3, 2\)"):
        layer.backward(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"lstm/kernel: expected shape \(4, 12\), got \(4, 11\)"):
        layer.set_weights([np.ones((4, 11)), np.ones((3, 12)), np.ones(12)])
    with pytest.raises(ValueError, match="lstm: expected 3 weights, got 2"):
        layer.set_weights(layer.get_weights()[:2])


def test_initializers_and_seeds() -> None:
    nn.set_random_seed(3)
    one = nn.LSTM(5)
    one.build((None, None, 4))
    nn.set_random_seed(3)
    two = nn.LSTM(5)
    two.build((None, None, 4))
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernel, recurrent, bias = one.get_weights()
    assert np.abs(kernel).max() <= np.sqrt(6 / (4 + 20))
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(5), atol=1e-6)
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], 5))
    assert (nn.LSTM(5, unit_forget_bias=False)(np.ones((1, 1, 1))) != 0).all()
    rng = np.random.default_rng(0)
    shape = (300, 200)
    for name, variance, limit in (
        ("glorot_uniform", 2 / 500, np.sqrt(6 / 500)), ("glorot_normal", 2 / 500, None), ("he_normal", 2 / 300, None),
        ("he_uniform", 2 / 300, np.sqrt(6 / 300)), ("lecun_normal", 1 / 300, None), ("random_normal", 0.05**2, None),
        ("lecun_uniform", 1 / 300, np.sqrt(3 / 300)), ("random_uniform", 0.1**2 / 12, 0.05), ("zeros", 0, 0), ("ones", 0, 1),
    ):  # fmt: skip
        drawn = nn.initializers.get(name)(shape, rng)
        assert drawn.shape == shape
        assert drawn.var() == pytest.approx(variance, rel=0.03)
        assert limit is None or np.abs(drawn).max() <= limit
    truncated = nn.initializers.TruncatedNormal(1.0, 2.0, seed=1)(shape)
    assert truncated.min() >= -3
    assert truncated.max() <= 5
    np.testing.assert_array_equal(nn.initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])
    for made in (nn.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", 3), nn.initializers.HeNormal(4)):
        again = nn.initializers.get({
            "class_name": type(made).__name__, "config": made.get_config()})  # fmt: skip
        np.testing.assert_array_equal(again(shape), made(shape))


@pytest.mark.parametrize("name", [*FUNCTIONS])
def test_activations_as_functions(name: str, rng: np.random.Generator) -> None:
    """The same numbers as the kernel's, and taken by layers in a name's place."""
    x = 5 * rng.standard_normal((4, 3, 6))
    function = nn.activations.get(name)
    assert function is getattr(nn.activations, name) is nn.activations.get(function)
    layer = nn.Dense(6, function, kernel_initializer="identity", dtype="float64")
    np.testing.assert_allclose(layer(x), function(x), rtol=1e-13, atol=1e-15)
    assert layer.get_config()["activation"] == name
    for z in (x, x.astype(np.float32)):
        assert function(z).dtype == z.dtype


def test_activations_that_are_none() -> None:
    assert nn.activations.get(None) is nn.activations.linear
    with pytest.raises(TypeError, match="activation: expected"):
        nn.Dense(2, np.tanh)
