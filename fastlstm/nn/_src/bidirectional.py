"""A layer that reads its sequences in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from ... import backend
from ...formats.plan import Merge
from ...params import AnyParams, AnyState
from ...params import Bidirectional as BothWays
from . import names
from .base import KNOWN_LAYERS, Array, Layer, Mask, Shape, Weight
from .layers import inner_layer
from .recurrent import Recurrent, copied, entries_of
from .steps import Steps
from .types import Common, Config, ShapeLike, StateLike

_HALVES = ("forward_", "backward_")
_MERGE_MODES = ("concat", "sum", "ave", "mul", None)


class Bidirectional(Layer):
    """Two LSTMs or GRUs: one runs forwards in time, one backwards, and their outputs are merged.

    Parameters
    ----------
    layer : LSTM or GRU
        What both are like. It is copied; the copies have weights of their own.
    merge_mode : {"concat", "sum", "ave", "mul", None}
        How the two outputs become y: joined on the last axis, added, averaged or multiplied. With None y is a list of
        both; a layer of a model cannot have that.
    backward_layer : LSTM or GRU, optional
        What the one that runs backwards is like, if it differs. It has to have go_backwards=True.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Notes
    -----
    If y is a sequence, it is 0 at masked steps, as in Keras. The weights are those of the layer that runs forwards,
    then those of the other. Their names begin with forward_ and backward_.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import LSTM, Bidirectional
    >>> layer = Bidirectional(LSTM(32, return_sequences=True))
    >>> y = layer(np.ones((4, 10, 16)), training=True)
    >>> y.shape, layer.backward(y).shape
    ((4, 10, 64), (4, 10, 16))
    """

    _fields = ("layer", "merge_mode")
    _ndim = (3, 3)
    _mixes_time = True

    def __init__(
        self, layer: Layer | Config, merge_mode: Merge | None = "concat",
        backward_layer: Layer | Config | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        layer = _recurrent("layer", inner_layer(layer))
        options: Common = {"dtype": layer.dtype, **common}
        super().__init__(**options)
        if merge_mode not in _MERGE_MODES:
            raise ValueError(f"merge_mode: expected one of {_MERGE_MODES}, got {merge_mode!r}")
        if layer.go_backwards:
            raise ValueError("layer: expected one with go_backwards=False for Bidirectional")
        self.merge_mode = merge_mode
        if backward_layer is None:
            other = _recurrent("layer", type(layer).from_config({**layer.get_config(), "go_backwards": True}))
        else:
            other = _recurrent("backward_layer", inner_layer(backward_layer))
        seed = other.seed
        if seed is not None and seed == layer.seed:
            seed += 1  # else both would drop the same
        halves = []
        for half, given, own in zip(_HALVES, (layer, other), (layer.seed, seed), strict=True):
            config = {**given.get_config(), "name": half + given.name, "seed": own}
            halves.append(
                _recurrent("layer", type(given).from_config(config | {"zero_output_for_mask": given.return_sequences}))
            )
        self._halves = halves
        self.layer = halves[0]
        self._dlast: list[AnyState | None] = [None, None]
        one, two = halves
        if not two.go_backwards:
            raise ValueError("backward_layer: expected one with go_backwards=True, got False")
        for field in ("return_sequences", "return_state", "stateful", "dtype"):
            if getattr(one, field) != getattr(two, field) or (field == "dtype" and one.dtype != self.dtype):
                raise ValueError(f"backward_layer: expected {field} as in layer, {getattr(one, field)}")
        if one.output_size != two.output_size and merge_mode not in ("concat", None):
            raise ValueError(f"backward_layer: expected outputs of size {one.output_size}, as in layer, to "
                             f"{merge_mode} both, got {two.output_size}")  # fmt: skip
        self.return_sequences, self.return_state = one.return_sequences, one.return_state

    @property
    def forward_layer(self) -> Recurrent:
        """The layer that runs forwards. Its options may be set, as those of a layer by itself."""
        return self._halves[0]

    @property
    def backward_layer(self) -> Recurrent:
        """The layer that runs backwards. Its options may be set too."""
        return self._halves[1]

    @property
    def stateful(self) -> bool:
        """Whether either carries its state from batch to batch."""
        return any(half.stateful for half in self._halves)

    # weights

    @property
    def state_grads(self) -> list[AnyState | None]:
        """Gradients of the initial states."""
        return [half.state_grads for half in self._halves]

    def to_params(self) -> BothWays[AnyParams]:
        """The weights as `fastlstm.forward` and the rest of the core take them: see `LSTM.to_params`.

        Returns
        -------
        fastlstm.Bidirectional
            Copies. What the core makes of them lies side by side, as with merge_mode="concat".

        Raises
        ------
        ValueError
            A layer that has not been built.
        """
        self._require_built()
        return BothWays(*(half.to_params() for half in self._halves))

    def _weights(self, input_shape: Shape) -> list[Weight]:
        return [
            weight._replace(name=prefix + weight.name)
            for prefix, half in self._both()
            for weight in half._plan(input_shape)
        ]

    def _within(self) -> list[Recurrent]:
        return self._halves

    def _trained(self) -> list[Weight]:
        if not self.trainable:
            return []
        return [
            weight._replace(name=prefix + weight.name) for prefix, half in self._both() for weight in half._trained()
        ]

    def compute_output_shape(self, input_shape: ShapeLike) -> tuple[Any, ...]:
        N, T, _ = input_shape
        sizes = [half.output_size for half in self._halves]
        before = (N, T) if self.return_sequences else (N,)
        if self.merge_mode is None:
            y: tuple[Any, ...] = tuple((*before, P) for P in sizes)
        else:
            y = (*before, sum(sizes) if self.merge_mode == "concat" else sizes[0])
        if not self.return_state:
            return y
        states = tuple((N, width) for half in self._halves for width in half._widths)
        return (*y, *states) if self.merge_mode is None else (y, *states)

    def _make(self, input_shape: Shape, *, draw: bool) -> None:
        for half in self._halves:
            half._shared_rng = self._shared_rng
            if not self.built:
                half._make(input_shape, draw=False)
        super()._make(input_shape, draw=draw)

    def _bind(self, params: Array, grads: Array) -> None:
        at = 0
        for prefix, half in self._both():
            part = slice(at, at + half.count_params())
            half._bind(params[part], grads[part])
            at = part.stop
            for name in half.params:
                self.params.place(prefix + name, half.params[name])
                self.grads.place(prefix + name, half.grads[name])

    def _draw(self, rng: np.random.Generator) -> None:
        for half in self._halves:
            half._draw(half.rng if half.seed is not None else rng)

    def reset_state(self) -> None:
        for half in self._halves:
            half.reset_state()

    def _generators(self) -> dict[str, np.random.Generator]:
        return {f"{prefix}{key}": rng for prefix, half in self._both() for key, rng in half._generators().items()}

    def _set_generator(self, key: str, rng: np.random.Generator) -> None:
        half, rest = self._half(key)
        half._set_generator(rest, rng)

    def _stateful(self) -> list[Any]:
        return [half for half in self._halves if half.stateful]

    def _carried(self) -> dict[str, Array]:
        return {f"{prefix}{key}": array for prefix, half in self._both() for key, array in half._carried().items()}

    def _carry(self, arrays: Mapping[str, Array]) -> None:
        for prefix, half in self._both():
            own = {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}
            if own:
                half._carry(own)

    def _both(self) -> Iterable[tuple[str, Recurrent]]:
        return zip(_HALVES, self._halves, strict=True)

    def _half(self, key: str) -> tuple[Recurrent, str]:
        for prefix, half in self._both():
            if key.startswith(prefix):
                return half, key.removeprefix(prefix)
        raise ValueError(f"{self.name}: expected {' or '.join(_HALVES)} at the beginning, got {key!r}")

    # calls

    def __call__(
        self, x: ArrayLike, training: bool = False, mask: ArrayLike | None = None, *, lengths: ArrayLike | None = None,
        initial_state: StateLike | None = None,
    ) -> Any:  # fmt: skip
        """y from x; with return_state [y, forward h, forward c, backward h, backward c]. A GRU has no c.

        Parameters
        ----------
        x, training, mask, lengths
            As for an `LSTM`.
        initial_state : [forward h, forward c, backward h, backward c], optional

        Returns
        -------
        ndarray, or list
            With merge_mode=None a list, in which both outputs stand in y's place.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As an `LSTM`.
        """
        found = self._input(x, training)
        given: list[AnyState | None] = [None, None]
        if initial_state is not None:
            given = self._apart("initial_state", initial_state, len(found))
        y, states = self._run(found, self._mask(mask, lengths, found), training, given)
        ys = list(y) if self.merge_mode is None else [y.copy() if training else y]
        if self.return_state:
            return [*ys, *(array.copy() for state in states for array in state)]
        return ys if self.merge_mode is None else ys[0]

    def _apart(self, name: str, value: Any, N: int) -> list[AnyState | None]:
        """The states of both directions, checked."""
        fields = [field for half in self._halves for field in half._state_type._fields]
        found = iter(entries_of(f"{self.name}: {name}", value, ", ".join(fields)))
        return [half._given_state(name, [next(found) for _ in half._widths], N) for half in self._halves]

    def backward(
        self, dy: ArrayLike | Sequence[ArrayLike | None] | None = None, dstate: StateLike | None = None
    ) -> Array:
        """Gradients, through the last call in training.

        Parameters
        ----------
        dy : array_like, shape of y, optional
            A list of both where merge_mode is None. Zeros if None.
        dstate : [forward dh, forward dc, backward dh, backward dc], optional
            Gradient at the last states. Zeros if None.

        Returns
        -------
        dx : ndarray, shape of x

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As an `LSTM`.
        """
        shape = self._pending()[0]
        if dstate is not None:
            N = shape[0][0] if self.merge_mode is None else shape[0]
            self._dlast = self._apart("dstate", dstate, N)
        if self.merge_mode is None:
            parts = [None, None] if dy is None else dy
            if not isinstance(parts, (list, tuple)) or len(parts) != 2:
                raise TypeError(f"{self.name}: dy: expected a list of both directions', got {type(dy).__name__}")
            found = [
                np.zeros(one, self.dtype) if part is None else self._gradient("dy", part, one)
                for part, one in zip(parts, shape, strict=True)
            ]
            return self._backward(np.concatenate(found, axis=-1))
        return self._backward(np.zeros(shape, self.dtype) if dy is None else self._gradient("dy", dy, shape))

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        return self._run(x, mask, training, [None, None])[0], (mask if self.return_sequences else None)

    def _run(self, x: Array, mask: Mask, training: bool, given: list[AnyState | None]) -> tuple[Any, list[AnyState]]:
        N, T, _ = x.shape
        states = [half._first_state(N, one) for half, one in zip(self._halves, given, strict=True)]
        steps, lengths, where = Steps.of(mask), None, None
        if steps is not None:
            x, lengths = steps.compact(x), steps.lengths
            if self.return_sequences and steps.order is not None:  # else the padding is 0 already
                where = steps.shown(False, zero=True)
        first = self._halves[0].output_size
        joined = backend.engine.empty((N, T, first + self._halves[1].output_size), self.dtype)
        kept = [
            half._pass(x, lengths, state, joined, column, training)
            for half, state, column in zip(self._halves, states, (0, first), strict=True)
        ]
        for half, state in zip(self._halves, states, strict=True):
            if half.stateful:
                half.state = copied(state)
        if not self.return_sequences:
            joined = np.concatenate([state.h for state in states], axis=1)
        elif where is not None:
            joined = Steps.expand(joined, joined, where)
        y = self._merged(joined)
        if training:
            shape = tuple(one.shape for one in y) if self.merge_mode is None else y.shape
            self._tape = shape, kept, steps, where, joined if self.merge_mode == "mul" else None
            self._dlast = [None, None]
        return y, states

    def _merged(self, joined: Array) -> Any:
        if self.merge_mode == "concat":
            return joined
        P = self._halves[0].output_size
        one, two = joined[..., :P], joined[..., P:]
        if self.merge_mode is None:
            return [np.ascontiguousarray(one), np.ascontiguousarray(two)]
        if self.merge_mode == "mul":
            return one * two
        total = one + two
        return total / self.dtype.type(2) if self.merge_mode == "ave" else total

    def _split(self, dy: Array, joined: Array | None) -> Array:
        """Gradients at both directions' outputs, side by side."""
        if self.merge_mode in ("concat", None):
            return dy
        if joined is not None:
            P = self._halves[0].output_size
            return np.concatenate([dy * joined[..., P:], dy * joined[..., :P]], axis=-1)
        part = dy / self.dtype.type(2) if self.merge_mode == "ave" else dy
        return np.concatenate([part, part], axis=-1)

    def _back(self, dy: Array) -> Array:
        _, kept, steps, where, joined = self._tape
        both = self._split(dy, joined)
        first = self._halves[0].output_size
        if where is not None:
            both, _ = Steps.collect(both, where)
        x_shape = kept[0].done.batch.x.shape
        dx = backend.engine.zeros(x_shape, self.dtype)
        for half, one, column, given in zip(self._halves, kept, (0, first), self._dlast, strict=True):
            zeros = (np.zeros((x_shape[0], width), self.dtype) for width in half._widths)
            last = half._state_type(*zeros) if given is None else copied(given)
            if not self.return_sequences:
                np.add(last.h, both[:, column : column + half.output_size], out=last.h)
            half._pass_back(one, both if self.return_sequences else None, column, last, dx, zeros=column == 0)
            half.state_grads = last
        return dx if steps is None else steps.spread(dx)

    def get_config(self) -> dict[str, Any]:
        """As of every layer; of both directions as their options are now."""
        config = super().get_config()
        for field, (prefix, half) in zip(("layer", "backward_layer"), self._both(), strict=True):
            config[field] = names.serialize(half)
            config[field]["config"]["name"] = half.name.removeprefix(prefix)
        return config


def _recurrent(argument: str, layer: Layer) -> Recurrent:
    if not isinstance(layer, Recurrent):
        raise TypeError(f"{argument}: expected an LSTM or a GRU, got {type(layer).__name__}")
    return layer


KNOWN_LAYERS[Bidirectional.__name__] = Bidirectional
