"""Layers without memory: dense, activations, dropout, masking; Keras's names, defaults, weights and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import numpy as np

from ... import backend
from ...arrays import size_of
from . import activations, constraints, initializers, names, regularizers
from .base import KNOWN_LAYERS, SMALL, Array, Layer, Mask, Shape, Weight, dropout_mask, flag, shown, sizes_of
from .options import Checks
from .randomness import checked_seed
from .types import ActivationLike, Common, Config, ConstraintLike, InitializerLike, RegularizerLike, ShapeLike


class Input:
    """The shape of what a model will get: a first entry of a `Sequential`, instead of the first layer's input_shape.

    Parameters
    ----------
    shape : tuple of int or None
        Of one sample: (T, D) for sequences, T may be None.
    batch_size : int, optional
        Fixed size of all batches.
    batch_shape : tuple of int or None, optional
        (N, T, D): batch size and shape in one, instead of these two.
    name : str, optional

    Raises
    ------
    ValueError, TypeError
        Something that is no shape; neither shape nor batch_shape, or both.

    Examples
    --------
    >>> from fastlstm.nn import Dense, Input, LSTM, Sequential
    >>> model = Sequential([Input((None, 16)), LSTM(32), Dense(1)])
    >>> model.output_shape
    (None, 1)
    """

    def __init__(self, shape: ShapeLike | None = None, batch_size: int | None = None, *,
                 batch_shape: ShapeLike | None = None, name: str | None = None) -> None:  # fmt: skip
        if (shape is None) == (batch_shape is None) or (batch_shape is not None and batch_size is not None):
            raise ValueError(f"Input: expected shape, or batch_shape, got shape={shape}, batch_shape={batch_shape}, "
                             f"batch_size={batch_size}")  # fmt: skip
        if batch_shape is None:
            self.batch_shape: Shape = sizes_of("batch_size, shape", (batch_size, *sizes_of("shape", shape)))
        else:
            self.batch_shape = sizes_of("batch_shape", batch_shape)
        self.name = name or "input"

    def __repr__(self) -> str:
        return f"<Input {self.name!r}: {shown(self.batch_shape)}>"


class Dense(Layer):
    """y = f(x @ kernel + bias): a product along the last axis, for every sample and every step.

    Parameters
    ----------
    units : int
        U, how many numbers come out.
    activation : str or function, optional
        f, one of `fastlstm.nn.activations`: linear, relu, sigmoid, tanh, softmax, softplus, elu, exponential. None is
        linear.
    use_bias : bool
        Whether there is a bias.
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Notes
    -----
    Weights: kernel (D, U), bias (U,). Products run in the package's own kernels: results and gradients have the same
    bits with any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import Dense
    >>> layer = Dense(3, activation="softmax")
    >>> y = layer(np.ones((4, 10, 16)), training=True)
    >>> y.shape, layer.backward(y).shape, layer.grads["kernel"].shape
    ((4, 10, 3), (4, 10, 16), (16, 3))
    """

    _fields = ("units", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer",
               "bias_regularizer", "kernel_constraint", "bias_constraint")  # fmt: skip
    _options: ClassVar[Checks] = {"activation": lambda _, value: activations.name_of(value)}
    _made_when_bound = ("_W", "_dW", "_b", "_db")

    def __init__(
        self,
        units: int,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.units = size_of("units", units)
        self.activation: str = activation  # type: ignore[assignment]
        self.use_bias = flag("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")

    def _weights(self, input_shape: Shape) -> list[Weight]:
        D = input_shape[-1]
        if D is None:
            raise ValueError(f"{self.name}: expected inputs of a known size D, got shape {input_shape}")
        how = self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint
        found = [Weight("kernel", (D, self.units), *how)]
        if self.use_bias:
            how = self.bias_initializer, self.bias_regularizer, self.bias_constraint
            found.append(Weight("bias", (self.units,), *how))
        return found

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return (*input_shape[:-1], self.units)

    def _bound(self) -> None:
        self._W, self._dW = self.params["kernel"], self.grads["kernel"]
        self._b, self._db = self.params.get("bias"), self.grads.get("bias")

    def _repeats(self, input_shape: tuple[int, ...]) -> bool:
        return 0 not in input_shape and self._W.size + int(np.prod(input_shape)) <= SMALL

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        y, training_kernels = backend.engine.empty((len(rows), self.units), self.dtype), backend.engine.training
        kind = training_kernels.ACTIVATIONS[self.activation]
        training_kernels.dense_forward(rows, self._W, self._b, kind, y)
        shaped = y if x.ndim == 2 else y.reshape(*x.shape[:-1], self.units)
        if training:
            self._tape = shaped.shape, rows, y, x.shape, kind
        return shaped, mask

    def _back(self, dy: Array) -> Array:
        _, rows, y, shape, kind = self._tape
        dx = backend.engine.empty(rows.shape, self.dtype)
        backend.engine.training.dense_backward(rows, self._W, y, dy, kind, self._dW, self._db, dx)
        return dx.reshape(shape)


class Dropout(Layer):
    """In training, sets numbers to 0 with probability rate, and divides the others by 1 - rate [1]_.

    Otherwise y is x.

    Parameters
    ----------
    rate : float
        0 to 1.
    noise_shape : tuple of int or None, optional
        Shape of the mask, which is broadcast over x. None stands for x's own size. (None, 1, None) drops a feature of a
        sequence at all steps or at none.
    seed : int, optional
        With it the layer has random numbers of its own. Without it they are its model's.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    References
    ----------
    .. [1] N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import Dropout
    >>> y = Dropout(0.5, seed=0)(np.ones((1, 1000)), training=True)
    >>> np.unique(y).tolist(), bool(abs(y.mean() - 1) < 0.1)
    ([0.0, 2.0], True)
    """

    _fields: tuple[str, ...] = ("rate", "noise_shape", "seed")
    _options: ClassVar[Checks] = {"rate": lambda name, value: names.real(name, value, 0.0, 1.0)}
    _ndim: tuple[int, int | None] = (1, None)

    def __init__(
        self, rate: float, noise_shape: ShapeLike | None = None, seed: int | None = None, **common: Unpack[Common]
    ) -> None:
        super().__init__(**common)
        self.rate = rate
        self.noise_shape = None if noise_shape is None else sizes_of("noise_shape", noise_shape)
        self.seed = None if seed is None else checked_seed(seed)

    def _weights(self, input_shape: Shape) -> list[Weight]:
        if self.noise_shape is not None and len(self.noise_shape) != len(input_shape):
            raise ValueError(f"{self.name}: expected as many axes as noise_shape {self.noise_shape} has, got x of "
                             f"shape {input_shape}")  # fmt: skip
        self._check_noise(input_shape)
        return []

    def _check_noise(self, shape: Shape) -> None:
        for size, there in zip(self.noise_shape or (), shape, strict=False):
            if size not in (None, 1) and there not in (None, size):
                raise ValueError(f"{self.name}: expected noise_shape {self.noise_shape} to fit x of shape {shape}")

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        if not training or self.rate == 0:
            if training:
                self._tape = x.shape, None
            return x, mask
        own = self.noise_shape or (None,) * x.ndim
        shape = tuple(there if size is None else size for size, there in zip(own, x.shape, strict=True))
        self._check_noise(x.shape)
        factors = dropout_mask(self.rng, shape, self.rate, self.dtype)
        y = x * factors
        self._tape = x.shape, factors
        return y, mask

    def _back(self, dy: Array) -> Array:
        _, factors = self._tape
        return dy if factors is None else dy * factors


class SpatialDropout1D(Dropout):
    """In training, sets whole features of sequences (N, T, D) to 0 [1]_: at all steps, with probability rate.

    The others are divided by 1 - rate, as in `Dropout`.

    Parameters
    ----------
    rate : float
        0 to 1.
    seed : int, optional
        With it the layer has random numbers of its own. Without it they are its model's.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    References
    ----------
    .. [1] J. Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import SpatialDropout1D
    >>> y = SpatialDropout1D(0.5, seed=0)(np.ones((2, 7, 30)), training=True)
    >>> bool((y == y[:, :1]).all()), np.unique(y).tolist()
    (True, [0.0, 2.0])
    """

    _fields = ("rate", "seed")
    _ndim = (3, 3)

    def __init__(self, rate: float, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(rate, (None, 1, None), seed, **common)


class Activation(Layer):
    """y = f(x), as a layer by itself.

    Parameters
    ----------
    activation : str or function
        One of `fastlstm.nn.activations`, as in `Dense`.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        No such activation.

    Examples
    --------
    >>> from fastlstm.nn import Activation
    >>> Activation("relu")([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    _fields = ("activation",)
    _options: ClassVar[Checks] = {"activation": lambda _, value: activations.name_of(value)}
    _ndim = (1, None)

    def __init__(self, activation: ActivationLike, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.activation: str = activation  # type: ignore[assignment]

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        y = activations.FUNCTIONS[self.activation](x)
        if training:
            self._tape = y.shape, y, self.activation
        return y, mask

    def _back(self, dy: Array) -> Array:
        _, y, name = self._tape
        dx: Array = activations.gradient(name, y, dy)
        return dx


class Masking(Layer):
    """Marks steps whose features all equal mask_value, and sets them to 0. The layers above leave these steps out.

    Parameters
    ----------
    mask_value : float
        Any number but NaN.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import LSTM, Masking, Sequential
    >>> model = Sequential([Masking(), LSTM(4)])
    >>> x = np.ones((1, 5, 3))
    >>> x[:, 2:] = 0
    >>> bool((model(x) == model(x[:, :2])).all())
    True
    """

    _fields = ("mask_value",)
    _ndim = (3, 3)

    def __init__(self, mask_value: float = 0.0, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        if isinstance(mask_value, (float, np.floating)) and np.isnan(mask_value):
            raise ValueError("mask_value: expected a number that a step can equal, got NaN, which equals nothing; give "
                             "fit, evaluate and predict lengths, or mask=~np.isnan(x).all(axis=2)")  # fmt: skip
        limit = float(np.finfo(self.dtype).max)
        self.mask_value = names.real("mask_value", mask_value, -limit, limit)

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        real = (x != self.mask_value).any(axis=-1)
        if mask is not None:
            real &= mask
        if training:
            self._tape = x.shape, real
        return np.where(real[..., None], x, self.dtype.type(0)), real

    def _back(self, dy: Array) -> Array:
        return np.where(self._tape[1][..., None], dy, self.dtype.type(0))


class TimeDistributed(Layer):
    """Applies one layer to every step of x (N, T, ...), as if the steps were samples. `Dense` does so by itself.

    Parameters
    ----------
    layer : Layer
        Takes inputs without the axis of time.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import LSTM, TimeDistributed
    >>> TimeDistributed(LSTM(4))(np.ones((2, 5, 7, 3))).shape  # 5 steps of sequences of 7 steps
    (2, 5, 4)
    """

    _fields = ("layer",)
    _ndim = (3, None)

    def __init__(self, layer: Layer | Config, **common: Unpack[Common]) -> None:
        layer = inner_layer(layer)
        options: Common = {"dtype": layer.dtype, **common}
        super().__init__(**options)
        if layer.dtype != self.dtype:
            raise TypeError(f"layer: expected {self.dtype} as here, got {layer.dtype}")
        if getattr(layer, "return_state", False):
            raise ValueError("layer: expected one without states for TimeDistributed")
        self.layer: Layer = layer
        self._check_stateless()
        layer._in_model = True  # from here on it is this one's

    def _check_stateless(self) -> None:
        if self.layer._stateful():  # an option, which may be set later too
            raise ValueError("layer: expected one without states for TimeDistributed")

    def _weights(self, input_shape: Shape) -> list[Weight]:
        return self.layer._plan((None, *input_shape[2:]))

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return (*input_shape[:2], *self.layer.compute_output_shape((None, *input_shape[2:]))[1:])

    def _make(self, input_shape: Shape, *, draw: bool) -> None:
        self.layer._shared_rng = self._shared_rng
        if not self.built:
            self._check_axes(input_shape)
            self.layer._make((None, *input_shape[2:]), draw=False)
        super()._make(input_shape, draw=draw)

    def _bind(self, params: Array, grads: Array) -> None:
        self.layer._bind(params, grads)
        vars(self).update(params=self.layer.params, grads=self.layer.grads)

    def _within(self) -> list[Layer]:
        return [self.layer]

    def _trained(self) -> list[Weight]:
        return self.layer._trained() if self.trainable else []

    def _draw(self, rng: np.random.Generator) -> None:
        self.layer._draw(rng)

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        self._check_stateless()
        y, _ = self.layer._forward(x.reshape(-1, *x.shape[2:]), None, training)
        shaped = y.reshape(*x.shape[:2], *y.shape[1:])
        if training:
            self._tape = shaped.shape, y.shape, x.shape
        return shaped, mask

    def _back(self, dy: Array) -> Array:
        _, inner, shape = self._tape
        dx = self.layer._back(dy.reshape(inner))
        self.layer._tape = None
        return dx.reshape(shape)

    def discard(self) -> None:
        super().discard()
        self.layer.discard()

    def _generators(self) -> dict[str, np.random.Generator]:
        return self.layer._generators()

    def _set_generator(self, key: str, rng: np.random.Generator) -> None:
        self.layer._set_generator(key, rng)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": names.serialize(self.layer)}


def inner_layer(layer: Any) -> Layer:
    """A layer to be wrapped, or its configuration, as a layer."""
    if isinstance(layer, Mapping):
        layer = names.deserialize("layer", layer, KNOWN_LAYERS)
    if not isinstance(layer, Layer):
        raise TypeError(f"layer: expected a layer, got {type(layer).__name__}")
    if layer.built:
        raise ValueError(f"layer: expected one that has not been used yet, got {layer.name!r}, which has weights")
    if layer._in_model:
        raise ValueError(f"layer: expected one that is in no model yet, got {layer.name!r}, which is")
    return layer


KNOWN_LAYERS.update(
    {one.__name__: one for one in (Activation, Dense, Dropout, Masking, SpatialDropout1D, TimeDistributed)}
)
