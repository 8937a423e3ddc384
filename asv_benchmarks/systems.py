"""One system in a process of its own: answers each line {"mode", "shape", "seconds"} on its standard input.

Run as a file, so that the fastlstm it imports is the first on PYTHONPATH: `compare` runs it on other commits. All
systems get the same weights and inputs, laid out as each likes best before the clock starts. float32; training is
forward, then backward of the sum of y, for the gradients of x and of all weights. A second argument names another cell.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Work = Callable[[], tuple[Any, ...]]  # does the work once: returns y, or y, dx and the gradients of the weights
INFER_ONLY = {"onnxruntime", "openvino"}
OF_ANY_CELL = ["fastlstm", "reference", "jax"]


def weights(D: int, H: int, cell: str = "standard") -> list[Any]:
    """W (D, 4H), U (H, 4H) and b (4H,), gates i, f, g, o; of the interpolated cell W (D, 3H), U, V (H, H), b (3H,)."""
    rng, k = np.random.default_rng(0), 1 / np.sqrt(H)
    shapes = {
        "standard": ((D, 4 * H), (H, 4 * H), (4 * H,)),
        "interpolated": ((D, 3 * H), (H, 4 * H), (H, H), (3 * H,)),
    }
    return [rng.uniform(-k, k, s).astype(np.float32) for s in shapes[cell]]


def inputs(N: int, T: int, D: int) -> Any:
    return np.random.default_rng(1).standard_normal((N, T, D), np.float32)


def threads() -> int:
    """Threads that every system gets: Numba's, which NUMBA_NUM_THREADS sets."""
    import numba

    return int(numba.config.NUMBA_NUM_THREADS)


def fastlstm(mode: str, N: int, T: int, D: int, H: int, cell: str = "standard") -> Work:
    import fastlstm

    return _own(fastlstm, mode, inputs(N, T, D), _record(cell, D, H), fastlstm.pack)


def reference(mode: str, N: int, T: int, D: int, H: int, cell: str = "standard") -> Work:
    import fastlstm

    return _own(fastlstm.reference, mode, inputs(N, T, D), _record(cell, D, H), lambda params: params)


def _record(cell: str, D: int, H: int) -> Any:
    import fastlstm

    record = fastlstm.Params if cell == "standard" else fastlstm.InterpolatedParams  # an older commit has no other
    return record(*weights(D, H, cell))


def _own(module: Any, mode: str, x: Any, params: Any, pack: Callable[[Any], Any]) -> Work:
    if mode == "infer":
        packed = pack(params)
        return lambda: (module.forward(x, packed)[0],)

    dy = np.ones((*x.shape[:2], len(params.U)), np.float32)

    def train() -> tuple[Any, ...]:
        y, _, tape = module.forward_train(x, params)
        grads = module.backward(tape, dy)
        return y, grads.x, *grads.params

    return train


def torch(mode: str, N: int, T: int, D: int, H: int) -> Work:
    import torch

    torch.set_num_threads(threads())
    lstm = torch.nn.LSTM(D, H, batch_first=True)
    W, U, b = (torch.from_numpy(a) for a in weights(D, H))
    own = (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0)
    with torch.no_grad():
        for parameter, value in zip((*own, lstm.bias_hh_l0), (W.T, U.T, b, torch.zeros_like(b)), strict=True):
            parameter.copy_(value)
    x = torch.from_numpy(inputs(N, T, D))
    if mode == "infer":

        def infer() -> tuple[Any, ...]:
            with torch.inference_mode():
                return (lstm(x)[0].numpy(),)

        return infer
    x.requires_grad_()

    def train() -> tuple[Any, ...]:
        lstm.zero_grad()
        x.grad = None
        y = lstm(x)[0]
        y.sum().backward()
        dW, dU, db = (parameter.grad.numpy() for parameter in own)
        return y.detach().numpy(), x.grad.numpy(), dW.T, dU.T, db

    return train


def onnx_model(N: int, T: int, D: int, H: int) -> bytes:
    """An ONNX LSTM node: time first, gates in the order i, o, f, g."""
    from onnx import TensorProto, helper, numpy_helper

    W, U, b = (np.concatenate([np.split(a, 4, axis=-1)[n] for n in (0, 3, 1, 2)], axis=-1) for a in weights(D, H))
    constants = {"W": W.T[None], "R": U.T[None], "B": np.concatenate([b, np.zeros_like(b)])[None]}
    node = helper.make_node("LSTM", ["x", *constants], ["y"], hidden_size=H)
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, N, D])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [T, 1, N, H])],
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def onnxruntime(mode: str, N: int, T: int, D: int, H: int) -> Work:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    model = onnx_model(N, T, D, H)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x = np.ascontiguousarray(inputs(N, T, D).swapaxes(0, 1))
    return lambda: (session.run(None, {"x": x})[0][:, 0].swapaxes(0, 1),)


def openvino(mode: str, N: int, T: int, D: int, H: int) -> Work:
    import openvino

    core = openvino.Core()
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads()}
    request = core.compile_model(core.read_model(onnx_model(N, T, D, H)), "CPU", config).create_infer_request()
    x = np.ascontiguousarray(inputs(N, T, D).swapaxes(0, 1))
    return lambda: (request.infer({"x": x}, share_inputs=True, share_outputs=True)["y"][:, 0].swapaxes(0, 1),)


def jax(mode: str, N: int, T: int, D: int, H: int, cell: str = "standard") -> Work:
    import jax
    import jax.numpy as jnp

    params, x = [jnp.asarray(a) for a in weights(D, H, cell)], jnp.asarray(inputs(N, T, D))

    def standard(params: Any, x: Any) -> Any:
        W, U, b = params

        def step(state: Any, z: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(z + h @ U, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((N, H))
        return jax.lax.scan(step, (zero, zero), (x @ W + b).swapaxes(0, 1))[1].swapaxes(0, 1)

    def interpolated(params: Any, x: Any) -> Any:
        W, U, V, b = params
        own, of_o = jnp.concatenate((b[: 2 * H], jnp.zeros(H))), b[2 * H :]

        def step(state: Any, z: Any) -> Any:
            h, c = state
            zh = h @ U
            i, f, a = jnp.split(z + zh[:, : 3 * H], 3, axis=-1)
            i, f = jax.nn.sigmoid(i), jax.nn.sigmoid(f)
            c = f * c + i * jnp.tanh(f * c + i * a)
            o = jax.nn.sigmoid(zh[:, 3 * H :] + c @ V + of_o)
            h = (1 - o) * h + o * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((N, H))
        return jax.lax.scan(step, (zero, zero), (x @ W + own).swapaxes(0, 1))[1].swapaxes(0, 1)

    lstm = {"standard": standard, "interpolated": interpolated}[cell]
    if mode == "infer":
        forward = jax.jit(lstm)
        return lambda: (np.asarray(forward(params, x)),)

    def loss(params: Any, x: Any) -> Any:
        y = lstm(params, x)
        return y.sum(), y

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))

    def train() -> tuple[Any, ...]:
        (dparams, dx), y = gradient(params, x)
        return tuple(map(np.asarray, (y, dx, *dparams)))

    return train


SYSTEMS = {make.__name__: make for make in (fastlstm, reference, torch, onnxruntime, openvino, jax)}


def projections(results: tuple[Any, ...]) -> list[list[float]]:
    """Of each array a sum with random weights, and its norm: two arrays a relative distance e apart differ in the
    former by about e norms, wherever they differ."""
    found = []
    for result in results:
        flat = np.asarray(result, np.float64).ravel()
        probe = np.random.default_rng(2).standard_normal(flat.size)
        # no BLAS: its threads would spin on into what is timed next
        found.append([float((probe * flat).sum()), float(np.sqrt((flat * flat).sum()))])
    return found


def main(system: str, *cell: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints stays out of the answers
    key, work, check = None, None, None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if key != (question["mode"], question["shape"]):
                key, work = (question["mode"], question["shape"]), None  # the old problem's memory goes first
                work = SYSTEMS[system](question["mode"], *question["shape"], *cell)
                check = projections(work())
                work()
            begin = time.perf_counter()
            work()
            while time.perf_counter() - begin < question["seconds"] / 4:
                work()  # meanwhile the threads of whoever had the turn before cease to spin
            begin, calls = time.perf_counter(), 0
            while calls < 2 or time.perf_counter() - begin < question["seconds"]:
                work()
                calls += 1
            answer = {"seconds": (time.perf_counter() - begin) / calls, "check": check}
        except Exception as error:  # a system that cannot do this is left out of it, by name
            key, answer = None, {"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
