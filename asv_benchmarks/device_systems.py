"""fastlstm, PyTorch (cuDNN) and JAX on a GPU: the standard cell, inputs and weights there before the clock starts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .systems import inputs, weights

Work = Callable[[], Any]


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
    return found.copy_to_host() if hasattr(found, "copy_to_host") else found.cpu().numpy()


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


def seconds_of(work: Work, least: float) -> float:
    """The median of single calls, the device's work included, which together take about that long; one, if it is 0."""
    for _ in range(3 if least else 1):
        work()
    synchronize()
    times: list[float] = []
    until = time.perf_counter() + least
    while not times or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def fastlstm(mode: str, N: int, T: int, D: int, H: int, lengths: Any = None) -> Work:
    import fastlstm

    host = fastlstm.Params(*weights(D, H))
    params, x = type(host)(*map(on_device, host)), on_device(inputs(N, T, D))
    packed = fastlstm.pack(params)
    if mode == "infer":
        return lambda: fastlstm.forward(x, packed, lengths=lengths)
    if mode == "step":
        x0, state = on_device(inputs(N, T, D)[:, 0]), fastlstm.State(*(on_device(np.zeros((N, H), "f4")) for _ in "hc"))
        return lambda: fastlstm.step(x0, packed, state)
    dy = on_device(np.ones((N, T, H), np.float32))

    def train() -> Any:
        _, _, tape = fastlstm.forward_train(x, params, lengths=lengths)
        return fastlstm.backward(tape, dy)

    return train


def torch(mode: str, N: int, T: int, D: int, H: int, lengths: Any = None, *, tf32: bool = False) -> Work:
    torch = torch_there()
    lstm = torch.nn.LSTM(D, H, batch_first=True).cuda()
    x = on_device(inputs(N, T, D))
    if mode == "step":
        x, state = x[:, :1].contiguous(), [None]

    def run() -> Any:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        if mode == "train":
            lstm.zero_grad()
            y = lstm(given())[0]
            (y.data if lengths is not None else y).sum().backward()
            return None
        with torch.inference_mode():
            if mode == "step":
                _, state[0] = lstm(x, state[0])
                return state[0]
            return lstm(given())

    def given() -> Any:
        if lengths is None:
            return x.requires_grad_(mode == "train")
        pack = torch.nn.utils.rnn.pack_padded_sequence
        return pack(x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False)

    return run


def torch_tf32(*args: Any, **options: Any) -> Work:
    return torch(*args, **options, tf32=True)


def jax(mode: str, N: int, T: int, D: int, H: int, lengths: Any = None) -> Work:
    """A compiled scan, as its users write it."""
    import jax
    import jax.numpy as jnp

    W, U, b = (jnp.asarray(array) for array in weights(D, H))
    x, zero = jnp.asarray(inputs(N, T, D)), jnp.zeros((N, H))

    def step(state: Any, z: Any, U: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(z + h @ U, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def forward(W: Any, U: Any, b: Any, x: Any) -> Any:
        def next_one(state: Any, z: Any) -> Any:
            state = step(state, z, U)
            return state, state[0]

        return jax.lax.scan(next_one, (zero, zero), (x @ W + b).swapaxes(0, 1))[1].swapaxes(0, 1)

    if mode == "step":
        one, kept = jax.jit(lambda state, x: step(state, x @ W + b, U)), [(zero, zero)]

        def single() -> Any:
            kept[0] = one(kept[0], x[:, 0])
            return jax.block_until_ready(kept[0])

        return single
    run = jax.jit(forward)
    if mode == "train":
        run = jax.jit(jax.grad(lambda *given: forward(*given).sum(), argnums=(0, 1, 2, 3)))
    return lambda: jax.block_until_ready(run(W, U, b, x))


def there(ragged: bool) -> dict[str, Callable[..., Work]]:
    """What can be measured on this machine."""
    found: dict[str, Callable[..., Work]] = {"fastlstm": fastlstm}
    if torch_there() is not None:
        found |= {"torch cuDNN float32": torch, "torch cuDNN TF32": torch_tf32}
    try:
        import jax as installed

        if not ragged and installed.default_backend() == "gpu":
            found["jax"] = jax
    except (ImportError, RuntimeError):
        pass
    return found
