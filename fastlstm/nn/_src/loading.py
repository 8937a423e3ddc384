"""Models from files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...files import file_name
from ...initial import NoSuchCell
from .architecture import from_config, parts_of, planned
from .saving import check_tensors, opened, restore

if TYPE_CHECKING:
    from .model import Sequential


def load_model(path: str | os.PathLike[str], compile: bool = True) -> Sequential:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : str or path-like
    compile : bool
        Whether it can go on learning: with its optimizer, loss and metrics.

    Returns
    -------
    Sequential
        To go on: ``model.fit(..., initial_epoch=model.epoch)``.

    Raises
    ------
    ImportError
        The package safetensors is missing.
    ValueError, TypeError
        A damaged file or one of another kind; a cell of one's own that has not been defined; the message says what is
        wrong. Sizes are held against the file's before anything of such a size is made.
    OSError
        The file cannot be read.

    Examples
    --------
    See `save_model`.
    """
    from .model import Sequential

    name = file_name(path)
    with opened(name) as (file, about):
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
