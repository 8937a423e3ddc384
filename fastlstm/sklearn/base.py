"""What the classifier and the regressor have in common: from what a caller gives to a fitted network, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..nn import Sequential
from ..nn._src.names import flag, real
from . import network
from .network import Examples, Head
from .sequences import Scale, Sequences, read, scale_of, scale_of_steps, scaled
from .settings import Network, network_of, training_of

Array = NDArray[Any]


class Given(NamedTuple):
    """Checked data: sequences as they came, targets (N,) of class numbers or (N, K) of numbers, weights or None."""

    sequences: Sequences
    targets: Array
    weights: Array | None

    def part(self, rows: Any) -> Given:
        """Some of the samples, by their numbers."""
        weights = None if self.weights is None else self.weights[rows]
        return Given(self.sequences.part(rows), self.targets[rows], weights)


class SequenceEstimator(BaseEstimator):
    """Reads X, y and weights, scales them, and lets `network` do the rest. A subclass says what targets are."""

    # set by fit
    model_: Sequential
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    n_features_in_: int
    classes_: Array
    _columns: int | None  # of the table that it was fitted on
    _scale: Scale | None
    _built: Network

    def _read_targets(self, y: Any, *, reset: bool) -> Array:
        """y checked, as class numbers (N,) or numbers (N, K)."""
        raise NotImplementedError

    def _head(self) -> Head:
        raise NotImplementedError

    def _class_factors(self, given: Given, *, partial: bool) -> Array | None:
        """A factor of each sample's weight by its class, if there are any."""
        return None

    def _stratified_by(self, targets: Array) -> Array | None:
        """What each part of a division has to hold its share of, if there is anything."""
        return None

    # fit

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, *, partial: bool) -> Any:
        built, training = network_of(self), training_of(self)
        keep = hasattr(self, "model_") and (partial or flag("warm_start", self.warm_start))
        if partial and training.early_stopping:
            raise ValueError("early_stopping: expected False for partial_fit, got True: partial_fit does not support "
                             "early_stopping=True")  # fmt: skip
        scale = flag("scale", self.scale)
        given = self._given(X, y, sample_weight, reset=not keep)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        judge = None if validation_data is None else self._held_out(validation_data)
        if training.early_stopping and judge is None:
            given, judge = self._divided(given, rng)
        if not keep:
            self._measure(given, scale)
        self._prepare_network(built, given, seed, keep=keep, partial=partial)
        factors = self._class_factors(given, partial=partial)
        if factors is not None:
            given = given._replace(weights=factors if given.weights is None else given.weights * factors)
        learn = self._examples(given)
        epochs = 1 if partial else training.max_iter
        watch = network.train(self.model_, built, training, self._head(), learn,
                              None if judge is None else self._examples(judge), epochs)  # fmt: skip
        self._take(watch, training.early_stopping, validated=judge is not None, anew=not keep)
        return self

    def _given(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, whose: str = "") -> Given:
        sequences = read(self, X, reset=reset)
        if y is None:
            raise ValueError(f"{whose}y: expected targets, got None: {type(self).__name__} requires y to be passed, "
                             "but the target y is None")  # fmt: skip
        targets = self._read_targets(y, reset=reset)
        N = len(sequences.x)
        if len(targets) != N:
            raise ValueError(f"{whose}y: expected {N} targets, one for each sequence in X, got {len(targets)}")
        return Given(sequences, targets, _weights(f"{whose}sample_weight", sample_weight, N))

    def _held_out(self, validation_data: Any) -> Given:
        if not isinstance(validation_data, (tuple, list)) or not 2 <= len(validation_data) <= 3:
            count = f"{len(validation_data)} entries" if hasattr(validation_data, "__len__") else "something else"
            raise ValueError(f"validation_data: expected (X, y) or (X, y, sample_weight), got {count}")
        X, y, *weights = validation_data
        try:
            return self._given(X, y, weights[0] if weights else None, reset=False)
        except (ValueError, TypeError) as error:
            raise type(error)(f"validation_data: {error}") from error

    def _divided(self, given: Given, rng: Any) -> tuple[Given, Given]:
        """To learn from, and to validate with."""
        N, share = len(given.targets), real("validation_fraction", self.validation_fraction, 0.0, 1.0)
        about = f"validation_fraction: expected enough of {N} samples to learn from and to validate with, got {share:g}"
        try:
            parts = train_test_split(np.arange(N), test_size=share, random_state=rng,
                                     stratify=self._stratified_by(given.targets))  # fmt: skip
        except ValueError as error:
            raise ValueError(f"{about}: {error}") from error
        if len(parts[1]) < 2:
            raise ValueError(f"{about}: {len(parts[1])} to validate with, which is fewer than 2")
        learn, judge = (given.part(rows) for rows in parts)
        for part, what in ((learn, "learn from"), (judge, "validate with")):
            if part.weights is not None and not part.weights.any():
                raise ValueError(f"sample_weight: expected more than zero for some of the samples to {what}")
        return learn, judge

    def _measure(self, given: Given, scale: bool) -> None:
        """Means and deviations of what the network is to see."""
        self._scale = scale_of_steps(given.sequences, given.weights) if scale else None
        self.feature_mean_ = self._scale.mean if self._scale else None
        self.feature_scale_ = self._scale.deviation if self._scale else None

    def _prepare_network(self, built: Network, given: Given, seed: int, *, keep: bool, partial: bool) -> None:
        """A new network, or the one there is: with its weights, and its optimizer where it goes on by `partial_fit`."""
        if keep and partial and built == self._built:
            return
        for name in ("hidden_layer_sizes", "cell", "bidirectional") if keep else ():
            before, now = getattr(self._built, name), getattr(built, name)
            if before != now:
                raise ValueError(f"{name}: expected {before!r}, as of the weights that are kept, got {now!r}")
        dtype = self.model_.dtype if keep else given.sequences.x.dtype
        model = network.build(built, self._head(), given.sequences.x.shape[2], dtype, seed)
        if keep:
            model.set_weights(self.model_.get_weights())
        self.model_, self._built = model, built

    def _take(self, watch: Any, early_stopping: bool, *, validated: bool, anew: bool) -> None:
        """Say what fitting has seen."""
        if anew:
            self.loss_curve_, self.validation_scores_ = [], None
        self.n_iter_ = len(watch.losses)
        self.loss_curve_ = [*self.loss_curve_, *watch.losses]
        if validated:
            self.validation_scores_ = [*(self.validation_scores_ or ()), *watch.scores]
        self.best_loss_ = None if early_stopping else min(self.loss_curve_, default=None)
        self.best_validation_score_ = max(self.validation_scores_ or (), default=None) if validated else None

    # to and from the network

    def _examples(self, given: Given) -> Examples:
        return Examples(self._scaled(given.sequences), self._targets(given.targets), given.weights)

    def _targets(self, targets: Array) -> Array:
        """As the network learns them."""
        return targets

    def _scaled(self, sequences: Sequences) -> Sequences:
        return scaled(sequences, self._scale, self.model_.dtype)

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        return network.outputs(self.model_, self._scaled(read(self, X, reset=False))).astype(np.float64)

    def _input_gradient(self, X: Any, slopes: Any) -> Any:
        """Gradients at X, in its form. slopes: a function from outputs (N, K) to the gradient at them."""
        check_is_fitted(self)
        given = read(self, X, reset=False)
        sequences = self._scaled(given)
        dy = slopes(network.outputs(self.model_, sequences).astype(np.float64))
        quiet = self._built._replace(dropout=0.0, recurrent_dropout=0.0, alpha=0.0)
        twin = network.build(quiet, self._head(), sequences.x.shape[2], self.model_.dtype, seed=0)
        twin.set_weights(self.model_.get_weights())
        found = network.input_gradient(twin, sequences, dy).astype(np.float64)
        if self._scale is not None:
            found /= self._scale.deviation
        return given.like_given(found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _weights(name: str, given: Any, N: int) -> Array | None:
    """Weights of samples, checked."""
    if given is None:
        return None
    weights = np.asarray(given)
    if weights.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers, got dtype {weights.dtype}")
    if weights.shape != (N,):
        raise ValueError(f"{name}: expected shape ({N},), got {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"{name}: expected finite numbers of at least zero, got others")
    if not weights.any():
        raise ValueError(f"{name}: expected weights of which some are more than zero, got zeros alone")
    return weights.astype(np.float64)


def scale_of_targets(given: Given) -> Scale:
    """Means and deviations of targets (N, K)."""
    return scale_of(given.targets, given.weights)
