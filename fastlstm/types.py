"""What arguments and results may be: names for annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from numpy.typing import ArrayLike

from .backend import Buffers as Buffers
from .backend import Packed as Packed
from .params import AnyParams as AnyParams
from .params import (
    AnyState,
    Bidirectional,
    GRUBeforeParams,
    GRUParams,
    InterpolatedParams,
    NormalizedParams,
    Params,
    PeepholeParams,
    ProjectedParams,
)
from .params import Array as Array

if TYPE_CHECKING:
    from .nn import Sequential

Layer: TypeAlias = AnyParams | Packed | Bidirectional
Stack: TypeAlias = Layer | Sequence[Layer]
WeightsOrModel: TypeAlias = "Stack | Sequential"
_State: TypeAlias = AnyState | tuple[ArrayLike, ArrayLike] | Bidirectional
States: TypeAlias = _State | Sequence[_State]
"""To begin with, or gradients at the last: of a layer, or one entry a layer."""
Masks: TypeAlias = ArrayLike | Bidirectional | Sequence[ArrayLike | Bidirectional | None]
PackedStack: TypeAlias = Packed | Sequence[Packed]
"""What can step: layers of one direction."""
StateStack: TypeAlias = AnyState | Sequence[AnyState]
"""States that change in place."""
TapeStack: TypeAlias = Buffers | Sequence[Buffers]
"""What `make_tape` makes."""
Structured: TypeAlias = Any
"""A result in the structure of the weights: of a layer, a Bidirectional of two, or a tuple, one entry a layer."""
WithCells: TypeAlias = Params | InterpolatedParams | ProjectedParams | PeepholeParams | NormalizedParams
"""Weights of cells whose state is a State."""
WithoutCells: TypeAlias = GRUParams | GRUBeforeParams
"""Weights of cells whose state is a Hidden."""


class Options(TypedDict, total=False):
    """Options of passes over whole sequences."""

    lengths: ArrayLike | None
    reverse: bool
    reset: ArrayLike | None
    h_mask: Masks | None
