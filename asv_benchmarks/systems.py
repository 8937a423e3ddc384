"""One system in a process of its own: answers each line {"mode", "shape", "seconds"} on its standard input.

Run as a file, so that the fastlstm it imports is the first on PYTHONPATH: `compare` runs it on other commits. All
systems get the same weights and inputs, laid out as each likes best before the clock starts. float32. "infer" is the
whole sequence; "train" forward, then backward of the sum of y, for the gradients of x and of all weights; "step" one
time step from Python, T left aside, the state kept for the next call. A second argument names another cell, for the
systems that have one: fastlstm, reference, jax.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from asv_benchmarks.benchmarks.shapes import RECORDS

Work = Callable[[], tuple[Any, ...]]  # does the work once: returns y (infer), h (step), or y, dx and weights' gradients
Finish = Callable[[Any], Any]  # waits for a result
STEPS_CHECKED = 5  # by then h depends on all weights
INFER_ONLY = {"onnxruntime", "openvino"}


def weights(D: int, H: int, cell: str = "standard") -> list[Any]:
    """W (D, 4H), U (H, 4H) and b (4H,), gates i, f, g, o; of the interpolated cell W (D, 3H), U, V (H, H), b (3H,); of
    the projected cell, whose h is half as wide as c, W, U (P, 4H), V (H, P), b; of the peephole cell W, U, p (3H,),
    b; of the normalized cell W, U, s (5H,) around 1, b (5H,); of the GRUs W (D, 3H), U (H, 3H), b (3H,), and of the one
    whose reset gate acts after the product b_n (H,)."""
    rng, k, P = np.random.default_rng(0), 1 / np.sqrt(H), H // 2
    shapes = {
        "standard": ((D, 4 * H), (H, 4 * H), (4 * H,)),
        "interpolated": ((D, 3 * H), (H, 4 * H), (H, H), (3 * H,)),
        "projected": ((D, 4 * H), (P, 4 * H), (H, P), (4 * H,)),
        "peephole": ((D, 4 * H), (H, 4 * H), (3 * H,), (4 * H,)),
        "normalized": ((D, 4 * H), (H, 4 * H), (5 * H,), (5 * H,)),
        "gru": ((D, 3 * H), (H, 3 * H), (3 * H,), (H,)),
        "gru_before": ((D, 3 * H), (H, 3 * H), (3 * H,)),
    }
    arrays = [rng.uniform(-k, k, shape).astype(np.float32) for shape in shapes[cell]]
    if cell == "normalized":
        arrays[2] += 1
    return arrays


def inputs(N: int, T: int, D: int) -> Any:
    return np.random.default_rng(1).standard_normal((N, T, D), np.float32)


def threads() -> int:
    """Threads that every system gets: Numba's, which NUMBA_NUM_THREADS sets."""
    import numba

    return int(numba.config.NUMBA_NUM_THREADS)


def fastlstm(mode: str, N: int, T: int, D: int, H: int, cell: str = "standard") -> Work:
    import fastlstm

    x, params = inputs(N, T, D), _record(cell, D, H)
    packed = fastlstm.pack(params)
    if mode == "infer":
        return lambda: (fastlstm.forward(x, packed)[0],)
    if mode == "train":
        return _training(fastlstm, x, params)
    x0, state = x[:, 0].copy(), fastlstm.zero_state(params, N)

    def step() -> tuple[Any, ...]:
        fastlstm.step(x0, packed, state)
        return (state.h,)

    return step


def reference(mode: str, N: int, T: int, D: int, H: int, cell: str = "standard") -> Work:
    from fastlstm import reference, zero_state

    x, params = inputs(N, T, D), _record(cell, D, H)
    if mode == "infer":
        return lambda: (reference.forward(x, params)[0],)
    if mode == "train":
        return _training(reference, x, params)
    first, kept = x[:, :1], [zero_state(params, N)]

    def step() -> tuple[Any, ...]:
        kept[0] = reference.forward(first, params, kept[0])[1]
        return (kept[0].h,)

    return step


def _record(cell: str, D: int, H: int) -> Any:
    import fastlstm

    return getattr(fastlstm, RECORDS[cell])(*weights(D, H, cell))


def _training(module: Any, x: Any, params: Any) -> Work:
    dy = np.ones((*x.shape[:2], len(params.U)), np.float32)

    def train() -> tuple[Any, ...]:
        y, _, tape = module.forward_train(x, params)
        grads = module.backward(tape, dy)
        return y, grads.x, *grads.params

    return train


def torch(mode: str, N: int, T: int, D: int, H: int) -> Work:
    import torch

    torch.set_num_threads(threads())
    lstm = torch.nn.LSTMCell(D, H) if mode == "step" else torch.nn.LSTM(D, H, batch_first=True)
    parameters = load(lstm, D, H)
    x = torch.from_numpy(inputs(N, T, D))
    if mode == "infer":

        def infer() -> tuple[Any, ...]:
            with torch.inference_mode():
                return (lstm(x)[0].numpy(),)

        return infer
    if mode == "step":
        x0, zero = x[:, 0].contiguous(), torch.zeros(N, H)
        state = [(zero, zero)]

        def step() -> tuple[Any, ...]:
            with torch.inference_mode():
                state[0] = lstm(x0, state[0])
                return (state[0][0].numpy(),)

        return step
    x.requires_grad_()

    def train() -> tuple[Any, ...]:
        lstm.zero_grad()
        x.grad = None
        y = lstm(x)[0]
        y.sum().backward()
        dW, dU, db = (parameter.grad.numpy() for parameter in parameters[:3])
        return y.detach().numpy(), x.grad.numpy(), dW.T, dU.T, db

    return train


def load(lstm: Any, D: int, H: int) -> list[Any]:
    """The weights into PyTorch's LSTM: its parameters, of x, of h, and two biases."""
    import torch

    parameters = list(lstm.parameters())
    W, U, b = (torch.from_numpy(a) for a in weights(D, H))
    with torch.no_grad():
        for parameter, value in zip(parameters, (W.T, U.T, b, torch.zeros_like(b)), strict=True):
            parameter.copy_(value)
    return parameters


def onnx_model(N: int, T: int, D: int, H: int, step: bool) -> bytes:
    """An ONNX LSTM node: time first, gates in the order i, o, f, g. x -> y; as a step x, h0, c0 -> h, c."""
    from onnx import TensorProto, helper, numpy_helper

    W, U, b = (np.concatenate([np.split(a, 4, axis=-1)[n] for n in (0, 3, 1, 2)], axis=-1) for a in weights(D, H))
    constants = {"W": W.T[None], "R": U.T[None], "B": np.concatenate([b, np.zeros_like(b)])[None]}

    def arrays(shape: list[int], *names: str) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]

    before, after = (["", "h0", "c0"], ["", "h", "c"]) if step else ([], ["y"])
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", *constants, *before], after, hidden_size=H)],
        "lstm",
        arrays([T, N, D], "x") + arrays([1, N, H], *before[1:]),
        arrays([1, N, H], "h", "c") if step else arrays([T, 1, N, H], "y"),
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def onnxruntime(mode: str, N: int, T: int, D: int, H: int) -> Work:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    x = np.ascontiguousarray(inputs(N, T, D).swapaxes(0, 1))
    x = x[:1] if mode == "step" else x
    model = onnx_model(N, len(x), D, H, mode == "step")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    if mode == "infer":
        return lambda: (session.run(None, {"x": x})[0][:, 0].swapaxes(0, 1),)
    state = [np.zeros((1, N, H), np.float32)] * 2

    def step() -> tuple[Any, ...]:
        state[:] = session.run(None, {"x": x, "h0": state[0], "c0": state[1]})
        return (state[0][0],)

    return step


def openvino(mode: str, N: int, T: int, D: int, H: int) -> Work:
    import openvino

    core = openvino.Core()
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads()}
    x = np.ascontiguousarray(inputs(N, T, D).swapaxes(0, 1))
    x = x[:1] if mode == "step" else x
    model = core.read_model(onnx_model(N, len(x), D, H, mode == "step"))
    request = core.compile_model(model, "CPU", config).create_infer_request()

    def run(**inputs: Any) -> Any:
        return request.infer(inputs, share_inputs=True, share_outputs=True)

    if mode == "infer":
        return lambda: (run(x=x)["y"][:, 0].swapaxes(0, 1),)
    state = [np.zeros((1, N, H), np.float32)] * 2

    def step() -> tuple[Any, ...]:
        found = run(x=x, h0=state[0], c0=state[1])
        state[:] = found["h"].copy(), found["c"].copy()  # the next call writes over the shared outputs
        return (state[0][0],)

    return step


def jax(mode: str, N: int, T: int, D: int, H: int, cell: str = "standard", finish: Finish = np.asarray) -> Work:
    import jax
    import jax.numpy as jnp

    sigmoid, tanh = jax.nn.sigmoid, jnp.tanh

    def standard(params: Any, state: Any, z: Any) -> Any:
        _, U, _ = params
        h, c = state
        i, f, g, o = jnp.split(z + h @ U, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def interpolated(params: Any, state: Any, z: Any) -> Any:
        _, U, V, b = params
        h, c = state
        zh = h @ U
        i, f, a = jnp.split(z + zh[:, : 3 * H], 3, axis=-1)
        i, f = sigmoid(i), sigmoid(f)
        c = f * c + i * tanh(f * c + i * a)
        o = sigmoid(zh[:, 3 * H :] + c @ V + b[2 * H :])
        return (1 - o) * h + o * tanh(c), c

    next_state = {"standard": standard, "interpolated": interpolated}[cell]

    def of_x(params: Any, x: Any) -> Any:
        """What x adds to the gates, with the biases of those that see it."""
        W, b = params[0], params[-1]
        return x @ W + (b if cell == "standard" else jnp.concatenate((b[: 2 * H], jnp.zeros(H))))

    return jax_scan(mode, weights(D, H, cell), inputs(N, T, D), next_state, of_x, finish)


def jax_scan(
    mode: str,
    arrays: list[Any],
    x: Any,
    next_state: Callable[..., Any],
    of_x: Callable[..., Any],
    finish: Finish = np.asarray,
) -> Work:
    """A cell in JAX, as its users write it: a compiled scan. next_state(arrays, (h, c), z) -> (h, c), where z is what
    of_x(arrays, x) makes of x (N, T, D), or of a step's (N, D)."""
    import jax
    import jax.numpy as jnp

    def sequences(arrays: Any, x: Any) -> Any:
        def step(state: Any, z: Any) -> Any:
            state = next_state(arrays, state, z)
            return state, state[0]

        return jax.lax.scan(step, (zero, zero), of_x(arrays, x).swapaxes(0, 1))[1].swapaxes(0, 1)

    arrays, zero = [jnp.asarray(a) for a in arrays], jnp.zeros((len(x), len(arrays[1])))
    if mode == "step":
        x0, kept = jnp.asarray(x[:, 0]), [(zero, zero)]
        one = jax.jit(lambda arrays, state, x: next_state(arrays, state, of_x(arrays, x)))

        def step() -> tuple[Any, ...]:
            kept[0] = one(arrays, kept[0], x0)
            return (finish(kept[0][0]),)

        return step
    x = jnp.asarray(x)
    if mode == "infer":
        forward = jax.jit(sequences)
        return lambda: (finish(forward(arrays, x)),)

    def loss(arrays: Any, x: Any) -> Any:
        y = sequences(arrays, x)
        return y.sum(), y

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))

    def train() -> tuple[Any, ...]:
        (found, dx), y = gradient(arrays, x)
        return tuple(map(finish, (y, dx, *found)))

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


def serve(make: Callable[..., Work], *options: str, host: Callable[[Any], Any] = tuple) -> None:
    """Answers with the work that make(mode, *sizes, *options) returns. host: makes NumPy's arrays of its results."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints stays out of the answers
    key, work, check = None, None, None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if key != (question["mode"], question["shape"]):
                key, work = (question["mode"], question["shape"]), None  # the old problem's memory goes first
                work = make(question["mode"], *question["shape"], *options)
                for _ in range(STEPS_CHECKED if question["mode"] == "step" else 1):
                    found = work()
                check = projections(host(found))
            begin, calls, passed = time.perf_counter(), 0, 0.0
            while not calls or passed < question["seconds"] / 4:
                work()  # meanwhile the threads of whoever had the turn before cease to spin
                calls, passed = calls + 1, time.perf_counter() - begin
            calls = max(1, round(calls * question["seconds"] / passed))
            begin = time.perf_counter()
            for _ in range(calls):
                work()
            answer = {"seconds": (time.perf_counter() - begin) / calls, "check": check}
        except Exception as error:  # a system that cannot do this is left out of it, by name
            key, answer = None, {"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(SYSTEMS[sys.argv[1]], *sys.argv[2:])
