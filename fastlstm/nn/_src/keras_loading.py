"""Models from Keras's files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formats.hdf5 import Damaged, NotTaken
from ...formats.keras_file import KerasFile, opened
from ...formats.plan import plan_of
from ...formats.proof import SHAPES, TOLERANCE, Proof, compare, rerun
from ...formats.vectors import cases_in
from .architecture import from_config
from .keras_reading import compile_as, described

if TYPE_CHECKING:
    from .model import Sequential


def load_keras(path: str | os.PathLike[str], compile: bool = True) -> Sequential:
    """Read a `Sequential` that Keras wrote: a .keras file, or an .h5 file of a whole model, also one of Keras 2.

    Parameters
    ----------
    path : str or path-like
    compile : bool
        Whether the model gets its optimizer, loss and metrics, if the file has them, so that it can go on learning.
        Files of Keras 3 also have what the optimizer has learned; with others it begins anew.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError, TypeError
        A damaged file or one of another kind; weights alone; a model of another class; a layer, an argument, an
        optimizer, a loss or a metric that is not here, by its name; a file of ours whose model does not give the
        outputs that stand there. Memory is taken only for sizes that the file itself has.
    OSError
        The file cannot be read.

    Notes
    -----
    Neither Keras nor h5py is needed. Random numbers of dropout are not Keras's.

    Examples
    --------
    ``model.save("m.keras")`` writes such a file, here as in Keras.
    """
    with opened(path) as file:
        try:
            model: Sequential = _model_in(file)[0]
            if compile and file.compiled is not None:
                compile_as(model, file)
        except NotTaken:
            raise
        except (ValueError, TypeError, RuntimeError, KeyError, AttributeError, OverflowError) as error:
            raise Damaged(str(error)) from error
    return model


def _model_in(file: KerasFile) -> tuple[Any, Proof | None]:
    """The model of an open file, and what came of the inputs that stand there, if any do."""
    from .model import Sequential

    config, arrays = described(file)
    model = from_config(Sequential, config, draw=False)
    for layer, own in zip(model.layers, arrays, strict=True):
        for array, dataset in zip(layer.params.values(), own, strict=True):
            array[...] = dataset.read()
    return model, None if file.vectors is None else _run(model, file.vectors)


def check(name: str) -> Proof:
    """Runs a file's model on the inputs that stand in it: `fastlstm.formats.prove` of .keras files."""
    with opened(name) as file:
        _, proof = _model_in(file)
    if proof is None:
        raise ValueError("expected inputs and outputs, as model.save writes them, got none")
    return proof


def _run(model: Any, vectors: Mapping[str, Any]) -> Proof:
    cases = cases_in(vectors)
    if [case.x.shape[:2] for case in cases] != [shape[:2] for shape in SHAPES]:
        raise ValueError(f"expected inputs of shapes {', '.join(str(shape[:2]) for shape in SHAPES)}, got others")
    found = plan_of(model)
    return compare(
        cases, rerun(found, cases), found.dtype, "fastlstm.reference, from what was read", TOLERANCE[np.dtype("f8")]
    )
