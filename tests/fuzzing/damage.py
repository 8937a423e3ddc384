"""Arguments that are wrong on purpose, and arguments that lie in another one's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arena import Arena
from .problem import mapped, walk

OPTIONAL = ("lengths", "reset", "h_mask", "dy")  # leaves that may be None
OF_ARRAYS = ("longer", "shorter", "axes", "complex", "words", "masked", "none")
OF_ROOMS = ("type", "read_only", "gaps", "unaligned", "byte_order", "repeated")  # of what is written to
OF_INTEGERS = ("fraction", "minus", "words")
OF_OTHERS = ("object",)
COMPILED = ("longer", "shorter", "repeated")  # that leave Numba's types as they are
MAY_WORK = ("gaps", "unaligned", "byte_order", "repeated")  # right results will do as well as an error
SHAPES = ("longer", "shorter", "axes")


def choices(arguments: dict[str, Any], writes: tuple[str, ...], *, compiled: bool) -> list[str]:
    """All "argument:damage" that there can be in these arguments."""
    found = []
    for root, tree in arguments.items():
        for path, leaf in walk(root, tree).items():
            if leaf is None or path.endswith("layout"):
                continue
            if isinstance(leaf, np.ndarray | list):
                kinds = OF_ARRAYS + (OF_ROOMS if root in writes else ("type",) if root in ("params", "packed") else ())
            else:
                kinds = OF_INTEGERS if type(leaf) is int else OF_OTHERS
            found += [f"{path}:{kind}" for kind in kinds if _possible(root, leaf, kind, compiled)]
    return found


def _possible(root: str, leaf: Any, kind: str, compiled: bool) -> bool:
    if kind == "none":
        return root not in OPTIONAL and not compiled
    if compiled and kind not in COMPILED + ("minus",):
        return False
    if not isinstance(leaf, np.ndarray):
        return True
    if kind == "repeated":
        return leaf.ndim > 1 and leaf.shape[-2] > 1 and leaf.shape[-1] > 0 and (root == "y" or not compiled)
    if kind == "gaps":
        return leaf.size > 0 and leaf.shape[-1] > 1
    if kind in ("unaligned", "byte_order", "read_only", "type"):
        return leaf.size > 0
    if (root == "tape" and kind == "longer") or (root == "state_dict" and kind in SHAPES and leaf.ndim > 1):
        return False  # room to spare does no harm; weights of more inputs are right by themselves
    return kind != "shorter" or leaf.shape[-1] > 0


def broken(path: str, leaf: Any, kind: str, arena: Arena) -> Any:
    """leaf with that damage; in the arena, where it could be written to."""
    if kind in ("none", "object"):
        return {"none": None, "object": object()}[kind]
    if type(leaf) is int:
        return {"fraction": leaf + 0.5, "minus": -1 - leaf, "words": "a"}[kind]
    a = np.array(leaf)
    if kind == "complex":
        return a.astype(complex)
    if kind == "words":
        return np.full(a.shape, "a")
    if kind == "masked":
        return np.ma.masked_array(a, mask=False)
    if kind == "byte_order":
        return a.astype(a.dtype.newbyteorder())
    if kind == "gaps":
        wide = arena.room(path, np.repeat(a, 2, axis=-1))
        return wide[..., ::2]
    if kind == "unaligned":
        raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        raw[...] = a
        return raw
    if kind in ("longer", "shorter"):
        a = np.zeros((*a.shape[:-1], a.shape[-1] + (1 if kind == "longer" else -1)), a.dtype)
    elif kind == "axes":
        a = a[..., None, None]
    elif kind == "type":
        a = a.astype({4: np.float64, 8: np.float32}[a.itemsize] if a.dtype.kind == "f" else np.int16)
    if kind == "repeated":  # all steps in the memory of one
        one = arena.room(path, a[..., :1, :])
        return np.lib.stride_tricks.as_strided(one, a.shape, [*one.strides[:-2], 0, one.strides[-1]])
    a = arena.room(path, a)
    a.flags.writeable = kind != "read_only"
    return a


def replaced(arguments: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """arguments with another leaf at path."""
    return {root: mapped(lambda at, leaf: value if at == path else leaf, root, tree)
            for root, tree in arguments.items()}  # fmt: skip


def leaf_at(arguments: dict[str, Any], path: str) -> Any:
    return next(walk(root, tree)[path] for root, tree in arguments.items() if path in walk(root, tree))


def aliases(arguments: dict[str, Any], writes: tuple[str, ...]) -> list[str]:
    """All "argument:another" where one can lie in the other's memory, and is written to. An array of another type is
    copied before the call uses it, and is free to be written over then: by gradients before a second call reads it, and
    a tape, which is read as well, would not be what it was."""
    leaves = {path: (root, leaf) for root, tree in arguments.items() for path, leaf in walk(root, tree).items()
              if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" and leaf.size}  # fmt: skip
    return [f"{a}:{b}" for a, (root, inner) in leaves.items() if root in writes
            for b, (_, outer) in leaves.items() if a != b and inner.nbytes <= outer.nbytes
            and (root not in ("tape", "grads") or inner.dtype == outer.dtype)]  # fmt: skip


def aliased(arguments: dict[str, Any], alias: str, arena: Arena) -> dict[str, Any]:
    a, b = alias.split(":")
    inner = arena.inside(leaf_at(arguments, b), leaf_at(arguments, a))
    assert inner is not None, f"alias: no room for {a} in {b}"
    return replaced(arguments, a, inner)
