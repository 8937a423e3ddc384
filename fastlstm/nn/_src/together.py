"""Learning of a model in one process, or in many that each have a part of the data.

A batch of many processes is all their batches joined. Its loss is a sum over samples and steps divided by a number, and
so is its gradient: each process multiplies its own by what it has divided by, the products are added up, and the sum is
divided by what the joined batch's would have been divided by. That is exact, whatever the parts, masks and weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import losses, metrics, names
from .base import Layer, Mask, shown
from .callbacks import CallbackList
from .data import Arrays, Batch, Stream
from .randomness import set_state, state_of
from .ranks import Ranks, canonical

Array = NDArray[Any]
T = TypeVar("T")
Source = Arrays | Stream


class Seen(NamedTuple):
    """What a model has made of a batch: the loss, penalties not included, and what metrics look at."""

    loss: float
    y: Any
    y_pred: Array
    mask: Mask
    weights: Any


class Alone:
    """Learning in one process."""

    first = True
    judges = False

    def __init__(self, model: Any) -> None:
        self._model = model

    def agreed(self) -> AbstractContextManager[None]:
        return nullcontext()

    guarded = agreed

    def plan(self, train: Source, judge: Source | None, epochs: tuple[int, int, int]) -> dict[str, Any]:
        self.judges = judge is not None
        return {"steps": train.steps}

    def begin(self, hooks: CallbackList) -> None:
        self._hooks = hooks

    def attempt(self, action: Callable[..., T], *arguments: Any) -> T | None:
        return action(*arguments)

    def train(self, batches: Iterator[Batch]) -> None:
        self._model._train_epoch(batches, self._hooks)

    def judge(self, source: Source | None) -> dict[str, Any]:
        found: dict[str, Any] = self._model._judge(source, self._hooks)
        return found

    def ends(self) -> bool:
        return bool(self._model.stop_training)

    def finish(self, action: Callable[..., Any], *arguments: Any) -> None:
        action(*arguments)


_HEAD = ("samples", "rows", "real", "counted", "loss", "stop", "failed")
_COUNTED, _STOP, _FAILED = map(_HEAD.index, ("counted", "stop", "failed"))


class Whole(NamedTuple):
    """Sums over all ranks' batches: samples; rows of predictions, those that a mask leaves, those that the loss counts;
    the loss times what it was divided by; ranks that want to stop, or have failed; and the metrics' sums."""

    samples: float
    rows: float
    real: float
    counted: float
    loss: float
    stop: float
    failed: float
    sums: Array

    @property
    def scale(self) -> float:
        """What a mask makes of a weight (`losses.masked_weights`)."""
        return self.rows / max(self.real, 1.0)

    @property
    def share(self) -> float:
        """What the sums of loss and gradient are to be multiplied by."""
        return self.scale / self.counted if self.counted else 0.0


class Together:
    """Learning in many processes. All ranks call the same methods in the same order.

    Attributes
    ----------
    first : bool
        Whether this is rank 0, which prints and writes files.
    judges : bool
        Whether there is data to validate with, at any rank.
    """

    judges = False

    def __init__(self, model: Any, ranks: Ranks) -> None:
        self._model, self._ranks = model, ranks
        self.first, self.attempt, self.guarded = ranks.rank == 0, ranks.attempt, ranks.guarded
        self._kept = np.zeros(0)  # sums of the metrics over all batches so far, of all ranks: what the metrics show
        self._rooms = np.zeros((2, 0))

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """What is done inside, all ranks have done after it, or all raise."""
        with self.guarded(), self._ranks.agreed():
            yield

    def plan(self, train: Source, judge: Source | None, epochs: tuple[int, int, int]) -> dict[str, Any]:
        """Agree on the number of batches, the largest of all ranks, and on what has to be the same. epochs: the first,
        the last, and after how many it is validated. Returns what callbacks are told."""
        with self.agreed():
            if not self._model.built:
                raise ValueError("model: expected one that is built, as x yields batches and there is comm: give the "
                                 "first layer an input_shape")  # fmt: skip
            counts = _steps("steps_per_epoch", train), _steps("validation_steps", judge)
            described = _facts(self._model, epochs)
        with self.guarded():
            self._ranks.same(described)
            own, judged = zip(*self._ranks.gather(counts), strict=True)
            self._steps, self._steps_to_judge = max(own), max(judged)
            self.judges = self._steps_to_judge > 0
        with self.agreed():
            if not self._steps:
                raise ValueError("x: expected at least one sample at some rank, got none at all")
        return {"steps": self._steps, "rank": self._ranks.rank, "ranks": self._ranks.size}

    def begin(self, hooks: CallbackList) -> None:
        """Have rank 0's weights and optimizer at all ranks, and random numbers of each rank's own."""
        self._hooks = hooks
        model, optimizer = self._model, self._model.optimizer
        generators = _generators(model)
        with self.guarded():
            given = self._of_first(generators) if self.first else None
            state, rate, words = self._ranks.from_first(model.flat_params, given)
        with self.agreed():
            if rate is not None:
                optimizer.learning_rate = rate
            if state is not None:
                model._build_optimizer()
                optimizer.load_state(state)
            elif optimizer.built:
                optimizer._forget()
            for rng, entropy in zip(generators, words, strict=True):
                seed = np.random.SeedSequence(entropy, spawn_key=(self._ranks.rank,))
                set_state(rng, state_of(np.random.Generator(np.random.PCG64(seed))))

    def _of_first(self, generators: list[np.random.Generator]) -> Any:
        optimizer = self._model.optimizer
        state = optimizer.state() if optimizer.built else None
        rate = None if optimizer._schedule is not None else optimizer.learning_rate
        return state, rate, [rng.integers(0, 2**63, 4).tolist() for rng in generators]

    def train(self, batches: Iterator[Batch]) -> None:
        """An epoch. A rank whose batches are through adds nothing."""
        model = self._model
        self._reset()
        stop = False  # as the last batch has left it: the next exchange tells all
        for step in range(self._steps):
            seen = None if stop else self.attempt(self._learn, batches, step)
            whole = self._exchange(seen, stop, learns=True)
            if whole.stop:
                model.stop_training = True
                return
            if whole.samples:
                self._look(whole, seen, learns=True)
            self.attempt(self._hooks.on_train_batch_end, step, model._logs)
            stop = bool(model.stop_training)
        self.attempt(_refuse_more, batches, self._steps)

    def _learn(self, batches: Iterator[Batch], step: int) -> Seen | None:
        self._hooks.on_train_batch_begin(step)
        batch = next(batches, None)
        if batch is None or not len(batch.x):
            return None
        seen: Seen = self._model._learn(batch, part=True)
        return seen

    def judge(self, source: Source | None) -> dict[str, Any]:
        """Loss and metrics of the data to validate with."""
        model, hooks = self._model, self._hooks
        batches: Iterator[Batch] = iter(()) if source is None else source.epoch(None)
        with model._apart():
            self._reset()
            self.attempt(hooks.on_test_begin)
            for step in range(self._steps_to_judge):
                seen = self.attempt(self._test, batches, step)
                whole = self._exchange(seen, False, learns=False)
                if whole.samples:
                    self._look(whole, seen, learns=False)
                self.attempt(hooks.on_test_batch_end, step, model._logs)
            self.attempt(_refuse_more, batches, self._steps_to_judge)
            logs = self.attempt(model._logs) or {}
        self.attempt(hooks.on_test_end, logs)
        return logs

    def _test(self, batches: Iterator[Batch], step: int) -> Seen | None:
        self._hooks.on_test_batch_begin(step)
        batch = next(batches, None)
        if batch is None or not len(batch.x):
            return None
        seen: Seen = self._model._seen(batch, part=True)
        return seen

    def _exchange(self, seen: Seen | None, stop: bool, *, learns: bool) -> Whole:
        """The sums of what all ranks have seen; if the model learns from it, the joined batch's gradient too, into
        flat_grads. Raises at all ranks where something has failed at one."""
        grads = self._model.flat_grads[: None if learns else 0]
        size, dtype = len(grads), grads.dtype if learns else np.dtype(np.float64)
        numbers = self.attempt(self._numbers, seen, stop)
        if numbers is None:
            numbers = np.zeros(len(_HEAD) + len(self._kept))
        if self._rooms.shape[1] != size + len(numbers) or self._rooms.dtype != dtype:
            self._rooms = np.empty((2, size + len(numbers)), dtype)
        send, receive = self._rooms
        send[size:] = numbers
        if seen is None:
            send[:size] = 0
        else:
            np.multiply(grads, dtype.type(numbers[_COUNTED]), out=send[:size])
        self._ranks.add_up(send, receive, size + _FAILED)
        found = receive[size:].astype(np.float64)
        whole = Whole._make([*found[: len(_HEAD)].tolist(), found[len(_HEAD) :]])
        np.multiply(receive[:size], dtype.type(whole.share), out=grads)
        return whole

    def _numbers(self, seen: Seen | None, stop: bool) -> Array:
        """What this rank adds to a `Whole`."""
        found = np.zeros(len(_HEAD) + len(self._kept))
        if seen is not None:
            rows = real = seen.y_pred.size // seen.y_pred.shape[-1]
            if seen.mask is not None:
                real = int(np.count_nonzero(losses.spread("mask", seen.mask, seen.y_pred.shape[:-1])))
            counted = self._model.loss._counted(seen.y, rows)
            found[:_STOP] = len(seen.y_pred), rows, real, counted, seen.loss * counted
        found[_STOP] = stop
        for metric, weighted, place in self._adding():
            metric.reset_state()
            if seen is not None:
                self._model._measure(metric, weighted, seen)
            found[len(_HEAD) :][place] = metrics.sums(metric)
            metrics.set_sums(metric, self._kept[place])
        return found

    def _look(self, whole: Whole, seen: Seen | None, *, learns: bool) -> None:
        """Have the model learn, and the metrics see what all ranks have seen."""
        self.attempt(self._take, whole, learns)
        others = [(metric, weighted) for metric, weighted in self._model._metrics if not metrics.adds_up(metric)]
        if others:
            for part in self._ranks.gather(seen):
                self.attempt(self._show, others, part, whole.scale)

    def _take(self, whole: Whole, learns: bool) -> None:
        model = self._model
        loss = whole.loss * whole.share + model._penalty()
        if learns:
            model._update()
        model._total.add(loss, whole.samples)
        for metric, weighted, place in self._adding():
            self._kept[place] += whole.sums[place] * (whole.scale if weighted else 1.0)
            metrics.set_sums(metric, self._kept[place])

    def _show(self, others: list[tuple[Any, bool]], part: Seen | None, scale: float) -> None:
        """To metrics that are no sums, the batch of a rank."""
        if part is None:
            return
        weights = part.weights
        if scale != 1.0:
            weights = np.full(len(part.y_pred), scale) if weights is None else weights * scale
        for metric, weighted in others:
            self._model._measure(metric, weighted, part._replace(weights=weights))

    def _adding(self) -> Iterator[tuple[Any, bool, slice]]:
        """Metrics that are sums, which ride in the exchange, and the place of each there."""
        at = 0
        for metric, weighted in self._model._metrics:
            if metrics.adds_up(metric):
                place = slice(at, at + len(metrics.sums(metric)))
                yield metric, weighted, place
                at = place.stop

    def _reset(self) -> None:
        self.attempt(self._model._reset_metrics)
        self._kept = np.zeros(max((place.stop for _, _, place in self._adding()), default=0))

    def ends(self) -> bool:
        """Whether training ends, as one of the ranks wants it to.

        Raises
        ------
        RuntimeError
            The weights are not the same at all ranks.
        """
        model = self._model
        digest = hashlib.blake2b(canonical(model.flat_params), digest_size=16).digest()
        found = self._ranks.gather((bool(model.stop_training), digest))
        unlike = [str(rank) for rank, (_, other) in enumerate(found) if other != found[0][1]]
        if unlike:
            self._ranks.ended = True
            raise RuntimeError(f"fit: expected the same weights at all ranks after epoch {model.epoch}, got others at "
                               f"rank {', '.join(unlike)} than at rank 0: a callback that changes them, or the "
                               "learning rate, has to do so at all ranks")  # fmt: skip
        model.stop_training = any(stop for stop, _ in found)
        return bool(model.stop_training)

    def finish(self, action: Callable[..., Any], *arguments: Any) -> None:
        """The last thing to do; where all end with an error already, nobody waits for it."""
        if self._ranks.ended:
            action(*arguments)
            return
        with self._ranks.agreed():
            action(*arguments)


def _steps(argument: str, source: Source | None) -> int:
    """Batches of an epoch; 0 without data."""
    if source is None:
        return 0
    if source.steps is None:
        raise ValueError(f"{argument}: expected a number of batches, as x yields them and has no length, and there is "
                         "comm, got None")  # fmt: skip
    return source.steps


def _facts(model: Any, epochs: tuple[int, int, int]) -> dict[str, str]:
    """What has to be the same at all ranks, in words."""
    first, last, every = epochs
    rate = model.optimizer._schedule
    return {
        "x": f"shape {shown(model.input_shape)}",
        "weights": ", ".join(f"{name} of {where.stop - where.start} numbers" for name, where in model._slices()),
        "dtype": str(model.dtype),
        "loss": repr(model.loss),
        "metrics": _listed(metric for metric, weighted in model._metrics if not weighted),
        "weighted_metrics": _listed(metric for metric, weighted in model._metrics if weighted),
        "optimizer": names.call(model.optimizer),
        "learning_rate": "a number" if rate is None else repr(rate),
        "initial_epoch": str(first),
        "epochs": str(last),
        "validation_freq": str(every),
    }


def _listed(some: Iterable[Any]) -> str:
    found = [repr(one) if isinstance(one, metrics.Metric) else type(one).__name__ for one in some]
    return ", ".join(found) or "none"


def _generators(model: Any) -> list[np.random.Generator]:
    """The model's, and those that its layers have of their own."""
    for layer in model.layers:
        _begin(layer)
    return [model.rng, *(rng for layer in model.layers for rng in layer._generators().values())]


def _begin(layer: Any) -> None:
    """Have a layer make its generator, and those within it theirs, where they have seeds of their own."""
    if getattr(layer, "seed", None) is not None:
        assert layer.rng is not None
    for inner in (*getattr(layer, "_halves", ()), getattr(layer, "layer", None)):
        if isinstance(inner, Layer):
            _begin(inner)


def _refuse_more(batches: Iterator[Batch], steps: int) -> None:
    """Go through to the end, where there must be no further batch."""
    if next(batches, None) is not None:
        raise ValueError(f"x: expected at most {steps} batches, as many as its length says, got more")
