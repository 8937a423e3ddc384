"""The blocks of ONNX's LSTM and GRU, and ours."""

from __future__ import annotations

import numpy as np

from ..params import Array

GATES = {"LSTM": "iofg", "GRU": "zrn"}
"""The blocks of rows of W, R and of each half of B; what is g and n here is c and h there."""
OURS = {"LSTM": "ifgo", "GRU": "rzn"}
PEEPHOLES, OUR_PEEPHOLES = "iof", "ifo"


def ordered(array: Array, before: str, after: str) -> Array:
    """Blocks along the first axis, in another order."""
    blocks = dict(zip(before, np.split(array, len(before)), strict=True))
    return np.concatenate([blocks[gate] for gate in after])
