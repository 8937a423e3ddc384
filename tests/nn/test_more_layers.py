"""Embedding, pooling, Flatten and the like: gradients, masks, what is refused, files. Their numbers: test_keras.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
import ways
from keras_golden import live_keras
from oracles import central_differences

from fastlstm import backend, formats, nn
from fastlstm.nn._src.activations import FUNCTIONS

N, T, D, V = 4, 6, 3, 9
F64 = {"dtype": "float64"}
WORDS = np.array([[1, 2, 3, 0, 0, 0], [0, 4, 4, 4, 0, 8], [8, 8, 8, 8, 8, 8], [5, 0, 0, 0, 0, 0]])


@pytest.fixture(autouse=True)
def plain_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is tested here are not kernels, but in the one test that asks for their engine."""
    with contextlib.nullcontext() if "together" in request.fixturenames else backend.use(reference_engine):
        yield


def holes(rng: np.random.Generator) -> np.ndarray:
    mask = rng.random((N, T)) < 0.6
    mask[0], mask[1] = False, True
    return mask


LAYERS: dict[str, Any] = {
    "RepeatVector": (lambda: nn.RepeatVector(5, **F64), (N, D)),
    "Flatten": (lambda: nn.Flatten(**F64), (N, T, D)),
    "mean": (lambda: nn.GlobalAveragePooling1D(**F64), (N, T, D)),
    "mean, keepdims": (lambda: nn.GlobalAveragePooling1D(keepdims=True, **F64), (N, T, D)),
    "max": (lambda: nn.GlobalMaxPooling1D(**F64), (N, T, D)),
    "max, keepdims": (lambda: nn.GlobalMaxPooling1D(keepdims=True, **F64), (N, T, D)),
    "spatial": (lambda: nn.SpatialDropout1D(0.4, seed=2, **F64), (N, T, D)),
    **{f"Activation {name}": (lambda name=name: nn.Activation(name, **F64), (N, T, D))
       for name in FUNCTIONS},
}  # fmt: skip


MASKED = [name for name in LAYERS if name.startswith(("mean", "spatial", "Activation"))]


@pytest.mark.parametrize(("name", "masked"), [*((name, False) for name in LAYERS), *((name, True) for name in MASKED)])
def test_gradients(name: str, masked: bool, rng: np.random.Generator) -> None:
    make, shape = LAYERS[name]
    x, mask = rng.standard_normal(shape), holes(rng) if masked else None
    layer = make()
    y = layer(x, training=True, mask=mask)
    assert y.shape == tuple(n or m for n, m in zip(layer.compute_output_shape((N, *shape[1:])), y.shape, strict=True))
    direction = rng.standard_normal(y.shape)
    dx = layer.backward(direction)

    def loss() -> float:
        return float((make()(x, training=True, mask=mask) * direction).sum())

    for i, expected in central_differences(loss, x, 10, rng):
        assert dx.reshape(-1)[i] == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("options", [{}, {"mask_zero": True}, {"embeddings_regularizer": "l2"}])
def test_gradients_of_an_embedding(options: dict[str, Any], rng: np.random.Generator) -> None:
    layer = nn.Embedding(V, D, **options, **F64)
    direction = rng.standard_normal((N, T, D))
    y = layer(WORDS, training=True)
    assert (y == layer.params["embeddings"][WORDS]).all()
    assert not layer.backward(direction).any()
    expected = np.zeros((V, D))
    np.add.at(expected, WORDS, direction)
    if options.get("embeddings_regularizer"):
        expected += 0.02 * layer.params["embeddings"]
    np.testing.assert_allclose(layer.grads["embeddings"], expected, atol=1e-14)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("vectors", "size", "count"), [(1, 1, 1), (5, 7, 40), (300, 33, 64), (4, 128, 0)])
def test_kernels_of_an_embedding(
    vectors: int, size: int, count: int, dtype: str, together: bool, rng: np.random.Generator
) -> None:
    x = rng.integers(0, vectors, (count, 3))
    direction = rng.standard_normal((count, 3, size)).astype(dtype)
    layer = nn.Embedding(vectors, size, dtype=dtype)
    layer.build((None, None))
    layer.grads["embeddings"][...] = np.nan  # they are written, not added to
    with ways.forced("rows" if together else "one"):
        y = layer(x, training=True)
        layer.backward(direction)
    assert (y == layer.params["embeddings"][x]).all()
    expected = np.zeros((vectors, size), dtype)
    np.add.at(expected, x, direction)
    assert (layer.grads["embeddings"] == expected).all()  # in the order of x, with any number of threads


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float32, np.float64, bool, list])
def test_numbers_of_any_type(dtype: Any) -> None:
    layer = nn.Embedding(V, D)
    x = np.minimum(WORDS, 1)
    assert (layer(x.tolist() if dtype is list else x.astype(dtype)) == layer(x)).all()


def test_large_numbers_stay_whole() -> None:
    """float32 has no 2**24 + 1."""
    layer = nn.Embedding(2**24 + 2, 1, embeddings_initializer="zeros")
    layer.build((None, None))
    layer.params["embeddings"][2**24 + 1] = 1
    assert layer([[2**24 + 1]]) == 1
    model = nn.Sequential([layer])
    assert model.predict([[2**24 + 1, 2**24]], verbose=0).tolist() == [[[1], [0]]]


def test_embedding_begins_with_given_vectors(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((V, D)).astype(np.float32)
    for given in (vectors, [vectors], vectors.tolist()):
        layer = nn.Embedding(V, D, weights=given)
        assert (layer(WORDS) == vectors[WORDS]).all()
    vectors[:] = 0
    assert nn.Sequential([layer]).predict(WORDS, verbose=0).any()


def model(*layers: Any, **options: Any) -> nn.Sequential:
    made = nn.Sequential([*layers], seed=0)
    made.compile(options.get("optimizer", "sgd"), "mse")
    return made


def test_zeros_are_padding_where_they_say_so() -> None:
    """Behind any number of them, and in any mix with lengths, which may leave out anything."""
    one = model(nn.Embedding(V, D, mask_zero=True), nn.LSTM(4), nn.Dense(1))
    y = one.predict(WORDS, verbose=0)
    longer = np.pad(WORDS, ((0, 0), (0, 5)))
    assert (one.predict(longer, verbose=0) == y).all()
    strange = longer.copy()
    strange[:, T:] = 10**6
    assert (one.predict(strange, lengths=[T] * N, verbose=0) == y).all()
    floats = strange.astype(float)
    floats[:, T:] = np.nan
    assert (one.predict(floats, lengths=[T] * N, verbose=0) == y).all()
    two = model(nn.Embedding(V, D), nn.LSTM(4), nn.Dense(1))
    two.build((None, T))
    two.set_weights(one.get_weights())
    np.testing.assert_allclose(two.predict(WORDS, mask=WORDS != 0, verbose=0), y, atol=1e-7)
    assert abs(two.predict(WORDS, verbose=0) - y).max() > 1e-6


def test_any_number_of_steps_unless_a_layer_fixes_it() -> None:
    free = model(nn.Embedding(V, D), nn.LSTM(4), nn.Dense(1))
    free.fit(WORDS, np.zeros(N), verbose=0)
    assert free.input_shape == (None, None)
    assert free.predict(WORDS[:, :2], verbose=0).shape == (N, 1)
    fixed = model(nn.LSTM(4, return_sequences=True), nn.Flatten(), nn.Dense(1))
    fixed.fit(np.ones((N, T, D)), np.zeros(N), verbose=0)
    assert fixed.layers[2].params["kernel"].shape == (4 * T, 1)
    with pytest.raises(ValueError, match=r"lstm: expected x of shape \(N, 6, 3\), got \(4, 5, 3\)"):
        fixed.predict(np.ones((N, 5, D)), verbose=0)


def test_a_mean_without_real_steps_is_zero() -> None:
    layer = nn.GlobalAveragePooling1D()
    mask = np.array([[False] * T, [True] * T])
    y = layer(np.full((2, T, D), 3.0), training=True, mask=mask)
    assert y.tolist() == [[0] * D, [3] * D]
    assert not layer.backward(np.ones((2, D)))[0].any()


def test_equally_large_steps_share_the_gradient() -> None:
    layer = nn.GlobalMaxPooling1D()
    layer([[[1.0, 2.0], [3.0, 2.0], [3.0, 0.0]]], training=True)
    assert layer.backward([[1.0, 1.0]]).tolist() == [[[0, 0.5], [0.5, 0.5], [0.5, 0]]]


def test_padding_does_not_reach_a_mean() -> None:
    x = np.ones((1, T, D))
    x[:, 3:] = np.nan
    assert (nn.GlobalAveragePooling1D()(x, mask=[[True] * 3 + [False] * 3]) == 1).all()


@pytest.mark.parametrize("layer", [nn.Flatten, nn.GlobalMaxPooling1D])
def test_a_lost_mask_is_said(layer: Any) -> None:
    made = layer()
    mask = np.ones((N, T), bool)
    made(np.ones((N, T, D)), mask=mask)  # nothing is left out
    mask[0, -1] = False
    with pytest.warns(
        UserWarning, match=f"{made.name}: {layer.__name__} knows no mask.*the mask ends here, as in Keras"
    ):
        made(np.ones((N, T, D)), mask=mask)


def test_spatial_dropout_takes_features_out_of_whole_sequences() -> None:
    layer = nn.SpatialDropout1D(0.5, seed=1)
    x = np.ones((50, T, 20), np.float32)
    assert (layer(x) == x).all()
    y = layer(x, training=True)
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0, 2}
    assert 0.4 < (y[:, 0] == 0).mean() < 0.6


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: nn.Embedding(0, 2), ValueError, "input_dim: expected at least 1, got 0"),
    (lambda: nn.Embedding(2.0, 2), TypeError, "input_dim: expected an integer, got float"),
    (lambda: nn.Embedding(2, "2"), TypeError, "output_dim: expected an integer, got str"),
    (lambda: nn.Embedding(2, 2, mask_zero=1), TypeError, "mask_zero: expected True or False, got 1"),
    (lambda: nn.Embedding(2, 2, weights=np.ones((2, 3))), ValueError, r"weights: expected shape \(2, 2\), got \(2, 3\)"),
    (lambda: nn.Embedding(2, 2, embeddings_initializer="glorot"), ValueError, "embeddings_initializer: expected a known name"),
    (lambda: nn.Embedding(V, D)([[0, 9]]), ValueError, r"embedding: x: expected whole numbers from 0 to 8 \(input_dim - 1\), got 9 at \[0, 1\]"),
    (lambda: nn.Embedding(V, D)([[0, -1]]), ValueError, r"embedding: x: expected whole numbers from 0 to 8 .*, got -1 at \[0, 1\]"),
    (lambda: nn.Embedding(V, D)([[0.5, 1]]), ValueError, "embedding: x: expected whole numbers, got 0.5"),
    (lambda: nn.Embedding(V, D)([[np.nan]]), ValueError, "embedding: x: expected whole numbers, got nan"),
    (lambda: nn.Embedding(V, D)([["a"]]), TypeError, "embedding: x: expected real numbers"),
    (lambda: nn.Embedding(V, D, mask_zero=True)(np.zeros((2, 3, 4))), ValueError, r"embedding: expected x of shape \(N, T\) with mask_zero=True"),
    (lambda: model(nn.Embedding(V, D), nn.LSTM(2)).fit(WORDS + 1, np.zeros((N, 2)), verbose=0), ValueError, "expected whole numbers from 0 to 8 .*, got 9 at "),
    (lambda: model(nn.Embedding(V, D), nn.LSTM(2)).predict(WORDS, lengths=[1, 2], verbose=0), ValueError, "lengths"),
    (lambda: nn.Sequential([nn.Dense(2, input_shape=(3,)), nn.Embedding(V, D)]).predict(np.full((2, 3), 0.3), verbose=0), ValueError, "embedding: x: expected whole numbers"),
    (lambda: nn.RepeatVector(0), ValueError, "n: expected at least 1, got 0"),
    (lambda: nn.RepeatVector(2.5), TypeError, "n: expected an integer, got float"),
    (lambda: nn.RepeatVector(2)(np.ones((2, 3, 4))), ValueError, "repeat_vector: expected x of 2 axes"),
    (lambda: nn.Flatten("channels_first"), ValueError, "data_format: expected 'channels_last'"),
    (lambda: nn.GlobalAveragePooling1D("channels_first"), ValueError, "data_format: expected 'channels_last'"),
    (lambda: nn.GlobalMaxPooling1D(keepdims=None), TypeError, "keepdims: expected True or False, got None"),
    (lambda: nn.GlobalMaxPooling1D()(np.ones((2, 3))), ValueError, "global_max_pooling1d: expected x of 3 axes"),
    (lambda: nn.GlobalMaxPooling1D()(np.ones((2, 0, 3))), ValueError, "global_max_pooling1d: expected x of at least one step"),
    (lambda: nn.GlobalAveragePooling1D()(np.ones((2, 0, 3))), ValueError, "global_average_pooling1d: expected x of at least one step"),
    (lambda: nn.Sequential([nn.LSTM(2, input_shape=(T, D)), nn.GlobalMaxPooling1D()]), ValueError, "expected sequences, got the last step alone from lstm"),
    (lambda: nn.Activation("gelu"), ValueError, "activation: expected a known name, got 'gelu'"),
    (lambda: nn.Activation(np.sin), TypeError, "activation: expected one of"),
    (lambda: nn.SpatialDropout1D(1.5), ValueError, "rate: expected 0 to 1, got 1.5"),
    (lambda: nn.SpatialDropout1D(0.5)(np.ones((2, 3))), ValueError, "spatial_dropout1d: expected x of 3 axes"),
    (lambda: nn.Sequential([nn.LSTM(2, return_sequences=True, input_shape=(None, D)), nn.Flatten(), nn.Dense(1)]), ValueError, "dense: expected inputs of a known size D"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=lambda one: one if isinstance(one, str) else "")
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def all_of_them() -> nn.Sequential:
    return nn.Sequential(
        [
            nn.Embedding(V, D, embeddings_regularizer="l2"),
            nn.SpatialDropout1D(0.1, seed=4),
            nn.LSTM(4),
            nn.RepeatVector(3),
            nn.LSTM(4, return_sequences=True),
            nn.Activation("relu"),
            nn.GlobalMaxPooling1D(keepdims=True),
            nn.GlobalAveragePooling1D(),
            nn.Flatten(),
            nn.Dense(1),
        ],
        seed=0,
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_files(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors" if suffix == ".safetensors" else "h5py")
    one = all_of_them()
    one.compile("adam", "mse")
    one.fit(WORDS, np.ones(N), verbose=0)
    one.save(tmp_path / f"m{suffix}")
    two = (nn.load_model if suffix == ".safetensors" else nn.load_keras)(tmp_path / f"m{suffix}")
    assert [one.get_config() for one in two.layers] == [one.get_config() for one in one.layers]
    assert (two.predict(WORDS, verbose=0) == one.predict(WORDS, verbose=0)).all()
    for each in (one, two):
        each.fit(WORDS, np.ones(N), verbose=0)
    assert (one.flat_params == two.flat_params).all() or suffix == ".keras"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras's own
def test_keras_reads_and_writes_them(tmp_path: Path) -> None:
    keras = live_keras()
    one = all_of_them()
    one.build((None, T))
    one.save(tmp_path / "one.keras")
    theirs = keras.saving.load_model(tmp_path / "one.keras")
    y = np.asarray(theirs.predict(WORDS, verbose=0))
    np.testing.assert_allclose(one.predict(WORDS, verbose=0), y, atol=1e-6)
    theirs.save(tmp_path / "two.keras")
    two = nn.load_keras(tmp_path / "two.keras")
    np.testing.assert_allclose(two.predict(WORDS, verbose=0), y, atol=1e-6)


def test_writers_of_other_formats_say_what_they_cannot(tmp_path: Path) -> None:
    one = nn.Sequential([nn.Input((T, D)), nn.LSTM(4, return_sequences=True), nn.SpatialDropout1D(0.5), nn.LSTM(3),
                         nn.Activation("tanh")], seed=0)  # fmt: skip
    formats.to_numpy(one, tmp_path / "one.py")
    for layer in (nn.Flatten(), nn.GlobalMaxPooling1D(), nn.GlobalAveragePooling1D()):
        two = nn.Sequential([nn.Input((T, D)), nn.LSTM(4, return_sequences=True), layer], seed=0)
        with pytest.raises(ValueError, match=f"model: expected layers of the kinds .*, got '{layer.name}'"):
            formats.to_c(two, tmp_path / "two.h")
