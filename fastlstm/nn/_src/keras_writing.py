"""Models to Keras's files: .keras, as Keras 3 writes and reads it."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from ...files import file_name, write_whole
from ...formats.hdf5 import Dataset
from ...formats.keras_file import VECTORS, content_of, snake_case
from . import metrics, registry
from .architecture import parts_of
from .base import Array, Layer
from .keras_reading import arrays_for, described, slot_order
from .layers import SpatialDropout1D

SUFFIX, WEIGHTS_SUFFIX = ".keras", ".weights.h5"
_VERSION = "3.8.0"  # whose layout it is; later ones read it too
_OWN: dict[str, Any] = {
    "cell": "standard",
    "projection_size": None,
    "first_state": None,
}  # what Keras has not, and what it then is
_POLICY = {"module": "keras", "class_name": "DTypePolicy", "registered_name": None}


def save_keras(model: Any, path: Any, compiled: Mapping[str, Any] | None) -> None:
    """Write a model to a .keras file: `save_model`'s part for such names.

    compiled: what `compile` was given, if it was. Before the file comes to its place it is read again, and has to give
    the same weights. Inputs, and what `fastlstm.reference` makes of them, go into it, where a plan says all that the
    model does.

    Raises
    ------
    ImportError
        The package h5py is missing.
    ValueError, TypeError, OSError
        As `save_model`; cells, or exceptions of weight decay, that Keras has not.
    """
    content = check(model, compiled)
    target = file_name(path)
    model._built()
    content["weights"], content["vectors"] = _weights(model, optimizer=True), _vectors(model)
    data = _archive(content)
    with content_of(data, target) as file:
        _check_same(model, described(file)[1], target)
    write_whole(target, lambda file: file.write(data))


def save_keras_weights(model: Any, path: Any) -> None:
    """Write a model's weights to a .weights.h5 file: `save_weights`'s part for such names.

    Before the file comes to its place it is read again, and has to give the same weights.

    Raises
    ------
    ImportError
        The package h5py is missing.
    ValueError, TypeError, OSError
        As `save_weights`.
    """
    target = file_name(path)
    model._built()
    data = _weights(model, optimizer=False)
    with content_of(data, target) as file:
        _check_same(model, arrays_for(model.layers, file), target)
    write_whole(target, lambda file: file.write(data))


def _check_same(model: Any, found: Sequence[Sequence[Dataset]], target: str) -> None:
    """Whether a file holds the model's weights. found: the arrays of each layer."""
    same = all(np.array_equal(array, there.read(), equal_nan=True)
               for layer, own in zip(model.layers, found, strict=True)
               for array, there in zip(layer.params.values(), own, strict=True))  # fmt: skip
    if not same:
        raise RuntimeError(f"{model.name}: expected the same weights from what was written, got others; {target!r} was "
                           "not touched")  # fmt: skip


def check(model: Any, compiled: Mapping[str, Any] | None) -> dict[str, Any]:
    """What `save_keras` will write besides numbers; errors as there, as far as they can be known before the model is
    built."""
    library()
    parts_of(json.loads(json.dumps(model.get_config())))  # what could not be read again is not written
    return {"model": _model(model, compiled)}


def _vectors(model: Any) -> dict[str, Any] | None:
    """What proves the file, which has no states that layers carry; None where a layer has no description, or weights
    are not finite."""
    from ...formats import plan, proof, vectors

    try:
        stages = plan.plan_of(model).stages
    except ValueError:
        return None
    begun = (one._replace(states=None) if isinstance(one, plan.Recurrent) else one for one in stages)
    return vectors.vectors_of(proof.cases(plan.planned(tuple(begun))), None)


def library() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("saving models as .keras files: expected the package h5py, which is not installed "
                          "(pip install h5py)") from error  # fmt: skip
    return h5py


# the description


def _model(model: Any, compiled: Mapping[str, Any] | None) -> dict[str, Any]:
    shape = None if model._input is None else list(model._input)
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": shape, "dtype": model.dtype.name, "sparse": False, "name": "input_layer"},
        "registered_name": None,
    }
    layers = [first, *(_layer(layer, layer.get_config()) for layer in model.layers)]
    config = {"name": model.name, "trainable": True, "dtype": _policy(model.dtype.name), "layers": layers,
              "build_input_shape": shape}  # fmt: skip
    found = {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None,
             "build_config": {"input_shape": shape}}  # fmt: skip
    if compiled is not None:
        found["compile_config"] = _compiled(compiled)
    return found


def _policy(dtype: Any) -> dict[str, Any]:
    return {**_POLICY, "config": {"name": dtype}}


def _refuse_own(kind: str) -> None:
    if kind in registry.OWN:
        raise ValueError(f"{kind}: expected what Keras has in a .keras file, got a class of your own; a .safetensors "
                         "file takes it")  # fmt: skip


def _layer(layer: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_own(type(layer).__name__)
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key in _OWN:
            if value != _OWN[key]:
                raise ValueError(f"{layer.name}.{key}: expected {_OWN[key]!r} in a .keras file, as Keras has no other, "
                                 f"got {value!r}; a .safetensors file takes it")  # fmt: skip
        elif key == "dtype":
            found[key] = _policy(value)
        elif key in ("layer", "backward_layer"):
            inner = layer.layer if key == "layer" else layer.backward_layer
            found[key] = _layer(inner, value["config"])
        elif isinstance(value, dict):
            found[key] = _thing(value, key.rpartition("_")[2] + "s")
        elif key == "trainable" and type(layer) is SpatialDropout1D:
            continue  # Keras's takes none
        else:
            found[key] = value
    record = {"module": "keras.layers", "class_name": type(layer).__name__, "config": found, "registered_name": None}
    if layer.built:
        record["build_config"] = {"input_shape": list(layer.input_shape)}
    return record


def _thing(record: Mapping[str, Any], module: str, **more: Any) -> dict[str, Any]:
    _refuse_own(record["class_name"])
    return {"module": f"keras.{module}", "class_name": record["class_name"], "config": {**record["config"], **more},
            "registered_name": None}  # fmt: skip


def _compiled(made: Mapping[str, Any]) -> dict[str, Any]:
    if made["spared"]:
        raise ValueError(f"exclude_from_weight_decay: expected nothing in a .keras file, as Keras keeps no such names, "
                         f"got {made['spared']}; a .safetensors file takes them")  # fmt: skip
    optimizer = _thing(made["optimizer"], "optimizers")
    if isinstance(optimizer["config"]["learning_rate"], dict):
        optimizer["config"]["learning_rate"] = _thing(
            optimizer["config"]["learning_rate"], "optimizers.schedules"
        )  # fmt: skip
    loss = made["loss"]
    return {
        "optimizer": optimizer,
        "loss": loss if isinstance(loss, str) else _thing(loss, "losses", reduction="sum_over_batch_size"),
        "loss_weights": None,
        "metrics": [_metric(one) for one in made["metrics"]] or None,
        "weighted_metrics": [_metric(one) for one in made["weighted_metrics"]] or None,
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _metric(record: Any) -> Any:
    if isinstance(record, str):
        return record
    if record["class_name"] == metrics.LossMetric.__name__:
        return _thing(record["config"]["loss"], "metrics", name=record["config"]["name"])
    return _thing(record, "metrics")


# the numbers


def _weights(model: Any, *, optimizer: bool) -> bytes:
    """An HDF5 file of all arrays, in groups called like the layers' classes; of the optimizer's too where wanted."""
    h5py, room = library(), BytesIO()
    with h5py.File(room, "w") as file:
        used: Counter[str] = Counter()
        for layer in model.layers:
            kind = snake_case(type(layer).__name__)
            _write(file, f"layers/{kind}_{used[kind]}" if used[kind] else f"layers/{kind}", layer)
            used[kind] += 1
        file.create_group("vars").attrs["name"] = model.name
        if optimizer and model.compiled and model.optimizer.built:
            _variables(file, "optimizer", model.optimizer.name, _kept(model))
    return room.getvalue()


def _write(file: Any, path: str, layer: Layer) -> None:
    for inner, name in (("forward_layer", "forward_layer"), ("backward_layer", "backward_layer"), ("layer", "layer")):
        own = getattr(layer, inner, None)
        if isinstance(own, Layer) and not (inner == "layer" and hasattr(layer, "forward_layer")):
            _write(file, f"{path}/{name}", own)
    wraps = hasattr(layer, "layer")
    recurrent = hasattr(layer, "return_sequences") and not wraps
    own_arrays = list(layer.params.values())
    _variables(file, path, layer.name, [] if wraps or recurrent else own_arrays)
    if recurrent:
        _variables(file, f"{path}/cell", f"{snake_case(type(layer).__name__)}_cell", own_arrays)


def _variables(file: Any, path: str, name: str, arrays: list[Array]) -> None:
    group = file.create_group(f"{path}/vars")
    group.attrs["name"] = name
    for number, array in enumerate(arrays):
        group.create_dataset(str(number), data=array)


def _kept(model: Any) -> list[Array]:
    """What the optimizer has learned, in Keras's order."""
    state = model.optimizer.state()
    slots = [name for name in state if name not in ("iterations", "learning_rate")]
    found = [state["iterations"].astype(np.int32)]
    if "learning_rate" in state:
        found.append(state["learning_rate"].astype(np.float32))
    places = [(where, array.shape)
              for (_, where), array in zip(model._learning(), model.trainable_weights, strict=True)]  # fmt: skip
    for slot, which in slot_order(model.optimizer, slots, len(places)):
        where, shape = places[which]
        found.append(state[slot][where].reshape(shape))
    return found


def _archive(content: Mapping[str, Any]) -> bytes:
    room = BytesIO()
    entries: tuple[tuple[str, bytes], ...] = (
        ("metadata.json", json.dumps({"keras_version": _VERSION, "date_saved": "1980-01-01@00:00:00"}).encode()),
        ("config.json", json.dumps(content["model"]).encode()),
        ("model.weights.h5", content["weights"]),
    )
    if content["vectors"] is not None:
        entries += ((VECTORS, json.dumps(content["vectors"]).encode()),)
    with zipfile.ZipFile(room, "w") as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data)
    return room.getvalue()
