"""From what a caller gave to arrays of one kind, or an error that names the argument, what was expected and
what came. Everything here runs before anything is computed.

A stack is taken apart into levels, bottom first; a level holds one direction, or the two of a Bidirectional.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import backend
from .arrays import array as array
from .arrays import integer as integer
from .backend import Kept, Packed
from .cells.phases import Cell
from .cells.table import CELLS as KERNEL_CELLS
from .params import (
    CELLS,
    ROWS,
    AnyParams,
    AnyState,
    Array,
    Bidirectional,
    Hidden,
    OwnParams,
    ProjectedParams,
    State,
    cell_name,
    is_plain,
    shapes,
)
from .params import sizes as sizes_of_record
from .places import ARRAYS, there, together
from .strides import apart, in_step, rows_of
from .types import Masks, Stack, States, Structured

_T = TypeVar("_T")
_DIRECTION = ", ".join(record.__name__ for record in CELLS.values()) + " or Packed"
_LAYER = ", ".join(record.__name__ for record in CELLS.values()) + ", Packed or Bidirectional"
_BOOL = np.dtype(np.bool_)
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Weights(NamedTuple):
    """Checked weights.

    Attributes
    ----------
    levels : tuple of tuples
        A layer each, bottom first: one or two records of weights or Packed.
    stacked : bool
        Whether a stack was given, and not a layer by itself.
    dtype : float32 or float64, of native byte order
    sizes : list of tuples
        D, H and P of each level.
    """

    levels: tuple[tuple[AnyParams | Packed, ...], ...]
    stacked: bool
    dtype: np.dtype[Any]
    sizes: list[tuple[int, int, int]]


class Problem(NamedTuple):
    """What a pass over whole sequences computes: arrays of one kind, that fit.

    Attributes
    ----------
    weights : Weights
    x : ndarray, shape (N, T, D)
    single : bool
        Whether a single sequence was given, without the axis N.
    lengths : ndarray of int64, shape (N,), or None
    reset : ndarray of bool, shape (N, T), or None
    reverse : bool
    states : list of lists of State or Hidden
        Arrays of their own, for each direction of each level.
    masks : list of lists of ndarray or None, or None
    """

    weights: Weights
    x: Array
    single: bool
    lengths: NDArray[np.int64] | None
    reset: NDArray[np.bool_] | None
    reverse: bool
    states: list[list[AnyState]]
    masks: list[list[Array | None]] | None


def sizes(layer: AnyParams | Packed) -> tuple[int, int, int]:
    """D, H and P, the width of h, of one direction of a layer."""
    if isinstance(layer, Packed):
        return backend.engine_of(layer.panels).sizes(layer)
    return sizes_of_record(layer)


def cell(layer: AnyParams | Packed) -> str:
    """The name of its cell."""
    return kernel_cell(layer).name if isinstance(layer, Packed) else cell_name(type(layer))


def kernel_cell(layer: Packed) -> Cell:
    """The row of its cell."""
    return backend.engine_of(layer.panels).cell_in(layer)


def record_of(layer: AnyParams | Packed) -> type[AnyParams]:
    """What its weights are when they are not packed."""
    found: type[AnyParams] = kernel_cell(layer).record if isinstance(layer, Packed) else type(layer)
    return found


def state_type(layer: AnyParams | Packed) -> type[AnyState]:
    """State, or Hidden where its cell has no c."""
    if isinstance(layer, Packed):
        return Hidden if kernel_cell(layer).alone else State
    return ROWS[type(layer)].state


def assemble(levels: Sequence[Sequence[Any]], stacked: bool) -> Structured:
    """One thing for each direction of each level -> the structure of the weights that they belong to."""
    if stacked:
        return tuple(level[0] if len(level) == 1 else Bidirectional(*level) for level in levels)
    level = levels[0]
    return level[0] if len(level) == 1 else Bidirectional(*level)


def _kind(value: object) -> str:
    return type(value).__name__


def native(value: Any, dtype: DTypeLike, *, copy: bool = False) -> Array:
    """value in C order, aligned, of that native type; itself where it is that already, unless copy."""
    if there(value):
        moved: Array = value.as_type(dtype, copy=copy)
        return moved
    kind = value.dtype
    if kind is dtype or kind == dtype:
        if copy:
            return _copied(value, dtype)
        if value.flags.c_contiguous and value.flags.aligned:
            same: Array = value
            return same
    # a number past the float type's range becomes an infinity, as everywhere; in padding it means nothing
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return _copied(value, dtype) if copy else np.require(value, dtype, ["C", "A"])


def _copied(value: Any, dtype: DTypeLike) -> Array:
    own = backend.engine.empty(value.shape, dtype)
    own[...] = value
    return own


def located(name: str, value: Any) -> Any:
    """`array`, or what a device's engine makes of an array that lies there, of which nothing is read."""
    if type(value) is np.ndarray and value.dtype.kind in "biuf":  # the usual case of many short calls
        return value
    found = backend.placed(name, value)
    if found is None:
        return array(name, value)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {found.dtype}")
    return found


def _read(name: str, value: Any) -> Array:
    """The same, here: for what has to be looked at before anything is computed."""
    found = located(name, value)
    read: Array = found.on_host() if there(found) else found
    return read


def in_one_place(layers: Iterable[AnyParams | Packed], stacked: bool, *others: tuple[str, Any], name: str) -> None:
    """Refuse layers' weights and other arrays, or records of them, that do not all lie here, or on one device. name: of
    the layers. Callers that are quick ask `backend.devices_used` first."""
    found: list[Named] = []
    for label, other in others:
        fields = getattr(other, "_fields", ())
        if fields:
            found += [(f"{label}.{field}", one) for field, one in zip(fields, other, strict=True)]
        elif other is not None:
            found.append((label, other))
    for i, layer in enumerate(layers):
        label = f"{name}[{i}]" if stacked else name
        if isinstance(layer, Packed):
            found.append((label, layer.panels))
        else:
            found += [(f"{label}.{field}", one) for field, one in zip(layer._fields, layer, strict=True)]
    together(found)


def weights(params: Any, name: str = "params") -> Weights:
    """Params, Packed, Bidirectional or a stack of these -> levels.

    Raises
    ------
    TypeError
        Something else in a layer's place; arrays that are not float32 or float64, all alike.
    ValueError
        Shapes that do not fit together; a stack of no layers.
    """
    if isinstance(params, Packed):  # the usual case of many short calls
        layer = _packed(name, params)
        return Weights(((layer,),), False, layer.panels.dtype, [sizes(layer)])
    stacked = is_plain(params)
    if stacked and len(params) == 0:
        raise ValueError(f"{name}: expected at least one layer, got an empty {_kind(params)}")
    given = [(f"{name}[{i}]", layer) for i, layer in enumerate(params)] if stacked else [(name, params)]
    levels = tuple(_level(where, layer) for where, layer in given)
    kinds, found = [_dtype(level[0]) for level in levels], [sizes(level[0]) for level in levels]
    width = 0
    for (where, _), level, kind, (D, _, P) in zip(given, levels, kinds, found, strict=True):
        if kind != kinds[0]:
            raise TypeError(f"{where}: expected {kinds[0]} as in {given[0][0]}, got {kind}")
        if width and width != D:
            raise ValueError(f"{where}: expected input size {width}, the output size below it, got D = {D}")
        width = P * len(level)
    return Weights(levels, stacked, kinds[0], found)


def steppable(packed: Any, name: str = "packed") -> tuple[list[Packed], Weights]:
    """`weights` of what `pack` made of layers of one direction: such can go step by step."""
    found = weights(packed, name)
    layers = []
    for level in found.levels:
        if len(level) != 1:
            raise ValueError(f"{name}: expected layers of one direction, got a Bidirectional, which cannot step")
        if not isinstance(level[0], Packed):
            raise TypeError(f"{name}: expected what pack makes, got {_kind(level[0])}")
        layers.append(level[0])
    return layers, found


def own(name: str, given: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *, whole: bool = True) -> Any:
    """An array that is changed in place, checked. whole: it must be in C order; else its last axis, and no number of it
    may be in the memory of another."""
    value = given if type(given) is np.ndarray else backend.placed(name, given) or given
    if type(value) is np.ndarray and value.dtype == dtype and value.shape == shape and value.flags.carray:
        return value
    plain = isinstance(value, ARRAYS) and not isinstance(value, np.ma.MaskedArray)
    if not plain or value.dtype != dtype:
        raise TypeError(f"{name}: expected an array of {dtype}, got {_kind(value)} of {getattr(value, 'dtype', None)}")
    if value.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {value.shape}")
    if not (value.flags.c_contiguous or not (whole or value.size)):
        if whole or (shape[-1] > 1 and value.strides[-1] != value.itemsize):
            raise ValueError(f"{name}: expected an array in C order, got one of strides {value.strides}"
                             + ("" if whole else ", the last of which is not that of neighbours"))  # fmt: skip
        if not apart(shape[-1] * value.itemsize, *rows_of(value), value.shape[-2], value.strides[-2]):
            raise ValueError(f"{name}: expected no number in the memory of another, got strides {value.strides}")
    if not value.flags.behaved:
        wrong = "a read-only one" if value.flags.aligned else "one that is not aligned"
        raise ValueError(f"{name}: expected a writable array, got {wrong}")
    return value


Named: TypeAlias = tuple[str, Any]


def share_nothing(written: list[Named], read: list[Named], but: tuple[str, str] = ("", "")) -> None:
    """Refuse arrays that share memory, of which one at least is written to. but: two that may."""
    spans = [(*_span(addresses), name, addresses, change)
             for named, change in ((written, True), (read, False)) for name, one in named if one.size
             for addresses in (one if type(one) is np.ndarray else _addresses(one),)]  # fmt: skip
    spans.sort(key=operator.itemgetter(0))
    for n, (_, high, name, one, change) in enumerate(spans):
        for low, _, other, two, change_ in spans[n + 1 :]:
            if low >= high:
                break
            if (change or change_) and {name, other} != set(but) and overlap(one, two):
                first, second = (name, other) if change else (other, name)
                raise ValueError(f"{first}: expected memory of its own, got some that {second} uses too")


def _span(array: Array) -> tuple[int, int]:
    """Where an array's first byte is, and the one behind its last."""
    low: int = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return low, low + array.nbytes
    reach = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    return low + sum(n for n in reach if n < 0), low + sum(n for n in reach if n > 0) + array.itemsize


def _addresses(array: Any) -> Array:
    """What knows an array's addresses, not to be read."""
    found: Array = array.shadow() if there(array) else array
    return found


def overlap(one: Array, other: Array) -> bool:
    """Whether they share a number; where that is too hard to say, it counts as if they did."""
    try:
        return np.shares_memory(_addresses(one), _addresses(other), max_work=10_000)  # type: ignore[arg-type] # any number will do
    except np.exceptions.TooHardError:
        return True


def same_place(one: Any, other: Any) -> bool:
    """Whether they are the same numbers in memory."""
    if one.shape != other.shape:  # to ask for an address takes a microsecond
        return False
    places = [(a.__array_interface__["data"][0], a.strides, a.dtype) for a in map(_addresses, (one, other))]
    return places[0] == places[1]


def out_of_the_way(x: Array, y: Array) -> Array:
    """x, to be read while y is written, both (N, T, ..) or (T, ..); a copy where they share memory, as they may where a
    step of y lies in that of the same step of x."""
    one, other = _addresses(x), _addresses(y)
    if not (np.may_share_memory(one, other) and overlap(one, other)):
        return x
    ahead = other.__array_interface__["data"][0] - one.__array_interface__["data"][0]
    if not in_step(x, y, ahead):
        raise ValueError("y: expected x itself or memory of its own, got some that other steps of x use")
    return x.copy()


def arrays_of(name: str, layers: Sequence[Any], stacked: bool) -> list[Named]:
    """The arrays of the layers' records, by name: of weights, packed weights or states."""
    found = []
    for i, layer in enumerate(layers):
        where = f"{name}[{i}]" if stacked else name
        found += [(f"{where}.{field}", layer[n]) for n, field in enumerate(layer._fields)
                  if isinstance(layer[n], ARRAYS)]  # fmt: skip
    return found


def has_cells(name: str, layers: Iterable[AnyParams | Packed]) -> None:
    """Refuse layers without a cell state, whose c nobody can be given."""
    for layer in layers:
        if "c" not in state_type(layer)._fields:
            raise TypeError(f"{name}: expected cells with a c, got one of the {cell(layer)} cell, which has none")


def own_states(name: str, state: Any, weights: Weights, N: int | None) -> list[AnyState]:
    """A State or Hidden for each level, arrays that are changed in place: h (N, P) and c (N, H), without N where it is
    None."""
    found = []
    for i, ((where, entry, layer),) in enumerate(entries(name, state, weights)):
        expected = state_type(layer)
        if not isinstance(entry, expected):
            raise TypeError(f"{where}: expected {expected.__name__}, got {_kind(entry)}")
        arrays = [
            own(f"{where}.{field}", value, (width,) if N is None else (N, width), weights.dtype)
            for field, value, width in _fields(entry, weights.sizes[i])
        ]
        found.append(expected(*arrays))
    return found


def _dtype(layer: AnyParams | Packed) -> np.dtype[Any]:
    return layer.panels.dtype if isinstance(layer, Packed) else layer.W.dtype


def _level(name: str, layer: Any) -> tuple[AnyParams | Packed, ...]:
    if not isinstance(layer, Bidirectional):
        return (_direction(name, layer, _LAYER),)
    one = _direction(f"{name}.forward", layer.forward, _DIRECTION)
    two = _direction(f"{name}.backward", layer.backward, _DIRECTION)
    if _dtype(one) != _dtype(two):
        raise TypeError(f"{name}.backward: expected {_dtype(one)} as in {name}.forward, got {_dtype(two)}")
    if cell(one) != cell(two):
        raise TypeError(f"{name}.backward: expected weights of the {cell(one)} cell as in {name}.forward, got those of "
                        f"the {cell(two)} cell")  # fmt: skip
    if sizes(one) != sizes(two):
        raise ValueError(f"{name}.backward: expected D, H, P = {sizes(one)} as in {name}.forward, got {sizes(two)}")
    return one, two


def _direction(name: str, layer: Any, expected: str) -> AnyParams | Packed:
    if isinstance(layer, Packed):
        return _packed(name, layer)
    if type(layer) is OwnParams:
        raise TypeError(f"{name}: expected weights that know their cell, as mine.record(W, U, w, b) makes them of a "
                        "cell `mine`, got OwnParams")  # fmt: skip
    if type(layer) not in ROWS:
        made = "its to_params()" if hasattr(layer, "to_params") else "to_params() of its recurrent layers"
        hint = f"; {made} gives them" if hasattr(layer, "get_weights") else ""  # of fastlstm.nn
        raise TypeError(f"{name}: expected {expected}, got {_kind(layer)}{hint}")
    found = {field: located(f"{name}.{field}", value) for field, value in zip(layer._fields, layer, strict=True)}
    W, U = found["W"], found["U"]
    kind = W.dtype if W.dtype.isnative else W.dtype.newbyteorder("=")
    if kind not in _FLOATS:
        raise TypeError(f"{name}.W: expected float32 or float64, got {kind}")
    for field, value in found.items():
        if value.dtype != kind and value.dtype.newbyteorder("=") != kind:
            raise TypeError(f"{name}.{field}: expected {kind} as in {name}.W, got {value.dtype}")
    narrow, blocks = type(layer) is ProjectedParams, len(ROWS[type(layer)].gates)
    if U.ndim != 2 or len(U) < 1 or (narrow and (U.shape[1] % blocks or len(U) > U.shape[1] // blocks)):
        rows = f"(P, {blocks}H) with P from 1 to H" if narrow else f"(H, {blocks}H) with H at least 1"
        raise ValueError(f"{name}.U: expected shape {rows}, got {U.shape}")
    if W.ndim != 2 or W.shape[0] < 1:
        raise ValueError(f"{name}.W: expected two axes and D at least 1, got {W.shape}")
    D, P, H = len(W), len(U), U.shape[1] // blocks if narrow else len(U)
    for field, shape in shapes(type(layer), D, H, P).items():
        if found[field].shape != shape:
            raise ValueError(f"{name}.{field}: expected shape {shape} for the {cell(layer)} cell with D, H"
                             + (f", P = {D}, {H}, {P}" if narrow else f" = {D}, {H}")
                             + f", got {found[field].shape}")  # fmt: skip
    same: AnyParams = type(layer)(*(one if one.dtype is kind else _of_type(one, kind) for one in found.values()))
    return same


def _of_type(array: Any, kind: np.dtype[Any]) -> Any:
    return native(array, kind) if there(array) else np.asarray(array, dtype=kind)


def _packed(name: str, layer: Packed) -> Packed:
    panels, H, P, layout, second = layer
    whole = _whole(panels) and (second is None or _whole(second))
    engine = backend.engine_of(panels)
    if whole and type(H) is int is type(P) and engine.fits(layer):
        return layer
    plain = isinstance(panels, np.ndarray) and not isinstance(panels, np.ma.MaskedArray)
    if not plain or not all(_is_integer(size) for size in (H, P)):
        raise TypeError(f"{name}: expected Packed(array, int, int) as pack makes it, got "
                        f"Packed({_kind(panels)}, {_kind(H)}, {_kind(P)})")  # fmt: skip
    if panels.dtype not in _FLOATS or not panels.dtype.isnative:
        raise TypeError(f"{name}.panels: expected float32 or float64, got {panels.dtype}")
    if not backend.engine.fits(Packed(panels, int(H), int(P), layout, second)):
        raise ValueError(f"{name}: expected weights that pack laid out for this processor in this version, got panels "
                         f"of shape {panels.shape} for {H} units and {P} outputs, layout {np.ndim(layout)}, second "
                         f"phase {np.shape(second) if second is not None else None}")  # fmt: skip
    own = None if second is None else native(second, second.dtype)
    return Packed(native(panels, panels.dtype), int(H), int(P), layout, own)


def _whole(array: Any) -> bool:
    return (type(array) is np.ndarray or there(array)) and bool(array.flags.c_contiguous)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def problem(
    x: ArrayLike,
    params: Stack,
    state: States | None,
    lengths: ArrayLike | None,
    reverse: bool,
    reset: ArrayLike | None,
    h_mask: Masks | None,
    *,
    copy: bool,
) -> Problem:
    """The arguments of `forward`. copy: whether the arrays are to be kept."""
    found = weights(params)
    backwards = reverse is not False and direction(reverse, found)
    rows, single = sequences(x, found, copy=copy)
    N, T, _ = rows.shape
    counts = None if lengths is None else step_counts(lengths, N, T, single=single)
    starts = None if reset is None else resets(reset, N, T, single=single, copy=copy)
    begin = states("state", state, found, N, single=single, like=rows)
    factors = None if h_mask is None else masks("h_mask", h_mask, found, N, single=single, copy=copy)
    if backend.devices_used():
        others: list[tuple[str, Any]] = [("state", one) for level in begin for one in level]
        others += [] if factors is None else [("h_mask", one) for level in factors for one in level]
        layers = [layer for level in found.levels for layer in level]
        in_one_place(layers, found.stacked, ("x", rows), *others, name="params")
    return Problem(found, rows, single, counts, starts, backwards, begin, factors)


def sequences(x: Any, weights: Weights, *, copy: bool) -> tuple[Array, bool]:
    """x -> (N, T, D) of the weights' type, and whether it is a single sequence, which gets N = 1."""
    D, _, _ = weights.sizes[0]
    found = located("x", x)
    if found.ndim not in (2, 3) or found.shape[-1] != D:
        raise ValueError(f"x: expected shape (N, T, {D}) or (T, {D}), got {found.shape}")
    single = found.ndim == 2
    return native(found[None] if single else found, weights.dtype, copy=copy), single


def step_counts(lengths: Any, N: int, T: int, *, single: bool) -> NDArray[np.int64]:
    """lengths -> int64 (N,), each from 0 to T; a copy."""
    if single:
        raise ValueError(f"lengths: expected None with a single sequence (T, D), got {_kind(lengths)}")
    found = _read("lengths", lengths)
    if found.dtype.kind not in "iu" and not (found.size == 0 and is_plain(lengths)):
        raise TypeError(f"lengths: expected integers, got dtype {found.dtype}")
    if found.shape != (N,):
        raise ValueError(f"lengths: expected shape ({N},), got {found.shape}")
    if N and (found.min() < 0 or found.max() > T):
        raise ValueError(f"lengths: expected 0 to {T}, got {found.min()} to {found.max()}")
    return np.array(found, dtype=np.int64)


def resets(reset: Any, N: int, T: int, *, single: bool, copy: bool) -> NDArray[np.bool_]:
    """reset -> (N, T) in C order; a copy, or where that is not asked for perhaps itself."""
    found = reset if type(reset) is np.ndarray else _read("reset", reset)
    if found.dtype != _BOOL:
        raise TypeError(f"reset: expected booleans, got dtype {found.dtype}")
    expected = (T,) if single else (N, T)
    if found.shape != expected:
        raise ValueError(f"reset: expected shape {expected}, got {found.shape}")
    rows = found[None] if single else found
    return rows.copy() if copy or not rows.flags.c_contiguous else rows


def direction(reverse: Any, weights: Weights) -> bool:
    """reverse as a bool; never true with a Bidirectional."""
    if not isinstance(reverse, (bool, np.bool_)):
        raise TypeError(f"reverse: expected a bool, got {_kind(reverse)}")
    if reverse and any(len(level) == 2 for level in weights.levels):
        raise ValueError("reverse: expected False with a Bidirectional, which runs both ways, got True")
    return bool(reverse)


def count(name: str, value: Any) -> int:
    """value as an int, at least 0."""
    return integer(name, value, 0)


def states(name: str, state: Any, weights: Weights, N: int, *, single: bool, like: Any = None) -> list[list[AnyState]]:
    """state -> fresh arrays (N, P) and (N, H), a State or Hidden for each direction of each level; zeros where it is
    None, where the array `like` lies."""
    if state is None:
        kind, zeros = weights.dtype, like.engine.zeros if there(like) else np.zeros
        fresh: list[list[AnyState]] = []
        for i, level in enumerate(weights.levels):
            _, H, P = weights.sizes[i]
            if state_type(level[0]) is State:
                fresh.append([State(zeros((N, P), kind), zeros((N, H), kind)) for _ in level])
            else:
                fresh.append([Hidden(zeros((N, P), kind)) for _ in level])
        return fresh
    return [
        [_state(where, entry, N, layer, weights.dtype, single) for where, entry, layer in level]
        for level in entries(name, state, weights)
    ]


def entries(
    name: str, given: Any, weights: Weights, kind: str | None = None
) -> list[list[tuple[str, Any, AnyParams | Packed]]]:
    """Name, entry and layer for each direction of each level, from what has the structure of the weights. kind: of an
    entry; a state where it is None."""
    named = [(name, given)]
    if weights.stacked:
        if not is_plain(given):
            raise TypeError(f"{name}: expected a tuple, an entry a layer of the stack, got {_kind(given)}")
        if len(given) != len(weights.levels):
            raise ValueError(f"{name}: expected {len(weights.levels)} entries, one a layer, got {len(given)}")
        named = [(f"{name}[{i}]", entry) for i, entry in enumerate(given)]
    found = []
    for (where, entry), level in zip(named, weights.levels, strict=True):
        if len(level) == 1:
            found.append([(where, entry, level[0])])
        elif isinstance(entry, Bidirectional):
            found.append([(f"{where}.{way}", getattr(entry, way), layer)
                          for way, layer in zip(Bidirectional._fields, level, strict=True)])  # fmt: skip
        else:
            one = kind or state_type(level[0]).__name__
            raise TypeError(f"{where}: expected Bidirectional({one}, {one}), got {_kind(entry)}")
    return found


def masks(name: str, given: object, weights: Weights, N: int, *, single: bool, copy: bool) -> list[list[Array | None]]:
    """given -> (N, P) of the weights' type for each direction of each level; copies, or where that is not asked for
    perhaps itself. None stays None."""
    return [
        [_mask(where, entry, N, layer, weights.dtype, single, copy) for where, entry, layer in level]
        for level in entries(name, given, weights, "array")
    ]


def _mask(
    name: str, given: Any, N: int, layer: AnyParams | Packed, dtype: np.dtype[Any], single: bool, copy: bool
) -> Array | None:
    if given is None:
        return None
    return native(_shaped(name, given, (N, sizes(layer)[2]), single), dtype, copy=copy)


def _state(name: str, state: Any, N: int, layer: AnyParams | Packed, dtype: np.dtype[Any], single: bool) -> AnyState:
    record = state_type(layer)
    if is_plain(state) and len(state) == len(record._fields):
        state = record(*state)
    if not isinstance(state, record):
        expected = "State, or a pair (h, c)" if record is State else f"Hidden, as the {cell(layer)} cell has no c"
        raise TypeError(f"{name}: expected {expected}, got {_kind(state)}")
    fields = _fields(state, sizes(layer))
    found = [_shaped(f"{name}.{field}", value, (N, width), single) for field, value, width in fields]
    return record(*(native(one, dtype, copy=True) for one in found))


def _fields(state: AnyState, sizes: tuple[int, int, int]) -> Iterable[tuple[str, Any, int]]:
    """Name, value and width of h and c, or of h alone. sizes: D, H and P."""
    _, H, P = sizes
    return zip(state._fields, state, (P, H), strict=False)


def output_gradient(dy: Any, shape: tuple[int, int, int], dtype: np.dtype[Any], *, single: bool) -> Array | None:
    """dy -> (N, T, M) of the weights' type. None stays None."""
    if dy is None:
        return None
    return native(_shaped("dy", dy, shape, single, ", that of y"), dtype)


def _shaped(name: str, value: Any, shape: tuple[int, ...], single: bool, whose: str = "") -> Array:
    """An array of that shape, the first axis of which a single sequence does not have."""
    found, expected = located(name, value), shape[1:] if single else shape
    if found.shape != expected:
        raise ValueError(f"{name}: expected shape {expected}{whose}, got {found.shape}")
    shaped: Array = found.reshape(shape) if single else found
    return shaped


def kept(name: str, found: Kept, packed: Packed) -> None:
    """Refuse a tape in the layout of another processor, or of another cell: the kernels would read past its end. One on
    a device has never left it."""
    if there(packed.panels):
        return
    gates, H, shapes_of = found.gates, packed.hidden_size, backend.engine.kept_shapes
    T, N = gates.shape[:2]
    expected = shapes_of(kernel_cell(packed).name, gates.itemsize, H, N, T)[0]
    if gates.shape == expected:
        return
    others = [one.name for one in KERNEL_CELLS if gates.shape == shapes_of(one.name, gates.itemsize, H, N, T)[0]]
    if others:
        raise ValueError(f"{name}: expected one for the {cell(packed)} cell, got one for the "
                         f"{' or '.join(others)} cell")  # fmt: skip
    raise ValueError(f"{name}: expected gates laid out for this processor, {expected[2:]}, "
                     f"got {gates.shape[2:]}")  # fmt: skip
