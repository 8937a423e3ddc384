"""The records that hold a layer's weights, states and gradients, and the table of cells.

Letters used everywhere: N batch, T time steps, D input size, H hidden size, P output size. P is the width of h: it is H
for every cell but the projected one.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # checkers of types have it; in Python itself since 3.13
else:

    def TypeVar(name: str, **_: object) -> Any:
        """A type variable without a default."""
        return typing.TypeVar(name)


Array: TypeAlias = NDArray[Any]
Way = TypeVar("Way", default=Any, covariant=True)
"""What a Bidirectional has two of."""
ParamsLike = TypeVar("ParamsLike", default=Any, covariant=True)
"""The structure of the weights: a record, a Bidirectional of two, or a tuple, one entry a layer."""
StateLike = TypeVar("StateLike", default=Any, covariant=True)
"""The structure of the states."""


def shown(record: Any) -> str:
    """The repr of a record: types and shapes instead of pages of numbers."""
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

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.init_params(16, 32)
    Params(W=float32 (16, 128), U=float32 (32, 128), b=float32 (128,))
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

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.init_params(16, 32, cell="interpolated")
    InterpolatedParams(W=float32 (16, 96), U=float32 (32, 128), V=float32 (32, 32), b=float32 (96,))
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

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.init_params(16, 32, cell="projected", projection_size=8)
    ProjectedParams(W=float32 (16, 128), U=float32 (8, 128), V=float32 (32, 8), b=float32 (128,))
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

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.init_params(16, 32, cell="peephole")
    PeepholeParams(W=float32 (16, 128), U=float32 (32, 128), p=float32 (96,), b=float32 (128,))
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
        Scales, blocks i, f, g, o, c: factors of each gate's block of x·W + h·U once it is normalised, and of the
        normalised new c.
    b : ndarray, shape (5H,)
        Bias, the blocks of s: added behind the scales.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.init_params(16, 32, cell="normalized")
    NormalizedParams(W=float32 (16, 128), U=float32 (32, 128), s=float32 (160,), b=float32 (160,))
    """

    W: Array
    U: Array
    s: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


class GRUParams(NamedTuple):
    """Weights of one layer of the GRU (docs/cells.md) whose reset gate acts after the product.

    Attributes
    ----------
    W : ndarray, shape (D, 3H)
        Input weights, gate blocks r, z, n: reset, update, candidate.
    U : ndarray, shape (H, 3H)
        Recurrent weights, the same blocks.
    b : ndarray, shape (3H,)
        Bias, the same blocks.
    b_n : ndarray, shape (H,)
        The candidate's second bias: beside h·U_n, so that the reset gate acts on it too.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.init_params(16, 32, cell="gru")
    GRUParams(W=float32 (16, 96), U=float32 (32, 96), b=float32 (96,), b_n=float32 (32,))
    """

    W: Array
    U: Array
    b: Array
    b_n: Array

    def __repr__(self) -> str:
        return shown(self)


class GRUBeforeParams(NamedTuple):
    """Weights of one layer of the GRU (docs/cells.md) whose reset gate acts on h, before the product.

    Attributes
    ----------
    W : ndarray, shape (D, 3H)
        Input weights, gate blocks r, z, n: reset, update, candidate.
    U : ndarray, shape (H, 3H)
        Recurrent weights, the same blocks.
    b : ndarray, shape (3H,)
        Bias, the same blocks.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.init_params(16, 32, cell="gru_before")
    GRUBeforeParams(W=float32 (16, 96), U=float32 (32, 96), b=float32 (96,))
    """

    W: Array
    U: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


NORMALIZED_EPSILON = 1e-5
"""What the normalized cell adds to each variance before it takes the root."""


class OwnParams(NamedTuple):
    """Weights of one layer of a cell of one's own (`fastlstm.cells.cell`). Each such cell has its own subclass.

    The cell has G gates and K unit weights; H is the number of units.

    Attributes
    ----------
    W : ndarray, shape (D, G·H)
        Input weights, a block for each gate that reads x.
    U : ndarray, shape (H, G·H)
        Recurrent weights, a block for each gate that reads h.
    w : ndarray, shape (K·H,)
        Unit weights, a block for each.
    b : ndarray, shape (G·H,)
        Bias, a block for each gate that has one.

    Examples
    --------
    See `fastlstm.cells.cell`.
    """

    W: Array
    U: Array
    w: Array
    b: Array

    def __repr__(self) -> str:
        return shown(self)


class State(NamedTuple):
    """Hidden and cell state of one layer.

    Attributes
    ----------
    h : ndarray, shape (N, P), or (P,) for a single sequence
        Hidden state. P is H, but for the projected cell.
    c : ndarray, shape (N, H), or (H,) for a single sequence
        Cell state.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.zero_state(fastlstm.init_params(16, 32), batch_size=4)
    State(h=float32 (4, 32), c=float32 (4, 32))
    """

    h: Array
    c: Array

    def __repr__(self) -> str:
        return shown(self)


class Hidden(NamedTuple):
    """State of one layer of a cell without c, such as the GRU.

    Attributes
    ----------
    h : ndarray, shape (N, H), or (H,) for a single sequence
        Hidden state.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.zero_state(fastlstm.init_params(16, 32, cell="gru"), batch_size=4)
    Hidden(h=float32 (4, 32))
    """

    h: Array

    def __repr__(self) -> str:
        return shown(self)


class Batch(NamedTuple):
    """What a pass of one direction of a layer reads besides the weights and the state.

    Attributes
    ----------
    x : ndarray, shape (N, T, D)
    lengths : ndarray of int64, shape (N,), or None
        Real steps of each sequence; None where all T are.
    reset : ndarray of bool, shape (N, T), or None
        In the order of x, whichever way the steps run.
    mask : ndarray, shape (N, P), or None
        Factors of h where it enters the product.
    reverse : bool
    """

    x: Array
    lengths: NDArray[np.int64] | None = None
    reset: NDArray[np.bool_] | None = None
    mask: Array | None = None
    reverse: bool = False

    def __repr__(self) -> str:
        return shown(self)


class Bidirectional(NamedTuple, Generic[Way]):
    """Two of a kind, one for each direction of time: records of weights, states or gradients.

    Two records of weights are a layer that reads each sequence from both ends. Its y has both outputs side by side.

    Attributes
    ----------
    forward
        That of the direction from the first step to the last. Its output comes first in y.
    backward
        That of the direction from the last step to the first.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> both = fastlstm.Bidirectional(fastlstm.init_params(16, 32, rng=0), fastlstm.init_params(16, 32, rng=1))
    >>> y, state = fastlstm.forward(np.ones((4, 10, 16)), both)
    >>> y.shape, state.backward.h.shape
    ((4, 10, 64), (4, 32))
    """

    forward: Way
    backward: Way

    def __repr__(self) -> str:
        return shown(self)


class Grads(NamedTuple, Generic[ParamsLike, StateLike]):
    """Gradients; each field has the structure and the shapes of what it is the gradient of.

    Attributes
    ----------
    x : ndarray, shape (N, T, D)
    params : Params or another cell's record, a Bidirectional of two, or a tuple, one entry a layer
    state : State or Hidden, a Bidirectional of two, or a tuple, one entry a layer
        Of the state that the sequences begin with.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> y, state, tape = fastlstm.forward_train(np.ones((2, 7, 3)), fastlstm.init_params(3, 5, rng=0))
    >>> grads = fastlstm.backward(tape, dy=2 * y)
    >>> grads.params.b.shape, grads.state.h.shape
    ((20,), (2, 5))
    """

    x: Array
    params: ParamsLike
    state: StateLike

    def __repr__(self) -> str:
        return shown(self)


AnyParams: TypeAlias = (
    Params
    | InterpolatedParams
    | ProjectedParams
    | PeepholeParams
    | NormalizedParams
    | GRUParams
    | GRUBeforeParams
    | OwnParams
)
AnyState: TypeAlias = State | Hidden
Layer: TypeAlias = "AnyParams | Bidirectional[AnyParams]"
Stack: TypeAlias = "Layer | Sequence[Layer]"
CELLS: dict[str, type[AnyParams]] = {
    "standard": Params,
    "interpolated": InterpolatedParams,
    "projected": ProjectedParams,
    "peephole": PeepholeParams,
    "normalized": NormalizedParams,
    "gru": GRUParams,
    "gru_before": GRUBeforeParams,
}
"""The cells by name, and the record of each one's weights."""


class Row(NamedTuple):
    """What a record of weights says of its cell.

    Attributes
    ----------
    name : str
        The cell's.
    gates : tuple of str
        Names of the blocks of U, H columns each, in their order.
    shapes : callable
        Shapes of the record's fields, from D, H and P.
    forget_bias : float or None
        The forget gate's bias that `init_params` begins with, unless it is told another one; None where there is no
        such gate.
    state : type
        `State`, or `Hidden` where there is no c.
    forget : int
        The place of the forget gate's block in b.
    """

    name: str
    gates: tuple[str, ...]
    shapes: Callable[[int, int, int], tuple[tuple[int, ...], ...]]
    forget_bias: float | None
    state: type[AnyState] = State
    forget: int = 1


_LSTM, _GRU = ("i", "f", "g", "o"), ("r", "z", "n")  # input, forget, candidate, output; reset, update, candidate
ROWS: dict[type[AnyParams], Row] = {
    Params: Row("standard", _LSTM, lambda D, H, _: ((D, 4 * H), (H, 4 * H), (4 * H,)), 1.0),
    InterpolatedParams: Row("interpolated", _LSTM, lambda D, H, _: ((D, 3 * H), (H, 4 * H), (H, H), (3 * H,)), -0.25),
    ProjectedParams: Row("projected", _LSTM, lambda D, H, P: ((D, 4 * H), (P, 4 * H), (H, P), (4 * H,)), 1.0),
    PeepholeParams: Row("peephole", _LSTM, lambda D, H, _: ((D, 4 * H), (H, 4 * H), (3 * H,), (4 * H,)), 1.0),
    NormalizedParams: Row("normalized", _LSTM, lambda D, H, _: ((D, 4 * H), (H, 4 * H), (5 * H,), (5 * H,)), 1.0),
    GRUParams: Row("gru", _GRU, lambda D, H, _: ((D, 3 * H), (H, 3 * H), (3 * H,), (H,)), None, Hidden),
    GRUBeforeParams: Row("gru_before", _GRU, lambda D, H, _: ((D, 3 * H), (H, 3 * H), (3 * H,)), None, Hidden),
}


def own_record(own: Any, name: str) -> type[OwnParams]:
    """The type of the weights of one's own cell, and its row. own: an OwnCell; name: of its row in the table of cells,
    and in the type's: where compiled code is called, Numba tells types of tuples apart by their names. In a pickle
    there is the cell's name."""
    numbers = [len(one) for one in (own.gates_of_x, own.gates_of_h, own.unit_weights, own.gates_of_b)]
    record: type[OwnParams] = type(f"OwnParams[{name}]", (OwnParams,), _members(own))

    def forms(D: int, H: int, _: int) -> tuple[tuple[int, ...], ...]:
        of_x, of_h, weights, gates = (n * H for n in numbers)
        return (D, of_x), (H, of_h), (weights,), (gates,)

    remembers = "c" in own.states and "f" in own.gates_of_b
    forget = own.gates_of_b.index("f") if remembers else 0
    state = State if "c" in own.states else Hidden
    ROWS[record] = Row(name, own.gates_of_h, forms, 1.0 if remembers else None, state, forget)
    return record


def reset_record(own: Any, name: str) -> type[GRUBeforeParams]:
    """The same for a GRU whose reset gate acts before the product, with activations or an order of its own."""
    record: type[GRUBeforeParams] = type(f"GRUBeforeParams[{name}]", (GRUBeforeParams,), _members(own))
    ROWS[record] = ROWS[GRUBeforeParams]._replace(name=name, gates=own.order)
    return record


def _members(own: Any) -> dict[str, Any]:
    """Of a type of weights that knows its cell."""

    def again(params: Any) -> tuple[Any, ...]:
        return _own_params, (own, *params)

    return {"__slots__": (), "__module__": __name__, "__reduce__": again, "cell": own}


def _own_params(own: Any, *arrays: Array) -> AnyParams:
    """From a pickle."""
    found: AnyParams = own.record(*arrays)
    return found


def shapes(record: type[AnyParams], D: int, H: int, P: int) -> dict[str, tuple[int, ...]]:
    """The shape of each of a record's fields; P is H for every cell but the projected one."""
    return dict(zip(record._fields, ROWS[record].shapes(D, H, P), strict=True))


def sizes(params: AnyParams) -> tuple[int, int, int]:
    """D, H and P of weights whose shapes fit together."""
    P = params.U.shape[0]
    return params.W.shape[0], params.U.shape[1] // len(_LSTM) if isinstance(params, ProjectedParams) else P, P


def state_widths(params: AnyParams) -> dict[str, int]:
    """The width of each field of its state: P numbers of h, H of c."""
    _, H, P = sizes(params)
    return {field: P if field == "h" else H for field in ROWS[type(params)].state._fields}


def cell_name(record: type[AnyParams]) -> str:
    """The name of the cell that has such weights."""
    return ROWS[record].name


def is_plain(value: object) -> bool:
    """Whether value is a list or a tuple, but no record of named fields."""
    return isinstance(value, (list, tuple)) and not hasattr(value, "_fields")
