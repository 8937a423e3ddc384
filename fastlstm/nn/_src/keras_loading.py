"""Models from Keras's files."""

from __future__ import annotations

from typing import Any

from ...formats.hdf5 import Damaged
from ...formats.keras_file import opened
from .architecture import from_config
from .keras_reading import compile_as, described


def load_keras(path: Any, compile: bool = True) -> Any:
    """Read a `Sequential` that Keras wrote: a .keras file, or an .h5 file of a whole model, also one of Keras 2.

    Parameters
    ----------
    path : str or path-like
    compile : bool
        Whether it can go on learning: with its optimizer, loss and metrics, where the file has them. What the optimizer
        has learned comes from files of Keras 3; with others it begins anew.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError, TypeError
        A damaged file or one of another kind; weights alone; a model of another class; a layer, an argument, an
        optimizer, a loss or a metric that is not here, by its name. Sizes are held against the file's before anything
        of such a size is made.
    OSError
        The file cannot be read.

    Notes
    -----
    Neither Keras nor h5py is needed. Random numbers of dropout go on from here, not from Keras's.

    Examples
    --------
    ``model.save("m.keras")`` writes such a file, here as in Keras.
    """
    from .model import Sequential

    with opened(path) as file:
        try:
            config, arrays = described(file)
            model = from_config(Sequential, config, draw=False)
            for layer, own in zip(model.layers, arrays, strict=True):
                for array, dataset in zip(layer.params.values(), own, strict=True):
                    array[...] = dataset.read()
            if compile and file.compiled is not None:
                compile_as(model, file)
        except (ValueError, TypeError, RuntimeError, KeyError, AttributeError, OverflowError) as error:
            raise Damaged(str(error)) from error
    return model
