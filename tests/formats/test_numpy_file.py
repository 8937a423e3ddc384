"""Python files that need NumPy alone: what they compute, what is in them, what is refused."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_cases import BOTH_WAYS, MODELS, OWN, D, built, masked, own_params
from oracles import KINDS, random_stack

import fastlstm
from fastlstm import formats, nn, reference
from fastlstm.formats import numpy_file

BOUND = {np.float32: 3e-6, np.float64: 1e-13}


def written(params: Any, path: Path) -> Any:
    """The class Model of a file."""
    proof = fastlstm.to_numpy(params, path)
    assert 0 <= proof.error < 1e-5
    return runpy.run_path(str(path))["Model"]


def largest(a: Any, b: Any) -> float:
    assert np.shape(a) == np.shape(b)
    return float(np.abs(np.asarray(a) - np.asarray(b)).max(initial=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", KINDS)
def test_stacks_of_every_cell(rng: Any, tmp_path: Path, cell: str, dtype: Any) -> None:
    params = random_stack(rng, D, [(4, True), (3, False)], dtype, cell)
    model = written(params, tmp_path / "m.py")
    x, lengths = rng.standard_normal((3, 6, D)), [6, 0, 4]
    expected, _ = reference.forward(x, params, lengths=lengths)
    y = model()(x, lengths)
    assert y.dtype == dtype
    assert largest(y, expected) < BOUND[dtype]
    assert largest(model()(x[0]), expected[0]) < BOUND[dtype]


@pytest.mark.parametrize("own", OWN, ids=lambda own: own.name)
def test_cells_of_ones_own(rng: Any, tmp_path: Path, own: Any) -> None:
    params = own_params(own, rng)
    model = written(params, tmp_path / "m.py")
    x = rng.standard_normal((2, 6, D)).astype(np.float32)
    expected, _ = reference.forward(x, params)
    y = model()(x)
    assert y.dtype == np.float32
    assert largest(y, expected) < BOUND[np.float32]
    one = model()
    for t in range(6):
        assert largest(one.step(x[:, t]), expected[:, t]) < BOUND[np.float32]


@pytest.mark.parametrize("name", [*MODELS, *BOTH_WAYS])
def test_models_with_their_heads_and_masks(rng: Any, tmp_path: Path, name: str) -> None:
    given = built((MODELS | BOTH_WAYS)[name](), rng)
    model, x = written(given, tmp_path / "m.py"), masked(rng)
    assert largest(model()(x), given.predict(x, verbose=0)) < BOUND[np.float32]
    assert largest(model()(x, [4, 7, 1]), given.predict(x, lengths=[4, 7, 1], verbose=0)) < BOUND[np.float32]


@pytest.mark.parametrize("name", MODELS)
def test_steps_follow_one_another(rng: Any, tmp_path: Path, name: str) -> None:
    given = built(MODELS[name](), rng)
    kind, x = written(given, tmp_path / "m.py"), masked(rng)
    model = kind()
    for _ in range(2):
        for t in range(7):
            y, expected = model.step(x[:, t]), given.predict(x[:, : t + 1], verbose=0)
            assert largest(y, expected if expected.ndim == 2 else expected[:, -1]) < BOUND[np.float32]
        model.reset()
    assert largest(model.step(x[2, 0]), kind()(x[2:, :1]).reshape(-1)) == 0  # without the axis N


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_what_reads_from_the_end_cannot_step(rng: Any, tmp_path: Path, name: str) -> None:
    model = written(built(BOTH_WAYS[name](), rng), tmp_path / "m.py")
    with pytest.raises(ValueError, match="it cannot step, call it"):
        model().step(np.ones(D))


def test_states_that_sequences_begin_with(rng: Any, tmp_path: Path) -> None:
    given = nn.Sequential([nn.Input((None, D)), nn.LSTM(4, stateful=True)], seed=1)
    x = rng.standard_normal((1, 6, D)).astype(np.float32)
    given.predict(x, verbose=0)
    model = written(given, tmp_path / "m.py")
    assert largest(model()(x), given.predict(x, verbose=0)) < BOUND[np.float32]


def test_what_stands_in_padding_does_not_matter(rng: Any, tmp_path: Path) -> None:
    model = written([fastlstm.init_params(D, 4, rng=0)], tmp_path / "m.py")
    x = rng.standard_normal((2, 4, D))
    y = model()(x, [4, 2])
    x[1, 2:] = np.nan
    assert largest(model()(x, [4, 2]), y) == 0


def test_the_file_needs_numpy_alone_and_is_short(tmp_path: Path) -> None:
    fastlstm.to_numpy(fastlstm.init_params(D, 4, rng=0), tmp_path / "mine.py")
    code = """
import sys
sys.modules["fastlstm"] = sys.modules["numba"] = None
import mine
assert mine.Model().step([0.0] * 5).shape == (4,)
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    env = {"PATH": ""}
    subprocess.run([sys.executable, "-W", "error", str(script)], check=True, env=env, cwd=tmp_path)
    said = subprocess.run(
        [sys.executable, "mine.py"], check=True, env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert all(float(line) < 1e-6 for line in said.stdout.split())
    lines = [line for line in (tmp_path / "mine.py").read_text().splitlines() if line.strip()]
    assert len(lines) < 65
    assert max(map(len, lines)) <= 120
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_file()) == ["mine.npz", "mine.py", "script.py"]


def test_the_same_is_written_each_time(tmp_path: Path) -> None:
    params = fastlstm.init_params(D, 4, rng=0)
    fastlstm.to_numpy(params, tmp_path / "m.py")
    first = (tmp_path / "m.py").read_bytes()
    fastlstm.to_numpy(params, tmp_path / "m.py")
    assert (tmp_path / "m.py").read_bytes() == first


def test_it_is_proven_again_at_any_time(tmp_path: Path) -> None:
    proof = fastlstm.to_numpy(fastlstm.init_params(D, 4, rng=0), tmp_path / "m.py")
    assert formats.prove(tmp_path / "m.py") == proof
    assert str(proof) in (tmp_path / "m.py").read_text()
    with np.load(tmp_path / "m.npz") as file:
        entries = dict(file)
    assert entries["test.error"] == proof.error
    entries["0.W"][0, 0] += 0.01
    np.savez(tmp_path / "m.npz", **entries)
    with pytest.raises(ValueError, match=r"path: expected outputs within 1e-05 .* run by NumPy .*m.py'"):
        formats.prove(tmp_path / "m.py")


def test_two_files_that_do_not_belong_together(tmp_path: Path) -> None:
    fastlstm.to_numpy(fastlstm.init_params(D, 4, rng=0), tmp_path / "one.py")
    fastlstm.to_numpy(fastlstm.init_params(D, 4, rng=1), tmp_path / "two.py")
    (tmp_path / "one.npz").write_bytes((tmp_path / "two.npz").read_bytes())
    with pytest.raises(ImportError, match=r"expected the .npz file that was written with this one, got another"):
        runpy.run_path(str(tmp_path / "one.py"))


def test_nothing_unproven_comes_to_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = fastlstm.init_params(D, 4, rng=0)
    monkeypatch.setitem(numpy_file._HELPERS, "sigmoid", ["return np.clip(0.2 * v + 0.5, 0, 1)"])
    with pytest.raises(ValueError, match=r"path: expected outputs within 1e-05 of fastlstm.reference, .* not written"):
        fastlstm.to_numpy(params, tmp_path / "m.py")
    assert not list(tmp_path.iterdir())


BAD: list[tuple[Any, str, type[Exception], str]] = [
    (fastlstm.init_params(2, 3), "m.txt", ValueError, r"path: expected a name that ends in .py, got 'm.txt'"),
    ("weights", "m.py", TypeError, "params: expected Params"),
    ([], "m.py", ValueError, "params"),
]


@pytest.mark.parametrize(("params", "name", "kind", "message"), BAD)
def test_bad_input(
    tmp_path: Path, monkeypatch: Any, params: Any, name: str, kind: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        fastlstm.to_numpy(params, name)
    assert not list(tmp_path.iterdir())
