"""What is called: one entry a function.

An entry takes a Problem and returns a function and its arguments by name. It calls the public function, and gives back
what came out, by the names of `problem.passes` (y, state, c, dx, dparams, dstate), which are compared to the bit with
what the plain passes make of the same numbers; under any other name it gives a pair that must be the same.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from oracles import map_leaves
from random_cells import number_of, record_of

import fastlstm
from fastlstm.params import CELLS, ROWS, ProjectedParams, shapes

from .arena import KEPT, ROOMS
from .problem import Problem, mapped, walk

Call = tuple[Callable[..., dict[str, Any]], dict[str, Any]]


class Entry(NamedTuple):
    """A function in the table.

    Attributes
    ----------
    build : function of a Problem that returns a Call
    options : tuple of str
        Those of cases.OPTIONS that it takes.
    writes : tuple of str
        Arguments that it changes.
    needs : function of a Case, or None
        Whether it can be called so.
    plain : bool
        Whether it is called once, as it is: then it is also called with wrong arguments.
    compiled : bool
        Whether Numba compiles the call; then layers, types and axes come from a few kinds.
    takes : tuple of str
        How damage ends that is no error here: `step` asks for no subclass of an array in the state, which would take it
        too long, and compiled code runs in one thread, for which less room than that of all will do.
    """

    build: Callable[[Problem], Call]
    options: tuple[str, ...]
    writes: tuple[str, ...] = ()
    needs: Callable[[Any], bool] | None = None
    plain: bool = True
    compiled: bool = False
    takes: tuple[str, ...] = ()


FUNCTIONS: dict[str, Entry] = {}
_WHOLE = "bidirectional h_mask lengths packed reset reverse single special stack state"
_CHUNK = "single special stack state"


def entry(options: str, writes: str = "", **more: Any) -> Callable[[Callable[[Problem], Call]], Any]:
    def put(build: Callable[[Problem], Call]) -> Callable[[Problem], Call]:
        FUNCTIONS[build.__name__.strip("_")] = Entry(build, tuple(options.split()), tuple(writes.split()), **more)
        return build

    return put


@entry(_WHOLE)
def forward(p: Problem) -> Call:
    def call(**given: Any) -> dict[str, Any]:
        return dict(zip(("y", "state"), fastlstm.forward(**given), strict=True))

    return call, p.arguments("x params state lengths reverse reset h_mask")


def _has_c(case: Any) -> bool:
    """Whether all layers have one."""
    return all("c" in ROWS[record_of(one.cell)].state._fields for one in case.layers)


@entry(_WHOLE, needs=_has_c)
def forward_cells(p: Problem) -> Call:
    def call(**given: Any) -> dict[str, Any]:
        return dict(zip(("y", "state", "c"), fastlstm.forward_cells(**given), strict=True))

    return call, p.arguments("x params state lengths reverse reset h_mask")


@entry(_WHOLE)
def forward_train(p: Problem) -> Call:
    def call(**given: Any) -> dict[str, Any]:
        y, state, tape = fastlstm.forward_train(**given)
        tape = pickle.loads(pickle.dumps(tape)) if p.rng("pickle").random() < 0.1 else tape
        cells = {"c": tape.c} if _has_c(p.case) else {}
        return {"y": y, "state": state, "tape.x": (tape.x, p.exact["x"])} | cells

    return call, p.arguments("x params state lengths reverse reset h_mask")


@entry(_WHOLE + " dy dstate")
def backward(p: Problem) -> Call:
    tape = fastlstm.forward_train(**p.arguments("x params state lengths reverse reset h_mask"))[2]

    def call(**given: Any) -> dict[str, Any]:
        first, again = (
            dict(zip(("dx", "dparams", "dstate"), fastlstm.backward(**given), strict=True)) for _ in range(2)
        )
        return first | {f"{name} again": (again[name], first[name]) for name in first}

    return call, {"tape": tape} | p.arguments("dy dstate")


@entry("bidirectional h_mask packed reset reverse special stack state", needs=lambda case: case.N > 0, plain=False)
def a_sequence_alone(p: Problem) -> Call:
    """forward of each sequence by itself, without the batch's axis."""

    def call(x: Any, params: Any, state: Any, reverse: bool, reset: Any, h_mask: Any) -> dict[str, Any]:
        found = []
        for n in range(p.N):
            one = lambda tree, n=n: mapped(lambda _, a: None if a is None else np.asarray(a)[n], "", tree)  # noqa: E731
            found.append(fastlstm.forward(
                one(x), params, one(state), reverse=reverse, reset=one(reset), h_mask=one(h_mask)
            ))  # fmt: skip
        y, state = _stacked(found)
        return {"y": y, "state": state}

    return call, p.arguments("x params state reverse reset h_mask")


def _stacked(trees: list[Any]) -> Any:
    """Trees of one structure -> one, each array with one axis more in front."""
    columns = [list(walk("", tree).values()) for tree in trees]
    each = iter([np.stack(arrays) for arrays in zip(*columns, strict=True)])
    return mapped(lambda _, __: next(each), "", trees[0])


@entry("h_mask packed single special stack state", plain=False)
def chunks(p: Problem) -> Call:
    """forward in pieces, the state carried over."""
    cuts = [0, *sorted(p.rng("cuts").integers(0, p.T + 1, 2).tolist()), p.T]

    def call(x: Any, params: Any, state: Any, h_mask: Any) -> dict[str, Any]:
        x, parts = np.asarray(x), []
        for begin, end in pairwise(cuts):
            y, state = fastlstm.forward(x[..., begin:end, :], params, state, h_mask=h_mask)
            parts.append(y)
        return {"y": np.concatenate(parts, axis=-2), "state": state}

    return call, p.arguments("x params state h_mask")


@entry("bidirectional stack single")
def pack(p: Problem) -> Call:
    def call(params: Any, x: Any) -> dict[str, Any]:
        packed = fastlstm.pack(params)
        y, state = fastlstm.forward(x, packed)
        return {"y": y, "state": state, "again": (pickle.loads(pickle.dumps(packed)), packed)}

    return call, p.arguments("params x")


@entry(_CHUNK, "state", takes=("masked",))
def step(p: Problem) -> Call:
    packed, state = p.packed(), p.state_room()
    x = p.given["x"]
    steps = [x[t] if p.single else _rows(x, t) for t in range(p.T)]

    def call(x: Any, packed: Any, state: Any) -> dict[str, Any]:
        ys = []
        for each in [x, *steps[1:]]:
            fastlstm.step(each, packed, state)
            ys.append((state[-1] if type(state) is tuple else state).h.copy())
        return {"y": np.stack(ys, axis=-2), "state": state}

    if not steps:
        return (lambda packed, state: {"state": state}), {"packed": packed, "state": state}
    return call, {"x": steps[0], "packed": packed, "state": state}


def _rows(x: Any, t: int) -> Any:
    """Step t of all sequences."""
    return [row[t] for row in x] if isinstance(x, list) else x[:, t]


@entry(_CHUNK, "state y")
def forward_into(p: Problem) -> Call:
    def call(**given: Any) -> dict[str, Any]:
        fastlstm.forward_into(**given)
        return {"y": given["y"], "state": given["state"]}

    return call, p.arguments("x") | {"packed": p.packed(), "state": p.state_room(), "y": y_room(p)}


def y_room(p: Problem, forms: tuple[str, ...] = ROOMS) -> Any:
    return p.room("y", p.rng("y").standard_normal(p.y_shape).astype(p.dtype), forms)


@entry(_CHUNK, "state y tape")
def forward_train_into(p: Problem) -> Call:
    given = p.arguments("x") | {"packed": p.packed(), "state": p.state_room(), "y": y_room(p)}
    given["tape"] = p.room("tape", fastlstm.make_tape(given["packed"], p.N, p.T))
    grads = fastlstm.make_grads(given["packed"], p.N, p.T)

    def call(**given: Any) -> dict[str, Any]:
        fastlstm.forward_train_into(**given)
        found = {"y": given["y"].copy(), "state": given["state"]}
        if p.single:
            return found
        fastlstm.backward_into(given["tape"], given["packed"], p.exact["dy"], p.exact["dstate"], grads)
        return found | {"dx": grads.x, "dparams": grads.params, "dstate": grads.state}

    return call, given


@entry(_CHUNK + " dy dstate", "tape grads")
def backward_into(p: Problem) -> Call:
    packed, state, tape, grads = trained(p)
    y = np.empty(p.y_shape, p.dtype)
    fastlstm.forward_train_into(p.given["x"], packed, state, y, tape)

    def call(**given: Any) -> dict[str, Any]:
        for _ in range(2):  # the tape may be used again
            fastlstm.backward_into(**given)
        grads = given["grads"]
        return {"dx": grads.x, "dparams": grads.params, "dstate": grads.state}

    return call, {"tape": tape, "packed": packed} | p.arguments("dy dstate") | {"grads": grads}


def trained(p: Problem, forms: tuple[str, ...] = ("plain", "read_only")) -> tuple[Any, Any, Any, Any]:
    """Packed weights, a copy of the state, a tape and gradients, the last two in the arena."""
    packed = p.packed(forms)
    state = map_leaves(np.copy, p.state_room())
    grads = fastlstm.make_grads(packed, p.N, p.T)
    if p.single:
        grads = grads._replace(x=grads.x[0], state=map_leaves(lambda a: a[0], grads.state))
    fill = lambda _, a: np.full_like(a, 0.5)  # noqa: E731
    grads = p.room("grads", mapped(fill, "", grads))
    return packed, state, p.room("tape", fastlstm.make_tape(packed, p.N, p.T)), grads


@entry("stack", "packed")
def pack_into(p: Problem) -> Call:
    packed, new = other_weights(p), fastlstm.pack(p.params)

    def call(params: Any, packed: Any) -> dict[str, Any]:
        fastlstm.pack_into(params, packed)
        return {"packed": (packed, new)}

    return call, p.arguments("params") | {"packed": packed}


def other_weights(p: Problem) -> Any:
    """What pack makes of other weights of the same sizes, to be written to."""
    return p.room("packed", fastlstm.pack(mapped(lambda _, a: np.ones_like(a), "", p.params)))


@entry("reset special stack state", needs=lambda case: case.N > 0)
def stream(p: Problem) -> Call:
    """Steps and chunks in turns; with resets one step at a time."""
    reset = p.exact["reset"]

    def call(params: Any, batch_size: int, x: Any, state: Any) -> dict[str, Any]:
        stream, rng, t, ys = fastlstm.Stream(params, batch_size), p.rng("stream"), 0, []
        if state is not None:
            stream.state = state
        x = x if isinstance(x, np.ndarray) else np.asarray(x)
        if x.ndim != 3 or p.T == 0:
            stream.run(x)  # an error, or no step
        while t < p.T:
            if reset is not None:
                stream.reset(reset[:, t])
            if reset is not None or rng.random() < 0.5:
                ys.append(stream(x[:, t])[:, None])
            else:
                ys.append(stream.run(x[:, t : t + int(rng.integers(1, 4))]))
            t += ys[-1].shape[1]
            if rng.random() < 0.2:
                stream = pickle.loads(pickle.dumps(stream))
        return ({"y": np.concatenate(ys, axis=1)} if ys else {}) | {"state": stream.state}

    return call, p.arguments("params") | {"batch_size": p.N} | p.arguments("x state")


@entry("bidirectional packed stack")
def save_load(p: Problem) -> Call:
    def call(params: Any) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weights")
            fastlstm.save(path, params)
            return {"params": (fastlstm.load(path), p.params)}

    return call, p.arguments("params")


def _torch_has(case: Any) -> bool:
    """Whether torch.nn.LSTM or torch.nn.GRU has such layers."""
    fit = {"standard": lambda one: True, "gru": lambda one: True, "projected": lambda one: one.P < one.H}
    same = {(one.cell, one.H, one.P, one.both) for one in case.layers}
    return len(same) == 1 and all(one.cell in fit and fit[one.cell](one) for one in case.layers)


@entry("bidirectional packed stack", needs=_torch_has)
def torch_names(p: Problem) -> Call:
    """from_torch of what to_torch makes."""
    named = fastlstm.to_torch(p.given["params"])
    layers = p.params if type(p.params) is tuple else (p.params,)

    def call(state_dict: tuple[Any, ...]) -> dict[str, Any]:
        return {"params": (fastlstm.from_torch(dict(zip(named, state_dict, strict=True))), layers)}

    return call, {"state_dict": tuple(p.arena.give(name, a, KEPT) for name, a in named.items())}


@entry("", needs=lambda case: number_of(case.layers[0].cell) is None)
def init_params(p: Problem) -> Call:
    layer = p.case.layers[0]
    record, P = CELLS[layer.cell], layer.P if CELLS[layer.cell] is ProjectedParams else None

    def call(**given: Any) -> dict[str, Any]:
        first, again = (fastlstm.init_params(**given, rng=p.case.seed, dtype=p.dtype) for _ in range(2))
        assert type(first) is record
        assert {a.dtype for a in first} == {p.dtype}
        assert dict(zip(first._fields, (a.shape for a in first), strict=True)) == shapes(record, p.D, layer.H, layer.P)
        for block in np.split(first.U.astype(np.float64), len(ROWS[record].gates), axis=1):
            assert np.allclose(block @ block.T, np.eye(layer.P), atol=1e-5), "U: rows are not orthonormal"
        limit = np.sqrt(6 / (p.D + layer.H)) * (1 + 1e-6)
        assert (np.abs(first.W) <= limit).all(), "W: beyond Glorot's limit"
        return {"again": (again, first)}

    more = {} if P is None else {"projection_size": P}
    return call, {"input_size": p.D, "hidden_size": layer.H, "cell": layer.cell} | more


@entry("bidirectional packed stack")
def zero_state(p: Problem) -> Call:
    def call(params: Any, batch_size: int) -> dict[str, Any]:
        found = fastlstm.zero_state(params, batch_size)
        _, state = fastlstm.forward(np.zeros((p.N, 0, p.D)), p.params)  # of no steps: where it begins
        return {"zeros": (found, state)}

    return call, p.arguments("params") | {"batch_size": p.N}


@entry("stack")
def make_tape_and_grads(p: Problem) -> Call:
    def call(packed: Any, N: int, T: int) -> dict[str, Any]:
        fastlstm.make_tape(packed, N, T)
        grads = fastlstm.make_grads(packed, N, T)
        zeros = mapped(lambda _, a: np.zeros_like(a), "", (grads.params, fastlstm.zero_state(p.params, N)))
        return {"grads": (tuple(grads), (np.zeros((N, T, p.D), p.dtype), *zeros))}

    return call, {"packed": p.packed(), "N": p.N, "T": p.T}
