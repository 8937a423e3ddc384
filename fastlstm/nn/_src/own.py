"""Layers of the caller's own: what a class with `call` gets around its three methods."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import checks

Array = NDArray[Any]
_COMMON = {"self", "name", "dtype", "input_shape", "trainable"}


def guard(kind: type, base: type) -> None:
    """Let `build` and `backward` of a class of the caller's own be called from outside as those of every layer: with
    checks before and with what belongs to it afterwards.

    Raises
    ------
    TypeError
        A class with `call` that derives from a layer which computes something already.
    """
    if kind._forward is not base._forward:  # type: ignore[attr-defined]
        raise TypeError(f"{kind.__name__}: expected Layer itself as the base of a class with call, got "
                        f"{kind.__mro__[1].__name__}")  # fmt: skip
    for name, state in (("build", "_adding"), ("backward", "_returning")):
        own = vars(kind).get(name)
        if own is not None:
            setattr(kind, name, _guarded(own, getattr(base, name), state))


def _guarded(own: Callable[..., Any], outside: Callable[..., Any], state: str) -> Callable[..., Any]:
    @functools.wraps(own)
    def method(self: Any, argument: Any) -> Any:
        return own(self, argument) if getattr(self, state) is not None else outside(self, argument)

    return method


@functools.cache
def _taken(call: Callable[..., Any]) -> frozenset[str]:
    """Which of training and mask a `call` takes."""
    given = inspect.signature(call).parameters
    some = any(one.kind is one.VAR_KEYWORD for one in given.values())
    return frozenset(name for name in ("training", "mask") if some or name in given)


def forward(layer: Any, x: Array, mask: Any, training: bool) -> tuple[Array, Any]:
    """y and its mask."""
    options = {"training": training, "mask": mask}
    y = layer.call(x, **{name: options[name] for name in _taken(type(layer).call)})
    y = checks.native(checks.array(f"{layer.name}: y", y), layer.dtype)
    expected = tuple(layer.compute_output_shape(x.shape))
    if len(expected) != y.ndim or any(size not in (None, there) for size, there in zip(expected, y.shape, strict=True)):
        raise ValueError(
            f"{layer.name}: expected y of shape {expected}, which compute_output_shape says, got {y.shape}"
        )
    if training:
        layer._tape = y.shape, x.shape
    if not layer.supports_masking:
        lost(layer, mask)
        return y, None
    found = layer.compute_mask(x, mask)
    if found is None:
        return y, None
    found = checks.array(f"{layer.name}: mask", found)
    if found.dtype.kind != "b" or found.shape != y.shape[:2]:
        raise ValueError(f"{layer.name}: mask: expected booleans of shape {y.shape[:2]} from compute_mask, got "
                         f"{found.dtype} of {found.shape}")  # fmt: skip
    return y, found


def back(layer: Any, dy: Array) -> Array:
    """dx; gradients of the weights have come into grads."""
    shape = layer._tape[1]
    layer._returning = True
    try:
        dx = layer.backward(dy)
    finally:
        layer._returning = None
    dx = checks.array(f"{layer.name}: dx", dx)
    if dx.shape != shape:
        raise ValueError(f"{layer.name}: expected dx of shape {shape} from backward, as x is, got {dx.shape}")
    return checks.native(dx, layer.dtype)


def lost(layer: Any, mask: Any) -> None:
    """Warn of a mask that ends at a layer, as Keras does."""
    if mask is not None and not np.all(mask):
        warnings.warn(f"{layer.name}: {type(layer).__name__} knows no mask: masked steps are taken like others, and "
                      "the mask ends here, as in Keras", stacklevel=3)  # fmt: skip


def arguments(layer: Any) -> dict[str, Any]:
    """What its class's constructor was given, as far as the layer has attributes of these names.

    Raises
    ------
    TypeError
        An argument without one.
    """
    found = {}
    for name, one in inspect.signature(type(layer)).parameters.items():
        if name in _COMMON or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        if not hasattr(layer, name):
            raise TypeError(f"{layer.name}: expected an attribute {name!r}, as the constructor's argument, or a "
                            "get_config of its own, got none")  # fmt: skip
        found[name] = getattr(layer, name)
    return found
