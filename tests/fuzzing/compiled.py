"""Entries for what is called from compiled code.

Each kind of a call (function, cells, float type, axes, what is None) compiles for seconds: so a run draws a few of them
(`kinds`), and makes each one's function once, for arrays of any strides.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numba import types

import fastlstm

from . import functions
from .cases import Among, Case, Layer
from .functions import Call, entry
from .problem import Problem

STRIDED = ("plain", "fortran", "backwards", "gaps", "turned")  # forms of x that are of one type


def steps(x: Any, packed: Any, state: Any) -> None:
    for t in range(x.shape[-2]):
        fastlstm.step(x[..., t, :], packed, state)


def chunk(x: Any, packed: Any, state: Any, y: Any) -> None:
    fastlstm.forward_into(x, packed, state, y)


def train(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> None:
    fastlstm.forward_train_into(x, packed, state, y, tape)


def back(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> None:
    fastlstm.backward_into(tape, packed, dy, dstate, grads)


def again(params: Any, packed: Any) -> None:
    fastlstm.pack_into(params, packed)


@functools.cache
def _compiled(function: Any, kinds: tuple[Any, ...]) -> Any:
    made = numba.njit(function)
    made.compile(kinds)
    made.disable_compile()
    return made


def compiled(function: Any, given: dict[str, Any]) -> Any:
    """function, compiled for arguments of such types; x and y may have any strides."""

    def kind(name: str, value: Any) -> Any:
        found = numba.typeof(value)
        return types.Array(found.dtype, found.ndim, "A") if name in ("x", "y") else found

    return _compiled(function, tuple(kind(*item) for item in given.items()))


def _x(p: Problem) -> Any:
    return p.arena.give("x", p.exact["x"], STRIDED)


def call_of(function: Any, given: dict[str, Any], *names: str) -> Call:
    """names: of the arguments that give the results y and state."""
    made = compiled(function, given)

    def call(**given: Any) -> dict[str, Any]:
        made(*given.values())
        return {name: given[name] for name in names}

    return call, given


@entry("single special state stack", "state", compiled=True, needs=lambda case: case.T > 0)
def compiled_step(p: Problem) -> Call:
    return call_of(steps, {"x": _x(p), "packed": p.packed(("plain",)), "state": p.state_room()}, "state")


@entry("single special state stack", "state y", compiled=True)
def compiled_forward_into(p: Problem) -> Call:
    given = {"x": _x(p), "packed": p.packed(("plain",)), "state": p.state_room(), "y": functions.y_room(p)}
    return call_of(chunk, given, "y", "state")


@entry("single special state stack", "state y tape", compiled=True, takes=("tmp:shorter",))
def compiled_forward_train_into(p: Problem) -> Call:
    given = {"x": _x(p), "packed": p.packed(("plain",)), "state": p.state_room(), "y": functions.y_room(p)}
    given["tape"] = p.room("tape", fastlstm.make_tape(given["packed"], p.N, p.T))
    return call_of(train, given, "y", "state")


@entry("dstate dy single special state stack", "tape grads", compiled=True, takes=("tmp:shorter",))
def compiled_backward_into(p: Problem) -> Call:
    packed, state, tape, grads = functions.trained(p, ("plain",))
    fastlstm.forward_train_into(p.exact["x"], packed, state, np.empty(p.y_shape, p.dtype), tape)
    ends = {name: None if p.exact[name] is None else p.room(name, p.exact[name]) for name in ("dy", "dstate")}
    given = {"tape": tape, "packed": packed} | ends | {"grads": grads}
    call, given = call_of(back, given)

    def results(**given: Any) -> dict[str, Any]:
        call(**given)
        return dict(zip(("dx", "dparams", "dstate"), given["grads"], strict=True))

    return results, given


@entry("stack", "packed", compiled=True)
def compiled_pack_into(p: Problem) -> Call:
    packed, new = functions.other_weights(p), fastlstm.pack(p.params)
    params = p.room("params", p.params)
    call, given = call_of(again, {"params": params, "packed": packed})

    def results(**given: Any) -> dict[str, Any]:
        call(**given)
        return {"packed": (given["packed"], new)}

    return results, given


def kinds(rng: np.random.Generator, count: int, only: tuple[str, ...], among: Among) -> list[Case]:
    """That many kinds: cases whose function, cells, type and options stand, but no sizes. only: as in run.draw; one at
    least of a function that is named there."""
    names = [name for name, one in functions.FUNCTIONS.items() if one.compiled and (not only or name in only)]
    found = []
    for _ in range(max(count, 1 if only else 0) if names else 0):
        name = str(rng.choice(names))
        cells = rng.choice(among.cells, int(rng.choice([1, 2], p=[0.8, 0.2])))
        options = [option for option in functions.FUNCTIONS[name].options if option != "special" and rng.random() < 0.4]
        layers = tuple(Layer(str(cell), 1, 1) for cell in cells)
        found.append(Case(name, 0, layers, str(rng.choice(among.dtypes)), options=tuple(options)))
    return found
