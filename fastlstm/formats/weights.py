"""What the formats have in common: weights, packed or not, as layers of records."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..cpu.lstm import packing
from ..cpu.lstm.packing import Packed
from ..params import AnyParams


def layers_of(params: Any) -> tuple[list[list[AnyParams]], bool]:
    """Checked records of weights of every direction of every level, and whether they were a stack."""
    found = checks.weights(params)
    levels = [
        [packing.unpack(layer) if isinstance(layer, Packed) else layer for layer in level] for level in found.levels
    ]
    return levels, found.stacked
