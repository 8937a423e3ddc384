"""The LSTM and its kin in plain NumPy: the oracle of every test, the baseline of every benchmark, the place to read.

One layer carries two states, hidden h and cell c, through the T steps of a sequence. A step takes
x (D inputs) and the states h, c (H units each) that the step before left, h₀ and c₀ at the first:

    z  = x·W + h·U + b                       4H numbers, blocks z_i, z_f, z_g, z_o
    i  = σ(z_i)    f = σ(z_f)    o = σ(z_o)  input, forget and output gate, between 0 and 1
    g  = tanh(z_g)                           candidate, between −1 and 1
    c' = f∘c + i∘g                           forget some of the old, take in some of the new
    h' = o∘tanh(c')                          the output y of this step

Backward walks the same steps from the last to the first. With dy from above and dh, dc from the step after:

    dh'  = dy + dh                           y and h' are one array, used twice
    dc'  = dc + dh'∘o∘(1 − tanh²(c'))
    dz_i = dc'∘g∘i∘(1 − i)    dz_f = dc'∘c∘f∘(1 − f)
    dz_g = dc'∘i∘(1 − g²)     dz_o = dh'∘tanh(c')∘o∘(1 − o)
    dh   = dz·Uᵀ              dc   = dc'∘f   for the step before

and after the loop, over all steps and samples at once: dW = xᵀ·dz, dU = hᵀ·dz, db = Σ dz, dx = dz·Wᵀ.

Where an episode begins (`reset`), the step behind the boundary takes h = c = 0 instead of what the step before
left, forward and in dz_f and dU; and it hands dh = dc = 0 to the step before.
docs/equations.md derives them. The LSTM is that of Hochreiter and Schmidhuber (1997) with the forget gate
of Gers, Schmidhuber and Cummins (2000). Each of the other cells has its equations in its class below.

Everything is computed in the weights' float type, whichever that is: float16 to longdouble.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .arrays import array
from .params import (
    NORMALIZED_EPSILON,
    ROWS,
    AnyParams,
    AnyState,
    Array,
    Bidirectional,
    Grads,
    GRUBeforeParams,
    GRUParams,
    Hidden,
    InterpolatedParams,
    NormalizedParams,
    OwnParams,
    Params,
    PeepholeParams,
    ProjectedParams,
    Stack,
    State,
    cell_name,
    is_plain,
    shapes,
    shown,
    sizes,
    state_widths,
)

if TYPE_CHECKING:
    from .types import Masks, States, Structured

__all__ = ["forward", "forward_cells", "forward_train", "backward", "Tape", "LayerTape"]

_S = TypeVar("_S", bound=AnyState)
_T = TypeVar("_T")


class LayerTape(NamedTuple):
    """What backward needs of one layer in one direction: copies, steps in the order they were computed.

    Attributes
    ----------
    params : a record of weights
    x : ndarray, shape (N, T, D)
        The layer's input, 0 in padding.
    states : State, or Hidden for a cell without c; h (N, T + 1, P), c (N, T + 1, H)
        The states before each step, and at the end that after the last step. Padding repeats the last real one.
    gates : ndarray, shape (N, T, K)
        What a step of the cell keeps for backward: i, f, g, o in the standard cell.
    reset : ndarray of bool, shape (N, T, 1)
        Whether a step begins with h = c = 0, whatever the step before it left.
    mask : ndarray, shape (N, P)
        Factors of h where it enters the product.
    lengths : ndarray, shape (N,)
    reverse : bool
    """

    params: AnyParams
    x: Array
    states: AnyState
    gates: Array
    reset: Array
    mask: Array
    lengths: Array
    reverse: bool

    def __repr__(self) -> str:
        return shown(self)


class Tape(NamedTuple):
    """What `forward_train` keeps for `backward`.

    Attributes
    ----------
    layers : tuple of LayerTape, or of Bidirectional of two of these
        One entry a layer, bottom first.
    stacked : bool
        Whether params was a stack.
    single : bool
        Whether x was a single sequence, without the axis N.
    """

    layers: tuple[Any, ...]
    stacked: bool
    single: bool

    def __repr__(self) -> str:
        return shown(self)


def forward(
    x: ArrayLike,
    params: Stack,
    state: States | None = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    reset: ArrayLike | None = None,
    h_mask: Masks | None = None,
) -> tuple[Array, Structured]:
    """Run a layer, or a stack of layers, over whole sequences.

    Parameters
    ----------
    x : array_like, shape (N, T, D) or (T, D)
        Converted to the weights' float type.
    params : Params or another cell's record, Bidirectional
        Or a list or tuple of these: a stack, bottom first.
    state : State or a pair (h, c), Bidirectional of two of these, or a sequence of them for a stack, optional
        The initial state: h (N, P) and c (N, H), or (P,) and (H,) for a single sequence. `Hidden` for a cell without c.
        Zeros if None.
    lengths : array_like of int, shape (N,), optional
        Real steps of each sequence, from 0 to T (one number for a single sequence). Behind them y is 0, the state
        stays, and x is not read.
    reverse : bool
        Run each sequence from its own end. ``y[:, t]`` still belongs to ``x[:, t]``.
    reset : array_like of bool, shape (N, T), or (T,) for a single sequence, optional
        True marks the first step of an episode in x, whichever way the steps run. No state crosses the boundary before
        that step. Forwards, step t begins with zeros if ``reset[n, t]``. Backwards it does if ``reset[n, t + 1]``, and
        ``reset[n, 0]`` changes nothing. A reset in padding changes nothing either.
    h_mask : array_like, shape (N, P), or (P,) for a single sequence, optional
        Factors m of the old h where it enters the product, the same at every step: z = x·W + (m∘h)·U + b. For a
        Bidirectional or a stack it has the structure of the state, with None for a layer without one.

    Returns
    -------
    y : ndarray, shape (N, T, P) or (T, P); 2P for a Bidirectional, forward first
        h of the top layer after every step.
    state : State, or of the structure of params
        The state after the last real step.

    Raises
    ------
    ValueError
        A shape or a length that does not fit; ``reverse`` with a Bidirectional.
    TypeError
        Numbers that are not real, lengths that are not integers, a reset that is not booleans, a layer or a state
        of another type.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(3, 5, rng=0, dtype=np.float64)
    >>> x = np.ones((2, 7, 3))
    >>> y, state = fastlstm.reference.forward(x, params)
    >>> bool(abs(y - fastlstm.forward(x, params)[0]).max() < 1e-13)
    True
    """
    y, last, _ = forward_train(x, params, state, lengths=lengths, reverse=reverse, reset=reset, h_mask=h_mask)
    return y, last


def forward_cells(
    x: ArrayLike,
    params: Stack,
    state: States | None = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    reset: ArrayLike | None = None,
    h_mask: Masks | None = None,
) -> tuple[Array, Structured, Structured]:
    """`forward` that also returns c of every step.

    Parameters
    ----------
    x, params, state, lengths, reverse, reset, h_mask
        As in `forward`.

    Returns
    -------
    y, state
        As from `forward`.
    c : ndarray, shape (N, T, H) or (T, H)
        The cell state after every step. A `Bidirectional` of two for a Bidirectional, a tuple for a stack.

    Raises
    ------
    ValueError, TypeError
        As `forward`; TypeError also for a layer of a cell without c.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> y, state, c = fastlstm.reference.forward_cells(np.ones((2, 7, 3)), fastlstm.init_params(3, 5, rng=0))
    >>> c.shape, bool((c[:, -1] == state.c).all())
    ((2, 7, 5), True)
    """
    for way in (one for layer in _stack(params) for one in _ways(layer)):
        if type(way) in ROWS and "c" not in ROWS[type(way)].state._fields:
            raise TypeError(
                f"params: expected cells with a c, got one of the {cell_name(type(way))} cell, which has none"
            )
    y, last, tape = forward_train(x, params, state, lengths=lengths, reverse=reverse, reset=reset, h_mask=h_mask)
    c = tuple(_both(*(_outputs(way.states.c, way) for way in _ways(layer))) for layer in tape.layers)
    return y, last, _given_back(c, tape.stacked, tape.single)


def forward_train(
    x: ArrayLike,
    params: Stack,
    state: States | None = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    reset: ArrayLike | None = None,
    h_mask: Masks | None = None,
) -> tuple[Array, Structured, Tape]:
    """`forward` that keeps what `backward` needs.

    Parameters
    ----------
    x, params, state, lengths, reverse, reset, h_mask
        As in `forward`.

    Returns
    -------
    y, state
        As from `forward`.
    tape : Tape

    Raises
    ------
    ValueError, TypeError
        As `forward`.

    Examples
    --------
    See `backward`.
    """
    stacked = is_plain(params)
    x = _real("x", x)
    if x.ndim not in (2, 3):
        raise ValueError(f"x: expected shape (N, T, D) or (T, D), got {x.shape}")
    single = x.ndim == 2
    x = x[None] if single else x
    N, T, D = x.shape
    layers = _layers(params, D, reverse)
    kind = _ways(layers[0])[0].W.dtype
    lengths = _lengths(lengths, N, T, single)
    reset = _reset(reset, N, T, single)
    states = _states("state", state, layers, N, stacked, single)
    masks = _masks(h_mask, layers, N, stacked, single)

    y = np.where(_live(lengths, T), x, 0).astype(kind)  # padding may hold anything: first out, then convert
    last: list[Any] = []
    tapes: list[Any] = []
    for layer, begin, mask in zip(layers, states, masks, strict=True):
        ways = [
            _forward_layer(y, *way, lengths, reverse or backwards, reset)
            for backwards, way in zip((False, True), zip(_ways(layer), begin, mask, strict=True), strict=False)
        ]
        ys, ends, of_ways = zip(*ways, strict=True)
        y = np.concatenate(ys, axis=-1)
        last.append(_both(*ends))
        tapes.append(_both(*of_ways))
    return y[0] if single else y, _given_back(tuple(last), stacked, single), Tape(tuple(tapes), stacked, single)


def backward(tape: Tape, dy: ArrayLike | None = None, dstate: States | None = None) -> Grads:
    """Gradients of a loss, from those that arrive at y, at the last state, or at both.

    Parameters
    ----------
    tape : Tape
        From `forward_train`; not changed.
    dy : array_like, shape of y, optional
        Gradient at every y. Zeros if None.
    dstate : State, or of the structure of params, optional
        Gradient at the last state. Zeros if None.

    Returns
    -------
    Grads
        Of x, params and the initial state, each with the structure of what it is the gradient of.

    Raises
    ------
    ValueError, TypeError
        As in `forward`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(3, 5, rng=0)
    >>> y, state, tape = fastlstm.reference.forward_train(np.ones((2, 7, 3)), params)
    >>> grads = fastlstm.reference.backward(tape, dy=2 * y)
    >>> grads.params.W.shape, grads.x.shape
    ((3, 20), (2, 7, 3))
    """
    layers = tuple(_both(*(way.params for way in _ways(layer))) for layer in tape.layers)
    tops: tuple[LayerTape, ...] = _ways(tape.layers[-1])
    (N, T, _), width = tops[0].x.shape, sum(way.mask.shape[1] for way in tops)
    kind = tops[0].x.dtype
    shape = (T, width) if tape.single else (N, T, width)
    dy = np.zeros(shape, kind) if dy is None else _real("dy", dy, shape)
    dstates = _states("dstate", dstate, layers, N, tape.stacked, tape.single)

    dx = np.where(_live(tops[0].lengths, T), dy.reshape(N, T, width), 0).astype(kind)
    dparams, dbegin = [], []
    for layer, dlast in zip(reversed(tape.layers), reversed(dstates), strict=True):
        ways = _ways(layer)
        parts = np.split(dx, np.cumsum([way.mask.shape[1] for way in ways])[:-1], axis=-1)
        grads = [_backward_layer(*way) for way in zip(ways, parts, dlast, strict=True)]
        dx = np.sum([one.x for one in grads], axis=0)
        dparams.append(_both(*(one.params for one in grads)))
        dbegin.append(_both(*(one.state for one in grads)))
    weights, begin = tuple(dparams[::-1]), tuple(dbegin[::-1])
    return Grads(
        dx[0] if tape.single else dx,
        weights if tape.stacked else weights[0],
        _given_back(begin, tape.stacked, tape.single),
    )


def _forward_layer(
    x: Array, params: AnyParams, begin: AnyState, mask: Array, lengths: Array, reverse: bool, reset: Array
) -> tuple[Array, AnyState, LayerTape]:
    """One layer in one direction; x (N, T, D) is 0 in padding."""
    cell, record, (N, T, D) = _cell_of(params), type(begin), x.shape
    x = _reversed(x, lengths) if reverse else x
    live, reset = _live(lengths, T), _boundaries(reset, lengths, reverse)
    zx = cell.inputs(x.reshape(N * T, D), params)  # no step waits for this: once for all
    zx = zx.reshape(N, T, zx.shape[1])
    gates = np.empty((N, T, sizes(params)[1] * cell.keeps), x.dtype)
    states = record(*(np.empty((N, T + 1, a.shape[1]), x.dtype) for a in begin))
    for a, first in zip(states, begin, strict=True):
        a[:, 0] = first
    for t in range(T):
        old = record(*[np.where(reset[:, t], 0, a[:, t]) for a in states])
        gates[:, t], new = cell.step(zx[:, t], mask * old.h, old, params)
        for a, after in zip(states, new, strict=True):
            a[:, t + 1] = np.where(live[:, t], after, a[:, t])
    tape = LayerTape(params, x, states, gates, reset, mask, lengths, reverse)
    return _outputs(states.h, tape), record(*(a[:, T].copy() for a in states)), tape


def _backward_layer(tape: LayerTape, dy: Array, dlast: AnyState) -> Grads:
    """One layer in one direction; dy (N, T, P) is 0 in padding."""
    params, x, states, gates, reset, mask, lengths, reverse = tape
    cell, record, (N, T, _) = _cell_of(params), type(dlast), x.shape
    dy = _reversed(dy, lengths) if reverse else dy
    live = _live(lengths, T)
    width = cell.columns(params) if isinstance(cell, _Own) else params.U.shape[1]
    da, dh_new, dstate = np.empty((N, T, width), x.dtype), np.empty_like(dy), dlast
    old = record(*(np.where(reset, 0, a[:, :T]) for a in states))
    new = record(*(a[:, 1:] for a in states))
    done = _Done(gates, mask[:, None] * old.h, old, new)
    for t in reversed(range(T)):
        now = done.at((slice(None), t))
        dh_new[:, t] = np.where(live[:, t], dy[:, t] + dstate.h, 0)
        da_t, dm, (dh, *dc) = cell.back(record(dh_new[:, t], *dstate[1:]), now, params)
        da[:, t] = np.where(live[:, t], da_t, 0)
        before = zip((mask * dm + dh, *dc), dstate, strict=True)
        dstate = record(*[np.where(reset[:, t], 0, np.where(live[:, t], a, b)) for a, b in before])
    real = live[..., 0]  # steps that are no padding, whatever stands there: 0 times NaN is NaN
    dx = np.zeros(x.shape, da.dtype)
    dx[real], dparams = cell.sums(da[real], dh_new[real], x[real], done.at(real), params)
    return Grads(_reversed(dx, lengths) if reverse else dx, dparams, dstate)


class _Done(NamedTuple, Generic[_S]):
    """Steps that were computed. Rows: samples, or samples and steps.

    Attributes
    ----------
    gates : ndarray, shape (rows, K)
        What the cell's `step` kept.
    m : ndarray, shape (rows, P)
        The old h where it entered the product: masked.
    old, new : State or Hidden
        h (rows, P), c (rows, H).
    """

    gates: Array
    m: Array
    old: _S
    new: _S

    def at(self, where: Any) -> _Done[_S]:
        """Some of the rows."""
        kind = type(self.old)
        old, new = kind(*[a[where] for a in self.old]), kind(*[a[where] for a in self.new])
        return _Done(self.gates[where], self.m[where], old, new)


_Steps: TypeAlias = _Done[State]
_GRUSteps: TypeAlias = _Done[Hidden]
_Like: TypeAlias = Params | ProjectedParams | PeepholeParams | NormalizedParams  # the LSTM's equations are part of them


class _Standard:
    """The equations of the LSTM, which the module begins with. Rows: samples, or samples and steps.

    Attributes
    ----------
    keeps : int
        How many blocks of H numbers `step` keeps of each row.
    """

    keeps = 4

    @staticmethod
    def inputs(x: Array, params: _Like | GRUParams | GRUBeforeParams) -> Array:
        """What x and the bias give to the gates, an entry for each column of U."""
        return x @ params.W + params.b

    @staticmethod
    def step(zx: Array, m: Array, old: State, params: _Like) -> tuple[Array, State]:
        """What backward needs, and the new state. m: the old h where it enters the product, masked."""
        return _Standard.gated(zx + m @ params.U, old)

    @staticmethod
    def gated(z: Array, old: State) -> tuple[Array, State]:
        """The rest of a step, from z."""
        z_i, z_f, z_g, z_o = _blocks(z, 4)
        i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
        c_new = f * old.c + i * g
        return _joined(i, f, g, o), State(o * np.tanh(c_new), c_new)

    @staticmethod
    def back(dnew: State, done: _Steps, params: _Like) -> tuple[Array, Array, State]:
        """From the new state's gradient those of z, of m, and of the old state but for its way through m."""
        dh, dc = dnew
        i, f, g, o = _blocks(done.gates, 4)
        tanh_c = np.tanh(done.new.c)
        dc = dc + dh * o * (1 - tanh_c**2)
        dz_i = dc * g * i * (1 - i)
        dz_f = dc * done.old.c * f * (1 - f)
        dz_g = dc * i * (1 - g**2)
        dz_o = dh * tanh_c * o * (1 - o)
        dz = _joined(dz_i, dz_f, dz_g, dz_o)
        return dz, dz @ params.U.T, State(np.zeros(1, dc.dtype), dc * f)

    @staticmethod
    def sums(dz: Array, dh: Array, x: Array, done: _Steps, params: _Like) -> tuple[Array, Params]:
        """Gradients of x and of the weights, from those of z and of the new h."""
        return dz @ params.W.T, Params(x.T @ dz, done.m.T @ dz, dz.sum(axis=0))


class _Interpolated:
    """The interpolated cell (`InterpolatedParams`; docs/cells.md): the LSTM's states and gates, put together otherwise.

        i  = σ(x·W_i + h·U_i + b_i)              input and forget gate, as in the LSTM
        f  = σ(x·W_f + h·U_f + b_f)
        a  = x·W_g + h·U_g                       without a bias
        g  = tanh(f∘c + i∘a)                     the candidate sees the gated memory
        c' = f∘c + i∘g
        o  = σ(h·U_o + c'·V + b_o)               the output gate reads the old h and the new c, not x
        h' = (1 − o)∘h + o∘tanh(c')              between the old h and what the standard cell would put out

    and backward, from dh' = dy + dh and dc of the step after:

        dz_o = dh'∘(tanh(c') − h)∘o∘(1 − o)
        dc'  = dc + dh'∘o∘(1 − tanh²(c')) + dz_o·Vᵀ
        du   = dc'∘i∘(1 − g²)                    u = f∘c + i∘a, what g is the tanh of
        dz_i = (dc'∘g + du∘a)∘i∘(1 − i)    dz_f = (dc' + du)∘c∘f∘(1 − f)    da = du∘i
        dh   = [dz_i, dz_f, da, dz_o]·Uᵀ + dh'∘(1 − o)    dc = (dc' + du)∘f

    after the loop dW = xᵀ·[dz_i, dz_f, da], dU = hᵀ·[dz_i, dz_f, da, dz_o], dV = c'ᵀ·dz_o, db = Σ [dz_i, dz_f, dz_o],
    dx = [dz_i, dz_f, da]·Wᵀ.
    """

    keeps = 4

    @staticmethod
    def inputs(x: Array, params: InterpolatedParams) -> Array:
        a_i, a_f, a_g = _blocks(x @ params.W, 3)
        b_i, b_f, b_o = _blocks(params.b, 3)
        return _joined(a_i + b_i, a_f + b_f, a_g, np.broadcast_to(b_o, a_g.shape))

    @staticmethod
    def step(zx: Array, m: Array, old: State, params: InterpolatedParams) -> tuple[Array, State]:
        z_i, z_f, a, z_o = _blocks(zx + m @ params.U, 4)
        i, f = _sigmoid(z_i), _sigmoid(z_f)
        g = np.tanh(f * old.c + i * a)
        c_new = f * old.c + i * g
        o = _sigmoid(z_o + c_new @ params.V)
        return _joined(i, f, a, o), State((1 - o) * old.h + o * np.tanh(c_new), c_new)

    @staticmethod
    def back(dnew: State, done: _Steps, params: InterpolatedParams) -> tuple[Array, Array, State]:
        (dh, dc), (h, c) = dnew, done.old
        i, f, a, o = _blocks(done.gates, 4)
        g, tanh_c = np.tanh(f * c + i * a), np.tanh(done.new.c)
        dz_o = dh * (tanh_c - h) * o * (1 - o)
        dc = dc + dh * o * (1 - tanh_c**2) + dz_o @ params.V.T
        du = dc * i * (1 - g**2)
        dz_i = (dc * g + du * a) * i * (1 - i)
        dz_f = (dc + du) * c * f * (1 - f)
        dz = _joined(dz_i, dz_f, du * i, dz_o)
        return dz, dz @ params.U.T, State(dh * (1 - o), (dc + du) * f)

    @staticmethod
    def sums(
        dz: Array, dh: Array, x: Array, done: _Steps, params: InterpolatedParams
    ) -> tuple[Array, InterpolatedParams]:
        dz_i, dz_f, _, dz_o = _blocks(dz, 4)
        of_x = dz[:, : params.W.shape[1]]
        db = _joined(dz_i, dz_f, dz_o).sum(axis=0)
        dparams = InterpolatedParams(x.T @ of_x, done.m.T @ dz, done.new.c.T @ dz_o, db)
        return of_x @ params.W.T, dparams


class _Projected:
    """The projected cell (`ProjectedParams`; docs/cells.md), Sak, Senior and Beaufays (2014), has an h of P numbers,
    P ≤ H. It computes z, the gates and c' as the standard cell does, from the narrow h, and

        m  = o∘tanh(c')                          what the standard cell would put out
        h' = m·V                                 no bias, no activation

    and backward, from dh' = dy + dh and dc of the step after:

        dm = dh'·Vᵀ                              then dc', dz, dh and dc as there, with dm in the place of dh'

    after the loop dV = mᵀ·dh', and the others as there.
    """

    keeps = 4
    inputs = staticmethod(_Standard.inputs)

    @staticmethod
    def step(zx: Array, m: Array, old: State, params: ProjectedParams) -> tuple[Array, State]:
        gates, (h, c_new) = _Standard.step(zx, m, old, params)
        return gates, State(h @ params.V, c_new)

    @staticmethod
    def back(dnew: State, done: _Steps, params: ProjectedParams) -> tuple[Array, Array, State]:
        return _Standard.back(State(dnew.h @ params.V.T, dnew.c), done, params)

    @staticmethod
    def sums(dz: Array, dh: Array, x: Array, done: _Steps, params: ProjectedParams) -> tuple[Array, ProjectedParams]:
        dx, (dW, dU, db) = _Standard.sums(dz, dh, x, done, params)
        *_, o = _blocks(done.gates, 4)
        return dx, ProjectedParams(dW, dU, (o * np.tanh(done.new.c)).T @ dh, db)


class _Peephole:
    """The peephole cell (`PeepholeParams`; docs/cells.md), Gers and Schmidhuber (2000), Gers, Schraudolph and
    Schmidhuber (2002): the standard one, but that every gate sees its own unit's c; z, g, c' and h' are as there, and

        i  = σ(z_i + p_i∘c)    f = σ(z_f + p_f∘c)    o = σ(z_o + p_o∘c')

    and backward, from dh' = dy + dh and dc of the step after:

        dz_o = dh'∘tanh(c')∘o∘(1 − o)            first, as dc' needs it
        dc'  = dc + dh'∘o∘(1 − tanh²(c')) + dz_o∘p_o
                                                 then dz_i, dz_f, dz_g and dh as there
        dc   = dc'∘f + dz_i∘p_i + dz_f∘p_f

    after the loop dp = Σ [dz_i∘c, dz_f∘c, dz_o∘c'], and the others as there. Where an episode begins, c = 0 there too.
    """

    keeps = 4
    inputs = staticmethod(_Standard.inputs)

    @staticmethod
    def step(zx: Array, m: Array, old: State, params: PeepholeParams) -> tuple[Array, State]:
        z_i, z_f, z_g, z_o = _blocks(zx + m @ params.U, 4)
        p_i, p_f, p_o = _blocks(params.p, 3)
        i, f, g = _sigmoid(z_i + p_i * old.c), _sigmoid(z_f + p_f * old.c), np.tanh(z_g)
        c_new = f * old.c + i * g
        o = _sigmoid(z_o + p_o * c_new)
        return _joined(i, f, g, o), State(o * np.tanh(c_new), c_new)

    @staticmethod
    def back(dnew: State, done: _Steps, params: PeepholeParams) -> tuple[Array, Array, State]:
        p_i, p_f, p_o = _blocks(params.p, 3)
        *_, o = _blocks(done.gates, 4)
        dz_o = dnew.h * np.tanh(done.new.c) * o * (1 - o)
        dz, dm, (dh, dc) = _Standard.back(State(dnew.h, dnew.c + dz_o * p_o), done, params)
        dz_i, dz_f, _, _ = _blocks(dz, 4)
        return dz, dm, State(dh, dc + dz_i * p_i + dz_f * p_f)

    @staticmethod
    def sums(dz: Array, dh: Array, x: Array, done: _Steps, params: PeepholeParams) -> tuple[Array, PeepholeParams]:
        dx, (dW, dU, db) = _Standard.sums(dz, dh, x, done, params)
        dz_i, dz_f, _, dz_o = _blocks(dz, 4)
        dp = _joined(dz_i * done.old.c, dz_f * done.old.c, dz_o * done.new.c).sum(axis=0)
        return dx, PeepholeParams(dW, dU, dp, db)


class _Normalized:
    """The normalized cell (`NormalizedParams`; docs/cells.md): the LSTM with the layer normalisation of Ba, Kiros and
    Hinton (2016). Each gate's block of z, and the c' that h' shows, have mean 0 and variance 1 over the H units of a
    sample:

        v̂  = norm(v) = (v − mean(v))∘r           r = 1 / sqrt(var(v) + ε), var the mean of squares about the mean
        z  = x·W + h·U                           without a bias
        i  = σ(s_i∘ẑ_i + b_i)                    f and o alike, g with tanh; ẑ_i = norm(z_i)
        c' = f∘c + i∘g                           handed on as it is
        h' = o∘t                                 t = tanh(s_c∘ĉ + b_c), ĉ = norm(c')

    and backward, with back(v, v̂, r) = r∘(v − mean(v) − v̂∘mean(v∘v̂)), from dh' = dy + dh and dc of the step after:

        du   = dh'∘o∘(1 − t²)                    u = s_c∘ĉ + b_c, what t is the tanh of
        dc'  = dc + back(du∘s_c, ĉ, r_c)
        da_i = dc'∘g∘i∘(1 − i)    da_f = dc'∘c∘f∘(1 − f)    a_k = s_k∘ẑ_k + b_k, what the gates are σ and tanh of
        da_g = dc'∘i∘(1 − g²)     da_o = dh'∘t∘o∘(1 − o)
        dz_k = back(da_k∘s_k, ẑ_k, r_k)          for each block k; then dh and dc as in the standard cell

    after the loop ds = Σ [da∘ẑ, du∘ĉ], db = Σ [da, du], and dW, dU, dx from dz as there.
    """

    keeps = 4  # z

    @staticmethod
    def inputs(x: Array, params: NormalizedParams) -> Array:
        return x @ params.W

    @staticmethod
    def step(zx: Array, m: Array, old: State, params: NormalizedParams) -> tuple[Array, State]:
        s, s_c, b, b_c = _Normalized.scales(params)
        z = zx + m @ params.U
        gates, (_, c_new) = _Standard.gated(s * _Normalized.norm(z, params)[0] + b, old)
        *_, o = _blocks(gates, 4)
        return z, State(o * np.tanh(s_c * _Normalized.norm(c_new, params)[0] + b_c), c_new)

    @staticmethod
    def back(dnew: State, done: _Steps, params: NormalizedParams) -> tuple[Array, Array, State]:
        """The first of what it returns is da."""
        dh, dc = dnew
        s, s_c, b, b_c = _Normalized.scales(params)
        z_hat, r_z = _Normalized.norm(done.gates, params)
        a_i, a_f, a_g, a_o = _blocks(s * z_hat + b, 4)
        i, f, g, o = _sigmoid(a_i), _sigmoid(a_f), np.tanh(a_g), _sigmoid(a_o)
        c_hat, r_c = _Normalized.norm(done.new.c, params)
        t = np.tanh(s_c * c_hat + b_c)
        dc = dc + _Normalized.norm_back(dh * o * (1 - t**2) * s_c, c_hat, r_c, params)
        da_i = dc * g * i * (1 - i)
        da_f = dc * done.old.c * f * (1 - f)
        da_g = dc * i * (1 - g**2)
        da_o = dh * t * o * (1 - o)
        da = _joined(da_i, da_f, da_g, da_o)
        dz = _Normalized.norm_back(da * s, z_hat, r_z, params)
        return da, dz @ params.U.T, State(np.zeros(1, dc.dtype), dc * f)

    @staticmethod
    def sums(da: Array, dh: Array, x: Array, done: _Steps, params: NormalizedParams) -> tuple[Array, NormalizedParams]:
        s, s_c, b, b_c = _Normalized.scales(params)
        (z_hat, r_z), (c_hat, _) = (_Normalized.norm(v, params) for v in (done.gates, done.new.c))
        *_, a_o = _blocks(s * z_hat + b, 4)
        du = dh * _sigmoid(a_o) * (1 - np.tanh(s_c * c_hat + b_c) ** 2)
        dx, (dW, dU, _) = _Standard.sums(_Normalized.norm_back(da * s, z_hat, r_z, params), dh, x, done, params)
        ds, db = _joined(da * z_hat, du * c_hat).sum(axis=0), _joined(da, du).sum(axis=0)
        return dx, NormalizedParams(dW, dU, ds, db)

    @staticmethod
    def scales(params: NormalizedParams) -> tuple[Array, Array, Array, Array]:
        """s and s_c, b and b_c: the gates' blocks (4H,) and c's (H,)."""
        width = params.U.shape[1]
        return params.s[:width], params.s[width:], params.b[:width], params.b[width:]

    @staticmethod
    def means(v: Array, params: NormalizedParams) -> Array:
        """At every entry the mean over its block of H units; v (rows, H) or (rows, 4H)."""
        H = len(params.U)
        return np.repeat(v.reshape(len(v), v.shape[1] // H, H).mean(axis=-1), H, axis=-1)

    @staticmethod
    def norm(v: Array, params: NormalizedParams) -> tuple[Array, Array]:
        """v̂, every block of v brought to mean 0 and variance 1, and the factors r that did it."""
        centred = v - _Normalized.means(v, params)
        r = 1 / np.sqrt(_Normalized.means(centred**2, params) + NORMALIZED_EPSILON)
        return centred * r, r

    @staticmethod
    def norm_back(dv: Array, v_hat: Array, r: Array, params: NormalizedParams) -> Array:
        """The gradient of v from that of v̂."""
        back: Array = r * (dv - _Normalized.means(dv, params) - v_hat * _Normalized.means(dv * v_hat, params))
        return back


class _GRU:
    """The GRU (`GRUParams`; docs/cells.md) whose reset gate acts after the product, that of cuDNN. It has no c.

        r  = σ(x·W_r + h·U_r + b_r)              reset gate
        z  = σ(x·W_z + h·U_z + b_z)              update gate
        q  = h·U_n + b_n                         b_n is the field of that name, β the candidate's block of b
        n  = tanh(x·W_n + β + r∘q)               candidate
        h' = (1 − z)∘n + z∘h                     the output y of this step

    and backward, from dh' = dy + dh of the step after:

        da_n = dh'∘(1 − z)∘(1 − n²)              a_k: what the gates are σ and tanh of
        da_z = dh'∘(h − n)∘z∘(1 − z)
        da_r = da_n∘q∘r∘(1 − r)    dq = da_n∘r
        dh   = [da_r, da_z, dq]·Uᵀ + dh'∘z

    after the loop dW = xᵀ·da, dU = hᵀ·[da_r, da_z, dq], db = Σ da, db_n = Σ dq, dx = da·Wᵀ.
    """

    keeps = 4  # r, z, n, q
    inputs = staticmethod(_Standard.inputs)

    @staticmethod
    def step(ax: Array, m: Array, old: Hidden, params: GRUParams) -> tuple[Array, Hidden]:
        (a_r, a_z, a_n), (u_r, u_z, u_n) = _blocks(ax, 3), _blocks(m @ params.U, 3)
        r, z, q = _sigmoid(a_r + u_r), _sigmoid(a_z + u_z), u_n + params.b_n
        n = np.tanh(a_n + r * q)
        return _joined(r, z, n, q), Hidden((1 - z) * n + z * old.h)

    @staticmethod
    def back(dnew: Hidden, done: _GRUSteps, params: GRUParams) -> tuple[Array, Array, Hidden]:
        r, z, n, q = _blocks(done.gates, 4)
        da_n = dnew.h * (1 - z) * (1 - n**2)
        da_z = dnew.h * (done.old.h - n) * z * (1 - z)
        da_r = da_n * q * r * (1 - r)
        return _joined(da_r, da_z, da_n), _joined(da_r, da_z, da_n * r) @ params.U.T, Hidden(dnew.h * z)

    @staticmethod
    def sums(da: Array, dh: Array, x: Array, done: _GRUSteps, params: GRUParams) -> tuple[Array, GRUParams]:
        (da_r, da_z, da_n), (r, _, _, _) = _blocks(da, 3), _blocks(done.gates, 4)
        dq = da_n * r
        dU = done.m.T @ _joined(da_r, da_z, dq)
        return da @ params.W.T, GRUParams(x.T @ da, dU, da.sum(axis=0), dq.sum(axis=0))


class _GRUBefore:
    """The GRU (`GRUBeforeParams`; docs/cells.md) whose reset gate acts on h, before the product; Cho et al. (2014).

        r  = σ(x·W_r + h·U_r + b_r)              reset and update gate, as above
        z  = σ(x·W_z + h·U_z + b_z)
        n  = tanh(x·W_n + (r∘h)·U_n + b_n)       b_n is the candidate's block of b
        h' = (1 − z)∘n + z∘h

    and backward, from dh' = dy + dh of the step after:

        da_n = dh'∘(1 − z)∘(1 − n²)    da_z = dh'∘(h − n)∘z∘(1 − z)
        dp   = da_n·U_nᵀ                         p = r∘h
        da_r = dp∘h∘r∘(1 − r)
        dh   = [da_r, da_z]·[U_r, U_z]ᵀ + dp∘r + dh'∘z

    after the loop dU = [hᵀ·[da_r, da_z], (r∘h)ᵀ·da_n], and dW, db, dx from da as above. A mask acts on h in p too.
    """

    keeps = 3  # r, z, n
    inputs = staticmethod(_Standard.inputs)

    @staticmethod
    def step(ax: Array, m: Array, old: Hidden, params: GRUBeforeParams) -> tuple[Array, Hidden]:
        H = len(params.U)
        r, z = _blocks(_sigmoid(ax[:, : 2 * H] + m @ params.U[:, : 2 * H]), 2)
        n = np.tanh(ax[:, 2 * H :] + (r * m) @ params.U[:, 2 * H :])
        return _joined(r, z, n), Hidden((1 - z) * n + z * old.h)

    @staticmethod
    def back(dnew: Hidden, done: _GRUSteps, params: GRUBeforeParams) -> tuple[Array, Array, Hidden]:
        H = len(params.U)
        r, z, n = _blocks(done.gates, 3)
        da_n = dnew.h * (1 - z) * (1 - n**2)
        da_z = dnew.h * (done.old.h - n) * z * (1 - z)
        dp = da_n @ params.U[:, 2 * H :].T
        da_r = dp * done.m * r * (1 - r)
        dm = _joined(da_r, da_z) @ params.U[:, : 2 * H].T + dp * r
        return _joined(da_r, da_z, da_n), dm, Hidden(dnew.h * z)

    @staticmethod
    def sums(da: Array, dh: Array, x: Array, done: _GRUSteps, params: GRUBeforeParams) -> tuple[Array, GRUBeforeParams]:
        (da_r, da_z, da_n), (r, _, _) = _blocks(da, 3), _blocks(done.gates, 3)
        dU = _joined(done.m.T @ _joined(da_r, da_z), (r * done.m).T @ da_n)
        return da @ params.W.T, GRUBeforeParams(x.T @ da, dU, da.sum(axis=0))


class _ResetBefore:
    """The same with other activations, or with its blocks in another order, as layers of `nn` have it; what stands
    between the products is the cell's own."""

    inputs = staticmethod(_Standard.inputs)

    def __init__(self, own: Any) -> None:
        self.own, self.keeps = own, len(own.tape._fields)

    def step(self, ax: Array, m: Array, old: Any, params: Any) -> tuple[Array, Hidden]:
        a, U = self.blocks(ax), self.blocks(params.U)
        first, p = self.own.reset(*(_numbers(a[gate] + m @ U[gate]) for gate in "rz"), _numbers(m))
        second, h = self.own.mix(first, _numbers(a["n"] + p @ U["n"]), _numbers(old.h))
        return np.asarray(_joined(*first, *second)), Hidden(np.asarray(h))

    def back(self, dnew: Any, done: Any, params: Any) -> tuple[Array, Array, Hidden]:
        kept, U = self.own.tape(*map(_numbers, _blocks(done.gates, self.keeps))), self.blocks(params.U)
        dn = self.own.mix_back(kept, _numbers(dnew.h), _numbers(np.zeros_like(dnew.h)))
        da, dm, past = self.own.reset_back(kept, _numbers(dnew.h), _numbers(dn @ U["n"].T))
        dm = dm + da.r @ U["r"].T + da.z @ U["z"].T
        return np.asarray(self.joined(r=da.r, z=da.z, n=dn)), np.asarray(dm), Hidden(np.asarray(past))

    def sums(self, da: Array, dh: Array, x: Array, done: Any, params: Any) -> tuple[Array, Any]:
        parts, a = self.blocks(da), self.own.tape(*_blocks(done.gates, self.keeps))
        p = self.own.reset_gate(a) * done.m
        dU = self.joined(r=done.m.T @ parts["r"], z=done.m.T @ parts["z"], n=p.T @ parts["n"])
        return da @ params.W.T, type(params)(x.T @ da, dU, da.sum(axis=0))

    def blocks(self, a: Array) -> dict[str, Array]:
        """Those of the last axis, by gate."""
        return dict(zip(self.own.order, _blocks(a, 3), strict=True))

    def joined(self, **blocks: Array) -> Array:
        return _joined(*(blocks[gate] for gate in self.own.order))


class _Own:
    """A cell of one's own (`OwnParams`; docs/cells.md): its equations, and those that are derived from them backward,
    over arrays. Its h is as wide as its c."""

    def __init__(self, own: Any) -> None:
        self.own, self.keeps = own, len(own.tape._fields)

    def inputs(self, x: Array, params: OwnParams) -> Array:
        bias = self.spread(params.b[None], self.own.gates_of_b, params)
        return self.spread(x @ params.W, self.own.gates_of_x, params) + bias

    def step(self, zx: Array, m: Array, old: Any, params: OwnParams) -> tuple[Array, Any]:
        own = self.own
        z = _blocks(zx + self.spread(m @ params.U, own.gates_of_h, params), len(own.gates))
        h = (_numbers(old.h),) if own.reads_h else ()
        made = own.derived.forward(
            [_numbers(z[own.gates.index(gate)]) for gate in own.panel_gates],
            _numbers(old[-1]),
            self.weights(params),
            *h,
        )
        found = [np.broadcast_to(one, old.h.shape) for one in (*made.kept, made.h, made.c)]
        return self.together(found[: self.keeps], m), type(old)(*found[self.keeps :][: len(old)])

    def back(self, dnew: Any, done: Any, params: OwnParams) -> tuple[Array, Array, Any]:
        """The first of what it returns is dz, and behind it the gradients of unit weights at each row."""
        own, (dh, *dc) = self.own, dnew
        kept = own.tape(*map(_numbers, _blocks(done.gates, self.keeps) if self.keeps else ()))
        t, dc_ = _numbers(np.tanh(done.new[-1])), _numbers(dc[0] if dc else np.zeros_like(dh))
        found = own.back(kept, _numbers(done.old[-1]), t, _numbers(dh), dc_, self.weights(params))
        dz = [np.broadcast_to(found.dz[own.panel_gates.index(gate)], dh.shape) for gate in own.gates]
        dw = [np.broadcast_to(one, dh.shape) for one in found.dw]
        past = (np.zeros(1, dh.dtype) if found.dh is None else found.dh,) if dc else ()
        of_h = self.together([dz[own.gates.index(gate)] for gate in own.gates_of_h], dh)
        return self.together([*dz, *dw], dh), of_h @ params.U.T, type(dnew)(*past, found.dc)

    def sums(self, da: Array, dh: Array, x: Array, done: Any, params: OwnParams) -> tuple[Array, OwnParams]:
        own, blocks = self.own, _blocks(da, len(self.own.gates) + len(self.own.unit_weights))
        of_x, of_h, of_b = (self.together([blocks[own.gates.index(gate)] for gate in gates], dh)
                            for gates in (own.gates_of_x, own.gates_of_h, own.gates_of_b))  # fmt: skip
        dw = self.together(blocks[len(own.gates) :], dh).sum(axis=0)
        return of_x @ params.W.T, type(params)(x.T @ of_x, done.m.T @ of_h, dw, of_b.sum(axis=0))

    def spread(self, a: Array, gates: tuple[str, ...], params: OwnParams) -> Array:
        """Blocks of some gates as those of all, zeros for the others."""
        H = len(params.U)
        found = np.zeros((len(a), len(self.own.gates) * H), a.dtype)
        for n, gate in enumerate(gates):
            at = self.own.gates.index(gate) * H
            found[:, at : at + H] = a[:, n * H : (n + 1) * H]
        return found

    @staticmethod
    def together(blocks: list[Array], like: Array) -> Array:
        return _joined(*blocks) if blocks else np.zeros((len(like), 0), like.dtype)

    def weights(self, params: OwnParams) -> Any:
        """The unit weights by name."""
        names = self.own.derived.w
        return type(names)(*map(_numbers, _blocks(params.w, len(names)))) if names else names

    def columns(self, params: Any) -> int:
        """Of what `back` returns first."""
        return len(self.own.gates) * len(params.U) + len(params.w)


def _cell_of(params: Any) -> Any:
    kind: Any = type(params)
    if kind in _CELLS:
        return _CELLS[kind]
    return (_Own if issubclass(kind, OwnParams) else _ResetBefore)(kind.cell)


class _Numbers(np.ndarray):
    """An array as a number in the equations of a cell of one's own."""

    def fma(self, factor: Any, term: Any) -> Any:
        return self * factor + term

    def where(self, a: Any, b: Any) -> Any:
        return _numbers(np.where(self, a, b))

    def minimum(self, other: Any) -> Any:
        return np.minimum(self, other)

    def maximum(self, other: Any) -> Any:
        return np.maximum(self, other)

    def sqrt(self) -> Any:
        return np.sqrt(self)

    def exp(self) -> Any:
        return np.exp(self)

    def log(self) -> Any:
        return np.log(self)

    def log1p(self) -> Any:
        return np.log1p(self)

    def tanh(self) -> Any:
        return np.tanh(self)

    def sigmoids(self, *others: Any) -> list[Any]:
        return [_numbers(_sigmoid(one)) for one in (self, *others)]


def _numbers(a: Array) -> Any:
    return a.view(_Numbers)


_CELLS: dict[type, Any] = {
    Params: _Standard,
    InterpolatedParams: _Interpolated,
    ProjectedParams: _Projected,
    PeepholeParams: _Peephole,
    NormalizedParams: _Normalized,
    GRUParams: _GRU,
    GRUBeforeParams: _GRUBefore,
}


def _sigmoid(z: Array) -> Array:
    """1 / (1 + exp(−z)), through exp(−|z|), which cannot overflow."""
    e = np.exp(-np.abs(z))
    sigma: Array = np.where(z >= 0, 1, e) / (1 + e)
    return sigma


def _blocks(a: Array, count: int) -> list[Array]:
    """The blocks of the last axis, one a gate."""
    H = a.shape[-1] // count
    return [a[..., k * H : (k + 1) * H] for k in range(count)]


def _joined(*blocks: Array) -> Array:
    """The opposite of `_blocks`."""
    return np.concatenate(blocks, axis=-1)


def _live(lengths: Array, T: int) -> Array:
    """(N, T, 1): is step t of sequence n real, or padding?"""
    return np.arange(T)[None, :, None] < lengths[:, None, None]


def _reversed(a: Array, lengths: Array) -> Array:
    """Each sequence of a (N, T, …) back to front, its padding left in place; doing it twice undoes it."""
    t, last = np.arange(a.shape[1])[None, :], lengths[:, None] - 1
    turned: Array = np.take_along_axis(a, np.where(t <= last, last - t, t)[:, :, None], axis=1)
    return turned


def _boundaries(reset: Array, lengths: Array, reverse: bool) -> Array:
    """(N, T, 1), in the order of computation: does a boundary between episodes lie right before that step?

    Backwards in time the step before t is t + 1, and it is reset[t + 1] that lies between the two."""
    boundary = reset[:, :, None]
    if reverse:
        boundary = np.roll(_reversed(boundary, lengths), 1, axis=1)
        boundary[:, :1] = False
    return boundary & _live(lengths, reset.shape[1])


def _outputs(states: Array, tape: LayerTape) -> Array:
    """What every step left in h or c (N, T + 1, H): 0 in padding, in the order of x."""
    T = tape.x.shape[1]
    a = np.where(_live(tape.lengths, T), states[:, 1:], 0)
    return _reversed(a, tape.lengths) if tape.reverse else a


def _stack(params: Any) -> tuple[Any, ...]:
    """The layers, bottom first."""
    return tuple(params) if is_plain(params) else (params,)


def _ways(layer: Any) -> tuple[Any, ...]:
    """What there is of each direction: two of a Bidirectional, else one."""
    return tuple(layer) if isinstance(layer, Bidirectional) else (layer,)


def _both(*ways: Any) -> Any:
    """The opposite of `_ways`."""
    return Bidirectional(*ways) if len(ways) == 2 else ways[0]


def _given_back(tree: tuple[Any, ...], stacked: bool, single: bool) -> Any:
    """Arrays, an entry a layer, in the structure of the weights, without the axis N where x had none."""
    found = _map(lambda a: a[0] if single else a, tree)
    return found if stacked else found[0]


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """function of every array in nested tuples, named ones kept as they are."""
    if not isinstance(tree, tuple):
        return function(tree)
    leaves = [_map(function, leaf) for leaf in tree]
    return type(tree)(*leaves) if hasattr(tree, "_fields") else tuple(leaves)


def _real(name: str, value: ArrayLike, shape: tuple[int, ...] | None = None) -> Array:
    """value as an array of real numbers, of this shape if one is given."""
    a = array(name, value)
    if shape is not None and a.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {a.shape}")
    return a


def _layers(params: Any, D: int, reverse: bool) -> tuple[Any, ...]:
    """The layers, bottom first, their arrays checked against one another."""
    if not isinstance(reverse, (bool, np.bool_)):
        raise TypeError(f"reverse: expected a bool, got {type(reverse).__name__}")
    layers = _stack(params)
    if not layers:
        raise ValueError("params: expected at least one layer, got none")
    kind = None
    for layer in layers:
        ways = _ways(layer)
        if reverse and len(ways) == 2:
            raise ValueError("reverse: expected False with a Bidirectional, which runs both ways, got True")
        for one in ways:
            if type(one) not in ROWS:
                raise TypeError(f"params: expected Params or Bidirectional, got {type(one).__name__}")
            kind = kind or one.W.dtype
            if any(a.dtype != kind for a in one) or kind.kind != "f":
                raise TypeError(f"params: expected one float type, got {', '.join(str(a.dtype) for a in one)}")
            _, H, P = sizes(one)
            expected = shapes(type(one), D, H, P)
            if tuple(a.shape for a in one) != tuple(expected.values()):
                found = ", ".join(f"{field} {a.shape}" for field, a in zip(one._fields, one, strict=True))
                wanted = ", ".join(f"{field} {shape}" for field, shape in expected.items())
                raise ValueError(f"params: expected {wanted}, got {found}")
            if P > H:
                raise ValueError(f"params: expected U (P, 4H) with P at most H = {H}, got U {one.U.shape}")
        if type(ways[-1]) is not type(ways[0]):
            one, two = (cell_name(type(way)) for way in ways)
            raise TypeError(f"params: expected one cell in both directions, got {one} and {two}")
        D = sum(one.U.shape[0] for one in ways)
    return layers


def _lengths(lengths: ArrayLike | None, N: int, T: int, single: bool) -> Array:
    """Real steps of each sequence (N,), all T where lengths is None."""
    if lengths is None:
        return np.full(N, T)
    if single:
        raise ValueError("lengths: expected None with a single sequence (T, D)")
    a = array("lengths", lengths)
    if a.size and a.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected integers, got {a.dtype}")
    if a.shape != (N,) or (a.size and (a.min() < 0 or a.max() > T)):
        raise ValueError(f"lengths: expected ({N},) numbers from 0 to {T}, got {lengths!r}")
    return a.astype(np.int64)


def _reset(reset: ArrayLike | None, N: int, T: int, single: bool) -> Array:
    """Where an episode begins (N, T), nowhere where reset is None."""
    if reset is None:
        return np.zeros((N, T), bool)
    a = array("reset", reset)
    if a.dtype != bool:
        raise TypeError(f"reset: expected booleans, got dtype {a.dtype}")
    shape = (T,) if single else (N, T)
    if a.shape != shape:
        raise ValueError(f"reset: expected shape {shape}, got {a.shape}")
    return a.reshape(N, T)


def _each(
    one: Callable[[AnyParams, Any], _T], name: str, given: Any, layers: tuple[Any, ...], stacked: bool, kind: str = ""
) -> list[tuple[_T, ...]]:
    """one(params, entry) of each direction of each layer; given has the structure of the weights, entry is None where
    there is none. kind: what an entry is, if it may be None in a stack; else it is a state."""
    entries = tuple(given) if stacked and is_plain(given) else (given,) * (1 if given is not None else len(layers))
    if stacked and given is not None and not is_plain(given):
        raise TypeError(f"{name}: expected a tuple, an entry a layer of the stack, got {type(given).__name__}")
    if len(entries) != len(layers):
        raise ValueError(f"{name}: expected {len(layers)} entries, one a layer, got {len(entries)}")
    found = []
    for layer, entry in zip(layers, entries, strict=True):
        ways, parts = _ways(layer), _ways(entry)
        if entry is None and (kind or given is None):
            parts = (None,) * len(ways)
        elif len(ways) == 2 and not isinstance(entry, Bidirectional):
            expected = kind or ROWS[type(ways[0])].state.__name__
            raise TypeError(f"{name}: expected Bidirectional({expected}, {expected}), got {type(entry).__name__}")
        elif len(ways) == 1:
            parts = (entry,)
        found.append(tuple(one(*way) for way in zip(ways, parts, strict=True)))
    return found


def _states(
    name: str, state: Any, layers: tuple[Any, ...], N: int, stacked: bool, single: bool
) -> list[tuple[AnyState, ...]]:
    """A State (N, P), (N, H), or a Hidden, for each direction of each layer; zeros where state is None."""

    def one(params: AnyParams, entry: Any) -> AnyState:
        record, widths, kind = ROWS[type(params)].state, state_widths(params), params.W.dtype
        if state is None:
            return record(*(np.zeros((N, width), kind) for width in widths.values()))
        if is_plain(entry) and len(entry) == len(record._fields):
            entry = record(*entry)
        if not isinstance(entry, record):
            cell = cell_name(type(params))
            expected = "State, or a pair (h, c)" if record is State else f"Hidden, as the {cell} cell has no c"
            raise TypeError(f"{name}: expected {expected}, got {type(entry).__name__}")
        return record(*(
            _real(f"{name}.{field}", a, (width,) if single else (N, width)).reshape(N, width).astype(kind)
            for (field, width), a in zip(widths.items(), entry, strict=True)
        ))  # fmt: skip

    return _each(one, name, state, layers, stacked)


def _masks(h_mask: Any, layers: tuple[Any, ...], N: int, stacked: bool, single: bool) -> list[tuple[Array, ...]]:
    """Factors (N, P) for each direction of each layer; ones where there are none."""

    def one(params: AnyParams, entry: Any) -> Array:
        P, kind = len(params.U), params.W.dtype
        if entry is None:
            return np.ones((N, P), kind)
        return _real("h_mask", entry, (P,) if single else (N, P)).reshape(N, P).astype(kind)

    return _each(one, "h_mask", h_mask, layers, stacked, "array")
