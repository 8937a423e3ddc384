"""The GRU as a layer; Keras's names, defaults, weights and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from ...formats import gates
from ...params import AnyParams, GRUBeforeParams
from . import cells
from .base import KNOWN_LAYERS, Array, Shape, Weight
from .names import flag
from .recurrent import Recurrent
from .types import ActivationLike, Common, ConstraintLike, InitializerLike, RegularizerLike, StateLike


class GRU(Recurrent):
    """Gated recurrent units [1]_ over sequences x (N, T, D), as Keras's.

    N sequences have T steps of D features; H is the number of units.

    Parameters
    ----------
    units : int
        H.
    activation, recurrent_activation : str or function, optional
        The former is for the candidate, the latter for the gates. Each is one of those of `LSTM`.
    use_bias : bool
        Whether there is a bias.
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout : float
        As of `LSTM`.
    seed : int, optional
        With it the layer has random numbers of its own. Without it they are its model's.
    return_sequences : bool
        Whether y is h at every step, (N, T, H). Otherwise y is h at the last real step, (N, H).
    return_state : bool
        Whether a call returns [y, h], h (N, H). A layer of a model cannot have it.
    go_backwards, stateful, zero_output_for_mask : bool
        As of `LSTM`.
    reset_after : bool
        Whether the reset gate r acts after the recurrent product, on h·U, as in cuDNN and PyTorch. Otherwise it acts
        before the product, on h, as in [1]_.
    first_state : [h], shape (H,), optional
        As of `LSTM`.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Notes
    -----
    Weights, as in Keras: kernel (D, 3H), recurrent_kernel (H, 3H), bias (2, 3H), with gates in the order z (update),
    r (reset), n (candidate). The first row of the bias is added to the product of x, the second to that of h. With
    reset_after=False there is one bias, (3H,). docs/cells.md has the equations. Masks work as in `LSTM`.

    References
    ----------
    .. [1] K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
       Translation", EMNLP 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import GRU
    >>> layer = GRU(32, return_sequences=True)
    >>> y = layer(np.ones((4, 10, 16)), training=True)
    >>> dx = layer.backward(2 * y)
    >>> y.shape, dx.shape, layer.grads["bias"].shape
    ((4, 10, 32), (4, 10, 16), (2, 96))
    """

    _fields = (
        "units", "activation", "recurrent_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "kernel_constraint",
        "recurrent_constraint", "bias_constraint", "dropout",
        "recurrent_dropout", "seed", "return_sequences", "return_state", "go_backwards", "stateful",
        "zero_output_for_mask", "reset_after", "first_state",
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
        reset_after: bool = True,
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
        self.reset_after = flag("reset_after", reset_after)
        self.first_state = self._checked_first(first_state)

    @property
    def _of(self) -> Any:
        made = cells.gru_with if self.reset_after else cells.gru_before_with
        return made(self.activation, self.recurrent_activation).record

    def _weights(self, input_shape: Shape) -> list[Weight]:
        D, H = self._input_size(input_shape), self.units
        shape = (2, 3 * H) if self.reset_after else (3 * H,)
        how = self.bias_initializer, self.bias_regularizer, self.bias_constraint
        bias = [Weight("bias", shape, *how)] if self.use_bias else []
        how = self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint
        recurrent = Weight("recurrent_kernel", (H, 3 * H), *how)
        how = self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint
        return [Weight("kernel", (D, 3 * H), *how), recurrent, *bias]

    def _as_record(self, arrays: Mapping[str, Array]) -> AnyParams:
        W, U = arrays["kernel"], arrays["recurrent_kernel"]
        bias = arrays["bias"] if self.use_bias else np.zeros((2, 3 * self.units), self.dtype)
        if self.reset_after:
            found: AnyParams = self._of(W=W, U=U, w=bias[1], b=bias[0])
        else:
            found = self._of(W=W, U=U, b=bias if self.use_bias else bias[0])
        return found

    def _core_record(self) -> AnyParams:
        found = super()._core_record()
        if (self.activation, self.recurrent_activation) != ("tanh", "sigmoid"):
            return found  # a cell of its own, with Keras's blocks z, r, n
        turned = map(gates.from_keras, found)
        if isinstance(found, GRUBeforeParams):
            return GRUBeforeParams(*turned)
        W, U, second, first = turned  # a reset gate after the product: all three gates have a second bias
        return gates.gru_of(W, U, first, second)


KNOWN_LAYERS[GRU.__name__] = GRU
