"""The table of cells, one row each: docs/architecture.md says what else a new one needs."""

from __future__ import annotations

from ..params import CELLS as RECORDS
from . import interpolated, normalized, projected, standard
from .gru import ResetBefore, gru
from .interpolated import between_backward, between_forward, gated_backward, gated_forward
from .normalized import (
    normal_gates_backward,
    normal_gates_forward,
    normal_output_backward,
    normal_output_forward,
    raw_backward,
)
from .number import sigmoids, tanh
from .peephole import lstm_with_peepholes
from .phases import (
    BY_NAME,
    BY_RECORD,
    Cell,
    LaterGate,
    NormalGates,
    NormalOutput,
    Product,
    Projection,
    Waiting,
    checked,
    register,
    touch,
)
from .projected import m_again, unprojected_backward
from .standard import lstm

_EVERY, _NONE = (0, 1, 2, 3), (-1, -1, -1, -1)
_BIAS, _OWN = 0, 3  # numbers of arrays: b is 0, W 1, U 2; the fourth (V, p or s) 3
_GATES = "i", "f", "g", "o"
CELLS = checked(
    Cell(
        "standard", standard.Kept, (_EVERY, _EVERY, _EVERY),
        (Product(lstm.forward, lstm.backward, keeps=_GATES,
                 touch=touch("operands", "h, c, gates"), touch_back=touch("later dz", "dz, dh, dc, t, operands")),),
    ),
    Cell(
        "interpolated", interpolated.Kept, ((0, 1, -1, 2), (0, 1, 2, -1), _EVERY),
        (Product(gated_forward, gated_backward, keeps=("i", "f", "a"),
                 touch=touch("operands", "h, c, gates"), touch_back=touch("dv", "dz, dc, t, operands")),
         LaterGate(between_forward, between_backward, gate=3, keeps=("o", "h_old"),
                   touch=touch("c", "h, gates"), touch_back=touch("later dz", "dz, dv, dh, dc, t, operands"))),
    ),
    Cell(
        "projected", projected.Kept, (_EVERY, _EVERY, _EVERY),
        (Product(lstm.forward, unprojected_backward, keeps=_GATES,
                 touch=touch("operands", "m, c, gates"), touch_back=touch("dv", "dz, dh, dc, t, operands")),
         Projection(m_again, keeps=("h_old",),
                    touch=touch("m", "h, gates"), touch_back=touch("later dz", "dv, dh, dc, t, operands"))),
    ),
    Cell(
        "peephole", standard.Kept, (_EVERY, _EVERY, _EVERY),
        (Product(lstm_with_peepholes.forward, lstm_with_peepholes.backward, keeps=_GATES,
                 touch=touch("operands", "h, c, gates"),
                 touch_back=touch("later dz", "dz, dh, dc, t, operands, dw")),),
        unit_weights=((_OWN, (0, 1, -1, 2)),),
    ),
    Cell(
        "normalized", normalized.Kept, (_NONE, _EVERY, _EVERY),
        (Waiting(raw_backward, keeps=("zi", "zf", "zg", "zo"),
                 touch=touch("operands", "z, h, c"), touch_back=touch("dw", "dz, operands")),
         NormalGates(normal_gates_forward, normal_gates_backward, keeps=_GATES,
                     touch=touch("z", "h, c, gates"), touch_back=touch("dw of c", "dw, dc")),
         NormalOutput(normal_output_forward, normal_output_backward, keeps=("h_old",),
                      touch=touch("c", "h, gates"), touch_back=touch("later dz", "dw, dw of c, dh, dc"))),
        unit_weights=((_OWN, _EVERY), (_BIAS, _EVERY), (_OWN, (4, -1, -1, -1)), (_BIAS, (4, -1, -1, -1))),
    ),
    gru.as_cell("gru"),
    ResetBefore(sigmoids, tanh).as_cell("gru_before"),
)  # fmt: skip


for _cell in CELLS:
    register(_cell, RECORDS[_cell.name])


def cell_with(record: type) -> Cell:
    """The cell whose weights such a record holds; TypeError where it is computed by `reference` alone."""
    if record not in BY_RECORD:
        raise TypeError(f"params: expected weights of a cell that has kernels, got {record.__name__}")
    return BY_RECORD[record]


def cell_named(name: str) -> Cell:
    """The cell of that name."""
    return BY_NAME[name]
