"""The public functions on arrays that look as if they were on a GPU: whose the results are, and that they are right.
Passes are the reference's, so what is tested is the way to the kernels and back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import device_arrays
import numpy as np
import pytest
from device_arrays import LIBRARIES, kind_of, off, on
from oracles import leaves, random_masks, random_stack, random_state

import fastlstm
from fastlstm import Bidirectional, Hidden, State, reference
from fastlstm.cuda import memory

pytestmark = pytest.mark.usefixtures("reference_launch")
EACH = pytest.mark.parametrize("library", LIBRARIES)
MUTABLE = pytest.mark.parametrize("library", [name for name in LIBRARIES if name != "jax"])
N, T, D = 3, 5, 2


def close(found: Any, expected: Any, library: str | None = None) -> None:
    if library is not None:
        assert {type(one) for one in _arrays(found)} == {kind_of(library)}
    for a, b in zip(leaves(off(found)), leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)
        assert a.shape == b.shape


def _arrays(found: Any) -> list[Any]:
    return [one for entry in found for one in _arrays(entry)] if isinstance(found, tuple) else [found]


def problem(rng: Any, plan: Any = ((4, False), (3, True)), cell: str = "standard") -> Any:
    params = random_stack(rng, D, list(plan), np.float32, cell)
    x = rng.standard_normal((N, T, D)).astype(np.float32)
    state = random_state(rng, params, N)
    state = type(state)(_single(one) for one in state)
    return SimpleNamespace(params=params, x=x, state=state)


def _single(record: Any) -> Any:
    if isinstance(record, np.ndarray):
        return record.astype(np.float32)
    return type(record)(*(_single(one) for one in record))


@EACH
def test_forward_gives_arrays_of_the_callers_library(rng: Any, library: str) -> None:
    p = problem(rng)
    y, state = fastlstm.forward(on(library, p.x), on(library, p.params), on(library, p.state))
    close((y, state), reference.forward(p.x, p.params, p.state), library)
    y, state, c = fastlstm.forward_cells(on(library, p.x), on(library, p.params))
    close((y, state, c), reference.forward_cells(p.x, p.params), library)


@EACH
@pytest.mark.parametrize("cell", ["standard", "gru", "projected"])
def test_gradients(rng: Any, library: str, cell: str) -> None:
    p = problem(rng, cell=cell)
    y, state, tape = fastlstm.forward_train(on(library, p.x), on(library, p.params), on(library, p.state))
    y_, state_, tape_ = reference.forward_train(p.x, p.params, p.state)
    close((y, state), (y_, state_), library)
    close(tape.x, p.x, library)
    if cell != "gru":
        close(tape.c, reference.forward_cells(p.x, p.params, p.state)[2], library)
    dy, dstate = rng.standard_normal(y_.shape).astype(np.float32), p.state
    for _ in range(2):  # the tape is left as it was
        grads = fastlstm.backward(tape, on(library, dy), on(library, dstate))
        close(grads, reference.backward(tape_, dy, dstate), library)
    close(fastlstm.backward(tape, dstate=on(library, dstate)), reference.backward(tape_, None, dstate), library)


@EACH
def test_all_options(rng: Any, library: str) -> None:
    p = problem(rng, [(4, False)])
    lengths, reset = np.array([2, 5, 0]), rng.random((N, T)) < 0.3
    mask = random_masks(rng, p.params, N, np.float32)
    options = {"lengths": lengths, "reset": reset, "reverse": True}
    y, state, tape = fastlstm.forward_train(on(library, p.x), on(library, p.params), on(library, p.state),
                                            h_mask=on(library, mask), **options)  # fmt: skip
    y_, state_, tape_ = reference.forward_train(p.x, p.params, p.state, h_mask=mask, **options)
    close((y, state), (y_, state_), library)
    close(fastlstm.backward(tape, on(library, y_)), reference.backward(tape_, y_), library)
    there = {"lengths": on(library, lengths), "reset": on(library, reset)}  # these may be anywhere
    close(fastlstm.forward(on(library, p.x), on(library, p.params), reverse=True, **there),
          reference.forward(p.x, p.params, **options), library)  # fmt: skip


@EACH
def test_one_sequence(rng: Any, library: str) -> None:
    p = problem(rng)
    y, state, tape = fastlstm.forward_train(on(library, p.x[0]), on(library, p.params))
    y_, state_, tape_ = reference.forward_train(p.x[0], p.params)
    close((y, state), (y_, state_), library)
    close((tape.x, tape.c), (p.x[0], reference.forward_cells(p.x[0], p.params)[2]), library)
    close(fastlstm.backward(tape, y), reference.backward(tape_, y_), library)


@EACH
def test_packed_weights(rng: Any, library: str) -> None:
    p = problem(rng)
    expected = reference.forward(p.x, p.params)
    packed = fastlstm.pack(on(library, p.params))
    assert "on cuda:0" in repr(packed)
    close(fastlstm.forward(on(library, p.x), packed), expected, library)
    packed = fastlstm.pack(p.params, device="cuda")  # of whatever library x is
    close(fastlstm.forward(on(library, p.x), packed), expected, library)
    y, _, tape = fastlstm.forward_train(on(library, p.x), packed)
    close(fastlstm.backward(tape, y).params, reference.backward(reference.forward_train(p.x, p.params)[2], expected[0])
          .params, library)  # fmt: skip
    zeros = fastlstm.zero_state(packed, 2)
    close(zeros, fastlstm.zero_state(p.params, 2), "numba")


@MUTABLE
@pytest.mark.parametrize("cell", ["standard", "gru"])
def test_steps_with_the_state_on_the_device(rng: Any, library: str, cell: str) -> None:
    p = problem(rng, [(4, False), (3, False)], cell)
    packed, state = fastlstm.pack(on(library, p.params)), on(library, p.state)
    for t in range(T):
        assert fastlstm.step(on(library, p.x[:, t]), packed, state) is None
    close(state, reference.forward(p.x, p.params, p.state)[1], library)
    one = type(state)(type(s)(*(on(library, off(a)[0]) for a in s)) for s in on(library, p.state))
    fastlstm.step(on(library, p.x[0, 0]), packed, one)
    first = type(p.state)(type(s)(*(a[0] for a in s)) for s in p.state)
    close(one, reference.forward(p.x[0, :1], p.params, first)[1], library)


@MUTABLE
def test_passes_on_the_callers_arrays(rng: Any, library: str) -> None:
    p = problem(rng, [(4, False), (3, False)])
    packed, state = fastlstm.pack(on(library, p.params)), on(library, p.state)
    y = on(library, np.full((N, T, 3), np.nan, np.float32))
    fastlstm.forward_into(on(library, p.x), packed, state, y)
    expected = reference.forward(p.x, p.params, p.state)
    close((y, state), expected, library)
    tape, grads, state = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T), on(library, p.state)
    grads, y = on(library, off(grads)), on(library, np.full((N, T, 3), np.nan, np.float32))
    fastlstm.forward_train_into(on(library, p.x), packed, state, y, tape)
    close((y, state), expected, library)
    for _ in range(2):
        fastlstm.backward_into(tape, packed, on(library, expected[0]), on(library, p.state), grads)
        tape_ = reference.forward_train(p.x, p.params, p.state)[2]
        close(grads, reference.backward(tape_, expected[0], p.state), library)
    halved = [type(layer)(*(array / 2 for array in layer)) for layer in p.params]
    fastlstm.pack_into(on(library, halved), packed)
    close(fastlstm.forward(on(library, p.x), packed), reference.forward(p.x, halved), library)


LAYOUTS = {
    "another float type": lambda x: x.astype(np.float64),
    "integers": lambda x: (10 * x).astype(np.int16),
    "booleans": lambda x: x > 0,
    "time first": lambda x: np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2),
    "backwards": lambda x: x[:, ::-1],
    "every other": lambda x: np.repeat(x, 2, axis=2)[:, :, ::2],
    "the same everywhere": lambda x: np.broadcast_to(x[:1], x.shape),
    "none": lambda x: x[:0],
    "no step": lambda x: x[:, :0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("train", [False, True])
def test_any_strides_and_types(rng: Any, layout: str, train: bool) -> None:
    p = problem(rng)
    x = LAYOUTS[layout](p.x)
    call = fastlstm.forward_train if train else fastlstm.forward
    tensor = device_arrays.Tensor(x)
    before = tensor.array.tobytes()
    found = call(tensor, on("torch", p.params))
    close(found[:2], reference.forward(x.astype(np.float32), p.params), "torch")
    assert tensor.array.tobytes() == before


def test_weights_of_any_strides(rng: Any) -> None:
    p = problem(rng, [(4, False)])
    params = [type(layer)(*(device_arrays.Tensor(np.asfortranarray(array)) for array in layer)) for layer in p.params]
    close(fastlstm.forward(on("torch", p.x), params), reference.forward(p.x, p.params), "torch")


def test_arrays_of_dlpack_alone(rng: Any) -> None:
    """Their results are Numba's arrays."""
    p = problem(rng, [(4, False)])
    x = device_arrays.Foreign(p.x[:, ::-1])
    params = [type(layer)(*map(device_arrays.Foreign, layer)) for layer in p.params]
    close(fastlstm.forward(x, params), reference.forward(p.x[:, ::-1], p.params), "numba")


def test_the_libraries_may_differ_and_x_says_whose_results_are(rng: Any) -> None:
    p = problem(rng, [(4, False)])
    found = fastlstm.forward(on("torch", p.x), on("cupy", p.params), on("numba", p.state))
    close(found, reference.forward(p.x, p.params, p.state), "torch")


def test_a_tape_owns_what_it_holds(rng: Any) -> None:
    p = problem(rng, [(4, False)])
    x, params = on("torch", p.x), on("torch", p.params)
    y, _, tape = fastlstm.forward_train(x, params)
    dy = off(y).copy()
    for tensor in (x, y, tape.x, *params[0]):
        tensor.array.fill(np.nan)
    tape_ = reference.forward_train(p.x, p.params)[2]
    close(fastlstm.backward(tape, on("torch", dy)), reference.backward(tape_, dy), "torch")


def test_results_are_memory_of_the_library(rng: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of Numba, handed over: a library's allocator then knows of it."""
    p, made = problem(rng, [(4, False)]), []
    import torch

    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **options: made.append(empty(*args, **options)) or made[-1])
    y, state = fastlstm.forward(on("torch", p.x), on("torch", p.params))
    assert {id(y), id(state[0].h), id(state[0].c)} <= {id(one) for one in made}


def test_jax_gets_what_is_finished(rng: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is waited for."""
    p, waited = problem(rng, [(4, False)]), []
    monkeypatch.setattr(memory, "wait", lambda stream: waited.append(stream))
    x = on("jax", p.x)
    fastlstm.forward(x, on("jax", p.params))
    assert x.ready
    assert waited[-1:] == [0]


def test_work_goes_on_the_current_stream(rng: Any, monkeypatch: pytest.MonkeyPatch, reference_launch: Any) -> None:
    monkeypatch.setattr(memory, "stream_at", lambda address: address)
    monkeypatch.setattr(memory, "_launch", lambda size, stream: (1, 4, (reference_launch.streams.append(stream), 0)[1]))
    p = problem(rng, [(4, False)])
    for library, stream in (("torch", device_arrays.STREAM), ("cupy", device_arrays.STREAM), ("jax", 0), ("numba", 0)):
        reference_launch.streams.clear()
        y, _, tape = fastlstm.forward_train(on(library, p.x[:, ::-1]), on(library, p.params))
        fastlstm.backward(tape, y)
        assert set(reference_launch.streams) == {stream}, library


def test_a_stream_that_an_array_is_made_on_is_waited_for(rng: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(memory, "wait", waited.append)
    p = problem(rng, [(4, False)])

    class Made(device_arrays.ndarray):
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return {**super().__cuda_array_interface__, "stream": 99}

    Made.__module__ = "cupy"
    fastlstm.forward(Made(p.x), on("cupy", p.params))
    assert waited[0] == 99


def test_files_take_weights_from_a_device(rng: Any, tmp_path: Any) -> None:
    p = problem(rng, [(4, False)])
    for weights in (on("torch", p.params), fastlstm.pack(p.params, device="cuda")):
        fastlstm.save(tmp_path / "w.npz", weights)
        close(tuple(fastlstm.load(tmp_path / "w.npz")), tuple(p.params))


def test_bidirectional_and_hidden_are_records_of_the_libraries_arrays(rng: Any) -> None:
    p = problem(rng, [(3, True)], "gru")
    _, state = fastlstm.forward(on("torch", p.x), on("torch", p.params))
    assert type(state[0]) is Bidirectional
    assert type(state[0].forward) is Hidden
    p = problem(rng, [(3, False)])
    _, state = fastlstm.forward(on("torch", p.x), on("torch", p.params[0]), on("torch", tuple(p.state[0])))
    assert type(state) is State
