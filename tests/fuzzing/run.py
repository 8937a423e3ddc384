"""A case, from its beginning to its end: AssertionError, or whatever error came, where something is wrong."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest

import fastlstm
from fastlstm.kernels import backend, threads

from . import compiled, damage
from .arena import Arena
from .cases import SHARING, Case, Layer, layer, layers, sizes
from .functions import FUNCTIONS, Entry
from .problem import BACKWARD, FORWARD, Problem, assert_bits, assert_near, mapped, passes, plain

COMPILED = compiled.kinds
FREELY = {("y", "x")}  # arguments that may lie in each other's memory, the same numbers at the same places


@contextlib.contextmanager
def shared(way: str) -> Iterator[None]:
    """One thread, or two however little the work is, which take sequences or share the units of all."""
    before = numba.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        numba.set_num_threads(1 if way == "one" else min(2, numba.config.NUMBA_NUM_THREADS))
        if way != "one":
            limits = {"_PARALLEL_WORK": 0, "_SHORT_WORK": 0}
            limits |= {"_WIDE_BYTES": 0, "_WIDE_UNITS": 0, "_DUO_UNITS": 0, "_DUO_STEPS": 0} if way == "units" else {}
            for name, value in limits.items():
                patch.setattr(backend, name, value)
            patch.setattr(threads.Payoff, "choose", lambda self: True)
        backend._shares.cache_clear()
        yield
    backend._shares.cache_clear()
    numba.set_num_threads(before)


def run(case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _run(case)


def prepare(case: Case) -> tuple[Entry, Problem, Any, dict[str, Any]]:
    entry, problem = FUNCTIONS[case.function], Problem(case, Arena(case.seed, case.form))
    return entry, problem, *entry.build(problem)


def _run(case: Case) -> None:
    with shared(case.sharing):
        entry, p, call, arguments = prepare(case)
        writing, leaf = entry.writes, None
        if case.alias:
            arguments = damage.aliased(arguments, case.alias, p.arena)
            writing += (re.split(r"\W", case.alias.split(":")[1])[0],)
            for name in {"x", "state", "dy", "dstate"} & set(arguments):
                p.exact[name] = plain(arguments[name], p.dtype)
            if case.function == "step":
                p.exact["x"] = p.exact["x"][..., None, :]
        if case.wrong:
            path, kind = case.wrong.split(":")
            leaf = damage.broken(damage.leaf_at(arguments, path), kind)
            arguments = damage.replaced(arguments, path, leaf)
        p.arena.begin()
        before = leaf.tobytes() if isinstance(leaf, np.ndarray) else None
        try:
            found = call(**arguments)
        except (ValueError, TypeError) as error:
            if not (case.wrong or case.alias):
                raise
            _assert_refused(case, error, arguments)
            changed = list(p.arena.changed())
            assert not changed, f"refused ({error}), but changed: {', '.join(changed)}"
            assert before is None or leaf.tobytes() == before, f"refused ({error}), but changed: {path}"
            return
        if case.wrong:
            assert kind in damage.MAY_WORK, f"{case.wrong}: expected an error, got none"
        changed = list(p.arena.changed(writing=writing))
        assert not changed, f"changed: {', '.join(changed)}"
    _compare(p, found)


def _assert_refused(case: Case, error: Exception, arguments: dict[str, Any]) -> None:
    """The message names the argument that is wrong; where a shape is, perhaps the one that it does not fit to."""
    name = re.match(r"\w*", str(error))[0]  # type: ignore[index]
    right = set(arguments) | {"packed", "params"}
    if case.wrong:
        path, kind = case.wrong.split(":")
        right = right if kind in damage.SHAPES else {re.split(r"\W", path)[0]}
    else:
        a, b = case.alias.split(":")
        assert (a, b) not in FREELY, f"{a} may be {b}, but: {error}"
    assert name in right, f"expected an error that begins with the argument's name, got {error!r}"


def _compare(p: Problem, found: dict[str, Any]) -> None:
    with shared("one"):
        twin = passes(fastlstm, p.exact, found)
        for name, result in found.items():
            if name in FORWARD + BACKWARD:
                assert_bits(name, result, twin[name])
            else:
                assert_bits(name, *result)
        wanted = {name: twin[name] for name in found if name in FORWARD + BACKWARD}
        if wanted:
            assert_near(wanted, p.exact)
        if p.special is not None and not p.single:
            _assert_apart(p, wanted)


def _assert_apart(p: Problem, found: dict[str, Any]) -> None:
    """What is special in one sequence changes no bit of another's."""
    tame = lambda _, a: a if a is None or a.dtype.kind != "f" else np.nan_to_num(a, nan=0.5, posinf=0.5, neginf=0.5)  # noqa: E731
    twin = passes(fastlstm, {name: mapped(tame, "", tree) if name != "reverse" else tree
                             for name, tree in p.exact.items()}, found)  # fmt: skip
    others = np.arange(p.N) != p.special
    for name in set(found) - {"dparams"}:
        pick = lambda _, a: a[others]  # noqa: E731
        assert_bits(f"{name} of the other sequences", mapped(pick, "", found[name]), mapped(pick, "", twin[name]))


def draw(seed: int, index: int, only: tuple[str, ...], kinds: list[Case]) -> Case:
    """The case of that number. only: names of functions; kinds: of calls from compiled code."""
    rng = np.random.default_rng([seed, index])
    compiled = {kind.function for kind in kinds}
    names = [name for name in FUNCTIONS if (not only or name in only) and (not FUNCTIONS[name].compiled
             or name in compiled)]  # fmt: skip
    name = str(rng.choice(names))
    entry = FUNCTIONS[name]
    case = Case(name, int(rng.integers(1 << 31)), ())
    if entry.compiled:
        kind = [kind for kind in kinds if kind.function == name]
        case = kind[int(rng.integers(len(kind)))]._replace(seed=case.seed)
        found = tuple(layer(rng, one.cell, both=False) for one in case.layers)
        options = case.options + (("special",) if rng.random() < 0.15 and "special" in entry.options else ())
    else:
        found = layers(rng, both="bidirectional" in entry.options)
        options = tuple(o for o in entry.options if o != "bidirectional" and rng.random() < (0.15 if o == "special" else 0.4))
        if any(one.both for one in found):
            options = tuple(o for o in options if o != "reverse")
        case = case._replace(dtype=str(rng.choice(["float32", "float64"])))
    form = "any" if rng.random() < 0.7 else "plain"
    case = case._replace(layers=found, options=tuple(sorted(options)), form=form, sharing=str(rng.choice(SHARING)),
                         **sizes(rng, found))  # fmt: skip
    if entry.needs is not None and not entry.needs(case):
        return draw(seed, index + (1 << 40), only, kinds)
    return case


def spoiled(case: Case) -> Case:
    """The case with something wrong in it, or with arguments in one memory, now and then."""
    rng = np.random.default_rng([case.seed, 1])
    entry = FUNCTIONS[case.function]
    kind = rng.random()
    if kind > 0.35:
        return case
    alias = kind < 0.15 and entry.writes
    case = case._replace(form="plain" if alias else case.form, options=tuple(o for o in case.options if o != "special"))
    if case.function == "step":
        case = case._replace(T=1)
    _, p, _, arguments = prepare(case)
    names = (damage.aliases(arguments, entry.writes, p.arena) if alias else
             damage.choices(arguments, entry.writes, compiled=entry.compiled))  # fmt: skip
    if not names:
        return case
    return case._replace(**{"alias" if alias else "wrong": str(rng.choice(names))})
