"""The published figures are those that were measured, and the bench says what is wrong with what it is given."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asv_benchmarks import cells, compare, device_report, own_cells, peers, report, scale, training, workers
from asv_benchmarks.benchmarks import learning
from asv_benchmarks.benchmarks.shapes import FITS, GATES, MODES, SHAPES, STEPPED, Fit, Shape, along
from asv_benchmarks.systems import projections

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results() -> Any:
    return json.loads(report.RESULTS.read_text())


@pytest.mark.parametrize("page", report.PAGES, ids=lambda page: page.name)
def test_pages_agree_with_the_stored_results(page: Path, results: Any) -> None:
    text = page.read_text()
    assert report.filled(text, results) == text


def test_every_marker_has_a_part(results: Any) -> None:
    for page in report.PAGES:
        text = page.read_text()
        opened, closed = re.findall(r"<!-- (\w+) -->", text), re.findall(r"<!-- /(\w+) -->", text)
        assert opened == closed != []
        emptied = re.sub(r"(<!-- \w+ -->\n).*?(<!-- /)", r"\1\2", text, flags=re.DOTALL)
        parts = training.parts(json.loads(training.RESULTS.read_text())) | own_cells.parts(stored_of_own_cells())
        parts |= device_report.parts(json.loads(device_report.RESULTS.read_text())
                                     if device_report.RESULTS.exists() else {})  # fmt: skip
        again = report.fill(report.filled(emptied, results), parts)
        assert again == text


def stored_of_own_cells() -> Any:
    return json.loads(own_cells.RESULTS.read_text()) if own_cells.RESULTS.exists() else {}


def test_the_tables_of_other_cells_agree_with_their_results() -> None:
    stored, text = stored_of_own_cells(), own_cells.PAGE.read_text()
    assert report.fill(text, own_cells.parts(stored)) == text
    if stored:
        rows = [(row["cell"], row["mode"], Shape(*row["shape"])) for row in stored["table"]]
        assert rows == own_cells.jobs(list(GATES), [])


def test_the_tables_of_processes_agree_with_their_results() -> None:
    stored, text = json.loads(scale.RESULTS.read_text()) if scale.RESULTS.exists() else {}, scale.PAGE.read_text()
    assert report.fill(text, scale.parts(stored)) == text
    assert not stored or [Fit(*row["fit"]) for row in stored["table"]] == scale.FITS


def test_the_tables_of_processes() -> None:
    """Of made up times: two ranks take what two threads take, and a tenth of it is exchanged."""
    row = {"fit": [64, 8, 16, 32, 6400], "seconds": {"one thread": 2.0, "2 threads": 1.0, "2 ranks": 1.25},
           "share": 0.1, "bytes": 1_100_000}  # fmt: skip
    made_up = {
        "processor": "none",
        "cores": 2,
        "threads": 2,
        "vector_bits": 256,
        "system": "",
        "python": "3",
        "date": "",
    }
    found = scale.parts({"table": [row], "ranks": 2, "rounds": 1, "machine": made_up, "versions": {}})
    assert "| 64, 8, 16, 32, 6400 | 3200 | 6400 | 5120 | 80% | 10.0% | 1074 |" in found["scale"]
    # 10 ms of a batch; two latencies and the gradient once between two machines: 1.06 ms
    assert "| 64, 8, 16, 32, 6400 | 10.0 | 10 Gbit/s Ethernet | 90% |" in found["scale_model"]


def test_ranks_learn_from_the_same_batches() -> None:
    pytest.importorskip("mpi4py")
    fit = Fit(4, 2, 1, 2, 16)
    found = {name: [scale.run(fit, ranks, threads)["check"]] for name, (ranks, threads) in scale.ways(2).items()}
    assert workers.disagreement({name: checks[0] for name, checks in found.items()}) < 1e-5


def test_the_tables_of_other_cells() -> None:
    """Of made up times: bold is the least, and the means are of the fastest other one."""
    job = {"cell": "coupled", "shape": [1, 2, 3, 4]}
    table = [job | {"mode": mode, "seconds": {"fastlstm": 1e-3, "torch": 8e-3, "jax": factor * 1e-3}}
             for mode in (*MODES, "step") for factor in (2, 0.5)]  # fmt: skip
    found = own_cells.tables({"table": table}, "coupled")
    assert "| 1, 2, 3, 4 | **1.00** | 8.00 | 2.00 |" in found
    assert "| 1, 2, 3, 4 | 1.00 | 8.00 | **0.500** |" in found
    assert found.endswith("geometric mean: inference 1.00 (least 0.50), training 1.00 (least 0.50), one step 1.00 "
                          "(least 0.50).")  # fmt: skip


def test_the_table_of_learning_agrees_with_its_results() -> None:
    stored, text = json.loads(training.RESULTS.read_text()), training.PAGE.read_text()
    assert [Fit(*row["fit"]) for row in stored["table"]] == FITS
    assert all(row["disagreement"] < training.TOLERANCE for row in stored["table"])
    assert report.fill(text, training.parts(stored)) == text
    stored["table"][1]["seconds"]["fastlstm"] *= 2
    assert report.fill(text, training.parts(stored)) != text


def test_the_cells_page_agrees_with_its_results() -> None:
    stored, text = json.loads(cells.RESULTS.read_text()), cells.PAGE.read_text()
    assert report.fill(text, cells.parts(stored)) == text
    assert [(row["mode"], Shape(*row["shape"])) for row in stored["table"]] == [(m, s) for m in MODES for s in SHAPES]
    stored["table"][3]["seconds"]["jax interpolated"] *= 2
    assert report.fill(text, cells.parts(stored)) != text


def test_every_shape_is_stored(results: Any) -> None:
    assert [(row["mode"], Shape(*row["shape"])) for row in results["table"]] == [(m, s) for m in MODES for s in SHAPES]
    assert [(row["mode"], Shape(*row["shape"])) for row in results["steps"]] == [("step", s) for s in STEPPED]
    for axis, rows in results["scaling"].items():
        stored = [(row["mode"], Shape(*row["shape"])) for row in rows]
        assert stored == [(m, s) for m in MODES for s in along(axis)]


def test_a_changed_figure_is_seen(results: Any) -> None:
    for part in ("table", "steps"):
        changed = json.loads(json.dumps(results))
        changed[part][0]["seconds"]["fastlstm"] *= 1.5
        for page in report.PAGES:
            assert report.filled(page.read_text(), changed) != page.read_text()
    for part, figures in results["figures"].items():
        changed = json.loads(json.dumps(results))
        row = changed["figures"][part] if part == "start" else changed["figures"][part][-1]
        numbers = row.get("seconds", row)
        numbers[list(numbers)[-1]] *= 1.5
        assert figures != changed["figures"][part]
        assert report.filled(text := report.PAGES[1].read_text(), changed) != text


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5,6", "1,2,3,x", "1,2,3,0", "1,2,3,4,-5", ""])
def test_malformed_shape(text: str) -> None:
    with pytest.raises(ValueError, match="expected a shape N,T,D,H"):
        Shape.parse(text)
    with pytest.raises(ValueError, match="expected a model BATCH,T,D,H,SAMPLES"):
        Fit.parse(text)


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        (peers, ["--systems", "fastlstm", "abacus"], "unknown system abacus"),
        (peers, ["--systems", "fastlstm"], "no other system is installed"),
        (peers, ["--modes", "step"], "--only, which is missing"),
        (training, ["--systems", "fastlstm", "abacus"], "unknown system abacus"),
        (training, ["--systems", "fastlstm"], "no other system is installed"),
        (own_cells, ["--only", "1,2"], "expected a shape N,T,D,H"),
        (own_cells, ["--cells", "gru"], "--only to measure, which is missing"),
        (training, ["--only", "1,2"], "expected a model BATCH,T,D,H,SAMPLES"),
        (compare, ["HEAD", "HEAD", "--pairs", "7"], "--pairs: expected at least 8, got 7"),
        (compare, ["HEAD", "HEAD", "--shapes", "1,2"], "expected a shape N,T,D,H"),
    ],
)
def test_bad_input_gets_one_line(program: Any, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "argv", [program.__file__, *arguments])
    with pytest.raises(SystemExit, match="2"):
        program.main()
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("program", ["peers", "training", "own_cells", "compare"])
def test_a_program_by_its_name(program: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", f"asv_benchmarks.{program}", "--rounds", "x"], cwd=ROOT, text=True, capture_output=True
    )
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].endswith("argument --rounds: invalid int value: 'x'")


def test_learning_is_held_against_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastlstm.nn")
    fit = Fit(4, 3, 2, 5, 16)
    benchmark = learning.Epoch()
    benchmark.setup(fit)
    assert benchmark.track_samples(fit) > 0
    worker = training.worker("fastlstm")
    worker.ask("fit", fit, 0.0)
    wanted = projections(learning.by_reference(fit, *learning.data(fit)))
    assert workers.disagreement({"fastlstm": worker.answer()["check"], "reference": wanted}) < 1e-5
    worker.close()
    monkeypatch.setattr(learning, "EPSILON", 1e-8)
    with pytest.raises(AssertionError, match="fit: off by"):
        learning.Epoch().setup(fit)


def test_interval_holds_the_median() -> None:
    """99 times of a hundred, however the ratios are spread; from eight on."""
    rng = np.random.default_rng(0)
    for count, out in ((8, 0), (11, 0), (12, 1), (20, 3), (30, 7)):  # tables of the sign test
        ratios = np.exp(rng.standard_t(2, (4000, count)) / 50)
        held = 0
        for row in ratios:
            median, low, high = compare.interval(list(row))
            assert (low, high) == (np.sort(row)[out], np.sort(row)[-1 - out])
            assert median == np.median(row)
            held += low <= 1 <= high
        assert 0.985 < held / len(ratios) <= 1


def test_verdicts_are_rare_where_nothing_changed_and_sure_where_much_did() -> None:
    """Pairs of processes that differ by a tenth each; a false verdict for one of 16 shapes in less than a run of 20."""
    rng = np.random.default_rng(1)
    verdicts = [compare.verdict(*compare.interval(list(np.exp(rng.normal(0, 0.1, 12))))[1:]) for _ in range(4000)]
    assert sum(map(bool, verdicts)) / len(verdicts) < 0.05 / 16
    slower = [compare.verdict(*compare.interval(list(1.2 * np.exp(rng.normal(0, 0.05, 12))))[1:]) for _ in range(200)]
    assert slower.count("slower") > 190
    assert compare.verdict(0.9, 0.97) == "faster"
    assert compare.verdict(0.9, 0.99) == ""


def test_disagreement_is_a_relative_distance() -> None:
    a = np.random.default_rng(0).standard_normal(10_000)
    b = a + 1e-3 * np.random.default_rng(1).standard_normal(10_000)
    found = workers.disagreement({"a": projections((a,)), "b": projections((b,))})
    assert 1e-5 < found < 1e-2
    assert workers.disagreement({"a": projections((a,)), "b": projections((a[::-1],))}) > 1e-2


def test_a_worker_answers_or_says_why_not() -> None:
    checks: dict[str, dict[str, Any]] = {}
    for system in ("fastlstm", "reference"):
        worker = workers.Worker(system)
        for mode in (*MODES, "step"):
            worker.ask(mode, Shape(2, 3, 4, 5), 0.0)
            answer = worker.answer()
            assert answer["seconds"] > 0
            checks.setdefault(mode, {})[system] = answer["check"]
        worker.close()
    assert all(workers.disagreement(found) < 1e-5 for found in checks.values())
    worker = workers.Worker("fastlstm")
    worker.ask("no such mode", Shape(2, 3, 4, -5), 0.0)
    assert "error" in worker.answer()
    worker.close()
