"""The backward time loop, and the weight gradients, in blocks of time.

First the workers share the transposition of the weights. Then, in each block, they go back through the block's steps
(gate gradients, then dh = dz @ U.T) and share the products over the block's M rows: dx = dz @ W.T by rows, and
d[b; W; U] = [1, x, h].T @ dz by panels of columns. Last each brings its panels into the order of the weights. A sum
over rows runs in pieces of 128 in a fixed order: the error stays small, and no bit depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, kernel
from ..compiler.run import loaded
from ..vectors.target import BLOCK
from ..vectors.views import flat, lanes_of
from .cell_type import rows_of_vectors, width_of
from .packing import out_of_panels, panel_rows, transpose_panels
from .sizes import phases_of, whole_tiles
from .step_back import first_state, hidden_back, last_state, memory_back, step_back
from .sums import backward_sums


@compiled
def backward_share(w: Any, workers: Any, wide: Any, turn: Any, s0: Any, s1: Any, bases: Any, cell: Any, panels: Any,
                   second: Any, x: Any, D: Any, ut: Any, H: Any, P: Any, h0: Any, cells: Any, gates: Any, order: Any,
                   lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, dy: Any, ldy: Any, column: Any, dh: Any,
                   ldh: Any, dc: Any, ldc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any, where: Any,
                   zeros: Any) -> None:  # fmt: skip
    """A worker's share of one turn's work on a block of time.

    Where the rows are shared there is one turn: all steps of the worker's rows. Where the units are (wide), a turn
    takes dh of the worker's units from the turn before, then makes one step of them; the last turn takes dh only, and
    in a block of fewer steps than the others some turns have nothing to do. A cell of more phases than one has as many
    turns a step.
    """
    rows = (bases, cell, panels, second, x, D, ut, H, P, h0, cells, gates, order, lens, reset, mask, reverse, T, dy,
            ldy, column, dh, ldh, dc, ldc, t, dz, ldz, a, lda, where, zeros)  # fmt: skip
    nb = (H + lanes_of(ut) - 1) // lanes_of(ut)
    tall = ldh // (BLOCK * lanes_of(ut))  # panels of U.T or V.T
    phases = phases_of(second)
    first, stride, lo, hi, steps = w, workers, 0, tall, s1 - s0
    phase = phases - 1
    if wide:
        first, stride, lo, hi = 0, 1, w * tall // workers, (w + 1) * tall // workers
        steps = 1
        phase -= turn % phases
        turn //= phases
        if 0 < turn <= s1 - s0 and phase == phases - 1:
            hidden_back(s1 - turn, s0, first, stride, lo, hi, *rows)
    for back in range(steps):
        s = s1 - 1 - turn - back
        if s >= s0 and lo < hi:
            if second.ndim == 2:  # noqa: SIM102
                if not wide:
                    for later in range(phases - 1, 0, -1):
                        step_back(s, later, s0, first, stride, lo * BLOCK, min(hi * BLOCK, nb), *rows)
            if second.ndim == 3:
                if phase == 1 and not wide:
                    step_back(s, phase, s0, first, stride, lo * BLOCK, min(hi * BLOCK, nb), *rows)
                if phase == 0 or not wide:
                    memory_back(s, s0, first, stride, lo, hi, *rows)
            last = 0
            if wide:
                last = phase
            step_back(s, last, s0, first, stride, lo * BLOCK, min(hi * BLOCK, nb), *rows)
            if not wide:
                hidden_back(s, s0, first, stride, lo, hi, *rows)


@kernel
def backward(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of some turns of the backward pass.

    arguments: turns of the whole pass, those of a block's steps (inner), wide; then what the other functions here take,
    in an order of its own: what changes from call to call, and what may stay (backend.BackwardPlan). h, c: gradients of
    the last state, in whose place come those of the first; dV: of V or of weights for the equations, or any array.
    """
    arguments = loaded(pointer)
    turns, inner, wide = arguments[:3]
    x, h0, cells, gates, reset, mask, reverse, dy, ldy, column, h, c, dx = arguments[3:16]
    block, steps, panels, dW, dU, dV, db, bases, cell, second, D, H, P, order, lens, T = arguments[16:32]
    P = width_of(cell, H, P)
    dh, ldh, dc, ldc, t, dz, ldz, a, lda, dp, tmp, zeros, wt, ut, where = arguments[32:]
    rows = (bases, cell, panels, second, x, D, ut, H, P, h0, cells, gates, order, lens, reset, mask, reverse, T, dy,
            ldy, column, dh, ldh, dc, ldc, t, dz, ldz, a, lda, where, zeros)  # fmt: skip
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    depth = panel_rows(cell, D, P)
    stride = whole_tiles(1 + D + P) + rows_of_vectors(cell)
    for turn in range(first, last):
        back, within = (turn - 1) // (inner + 1), (turn - 1) % (inner + 1)
        s0 = ((steps - 1) // block - back) * block
        s1 = min(s0 + block, steps)
        if turn == 0:
            share = dp.size // workers
            for i in range(w * share, dp.size if w == workers - 1 else (w + 1) * share):
                dp[i] = 0
            last_state(w, workers, order, P, h, dh, ldh)
            last_state(w, workers, order, H, c, dc, ldc)
            transpose_panels(w, workers, panels, depth, 1, D, nb, wt, 0)
            transpose_panels(w, workers, panels, depth, 1 + D, P, nb, ut, 0)
            if second.ndim == 3:  # V transposed, behind U
                transpose_panels(w, workers, flat(second), H, 0, H, second.shape[0], ut,
                                 second.shape[0] * BLOCK * L * nb * BLOCK * L)  # fmt: skip
        elif within < inner:
            backward_share(w, workers, wide, within, s0, s1, *rows)
        else:
            backward_sums(w, workers, bases[s1] - bases[s0], cell, second, D, wt, H, P, dz, ldz, a, lda, where, dx, dp,
                          tmp, zeros)  # fmt: skip
            if turn == turns - 1:  # a worker has the sums of its own panels
                out_of_panels(w, workers, cell, dp, stride, second, D, H, P, dW, dU, dV, db)
                first_state(w, workers, order, lens, reset, mask, reverse, T, H, P, dh, ldh, dc, ldc, h, c)
