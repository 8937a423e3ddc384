"""The LSTM in plain NumPy: the oracle of every test, the baseline of every benchmark, and the place to read.

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
of Gers, Schmidhuber and Cummins (2000).

The interpolated cell (`InterpolatedParams`; docs/cells.md) has the same states and gates, put together otherwise:

    i  = σ(x·W_i + h·U_i + b_i)              input and forget gate, as above
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

The projected cell (`ProjectedParams`; docs/cells.md), Sak, Senior and Beaufays (2014), has an h of P numbers, P ≤ H. It
computes z, the gates and c' as the standard cell does, from the narrow h, and

    m  = o∘tanh(c')                          what the standard cell would put out
    h' = m·V                                 no bias, no activation

and backward, from dh' = dy + dh and dc of the step after:

    dm = dh'·Vᵀ                              then dc', dz, dh and dc as above, with dm in the place of dh'

after the loop dV = mᵀ·dh', and the others as above.

The peephole cell (`PeepholeParams`; docs/cells.md), Gers and Schmidhuber (2000), Gers, Schraudolph and Schmidhuber
(2002), is the standard one, but that every gate sees its own unit's c; z, g, c' and h' are as above, and

    i  = σ(z_i + p_i∘c)    f = σ(z_f + p_f∘c)    o = σ(z_o + p_o∘c')

and backward, from dh' = dy + dh and dc of the step after:

    dz_o = dh'∘tanh(c')∘o∘(1 − o)            first, as dc' needs it
    dc'  = dc + dh'∘o∘(1 − tanh²(c')) + dz_o∘p_o
                                             then dz_i, dz_f, dz_g and dh as above
    dc   = dc'∘f + dz_i∘p_i + dz_f∘p_f

after the loop dp = Σ [dz_i∘c, dz_f∘c, dz_o∘c'], and the others as above. Where an episode begins, c = 0 there too.

The normalized cell (`NormalizedParams`; docs/cells.md), the LSTM with the layer normalisation of Ba, Kiros and Hinton
(2016), brings each gate's block of z, and the c' that h' shows, to mean 0 and variance 1 over the H units of a sample:

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
    dz_k = back(da_k∘s_k, ẑ_k, r_k)          for each block k; then dh and dc as above

after the loop ds = Σ [da∘ẑ, du∘ĉ], db = Σ [da, du], and dW, dU, dx from dz as above.

Everything is computed in the weights' float type, whichever that is: float16 to longdouble.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .arrays import array
from .params import (
    GATES,
    NORMALIZED_EPSILON,
    AnyParams,
    Array,
    Bidirectional,
    Grads,
    InterpolatedParams,
    NormalizedParams,
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
)

__all__ = ["forward", "forward_cells", "forward_train", "backward", "Tape", "LayerTape"]


class LayerTape(NamedTuple):
    """What backward needs of one layer in one direction: copies, steps in the order they were computed.

    Attributes
    ----------
    params : Params, InterpolatedParams, ProjectedParams, PeepholeParams or NormalizedParams
    x : ndarray, shape (N, T, D)
        The layer's input, 0 in padding.
    h : ndarray, shape (N, T + 1, P)
    c : ndarray, shape (N, T + 1, H)
        The states before each step, then those after the last; padding repeats the last real ones.
    gates : ndarray, shape (N, T, 4H)
        i, f, g, o; of the interpolated cell i, f, a, o; of the normalized cell z.
    reset : ndarray of bool, shape (N, T, 1)
        Whether a step takes h = c = 0, whatever the step before it left.
    mask : ndarray, shape (N, P)
        Factors of h where it enters the product.
    lengths : ndarray, shape (N,)
    reverse : bool
    """

    params: AnyParams
    x: Array
    h: Array
    c: Array
    gates: Array
    reset: Array
    mask: Array
    lengths: Array
    reverse: bool

    def __repr__(self) -> str:
        return shown(self)


class Tape(NamedTuple):
    """One entry a layer, a `LayerTape` or a `Bidirectional` of two; was params a stack, x a single sequence."""

    layers: tuple[Any, ...]
    stacked: bool
    single: bool

    def __repr__(self) -> str:
        return shown(self)


def forward(
    x: ArrayLike,
    params: Stack,
    state: Any = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    reset: ArrayLike | None = None,
    h_mask: Any = None,
) -> tuple[Array, Any]:
    """Run a layer or a stack over whole sequences.

    Parameters
    ----------
    x : array_like, shape (N, T, D) or (T, D)
        Converted to the weights' float type.
    params : Params, InterpolatedParams, ProjectedParams, PeepholeParams, NormalizedParams, Bidirectional
        Or a list or tuple of these: a stack, bottom first.
    state : State or a pair (h, c), Bidirectional of two of these, or a sequence of them for a stack, optional
        Where to begin; h (N, P) and c (N, H), or (P,) and (H,) for a single sequence. Zeros if None.
    lengths : array_like of int, shape (N,), optional
        Real steps of each sequence, from 0 to T (one number for a single sequence). Past them y is 0, the
        state stays and x is not looked at.
    reverse : bool
        Run each sequence from its own end; ``y[:, t]`` still belongs to ``x[:, t]``.
    reset : array_like of bool, shape (N, T), or (T,) for a single sequence, optional
        True marks the first step of an episode, in the order of x whichever way the steps run. No state crosses
        the boundary before that step: forwards, step t begins with zeros where ``reset[n, t]``; backwards where
        ``reset[n, t + 1]``, and ``reset[n, 0]`` means nothing. Nor does a reset in padding.
    h_mask : array_like, shape (N, H), or (H,) for a single sequence, optional
        Factors m of the old h where it enters the product, z = x·W + (m∘h)·U + b, the same at every step; in the
        structure of the state for a Bidirectional or a stack, with None for a layer without. Of the standard cell.

    Returns
    -------
    y : ndarray, shape (N, T, P) or (T, P); a Bidirectional's is 2P wide
    state : State, or of the structure of params
        That of the last real step.

    Raises
    ------
    ValueError
        A shape or a length that does not fit; ``reverse`` with a Bidirectional.
    TypeError
        Numbers that are not real, lengths that are not integers, a reset that is not booleans, a layer or a state
        of another type.
    """
    y, last, _ = forward_train(x, params, state, lengths=lengths, reverse=reverse, reset=reset, h_mask=h_mask)
    return y, last


def forward_cells(
    x: ArrayLike,
    params: Stack,
    state: Any = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    reset: ArrayLike | None = None,
    h_mask: Any = None,
) -> tuple[Array, Any, Any]:
    """Like `forward`, and c of every step: ``(y, state, c)``.

    c is an array (N, T, H) for a layer, a `Bidirectional` of two for a Bidirectional, a tuple for a stack.
    """
    y, last, tape = forward_train(x, params, state, lengths=lengths, reverse=reverse, reset=reset, h_mask=h_mask)

    def cells(layer: Any) -> Any:
        if isinstance(layer, Bidirectional):
            return Bidirectional(cells(layer.forward), cells(layer.backward))
        return _outputs(layer.c, layer)

    c = _map(lambda a: a[0] if tape.single else a, tuple(cells(layer) for layer in tape.layers))
    return y, last, c if tape.stacked else c[0]


def forward_train(
    x: ArrayLike,
    params: Stack,
    state: Any = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    reset: ArrayLike | None = None,
    h_mask: Any = None,
) -> tuple[Array, Any, Tape]:
    """Like `forward`, and keep what `backward` needs: ``(y, state, tape)``."""
    stacked = not isinstance(params, (*_CELLS, Bidirectional))
    x = _real("x", x)
    if x.ndim not in (2, 3):
        raise ValueError(f"x: expected shape (N, T, D) or (T, D), got {x.shape}")
    single = x.ndim == 2
    x = x[None] if single else x
    N, T, D = x.shape
    layers = _layers(params, D, reverse)
    kind = (layers[0].forward if isinstance(layers[0], Bidirectional) else layers[0]).W.dtype
    lengths = _lengths(lengths, N, T, single)
    reset = _reset(reset, N, T, single)
    states = _states("state", state, layers, N, stacked, single, kind)
    masks = _masks(h_mask, layers, N, stacked, single, kind)

    y = np.where(_live(lengths, T), x, 0).astype(kind)  # padding may hold anything: first out, then convert
    last: list[Any] = []
    tapes: list[Any] = []
    for layer, begin, mask in zip(layers, states, masks, strict=True):
        if isinstance(layer, Bidirectional):
            one = _forward_layer(y, layer.forward, begin.forward, lengths, False, reset, mask[0])
            two = _forward_layer(y, layer.backward, begin.backward, lengths, True, reset, mask[1])
            y = np.concatenate((one[0], two[0]), axis=-1)
            last.append(Bidirectional(one[1], two[1]))
            tapes.append(Bidirectional(one[2], two[2]))
        else:
            y, end, tape = _forward_layer(y, layer, begin, lengths, reverse, reset, mask)
            last.append(end)
            tapes.append(tape)
    final = _map(lambda a: a[0] if single else a, tuple(last))
    return y[0] if single else y, final if stacked else final[0], Tape(tuple(tapes), stacked, single)


def backward(tape: Tape, dy: ArrayLike | None = None, dstate: Any = None) -> Grads:
    """Gradients of a scalar from those arriving at y, at the last state, or at both.

    Parameters
    ----------
    tape : Tape
        From `forward_train`; not changed.
    dy : array_like, the shape of y, optional
    dstate : the structure and shapes of the returned state, optional
        Zeros where None.

    Returns
    -------
    Grads
        Of x, params and the initial state, each with the structure of what it is the gradient of.

    Raises
    ------
    ValueError, TypeError
        As in `forward`.
    """
    layers = _map_tapes(lambda layer: layer.params, tape.layers)
    top = tape.layers[-1]
    width = sum(layer.h.shape[-1] for layer in (top if isinstance(top, Bidirectional) else (top,)))
    any_tape: LayerTape = top.forward if isinstance(top, Bidirectional) else top
    N, T, _ = any_tape.x.shape
    kind = any_tape.x.dtype
    shape = (T, width) if tape.single else (N, T, width)
    dy = np.zeros(shape, kind) if dy is None else _real("dy", dy, shape)
    dstates = _states("dstate", dstate, layers, N, tape.stacked, tape.single, kind)

    dx = np.where(_live(any_tape.lengths, T), dy.reshape(N, T, width), 0).astype(kind)
    dparams, dbegin = [], []
    for layer, dlast in zip(reversed(tape.layers), reversed(dstates), strict=True):
        if isinstance(layer, Bidirectional):
            P = layer.forward.h.shape[-1]
            one = _backward_layer(layer.forward, dx[..., :P], dlast.forward)
            two = _backward_layer(layer.backward, dx[..., P:], dlast.backward)
            dx = one.x + two.x
            dparams.append(Bidirectional(one.params, two.params))
            dbegin.append(Bidirectional(one.state, two.state))
        else:
            grads = _backward_layer(layer, dx, dlast)
            dx = grads.x
            dparams.append(grads.params)
            dbegin.append(grads.state)
    weights, begin = tuple(dparams[::-1]), _map(lambda a: a[0] if tape.single else a, tuple(dbegin[::-1]))
    return Grads(
        dx[0] if tape.single else dx,
        weights if tape.stacked else weights[0],
        begin if tape.stacked else begin[0],
    )


def _forward_layer(
    x: Array, params: AnyParams, state: State, lengths: Array, reverse: bool, reset: Array, mask: Array
) -> tuple[Array, State, LayerTape]:
    """One layer in one direction; x (N, T, D) is 0 in padding."""
    U, cell = params.U, _CELLS[type(params)]
    (N, T, _), (D, H, P) = x.shape, sizes(params)
    x = _reversed(x, lengths) if reverse else x
    live = _live(lengths, T)
    reset = _boundaries(reset, lengths, reverse)
    zx = cell.inputs(x.reshape(N * T, D), params).reshape(N, T, 4 * H)  # no step waits for this: once for all
    h, c = np.empty((N, T + 1, P), x.dtype), np.empty((N, T + 1, H), x.dtype)
    gates = np.empty_like(zx)
    h[:, 0], c[:, 0] = state
    for t in range(T):
        h_old, c_old = np.where(reset[:, t], 0, h[:, t]), np.where(reset[:, t], 0, c[:, t])
        gates[:, t], h_next, c_next = cell.step(zx[:, t] + (mask * h_old) @ U, h_old, c_old, params)
        c[:, t + 1] = np.where(live[:, t], c_next, c[:, t])
        h[:, t + 1] = np.where(live[:, t], h_next, h[:, t])
    tape = LayerTape(params, x, h, c, gates, reset, mask, lengths, reverse)
    return _outputs(h, tape), State(h[:, T].copy(), c[:, T].copy()), tape


def _backward_layer(tape: LayerTape, dy: Array, dstate: State) -> Grads:
    """One layer in one direction; dy (N, T, P) is 0 in padding."""
    params, x, h, c, gates, reset, mask, lengths, reverse = tape
    U, cell, T = params.U, _CELLS[type(params)], x.shape[1]
    dy = _reversed(dy, lengths) if reverse else dy
    live = _live(lengths, T)
    da, dh_new = np.empty_like(gates), np.empty_like(dy)
    dh, dc = dstate
    for t in reversed(range(T)):
        h_old, c_old = np.where(reset[:, t], 0, h[:, t]), np.where(reset[:, t], 0, c[:, t])
        dh_new[:, t] = np.where(live[:, t], dy[:, t] + dh, 0)
        da_t, dh_old, dc_old = cell.back(dh_new[:, t], dc, gates[:, t], h_old, c_old, c[:, t + 1], params)
        da[:, t] = np.where(live[:, t], da_t, 0)
        dz = cell.product(da[:, t], gates[:, t], params)
        dh = np.where(reset[:, t], 0, np.where(live[:, t], mask * (dz @ U.T) + dh_old, dh))
        dc = np.where(reset[:, t], 0, np.where(live[:, t], dc_old, dc))
    real = live[..., 0]  # steps that are no padding, whatever stands there: 0 times NaN is NaN
    h_before, c_before = (np.where(reset, 0, a) for a in (mask[:, None] * h[:, :T], c[:, :T]))
    dx = np.zeros(x.shape, da.dtype)
    dx[real], dparams = cell.sums(*(a[real] for a in (da, dh_new, gates, x, h_before, c_before, c[:, 1:])), params)
    return Grads(_reversed(dx, lengths) if reverse else dx, dparams, State(dh, dc))


_Like: TypeAlias = Params | ProjectedParams | PeepholeParams | NormalizedParams  # the LSTM's equations are part of them


class _Standard:
    """The equations of the LSTM. Rows: samples, or samples and steps."""

    @staticmethod
    def inputs(x: Array, params: _Like) -> Array:
        """What x and the bias give to z (rows, 4H)."""
        return x @ params.W + params.b

    @staticmethod
    def step(z: Array, h: Array, c: Array, params: _Like) -> tuple[Array, Array, Array]:
        """What backward needs (rows, 4H), then the new h and c."""
        z_i, z_f, z_g, z_o = _blocks(z)
        i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
        c_new = f * c + i * g
        return np.concatenate((i, f, g, o), axis=-1), o * np.tanh(c_new), c_new

    @staticmethod
    def back(
        dh: Array, dc: Array, gates: Array, h: Array, c: Array, c_new: Array, params: _Like
    ) -> tuple[Array, Array | int, Array]:
        """From the new h's and c's gradients those of z (rows, 4H), of the old h but for z's part, and of the old c."""
        i, f, g, o = _blocks(gates)
        tanh_c = np.tanh(c_new)
        dc = dc + dh * o * (1 - tanh_c**2)
        dz_i = dc * g * i * (1 - i)
        dz_f = dc * c * f * (1 - f)
        dz_g = dc * i * (1 - g**2)
        dz_o = dh * tanh_c * o * (1 - o)
        return np.concatenate((dz_i, dz_f, dz_g, dz_o), axis=-1), 0, dc * f

    @staticmethod
    def product(dz: Array, gates: Array, params: AnyParams) -> Array:
        """Gradients of x·W + h·U from those that `back` found: the same, but in the normalized cell."""
        return dz

    @staticmethod
    def sums(
        dz: Array, dh: Array, gates: Array, x: Array, h: Array, c: Array, c_new: Array, params: _Like
    ) -> tuple[Array, Params]:
        """Gradients of x and of the weights, from those of z and of the new h."""
        return dz @ params.W.T, Params(x.T @ dz, h.T @ dz, dz.sum(axis=0))


class _Interpolated:
    """The equations of the interpolated cell, as `_Standard` has those of the LSTM."""

    @staticmethod
    def inputs(x: Array, params: InterpolatedParams) -> Array:
        a_i, a_f, a_g = np.split(x @ params.W, 3, axis=-1)
        b_i, b_f, b_o = np.split(params.b, 3)
        return np.concatenate((a_i + b_i, a_f + b_f, a_g, np.broadcast_to(b_o, a_g.shape)), axis=-1)

    @staticmethod
    def step(z: Array, h: Array, c: Array, params: InterpolatedParams) -> tuple[Array, Array, Array]:
        z_i, z_f, a, z_o = _blocks(z)
        i, f = _sigmoid(z_i), _sigmoid(z_f)
        g = np.tanh(f * c + i * a)
        c_new = f * c + i * g
        o = _sigmoid(z_o + c_new @ params.V)
        return np.concatenate((i, f, a, o), axis=-1), (1 - o) * h + o * np.tanh(c_new), c_new

    @staticmethod
    def back(
        dh: Array, dc: Array, gates: Array, h: Array, c: Array, c_new: Array, params: InterpolatedParams
    ) -> tuple[Array, Array | int, Array]:
        i, f, a, o = _blocks(gates)
        g, tanh_c = np.tanh(f * c + i * a), np.tanh(c_new)
        dz_o = dh * (tanh_c - h) * o * (1 - o)
        dc = dc + dh * o * (1 - tanh_c**2) + dz_o @ params.V.T
        du = dc * i * (1 - g**2)
        dz_i = (dc * g + du * a) * i * (1 - i)
        dz_f = (dc + du) * c * f * (1 - f)
        return np.concatenate((dz_i, dz_f, du * i, dz_o), axis=-1), dh * (1 - o), (dc + du) * f

    product = staticmethod(_Standard.product)

    @staticmethod
    def sums(
        dz: Array, dh: Array, gates: Array, x: Array, h: Array, c: Array, c_new: Array, params: InterpolatedParams
    ) -> tuple[Array, InterpolatedParams]:
        dz_i, dz_f, _, dz_o = _blocks(dz)
        of_x = dz[:, : params.W.shape[1]]
        db = np.concatenate((dz_i, dz_f, dz_o), axis=-1).sum(axis=0)
        return of_x @ params.W.T, InterpolatedParams(x.T @ of_x, h.T @ dz, c_new.T @ dz_o, db)


class _Projected:
    """The equations of the projected cell: those of `_Standard`, and V between its output m and the new h."""

    inputs = staticmethod(_Standard.inputs)

    @staticmethod
    def step(z: Array, h: Array, c: Array, params: ProjectedParams) -> tuple[Array, Array, Array]:
        gates, m, c_new = _Standard.step(z, h, c, params)
        return gates, m @ params.V, c_new

    @staticmethod
    def back(
        dh: Array, dc: Array, gates: Array, h: Array, c: Array, c_new: Array, params: ProjectedParams
    ) -> tuple[Array, Array | int, Array]:
        return _Standard.back(dh @ params.V.T, dc, gates, h, c, c_new, params)

    product = staticmethod(_Standard.product)

    @staticmethod
    def sums(
        dz: Array, dh: Array, gates: Array, x: Array, h: Array, c: Array, c_new: Array, params: ProjectedParams
    ) -> tuple[Array, ProjectedParams]:
        dx, (dW, dU, db) = _Standard.sums(dz, dh, gates, x, h, c, c_new, params)
        m = _blocks(gates)[GATES.index("o")] * np.tanh(c_new)
        return dx, ProjectedParams(dW, dU, m.T @ dh, db)


class _Peephole:
    """The equations of the peephole cell: those of `_Standard`, and c in the gates."""

    inputs = staticmethod(_Standard.inputs)

    @staticmethod
    def step(z: Array, h: Array, c: Array, params: PeepholeParams) -> tuple[Array, Array, Array]:
        z_i, z_f, z_g, z_o = _blocks(z)
        p_i, p_f, p_o = np.split(params.p, 3)
        i, f, g = _sigmoid(z_i + p_i * c), _sigmoid(z_f + p_f * c), np.tanh(z_g)
        c_new = f * c + i * g
        o = _sigmoid(z_o + p_o * c_new)
        return np.concatenate((i, f, g, o), axis=-1), o * np.tanh(c_new), c_new

    @staticmethod
    def back(
        dh: Array, dc: Array, gates: Array, h: Array, c: Array, c_new: Array, params: PeepholeParams
    ) -> tuple[Array, Array | int, Array]:
        p_i, p_f, p_o = np.split(params.p, 3)
        o = _blocks(gates)[GATES.index("o")]
        dz_o = dh * np.tanh(c_new) * o * (1 - o)
        dz, dh_old, dc_old = _Standard.back(dh, dc + dz_o * p_o, gates, h, c, c_new, params)
        dz_i, dz_f, _, _ = _blocks(dz)
        return dz, dh_old, dc_old + dz_i * p_i + dz_f * p_f

    product = staticmethod(_Standard.product)

    @staticmethod
    def sums(
        dz: Array, dh: Array, gates: Array, x: Array, h: Array, c: Array, c_new: Array, params: PeepholeParams
    ) -> tuple[Array, PeepholeParams]:
        dx, (dW, dU, db) = _Standard.sums(dz, dh, gates, x, h, c, c_new, params)
        dz_i, dz_f, _, dz_o = _blocks(dz)
        dp = np.concatenate((dz_i * c, dz_f * c, dz_o * c_new), axis=-1).sum(axis=0)
        return dx, PeepholeParams(dW, dU, dp, db)


class _Normalized:
    """The equations of the normalized cell: those of `_Standard`, and layer normalisation before each activation."""

    @staticmethod
    def inputs(x: Array, params: NormalizedParams) -> Array:
        return x @ params.W

    @staticmethod
    def step(z: Array, h: Array, c: Array, params: NormalizedParams) -> tuple[Array, Array, Array]:
        s, s_c, b, b_c = _scales(params)
        gates, _, c_new = _Standard.step(s * _norm(z, params)[0] + b, h, c, params)
        o = _blocks(gates)[GATES.index("o")]
        return z, o * np.tanh(s_c * _norm(c_new, params)[0] + b_c), c_new

    @staticmethod
    def back(
        dh: Array, dc: Array, z: Array, h: Array, c: Array, c_new: Array, params: NormalizedParams
    ) -> tuple[Array, Array | int, Array]:
        """From the new h's and c's gradients those of s∘ẑ + b (rows, 4H), and of the old c."""
        s, s_c, b, b_c = _scales(params)
        z_i, z_f, z_g, z_o = _blocks(s * _norm(z, params)[0] + b)
        i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
        c_hat, r = _norm(c_new, params)
        t = np.tanh(s_c * c_hat + b_c)
        dc = dc + _norm_back(dh * o * (1 - t**2) * s_c, c_hat, r, params)
        da_i = dc * g * i * (1 - i)
        da_f = dc * c * f * (1 - f)
        da_g = dc * i * (1 - g**2)
        da_o = dh * t * o * (1 - o)
        return np.concatenate((da_i, da_f, da_g, da_o), axis=-1), 0, dc * f

    @staticmethod
    def product(da: Array, z: Array, params: NormalizedParams) -> Array:
        return _norm_back(da * _scales(params)[0], *_norm(z, params), params)

    @staticmethod
    def sums(
        da: Array, dh: Array, z: Array, x: Array, h: Array, c: Array, c_new: Array, params: NormalizedParams
    ) -> tuple[Array, NormalizedParams]:
        s, s_c, b, b_c = _scales(params)
        z_hat, c_hat = _norm(z, params)[0], _norm(c_new, params)[0]
        o = _sigmoid(_blocks(s * z_hat + b)[GATES.index("o")])
        du = dh * o * (1 - np.tanh(s_c * c_hat + b_c) ** 2)
        dx, (dW, dU, _) = _Standard.sums(_Normalized.product(da, z, params), dh, z, x, h, c, c_new, params)
        ds = np.concatenate((da * z_hat, du * c_hat), axis=-1).sum(axis=0)
        return dx, NormalizedParams(dW, dU, ds, np.concatenate((da, du), axis=-1).sum(axis=0))


_CELLS: dict[type, Any] = {
    Params: _Standard,
    InterpolatedParams: _Interpolated,
    ProjectedParams: _Projected,
    PeepholeParams: _Peephole,
    NormalizedParams: _Normalized,
}


def _scales(params: NormalizedParams) -> tuple[Array, Array, Array, Array]:
    """s and s_c, b and b_c: the gates' blocks (4H,) and c's (H,)."""
    width = params.U.shape[1]
    return params.s[:width], params.s[width:], params.b[:width], params.b[width:]


def _means(v: Array, params: NormalizedParams) -> Array:
    """At every entry the mean over its block of H units; v (rows, H) or (rows, 4H)."""
    H = len(params.U)
    return np.repeat(v.reshape(len(v), v.shape[1] // H, H).mean(axis=-1), H, axis=-1)


def _norm(v: Array, params: NormalizedParams) -> tuple[Array, Array]:
    """v̂, every block of v brought to mean 0 and variance 1, and the factors r that did it."""
    centred = v - _means(v, params)
    r = 1 / np.sqrt(_means(centred**2, params) + NORMALIZED_EPSILON)
    return centred * r, r


def _norm_back(dv: Array, v_hat: Array, r: Array, params: NormalizedParams) -> Array:
    """The gradient of v from that of v̂."""
    back: Array = r * (dv - _means(dv, params) - v_hat * _means(dv * v_hat, params))
    return back


def _sigmoid(z: Array) -> Array:
    """1 / (1 + exp(−z)), through exp(−|z|), which cannot overflow."""
    e = np.exp(-np.abs(z))
    sigma: Array = np.where(z >= 0, 1, e) / (1 + e)
    return sigma


def _blocks(z: Array) -> list[Array]:
    """The four gate blocks of the last axis, i, f, g, o."""
    return list(np.split(z, len(GATES), axis=-1))


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


def _map_tapes(function: Callable[[LayerTape], Any], layers: tuple[Any, ...]) -> tuple[Any, ...]:
    """function of every direction's tape, in the structure of the layers."""
    return tuple(
        Bidirectional(function(one.forward), function(one.backward))
        if isinstance(one, Bidirectional)
        else function(one)
        for one in layers
    )


def _layers(params: Any, D: int, reverse: bool) -> tuple[Any, ...]:
    """The layers, bottom first, their arrays checked against one another."""
    if not isinstance(reverse, (bool, np.bool_)):
        raise TypeError(f"reverse: expected a bool, got {type(reverse).__name__}")
    layers = tuple(params) if is_plain(params) else (params,)
    if not layers:
        raise ValueError("params: expected at least one layer, got none")
    kind = None
    for layer in layers:
        ways = tuple(layer) if isinstance(layer, Bidirectional) else (layer,)
        if reverse and len(ways) == 2:
            raise ValueError("reverse: expected False with a Bidirectional, which runs both ways, got True")
        for one in ways:
            if type(one) not in _CELLS:
                raise TypeError(f"params: expected Params or Bidirectional, got {type(one).__name__}")
            kind = kind or one.W.dtype
            if any(a.dtype != kind for a in one) or kind.kind != "f":
                raise TypeError(f"params: expected one float type, got {', '.join(str(a.dtype) for a in one)}")
            P, H = one.U.shape[0], one.U.shape[-1] // len(GATES)
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


def _entries(name: str, given: Any, layers: tuple[Any, ...], stacked: bool) -> tuple[Any, ...]:
    """What belongs to each layer, of what has the structure of the weights; None for all where it is None."""
    if given is None or not stacked:
        return (given,) * len(layers)
    if not is_plain(given):
        raise TypeError(f"{name}: expected a tuple, an entry a layer of the stack, got {type(given).__name__}")
    if len(given) != len(layers):
        raise ValueError(f"{name}: expected {len(layers)} entries, one a layer, got {len(given)}")
    return tuple(given)


def _states(
    name: str, state: Any, layers: tuple[Any, ...], N: int, stacked: bool, single: bool, kind: Any
) -> tuple[Any, ...]:
    """A State (N, P), (N, H), or a Bidirectional of two, a layer; zeros where state is None."""

    def one(params: AnyParams, entry: Any) -> State:
        _, H, P = sizes(params)
        if state is None:
            return State(np.zeros((N, P), kind), np.zeros((N, H), kind))
        if is_plain(entry) and len(entry) == 2:
            entry = State(*entry)
        if not isinstance(entry, State):
            raise TypeError(f"{name}: expected State, or a pair (h, c), got {type(entry).__name__}")
        h, c = (
            _real(f"{name}.{field}", a, (width,) if single else (N, width)).reshape(N, width).astype(kind)
            for field, a, width in zip(State._fields, entry, (P, H), strict=True)
        )
        return State(h, c)

    def both(layer: Any, entry: Any) -> Any:
        if not isinstance(layer, Bidirectional):
            return one(layer, entry)
        if state is not None and not isinstance(entry, Bidirectional):
            raise TypeError(f"{name}: expected Bidirectional(State, State), got {type(entry).__name__}")
        first, second = entry or (None, None)
        return Bidirectional(one(layer.forward, first), one(layer.backward, second))

    return tuple(both(*pair) for pair in zip(layers, _entries(name, state, layers, stacked), strict=True))


def _masks(h_mask: Any, layers: tuple[Any, ...], N: int, stacked: bool, single: bool, kind: Any) -> tuple[Any, ...]:
    """Factors (N, P), or a Bidirectional of two, a layer; ones where there are none."""

    def one(params: AnyParams, entry: Any) -> Array:
        P = params.U.shape[0]
        if entry is None:
            return np.ones((N, P), kind)
        if not isinstance(params, Params):
            raise ValueError(f"h_mask: expected None for the {cell_name(type(params))} cell, got an array")
        return _real("h_mask", entry, (P,) if single else (N, P)).reshape(N, P).astype(kind)

    def both(layer: Any, entry: Any) -> Any:
        if not isinstance(layer, Bidirectional):
            return one(layer, entry)
        if entry is not None and not isinstance(entry, Bidirectional):
            raise TypeError(f"h_mask: expected Bidirectional(array, array), got {type(entry).__name__}")
        first, second = entry or (None, None)
        return Bidirectional(one(layer.forward, first), one(layer.backward, second))

    return tuple(both(*pair) for pair in zip(layers, _entries("h_mask", h_mask, layers, stacked), strict=True))
