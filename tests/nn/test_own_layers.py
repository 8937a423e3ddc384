"""Layers of the caller's own: the attention of docs/keras.md against differences, PyTorch and Keras; what is checked."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
from keras_golden import live_keras
from oracles import central_differences

from fastlstm import backend, formats, nn
from fastlstm.nn._src import registry, repeat
from fastlstm.nn._src.base import KNOWN_LAYERS

PAGE = (Path(__file__).parents[2] / "docs" / "keras.md").read_text()
N, T, D, U = 4, 6, 3, 5
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, T, D))
MASK = np.arange(T) < np.array([6, 1, 4, 0])[:, None]


@pytest.fixture(autouse=True)
def plain_engine() -> Iterator[None]:
    with backend.use(reference_engine):
        yield


def attention() -> Any:
    """The class of the page."""
    section = PAGE.split("## A layer of your own")[1]
    block = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0].split("\nmodel = ")[0]
    names: dict[str, Any] = {"np": np, "__name__": __name__}
    exec(block, names)
    registry.OWN.discard("Attention")
    return KNOWN_LAYERS.pop("Attention")


Attention = attention()
if Attention.__module__ == __name__:
    Attention.__qualname__ = "Attention"  # pickles find it here


def made(dtype: str = "float64", **common: Any) -> Any:
    layer = Attention(U, dtype=dtype, **common)
    layer.build((None, None, D))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(-1, 1, array.shape) for array in layer.get_weights()])
    return layer


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_gradients_of_attention(mask: Any, rng: np.random.Generator) -> None:
    layer, x, direction = made(), X.copy(), rng.standard_normal((N, D))
    layer(x, training=True, mask=mask)
    dx = layer.backward(direction)
    for array, gradient in [(x, dx), *((layer.params[name], layer.grads[name].copy()) for name in layer.params)]:
        for i, expected in central_differences(lambda: float((layer(x, mask=mask) * direction).sum()), array, 8, rng):
            assert gradient.reshape(-1)[i] == pytest.approx(expected, rel=1e-5, abs=1e-7)
    if mask is not None:
        assert not dx[~MASK].any()
        assert not layer(x, mask=mask)[3].any()


@pytest.mark.parametrize("mask", [None, MASK[:3]], ids=["all", "masked"])
def test_attention_is_that_of_torch(mask: Any, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    layer, direction = made(), rng.standard_normal((3, D))
    kernel, bias, query, x = (torch.tensor(array, requires_grad=True) for array in (*layer.get_weights(), X[:3]))
    scores = (torch.tanh(x @ kernel + bias) @ query)[..., 0]
    if mask is not None:
        scores = scores.masked_fill(~torch.tensor(mask), float("-inf"))
    y = (torch.softmax(scores, 1)[..., None] * x).sum(1)
    (y * torch.tensor(direction)).sum().backward()
    np.testing.assert_allclose(layer(X[:3], training=True, mask=mask), y.detach().numpy(), atol=1e-14)
    dx = layer.backward(direction)
    for ours, theirs in zip([*layer.grads.values(), dx], [kernel.grad, bias.grad, query.grad, x.grad], strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-13)


def of_keras(keras: Any) -> Any:
    class OfKeras(keras.layers.Layer):  # type: ignore[misc]
        supports_masking = True

        def build(self, input_shape: Any) -> None:
            self.kernel = self.add_weight(shape=(input_shape[-1], U), name="kernel")
            self.bias = self.add_weight(shape=(U,), name="bias")
            self.query = self.add_weight(shape=(U, 1), name="query")

        def compute_mask(self, x: Any, mask: Any = None) -> Any:
            return None

        def call(self, x: Any, mask: Any = None) -> Any:
            ops = keras.ops
            scores = ops.matmul(ops.tanh(ops.matmul(x, self.kernel) + self.bias), self.query)[..., 0]
            scores = scores if mask is None else ops.where(mask, scores, -1e9)
            return ops.sum(ops.softmax(scores, axis=1)[..., None] * x, axis=1)

    return OfKeras


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras's own
def test_training_steps_are_those_of_keras() -> None:
    keras = live_keras()
    words = np.array([[1, 2, 3, 0, 0], [4, 4, 0, 0, 0], [5, 6, 7, 8, 1]])
    y = np.array([[0.1], [-0.4], [0.7]], np.float32)
    found = []
    for library, layer in ((nn, Attention(U)), (keras, of_keras(keras)())):
        layers = library.layers
        model = library.Sequential(
            [
                library.Input((5,)),
                layers.Embedding(9, D, mask_zero=True),
                layers.LSTM(4, return_sequences=True),
                layer,
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        rng = np.random.default_rng(2)
        model.set_weights([rng.uniform(-0.7, 0.7, one.shape) for one in model.get_weights()])
        before = np.asarray(model.predict(words, verbose=0))
        model.fit(words, y, epochs=5, batch_size=3, shuffle=False, verbose=0)
        found.append([before, *model.get_weights()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


# what a class of one's own gets


class Scale(nn.Layer):
    supports_masking = True

    def __init__(self, factor: float, start: Any = "ones", penalty: Any = None, **common: Any) -> None:
        super().__init__(**common)
        self.factor, self.start, self.penalty_ = factor, nn.initializers.get(start), penalty

    def build(self, input_shape: Any) -> None:
        self.add_weight((input_shape[-1],), self.start, regularizer=self.penalty_, constraint="non_neg", name="w")
        self.add_weight((1,), "zeros", trainable=False)
        super().build(input_shape)

    def call(self, x: np.ndarray, training: bool = False, mask: Any = None) -> np.ndarray:
        self.seen = training, mask
        self.x = x
        return x * self.params["w"] * self.factor + self.params["weight_1"]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.grads["w"][...] = (dy * self.x).sum(axis=tuple(range(dy.ndim - 1))) * self.factor
        return dy * self.params["w"] * self.factor

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "start": nn.initializers.serialize(self.start), "penalty": self.penalty_,
                "name": self.name, "dtype": self.dtype.name}  # fmt: skip


class Deeper(Scale):
    """One that goes on from another of one's own."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(dy) * 1.0


class Plain(nn.Layer):
    def call(self, x: np.ndarray) -> np.ndarray:
        return 2 * x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return 2 * dy


def model_of(*layers: Any) -> nn.Sequential:
    model = nn.Sequential([nn.Input((None, D)), *layers], seed=0)
    model.compile(nn.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("kind", [Scale, Deeper])
def test_penalties_constraints_and_what_does_not_learn(kind: Any) -> None:
    layer = kind(2.0, penalty="l2", dtype="float64")
    layer(X, training=True)
    assert list(layer.params) == ["w", "weight_1"]
    layer.backward(np.ones_like(X))
    np.testing.assert_allclose(layer.grads["w"], 2 * X.sum(axis=(0, 1)) + 0.02)
    assert [array.size for array in layer.trainable_weights] == [D]
    with pytest.raises(RuntimeError, match="expected a call with training=True before backward"):
        layer.backward(np.ones_like(X))
    layer = kind(1.0)
    model = model_of(layer, nn.LSTM(3))
    layer.params["w"] = -1.0 * np.ones(D)
    model.train_on_batch(X, np.zeros((N, 3)))
    assert (layer.params["w"] >= 0).all()
    assert layer.params["weight_1"] == 0
    assert layer.seen[0] is True


def test_weights_are_views_of_the_models() -> None:
    layer = Scale(1.0)
    model = model_of(nn.Dense(D), layer, nn.LSTM(2))
    model.flat_params[...] = 3
    assert (layer.params["w"] == 3).all()
    again = copy.deepcopy(model)
    again.flat_params[...] = 4
    assert (again.layers[1].params["w"] == 4).all()
    assert (layer.params["w"] == 3).all()
    assert (pickle.loads(pickle.dumps(model)).predict(X, verbose=0) == model.predict(X, verbose=0)).all()


def test_masks_reach_it_and_go_on() -> None:
    layer = Scale(1.0)
    model = model_of(layer, nn.LSTM(3))
    y = model.predict(X, mask=MASK, verbose=0)
    assert (layer.seen[1] == MASK).all()
    expected = model_of(nn.LSTM(3))
    expected.set_weights(model.get_weights()[2:])
    np.testing.assert_allclose(y, expected.predict(X, mask=MASK, verbose=0), atol=1e-7)
    plain = model_of(Plain(), nn.LSTM(3))
    with pytest.warns(UserWarning, match="plain: Plain knows no mask"):
        plain.predict(X, mask=MASK, verbose=0)


def test_it_is_never_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeat.Repeats, "AFTER", 1)
    repeats = repeat.Repeats(model_of(Plain(), nn.LSTM(3)))
    x = X.astype(np.float32)
    assert [repeats.of(x) for _ in range(3)] == [None] * 3


def test_in_a_wrapper() -> None:
    layer = nn.TimeDistributed(Scale(3.0))
    x = X[:, None].repeat(2, axis=1)
    y = layer(x, training=True)
    np.testing.assert_allclose(y, 3 * x, rtol=1e-6)
    np.testing.assert_allclose(layer.backward(np.ones_like(y)), 3)


@pytest.fixture
def registered() -> Iterator[None]:
    before = set(registry.OWN)
    for kind in (Scale, Plain, Attention):
        assert nn.saving.register_keras_serializable("mine")(kind) is kind
    yield
    for name in registry.OWN - before:
        KNOWN_LAYERS.pop(name)
    registry.OWN.intersection_update(before)


def test_files(registered: None, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    model = model_of(Scale(2.0, nn.initializers.Constant(0.5), penalty="l2"), Plain(), Attention(U), nn.Dense(1))
    model.fit(X, np.ones(N), verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = nn.load_model(tmp_path / "m.safetensors")
    assert again.get_config() == model.get_config()
    assert [layer.get_config() for layer in again.layers][1] == {"name": "plain", "dtype": "float32", "trainable": True}
    for one in (model, again):
        one.fit(X, np.ones(N), verbose=0)
    assert (again.flat_params == model.flat_params).all()


def test_a_file_of_classes_that_are_not_registered(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    model = model_of(Plain(), nn.LSTM(2))
    with pytest.raises(ValueError, match=r"layers: expected one of .*, got 'Plain'"):
        model.save(tmp_path / "m.safetensors")
    with nn.saving.custom_object_scope({"Plain": Plain}):
        model.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"layers: expected one of .*, got 'Plain'"):
        nn.load_model(tmp_path / "m.safetensors")
    again = nn.load_model(tmp_path / "m.safetensors", {"Plain": Plain})
    assert (again.predict(X, verbose=0) == model.predict(X, verbose=0)).all()
    assert "Plain" not in KNOWN_LAYERS


def test_files_of_others_refuse_it(registered: None, tmp_path: Path) -> None:
    model = model_of(Plain(), nn.LSTM(2))
    with pytest.raises(ValueError, match=r"model: expected layers of the kinds .*, got 'plain', Plain"):
        formats.to_numpy(model, tmp_path / "m.py")
    pytest.importorskip("h5py")
    with pytest.raises(ValueError, match=r"Plain: expected what Keras has in a \.keras file, got a class of your own"):
        model.save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def of(**methods: Any) -> Any:
    """A layer of a class with these methods, called in training, and back."""
    kind = type("Mine", (Plain,), methods)
    layer = kind()
    layer(X, training=True)
    layer.backward(np.ones_like(X))
    return layer


def adding(*arguments: Any, **more: Any) -> Any:
    return of(build=lambda self, shape: self.add_weight(*arguments, **more))


def twice(self: Any, shape: Any) -> None:
    for _ in range(2):
        self.add_weight((1,), name="w")


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: of(call=lambda self, x: x[:, 0]), ValueError, r"mine: expected y of shape \(4, 6, 3\), which compute_output_shape says, got \(4, 3\)"),
    (lambda: of(call=lambda self, x: "y"), TypeError, "mine: y: expected real numbers"),
    (lambda: of(backward=lambda self, dy: dy[:1]), ValueError, r"mine: expected dx of shape \(4, 6, 3\) from backward, as x is, got \(1, 6, 3\)"),
    (lambda: of(backward=lambda self, dy: None), TypeError, "mine: dx: expected real numbers"),
    (lambda: of(backward=nn.Layer.backward), NotImplementedError, "Mine: expected backward to be overridden"),
    (lambda: nn.Layer()(X), NotImplementedError, "Layer: expected call to be overridden"),
    (lambda: type("Mine", (nn.Dense,), {"call": lambda self, x: x}), TypeError, "Mine: expected Layer itself as the base of a class with call, got Dense"),
    (lambda: of(supports_masking=True, compute_mask=lambda self, x, mask: x), ValueError, r"mine: mask: expected booleans of shape \(4, 6\) from compute_mask, got float32"),
    (lambda: Plain().add_weight((1,)), RuntimeError, "plain: expected add_weight in build alone"),
    (lambda: adding((None,)), ValueError, r"mine: shape: expected integers, got \(None,\)"),
    (lambda: adding((0,)), ValueError, "shape: expected sizes of at least 1"),
    (lambda: adding((1,), "glorot"), ValueError, "initializer: expected a known name, got 'glorot'"),
    (lambda: adding((1,), regularizer=3), TypeError, "regularizer: expected"),
    (lambda: adding((1,), constraint="max"), ValueError, "constraint: expected a known name"),
    (lambda: adding((1,), trainable=None), TypeError, "trainable: expected True or False, got None"),
    (lambda: of(build=twice), ValueError, "mine: name: expected one that no weight has yet, got 'w'"),
    (lambda: type("Mine", (Plain,), {"__init__": lambda self, size: nn.Layer.__init__(self)})(3).get_config(), TypeError, "mine: expected an attribute 'size', as the constructor's argument"),
    (lambda: nn.saving.register_keras_serializable()(dict), TypeError, "dict: expected a class that derives from one of Layer, Loss"),
    (lambda: nn.saving.register_keras_serializable()(3), TypeError, "custom_objects: expected a class, got 3"),
    (lambda: nn.saving.register_keras_serializable(3), TypeError, "package: expected a str, got int"),
    (lambda: nn.saving.register_keras_serializable()(type("LSTM", (Plain,), {})), ValueError, "LSTM: expected a name that no class here has"),
    (lambda: nn.load_model("m.safetensors", custom_objects=[Plain]), TypeError, "custom_objects: expected a dict of names to classes, got list"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=lambda one: one if isinstance(one, str) else "")
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
