"""Weights from PyTorch's names to ours, to an ONNX file, to ours, to a Keras file, to ours and to PyTorch's names.

As a program, `python tests/round_trips.py 200` sends that many random models round, runs each file in its own framework
(torch, onnxruntime, keras) and prints the largest difference from `fastlstm.reference` at each station.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracles import leaves, random_params

import fastlstm
from fastlstm import Bidirectional, nn, reference
from fastlstm.formats import as_layers, plan

TOLERANCE = 1e-6  # of outputs, as a part of the largest
Seen = Callable[[str, float], None]
"""Is told of each station: its name, and the `difference` of what came out there."""


class Case(NamedTuple):
    """A model: `cell` is "lstm", "gru" or "gru_before", `head` an activation of a dense layer on top, if there is one;
    `sequences` whether the topmost recurrent layer gives all steps; x is (N, T, D)."""

    cell: str
    D: int
    H: int
    layers: int
    both: bool
    bias: bool
    head: str | None
    sequences: bool
    N: int
    T: int
    seed: int


def cases() -> st.SearchStrategy[Case]:
    sizes = {"D": st.integers(1, 20), "H": st.integers(1, 40), "layers": st.integers(1, 3)}
    flags = {name: st.booleans() for name in ("both", "bias", "sequences")}
    rest = {"N": st.integers(1, 4), "T": st.integers(1, 20), "seed": st.integers(0, 2**32 - 1)}
    heads = st.sampled_from([None, "linear", "tanh", "softmax"])
    cells = st.sampled_from(["lstm", "gru", "gru_before"])
    return st.builds(Case, cell=cells, head=heads, **sizes, **flags, **rest)


def torch_names(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A state dict as torch.nn.LSTM or torch.nn.GRU would have it, with both biases."""
    rows, D, k, found = {"lstm": 4, "gru": 3}[case.cell] * case.H, case.D, case.H**-0.5, {}
    for layer in range(case.layers):
        for suffix in ("", "_reverse")[: 1 + case.both]:
            shapes = {"weight_ih": (rows, D), "weight_hh": (rows, case.H), "bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                if case.bias or "bias" not in name:
                    found[f"{name}_l{layer}{suffix}"] = rng.uniform(-k, k, shape).astype(np.float32)
        D = case.H * (1 + case.both)
    return found


def before_stack(case: Case, rng: np.random.Generator) -> tuple[Any, ...]:
    """A stack of the GRU that torch has not."""
    D, found = case.D, []
    for _ in range(case.layers):
        ways = [random_params(rng, D, case.H, np.float32, "gru_before") for _ in range(1 + case.both)]
        if not case.bias:
            ways = [one._replace(b=np.zeros_like(one.b)) for one in ways]
        found.append(Bidirectional(*ways) if case.both else ways[0])
        D = case.H * (1 + case.both)
    return tuple(found)


def model_of(case: Case, stack: tuple[Any, ...], rng: np.random.Generator) -> Any:
    """These weights as layers of `fastlstm.nn`, with a head."""
    made = []
    for number, params in enumerate(stack):
        last = number == len(stack) - 1
        options = {"return_sequences": case.sequences or not last, "use_bias": case.bias}
        layer, weights = as_layers.recurrent(params, **options)
        made.append((layer, [one for i, one in enumerate(weights) if case.bias or i % 3 != 2]))
    if case.head:
        kernel = rng.uniform(-1, 1, (case.H * (1 + case.both), 3)).astype(np.float32)
        made.append(as_layers.dense(kernel, kernel[0].copy(), case.head))
    return as_layers.model_of(made, case.D)


def same(found: Any, expected: Any) -> None:
    """Types of records, and the bits of all numbers."""
    found, expected = list(found), list(expected)
    assert [type(one) for one in found] == [type(one) for one in expected]
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        assert one.dtype == other.dtype == np.float32
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


def records(model: Any) -> list[Any]:
    """The weights of a model's recurrent layers."""
    ways = [stage.records for stage in plan.plan_of(model).recurrent]
    return [Bidirectional(*one) if len(one) == 2 else one[0] for one in ways]


def travel(case: Case, folder: Path, live: Seen | None = None) -> None:
    """Once round. live: what comes out of each framework is told to it."""
    rng = np.random.default_rng(case.seed)
    x = rng.standard_normal((case.N, case.T, case.D)).astype(np.float32)
    if case.cell == "gru_before":
        stack = before_stack(case, rng)
    else:
        state = torch_names(case, rng)
        stack = fastlstm.from_torch(state)
    hidden, _ = reference.forward(x.astype(np.float64), [_wide(one) for one in stack])
    if live and case.cell != "gru_before":
        live("torch", difference(_by_torch(case, state, x), hidden))

    weights, whole, keras = (str(folder / name) for name in ("weights.onnx", "model.onnx", "model.keras"))
    fastlstm.to_onnx(stack, weights)
    again = fastlstm.from_onnx(weights)
    same(again, stack)
    if live:
        live("onnxruntime, weights", difference(_by_onnxruntime(weights, x), hidden))

    model = model_of(case, stack, rng)
    expected, _ = plan.run(plan.plan_of(model), x)
    least = 1.0 if case.head else 0.0  # the sums of a head may cancel out
    fastlstm.to_onnx(model, whole)
    came = fastlstm.from_onnx(whole)
    same(records(came), stack)
    if live:
        live("onnxruntime, model", difference(_by_onnxruntime(whole, x), expected, least))

    came.save(keras)
    loaded = nn.load_keras(keras)
    same(records(loaded), stack)
    assert np.array_equal(plan.run(plan.plan_of(loaded), x)[0], expected)
    last = tuple(fastlstm.from_keras(keras).values())
    same(last, stack)
    if live:
        live("keras", difference(_by_keras(keras, x), expected, least))

    if case.cell != "gru_before":
        back = fastlstm.to_torch(last)
        weights_of = {name: array for name, array in state.items() if "weight" in name}
        same([back[name] for name in weights_of], weights_of.values())
        for name in back:
            if "bias_ih" in name and case.bias:
                same(_biases(case, back, name), _biases(case, state, name))
            elif "bias" in name:
                assert case.bias or not back[name].any()
        if live:
            live("torch again", difference(_by_torch(case, back, x), hidden))


def _biases(case: Case, state: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """torch adds its two biases up; those of a GRU's candidate stay two."""
    one, two = state[name], state[name.replace("ih", "hh")]
    apart = 2 * case.H if case.cell == "gru" else len(one)
    return [one[:apart] + two[:apart], one[apart:], two[apart:]]


def _wide(layer: Any) -> Any:
    if isinstance(layer, Bidirectional):
        return Bidirectional(*map(_wide, layer))
    return type(layer)(*(array.astype(np.float64) for array in layer))


def _by_torch(case: Case, state: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    import torch

    bias = any("bias" in name for name in state)
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[case.cell]
    module = kind(case.D, case.H, case.layers, bias=bias, batch_first=True, bidirectional=case.both)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(x))[0])


def _by_onnxruntime(name: str, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


def _by_keras(name: str, x: np.ndarray) -> np.ndarray:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    return np.asarray(keras.models.load_model(name, compile=False)(x))


def difference(found: np.ndarray, expected: np.ndarray, least: float = 0.0) -> float:
    """As a part of the largest number expected, or of `least` where that is more."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), least))


def _count(number: int) -> Iterator[str]:
    worst: dict[str, list[float]] = {}
    kinds: dict[str, int] = {}

    def seen(station: str, one: float) -> None:
        assert one <= TOLERANCE, (station, one)
        worst.setdefault(station, []).append(one)

    @settings(max_examples=number, deadline=None, database=None, derandomize=True,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases())
    def each(case: Case) -> None:
        kinds[case.cell] = kinds.get(case.cell, 0) + 1
        with tempfile.TemporaryDirectory() as folder:
            travel(case, Path(folder), seen)

    each()
    yield ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    for station, errors in worst.items():
        yield f"{station}: {len(errors)} models, at most {max(errors):.1e} of the largest output"


if __name__ == "__main__":
    for line in _count(int(sys.argv[1]) if len(sys.argv) > 1 else 200):
        print(line)
