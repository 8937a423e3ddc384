"""Models from files, and from what describes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...files import file_name
from ...initial import NoSuchCell
from .architecture import from_config, parts_of, planned
from .registry import custom_object_scope
from .saving import check_tensors, opened, restore

if TYPE_CHECKING:
    from .model import Sequential


def load_model(
    path: str | os.PathLike[str], custom_objects: Mapping[str, type] | None = None, compile: bool = True
) -> Sequential:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : str or path-like
    custom_objects : dict of str to class, optional
        Classes of your own that the file names, unless they are registered: by their names in the file.
    compile : bool
        Whether the model gets its optimizer, loss and metrics, so that it can go on learning.

    Returns
    -------
    Sequential
        ``model.fit(..., initial_epoch=model.epoch)`` goes on where training stopped.

    Raises
    ------
    ImportError
        The package safetensors is missing.
    ValueError, TypeError
        A damaged file or one of another kind; a cell of one's own that has not been defined. The message says what is
        wrong. Memory is taken only for sizes that the file itself has.
    OSError
        The file cannot be read.

    Examples
    --------
    See `save_model`.
    """
    from .model import Sequential

    name = file_name(path)
    with custom_object_scope({} if custom_objects is None else custom_objects), opened(name) as (file, about):
        if not isinstance(about.get("model"), Mapping):
            raise ValueError(f"path: expected a whole model, got a file without one in {name!r}")
        try:
            layers, shape = parts_of(about["model"])
            if shape is None:
                raise ValueError("input_shape: expected a tuple, got None")
            check_tensors(file, planned(layers, shape), "weights/", name)
            parts = ("weights/", "state/", *(("optimizer/",) if about.get("compiled") is not None else ()))
            strange = [key for key in file.keys() if not key.startswith(parts)]  # noqa: SIM118 - no mapping
            if strange:
                raise ValueError(f"tensors: expected {', '.join(parts)}, got {strange[0]!r}")
            model: Sequential = from_config(Sequential, about["model"], draw=False)
            for layer in model.layers:
                for key, array in layer.params.items():
                    array[...] = file.get_tensor(f"weights/{layer.name}/{key}")
            restore(model, file, about, compile)
        except NoSuchCell as error:
            raise ValueError(f"path: {name!r}: {error}") from error
        except (ValueError, TypeError, RuntimeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(f"path: expected a model that save wrote, got one that makes no sense in {name!r}: "
                             f"{error}") from error  # fmt: skip
    return model


def clone_model(model: Sequential) -> Sequential:
    """Another model of the same architecture, with first weights of its own.

    Parameters
    ----------
    model : Sequential

    Returns
    -------
    Sequential

    Raises
    ------
    TypeError
        Something that is no model.

    Examples
    --------
    >>> from fastlstm.nn import Dense, Sequential
    >>> from fastlstm.nn.models import clone_model
    >>> clone_model(Sequential([Dense(2, input_shape=(3,))])).count_params()
    8
    """
    if not hasattr(model, "layers"):
        raise TypeError(f"model: expected a Sequential, got {type(model).__name__}")
    return type(model).from_config(model.get_config())


def model_from_json(json_string: str) -> Sequential:
    """A model from its description, with new weights.

    Parameters
    ----------
    json_string : str
        From ``model.to_json()``, here or of a `Sequential` of Keras 3.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError, TypeError
        No such description; a layer, or an option, that is not here, by its name.

    Examples
    --------
    >>> from fastlstm.nn import Dense, Sequential
    >>> from fastlstm.nn.models import model_from_json
    >>> model_from_json(Sequential([Dense(2, input_shape=(3,))]).to_json()).count_params()
    8
    """
    from .model import Sequential

    if not isinstance(json_string, str):
        raise TypeError(f"json_string: expected a str, got {type(json_string).__name__}")
    try:
        found = json.loads(json_string)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"json_string: expected JSON, got {json_string!r:.80} ({error})") from error
    if not isinstance(found, Mapping) or found.get("class_name") != "Sequential":
        kind = found.get("class_name") if isinstance(found, Mapping) else found
        raise ValueError(f"json_string: expected the description of a Sequential, got {kind!r:.80}")
    return Sequential.from_config(found["config"]) if "config" in found else Sequential.from_config(found)
