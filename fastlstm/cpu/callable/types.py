"""Do the types of the arguments fit, where a user's function calls one of ours."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.errors import TypingError

from ...cells.phases import Cell
from ...params import ROWS, shapes
from ..lstm.cell_type import cell_of_type
from ..lstm.packing import Packed
from .buffers import INTEGERS, Buffers, tape_shapes


def expect(right: bool, name: str, expected: str, found: Any) -> None:
    if not right:
        raise TypingError(f"{name}: expected {expected}, got {found}")


def is_record(kind: Any, record: type) -> bool:
    return isinstance(kind, types.BaseNamedTuple) and kind.instance_class is record


def entries_of(name: str, kind: Any, record: type) -> tuple[list[Any], bool]:
    """The types of a layer's record, or of all of a stack's; whether it is a stack."""
    stacked = isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple) and len(kind) > 0
    entries = list(kind) if stacked else [kind]
    for entry in entries:
        expect(is_record(entry, record), name, f"{record.__name__}, or a tuple of them", kind)
    return entries, stacked


def records_as_packed(name: str, kind: Any, records: list[type], stacked: bool) -> list[Any]:
    """The types of some records, one for each layer of packed, as its cell wants it."""
    also = isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple)
    entries = list(kind) if also else [kind]
    expected = ", ".join(record.__name__ for record in records)
    if len(set(records)) == 1:
        expected = f"{len(records)} {expected}, as many as packed"
    else:
        expected = f"{expected}, as in packed"
    right = also == stacked and len(entries) == len(records)
    expect(right and all(map(is_record, entries, records)), name, expected, kind)
    return entries


def expect_array(
    name: str, kind: Any, ndims: tuple[int, ...], dtype: Any, *, own: bool = False, whole: bool = False
) -> None:
    """whole: it must be in C order; own: and writable, since it is changed in place."""
    right = isinstance(kind, types.Array) and kind.dtype == dtype and kind.ndim in ndims and kind.aligned
    if right and (own or whole):
        right = kind.layout == "C" and (kind.mutable or not own)
    order = "a C-ordered, writable " if own else "a C-ordered " if whole else "an "
    expect(right, name, f"{order}array of {dtype} with {' or '.join(map(str, ndims))} dimensions", kind)


def field_type(kind: Any, name: str) -> Any:
    return kind.types[kind.fields.index(name)]


def cell_of_layout(layout: Any, name: str) -> Cell:
    """The cell that packed weights or a tape are for."""
    found = cell_of_type(layout)
    if found is None:
        raise TypingError(f"{name}: expected what pack makes, got {layout}")
    return found


def expect_integers(name: str, entry: Any) -> None:
    for field in ("hidden_size", "output_size"):
        kind = field_type(entry, field)
        expect(isinstance(kind, types.Integer), f"{name}.{field}", "an integer", kind)


def cells_of(packed: Any, *, own: bool = False) -> tuple[list[Cell], bool, Any]:
    """The layers' cells, whether it is a stack, and the float type. own: they are changed in place."""
    entries, stacked = entries_of("packed", packed, Packed)
    panels = field_type(entries[0], "panels")
    dtype = panels.dtype if isinstance(panels, types.Array) else None
    expect(dtype in (types.float32, types.float64), "packed", "what fastlstm.pack makes", packed)
    cells = []
    for entry in entries:
        layout, second = field_type(entry, "layout"), field_type(entry, "second")
        expect_array("packed.panels", field_type(entry, "panels"), (3,), dtype, own=own, whole=True)
        cell = cell_of_layout(layout, "packed.layout")
        expect_integers("packed", entry)
        if cell.multiplies_later:
            expect_array("packed.second", second, (3,), dtype, own=own, whole=True)
        else:
            expect(isinstance(second, types.NoneType), "packed.second", f"None for the {cell.name} cell", second)
        cells.append(cell)
    return cells, stacked, dtype


def expect_weights(name: str, kind: Any, cells: list[Cell], stacked: bool, dtype: Any, *, own: bool) -> None:
    """Check the records of weights: arrays in C order."""
    records: list[type] = [cell.record for cell in cells]
    for cell, entry in zip(cells, records_as_packed(name, kind, records, stacked), strict=True):
        axes = [len(shape) for shape in shapes(cell.record, 1, 1, 1).values()]
        for field, array, ndim in zip(entry.fields, entry.types, axes, strict=True):
            expect_array(f"{name}.{field}", array, (ndim,), dtype, own=own, whole=True)


def expect_states(kind: Any, cells: list[Cell], stacked: bool, dtype: Any, name: str = "state") -> int:
    records = [ROWS[cell.record].state for cell in cells]
    entries = records_as_packed(name, kind, records, stacked)
    ndim = getattr(field_type(entries[0], "h"), "ndim", 0)
    for entry in entries:
        for field in entry.fields:
            found = field_type(entry, field)
            expect_array(f"{name}.{field}", found, (1, 2), dtype, own=True)
            expect(found.ndim == ndim, f"{name}.{field}", f"{ndim} dimensions, as h has", found)
    return int(ndim)


def expect_output(y: Any, ndim: int, dtype: Any) -> None:
    expect_array("y", y, (ndim,), dtype)
    expect(y.mutable, "y", "a writable array", y)


def is_none(kind: Any) -> bool:
    return kind is None or isinstance(kind, (types.NoneType, types.Omitted))


_TAPE_AXES = {field: len(shape) for field, shape in tape_shapes("standard", 4, (1, 1, 1), 1, 1, 1, 1).items()}


def expect_tapes(kind: Any, packed: Any) -> None:
    cells, stacked, dtype = cells_of(packed)
    entries, also = entries_of("tape", kind, Buffers)
    expected = f"{len(cells)} {Buffers.__name__}, as many as packed"
    expect(also == stacked and len(entries) == len(cells), "tape", expected, kind)
    for cell, entry in zip(cells, entries, strict=True):
        made_for = cell_of_layout(field_type(entry, "layout"), "tape.layout")
        expect_integers("tape", entry)
        expect(made_for is cell, "tape", f"one for the {cell.name} cell", f"one for the {made_for.name} cell")
        for name, ndim in (_TAPE_AXES | {"reset": 1}).items():
            number = types.int64 if name in INTEGERS else types.boolean if name == "reset" else dtype
            expect_array(f"tape.{name}", field_type(entry, name), (ndim,), number, own=True)
