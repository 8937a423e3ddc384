"""The records that hold an LSTM's weights, states and gradients, and how weights begin.

Letters used everywhere: N batch, T time steps, D input size, H hidden size, P output size: the width of h, H for every
cell but the projected one.
"""

from __future__ import annotations

import numbers
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]

GATES = ("i", "f", "g", "o")
"""Order of the gate blocks along the last axis of W, U and b: input, forget, candidate, output."""


def shown(record: Any) -> str:
    """What repr says of a record of named fields: types and shapes instead of pages of numbers."""
    fields = ", ".join(f"{name}={form(value)}" for name, value in zip(record._fields, record, strict=True))
    return f"{type(record).__name__}({fields})"


def form(value: Any) -> str:
    """An array as its type and shape; anything else as repr has it."""
    if is_plain(value):
        return f"({', '.join(map(form, value))}{',' * (len(value) == 1)})" if len(value) < 10 else f"{len(value)} items"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    return repr(value)


class Params(NamedTuple):
    """Weights of one LSTM layer; the last axis holds the gate blocks i, f, g, o of H columns each.

    Attributes
    ----------
    W : ndarray, shape (D, 4H)
        Input weights.
    U : ndarray, shape (H, 4H)
        Recurrent weights.
    b : ndarray, shape (4H,)
        Bias.
    """

    W: Array
    U: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


class InterpolatedParams(NamedTuple):
    """Weights of one layer of the interpolated cell (docs/cells.md), whose output gate reads the new c instead of x.

    Attributes
    ----------
    W : ndarray, shape (D, 3H)
        Input weights, gate blocks i, f, g.
    U : ndarray, shape (H, 4H)
        Recurrent weights, gate blocks i, f, g, o.
    V : ndarray, shape (H, H)
        Weights of the new c in the output gate.
    b : ndarray, shape (3H,)
        Bias, gate blocks i, f, o: the candidate has none.
    """

    W: Array
    U: Array
    V: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


class ProjectedParams(NamedTuple):
    """Weights of one layer of the projected cell (docs/cells.md): the standard one, with V between its output and h.

    Attributes
    ----------
    W : ndarray, shape (D, 4H)
        Input weights, gate blocks i, f, g, o.
    U : ndarray, shape (P, 4H)
        Recurrent weights, the same blocks; P from 1 to H.
    V : ndarray, shape (H, P)
        The projection: h is what the standard cell would put out, times V.
    b : ndarray, shape (4H,)
        Bias, the same blocks; the projection has none.
    """

    W: Array
    U: Array
    V: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


class PeepholeParams(NamedTuple):
    """Weights of one layer of the peephole cell (docs/cells.md): the standard one, whose gates see their own unit's c.

    Attributes
    ----------
    W : ndarray, shape (D, 4H)
        Input weights, gate blocks i, f, g, o.
    U : ndarray, shape (H, 4H)
        Recurrent weights, the same blocks.
    p : ndarray, shape (3H,)
        Peepholes, gate blocks i, f, o: the factors of the old c in i and f, and of the new c in o.
    b : ndarray, shape (4H,)
        Bias, the blocks of W.
    """

    W: Array
    U: Array
    p: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


class NormalizedParams(NamedTuple):
    """Weights of one layer of the normalized cell (docs/cells.md): the standard one, with layer normalisation.

    Attributes
    ----------
    W : ndarray, shape (D, 4H)
        Input weights, gate blocks i, f, g, o.
    U : ndarray, shape (H, 4H)
        Recurrent weights, the same blocks.
    s : ndarray, shape (5H,)
        Scales, blocks i, f, g, o, c: the factors of what is normalised, each gate's block of x·W + h·U and the new c.
    b : ndarray, shape (5H,)
        Bias, the blocks of s: added to what is scaled.
    """

    W: Array
    U: Array
    s: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


NORMALIZED_EPSILON = 1e-5
"""What the normalized cell adds to each variance before it takes the root."""


class State(NamedTuple):
    """Hidden and cell state of one layer: h (N, P) and c (N, H), or (P,) and (H,) for a single sequence."""

    h: Array
    c: Array

    def __repr__(self) -> str:
        return shown(self)


class Bidirectional(NamedTuple):
    """Two of a kind, one for each direction of time: Params, State or gradients."""

    forward: Any
    backward: Any

    def __repr__(self) -> str:
        return shown(self)


class Grads(NamedTuple):
    """Gradients; each field has the structure and the shapes of what it is the gradient of."""

    x: Array
    params: Any
    state: Any

    def __repr__(self) -> str:
        return shown(self)


AnyParams: TypeAlias = Params | InterpolatedParams | ProjectedParams | PeepholeParams | NormalizedParams
Layer: TypeAlias = "AnyParams | Bidirectional"
Stack: TypeAlias = "Layer | Sequence[Layer]"

CELLS: dict[str, type[AnyParams]] = {
    "standard": Params,
    "interpolated": InterpolatedParams,
    "projected": ProjectedParams,
    "peephole": PeepholeParams,
    "normalized": NormalizedParams,
}
"""The cells, by name, and the record of each one's weights."""

_SHAPES: dict[type[AnyParams], Callable[[int, int, int], tuple[tuple[int, ...], ...]]] = {
    Params: lambda D, H, _: ((D, 4 * H), (H, 4 * H), (4 * H,)),
    InterpolatedParams: lambda D, H, _: ((D, 3 * H), (H, 4 * H), (H, H), (3 * H,)),
    ProjectedParams: lambda D, H, P: ((D, 4 * H), (P, 4 * H), (H, P), (4 * H,)),
    PeepholeParams: lambda D, H, _: ((D, 4 * H), (H, 4 * H), (3 * H,), (4 * H,)),
    NormalizedParams: lambda D, H, _: ((D, 4 * H), (H, 4 * H), (5 * H,), (5 * H,)),
}

FORGET_BIAS: dict[type[AnyParams], float] = {
    Params: 1.0,
    InterpolatedParams: -0.25,
    ProjectedParams: 1.0,
    PeepholeParams: 1.0,
    NormalizedParams: 1.0,
}


def shapes(record: type[AnyParams], D: int, H: int, P: int) -> dict[str, tuple[int, ...]]:
    """The shape of each of a record's fields; P is H for every cell but the projected one."""
    return dict(zip(record._fields, _SHAPES[record](D, H, P), strict=True))


def sizes(params: AnyParams) -> tuple[int, int, int]:
    """D, H and P of weights whose shapes fit together."""
    return params.W.shape[0], params.U.shape[1] // len(GATES), params.U.shape[0]


def cell_name(record: type[AnyParams]) -> str:
    """The name of the cell that has such weights."""
    return next(name for name, one in CELLS.items() if one is record)


@overload
def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float | None = None,
    cell: Literal["standard"] = "standard",
    projection_size: None = None,
) -> Params: ...


@overload
def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float | None = None,
    cell: Literal["interpolated"],
    projection_size: None = None,
) -> InterpolatedParams: ...


@overload
def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float | None = None,
    cell: Literal["projected"],
    projection_size: int,
) -> ProjectedParams: ...


@overload
def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float | None = None,
    cell: Literal["peephole"],
    projection_size: None = None,
) -> PeepholeParams: ...


@overload
def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float | None = None,
    cell: Literal["normalized"],
    projection_size: None = None,
) -> NormalizedParams: ...


def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float | None = None,
    cell: str = "standard",
    projection_size: int | None = None,
) -> AnyParams:
    """Random weights for one layer: Glorot uniform W, orthogonal U (and V), zero b but for the forget gate.

    Of the projected cell, the rows of each gate's block of U and the columns of V are orthonormal. p of the
    peephole cell is uniform between -1/√H and 1/√H, s of the normalized cell is 1 throughout.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H, both at least 1.
    rng : numpy.random.Generator, int or None
        Where the randomness comes from; a seed gives the same weights every time.
    dtype : float32 or float64
    forget_bias : float, optional
        The forget gate's bias. 1 lets memory live at the start of training [1]_, and is what the standard cell gets,
        the projected, the peephole and the normalized one.
        The interpolated cell gets -1/4: its candidate brings c in once more, so that c keeps f (1 + i) of itself from
        step to step, 2/3 at the start of training, where the standard cell with 1 keeps 3/4. From 0 on there are units
        that keep more than all of it at some steps, and differences as small as those of rounding grow with the steps.
    cell : "standard", "interpolated", "projected", "peephole" or "normalized"
        docs/cells.md has them side by side.
    projection_size : int, optional
        P, the width of h, from 1 to H: for the projected cell, which must be given one, and for no other.

    Returns
    -------
    Params, InterpolatedParams, ProjectedParams, PeepholeParams or NormalizedParams

    Raises
    ------
    ValueError
        A size below 1, a cell of another name, a projection_size above H or for a cell without a projection, or a
        forget_bias that is not finite.
    TypeError
        A size that is no integer, another dtype, or what no generator can be made of.

    References
    ----------
    .. [1] R. Jozefowicz, W. Zaremba, I. Sutskever, "An Empirical Exploration of Recurrent
       Network Architectures", ICML 2015.

    Examples
    --------
    >>> import fastlstm
    >>> params = fastlstm.init_params(input_size=16, hidden_size=32, rng=0)
    >>> params.W.shape, params.U.shape, params.b.shape
    ((16, 128), (32, 128), (128,))
    >>> fastlstm.init_params(16, 32, rng=0, cell="interpolated").V.shape
    (32, 32)
    >>> params = fastlstm.init_params(16, 32, rng=0, cell="projected", projection_size=8)
    >>> params.U.shape, params.V.shape
    ((8, 128), (32, 8))
    >>> fastlstm.init_params(16, 32, rng=0, cell="peephole").p.shape
    (96,)
    >>> fastlstm.init_params(16, 32, rng=0, cell="normalized").s.shape
    (160,)
    """
    D, H = size_of("input_size", input_size), size_of("hidden_size", hidden_size)
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):  # a string may be one that NumPy evaluates
        raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}") from None
    if dtype is None or kind not in (np.float32, np.float64):  # None is float64 to NumPy
        raise TypeError(f"dtype: expected float32 or float64, got {None if dtype is None else kind}")
    if not isinstance(cell, str):
        raise TypeError(f"cell: expected a name, got {type(cell).__name__}")
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(map(repr, CELLS))}, got {cell!r}")
    record, P = CELLS[cell], output_size(cell, H, projection_size, "hidden_size")
    bias: Any = FORGET_BIAS[record] if forget_bias is None else forget_bias
    if not isinstance(bias, numbers.Real):
        raise TypeError(f"forget_bias: expected a number, got {type(bias).__name__}")
    largest: Any = float(np.finfo(kind).max)
    if not abs(bias) <= largest:
        raise ValueError(f"forget_bias: expected a finite number of {kind}, got {bias}")
    try:
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"rng: expected a numpy.random.Generator, a seed or None, got {rng!r}") from error
    arrays = {}
    for field, shape in shapes(record, D, H, P).items():
        if field == "W":
            limit = np.sqrt(6.0 / (D + H))
            arrays[field] = generator.uniform(-limit, limit, shape)
        elif field == "p":
            limit = 1 / np.sqrt(H)
            arrays[field] = generator.uniform(-limit, limit, shape)
        elif field == "s":
            arrays[field] = np.ones(shape)
        elif field == "b":
            arrays[field] = np.zeros(shape)
            f = GATES.index("f")  # i and f come first in every cell
            arrays[field][f * H : (f + 1) * H] = bias
        else:
            arrays[field] = np.empty(shape)
            width = H if field == "U" else shape[1]
            for column in range(0, shape[1], width):
                arrays[field][:, column : column + width] = _orthogonal(generator, shape[0], width)
    return record(**{field: array.astype(kind) for field, array in arrays.items()})


def integer(name: str, value: Any, least: int) -> int:
    """An argument that counts something, checked."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if not least <= number <= sys.maxsize:
        bound = f"at least {least}" if number < least else f"at most {sys.maxsize}"
        raise ValueError(f"{name}: expected {bound}, got {number}")
    return number


def size_of(name: str, size: object) -> int:
    """A size, checked; name: the argument's."""
    return integer(name, size, 1)


def is_plain(value: object) -> bool:
    """Whether value is a list or a tuple, but no record of named fields."""
    return isinstance(value, (list, tuple)) and not hasattr(value, "_fields")


def array(name: str, value: Any) -> Array:
    """value as an array of real numbers, of any type and layout."""
    found = value if type(value) is np.ndarray else _made_array(name, value)
    if found.dtype.kind not in "biuf":
        _refuse_ragged(name, value)
        raise TypeError(f"{name}: expected real numbers, got dtype {found.dtype}{_culprit(value, found)}")
    return found


def _made_array(name: str, value: Any) -> Array:
    if _has_mask(value):
        raise TypeError(f"{name}: expected an array, got a masked one, whose mask would be lost: fill it, and pass "
                        "lengths where steps are missing")  # fmt: skip
    try:
        return np.asarray(value)
    except Exception as error:  # lists of different lengths, tensors that need their gradient, ...
        _refuse_ragged(name, value)
        wrong = ValueError if isinstance(error, ValueError) else TypeError
        raise wrong(f"{name}: expected an array, got {type(value).__name__} that makes none ({error})") from error


def _culprit(value: Any, found: Array) -> str:
    """What is no number in an array of objects, and where; by its column in a data frame."""
    columns = [str(column) for column in getattr(value, "columns", ())]
    named = found.ndim == 2 and len(columns) == found.shape[1]
    if found.ndim == 0 or not (named or found.dtype == object):
        return ""
    for place, one in np.ndenumerate(found):
        if not isinstance(one, (bool, int, float, np.bool_, np.integer, np.floating)):
            where = f"in column {columns[place[-1]]!r}" if named else f"at {list(place)}"
            return f": {one!r:.50} {where}"
    kinds = zip(columns, getattr(value, "dtypes", ()), strict=False)
    return "".join(f"; column {column!r} has dtype object" for column, kind in kinds if kind == np.dtype(object))


def _has_mask(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_has_mask(item) for item in value if isinstance(item, (list, tuple, np.ma.MaskedArray)))
    return isinstance(value, np.ma.MaskedArray)


def _refuse_ragged(name: str, value: Any) -> None:
    """Say what to do with sequences of different lengths, if that is what x or y holds."""
    if name.endswith(("x", "y")) and isinstance(value, (list, tuple, np.ndarray)):
        rows = [] if getattr(value, "ndim", 1) == 0 else value
        lengths = {len(row) for row in rows if isinstance(row, (list, tuple)) or np.ndim(row) > 0}
        if len(lengths) > 1:
            raise ValueError(f"{name}: expected sequences of one length, got {min(lengths)} to {max(lengths)} steps: "
                             "pad them, and pass lengths")  # fmt: skip


def output_size(cell: str, H: int, projection_size: object, name: str) -> int:
    """P of a cell with H units, from a projection_size, checked; name: H's argument."""
    if CELLS[cell] is not ProjectedParams:
        if projection_size is not None:
            raise ValueError(f"projection_size: expected None for the {cell} cell, got {projection_size!r}")
        return H
    P = size_of("projection_size", projection_size)
    if P > H:
        raise ValueError(f"projection_size: expected at most {name}, {H}, got {P}")
    return P


def _orthogonal(generator: np.random.Generator, rows: int, columns: int) -> Array:
    """Orthonormal rows, or columns where there are no more columns than rows."""
    q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
    turned: Array = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return turned if rows >= columns else turned.T
