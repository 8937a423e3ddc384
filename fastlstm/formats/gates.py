"""Orders of gates, and second biases, as other packages have them.

i input, f forget, g candidate, o output; of a GRU r reset, z update, n candidate.
"""

from __future__ import annotations

import numpy as np

from ..params import AnyParams, Array, GRUParams

GATES = {"LSTM": "iofg", "GRU": "zrn"}
"""The blocks of ONNX: of rows of W, R and of each half of B; what is g and n here is c and h there."""
OURS = {"LSTM": "ifgo", "GRU": "rzn"}
PEEPHOLES, OUR_PEEPHOLES = "iof", "ifo"


def ordered(array: Array, before: str, after: str, axis: int = 0) -> Array:
    """Blocks along an axis, in another order."""
    blocks = dict(zip(before, np.split(array, len(before), axis), strict=True))
    return np.concatenate([blocks[gate] for gate in after], axis)


def to_keras(array: Array) -> Array:
    """A GRU's blocks of columns r, z, n in the order of Keras's GRU, z, r, n."""
    return ordered(array, OURS["GRU"], "zrn", -1)


def from_keras(array: Array) -> Array:
    """The other way round."""
    return ordered(array, "zrn", OURS["GRU"], -1)


def gru_of(W: Array, U: Array, first: Array, second: Array) -> GRUParams:
    """A GRU's record from weights with two biases (3H,), of x and of h: those of r and z are added up, and the second
    one of the candidate is b_n, on which the reset gate acts."""
    n = slice(2 * len(U), None)
    b = first + second
    b[n] = first[n]
    return GRUParams(W, U, b, second[n].copy())


def two_biases(record: AnyParams) -> tuple[Array, Array]:
    """The bias of x, and that of h, zeros but for b_n of a GRU."""
    second = np.zeros_like(record.b)
    if isinstance(record, GRUParams):
        second[2 * len(record.U) :] = record.b_n
    return record.b, second
