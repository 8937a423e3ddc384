"""The reference against central differences and against PyTorch's answers; then everything else trusts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import (
    REFERENCE_KINDS,
    apart,
    cells_of,
    error,
    leaves,
    map_leaves,
    random_masks,
    random_params,
    random_stack,
    random_state,
    slopes,
)

import fastlstm
from fastlstm import Bidirectional, Params, State, from_torch, reference
from fastlstm.params import CELLS

GOLDEN = np.load(Path(__file__).parent / "data" / "torch_golden.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN.files})
RESET = np.array([[1, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1]], bool)


@pytest.mark.parametrize("cell", REFERENCE_KINDS)
@pytest.mark.parametrize(("reset", "masked"), [(None, False), (RESET, True)])
@pytest.mark.parametrize(
    ("plan", "reverse"),
    [
        ([(3, False)], False),
        ([(3, False)], True),
        ([(4, False), (3, False)], False),
        ([(4, False), (3, False)], True),
        ([(3, True), (4, True)], False),
    ],
)
def test_gradients_are_central_differences(
    rng: Any, plan: Any, cell: str, reverse: bool, reset: Any, masked: bool
) -> None:
    """Along a direction in which every entry of an array moves, as far as any other."""
    N, T, D = 3, 4, 2
    length = 1 / 16 if cell == "normalized" else 1 / 2  # norm of a few units that are near to one another bends most
    params = tuple(random_stack(rng, D, plan, cell=cell))
    x, state = rng.standard_normal((N, T, D)), random_state(rng, params, N)
    lengths = np.array([4, 0, 3])
    masks = random_masks(rng, params, N) if masked else None
    options: Any = {"lengths": lengths, "reverse": reverse, "reset": reset, "h_mask": masks}
    y, last, tape = reference.forward_train(x, params, state, **options)
    dy, dlast = rng.standard_normal(y.shape), map_leaves(lambda a: rng.standard_normal(a.shape), last)
    grads = reference.backward(tape, dy, dlast)

    def loss() -> float:
        y, last = reference.forward(x, params, state, **options)
        live = np.arange(T) < lengths[:, None]
        return float(
            (y * dy)[live].sum() + sum((a * b).sum() for a, b in zip(leaves(last), leaves(dlast), strict=True))
        )

    for array, grad in zip(leaves((x, params, state)), leaves(tuple(grads)), strict=True):
        directions = rng.choice((-1, 1), (1, *array.shape)) / np.sqrt(array.size)
        found = (directions * grad).reshape(len(directions), -1).sum(axis=1)
        bound = 1e-9 * max(np.abs(grad).max(), 1e-3)
        assert np.abs(found - slopes(loss, array, directions, length)).max() < bound


@pytest.mark.parametrize("reset", [[0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [1] * 6, [0] * 6])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("plan", [[(3, False)], [(2, False), (3, False)], [(2, True), (3, True)]])
@pytest.mark.parametrize("cell", REFERENCE_KINDS)
def test_a_reset_cuts_a_sequence(rng: Any, plan: Any, cell: str, reverse: bool, reset: list[int]) -> None:
    if reverse and plan[0][1]:
        pytest.skip("a Bidirectional runs both ways by itself")
    params, starts = random_stack(rng, 2, plan, cell=cell), np.array(reset, bool)
    x, state, dlast = rng.standard_normal((6, 2)), random_state(rng, params, 1), random_state(rng, params, 1)
    state, dlast = (map_leaves(lambda a: a[0], tree) for tree in (state, dlast))
    y, last, tape = reference.forward_train(x, params, state, reverse=reverse, reset=starts)
    dy = rng.standard_normal(y.shape)
    grads = reference.backward(tape, dy, dlast)
    c = cells_of(reference, x, params, state, reverse=reverse, reset=starts)
    found = y, last, leaves(c), grads.x, grads.state, leaves(grads.params)
    near = 1e-12 if cell == "normalized" and plan[0][0] == 2 else 1e-13  # norm of two units, as above
    assert error(found, apart(reference, x, params, state, starts, dy, dlast, reverse)) < near


def assert_agrees_with_autograd(
    rng: Any, module: Any, params: Any, x: Any, state: Any, inputs: Any, y_: Any, h_: Any, c_: Any
) -> None:
    """The module's y, last state and all gradients, and those of tensors: y_, h_ and c_ from inputs, the weights, x, h
    and c."""
    torch = pytest.importorskip("torch")
    dy, dlast = rng.standard_normal(y_.shape), random_state(rng, params, len(x))
    loss = (y_ * torch.tensor(dy)).sum()
    loss = loss + sum((a * torch.tensor(d)).sum() for a, d in zip((h_, c_), dlast, strict=True))
    loss.backward()
    y, last, tape = module.forward_train(x, params, state)
    near = 1e-13 if x.dtype == np.float64 else 4e-6
    assert error((y, last), (y_.detach().numpy(), [a.detach().numpy() for a in (h_, c_)])) < near
    grads = module.backward(tape, dy, dlast)
    *dparams, dx, dh, dc = (a.grad.numpy() for a in inputs)
    assert error(tuple(grads), (dx, tuple(dparams), (dh, dc))) < 10 * near


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("module", [reference, fastlstm])
def test_the_interpolated_cell_in_torch(rng: Any, module: Any, dtype: Any) -> None:
    """The six equations as written, on tensors; every gradient by autograd."""
    torch = pytest.importorskip("torch")
    N, T, D, H = 3, 6, 4, 5
    params = random_params(rng, D, H, dtype, "interpolated")
    x, state = rng.standard_normal((N, T, D)).astype(dtype), random_state(rng, params, N)
    W, U, V, b, x_, h, c = (torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (*params, x, *state))
    inputs = W, U, V, b, x_, h, c
    (Wi, Wf, Wg), (Ui, Uf, Ug, Uo), (bi, bf, bo) = W.split(H, 1), U.split(H, 1), b.split(H)
    ys = []
    for t in range(T):
        both = torch.cat((h, x_[:, t]), dim=1)
        i = torch.sigmoid(both @ torch.cat((Ui, Wi)) + bi)
        f = torch.sigmoid(both @ torch.cat((Uf, Wf)) + bf)
        candidate = torch.tanh(f * c + i * (both @ torch.cat((Ug, Wg))))
        c = f * c + i * candidate
        o = torch.sigmoid(torch.cat((h, c), dim=1) @ torch.cat((Uo, V)) + bo)
        h = (1 - o) * h + o * torch.tanh(c)
        ys.append(h)
    assert_agrees_with_autograd(rng, module, params, x, state, inputs, torch.stack(ys, dim=1), h, c)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("module", [reference, fastlstm])
def test_the_peephole_cell_in_torch(rng: Any, module: Any, dtype: Any) -> None:
    """The equations as written, on tensors; every gradient by autograd."""
    torch = pytest.importorskip("torch")
    N, T, D, H = 3, 6, 4, 5
    params = random_params(rng, D, H, dtype, "peephole")
    x, state = rng.standard_normal((N, T, D)).astype(dtype), random_state(rng, params, N)
    inputs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (*params, x, *state)]
    W, U, p, b, x_, h, c = inputs
    (Wi, Wf, Wg, Wo), (Ui, Uf, Ug, Uo), (pi, pf, po), (bi, bf, bg, bo) = (a.split(H, -1) for a in (W, U, p, b))
    ys = []
    for t in range(T):
        i = torch.sigmoid(x_[:, t] @ Wi + h @ Ui + pi * c + bi)
        f = torch.sigmoid(x_[:, t] @ Wf + h @ Uf + pf * c + bf)
        g = torch.tanh(x_[:, t] @ Wg + h @ Ug + bg)
        c = f * c + i * g
        o = torch.sigmoid(x_[:, t] @ Wo + h @ Uo + po * c + bo)
        h = o * torch.tanh(c)
        ys.append(h)
    assert_agrees_with_autograd(rng, module, params, x, state, inputs, torch.stack(ys, dim=1), h, c)


@pytest.mark.parametrize("module", [reference, fastlstm])
def test_without_peepholes_the_peephole_cell_is_the_standard_one(rng: Any, module: Any) -> None:
    params = random_params(rng, 4, 5, cell="peephole")
    params.p[:] = 0
    x, state = rng.standard_normal((3, 6, 4)), random_state(rng, params, 3)
    found, expected = [], []
    for results, weights in ((found, params), (expected, Params(params.W, params.U, params.b))):
        y, last, tape = module.forward_train(x, weights, state)
        grads = module.backward(tape, y, last)
        results += [y, *last, grads.x, *grads.state, grads.params.W, grads.params.U, grads.params.b]
    assert error(found, expected) < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("module", [reference, fastlstm])
def test_the_normalized_cell_in_torch(rng: Any, module: Any, dtype: Any) -> None:
    """The equations as written, on tensors, with torch's layer_norm; every gradient by autograd."""
    torch = pytest.importorskip("torch")
    N, T, D, H = 3, 6, 4, 5
    params = random_params(rng, D, H, dtype, "normalized")
    x, state = rng.standard_normal((N, T, D)).astype(dtype), random_state(rng, params, N)
    inputs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (*params, x, *state)]
    W, U, s, b, x_, h, c = inputs
    (Wi, Wf, Wg, Wo), (Ui, Uf, Ug, Uo), (si, sf, sg, so, sc), (bi, bf, bg, bo, bc) = (
        a.split(H, -1) for a in (W, U, s, b)
    )

    def norm(v: Any, scale: Any, bias: Any) -> Any:
        return torch.nn.functional.layer_norm(v, (H,), scale, bias, eps=1e-5)

    ys = []
    for t in range(T):
        i = torch.sigmoid(norm(x_[:, t] @ Wi + h @ Ui, si, bi))
        f = torch.sigmoid(norm(x_[:, t] @ Wf + h @ Uf, sf, bf))
        g = torch.tanh(norm(x_[:, t] @ Wg + h @ Ug, sg, bg))
        o = torch.sigmoid(norm(x_[:, t] @ Wo + h @ Uo, so, bo))
        c = f * c + i * g
        h = o * torch.tanh(norm(c, sc, bc))
        ys.append(h)
    assert_agrees_with_autograd(rng, module, params, x, state, inputs, torch.stack(ys, dim=1), h, c)


@pytest.mark.parametrize("module", [reference, fastlstm])
def test_one_normalized_unit_sees_its_bias_alone(rng: Any, module: Any) -> None:
    """norm of a single number is 0: y and c follow from b, no gradient reaches x, h, W, U or s."""
    params = random_params(rng, 4, 1, cell="normalized")
    x, state = rng.standard_normal((3, 6, 4)), random_state(rng, params, 3)
    i, f, o = (1 / (1 + np.exp(-params.b[k])) for k in (0, 1, 3))
    g, shown, c = np.tanh(params.b[2]), np.tanh(params.b[4]), state.c
    y, last, tape = module.forward_train(x, params, state)
    for _ in range(6):
        c = f * c + i * g
    assert error((y, last.h, last.c), (np.full((3, 6, 1), o * shown), np.full((3, 1), o * shown), c)) < 1e-13
    dy, dlast = rng.standard_normal(y.shape), random_state(rng, params, 3)
    grads = module.backward(tape, dy, dlast)
    assert not any(a.any() for a in (grads.x, grads.state.h, *grads.params[:3]))
    assert error(grads.state.c, dlast.c * f**6) < 1e-12
    total = dy.sum() + dlast.h.sum()
    assert error(grads.params.b[3:], total * np.array([shown * o * (1 - o), o * (1 - shown**2)])) < 1e-12


@pytest.mark.parametrize("module", [reference, fastlstm])
def test_what_all_units_get_alike_norm_takes_away(rng: Any, module: Any) -> None:
    params = random_params(rng, 4, 5, cell="normalized")
    shift = params._replace(W=params.W + np.repeat(rng.standard_normal((4, 4)), 5, axis=1),
                            U=params.U + np.repeat(rng.standard_normal((5, 4)), 5, axis=1))  # fmt: skip
    x, state = rng.standard_normal((3, 6, 4)), random_state(rng, params, 3)
    found, expected = [], []
    for results, weights in ((found, shift), (expected, params)):
        y, last, tape = module.forward_train(x, weights, state)
        results += [y, last, *module.backward(tape, y, last)]
    assert error(found, expected) < 1e-13


def states_of_torch(h: Any, c: Any, ways: int) -> Any:
    """h and c of every direction of every layer -> a stack's state."""
    each = [State(a, b) for a, b in zip(h, c, strict=True)]
    return tuple(Bidirectional(*each[i : i + 2]) if ways == 2 else each[i] for i in range(0, len(each), ways))


@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("module", [reference, fastlstm])
def test_the_projected_cell_in_torch(rng: Any, module: Any, layers: int, both: bool) -> None:
    torch = pytest.importorskip("torch")
    (N, T, D, H, P), ways = (3, 6, 4, 7, 3), 2 if both else 1

    def made() -> Any:
        options = {"bidirectional": both, "batch_first": True, "dtype": torch.float64, "proj_size": P}
        return torch.nn.LSTM(D, H, layers, **options)

    lstm = made()
    params = from_torch(lstm.state_dict())
    shapes = (N, T, D), (layers * ways, N, P), (layers * ways, N, H)
    x, h, c = (rng.standard_normal(shape) for shape in shapes)
    inputs = [torch.tensor(a, requires_grad=True) for a in (x, h, c)]
    expected, (hn, cn) = lstm(inputs[0], tuple(inputs[1:]))
    dy, dh, dc = (rng.standard_normal(a.shape) for a in (expected, hn, cn))
    sum((a * torch.tensor(d)).sum() for a, d in zip((expected, hn, cn), (dy, dh, dc), strict=True)).backward()
    y, last, tape = module.forward_train(x, params, states_of_torch(h, c, ways))
    ends = states_of_torch(hn.detach().numpy(), cn.detach().numpy(), ways)
    assert error((y, last), (expected.detach().numpy(), ends)) < 1e-13
    grads = module.backward(tape, dy, states_of_torch(dh, dc, ways))
    dx, *dbegin = (a.grad.numpy() for a in inputs)
    assert error((grads.x, grads.state), (dx, states_of_torch(*dbegin, ways))) < 1e-12
    dparams = from_torch({name: a.grad / (2 if "bias" in name else 1) for name, a in lstm.named_parameters()})
    assert error(grads.params, dparams) < 1e-12
    again = made()
    again.load_state_dict({name: torch.from_numpy(a) for name, a in fastlstm.to_torch(params).items()})
    assert error(again(inputs[0], tuple(inputs[1:]))[0].detach().numpy(), y) < 1e-13


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("module", [reference, fastlstm])
def test_golden_arrays_of_torch(case: str, module: Any) -> None:
    g = {key.split("/", 1)[1]: GOLDEN[key] for key in GOLDEN.files if key.startswith(case + "/")}
    params = from_torch({k[8:]: v for k, v in g.items() if k.startswith("weights.")})
    ways = 2 if isinstance(params[0], Bidirectional) else 1

    def states(h: Any, c: Any) -> Any:
        return states_of_torch(h, c, ways)

    y, last, tape = module.forward_train(g["x"], params, states(g["h"], g["c"]), lengths=g.get("lengths"))
    assert error((y, last), (g["y"], states(g["hn"], g["cn"]))) < 1e-13
    grads = module.backward(tape, g["dy"], states(g["dhn"], g["dcn"]))
    assert error((grads.x, grads.state), (g["gx"], states(g["gh"], g["gc"]))) < 1e-12
    weights = from_torch({k[6:]: v for k, v in g.items() if k.startswith("grads.")})
    halved = map_leaves(lambda a: a / 2 if a.ndim == 1 else a, weights)  # torch has the bias twice
    assert error(grads.params, halved) < 1e-12


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("cell", CELLS)
def test_any_float_type_stays(rng: Any, cell: str, kind: Any) -> None:
    params = random_params(rng, 3, 4, kind, cell)
    x = rng.standard_normal((2, 5, 3))
    y, _, tape = reference.forward_train(x, params)
    grads = reference.backward(tape, np.ones_like(y))
    assert {a.dtype for a in leaves((y, tuple(grads)))} == {np.dtype(kind)}
    exact = reference.forward(x, map_leaves(lambda a: a.astype(np.longdouble), params))[0]
    assert error(y.astype(np.longdouble), exact) < 20 * float(np.finfo(kind).eps)


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_in_padding_counts(rng: Any, cell: str) -> None:
    """A sequence without a step, all NaN: the state's gradient goes through, the weights' are those of the other."""
    params = random_params(rng, 2, 5, cell=cell)
    state, dlast, x = random_state(rng, params, 2), random_state(rng, params, 2), rng.standard_normal((2, 4, 2))
    for a in (*state, *dlast, x):
        a[0] = np.nan
    y, _, tape = reference.forward_train(x, params, state, lengths=[0, 4])
    dy = rng.standard_normal(y.shape)
    found = reference.backward(tape, dy, dlast)
    alone, _, tape = reference.forward_train(x[1:], params, map_leaves(lambda a: a[1:], state))
    expected = reference.backward(tape, dy[1:], map_leaves(lambda a: a[1:], dlast))
    assert error(y, np.concatenate((np.zeros_like(alone), alone))) < 1e-13
    assert error(found.params, expected.params) < 1e-13
    assert all(np.isnan(a[0]).all() for a in found.state)


def test_wrong_projections(rng: Any) -> None:
    good, x = random_params(rng, 3, 5, cell="projected", P=2), np.ones((2, 4, 3))
    wide = random_params(rng, 3, 5, cell="projected", P=6)
    h, c = np.zeros((2, 2)), np.zeros((2, 5))
    for call, message in (
        (lambda: reference.forward(x, good._replace(V=good.V.T)), r"V \(5, 2\).* got .*V \(2, 5\)"),
        (lambda: reference.forward(x, good._replace(U=good.U[:1])), r"V \(5, 1\).* got .*V \(5, 2\)"),
        (lambda: reference.forward(x, wide), r"P at most H = 5, got U \(6, 20\)"),
        (lambda: reference.forward(x, good, State(h, h)), r"state.c: expected shape \(2, 5\), got \(2, 2\)"),
        (lambda: reference.forward(x, good, State(c, c)), r"state.h: expected shape \(2, 2\), got \(2, 5\)"),
        (lambda: reference.forward(x, good, h_mask=np.ones((2, 5))), r"h_mask: expected shape \(2, 2\), got \(2, 5\)"),
        (lambda: reference.forward(x, [good, good]), r"W \(2, 20\).* got W \(3, 20\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_wrong_peepholes(rng: Any) -> None:
    good, x = random_params(rng, 3, 5, cell="peephole"), np.ones((2, 4, 3))
    for call, message in (
        (lambda: reference.forward(x, good._replace(p=good.b)), r"p \(15,\).* got .*p \(20,\)"),
        (lambda: reference.forward(x, good._replace(p=good.p.reshape(3, 5))), r"p \(15,\).* got .*p \(3, 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_wrong_scales(rng: Any) -> None:
    good, x = random_params(rng, 3, 5, cell="normalized"), np.ones((2, 4, 3))
    for call, message in (
        (lambda: reference.forward(x, good._replace(s=good.s[:20])), r"s \(25,\).* got .*s \(20,\)"),
        (lambda: reference.forward(x, good._replace(b=good.b[:20])), r"b \(25,\).* got .*b \(20,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
