"""The proof of a file: it is run, and its outputs are those of `fastlstm.reference`.

A writer puts what `cases` makes into its file: inputs, lengths, expected outputs. `check` of its module runs a file on
the inputs that stand there and compares; `write` lets nothing come to its place that has not passed. So the file can be
proven again at any time, by `prove`.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..files import file_name, regular, write_whole
from ..params import Array
from .plan import Masking, Plan, run

TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}
"""How far outputs may be from the expected ones, at least: a part of the largest of these, or of 1."""
CHECKS = {
    ".py": "numpy_file", ".h": "c_header", ".json": "rtneural", ".onnx": "onnx", ".keras": ".nn._src.keras_loading",
}  # fmt: skip
"""The modules, seen from this package, whose `check` runs a file, by its suffix."""
SHAPES: tuple[tuple[int, int, list[int] | None], ...] = ((1, 5, None), (2, 3, None), (3, 4, [4, 1, 2]))


class Case(NamedTuple):
    """An input, and what has to come out.

    Attributes
    ----------
    x : ndarray, shape (N, T, D)
        Of the plan's float type.
    lengths : ndarray of int64, shape (N,)
        Real steps of each sequence, from 1 to T.
    y : ndarray of float64, shape (N, T, M) or (N, M)
        By `plan.run`. Steps past a sequence's length are not compared.
    """

    x: Array
    lengths: NDArray[np.int64]
    y: Array


class Proof(NamedTuple):
    """That a file computes what it should.

    Attributes
    ----------
    error : float
        The largest difference from what is expected, divided by the largest number expected, or by 1 if that is less.
    numbers : int
        How many numbers were compared.
    by : str
        What ran the file.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     proof = fastlstm.to_numpy(fastlstm.init_params(3, 4, rng=0), os.path.join(folder, "mine.py"))
    >>> proof.error < 1e-6, proof.numbers
    (True, 72)
    """

    error: float
    numbers: int
    by: str

    def __str__(self) -> str:
        return f"largest difference {self.error:.1e} on {self.numbers} numbers, run by {self.by}"


def cases(plan: Plan) -> tuple[Case, ...]:
    """Random inputs of three shapes, the last with sequences of different lengths; always the same for a plan's sizes.

    Padding holds numbers like any others; where a plan begins with a Masking, what it leaves out."""
    rng = np.random.default_rng(1997)
    first = plan.stages[0]
    found = []
    for N, T, given in SHAPES:
        lengths = np.array([T] * N if given is None else given, np.int64)
        x = rng.standard_normal((N, T, plan.input_size)).astype(plan.dtype)
        if isinstance(first, Masking):
            x[np.arange(T) >= lengths[:, None]] = first.value
        found.append(Case(x, lengths, run(plan, x, lengths)[0]))
    return tuple(found)


def rerun(plan: Plan, cases: Sequence[Case], dtype: DTypeLike = np.float64) -> list[Array]:
    """What `fastlstm.reference` makes of inputs that stand in a file.

    Raises
    ------
    ValueError
        They are no inputs of the plan.
    """
    for case in cases:
        if case.x.shape[2] != plan.input_size:
            raise ValueError(f"expected inputs of {plan.input_size} numbers a step, got {case.x.shape}")
    return [run(plan, case.x, case.lengths, dtype=dtype)[0] for case in cases]


def tolerance(plan: Plan, cases: Sequence[Case]) -> float:
    """How far outputs of a plan may be: `TOLERANCE`; or, where rounding is enlarged on its way through the layers, ten
    times as far as `fastlstm.reference` itself is in the plan's float type."""
    outputs = rerun(plan, cases, plan.dtype)
    return max(TOLERANCE[plan.dtype], 10 * _error(cases, outputs, "fastlstm.reference")[0])


def compare(
    cases: Sequence[Case], outputs: Sequence[Any], dtype: DTypeLike, by: str, tolerance: float | None = None
) -> Proof:
    """Outputs against the expected ones, at the steps that are real.

    Parameters
    ----------
    cases : sequence of Case
    outputs : sequence of array_like
        Of each case, in the shape of its y.
    dtype : float32 or float64
        In which they were computed.
    by : str
        What computed them.
    tolerance : float, optional
        In place of that of `TOLERANCE`.

    Raises
    ------
    ValueError
        They differ, or have other shapes.
    """
    error, numbers = _error(cases, outputs, by)
    if tolerance is None:
        tolerance = TOLERANCE[np.dtype(dtype)]
    if not error <= tolerance:  # NaN is not, either
        raise ValueError(f"expected outputs within {tolerance:.0e} of fastlstm.reference, got a difference of "
                         f"{error:.1e} on {numbers} numbers, run by {by}")  # fmt: skip
    return Proof(error, numbers, by)


def _error(cases: Sequence[Case], outputs: Sequence[Any], by: str) -> tuple[float, int]:
    """The largest difference as a part of the largest number expected, or of 1; and how many numbers these are."""
    pairs = [_pair(case, np.asarray(y), by) for case, y in zip(cases, outputs, strict=True)]
    expected, found = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1.0)), expected.size


def _pair(case: Case, y: Array, by: str) -> tuple[Array, Array]:
    """Both flat, without padding."""
    if y.shape != case.y.shape:
        raise ValueError(f"expected outputs of shape {case.y.shape}, got {y.shape}, run by {by}")
    if y.ndim == 3:
        real = np.arange(y.shape[1]) < case.lengths[:, None]
        return case.y[real].ravel(), y[real].ravel().astype(np.float64)
    return case.y.ravel(), y.ravel().astype(np.float64)


def write(
    path: Any, make: Callable[[Proof | None], Sequence[tuple[str, bytes]]], check: Callable[[str], Proof | None]
) -> Proof | None:
    """Files that come to their place only once they are proven.

    Parameters
    ----------
    path : str or path-like
    make : function
        From the proof the suffixes that stand in the place of the path's, and contents, in the order in which they are
        written. None in the place of the proof: not run yet, or nothing there that could.
    check : function
        Runs the file of that name, and says so, or raises. None: nothing is there to run it.

    Returns
    -------
    Proof or None
        What `check` said.

    Raises
    ------
    ValueError
        The file does not compute what it should; what was at its place is there as before.
    OSError
        It cannot be written.
    """
    name = file_name(path)
    stem, own = os.path.splitext(name)
    regular(name, "to write")
    with tempfile.TemporaryDirectory(prefix="fastlstm-") as folder:
        beside = os.path.join(folder, os.path.basename(stem))
        for suffix, content in make(None):
            with open(beside + suffix, "wb") as file:
                file.write(content)
        try:
            proof = check(beside + own)
        except ValueError as error:
            raise ValueError(f"path: {error}; {name!r} is not written") from error
    for suffix, content in make(proof):
        write_whole(stem + suffix, lambda file, content=content: file.write(content))  # type: ignore[misc]
    return proof


def prove(path: str | os.PathLike[str]) -> Proof:
    """Run a file that carries inputs and outputs, and compare: see `fastlstm.formats.prove`."""
    name = file_name(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in CHECKS:
        raise ValueError(f"path: expected a file that carries vectors, {', '.join(CHECKS)}, got {name!r}")
    check: Callable[[str], Proof] = importlib.import_module(f".{CHECKS[suffix]}", __package__).check
    try:
        return check(name)
    except ValueError as error:
        raise ValueError(f"path: {error} in {name!r}") from error
