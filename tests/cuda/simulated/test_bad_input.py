"""What is not in one place, not usable or not there: one error each that says so, and nothing is changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from device_arrays import ArrayImpl, Tensor, off, on

import fastlstm
from fastlstm import Params, State, backend
from fastlstm.cuda import engine, machine

pytestmark = pytest.mark.usefixtures("reference_launch")
P = fastlstm.init_params(2, 4, rng=0)
X = np.ones((3, 5, 2), np.float32)
Z = fastlstm.zero_state(P, 3)
Y = np.zeros((3, 5, 4), np.float32)


def there(found: Any, number: int = 0) -> Any:
    return on("torch", found, number)


def taped() -> Any:
    return fastlstm.forward_train(there(X), there(P))[2]


def packed() -> Any:
    return fastlstm.pack(there(P))


ONE_PLACE = "expected all arrays in one place, got "
PLACES = [
    ("x here", lambda: fastlstm.forward(X, there(P)), "x, state.h, state.c in the host's memory; params.W, params.U, params.b on cuda:0"),
    ("weights here", lambda: fastlstm.forward(there(X), P), "x, state.h, state.c on cuda:0; params.W, params.U, params.b in the host's memory"),
    ("a hint", lambda: fastlstm.forward(there(X), P), r'pack\(params, device="cuda"\) puts weights on a device'),
    ("packed weights here", lambda: fastlstm.forward(there(X), fastlstm.pack(P)), "x, state.h, state.c on cuda:0; params in the host's"),
    ("a layer here", lambda: fastlstm.forward(there(X), [there(P), fastlstm.init_params(4, 3)]), r"params\[0\].b on cuda:0; params\[1\].W"),
    ("one weight here", lambda: fastlstm.pack(there(P)._replace(U=P.U)), "params.W, params.b on cuda:0; params.U in the host's memory"),
    ("the state here", lambda: fastlstm.forward(there(X), there(P), Z), "state.h, state.c in the host's memory"),
    ("c here", lambda: fastlstm.forward(there(X), there(P), State(there(Z.h), Z.c)), "state.c in the host's memory"),
    ("the state there", lambda: fastlstm.forward(X, P, there(Z)), "state.h, state.c on cuda:0"),
    ("a mask here", lambda: fastlstm.forward(there(X), there(P), h_mask=Z.h), "h_mask in the host's memory"),
    ("two devices", lambda: fastlstm.forward(there(X, 0), there(P, 1)), "x, state.h, state.c on cuda:0; params.W, params.U, params.b on cuda:1"),
    ("dy here", lambda: fastlstm.backward(taped(), Y), "the tape's x, dstate.h, dstate.c on cuda:0; dy in the host's memory"),
    ("dstate here", lambda: fastlstm.backward(taped(), None, Z), "dstate.h, dstate.c in the host's memory"),
    ("dy there", lambda: fastlstm.backward(fastlstm.forward_train(X, P)[2], there(Y)), "dy on cuda:0"),
    ("step: x here", lambda: fastlstm.step(X[:, 0], packed(), there(Z)), "x in the host's memory; state.h, state.c, packed on cuda:0"),
    ("step: state here", lambda: fastlstm.step(there(X[:, 0]), packed(), Z), "state.h, state.c in the host's memory"),
    ("step: weights here", lambda: fastlstm.step(there(X[:, 0]), fastlstm.pack(P), there(Z)), "packed in the host's memory"),
    ("into: y here", lambda: fastlstm.forward_into(there(X), packed(), there(Z), Y), "y in the host's memory"),
    ("backward_into: grads here", lambda: fastlstm.backward_into(fastlstm.make_tape(packed(), 3, 5), packed(), None, None, fastlstm.make_grads(fastlstm.pack(P), 3, 5)), "grads.x, grads.params.W"),
    ("pack_into: weights here", lambda: fastlstm.pack_into(P, packed()), "params.W, params.U, params.b in the host's memory; packed on cuda:0"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_arrays_in_several_places(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert str(caught.value).startswith(ONE_PLACE)


def wants_gradient() -> Any:
    tensor = Tensor(X)
    tensor.requires_grad = True
    return tensor


def masked() -> Any:
    class Masked(Tensor):
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return {**super().__cuda_array_interface__, "mask": self}

    return Masked(X)


WRONG = [
    ("a shape", lambda: fastlstm.forward(there(X[..., :1]), there(P)), ValueError, r"x: expected shape \(N, T, 2\) or \(T, 2\), got \(3, 5, 1\)"),
    ("complex x", lambda: fastlstm.forward(there(X.astype(complex)), there(P)), TypeError, "x: expected real numbers, got dtype complex128"),
    ("float16 weights", lambda: fastlstm.forward(there(X), there(Params(*(a.astype(np.float16) for a in P)))), TypeError, "params.W: expected float32 or float64, got float16"),
    ("weights of two types", lambda: fastlstm.forward(there(X), there(P._replace(b=P.b.astype(float)))), TypeError, "params.b: expected float32 as in params.W, got float64"),
    ("a shape of U", lambda: fastlstm.forward(there(X), there(P._replace(U=P.U[:, :3]))), ValueError, "params.U: expected shape"),
    ("x that wants its gradient", lambda: fastlstm.forward(wants_gradient(), there(P)), TypeError, "x: expected an array, got Tensor that makes none .*requires grad.*docs/cuda.md"),
    ("a mask of valid numbers", lambda: fastlstm.forward(masked(), there(P)), TypeError, "x: expected an array without a mask"),
    ("lengths", lambda: fastlstm.forward(there(X), there(P), lengths=there(np.array([1, 2, 6]))), ValueError, "lengths: expected 0 to 5, got 1 to 6"),
    ("lengths of floats", lambda: fastlstm.forward(there(X), there(P), lengths=there(np.ones(3))), TypeError, "lengths: expected integers, got dtype float64"),
    ("reset", lambda: fastlstm.forward(there(X), there(P), reset=there(np.zeros((3, 5)))), TypeError, "reset: expected booleans, got dtype float64"),
    ("shape of dy", lambda: fastlstm.backward(taped(), there(Y[:2])), ValueError, r"dy: expected shape \(3, 5, 4\), that of y, got \(2, 5, 4\)"),
    ("a device for weights there", lambda: fastlstm.pack(there(P), device="cuda"), ValueError, "device: expected None for weights that are packed or on a device, got 'cuda'"),
    ("a device of another kind", lambda: fastlstm.pack(P, device="gpu"), ValueError, 'device: expected "cuda", "cuda:1" or the like, or None, got \'gpu\''),
    ("a device by number", lambda: fastlstm.pack(P, device=0), TypeError, 'device: expected "cuda", "cuda:1" or the like, or None, got int'),
    ("a device that is not there", lambda: fastlstm.pack(P, device="cuda:3"), ValueError, "device: expected one of the 1 CUDA devices here, got 'cuda:3'"),
    ("a state of JAX in place", lambda: fastlstm.step(there(X[:, 0]), packed(), on("jax", Z)), ValueError, "state.h: expected a writable array, got a read-only one"),
    ("a strided state", lambda: fastlstm.step(there(X[:, 0]), packed(), State(Tensor(np.zeros((3, 8), np.float32)[:, ::2]), there(Z.c))), ValueError, "state.h: expected an array in C order"),
    ("y of another type", lambda: fastlstm.forward_into(there(X), packed(), there(Z), there(Y.astype(float))), TypeError, "y: expected an array of float32, got CudaArray of float64"),
    ("y that is the state", lambda: _shared(), ValueError, "memory of its own, got some that y uses too|y: expected memory of its own"),
    ("a tape from here", lambda: fastlstm.forward_train_into(there(X), packed(), there(Z), there(Y), fastlstm.make_tape(fastlstm.pack(P), 3, 5)), ValueError, "tape: expected one for the standard cell, got one for another layout"),
    ("a stream", lambda: fastlstm.Stream(packed()), TypeError, "params: expected weights in the host's memory, got some on cuda:0"),
    ("nn", lambda: fastlstm.nn.LSTM(4)(there(X)), TypeError, "x: expected an array"),
]  # fmt: skip


def _shared() -> None:
    memory = np.zeros((3, 5, 4), np.float32)
    state = State(Tensor(memory[:, 0].reshape(3, 4)), there(Z.c))
    state.h.array = memory.reshape(-1)[:12].reshape(3, 4)
    fastlstm.forward_into(there(X), packed(), state, Tensor(memory))


@pytest.mark.parametrize(("call", "error", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_bad_input(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_jax_is_never_written_to() -> None:
    x = ArrayImpl(X)
    fastlstm.forward(x, on("jax", P))
    assert (x.array == X).all()


class Full(Exception):
    code = 2


FAILURES = [
    (Full("Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"), MemoryError, "cuda:0: out of memory .*cuMemAlloc"),
    (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), MemoryError, "cuda:0: out of memory"),
    (type("E", (Exception,), {"code": 222})("unsupported PTX"), RuntimeError, r'the driver is older than the toolkit .*pip install "fastlstm\[cuda12\]"'),
    (type("E", (Exception,), {"code": 700})("illegal address"), RuntimeError, r"cuda:0: a kernel failed \(illegal address\): what was computed .* does not hold"),
    (ValueError("anything else"), ValueError, "anything else"),
]  # fmt: skip


@pytest.mark.parametrize(("failure", "error", "message"), FAILURES)
def test_a_failure_leaves_the_state_as_it_was(
    failure: Exception, error: Any, message: str, reference_launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second layer, when the first is through."""
    layers = fastlstm.pack(there([P, fastlstm.init_params(4, 4, rng=1)]))
    state = there((Z, Z))
    calls, run = [0], reference_launch.run_forward

    def failing(*args: Any, **options: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise failure
        run(*args, **options)

    monkeypatch.setattr(reference_launch, "run_forward", failing)
    with pytest.raises(error, match=message):
        fastlstm.step(there(X[:, 0]), layers, state)
    assert calls == [2]
    for one in state:
        assert all((array == 0).all() for array in off(one))
    fastlstm.step(there(X[:, 0]), layers, state)
    assert (off(state[1]).h != 0).any()


def test_a_failure_leaves_no_wrong_gradients(reference_launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a pass before it, from its tape."""
    weights, state, y = packed(), there(Z), there(Y)
    tape, grads = fastlstm.make_tape(weights, 3, 5), fastlstm.make_grads(weights, 3, 5)
    empty = "tape: expected that of a forward pass, got one that none has filled"
    with pytest.raises(ValueError, match=empty):
        fastlstm.backward_into(tape, weights, y, None, grads)
    fastlstm.forward_train_into(there(X), weights, state, y, tape)
    fastlstm.backward_into(tape, weights, y, None, grads)
    before = [array.copy() for array in off(state)]

    def failing(*args: Any, **options: Any) -> None:
        raise Full("no memory")

    monkeypatch.setattr(reference_launch, "run_forward", failing)
    with pytest.raises(MemoryError):
        fastlstm.forward_train_into(there(X), weights, state, y, tape)
    for mine, same in zip(off(state), before, strict=True):
        np.testing.assert_array_equal(mine, same)
    with pytest.raises(ValueError, match=empty):
        fastlstm.backward_into(tape, weights, y, None, grads)


def test_more_rows_than_an_index_has_numbers_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastlstm.cuda import schedule

    assert np.iinfo(np.int32).max == schedule.MOST_ROWS
    for most, fits in ((3 * 5 + 3 + 1, True), (3 * 5 + 3, False)):
        monkeypatch.setattr(schedule, "MOST_ROWS", most)
        if fits:
            schedule.schedule(3, 5)
            continue
        with pytest.raises(ValueError, match=r"x: expected N \(T \+ 1\) to be at most 17 on a device, got N 3 and T 5"):
            schedule.schedule(3, 5)


def a_machine(devices: int = 1, driver: Any = (12, 4), toolkit: Any = (12, 8), broken: str | None = None,
              nvvm: bool = True) -> Any:  # fmt: skip
    the_driver = SimpleNamespace(is_available=broken is None, initialization_error=broken, get_version=lambda: driver)

    def version() -> Any:
        if toolkit is None:
            raise OSError("library cudart not found")
        return toolkit

    device = SimpleNamespace(name=b"A Card", compute_capability=(9, 0), MULTIPROCESSOR_COUNT=132)
    return SimpleNamespace(
        gpus=[SimpleNamespace(device=device)] * devices,
        runtime=SimpleNamespace(get_version=version),
        cudadrv=SimpleNamespace(
            driver=SimpleNamespace(driver=the_driver), nvvm=SimpleNamespace(is_available=lambda: nvvm)
        ),
    )


MACHINES = [
    ("no driver", a_machine(broken="\nlibcuda.so was\nnot found.\n"), r"no CUDA driver that works \(libcuda.so was not found\): install NVIDIA's for the GPU"),
    ("no device", a_machine(devices=0), "no CUDA device: CUDA_VISIBLE_DEVICES"),
    ("no toolkit", a_machine(toolkit=None), r'no CUDA toolkit .*pip install "fastlstm\[cuda\]"'),
    ("an old driver", a_machine(toolkit=(13, 0)), r'the driver is for CUDA 12.4, older than the toolkit 13.0: pip install "fastlstm\[cuda12\]"'),
    ("no NVVM", a_machine(nvvm=False), r'no NVVM, which compiles kernels: pip install "fastlstm\[cuda\]"'),
    ("no Numba for it", None, r'Numba has no CUDA target here .*pip install "fastlstm\[cuda\]"'),
]  # fmt: skip


@pytest.fixture
def other_machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes it another machine."""

    def change(cuda: Any) -> None:
        import sys

        import numba

        machine.hindrance.cache_clear()
        monkeypatch.setattr(machine, "simulated", lambda: False)
        if cuda is None:
            monkeypatch.delattr(numba, "cuda")
            monkeypatch.setitem(sys.modules, "numba.cuda", None)
        else:
            monkeypatch.setattr(numba, "cuda", cuda)

    yield change
    machine.hindrance.cache_clear()


@pytest.mark.parametrize(("cuda", "message"), [row[1:] for row in MACHINES], ids=[row[0] for row in MACHINES])
def test_machines_that_cannot(cuda: Any, message: str, other_machine: Any, capsys: Any) -> None:
    x, params = there(X), there(P)
    other_machine(cuda)
    for call in (lambda: fastlstm.forward(x, params), lambda: fastlstm.pack(P, device="cuda")):
        with pytest.raises(RuntimeError, match=message):
            call()
    fastlstm.show_config()
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("CUDA"))
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(row)


def test_what_a_machine_has_is_shown(other_machine: Any, capsys: Any) -> None:
    fastlstm.show_config()
    assert "Numba's simulator" in capsys.readouterr().out
    other_machine(a_machine(devices=2))
    fastlstm.show_config()
    shown = capsys.readouterr().out
    assert "driver 12.4, toolkit 12.8" in shown
    assert "cuda:1           A Card, compute capability 9.0, 132 multiprocessors" in shown


def test_kinds_of_kernels_can_be_forced(reference_launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds, run = [], reference_launch.run_forward
    monkeypatch.setattr(reference_launch, "run_forward",
                        lambda weights, batch, *rest, **more: (kinds.append(batch.kind), run(weights, batch, *rest, **more)))  # fmt: skip
    fastlstm.forward(there(X), there(P))
    for kind in ("small", "product"):
        with engine.force(kind):
            fastlstm.forward(there(X), there(P))
    fastlstm.forward(there(X), there(P))
    assert kinds == [None, "small", "product", None]
    with (
        engine.force("wide"),
        pytest.raises(ValueError, match="kind: expected one of small, product for these sizes, got wide"),
    ):
        fastlstm.forward(there(X), there(P))
    assert engine.kinds_of(packed(), 3, 5) == ("small", "product")


def test_numba_does_not_warn_of_small_launches(reference_launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ours; what the user has set stays."""
    from numba.core import config

    seen, run = [], reference_launch.run_forward

    def looking(*args: Any, **options: Any) -> None:
        seen.append(config.CUDA_LOW_OCCUPANCY_WARNINGS)
        run(*args, **options)

    monkeypatch.setattr(reference_launch, "run_forward", looking)
    monkeypatch.setattr(config, "CUDA_LOW_OCCUPANCY_WARNINGS", 1)
    fastlstm.forward(there(X), there(P))
    assert seen == [0]
    assert config.CUDA_LOW_OCCUPANCY_WARNINGS == 1


def test_arrays_on_a_device_cannot_be_pickled() -> None:
    import pickle

    for value in (packed(), taped()):
        with pytest.raises(TypeError, match=r"in the host's memory to pickle, got .* on cuda:0"):
            pickle.dumps(value)


def test_the_engine_of_this_process_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread of another call sees an engine that is not its own."""
    monkeypatch.setattr(backend, "engine", None)
    y, _, tape = fastlstm.forward_train(there(X), there(P))
    fastlstm.backward(tape, y)
    weights, state = packed(), there(Z)
    fastlstm.step(there(X[:, 0]), weights, state)
    tape_, grads = fastlstm.make_tape(weights, 3, 5), fastlstm.make_grads(weights, 3, 5)
    fastlstm.forward_train_into(there(X), weights, state, there(Y), tape_)
    fastlstm.backward_into(tape_, weights, there(Y), None, grads)
    assert type(grads.x) is Tensor
