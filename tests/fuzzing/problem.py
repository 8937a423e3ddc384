"""The numbers of a case, and what must come out of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from oracles import map_leaves, random_masks, random_params, random_state

import fastlstm
from fastlstm import Bidirectional, reference

from .arena import FORMS, KEPT, LAYOUTS, Arena
from .cases import Case

PASSES = ("x", "params", "state", "lengths", "reverse", "reset", "h_mask")  # arguments of forward
FORWARD, BACKWARD = ("y", "state", "c"), ("dx", "dparams", "dstate")  # names of what comes out
NOISE, ROUNDINGS, MOVED = 16, 64, 6  # see `assert_near`


def mapped(function: Callable[[str, Any], Any], path: str, tree: Any) -> Any:
    """A tree of tuples with function(path, leaf) in each leaf's place; paths are such as state[1].h."""
    if not isinstance(tree, tuple) and not (isinstance(tree, list) and tree and isinstance(tree[0], tuple)):
        return function(path, tree)
    fields = getattr(tree, "_fields", None)
    keys = [f".{name}" for name in fields] if fields else [f"[{i}]" for i in range(len(tree))]
    parts = [mapped(function, path + key, part) for key, part in zip(keys, tree, strict=True)]
    return type(tree)(*parts) if fields else type(tree)(parts)


def walk(path: str, tree: Any) -> dict[str, Any]:
    """The leaves by their paths."""
    found: dict[str, Any] = {}
    mapped(found.__setitem__, path, tree)
    return found


def _has_numbers(path: str, leaf: Any) -> bool:
    """An array, but not the one whose type alone says something."""
    return isinstance(leaf, np.ndarray) and not path.endswith("layout")


class Problem:
    """Arguments of one kind: as they are handed in (`given`), and as arrays in C order of the weights' type (`exact`).

    Attributes
    ----------
    case : Case
    arena : Arena
        Where what is given lies.
    given, exact : dict
        By the names of arguments: x, params, state, lengths, reverse, reset, h_mask, dy, dstate; None where the case
        does not use them.
    special : int or None
        The sequence that has a NaN or an infinity.
    """

    def __init__(self, case: Case, arena: Arena) -> None:
        self.case, self.arena, self.dtype = case, arena, np.dtype(case.dtype)
        self.single = case.uses("single")
        self.N, self.T, self.D = 1 if self.single else case.N, case.T, case.D
        self.special: int | None = None
        values = self._values()
        self.params = values.pop("params")  # records in C order
        self.exact: dict[str, Any] = {"params": self.params}
        self.given: dict[str, Any] = {"params": self._params()}
        forms = FORMS
        if self.special is not None:
            forms = tuple(form for form in FORMS if form not in ("integers", "repeated"))
        for name, tree in values.items():
            kind = {"lengths": np.int64, "reset": np.bool_}.get(name, self.dtype)
            also = {"lengths": (*KEPT, "list"), "reset": (*LAYOUTS, "list")}.get(name, forms)
            give = lambda path, leaf, also=also: leaf if leaf is None else arena.give(path, leaf, also)  # noqa: E731
            self.given[name] = mapped(give, name, tree)
            self.exact[name] = plain(self.given[name], kind)
        self.given["reverse"] = self.exact["reverse"] = case.uses("reverse")

    def rng(self, *names: Any) -> np.random.Generator:
        """A generator for each purpose, so that no option changes another one's numbers."""
        return np.random.default_rng([self.case.seed, zlib.crc32(repr(names).encode())])

    def arguments(self, names: str) -> dict[str, Any]:
        return {name: self.given[name] for name in names.split()}

    def packed(self, forms: tuple[str, ...] = ("plain", "read_only")) -> Any:
        """What `pack` makes of the weights, in the arena."""

        def give(path: str, leaf: Any) -> Any:
            return self.arena.give(path, leaf, forms) if _has_numbers(path, leaf) else leaf

        return mapped(give, "packed", fastlstm.pack(self.params))

    def room(self, name: str, tree: Any, forms: tuple[str, ...] = ("plain",)) -> Any:
        """Arrays in the arena to be written to, holding what tree does."""

        def put(path: str, leaf: Any) -> Any:
            return self.arena.room(path, leaf, forms) if _has_numbers(path, leaf) else leaf

        return mapped(put, name, tree)

    def state_room(self) -> Any:
        """The initial state, to be carried on in place."""
        state = self.exact["state"]
        if state is None:
            state = fastlstm.zero_state(self.params, self.N)
            state = map_leaves(lambda a: a[0], state) if self.single else state
        self.exact["state"] = state
        return self.room("state", state)

    @property
    def y_shape(self) -> tuple[int, ...]:
        top = self.case.layers[-1]
        shape = (self.N, self.T, top.P * (1 + top.both))
        return shape[1:] if self.single else shape

    def _values(self) -> dict[str, Any]:
        case, N, T = self.case, self.N, self.T
        layers, width = [], self.D
        for i, (cell, H, P, both) in enumerate(case.layers):
            ways = [random_params(self.rng("params", i, way), width, H, self.dtype, cell, P) for way in range(1 + both)]
            layers.append(Bidirectional(*ways) if both else ways[0])
            width = P * (1 + both)
        params: Any = tuple(layers) if len(layers) > 1 or case.uses("stack") else layers[0]
        values: dict[str, Any] = {
            "x": self.rng("x").standard_normal((N, T, self.D)) * self.rng("scale").choice([1, 1, 1, 30, 1e-3]),
            "dy": self.rng("dy").standard_normal((N, T, width)),
            "state": random_state(self.rng("state"), params, N),
            "dstate": random_state(self.rng("dstate"), params, N),
            "lengths": self.rng("lengths").integers(0, T + 1, N).astype(self.rng("kind").choice(["i1", "u2", "i8"])),
            "reset": self.rng("reset").random((N, T)) < 0.25,
            "h_mask": random_masks(self.rng("h_mask"), params, N),
        }
        for name in ("state", "lengths", "reset", "h_mask", "dy", "dstate"):
            if not case.uses(name):
                values[name] = None
        if self.single:
            values["lengths"] = None
        if values["lengths"] is not None:
            padding = np.arange(T) >= values["lengths"][:, None]
            for name in ("x", "dy"):
                if values[name] is not None:
                    values[name][padding] = np.nan  # nobody may look there
        if case.uses("special"):
            self._make_special(values)
        if self.single:
            values = {name: mapped(lambda _, a: a if a is None else a[0], "", tree) for name, tree in values.items()}
        return values | {"params": params}

    def _make_special(self, values: dict[str, Any]) -> None:
        """A NaN or an infinity in one sequence, somewhere."""
        rng = self.rng("special")
        trees = [values[name] for name in ("x", "x", "state", "dy", "dstate") if values[name] is not None]
        arrays = [a for a in walk("", trees[int(rng.integers(len(trees)))]).values() if a.size]
        if arrays:
            array = arrays[int(rng.integers(len(arrays)))]
            self.special = int(rng.integers(self.N))
            place = tuple(int(rng.integers(size)) for size in array.shape[1:])
            array[(self.special, *place)] = rng.choice([np.nan, np.inf, -np.inf])

    def _params(self) -> Any:
        if self.case.uses("packed"):
            return self.packed()
        given = mapped(lambda path, leaf: self.arena.give(path, leaf, KEPT), "params", self.params)
        return list(given) if type(given) is tuple and self.rng("list").random() < 0.5 else given


def plain(tree: Any, dtype: Any) -> Any:
    """In C order and of that type, in memory of their own; None stays."""
    with np.errstate(all="ignore"):
        return mapped(lambda _, a: a if a is None else np.array(a, dtype, order="C"), "", tree)


def passes(module: Any, exact: dict[str, Any], wanted: Any, dtype: Any = None) -> dict[str, Any]:
    """What `fastlstm` or `reference` makes of a problem's numbers, of another float type where one is given."""
    with np.errstate(all="ignore"):
        if dtype is not None:
            floats = ("x", "params", "state", "h_mask", "dy", "dstate")
            exact = exact | {name: plain(exact[name], dtype) for name in floats}
        arguments = {name: exact[name] for name in PASSES}
        y, state, tape = module.forward_train(**arguments)
        found = {"y": y, "state": state}
        if "c" in wanted:
            found["c"] = module.forward_cells(**arguments)[2]
        if set(wanted) & set(BACKWARD):
            found |= zip(BACKWARD, module.backward(tape, exact["dy"], exact["dstate"]), strict=True)
        return found


def assert_near(found: dict[str, Any], exact: dict[str, Any]) -> None:
    """found, of the plain passes, lies as near to the reference in float64 as its float type allows.

    How far rounding errors grow hangs on the numbers (cells may be chaotic, or divide by what is almost 0). The
    reference itself, computed in float32, shows it: no entry may be off by more than NOISE times the largest error that
    it makes, and ROUNDINGS roundings of the largest entry; for float64 less by as much as its roundings are smaller.
    Where that is too little it may have been lucky: the reference of numbers that are off by half a rounding of float32
    makes errors as well.
    """
    right = passes(reference, exact, found, np.float64)
    rough = [passes(reference, exact, found, np.float32)]
    try:
        _assert_as_near(found, right, rough)
    except AssertionError:
        rough += [passes(reference, _moved(exact, seed), found, np.float64) for seed in range(MOVED)]
        _assert_as_near(found, right, rough)


def _moved(exact: dict[str, Any], seed: int) -> dict[str, Any]:
    """Weights and what else are no options, each number off by half a rounding of float32 or less."""
    rng, half = np.random.default_rng(seed), np.finfo(np.float32).eps / 2

    def off(_: str, a: Any) -> Any:
        return a if a is None else a.astype(np.float64) * (1 + half * rng.uniform(-1, 1, a.shape))

    return exact | {name: mapped(off, name, exact[name]) for name in ("x", "params", "state", "dy", "dstate")}


def _assert_as_near(found: dict[str, Any], right: dict[str, Any], rough: list[dict[str, Any]]) -> None:
    """found, as near to what is right as the rough ones allow."""
    for names in (FORWARD, BACKWARD):
        trees = [{path: a for name in names if name in each for path, a in walk(name, each[name]).items()}
                 for each in (found, right, *rough)]  # fmt: skip
        eps = np.finfo(next(iter(trees[0].values())).dtype).eps if trees[0] else 0.0
        noise = _largest(abs(_finite(tree[path]) - _finite(a)) for tree in trees[2:] for path, a in trees[1].items())
        scale = _largest(abs(_finite(a)) for a in trees[1].values())
        bound = eps * (NOISE * noise / np.finfo(np.float32).eps + ROUNDINGS * scale)
        for path, a in trees[0].items():
            b = trees[1][path]
            assert a.shape == b.shape, f"{path}: expected shape {b.shape}, got {a.shape}"
            assert_same_pattern(path, a, b, exact=names is FORWARD)
            wrong = np.isfinite(a) & (np.abs(_finite(a) - _finite(b)) > bound)
            assert not wrong.any(), (
                f"{path}: {np.count_nonzero(wrong)} of {a.size} numbers are not the reference's, the first at "
                f"{_first(wrong)}: expected {b[_first(wrong)]!s}, bound {bound:.1e}, got {a[_first(wrong)]!s}"
            )


def assert_same_pattern(path: str, a: np.ndarray, b: np.ndarray, *, exact: bool) -> None:
    """NaN and infinities stand in the same places.

    exact: each where the other one has the same. It is not so in gradients: x of the interpolated cell has weights of 0
    for the output gate, and 0 times an infinity, added to another infinity, is NaN.
    """
    alike = (np.isnan(a) & np.isnan(b)) | (a == b) if exact else ~np.isfinite(a) & ~np.isfinite(b)
    right = alike | (np.isfinite(a) & np.isfinite(b))
    wrong = ~right
    assert not wrong.any(), (
        f"{path}: NaN or infinities are not the reference's, at {_first(wrong)}: expected {b[_first(wrong)]!s}, "
        f"got {a[_first(wrong)]!s}"
    )


def assert_bits(name: str, found: Any, expected: Any) -> None:
    """The same structure, types, shapes and bits; any NaN is like another."""
    ours, theirs = walk(name, found), walk(name, expected)
    assert list(ours) == list(theirs), f"{name}: expected {list(theirs)}, got {list(ours)}"
    for path, a in ours.items():
        b = theirs[path]
        if not isinstance(b, np.ndarray):  # a number, nothing, or what stands for a cell
            assert a == b, f"{path}: expected {b}, got {a}"
            continue
        assert isinstance(a, np.ndarray), f"{path}: expected an array, got {type(a).__name__}"
        assert (a.shape, a.dtype) == (b.shape, b.dtype), (
            f"{path}: expected {b.dtype} of shape {b.shape}, got {a.dtype} of shape {a.shape}"
        )
        wrong = a != b
        if a.dtype.kind == "f":
            wrong = (wrong | (np.signbit(a) != np.signbit(b))) & ~(np.isnan(a) & np.isnan(b))
        assert not wrong.any(), (
            f"{path}: {np.count_nonzero(wrong)} of {a.size} numbers differ, the first at {_first(wrong)}: expected "
            f"{b[_first(wrong)]!r}, got {a[_first(wrong)]!r}"
        )


def _finite(a: np.ndarray) -> np.ndarray:
    return np.nan_to_num(a.astype(np.float64), nan=0, posinf=0, neginf=0)


def _largest(arrays: Iterator[np.ndarray]) -> float:
    return max((float(a.max(initial=0)) for a in arrays), default=0.0)


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(wrong)[0])
