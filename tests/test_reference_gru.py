"""The GRUs against PyTorch, Keras, JAX and ONNX Runtime: what these once answered, and themselves where installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gru_cases
import numpy as np
import pytest
from keras_golden import live_keras
from oracles import error, leaves, map_leaves, random_params, random_state

import fastlstm
from fastlstm import Bidirectional, GRUBeforeParams, GRUParams, Hidden, from_torch, reference
from fastlstm.params import Params

GOLDEN = np.load(Path(__file__).parent / "data" / "gru_golden.npz")


def golden(case: str) -> dict[str, np.ndarray]:
    return {key.rpartition("/")[2]: GOLDEN[key] for key in GOLDEN.files if key.startswith(case + "/")}


def below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def of_keras(weights: dict[str, np.ndarray], after: bool, *, gradient: bool = False) -> GRUParams | GRUBeforeParams:
    """Keras's blocks are z, r, n; its two biases are added up, gradients of a sum are those of either."""
    H = weights["recurrent_kernel"].shape[0]
    order = np.r_[H : 2 * H, :H, 2 * H : 3 * H]
    W, U = weights["kernel"][:, order], weights["recurrent_kernel"][:, order]
    bias = weights.get("bias", np.zeros((2, 3 * H) if after else 3 * H))[..., order]
    if not after:
        return GRUBeforeParams(W, U, bias)
    one, two = bias
    b = np.concatenate((one[: 2 * H] + (0 if gradient else two[: 2 * H]), one[2 * H :]))
    return GRUParams(W, U, b, two[2 * H :])


# the kernels have the GRU whose reset gate acts after the product
CASES = [
    (module, case)
    for module in (reference, fastlstm)
    for case in gru_cases.CASES
    if module is reference or "before" not in case
]


def check_keras(module: Any, name: str, g: dict[str, np.ndarray]) -> None:
    after, _, backwards, bias = gru_cases.KERAS[name]
    params = of_keras(below("weights.", g), after)
    turn = slice(None, None, -1 if backwards else 1)  # Keras's y is in the order of the computation
    y, last, tape = module.forward_train(g["x"], params, Hidden(g["h"]), lengths=g.get("lengths"), reverse=backwards)
    assert error((y, last), (g["y"][:, turn], Hidden(g["hn"]))) < 1e-13
    grads = module.backward(tape, g["dy"][:, turn], Hidden(g["dhn"]))
    assert error((grads.x, grads.state.h), (g["gx"], g["gh"])) < 1e-12
    expected = of_keras(below("grads.", g), after, gradient=True)
    assert error(grads.params[:2], expected[:2]) < 1e-12
    if bias:
        assert error(grads.params[2:], expected[2:]) < 1e-12


def check_jax(module: Any, name: str, g: dict[str, np.ndarray]) -> None:
    record = GRUParams if gru_cases.JAX[name] else GRUBeforeParams
    options = {key: g[key] for key in ("lengths", "reset", "h_mask")}
    params = record(**below("weights.", g))
    y, last, tape = module.forward_train(g["x"], params, Hidden(g["h"]), **options)
    assert error((y, last), (g["y"], Hidden(g["hn"]))) < 1e-13
    grads = module.backward(tape, g["dy"], Hidden(g["dhn"]))
    assert error(tuple(grads), (g["gx"], record(**below("grads.", g)), Hidden(g["gh"]))) < 1e-12


def states_of_torch(h: np.ndarray, ways: int) -> Any:
    """h of every direction of every layer -> a stack's state."""
    each = [Hidden(one) for one in h]
    return tuple(Bidirectional(*each[i : i + 2]) if ways == 2 else each[i] for i in range(0, len(each), ways))


def check_torch(module: Any, name: str, g: dict[str, np.ndarray]) -> None:
    _, both, _, bias = gru_cases.TORCH[name]
    params, ways = from_torch(below("weights.", g)), 2 if both else 1
    assert {type(one) for layer in params for one in (layer if both else (layer,))} == {GRUParams}
    y, last, tape = module.forward_train(g["x"], params, states_of_torch(g["h"], ways), lengths=g.get("lengths"))
    assert error((y, last), (g["y"], states_of_torch(g["hn"], ways))) < 1e-13
    grads = module.backward(tape, g["dy"], states_of_torch(g["dhn"], ways))
    assert error((grads.x, grads.state), (g["gx"], states_of_torch(g["gh"], ways))) < 1e-12
    dparams = from_torch(below("grads.", g))  # adds up the gradients of the two biases, each that of their sum
    for found, expected in zip(leaves(grads.params), leaves(dparams), strict=True):
        if found.ndim == 2:
            assert error(found, expected) < 1e-12
        elif bias:
            H = gru_cases.H
            halves = np.r_[np.full(2 * H, 0.5), np.ones(H)] if len(found) == 3 * H else 1
            assert error(found, expected * halves) < 1e-12


CHECKS = {"torch": check_torch, "keras": check_keras, "jax": check_jax}


@pytest.mark.parametrize(("module", "case"), CASES)
def test_golden_arrays(module: Any, case: str) -> None:
    library, name = case.split("/")
    CHECKS[library](module, name, golden(case))


@pytest.mark.parametrize(("module", "case"), CASES)
def test_live(module: Any, case: str) -> None:
    library, name = case.split("/")
    if library == "keras":
        live_keras()
    pytest.importorskip("jax" if library == "keras" else library)
    CHECKS[library](module, name, gru_cases.run(case))


def test_all_of_the_golden_file_is_read() -> None:
    assert {key.rpartition("/")[0] for key in GOLDEN.files} == set(gru_cases.CASES)


@pytest.mark.parametrize(
    ("module", "after"), [(fastlstm, True), (fastlstm, False), (reference, True), (reference, False)]
)
def test_live_onnxruntime(rng: Any, module: Any, after: bool) -> None:
    """ONNX's gates are z, r, n, its weights transposed, its biases two; y is (T, directions, N, H)."""
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    N, T, D, H = 3, 6, 4, 5
    layer = Bidirectional(*(random_params(rng, D, H, np.float32, "gru" if after else "gru_before") for _ in range(2)))
    x, state = rng.standard_normal((N, T, D)).astype("f4"), random_state(rng, layer, N)
    lengths = np.array([6, 2, 4], np.int32)
    order = np.r_[H : 2 * H, :H, 2 * H : 3 * H]
    second = [np.r_[np.zeros(2 * H), one.b_n if after else np.zeros(H)] for one in layer]
    inputs = {
        "X": x.transpose(1, 0, 2), "W": [one.W.T[order] for one in layer], "R": [one.U.T[order] for one in layer],
        "B": [np.r_[one.b[order], two] for one, two in zip(layer, second, strict=True)], "lengths": lengths,
        "h": [one.h for one in state],
    }  # fmt: skip
    inputs = {key: np.asarray(value, np.int32 if key == "lengths" else np.float32) for key, value in inputs.items()}
    make = onnx.helper
    node = make.make_node("GRU", list(inputs), ["Y", "Yh"], hidden_size=H, direction="bidirectional",
                          linear_before_reset=int(after))  # fmt: skip
    kinds = {key: make.np_dtype_to_tensor_dtype(value.dtype) for key, value in inputs.items()}
    graph = make.make_graph(
        [node], "gru", [make.make_tensor_value_info(key, kinds[key], value.shape) for key, value in inputs.items()],
        [make.make_tensor_value_info(key, onnx.TensorProto.FLOAT, None) for key in ("Y", "Yh")],
    )  # fmt: skip
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 14)], ir_version=8)
    Y, Yh = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    y, last = module.forward(x, layer, state, lengths=lengths)
    assert error((y, last), (np.concatenate(tuple(Y.transpose(1, 2, 0, 3)), axis=-1), tuple(map(Hidden, Yh)))) < 5e-6


def test_the_gru_before_in_torch(rng: Any) -> None:
    """The equations as written, on tensors; every gradient by autograd."""
    torch = pytest.importorskip("torch")
    N, T, D, H = 3, 6, 4, 5
    params = random_params(rng, D, H, cell="gru_before")
    x, state = rng.standard_normal((N, T, D)), random_state(rng, params, N)
    inputs = [torch.tensor(a, requires_grad=True) for a in (*params, x, *state)]
    W, U, b, x_, h = inputs
    (Wr, Wz, Wn), (Ur, Uz, Un), (br, bz, bn) = (a.split(H, -1) for a in (W, U, b))
    ys = []
    for t in range(T):
        r = torch.sigmoid(x_[:, t] @ Wr + h @ Ur + br)
        z = torch.sigmoid(x_[:, t] @ Wz + h @ Uz + bz)
        n = torch.tanh(x_[:, t] @ Wn + (r * h) @ Un + bn)
        h = (1 - z) * n + z * h
        ys.append(h)
    y_ = torch.stack(ys, dim=1)
    dy, dlast = rng.standard_normal(y_.shape), random_state(rng, params, N)
    ((y_ * torch.tensor(dy)).sum() + (h * torch.tensor(dlast.h)).sum()).backward()
    y, last, tape = reference.forward_train(x, params, state)
    assert error((y, last.h), (y_.detach().numpy(), h.detach().numpy())) < 1e-13
    *dparams, dx, dh = (a.grad.numpy() for a in inputs)
    assert error(tuple(reference.backward(tape, dy, dlast)), (dx, tuple(dparams), (dh,))) < 1e-12


@pytest.mark.parametrize("module", [reference, fastlstm])
def test_where_the_two_grus_are_one(rng: Any, module: Any) -> None:
    """A candidate whose U_n is diagonal mixes no units: then it is the same whether r comes before or after it."""
    after = random_params(rng, 4, 5, cell="gru")
    after.U[:, 10:] *= np.eye(5)
    after.b_n[:] = 0
    before = GRUBeforeParams(after.W, after.U, after.b)
    x, state = rng.standard_normal((3, 6, 4)), random_state(rng, after, 3)
    found, expected = [], []
    for results, weights, of in ((found, after, module), (expected, before, reference)):
        y, last, tape = of.forward_train(x, weights, state)
        grads = of.backward(tape, y, last)
        dU = grads.params.U.copy()
        dU[:, 10:] *= np.eye(5)  # beside the diagonal, r is another unit's
        results += [y, last, grads.x, grads.state, grads.params.W, dU, grads.params.b]
    assert error(found, expected) < 1e-12


@pytest.mark.parametrize(
    ("module", "cell"), [(fastlstm, "gru"), (fastlstm, "gru_before"), (reference, "gru"), (reference, "gru_before")]
)
def test_a_closed_update_gate_keeps_h(rng: Any, module: Any, cell: str) -> None:
    params = random_params(rng, 4, 5, cell=cell)
    params.b[5:10] = 1000
    x, state = rng.standard_normal((3, 6, 4)), random_state(rng, params, 3)
    y, last, tape = module.forward_train(x, params, state)
    assert (y == state.h[:, None]).all()
    assert (last.h == state.h).all()
    grads = module.backward(tape, y, last)
    assert error(grads.state.h, 7 * state.h) < 1e-13
    assert not any(a.any() for a in (grads.x, *grads.params))


@pytest.mark.parametrize(
    ("module", "cell"), [(fastlstm, "gru"), (fastlstm, "gru_before"), (reference, "gru"), (reference, "gru_before")]
)
def test_states_of_a_gru(rng: Any, module: Any, cell: str) -> None:
    """Hidden or a tuple of one array; whole, or in two chunks with the state carried over."""
    params = random_params(rng, 4, 5, cell=cell)
    x, state = rng.standard_normal((3, 6, 4)), random_state(rng, params, 3)
    y, last = module.forward(x, params, state)
    assert type(last) is Hidden
    first, middle = module.forward(x[:, :2], params, (state.h.tolist(),))
    second, end = module.forward(x[:, 2:], params, middle)
    assert error((np.concatenate((first, second), axis=1), end), (y, last)) < 1e-13
    one, alone = module.forward(x[1], params, Hidden(state.h[1]))
    assert error((one, alone.h), (y[1], last.h[1])) < 1e-13


def test_masks_of_some_layers(rng: Any) -> None:
    """None is a mask of ones."""
    layers = [random_params(rng, 4, 5, cell="gru"), random_params(rng, 5, 6, cell="projected", P=3)]
    x, mask = rng.standard_normal((3, 6, 4)), rng.uniform(0.5, 1.5, (3, 5))
    found = reference.forward(x, layers, h_mask=(mask, None))
    assert error(found, reference.forward(x, layers, h_mask=(mask, np.ones((3, 3))))) == 0
    assert error(found, reference.forward(x, layers)) > 1e-3
    both = [Bidirectional(random_params(rng, 4, 5), random_params(rng, 4, 5)), random_params(rng, 10, 6, cell="gru")]
    ones = Bidirectional(np.ones((3, 5)), np.ones((3, 5)))
    mask = rng.uniform(0.5, 1.5, (3, 6))
    expected = reference.forward(x, both, h_mask=(ones, mask))
    for nothing in (None, Bidirectional(None, None)):
        assert error(reference.forward(x, both, h_mask=(nothing, mask)), expected) == 0


def test_c_of_a_gru_is_refused_before_anything_is_computed(rng: Any) -> None:
    stack = [random_params(rng, 4, 5), random_params(rng, 5, 6, cell="gru")]
    for module in (reference, fastlstm):
        with pytest.raises(TypeError, match="params: expected cells with a c, got one of the gru cell, which has none"):
            module.forward_cells(np.ones((2, 3, 4)), stack)
    assert type(stack[0]) is Params
    assert map_leaves(np.isfinite, reference.forward(np.ones((2, 3, 4)), stack)[0]).all()
