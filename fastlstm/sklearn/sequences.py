"""What an estimator is given as X: sequences of one length or of many, as one padded array; and their scale.

Letters: N sequences, T steps of the longest, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from ..arrays import array

Array = NDArray[Any]
_TYPES = [np.float64, np.float32]  # others become the first


class Sequences(NamedTuple):
    """Sequences side by side.

    Attributes
    ----------
    x : ndarray of float32 or float64, shape (N, T, D)
        0 behind the end of a sequence.
    lengths : ndarray of int64, shape (N,), or None
        Steps of each; None where all have T.
    form : {"table", "array", "list", "flat list"}
        What they came as: (N, T), (N, T, D), a list of (T_i, D), a list of (T_i,).
    """

    x: Array
    lengths: NDArray[np.int64] | None
    form: str

    def part(self, rows: Any) -> Sequences:
        """Some of them, by their numbers; padding that none of them needs is left out."""
        x, lengths = self.x[rows], self.lengths
        if lengths is None:
            return self._replace(x=x)
        lengths = lengths[rows]
        longest = int(lengths.max())
        return self._replace(x=x[:, :longest], lengths=None if (lengths == longest).all() else lengths)

    def real(self) -> NDArray[np.bool_] | None:
        """Which steps are real, (N, T); None where all are."""
        return None if self.lengths is None else np.arange(self.x.shape[1]) < self.lengths[:, None]

    def like_given(self, x: Array) -> Any:
        """Numbers of that shape, (N, T, D), in the form that the sequences came in."""
        if self.form == "table":
            return x[:, :, 0]
        if self.form == "array":
            return x
        lengths = np.full(len(x), x.shape[1]) if self.lengths is None else self.lengths
        flat = self.form == "flat list"
        return [one[:length, 0] if flat else one[:length] for one, length in zip(x, lengths, strict=True)]


def is_list(X: Any) -> bool:
    """Whether X is a list of sequences, also one that NumPy has made an array of objects of; nested lists of numbers
    are an array if they can be."""
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1
    if not isinstance(X, (list, tuple)):
        return False
    if not X or any(hasattr(one, "__array__") and np.ndim(one) for one in X):
        return True
    try:
        return np.asarray(X).ndim == 0
    except ValueError:  # unlike lengths
        return True


def read(estimator: Any, X: Any, *, reset: bool) -> Sequences:
    """What a caller gave as X, checked; sets what an estimator says of the X that it was fitted on, or compares it.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets `n_features_in_`, and for a table with names of columns `feature_names_in_`.
    X : array_like, shape (N, T, D) or (N, T), or a list of array_like, shapes (T_i, D) or (T_i,)
    reset : bool
        Whether this is what it is to be fitted on anew.

    Raises
    ------
    ValueError, TypeError
        No such arrays; NaN or infinity; other features than those that the estimator was fitted on.
    """
    if is_list(X):
        found = _of_list(X, type(estimator).__name__)
    elif _axes(X) > 2:
        found = _of_array(X, estimator)
    else:
        return _of_table(X, estimator, reset=reset)
    D = found.x.shape[2]
    if reset:
        estimator.n_features_in_ = D
        estimator._columns = None
        vars(estimator).pop("feature_names_in_", None)
    elif (expected := _features(estimator)) != D:
        whose = type(estimator).__name__
        raise ValueError(f"X: expected sequences of shape (T, {expected}), as in fit, got (T, {D}): X has "
                         f"{_counted(D)}, but {whose} is expecting {_counted(expected)} as input")  # fmt: skip
    return found


def _counted(D: int) -> str:
    return f"{D} feature{'' if D == 1 else 's'}"


def _features(estimator: Any) -> int:
    """D of what it was fitted on: columns of a table are steps of one feature."""
    return 1 if estimator._columns is not None else int(estimator.n_features_in_)


def _axes(X: Any) -> int:
    """How many axes an array has; 2 of what makes none, which has to be refused."""
    axes = getattr(X, "ndim", None)
    if isinstance(axes, int):
        return axes
    return np.asarray(X).ndim if isinstance(X, (list, tuple)) or hasattr(X, "__array__") else 2


def _of_table(X: Any, estimator: Any, *, reset: bool) -> Sequences:
    """(N, T): a sequence of one feature a row."""
    if not reset and estimator._columns is None:  # fitted on sequences with an axis of features
        table = check_array(X, dtype=_TYPES, estimator=estimator, input_name="X")
        if (D := _features(estimator)) != 1:
            raise ValueError(f"X: expected shape (N, T, {D}), or a list of (T_i, {D}), as in fit, got {table.shape}: "
                             "a table holds sequences of one feature")  # fmt: skip
    else:
        table = validate_data(estimator, X, reset=reset, dtype=_TYPES)
    if reset:
        estimator._columns = table.shape[1]
    return Sequences(table[:, :, None], None, "table")


def _of_array(X: Any, estimator: Any) -> Sequences:
    found = check_array(X, dtype=_TYPES, allow_nd=True, estimator=estimator, input_name="X")
    if found.ndim != 3 or 0 in found.shape:
        raise ValueError(f"X: expected shape (N, T, D), (N, T), or a list of (T_i, D), none of them 0, got "
                         f"{found.shape}")  # fmt: skip
    return Sequences(found, None, "array")


def _of_list(X: Sequence[Any], whose: str) -> Sequences:
    """Sequences of unlike length, padded."""
    if not len(X):
        raise ValueError("X: expected at least one sequence, got an empty list")
    given = [_one(i, sequence) for i, sequence in enumerate(X)]
    flat = given[0].ndim == 1
    for i, one in enumerate(given):
        if one.ndim != given[0].ndim or one.shape[1:] != given[0].shape[1:]:
            expected = "(T,)" if flat else f"(T, {given[0].shape[1]})"
            raise ValueError(f"X[{i}]: expected shape {expected}, as X[0], got {one.shape}")
    lengths = np.array([len(one) for one in given], np.int64)
    dtype = np.float32 if all(one.dtype == np.float32 for one in given) else np.float64
    steps = np.concatenate(given, dtype=dtype)
    if not np.isfinite(steps).all():
        row = int(np.flatnonzero(~np.isfinite(steps).reshape(len(steps), -1).all(axis=1))[0])
        i = int(np.searchsorted(np.cumsum(lengths), row, side="right"))
        raise ValueError(f"X[{i}]: expected finite numbers, got NaN or infinity at step {row - lengths[:i].sum()}: "
                         f"input X contains NaN or infinity, which {whose} does not take")  # fmt: skip
    T = int(lengths.max())
    if (lengths == T).all():
        return Sequences(steps.reshape(len(given), T, -1), None, "flat list" if flat else "list")
    x = np.zeros((len(given), T, 1 if flat else steps.shape[1]), dtype)
    x[np.arange(T) < lengths[:, None]] = steps[:, None] if flat else steps
    return Sequences(x, lengths, "flat list" if flat else "list")


def _one(i: int, sequence: Any) -> Array:
    """An entry of a list."""
    try:
        one = np.asarray(sequence)
    except ValueError as error:
        raise ValueError(f"X[{i}]: expected a sequence of shape (T, D), got none ({error})") from error
    if one.dtype.kind not in "biuf":
        array(f"X[{i}]", sequence)  # says which column of a data frame it is
    if one.ndim not in (1, 2) or 0 in one.shape:
        hint = "; 1D array: reshape your data, or give a list of sequences" if one.ndim == 0 else ""
        raise ValueError(f"X[{i}]: expected a sequence of shape (T, D) or (T,), none of them 0, got shape "
                         f"{one.shape}{hint}")  # fmt: skip
    return one


class Scale(NamedTuple):
    """Means and standard deviations of features, or of targets; arrays of float64, shape (D,)."""

    mean: Array
    deviation: Array

    def apply(self, values: Array, dtype: Any) -> Array:
        """(values - mean) / deviation, in that type."""
        found = np.empty(values.shape, dtype)
        np.subtract(values, self.mean, out=found, casting="same_kind")
        found /= self.deviation.astype(dtype)
        return found

    def undo(self, values: Array) -> Array:
        """What `apply` was given."""
        return values * self.deviation + self.mean


def scale_of(rows: Array, weights: Array | None) -> Scale:
    """Weighted mean and standard deviation of each column of (M, D), 1 for that of a constant column."""
    if weights is None:
        mean = rows.mean(axis=0, dtype=np.float64)
        moved = rows - mean
        variance = np.einsum("mk,mk->k", moved, moved) / len(rows)
    else:
        share = weights / weights.sum()
        mean = share @ rows
        variance = share @ np.square(rows - mean)
    deviation = np.sqrt(variance)
    return Scale(mean, np.where(deviation > 10 * np.finfo(rows.dtype).eps * np.abs(mean), deviation, 1.0))


def scale_of_steps(sequences: Sequences, weights: Array | None) -> Scale:
    """Of each feature over all real steps; a step has the weight of its sequence."""
    _, T, D = sequences.x.shape
    real = sequences.real()
    steps = sequences.x.reshape(-1, D) if real is None else sequences.x[real]
    repeats = T if sequences.lengths is None else sequences.lengths
    return scale_of(steps, None if weights is None else np.repeat(weights, repeats))


def scaled(sequences: Sequences, scale: Scale | None, dtype: Any) -> Sequences:
    """The same on that scale, in that type; 0 behind the ends."""
    if scale is None:
        return sequences._replace(x=sequences.x.astype(dtype, copy=False))
    x, real = scale.apply(sequences.x, dtype), sequences.real()
    if real is not None:
        x[~real] = 0
    return sequences._replace(x=x)
