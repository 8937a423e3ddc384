"""The LSTM and the GRU as layers; Keras's names, defaults, weights and shapes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from ... import backend, checks
from ...arrays import size_of
from ...backend import Pass, Standing
from ...cells import OwnCell
from ...initial import output_size, own_named, record_of
from ...params import CELLS, ROWS, AnyParams, AnyState, Batch, State, cell_name, shapes
from . import cells, constraints, initializers, names, regularizers
from .base import KNOWN_LAYERS, Array, Layer, Mask, Shape, Weight
from .constraints import Constraint
from .initializers import Initializer
from .names import flag
from .options import Checks
from .randomness import checked_seed
from .regularizers import Regularizer
from .steps import Steps
from .types import ActivationLike, Common, ConstraintLike, InitializerLike, RegularizerLike, ShapeLike, StateLike

_NAMES = {
    "W": "kernel", "U": "recurrent_kernel", "w": "unit_weights", "p": "peephole_kernel", "s": "scale", "b": "bias",
}  # fmt: skip
_NAMES_OF_V = {"interpolated": "memory_kernel", "projected": "projection_kernel"}
_LSTMS = tuple(name for name, record in CELLS.items() if ROWS[record].state is State)
_ROOMS = 4  # shapes of batches whose room is kept


class _Dropped(NamedTuple):
    """Which features a pass leaves out: random numbers (N, D) from 0 to 1, and the rate below which one does."""

    draws: Array
    rate: float

    def of(self, x: Array, found: Array) -> Array:
        """x (N, T, D) without them, into found, which may be x."""
        backend.engine.training.drop(x, self.draws, self.rate, found)
        return found


class Trained(NamedTuple):
    """What a forward pass in training leaves for its way back, whatever the layer's options are by then."""

    done: Pass
    dropped: _Dropped | None


def rate_of(argument: str, value: Any) -> float:
    """A rate of dropout, checked."""
    rate = names.real(argument, value, 0.0, 1.0)
    if rate == 1:
        raise ValueError(f"{argument}: expected less than 1, got {value}")
    return rate


class Recurrent(Layer):
    """What the LSTM and the GRU have in common: passes over sequences, states and masks."""

    units: int
    output_size: int
    dropout: float
    recurrent_dropout: float
    seed: int | None
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    zero_output_for_mask: bool
    first_state: list[list[float]] | None
    kernel_initializer: Initializer
    recurrent_initializer: Initializer
    bias_initializer: Initializer
    kernel_regularizer: Regularizer | None
    recurrent_regularizer: Regularizer | None
    bias_regularizer: Regularizer | None
    kernel_constraint: Constraint | None
    recurrent_constraint: Constraint | None
    bias_constraint: Constraint | None
    _ndim = (3, 3)
    _options: ClassVar[Checks] = {
        "dropout": rate_of, "recurrent_dropout": rate_of, "go_backwards": flag, "stateful": flag,
        "zero_output_for_mask": flag,
    }  # fmt: skip
    _made_when_bound = ("_record", "_gradients", "_packed", "_pack", "_standing", "_first")
    _mixes_time = True

    def __init__(self, units: int, activation: ActivationLike, recurrent_activation: ActivationLike, use_bias: bool,
                 options: Mapping[str, Any], common: Common) -> None:  # fmt: skip
        """options: those that the layers have in common; common: those of every layer."""
        super().__init__(**common)
        self.units = size_of("units", units)
        self.activation = cells.name_of("activation", activation)
        self.recurrent_activation = cells.name_of("recurrent_activation", recurrent_activation)
        self.use_bias = flag("use_bias", use_bias)
        for field, value in options.items():
            if field.endswith("_initializer"):
                value = initializers.get(value, field)
            elif field.endswith("_regularizer"):
                value = regularizers.get(value, field)
            elif field.endswith("_constraint"):
                value = constraints.get(value, field)
            elif field == "seed":
                value = None if value is None else checked_seed(value)
            elif field in ("return_sequences", "return_state"):
                value = flag(field, value)
            setattr(self, field, value)
        self.output_size = self.units
        self.state: AnyState | None = None
        self.state_grads: AnyState | None = None

    @property
    def _of(self) -> Any:
        """The record of the weights in the kernels."""
        raise NotImplementedError

    def _as_record(self, arrays: Mapping[str, Array]) -> AnyParams:
        """The layer's arrays, or gradients; zeros where it has no bias."""
        raise NotImplementedError

    # weights

    def _input_size(self, input_shape: Shape) -> int:
        D = input_shape[-1]
        if D is None:
            raise ValueError(f"{self.name}: expected inputs of a known size D, got shape {input_shape}")
        return D

    def compute_output_shape(self, input_shape: ShapeLike) -> tuple[Any, ...]:
        N, T, _ = input_shape
        y = (N, T, self.output_size) if self.return_sequences else (N, self.output_size)
        return (y, *((N, width) for width in self._widths)) if self.return_state else y

    @property
    def _state_type(self) -> type[AnyState]:
        return ROWS[self._of].state

    @property
    def _widths(self) -> tuple[int, ...]:
        """Of h, and of c if there is one."""
        return (self.output_size, self.units)[: len(self._state_type._fields)]

    def _bound(self) -> None:
        self._record, self._gradients = self._as_record(self.params), self._as_record(self.grads)
        self._packed = backend.engine.pack(self._record)
        self._pack = backend.engine.packing(self._record, self._packed)
        self._standing: dict[tuple[int, int], Standing] = {}
        given = self.first_state
        self._first = None if given is None else self._state_type(*(np.array(one, self.dtype) for one in given))

    def to_params(self) -> AnyParams:
        """The weights as `fastlstm.forward`, `fastlstm.pack`, `fastlstm.Stream` and the rest of the core take them.

        Returns
        -------
        Params or another cell's record
            Copies, with the core's order of gates; zeros where the layer has no bias.

        Raises
        ------
        ValueError
            A layer that has not been built.

        Notes
        -----
        Options are no weights: to a layer with go_backwards belongs ``fastlstm.forward(..., reverse=True)``, whose y is
        in the order of x.

        Examples
        --------
        >>> import numpy as np, fastlstm
        >>> from fastlstm.nn import GRU
        >>> layer = GRU(32)
        >>> h = layer(np.ones((4, 10, 16)))
        >>> y, state = fastlstm.forward(np.ones((4, 10, 16)), layer.to_params())
        >>> np.abs(h - y[:, -1]).max() < 1e-6
        np.True_
        """
        self._require_built()
        record = self._core_record()
        return type(record)(*(array.copy() for array in record))

    def _core_record(self) -> AnyParams:
        """The weights in a record of the core's, where possible one with a name there."""
        return self._as_record(self.params)

    # states

    def _checked_first(self, given: Any) -> list[list[float]] | None:
        """first_state as JSON can hold it."""
        if given is None:
            return None
        fields = self._state_type._fields
        found = (
            []
            if len(fields) == 1 and isinstance(given, np.ndarray)
            else entries_of("first_state", given, ", ".join(fields))
        )
        checked = []
        for field, one, width in zip(fields, found or [given], self._widths, strict=True):
            array = checks.array(f"first_state: {field}", one)
            if array.shape != (width,):
                raise ValueError(f"first_state: {field}: expected shape ({width},), got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"first_state: {field}: expected finite numbers, got others")
            checked.append(array.astype(self.dtype).tolist())
        return checked

    def reset_state(self) -> None:
        """Let a stateful layer begin the next batch with first_state, or with zeros without one."""
        self.state = None

    def _first_state(self, N: int, given: AnyState | None) -> AnyState:
        """What to begin with, arrays that the pass may write to."""
        found = self.state if given is None and self.stateful else given
        if found is None and self._first is not None:
            copied_again = backend.engine.training.copied
            return self._state_type(*(copied_again(np.tile(array, (N, 1))) for array in self._first))
        if found is None:
            zeros = backend.engine.training.zeros
            return self._state_type(*(zeros((N, width), self.dtype) for width in self._widths))
        if len(found.h) != N:
            raise ValueError(f"{self.name}: expected batches of {len(found.h)} samples, as its state is of, got {N}; "
                             "reset_state() begins anew")  # fmt: skip
        first: AnyState = copied(found)
        return first

    def _given_state(self, name: str, given: Any, N: int) -> AnyState | None:
        """A list of h and c, or of h alone, checked; for that, also h itself."""
        if given is None:
            return None
        fields = self._state_type._fields
        if len(fields) == 1 and isinstance(given, np.ndarray):
            given = [given]
        found = entries_of(f"{self.name}: {name}", given, ", ".join(fields))
        named = zip(fields, found, self._widths, strict=True)
        return self._state_type(
            *(self._gradient(f"{name}.{field}", array, (N, width)) for field, array, width in named)
        )

    def _stateful(self) -> list[Any]:
        return [self] if self.stateful else []

    def _carried(self) -> dict[str, Array]:
        return {} if self.state is None or not self.stateful else self.state._asdict()

    def _carry(self, arrays: Mapping[str, Array]) -> None:
        fields = self._state_type._fields
        if set(arrays) != set(fields) or not self.stateful:
            raise ValueError(f"{self.name}: expected {' and '.join(fields)} of a stateful layer, got {sorted(arrays)}")
        self.state = self._given_state("state", [arrays[field] for field in fields], len(arrays["h"]))

    # one pass, also for Bidirectional

    def _pass(self, x: Array, lengths: Any, state: AnyState, y: Array, column: int, training: bool) -> Any:
        """y[:, :, column : column + P] in the order of x, and the last state in place of the first; returns what
        `_pass_back` needs."""
        N, T, D = x.shape
        dropped, mask = None, None
        if training and self.dropout:
            dropped = _Dropped(self._drawn(N, D), self.dropout)
            x = dropped.of(x, backend.engine.empty(x.shape, self.dtype))
        if training and self.recurrent_dropout:
            ones, mask = np.ones((N, 1, self.output_size), self.dtype), np.empty((N, self.output_size), self.dtype)
            draws = self._drawn(N, self.output_size)
            backend.engine.training.drop(ones, draws, self.recurrent_dropout, mask.reshape(ones.shape))
        self._pack()
        packed, batch = self._packed, Batch(x, lengths, None, mask, self.go_backwards)
        if not training:
            backend.engine.forward(packed=packed, batch=batch, state=state, y=y, column=column)
            return None
        standing = self._again(N, T)
        first, kept = backend.engine.training.copied(state.h), standing.kept or backend.engine.keep(packed, N, T)
        backend.engine.forward(
            packed=packed, batch=batch, state=state, y=y, column=column, kept=kept, standing=standing
        )  # fmt: skip
        return Trained(Pass(packed, batch, first, kept), dropped)

    def _drawn(self, N: int, count: int) -> Array:
        """Random numbers from 0 to 1, new ones each time that a recording runs."""
        draws = np.empty((N, count), np.float32)

        def draw() -> None:
            self.rng.random(dtype=np.float32, out=draws)

        draw()
        if (record := backend.engine.recording()) is not None:
            record.before(draw)
        return draws

    def _repeats(self, input_shape: tuple[int, ...]) -> bool:
        N, T, _ = input_shape
        ordered = not (self.go_backwards and self.return_sequences)
        return N > 1 and T > 0 and ordered and not self.stateful and self._again(N, T).kept is not None

    def _again(self, N: int, T: int) -> Standing:
        """For passes over batches of that shape, again and again."""
        found = self._standing.get((N, T))
        if found is None:
            while len(self._standing) >= _ROOMS:
                del self._standing[next(iter(self._standing))]
            found = self._standing[N, T] = backend.engine.standing(self._packed, N, T, self._gradients)
        return found

    def _pass_back(
        self, trained: Trained, dy: Array | None, column: int, dstate: AnyState, dx: Array, zeros: bool
    ) -> None:
        """dx is added to (zeros: it is all 0), dstate turns from the last state's gradient into the first's."""
        done, dropped = trained
        N, T, _ = done.batch.x.shape
        own = dx if dropped is None or zeros else backend.engine.zeros(dx.shape, self.dtype)
        backend.engine.backward(
            done=done, dy=dy, column=column, dstate=dstate, dx=own, standing=self._again(N, T)
        )  # fmt: skip
        if dropped is not None:
            dropped.of(own, own)
        if own is not dx:
            dx += own

    # the layer

    def __call__(
        self, x: ArrayLike, training: bool = False, mask: ArrayLike | None = None, *, lengths: ArrayLike | None = None,
        initial_state: StateLike | None = None,
    ) -> Any:  # fmt: skip
        """y from x; with return_state [y, h, c], or [y, h] of a GRU.

        Parameters
        ----------
        x : array_like, shape (N, T, D)
        training : bool
            Whether dropout drops, and `backward` will follow.
        mask : array_like of bool, shape (N, T), optional
            True at real steps.
        lengths : array_like of int, shape (N,), optional
            Real steps of each sequence: the same as a mask that is true at the first so many steps.
        initial_state : [h, c], shapes (N, P) and (N, H), or [h] of a GRU, optional
            If None: what a stateful layer carries, else first_state, else zeros.

        Returns
        -------
        ndarray, shape (N, P) or (N, T, P), or list
            y; with return_state a list of y, h (N, P) and c (N, H) after the last real step.

        Raises
        ------
        ValueError, TypeError
            Shapes or types that do not fit.
        RuntimeError
            A second call in training before `backward`.
        """
        found = self._input(x, training)
        state = self._given_state("initial_state", initial_state, len(found))
        y, last = self._run(found, self._mask(mask, lengths, found), training, state)
        return [y, *copied(last)] if self.return_state else y

    def backward(self, dy: ArrayLike | None = None, dstate: StateLike | None = None) -> Array:
        """Gradients, through the last call in training.

        Parameters
        ----------
        dy : array_like, shape of y, optional
            Zeros if None.
        dstate : [dh, dc], shapes (N, P) and (N, H), or [dh] of a GRU, optional
            Gradient at the last state. Zeros if None.

        Returns
        -------
        dx : ndarray, shape of x
            The gradients of the weights are in `grads` then, those of the initial state in `state_grads`.

        Raises
        ------
        ValueError, TypeError
            Shapes or types that do not fit.
        RuntimeError
            No call in training before.
        """
        shape = self._pending()[0]
        last = self._given_state("dstate", dstate, shape[0])
        if dy is None:
            dy = np.zeros(shape, self.dtype)
        self._dlast = last
        return self._backward(self._gradient("dy", dy, shape))

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        return self._run(x, mask, training, None)[0], (mask if self.return_sequences else None)

    def _run(self, x: Array, mask: Mask, training: bool, given: AnyState | None) -> tuple[Array, AnyState]:
        N, T, _ = x.shape
        state = self._first_state(N, given)
        steps, lengths, where, held = Steps.of(mask), None, None, None
        if steps is not None:
            x, lengths = steps.compact(x), steps.lengths
            if self.return_sequences:
                where, held = steps.shown(self.go_backwards, self.zero_output_for_mask), state.h.copy()
        y = backend.engine.empty((N, T, self.output_size), self.dtype)
        kept = self._pass(x, lengths, state, y, 0, training)
        if self.stateful:
            self.state = copied(state)
        if self.return_sequences:
            if where is not None:
                assert held is not None
                y = Steps.expand(y, held, where)
            if self.go_backwards:
                y = np.ascontiguousarray(y[:, ::-1])
        else:
            y = state.h
        if training:
            self._tape = y.shape, kept, steps, where
            self._dlast = None
        return y, state

    def _back(self, dy: Array) -> Array:
        _, trained, steps, where = self._tape
        batch = trained.done.batch
        N = len(batch.x)
        dlast, above, dheld, training = self._dlast, None, None, backend.engine.training
        if dlast is None:
            first = training.zeros((N, self.output_size), self.dtype) if self.return_sequences else training.copied(dy)
            others = (training.zeros((N, width), self.dtype) for width in self._widths[1:])
            dlast = self._state_type(first, *others)
        else:
            dlast = copied(dlast)
            if not self.return_sequences:
                np.add(dlast.h, dy, out=dlast.h)
        if self.return_sequences:
            above = np.ascontiguousarray(dy[:, ::-1]) if batch.reverse else dy
            if where is not None:
                above, dheld = Steps.collect(above, where)
        dx = training.zeros(batch.x.shape, self.dtype)
        self._pass_back(trained, above, 0, dlast, dx, zeros=True)
        if dheld is not None:
            np.add(dlast.h, dheld, out=dlast.h)
        self.state_grads = dlast
        return dx if steps is None else steps.spread(dx)


class LSTM(Recurrent):
    """Long short-term memory over sequences x (N, T, D).

    N sequences have T steps of D features. H is the number of units, and P the width of h and of y: P is H, but for the
    projected cell.

    Parameters
    ----------
    units : int
        H.
    activation, recurrent_activation : str or function, optional
        The former is for the candidate and the memory, the latter for the gates. Each is one of Keras 3's celu, elu,
        exponential, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, mish, relu,
        relu6, selu, sigmoid, silu, soft_shrink, softplus, softsign, sparse_plus, sparse_sigmoid, squareplus, tanh and
        tanh_shrink, or hard_sigmoid_keras2: 0.2x + 1/2, clipped to 0 to 1. None is linear. Only the standard cell takes
        others than tanh and sigmoid. Each pair of them is a cell of its own, which the first call compiles.
    use_bias : bool
        Whether there is a bias.
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
    unit_forget_bias : bool
        Whether the forget gate's bias begins with 1, and that of the interpolated cell with -1/4: as from
        `fastlstm.init_params`.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout : float
        Probabilities, 0 to below 1. In training, dropout sets features of x to 0, and recurrent_dropout units of h
        where h enters the recurrent product. The others are divided by 1 minus the probability. The same ones are
        dropped at all steps of a sequence [1]_.
    seed : int, optional
        With it the layer has random numbers of its own. Without it they are its model's.
    return_sequences : bool
        Whether y is h at every step, (N, T, P). Otherwise y is h at the last real step, (N, P).
    return_state : bool
        Whether a call returns [y, h, c], h (N, P) and c (N, H). A layer of a model cannot have it.
    go_backwards : bool
        Whether it runs from the last step to the first. y is in that order then.
    stateful : bool
        Whether a batch begins with the state that the one before it ended with, sample by sample, until `reset_state`.
    zero_output_for_mask : bool
        Whether y at masked steps is 0. Otherwise it is that of the step before.
    cell : {"standard", "interpolated", "projected", "peephole", "normalized"}, or one's own
        docs/cells.md has them side by side. One's own is what `fastlstm.cells.cell` makes. If it has no c, nor have the
        layer's states, as those of a `GRU`.
    projection_size : int, optional
        P, from 1 to H. The projected cell needs it, and no other takes it.
    first_state : [h, c], shapes (P,) and (H,), optional
        What every sequence begins with, unless a call is given another state; zeros without it. It does not learn.
    **common
        As in `Layer`.

    Attributes
    ----------
    output_size : int
        P.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Notes
    -----
    The weights, in their order in `get_weights`, with the field of the record that each one is:

    - standard (`fastlstm.Params`): kernel W (D, 4H), recurrent_kernel U (H, 4H), bias b (4H,); gates in the order
      i, f, g, o, where g is Keras's c
    - interpolated (`fastlstm.InterpolatedParams`): kernel W (D, 3H), recurrent_kernel U (H, 4H), memory_kernel V
      (H, H), bias b (3H,)
    - projected (`fastlstm.ProjectedParams`): kernel W (D, 4H), recurrent_kernel U (P, 4H), projection_kernel V (H, P),
      bias b (4H,)
    - peephole (`fastlstm.PeepholeParams`): as standard, and before the bias peephole_kernel p (3H,), blocks i, f, o
    - normalized (`fastlstm.NormalizedParams`): as standard, and before the bias scale s (5H,); bias b is (5H,) too, and
      both have blocks i, f, g, o, c
    - one's own (`fastlstm.OwnParams`): kernel W, recurrent_kernel U, unit_weights w, bias b; none that would be empty

    memory_kernel and projection_kernel have the initializer, regularizer and constraint of recurrent_kernel.
    peephole_kernel and unit_weights begin with uniform numbers from -1/√H to 1/√H, and scale with ones; these three
    have no regularizer. In a cell of one's own unit_forget_bias is for a gate named f, if the cell has a c.

    A mask may leave out any steps: they are not computed, the state is carried over them, and x is not read there. If y
    is a sequence, the layer above gets the mask too. It is in the order of x even if y runs backwards, as in Keras.

    For recurrent dropout Keras draws a mask for each of the four gates. Here, as in [1]_, one serves all.

    References
    ----------
    .. [1] Y. Gal, Z. Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks",
       NeurIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import LSTM
    >>> layer = LSTM(32, return_sequences=True)
    >>> y = layer(np.ones((4, 10, 16)), training=True)
    >>> dx = layer.backward(2 * y)
    >>> y.shape, dx.shape, sorted(layer.grads)
    ((4, 10, 32), (4, 10, 16), ['bias', 'kernel', 'recurrent_kernel'])
    >>> y, h, c = LSTM(32, cell="projected", projection_size=8, return_state=True)(np.ones((4, 10, 16)))
    >>> y.shape, h.shape, c.shape
    ((4, 8), (4, 8), (4, 32))
    """

    _fields = (
        "units", "activation", "recurrent_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "unit_forget_bias", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
        "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout",
        "seed", "return_sequences", "return_state", "go_backwards", "stateful",
        "zero_output_for_mask", "cell", "projection_size", "first_state",
    )  # fmt: skip

    _repeats = Recurrent._repeats  # a class of the user's own may do something else at each pass

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        zero_output_for_mask: bool = False,
        cell: str | OwnCell = "standard",
        projection_size: int | None = None,
        first_state: StateLike | None = None,
        **common: Unpack[Common],
    ) -> None:
        options = {
            "kernel_initializer": kernel_initializer, "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer, "kernel_regularizer": kernel_regularizer,
            "recurrent_regularizer": recurrent_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "recurrent_constraint": recurrent_constraint,
            "bias_constraint": bias_constraint, "dropout": dropout, "recurrent_dropout": recurrent_dropout,
            "seed": seed, "return_sequences": return_sequences,
            "return_state": return_state, "go_backwards": go_backwards, "stateful": stateful,
            "zero_output_for_mask": zero_output_for_mask,
        }  # fmt: skip
        super().__init__(units, activation, recurrent_activation, use_bias, options, common)
        self.unit_forget_bias = flag("unit_forget_bias", unit_forget_bias)
        self.cell = _cell(cell)
        for argument, usual in cells.USUAL.items():
            if self.cell != "standard" and getattr(self, argument) != usual:
                shown = f"the {cell} cell" if isinstance(cell, str) else "a cell of one's own, which says its own"
                raise ValueError(f"{argument}: expected {usual!r} for {shown}, got {getattr(self, argument)!r}")
        self.output_size = output_size(self._of, self.units, projection_size, "units")
        self.projection_size = None if projection_size is None else self.output_size
        self.first_state = self._checked_first(first_state)

    @property
    def _of(self) -> Any:
        if (self.activation, self.recurrent_activation) == tuple(cells.USUAL.values()):
            return record_of(self.cell)
        return cells.lstm_with(self.activation, self.recurrent_activation).record

    # weights

    def _weights(self, input_shape: Shape) -> list[Weight]:
        D, H = self._input_size(input_shape), self.units
        of_units = initializers.RandomUniform(-1 / H**0.5, 1 / H**0.5), None
        how: dict[str, Any] = {
            "W": (self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint),
            "U": (self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint),
            "V": (self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint),
            "w": of_units,
            "p": of_units,
            "s": (initializers.Ones(), None),
            "b": (self.bias_initializer, self.bias_regularizer, self.bias_constraint),
        }
        return [
            Weight(self._name_of(field), shape, *how[field])
            for field, shape in shapes(self._of, D, H, self.output_size).items()
            if 0 not in shape and (field != "b" or self.use_bias)
        ]

    def _name_of(self, field: str) -> str:
        """What a field of the cell's record is called here."""
        return _NAMES_OF_V[cell_name(self._of)] if field == "V" else _NAMES[field]

    def _draw(self, rng: np.random.Generator) -> None:
        super()._draw(rng)
        row = ROWS[self._of]
        if "bias" in self.params and self.unit_forget_bias and row.forget_bias is not None:
            at = row.forget * self.units
            self.params["bias"][at : at + self.units] = row.forget_bias

    def _as_record(self, arrays: Mapping[str, Array]) -> AnyParams:
        """The layer's arrays; zeros where it has none."""
        forms = shapes(self._of, len(arrays["kernel"]), self.units, self.output_size)
        found: AnyParams = self._of(
            *(arrays[name] if (name := self._name_of(field)) in arrays else np.zeros(form, self.dtype)
              for field, form in forms.items())
        )  # fmt: skip
        return found

    def get_config(self) -> dict[str, Any]:
        """As of every layer; a cell of one's own by its name and by what it computes."""
        config = super().get_config()
        return config | ({"cell": self.cell.cell.name} if isinstance(self.cell, OwnCell) else {})


def _cell(given: Any) -> str | OwnCell:
    """A cell that an LSTM takes, checked. One's own may come by the name that is in its configuration."""
    if isinstance(given, OwnCell):
        return given
    if isinstance(given, str) and given in _LSTMS:
        return given
    if isinstance(given, str) and "#" in given:
        return own_named("cell", given)
    raise ValueError(f"cell: expected one of {', '.join(map(repr, _LSTMS))}, or what fastlstm.cells.cell makes, "
                     f"got {given!r}")  # fmt: skip


def copied(state: Any) -> Any:
    return type(state)(*(array.copy() for array in state))


def entries_of(name: str, given: Any, expected: str) -> list[Any]:
    """The entries of whatever can be taken apart into as many as expected."""
    if not isinstance(given, (str, bytes, Mapping)):
        with contextlib.suppress(TypeError):
            found = list(given)
            if len(found) == expected.count(",") + 1:
                return found
            raise ValueError(f"{name}: expected [{expected}], got {len(found)} entries")
    raise TypeError(f"{name}: expected [{expected}], got {type(given).__name__}")


KNOWN_LAYERS[LSTM.__name__] = LSTM
