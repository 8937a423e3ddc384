"""Where a model's batches come from: arrays, or anything that can be gone through and yields batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import checks
from . import names

Array = NDArray[Any]
_CHUNK = 1 << 20  # numbers looked at at once for NaN


class Given(NamedTuple):
    """What a caller gave: arrays, or x something that yields batches. A batch, and data to validate with, may come as
    a dict of these names."""

    x: Any = None
    y: Any = None
    sample_weight: Any = None
    lengths: Any = None
    mask: Any = None


class Batch(NamedTuple):
    """x (N, ...), y and weights (N, ...) or None, mask (N, T) or None; of the model's types, in C order."""

    x: Any
    y: Any
    weights: Any
    mask: Any


Prepare: TypeAlias = Callable[[Given], Batch]


def targets(y: Any) -> Any:
    """y as an array of real numbers."""
    return checks.array("y", y, "; np.unique(y, return_inverse=True) numbers the names of classes")


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
            raise ValueError(f"{name}: expected no NaN, got one at [{place}]: fill it, or leave it out by lengths or "
                             "mask; allow_nan=True lets it into loss and weights")  # fmt: skip


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


def without(array: Array, mask: Array) -> Array:
    """array (N, T, ...), 0 where mask (N, T) is false; the same where it is that already."""
    if not array[~mask].any():  # NaN counts as true
        return array
    return np.where(mask.reshape(*mask.shape, *(1,) * (array.ndim - 2)), array, array.dtype.type(0))


def masked_where_needed(batch: Batch) -> Batch:
    """The same, without a mask where all steps are real: that costs nothing then."""
    return batch if batch.mask is None or not batch.mask.all() else batch._replace(mask=None)


class Arrays:
    """Batches of arrays: in order as views, or shuffled, gathered into the same memory each time."""

    def __init__(self, batch: Batch, size: int) -> None:
        self._batch, self._size = batch, size
        self.samples = len(batch.x)
        self.steps: int | None = -(-self.samples // size)
        self._rooms: list[tuple[Array, Array, Array] | None] | None = None

    def batches(self, order: Array | None) -> Iterator[Batch]:
        """All samples once, in that order."""
        if order is None:
            for first in range(0, self.samples, self._size):
                part = slice(first, first + self._size)
                yield masked_where_needed(Batch(*(None if array is None else array[part] for array in self._batch)))
            return
        if self._rooms is None:
            self._rooms = [None if array is None else _room(array, self._size) for array in self._batch]
        for first in range(0, self.samples, self._size):
            some = order[first : first + self._size]
            found: list[Array | None] = []
            for gathered in self._rooms:
                if gathered is None:
                    found.append(None)
                    continue
                rows, room, shaped = gathered
                rows.take(some, 0, room[: len(some)], "clip")
                found.append(shaped[: len(some)])
            yield masked_where_needed(Batch(*found))

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
        self.steps = steps if steps is not None else _length(source)
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
            yield self._prepare(unpacked(item))
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


def _length(source: Any) -> int | None:
    """How many batches there are, where the source knows: a loader may have a length that raises."""
    try:
        return len(source)
    except Exception:  # TypeError, NotImplementedError, ...: all say that it does not know
        return None


def _is_indexed(source: Any) -> bool:
    return hasattr(source, "__getitem__") and hasattr(source, "__len__") and not hasattr(source, "__iter__")


def is_stream(x: Any) -> bool:
    """Whether x yields batches, and is no array of samples: a generator, an object of the caller's, a list of them."""
    if isinstance(x, (list, tuple)):
        return isinstance(x, list) and bool(x) and all(_is_batch(item) for item in x)
    if isinstance(x, (np.ndarray, Mapping, str)) or hasattr(x, "__array__") or np.isscalar(x) or x is None:
        return False
    return hasattr(x, "__iter__") or _is_indexed(x)


def _is_batch(item: Any) -> bool:
    """Whether an entry of a list is a batch, and not a sample: a sample's first entry has fewer axes than an x."""
    if isinstance(item, Mapping):
        return True
    return isinstance(item, tuple) and bool(item) and hasattr(item[0], "__array__") and np.ndim(item[0]) > 1


def unpacked(item: Any) -> Given:
    """What a stream yields: x, (x,), (x, y), (x, y, sample_weight), or a dict.

    Raises
    ------
    ValueError
        A tuple of another length, a dict of other names.
    """
    if isinstance(item, Mapping):
        return named("batch", item)
    if not isinstance(item, (tuple, list)) or (isinstance(item, list) and not (item and hasattr(item[0], "__array__"))):
        return Given(item)
    if not 1 <= len(item) <= 3:
        raise ValueError(f"batch: expected (x, y), (x, y, sample_weight) or a dict of {', '.join(Given._fields)}, "
                         f"got a tuple of {len(item)}")  # fmt: skip
    return Given(*item)


def named(argument: str, item: Mapping[str, Any]) -> Given:
    """Data by the names of the arguments of `fit`.

    Raises
    ------
    ValueError
        Other names, or no x.
    """
    if "x" not in item or not set(item) <= set(Given._fields):
        raise ValueError(f"{argument}: expected a dict of x and any of {', '.join(Given._fields[1:])}, got one of "
                         f"{', '.join(map(str, item)) or 'nothing'}")  # fmt: skip
    return Given(**item)


def class_weights(
    y: Array, by_class: Any, shape: tuple[int, ...], known: Collection[int], largest: bool, counted: Array | None = None
) -> Array:
    """A weight for each row of predictions, by its class; 1 for classes that are not named.

    Parameters
    ----------
    y : ndarray, shape (N, ...), (N, ..., 1), or (N, ..., K)
        Class numbers, or a number a class.
    by_class : mapping of int to float
    shape : tuple, (N, ..., K)
        Of the predictions.
    known : collection of int
        What classes there may be; any if empty.
    largest : bool
        Whether, of numbers a class, the largest says the class; else one has to be 1, the others 0.
    counted : ndarray of bool, shape (N, ...), optional
        Which rows count: what y is in others does not matter.

    Returns
    -------
    ndarray, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        No mapping of class numbers to numbers; targets that say no class.
    """
    table, rows = _table(by_class, known), shape[:-1]
    if y.shape in (rows, (*rows, 1)):
        numbers = y.reshape(rows)
        wrong = np.isfinite(numbers) & (numbers != np.rint(numbers))
        if counted is not None:
            wrong &= counted
        if wrong.any():
            raise ValueError(f"class_weight: expected class numbers in y, got {numbers[wrong][0]}")
    elif y.shape == shape:
        seen = y if counted is None else y[counted]
        if not largest and not (((seen == 0) | (seen == 1)).all() and (seen.sum(axis=-1) == 1).all()):
            raise ValueError("class_weight: expected one class a sample or step, 1 for it and 0 for the others in y, "
                             "got other numbers")  # fmt: skip
        numbers = y.argmax(axis=-1)
    else:
        raise ValueError(f"class_weight: expected y of shape {rows} or {shape}, got {y.shape}")
    classes, places = np.unique(numbers, return_inverse=True)  # NaN is of no class
    weights = np.array([table.get(int(one), 1.0) if np.isfinite(one) else 1.0 for one in classes])
    return weights[places].reshape(rows)


def _table(by_class: Any, known: Collection[int]) -> dict[int, float]:
    """Weights by class, checked."""
    if not isinstance(by_class, Mapping):
        raise TypeError(f"class_weight: expected a dict of class numbers to weights, got {type(by_class).__name__}")
    table = {}
    for one, weight in by_class.items():
        if not isinstance(one, (int, float, np.integer, np.floating)) or one != np.rint(one):
            raise TypeError(f"class_weight: expected class numbers as keys, got {one!r}")
        if known and one not in known:
            raise ValueError(f"class_weight: expected classes {min(known)} to {max(known)}, got {one}")
        if isinstance(weight, np.ma.MaskedArray):
            raise TypeError(f"class_weight: expected a number for class {one}, got a masked one")
        table[int(one)] = names.real(f"class_weight: class {one}", weight, 0.0)
    return table
