"""Systems that compute cells beside the standard one, each in a process of its own as in systems.py: run as a file by
`own_cells`, with the names of a system and of a cell.

"gru" is the one that frameworks have; the others are of one's own (benchmarks/own.py), written as their users write
them: in PyTorch as a loop over the steps, whose step may be compiled, in JAX as a compiled scan. Weights come in the
order W, U, then b; of the GRU b_n too, and of the cell with unit weights p and q before b.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from asv_benchmarks.benchmarks.own import own_cells
from asv_benchmarks.benchmarks.shapes import GATES
from asv_benchmarks.systems import Work, inputs, jax_scan, serve, threads
from asv_benchmarks.systems import weights as table_weights


def weights(cell: str, D: int, H: int) -> list[Any]:
    """As `_arrays` takes them apart."""
    if cell == "gru":
        return table_weights(D, H, "gru")
    rng, k, G = np.random.default_rng(0), 1 / np.sqrt(H), GATES[cell]
    shapes = [(D, G * H), (H, G * H), *([(2 * H,)] if cell == "peeking" else []), (G * H,)]
    return [rng.uniform(-k, k, shape).astype(np.float32) for shape in shapes]


def fastlstm(mode: str, N: int, T: int, D: int, H: int, cell: str) -> Work:
    import fastlstm

    x, arrays = inputs(N, T, D), weights(cell, D, H)
    if cell == "gru":
        params: Any = fastlstm.GRUParams(*arrays)
    else:
        W, U, *w, b = arrays
        params = own_cells()[cell].record(W, U, *(w or [np.zeros(0, np.float32)]), b)
    packed = fastlstm.pack(params)
    if mode == "infer":
        return lambda: (fastlstm.forward(x, packed)[0],)
    if mode == "step":
        x0, state = x[:, 0].copy(), fastlstm.zero_state(params, N)

        def step() -> tuple[Any, ...]:
            fastlstm.step(x0, packed, state)
            return (state.h,)

        return step
    dy = np.ones((N, T, H), np.float32)

    def train() -> tuple[Any, ...]:
        y, _, tape = fastlstm.forward_train(x, params)
        grads = fastlstm.backward(tape, dy)
        return y, grads.x, *(a for a in grads.params if a.size)

    return train


def of_step(cell: str, sigmoid: Any, tanh: Any) -> Callable[..., tuple[Any, Any]]:
    """The equations over a framework's arrays: parts of x's and of h's sums, the old state and unit weights -> h, c."""

    def gru(zx: Any, zh: Any, h: Any, c: Any, w: Any) -> tuple[Any, Any]:
        r, u = sigmoid(zx[0] + zh[0]), sigmoid(zx[1] + zh[1])
        n = tanh(zx[2] + r * (zh[2] + w))
        return (1 - u) * n + u * h, c

    def coupled(zx: Any, zh: Any, h: Any, c: Any, w: Any) -> tuple[Any, Any]:
        f, o = sigmoid(zx[0] + zh[0]), sigmoid(zx[2] + zh[2])
        c = f * c + (1 - f) * tanh(zx[1] + zh[1])
        return o * tanh(c), c

    def peeking(zx: Any, zh: Any, h: Any, c: Any, w: Any) -> tuple[Any, Any]:
        H = len(w) // 2
        f = sigmoid(zx[0] + zh[0] + w[:H] * c)
        c = f * c + (1 - f) * tanh(zx[1] + zh[1])
        return sigmoid(zx[2] + zh[2] + w[H:] * c) * tanh(c), c

    return {"gru": gru, "coupled": coupled, "peeking": peeking}[cell]


def _arrays(cell: str, arrays: list[Any]) -> tuple[Any, Any, Any, Any]:
    """W, U, b, and the unit weights or None."""
    if cell == "peeking":
        W, U, w, b = arrays
        return W, U, b, w
    W, U, b, *w = arrays
    return W, U, b, w[0] if w else None


def torch(mode: str, N: int, T: int, D: int, H: int, cell: str, compiled: bool = False) -> Work:
    import torch

    torch.set_num_threads(threads())
    if cell == "gru":
        return _torch_gru(mode, N, T, D, H)
    one = _torch_step(cell, compiled)
    arrays, x = [torch.from_numpy(a) for a in weights(cell, D, H)], torch.from_numpy(inputs(N, T, D))
    W, U, b, w = _arrays(cell, arrays)

    def sequences() -> Any:
        h = c = torch.zeros(N, H)
        zx, ys = (x @ W + b).unbind(1), []
        for t in range(T):
            h, c = one(zx[t], h, c, U, w)
            ys.append(h)
        return torch.stack(ys, 1)

    if mode == "infer":

        def infer() -> tuple[Any, ...]:
            with torch.inference_mode():
                return (sequences().numpy(),)

        return infer
    if mode == "step":
        x0, state = x[:, 0].contiguous(), [torch.zeros(N, H), torch.zeros(N, H)]

        def step() -> tuple[Any, ...]:
            with torch.inference_mode():
                state[:] = one(x0 @ W + b, *state, U, w)
                return (state[0].numpy(),)

        return step
    for array in (x, *arrays):
        array.requires_grad_()

    def train() -> tuple[Any, ...]:
        for array in (x, *arrays):
            array.grad = None
        y = sequences()
        y.sum().backward()
        return y.detach().numpy(), x.grad.numpy(), *(array.grad.numpy() for array in arrays)

    return train


@cache
def _torch_step(cell: str, compiled: bool) -> Any:
    """Compiled, it takes any sizes from the second shape on."""
    import torch

    equations = of_step(cell, torch.sigmoid, torch.tanh)

    def one(zx: Any, h: Any, c: Any, U: Any, w: Any) -> tuple[Any, Any]:
        return equations(zx.chunk(3, -1), (h @ U).chunk(3, -1), h, c, w)

    if not compiled:
        return one
    torch._dynamo.config.recompile_limit = 64  # beyond it would silently not be compiled
    return torch.compile(one)


def torch_compiled(mode: str, N: int, T: int, D: int, H: int, cell: str) -> Work:
    return torch(mode, N, T, D, H, cell, compiled=True)


def _torch_gru(mode: str, N: int, T: int, D: int, H: int) -> Work:
    import torch

    gru = torch.nn.GRUCell(D, H) if mode == "step" else torch.nn.GRU(D, H, batch_first=True)
    parameters = list(gru.parameters())  # of x, of h, and two biases
    W, U, b, b_n = (torch.from_numpy(a) for a in weights("gru", D, H))
    with torch.no_grad():
        for parameter, value in zip(parameters, (W.T, U.T, b, torch.cat([torch.zeros(2 * H), b_n])), strict=True):
            parameter.copy_(value)
    x = torch.from_numpy(inputs(N, T, D))
    if mode == "infer":

        def infer() -> tuple[Any, ...]:
            with torch.inference_mode():
                return (gru(x)[0].numpy(),)

        return infer
    if mode == "step":
        x0, state = x[:, 0].contiguous(), [torch.zeros(N, H)]

        def step() -> tuple[Any, ...]:
            with torch.inference_mode():
                state[0] = gru(x0, state[0])
                return (state[0].numpy(),)

        return step
    x.requires_grad_()

    def train() -> tuple[Any, ...]:
        gru.zero_grad()
        x.grad = None
        y = gru(x)[0]
        y.sum().backward()
        dW, dU, db, dh = (parameter.grad.numpy() for parameter in parameters)
        return y.detach().numpy(), x.grad.numpy(), dW.T, dU.T, db, dh[2 * H :]

    return train


def onnxruntime(mode: str, N: int, T: int, D: int, H: int, cell: str) -> Work:
    """The GRU alone, which it has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    x = np.ascontiguousarray(inputs(N, T, D).swapaxes(0, 1))
    x = x[:1] if mode == "step" else x
    model = _onnx_gru(N, len(x), D, H, mode == "step")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    if mode == "infer":
        return lambda: (session.run(None, {"x": x})[0][:, 0].swapaxes(0, 1),)
    state = [np.zeros((1, N, H), np.float32)]

    def step() -> tuple[Any, ...]:
        state[:] = session.run(None, {"x": x, "h0": state[0]})
        return (state[0][0],)

    return step


def _onnx_gru(N: int, T: int, D: int, H: int, step: bool) -> bytes:
    """Time first, gates in the order z, r, h. x -> y; as a step x, h0 -> h."""
    from onnx import TensorProto, helper, numpy_helper

    W, U, b, b_n = weights("gru", D, H)
    W, U, b = (np.concatenate([np.split(a, 3, axis=-1)[n] for n in (1, 0, 2)], axis=-1) for a in (W, U, b))
    of_h = np.concatenate([np.zeros(2 * H, np.float32), b_n])
    constants = {"W": W.T[None], "R": U.T[None], "B": np.concatenate([b, of_h])[None]}

    def arrays(shape: list[int], *names: str) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]

    before, after = (["", "h0"], ["", "h"]) if step else ([], ["y"])
    graph = helper.make_graph(
        [helper.make_node("GRU", ["x", *constants, *before], after, hidden_size=H, linear_before_reset=1)],
        "gru",
        arrays([T, N, D], "x") + arrays([1, N, H], *before[1:]),
        arrays([1, N, H], "h") if step else arrays([T, 1, N, H], "y"),
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def jax(mode: str, N: int, T: int, D: int, H: int, cell: str) -> Work:
    import jax
    import jax.numpy as jnp

    equations = of_step(cell, jax.nn.sigmoid, jnp.tanh)

    def one(arrays: Any, state: Any, zx: Any) -> Any:
        _, U, _, w = _arrays(cell, arrays)
        return equations(jnp.split(zx, 3, -1), jnp.split(state[0] @ U, 3, -1), *state, w)

    def of_x(arrays: Any, x: Any) -> Any:
        W, _, b, _ = _arrays(cell, arrays)
        return x @ W + b

    return jax_scan(mode, weights(cell, D, H), inputs(N, T, D), one, of_x)


SYSTEMS = {make.__name__: make for make in (fastlstm, torch, torch_compiled, onnxruntime, jax)}


if __name__ == "__main__":
    serve(SYSTEMS[sys.argv[1]], *sys.argv[2:])
