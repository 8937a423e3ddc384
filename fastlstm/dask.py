"""Predictions on Dask arrays: lazily, a block of samples at a time, with whatever scheduler Dask is given.

``pip install fastlstm[dask]`` brings Dask. A task takes one thread: schedulers run as many tasks at once as there are
cores for, and kernels let go of Python's lock.
"""

from __future__ import annotations

import copy
import threading
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import backend, checks
from .arrays import size_of
from .nn import Sequential
from .nn._src.data import Given
from .nn._src.names import flag

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

__all__ = ["predict"]

Array = NDArray[Any]


def predict(
    model: Sequential, x: DaskArray, batch_size: int = 32, *, lengths: ArrayLike | DaskArray | None = None,
    mask: ArrayLike | DaskArray | None = None, allow_nan: bool = False,
) -> DaskArray:  # fmt: skip
    """Predictions for a Dask array, as another one. Nothing is computed yet.

    Whatever the blocks and the scheduler, the numbers will have the bits of ``model.predict`` on the whole array. They
    are those of the model as it is now: if it learns on, they do not change.

    Parameters
    ----------
    model : Sequential
        Without stateful layers.
    x : dask.array.Array, shape (N, ...)
        Each block of samples is a task; N may be unknown. If blocks cut other axes too, they are joined along these
        first, as sequences are needed whole.
    batch_size : int
        Samples that go through the layers at a time.
    lengths : array_like of int, or dask.array.Array, shape (N,), optional
    mask : array_like of bool, or dask.array.Array, shape (N, T), optional
        As for ``model.predict``.
    allow_nan : bool
        Whether NaN in x is taken, and not an error; a task finds it.

    Returns
    -------
    dask.array.Array, shape (N, ...)
        In the blocks of x along the first axis, and one block along the others.

    Raises
    ------
    ImportError
        Dask is missing.
    ValueError, TypeError
        Data or arguments that do not fit: at once, or when it is computed, if only the numbers show it.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastlstm.dask
    >>> from fastlstm.nn import LSTM, Dense, Sequential
    >>> model = Sequential([LSTM(4, input_shape=(5, 3)), Dense(1)], seed=0)
    >>> x = da.random.default_rng(0).random((1000, 5, 3), chunks=(200, -1, -1))
    >>> y = fastlstm.dask.predict(model, x)
    >>> y.shape, y.numblocks
    ((1000, 1), (5, 1))
    >>> bool((y.compute() == model.predict(x.compute(), verbose=0)).all())
    True
    """
    da = _library()
    if not isinstance(model, Sequential):
        raise TypeError(f"model: expected a Sequential, got {type(model).__name__}")
    if not isinstance(x, da.Array):
        raise TypeError(f"x: expected a dask array, got {type(x).__name__}; model.predict takes what is in memory")
    batch_size, allow_nan = size_of("batch_size", batch_size), flag("allow_nan", allow_nan)
    if x.ndim == 0 or any(np.isnan(size) for size in x.shape[1:]):
        raise ValueError(f"x: expected shape (N, ...) of which N alone may be unknown, got {x.shape}; "
                         "x.compute_chunk_sizes() finds sizes")  # fmt: skip
    example = model._prepared(Given(np.zeros((0, *x.shape[1:]), x.dtype)), targets=False, allow_nan=True)
    stateful = [layer.name for layer in model.layers if layer._stateful()]
    if stateful:
        raise ValueError(f"model: expected no stateful layers, as blocks are in no order, got {', '.join(stateful)}")
    given: list[Any] = [x.rechunk(dict.fromkeys(range(1, x.ndim), -1)), tuple(range(x.ndim))]
    for name, value, axes in (("lengths", lengths, (0,)), ("mask", mask, (0, 1))):
        given += [None, None] if value is None else [_beside(name, value, x, len(axes)), axes]
    shape = model._predicted_shape(example.x)[1:]
    outputs = tuple(range(x.ndim, x.ndim + len(shape)))
    return da.blockwise(
        _Predict(model._bare(), uuid.uuid4().hex, shape, (batch_size, allow_nan)), (0, *outputs), *given,
        name=f"fastlstm-predict-{uuid.uuid4().hex}", new_axes=dict(zip(outputs, shape, strict=True)),
        align_arrays=False, concatenate=True, dtype=model.dtype, meta=np.zeros((0,) * (1 + len(shape)), model.dtype),
    )  # fmt: skip


def _library() -> Any:
    try:
        import dask.array
    except ImportError as error:
        raise ImportError(
            "predict: expected the package dask, which is not installed (pip install fastlstm[dask])"
        ) from (error)
    return dask.array


def _beside(name: str, value: Any, x: Any, axes: int) -> Any:
    """lengths or a mask in the blocks of x."""
    da, unknown = _library(), np.isnan(x.shape[0])
    if not isinstance(value, da.Array):
        value = checks.array(name, value)
        if unknown:
            raise TypeError(f"{name}: expected a dask array in the blocks of x, whose length is unknown, got "
                            f"{type(value).__name__}")  # fmt: skip
    expected = x.shape[:axes]
    if value.ndim != axes or any(a != b for a, b in zip(value.shape, expected, strict=True) if a == a and b == b):
        raise ValueError(f"{name}: expected shape {expected}, got {value.shape}")
    if isinstance(value, np.ndarray):
        return da.from_array(value, chunks=(x.chunks[0], *value.shape[1:]))
    if unknown or np.isnan(value.shape[0]):
        if value.numblocks[0] != x.numblocks[0]:
            raise ValueError(f"{name}: expected {x.numblocks[0]} blocks of samples, as x has, got {value.numblocks[0]}")
        return value.rechunk(dict.fromkeys(range(1, axes), -1))
    return value.rechunk((x.chunks[0], *value.shape[1:]))


class _Own(threading.local):
    token = ""
    model: Any = None


_own = _Own()


class _Predict(NamedTuple):
    """A task: a block of samples, lengths and mask -> what the model makes of it."""

    model: Sequential
    token: str
    shape: tuple[int, ...]
    options: tuple[int, bool]

    def __call__(self, x: Array, lengths: Any, mask: Any) -> Array:
        if not len(x):
            return np.zeros((0, *self.shape), self.model.dtype)
        if _own.token != self.token:  # layers keep packed weights: each thread has its own
            _own.token, _own.model = self.token, copy.deepcopy(self.model)
        batch_size, allow_nan = self.options
        with backend.engine.on_threads(1):
            found: Array = _own.model.predict(
                x, batch_size, verbose=0, lengths=lengths, mask=mask, allow_nan=allow_nan
            )  # fmt: skip
        return found
