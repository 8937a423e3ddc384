"""The program for machines with a GPU runs to its end without one and in the simulator, and says what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asv_benchmarks import device, device_peers, device_report, device_systems, report, workers
from asv_benchmarks.benchmarks.shapes import Shape
from asv_benchmarks.systems import projections

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
        assert row["same_without_a_tape"]
        assert row["alone_as_in_a_batch"]
    speed = found["speed"]
    assert [row["mode"] for row in speed["rows"]] == ["train ragged"]
    assert all(row["seconds"]["fastlstm"] > 0 for row in speed["rows"])
    assert {"torch", "torch_tf32"} <= speed["missing_systems"].keys()
    assert "simulator" in found["barriers"]["missing"]
    assert "missing" in found["sanitizer"]
    assert "simulator" in found["device"]["CUDA"]


@pytest.mark.skipif(device_systems.torch_there() is not None, reason="there is a GPU")
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


def stored() -> Any:
    return json.loads(device_report.RESULTS.read_text()) if device_report.RESULTS.exists() else {}


def test_the_pages() -> None:
    for page, markers in zip(device_report.PAGES, (["device"], ["gpu", "threads"]), strict=True):
        text = page.read_text()
        assert all(f"<!-- {marker} -->" in text for marker in markers)
        assert report.fill(text, device_report.parts(stored())) == text
    assert set(device_report.parts({}).values()) == {"Not yet measured on hardware.", "Not yet measured."}


def test_what_the_pages_show() -> None:
    row = {"cell": "gru", "dtype": "float32", "kind": "small", "shape": Shape(1, 2, 3, 4), "options": "lengths mask",
           "error_forward": 1e-7, "error_gradients": 2e-7, "processors_bits_forward": True,
           "processors_bits_gradients": False, "same_again": True, "same_without_a_tape": True,
           "alone_as_in_a_batch": True}  # fmt: skip
    times = {"mode": "infer ragged", "shape": Shape(5, 2, 3, 4), "seconds": {"fastlstm": 1e-3, "torch_tf32": 2e-3},
             "gflops": 3.0, "rows_a_second": 1e4}  # fmt: skip
    found = device_report.parts({
        "machine": {"date": "2026-01-01", "processor": "A Chip", "cores": 4},
        "device": {"cuda:0": "A Card"},
        "exact": {"rows": [row, {"error": "x"}]},
        "barriers": {"rows": [{"blocks": 8, "kernel": "counter", "microseconds": 1.5}]},
        "speed": {"rows": [times, times | {"seconds": {"fastlstm": 5e-4}}], "missing_systems": {"jax": "none here"}},
        "sanitizer": {"rows": [{"check": "racecheck", "clean": True}, {"check": "memcheck", "clean": False}]},
        "processor": {"rows": [{"mode": "train", "shape": Shape(1, 2, 3, 4), "seconds": {"1": 2e-3, "2": "no"}}]},
    })  # fmt: skip
    assert "cuda:0 A Card; 2026-01-01." in found["device"]
    exact = "| gru, float32, small: 1, 2, 3, 4 (lengths, mask) | 1.0e-07 | 2.0e-07 | y yes, gradients no | yes | yes |"
    assert exact in found["device"]
    assert "| 8 | counter | 1.50 |" in found["device"]
    assert "racecheck finds nothing, memcheck finds errors." in found["device"]
    assert "| inference, ragged, µs a step: N, T, D, H | fastlstm | torch, cuDNN, TF32 |" in found["gpu"]
    assert "| 5, 2, 3, 4 | **500** | 1000 | 0.0100 | 3.00 |" in found["gpu"]
    assert "| 5, 2, 3, 4 | **250** | – |" in found["gpu"]
    assert "Left out: jax (none here)." in found["gpu"]
    assert "A Chip, 4 cores; 2026-01-01." in found["threads"]
    assert "| training | 1, 2, 3, 4 | 2.00 | – |" in found["threads"]


def peers(*options: str, simulator: str = "1") -> Any:
    command = [sys.executable, "-m", "asv_benchmarks.peers", "--device", "cuda", *options]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=600,
                          env={**os.environ, "NUMBA_ENABLE_CUDASIM": simulator})  # fmt: skip


def test_beside_peers_in_the_simulator() -> None:
    done = peers("--only", "2,2,2,3", "--modes", "step", "--systems", "fastlstm", "torch", "--rounds", "1",
                 "--seconds", "0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "torch is left out: " in done.stdout
    assert "one step, µs a step: N, T, D, H | fastlstm | fastlstm, million samples·steps a second |" in done.stdout


@pytest.mark.skipif(device_systems.torch_there() is not None, reason="there is a GPU")
def test_without_a_gpu_peers_say_what_is_missing() -> None:
    done = peers(simulator="0")
    assert done.returncode == 2
    assert "--device cuda: no " in done.stderr.splitlines()[-1] or "install" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--systems", "abacus"], "unknown system abacus; known are fastlstm, torch, torch_tf32, jax"),
     (["--only", "1,2"], "expected a shape N,T,D,H"),
     ([], "the simulator's times are not to be published"),
     (["--rounds", "0"], "--rounds: expected at least 1, got 0")],
)  # fmt: skip
def test_bad_input_of_peers(options: list[str], message: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from asv_benchmarks import peers

    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    monkeypatch.setattr("fastlstm.cuda.machine.hindrance", lambda: None)
    monkeypatch.setattr(sys, "argv", ["peers", "--device", "cuda", *options])
    with pytest.raises(SystemExit):
        peers.main()
    assert message in capsys.readouterr().err.splitlines()[-1]


MODES = ["infer", "train", "step", "infer ragged", "train ragged"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["torch", "torch_tf32", "jax"])
def test_systems_compute_the_same(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the host, where they would be on a device: against the reference."""
    library = pytest.importorskip(name.partition("_")[0])
    monkeypatch.setattr(device_systems, "DEVICE", "cpu")
    shape = Shape(4, 5, 3, 6)
    if name == "jax" and "ragged" in mode:
        with pytest.raises(ValueError, match="no lengths"):
            device_systems.made(name, mode, *shape)
        return
    try:
        found = device_systems.on_host(device_systems.made(name, mode, *shape)())
    finally:
        if name == "jax":
            library.config.update("jax_default_matmul_precision", None)
    right = by_reference(mode, shape)
    assert workers.disagreement({name: projections(found), "reference": projections(right)}) < 1e-5


def by_reference(mode: str, shape: Shape) -> Any:
    import fastlstm
    from asv_benchmarks.systems import inputs, weights
    from fastlstm import reference

    params, x = fastlstm.Params(*weights(shape.D, shape.H)), inputs(*shape[:3])
    options = {"lengths": device_systems.lengths_of(shape.N, shape.T)} if "ragged" in mode else {}
    if mode == "step":
        return (reference.forward(x[:, :1], params)[1].h,)
    y, _, tape = reference.forward_train(x, params, **options)
    grads = reference.backward(tape, y * 0 + 1)
    return (y, grads.x, *grads.params) if "train" in mode else (y,)


def test_results_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those with TF32 products."""
    checks = {"fastlstm": [[1.0, 1.0]], "torch": [[1.0, 1.0]], "torch_tf32": [[1.1, 1.0]]}
    monkeypatch.setattr(device_peers, "take_turns", lambda *_: ({"fastlstm": [2.0, 1.0, 4.0]}, checks, {}))
    row = device_peers.row({}, "step", Shape(3, 7, 1, 1), 3, 0)
    assert row["seconds"] == {"fastlstm": 2.0}
    assert row["shape"] == (3, 1, 1, 1)
    assert row["rows_a_second"] == 1.5
    checks["torch"] = [[1.01, 1.0]]
    with pytest.raises(ValueError, match=r"step 3,1,1,1: the systems' results differ by 1\.0e-02"):
        device_peers.row({}, "step", Shape(3, 7, 1, 1), 3, 0)


def test_tiny_figures_are_not_published(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        device.main(["--tiny"])
    assert "expected --out" in capsys.readouterr().err
