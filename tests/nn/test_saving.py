"""Models in files: all of them back, training that goes on bit for bit, and files that are damaged or mean harm."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy as safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm import nn
from fastlstm.nn._src import saving

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 6, 4)).astype(np.float32)
Y = RNG.integers(0, 3, (40, 6))


def rich(seed: int = 0) -> nn.Sequential:
    """Every layer, and random numbers of every origin."""
    model = nn.Sequential(
        [
            nn.Masking(9.0, input_shape=(None, 4)),
            nn.LSTM(5, return_sequences=True, dropout=0.2, kernel_regularizer=nn.regularizers.L1L2(1e-3, 1e-4)),
            nn.Bidirectional(nn.LSTM(3, return_sequences=True, dropout=0.1, seed=4), "sum", name="both ways"),
            nn.Dropout(0.1, seed=7, noise_shape=(None, 1, None)),
            nn.LSTM(4, return_sequences=True, stateful=True, bias_initializer=nn.initializers.RandomNormal(seed=3)),
            nn.Bidirectional(nn.LSTM(3, stateful=True, return_sequences=True, cell="projected", projection_size=2)),
            nn.LSTM(3, return_sequences=True, cell="peephole"),
            nn.LSTM(5, return_sequences=True, cell="normalized"),
            nn.TimeDistributed(nn.Dense(4, "tanh")),
            nn.TimeDistributed(nn.Dropout(0.1, seed=9)),
            nn.Dense(3, "softmax", use_bias=False),
        ],
        seed=seed,
        name="rich",
    )
    rate = nn.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)
    optimizer = nn.optimizers.Adam(rate, clipnorm=1.0, weight_decay=0.01)
    optimizer.exclude_from_weight_decay(["bias"])
    model.compile(
        optimizer,
        "sparse_categorical_crossentropy",
        ["accuracy", nn.metrics.SparseTopKCategoricalAccuracy(2)],
        weighted_metrics=["sparse_categorical_crossentropy"],
    )
    return model


def fit(model: Any, epochs: int, **more: Any) -> Any:
    return model.fit(X, Y, batch_size=20, epochs=epochs, initial_epoch=model.epoch, verbose=0, **more)


def test_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = rich()
    fit(whole, 2)
    expected = fit(whole, 4).history
    part = rich()
    fit(part, 2)
    part.save(tmp_path / "m.safetensors")
    again = nn.load_model(tmp_path / "m.safetensors")
    assert again.epoch == 2
    assert again.optimizer.excluded_from_weight_decay == ("bias",)
    assert fit(again, 4).history == {name: values[-2:] for name, values in expected.items()}
    np.testing.assert_array_equal(again.flat_params, whole.flat_params)
    assert again.get_config() == whole.get_config()
    assert os.listdir(tmp_path) == ["m.safetensors"]
    fit(part, 4)  # saving changes nothing
    np.testing.assert_array_equal(part.flat_params, whole.flat_params)


@pytest.mark.parametrize(
    "optimizer",
    ["sgd", "rmsprop", "adamw", nn.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
     nn.optimizers.RMSprop(0.01, momentum=0.5, centered=True), nn.optimizers.Adam(amsgrad=True, global_clipnorm=0.1)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_optimizers_go_on(optimizer: Any, dtype: str, tmp_path: Path) -> None:
    def made() -> nn.Sequential:
        model = nn.Sequential([nn.LSTM(4, input_shape=(6, 4), dtype=dtype), nn.Dense(1, dtype=dtype)], seed=1)
        again = optimizer if isinstance(optimizer, str) else type(optimizer).from_config(optimizer.get_config())
        model.compile(again, nn.losses.Huber(0.5), ["mae"])
        return model

    y = Y[:, 0].astype(float)
    whole, part = made(), made()
    part.fit(X, y, verbose=0)
    if not callable(part.optimizer.get_config().get("learning_rate")):
        part.optimizer.learning_rate = 0.002
    part.save(tmp_path / "m")
    part = nn.load_model(tmp_path / "m")
    part.fit(X, y, verbose=0)
    whole.fit(X, y, verbose=0)
    whole.optimizer.learning_rate = 0.002
    whole.fit(X, y, verbose=0)
    np.testing.assert_array_equal(part.flat_params, whole.flat_params)
    assert part.loss.get_config() == whole.loss.get_config()


def test_a_model_from_a_file_is_saved_again(tmp_path: Path) -> None:
    model = rich()
    fit(model, 1)
    model.save(tmp_path / "m")
    again = nn.load_model(tmp_path / "m")
    again.save(tmp_path / "n")
    assert (tmp_path / "n").read_bytes() == (tmp_path / "m").read_bytes()


def test_more_metrics_than_a_file_may_have(tmp_path: Path) -> None:
    model = nn.Sequential([nn.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse", [nn.metrics.AUC(num_thresholds=2, name=f"auc {n}") for n in range(101)])
    with pytest.raises(ValueError, match="metrics: expected a list of at most 100"):
        model.save(tmp_path / "m")


def test_checkpoints_of_a_run(tmp_path: Path) -> None:
    whole = rich()
    fit(whole, 3, callbacks=[nn.callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors")])
    assert sorted(os.listdir(tmp_path)) == ["1.safetensors", "2.safetensors", "3.safetensors"]
    again = nn.load_model(tmp_path / "1.safetensors")
    fit(again, 3)
    np.testing.assert_array_equal(again.flat_params, whole.flat_params)


def test_without_training(tmp_path: Path) -> None:
    model = nn.Sequential([nn.LSTM(4, input_shape=(None, 4)), nn.Dense(1)])
    model.save(tmp_path / "m")
    again = nn.load_model(str(tmp_path / "m"))
    assert not again.compiled
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    trained = rich()
    fit(trained, 1)
    trained.save(tmp_path / "t")
    assert not nn.load_model(tmp_path / "t", compile=False).compiled


def test_weights_alone(tmp_path: Path) -> None:
    one, two = rich(0), rich(1)
    one.save_weights(tmp_path / "w")
    two.load_weights(tmp_path / "w")
    np.testing.assert_array_equal(one.flat_params, two.flat_params)
    one.save(tmp_path / "m")
    three = rich(2)
    three.load_weights(tmp_path / "m")
    np.testing.assert_array_equal(one.flat_params, three.flat_params)
    with pytest.raises(ValueError, match="path: expected a whole model, got a file without one"):
        nn.load_model(tmp_path / "w")
    other = nn.Sequential([nn.LSTM(5, name="other", input_shape=(None, 4))])
    before = other.flat_params.copy()
    with pytest.raises(ValueError, match="expected the model's weights"):
        other.load_weights(tmp_path / "w")
    wide = nn.Sequential([nn.LSTM(6, input_shape=(None, 4))])
    wide.save_weights(tmp_path / "wide")
    narrow = nn.Sequential([nn.LSTM(5, input_shape=(None, 4))])
    with pytest.raises(ValueError, match=r"expected weights/lstm/kernel of shape \(4, 20\) and float32, got \(4, 24\)"):
        narrow.load_weights(tmp_path / "wide")
    np.testing.assert_array_equal(other.flat_params, before)


def test_others_can_read_the_weights(tmp_path: Path) -> None:
    model = rich()
    model.save(tmp_path / "m")
    found = safetensors.load_file(tmp_path / "m")
    np.testing.assert_array_equal(found["weights/lstm/kernel"], model.layers[1].params["kernel"])


@pytest.mark.parametrize("broken", ["replace", "fsync", "write"])
def test_a_crash_leaves_the_old_file(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = rich()
    path = tmp_path / "m"
    model.save(path)
    before = path.read_bytes()
    model.flat_params += 1

    def crash(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        if broken == "write":
            patch.setattr(saving, "write_whole", lambda name, write: real(name, lambda file: (write(file), crash())))
        else:
            patch.setattr(os, broken, crash)
        with pytest.raises(OSError, match="no space left"):
            model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]
    link = tmp_path / "link"
    link.symlink_to(path)
    model.save(link)
    assert link.is_symlink()
    assert path.read_bytes() != before
    assert stat.S_ISREG(path.stat().st_mode)


real = saving.write_whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "m"
    model = nn.Sequential([nn.LSTM(3, input_shape=(None, 4)), nn.Dense(1)], seed=0)
    model.compile("adam", "mse", ["mae"])
    model.fit(X, Y[:, 0], verbose=0)
    model.save(path)
    return path


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_cut_off(whole: Path, share: float) -> None:
    content = whole.read_bytes()
    path = whole.with_name("cut")
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="path: expected a "):
        nn.load_model(path)


@settings(max_examples=150, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_one_wrong_byte(whole: Path, share: float, byte: int) -> None:
    """Either a number is another one, or the error is one that says so."""
    content = bytearray(whole.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    content[int(share * header)] = byte
    path = whole.with_name("wrong")
    path.write_bytes(content)
    said, model = "path: expected ", None
    try:
        model = nn.load_model(path)
    except ValueError as error:
        said = str(error)
    assert said.startswith("path: expected ")
    assert model is None or isinstance(model, nn.Sequential)


def altered(whole: Path, change: Any) -> Path:
    """The file again, after `change` has had its tensors and what it says."""
    from safetensors import safe_open

    with safe_open(whole, framework="numpy") as file:
        about = json.loads(file.metadata()["fastlstm.nn"])
    tensors = safetensors.load_file(whole)
    made = change(tensors, about)
    path = whole.with_name("altered")
    metadata = {"fastlstm.nn": json.dumps(about) if made is None else made}
    path.write_bytes(safetensors.save(tensors, metadata))
    return path


def layers(about: Any) -> Any:
    return about["model"]["layers"]


def loss_of(**config: Any) -> Any:
    """A change of the file's loss."""
    record = {"class_name": "SparseCategoricalCrossentropy", "config": config}
    return lambda t, a: a["compiled"].update(loss=record)


def metric_of(kind: str, **config: Any) -> Any:
    """A change of the file's metrics."""
    return lambda t, a: a["compiled"].update(metrics=[{"class_name": kind, "config": config}])


def optimizer_of(**config: Any) -> Any:
    """A change of what the file says of its Adam."""
    return lambda t, a: a["compiled"]["optimizer"]["config"].update(config)


def schedule_of(**config: Any) -> Any:
    """A change of the file's learning rate."""
    whole = {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, **config}
    return optimizer_of(learning_rate={"class_name": "ExponentialDecay", "config": whole})


def nested(depth: int) -> Any:
    """A change to a layer in a layer in a layer."""
    around = '{"class_name": "TimeDistributed", "config": {"layer": '

    def change(tensors: Any, about: Any) -> str:
        whole = json.dumps(about)
        first = json.dumps(layers(about)[0])
        return whole.replace(first, around * depth + first + "}}" * depth)

    return change


HOSTILE = {
    "gigabytes of thresholds": (metric_of("AUC", num_thresholds=10**9), "num_thresholds: expected 2 to 100000, got 10"),
    "thresholds of words": (metric_of("AUC", thresholds=["x"]), "expected a number, got str"),
    "no metric": (metric_of("Mean"), "metric: expected a known name, got 'Mean'"),
    "a metric's flag": (metric_of("AUC", from_logits="no"), "from_logits: expected True or False, got 'no'"),
    "a metric's name": (metric_of("AUC", name=[]), "name: expected a str, got list"),
    "a metric's argument": (metric_of("R2Score", k=3), "R2Score does not take .*'k'"),
    "k": (metric_of("TopKCategoricalAccuracy", k=0), "k: expected at least 1, got 0"),
    "metrics": (lambda t, a: a["compiled"].update(metrics="mse"), "metrics: expected a list of at most 100, got 'mse'"),
    "many metrics": (lambda t, a: a["compiled"].update(metrics=["mse"] * 101), "metrics: expected a list of at most"),
    "a metric of numbers": (lambda t, a: a["compiled"].update(metrics=[3]), "metrics: expected a str, got int"),
    "spared": (lambda t, a: a["compiled"].update(spared="bias"), "spared: expected a list of names, got 'bias'"),
    "no such class": (loss_of(ignore_class=2**63), "ignore_class: expected at most 9223372036854775807"),
    "half a class": (loss_of(ignore_class=0.5), "ignore_class: expected an integer, got float"),
    "a loss's flag": (loss_of(from_logits=1), "from_logits: expected True or False, got 1"),
    "a loss's name": (loss_of(name=""), "name: expected a str that is not empty"),
    "an infinite rate": (optimizer_of(learning_rate=float("inf")), "learning_rate: expected a finite number, got inf"),
    "no rate": (optimizer_of(learning_rate=float("nan")), "learning_rate: expected a finite number, got nan"),
    "a rate past all floats": (optimizer_of(learning_rate=10**400), "learning_rate: expected a finite number, got inf"),
    "an optimizer's flag": (optimizer_of(amsgrad="no"), "amsgrad: expected True or False, got 'no'"),
    "an optimizer's name": (optimizer_of(name=3), "name: expected a str, got int"),
    "steps of nothing": (schedule_of(decay_steps=1e-308), "decay_steps: expected at least 1, got 1e-308"),
    "a schedule's flag": (schedule_of(staircase=2), "staircase: expected True or False, got 2"),
    "a cell of lists": (lambda t, a: layers(a)[0]["config"].update(cell=[]), "cell: expected one of"),
    "a size past all integers": (lambda t, a: layers(a)[0]["config"].update(units=2**64), "units: expected at most"),
    "time past all integers": (
        lambda t, a: a["model"].update(input_shape=[None, 2**64, 4]),
        "expected sizes of at most",
    ),
    "a class of lists": (lambda t, a: layers(a)[0].update(class_name=[]), "expected one of .*, got \\[\\]"),
    "nested": (nested(4), "layers: expected|expected x of at least 3 axes"),
    "deeply nested": (nested(220), "."),
    "a strange tensor": (lambda t, a: t.update(other=np.ones(3)), "tensors: expected weights/, .*got 'other'"),
    "an optimizer's, for none": (
        lambda t, a: a.pop("compiled") and None,
        "tensors: expected weights/, state/, got 'opt",
    ),
    "an unknown layer": (lambda t, a: layers(a)[0].update(class_name="os.system"), "got 'os.system'"),
    "a known function": (
        lambda t, a: layers(a)[0].update(class_name="Sequential"),
        "expected one of .*got 'Sequential'",
    ),
    "an unknown argument": (lambda t, a: layers(a)[0]["config"].update(gate="x"), "no argument 'gate'"),
    "huge units": (lambda t, a: layers(a)[0]["config"].update(units=10**12), "expected weights/lstm/kernel of shape"),
    "huge features": (lambda t, a: a["model"].update(input_shape=[None, None, 10**15]), "expected weights/lstm/kernel"),
    "no shape": (lambda t, a: a["model"].update(input_shape=None), "input_shape: expected a tuple, got None"),
    "no list": (lambda t, a: a["model"].update(layers={}), "expected a dict with a list of layers"),
    "no record": (lambda t, a: a["model"].update(layers=[3]), "expected dicts of class_name and config"),
    "no config": (lambda t, a: layers(a)[0].update(config=[]), "expected a dict as config"),
    "another name": (lambda t, a: layers(a)[0]["config"].update(name="other"), "without .*weights/other"),
    "another optimizer": (lambda t, a: a["compiled"]["optimizer"].update(class_name="Evil"), "optimizer: .*'Evil'"),
    "another loss": (lambda t, a: a["compiled"].update(loss="no_loss"), "loss: expected a known name"),
    "epoch": (lambda t, a: a.update(epoch=-3), "epoch: expected an integer, at least 0, got -3"),
    "generator": (lambda t, a: a["generators"].update({"": {"bit_generator": "MT19937"}}), "generator: expected"),
    "generators": (lambda t, a: a.update(generators={"": a["generators"][""], "no/rng": a["generators"][""]}), "no"),
    "missing": (lambda t, a: a.pop("generators") and None, "generators"),
    "version": (lambda t, a: a.update(version=99), "expected format 1, got 99"),
    "missing weights": (lambda t, a: t.pop("weights/dense/bias") is None or None, "without .*weights/dense/bias"),
    "more weights": (lambda t, a: t.update({"weights/dense/more": np.ones(3)}), "with .*weights/dense/more"),
    "other type": (lambda t, a: t.update({"weights/dense/bias": np.ones(1)}), "float32, got .*float64"),
    "other shape": (lambda t, a: t.update({"weights/dense/bias": np.ones(2, np.float32)}), r"\(1,\) and float32, got"),
    "optimizer's": (lambda t, a: t.update({"optimizer/velocity": np.ones(3, np.float32)}), "state"),
    "iterations": (lambda t, a: t.update({"optimizer/iterations": np.array(-1)}), "at least 0, got -1"),
    "state": (lambda t, a: t.update({"state/lstm/h": np.ones((3, 3), np.float32)}), "expected h and c of a stateful"),
    "deep": (lambda t, a: "[" * 100_000, "expected JSON"),
    "no JSON": (lambda t, a: "{", "expected JSON"),
    "a number": (lambda t, a: "3", "expected format 1, got 3"),
    "a string": (lambda t, a: '"x"', "expected format 1, got 'x'"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str, whole: Path) -> None:
    change, message = HOSTILE[name]
    with pytest.raises(ValueError, match=message) as caught:
        nn.load_model(altered(whole, change))
    assert str(caught.value).startswith("path: expected ")


def test_other_files(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "m"
    with pytest.raises(FileNotFoundError):
        nn.load_model(path)
    for content in (b"", b"abc", b"\xff" * 100, (2**63).to_bytes(8, "little") + b"{}", b"PK\x03\x04" * 10):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="path: expected a safetensors file"):
            nn.load_model(path)
    path.write_bytes(safetensors.save({"a": np.ones(3)}))
    with pytest.raises(ValueError, match=r"path: expected a file that save wrote, got one without 'fastlstm.nn'"):
        nn.load_model(path)
    with pytest.raises(TypeError, match="path: expected str or path-like, got int"):
        nn.load_model(3)


def test_noise_of_another_shape(tmp_path: Path, whole: Path) -> None:
    """Refused where it can be seen: in a file, or when batches come, before memory is taken for it."""
    model = nn.Sequential([nn.Dropout(0.5, noise_shape=(None, 10**12, None), input_shape=(None, 4)), nn.Dense(1)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m")
    again = nn.load_model(tmp_path / "m")
    with pytest.raises(
        ValueError, match=r"dropout: expected noise_shape .*1000000000000.* to fit x of shape \(32, 6, 4\)"
    ):
        again.fit(X, Y, verbose=0)
    path = altered(tmp_path / "m", lambda t, a: a["model"].update(input_shape=[None, 6, 4]))
    with pytest.raises(ValueError, match=r"dropout: expected noise_shape .* to fit x of shape \(None, 6, 4\)"):
        nn.load_model(path)


def test_what_a_file_cannot_describe(tmp_path: Path) -> None:
    class Own(nn.losses.MeanSquaredError):
        pass

    class OwnLayer(nn.Dense):
        pass

    model = nn.Sequential([nn.Dense(1, input_shape=(3,))])
    with pytest.raises(ValueError, match="expected a model that has been built"):
        nn.Sequential([nn.Dense(1)]).save(tmp_path / "m")
    model.compile("sgd", Own())
    with pytest.raises(ValueError, match=r"loss: expected one of fastlstm.nn's own to be saved"):
        model.save(tmp_path / "m")
    model.compile("sgd", "mse", [lambda y, p: (y - p).mean(axis=-1)])
    with pytest.raises(ValueError, match=r"metrics: expected one of fastlstm.nn's own"):
        model.save(tmp_path / "m")
    model.add(OwnLayer(2))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"layers: expected one of .*, got 'OwnLayer'"):
        model.save(tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    model = rich()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install safetensors"):
        model.save(tmp_path / "m")
