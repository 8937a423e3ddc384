"""The thin layer: check, allocate, call the kernels, put the results into the caller's structure."""

from __future__ import annotations

from typing import Any

from . import checks
from .checks import Array, Stack, States, Weights, assemble
from .cpu.lstm import engine, plans, records
from .cpu.lstm.packing import Packed
from .cpu.machine import memory
from .params import AnyParams, Grads, State
from .tape import Level, Pass, Tape


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
    return layer if isinstance(layer, Packed) else engine.pack(layer)


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
        How many steps of each sequence are real, 0 to T. What lies behind them is padding, and is not read.
    reverse : bool
        Runs time backwards, each sequence from its own end. Not with a Bidirectional.
    reset : array_like of bool, shape (N, T), or (T,) for a single sequence, optional
        True marks the first step of an episode, in the order of x, also where steps run in reverse. Right before
        that step lies a boundary, which neither a state nor a gradient crosses: the step that is computed behind it
        begins with zeros. At the first step of x this makes the initial state unused; in reverse it changes
        nothing, for there the initial state enters at the other end.
    h_mask : array_like, shape (N, H), or (H,) for a single sequence, optional
        For the standard cell only: factors of the old h in the product h·U, the same ones at every step, also for
        the initial h. Recurrent dropout draws 0 or 1 / (1 - rate). For a Bidirectional or a stack it has the
        structure of the state, with None for a layer without one.

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
            plan = plans.plan_forward(_packed(layer), N, T, counts)
            engine.forward(plan, below, h, c, y, way * P, c_steps, turned, starts, None, mask)
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
            packed = layer.copy() if isinstance(layer, Packed) else engine.pack(layer)
            initial, kept = h.copy(), records.keep(packed, N, T)
            turned = backwards or way == 1
            plan = plans.plan_forward(packed, N, T, counts)
            engine.forward(plan, below, h, c, y, way * P, None, turned, starts, kept, mask)
            passes.append(Pass(packed, initial, kept, turned, mask))
        levels.append(Level(below, tuple(passes)))
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
        Gradient at every y. What lies in padding is not read. Zeros if None.
    dstate : State or a pair (dh, dc), optional
        Gradient at the last state, in its structure and shapes. Zeros if None.

    Returns
    -------
    Grads
        Gradients of x, params and the initial state, each in the structure and shapes of the thing itself. params is
        a record of weights, also where `forward_train` was given what `pack` makes.

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
            plan = plans.plan_backward(one.packed, N, T, tape._lengths)
            grads.append(
                engine.backward(
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
