"""Models to and from a file: weights as safetensors, all else as JSON in its header. Nothing in a file is ever run.

A file holds the tensors ``weights/LAYER/WEIGHT``, ``optimizer/SLOT`` and ``state/LAYER/...`` (what stateful layers
carry), and one entry of metadata, `fastlstm.nn`: architecture, what `compile` was given, the random generators' states,
epochs done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...files import file_name, regular, write_whole
from ...formats.safetensors_file import HEADER, SUFFIX, damage_said, library
from . import keras_reading, keras_writing, losses, metrics, names, optimizers, randomness
from .architecture import parts_of

if TYPE_CHECKING:
    from .model import Sequential

Array = NDArray[Any]
MARK = "fastlstm.nn"
_VERSION = 1
_NOT_OURS = (".keras", ".h5", ".hdf5", ".npz", ".npy", ".json", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".onnx")
_OTHERS = {b"PK\x03\x04": "a zip archive, as .keras files are", b"\x89HDF\r\n\x1a\n": "an HDF5 file, as .h5 files are"}
_TAKE_OVER = "fastlstm.nn.load_keras reads Keras's files"
_MOST = 100  # metrics of a model, which take memory for what a few words in a file say
_KINDS = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64), "I64": np.dtype(np.int64)}


def save_model(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Write a model: architecture, weights, and what training needs to go on bit for bit where it stopped.

    Training needs the optimizer's state, the random generators' states and the number of epochs done. Save between
    epochs, as `ModelCheckpoint` does: the order of the samples within an epoch is not kept. Nor is what callbacks know.

    A name that ends in .keras gives a file of Keras 3's. It has the optimizer's state too, but no random generators, no
    number of epochs and no states that layers carry.

    The file is complete, or it is not there: it is written beside its place, flushed to the disk and then moved.

    Parameters
    ----------
    model : Sequential
    path : str or path-like

    Raises
    ------
    ImportError
        The package safetensors is missing, or for a .keras file h5py.
    ValueError, TypeError
        A model that has not been built; losses, metrics or layers of the caller's own, which a file cannot describe;
        more than 100 metrics; a path that ends as files of another format do, such as .h5; for a .keras file, what
        Keras has not: other cells, exceptions of weight decay.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastlstm.nn import Dense, LSTM, Sequential, load_model
    >>> model = Sequential([LSTM(8, input_shape=(5, 3)), Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "m.safetensors"))
    ...     again = load_model(os.path.join(folder, "m.safetensors"))
    >>> bool((again.flat_params == model.flat_params).all())
    True
    """
    if _is_keras(path):
        keras_writing.save_keras(model, path, _compiled(model) if model.compiled else None)
        return
    tensors = _weights(model)
    about: dict[str, Any] = {
        "model": _checked_config(model),
        "epoch": model.epoch,
        "generators": {"": randomness.state_of(model.rng)},
    }
    for layer in model.layers:
        for key, rng in layer._generators().items():
            about["generators"][f"{layer.name}/{key}"] = randomness.state_of(rng)
        for key, array in layer._carried().items():
            tensors[f"state/{layer.name}/{key}"] = array
    if model.compiled:
        about["compiled"] = _compiled(model)
        if model.optimizer.built:
            tensors |= {f"optimizer/{key}": array for key, array in model.optimizer.state().items()}
    _write(path, tensors, about)


def check(model: Any, path: Any, *, weights_only: bool) -> None:
    """Say what `save_model`, or `save_weights`, would say of a model and a path, as far as it can be known before the
    model is built. Errors as there."""
    if weights_only and _is_keras(path, keras_writing.WEIGHTS_SUFFIX):
        keras_writing.library()
        return
    if not weights_only and _is_keras(path):
        keras_writing.check(model, _compiled(model) if model.compiled else None)
        return
    library("saving models")
    checked_name(path)
    if not weights_only:
        _checked_config(model)
        if model.compiled:
            _compiled(model)


def _is_keras(path: Any, suffix: str = keras_writing.SUFFIX) -> bool:
    """Whether a name says that the file is Keras's."""
    return file_name(path).lower().endswith(suffix)


def _start(name: str) -> bytes:
    """The first bytes of a file, which say of what kind it is."""
    with open(name, "rb") as file:
        return file.read(8)


def checked_name(path: Any) -> str:
    """A file's name; never one that says it is of another format.

    Raises
    ------
    ValueError, TypeError
        The suffix of another format; no name.
    """
    name = file_name(path)
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in _NOT_OURS:
        raise ValueError(f"path: expected a name that ends in {SUFFIX}, the format that is written, got {name!r}: "
                         f"{stem + SUFFIX!r} would do")  # fmt: skip
    return name


def save_weights(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Write a model's weights alone.

    A name that ends in .weights.h5 gives a file that Keras 3's `load_weights` takes.

    Parameters
    ----------
    model : Sequential
    path : str or path-like

    Raises
    ------
    ImportError
        The package safetensors is missing, or for a .weights.h5 file h5py.
    ValueError, TypeError
        A model that has not been built; a path that ends as files of another format do.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastlstm import nn
    >>> model, other = (nn.Sequential([nn.Dense(1, input_shape=(3,))]) for _ in range(2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.saving.save_weights(model, os.path.join(folder, "w.safetensors"))
    ...     nn.saving.load_weights(other, os.path.join(folder, "w.safetensors"))
    >>> bool((other.flat_params == model.flat_params).all())
    True
    """
    if _is_keras(path, keras_writing.WEIGHTS_SUFFIX):
        keras_writing.save_keras_weights(model, path)
        return
    _write(path, _weights(model), {})


def load_weights(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Take the weights of a file that `save_model` or `save_weights` wrote, here or in Keras.

    Parameters
    ----------
    model : Sequential
        Of the same architecture. It has to be built.
    path : str or path-like
        Of Keras's files: .keras, .weights.h5, or .h5 of a whole model or of weights alone.

    Raises
    ------
    ImportError
        The package safetensors is missing; it is not needed for Keras's files.
    ValueError
        A damaged file or one of another kind; other layers or shapes. Nothing has been changed then.
    OSError
        The file cannot be read.

    Examples
    --------
    See `save_weights`.
    """
    model._built()
    name = file_name(path)
    regular(name, "of weights")
    if os.path.isdir(name) or _start(name).startswith(tuple(_OTHERS)):
        keras_reading.take_weights(model, name)
        return
    with opened(name) as (file, _):
        expected = {
            f"weights/{layer.name}/{key}": array for layer in model.layers for key, array in layer.params.items()
        }
        check_tensors(file, {key: (array.shape, array.dtype) for key, array in expected.items()}, "weights/", name)
        found = {key: file.get_tensor(key) for key in expected}
    for key, array in expected.items():
        array[...] = found[key]


def restore(model: Any, file: Any, about: Mapping[str, Any], compile: bool) -> None:
    """All but architecture and weights."""
    model.epoch = about["epoch"]
    if isinstance(model.epoch, bool) or not isinstance(model.epoch, int) or model.epoch < 0:
        raise ValueError(f"epoch: expected an integer, at least 0, got {model.epoch!r}")
    generators = dict(about["generators"])
    randomness.set_state(model.rng, generators.pop(""))
    by_name = {layer.name: layer for layer in model.layers}
    for place, state in generators.items():
        layer, _, key = place.rpartition("/")
        rng = randomness.generator(0)
        randomness.set_state(rng, state)
        by_name[layer]._set_generator(key, rng)
    carried: dict[str, dict[str, Array]] = {}
    for full in file.keys():  # noqa: SIM118 - no mapping
        if full.startswith("state/"):
            layer, _, key = full.removeprefix("state/").rpartition("/")
            carried.setdefault(layer, {})[key] = file.get_tensor(full)
    for layer, arrays in carried.items():
        by_name[layer]._carry(arrays)
    if compile and about.get("compiled") is not None:
        made = about["compiled"]
        optimizer = optimizers.get(made["optimizer"])
        if not isinstance(made["spared"], list):
            raise ValueError(f"spared: expected a list of names, got {made['spared']!r:.200}")
        optimizer.exclude_from_weight_decay(made["spared"])
        plain, weighted = (
            [metrics.get(one) if isinstance(one, Mapping) else names.text(argument, one)
             for one in _listed(argument, made[argument])]
            for argument in ("metrics", "weighted_metrics")
        )  # fmt: skip
        model.compile(optimizer, losses.get(made["loss"]), plain, weighted)
        state = {
            key.removeprefix("optimizer/"): file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118
            if key.startswith("optimizer/")
        }
        if state:
            model._build_optimizer()
            optimizer.load_state(state)


def _listed(argument: str, given: Any) -> list[Any]:
    """The metrics that a file has, or is to have."""
    if not isinstance(given, list) or len(given) > _MOST:
        raise ValueError(f"{argument}: expected a list of at most {_MOST}, got {given!r:.200}")
    return given


def _weights(model: Any) -> dict[str, Array]:
    model._built()
    return {f"weights/{layer.name}/{key}": array for layer in model.layers for key, array in layer.params.items()}


def _checked_config(model: Any) -> dict[str, Any]:
    config: dict[str, Any] = model.get_config()
    parts_of(json.loads(json.dumps(config)))  # what could not be read again is not written
    return config


def _compiled(model: Any) -> dict[str, Any]:
    def described(argument: str, thing: Any, get: Any) -> Any:
        if isinstance(thing, str):
            return thing
        try:
            record = names.serialize(thing)
            if type(get(json.loads(json.dumps(record)))) is type(thing):
                return record
        except (ValueError, TypeError, AttributeError, KeyError):
            pass
        raise ValueError(f"{argument}: expected one of fastlstm.nn's own to be saved, got {thing!r}; save_weights "
                         "takes the weights alone")  # fmt: skip

    plain, weighted = (_listed("metrics", given) for given in model._given_metrics)
    return {
        "optimizer": described("optimizer", model.optimizer, optimizers.get),
        "spared": list(model.optimizer.excluded_from_weight_decay),
        "loss": described("loss", model.loss, losses.get),
        "metrics": [described("metrics", one, metrics.get) for one in plain],
        "weighted_metrics": [described("weighted_metrics", one, metrics.get) for one in weighted],
    }


def check_tensors(
    file: Any, expected: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]], prefix: str, name: str
) -> None:
    """Whether a file has the tensors that begin so, and of those shapes and types."""
    there = {key for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
    if there != set(expected):
        missing, more = sorted(set(expected) - there), sorted(there - set(expected))
        raise ValueError(f"path: expected the model's weights, got {name!r} without {missing} and with {more}")
    for key, (shape, dtype) in expected.items():
        part = file.get_slice(key)
        size, kind = tuple(part.get_shape()), _KINDS.get(part.get_dtype(), part.get_dtype())
        if (size, kind) != (shape, dtype):
            raise ValueError(f"path: expected {key} of shape {shape} and {dtype}, got {size} and {kind} in {name!r}")


def _write(path: Any, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    package = library("saving models")
    target = checked_name(path)
    whole = {key: np.ascontiguousarray(array).reshape(array.shape) for key, array in tensors.items()}
    content = package.numpy.save(whole, {MARK: json.dumps({"version": _VERSION, **about})})
    if int.from_bytes(content[:8], "little") > HEADER:
        raise ValueError(f"path: expected a model whose description takes at most {HEADER} bytes")
    write_whole(target, lambda file: file.write(content))


@contextmanager
def opened(name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A file's tensors, and what its metadata says; both checked against its size."""
    package = library("saving models")
    regular(name, "that save wrote")
    size = os.path.getsize(name)
    start = _start(name)
    for sign, kind in _OTHERS.items():
        if start.startswith(sign):
            raise ValueError(f"path: expected a safetensors file, got {kind}: {name!r}; {_TAKE_OVER}")
    header = int.from_bytes(start, "little")
    if len(start) < 8 or header > min(size - 8, HEADER):
        raise ValueError(f"path: expected a safetensors file, got one of {size} bytes that begins with a header of "
                         f"{header} bytes (at most {HEADER}): {name!r}")  # fmt: skip
    with damage_said(package, name), package.safe_open(name, framework="numpy") as found:
        mark = (found.metadata() or {}).get(MARK)
        if mark is None:
            raise ValueError(f"path: expected a file that save wrote, got one without {MARK!r}: {name!r}")
        try:
            about = json.loads(mark)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"path: expected JSON as {MARK!r}, got something else in {name!r}") from error
        if not isinstance(about, dict) or about.get("version") != _VERSION:
            got = about.get("version") if isinstance(about, dict) else about
            raise ValueError(f"path: expected format {_VERSION}, got {got!r:.200} in {name!r}")
        yield found, about
