"""Writes keras_files/: small files as Keras writes them, and what the models in them put out.

Needs Keras 3 on any backend, and h5py. Files of Keras 2 are made from those of Keras 3: configuration and names as that
wrote them.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "keras_files"


def models(keras: Any) -> dict[str, Any]:
    L = keras.layers
    keras.utils.set_random_seed(5)
    whole = keras.Sequential(
        [
            L.Input((None, 3)),
            L.Masking(0.5, name="mask"),
            L.LSTM(4, return_sequences=True, kernel_regularizer="l2", bias_initializer="glorot_normal", name="memory"),
            L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum", name="both"),
            L.Dropout(0.1),
            L.TimeDistributed(L.Dense(2, "tanh"), name="each"),
            L.LSTM(3, use_bias=False, go_backwards=True, name="last"),
            L.Dense(2, "softmax", name="head"),
        ],
        name="whole",
    )
    before = keras.Sequential(
        [
            L.Input((5, 3)),
            L.GRU(4, reset_after=False, return_sequences=True, bias_initializer="glorot_normal", name="before"),
            L.GRU(2, name="after", bias_initializer="glorot_normal"),
        ]
    )
    x = L.Input((5, 3))
    inner = keras.Sequential([L.Input((5, 3)), L.LSTM(2, return_sequences=True, name="deep")], name="inside")
    y = L.RNN(L.LSTMCell(3), return_sequences=True, name="cell")(inner(x))
    y = L.Bidirectional(L.LSTM(2), name="both")(L.Conv1D(2, 1)(y))
    return {"whole": whole, "before": before, "functional": keras.Model(x, L.Dense(1)(y), name="functional")}


def random_biases(model: Any, rng: np.random.Generator) -> None:
    model.set_weights([rng.standard_normal(w.shape).astype(w.dtype) * 0.5 for w in model.get_weights()])


def older(value: Any) -> Any:
    """A description as Keras 2 writes it."""
    if isinstance(value, list):
        return [older(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    gone = {"module", "registered_name", "build_config", "quantization_config", "optional", "input_axes", "output_axes",
            "build_input_shape", "shared_object_id"}  # fmt: skip
    found = {key: older(one) for key, one in value.items() if key not in gone}
    if "batch_shape" in found:
        found["batch_input_shape"] = found.pop("batch_shape")
    if "merge_mode" in found:  # the other layer is told by the one
        del found["backward_layer"]
        found["layer"]["config"]["name"] = found["layer"]["config"]["name"].removeprefix("forward_")
    if "unroll" in found:
        found.pop("zero_output_for_mask")
        found |= {"time_major": False, "implementation": 2}
        found.pop("seed", None)
    return found


def keras_2(path: Path, source: Path) -> None:
    """An .h5 file of Keras 2."""
    import h5py

    with h5py.File(source) as old, h5py.File(path, "w") as new:
        config = older(json.loads(old.attrs["model_config"]))
        config["config"].pop("dtype", None)
        config["config"].pop("trainable", None)
        training = {
            "loss": "mse", "weighted_metrics": None, "loss_weights": None,
            "metrics": [[{"class_name": "MeanMetricWrapper", "config":
                          {"name": "mae", "dtype": "float32", "fn": "mean_absolute_error"}}]],
            "optimizer_config": {"class_name": "Custom>Adam", "config": {
                "name": "Adam", "weight_decay": None, "clipnorm": None, "global_clipnorm": None, "clipvalue": None,
                "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None, "jit_compile": False,
                "is_legacy_optimizer": False, "learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07,
                "amsgrad": False}},
        }  # fmt: skip
        new.attrs["model_config"], new.attrs["training_config"] = json.dumps(config), json.dumps(training)
        new.attrs["keras_version"], new.attrs["backend"] = "2.15.0", "tensorflow"
        weights = new.create_group("model_weights")
        weights.attrs["keras_version"], weights.attrs["backend"] = "2.15.0", "tensorflow"
        weights.attrs["layer_names"] = np.array([name.encode() for name in old["model_weights"].attrs["layer_names"]])
        for name in old["model_weights"].attrs["layer_names"]:
            group, own = weights.create_group(name), old["model_weights"][name]
            listed = [f"{one.removeprefix('whole/')}:0" for one in own.attrs["weight_names"]]
            group.attrs["weight_names"] = np.array([one.encode() for one in listed])
            for one, before in zip(listed, own.attrs["weight_names"], strict=True):
                group.create_dataset(one, data=own[before][()])


def keras_2_archive(path: Path, source: Path) -> None:
    """A .keras file of Keras 2.13."""
    import h5py

    with zipfile.ZipFile(source) as old:
        config, weights = json.loads(old.read("config.json")), io.BytesIO(old.read("model.weights.h5"))
    del config["compile_config"]
    config["config"]["layers"] = [
        {"module": "keras.layers", "registered_name": None, **older(one)} for one in config["config"]["layers"]
    ]
    with h5py.File(weights) as old, h5py.File(room := io.BytesIO(), "w") as new:

        def copied(name: str, thing: Any) -> None:
            if isinstance(thing, h5py.Dataset) and name.startswith("layers/"):
                new.create_dataset(name.replace("layers/", "_layer_checkpoint_dependencies/", 1), data=thing[()])

        old.visititems(copied)
    archive(path, config, room.getvalue())


def archive(path: Path, config: Any, weights: bytes) -> None:
    with zipfile.ZipFile(path, "w") as new:
        for name, data in (("metadata.json", b'{"keras_version": "2.13.1"}'), ("config.json", json.dumps(config)),
                           ("model.weights.h5", weights)):  # fmt: skip
            new.writestr(zipfile.ZipInfo(name), data)


def hostile() -> None:
    """Weights of an LSTM, with something in the kernel's place that is not to be followed or made."""
    import h5py

    def soft(group: Any) -> None:
        group["0"] = h5py.SoftLink("/elsewhere")

    def external_link(group: Any) -> None:
        group["0"] = h5py.ExternalLink("other.h5", "/x")

    def external_data(group: Any) -> None:
        group.create_dataset("0", (3, 8), "f4", external=[("other.raw", 0, 96)])

    def virtual(group: Any) -> None:
        layout = h5py.VirtualLayout((3, 8), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3, 8))
        group.create_virtual_dataset("0", layout)

    def huge(group: Any) -> None:
        group.create_dataset("0", (10**7, 8), "f4", chunks=(1024, 8), compression="gzip")

    def huge_chunk(group: Any) -> None:
        group.create_dataset("0", (3, 8), "f4", chunks=(2**24, 8), maxshape=(None, 8))

    def text(group: Any) -> None:
        group.create_dataset("0", (3, 8), h5py.string_dtype())

    def circle(group: Any) -> None:
        layer = group.parent.parent
        layer["a"] = layer["b"] = group.file["/"]

    for make in (soft, external_link, external_data, virtual, huge, huge_chunk, text, circle):
        with h5py.File(FOLDER / f"hostile-{make.__name__.replace('_', '-')}.h5", "w") as file:
            group = file.create_group("layers/lstm/cell/vars")
            make(group)
            if make is not circle:
                group["1"], group["2"] = np.ones((2, 8), np.float32), np.ones(8, np.float32)


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    FOLDER.mkdir(exist_ok=True)
    rng, arrays = np.random.default_rng(3), {}
    for name, model in models(keras).items():
        random_biases(model, rng)
        x = rng.standard_normal((4, 5, 3)).astype(np.float32)
        if name == "whole":
            x[1, 3:] = 0.5
            model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), "mse", metrics=["mae"])
            model.fit(x, rng.standard_normal((4, 2)), epochs=2, verbose=0)
        arrays |= {f"{name}/x": x, f"{name}/y": model.predict(x, verbose=0)}
        arrays |= {f"{name}/{i}": w for i, w in enumerate(model.get_weights())}
        model.save(FOLDER / f"{name}.keras")
        if name != "functional":
            model.save(FOLDER / f"{name}.h5")
    models(keras)
    whole = keras.models.load_model(FOLDER / "whole.keras")
    whole.save_weights(FOLDER / "only.weights.h5")
    keras_2(FOLDER / "keras2.h5", FOLDER / "whole.h5")
    keras_2_archive(FOLDER / "keras2.keras", FOLDER / "whole.keras")
    (FOLDER / "before.keras").unlink()
    hostile()
    np.savez(FOLDER / "outputs.npz", **arrays)


if __name__ == "__main__":
    main()
