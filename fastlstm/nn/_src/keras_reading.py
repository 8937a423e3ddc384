"""What Keras's files say of models, as it is said here: names and numbers, of classes that `nn` has. Nothing is run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...formats.hdf5 import Damaged, Dataset, NotTaken
from ...formats.keras_file import (
    KerasFile,
    arrays_by_class,
    arrays_of_layers,
    layer_names,
    layers_of_model,
    name_of,
    named,
    opened,
    optimizer_arrays,
    parts,
    without_layer,
)
from . import constraints, initializers, losses, metrics, optimizers, regularizers, schedules
from .architecture import parts_of, planned
from .base import KNOWN_LAYERS, Array

_HERE = "docs/keras.md lists what is there"
_SILENT = {  # arguments of Keras's that say nothing of the numbers
    "implementation", "unroll", "use_cudnn", "batch_input_shape", "batch_shape", "build_config", "input_length",
    "autocast", "supports_masking",
}  # fmt: skip
_NEUTRAL: dict[str, tuple[Any, ...]] = {  # arguments that are not here, and the values with which they do nothing
    "activity_regularizer": (None,), "gamma_constraint": (None,),
    "beta_constraint": (None,), "time_major": (False,), "lora_rank": (None,), "lora_alpha": (None,),
    "quantization_config": (None,), "weights": (None,), "sparse": (False,), "ragged": (False,), "optional": (False,),
    "input_axes": (None,), "output_axes": (None,), "use_ema": (False,), "loss_scale_factor": (None,),
    "gradient_accumulation_steps": (None,), "decay": (0.0,), "is_legacy_optimizer": (False,), "jit_compile":
    (True, False, None), "reduction": ("sum_over_batch_size", "auto", "mean"), "axis": (-1,), "multi_label": (False,),
    "num_labels": (None,), "label_weights": (None,), "from_logits": (False,), "num_regressors": (0,),
    "registered_name": (None,), "fn": (None,),
}  # fmt: skip
_KINDS: dict[str, Mapping[str, Any]] = {  # by the ends of arguments' names
    "initializer": initializers.KNOWN, "regularizer": regularizers.KNOWN, "constraint": constraints.KNOWN,
}  # fmt: skip
_SILENT_OF_OPTIMIZERS = {"ema_momentum", "ema_overwrite_frequency"}  # while use_ema is false
_MOST = 100  # metrics, as in files of our own


def described(file: KerasFile) -> tuple[dict[str, Any], list[list[Dataset]]]:
    """The model in an open file, as `Sequential.get_config` has it, and each layer's arrays, of the shapes that its
    weights will have."""
    if file.model is None:
        raise NotTaken("expected a whole model, got weights alone: fastlstm.from_keras reads those of recurrent "
                       "layers, model.load_weights takes those of a model of the same layers")  # fmt: skip
    if file.model.get("class_name") != "Sequential":
        raise NotTaken(f"expected a Sequential, got {file.model.get('class_name')!r:.60}: if its layers are a chain, "
                       "make a Sequential of them and call its load_weights; fastlstm.from_keras reads the weights of "
                       "its recurrent layers")  # fmt: skip
    config = {"name": _own_name(file.model), "input_shape": _input_shape(file.model), "layers": []}
    arrays: list[list[Dataset]] = []
    for record, own in arrays_of_layers(file):
        if record["class_name"] != "InputLayer":
            config["layers"].append(_layer(record))
            arrays.append(own)
    layers, shape = parts_of(config)
    if shape is None:
        raise Damaged("expected a model that was built, got one without the shape of its input")
    _check_shapes(planned(layers, shape), [(layer.name, own) for layer, own in zip(layers, arrays, strict=True)])
    return config, arrays


def take_weights(model: Any, name: str) -> None:
    """Let a model have the weights of a file, of the same architecture: `load_weights`'s part for Keras's files.

    Raises
    ------
    ValueError
        A damaged file or one of another kind; other layers or shapes. Nothing has been changed then.
    """
    with opened(name) as file:
        found = [[array.read() for array in own] for own in arrays_for(model.layers, file)]
    for layer, arrays in zip(model.layers, found, strict=True):
        for array, there in zip(layer.params.values(), arrays, strict=True):
            array[...] = there


def arrays_for(layers: Sequence[Any], file: KerasFile) -> list[list[Dataset]]:
    """The arrays that layers of a model take from a file, whether it describes a model or holds weights alone.

    As Keras does it: a layer finds its own by its class and its place among layers of that class. In an .h5 file the
    first layer with weights takes those of the first that has some there, and so on.
    """
    taking = [layer for layer in layers if layer.params]
    if file.by_names:
        found = [list(named(file.weights.group(name)).values()) for name in layer_names(file)]
        there = [own for own in found if own]
    else:
        records = [{"class_name": type(layer).__name__, "config": layer.get_config()} for layer in layers]
        by_class = arrays_by_class(records, file.weights)
        if more := without_layer(records, file.weights):
            raise NotTaken(f"expected weights of the model's layers, got also those of {', '.join(more)[:200]}")
        there = [own for layer, own in zip(layers, by_class, strict=True) if layer.params or own]
    if len(there) != len(taking):
        raise NotTaken(f"expected weights of {len(taking)} layers, got those of {len(there)}")
    for layer, own in zip(taking, there, strict=True):
        expected, shapes = [array.shape for array in layer.params.values()], [array.shape for array in own]
        if shapes != expected:
            raise NotTaken(f"expected arrays of shapes {expected} of {layer.name!r}, got {shapes}")
    found_for = iter(there)
    return [next(found_for) if layer.params else [] for layer in layers]


def is_of_keras(config: Any) -> bool:
    """Whether Keras 3 has made what describes a Sequential: its layers say where they are from."""
    layers = config.get("layers") if isinstance(config, Mapping) else None
    return isinstance(layers, (list, tuple)) and any(isinstance(one, Mapping) and "module" in one for one in layers)


def of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `get_config` of Keras's Sequential returns, as that of `fastlstm.nn` has it.

    Raises
    ------
    ValueError
        A layer, or an option, that is not here; the message names it.
    """
    record = {"class_name": "Sequential", "config": {**config, "layers": list(config["layers"])}}
    try:
        layers = [_layer(one) for one in layers_of_model(record) if one["class_name"] != "InputLayer"]
    except Damaged as error:
        raise ValueError(f"config: {error}") from error
    return {"name": _own_name(record), "input_shape": _input_shape(record), "layers": layers}


def _own_name(record: Mapping[str, Any]) -> str:
    config = record.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return name if isinstance(name, str) and name else "sequential"


def _input_shape(record: Mapping[str, Any]) -> Any:
    """Of a batch, from wherever a version of Keras writes it."""
    layers = layers_of_model(record)
    first = parts(layers[0])[1] if layers else {}
    config = record.get("config")
    places: tuple[Any, ...] = (first, record.get("build_config"), config if isinstance(config, dict) else None)
    for place in places:
        for key in ("batch_shape", "batch_input_shape", "input_shape", "build_input_shape"):
            if isinstance(place, dict) and isinstance(place.get(key), (list, tuple)):
                return list(place[key])
    return None


def _check_shapes(plan: Mapping[str, tuple[tuple[int, ...], Any]], given: list[tuple[str, list[Dataset]]]) -> None:
    """Whether the file has the arrays that the layers will have."""
    expected: dict[str, list[tuple[int, ...]]] = {name: [] for name, _ in given}
    for key, (shape, _) in plan.items():
        expected[key.removeprefix("weights/").rpartition("/")[0]].append(shape)
    for name, own in given:
        there = [array.shape for array in own]
        if there != expected[name]:
            raise Damaged(f"expected arrays of shapes {expected[name]} of {name!r}, got {there}")


# what Keras describes, as it is described here


def _layer(record: Any, prefix: str = "") -> dict[str, Any]:
    """A layer; prefix: what Keras has put before the name of a wrapped one."""
    kind, config = parts(record)
    name = name_of(record)
    if kind == "Lambda":
        raise NotTaken(f"expected layers of names and numbers, got the Lambda {name!r}, which is code: nothing "
                       "in a file is run")  # fmt: skip
    _of_keras(record, kind, f"the layer {name!r}")
    if kind not in KNOWN_LAYERS:
        raise NotTaken(f"expected layers that nn has, {', '.join(KNOWN_LAYERS)}, got {kind!r:.60} ({name!r}); {_HERE}")
    found = _arguments(KNOWN_LAYERS[kind], config, {"name", "dtype", "layer", "backward_layer"}, name)
    found["name"] = name.removeprefix(prefix)
    if "dtype" in config:
        found["dtype"] = _dtype(config["dtype"], name)
    for key, before in (("layer", "forward_"), ("backward_layer", "backward_")):
        if config.get(key) is not None:
            found[key] = _layer(config[key], before if kind == "Bidirectional" else "")
    for key, value in found.items():
        kinds = _KINDS.get(key.rpartition("_")[2])
        if isinstance(value, dict) and kinds is not None:
            found[key] = _described(value, kinds, f"{name}.{key}")
        elif isinstance(value, dict) and key.endswith("activation"):
            found[key] = _function(value, f"{name}.{key}")
    return {"class_name": kind, "config": found}


def _of_keras(record: Mapping[str, Any], kind: str, what: str) -> None:
    """Refuse what only its author has."""
    module, registered = record.get("module"), record.get("registered_name")
    own = isinstance(module, str) and module.split(".")[0] not in ("keras", "tensorflow", "tf_keras", "builtins")
    if own or (isinstance(registered, str) and registered not in (kind, record.get("class_name"))):
        raise NotTaken(f"expected what comes with Keras, got {what} of a class of its author's own, {kind!r:.60} "
                       f"({registered or module!r:.60})")  # fmt: skip


def _arguments(made: Callable[..., Any], config: Mapping[str, Any], others: set[str], what: str) -> dict[str, Any]:
    """Those of Keras's arguments that a class here takes. One that is not here has to do nothing."""
    taken = set()
    for one in inspect.getmro(made) if isinstance(made, type) else (made,):
        taken |= set(inspect.signature(one).parameters) - {"args", "kwargs", "common", "unknown"}
    found = {}
    for key, value in config.items():
        if key in taken and key not in others:
            found[key] = value
        elif key not in others | _SILENT and not _does_nothing(key, value):
            raise NotTaken(f"expected no {key!r:.60} in {what!r}, which is not here, got {value!r:.200}; {_HERE}")
    return found


def _does_nothing(key: str, value: Any) -> bool:
    return key in _NEUTRAL and any(value == one and type(value) is type(one) for one in _NEUTRAL[key])


def _dtype(value: Any, what: str) -> Any:
    """By the name of a type, or of a policy."""
    if isinstance(value, dict):
        _, config = parts(value)
        value = config.get("name")
    if value not in ("float32", "float64"):
        raise Damaged(f"expected float32 or float64 in {what!r}, got {value!r:.60}")
    return value


def _described(record: Any, known: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Class and configuration, without arguments that do nothing."""
    kind, config = parts(record)
    _of_keras(record, kind, what)
    found = {one.__name__: one for one in known.values() if isinstance(one, type)}
    if kind not in found:
        raise NotTaken(f"expected one of {', '.join(found)} as {what}, got {kind!r:.60}; {_HERE}")
    return {"class_name": kind, "config": _arguments(found[kind], config, {"dtype"}, what)}


def _function(record: Any, what: str) -> str:
    """The name of a function of Keras's own."""
    name = record.get("config") if isinstance(record, dict) else record
    if isinstance(name, dict):  # an activation that is a layer
        raise Damaged(f"expected the name of a function as {what}, got {record!r:.200}")
    if not isinstance(name, str):
        raise Damaged(f"expected the name of a function as {what}, got {name!r:.200}")
    if isinstance(record, dict):
        if record.get("class_name") != "function":
            raise Damaged(f"expected the name of a function as {what}, got {record.get('class_name')!r:.60}")
        _of_keras(record, name, what)
    return name


# how it learns


def compile_as(model: Any, file: KerasFile) -> None:
    """Let a model learn as the file says."""
    given = dict(file.compiled or {})
    optimizer = given.get("optimizer", given.get("optimizer_config"))
    if optimizer is None or given.get("loss") is None:
        return
    try:
        if given.get("loss_weights") is not None:
            raise Damaged(f"loss_weights: expected none, got {given['loss_weights']!r:.60}")
        rule = optimizers.get(optimizer if isinstance(optimizer, str) else _optimizer(optimizer))
        plain, weighted = (_metrics(given.get(key), key) for key in ("metrics", "weighted_metrics"))
        model.compile(rule, losses.get(_loss(given["loss"])), plain, weighted)
        _learned(model, optimizer_arrays(file))
    except (ValueError, TypeError) as error:
        raise NotTaken(f"{error}; load_keras(path, compile=False) leaves out how the model learned") from error


def _optimizer(record: Any) -> dict[str, Any]:
    kind, config = parts(record)
    kind = kind.removeprefix("Custom>")  # as .h5 files of Keras 2.11 to 2.15 have it
    if config.get("use_ema") is False:
        config = {key: value for key, value in config.items() if key not in _SILENT_OF_OPTIMIZERS}
    if "lr" in config:  # Keras 2.0 to 2.2
        config = {("learning_rate" if key == "lr" else key): value for key, value in config.items()}
    found = _described({**record, "class_name": kind, "config": config}, optimizers.KNOWN, "optimizer")
    rate = found["config"].get("learning_rate")
    if isinstance(rate, dict):
        found["config"]["learning_rate"] = _described(rate, schedules.KNOWN, "learning_rate")
    return found


def _alone(given: Any, argument: str) -> Any:
    """What a model of one output has in a list or a dict of outputs."""
    while isinstance(given, (list, tuple)) and len(given) == 1:
        given = given[0]
    if isinstance(given, dict) and "class_name" not in given and len(given) == 1:
        return _alone(next(iter(given.values())), argument)
    return given


def _loss(given: Any) -> Any:
    given = _alone(given, "loss")
    if isinstance(given, str):
        return given
    kind, config = given.get("class_name"), given.get("config")
    if kind == "function" or (kind == "LossFunctionWrapper" and isinstance(config, dict)):
        return _function(given if kind == "function" else config.get("fn"), "loss")
    known = {one.__name__: one for one in losses.KNOWN.values() if isinstance(one, type)}
    return _described(given, known, "loss")


def _metrics(given: Any, argument: str) -> list[Any]:
    found: list[Any] = []
    waiting = [given]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, (list, tuple)):
            waiting = [*one, *waiting]
        elif isinstance(one, dict) and "class_name" not in one:
            waiting = [*one.values(), *waiting]
        elif one is not None:
            found.append(_metric(one, argument))
        if len(found) + len(waiting) > _MOST:
            raise Damaged(f"{argument}: expected at most {_MOST}, got more")
    return found


def _metric(given: Any, argument: str) -> Any:
    if isinstance(given, str):
        return given
    if not isinstance(given, dict):
        raise Damaged(f"{argument}: expected names or dicts, got {given!r:.60}")
    kind, config = given.get("class_name"), given.get("config")
    if kind == "function":
        return _function(given, argument)
    if kind in ("MeanMetricWrapper", "SumOverBatchSizeMetricWrapper") and isinstance(config, dict):
        name = config.get("name")  # "accuracy" is chosen by the loss and the shape, there as here
        return name if name in ("accuracy", "acc") else _function(config.get("fn"), argument)
    if any(isinstance(one, type) and one.__name__ == kind for one in losses.KNOWN.values()):
        return metrics.LossMetric(losses.get(_loss(given)))
    return metrics.get(_described(given, metrics.CLASSES, argument))


def _learned(model: Any, there: Mapping[str, Dataset]) -> None:
    """What the optimizer keeps, where the file is one of Keras 3."""
    model._build_optimizer()
    optimizer = model.optimizer
    state = optimizer.state()
    slots = [name for name in state if name not in ("iterations", "learning_rate")]
    arrays = list(there.values())
    if not arrays or (next(iter(there)) != "0" and not next(iter(there)).endswith("/iteration")):
        return
    weights, places = model.trainable_weights, [where for _, where in model._learning()]
    order = slot_order(optimizer, slots, len(weights))
    head = 1 + ("learning_rate" in state)
    if len(arrays) != head + len(order):
        if len(arrays) > 2:
            raise Damaged(f"optimizer: expected {head + len(order)} arrays of {type(optimizer).__name__}, got "
                          f"{len(arrays)}")  # fmt: skip
        order = []
    for (slot, which), array in zip(order, arrays[head:], strict=False):
        if array.shape != weights[which].shape:
            raise Damaged(f"optimizer: expected {slot} of shape {weights[which].shape}, got {array.shape}")
        state[slot][places[which]] = array.read().reshape(-1)
    state["iterations"] = _scalar(arrays[0], "iterations").astype(np.int64)
    if head == 2:
        state["learning_rate"] = _scalar(arrays[1], "learning_rate").astype(np.float64)
    optimizer.load_state(state)


def _scalar(array: Dataset, name: str) -> Array:
    if array.shape != ():
        raise Damaged(f"optimizer: expected one number as {name}, got shape {array.shape}")
    return array.read()


def slot_order(optimizer: Any, slots: list[str], count: int) -> list[tuple[str, int]]:
    """Which of an optimizer's arrays is of which weight, in the order of Keras's: of Adam's first two kinds those of a
    weight stand side by side, all others one kind after the other."""
    together = ["momentum", "velocity"] if "velocity" in slots and isinstance(optimizer, optimizers.Adam) else []
    order = [(slot, which) for which in range(count) for slot in together]
    kinds = [slot for slot in ("velocity", "momentum", "average_gradient", "velocity_hat")
             if slot in slots and slot not in together]  # fmt: skip
    return order + [(slot, which) for slot in kinds for which in range(count)]
