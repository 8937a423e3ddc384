"""A stack of layers whose weights stand in one vector, and its passes forward and backward."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import checks
from . import names, randomness
from .base import Layer, Mask, Shape, Trained, shown, sizes_of
from .data import without
from .layers import Input
from .standing import Settled, Vector
from .types import ShapeLike

Array = NDArray[Any]


class GradientNorms(NamedTuple):
    """Euclidean norms of gradients.

    Attributes
    ----------
    layers : dict of str to float
        By layer, of the gradient of all its weights.
    steps : dict of str to ndarray, shape (T,)
        By recurrent layer: for each time step, of the gradient at the layer's input, over all samples and features. It
        says how much the loss depends on what came in at that step.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import LSTM, Dense, Sequential
    >>> model = Sequential([LSTM(4, input_shape=(5, 3), name="memory"), Dense(1, name="head")], seed=0)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 5, 3)), np.ones(8), verbose=0)
    >>> norms = model.gradient_norms()
    >>> sorted(norms.layers), norms.steps["memory"].shape
    (['head', 'memory'], (5,))
    """

    layers: dict[str, float]
    steps: dict[str, Array]

    def __repr__(self) -> str:
        steps = ", ".join(f"{name} of {len(norms)}" for name, norms in self.steps.items())
        return f"<GradientNorms of {', '.join(self.layers)}; of steps: {steps or 'none'}>"


def needs_sequences(layer: Layer, below: Sequence[Layer]) -> None:
    """Say it where a layer that takes sequences stands above one that hands on its last step alone."""
    recurrent = [one for one in below if hasattr(one, "return_sequences")]
    if recurrent and not recurrent[-1].return_sequences and layer._ndim[0] > len(below[-1].output_shape):
        name = recurrent[-1].name
        raise ValueError(f"{layer.name}: expected sequences, got the last step alone from {name}: give {name} "
                         "return_sequences=True")  # fmt: skip


class _Layers(list[Layer]):
    """A model's layers. They change by the model's `add` and `pop`, which let the weights stand in one vector again."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("layers: expected add or pop of the model, got a change of the list alone")

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce__(self) -> Any:
        return _Layers, (list(self),)


class Stack(Trained):
    """All of a `Sequential` but the learning."""

    layers: list[Layer] = Settled("add and pop")  # type: ignore[assignment]
    flat_params: Array = Vector()  # type: ignore[assignment]
    flat_grads: Array = Vector()  # type: ignore[assignment]

    def __init__(self, layers: Sequence[Layer | Input] | None, name: str, seed: int | None) -> None:
        self.name = names.text("name", name)
        self.rng = randomness.generator(seed)
        vars(self).update(layers=_Layers(), flat_params=np.zeros(0, np.float32), flat_grads=np.zeros(0, np.float32))
        self.built = False
        self._input: Shape | None = None
        self._regular: list[Layer] = []  # those with penalties
        self._bounded: list[Layer] = []  # those with constraints
        self._shape: tuple[int, ...] | None = None  # of the last output in training
        if not isinstance(layers, (list, tuple, type(None))):
            raise TypeError(f"layers: expected a list of layers, got {type(layers).__name__}")
        for layer in layers or ():
            self.add(layer)

    # layers

    def add(self, layer: Layer | Input) -> None:
        """Put a layer on top.

        Parameters
        ----------
        layer : Layer, or Input where there is none yet

        Raises
        ------
        ValueError, TypeError
            No layer; one that is in a model already; shapes that do not fit; a name that is taken.
        """
        self._add(layer, draw=True)

    def _add(self, layer: Any, *, draw: bool) -> None:
        if isinstance(layer, Input):
            if self.layers or self._input is not None:
                raise ValueError("layer: expected Input at the bottom only, got it above a layer")
            self._input = layer.batch_shape
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a layer, got {type(layer).__name__}")
        if getattr(layer, "return_state", False) or getattr(layer, "merge_mode", "") is None:
            raise ValueError(f"{layer.name}: expected one output in a model, got return_state=True or merge_mode=None")
        if layer._in_model:
            raise ValueError(f"{layer.name}: expected a layer that is in no model yet")
        if self.layers and layer.dtype != self.layers[0].dtype:
            raise TypeError(f"{layer.name}: expected {self.layers[0].dtype} as in the layers below, got {layer.dtype}")
        if self._input is None and not self.layers:
            self._input = layer._sample_shape
        before = (layer.name, layer._shared_rng)
        layer.name = self._free_name(layer)
        layer._shared_rng = self.rng
        try:
            if self._input is not None:
                needs_sequences(layer, self.layers)
                layer._make(self.layers[-1].output_shape if self.layers else self._input, draw=draw)
        except BaseException:
            layer.name, layer._shared_rng = before
            raise
        layer._in_model = True
        list.append(self.layers, layer)
        if self._input is not None:
            self._rejoin()

    def pop(self) -> Layer:
        """Take the top layer off, and return it.

        Returns
        -------
        Layer
            With the weights that it has.

        Raises
        ------
        ValueError
            There is none.
        """
        if not self.layers:
            raise ValueError("pop: expected a layer, the model has none")
        layer = list.pop(self.layers)
        layer._in_model = False
        if self.built:
            if layer.params:
                size = layer.count_params()
                layer._bind(self.flat_params[len(self.flat_params) - size :].copy(), np.zeros(size, layer.dtype))
            self._rejoin()
        return layer

    def _free_name(self, layer: Layer) -> str:
        taken = {other.name for other in self.layers}
        if layer._named and layer.name in taken:
            raise ValueError(f"name: expected one that no layer has yet, got {layer.name!r}")
        name, number = layer.name, 0
        while name in taken:
            number += 1
            name = f"{layer.name}_{number}"
        return name

    def build(self, input_shape: ShapeLike | None = None) -> None:
        """Make the weights. The first call or `fit` does so, if it has not been done.

        Parameters
        ----------
        input_shape : tuple of int or None, optional
            Of a batch.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit together; no layers.
        """
        self._make(None if input_shape is None else sizes_of("input_shape", input_shape), draw=True)

    def _make(self, input_shape: Shape | None, *, draw: bool) -> None:
        if not self.layers:
            raise ValueError(f"{self.name}: expected at least one layer, the model has none")
        if self.built:
            return
        if self._input is None:
            self._input = input_shape
        if self._input is None:
            raise ValueError(f"{self.name}: expected an Input, input_shape in the first layer, or build(input_shape)")
        shape: Shape = self._input
        for i, layer in enumerate(self.layers):
            needs_sequences(layer, self.layers[:i])
            layer._make(shape, draw=draw)
            shape = layer.output_shape
        self._rejoin()

    def _rejoin(self) -> None:
        """`_join`, with layers that were not there before, or without some that were."""
        before = self.flat_params
        self._join()
        self._rejoined(before)

    def _join(self) -> None:
        """Let all weights and gradients stand in one vector each, in the order of the layers."""
        dtype = self.layers[0].dtype if self.layers else np.dtype(np.float32)
        size, weights = sum(layer.count_params() for layer in self.layers), [one.get_weights() for one in self.layers]
        self._bind(np.zeros(size, dtype), np.zeros(size, dtype))
        for layer, old in zip(self.layers, weights, strict=True):
            layer._take(old)
        self.built = bool(self.layers)
        self._regular = [layer for layer in self.layers if any(weight.regularizer for weight in layer.weights_)]
        self._bounded = [layer for layer in self.layers if any(weight.constraint for weight in layer.weights_)]

    def _bind(self, params: Array, grads: Array) -> None:
        """Let the layers' weights and gradients stand in these vectors."""
        at = 0
        for layer in self.layers:
            part = slice(at, at + layer.count_params())
            layer._bind(params[part], grads[part])
            at = part.stop
        vars(self).update(flat_params=params, flat_grads=grads)

    def twin(self) -> Stack:
        """Its layers once more, for passes beside its own: with these weights and generators of random numbers, but
        gradients, tapes and room to work in of their own."""
        twin = object.__new__(Stack)
        generators = {id(layer.rng): layer.rng for layer in self.layers}
        vars(twin).update(layers=copy.deepcopy(self.layers, generators))
        twin._bind(self.flat_params, np.zeros_like(self.flat_grads))
        return twin

    def __copy__(self) -> Any:
        raise TypeError(f"{self.name}: expected copy.deepcopy, got copy.copy, whose copy would share the layers")

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.built:  # a copy: its layers' weights no longer stand in one vector
            grads = self.flat_grads
            self._join()
            self.flat_grads[...] = grads

    def _rejoined(self, before: Array) -> None:
        """After other weights have come to stand in flat_params; before: the vector until then."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of weights and data."""
        return self.layers[0].dtype if self.layers else np.dtype(np.float32)

    @property
    def input_shape(self) -> Shape:
        """Of a batch."""
        self._built()
        assert self._input is not None
        return self._input

    @property
    def output_shape(self) -> Shape:
        """Of a batch."""
        self._built()
        found: Shape = self.layers[-1].output_shape
        return found

    def _built(self) -> None:
        if not self.built:
            raise ValueError(f"{self.name}: expected a model that has been built, this one knows no shapes yet")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name, or by its number.

        Parameters
        ----------
        name : str, optional
        index : int, optional
            From the bottom, 0 for the first layer; a negative one counts from the top. One of the two has to be given.

        Returns
        -------
        Layer

        Raises
        ------
        ValueError
            No such layer; neither name nor index, or both.
        """
        if (name is None) == (index is None):
            raise ValueError(f"get_layer: expected name or index, got {name} and {index}")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"index: expected less than {len(self.layers)}, got {index}")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"name: expected one of {', '.join(layer.name for layer in self.layers)}, got {name!r}")

    def get_weights(self) -> list[Array]:
        """Copies of all weights, in Keras's order.

        Returns
        -------
        list of ndarray
        """
        return [array for layer in self.layers for array in layer.get_weights()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Take other weights.

        Parameters
        ----------
        weights : list of array_like
            As from `get_weights`, of this model or of Keras's.

        Raises
        ------
        ValueError, TypeError
            Another number of them, other shapes; nothing has been changed then.
        """
        self._built()
        count = sum(len(layer.params) for layer in self.layers)
        if len(weights) != count:
            raise ValueError(f"weights: expected {count} arrays, got {len(weights)}")
        parts, at = [], 0
        for layer in self.layers:
            parts.append(layer._fitting(weights[at : at + len(layer.params)]))
            at += len(layer.params)
        for layer, part in zip(self.layers, parts, strict=True):
            layer._take(part)

    def count_params(self) -> int:
        """How many numbers all weights hold.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            The model has not been built.
        """
        self._built()
        return len(self.flat_params)

    def _within(self) -> list[Layer]:
        return self.layers

    @property
    def weights(self) -> list[Array]:
        """The weights themselves, in Keras's order."""
        return [array for layer in self.layers for array in layer.weights]

    @property
    def trainable_weights(self) -> list[Array]:
        """The weights that training changes: none if the model's own `trainable` is False, as in Keras."""
        return [array for layer in self.layers for array in layer.trainable_weights] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Array]:
        """The weights that training leaves as they are."""
        if not self.trainable:
            return self.weights
        return [array for layer in self.layers for array in layer.non_trainable_weights]

    def constrain(self) -> None:
        """Apply the constraints of the weights that learn. `fit` does so after each update."""
        if self.trainable:
            for layer in self._bounded:
                layer.constrain()

    def reset_state(self) -> None:
        """Let stateful layers begin the next batch with their first states, and not with what they carry."""
        for layer in self.layers:
            layer.reset_state()

    def get_config(self) -> dict[str, Any]:
        """The architecture, for `from_config`: name, input shape and layers, without weights.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        return {
            "name": self.name,
            "input_shape": None if self._input is None else list(self._input),
            "layers": [names.serialize(layer) for layer in self.layers],
        }

    def to_json(self) -> str:
        """The architecture as JSON, for `model_from_json`.

        Returns
        -------
        str
        """
        return json.dumps(names.serialize(self))

    # one batch

    def __call__(
        self, x: ArrayLike, training: bool = False, mask: ArrayLike | None = None, *, lengths: ArrayLike | None = None
    ) -> Array:
        """What comes out of the top layer.

        Parameters
        ----------
        x : array_like, shape (N, ...)
        training : bool
            Whether dropout drops, and `backward` will follow.
        mask : array_like of bool, shape (N, T), optional
            True at real steps.
        lengths : array_like of int, shape (N,), optional
            Real steps of each sequence: the same as a mask that is true at the first so many steps.

        Returns
        -------
        ndarray, shape (N, ...)

        Raises
        ------
        ValueError, TypeError
            Shapes or types that do not fit.
        RuntimeError
            A second call in training before `backward`.
        """
        found = checks.array("x", x)
        self._make_for(found)
        first = self.layers[0]
        found = first._input(found, training)
        real = first._mask(mask, lengths, found)
        y, _ = self._forward(found if real is None else without(found, real), real, training)
        if training:
            self._shape = y.shape
        return y.copy()

    def backward(self, dy: ArrayLike) -> Array:
        """Gradients, through the last call in training. Those of the weights are written into flat_grads.

        Parameters
        ----------
        dy : array_like, shape of what came out

        Returns
        -------
        dx : ndarray, shape of x

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As a layer.
        """
        self._built()
        if self._shape is None:
            raise RuntimeError(f"{self.name}: expected a call with training=True before backward, got none")
        shape, self._shape = self._shape, None
        return self._backward(self.layers[-1]._gradient("dy", dy, shape))

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        for layer in self.layers:
            x, mask = layer._forward(x, mask, training)
        return x, mask

    def _backward(self, dy: Array) -> Array:
        dx = self._back_through(dy)
        self._add_penalties()
        return dx

    def _back_through(self, dy: Array) -> Array:
        """`_backward`, but for the penalties."""
        for layer in reversed(self.layers):
            dy = layer._back_through(dy)
        return dy

    def _add_penalties(self) -> None:
        for layer in self._regular:
            layer._add_penalties()

    def _penalty(self) -> float:
        """What regularizers add to the loss."""
        return sum(layer.penalty() for layer in self._regular)

    def _discard(self) -> None:
        self._shape = None
        for layer in self.layers:
            layer.discard()

    def _make_for(self, x: Array) -> None:
        """Build for such data where that has not happened, with any number of steps where all layers take that."""
        if not self.built:
            if not self.layers:
                self._make(None, draw=True)  # which says what is missing
            steps = not any(layer.fixed_length for layer in self.layers)
            self._make(self.layers[0]._freed(x.shape, steps=steps), draw=True)

    def gradient_norms(self) -> GradientNorms:
        """How large the gradients of the last batch are, layer by layer and step by step.

        They show whether gradients vanish or explode.

        Returns
        -------
        GradientNorms
            Of the gradients as the loss gave them, before any clipping.

        Raises
        ------
        RuntimeError
            No batch was trained on yet.
        """
        steps = {
            layer.name: np.sqrt(sum(np.square(dx, dtype=np.float64).sum(axis=(0, 2)) for dx in layer._dx))
            for layer in self.layers
            if layer._dx
        }
        if not steps and not self.flat_grads.any():
            raise RuntimeError(f"{self.name}: expected a batch to have been trained on, got none")
        norms = {}
        for layer in self.layers:
            if layer.grads:
                total = sum(float(np.square(array, dtype=np.float64).sum()) for array in layer.grads.values())
                norms[layer.name] = float(np.sqrt(total))
        return GradientNorms(norms, steps)

    def _slices(self) -> Iterator[tuple[str, slice]]:
        """Name and place of each weight in the flat vectors."""
        at = 0
        for layer in self.layers:
            for name, array in layer.params.items():
                yield f"{layer.name}/{name}", slice(at, at + array.size)
                at += array.size

    def _learning(self) -> list[tuple[str, slice]]:
        """The same of the weights that training changes."""
        if not self.trainable:
            return []
        trained = {f"{layer.name}/{weight.name}" for layer in self.layers for weight in layer._trained()}
        return [(name, where) for name, where in self._slices() if name in trained]

    def __repr__(self) -> str:
        kinds = [type(layer).__name__ for layer in self.layers]
        layers = ", ".join(kinds) or "no layers" if len(kinds) < 9 else f"{len(kinds)} layers"
        about = ""
        if self.built:
            about = f", {shown(self.input_shape)} -> {shown(self.output_shape)}, {len(self.flat_params):,} weights"
        return f"<{type(self).__name__} {self.name!r}: {layers}{about}>"
