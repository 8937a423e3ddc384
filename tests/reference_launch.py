"""In the place of `fastlstm.cuda.launch`: the reference, on arrays of the simulator. It shows what the door does
without waiting for simulated kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastlstm import reference
from fastlstm.cells.table import cell_with
from fastlstm.cuda.records import DeviceWeights
from fastlstm.params import CELLS, sizes

streams: list[Any] = []  # of the calls


def _off(record: Any) -> Any:
    return type(record)(*(array.copy_to_host() for array in record))


def _on(array: Any) -> Any:
    from numba import cuda

    return cuda.to_device(np.ascontiguousarray(array))


class Room(NamedTuple):
    given: list[Any]


def pack(params: Any, stream: Any = 0) -> DeviceWeights:
    streams.append(stream)
    _as_promised(*params)
    arrays = [_on(array.copy_to_host().copy()) for array in params]
    D, H, P = sizes(params)
    return DeviceWeights(cell_with(type(params)), D, H, P, *(arrays + [_on(np.zeros(1, params.W.dtype))] * 6)[:6])


def unpack(weights: DeviceWeights, stream: Any = 0) -> Any:
    record = CELLS[weights.cell.name]
    return record(*weights[4 : 4 + len(record._fields)])


def rows_at_once(weights: DeviceWeights) -> int:
    return 1


def schedule(N: int, T: int, lengths: Any = None, reset: Any = None, *, reverse: bool = False,
             most: int | None = None) -> Any:  # fmt: skip
    assert all(one is None or type(one) is np.ndarray for one in (lengths, reset))
    return {"lengths": lengths, "reset": reset, "reverse": reverse}


def kinds(weights: DeviceWeights, batch: Any) -> Iterator[str]:
    return iter(("small", "product"))


def keep(weights: DeviceWeights, batch: Any, stream: Any = 0) -> Room:
    return Room([])


def _as_promised(*arrays: Any) -> None:
    assert all(array._ary.flags.c_contiguous for array in arrays if array is not None)


def _problem(weights: DeviceWeights, batch: Any) -> tuple[Any, Any, dict[str, Any]]:
    _as_promised(batch.x, batch.mask)
    mask = None if batch.mask is None else batch.mask.copy_to_host()
    return batch.x.copy_to_host(), _off(unpack(weights)), {**batch.schedule, "h_mask": mask}


def run_forward(weights: DeviceWeights, batch: Any, state: Any, y: Any, column: int = 0, kept: Any = None,
                stream: Any = 0) -> None:  # fmt: skip
    streams.append(stream)
    x, params, options = _problem(weights, batch)
    _as_promised(y, *state)
    begin = _off(state)
    found, last = reference.forward(x, params, begin, **options)
    if kept is not None:
        kept.given.append(begin)
    y._ary[:, :, column : column + weights.P] = found
    for mine, new in zip(state, last, strict=True):
        mine._ary[...] = new


def run_backward(weights: DeviceWeights, batch: Any, kept: Any, dy: Any, dstate: Any, dx: Any, column: int = 0,
                 stream: Any = 0) -> Any:  # fmt: skip
    streams.append(stream)
    x, params, options = _problem(weights, batch)
    _as_promised(dy, dx, *dstate)
    _, _, tape = reference.forward_train(x, params, kept.given[0], **options)
    above = None if dy is None else dy.copy_to_host()[:, :, column : column + weights.P]
    grads = reference.backward(tape, above, _off(dstate))
    dx._ary[...] += grads.x
    for mine, new in zip(dstate, grads.state, strict=True):
        mine._ary[...] = new
    return type(params)(*map(_on, grads.params))


def cells_of(weights: DeviceWeights, batch: Any, kept: Any, c: Any, stream: Any = 0) -> None:
    x, params, options = _problem(weights, batch)
    c._ary[...] = reference.forward_cells(x, params, kept.given[0], **options)[2]
