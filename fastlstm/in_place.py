"""One step at a time, and passes on the caller's own arrays: the same functions from Python and in compiled code.

What Numba compiles where a user's `@njit` function calls them is the engine's; here are their Python forms, which say
in full what does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from . import backend, checks
from .backend import Buffers, Kept, Packed, Pass
from .checks import Weights, assemble, record_of
from .initial import zero_state
from .params import ROWS, AnyParams, AnyState, Array, Batch, Grads, Hidden, State, cell_name, shapes
from .places import ARRAYS, there
from .types import PackedStack, Stack, States, StateStack, TapeStack


def step(x: ArrayLike, packed: PackedStack, state: StateStack) -> None:
    """One time step; the state changes in place.

    It allocates nothing. Your own `@njit` functions may call it. There x, h and c have to be arrays of the weights'
    float type, h and c in C order: a shape that does not fit raises ValueError there too, and a type that does not is
    an error when the function is compiled.

    Parameters
    ----------
    x : array_like, shape (N, D), or (D,) where the state is h and c (H,)
    packed : Packed, or a stack of them
        From `pack`. A Bidirectional cannot step.
    state : State
        h (N, P) and c (N, H), writable; a tuple, one entry a layer, for a stack.

    Raises
    ------
    ValueError
        Shapes that do not fit; a Bidirectional.
    TypeError
        Types that do not fit.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> packed = fastlstm.pack(fastlstm.init_params(16, 32, rng=0))
    >>> state = fastlstm.zero_state(packed)
    >>> for x in np.ones((5, 1, 16), np.float32):
    ...     fastlstm.step(x, packed, state)
    >>> state.h.shape
    (1, 32)
    """
    if (
        type(x) is np.ndarray
        and type(packed) is Packed
        and (type(state) is State or type(state) is Hidden)
        and backend.engine.quick_step(x, packed, state)  # the shortest way there is
    ):
        return
    layers, found = checks.steppable(packed)
    below = checks.located("x", x)
    single, (D, _, _) = below.ndim == 1, checks.sizes(layers[0])
    if below.ndim not in (1, 2) or below.shape[-1] != D:
        raise ValueError(f"x: expected shape {'(D,)' if single else '(N, D)'} with D = {D}, got {below.shape}")
    states = checks.own_states("state", state, found, None if single else len(below))
    written = checks.arrays_of("state", states, found.stacked)
    if backend.devices_used():
        checks.in_one_place(layers, found.stacked, ("x", below), *_named("state", states, found.stacked), name="packed")
    first = written[0][0] if checks.same_place(below, states[0].h) else ""
    checks.share_nothing(written, [("x", below), *checks.arrays_of("packed", layers, found.stacked)], ("x", first))
    below = checks.native(below, found.dtype)
    new = _to_change(states)
    for layer, own in zip(layers, new, strict=True):
        if not backend.engine_of(below).step(below, layer, own):
            _pass(below.reshape(-1, 1, below.shape[-1]).copy(), layer, own)
        below = own.h
    _take(states, new)


def forward_into(x: ArrayLike, packed: PackedStack, state: StateStack, y: Array) -> None:
    """`forward` of a chunk into the caller's y; the state is carried on in place.

    Parameters
    ----------
    x : array_like, shape (N, T, D), or (T, D) where the state is h and c (H,)
    packed : Packed, or a stack of them
    state : State
        Changes in place; a tuple, one entry a layer, for a stack.
    y : ndarray, shape (N, T, P), or (T, P)
        Written to. The numbers of a step have to be neighbours in memory.

    Raises
    ------
    ValueError, TypeError
        Shapes and types that do not fit.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> packed = fastlstm.pack(fastlstm.init_params(3, 5, rng=0))
    >>> state, y = fastlstm.zero_state(packed, 2), np.empty((2, 7, 5), np.float32)
    >>> fastlstm.forward_into(np.ones((2, 7, 3)), packed, state, y)
    >>> bool((y[:, -1] == state.h).all())
    True
    """
    given, layers, states, out, _ = _chunk(x, packed, state, y)
    below = checks.native(checks.out_of_the_way(given, out), out.dtype)  # threads may write y ahead of reading x
    new = _to_change(states)
    for i, (layer, one) in enumerate(zip(layers, new, strict=True)):
        below = _pass(below, layer, one, out if i == len(layers) - 1 else None)
    _take(states, new)


def forward_train_into(x: ArrayLike, packed: PackedStack, state: StateStack, y: Array, tape: TapeStack) -> None:
    """`forward_into` that keeps what `backward_into` needs on the tape.

    Parameters
    ----------
    x, packed, state, y
        As in `forward_into`.
    tape : from `make_tape(packed, N, T)`
        Written to.

    Raises
    ------
    ValueError, TypeError
        Shapes and types that do not fit.

    Examples
    --------
    See `backward_into`.
    """
    given, layers, states, top, entries = _chunk(x, packed, state, y, tape)
    below = checks.native(given, top.dtype)
    new = _to_change(states)
    for i, (layer, one, entry) in enumerate(zip(layers, new, entries, strict=True)):
        entry.x[...], entry.h[...] = below, one.h
        out = top if i == len(layers) - 1 else entries[i + 1].x
        below = _pass(entry.x, layer, one, out, Kept(entry.gates, entry.cells))
    _take(states, new)


def _to_change(states: list[AnyState]) -> list[AnyState]:
    """States that a call changes: on a device copies, which `_take` puts in the place of the states when all has gone
    well."""
    if not there(states[0].h):
        return states
    return [type(state)(*(array.copy() for array in state)) for state in states]


def _take(states: list[AnyState], new: list[AnyState]) -> None:
    if new is not states:
        for state, other in zip(states, new, strict=True):
            for mine, changed in zip(state, other, strict=True):
                mine[...] = changed


def _named(name: str, records: list[Any], stacked: bool) -> list[tuple[str, Any]]:
    """The layers' records by name."""
    return [(f"{name}[{i}]" if stacked else name, one) for i, one in enumerate(records)]


def backward_into(
    tape: TapeStack, packed: PackedStack, dy: ArrayLike | None, dstate: States | None, grads: Grads
) -> None:
    """Gradients into the caller's arrays, from those at every y (dy) and at the last state (dstate), or None.

    Parameters
    ----------
    tape : from `make_tape`
        As `forward_train_into` left it; it may be used again.
    packed : Packed, or a stack of them
        The weights of that pass.
    dy : array_like, shape of y, or None
    dstate : State or None
        In the structure of the state.
    grads : from `make_grads(packed, N, T)`
        Written to.

    Raises
    ------
    ValueError, TypeError
        Shapes and types that do not fit.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(3, 5, rng=0)
    >>> packed = fastlstm.pack(params)
    >>> N, T = 2, 7
    >>> state, y = fastlstm.zero_state(packed, N), np.empty((N, T, 5), np.float32)
    >>> tape, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)
    >>> fastlstm.forward_train_into(np.ones((N, T, 3)), packed, state, y, tape)
    >>> fastlstm.backward_into(tape, packed, 2 * y, None, grads)
    >>> params.W[...] -= 0.01 * grads.params.W
    >>> fastlstm.pack_into(params, packed)
    """
    layers, found = checks.steppable(packed)
    tape_entries = _tape(tape, found, layers, None)
    N, T, D = tape_entries[0].x.shape
    if not isinstance(grads, Grads):
        raise TypeError(f"grads: expected Grads from make_grads, got {type(grads).__name__}")
    single = N == 1 and len(grads.x.shape) == 2
    dx_first = checks.own("grads.x", grads.x, (T, D) if single else (N, T, D), found.dtype)
    own_states = checks.own_states("grads.state", grads.state, found, None if single else N)
    params = []
    for ((where, record, _),), layer in zip(
        checks.entries("grads.params", grads.params, found, "record"), layers, strict=True
    ):
        _of_its_cell(where, record, layer)
        arrays = [
            checks.own(f"{where}.{field}", getattr(record, field), shape, found.dtype)
            for field, shape in _shapes(layer).items()
        ]
        params.append(type(record)(*arrays))
    above = checks.output_gradient(dy, (N, T, layers[-1].output_size), found.dtype, single=single)
    last = checks.states("dstate", dstate, found, N, single=single, like=tape_entries[0].x)
    grads = Grads(dx_first, assemble([[one] for one in params], found.stacked),
                  assemble([[one] for one in own_states], found.stacked))  # fmt: skip
    if backend.devices_used():
        records: dict[str, list[Any]] = {"grads.params": params, "grads.state": own_states,
                                         "dstate": [one for (one,) in last]}  # fmt: skip
        named = [pair for name, entries in records.items() for pair in _named(name, entries, found.stacked)]
        others = ("grads.x", grads.x), ("dy", above), ("the tape's x", tape_entries[0].x)
        checks.in_one_place(layers, found.stacked, *others, *named, name="packed")
    _share_nothing(tape_entries, layers, above, dstate, grads, found.stacked)
    for i in reversed(range(len(layers))):
        entry, (dstates,) = tape_entries[i], last[i]
        dx = entry.dx if i else grads.x.reshape(N, T, D)
        dx.fill(0)
        done = Pass(layers[i], Batch(entry.x), entry.h, Kept(entry.gates, entry.cells))
        engine = backend.engine_of(entry.x)
        room = engine.standing_in(entry, params[i])
        engine.backward(done=done, dy=above, dstate=dstates, dx=dx, standing=room)
        for mine, new in zip(own_states[i], dstates, strict=True):
            mine[...] = new.reshape(mine.shape)
        above = dx


def _share_nothing(
    entries: tuple[Buffers, ...], layers: list[Packed], dy: Array | None, dstate: Any, grads: Grads, stacked: bool
) -> None:
    """The arguments of `backward_into` that share memory, but for a dstate that is grads.state."""
    params, states = (list(one) if stacked else [one] for one in (grads.params, grads.state))
    written = [
        ("grads.x", grads.x), *checks.arrays_of("grads.params", params, stacked),
        *checks.arrays_of("grads.state", states, stacked), *_tape_arrays(entries, stacked),
    ]  # fmt: skip
    read = checks.arrays_of("packed", layers, stacked)
    if dy is not None:
        read.append(("dy", dy))
    lasts = [] if dstate is None else list(dstate) if stacked else [dstate]
    arrays = [(_seen(one), own) for last, state in zip(lasts, states, strict=False)
              for one, own in zip(last, state, strict=True)]  # fmt: skip
    if not all(isinstance(one, ARRAYS) and checks.same_place(one, own) for one, own in arrays):
        read += checks.arrays_of("dstate", [type(one)(*map(_seen, one)) if hasattr(one, "_fields") else one
                                            for one in lasts], stacked)  # fmt: skip
    checks.share_nothing(written, read)


def _seen(array: Any) -> Any:
    """An array, also one on a device, to be asked for its addresses."""
    return array if isinstance(array, np.ndarray) else backend.placed("dstate", array) or array


def pack_into(params: Stack, packed: PackedStack) -> None:
    """`pack` again into what it made, after the weights have changed.

    Parameters
    ----------
    params : Params or another cell's record, or a stack of them
    packed : Packed, or a stack of them
        Written to.

    Raises
    ------
    ValueError, TypeError
        Shapes and types that do not fit.

    Examples
    --------
    See `backward_into`.
    """
    (layers, found), given = checks.steppable(packed), checks.weights(params)
    if given.stacked != found.stacked or len(given.levels) != len(found.levels):
        raise ValueError(f"params: expected {len(found.levels)} layers, as packed has, got {len(given.levels)}")
    pairs = []
    for i, (layer, level) in enumerate(zip(layers, given.levels, strict=True)):
        where = f"params[{i}]" if found.stacked else "params"
        record = _of_its_cell(where, assemble([level], False), layer)
        if given.dtype != found.dtype:
            raise TypeError(f"{where}: expected {found.dtype} as in packed, got {given.dtype}")
        if checks.sizes(record) != checks.sizes(layer):
            raise ValueError(f"{where}: expected D, H, P = {checks.sizes(layer)}, got {checks.sizes(record)}")
        pairs.append((record, layer))
    if backend.devices_used():
        named = _named("params", [one for one, _ in pairs], found.stacked)
        checks.in_one_place((one for _, one in pairs), found.stacked, *named, name="packed")
    for name, array in checks.arrays_of("packed", list(packed) if found.stacked else [packed], found.stacked):
        if array.size:
            checks.own(name, array, array.shape, array.dtype)
    written, read = zip(*((layer, one) for one, layer in pairs), strict=True)
    checks.share_nothing(
        checks.arrays_of("packed", written, found.stacked), checks.arrays_of("params", read, found.stacked)
    )
    for one, layer in pairs:
        backend.engine_of(layer.panels).packing(one, layer)()


@overload
def make_tape(packed: Packed, N: int, T: int) -> Buffers: ...


@overload
def make_tape(packed: Sequence[Packed], N: int, T: int) -> tuple[Buffers, ...]: ...


def make_tape(packed: PackedStack, N: int, T: int) -> Buffers | tuple[Buffers, ...]:
    """Room for `forward_train_into` and `backward_into`, for many calls.

    Parameters
    ----------
    packed : Packed, or a stack of them
    N, T : int
        Sequences and steps of a chunk.

    Returns
    -------
    Buffers, or a tuple of them for a stack

    Raises
    ------
    ValueError, TypeError
        As `pack`.

    Examples
    --------
    See `backward_into`.
    """
    layers, found = checks.steppable(packed)
    N, T = checks.count("N", N), checks.count("T", T)
    tape: Buffers | tuple[Buffers, ...] = assemble(
        [[backend.engine_of(layer.panels).make_tape(layer, N, T, first=i == 0)] for i, layer in enumerate(layers)],
        found.stacked,
    )
    return tape


def _tape_arrays(entries: tuple[Buffers, ...], stacked: bool) -> list[checks.Named]:
    """What of a tape's memory has to be its own: of one that make_tape made, the piece that it is."""
    found: list[checks.Named] = []
    for i, entry in enumerate(entries):
        where = f"tape[{i}]" if stacked else "tape"
        arrays = checks.arrays_of("tape", [entry], False)
        whole = getattr(entry.x, "base", None)
        if isinstance(whole, np.ndarray) and all(a.base is whole for _, a in arrays if a.size):
            found.append((where, whole))
        else:
            found += checks.arrays_of(where, [entry], False)
    return found


@overload
def make_grads(packed: Packed, N: int, T: int) -> Grads[AnyParams, AnyState]: ...


@overload
def make_grads(packed: Sequence[Packed], N: int, T: int) -> Grads[tuple[AnyParams, ...], tuple[AnyState, ...]]: ...


def make_grads(packed: PackedStack, N: int, T: int) -> Grads:
    """Arrays for `backward_into`, of zeros.

    Parameters
    ----------
    packed : Packed, or a stack of them
    N, T : int
        Sequences and steps of a chunk.

    Returns
    -------
    Grads
        x (N, T, D); params and state in the structure of packed.

    Raises
    ------
    ValueError, TypeError
        As `pack`.

    Examples
    --------
    See `backward_into`.
    """
    layers, found = checks.steppable(packed)
    N, T = checks.count("N", N), checks.count("T", T)
    like = layers[0].panels
    zeros = backend.engine_of(like).zeros if there(like) else np.zeros
    params = [[record_of(layer)(*(zeros(shape, found.dtype) for shape in _shapes(layer).values()))] for layer in layers]
    x, state = zeros((N, T, checks.sizes(layers[0])[0]), found.dtype), zero_state(packed, N)
    gradients: Grads = backend.given_back(Grads(x, assemble(params, found.stacked), state), like)
    return gradients


def _pass(x: Array, layer: Packed, state: AnyState, y: Array | None = None, kept: Kept | None = None) -> Array:
    """All steps of a layer, by the kernels of whole passes; y, new where none is given."""
    P = layer.output_size
    x = x if x.ndim == 3 else x[None]
    rows = type(state)(*(a if a.ndim == 2 else a[None] for a in state))
    out = (
        y.reshape(*x.shape[:2], P)
        if y is not None and y.flags.c_contiguous
        else backend.engine_of(x).empty((*x.shape[:2], P), rows.h.dtype)
    )
    backend.engine_of(x).forward(packed=layer, batch=Batch(x), state=rows, y=out, kept=kept)
    if y is not None and not y.flags.c_contiguous:
        y[...] = out.reshape(y.shape)
    return out


def _chunk(
    x: ArrayLike, packed: PackedStack, state: StateStack, y: Array, *tape: TapeStack
) -> tuple[Array, list[Packed], list[AnyState], Array, tuple[Buffers, ...]]:
    """x as an array, what the layers have of packed and state, y and, where there is one, tape; all checked."""
    layers, found = checks.steppable(packed)
    below = checks.located("x", x)
    D, _, _ = checks.sizes(layers[0])
    if below.ndim not in (2, 3) or below.shape[-1] != D:
        raise ValueError(f"x: expected shape (N, T, {D}) or (T, {D}), got {below.shape}")
    states = checks.own_states("state", state, found, None if below.ndim == 2 else len(below))
    top = checks.own("y", y, (*below.shape[:-1], layers[-1].output_size), found.dtype, whole=False)
    sizes = (len(below) if below.ndim == 3 else 1, below.shape[-2])
    entries = _tape(tape[0], found, layers, sizes) if tape else ()
    if backend.devices_used():
        xs = ((f"tape[{i}].x", entry.x) for i, entry in enumerate(entries))
        checks.in_one_place(layers, found.stacked, ("x", below), ("y", top), *_named("state", states, found.stacked),
                            *xs, name="packed")  # fmt: skip
    written = [*checks.arrays_of("state", states, found.stacked), *_tape_arrays(entries, found.stacked), ("y", top)]
    checks.share_nothing(written, [("x", below), *checks.arrays_of("packed", layers, found.stacked)], ("x", "y"))
    return below, layers, states, top, entries


def _tape(tape: TapeStack, found: Weights, layers: list[Packed], sizes: tuple[int, int] | None) -> tuple[Buffers, ...]:
    """The layers' entries of a tape that belongs to those weights, and has arrays as make_tape made them."""
    entries = tape if found.stacked and isinstance(tape, tuple) and not isinstance(tape, Buffers) else (tape,)
    if len(entries) != len(found.levels) or not all(isinstance(entry, Buffers) for entry in entries):
        raise TypeError(f"tape: expected what make_tape makes of packed, got {type(tape).__name__}")
    N, T = sizes or (*np.shape(entries[0].x), 0, 0)[:2]
    for i, (layer, entry) in enumerate(zip(layers, entries, strict=True)):
        name = f"tape[{i}]" if found.stacked else "tape"
        D, H, P = checks.sizes(layer)
        engine = backend.engine_of(layer.panels)
        cell, own = engine.cell_with_mark(entry.layout), engine.cell_in(layer)
        if cell is not own:
            raise ValueError(f"{name}: expected one for the {own.name} cell, got one for "
                             f"{f'the {cell.name} cell' if cell else 'another layout'}")  # fmt: skip
        if (entry.hidden_size, entry.output_size) != (H, P) or np.shape(entry.x) != (N, T, D):
            raise ValueError(f"{name}: expected make_tape(packed, {N}, {T}) for D, H, P = {D, H, P}, got one of x "
                             f"{np.shape(entry.x)} for H, P = {entry.hidden_size, entry.output_size}")  # fmt: skip
        for field, shape, kind in engine.tape_arrays(layer, entry, N, T, first=i == 0):
            checks.own(f"{name}.{field}", getattr(entry, field), shape, kind)
    return entries


def _shapes(packed: Packed) -> dict[str, tuple[int, ...]]:
    """Of the record of its weights."""
    return shapes(record_of(packed), *checks.sizes(packed))


def _of_its_cell(name: str, record: Any, packed: Packed) -> AnyParams:
    """A record of weights, or of their gradients: that of the cell in packed."""
    expected = record_of(packed)
    if isinstance(record, expected):
        return record
    if type(record) not in ROWS:
        raise TypeError(f"{name}: expected {expected.__name__}, got {type(record).__name__}")
    raise TypeError(f"{name}: expected weights of the {checks.cell(packed)} cell, as in packed, got those of the "
                    f"{cell_name(type(record))} cell")  # fmt: skip


for _one in step, forward_into, forward_train_into, backward_into, pack_into:
    backend.engine.callable_in_compiled_code(_one)
