"""What the table says of a cell, as constants in compiled code."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, box, intrinsic, models, register_model, unbox
from numba.np.numpy_support import as_dtype

from ...cells.phases import Cell
from ...cells.table import cell_named

# the dtype of Packed.layout, which stands for the cell in the types that Numba sees
_MARKS = {
    "standard": np.bool_, "interpolated": np.int8, "projected": np.uint8, "peephole": np.int16, "normalized": np.uint16,
    "gru": np.int32, "gru_before": np.uint32,
}  # fmt: skip
_BY_MARK = {np.dtype(mark): cell_named(name) for name, mark in _MARKS.items()}
BY_NUMBER = {mark.num: cell for mark, cell in _BY_MARK.items()}
_KNOWN = (
    "alone", "carries_t", "fills_panels", "gate_count", "gates_h", "keeps_operand", "kept", "later_array",
    "later_block", "later_reads_kept", "multiplies_later", "normalizes", "of_h", "of_x", "passes_h", "phase_count",
    "projects", "reads_h", "weight_rows",
)  # fmt: skip


LAYOUT = 2
"""Number of the panels' layout, to be raised whenever that changes. It stands in the type that Numba sees: so a user's
compiled function in his cache is compiled again for another layout."""


class CellType(types.Type):  # type: ignore[misc]
    """A cell, in the types that Numba sees; its values take no room.

    Compiled code reads properties of `Cell` from it, cell.kept and the like: constants. In a helper, a branch on one is
    left out before it is compiled, if it is not taken (`parts.KnownFields`). The type's name tells cells apart: it is
    all that a cache on disk keeps of it."""

    def __init__(self, cell_name: str, layout: int = LAYOUT) -> None:
        self.cell_name = cell_name
        super().__init__(f"Cell({cell_name}, {layout})")

    @property
    def cell(self) -> Cell:
        return cell_named(self.cell_name)

    @functools.cached_property
    def known(self) -> dict[str, int]:
        return {name: getattr(self.cell, name) for name in _KNOWN}

    def __reduce__(self) -> tuple[Any, ...]:
        return CellType, (self.cell_name,)


@register_model(CellType)
class _Model(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [])


@infer_getattr
class _Attributes(AttributeTemplate):  # type: ignore[misc]
    key = CellType

    def generic_resolve(self, kind: Any, name: str) -> Any:
        known = kind.known.get(name)
        return None if known is None else types.boolean if isinstance(known, bool) else types.intp


@lower_getattr_generic(CellType)
def _attribute(context: Any, builder: Any, kind: Any, value: Any, name: str) -> Any:
    known = kind.known[name]
    return context.get_constant(types.boolean if isinstance(known, bool) else types.intp, known)


@unbox(CellType)
def _unboxed(kind: Any, value: Any, c: Any) -> Any:
    return NativeValue(c.context.get_constant_undef(kind))


@box(CellType)
def _boxed(kind: Any, value: Any, c: Any) -> Any:
    return c.env_manager.read_const(c.env_manager.add_const(mark(kind.cell)))


class Mark:
    """What stands for a cell of one's own in Packed.layout: its Numba type is a `CellType`."""

    __slots__ = ("_numba_type_", "cell")

    def __init__(self, cell: Cell) -> None:
        self.cell, self._numba_type_ = cell, CellType(cell.name)

    def __repr__(self) -> str:
        return f"<{self.cell.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _mark_again, (self.cell.own, self.cell.name)


def _mark_again(own: Any, name: str) -> Mark:
    """From a pickle, which has only the name of one's own cell."""
    if own.cell.name != name:
        raise ValueError(f"expected the cell {own.name!r} as it was when weights of it were packed; it has changed")
    found: Mark = mark(own.cell)
    return found


@functools.cache
def mark(cell: Cell) -> Any:
    """What stands for a cell in Packed.layout: an empty array, whose dtype says which one of the table it is, and the
    number of its dimensions which layout; or a Mark. (A call with an array takes 0.4 us less.)"""
    return np.empty((0,) * LAYOUT, _MARKS[cell.name]) if cell.name in _MARKS else Mark(cell)


def cell_with_mark(layout: Any) -> Cell | None:
    """The cell that it stands for, in this layout."""
    if isinstance(layout, np.ndarray) and layout.ndim == LAYOUT:
        return _BY_MARK.get(layout.dtype)
    return layout.cell if isinstance(layout, Mark) else None


def cell_of_type(layout: Any) -> Cell | None:
    """The same, by its Numba type."""
    if isinstance(layout, types.Array) and layout.ndim == LAYOUT:
        with contextlib.suppress(NotImplementedError):
            return _BY_MARK.get(as_dtype(layout.dtype))
    return layout.cell if isinstance(layout, CellType) else None


@intrinsic  # type: ignore[misc]
def cell_marked(typing: Any, layout: Any) -> Any:
    """The cell that Packed.layout stands for."""
    found = cell_of_type(layout)
    if found is None:
        return None  # Numba's error names the call and the type
    kind = CellType(found.name)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant_undef(kind)

    return kind(layout), generate


def _looked_up(builder: Any, numbers: list[int], place: Any) -> Any:
    """One of some constant numbers."""
    word = ir.IntType(64)
    table = cgutils.global_constant(builder.module, "table", ir.Constant(ir.ArrayType(word, len(numbers)), numbers))
    return builder.load(builder.gep(table, [ir.Constant(word, 0), place]))


@intrinsic  # type: ignore[misc]
def column_of(typing: Any, cell: Any, part: Any, gate: Any) -> Any:
    """Where a gate's block of columns is in the array of a part (Cell.parts), in blocks; -1: nowhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, part, gate = args
        numbers = [column for _, row in cell.cell.parts for column in row]
        row = builder.mul(part, ir.Constant(part.type, cell.cell.gate_count))
        return _looked_up(builder, numbers, builder.add(row, gate))

    return types.intp(cell, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def array_of(typing: Any, cell: Any, part: Any) -> Any:
    """The number of the array that a part comes from: b, W, U, and the fourth of a cell that has one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, part = args
        return _looked_up(builder, [array for array, _ in cell.cell.parts], part)

    return types.intp(cell, types.intp), generate


@intrinsic  # type: ignore[misc]
def blocks_of(typing: Any, cell: Any, array: Any) -> Any:
    """Blocks of columns that an array has, of H numbers each."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, array = args
        numbers = [0] * 4
        for number, row in cell.cell.parts:
            numbers[number] = max(numbers[number], 1 + max(row))
        if cell.cell.multiplies_later:
            numbers[cell.cell.later_array] = max(numbers[cell.cell.later_array], 1 + cell.cell.later_block)
        return _looked_up(builder, numbers, array)

    return types.intp(cell, types.intp), generate
