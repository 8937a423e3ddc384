"""What Numba asks for where a user's function calls one of ours: do the types fit, and which code is it then.

A function `..._of(types)` refuses types that do not fit, while the user's function is compiled. It returns the function
that writes the code that finds the faults of the arguments, the function that writes the code that does the work, and
which of the arguments both of them take as lists, a layer each. Shapes are compared at every call, before anything is
touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from numba import types
from numba.core.errors import TypingError

from ...cells.phases import Cell
from ...params import ROWS, Grads, shapes
from ..lstm.cell_type import cell_of_type
from ..lstm.packing import Packed
from . import fits, walks
from .buffers import INTEGERS, Buffers, tape_shapes

Forms: TypeAlias = tuple[Callable[..., None], Callable[..., None], tuple[int, ...]]


class Layers(NamedTuple):
    """What the type of packed says: a cell for each layer, whether it is a stack, and the float type."""

    cells: list[Cell]
    stacked: bool
    dtype: Any


def expect(right: bool, name: str, expected: str, found: Any) -> None:
    if not right:
        raise TypingError(f"{name}: expected {expected}, got {found}")


def expect_array(
    name: str, kind: Any, ndims: tuple[int, ...], dtype: Any, *, own: bool = False, whole: bool = False
) -> None:
    """whole: it must be in C order; own: and writable, since it is changed in place."""
    right = isinstance(kind, types.Array) and kind.dtype == dtype and kind.ndim in ndims and kind.aligned
    if right and (own or whole):
        right = kind.layout == "C" and (kind.mutable or not own)
    order = "a C-ordered, writable " if own else "a C-ordered " if whole else "an "
    expect(right, name, f"{order}array of {dtype} with {' or '.join(map(str, ndims))} dimensions", kind)


def is_record(kind: Any, record: type) -> bool:
    return isinstance(kind, types.BaseNamedTuple) and kind.instance_class is record


def is_none(kind: Any) -> bool:
    return kind is None or isinstance(kind, (types.NoneType, types.Omitted))


def field_type(kind: Any, name: str) -> Any:
    return kind.types[kind.fields.index(name)]


def apart(kind: Any) -> tuple[list[Any], bool]:
    """The type of a layer's record, or those of a stack's; whether it is a stack."""
    stacked = isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple)
    return (list(kind) if stacked else [kind]), stacked


def cell_and_sizes(name: str, entry: Any) -> Cell:
    """The cell that packed weights or a tape are for, whose sizes have to be integers."""
    for field in ("hidden_size", "output_size"):
        kind = field_type(entry, field)
        expect(isinstance(kind, types.Integer), f"{name}.{field}", "an integer", kind)
    layout = field_type(entry, "layout")
    cell = cell_of_type(layout)
    if cell is None:
        raise TypingError(f"{name}.layout: expected what pack makes, got {layout}")
    return cell


def layers_in(packed: Any, *, own: bool = False) -> Layers:
    """own: they are changed in place."""
    entries, stacked = apart(packed)
    right = len(entries) > 0 and all(is_record(entry, Packed) for entry in entries)
    expect(right, "packed", "Packed, or a tuple of them", packed)
    dtype = getattr(field_type(entries[0], "panels"), "dtype", None)
    expect(dtype in (types.float32, types.float64), "packed", "what fastlstm.pack makes", packed)
    cells = []
    for entry in entries:
        expect_array("packed.panels", field_type(entry, "panels"), (3,), dtype, own=own, whole=True)
        cell, second = cell_and_sizes("packed", entry), field_type(entry, "second")
        if cell.multiplies_later:
            expect_array("packed.second", second, (3,), dtype, own=own, whole=True)
        else:
            expect(isinstance(second, types.NoneType), "packed.second", f"None for the {cell.name} cell", second)
        cells.append(cell)
    return Layers(cells, stacked, dtype)


def records_of(name: str, kind: Any, layers: Layers, records: Sequence[type]) -> list[Any]:
    """The types of records that belong to the layers: one for each of them, and these."""
    entries, stacked = apart(kind)
    expected = f"{', '.join(record.__name__ for record in records)}, as in packed"
    if len(set(records)) == 1:
        expected = f"{records[0].__name__} for each layer of packed ({len(records)})"
    right = stacked == layers.stacked and len(entries) == len(records) and all(map(is_record, entries, records))
    expect(right, name, expected, kind)
    return entries


def expect_states(name: str, kind: Any, layers: Layers) -> int:
    """The axes of h and of c, which all layers have in common."""
    entries = records_of(name, kind, layers, [ROWS[cell.record].state for cell in layers.cells])
    ndim = getattr(entries[0].types[0], "ndim", 0)
    for entry in entries:
        for field, array in zip(entry.fields, entry.types, strict=True):
            expect_array(f"{name}.{field}", array, (1, 2), layers.dtype, own=True)
            expect(array.ndim == ndim, f"{name}.{field}", f"{ndim} dimensions, as h has", array)
    return int(ndim)


def expect_weights(name: str, kind: Any, layers: Layers, *, own: bool) -> None:
    """Records of weights: arrays in C order."""
    records = [cell.record for cell in layers.cells]
    for record, entry in zip(records, records_of(name, kind, layers, records), strict=True):
        axes = [len(shape) for shape in shapes(record, 1, 1, 1).values()]
        for field, array, ndim in zip(entry.fields, entry.types, axes, strict=True):
            expect_array(f"{name}.{field}", array, (ndim,), layers.dtype, own=own, whole=True)


_TAPE_AXES = {field: len(shape) for field, shape in tape_shapes("standard", 4, (1, 1, 1), 1, 1, 1, 1).items()}


def expect_tapes(kind: Any, layers: Layers) -> None:
    entries = records_of("tape", kind, layers, [Buffers] * len(layers.cells))
    for cell, entry in zip(layers.cells, entries, strict=True):
        made_for = cell_and_sizes("tape", entry)
        expect(made_for is cell, "tape", f"one for the {cell.name} cell", f"one for the {made_for.name} cell")
        for name, ndim in (_TAPE_AXES | {"reset": 1}).items():
            number = types.int64 if name in INTEGERS else types.boolean if name == "reset" else layers.dtype
            expect_array(f"tape.{name}", field_type(entry, name), (ndim,), number, own=True)


def step_of(x: Any, packed: Any, state: Any) -> Forms:
    layers = layers_in(packed)
    ndim = expect_states("state", state, layers)
    expect_array("x", x, (ndim,), layers.dtype)
    return fits.step_faults, walks.step, (1, 2)


def forward_into_of(x: Any, packed: Any, state: Any, y: Any) -> Forms:
    layers = layers_in(packed)
    ndim = expect_states("state", state, layers)
    expect_array("x", x, (ndim + 1,), layers.dtype)
    expect_array("y", y, (ndim + 1,), layers.dtype)
    expect(y.mutable, "y", "a writable array", y)
    return fits.forward_faults, walks.forward, (1, 2)


def forward_train_into_of(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Forms:
    forward_into_of(x, packed, state, y)
    expect_tapes(tape, layers_in(packed))
    return fits.train_faults, walks.train, (1, 2, 4)


def backward_into_of(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> Forms:
    layers = layers_in(packed)
    expect_tapes(tape, layers)
    expect(is_record(grads, Grads), "grads", "what make_grads makes", grads)
    expect_array("grads.x", field_type(grads, "x"), (2, 3), layers.dtype, own=True)
    expect_weights("grads.params", field_type(grads, "params"), layers, own=True)
    ndim = expect_states("grads.state", field_type(grads, "state"), layers)
    if not is_none(dy):
        expect_array("dy", dy, (ndim + 1,), layers.dtype, whole=True)
    if not is_none(dstate):
        found = expect_states("dstate", dstate, layers)
        expect(found == ndim, "dstate", f"h of {ndim} dimensions, as grads.state has", dstate)
    return fits.backward_faults, walks.backward, (0, 1, 3)


def pack_into_of(params: Any, packed: Any) -> Forms:
    expect_weights("params", params, layers_in(packed, own=True), own=False)
    return fits.pack_faults, walks.pack, (0, 1)
