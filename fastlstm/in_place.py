"""One step at a time, and passes on the caller's own arrays: the same functions from Python and in compiled code.

What Numba compiles where a user's `@njit` function calls them stands in `cpu/callable`; here are their Python
forms, which say in full what does not fit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from . import checks
from .cells.table import CELLS as KERNEL_CELLS
from .checks import Array, Weights, assemble
from .cpu.callable import from_python, overloads, public
from .cpu.callable.buffers import INTEGERS, Buffers, tape_shapes
from .cpu.callable.from_python import step as compiled_step
from .cpu.callable.from_python import step_of_any as compiled_step_of_any
from .cpu.lstm import engine, packing, plans, records
from .cpu.lstm.packing import Packed, cell_in, cell_with_mark, mark, record_of
from .cpu.machine import memory, plain, threads
from .initial import zero_state
from .params import CELLS, AnyParams, Grads, State, cell_name, shapes

_STANDARD = mark(KERNEL_CELLS[0])


def step(x: Any, packed: Any, state: Any) -> None:
    """One time step; the state changes in place.

    Allocates nothing. In compiled code x, h and c are arrays of the weights' float type, h and c in C order; a shape
    that does not fit raises ValueError there too, a type that does not is a compile-time error.

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
    if type(x) is np.ndarray and type(packed) is Packed and type(state) is State:  # the shortest way there is
        panels, H, P, layout, second = packed
        h, c = state
        try:  # it ends here for other types, and where a shape does not fit
            kind = panels.dtype
            # Numba may take an array of the other byte order for one of this processor's, and 4.9 for 4
            native = (x.dtype is kind is h.dtype and c.dtype is kind) or (
                kind.isnative and x.dtype == h.dtype == c.dtype == kind  # as in arrays from a pickle
            )
            if (
                native
                and type(H) is int is type(P)
                and (
                    compiled_step(x, panels, H, h, c)
                    if layout is _STANDARD and P == H
                    else compiled_step_of_any(x, panels, H, P, layout, second, h, c)
                )
            ):
                return
        except (TypeError, AttributeError):
            pass
    layers, found = checks.steppable(packed)
    single = np.ndim(x) == 1
    expected = "(D,)" if single else "(N, D)"
    below = checks.array("x", x)
    D, _, _ = packing.sizes(layers[0])
    if below.ndim not in (1, 2) or below.shape[-1] != D:
        raise ValueError(f"x: expected shape {expected} with D = {D}, got {below.shape}")
    states = checks.own_states("state", state, found, None if single else len(below))
    written = checks.arrays_of("state", states, found.stacked)
    first = written[0][0] if checks.same_place(below, states[0].h) else ""
    checks.share_nothing(written, [("x", below), *checks.arrays_of("packed", layers, found.stacked)], ("x", first))
    below = checks.native(below, found.dtype)
    for layer, (h, c) in zip(layers, states, strict=True):
        if not _step(plain.writable(below), layer, h, c):  # too many units for the stack
            _pass(below.reshape(-1, 1, below.shape[-1]).copy(), layer, h, c, None, None)
        below = h


def _step(x: Any, packed: Packed, h: Array, c: Array) -> Any:
    """The compiled step of its cell; a short cut for the standard one."""
    panels, H, P, layout, second = packed
    from_python.compile_step(panels.dtype, layout.dtype, x.ndim)
    panels = plain.writable(panels)
    if layout.dtype is _STANDARD.dtype:
        return compiled_step(x, panels, H, h, c)
    return compiled_step_of_any(x, panels, H, P, layout, None if second is None else plain.writable(second), h, c)


def forward_into(x: Any, packed: Any, state: Any, y: Array) -> None:
    """`forward` of a chunk into the caller's y; the state is carried on in place.

    Parameters
    ----------
    x : array_like, shape (N, T, D), or (T, D) where the state is h and c (H,)
    packed : Packed, or a stack of them
    state : State
        Changes in place; a tuple, one entry a layer, for a stack.
    y : ndarray, shape (N, T, P), or (T, P)
        Written to; the numbers of a step are neighbours in memory.

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
    given, layers, found, states = _chunk(x, packed, state, y)
    own, weights = checks.arrays_of("state", states, found.stacked), checks.arrays_of("packed", layers, found.stacked)
    checks.share_nothing([*own, ("y", y)], [("x", given), *weights], ("x", "y"))
    below = checks.native(checks.out_of_the_way(given, y), found.dtype)  # threads may write y ahead of reading x
    for i, (layer, (h, c)) in enumerate(zip(layers, states, strict=True)):
        below = _pass(below, layer, h, c, y if i == len(layers) - 1 else None, None)


def forward_train_into(x: Any, packed: Any, state: Any, y: Array, tape: Any) -> None:
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
    given, layers, found, states = _chunk(x, packed, state, y)
    entries = _tape(tape, found, layers, (len(given) if given.ndim == 3 else 1, given.shape[-2]))
    own = [*checks.arrays_of("state", states, found.stacked), *_tape_arrays(entries, found.stacked)]
    weights = checks.arrays_of("packed", layers, found.stacked)
    checks.share_nothing([*own, ("y", y)], [("x", given), *weights], ("x", "y"))
    below = checks.native(given, found.dtype)
    for i, (layer, (h, c), entry) in enumerate(zip(layers, states, entries, strict=True)):
        entry.x[...], entry.h[...] = below, h
        out = y if i == len(layers) - 1 else entries[i + 1].x
        below = _pass(entry.x, layer, h, c, out, records.Kept(entry.gates, entry.cells))


def backward_into(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Grads) -> None:
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
    single = N == 1 and np.ndim(grads.x) == 2
    checks.own("grads.x", grads.x, (T, D) if single else (N, T, D), found.dtype)
    own_states = checks.own_states("grads.state", grads.state, found, None if single else N)
    entries = grads.params if found.stacked else (grads.params,)
    if not isinstance(entries, (list, tuple)) or len(entries) != len(layers):
        raise TypeError(f"grads.params: expected {len(layers)} entries, one a layer, got {type(entries).__name__}")
    for i, (layer, entry) in enumerate(zip(layers, entries, strict=True)):
        where = f"grads.params[{i}]" if found.stacked else "grads.params"
        _weight_arrays(where, entry, layer, found.dtype)
    above = checks.output_gradient(dy, (N, T, layers[-1].output_size), found.dtype, single=single)
    last = checks.states("dstate", dstate, found, N, single=single)
    _share_nothing(tape_entries, layers, above, dstate, grads, found.stacked)
    for i in reversed(range(len(layers))):
        entry, ((dh, dc),) = tape_entries[i], last[i]
        dx = entry.dx if i else grads.x.reshape(N, T, D)
        dx.fill(0)
        kept = records.Kept(entry.gates, entry.cells)
        room = records.Room(*(getattr(entry, field) for field in records.Room._fields))
        plan = plans.plan_backward(layers[i], N, T, None, entries[i], room)
        engine.backward(plan, entry.x, entry.h, kept, False, None, above, 0, dh, dc, dx)
        for mine, new in zip(own_states[i], (dh, dc), strict=True):
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
    arrays = [pair for one, own in zip(lasts, states, strict=False) for pair in zip(one, own, strict=True)]
    if not all(isinstance(one, np.ndarray) and checks.same_place(one, own) for one, own in arrays):
        read += checks.arrays_of("dstate", lasts, stacked)
    checks.share_nothing(written, read)


def pack_into(params: Any, packed: Any) -> None:
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
        if len(level) != 1 or isinstance(level[0], Packed):
            raise TypeError(f"{where}: expected {record_of(layer).__name__}")
        if not isinstance(level[0], record_of(layer)):
            raise TypeError(f"{where}: expected weights of the {checks.cell(layer)} cell, as in packed, got those of "
                            f"the {checks.cell(level[0])} cell")  # fmt: skip
        if given.dtype != found.dtype:
            raise TypeError(f"{where}: expected {found.dtype} as in packed, got {given.dtype}")
        if checks.sizes(level[0]) != packing.sizes(layer):
            raise ValueError(f"{where}: expected D, H, P = {packing.sizes(layer)}, got {checks.sizes(level[0])}")
        pairs.append((level[0], layer))
    for name, array in checks.arrays_of("packed", list(packed) if found.stacked else [packed], found.stacked):
        if array.size:
            checks.own(name, array, array.shape, array.dtype)
    written, read = zip(*((layer, one) for one, layer in pairs), strict=True)
    checks.share_nothing(
        checks.arrays_of("packed", written, found.stacked), checks.arrays_of("params", read, found.stacked)
    )
    for one, layer in pairs:
        engine.pack_into(one, layer)


def make_tape(packed: Any, N: int, T: int) -> Any:
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
    return assemble([[_buffers(layer, N, T, first=i == 0)] for i, layer in enumerate(layers)], found.stacked)


def _buffers(packed: Packed, N: int, T: int, *, first: bool) -> Buffers:
    """All arrays in one piece of memory."""
    dtype, sizes, cell = packed.panels.dtype, packing.sizes(packed), cell_in(packed)
    shapes = _tape_shapes(dtype, cell.name, sizes, N, T, threads.most(), first)
    floats = tuple(
        (shape[0] * 8 // dtype.itemsize,) if field in INTEGERS else shape for field, shape in shapes.items()
    )  # fmt: skip
    arrays = dict(zip(shapes, memory.pieces(floats, dtype), strict=True))
    for field in INTEGERS:
        arrays[field] = arrays[field].view(np.int64)
    for field in ("x", "h", "dx"):
        arrays[field].fill(0)
    arrays["bases"][:], arrays["order"][:], arrays["lens"][:] = np.arange(T + 1) * N, np.arange(N), T
    arrays["where"].fill(0)
    room = records.Room(*(arrays[field] for field in records.Room._fields))
    records.begin_room(room, *sizes, cell)
    _, H, P = sizes
    return Buffers(layout=mark(cell), hidden_size=H, output_size=P, reset=np.zeros(0, np.bool_), **arrays)


@lru_cache(256)
def _tape_shapes(
    dtype: np.dtype[Any], name: str, sizes: tuple[int, int, int], N: int, T: int, workers: int, first: bool
) -> dict[str, tuple[int, ...]]:
    """`tape_shapes`, kept for many calls; first: whether no layer is below this one."""
    found = tape_shapes(name, dtype.itemsize, sizes, N, T, N * records.backward_block(N, T), workers)
    return found | {"dx": (0, 0, 0)} if first else found


def _tape_arrays(entries: tuple[Buffers, ...], stacked: bool) -> list[checks.Named]:
    """What of a tape's memory has to be its own: of one that make_tape made, the piece that it is."""
    found: list[checks.Named] = []
    for i, entry in enumerate(entries):
        where = f"tape[{i}]" if stacked else "tape"
        arrays = checks.arrays_of("tape", [entry], False)
        whole = entry.x.base
        if isinstance(whole, np.ndarray) and all(a.base is whole for _, a in arrays if a.size):
            found.append((where, whole))
        else:
            found += checks.arrays_of(where, [entry], False)
    return found


def make_grads(packed: Any, N: int, T: int) -> Grads:
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
    params: list[list[AnyParams]] = []
    for layer in layers:
        record = record_of(layer)
        params.append([record(*(np.zeros(shape, found.dtype) for shape in _shapes(layer).values()))])
    x = np.zeros((N, T, packing.sizes(layers[0])[0]), found.dtype)
    return Grads(x, assemble(params, found.stacked), zero_state(packed, N))


def _pass(x: Array, layer: Packed, h: Array, c: Array, y: Array | None, kept: records.Kept | None) -> Array:
    """All steps of a layer, by the kernels of whole passes; y, new where none is given."""
    P = layer.output_size
    x, h, c = (a if a.ndim == d else a[None] for a, d in ((x, 3), (h, 2), (c, 2)))
    out = (
        y.reshape(*x.shape[:2], P)
        if y is not None and y.flags.c_contiguous
        else memory.empty((*x.shape[:2], P), h.dtype)
    )
    plan = plans.plan_forward(layer, x.shape[0], x.shape[1], None)
    engine.forward(plan, x, h, c, out, 0, None, False, None, kept)
    if y is not None and not y.flags.c_contiguous:
        y[...] = out.reshape(y.shape)
    return out


def _chunk(x: Any, packed: Any, state: Any, y: Any) -> tuple[Array, list[Packed], Weights, list[State]]:
    """x as an array, the layers, the same as weights, and the states."""
    layers, found = checks.steppable(packed)
    below = checks.array("x", x)
    D, _, _ = packing.sizes(layers[0])
    if below.ndim not in (2, 3) or below.shape[-1] != D:
        raise ValueError(f"x: expected shape (N, T, {D}) or (T, {D}), got {below.shape}")
    states = checks.own_states("state", state, found, None if below.ndim == 2 else len(below))
    checks.own("y", y, (*below.shape[:-1], layers[-1].output_size), found.dtype, whole=False)
    return below, layers, found, states


def _tape(tape: Any, found: Weights, layers: list[Packed], sizes: tuple[int, int] | None) -> tuple[Buffers, ...]:
    """The layers' entries of a tape that belongs to those weights, and has arrays as make_tape made them."""
    entries = tape if found.stacked and isinstance(tape, tuple) and not isinstance(tape, Buffers) else (tape,)
    if len(entries) != len(found.levels) or not all(isinstance(entry, Buffers) for entry in entries):
        raise TypeError(f"tape: expected what make_tape makes of packed, got {type(tape).__name__}")
    N, T = sizes or (*np.shape(entries[0].x), 0, 0)[:2]
    for i, (layer, entry) in enumerate(zip(layers, entries, strict=True)):
        name = f"tape[{i}]" if found.stacked else "tape"
        D, H, P = packing.sizes(layer)
        cell, own = cell_with_mark(entry.layout), cell_in(layer)
        if cell is not own:
            raise ValueError(f"{name}: expected one for the {own.name} cell, got one for "
                             f"{f'the {cell.name} cell' if cell else 'another layout'}")  # fmt: skip
        if (entry.hidden_size, entry.output_size) != (H, P) or np.shape(entry.x) != (N, T, D):
            raise ValueError(f"{name}: expected make_tape(packed, {N}, {T}) for D, H, P = {D, H, P}, got one of x "
                             f"{np.shape(entry.x)} for H, P = {entry.hidden_size, entry.output_size}")  # fmt: skip
        # a pickled tape may be that of a process of fewer threads, or of more
        workers = max(1, records.threads_of(entry.tmp, found.dtype))
        for field, shape in _tape_shapes(found.dtype, own.name, (D, H, P), N, T, workers, i == 0).items():
            kind = np.dtype(np.int64) if field in INTEGERS else found.dtype
            checks.own(f"{name}.{field}", getattr(entry, field), shape, kind)
        checks.own(f"{name}.reset", entry.reset, (0,), np.dtype(np.bool_))
    return entries


def _shapes(packed: Packed) -> dict[str, tuple[int, ...]]:
    """Of the record of its weights."""
    return shapes(record_of(packed), *packing.sizes(packed))


def _weight_arrays(name: str, entry: Any, packed: Packed, dtype: np.dtype[Any]) -> None:
    record = record_of(packed)
    if type(entry) in CELLS.values() and not isinstance(entry, record):
        raise TypeError(f"{name}: expected those of the {checks.cell(packed)} cell, as packed, got those of the "
                        f"{cell_name(type(entry))} cell")  # fmt: skip
    if not isinstance(entry, record):
        raise TypeError(f"{name}: expected {record.__name__}, got {type(entry).__name__}")
    for field, shape in _shapes(packed).items():
        checks.own(f"{name}.{field}", getattr(entry, field), shape, dtype)


public.public(step, overloads.step_of)
public.public(forward_into, overloads.forward_into_of)
public.public(forward_train_into, overloads.forward_train_into_of)
public.public(backward_into, overloads.backward_into_of)
public.public(pack_into, overloads.pack_into_of)
