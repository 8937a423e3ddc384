"""Whole sequences: check, allocate, let the engine compute, put the results into the caller's structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar, Unpack, overload

from numpy.typing import ArrayLike

from . import backend, checks
from .backend import Packed, Pass
from .checks import Problem, Weights, assemble
from .params import AnyParams, AnyState, Array, Batch, Bidirectional, Grads, Hidden, OwnParams, State
from .places import there
from .tape import Tape
from .types import Layer, Masks, Options, Stack, States, Structured, WithCells, WithoutCells

_T = TypeVar("_T")
_WithCells = TypeVar("_WithCells", bound=WithCells)
_WithoutCells = TypeVar("_WithoutCells", bound=WithoutCells)
_Params = TypeVar("_Params")
_State = TypeVar("_State")


@overload
def pack(params: AnyParams | Packed, *, device: str | None = None) -> Packed: ...


@overload
def pack(params: Bidirectional, *, device: str | None = None) -> Bidirectional[Packed]: ...


@overload
def pack(params: Sequence[AnyParams | Packed], *, device: str | None = None) -> tuple[Packed, ...]: ...


@overload
def pack(params: Sequence[Layer], *, device: str | None = None) -> tuple[Any, ...]: ...


def pack(params: Stack, *, device: str | None = None) -> Structured:
    """Lay weights out for the kernels once, for many calls. All functions take the result as params.

    Parameters
    ----------
    params : Params or another cell's record, Bidirectional, or a stack of these
    device : "cuda", or "cuda:1" and the like, optional
        Puts weights from the host's memory on that GPU. Weights that are on one already are packed there without it.

    Returns
    -------
    Packed
        In the structure of params; a copy, which later changes to params do not reach. The layout is that of
        this processor, or of the device.

    Raises
    ------
    ValueError, TypeError
        Weights that make no sense.
    RuntimeError
        No device that can be used; the message says what is missing.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> packed = fastlstm.pack(fastlstm.init_params(16, 32, rng=0))
    >>> y, state = fastlstm.forward(np.ones((4, 10, 16)), packed)
    """
    found = checks.weights(params)
    checks.in_one_place([one for level in found.levels for one in level], found.stacked, name="params")
    packed = [[_packed(one, device) for one in level] for level in found.levels]
    return assemble(packed, found.stacked)


def _packed(layer: AnyParams | Packed, device: str | None = None) -> Packed:
    """One direction of a layer, packed where it lies, or on a device."""
    if device is not None:
        if isinstance(layer, Packed) or there(layer.W):
            raise ValueError(f"device: expected None for weights that are packed or on a device, got {device!r}")
        layer = backend.to_device(layer, device)
    return layer if isinstance(layer, Packed) else backend.engine_of(layer.W).pack(layer)


@overload
def forward(
    x: ArrayLike, params: WithCells, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, State]: ...


@overload
def forward(
    x: ArrayLike, params: WithoutCells, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Hidden]: ...


@overload
def forward(
    x: ArrayLike, params: OwnParams | Packed, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, AnyState]: ...


@overload
def forward(
    x: ArrayLike, params: Bidirectional[WithCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Bidirectional[State]]: ...


@overload
def forward(
    x: ArrayLike, params: Bidirectional[WithoutCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Bidirectional[Hidden]]: ...


@overload
def forward(
    x: ArrayLike, params: Bidirectional, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Bidirectional[AnyState]]: ...


@overload
def forward(
    x: ArrayLike, params: Sequence[WithCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[State, ...]]: ...


@overload
def forward(
    x: ArrayLike, params: Sequence[WithoutCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[Hidden, ...]]: ...


@overload
def forward(
    x: ArrayLike, params: Sequence[Layer], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[Any, ...]]: ...


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
    x : array_like, shape (N, T, D), or (T, D) for a single sequence
        Real numbers of any type; computed in the weights' float type.
    params : Params or another cell's record, Bidirectional, what `pack` makes of them, or a stack of these
        A list or tuple is a stack of layers, bottom first.
    state : State or a pair (h, c), optional
        The initial state, h (N, P) and c (N, H), or (P,) and (H,) for a single sequence. P, the width of h, is H but
        for the projected cell. Zeros if None. A cell without c has a `Hidden`, of h alone. A Bidirectional has a
        Bidirectional of two states. A stack, also of one layer, has a tuple, one entry a layer.
    lengths : array_like of int, shape (N,), optional
        How many steps of each sequence are real, 0 to T. The steps behind them are padding, and are not read.
    reverse : bool
        Runs time backwards, each sequence from its own end. ``y[:, t]`` still belongs to ``x[:, t]``. Not with a
        Bidirectional.
    reset : array_like of bool, shape (N, T), or (T,) for a single sequence, optional
        True marks the first step of an episode in x, whichever way time runs. Neither a state nor a gradient crosses
        the boundary before that step: what is computed on its other side begins with zeros. So a reset at the first
        step of x leaves the initial state unused. In reverse it changes nothing there, as the initial state enters at
        the other end.
    h_mask : array_like, shape (N, P), or (P,) for a single sequence, optional
        Factors of the old h in the product h·U: the same ones at every step, and for the initial h too. For recurrent
        dropout draw 0 or 1 / (1 - rate). For a Bidirectional or a stack it has the structure of the state, with None
        for a layer without one.

    Returns
    -------
    y : ndarray, shape (N, T, P), or (T, P); 2P for a Bidirectional, forward first
        h of the top layer after every step; 0 in padding.
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
    problem = checks.problem(x, params, state, lengths, reverse, reset, h_mask, copy=False)
    y, state, _ = _walk(problem, _plain)
    found: tuple[Array, Structured] = backend.given_back((y, state), problem.x)
    return found


@overload
def forward_cells(
    x: ArrayLike, params: WithCells, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, State, Array]: ...


@overload
def forward_cells(
    x: ArrayLike, params: OwnParams | Packed, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, State, Array]: ...


@overload
def forward_cells(
    x: ArrayLike, params: Bidirectional, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Bidirectional[State], Bidirectional[Array]]: ...


@overload
def forward_cells(
    x: ArrayLike, params: Sequence[WithCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[State, ...], tuple[Array, ...]]: ...


@overload
def forward_cells(
    x: ArrayLike, params: Sequence[Layer], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[Any, ...], tuple[Any, ...]]: ...


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
    c : ndarray, shape (N, T, H), or (T, H)
        The cell state after every step, whether a reset follows or not; 0 in padding. A Bidirectional of two for a
        Bidirectional, a tuple, one entry a layer, for a stack.

    Raises
    ------
    ValueError, TypeError
        As `forward`; TypeError also for a layer of a cell without c.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(input_size=16, hidden_size=32, rng=0)
    >>> y, state, c = fastlstm.forward_cells(np.ones((4, 10, 16)), params)
    >>> c.shape, bool((c[:, -1] == state.c).all())
    ((4, 10, 32), True)
    """
    problem = checks.problem(x, params, state, lengths, reverse, reset, h_mask, copy=False)
    checks.has_cells("params", (level[0] for level in problem.weights.levels))
    y, state, cells = _walk(problem, _with_cells)
    shown = [[c[0] if problem.single else c for c in level] for level in cells]
    c = assemble(shown, problem.weights.stacked)
    found: tuple[Array, Structured, Structured] = backend.given_back((y, state, c), problem.x)
    return found


_Way: TypeAlias = Callable[[AnyParams | Packed, Batch, AnyState, Array, int], _T]


def _walk(problem: Problem, way: _Way[_T]) -> tuple[Array, Structured, list[list[_T]]]:
    """y, the last state, and what way(layer, batch, state, y, column) returns of each direction of each level."""
    (levels, stacked, dtype, sizes), below, single, lengths, reset, backwards, states, masks = problem
    N, T, _ = below.shape
    engine, done = backend.engine_of(below), []
    for i, level in enumerate(levels):
        _, _, P = sizes[i]
        y = engine.empty((N, T, P * len(level)), dtype)
        row = []
        for n, layer in enumerate(level):
            mask = None if masks is None else masks[i][n]
            row.append(way(layer, Batch(below, lengths, reset, mask, backwards or n == 1), states[i][n], y, n * P))
        done.append(row)
        below = y
    return (below[0] if single else below), _in_structure(states, stacked, single), done


def _plain(
    layer: AnyParams | Packed, batch: Batch, state: AnyState, y: Array, column: int, cells: Array | None = None
) -> None:
    engine = backend.engine_of(y)
    engine.forward(packed=_packed(layer), batch=batch, state=state, y=y, column=column, cells=cells)


def _with_cells(layer: AnyParams | Packed, batch: Batch, state: AnyState, y: Array, column: int) -> Array:
    cells = backend.engine_of(y).empty((*y.shape[:2], checks.sizes(layer)[1]), y.dtype)
    _plain(layer, batch, state, y, column, cells)
    return cells


def _in_training(layer: AnyParams | Packed, batch: Batch, state: AnyState, y: Array, column: int) -> Pass:
    engine, packed = backend.engine_of(y), layer.copy() if isinstance(layer, Packed) else _packed(layer)
    h, kept = state.h.copy(), engine.keep(packed, y.shape[0], y.shape[1])
    engine.forward(packed=packed, batch=batch, state=state, y=y, column=column, kept=kept)
    return Pass(packed, batch, h, kept)


def _in_structure(levels: list[list[AnyState]], stacked: bool, single: bool) -> Structured:
    """States in the structure of the weights."""
    if single:
        levels = [[type(state)(*(a[0] for a in state)) for state in level] for level in levels]
    return assemble(levels, stacked)


@overload
def forward_train(
    x: ArrayLike, params: _WithCells, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, State, Tape[_WithCells, State]]: ...


@overload
def forward_train(
    x: ArrayLike, params: _WithoutCells, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Hidden, Tape[_WithoutCells, Hidden]]: ...


@overload
def forward_train(
    x: ArrayLike, params: OwnParams, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, AnyState, Tape[OwnParams, AnyState]]: ...


@overload
def forward_train(
    x: ArrayLike, params: Packed, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, AnyState, Tape[AnyParams, AnyState]]: ...


@overload
def forward_train(
    x: ArrayLike, params: Bidirectional[_WithCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Bidirectional[State], Tape[Bidirectional[_WithCells], Bidirectional[State]]]: ...


@overload
def forward_train(
    x: ArrayLike, params: Bidirectional[_WithoutCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Bidirectional[Hidden], Tape[Bidirectional[_WithoutCells], Bidirectional[Hidden]]]: ...


@overload
def forward_train(
    x: ArrayLike, params: Bidirectional, state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, Bidirectional[AnyState], Tape[Bidirectional[AnyParams], Bidirectional[AnyState]]]: ...


@overload
def forward_train(
    x: ArrayLike, params: Sequence[WithCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[State, ...], Tape[tuple[WithCells, ...], tuple[State, ...]]]: ...


@overload
def forward_train(
    x: ArrayLike, params: Sequence[WithoutCells], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[Hidden, ...], Tape[tuple[WithoutCells, ...], tuple[Hidden, ...]]]: ...


@overload
def forward_train(
    x: ArrayLike, params: Sequence[Layer], state: States | None = None, **options: Unpack[Options]
) -> tuple[Array, tuple[Any, ...], Tape[tuple[Any, ...], tuple[Any, ...]]]: ...


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
    problem = checks.problem(x, params, state, lengths, reverse, reset, h_mask, copy=True)
    y, state, passes = _walk(problem, _in_training)
    y, state = backend.given_back((y, state), problem.x)
    return y, state, Tape._of(passes, problem.single, problem.weights.stacked)


def backward(
    tape: Tape[_Params, _State], dy: ArrayLike | None = None, dstate: States | None = None
) -> Grads[_Params, _State]:
    """Gradients of a loss through the LSTM, from those that arrive at its outputs.

    Parameters
    ----------
    tape : Tape
        From `forward_train`. It is not changed: calling again gives the same numbers.
    dy : array_like, shape of y, optional
        Gradient at every y. What lies in padding is not read. Zeros if None.
    dstate : State or a pair (dh, dc), optional
        Gradient at the last state, in its structure and shapes. Zeros if None.

    Returns
    -------
    Grads
        Gradients of x, params and the initial state, each in the structure and shapes of the thing itself. Those of
        params are in records of weights, even if `forward_train` was given what `pack` makes.

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
    levels, single, stacked = tape._levels, tape._single, tape._stacked
    x = levels[0][0].batch.x
    N, T, _ = x.shape
    packed = tuple(tuple([done.packed for done in level]) for level in levels)
    found = Weights(packed, stacked, x.dtype, [checks.sizes(level[0]) for level in packed])
    width = found.sizes[-1][2] * len(packed[-1])
    above = checks.output_gradient(dy, (N, T, width), found.dtype, single=single)
    state_levels = checks.states("dstate", dstate, found, N, single=single, like=x)
    if backend.devices_used():
        given = [("dstate", one) for level in state_levels for one in level]
        checks.in_one_place((), stacked, ("the tape's x", x), ("dy", above), *given, name="params")
    for level in levels:
        for done in level:
            checks.kept("tape", done.kept, done.packed)
    param_levels: list[list[AnyParams]] = []
    engine = backend.engine_of(x)
    for i in reversed(range(len(levels))):
        dx = engine.zeros(levels[i][0].batch.x.shape, found.dtype)
        grads = [
            engine.backward(done=done, dy=above, column=n * done.packed.output_size, dstate=state_levels[i][n], dx=dx)
            for n, done in enumerate(levels[i])
        ]
        param_levels.insert(0, grads)
        above = dx
    state = _in_structure(state_levels, stacked, single)
    gradients: Grads[_Params, _State] = backend.given_back(
        Grads(dx[0] if single else dx, assemble(param_levels, stacked), state), x
    )
    return gradients
