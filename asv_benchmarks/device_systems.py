"""One system on a GPU, in a process of its own: run as a file by `device_peers`, as systems.py is for processors.

fastlstm, PyTorch's cuDNN in float32 and with TF32 products, and JAX, the standard cell. Inputs and weights are on the
device before the clock starts, which stops when results are there; they stay there. Modes are those of systems.py, and
"infer ragged" and "train ragged", whose lengths are drawn from 1 to T.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from asv_benchmarks import systems
from asv_benchmarks.systems import Work, inputs, load, serve, weights

DEVICE = "cuda"  # of PyTorch's tensors


def on_device(array: Any) -> Any:
    """A tensor of PyTorch's where it can be one, else an array of Numba's."""
    torch = torch_there()
    if torch is not None:
        return torch.from_numpy(np.ascontiguousarray(array)).cuda()
    from numba import cuda

    return cuda.to_device(np.ascontiguousarray(array))


def on_host(found: Any) -> Any:
    """Arrays in records and tuples, as NumPy's."""
    if isinstance(found, tuple):
        made = (on_host(one) for one in found)
        return type(found)(*made) if hasattr(found, "_fields") else tuple(made)
    if hasattr(found, "copy_to_host"):
        return found.copy_to_host()
    return np.asarray(found.detach().cpu() if hasattr(found, "detach") else found)


def torch_there() -> Any:
    """PyTorch, where it sees a GPU."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def synchronize() -> None:
    from numba import cuda

    cuda.synchronize()


def lengths_of(N: int, T: int) -> Any:
    return np.random.default_rng(0).integers(1, T + 1, N)


def fastlstm(mode: str, N: int, T: int, D: int, H: int, lengths: Any = None) -> Work:
    import fastlstm

    host = fastlstm.Params(*weights(D, H))
    params, x = type(host)(*map(on_device, host)), on_device(inputs(N, T, D))
    packed = fastlstm.pack(params)
    if mode == "infer":
        return lambda: _finished(fastlstm.forward(x, packed, lengths=lengths)[0])
    if mode == "step":
        x0, state = on_device(inputs(N, T, D)[:, 0]), fastlstm.State(*(on_device(np.zeros((N, H), "f4")) for _ in "hc"))

        def step() -> tuple[Any, ...]:
            fastlstm.step(x0, packed, state)
            return _finished(state.h)

        return step
    dy = on_device(np.ones((N, T, H), np.float32))

    def train() -> tuple[Any, ...]:
        y, _, tape = fastlstm.forward_train(x, params, lengths=lengths)
        grads = fastlstm.backward(tape, dy)
        return _finished(y, grads.x, *grads.params)

    return train


def _finished(*found: Any) -> tuple[Any, ...]:
    synchronize()
    return found


def torch(mode: str, N: int, T: int, D: int, H: int, lengths: Any = None, *, tf32: bool = False) -> Work:
    """Ragged: batches are packed and padded again, as fastlstm takes and gives them."""
    import torch

    if DEVICE == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no GPU")
    rnn = torch.nn.utils.rnn
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    lstm = torch.nn.LSTM(D, H, batch_first=True)
    load(lstm, D, H)
    lstm = lstm.to(DEVICE)
    parameters = list(lstm.parameters())
    x = torch.from_numpy(inputs(N, T, D)).to(DEVICE)

    def finish() -> None:
        if x.is_cuda:
            torch.cuda.synchronize()

    def forward() -> Any:
        if lengths is None:
            return lstm(x)[0]
        packed = rnn.pack_padded_sequence(x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False)
        return rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=T)[0]

    if mode == "train":
        x.requires_grad_()

        def train() -> tuple[Any, ...]:
            lstm.zero_grad()
            x.grad = None
            y = forward()
            y.sum().backward()
            finish()
            dW, dU, db = (parameter.grad for parameter in parameters[:3])
            return y, x.grad, dW.T, dU.T, db

        return train
    x0, state = x[:, :1].contiguous(), [None]

    def run() -> tuple[Any, ...]:
        with torch.inference_mode():
            if mode == "step":
                _, state[0] = lstm(x0, state[0])
                found = state[0][0][0]
            else:
                found = forward()
        finish()
        return (found,)

    return run


def torch_tf32(*args: Any) -> Work:
    return torch(*args, tf32=True)


def jax(mode: str, N: int, T: int, D: int, H: int, lengths: Any = None) -> Work:
    """A compiled scan, in float32 throughout: by itself JAX multiplies in TF32 on a GPU."""
    import jax

    if lengths is not None:
        raise ValueError("a scan takes no lengths")
    jax.config.update("jax_default_matmul_precision", "float32")
    return systems.jax(mode, N, T, D, H, finish=jax.block_until_ready)


SYSTEMS: dict[str, Callable[..., Work]] = {made.__name__: made for made in (fastlstm, torch, torch_tf32, jax)}


def made(system: str, mode: str, N: int, T: int, D: int, H: int) -> Work:
    """The work of a mode, as the line on a worker's standard input names it."""
    mode, _, ragged = mode.partition(" ")
    return SYSTEMS[system](mode, N, T, D, H, lengths_of(N, T) if ragged else None)


if __name__ == "__main__":
    serve(functools.partial(made, sys.argv[1]), host=on_host)
