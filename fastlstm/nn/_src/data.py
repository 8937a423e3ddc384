"""Where a model's batches come from: arrays, or anything that can be gone through and yields batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_CHUNK = 1 << 20  # numbers looked at at once for NaN


class Batch(NamedTuple):
    """x (N, ...), y and weights (N, ...) or None; of the model's types, in C order."""

    x: Any
    y: Any
    weights: Any


Prepare: TypeAlias = Callable[[Any, Any, Any], Batch]


def no_nan(name: str, array: Any) -> None:
    """Refuse NaN.

    Raises
    ------
    ValueError
        There is some; the message says where.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
        return
    rows = max(1, _CHUNK * len(array) // array.size)
    for first in range(0, len(array), rows):
        chunk = array[first : first + rows]
        if np.isnan(chunk.min()):
            where = np.argwhere(np.isnan(chunk))[0]
            place = ", ".join(str(i) for i in (first + where[0], *where[1:]))
            raise ValueError(f"{name}: expected no NaN, got one at [{place}]; allow_nan=True takes them")


def same_length(x: Any, **others: Any) -> None:
    """Refuse arrays that are not of as many samples as x.

    Raises
    ------
    ValueError
        The message says which.
    """
    for name, array in others.items():
        if array is not None and (np.ndim(array) == 0 or len(array) != len(x)):
            got = "a number" if np.ndim(array) == 0 else f"{len(array)}"
            raise ValueError(f"{name}: expected {len(x)} samples, as in x, got {got}")


class Arrays:
    """Batches of arrays: in order as views, or shuffled, gathered into the same memory each time."""

    def __init__(self, batch: Batch, size: int) -> None:
        self._batch, self._size = batch, size
        self.samples = len(batch.x)
        self.steps: int | None = -(-self.samples // size)
        self._rooms: list[tuple[Array, Array, Array]] | None = None

    def batches(self, order: Array | None) -> Iterator[Batch]:
        """All samples once, in that order."""
        if order is None:
            for first in range(0, self.samples, self._size):
                part = slice(first, first + self._size)
                x, y, weights = (None if array is None else array[part] for array in self._batch)
                yield Batch(x, y, weights)
            return
        if self._rooms is None:
            self._rooms = [_room(array, self._size) for array in self._batch if array is not None]
        for first in range(0, self.samples, self._size):
            some = order[first : first + self._size]
            found = []
            for rows, room, shaped in self._rooms:
                np.take(rows, some, axis=0, out=room[: len(some)], mode="clip")
                found.append(shaped[: len(some)])
            x, *rest = found
            yield Batch(
                x,
                None if self._batch.y is None else rest[0],
                None if self._batch.weights is None else rest[-1],
            )

    def epoch(self, rng: np.random.Generator | None) -> Iterator[Batch]:
        """All samples once, shuffled where there is a generator."""
        return self.batches(None if rng is None else rng.permutation(self.samples))


def _room(array: Array, size: int) -> tuple[Array, Array, Array]:
    """Samples as rows, memory for a batch of them, and that memory in the samples' shape."""
    rows = array.reshape(len(array), -1)
    room = np.empty((size, rows.shape[1]), array.dtype)
    return rows, room, room.reshape(size, *array.shape[1:])


class Stream:
    """Batches from an iterable.

    Something that can be gone through again is, from its beginning, in each epoch; a generator goes on where it was,
    and must hold out. `steps` is the length of an epoch where it is given.
    """

    def __init__(self, source: Any, steps: int | None, prepare: Prepare) -> None:
        self._source = _Indexed(source) if _is_indexed(source) else source
        self._again = iter(self._source) is not self._source if not isinstance(self._source, _Indexed) else True
        self.steps = steps if steps is not None else getattr(source, "__len__", lambda: None)()
        self._counted, self._prepare = steps is not None, prepare
        self._running: Iterator[Any] | None = None
        self._epoch = 0

    def epoch(self, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """The batches of an epoch. Order is the source's own affair."""
        self._epoch += 1
        if self._running is None or (self._again and not self._counted):
            self._running = iter(self._source)
        done = 0
        while not self._counted or self.steps is None or done < self.steps:
            item = next(self._running, _END)
            if item is _END and self._counted and self._again:
                self._running = iter(self._source)
                item = next(self._running, _END)
            if item is _END:
                break
            yield self._prepare(*unpacked(item))
            done += 1
        if done == 0 or (self._counted and self.steps is not None and done < self.steps):
            wanted = f"{self.steps} batches" if self._counted else "batches"
            raise ValueError(f"x: expected {wanted} in epoch {self._epoch} of this run, got {done}, then its end; a "
                             "generator can be gone through once only")  # fmt: skip


_END = object()


class _Indexed:
    """Goes through something with a length and numbers, such as Keras's PyDataset."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        for i in range(len(self._source)):
            yield self._source[i]
        end = getattr(self._source, "on_epoch_end", None)
        if callable(end):
            end()


def _is_indexed(source: Any) -> bool:
    return hasattr(source, "__getitem__") and hasattr(source, "__len__") and not hasattr(source, "__iter__")


def is_stream(x: Any) -> bool:
    """Whether x yields batches and is no array of samples: a generator, an object of the caller's, a list of tuples."""
    if isinstance(x, (list, tuple)):
        return bool(x) and all(isinstance(item, tuple) for item in x)
    if isinstance(x, (np.ndarray, Mapping, str)) or hasattr(x, "__array__") or np.isscalar(x) or x is None:
        return False
    return hasattr(x, "__iter__") or _is_indexed(x)


def unpacked(item: Any) -> tuple[Any, Any, Any]:
    """x, y and weights of what a stream yields or validation_data is: x, (x,), (x, y) or (x, y, weights).

    Raises
    ------
    ValueError
        A tuple of another length.
    """
    if not isinstance(item, (tuple, list)) or (isinstance(item, list) and not hasattr(item[0], "__array__")):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise ValueError(f"batch: expected (x, y) or (x, y, sample_weight), got a tuple of {len(item)}")
    x, y, weights = (*item, None, None)[:3]
    return x, y, weights


def class_weights(y: Array, by_class: Any) -> Array:
    """A weight for each sample, by its class; 1 for classes that are not named.

    Parameters
    ----------
    y : ndarray, shape (N,), (N, 1), or (N, K): a number a class, the largest counts
    by_class : mapping of int to float

    Raises
    ------
    ValueError, TypeError
        No mapping to numbers; targets of sequences.
    """
    if not isinstance(by_class, Mapping):
        raise TypeError(f"class_weight: expected a dict of class numbers to weights, got {type(by_class).__name__}")
    if y.ndim > 2:
        raise ValueError(f"class_weight: expected a class a sample, y of shape (N,) or (N, K), got {y.shape}")
    if y.ndim == 2:
        y = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]
    classes, places = np.unique(np.rint(y).astype(np.int64), return_inverse=True)
    try:
        weights = np.array([float(by_class.get(int(one), 1.0)) for one in classes])
    except (TypeError, ValueError):
        raise TypeError(f"class_weight: expected numbers as weights, got {dict(by_class)!r}") from None
    return weights[places]
