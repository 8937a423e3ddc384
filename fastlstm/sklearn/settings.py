"""The estimators' parameters, checked: what each means is said in `estimators.py`."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from ..arrays import size_of
from ..cells import OwnCell
from ..nn._src.names import flag, real
from ..nn._src.recurrent import rate_of

Cell: TypeAlias = Literal["standard", "peephole", "interpolated", "normalized", "gru", "gru_before"] | OwnCell
_GRUS = ("gru", "gru_before")


class Network(NamedTuple):
    """What makes a network: with another of these the weights stay, but it is another network."""

    hidden_layer_sizes: tuple[int, ...]
    cell: Any
    bidirectional: bool
    dropout: float
    recurrent_dropout: float
    alpha: float
    learning_rate_init: float
    clipnorm: float | None


class Training(NamedTuple):
    """How it is trained."""

    batch_size: int | None  # None: "auto"
    max_iter: int
    shuffle: bool
    tol: float
    verbose: bool
    early_stopping: bool
    n_iter_no_change: float


def network_of(given: Any) -> Network:
    """The parameters of an estimator that make its network.

    Raises
    ------
    ValueError, TypeError
        One that makes no sense; the message names it.
    """
    if given.cell == "projected":
        raise ValueError("cell: expected one whose h is as wide as its layer, got 'projected'; build a model of "
                         "fastlstm.nn for it")  # fmt: skip
    return Network(
        _sizes(given.hidden_layer_sizes),
        given.cell,
        flag("bidirectional", given.bidirectional),
        rate_of("dropout", given.dropout),
        rate_of("recurrent_dropout", given.recurrent_dropout),
        real("alpha", given.alpha, 0.0),
        _positive("learning_rate_init", given.learning_rate_init),
        None if given.clipnorm is None else _positive("clipnorm", given.clipnorm),
    )


def training_of(given: Any) -> Training:
    """The parameters of an estimator that say how it is trained; errors as those of `network_of`."""
    automatic = isinstance(given.batch_size, str) and given.batch_size == "auto"
    if isinstance(given.batch_size, str) and not automatic:
        raise ValueError(f"batch_size: expected 'auto' or an integer, got {given.batch_size!r}")
    patience = given.n_iter_no_change
    endless = isinstance(patience, (float, np.floating)) and math.isinf(patience) and patience > 0
    return Training(
        None if automatic else size_of("batch_size", given.batch_size),
        size_of("max_iter", given.max_iter),
        flag("shuffle", given.shuffle),
        real("tol", given.tol, 0.0),
        _loud(given.verbose),
        flag("early_stopping", given.early_stopping),
        math.inf if endless else size_of("n_iter_no_change", patience),
    )


def _sizes(given: Any) -> tuple[int, ...]:
    sizes = [given] if np.ndim(given) == 0 else list(given)
    if not sizes:
        raise ValueError("hidden_layer_sizes: expected at least one layer, got none")
    return tuple(size_of("hidden_layer_sizes", size) for size in sizes)


def _positive(name: str, value: Any) -> float:
    number = real(name, value)
    if number <= 0:
        raise ValueError(f"{name}: expected more than 0, got {number:g}")
    return number


def _loud(verbose: Any) -> bool:
    if not isinstance(verbose, (bool, int, np.bool_, np.integer)) or verbose < 0:
        raise ValueError(f"verbose: expected True, False or an integer of at least 0, got {verbose!r}")
    return bool(verbose)
