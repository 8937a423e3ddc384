"""A case, from its beginning to its end: AssertionError, or whatever error came, where something is wrong."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from random_cells import number_of, text_of
from ways import SHARES, forced

import fastlstm

from . import damage
from .arena import Arena
from .cases import TABLE, Among, Case, layer, layers, sizes
from .functions import FUNCTIONS, Entry
from .problem import BACKWARD, FORWARD, Problem, assert_bits, assert_near, mapped, passes, plain

FREELY = {("y", "x")}  # arguments that may be one array


def run(case: Case) -> None:
    """Nothing where the function cannot be called so."""
    needs = FUNCTIONS[case.function].needs
    if needs is not None and not needs(case):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _run(case)


def prepare(case: Case) -> tuple[Entry, Problem, Any, dict[str, Any]]:
    entry, problem = FUNCTIONS[case.function], Problem(case, Arena(case.seed, case.form))
    return entry, problem, *entry.build(problem)


def _run(case: Case) -> None:
    with forced(case.sharing):
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
            leaf = damage.broken(path, damage.leaf_at(arguments, path), kind, p.arena)
            arguments = damage.replaced(arguments, path, leaf)
        p.arena.begin()
        before = leaf.tobytes() if isinstance(leaf, np.ndarray) else None
        refusal: Exception | None = None
        try:
            found = call(**arguments)
        except (ValueError, TypeError) as error:
            if not (case.wrong or case.alias):
                raise
            refusal = error
        changed = list(p.arena.changed(writing=() if refusal else writing))
        if refusal is not None:
            _assert_refused(case, refusal, arguments)
            assert not changed, f"refused ({refusal}), but changed: {', '.join(changed)}"
            assert before is None or leaf.tobytes() == before, f"refused ({refusal}), but changed: {path}"
            return
        empty = entry.compiled and isinstance(leaf, np.ndarray) and not leaf.size  # compiled code may compare sizes
        assert not case.wrong or kind in damage.MAY_WORK or empty, f"{case.wrong}: expected an error, got none"
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
        one = damage.leaf_at(arguments, a).shape == damage.leaf_at(arguments, b).shape
        assert not one or (a, b) not in FREELY, f"{a} may be {b}, but: {error}"
    assert name in right, f"expected an error that begins with the argument's name, got {error!r}"


def _compare(p: Problem, found: dict[str, Any]) -> None:
    with forced("one"):
        twin = passes(fastlstm, p.exact, found)
        for name, result in found.items():
            if name in FORWARD + BACKWARD:
                assert_bits(name, result, twin[name])
            else:
                assert_bits(name, *result)
        wanted = {name: twin[name] for name in found if name in FORWARD + BACKWARD}
        near = {name: tree for name, tree in wanted.items() if name in FORWARD or not _jumps(p.case)}
        if near:
            assert_near(near, p.exact)
        if p.special is not None and not p.single:
            _assert_apart(p, wanted)


def _jumps(case: Case) -> bool:
    """Whether a rounding may change gradients, which are not continuous: of float32, that happens."""
    own = [one.cell for one in case.layers if number_of(one.cell) is not None]
    return case.dtype == "float32" and not all(text_of(cell).smooth for cell in own)


def _assert_apart(p: Problem, found: dict[str, Any]) -> None:
    """What is special in one sequence changes no bit of another's."""
    tame = lambda _, a: a if a is None or a.dtype.kind != "f" else np.nan_to_num(a, nan=0.5, posinf=0.5, neginf=0.5)  # noqa: E731
    twin = passes(fastlstm, {name: mapped(tame, "", tree) if name != "reverse" else tree
                             for name, tree in p.exact.items()}, found)  # fmt: skip
    others = np.arange(p.N) != p.special
    for name in set(found) - {"dparams"}:
        pick = lambda _, a: a[others]  # noqa: E731
        assert_bits(f"{name} of the other sequences", mapped(pick, "", found[name]), mapped(pick, "", twin[name]))


def draw(seed: int, index: int, only: tuple[str, ...], kinds: list[Case], among: Among = TABLE) -> Iterator[Case]:
    """The cases of that number: one, and after it perhaps the same with something wrong in it.

    only: names of functions; kinds: of calls from compiled code."""
    rng = np.random.default_rng([seed, index])
    case = _drawn(rng, only, kinds, among)
    yield case
    spoiled = _spoiled(rng, case)
    if spoiled is not None:
        yield spoiled


def _drawn(rng: np.random.Generator, only: tuple[str, ...], kinds: list[Case], among: Among) -> Case:
    there = {kind.function for kind in kinds}
    names = [name for name, entry in FUNCTIONS.items()
             if (not only or name in only) and (name in there or not entry.compiled)]  # fmt: skip
    while True:
        name, seed = str(rng.choice(names)), int(rng.integers(1 << 31))
        entry = FUNCTIONS[name]
        if entry.compiled:
            same = [kind for kind in kinds if kind.function == name]
            case = same[int(rng.integers(len(same)))]
            case = case._replace(layers=tuple(layer(rng, one.cell, both=False) for one in case.layers))
        else:
            options = [o for o in entry.options if o not in ("bidirectional", "special") and rng.random() < 0.4]
            found = layers(rng, "bidirectional" in entry.options, among.cells)
            if any(one.both for one in found):
                options = [option for option in options if option != "reverse"]
            case = Case(name, seed, found, str(rng.choice(among.dtypes)), options=tuple(options))
        special = ("special",) if "special" in entry.options and rng.random() < 0.15 else ()
        case = case._replace(seed=seed, options=case.options + special, **sizes(rng, case.layers),
                             form="any" if rng.random() < 0.7 else "plain")  # fmt: skip
        if rng.random() < 0.5:
            alone = case.N == 1 or case.uses("single")
            case = case._replace(sharing=str(rng.choice([way for way in SHARES if alone or way != "sequence"])))
        if entry.needs is None or entry.needs(case):
            return case


def _spoiled(rng: np.random.Generator, case: Case) -> Case | None:
    """The case with a wrong argument, or with two arguments in one memory; None mostly."""
    entry, kind = FUNCTIONS[case.function], rng.random()
    if kind > 0.4 or not entry.plain:
        return None
    alias = kind < 0.15 and bool(entry.writes)
    case = case._replace(options=tuple(option for option in case.options if option != "special"))
    if alias:
        case = case._replace(form="plain")
    if case.function == "step":
        case = case._replace(T=1)
    try:
        with forced(case.sharing):
            *_, arguments = prepare(case)
    except Exception:  # then the case itself has failed
        return None
    if alias:
        names = damage.aliases(arguments, entry.writes)
    else:
        names = damage.choices(arguments, entry.writes, compiled=entry.compiled)
        names = [name for name in names if not name.endswith(entry.takes or "-")]
    return case._replace(**{"alias" if alias else "wrong": str(rng.choice(names))}) if names else None
