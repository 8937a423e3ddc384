"""What all layers have in common: their weights, how they are called alone, and how a model calls them.

Letters: N batch, T time steps, D inputs, H units; (N, ...) any further axes.
"""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Never, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ... import checks
from . import constraints, initializers, names, own, randomness, regularizers
from .constraints import Constraint
from .initializers import Initializer
from .names import flag as flag
from .options import Option, Options
from .regularizers import Regularizer
from .standing import Arrays
from .steps import checked_mask
from .types import ConstraintLike, InitializerLike, RegularizerLike, ShapeLike

Array = NDArray[Any]
Mask: TypeAlias = "NDArray[np.bool_] | None"
Shape: TypeAlias = tuple[int | None, ...]
"""Of a batch; None where any size will do."""


SMALL = 1 << 18
"""Numbers of a layer's arrays with which its passes are recorded."""


class Weight(NamedTuple):
    """A weight of a layer before it is there."""

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    regularizer: Regularizer | None = None
    constraint: Constraint | None = None
    trainable: bool = True

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))


class Trained:
    """Something that learns, or not."""

    name: str
    switches = 0
    """How often `trainable` of any was set: who keeps what follows from it looks here."""

    _trainable = True

    @property
    def trainable(self) -> bool:
        """Whether training changes its weights.

        It may be set at any time, and holds from the next update on. Set on a model, or on a layer that wraps another,
        it is set on the layers within too.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = flag("trainable", value)
        Trained.switches += 1
        for one in self._within():
            one.trainable = value

    def _within(self) -> Iterable[Any]:
        """What it has of such things."""
        return ()


class Layer(Trained, Options):
    """A step of a model, which can also be used alone.

    A call in training, ``y = layer(x, training=True)``, keeps what backward needs. ``dx = layer.backward(dy)`` then
    returns the gradient at x, and writes those of the weights into `grads`, over the former ones. After each call in
    training comes one `backward`, or `discard`, which gives the call up; a second call before that is an error. Calls
    without training keep nothing.

    Parameters
    ----------
    name : str, optional
        Without one, that of the class in small letters; a model adds a number where it has several.
    dtype : {"float32", "float64"}
        Of weights, inputs and outputs.
    input_shape : tuple of int or None, optional
        Shape of one sample. A model that begins with this layer is built from it.
    trainable : bool
        Whether training changes its weights.

    Attributes
    ----------
    params, grads : dict of str to ndarray
        Weights and their gradients by name: views into the model's flat vectors. These arrays are never replaced:
        ``layer.params["bias"] = numbers`` writes into the array that is there.
    built : bool
        Whether the weights are there. `build` or the first call makes them.
    input_shape, output_shape : tuple of int or None
        Of a batch; once built.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense, or of names that the layer does not have.

    Notes
    -----
    For a layer of your own, derive from `Layer` and write

    - ``call(self, x, training, mask)``, which returns y. Leave out training and mask if you do not need them. x (N,
      ...) is of the layer's type, and must not be written to. In training keep what backward needs, in attributes.
    - ``backward(self, dy)``, which returns dx, if the model is to be trained. Write the gradients of the weights into
      ``self.grads[name][...]``, over those of the batch before. There is no autograd.
    - ``build(self, input_shape)``, if there are weights: call `add_weight` for each. None in input_shape stands for a
      size that may differ from batch to batch.
    - ``compute_output_shape(self, input_shape)``, if y is not of x's shape.
    - ``supports_masking = True``, if call heeds a mask, or a mask holds for y as it does for x. Without it masks end
      here, with a warning, as in Keras. ``compute_mask(self, x, mask)`` returns the mask of y, if it is another.
    - ``fixed_length = True``, if weights depend on the number of steps.

    Files of models may hold it, once its class is registered (`fastlstm.nn.saving.register_keras_serializable`).
    docs/keras.md has an example with weights and masks.

    Rates of dropout, go_backwards, stateful, zero_output_for_mask and a dense layer's activation may be set at any
    time, in a callback of `fit` too. All other arguments of the constructor are settled: setting one is an
    AttributeError.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm import nn
    >>> class Scale(nn.Layer):
    ...     def build(self, input_shape):
    ...         self.add_weight((input_shape[-1],), "ones", name="factors")
    ...     def call(self, x, training=False):
    ...         if training:
    ...             self.x = x
    ...         return x * self.params["factors"]
    ...     def backward(self, dy):
    ...         self.grads["factors"][...] = (dy * self.x).sum(axis=tuple(range(dy.ndim - 1)))
    ...         return dy * self.params["factors"]
    >>> model = nn.Sequential([nn.LSTM(4, input_shape=(5, 3)), Scale(), nn.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 5, 3)), np.ones(8), verbose=0)
    >>> bool((model.layers[1].params["factors"] != 1).all())
    True
    """

    _fields: tuple[str, ...] = ()  # arguments of the constructor, for get_config; those in _options may change
    built = False
    _ndim: tuple[int, int | None] = (2, None)  # axes of the input, at least and at most
    _made_when_bound: tuple[str, ...] = ()
    _mixes_time = False  # whether gradients at the inputs are kept, to see them fade over time
    fixed_length = False
    supports_masking = False
    _adding: list[Weight] | None = None  # while `build` of a class of the caller's own says what weights there are
    _returning: bool | None = None  # while its `backward` runs
    _steps_from = 3  # axes of the input with which the second is time

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for field in (*cls._fields, "dtype", "params", "grads"):
            setattr(cls, field, Option(field))
        if cls.call is not Layer.call:
            own.guard(cls, Layer)

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: DTypeLike = "float32",
        input_shape: ShapeLike | None = None,
        trainable: bool = True,
        **unknown: Never,
    ) -> None:
        for argument in unknown:
            near = difflib.get_close_matches(argument, self._fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else " (docs/keras.md lists what is there)"
            raise TypeError(f"{type(self).__name__}: no argument {argument!r} here{hint}")
        self._named = name is not None
        self.name = names.snake_case(type(self).__name__) if name is None else names.text("name", name)
        self.dtype = _float_type(dtype)
        self._trainable = flag("trainable", trainable)
        self._sample_shape = None if input_shape is None else (None, *sizes_of("input_shape", input_shape))
        self.params = Arrays()
        self.grads = Arrays()
        self.weights_: list[Weight] = []
        self._in_model = False
        self._shared_rng: np.random.Generator | None = None
        self._own_rng: np.random.Generator | None = None
        self._tape: Any = None
        self._dx: tuple[Array, ...] = ()  # at its inputs, of each part of the last batch

    def _checked(self, name: str, value: Any) -> Any:
        if name in self._options:
            return super()._checked(name, value)
        if vars(self).get(name, value) is not value:
            how = "changed in place" if name in ("params", "grads") else "given when the layer is made"
            raise AttributeError(f"{self.name}.{name}: expected to be {how}, got {value!r:.80} now")
        return value

    # what a kind of layer says about itself

    def call(self, x: Array, *args: Any, **kwargs: Any) -> Array:
        """y from x: what a class of your own writes (see `Layer`).

        Parameters
        ----------
        x : ndarray, shape (N, ...)
            Of the layer's type. It must not be written to.
        training : bool, optional
            Whether `backward` will follow.
        mask : ndarray of bool, shape (N, T), or None, optional
            True at real steps.

        Returns
        -------
        ndarray
        """
        raise NotImplementedError(f"{type(self).__name__}: expected call to be overridden")

    def compute_mask(self, x: Array, mask: Mask) -> Mask:
        """The mask of y, if `supports_masking` is true: that of x, unless a class of your own returns another.

        Parameters
        ----------
        x : ndarray, shape (N, T, ...)
        mask : ndarray of bool, shape (N, T), or None

        Returns
        -------
        ndarray of bool, shape of y's first two axes, or None
        """
        return mask

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: InitializerLike = "glorot_uniform",
        trainable: bool = True,
        regularizer: RegularizerLike = None,
        constraint: ConstraintLike = None,
        name: str | None = None,
    ) -> None:
        """Say, in `build`, that there is a weight: it will be ``params[name]``, and its gradient ``grads[name]``.

        Parameters
        ----------
        shape : tuple of int
        initializer : str or Initializer
        trainable : bool
            Whether training changes it.
        regularizer : str or Regularizer, optional
        constraint : str or Constraint, optional
        name : str, optional
            weight, weight_1 and so on by default.

        Raises
        ------
        ValueError, TypeError
            Arguments that make no sense; a name that is taken.
        RuntimeError
            A call anywhere else.
        """
        if self._adding is None:
            raise RuntimeError(f"{self.name}: expected add_weight in build alone")
        sizes = sizes_of("shape", shape)
        if None in sizes:
            raise ValueError(f"{self.name}: shape: expected integers, got {sizes}")
        taken = {weight.name for weight in self._adding}
        if name is None:
            name = f"weight_{len(taken)}" if taken else "weight"
        if names.text("name", name) in taken:
            raise ValueError(f"{self.name}: name: expected one that no weight has yet, got {name!r}")
        self._adding.append(
            Weight(
                name,
                tuple(size for size in sizes if size is not None),
                initializers.get(initializer),
                regularizers.get(regularizer),
                constraints.get(constraint),
                flag("trainable", trainable),
            )
        )

    def _weights(self, input_shape: Shape) -> list[Weight]:
        """What it needs for such inputs; checks their shape as far as weights depend on it."""
        if type(self).call is Layer.call or type(self).build is Layer.build:
            return []
        self._adding = []
        try:
            self.build(input_shape)
            return self._adding
        finally:
            self._adding = None

    def compute_output_shape(self, input_shape: ShapeLike) -> tuple[Any, ...]:
        """The shape of what comes out.

        Parameters
        ----------
        input_shape : tuple of int or None
            Of a batch.

        Returns
        -------
        tuple of int or None
            Of a batch; of a layer with several outputs a tuple of such.
        """
        return tuple(input_shape)

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        """y and its mask, from x in C order and of this layer's type. In training _tape is then a tuple: the shape of
        what dy must have, and what `_back` needs."""
        return own.forward(self, x, mask, training)

    def _back(self, dy: Array) -> Array:
        """dx from dy, which is not written to; gradients of the weights into grads."""
        return own.back(self, dy)

    def _repeats(self, input_shape: tuple[int, ...]) -> bool:
        """Whether a recording of `_forward` and `_back`, in training without a mask, over batches of that shape, does
        what they do: what changes arrays there are kernels, or is said to the recording. And whether it pays: with
        much work for each batch Python's part does not matter, and a recording keeps all arrays."""
        return False

    def _bound(self) -> None:
        """After params and grads have become other arrays."""

    def _draw(self, rng: np.random.Generator) -> None:
        """First values of the weights."""
        for weight in self.weights_:
            self.params[weight.name][...] = weight.initializer(weight.shape, rng)

    # life of the weights

    @property
    def rng(self) -> np.random.Generator:
        """Where its random numbers come from: a seed of its own, else its model, else the next stream of all."""
        if self._own_rng is None:
            seed = getattr(self, "seed", None)
            if seed is None and self._shared_rng is not None:
                return self._shared_rng
            self._own_rng = randomness.generator(seed)
        return self._own_rng

    def build(self, input_shape: ShapeLike) -> None:
        """Make the weights.

        Parameters
        ----------
        input_shape : tuple of int or None
            Of a batch; sizes that no weight depends on may be None.

        Raises
        ------
        ValueError, TypeError
            A shape that does not fit.
        """
        if self._adding is None:  # else a class of the caller's own hands on to its base
            self._make(sizes_of("input_shape", input_shape), draw=True)

    def _plan(self, input_shape: Shape) -> list[Weight]:
        """Its weights for such inputs, without making them."""
        self._check_axes(input_shape)
        return self._weights(input_shape)

    def _make(self, input_shape: Shape, *, draw: bool) -> None:
        if self.built:
            self._check_shape(input_shape)
            return
        self.weights_ = self._plan(input_shape)
        self.input_shape = input_shape
        self.output_shape = self.compute_output_shape(input_shape)
        size = sum(weight.size for weight in self.weights_)
        self._bind(np.zeros(size, self.dtype), np.zeros(size, self.dtype))
        self.built = True
        if draw:
            self._draw(self.rng)

    def _bind(self, params: Array, grads: Array) -> None:
        """Let the weights and their gradients stand in these flat vectors."""
        at = 0
        for weight in self.weights_:
            part = slice(at, at + weight.size)
            self.params.place(weight.name, params[part].reshape(weight.shape))
            self.grads.place(weight.name, grads[part].reshape(weight.shape))
            at += weight.size
        self._bound()

    def __copy__(self) -> Any:
        raise TypeError(f"{self.name}: expected copy.deepcopy, got copy.copy, whose copy would share the weights")

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without what `_bound` makes."""
        return {name: value for name, value in vars(self).items() if name not in self._made_when_bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.built:  # copied arrays no longer stand in one vector
            flat = (np.concatenate([np.zeros(0, self.dtype), *(array.reshape(-1) for array in arrays.values())])
                    for arrays in (self.params, self.grads))  # fmt: skip
            self._bind(*flat)

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in Keras's order.

        Returns
        -------
        list of ndarray
        """
        return [array.copy() for array in self.params.values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Take other weights.

        Parameters
        ----------
        weights : list of array_like
            As from `get_weights`.

        Raises
        ------
        ValueError, TypeError
            Another number of them, other shapes; a layer that has not been built.
        """
        self._take(self._fitting(weights))

    def _require_built(self) -> None:
        if not self.built:
            raise ValueError(f"{self.name}: expected a layer that has been built, this one knows no shapes yet")

    def _fitting(self, weights: Sequence[ArrayLike]) -> list[Array]:
        self._require_built()
        if len(weights) != len(self.params):
            raise ValueError(f"{self.name}: expected {len(self.params)} weights, got {len(weights)}")
        found = []
        for given, (name, array) in zip(weights, self.params.items(), strict=True):
            new = checks.array(f"{self.name}/{name}", given)
            if new.shape != array.shape:
                raise ValueError(f"{self.name}/{name}: expected shape {array.shape}, got {new.shape}")
            found.append(new)
        return found

    def _take(self, weights: list[Array]) -> None:
        for array, new in zip(self.params.values(), weights, strict=True):
            array[...] = new

    def count_params(self) -> int:
        """How many numbers its weights hold.

        Returns
        -------
        int
        """
        return sum(array.size for array in self.params.values())

    @property
    def weights(self) -> list[Array]:
        """The weights themselves, in Keras's order."""
        return list(self.params.values())

    @property
    def trainable_weights(self) -> list[Array]:
        """The weights that training changes."""
        return [self.params[weight.name] for weight in self._trained()]

    @property
    def non_trainable_weights(self) -> list[Array]:
        """The weights that training leaves as they are."""
        trained = {weight.name for weight in self._trained()}
        return [array for name, array in self.params.items() if name not in trained]

    def _trained(self) -> list[Weight]:
        """What training changes."""
        return [weight for weight in self.weights_ if weight.trainable] if self.trainable else []

    def penalty(self) -> float:
        """What regularizers add to the loss. Weights that do not learn count nothing, as in Keras.

        Returns
        -------
        float
        """
        return sum(
            weight.regularizer(self.params[weight.name]) for weight in self._trained() if weight.regularizer is not None
        )

    def constrain(self) -> None:
        """Apply the constraints of the weights that learn. `fit` does so after each update.

        Raises
        ------
        ValueError, TypeError
            A constraint of the caller's own that returns another shape, or no numbers.
        """
        for weight in self._trained():
            if weight.constraint is not None:
                self.params[weight.name] = weight.constraint(self.params[weight.name])

    def reset_state(self) -> None:
        """Forget what a stateful layer carries from batch to batch."""

    # calls

    def __call__(self, x: ArrayLike, training: bool = False, mask: ArrayLike | None = None) -> Array:
        """y from x.

        Parameters
        ----------
        x : array_like, shape (N, ...)
        training : bool
            Whether dropout drops, and `backward` will follow.
        mask : array_like of bool, shape (N, T), optional
            True at real steps.

        Returns
        -------
        ndarray

        Raises
        ------
        ValueError, TypeError
            A shape or type that does not fit.
        RuntimeError
            A second call in training before `backward`.
        """
        found = self._input(x, training)
        y, _ = self._forward(found, self._mask(mask, None, found), training)
        return y.copy() if training or np.may_share_memory(y, found) else y  # the tape may hold y

    def _input(self, x: Any, training: bool) -> Array:
        """x checked and, as the tape may hold it, copied."""
        if training and self._tape is not None:
            raise RuntimeError(f"{self.name}: expected backward after a call in training, got a second call; "
                               "discard() gives the first one up")  # fmt: skip
        found = checks.array(f"{self.name}: x", x)
        self._check_axes(found.shape)
        if not self.built:
            self._make(self._freed(found.shape, steps=not self.fixed_length), draw=True)
        self._check_shape(found.shape)
        return self._native("x", found, copy=training)

    def _native(self, name: str, x: Array, *, copy: bool = False) -> Array:
        """Inputs in the type that the layer takes."""
        return checks.native(x, self.dtype, copy=copy)

    def _freed(self, shape: tuple[int, ...], *, steps: bool) -> Shape:
        """The shape of any batch like one of this shape. steps: whether it may have any number of them."""
        free = 2 if steps and len(shape) >= self._steps_from else 1
        return (*(None,) * free, *shape[free:])

    def _mask(self, mask: Any, lengths: Any, x: Array) -> Mask:
        if mask is None and lengths is None:
            return None
        if x.ndim < self._steps_from:
            raise ValueError(f"{self.name}: expected no mask or lengths with x of shape {x.shape}, which has no steps")
        return checked_mask(self.name, mask, lengths, x.shape[0], x.shape[1])

    def backward(self, dy: Any) -> Array:  # Any: a class of the caller's own gets an Array, and may say so
        """Gradients, through the last call in training.

        Parameters
        ----------
        dy : array_like, shape of y
            Gradient of the loss at what came out.

        Returns
        -------
        dx : ndarray, shape of x
            The gradients of the weights, penalties included, are in `grads` then.

        Raises
        ------
        ValueError, TypeError
            A shape or type that does not fit.
        RuntimeError
            No call in training before.
        """
        if self._returning:
            raise NotImplementedError(f"{type(self).__name__}: expected backward to be overridden")
        return self._backward(self._gradient("dy", dy, self._pending()[0]))

    def _pending(self) -> Any:
        if self._tape is None:
            raise RuntimeError(f"{self.name}: expected a call with training=True before backward, got none")
        return self._tape

    def _gradient(self, name: str, value: Any, shape: tuple[int, ...]) -> Array:
        found = checks.array(f"{self.name}: {name}", value)
        if found.shape != shape:
            raise ValueError(f"{self.name}: {name}: expected shape {shape}, got {found.shape}")
        return checks.native(found, self.dtype)

    def _backward(self, dy: Array) -> Array:
        dx = self._back_through(dy)
        self._add_penalties()
        return dx

    def _back_through(self, dy: Array) -> Array:
        """`_backward`, but for the penalties."""
        dx = self._back(dy)
        self._tape = None
        if self._mixes_time:
            self._dx = (dx,)
        return dx

    def _add_penalties(self) -> None:
        """The gradients of what regularizers add to the loss, to those of the weights that learn."""
        for weight in self._trained():
            if weight.regularizer is not None:
                weight.regularizer.add_gradient(self.params[weight.name], self.grads[weight.name])

    def discard(self) -> None:
        """Give up a call in training: forget what it has kept for `backward`."""
        self._tape = None

    # shapes

    def _check_axes(self, shape: Shape) -> None:
        low, high = self._ndim
        if not low <= len(shape) <= (high or len(shape)):
            wanted = f"{low} axes" if low == high else f"at least {low} axes"
            wanted += ", (N, T, D)" if low == high == 3 else ""
            raise ValueError(f"{self.name}: expected x of {wanted}, got shape {shown(shape)}")

    def _check_shape(self, shape: Shape) -> None:
        expected = self.input_shape
        fits = len(shape) == len(expected) and all(
            b is None or a is None or a == b for a, b in zip(shape[1:], expected[1:], strict=True)
        )
        if not fits:
            only_T = len(shape) == len(expected) == 3 and shape[2] == expected[2]
            hint = f"; with input_shape=(None, {shape[2]}) a model takes any T" if only_T else ""
            raise ValueError(f"{self.name}: expected x of shape {shown(expected)}, got {shown(shape)}{hint}")

    # what a file keeps besides the weights

    def _generators(self) -> dict[str, np.random.Generator]:
        """Generators of its own, by a key without a slash."""
        return {} if self._own_rng is None else {"rng": self._own_rng}

    def _set_generator(self, key: str, rng: np.random.Generator) -> None:
        if key != "rng":
            raise ValueError(f"{self.name}: expected no generator {key!r}")
        self._own_rng = rng

    def _stateful(self) -> list[Any]:
        """What of it carries a `state` from batch to batch."""
        return []

    def _carried(self) -> dict[str, Array]:
        """What is carried from batch to batch, by a key without a slash."""
        return {}

    def _carry(self, arrays: Mapping[str, Array]) -> None:
        raise ValueError(f"{self.name}: expected no state, got {sorted(arrays)}")

    # description

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same layer again.

        Of a class of your own these are the attributes that have the names of its constructor's arguments.

        Returns
        -------
        dict
            Of what JSON can hold.

        Raises
        ------
        TypeError
            A class of your own that lacks such an attribute.
        """
        config: dict[str, Any] = {"name": self.name, "dtype": self.dtype.name, "trainable": self.trainable}
        own_layer = type(self).call is not Layer.call
        fields = own.arguments(self) if own_layer else {field: getattr(self, field) for field in self._fields}
        for field, value in fields.items():
            config[field] = names.serialize(value) if hasattr(value, "get_config") else value
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """The layer that `get_config` described, without its weights.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Layer

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
        return cls(**config)

    def __repr__(self) -> str:
        shapes = f": {shown(self.input_shape)} -> {shown(self.output_shape)}" if self.built else ""
        return f"<{names.call(self)} {self.name!r}{shapes}>"


def _float_type(dtype: Any) -> np.dtype[Any]:
    with contextlib.suppress(TypeError, ValueError, SyntaxError):  # as NumPy reads strings
        for kind in (np.float32, np.float64):
            if np.dtype(dtype) == kind:
                return np.dtype(kind)
    raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}")


def sizes_of(name: str, shape: Any) -> Shape:
    """shape as a tuple of int or None."""
    try:
        found = tuple(shape)
    except TypeError:
        raise TypeError(f"{name}: expected a tuple of integers or None, got {type(shape).__name__}") from None
    for size in found:
        if size is not None and (isinstance(size, bool) or not isinstance(size, (int, np.integer))):
            raise TypeError(f"{name}: expected integers or None, got {found}")
        if size is not None and size < 1:
            raise ValueError(f"{name}: expected sizes of at least 1, got {found}")
        if size is not None and size > sys.maxsize:
            raise ValueError(f"{name}: expected sizes of at most {sys.maxsize}, got {found}")
    return tuple(None if size is None else int(size) for size in found)


def shown(shape: Sequence[Any]) -> str:
    """A batch's shape, in the letters of the documentation; those of several outputs one after the other."""
    if shape and isinstance(shape[0], tuple):
        return ", ".join(map(shown, shape))
    letters = ["N", "T"] if len(shape) > 2 else ["N"]
    free = dict(enumerate(letters))
    return "(" + ", ".join(free.get(i, "any") if size is None else str(size) for i, size in enumerate(shape)) + ")"


def dropout_mask(rng: np.random.Generator, shape: tuple[int, ...], rate: float, dtype: np.dtype[Any]) -> Array:
    """0 with probability rate, else 1 / (1 - rate)."""
    kept = rng.random(shape, np.float32) >= np.float32(rate)
    return np.multiply(kept, 1 / (1 - rate) if rate < 1 else 0, dtype=dtype)


KNOWN_LAYERS: dict[str, type[Layer]] = {}
"""Those that a file may name; each module adds its own."""
