"""Many processes that learn one model: as one process that learns from the joined batches. Threads stand for processes
here, and NumPy for the kernels; tests/process/test_mpi.py has the same with MPI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
from communicators import Aborted, Communicator, together

from fastlstm import backend, nn
from fastlstm.nn import callbacks, losses, metrics, optimizers, regularizers
from fastlstm.nn._src.ranks import Ranks, canonical

T, D, K = 5, 3, 2
Data = dict[str, Any]
Made = Callable[[], dict[str, Any]]  # what `model` is given; anew for each, as optimizers and metrics are one model's


@pytest.fixture(autouse=True)
def _numpy() -> Iterator[None]:
    with backend.use(reference_engine):
        yield


def model(seed: int = 1, *, loss: Any = "mse", optimizer: Any = "sgd", steps: bool = True, dropout: float = 0.0,
          given: Any = (), weighted: Any = (), penalty: Any = None, inputs: int | None = D) -> nn.Sequential:  # fmt: skip
    made = nn.Sequential(
        [
            nn.LSTM(4, return_sequences=steps, dropout=dropout, dtype="float64", kernel_regularizer=penalty),
            nn.Dense(K, activation="sigmoid", dtype="float64"),
        ],
        seed=seed,
    )
    if inputs is not None:
        made.build((None, None, inputs))
    made.compile(optimizer, loss, list(given), list(weighted))
    return made


def samples(count: int, *, steps: bool = True, kind: str = "numbers") -> Data:
    rng = np.random.default_rng(0)
    shape = (count, T) if steps else (count,)
    y = {"numbers": rng.random((*shape, K)), "labels": rng.random((*shape, K)) > 0.5,
         "classes": rng.integers(0, K + 1, shape)}[kind]  # fmt: skip
    return {"x": rng.standard_normal((count, T, D)), "y": y}


def parts(data: Data, counts: list[int]) -> list[Data]:
    edges = np.cumsum([0, *counts])
    return [{name: array[a:b] for name, array in data.items()} for a, b in pairwise(edges)]


def joined(given: list[Data], sizes: list[int]) -> list[Data]:
    """The batches of all ranks, as one process would get them."""
    steps = max(-(-len(part["x"]) // size) for part, size in zip(given, sizes, strict=True))
    return [
        {name: np.concatenate([part[name][i * size : (i + 1) * size] for part, size in zip(given, sizes, strict=True)])
         for name in given[0]}
        for i in range(steps)
    ]  # fmt: skip


def run(size: int, action: Callable[[Communicator], Any]) -> list[Any]:
    """What the action returns at each rank; none may raise."""
    found = together(size, action)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def learnt(given: list[Data], sizes: list[int], made: Made = dict, **options: Any) -> list[nn.Sequential]:
    """The model of each rank, which begins with weights of its own."""

    def rank(comm: Communicator) -> nn.Sequential:
        r = comm.Get_rank()
        one = model(r + 1, **made())
        one.fit(**given[r], batch_size=sizes[r], verbose=0, comm=comm, **{"shuffle": False, **options})
        return one

    return run(len(given), rank)


def alike(found: list[nn.Sequential], expected: nn.Sequential) -> None:
    """The same bits at all ranks, and those of the expected model but for rounding."""
    first, *others = found
    for other in others:
        assert other.flat_params.tobytes() == first.flat_params.tobytes()
        assert other.history.history == first.history.history
    assert abs(first.flat_params - expected.flat_params).max() < 1e-12
    assert set(first.history.history) == set(expected.history.history)
    for name, numbers in expected.history.history.items():
        np.testing.assert_allclose(first.history.history[name], numbers, rtol=1e-12, atol=1e-12, err_msg=name)


def furthest(t: Any, p: Any) -> Any:
    return abs(t - p).max(axis=-1)


class Sum(metrics.Metric):
    """Of weighted errors: other weights are another sum."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        errors = abs(y_true - y_pred).sum(axis=-1)
        weights = np.ones(len(errors)) if sample_weight is None else np.asarray(sample_weight)
        self._sum += float((errors * weights.reshape(*weights.shape, *(1,) * (errors.ndim - weights.ndim))).sum())

    def result(self) -> float:
        return self._sum

    def reset_state(self) -> None:
        self._sum = 0.0


CASES: dict[str, tuple[Made, str]] = {
    "one output, R2": (lambda: {"given": ["mae", "r2_score"], "weighted": [metrics.R2Score(name="area")], "steps": False}, "numbers"),
    "huber, penalties": (lambda: {"loss": losses.Huber(0.1), "penalty": regularizers.L1L2(0.01, 0.02)}, "numbers"),
    "binary, AUC": (lambda: {"loss": "bce", "given": ["accuracy", metrics.AUC(10)],
                             "weighted": [metrics.AUC(7, name="area"), "mse"]}, "labels"),
    "an ignored class": (lambda: {"loss": losses.SparseCategoricalCrossentropy(ignore_class=K),
                                  "weighted": ["accuracy"], "penalty": "l2"}, "classes"),
    "clipped": (lambda: {"optimizer": optimizers.SGD(0.5, clipnorm=1e-3)}, "numbers"),
    "clipped as a whole": (lambda: {"optimizer": optimizers.Adam(0.1, global_clipnorm=1e-3)}, "numbers"),
    "a metric of one's own": (lambda: {"given": [furthest], "weighted": [Sum("sum")]}, "numbers"),
}  # fmt: skip


@pytest.mark.parametrize("options", ["plain", "weights", "lengths", "mask and weights", "no mask at some"])
@pytest.mark.parametrize("case", CASES)
def test_unequal_parts_learn_as_one(case: str, options: str) -> None:
    made, kind = CASES[case]
    if case == "one output, R2" and options == "mask and weights":
        options = "weights"  # the mask does not reach the outputs
    counts, sizes = [9, 0, 5], [4, 4, 3]
    data, rng = samples(sum(counts), steps=made().get("steps", True), kind=kind), np.random.default_rng(3)
    if "weights" in options:
        data["sample_weight"] = rng.random(sum(counts))
    if options == "lengths":
        data["lengths"] = rng.integers(0, T + 1, sum(counts))
        data["lengths"][8:12] = 0  # a rank's whole batch
    elif "mask" in options:
        data["mask"] = rng.random((sum(counts), T)) < 0.7
    given = parts(data, counts)
    if options == "no mask at some":
        given[2]["mask"][:] = True
    expected = model(**made())
    expected.fit(joined(given, sizes), epochs=2, verbose=0)
    if options == "no mask at some":
        del given[2]["mask"]
    alike(learnt(given, sizes, made, epochs=2), expected)


def test_class_weights_are_exact() -> None:
    data = samples(11, steps=False, kind="classes")
    data["y"] %= K
    given, weights = parts(data, [4, 7]), {0: 0.5, 1: 3.0}
    made: Made = lambda: {"loss": "sparse_categorical_crossentropy", "weighted": ["accuracy"], "steps": False}  # noqa: E731
    expected = model(**made())
    expected.fit(joined(given, [3, 3]), epochs=2, verbose=0, class_weight=weights)
    alike(learnt(given, [3, 3], made, epochs=2, class_weight=weights), expected)


@pytest.mark.parametrize("held", ["all", "first", "last"])
def test_validation_sees_the_data_of_all_ranks(held: str) -> None:
    made: Made = lambda: {"given": ["mae", metrics.R2Score()], "steps": False, "penalty": "l2"}  # noqa: E731
    given, judged = parts(samples(10, steps=False), [6, 4]), parts(samples(7, steps=False), [2, 5])
    if held != "all":
        judged = parts(samples(7, steps=False), [7, 0] if held == "first" else [0, 7])

    def rank(comm: Communicator) -> nn.Sequential:
        r = comm.Get_rank()
        one = model(r + 1, **made())
        own = None if held != "all" and not len(judged[r]["x"]) else judged[r]
        one.fit(**given[r], batch_size=3, verbose=0, comm=comm, shuffle=False, epochs=2, validation_data=own)
        return one

    expected = model(**made())
    expected.fit(joined(given, [3, 3]), epochs=2, verbose=0, validation_data=joined(judged, [3, 3]))
    alike(run(2, rank), expected)


def test_each_rank_splits_its_own_data() -> None:
    given = parts(samples(14), [8, 6, 0])
    first = [{name: array[: len(array) // 2] for name, array in part.items()} for part in given]
    rest = [{name: array[len(array) // 2 :] for name, array in part.items()} for part in given]
    expected = model()
    expected.fit(joined(first, [3] * 3), epochs=2, verbose=0, validation_data=joined(rest, [3] * 3))
    alike(learnt(given, [3] * 3, epochs=2, validation_split=0.5), expected)


def test_batches_come_from_iterables_too() -> None:
    given = parts(samples(10), [6, 4])
    streams = [joined([part], [2]) for part in given]

    def rank(comm: Communicator) -> nn.Sequential:
        r = comm.Get_rank()
        one = model(r + 1)
        source = streams[0] if r == 0 else (batch for _ in range(2) for batch in streams[1])
        one.fit(source, epochs=2, verbose=0, comm=comm, steps_per_epoch=None if r == 0 else 2)
        return one

    expected = model()
    expected.fit(joined(given, [2, 2]), epochs=2, verbose=0)
    alike(run(2, rank), expected)


def test_a_batch_is_one_exchange() -> None:
    """Of all gradients, what the loss needs, and the metrics' sums."""
    given = parts(samples(10), [6, 4])

    def rank(comm: Communicator) -> tuple[int, list[Any]]:
        one = model(given=["mae", metrics.AUC(4)], loss="bce")
        before = len(comm.exchanged)
        one.fit(**given[comm.Get_rank()], batch_size=3, verbose=0, comm=comm, callbacks=[Note(comm)])
        return len(one.flat_params), comm.exchanged[before:]

    class Note(callbacks.Callback):
        def __init__(self, comm: Communicator) -> None:
            self._comm = comm

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            del self._comm.exchanged[:]

    for size, exchanged in run(2, rank):
        assert exchanged[:2] == [("Allreduce", size + 7 + 2 + 2 * 5)] * 2
        assert all(kind == "allgather" for kind, _ in exchanged[2:])


def test_weights_in_single_precision_are_alike_too() -> None:
    given = parts(samples(20), [13, 7])

    def rank(comm: Communicator) -> nn.Sequential:
        one = nn.Sequential([nn.LSTM(4, return_sequences=True), nn.Dense(K)], seed=comm.Get_rank())
        one.compile("adam", "mse", metrics=["mae"])
        one.fit(**given[comm.Get_rank()], batch_size=4, verbose=0, comm=comm, shuffle=False, epochs=3)
        return one

    first, second = run(2, rank)
    assert first.flat_params.tobytes() == second.flat_params.tobytes()
    expected = nn.Sequential([nn.LSTM(4, return_sequences=True), nn.Dense(K)], seed=0)
    expected.compile("adam", "mse", metrics=["mae"])
    expected.fit(joined(given, [4, 4]), epochs=3, verbose=0)
    assert abs(first.flat_params - expected.flat_params).max() < 2e-6
    for name, numbers in expected.history.history.items():
        np.testing.assert_allclose(first.history.history[name], numbers, rtol=2e-6)


def test_ranks_draw_numbers_of_their_own_and_again_the_same() -> None:
    """Dropout, by the model's generator or the layer's own, and the order of samples."""
    half = samples(6)

    def rank(comm: Communicator) -> Any:
        layers = [
            nn.Dropout(0.5, dtype="float64"), nn.Dropout(0.5, seed=3, dtype="float64"),
            nn.Bidirectional(nn.LSTM(2, dropout=0.5, seed=4, return_sequences=True, dtype="float64")),
            nn.Dense(K, dtype="float64"),
        ]  # fmt: skip
        one = nn.Sequential(layers, seed=7)
        one.compile("sgd", "mse")
        one.fit(**half, batch_size=2, verbose=0, comm=comm, epochs=2)
        generators = [one.rng, layers[1].rng, layers[2].forward_layer.rng, layers[2].backward_layer.rng]
        return one.flat_params.tobytes(), [rng.random() for rng in generators]

    (weights, first), (_, second) = run(2, rank)
    assert not set(first) & set(second)
    assert run(2, rank) == [(weights, first), (weights, second)]


def test_one_rank_has_the_bits_of_no_communicator() -> None:
    data = samples(10)
    made = {"dropout": 0.5, "optimizer": "adam", "given": ["mae"]}
    expected = model(**made)
    expected.fit(**data, batch_size=4, epochs=2, verbose=0)

    def rank(comm: Communicator) -> nn.Sequential:
        one = model(**made)
        one.fit(**data, batch_size=4, epochs=2, verbose=0, comm=comm)
        assert comm.exchanged == []
        return one

    (found,) = run(1, rank)
    assert found.flat_params.tobytes() == expected.flat_params.tobytes()
    assert found.history.history == expected.history.history


def test_a_second_fit_goes_on_from_rank_0s_optimizer() -> None:
    """Also where only rank 0 knows what was learnt before, as after a checkpoint."""
    given = parts(samples(10), [6, 4])
    made: Made = lambda: {"optimizer": "adam"}  # noqa: E731
    expected = model(**made())
    for _ in range(2):
        expected.fit(joined(given, [3, 3]), epochs=2, verbose=0)
        expected.optimizer.learning_rate = 0.05

    def rank(comm: Communicator) -> nn.Sequential:
        one = model(comm.Get_rank() + 1, **made())
        if comm.Get_rank() == 0:
            one.fit(joined(given, [3, 3]), epochs=2, verbose=0)
            one.optimizer.learning_rate = 0.05
        one.history = None
        one.fit(**given[comm.Get_rank()], batch_size=3, epochs=2, verbose=0, comm=comm, shuffle=False)
        return one

    first, second = run(2, rank)
    assert first.flat_params.tobytes() == second.flat_params.tobytes()
    assert abs(first.flat_params - expected.flat_params).max() < 1e-12
    assert second.optimizer.iterations == expected.optimizer.iterations
    assert second.optimizer.learning_rate == 0.05


# callbacks


def test_callbacks_decide_alike_at_all_ranks() -> None:
    """By numbers of all the data, though each rank's own would say something else."""
    given = parts(samples(12), [6, 6])
    given[1]["y"] = 1 - given[0]["y"]  # what is good for one is bad for the other
    made: Made = lambda: {"optimizer": optimizers.SGD(5.0)}  # noqa: E731

    def watching() -> list[Any]:
        return [callbacks.EarlyStopping("loss", 0.003, patience=2, restore_best_weights=True),
                callbacks.ReduceLROnPlateau("loss", patience=1, factor=0.5)]  # fmt: skip

    def rank(comm: Communicator) -> nn.Sequential:
        one = model(comm.Get_rank() + 1, **made())
        one.fit(**given[comm.Get_rank()], batch_size=2, epochs=30, verbose=0, comm=comm, shuffle=False,
                callbacks=watching())  # fmt: skip
        return one

    expected = model(**made())
    expected.fit(joined(given, [2, 2]), epochs=30, verbose=0, callbacks=watching())
    assert 2 < len(expected.history.epoch) < 30
    found = run(2, rank)
    assert [len(one.history.epoch) for one in found] == [len(expected.history.epoch)] * 2
    alike(found, expected)


@pytest.mark.parametrize("where", ["batch 1", "last batch", "epoch"])
def test_one_rank_that_stops_stops_all(where: str) -> None:
    given = parts(samples(12, steps=False), [6, 6])

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.epoch == 1 and (where, batch) in (("batch 1", 1), ("last batch", 2)):
                self.model.stop_training = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1 and where == "epoch":
                self.model.stop_training = True

    given_metrics = {"given": ["mae", "r2_score"], "steps": False}

    def rank(comm: Communicator) -> nn.Sequential:
        one = model(comm.Get_rank() + 1, **given_metrics)
        own = [Stop()] if comm.Get_rank() == 1 else []
        one.fit(**given[comm.Get_rank()], batch_size=2, epochs=9, verbose=0, comm=comm, shuffle=False, callbacks=own)
        return one

    expected = model(**given_metrics)
    expected.fit(joined(given, [2, 2]), epochs=9, verbose=0, callbacks=[Stop()])
    alike(run(2, rank), expected)


def test_rank_0_alone_prints_and_writes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = parts(samples(8), [4, 4])
    pytest.importorskip("safetensors")

    def rank(comm: Communicator) -> nn.Sequential:
        r = comm.Get_rank()
        one = model(r + 1)
        watching = [
            callbacks.ModelCheckpoint(tmp_path / f"{r}-{{epoch}}.safetensors", "loss", verbose=1, save_best_only=True),
            callbacks.CSVLogger(tmp_path / f"{r}.csv"),
            callbacks.LearningRateScheduler(lambda epoch: 0.1, verbose=1),
            callbacks.EarlyStopping("loss", baseline=0.0, restore_best_weights=True, verbose=1),
        ]
        one.fit(**given[r], epochs=2, verbose=2, comm=comm, callbacks=watching)
        return one

    run(2, rank)
    lines = capsys.readouterr().out.splitlines()
    for text, times in (("batches - ", 2), ("saved to", 2), ("learning rate set", 2), ("Restoring the weights", 1)):
        assert sum(text in line for line in lines) == times, text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-1.safetensors", "0-2.safetensors", "0.csv"]


def test_a_callback_that_changes_weights_at_one_rank_alone_is_found() -> None:
    given = parts(samples(8), [4, 4])

    class Change(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.flat_params[0] += 1

    def rank(comm: Communicator) -> None:
        own = [Change()] if comm.Get_rank() == 1 else []
        model().fit(**given[comm.Get_rank()], verbose=0, comm=comm, callbacks=own)

    for error in together(2, rank):
        assert isinstance(error, RuntimeError)
        assert "expected the same weights at all ranks after epoch 1, got others at rank 1" in str(error)


def test_weights_that_are_no_numbers_are_alike_whatever_their_bits() -> None:
    nans = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64).view(np.float64)
    assert canonical(nans[:1]) == canonical(nans[1:])
    assert canonical(np.array([0.0])) != canonical(np.array([-0.0]))


# what fails


HOOKS = {  # and how many updates there have been when it fails for the first time
    "on_train_begin": 0, "on_epoch_begin": 0, "on_train_batch_begin": 0, "on_train_batch_end": 1, "on_test_begin": 2,
    "on_test_batch_begin": 2, "on_test_batch_end": 2, "on_test_end": 2, "on_epoch_end": 2, "on_train_end": 4,
}  # fmt: skip


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_rank_that_fails_ends_all(hook: str, kind: type[BaseException]) -> None:
    given = parts(samples(8), [2, 4, 2])

    class Fail(callbacks.Callback):
        pass

    def fail(self: Any, *_: Any) -> None:
        raise kind("no more")

    setattr(Fail, hook, fail)

    models = [model() for _ in range(3)]

    def rank(comm: Communicator) -> None:
        own = [Fail()] if comm.Get_rank() == 1 else []
        part = given[comm.Get_rank()]
        one = models[comm.Get_rank()]
        one.fit(**part, batch_size=2, epochs=2, verbose=0, comm=comm, callbacks=own, validation_data=part)

    first, own, last = together(3, rank)
    assert [one.optimizer.iterations for one in models] == [HOOKS[hook]] * 3
    assert len({one.flat_params.tobytes() for one in models}) == 1
    assert type(own) is kind
    assert str(own) == "no more"
    for other in (first, last):
        assert type(other) is RuntimeError
        assert str(other) == f"rank 1: {kind.__name__}: no more"


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_bad_batch_at_one_rank_ends_all(batch: int) -> None:
    stream = joined([samples(9)], [3])
    stream[batch]["x"][0, 0, 0] = np.nan

    def rank(comm: Communicator) -> None:
        model().fit(stream if comm.Get_rank() == 0 else joined([samples(9)], [3]), verbose=0, comm=comm)

    own, other = together(2, rank)
    assert isinstance(own, ValueError)
    assert "expected no NaN" in str(own)
    assert isinstance(other, RuntimeError)
    assert str(other) == f"rank 0: ValueError: {own}"


def test_an_iterable_longer_than_it_says_ends_all() -> None:
    class Stream:
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[Any]:
            return iter(joined([samples(9)], [3]))

    def rank(comm: Communicator) -> None:
        model().fit(Stream() if comm.Get_rank() == 0 else joined([samples(6)], [3]), verbose=0, comm=comm)

    own, other = together(2, rank)
    assert "x: expected at most 2 batches, as many as its length says, got more" in str(own)
    assert isinstance(other, RuntimeError)


def test_an_exchange_that_fails_ends_the_processes(capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody could tell the others then."""
    given = parts(samples(8), [4, 4])

    def rank(comm: Communicator) -> None:
        if comm.Get_rank() == 1:
            exchange, calls = comm.Allreduce, []

            def broken(send: Any, receive: Any) -> None:
                calls.append(1)
                if len(calls) == 2:
                    raise OSError("the net is down")
                exchange(send, receive)

            comm.Allreduce = broken  # type: ignore[method-assign]
        model().fit(**given[comm.Get_rank()], batch_size=2, verbose=0, comm=comm)

    other, own = together(2, rank)
    assert isinstance(own, OSError)
    assert isinstance(other, Aborted)
    assert "OSError: the net is down" in capfd.readouterr().err


def unlike(**at_rank_1: Any) -> Callable[[Communicator], None]:
    """fit, which is given something else at rank 1: `made` for the model, `data`, or arguments of its own."""

    def rank(comm: Communicator) -> None:
        own = at_rank_1 if comm.Get_rank() == 1 else {}
        one = model(**{"inputs": None, **own.get("made", dict)()})
        data = {**samples(6, steps=own.get("made", dict)().get("steps", True)), **own.get("data", {})}
        rest = {name: value for name, value in own.items() if name not in ("made", "data")}
        one.fit(**data, **{"verbose": 0, "comm": comm, **rest})

    return rank


UNLIKE: list[tuple[dict[str, Any], str]] = [
    ({"data": {"x": np.zeros((6, T, D + 1))}}, r"x: expected shape \(N, T, 3\) at all ranks, as at rank 0, got shape \(N, T, 4\) at rank 1"),
    ({"made": lambda: {"steps": False, "loss": "mae"}}, "loss: expected MeanSquaredError.* as at rank 0, got MeanAbsoluteError"),
    ({"made": lambda: {"given": ["mae"]}}, "metrics: expected none at all ranks, as at rank 0, got LossMetric"),
    ({"made": lambda: {"weighted": [metrics.AUC(5)]}}, r"weighted_metrics: expected none at all ranks, as at rank 0, got AUC\(num_thresholds=5"),
    ({"made": lambda: {"optimizer": "adam"}}, r"optimizer: expected SGD\(\) at all ranks, as at rank 0, got Adam\(\) at rank 1"),
    ({"made": lambda: {"optimizer": optimizers.SGD(clipnorm=1.0)}}, r"optimizer: expected SGD\(\) at all ranks, as at rank 0, got SGD\(clipnorm=1.0\)"),
    ({"made": lambda: {"optimizer": optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 5, 0.9))}},
     "learning_rate: expected a number at all ranks, as at rank 0, got ExponentialDecay"),
    ({"epochs": 3}, "epochs: expected 1 at all ranks, as at rank 0, got 3 at rank 1"),
    ({"epochs": 1, "initial_epoch": 1}, "initial_epoch: expected 0 at all ranks, as at rank 0, got 1 at rank 1"),
    ({"validation_freq": 2}, "validation_freq: expected 1 at all ranks, as at rank 0, got 2 at rank 1"),
]  # fmt: skip


@pytest.mark.parametrize(("own", "message"), UNLIKE)
def test_ranks_that_disagree_are_told_so(own: dict[str, Any], message: str) -> None:
    for error in together(2, unlike(**own)):
        assert type(error) is ValueError, error
        with pytest.raises(ValueError, match=message):
            raise error


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"data": {"y": np.zeros((6, T, 3))}}, ValueError, r"y_true: expected shape \(6, 5, 2\)"),
    ({"data": {"y": np.zeros((5, T, 2))}}, ValueError, "y: expected 6 samples, as in x, got 5"),
    ({"data": {"sample_weight": np.zeros(5)}}, ValueError, "sample_weight: expected 6 samples"),
    ({"data": {"lengths": [T + 1] * 6}}, ValueError, "lengths: "),
    ({"data": {"x": "words"}}, TypeError, "x: "),
    ({"epochs": -1}, ValueError, "epochs: "),
    ({"verbose": 7}, ValueError, "verbose: "),
    ({"callbacks": [3]}, TypeError, r"callbacks\[0\]: "),
    ({"callbacks": [callbacks.EarlyStopping("wrong")]}, ValueError, "EarlyStopping: monitor: "),
    ({"validation_split": 0.999}, ValueError, "validation_split: "),
    ({"validation_data": (np.zeros((2, T, 7)), np.zeros((2, T, K)))}, ValueError, "expected x of shape"),
]


@pytest.mark.parametrize(("own", "kind", "message"), BAD)
def test_bad_input_at_one_rank_ends_all_before_anything_is_changed(
    own: dict[str, Any], kind: type[Exception], message: str
) -> None:
    first, second = together(2, unlike(**own))
    with pytest.raises(kind, match=message):
        raise second
    assert type(first) is RuntimeError
    assert str(first) == f"rank 1: {type(second).__name__}: {second}"


def test_no_samples_at_all_ranks() -> None:
    for error in together(2, lambda comm: model().fit(**parts(samples(0), [0])[0], verbose=0, comm=comm)):
        with pytest.raises(ValueError, match="x: expected at least one sample at some rank, got none at all"):
            raise error


def test_batches_without_a_length_need_their_number() -> None:
    for error in together(2, lambda comm: model().fit(iter(joined([samples(6)], [3])), verbose=0, comm=comm)):
        with pytest.raises(ValueError, match=r"steps_per_epoch: expected a number of batches, .* and there is comm"):
            raise error
    for error in together(2, lambda comm: model(inputs=None).fit(joined([samples(6)], [3]), verbose=0, comm=comm)):
        with pytest.raises(
            ValueError, match="model: expected one that is built, as x yields batches and there is comm"
        ):
            raise error


class _Between(Communicator):
    def __init__(self, inter: bool = False, outside: bool = False) -> None:
        self._inter, self._outside = inter, outside

    def Is_inter(self) -> bool:
        return self._inter

    def Get_rank(self) -> int:
        if self._outside:
            raise RuntimeError("MPI_ERR_COMM: invalid communicator")
        return 0


@pytest.mark.parametrize(
    ("comm", "kind", "message"),
    [
        (2, TypeError, "comm: expected a communicator of mpi4py such as MPI.COMM_WORLD, got int"),
        (Communicator, TypeError, "comm: expected a communicator of mpi4py such as MPI.COMM_WORLD, got Communicator"),
        (_Between(inter=True), ValueError, "comm: expected a communicator within one group, got one between two"),
        (_Between(outside=True), ValueError, "comm: expected a communicator that this process is part of, got MPI_ERR"),
    ],
)
def test_no_communicator(comm: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        model().fit(**samples(4), verbose=0, comm=comm)
    assert Ranks.of(None) is None
