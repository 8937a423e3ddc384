"""The program for machines with a GPU runs to its end without one and in the simulator, and says what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asv_benchmarks import device, report
from asv_benchmarks.benchmarks.shapes import Shape

ROOT = Path(__file__).parents[2]


def run(tmp_path: Path, *options: str, simulator: str) -> Any:
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "asv_benchmarks.device", "--tiny", "--out", str(out), *options]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "NUMBA_ENABLE_CUDASIM": simulator}, timeout=600)
    return json.loads(out.read_text())


def test_in_the_simulator(tmp_path: Path) -> None:
    found = run(tmp_path, "--parts", "exact", "barriers", "speed", "sanitizer", simulator="1")
    rows = {row["kind"]: row for row in found["exact"]["rows"]}
    assert rows.keys() == {"small", "wide", "product"}
    for row in rows.values():
        assert row["error_forward"] < 1e-6
        assert row["error_gradients"] < 1e-6
        assert row["same_again"]
        assert row["alone_as_in_a_batch"]
    assert [row["mode"] for row in found["speed"]["rows"]] == ["infer", "train", "step"]
    assert all(row["seconds"]["fastlstm"] > 0 for row in found["speed"]["rows"])
    assert "simulator" in found["barriers"]["missing"]
    assert "missing" in found["sanitizer"]
    assert "simulator" in found["device"]["CUDA"]


@pytest.mark.skipif(device.systems.torch_there() is not None, reason="there is a GPU")
def test_without_a_gpu(tmp_path: Path) -> None:
    found = run(tmp_path, simulator="0")
    for name in ("exact", "barriers", "speed", "sanitizer"):
        assert "install" in found[name]["missing"] or "device" in found[name]["missing"]
    assert found["processor"]["rows"][0]["seconds"]["1"] > 0


def test_a_failure_is_a_row_and_time_is_kept(capsys: Any) -> None:
    def measure(job: Any) -> dict[str, Any]:
        if job == ("bad",):
            raise ValueError("no")
        return {"job": job}

    jobs = [("good",), ("bad",), ("good",)]
    found = device.Run(True, 1e18, None).rows(jobs, measure)
    assert found == {
        "rows": [{"job": ("good",)}, {"job": ["bad"], "error": "ValueError: no"}, {"job": ("good",)}],
        "left_out": 0,
    }
    assert device.Run(True, 0, None).rows(jobs, measure) == {"rows": [], "left_out": 3}


def test_the_page() -> None:
    stored = json.loads(device.RESULTS.read_text()) if device.RESULTS.exists() else {}
    text = device.PAGE.read_text()
    assert "<!-- device -->" in text
    assert report.fill(text, device.parts(stored)) == text
    row = {"cell": "gru", "dtype": "float32", "kind": "small", "shape": Shape(1, 2, 3, 4), "error_forward": 1e-7,
           "error_gradients": 2e-7, "processors_bits_forward": True, "processors_bits_gradients": False,
           "same_again": True, "alone_as_in_a_batch": True}  # fmt: skip
    times = {"mode": "infer", "shape": Shape(1, 2, 3, 4), "ragged": True, "seconds": {"fastlstm": 1e-3, "jax": 2e-3}}
    made_up = {
        "machine": {"date": "2026-01-01"},
        "device": {"cuda:0": "A Card"},
        "exact": {"rows": [row, {"error": "x"}]},
        "speed": {"rows": [times, times | {"seconds": {"fastlstm": 5e-4}}]},
    }
    shown = device.parts(made_up)["device"]
    assert "cuda:0 A Card; 2026-01-01." in shown
    assert "| gru, float32, small: 1, 2, 3, 4 | 1.0e-07 | 2.0e-07 | y yes, gradients no | yes | yes |" in shown
    assert "| inference, ragged: 1, 2, 3, 4 | 1.00 | 2.00 |" in shown
    assert "| inference, ragged: 1, 2, 3, 4 | 0.500 | – |" in shown


def test_tiny_figures_are_not_published(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        device.main(["--tiny"])
    assert "expected --out" in capsys.readouterr().err
