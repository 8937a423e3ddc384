"""Weights from and to ONNX files."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_files import CASES, golden, made
from oracles import assert_same, error, random_params, random_stack, random_state

import fastlstm
from fastlstm import Bidirectional, formats, nn, reference
from fastlstm.formats.plan import plan_of, run

onnx = pytest.importorskip("onnx")
SHARED = Path(__file__).parents[3] / "shared" / "data" / "models" / "dtln_model_1.onnx"
CELLS = ["standard", "peephole", "gru", "gru_before"]


def put(path: Path, model: Any) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


# reading


@pytest.mark.parametrize("case", CASES)
def test_nodes_give_what_onnxruntime_gave(case: str, tmp_path: Path) -> None:
    file = golden()
    target = tmp_path / "m.onnx"
    target.write_bytes(file[f"{case}/file"].tobytes())
    (node,) = formats.onnx_nodes(target)
    params = fastlstm.from_onnx(target)
    assert_same(node.params, params)
    x = file["x"].swapaxes(0, 1)
    y, last = reference.forward(x, params, node.state, lengths=file["lengths"], reverse=node.reverse)
    ways = [last.forward, last.backward] if isinstance(last, Bidirectional) else [last]
    Y = file[f"{case}/Y"].transpose(2, 0, 1, 3).reshape(y.shape)
    assert error([y, *(way.h for way in ways)], [Y, *file[f"{case}/Y_h"]]) < 2e-6
    assert node.reverse == ("reverse" in case)
    assert (node.state is not None) == bool({"states", "constants", "peepholes"} & set(case.split()))


def test_two_nodes_of_a_model_of_others(rng: Any) -> None:
    if not SHARED.exists():
        pytest.skip("the models stand beside some checkouts only")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = onnx.load(SHARED)
    for name in ("lstm_4_X", "lstm_4_Y", "lstm_5_X", "lstm_5_Y"):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    states = (0.3 * rng.standard_normal((1, 2, 128, 2))).astype(np.float32)
    magnitudes = abs(0.3 * rng.standard_normal((1, 1, 257))).astype(np.float32)
    given = {"input_2": magnitudes, "input_3": states}
    found = dict(zip((one.name for one in session.get_outputs()), session.run(None, given), strict=True))
    for number, name in enumerate(("lstm_4", "lstm_5")):
        params = fastlstm.from_onnx(SHARED, name)
        begin = fastlstm.State(states[:, number, :, 0], states[:, number, :, 1])
        y, _ = reference.forward(found[f"{name}_X"].swapaxes(0, 1), params, begin)
        assert abs(y - found[f"{name}_Y"][:, 0].swapaxes(0, 1)).max() < 1e-6


def test_a_node_is_found_by_its_name_or_an_output(tmp_path: Path) -> None:
    one, two = made(0), made(1, direction="bidirectional")
    two.graph.node[0].name = ""
    for entries in (two.graph.initializer, two.graph.node):  # other names for all
        for entry in entries:
            names = [("name", [entry.name])] if entry is not two.graph.node[0] else []
            for _, (name,) in names:
                entry.name = "other." + name
    node = two.graph.node[0]
    del node.input[1:4]
    for name in ("other.W", "other.R", "other.B")[::-1]:
        node.input.insert(1, name)
    node.output[0], node.output[1] = "Z", "Z_h"
    one.graph.initializer.extend(two.graph.initializer)
    one.graph.node.append(node)
    target = put(tmp_path / "m.onnx", one)
    assert [node.name for node in formats.onnx_nodes(target)] == ["the_node", "Z"]
    for name in ("Z", "Z_h"):
        assert isinstance(fastlstm.from_onnx(target, name), Bidirectional)
    assert_same(fastlstm.from_onnx(target, "the_node"), fastlstm.from_onnx(put(tmp_path / "one.onnx", made(0))))
    for node, message in ((None, "one LSTM or GRU node, got 'the_node', 'Z' in .*give the name of one as node"),
                          ("other", "named 'other', got 'the_node', 'Z'")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            fastlstm.from_onnx(target, node)
    with pytest.raises(TypeError, match="node: expected str or None, got int"):
        fastlstm.from_onnx(target, 3)  # type: ignore[arg-type]


def test_a_node_in_a_graph_within_a_node(tmp_path: Path) -> None:
    """Weights of an outer graph, through an Identity; one of them is the inner graph's own."""
    model, plain = made(3), made(3)
    node = model.graph.node[0]
    bias = next(one for one in model.graph.initializer if one.name == "B")
    model.graph.initializer.remove(bias)
    outputs = [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)]
    inner = onnx.helper.make_graph([node], "inner", [], outputs, [bias])
    del model.graph.node[:]
    model.graph.node.append(onnx.helper.make_node("Identity", ["W"], ["same"]))
    inner.node[0].input[1] = "same"
    model.graph.node.append(onnx.helper.make_node("If", ["yes"], ["Y"], then_branch=inner, else_branch=inner))
    del model.graph.node[1].attribute[1]  # else there are two
    assert_same(
        fastlstm.from_onnx(put(tmp_path / "m.onnx", model)), fastlstm.from_onnx(put(tmp_path / "p.onnx", plain))
    )


def with_functions(*functions: Any, calls: Any, constants: Any = ()) -> Any:
    """A model that calls functions of its own. Each: name, inputs, nodes, attributes."""
    helper = onnx.helper
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid("own", 1)]
    made_functions = [
        helper.make_function("own", name, inputs, ["Y"], nodes, opsets, attributes)
        for name, inputs, nodes, attributes in functions
    ]
    number = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        calls, "g", [helper.make_tensor_value_info("X", number, [4, 2, 3])],
        [helper.make_tensor_value_info(call.output[0], number, ["T", 1, "N", "H"]) for call in calls], list(constants),
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=opsets, functions=made_functions, ir_version=8)


def test_nodes_in_functions(rng: Any, tmp_path: Path) -> None:
    """Two calls of one function, of which one stands in another function; weights come in, or stand within."""
    helper, from_array = onnx.helper, onnx.numpy_helper.from_array
    shapes = {"W1": (1, 20, 3), "R1": (1, 20, 5), "W2": (1, 16, 3), "R2": (1, 16, 4), "B2": (1, 32)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    lstm = helper.make_node("LSTM", ["x", "w", "r", "b"], ["Y"], name="cell", hidden_size=1)
    lstm.attribute[0].ref_attr_name = "units"
    lstm.attribute[0].ClearField("i")
    inner = ("one", ["x", "w", "r", "b"], [lstm], ["units"])
    fixed = helper.make_node("Constant", [], ["bias"], value=from_array(arrays["B2"], "bias"))
    same = helper.make_node("Identity", ["r"], ["same"])
    within = helper.make_node("one", ["x", "w", "same", "bias"], ["Y"], domain="own", name="within", units=4)
    outer = ("two", ["x", "w", "r"], [fixed, same, within], [])
    calls = [helper.make_node("one", ["X", "W1", "R1"], ["Y1"], domain="own", name="first", units=5),
             helper.make_node("two", ["X", "W2", "R2"], ["Y2"], domain="own")]  # fmt: skip
    constants = [from_array(arrays[name], name) for name in ("W1", "R1", "W2", "R2")]
    model = with_functions(inner, outer, calls=calls, constants=constants)
    onnx.checker.check_model(model)
    target = put(tmp_path / "m.onnx", model)
    assert [node.name for node in formats.onnx_nodes(target)] == ["first/cell", "Y2/within/cell"]
    x = rng.standard_normal((4, 2, 3)).astype(np.float32)
    inlined = importlib.import_module("onnx.inliner").inline_local_functions(model)
    expected = importlib.import_module("onnx.reference").ReferenceEvaluator(inlined).run(None, {"X": x})
    for name, y in zip(("first/cell", "Y2/within/Y"), expected, strict=True):
        found, _ = reference.forward(x.swapaxes(0, 1), fastlstm.from_onnx(target, name))
        np.testing.assert_allclose(found, y[:, 0].swapaxes(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("depth", "twice", "message"),
    [(0, 1, "functions that call functions 40 deep"), (17, 2, "at most 100000 nodes in functions")],
)
def test_functions_without_end(depth: int, twice: int, message: str, tmp_path: Path) -> None:
    """One calls itself, or each calls the next one twice."""

    def call(name: str, *outputs: str) -> Any:
        return onnx.helper.make_node(name, ["X"], list(outputs), domain="own")

    functions = [(f"f{i}", ["X"], [call(f"f{i + 1 if depth else 0}", f"Y{j}") for j in range(twice)], [])
                 for i in range(depth + 1)]  # fmt: skip
    model = with_functions(*functions, calls=[call("f0", "Y")])
    with pytest.raises(ValueError, match=message):
        fastlstm.from_onnx(put(tmp_path / "m.onnx", model))


def test_weights_that_a_function_is_not_given(tmp_path: Path) -> None:
    lstm = onnx.helper.make_node("LSTM", ["x", "w", "r"], ["Y"], hidden_size=1)
    calls = [onnx.helper.make_node("one", ["X"], ["Y1"], domain="own", name="call")]
    weights = [onnx.numpy_helper.from_array(np.ones((1, 4, 1), np.float32), name) for name in ("w", "r")]
    model = with_functions(("one", ["x", "w", "r"], [lstm], []), calls=calls, constants=weights)
    with pytest.raises(ValueError, match=r"node 'call/Y': W: expected an initializer or a Constant, got none"):
        fastlstm.from_onnx(put(tmp_path / "m.onnx", model))


@pytest.mark.parametrize(
    ("kind", "like"), [("FLOAT16", np.float32), ("DOUBLE", np.float64), ("BFLOAT16", np.float32), ("FLOAT", np.float32)]
)
@pytest.mark.parametrize("raw", [True, False])
def test_types_of_numbers(kind: str, like: Any, raw: bool, tmp_path: Path) -> None:
    model = made(1)
    expected = {}
    for tensor in model.graph.initializer:
        numbers = np.round(onnx.numpy_helper.to_array(tensor) * 64) / 64  # exact in half precision
        expected[tensor.name] = numbers
        number = getattr(onnx.TensorProto, kind)
        content = onnx.helper.make_tensor(tensor.name, number, numbers.shape, numbers.ravel())
        if raw:
            as_array = onnx.numpy_helper.to_array(content)
            content.CopyFrom(onnx.numpy_helper.from_array(as_array, tensor.name))
        tensor.CopyFrom(content)
    params = fastlstm.from_onnx(put(tmp_path / "m.onnx", model))
    assert {array.dtype for array in params} == {np.dtype(like)}
    assert (params.W[:, 4:8] == expected["W"][0, 8:12].T).all()  # f


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_layout_1(kind: str, rng: Any, tmp_path: Path) -> None:
    """By the evaluator of onnx, as onnxruntime refuses it."""
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    model = made(2, kind, direction="bidirectional", state=True, activation_alpha=[1.0])
    changed("layout", 1)(model)
    for name in ("h", "c")[: 2 if kind == "LSTM" else 1]:
        array = onnx.numpy_helper.to_array(tensor(name)(model)).swapaxes(0, 1)
        tensor(name)(model).CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
    x = rng.standard_normal((3, 5, 2)).astype(np.float32)
    Y, Y_h = evaluator(model).run(None, {"x": x, "lengths": np.full(3, 5, np.int32)})
    (node,) = formats.onnx_nodes(put(tmp_path / "m.onnx", model))
    y, last = reference.forward(x, node.params, node.state)
    assert error([y, last.forward.h, last.backward.h], [Y.reshape(y.shape), *Y_h.swapaxes(0, 1)]) < 1e-6


@pytest.mark.parametrize("opset", [11, 13])  # before and since axes are inputs
def test_weights_that_nodes_put_together(opset: int, tmp_path: Path) -> None:
    """As exporters leave them that fold nothing: B of two halves, R turned and cut out of more."""
    make, model, plain = onnx.helper.make_node, made(5, opset=opset), made(5, opset=opset)
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    given = {
        "B1": arrays["B"][0, :16], "B2": arrays["B"][0, 16:], "R2": np.concatenate([arrays["R"]] * 2, 2).swapaxes(1, 2),
        "begin": np.array([4]), "end": np.array([8]), "first": np.array([0]), "second": np.array([1]),
    }  # fmt: skip
    del model.graph.initializer[1:]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in given.items())
    axes = (
        [make("Unsqueeze", ["both"], ["B"], axes=[0])] if opset < 13 else [make("Unsqueeze", ["both", "first"], ["B"])]
    )
    model.graph.node.extend([
        make("Concat", ["B1", "B2"], ["both"], axis=0), *axes,
        make("Slice", ["R2", "begin", "end", "second"], ["cut"]), make("Transpose", ["cut"], ["R"], perm=[0, 2, 1]),
    ])  # fmt: skip
    assert_same(
        fastlstm.from_onnx(put(tmp_path / "m.onnx", model)), fastlstm.from_onnx(put(tmp_path / "p.onnx", plain))
    )


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("folds", [True, False])
@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_models_that_pytorch_exports(kind: str, folds: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    module = getattr(torch.nn, kind)(3, 4, 2, batch_first=True, bidirectional=True)
    x, target = torch.randn(2, 5, 3), str(tmp_path / "m.onnx")
    torch.onnx.export(module, (x,), target, opset_version=14, dynamo=False, do_constant_folding=folds)
    y = x.numpy()
    for node in formats.onnx_nodes(target):
        y, _ = reference.forward(y, node.params, node.state)
    assert error(y, module(x)[0].detach().numpy()) < 1e-6


def attribute(name: str, value: Any) -> Any:
    return onnx.helper.make_attribute(name, value)


def changed(name: str, value: Any) -> Any:
    def change(model: Any) -> None:
        node = model.graph.node[0]
        kept = [one for one in node.attribute if one.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, *([] if value is None else [attribute(name, value)])])

    return change


def tensor(name: str) -> Any:
    def change(model: Any) -> Any:
        return next(one for one in model.graph.initializer if one.name == name)

    return change


def external(model: Any) -> None:
    one = tensor("R")(model)
    one.ClearField("raw_data")
    one.data_location = onnx.TensorProto.EXTERNAL
    one.external_data.add(key="location", value="/etc/passwd")


def _set(**values: Any) -> Any:
    def change(model: Any) -> None:
        for name, dims in values.items():
            del tensor(name)(model).dims[:]
            tensor(name)(model).dims.extend(dims)

    return change


def _input(number: int, name: str) -> Any:
    def change(model: Any) -> None:
        model.graph.node[0].input[number] = name

    return change


def _computed(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Add", ["R", "R"], ["RR"]))
    model.graph.node[0].input[2] = "RR"


def _doubling(model: Any) -> None:
    for number in range(30):
        before = f"R{number}" if number else "R"
        model.graph.node.append(onnx.helper.make_node("Concat", [before, before], [f"R{number + 1}"], axis=0))
    model.graph.node[0].input[2] = "R30"


def _text(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Cast", ["R"], ["RR"], to=onnx.TensorProto.STRING))
    model.graph.node[0].input[2] = "RR"


def _around(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Identity", ["a"], ["b"]))
    model.graph.node.append(onnx.helper.make_node("Identity", ["b"], ["a"]))
    model.graph.node[0].input[1] = "a"


def _infinite(model: Any) -> None:
    tensor("B")(model).raw_data = np.full(32, 3e38, np.float32).tobytes()  # the two biases are added up


def _opset(model: Any) -> None:
    model.opset_import[0].version = 6


def _integers(model: Any) -> None:
    tensor("B")(model).CopyFrom(onnx.numpy_helper.from_array(np.ones((1, 32), np.int64), "B"))


WRONG = [
    (
        changed("activations", ["Sigmoid", "Tanh", "Relu"]),
        "activations: expected sigmoid, tanh, tanh.*got Sigmoid, Tanh, R",
    ),
    (changed("activations", ["Sigmoid"]), "activations: expected sigmoid, tanh, tanh"),
    (changed("clip", 3.0), r"clip: expected none, as nothing is clipped here, got 3\.0"),
    (changed("input_forget", 1), "input_forget: expected 0"),
    (changed("direction", "sideways"), "direction: expected forward, reverse, bidirectional, got 'sideways'"),
    (changed("direction", "bidirectional"), r"R: expected shape \(2, 4H, H\), got \(1, 16, 4\)"),
    (changed("hidden_size", 5), "hidden_size: expected 4 as R has, got 5"),
    (changed("layout", 2), "layout: expected 0 or 1, got 2"),
    (changed("linear_before_reset", 1), "linear_before_reset: expected no such attribute of a node LSTM"),
    (changed("odd", 1), "odd: expected no such attribute"),
    (external, "R: expected numbers in the file itself, got external data, which are not followed"),
    (_set(W=(1, 1 << 40, 1 << 40)), r"W: expected numbers that fill shape \(1, 1099511627776, 1099511627776\), got 32"),
    (_set(W=(-1, 4, 8)), "W: expected numbers that fill shape"),
    (_set(W=(16, 2)), r"W: expected shape \(1, 16, D\), got \(16, 2\)"),
    (_set(B=(32,)), r"B: expected shape \(1, 32\), got \(32,\)"),
    (_input(1, "x"), "W: expected an initializer or a Constant, got 'x', an input of the model"),
    (_input(2, ""), "R: expected an initializer or a Constant, got none"),
    (_computed, "R: expected an initializer or a Constant, got 'RR', which a node Add makes"),
    (_around, "W: expected an initializer or a Constant, got one behind more than 40 nodes"),
    (_infinite, "expected finite weights, got NaN or infinity in b"),
    (_doubling, r"R: expected at most \d+ floating point numbers behind a node Concat|R: .*behind more than 40 nodes"),
    (_text, "R: expected at most .* floating point numbers behind a node Cast"),
    (_opset, "expected an opset of at least 7, got 6"),
    (_integers, "B: expected FLOAT, DOUBLE, FLOAT16 or BFLOAT16, got int64"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_nodes_that_are_not_read(change: Any, message: str, tmp_path: Path) -> None:
    model = made(0)
    change(model)
    with pytest.raises(ValueError, match=message):
        fastlstm.from_onnx(put(tmp_path / "m.onnx", model))


def test_a_model_without_such_nodes(tmp_path: Path) -> None:
    model = made(0)
    model.graph.node[0].domain = "com.example"
    with pytest.raises(ValueError, match="expected one LSTM or GRU node, got none"):
        fastlstm.from_onnx(put(tmp_path / "m.onnx", model))


# writing


@st.composite
def problems(draw: Any) -> Any:
    """A stack of random layers, x of any N and T, and options."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    plan = draw(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=3))
    stack = random_stack(rng, draw(st.integers(1, 5)), plan, np.float32, " on ".join(draw(st.permutations(CELLS))))
    N, T = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N))
    first = stack[0].forward if isinstance(stack[0], Bidirectional) else stack[0]
    x = rng.standard_normal((N, T, len(first.W))).astype(np.float32)
    return stack, x, lengths, draw(st.booleans()) and not any(both for _, both in plan)


@given(problems())
@settings(max_examples=60, deadline=None)
def test_random_stacks_in_onnxruntime(tmp_path_factory: Any, problem: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    stack, x, lengths, stateful = problem
    target = tmp_path_factory.mktemp("onnx") / "m.onnx"
    fastlstm.to_onnx(stack, target, stateful=stateful, lengths=lengths is not None)
    assert_same(fastlstm.from_onnx(target), tuple(stack))
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    state = some_states(stack, len(x)) if stateful else None
    feed = {"x": x} | ({} if lengths is None else {"lengths": np.array(lengths)})
    feed |= {} if state is None else {
        f"recurrent{i}.{field}_in": array for i, one in enumerate(state) for field, array in one._asdict().items()
    }  # fmt: skip
    found = session.run(None, feed)
    y, last = reference.forward(x, stack, state, lengths=lengths)
    real = np.arange(x.shape[1]) < np.array([x.shape[1]] * len(x) if lengths is None else lengths)[:, None]
    assert error([np.where(real[..., None], found[0], 0)], [y]) < 1e-5
    if stateful:
        assert error(found[1:], [array for one in last for array in one]) < 1e-5


def some_states(stack: Any, N: int) -> Any:
    """States of random numbers, of layers of one direction."""
    states = random_state(np.random.default_rng(5), stack, N)
    return tuple(type(one)(*(array.astype(np.float32) for array in one)) for one in states)


@pytest.mark.parametrize("cell", [*CELLS, "standard on gru"])
@pytest.mark.parametrize("plan", [[(4, False)], [(3, True)], [(4, False), (3, True), (2, False)]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_come_back_with_the_same_bits(rng: Any, cell: str, plan: Any, dtype: Any, tmp_path: Path) -> None:
    stack = random_stack(rng, 3, plan, dtype, cell)
    params = stack if len(stack) > 1 else stack[0]
    proof = fastlstm.to_onnx(params, tmp_path / "m.onnx", lengths=cell == "gru")
    assert proof.error < (1e-6 if dtype == np.float32 else 1e-13)
    assert formats.prove(tmp_path / "m.onnx") == proof
    found = fastlstm.from_onnx(tmp_path / "m.onnx")
    assert isinstance(found, tuple if len(stack) > 1 else type(params))
    assert_same(found, params)
    for number, (name, layer) in enumerate(zip([f"recurrent{i}" for i in range(len(stack))], stack, strict=True)):
        assert_same(fastlstm.from_onnx(tmp_path / "m.onnx", name), layer), number


def models() -> dict[str, Any]:
    states = [[1.0, -2.0, 3.0], [0.5, -0.5, 0.25]]
    return {
        "heads": [nn.Dense(4, "elu"), nn.GRU(3, return_sequences=True), nn.Dropout(0.3), nn.Dense(2, "softmax")],
        "last step": [nn.LSTM(3, return_sequences=True), nn.LSTM(2), nn.Dense(3, "relu"), nn.Dense(1, "sigmoid")],
        "masking": [nn.Masking(-1.0), nn.LSTM(3, return_sequences=True), nn.GRU(2), nn.Dense(2, "softplus")],
        "two ways": [nn.Bidirectional(nn.GRU(3, return_sequences=True), "ave"), nn.Bidirectional(nn.LSTM(3), "mul")],
        "sum": [nn.Masking(), nn.Bidirectional(nn.LSTM(3, return_sequences=True), "sum"), nn.Dense(2, "exponential")],
        "backwards": [nn.LSTM(3, return_sequences=True, go_backwards=True), nn.LSTM(2, go_backwards=True)],
        "peepholes": [nn.LSTM(3, cell="peephole"), nn.Dense(2, "tanh")],
        "first states": [nn.Masking(), nn.LSTM(3, first_state=states), nn.Dense(1)],
    }


@pytest.mark.parametrize("name", models())
def test_models(rng: Any, name: str, tmp_path: Path) -> None:
    model = nn.Sequential([nn.Input((None, 2)), *models()[name]], seed=0)
    assert fastlstm.to_onnx(model, tmp_path / "m.onnx").error < 1e-6
    again, x = fastlstm.from_onnx(tmp_path / "m.onnx"), rng.standard_normal((3, 4, 2))
    assert_same(run(plan_of(again), x, [4, 2, 3]), run(plan_of(model), x, [4, 2, 3]))


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("cell", ["peephole", "gru"])
def test_states_come_in_and_go_out(rng: Any, cell: str, lengths: bool, tmp_path: Path) -> None:
    stack = random_stack(rng, 3, [(4, False), (2, False)], np.float32, cell)
    fastlstm.to_onnx(stack, tmp_path / "m.onnx", stateful=True, lengths=lengths)
    graph = onnx.load(tmp_path / "m.onnx").graph
    fields = ["h"] if cell == "gru" else ["h", "c"]
    states = [f"recurrent{i}.{field}" for i in (0, 1) for field in fields]
    assert [one.name for one in graph.input] == ["x", *["lengths"] * lengths, *(f"{one}_in" for one in states)]
    assert [one.name for one in graph.output] == ["y", *(f"{one}_out" for one in states)]
    assert_same(fastlstm.from_onnx(tmp_path / "m.onnx"), tuple(stack))


def test_a_stateful_file_of_a_last_step_keeps_states_of_empty_chunks(tmp_path: Path) -> None:
    """onnxruntime gives zeros as the last state where a sequence has no step in a chunk."""
    model = nn.Sequential([nn.Input((None, 2)), nn.Masking(), nn.GRU(3), nn.Dense(1)], seed=0)
    assert fastlstm.to_onnx(model, tmp_path / "m.onnx", stateful=True).error < 1e-6


def test_what_onnx_has_not(rng: Any, tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    backwards = nn.LSTM(2, return_sequences=True, go_backwards=True)
    for params, options, message in (
        (random_params(rng, 2, 3, cell="projected"), {}, "cells that ONNX has, .* got one of the projected cell"),
        (random_params(rng, 2, 3, cell="interpolated"), {}, "got one of the interpolated cell"),
        (random_params(rng, 2, 3, cell="normalized"), {}, "got one of the normalized cell"),
        (random_stack(rng, 2, [(3, True)]), {"stateful": True}, "stateful: expected layers that all run forwards"),
        (nn.Sequential([nn.Input((None, 2)), backwards]), {"lengths": True}, "no go_backwards with return_sequences"),
        (nn.Sequential([nn.Input((None, 2)), nn.Dense(2), nn.Masking(), nn.LSTM(2)]), {}, "a Masking at the bottom"),
    ):
        with pytest.raises(ValueError, match=message):
            fastlstm.to_onnx(params, target, **options)
    with pytest.raises(TypeError, match="stateful: expected a bool, got int"):
        fastlstm.to_onnx(random_params(rng, 2, 3), target, stateful=1)
    assert os.listdir(tmp_path) == []


def test_a_file_whose_weights_were_changed_is_refused(rng: Any, tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    fastlstm.to_onnx(random_params(rng, 2, 3, np.float32), target)
    model = onnx.load(target)
    weights = bytearray(tensor("recurrent0.W")(model).raw_data)
    weights[5] ^= 1
    tensor("recurrent0.W")(model).raw_data = bytes(weights)
    with pytest.raises(ValueError, match="expected weights that give the outputs that stand in the file"):
        fastlstm.from_onnx(put(target, model))
    with pytest.raises(ValueError, match="expected weights that give the outputs that stand in the file"):
        formats.prove(target)


def test_a_graph_that_computes_something_else_is_not_written(rng: Any, tmp_path: Path, monkeypatch: Any) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(b"before")
    from fastlstm.formats import onnx_graph

    graph_of = onnx_graph.graph_of

    def wrong(plan: Any, **options: Any) -> Any:
        model, stages = graph_of(plan, **options)
        next(one for one in model.graph.node if one.name == "y").attribute[0].ints[:] = [0, 1, 2]
        return model, stages

    monkeypatch.setattr(onnx_graph, "graph_of", wrong)
    with pytest.raises(ValueError, match="is not written"):
        fastlstm.to_onnx(random_params(rng, 2, 3, np.float32), target)
    assert target.read_bytes() == b"before"


def test_files_are_proven_without_onnxruntime_too(rng: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    stack = random_stack(rng, 2, [(3, True), (2, False)], np.float32, "gru")
    proof = fastlstm.to_onnx(stack, tmp_path / "m.onnx", lengths=True)
    assert proof.by == f"the reference evaluator of onnx {onnx.__version__}"
    assert proof.error < 1e-6


def test_the_package_imports_nothing_of_onnx() -> None:
    code = (
        "import sys, fastlstm; fastlstm.formats; print('onnx' in sys.modules, 'fastlstm.formats.onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
