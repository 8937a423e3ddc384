"""The cell whose h is a projection of its output m."""

from __future__ import annotations

from typing import Any

from ..cpu.vectors.emitter import Vector
from .standard import lstm_backward


def unprojected_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dm: Vector,
                         dc: Vector) -> Any:  # fmt: skip
    """The standard cell's, whose h is m here."""
    *gates, h_old = kept
    dz, dc, t_old, _ = lstm_backward(gates, before, c_old, t, dm, dc)
    return dz, dc, t_old, h_old


def projected_forward(h: Vector, c: Vector, h_old: Vector) -> Any:
    return (h_old,), h


def projected_backward(kept: list[Vector], t: Vector) -> Vector:
    return kept[3] * t
