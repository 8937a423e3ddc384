"""Cells of one's own that are measured."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def own_cells() -> dict[str, Any]:
    """Coupled gates, as in docs/cells.md, and the same with peepholes, which are unit weights."""
    from fastlstm.cells import cell, sigmoid, tanh

    @cell(gates="f g o")
    def coupled(z: Any, c: Any) -> Any:
        f, o = sigmoid(z.f), sigmoid(z.o)
        c = f * c + (1 - f) * tanh(z.g)
        return c, o * tanh(c)

    @cell(gates="f g o", unit_weights="p q")
    def peeking(z: Any, c: Any, w: Any) -> Any:
        f = sigmoid(z.f + w.p * c)
        c = f * c + (1 - f) * tanh(z.g)
        return c, sigmoid(z.o + w.q * c) * tanh(c)

    return {"coupled": coupled, "peeking": peeking}
