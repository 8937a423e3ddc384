"""What is in a Keras file, before anything is made of it: .keras, .weights.h5, and the .h5 files of Keras 2 and 3.

Nothing in a file is ever run, nothing is written to the disk, and sizes are checked before anything of such a size is
made.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import IO, Any, NamedTuple

import numpy as np

from ..files import file_name, regular
from .hdf5 import SIGNATURE, Damaged, Dataset, File, Group, NotTaken, room_of
from .json_file import parsed

_ZIP = b"PK\x03\x04"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"  # entries of a .keras file
VECTORS = "fastlstm.json"  # one that Keras does not look at: what `formats.vectors` makes
_TEXT = 16 << 20  # bytes of a model's configuration at most
DEEP = 40  # models within models, wrappers within wrappers
GROUPS_OF_LAYERS = (
    "layers",
    "_layer_checkpoint_dependencies",
)  # the group of a model's layers; the latter in Keras 2.12 to 2.15
MODELS = "Sequential", "Functional", "Model"
_FORMS = "a .keras file, a .weights.h5 file or an .h5 file of Keras"


class KerasFile(NamedTuple):
    """An open file of Keras's.

    Attributes
    ----------
    name : str
        The file's.
    model : dict or None
        Class and configuration of the model; None in files of weights alone.
    compiled : dict or None
        What `compile` was given.
    weights : Group
        Of the whole model.
    root : Group
        Outermost of the HDF5 file.
    by_names : bool
        Whether arrays are listed by their names, as in .h5 files, or stand in groups by their layers' classes.
    vectors : dict or None
        Inputs and outputs that prove the file, where fastlstm wrote it.
    """

    name: str
    model: dict[str, Any] | None
    compiled: dict[str, Any] | None
    weights: Group
    root: Group
    by_names: bool
    vectors: dict[str, Any] | None = None


@contextmanager
def opened(path: Any) -> Iterator[KerasFile]:
    """A file, checked as far as can be without its arrays. Whatever is wrong with it, also within the `with`, is a
    ValueError that says which file.

    Raises
    ------
    ValueError, TypeError, OSError
        As `from_keras`.
    """
    name = file_name(path)
    regular(name, "of Keras's")
    if os.path.isdir(name):
        raise ValueError(f"path: expected {_FORMS}, got a folder, a SavedModel of TensorFlow's perhaps: load it there "
                         f"and save it by model.save('m.keras'): {name!r}")  # fmt: skip
    with open(name, "rb") as source:
        try:
            with _content(source, name) as found:
                yield found
        except NotTaken as error:
            raise ValueError(f"path: {error!s:.1000} (in {name!r})") from error
        except (Damaged, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OverflowError, RuntimeError,
                MemoryError) as error:  # fmt: skip
            raise ValueError(f"path: expected {_FORMS}, got {name!r}: {error!s:.1000}") from error


@contextmanager
def content_of(data: bytes, name: str) -> Iterator[KerasFile]:
    """`opened`, of a file's bytes."""
    with _content(BytesIO(data), name) as found:
        yield found


@contextmanager
def _content(source: IO[bytes], name: str) -> Iterator[KerasFile]:
    start = source.read(8)
    source.seek(0)
    if start.startswith(_ZIP):
        with zipfile.ZipFile(source) as archive:
            yield _from_archive(archive, source.seek(0, 2), name)
    elif start == SIGNATURE:
        root = File(source).root
        about = root.attributes
        if "model_config" in about or "layer_names" in about or "layer_names0" in about:
            model, compiled = (_json(about[key], key) if key in about else None
                               for key in ("model_config", "training_config"))  # fmt: skip
            weights = root.group("model_weights") if "model_weights" in root else root
            yield KerasFile(name, model, compiled, weights, root, True)
        else:
            yield KerasFile(name, None, None, root, root, False)
    else:
        raise Damaged(f"it begins with {start!r}")


def _from_archive(archive: zipfile.ZipFile, size: int, name: str) -> KerasFile:
    """Of a .keras file. What else stands in the archive is not looked at."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in (_CONFIG, _WEIGHTS, VECTORS) and info.filename in entries:
            raise Damaged(f"expected one {info.filename}, got two")
        entries[info.filename] = info
    for needed in (_CONFIG, _WEIGHTS):
        if needed not in entries:
            raise Damaged(f"expected {needed} in the archive, got {', '.join(list(entries)[:9])[:200] or 'nothing'}")
    for key, most in ((_CONFIG, _TEXT), (_WEIGHTS, room_of(size)), (VECTORS, _TEXT)):
        if key not in entries:
            continue
        info = entries[key]
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Damaged(f"expected {key} as it is, or deflated, got it encrypted or compressed in another way")
        if info.file_size > most or info.compress_size > size or not 0 <= info.header_offset < size:
            raise Damaged(f"expected at most {most} bytes of {key}, in an archive of {size}, got {info.file_size}, "
                          f"compressed to {info.compress_size}")  # fmt: skip
    about = _json(_entry(archive, entries[_CONFIG]).decode("utf-8", "replace"), _CONFIG)
    compiled = about.get("compile_config")
    root = File(BytesIO(_entry(archive, entries[_WEIGHTS]))).root
    vectors = parsed(_entry(archive, entries[VECTORS])) if VECTORS in entries else None
    return KerasFile(name, about, compiled if isinstance(compiled, dict) else None, root, root, False, vectors)


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Never more of it than the directory says."""
    with archive.open(info) as member:
        found = member.read(info.file_size)
        if len(found) != info.file_size or member.read(1):
            raise Damaged(f"expected {info.file_size} bytes of {info.filename}, got another number")
        return found


def _json(text: Any, name: str) -> dict[str, Any]:
    if not isinstance(text, str) or len(text) > _TEXT:
        raise Damaged(f"expected at most {_TEXT} characters of text as {name}, got something else")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"expected JSON as {name}, got something else ({error})") from error
    if not isinstance(found, dict):
        raise Damaged(f"expected a dict as {name}, got {type(found).__name__}")
    return found


def parts(record: Any) -> tuple[str, dict[str, Any]]:
    """Class and configuration of something that Keras has described."""
    if not isinstance(record, dict) or not isinstance(record.get("class_name"), str):
        raise Damaged(f"expected a dict of class_name and config, got {record!r:.200}")
    config = record.get("config")
    if not isinstance(config, dict):
        raise Damaged(f"expected a dict as config of {record['class_name']!r:.60}, got {config!r:.200}")
    return record["class_name"], config


def layers_of_model(record: Any) -> list[dict[str, Any]]:
    """The layers of a model, described. Keras 2.0 to 2.2 has the list itself as a Sequential's configuration."""
    config = record.get("config") if isinstance(record, dict) else None
    found = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Damaged(f"expected a model with a list of layers, got {record!r:.200}")
    for one in found:
        parts(one)
    return found


def lists_layers(model: Mapping[str, Any]) -> bool:
    """Whether a model is described by its layers, as all are but those of a class of their author's own."""
    config = model.get("config")
    return model.get("class_name") in MODELS or (isinstance(config, dict) and "layers" in config)


def name_of(record: Any) -> str:
    """What a layer is called."""
    kind, config = parts(record)
    name = config.get("name", record.get("name"))
    return name if isinstance(name, str) and name else snake_case(kind)


def snake_case(name: str) -> str:
    """As Keras calls the group of a class in a file: TimeDistributed -> time_distributed, LSTM -> lstm."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def arrays_of_layers(file: KerasFile) -> list[tuple[dict[str, Any], list[Dataset]]]:
    """Each layer of the model, described, and its arrays in Keras's order."""
    found = []
    if file.by_names:
        for record in layers_of_model(file.model):
            name = name_of(record)
            there = named(file.weights.group(name)) if name in file.weights.names() else {}
            found.append((record, list(there.values())))
        return found
    layers = layers_of_model(file.model)
    return list(zip(layers, arrays_by_class(layers, file.weights), strict=True))


def optimizer_arrays(file: KerasFile) -> dict[str, Dataset]:
    """What an optimizer keeps: by numbers in order in .keras files, by names in .h5 files; empty if nothing."""
    if file.by_names:
        return named(file.root.group("optimizer_weights")) if "optimizer_weights" in file.root else {}
    if "optimizer" in file.weights and "vars" in file.weights.group("optimizer"):
        group = file.weights.group("optimizer/vars")
        return {key: group.dataset(key) for key in _numbered(group)}
    return {}


def names_in(file: KerasFile) -> list[str]:
    """Of the layers, for messages."""
    if file.model is None or not lists_layers(file.model):
        return file.weights.names()[:20]
    return [f"{name_of(record)} ({record['class_name']})" for record in layers_of_model(file.model)[:20]]


# groups by classes: .keras and .weights.h5


def _outer(model: Group) -> Group | None:
    """The group that holds those of a model's layers."""
    return next((model.group(name) for name in GROUPS_OF_LAYERS if name in model), None)


def with_groups(layers: list[dict[str, Any]], model: Group) -> Iterator[tuple[dict[str, Any], Group | None]]:
    """Each layer of a model and its group, which is called like its class, and has a number where there are several."""
    outer = _outer(model)
    used: Counter[str] = Counter()
    for record in layers:
        name = snake_case(record["class_name"])
        own = f"{name}_{used[name]}" if used[name] else name
        used[name] += 1
        yield record, outer.group(own) if outer is not None and own in outer else None


def arrays_by_class(layers: list[dict[str, Any]], model: Group) -> list[list[Dataset]]:
    """The arrays of layers, described, in groups by classes."""
    return [[] if group is None else _ordered(record, group) for record, group in with_groups(layers, model)]


def without_layer(layers: list[dict[str, Any]], model: Group) -> list[str]:
    """Names of groups that hold arrays, but belong to none of those layers."""
    outer, own = _outer(model), {group.last for _, group in with_groups(layers, model) if group is not None}
    names = [] if outer is None else [name for name in outer.names() if name not in own]
    return [name for name in names if outer is not None and _holds_arrays(outer[name])]


def _holds_arrays(thing: Group | Dataset, depth: int = 0) -> bool:
    if depth > DEEP:
        raise Damaged(f"expected layers within layers {DEEP} deep at most")
    return isinstance(thing, Dataset) or any(_holds_arrays(thing[name], depth + 1) for name in thing.names())


def _numbered(group: Group) -> list[str]:
    """The names 0, 1 and so on of a group's arrays."""
    keys = [str(number) for number in range(len(group.names()))]
    if set(keys) != set(group.names()):
        raise Damaged(f"expected arrays 0 to {len(keys) - 1} of a layer, got {', '.join(group.names()[:9])}")
    return keys


def variables(group: Group, path: str) -> list[Dataset]:
    """The arrays of the layer at that path."""
    there = f"{path}/vars" if path else "vars"
    try:
        found = group.group(there)
    except Damaged:
        return []
    return [found.dataset(key) for key in _numbered(found)]


def _ordered(record: dict[str, Any], group: Group, depth: int = 0) -> list[Dataset]:
    kind, config = parts(record)
    if depth > DEEP:
        raise Damaged(f"expected layers within layers {DEEP} deep at most")
    if kind == "Bidirectional":
        return [one for way in ("forward_layer", "backward_layer") if way in group
                for one in _ordered(inner(config), group.group(way), depth + 1)]  # fmt: skip
    if "layer" in config and "layer" in group:
        return _ordered(inner(config), group.group("layer"), depth + 1)
    return variables(group, "cell" if "cell" in group else "")


def inner(config: Mapping[str, Any], key: str = "layer") -> dict[str, Any]:
    """The layer in a wrapper, described."""
    found = config.get(key)
    parts(found)
    assert isinstance(found, dict)
    return found


def _listed(group: Group, key: str) -> list[str]:
    """An attribute that is a list of names; cut into several where it is long."""
    about, found = group.attributes, list[str]()
    pieces = [about[key]] if key in about else []
    while f"{key}{len(pieces)}" in about and key not in about:
        pieces.append(about[f"{key}{len(pieces)}"])
    for piece in pieces:
        if isinstance(piece, np.ndarray) and piece.size == 0:
            continue
        if not isinstance(piece, list):
            raise Damaged(f"expected a list of names as {key}, got something else")
        found += piece
    return found


def layer_names(file: KerasFile) -> list[str]:
    """Of an .h5 file."""
    return _listed(file.weights, "layer_names")


def named(group: Group) -> dict[str, Dataset]:
    """The arrays of a layer by their names, in Keras's order."""
    found = _listed(group, "weight_names")
    if len(set(found)) != len(found):
        raise Damaged(f"expected each of weight_names once, got {', '.join(found[:20])}")
    return {name: group.dataset(name) for name in found}
