"""Models of Neural Amp Modeler, against its C++ code written again in NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import error

from fastlstm import formats, nn
from fastlstm.formats.plan import plan_of, run

SHARED = Path(__file__).parents[3] / "shared" / "data" / "models" / "nam_lstm.nam"


def numbers_of(D: int, H: int, layers: int, M: int) -> int:
    return sum(4 * H * ((H if i else D) + H) + 6 * H for i in range(layers)) + M * (H + 1)


def file_of(rng: Any, D: int = 1, H: int = 3, layers: int = 2, M: int | None = None) -> dict[str, Any]:
    config = {"input_size": D, "hidden_size": H, "num_layers": layers} | ({} if M is None else {"out_channels": M})
    weights = rng.uniform(-1, 1, numbers_of(D, H, layers, M or 1)).astype(np.float32)
    return {"version": "0.5.4", "architecture": "LSTM", "config": config, "weights": weights.tolist(),
            "sample_rate": 48000}  # fmt: skip


def nam(record: dict[str, Any], x: Any) -> Any:
    """NAM/lstm.cpp: one number after the other is taken from the list; y (T, M) of x (T, D)."""
    config, given = record["config"], iter(record["weights"])
    H, M, D = config["hidden_size"], config.get("out_channels", 1), config["input_size"]

    def matrix(rows: int, columns: int) -> Any:
        return np.array([[next(given) for _ in range(columns)] for _ in range(rows)])

    cells = []
    for layer in range(config["num_layers"]):
        width = H if layer else D
        w, b = matrix(4 * H, width + H), matrix(1, 4 * H)[0]
        xh = np.concatenate([np.zeros(width), matrix(1, H)[0]])
        cells.append((w, b, xh, matrix(1, H)[0], width))
    head, bias = matrix(M, H), matrix(1, M)[0]
    ys = []
    for now in x:
        for w, b, xh, c, width in cells:
            xh[:width] = now
            ifgo = w @ xh + b
            for u in range(H):
                i, f, g, o = (ifgo[u + block * H] for block in range(4))
                c[u] = c[u] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
                xh[width + u] = np.tanh(c[u]) / (1 + np.exp(-o))
            now = xh[width:]
        ys.append(head @ now + bias)
    return np.array(ys)


def put(path: Path, record: Any) -> Path:
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize(("D", "H", "layers", "M"), [(1, 3, 1, None), (1, 4, 3, 1), (2, 3, 2, 2)])
def test_models_give_what_the_plugin_gives(rng: Any, D: int, H: int, layers: int, M: int, tmp_path: Path) -> None:
    record, x = file_of(rng, D, H, layers, M), rng.standard_normal((20, D))
    model = formats.from_nam(put(tmp_path / "m.nam", record))
    assert error(run(plan_of(model), x[None])[0][0], nam(record, x)) < 1e-14


def test_a_model_of_others_gives_what_the_plugin_gives(rng: Any) -> None:
    if not SHARED.exists():
        pytest.skip("the models stand beside some checkouts only")
    x = rng.standard_normal((50, 1))
    model = formats.from_nam(SHARED)
    assert error(run(plan_of(model), x[None])[0][0], nam(json.loads(SHARED.read_text()), x)) < 1e-14


def test_all_sequences_begin_with_the_trained_state(rng: Any, tmp_path: Path) -> None:
    record, x = file_of(rng), rng.standard_normal((3, 6, 1)).astype(np.float32)
    model = formats.from_nam(put(tmp_path / "m.nam", record))
    expected = np.stack([nam(record, one) for one in x])
    for _ in range(2):
        assert error(model(x), expected) < 1e-6
    again = nn.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert (again(x) == model(x)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "WaveNet"}, "architecture: expected LSTM, got 'WaveNet'"),
        ({"architecture": None}, "architecture: expected str, got NoneType"),
        ({"config": []}, "config: expected dict, got list"),
        ({"config": {"input_size": 1}}, "config: hidden_size: expected int, got none"),
        ({"config": {"input_size": 0, "hidden_size": 1, "num_layers": 1}}, "input_size: expected a size from 1"),
        ({"config": {"input_size": True, "hidden_size": 1, "num_layers": 1}}, "input_size: expected int, got bool"),
        ({"config": {"input_size": 1, "hidden_size": 3, "num_layers": 10**5}}, "weights: expected .* 100000 layers"),
        ({"config": {"input_size": 1, "hidden_size": 4, "num_layers": 2}}, r"weights: expected \d+ numbers for D = 1"),
        ({"config": {"input_size": 1, "hidden_size": 3, "num_layers": 2, "in_channels": 2}}, "in_channels: expected 1"),
        ({"weights": [0.5]}, r"weights: expected \d+ numbers for .*, got 1$"),
        ({"weights": None}, "weights: expected lists 1 deep, got NoneType"),
    ],
)
def test_files_that_make_no_sense(rng: Any, change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        formats.from_nam(put(tmp_path / "m.nam", file_of(rng) | change))
