"""Predictions on Dask arrays. What a task does is tested without Dask."""

from __future__ import annotations

import doctest
import pickle
import re
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
from processes import SUITE, run

import fastlstm
from fastlstm import backend, nn

T, D = 6, 3


def model(seed: int = 0, *, steps: bool = False, **options: Any) -> nn.Sequential:
    layers = [nn.Bidirectional(nn.LSTM(5, return_sequences=steps, **options), input_shape=(None, D)), nn.Dense(2)]
    return nn.Sequential(layers, seed=seed)


def samples(count: int) -> Any:
    return np.random.default_rng(1).standard_normal((count, T, D)).astype(np.float32)


@pytest.fixture
def da() -> Any:
    return pytest.importorskip("dask.array")


# a task


def task(one: nn.Sequential) -> Callable[..., Any]:
    return fastlstm.dask._Predict(one._bare(), uuid.uuid4().hex, (2,), (32, False))


def test_tasks_in_many_threads_have_the_bits_of_predict() -> None:
    """Each thread with a model and one of Numba's threads of its own."""
    one, x = model(), samples(40)
    expected = one.predict(x, verbose=0)
    call, used = task(one), set()

    def part(first: int) -> Any:
        found = call(x[first : first + 5], None, None)
        used.add((threading.get_ident(), id(fastlstm.dask._own.model)))
        return found

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(part, range(0, 40, 5)))
    assert np.concatenate(found).tobytes() == expected.tobytes()
    assert len({thread for thread, _ in used}) == len(used)
    assert fastlstm.dask._own.model is None


def test_a_task_takes_one_thread() -> None:
    seen = []

    class Look(nn.Dense):
        def _forward(self, x: Any, mask: Any, training: bool) -> Any:
            seen.append(backend.engine.available())
            return super()._forward(x, mask, training)

    one = nn.Sequential([Look(2, input_shape=(3,))])
    before = backend.engine.available()
    task(one)(np.zeros((4, 3), np.float32), None, None)
    assert seen == [1]
    assert backend.engine.available() == before


def test_a_task_knows_a_model_as_it_was_and_no_more() -> None:
    with backend.use(reference_engine):
        one, x = model(dropout=0.5), samples(40)
        one.compile("adam", "mse", metrics=[lambda t, p: t[:, 0]])  # a pickle could not hold it
        one.fit(x, np.zeros((40, 2)), verbose=0)
        expected, call = one.predict(x, verbose=0), pickle.loads(pickle.dumps(task(one)))
        one.flat_params[...] = 0
        assert call(x, None, None).tobytes() == expected.tobytes()
        assert one.compiled
        assert one.optimizer.built


def test_a_block_of_no_samples() -> None:
    found = task(model())(np.zeros((0, T, D), np.float32), None, None)
    assert (found.shape, found.dtype) == ((0, 2), np.float32)


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(ImportError, match=r"expected the package dask, which is not installed \(pip install fastlstm"):
        fastlstm.dask.predict(model(), np.zeros((2, T, D)))


# with Dask


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_every_scheduler_has_the_bits_of_predict(da: Any, scheduler: str) -> None:
    one, x = model(steps=True), samples(50)
    expected = one.predict(x, verbose=0)
    found = fastlstm.dask.predict(one, da.from_array(x, chunks=(16, -1, -1)))
    assert (found.shape, found.dtype, found.chunks) == ((50, T, 2), np.float32, ((16, 16, 16, 2), (T,), (2,)))
    assert found.compute(scheduler=scheduler, num_workers=2).tobytes() == expected.tobytes()
    assert (found[3:5].compute(scheduler=scheduler) == expected[3:5]).all()


def test_a_cluster_has_the_bits_of_predict(da: Any) -> None:
    distributed = pytest.importorskip("distributed")
    one, x = model(), samples(50)
    expected = one.predict(x, verbose=0)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        found = fastlstm.dask.predict(one, da.from_array(x, chunks=(16, -1, -1))).compute()
    assert found.tobytes() == expected.tobytes()


def test_nothing_is_computed_before_it_is_asked_for(da: Any) -> None:
    computed = []

    def block(x: Any) -> Any:
        computed.append(1)
        return x

    with backend.use(reference_engine):
        one, x = model(), samples(20)
        expected = one.predict(x, verbose=0)
        given = da.from_array(x, chunks=(5, -1, -1)).map_blocks(block, dtype=x.dtype, meta=x[:0])
        found = fastlstm.dask.predict(one, given)
        one.flat_params[...] = 0  # later than the call
        assert not computed
        assert found.compute(scheduler="synchronous").tobytes() == expected.tobytes()
        assert len(computed) == 4


def test_blocks_are_joined_along_steps_and_features(da: Any) -> None:
    with backend.use(reference_engine):
        one, x = model(), samples(20)
        found = fastlstm.dask.predict(one, da.from_array(x, chunks=(7, 2, 1)))
        assert found.chunks == ((7, 7, 6), (2,))
        assert (found.compute(scheduler="threads") == one.predict(x, verbose=0)).all()


@pytest.mark.parametrize("kind", ["array", "dask", "unlike blocks"])
@pytest.mark.parametrize("option", ["lengths", "mask"])
def test_lengths_and_mask(da: Any, option: str, kind: str) -> None:
    rng = np.random.default_rng(2)
    value = rng.integers(0, T + 1, 20) if option == "lengths" else rng.random((20, T)) < 0.5
    with backend.use(reference_engine):
        one, x = model(), samples(20)
        expected = one.predict(x, verbose=0, **{option: value})
        chunks = (7, 4)[: value.ndim] if kind == "dask" else (3, 4)[: value.ndim]
        given = value if kind == "array" else da.from_array(value, chunks=chunks)
        found = fastlstm.dask.predict(one, da.from_array(x, chunks=(7, -1, -1)), **{option: given})
        assert (found.compute(scheduler="threads") == expected).all()


def test_an_unknown_number_of_samples(da: Any) -> None:
    with backend.use(reference_engine):
        one, x = model(), samples(20)
        whole = da.from_array(x, chunks=(7, -1, -1))
        lengths = da.from_array(np.arange(20) % T, chunks=7)
        kept = whole[:, 0, 0] > 10  # the first block keeps nothing, nor does any other
        for keep in (kept, whole[:, 0, 0] > 0):
            rows = keep.compute()
            found = fastlstm.dask.predict(one, whole[keep], lengths=lengths[keep])
            assert np.isnan(found.shape[0])
            expected = (
                one.predict(x[rows], verbose=0, lengths=lengths.compute()[rows]) if rows.any() else np.zeros((0, 2))
            )
            assert (found.compute(scheduler="threads") == expected).all()


def test_the_model_is_built_by_the_blocks_shape(da: Any) -> None:
    with backend.use(reference_engine):
        one = nn.Sequential([nn.LSTM(4), nn.Dense(1)], seed=0)
        found = fastlstm.dask.predict(one, da.zeros((8, T, D), chunks=(4, -1, -1)))
        assert one.output_shape == (None, 1)
        assert found.compute(scheduler="synchronous").shape == (8, 1)


def test_under_workqueue_nothing_aborts(da: Any, tmp_path: Path) -> None:
    """Numba's workqueue ends the process where two threads enter it at once."""
    code = """
        import numba, numpy as np, dask.array as da, fastlstm.dask
        from fastlstm import nn
        if __name__ == "__main__":
            model = nn.Sequential([nn.LSTM(64, input_shape=(20, 8)), nn.Dense(2)], seed=0)
            x = np.random.default_rng(0).standard_normal((1200, 20, 8), np.float32)
            expected = model.predict(x, 300, verbose=0)
            found = fastlstm.dask.predict(model, da.from_array(x, chunks=(100, -1, -1)), 100)
            for _ in range(5):
                assert (found.compute(scheduler="threads", num_workers=4) == expected).all()
            print(numba.threading_layer(), numba.get_num_threads())
    """
    lines = "\n".join(line.removeprefix(" " * 8) for line in code.splitlines())
    assert run(lines, SUITE, NUMBA_THREADING_LAYER="workqueue").split() == ["workqueue", "2"]


def test_bad_input(da: Any) -> None:
    x = da.from_array(samples(20), chunks=(7, -1, -1))
    unknown = x[x[:, 0, 0] > 0]
    lengths = da.zeros(20, int, chunks=7)
    stateful = nn.Sequential([nn.LSTM(4, stateful=True, name="memory", input_shape=(T, D))])
    cases: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
        ((3, x), {}, TypeError, "model: expected a Sequential, got int"),
        ((stateful, x), {}, ValueError, "model: expected no stateful layers, as blocks are in no order, got memory"),
        ((nn.Sequential(), x), {}, ValueError, "sequential: expected at least one layer"),
        (
            (model(), x.compute()),
            {},
            TypeError,
            "x: expected a dask array, got ndarray; model.predict takes what is in",
        ),
        ((model(), x.sum()), {}, ValueError, r"x: expected shape \(N, ...\) of which N alone may be unknown, got \(\)"),
        ((model(), x[:, 0]), {}, ValueError, r"expected x of 3 axes, \(N, T, D\), got shape"),
        ((model(), x[:, :, :2]), {}, ValueError, r"expected x of shape \(N, T, 3\), got \(0, 6, 2\)"),
        ((model(), unknown.T), {}, ValueError, "x: expected shape .* x.compute_chunk_sizes"),
        ((model(), x.astype(complex)), {}, TypeError, "x: expected real numbers, got dtype complex"),
        ((model(), x, 0), {}, ValueError, "batch_size: expected at least 1, got 0"),
        ((model(), x), {"allow_nan": "no"}, TypeError, "allow_nan: "),
        ((model(), x), {"lengths": [1, 2]}, ValueError, r"lengths: expected shape \(20,\), got \(2,\)"),
        ((model(), x), {"lengths": da.zeros((20, 1), chunks=7)}, ValueError, r"lengths: expected shape \(20,\), got"),
        ((model(), x), {"mask": np.zeros((20, T + 1))}, ValueError, r"mask: expected shape \(20, 6\), got \(20, 7\)"),
        ((model(), unknown), {"lengths": np.ones(20)}, TypeError, "lengths: expected a dask array in the blocks of x"),
        (
            (model(), unknown),
            {"lengths": lengths[:7]},
            ValueError,
            "lengths: expected 3 blocks of samples, as x has, got 1",
        ),
    ]
    with backend.use(reference_engine):
        for arguments, options, kind, message in cases:
            with pytest.raises(kind, match=message):
                fastlstm.dask.predict(*arguments, **options)


def test_what_only_a_task_can_see(da: Any) -> None:
    x = samples(20)
    x[13, 0, 0] = np.nan
    given = da.from_array(x, chunks=(7, -1, -1))
    with backend.use(reference_engine):
        one = model()
        for options, message in (
            ({}, r"x: expected no NaN, got one at \[6, 0, 0\]"),
            ({"lengths": [T + 1] * 20}, "lengths: "),
        ):
            found = fastlstm.dask.predict(one, given, **options)
            with pytest.raises(ValueError, match=message):
                found.compute(scheduler="synchronous")
        assert np.isnan(fastlstm.dask.predict(one, given, allow_nan=True).compute(scheduler="synchronous")).any()


def test_its_example_runs(da: Any) -> None:
    failed, tried = doctest.testmod(fastlstm.dask)
    assert tried
    assert not failed


def test_the_pages_example_runs(da: Any) -> None:
    page = (Path(__file__).parents[1] / "docs" / "scale.md").read_text()
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "dask" in block)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/scale.md", "exec"), names)
    assert names["largest"] == names["model"].predict(names["x"].compute(), verbose=0).max()
