"""Weights and states to begin with."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import DTypeLike

from . import backend, checks
from .arrays import size_of
from .cells.own import OwnCell
from .checks import assemble
from .params import (
    CELLS,
    ROWS,
    AnyParams,
    AnyState,
    Array,
    Bidirectional,
    GRUBeforeParams,
    GRUParams,
    Hidden,
    InterpolatedParams,
    NormalizedParams,
    OwnParams,
    Params,
    PeepholeParams,
    ProjectedParams,
    State,
    shapes,
)
from .types import Layer, Packed, Stack, Structured, WithCells, WithoutCells


@overload
def zero_state(params: WithCells, batch_size: int = 1) -> State: ...


@overload
def zero_state(params: WithoutCells, batch_size: int = 1) -> Hidden: ...


@overload
def zero_state(params: OwnParams | Packed, batch_size: int = 1) -> AnyState: ...


@overload
def zero_state(params: Bidirectional[WithCells], batch_size: int = 1) -> Bidirectional[State]: ...


@overload
def zero_state(params: Bidirectional[WithoutCells], batch_size: int = 1) -> Bidirectional[Hidden]: ...


@overload
def zero_state(params: Bidirectional, batch_size: int = 1) -> Bidirectional[AnyState]: ...


@overload
def zero_state(params: Sequence[WithCells], batch_size: int = 1) -> tuple[State, ...]: ...


@overload
def zero_state(params: Sequence[WithoutCells], batch_size: int = 1) -> tuple[Hidden, ...]: ...


@overload
def zero_state(params: Sequence[Layer], batch_size: int = 1) -> tuple[Any, ...]: ...


def zero_state(params: Stack, batch_size: int = 1) -> Structured:
    """A state of zeros: what `forward` begins with, unless it is given another.

    Parameters
    ----------
    params : Params or another cell's record, Bidirectional, what `pack` makes of them, or a stack of these
    batch_size : int
        N.

    Returns
    -------
    State
        h (N, P) and c (N, H) of the weights' type; in the structure of params. P is H but for the projected cell. For a
        cell without c, such as the GRU, `Hidden`, of h alone.

    Raises
    ------
    ValueError, TypeError
        Weights or a batch size that make no sense.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.zero_state(fastlstm.init_params(16, 32), batch_size=8).h.shape
    (8, 32)
    """
    found = checks.weights(params)
    N = checks.count("batch_size", batch_size)
    first = found.levels[0][0]
    like = first.panels if isinstance(first, Packed) else first.W
    return backend.given_back(
        assemble(checks.states("state", None, found, N, single=False, like=like), found.stacked), like
    )


class _Options(TypedDict, total=False):
    rng: np.random.Generator | int | None
    dtype: DTypeLike
    forget_bias: float | None


class _Unprojected(_Options, total=False):
    projection_size: None


@overload
def init_params(
    input_size: int, hidden_size: int, *, cell: Literal["standard"] = "standard", **options: Unpack[_Unprojected]
) -> Params: ...


@overload
def init_params(
    input_size: int, hidden_size: int, *, cell: Literal["interpolated"], **options: Unpack[_Unprojected]
) -> InterpolatedParams: ...


@overload
def init_params(
    input_size: int, hidden_size: int, *, cell: Literal["projected"], projection_size: int, **options: Unpack[_Options]
) -> ProjectedParams: ...


@overload
def init_params(
    input_size: int, hidden_size: int, *, cell: Literal["peephole"], **options: Unpack[_Unprojected]
) -> PeepholeParams: ...


@overload
def init_params(
    input_size: int, hidden_size: int, *, cell: Literal["normalized"], **options: Unpack[_Unprojected]
) -> NormalizedParams: ...


@overload
def init_params(
    input_size: int, hidden_size: int, *, cell: Literal["gru"], **options: Unpack[_Unprojected]
) -> GRUParams: ...


@overload
def init_params(
    input_size: int, hidden_size: int, *, cell: Literal["gru_before"], **options: Unpack[_Unprojected]
) -> GRUBeforeParams: ...


@overload
def init_params(input_size: int, hidden_size: int, *, cell: OwnCell, **options: Unpack[_Unprojected]) -> OwnParams: ...


def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float | None = None,
    cell: str | OwnCell = "standard",
    projection_size: int | None = None,
) -> AnyParams:
    """Random weights for one layer: Glorot uniform W, orthogonal U (and V), zero b but for the forget gate.

    In the projected cell the rows of each gate's block of U, and the columns of V, are orthonormal. p of the peephole
    cell, and the unit weights w of a cell of one's own, are uniform between -1/√H and 1/√H. s of the normalized cell is
    1 throughout.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H, both at least 1.
    rng : numpy.random.Generator, int or None
        Where the randomness comes from; a seed gives the same weights every time.
    dtype : float32 or float64
    forget_bias : float, optional
        The forget gate's bias. 1 lets memory live at the start of training [1]_; all cells but the interpolated one
        begin with it. The interpolated cell begins with -1/4. Its candidate brings c in once more, so c keeps
        f (1 + i) of itself from step to step: 2/3 at the start of training, where the standard cell with 1 keeps 3/4.
        With 0 or more, some units keep more than all of c at some steps, and differences as small as those of rounding
        grow with the steps. The GRUs have no forget gate, and take none.
    cell : "standard", "interpolated", "projected", "peephole", "normalized", "gru", "gru_before", or one's own
        docs/cells.md has them side by side. One's own is what `fastlstm.cells.cell` makes.
    projection_size : int, optional
        P, the width of h, from 1 to H. The projected cell needs it, and no other takes it.

    Returns
    -------
    Params, InterpolatedParams, ProjectedParams, PeepholeParams, NormalizedParams, GRUParams, GRUBeforeParams, OwnParams
        By the cell.

    Raises
    ------
    ValueError
        A size below 1, a cell of another name, a projection_size above H or for a cell without a projection, a
        forget_bias that is not finite, or one for a cell without a forget gate.
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
    >>> fastlstm.init_params(16, 32, rng=0, cell="gru").U.shape
    (32, 96)
    """
    D, H = size_of("input_size", input_size), size_of("hidden_size", hidden_size)
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):  # a string may be one that NumPy evaluates
        raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}") from None
    if dtype is None or kind not in (np.float32, np.float64):  # None is float64 to NumPy
        raise TypeError(f"dtype: expected float32 or float64, got {None if dtype is None else kind}")
    record = record_of(cell)
    P, bias = output_size(record, H, projection_size, "hidden_size"), _forget_bias(record, forget_bias, kind)
    try:
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"rng: expected a numpy.random.Generator, a seed or None, got {rng!r}") from error
    arrays = {}
    for field, shape in shapes(record, D, H, P).items():
        if field == "W":
            limit = np.sqrt(6.0 / (D + H))
            arrays[field] = generator.uniform(-limit, limit, shape)
        elif field in ("p", "w"):
            limit = 1 / np.sqrt(H)
            arrays[field] = generator.uniform(-limit, limit, shape)
        elif field == "s":
            arrays[field] = np.ones(shape)
        elif field in ("b", "b_n"):
            arrays[field] = np.zeros(shape)
            if bias is not None and field == "b":
                forget = ROWS[record].forget * H
                arrays[field][forget : forget + H] = bias
        else:
            arrays[field] = np.empty(shape)
            width = H if field == "U" else shape[1]
            for column in range(0, shape[1], width):
                arrays[field][:, column : column + width] = _orthogonal(generator, shape[0], width)
    return record(**{field: array.astype(kind) for field, array in arrays.items()})


def record_of(cell: str | OwnCell) -> type[AnyParams]:
    """The record of the weights of a cell, by its name, or one's own."""
    if isinstance(cell, OwnCell):
        found: type[AnyParams] = cell.record
        return found
    if not isinstance(cell, str):
        raise TypeError(f"cell: expected a name, or what fastlstm.cells.cell makes, got {type(cell).__name__}")
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(map(repr, CELLS))}, got {cell!r}")
    return CELLS[cell]


class NoSuchCell(ValueError):
    """A cell of one's own that a file needs is not there."""


def own_named(argument: str, name: str) -> OwnCell:
    """The cell of one's own that a file means: of that name, or of another one, but which computes the same.

    Raises
    ------
    NoSuchCell
        A ValueError.
    """
    place, _, computed = name.rpartition("#")
    there = {row.name: record for record, row in ROWS.items() if issubclass(record, OwnParams)}
    alike = [one for one in there if one.rpartition("#")[2] == computed]
    if name in there or alike:
        found: OwnCell = there[name if name in there else alike[0]].cell  # type: ignore[union-attr]
        return found
    others = any(one.rpartition("#")[0] == place for one in there)
    raise NoSuchCell(f"{argument}: expected a cell of one's own {place!r}, defined or imported before"
                     + "; the one of that name that is there computes something else" * others)  # fmt: skip


def output_size(record: type[AnyParams], H: int, projection_size: object, name: str) -> int:
    """P of a cell with H units, from projection_size, which is checked. name: what the caller calls H."""
    if record is not ProjectedParams:
        if projection_size is not None:
            cell = ROWS[record].name
            raise ValueError(f"projection_size: expected None for the {cell} cell, got {projection_size!r}")
        return H
    P = size_of("projection_size", projection_size)
    if P > H:
        raise ValueError(f"projection_size: expected at most {name}, {H}, got {P}")
    return P


def _forget_bias(record: type[AnyParams], given: Any, kind: np.dtype[Any]) -> Any:
    """Checked, or the cell's own where none is given; None for a cell without a forget gate."""
    cell, usual = ROWS[record].name, ROWS[record].forget_bias
    bias = usual if given is None else given
    if usual is None and given is not None:
        raise ValueError(f"forget_bias: expected None for the {cell} cell, got {given!r}")
    if bias is not None and not isinstance(bias, numbers.Real):
        raise TypeError(f"forget_bias: expected a number, got {type(bias).__name__}")
    largest: Any = float(np.finfo(kind).max)
    if bias is not None and not abs(bias) <= largest:
        raise ValueError(f"forget_bias: expected a finite number of {kind}, got {bias}")
    return bias


def _orthogonal(generator: np.random.Generator, rows: int, columns: int) -> Array:
    """A matrix of orthonormal columns, or of orthonormal rows where it is wider than high."""
    q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
    turned: Array = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return turned if rows >= columns else turned.T
