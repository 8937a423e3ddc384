"""The table of cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..params import CELLS as RECORDS
from .cell import Cell, Phase, checked, touch
from .interpolated import between_backward, between_forward, gated_backward, gated_forward
from .normalized import (
    normal_gates_backward,
    normal_gates_forward,
    normal_output_backward,
    normal_output_forward,
    raw_backward,
    raw_forward,
)
from .peephole import peephole_backward, peephole_forward
from .projected import projected_backward, projected_forward, unprojected_backward
from .standard import lstm_backward, lstm_forward

_EVERY, _NONE = (0, 1, 2, 3), (-1, -1, -1, -1)
_BIAS, _OWN = 0, 3  # arrays: b, W, U, and the fourth of a cell that has one
CELLS = checked(
    Cell(
        "standard", np.bool_, 4, 4, (_EVERY, _EVERY, _EVERY),
        (Phase(lstm_forward, lstm_backward,
               touch("operands", "h, c, gates"), touch("later dz", "dz, dh, dc, t, operands")),),
    ),
    Cell(
        "interpolated", np.int8, 5, 3, ((0, 1, -1, 2), (0, 1, 2, -1), _EVERY),
        (Phase(gated_forward, gated_backward,
               touch("operands", "h, c, gates"), touch("dv", "dz, dc, t, operands")),
         Phase(between_forward, between_backward,
               touch("c", "h, gates"), touch("later dz", "dz, dv, dh, dc, t, operands"))),
    ),
    Cell(
        "projected", np.uint8, 5, 4, (_EVERY, _EVERY, _EVERY),
        (Phase(lstm_forward, unprojected_backward,
               touch("operands", "m, c, gates"), touch("dv", "dz, dh, dc, t, operands")),
         Phase(projected_forward, projected_backward,
               touch("m", "h, gates"), touch("later dz", "dv, dh, dc, t, operands"))),
        projects=True,
    ),
    Cell(
        "peephole", np.int16, 4, 4, (_EVERY, _EVERY, _EVERY),
        (Phase(peephole_forward, peephole_backward,
               touch("operands", "h, c, gates"), touch("later dz", "dz, dh, dc, t, operands, dw")),),
        own=((_OWN, (0, 1, -1, 2)),),
    ),
    Cell(
        "normalized", np.uint16, 9, 4, (_NONE, _EVERY, _EVERY),
        (Phase(raw_forward, raw_backward,
               touch("operands", "z, h, c"), touch("dw", "dz, operands")),
         Phase(normal_gates_forward, normal_gates_backward,
               touch("z", "h, c, gates"), touch("dw of c", "dw, dc")),
         Phase(normal_output_forward, normal_output_backward,
               touch("c", "h, gates"), touch("later dz", "dw, dw of c, dh, dc"))),
        own=((_OWN, _EVERY), (_BIAS, _EVERY), (_OWN, (4, -1, -1, -1)), (_BIAS, (4, -1, -1, -1))),
    ),
)  # fmt: skip


def cell_of(mark: Any) -> Cell:
    """The cell that a dtype stands for; KeyError if it is none."""
    return _BY_MARK[mark]


def cell_with(record: type) -> Cell:
    """The cell whose weights such a record holds."""
    return _BY_RECORD[record]


def cell_named(name: str) -> Cell:
    """The cell of that name."""
    return _BY_NAME[name]


_BY_NAME = {cell.name: cell for cell in CELLS}
_BY_RECORD = {RECORDS[cell.name]: cell for cell in CELLS}
_BY_MARK = {np.dtype(cell.mark): cell for cell in CELLS}
