"""Intrinsics whose bodies see names.

    @emitted
    def body(e: Emitter, cell: Cell, a: View, depth: Int, ...) -> None

Compiled code calls body(cell, a, depth, ...). While that is compiled, the body runs once and emits instructions; it is
given an Emitter, the cell that a `CellType` stands for, a `Place` for each View or Array, LLVM values for numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from numba import types
from numba.extending import intrinsic

from ..compiler.flat import fields
from .emitter import Emitter, Vector, data
from .view import View

Int: TypeAlias = Any
"""A whole number in compiled code."""
Real: TypeAlias = Any
"""A number of the float type of the views and arrays."""
Array: TypeAlias = Any
"""An array in compiled code, or a View: the body sees where its first number is."""


class Place(NamedTuple):
    """A View as a body sees it: a pointer and strides, LLVM values. An array has no strides."""

    e: Emitter
    data: Any
    row: Any = None
    block: Any = None

    def at(self, *offsets: Any) -> Any:
        """A pointer to what is that many numbers on."""
        return self.e.at(self.data, *offsets)

    def rows(self, count: int) -> list[Any]:
        """Pointers to its first rows."""
        return [self.at(self.e.times(r, self.row)) for r in range(count)]

    @property
    def by_block(self) -> Place:
        """The same with blocks for rows."""
        return self._replace(row=self.block, block=self.row)

    def load(self, rows: int, offset: int = 0) -> Vector:
        """A vector from each of its first rows."""
        return Vector.together(*(self.e.load(place, offset) for place in self.rows(rows)))

    def store(self, value: Vector, offset: int = 0) -> None:
        """A vector to each of its first rows."""
        parts = value.split(len(value.values))
        for place, one in zip(self.rows(len(parts)), parts, strict=True):
            self.e.store(one, place, offset)


def emitted(body: Callable[..., Any]) -> Any:
    """The intrinsic that `body` writes. It returns a number where the body is annotated to return a Real."""
    form = inspect.signature(body)
    parameters = list(form.parameters.values())[1:]
    wanted = [str(parameter.annotation) for parameter in parameters]

    def typed(typing: Any, *kinds: Any) -> Any:
        places = [kind for kind, want in zip(kinds, wanted, strict=True) if want in ("View", "Array")]
        if not all(isinstance(kind, View) for kind, want in zip(kinds, wanted, strict=True) if want == "View"):
            return None  # Numba's error names the call and the types
        dtype = places[0].dtype

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = Emitter(builder, context.get_data_type(dtype), dtype.bitwidth // 8)

            def named(kind: Any, want: str, value: Any) -> Any:
                if isinstance(kind, View):
                    found = fields(context, builder, kind, value)
                    return Place(e, found.data, found.row, found.block)
                if want == "Array":
                    return Place(e, data(context, builder, kind, value))
                return kind.cell if want == "Cell" else value

            value = body(e, *map(named, kinds, wanted, args))
            return context.get_dummy_value() if value is None else value

        numbers = {"Int": types.intp, "Real": dtype}
        expected = (numbers.get(want, kind) for kind, want in zip(kinds, wanted, strict=True))
        return numbers.get(str(form.return_annotation), types.void)(*expected), generate

    typed.__name__ = typed.__qualname__ = body.__name__
    typed.__doc__ = body.__doc__
    first = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    typed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [first, *(parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters)]
    )
    return intrinsic(typed)
