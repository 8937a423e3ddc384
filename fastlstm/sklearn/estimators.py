"""`LSTMClassifier` and `LSTMRegressor`: recurrent networks with scikit-learn's methods, and `MLPClassifier`'s names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from ..arrays import integer
from ..nn.metrics import BinaryAccuracy, R2Score, SparseCategoricalAccuracy
from .base import Given, SequenceEstimator, scale_of_targets
from .network import Head
from .settings import Cell

Array = NDArray[Any]


class LSTMClassifier(ClassifierMixin, SequenceEstimator):
    """Tells the class of a sequence.

    Recurrent layers read the sequence. A last layer makes a probability for each class of the state that they end with.
    Parameters that `sklearn.neural_network.MLPClassifier` has too mean the same here.

    X is one of three things: an array (N, T, D) of N sequences, T steps and D features; a table (N, T), in which each
    row is a sequence of one feature; or, for sequences of unlike lengths, a list of arrays (T_i, D) or (T_i,). The
    network computes in float32 if X is float32, and in float64 otherwise.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of each recurrent layer, the first of which reads X.
    cell : {"standard", "peephole", "interpolated", "normalized", "gru", "gru_before"}, or one's own
        docs/cells.md has them side by side; one's own is what `fastlstm.cells.cell` makes.
    bidirectional : bool
        Whether each layer also reads its sequence backwards, with units of its own for that.
    dropout : float
        0 to below 1: what share of each recurrent layer's outputs is set to 0 in training.
    recurrent_dropout : float
        0 to below 1: the same for the outputs of a step where they enter the next, as in `fastlstm.nn.LSTM`.
    alpha : float
        Of the penalty alpha / (2 W) Σw² on all weights but biases, W being the sum of sample weights in a batch.
    batch_size : int or "auto"
        "auto" is 200; never more than there are samples.
    learning_rate_init : float
        Of Adam.
    max_iter : int
        Epochs, at most.
    shuffle : bool
        Whether samples are gone through in a new order in each epoch.
    random_state : int, RandomState instance or None
        For first weights, dropout, the order of samples, and what is held out: with the same integer all results have
        the same bits.
    tol : float
        A smaller change than this does not count as better.
    verbose : bool or int
        Whether a line is printed for each epoch.
    warm_start : bool
        Whether `fit` goes on with the weights, the scale and the classes that are there.
    early_stopping : bool
        Whether the score on held-out data decides when training ends, and the weights of the best score are taken. It
        is the training loss that decides otherwise.
    validation_fraction : float
        The share of samples that early_stopping holds out, of each class, where `fit` is given no validation_data.
    n_iter_no_change : int or inf
        After more epochs than that without a better number training ends. inf: there are max_iter epochs, and no
        warning that training has not converged.
    clipnorm : float or None
        No weight's gradient is longer than that.
    scale : bool
        Whether features are brought to mean 0 and standard deviation 1: over all real steps of the sequences that the
        network learns from, each with the sample weight of its sequence.
    class_weight : dict, "balanced" or None
        Factors of sample weights, by class; "balanced" gives all classes the same sum of weights.

    Attributes
    ----------
    classes_ : ndarray, shape (K,)
    n_iter_ : int
        Epochs of the last `fit`.
    loss_curve_ : list of float
        Training loss of each epoch, since the weights were first drawn: the mean of the cross-entropy, with penalties.
    validation_scores_ : list of float, or None
        Accuracy on the data to validate with, after each epoch, where there are any.
    best_loss_, best_validation_score_ : float or None
        Of these two lists; best_loss_ is None with early_stopping.
    n_features_in_ : int
        D; T of a table.
    feature_mean_, feature_scale_ : ndarray, shape (D,), or None
        What scale has found.
    model_ : fastlstm.nn.Sequential
        The network, which sees scaled sequences.

    Raises
    ------
    ValueError, TypeError
        `fit`: data or parameters that make no sense; the message names them.

    Notes
    -----
    Loss is the weighted mean over samples; weights matter by their ratios alone: a sample of weight 2 counts as two do.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.sklearn import LSTMClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal((length, 2)) for length in rng.integers(3, 9, 100)]
    >>> y = np.array(["down", "up"])[[int(one[-1, 0] > 0) for one in X]]
    >>> classifier = LSTMClassifier(8, learning_rate_init=0.03, max_iter=100, n_iter_no_change=np.inf, random_state=0)
    >>> bool(classifier.fit(X, y).score(X, y) > 0.95)
    True
    >>> classifier.predict_proba(X[:3]).shape
    (3, 2)
    """

    _all_classes: Array | None = None  # that partial_fit was given, while it runs

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        cell: Cell = "standard",
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        clipnorm: float | None = 1.0,
        scale: bool = True,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.cell = cell
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.clipnorm = clipnorm
        self.scale = scale
        self.class_weight = class_weight

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None,
        validation_data: tuple[ArrayLike, ...] | None = None,
    ) -> LSTMClassifier:  # fmt: skip
        """Learn to tell classes.

        Parameters
        ----------
        X : array_like, shape (N, T, D) or (N, T), or list of (T_i, D)
        y : array_like, shape (N,)
            Classes: numbers or strings.
        sample_weight : array_like, shape (N,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            The network does not learn from it: `validation_scores_` has its score after each epoch, and early_stopping
            goes by that.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Data or parameters that make no sense; weights that are no longer finite.
        """
        fitted: LSTMClassifier = self._fit(X, y, sample_weight, validation_data, partial=False)
        return fitted

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> LSTMClassifier:
        """Go once through some samples, and learn from them.

        The scale is that of the samples of the first call.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like, shape (K,)
            All classes there are: needed at the first call, not at others.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit`; early_stopping, and class_weight="balanced", which want all samples.
        """
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise ValueError("class_weight: expected a dict or None for partial_fit, got 'balanced', which counts all "
                             "samples")  # fmt: skip
        first = not hasattr(self, "model_")
        if first and classes is None:
            raise ValueError("classes: expected all classes at the first call to partial_fit, got None")
        if classes is not None:
            given = np.unique(column_or_1d(classes))
            if not first and not np.array_equal(given, self.classes_):
                raise ValueError(f"classes: expected {self.classes_}, as at the first call, got {given}")
            self._all_classes = given
        try:
            fitted: LSTMClassifier = self._fit(X, y, sample_weight, None, partial=True)
        finally:
            self._all_classes = None
        return fitted

    def _read_targets(self, y: Any, *, reset: bool) -> Array:
        labels = column_or_1d(
            check_array(y, ensure_2d=False, dtype=None, ensure_min_samples=0, input_name="y"), warn=True
        )
        check_classification_targets(labels)
        found = np.unique(labels)
        if reset:
            classes = found if self._all_classes is None else self._all_classes
            if len(classes) < 2:
                raise ValueError(f"y: expected at least 2 classes, got one class: {classes.tolist()}")
            self.classes_ = classes
        if unknown := set(found.tolist()) - set(self.classes_.tolist()):
            raise ValueError(f"y: expected classes of {self.classes_.tolist()}, got {sorted(unknown, key=str)}")
        numbers: Array = np.searchsorted(self.classes_, labels)
        return numbers

    def _head(self) -> Head:
        if len(self.classes_) == 2:
            return Head(1, "sigmoid", "binary_crossentropy", BinaryAccuracy)
        return Head(len(self.classes_), "softmax", "sparse_categorical_crossentropy", SparseCategoricalAccuracy)

    def _class_factors(self, given: Given, *, partial: bool) -> Array | None:
        if self.class_weight is None:
            return None
        K = len(self.classes_)
        if isinstance(self.class_weight, str):
            if self.class_weight != "balanced":
                raise ValueError(f"class_weight: expected a dict, 'balanced' or None, got {self.class_weight!r}")
            counts = np.bincount(given.targets, given.weights, K)
            factors = counts.sum() / (K * np.where(counts == 0, 1, counts))
        else:
            try:
                labels = self.classes_[given.targets]
                factors = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)
            except (ValueError, TypeError) as error:
                raise type(error)(f"class_weight: {error}") from error
            if not np.isfinite(factors).all() or (factors < 0).any():
                raise ValueError(f"class_weight: expected finite numbers of at least zero, got {self.class_weight}")
        found: Array = factors[given.targets]
        return found

    def _stratified_by(self, targets: Array) -> Array | None:
        return targets

    def predict(self, X: ArrayLike) -> Array:
        """The most probable class of each sequence.

        Parameters
        ----------
        X : array_like, shape (N, T, D) or (N, T), or list of (T_i, D)

        Returns
        -------
        ndarray, shape (N,)

        Raises
        ------
        ValueError, TypeError
            Sequences of other features than those that it was fitted on.
        """
        probabilities = self.predict_proba(X)
        found: Array = self.classes_[probabilities.argmax(axis=1)]
        return found

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probability of each class.

        Parameters
        ----------
        X
            As for `predict`.

        Returns
        -------
        ndarray of float64, shape (N, K)
            In the order of `classes_`.

        Raises
        ------
        ValueError, TypeError
            As `predict`.
        """
        found = self._outputs(X)
        if found.shape[1] == 1:
            return np.concatenate([1 - found, found], axis=1)
        found /= found.sum(axis=1, keepdims=True)
        return found

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """The logarithm of each class's probability.

        Parameters
        ----------
        X
            As for `predict`.

        Returns
        -------
        ndarray of float64, shape (N, K)
            In the order of `classes_`; minus infinity where a probability is 0.

        Raises
        ------
        ValueError, TypeError
            As `predict`.
        """
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.predict_proba(X))
        return logarithms

    @overload
    def input_gradient(self, X: Array, label: object = None) -> Array: ...

    @overload
    def input_gradient(self, X: ArrayLike, label: object = None) -> Array | list[Array]: ...

    def input_gradient(self, X: ArrayLike, label: object = None) -> Array | list[Array]:
        """How much each number in X matters: the gradient of a class's probability at X.

        Parameters
        ----------
        X : array_like, shape (N, T, D) or (N, T), or list of (T_i, D)
        label : one of classes_, optional
            The class; that which is predicted, sequence by sequence, if None.

        Returns
        -------
        ndarray or list, shape of X

        Raises
        ------
        ValueError, TypeError
            As `predict`; an unknown class.

        Examples
        --------
        >>> import numpy as np
        >>> from fastlstm.sklearn import LSTMClassifier
        >>> X, y = np.random.default_rng(0).standard_normal((40, 5, 3)), np.arange(40) % 2
        >>> classifier = LSTMClassifier(4, max_iter=1, n_iter_no_change=np.inf).fit(X, y)
        >>> classifier.input_gradient(X[:2], label=1).shape
        (2, 5, 3)
        """
        check_is_fitted(self)
        if label is not None and label not in self.classes_.tolist():
            raise ValueError(f"label: expected one of {self.classes_.tolist()}, got {label!r}")
        place = None if label is None else self.classes_.tolist().index(label)

        def slopes(outputs: Array) -> Array:
            if outputs.shape[1] == 1:
                up = outputs[:, 0] > 0.5 if label is None else np.full(len(outputs), place == 1)
                return np.where(up, 1.0, -1.0)[:, None]
            found = np.zeros(outputs.shape)
            found[np.arange(len(outputs)), outputs.argmax(axis=1) if label is None else place] = 1
            return found

        found: Array | list[Array] = self._input_gradient(X, slopes)
        return found


class LSTMRegressor(RegressorMixin, SequenceEstimator):
    """Tells a number, or several, of a sequence.

    Recurrent layers read the sequence; what the last one holds at the end goes through a linear layer. Parameters that
    `sklearn.neural_network.MLPRegressor` has too mean the same here. X is as for `LSTMClassifier`.

    Parameters
    ----------
    hidden_layer_sizes, cell, bidirectional, dropout, recurrent_dropout, alpha, batch_size, learning_rate_init, max_iter
        As for `LSTMClassifier`; so are the others up to clipnorm.
    scale : bool
        As for `LSTMClassifier`, and of the targets too: what the network learns has mean 0 and standard deviation 1.

    Attributes
    ----------
    n_outputs_ : int
        K.
    loss_curve_ : list of float
        Training loss of each epoch: the mean squared error of scaled targets, with penalties. It is not halved, as
        `MLPRegressor`'s is; nor is the penalty, so that alpha means the same.
    validation_scores_ : list of float, or None
        R² on the data to validate with.
    target_mean_, target_scale_ : ndarray, shape (K,), or None
        What scale has found.
    n_iter_, best_loss_, best_validation_score_, n_features_in_, feature_mean_, feature_scale_, model_
        As of `LSTMClassifier`.

    Raises
    ------
    ValueError, TypeError
        `fit`: data or parameters that make no sense; the message names them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.sklearn import LSTMRegressor
    >>> X = np.random.default_rng(0).standard_normal((200, 6, 2))
    >>> y = 100 + 10 * X[:, :, 0].sum(axis=1)
    >>> regressor = LSTMRegressor(8, learning_rate_init=0.03, random_state=0).fit(X[:150], y[:150])
    >>> bool(regressor.score(X[150:], y[150:]) > 0.8)
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        cell: Cell = "standard",
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        clipnorm: float | None = 1.0,
        scale: bool = True,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.cell = cell
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.clipnorm = clipnorm
        self.scale = scale

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None,
        validation_data: tuple[ArrayLike, ...] | None = None,
    ) -> LSTMRegressor:  # fmt: skip
        """Learn to tell numbers.

        Parameters
        ----------
        X : array_like, shape (N, T, D) or (N, T), or list of (T_i, D)
        y : array_like, shape (N,) or (N, K)
        sample_weight, validation_data
            As for `LSTMClassifier.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Data or parameters that make no sense; weights that are no longer finite.
        """
        fitted: LSTMRegressor = self._fit(X, y, sample_weight, validation_data, partial=False)
        return fitted

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LSTMRegressor:
        """Go once through some samples, and learn from them.

        The scale is that of the samples of the first call.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit`; early_stopping.
        """
        fitted: LSTMRegressor = self._fit(X, y, sample_weight, None, partial=True)
        return fitted

    def _read_targets(self, y: Any, *, reset: bool) -> Array:
        try:
            targets: Array = check_array(y, ensure_2d=False, dtype=np.float64, ensure_min_samples=0, input_name="y")
        except ValueError as error:
            if "could not convert" not in str(error):
                raise
            raise ValueError(f"y: expected real numbers, got others ({error}); LSTMClassifier takes names") from error
        if targets.ndim not in (1, 2):
            raise ValueError(f"y: expected shape (N,) or (N, K), got {targets.shape}")
        flat = targets.ndim == 1
        targets = targets[:, None] if flat else targets
        if reset:
            self.n_outputs_, self._flat = targets.shape[1], flat
        elif targets.shape[1] != self.n_outputs_:
            raise ValueError(f"y: expected {self.n_outputs_} numbers a sequence, as in the first fit, got "
                             f"{targets.shape[1]}")  # fmt: skip
        return targets

    def _measure(self, given: Given, scale: bool) -> None:
        super()._measure(given, scale)
        self._target_scale = scale_of_targets(given) if scale else None
        self.target_mean_ = self._target_scale.mean if self._target_scale else None
        self.target_scale_ = self._target_scale.deviation if self._target_scale else None

    def _targets(self, targets: Array) -> Array:
        if self._target_scale is None:
            return targets
        return self._target_scale.apply(targets, self.model_.dtype)

    def _head(self) -> Head:
        return Head(self.n_outputs_, "linear", "mse", R2Score)

    def predict(self, X: ArrayLike) -> Array:
        """Numbers of each sequence.

        Parameters
        ----------
        X : array_like, shape (N, T, D) or (N, T), or list of (T_i, D)

        Returns
        -------
        ndarray of float64, shape (N,) or (N, K), as y was

        Raises
        ------
        ValueError, TypeError
            Sequences of other features than those that it was fitted on.
        """
        found = self._outputs(X)
        if self._target_scale is not None:
            found = self._target_scale.undo(found)
        return found[:, 0] if self._flat else found

    @overload
    def input_gradient(self, X: Array, output: int = 0) -> Array: ...

    @overload
    def input_gradient(self, X: ArrayLike, output: int = 0) -> Array | list[Array]: ...

    def input_gradient(self, X: ArrayLike, output: int = 0) -> Array | list[Array]:
        """How much each number in X matters: the gradient of what is predicted at X.

        Parameters
        ----------
        X : array_like, shape (N, T, D) or (N, T), or list of (T_i, D)
        output : int
            Which of the K numbers.

        Returns
        -------
        ndarray or list, shape of X

        Raises
        ------
        ValueError, TypeError
            As `predict`; no such output.
        """
        check_is_fitted(self)
        if (number := integer("output", output, 0)) >= self.n_outputs_:
            raise ValueError(f"output: expected less than {self.n_outputs_}, got {number}")
        unit = 1.0 if self._target_scale is None else self._target_scale.deviation[number]

        def slopes(outputs: Array) -> Array:
            found = np.zeros(outputs.shape)
            found[:, number] = unit
            return found

        found: Array | list[Array] = self._input_gradient(X, slopes)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
