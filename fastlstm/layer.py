"""The thin layer: check, allocate, call the kernels, put the results into the caller's structure."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import checks
from .checks import Array, Stack, States, Weights, assemble
from .kernels import backend, memory
from .kernels.backend import Kept
from .kernels.packing import Packed
from .params import AnyParams, Grads, State, form


class _Pass(NamedTuple):
    """What backward needs of one direction of one layer."""

    packed: Packed
    h: Array  # (N, P), the initial one
    kept: Kept
    reverse: bool
    mask: Array | None


class _Level(NamedTuple):
    """What backward needs of one layer; x is what both directions read, the output of the layer below."""

    x: Array  # (N, T, D)
    passes: tuple[_Pass, ...]


class Tape:
    """What `forward_train` keeps for `backward`: its own copies, so that no later change reaches it.

    Made by `forward_train` only. It can be pickled; its gates are in the layout of the processor that made
    them, so another one may refuse it.

    Attributes
    ----------
    x : ndarray, shape (N, T, D)
        The input in the weights' float type. Read-only.
    c : ndarray, shape (N, T, H)
        The cell state after every step; a Bidirectional of two for a Bidirectional, a tuple, one entry a
        layer, for a stack. Read-only.

    For a single sequence both are without the axis N.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(input_size=3, hidden_size=5, rng=0)
    >>> y, state, tape = fastlstm.forward_train(np.ones((2, 7, 3)), params)
    >>> tape.c.shape
    (2, 7, 5)
    """

    __slots__ = ("_levels", "_lengths", "_reset", "_single", "_stacked")

    _levels: tuple[_Level, ...]
    _lengths: Array | None
    _reset: Array | None
    _single: bool
    _stacked: bool

    def __init__(self) -> None:
        raise TypeError("Tape: made by forward_train only")

    @classmethod
    def _of(
        cls, levels: tuple[_Level, ...], lengths: Array | None, reset: Array | None, single: bool, stacked: bool
    ) -> Tape:
        tape = cls.__new__(cls)
        tape.__setstate__((levels, lengths, reset, single, stacked))
        return tape

    @property
    def x(self) -> Array:
        return self._shown(self._levels[0].x)

    @property
    def c(self) -> Any:
        cells = [[self._cells(one) for one in level.passes] for level in self._levels]
        return assemble(cells, self._stacked)

    def _cells(self, one: _Pass) -> Array:
        return self._shown(backend.cells(one.kept, one.packed.hidden_size, self._lengths, one.reverse))

    def _shown(self, array: Array) -> Array:
        view = array[0] if self._single else array[...]
        view.flags.writeable = False
        return view

    def __repr__(self) -> str:
        return f"Tape(x={form(self.x)}, layers={len(self._levels)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _tape, (self._levels, self._lengths, self._reset, self._single, self._stacked)

    def __setstate__(self, fields: tuple[Any, ...]) -> None:
        self._levels, self._lengths, self._reset, self._single, self._stacked = fields


def _tape(*fields: Any) -> Tape:
    """A Tape again, from a pickle."""
    return Tape._of(*fields)


def zero_state(params: Stack, batch_size: int = 1) -> Any:
    """A state of zeros, such as forward begins with when it is given none.

    Parameters
    ----------
    params : Params or another cell's record, Bidirectional, what `pack` makes of them, or a stack of these
    batch_size : int
        N.

    Returns
    -------
    State
        h (N, P) and c (N, H) of the weights' type; in the structure of params. P is H but for the projected cell.

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
    return assemble(checks.states("state", None, found, N, single=False), found.stacked)


def pack(params: Stack) -> Any:
    """Weights laid out for the kernels: once, for many calls; taken wherever params is.

    Parameters
    ----------
    params : Params or another cell's record, Bidirectional, or a stack of these

    Returns
    -------
    Packed
        In the structure of params; a copy, which later changes to params do not reach. The layout is that of
        this processor.

    Raises
    ------
    ValueError, TypeError
        Weights that make no sense.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> packed = fastlstm.pack(fastlstm.init_params(16, 32, rng=0))
    >>> y, state = fastlstm.forward(np.ones((4, 10, 16)), packed)
    """
    found = checks.weights(params)
    return assemble([[_packed(layer) for layer in level] for level in found.levels], found.stacked)


def _packed(layer: AnyParams | Packed) -> Packed:
    return layer if isinstance(layer, Packed) else backend.pack(layer)


def forward(
    x: Any,
    params: Stack,
    state: States | None = None,
    *,
    lengths: Any = None,
    reverse: bool = False,
    reset: Any = None,
    h_mask: Any = None,
) -> tuple[Array, Any]:
    """The LSTM over whole sequences.

    Parameters
    ----------
    x : array_like, shape (N, T, D), or (T, D) for a single sequence
        Real numbers of any type; computed in the weights' float type.
    params : Params or another cell's record, Bidirectional, what `pack` makes of them, or a stack of these
        A list or tuple is a stack of layers, bottom first.
    state : State or a pair (h, c), optional
        The initial state, h (N, P) and c (N, H), or (P,) and (H,) for a single sequence; P, the width of h, is H but
        for the projected cell. Bidirectional(State, State) for a Bidirectional; a tuple, one entry a layer, for a
        stack, also of one layer. Zeros if None.
    lengths : array_like of int, shape (N,), optional
        Real steps of each sequence, 0 to T; what lies behind them is not read.
    reverse : bool
        Runs time backwards, each sequence from its own end. Not with a Bidirectional.
    reset : array_like of bool, shape (N, T), or (T,) for a single sequence, optional
        True marks the first step of an episode, in the order of x whichever way the steps run. No state crosses
        the boundary before that step, nor any gradient: the step behind it begins with zeros. So at the first
        step it makes the initial state unused, but not that of a pass in reverse, which enters at the other end.
    h_mask : array_like, shape (N, H), or (H,) for a single sequence, optional
        Factors of the old h where it enters the product h·U, the same at every step, the initial h included:
        recurrent dropout draws 0 or 1 / (1 - rate). For a Bidirectional or a stack in the structure of the state,
        with None for a layer without. Of the standard cell only.

    Returns
    -------
    y : ndarray, shape (N, T, P), or (T, P); 2P for a Bidirectional, forward first
        h after every step of the top layer; 0 in padding.
    state : State
        The state after the last real step, in the structure of the initial one.

    Raises
    ------
    ValueError
        Shapes, lengths or values that do not fit; the message says which argument and what was expected.
    TypeError
        Types that do not fit.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(input_size=16, hidden_size=32, rng=0)
    >>> y, state = fastlstm.forward(np.ones((4, 10, 16)), params)
    >>> y.shape, state.c.shape, bool((y[:, -1] == state.h).all())
    ((4, 10, 32), (4, 32), True)
    """
    y, last, _ = _infer(x, params, state, lengths, reverse, reset, h_mask, cells=False)
    return y, last


def forward_cells(
    x: Any,
    params: Stack,
    state: States | None = None,
    *,
    lengths: Any = None,
    reverse: bool = False,
    reset: Any = None,
    h_mask: Any = None,
) -> tuple[Array, Any, Any]:
    """`forward` that also returns c of every step.

    Parameters
    ----------
    x, params, state, lengths, reverse, reset, h_mask
        As in `forward`.

    Returns
    -------
    y, state
        As from `forward`.
    c : ndarray, shape (N, T, H), or (T, H)
        The cell state after every step, whether a reset follows or not; 0 in padding. A Bidirectional of two for a
        Bidirectional, a tuple, one entry a layer, for a stack.

    Raises
    ------
    ValueError, TypeError
        As `forward`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(input_size=16, hidden_size=32, rng=0)
    >>> y, state, c = fastlstm.forward_cells(np.ones((4, 10, 16)), params)
    >>> c.shape, bool((c[:, -1] == state.c).all())
    ((4, 10, 32), True)
    """
    return _infer(x, params, state, lengths, reverse, reset, h_mask, cells=True)


def _infer(
    x: Any, params: Stack, state: States | None, lengths: Any, reverse: bool, reset: Any, h_mask: Any, *, cells: bool
) -> tuple[Array, Any, Any]:
    found = checks.weights(params)
    backwards = checks.direction(reverse, found)
    below, single = checks.sequences(x, found, copy=False)
    N, T, _ = below.shape
    counts = checks.step_counts(lengths, N, T, single=single)
    starts = checks.resets(reset, N, T, single=single, copy=False)
    state_levels = checks.states("state", state, found, N, single=single)
    mask_levels = checks.masks("h_mask", h_mask, found, N, single=single, copy=False)
    cell_levels: list[list[Any]] = []
    for level, states, masks in zip(found.levels, state_levels, mask_levels, strict=True):
        _, H, P = checks.sizes(level[0])
        y = memory.empty((N, T, P * len(level)), found.dtype)
        kept: list[Any] = []
        for way, (layer, (h, c), mask) in enumerate(zip(level, states, masks, strict=True)):
            c_steps = memory.empty((N, T, H), found.dtype) if cells else None
            turned = backwards or way == 1
            plan = backend.plan_forward(_packed(layer), N, T, counts)
            backend.forward(plan, below, h, c, y, way * P, c_steps, turned, starts, None, mask)
            kept.append(c_steps)
        cell_levels.append(kept)
        below = y
    last = _structured_states(state_levels, found.stacked, single)
    if not cells:
        return (y[0] if single else y), last, None
    shown = [[c_steps[0] if single else c_steps for c_steps in kept] for kept in cell_levels]
    return (y[0] if single else y), last, assemble(shown, found.stacked)


def _structured_states(levels: list[list[State]], stacked: bool, single: bool) -> Any:
    if single:
        levels = [[State(h[0], c[0]) for h, c in level] for level in levels]
    return assemble(levels, stacked)


def forward_train(
    x: Any,
    params: Stack,
    state: States | None = None,
    *,
    lengths: Any = None,
    reverse: bool = False,
    reset: Any = None,
    h_mask: Any = None,
) -> tuple[Array, Any, Tape]:
    """`forward` that keeps what `backward` needs.

    Parameters
    ----------
    x, params, state, lengths, reverse, reset, h_mask
        As in `forward`.

    Returns
    -------
    y, state
        As from `forward`, bit for bit.
    tape : Tape
        For `backward`; it owns all that it holds.

    Raises
    ------
    ValueError, TypeError
        As `forward`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(input_size=16, hidden_size=32, rng=0)
    >>> y, state, tape = fastlstm.forward_train(np.ones((4, 10, 16)), params)
    >>> grads = fastlstm.backward(tape, dy=2 * y)
    >>> grads.x.shape, grads.params.W.shape
    ((4, 10, 16), (16, 128))
    """
    found = checks.weights(params)
    backwards = checks.direction(reverse, found)
    below, single = checks.sequences(x, found, copy=True)
    N, T, _ = below.shape
    counts = checks.step_counts(lengths, N, T, single=single)
    starts = checks.resets(reset, N, T, single=single, copy=True)
    state_levels = checks.states("state", state, found, N, single=single)
    mask_levels = checks.masks("h_mask", h_mask, found, N, single=single, copy=True)
    levels = []
    for level, states, masks in zip(found.levels, state_levels, mask_levels, strict=True):
        P = checks.sizes(level[0])[2]
        y = memory.empty((N, T, P * len(level)), found.dtype)
        passes = []
        for way, (layer, (h, c), mask) in enumerate(zip(level, states, masks, strict=True)):
            packed = layer.copy() if isinstance(layer, Packed) else backend.pack(layer)
            initial, kept = h.copy(), backend.keep(packed, N, T)
            turned = backwards or way == 1
            plan = backend.plan_forward(packed, N, T, counts)
            backend.forward(plan, below, h, c, y, way * P, None, turned, starts, kept, mask)
            passes.append(_Pass(packed, initial, kept, turned, mask))
        levels.append(_Level(below, tuple(passes)))
        below = y
    tape = Tape._of(tuple(levels), counts, starts, single, found.stacked)
    return (y[0] if single else y), _structured_states(state_levels, found.stacked, single), tape


def backward(tape: Tape, dy: Any = None, dstate: States | None = None) -> Grads:
    """Gradients of a loss through the LSTM, from those that arrive at its outputs.

    Parameters
    ----------
    tape : Tape
        From `forward_train`; it is left as it was, so that calling again gives the same numbers.
    dy : array_like, shape of y, optional
        Gradient at every y; what lies in padding is not read. Zeros if None.
    dstate : State or a pair (dh, dc), optional
        Gradient at the last state, in its structure and shapes. Zeros if None.

    Returns
    -------
    Grads
        x, params and state (the initial one), each in the structure and shapes of what it is the gradient of;
        params as the record of weights also where `forward_train` was given what `pack` makes.

    Raises
    ------
    ValueError
        Gradients of other shapes than the outputs; a tape from a processor of another vector width.
    TypeError
        Types that do not fit.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(input_size=3, hidden_size=5, rng=0)
    >>> y, state, tape = fastlstm.forward_train(np.ones((2, 7, 3)), params)
    >>> grads = fastlstm.backward(tape, dstate=fastlstm.State(np.ones((2, 5)), np.zeros((2, 5))))
    >>> grads.state.h.shape
    (2, 5)
    """
    if not isinstance(tape, Tape):
        raise TypeError(f"tape: expected the Tape of forward_train, got {type(tape).__name__}")
    single, stacked = tape._single, tape._stacked
    found = Weights(
        tuple(tuple(one.packed for one in level.passes) for level in tape._levels),
        stacked,
        tape._levels[0].x.dtype,
    )
    N, T, _ = tape._levels[0].x.shape
    width = checks.sizes(found.levels[-1][0])[2] * len(found.levels[-1])
    above = checks.output_gradient(dy, (N, T, width), found.dtype, single=single)
    state_levels = checks.states("dstate", dstate, found, N, single=single)
    for level in tape._levels:
        for one in level.passes:
            checks.gates("tape", one.kept.gates, one.packed)
    param_levels: list[list[AnyParams]] = []
    for level, states in zip(reversed(tape._levels), reversed(state_levels), strict=True):
        dx = memory.zeros(level.x.shape, found.dtype)
        grads = []
        for way, (one, (dh, dc)) in enumerate(zip(level.passes, states, strict=True)):
            column = way * one.packed.output_size
            plan = backend.plan_backward(one.packed, N, T, tape._lengths)
            grads.append(
                backend.backward(
                    plan, level.x, one.h, one.kept, one.reverse, tape._reset, above, column, dh, dc, dx, one.mask
                )
            )
        param_levels.insert(0, grads)
        above = dx
    return Grads(
        dx[0] if single else dx,
        assemble(param_levels, stacked),
        _structured_states(state_levels, stacked, single),
    )
