"""Weights to and from files and other packages."""

from __future__ import annotations

from .. import backend, checks
from ..backend import Packed
from ..params import AnyParams
from ..types import Stack


def layers_of(params: Stack) -> tuple[list[list[AnyParams]], bool]:
    """Checked records of weights of every direction of every level, and whether they were a stack."""
    found = checks.weights(params)
    return [[_record(layer) for layer in level] for level in found.levels], found.stacked


def _record(layer: AnyParams | Packed) -> AnyParams:
    return backend.engine.unpack(layer) if isinstance(layer, Packed) else layer
