"""The cells' equations on NumPy arrays, which are Numbers too: steps made phase by phase as the table says, forward and
backward, against the reference. Nothing is compiled here, so a new cell is tried in a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_numbers import Numbers
from oracles import error, random_params, random_state

from fastlstm import reference
from fastlstm.cells.phases import (
    Cell,
    Gates,
    Given,
    LaterGate,
    Moments,
    NormalGates,
    NormalOutput,
    Normed,
    Product,
    Projection,
    Rows,
    Waiting,
)
from fastlstm.cells.table import CELLS
from fastlstm.params import NORMALIZED_EPSILON, sizes


def arrays_of(params: Any) -> list[Any]:
    """b, W, U, and the fourth of a cell that has one."""
    others = [field for field in params._fields if field not in ("b", "W", "U")]
    return [getattr(params, field).view(Numbers) for field in ("b", "W", "U", *others)]


def gates_of(array: Any, columns: tuple[int, ...], H: int, gates: Any = Gates) -> Any:
    return gates(*(None if at < 0 else array[..., at * H : (at + 1) * H] for at in columns))


def moments(v: Any) -> Moments:
    mean = v.mean(axis=-1, keepdims=True)
    return Moments(mean, 1 / np.sqrt(((v - mean) ** 2).mean(axis=-1, keepdims=True) + NORMALIZED_EPSILON))


def means(dn: Any, v: Any) -> Moments:
    """Of a gradient of v normalized, and of its product with that."""
    mean, scale = moments(v)
    return Moments(dn.mean(axis=-1, keepdims=True), (dn * (v - mean) * scale).mean(axis=-1, keepdims=True))


class Engine:
    """Steps of one layer; `tapes` has what each step keeps."""

    def __init__(self, cell: Cell, params: Any) -> None:
        self.cell, self.H = cell, sizes(params)[1]
        self.arrays = arrays_of(params)
        self.grads = [np.zeros_like(a) for a in self.arrays]
        self.weights: Rows = tuple(gates_of(self.arrays[n], row, self.H, cell.gates) for n, row in cell.unit_weights)
        self.tapes: list[Any] = []

    def sums(self, x: Any, h: Any) -> Gates:
        """z = [1, x, h] @ [b; W; U], of the gates that each of them has."""
        found: list[Any] = [0.0] * self.cell.gate_count
        for operand, array, columns in zip((1, x, h), self.arrays, self.cell.columns, strict=False):
            for gate, block in enumerate(gates_of(array, columns, self.H, self.cell.gates)):
                if block is not None:
                    found[gate] = found[gate] + (block if array.ndim == 1 else operand @ block)
        return self.cell.gates(*found)

    def step(self, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        kept: list[Any] = []
        out, c_new, z = h, c, self.sums(x, h)
        for phase in self.cell.phases:
            if isinstance(phase, Product):
                made, c_new, out = phase.forward(z, c, self.weights, *([h] if phase.reads_h else []))
            elif isinstance(phase, LaterGate):
                made, _, out = phase.forward(tuple(kept), out + c_new @ self.later(self.arrays), c_new, h)
            elif isinstance(phase, Projection):
                made, out = (h,), out @ self.arrays[3]
            elif isinstance(phase, Waiting):
                made = tuple(z)
            elif isinstance(phase, NormalGates):
                made, c_new, out = phase.forward(z, c, Gates(*map(moments, z)), self.weights)
            else:
                made, _, out = phase.forward(out, h, c_new, moments(c_new), self.weights)
            kept += made
        self.tapes.append((self.cell.tape(*kept), x, h, c, c_new))
        return out, c_new

    def later(self, arrays: list[Any]) -> Any:
        """The second phase's weights, or their gradients."""
        first = self.cell.later_block * self.H
        return arrays[self.cell.later_array][:, first : first + self.H]

    def back(self, t: int, dh: Any, dc: Any) -> tuple[Any, Any, Any]:
        """From the gradients of a step's h and c those of its x, of the old h and of the old c; weights' add up."""
        kept, x, h, c, c_new = self.tapes[t]
        tanh_c, past, later, dw = np.tanh(c_new), 0.0, None, []
        dz = Gates()
        for phase in reversed(self.cell.phases):
            if isinstance(phase, Product):
                given = Given(kept, self.tapes[t - 1][0], c, tanh_c, dh, dc, self.weights)
                found, dc, t_old, h_old, rows, dh_past = phase.backward(given)
                past = past if dh_past is None else dh_past
                assert t_old is None or error(t_old, np.tanh(c)) < 1e-14
                assert t == 0 or error(h_old, h) < 1e-14  # made again, or from the tape
                dz = self.cell.gates(*(later if one is None else one for one in found))
                dw.append(rows)
            elif isinstance(phase, LaterGate):
                later, past, dc = phase.backward(kept, tanh_c, dh, dc)
                self.later(self.grads)[...] += c_new.T @ later
                dc = dc + later @ self.later(self.arrays).T
            elif isinstance(phase, Projection):
                self.grads[3] += phase.m(kept, tanh_c).T @ dh
                dh = dh @ self.arrays[3].T
            elif isinstance(phase, NormalOutput):
                dw.append(phase.backward(kept, c_new, dh, moments(c_new), self.weights))
            elif isinstance(phase, NormalGates):
                (last,) = dw
                of_z, dn = Gates(*map(moments, kept.z)), last.c_shift.i * self.weights[2].i
                normed = Normed(c_new, c, dc, last, moments(c_new), means(dn, c_new))
                dc, rows = phase.backward(kept, normed, of_z, self.weights)
                dw.append(rows)
                dz = rows.z_shift._replace(o=last.z_shift.o)
            else:
                scaled = [d * s for d, s in zip(dz, self.weights[0], strict=True)]
                of = Gates(*map(means, scaled, kept.z))
                dz, _ = phase.backward(kept, dz, Gates(*map(moments, kept.z)), of, self.weights)
        dx, dh_old = np.zeros_like(x), past + np.zeros_like(h)
        for operand, n, out in ((None, 0, None), (x, 1, dx), (h, 2, dh_old)):
            weights, sums = (
                gates_of(all_[n], self.cell.columns[n], self.H, self.cell.gates) for all_ in (self.arrays, self.grads)
            )
            for gradient, block, total in zip(dz, weights, sums, strict=True):
                if block is not None:
                    total += gradient.sum(axis=0) if operand is None else operand.T @ gradient
                    if out is not None:
                        out += gradient @ block.T
        for rows in dw:
            for found, (n, columns) in zip(rows, self.cell.unit_weights, strict=True):
                for gradient, total in zip(
                    found, gates_of(self.grads[n], columns, self.H, self.cell.gates), strict=True
                ):
                    if gradient is not None:
                        total += gradient.sum(axis=0)
        return (dx, dh_old + dc, np.zeros_like(dc)) if self.cell.gates_h else (dx, dh_old, dc)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_equations(cell: Cell, rng: Any) -> None:
    N, T, D, H = 3, 5, 4, 6
    params = random_params(rng, D, H, cell=cell.name)
    x, first = rng.standard_normal((N, T, D)).view(Numbers), random_state(rng, params, N)
    y, last, tape = reference.forward_train(x, params, first)
    dy, dlast = rng.standard_normal(y.shape).view(Numbers), random_state(rng, params, N)
    expected = reference.backward(tape, dy, dlast)
    engine, ys, dxs = Engine(cell, params), [], []
    h, c = first[0].view(Numbers), first[-1].view(Numbers)
    for t in range(T):
        h, c = engine.step(x[:, t], h, c)
        ys.append(h)
    assert error((np.stack(ys, 1), (h, c)[: len(last)]), (y, last)) < 1e-13
    dh, dc = dlast[0].view(Numbers), (np.zeros((N, H)) if cell.alone else dlast[-1]).view(Numbers)
    for t in reversed(range(T)):
        dx, dh, dc = engine.back(t, dh + dy[:, t], dc)
        dxs.insert(0, dx)
    dfirst = (dh + dc,) if cell.alone else (dh, dc)
    assert error((np.stack(dxs, 1), dfirst), (expected.x, expected.state)) < 1e-13
    assert error(engine.grads, arrays_of(expected.params)) < 1e-13
