"""Arrays in records, tuples, lists and dicts, as the functional core has its weights: each with a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...params import ROWS, Grads

Array = NDArray[Any]
_NAMES = {"W": "kernel", "U": "recurrent_kernel", "V": "projection_kernel", "w": "unit_weights", "p": "peephole_kernel",
          "s": "scale", "b": "bias", "b_n": "recurrent_bias"}  # fmt: skip
_FLOATS = (np.float32, np.float64)


def named(argument: str, tree: Any) -> list[tuple[str, Any]]:
    """The arrays, in order, by their ways down to them, with slashes between: "0/forward/kernel". Fields of the core's
    records go by Keras's names.

    Raises
    ------
    TypeError
        Something that is neither an array nor holds some.
    """
    return list(_walk(argument, tree, ()))


def _walk(argument: str, tree: Any, way: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, np.ndarray):
        yield "/".join(way) or "weights", tree
        return
    if isinstance(tree, Mapping):
        entries = [(str(key), value) for key, value in tree.items()]
    elif hasattr(tree, "_fields"):
        known = _NAMES if type(tree) in ROWS else {}
        entries = [(known.get(field, field), value) for field, value in zip(tree._fields, tree, strict=True)]
    elif isinstance(tree, (tuple, list)):
        entries = [(str(number), value) for number, value in enumerate(tree)]
    else:
        where = f" at {'/'.join(way)}" if way else ""
        raise TypeError(f"{argument}: expected arrays, or records, tuples, lists and dicts of them, got "
                        f"{type(tree).__name__}{where}")  # fmt: skip
    for name, value in entries:
        yield from _walk(argument, value, (*way, name))


def weights(params: Any) -> list[tuple[str, Array]]:
    """Weights that an update can be written into.

    Raises
    ------
    ValueError, TypeError
        None at all; another type than float32 or float64, unlike types; arrays that may not be written to.
    """
    found = named("params", params)
    if not found:
        raise ValueError("params: expected arrays, got none")
    dtype = found[0][1].dtype
    for name, array in found:
        if array.dtype not in _FLOATS or array.dtype != dtype:
            wanted = dtype if dtype in _FLOATS else "float32 or float64"
            raise TypeError(f"params: {name}: expected {wanted}, got {array.dtype}")
        if not array.flags.writeable:
            raise ValueError(f"params: {name}: expected an array that may be written to, got a read-only one")
    return found


def gradients(grads: Any, wanted: list[tuple[str, Array]]) -> list[Array]:
    """Gradients of those weights; of what `fastlstm.backward` returns, those of the weights.

    Raises
    ------
    ValueError, TypeError
        Others than of these weights, by their names and shapes.
    """
    found = named("grads", grads.params if isinstance(grads, Grads) else grads)
    names, others = [name for name, _ in wanted], [name for name, _ in found]
    if names != others:
        raise ValueError(f"grads: expected those of {', '.join(names)}, as in params, got {', '.join(others)}")
    for (name, array), (_, gradient) in zip(wanted, found, strict=True):
        if gradient.shape != array.shape:
            raise ValueError(f"grads: {name}: expected shape {array.shape}, got {gradient.shape}")
        if gradient.dtype.kind not in "iuf":
            raise TypeError(f"grads: {name}: expected real numbers, got dtype {gradient.dtype}")
    return [gradient for _, gradient in found]
