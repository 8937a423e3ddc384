"""What the tape keeps of a cell's step: few numbers, from which gradients are made without much that is dear.

A number that is kept is stored once and loaded twice, as that of the step and as that of the step before. What is not
kept is made again from what is, from the old c, from tanh of the new one and from unit weights. The search begins with
several choices that do, and goes on from each to the best of its neighbours: one number less, one more, or one for
another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .program import COST, live
from .trace import Trace

KEEP = 6  # what a number on the tape costs, in multiplications
TRIES = 1500  # of a search


class Recorded(NamedTuple):
    """Forward equations, written down.

    Attributes
    ----------
    trace : Trace
    z, w : tuple of int
        Places of the gates' sums and of the unit weights.
    state : int
        That of the old c; of the old h, if a cell has no other state.
    h : int or None
        That of the old h, if equations read it beside c.
    new, made : int
        Those of the new state and of the new h.
    t : int or None
        That of tanh of the new c, if equations have it.
    """

    trace: Trace
    z: tuple[int, ...]
    w: tuple[int, ...]
    state: int
    h: int | None
    new: int
    made: int
    t: int | None

    @property
    def alone(self) -> bool:
        """Whether h is the only state."""
        return self.trace.rows[self.state] == ("input", "h")


class Gradients(NamedTuple):
    """Places of the gradients that arrive, and of those of what equations read."""

    dh: int
    dc: int
    z: tuple[int, ...]
    w: tuple[int, ...]
    state: int
    h: int | None

    @property
    def outputs(self) -> tuple[int, ...]:
        return (*self.z, *self.w, self.state, *(() if self.h is None else (self.h,)))


class _Wanted(NamedTuple):
    """What has to be made: outputs from what is given, and from nothing that is shut, unless the tape has it."""

    outputs: tuple[int, ...]
    given: frozenset[int]
    shut: frozenset[int]


class _Search:
    def __init__(self, one: Recorded, of: Gradients) -> None:
        rows = one.trace.rows
        self.operands = [() if row[0] in ("input", "constant") else row[1:] for row in rows]
        self.costs = [COST.get(row[0], 0 if row[0] in ("input", "constant") else 1) for row in rows]
        t = () if one.t is None else (one.t,)
        h = () if one.h is None else (one.h,)
        self.wanted = [_Wanted(of.outputs, frozenset((one.state, *t, of.dh, of.dc, *one.w)), frozenset((*one.z, *h)))]
        if not one.alone:
            given, shut = frozenset((one.new, *t, *one.w)), frozenset((*one.z, *h, one.state))
            self.wanted.append(_Wanted((one.made,), given, shut - given))
        self.known: dict[frozenset[int], int | None] = {}

    def cost(self, kept: frozenset[int]) -> int | None:
        """Of a choice; None if something cannot be made, or after so many tries."""
        if kept not in self.known:
            if len(self.known) == TRIES:
                return None
            parts = [self._making(one, kept) for one in self.wanted]
            self.known[kept] = None if None in parts else KEEP * len(kept) + sum(part or 0 for part in parts)
        return self.known[kept]

    def _making(self, wanted: _Wanted, kept: frozenset[int]) -> int | None:
        found = set(wanted.given | kept)
        waiting, total = [place for place in wanted.outputs if place not in found], 0
        while waiting:
            place = waiting.pop()
            if place in found:
                continue
            if place in wanted.shut:
                return None
            found.add(place)
            total += self.costs[place]
            waiting += self.operands[place]
        return total

    def descend(self, kept: frozenset[int], choices: Sequence[int]) -> tuple[int, frozenset[int]] | None:
        """To a choice of which no neighbour is cheaper."""
        best = self.cost(kept)
        if best is None:
            return None
        while True:
            less = [kept - {n} for n in sorted(kept)]
            more = [kept | {n} for n in choices if n not in kept]
            found = self._least([*less, *more])
            if found is None or found[0] >= best:
                found = self._least([fewer | {n} for fewer in less for n in choices if n not in kept])
            if found is None or found[0] >= best:
                break
            best, kept = found
        return best, kept

    def _least(self, choices: Iterable[frozenset[int]]) -> tuple[int, frozenset[int]] | None:
        best: tuple[int, frozenset[int]] | None = None
        for kept in choices:
            cost = self.cost(kept)
            if cost is not None and (best is None or cost < best[0]):
                best = cost, kept
        return best


def choices_of(one: Recorded, of: Gradients) -> list[int]:
    """Places of what a tape may keep: nothing that is given in backward, or made of unit weights alone, as that is the
    same in every step."""
    rows = one.trace.rows
    given = {one.state, *(() if one.t is None else (one.t,)), *one.w}
    needed = live(rows, (*of.outputs, one.made), given) - given | {one.made}
    changing = {*one.z, one.state, *(() if one.h is None else (one.h,))}
    for place, (op, *operands) in enumerate(rows[: of.dh]):
        if op not in ("input", "constant") and not changing.isdisjoint(operands):
            changing.add(place)
    return [place for place in sorted(needed & changing) if rows[place][0] not in ("less", "less_equal")]


def best_tape(one: Recorded, of: Gradients) -> tuple[int, ...]:
    """Places of what the tape should keep, those of a gate side by side."""
    rows, search, choices = one.trace.rows, _Search(one, of), choices_of(one, of)
    made = {one.made} & {*choices}
    inputs = {place for place in choices if rows[place][0] == "input"}
    dear = {place for place in choices if rows[place][0] in COST}
    found = [search.descend(frozenset(start), choices) for start in (dear, dear | made, choices, inputs | made)]
    kept = min(filter(None, found), key=lambda choice: choice[0])[1]
    gates = [str(rows[place][1]).removeprefix("z.") for place in one.z]
    return tuple(sorted(kept, key=lambda place: ([*gates, "v"].index(_gate_of(one, place)), place)))


def names_of(one: Recorded, kept: Iterable[int]) -> tuple[str, ...]:
    """A name for each: that of the nearest gate whose sum it is made of. A sum itself is z_ and that; h_old the old h,
    and h the new one."""
    names: list[str] = []
    for place in kept:
        name = f"z_{_gate_of(one, place)}" if place in one.z else _gate_of(one, place)
        name = {one.h: "h_old", one.made: "h"}.get(place, name)
        while name in names:
            name += "_"
        names.append(name)
    return tuple(names)


def _gate_of(one: Recorded, place: int) -> str:
    """The name of the gate whose sum has the shortest way to a place; "v" where there is none."""
    rows, ring, seen = one.trace.rows, [place], {place}
    while ring:
        for found in ring:
            if found in one.z:
                return str(rows[found][1]).removeprefix("z.")
        ring = [n for at in ring if rows[at][0] not in ("input", "constant") for n in rows[at][1:] if n not in seen]
        seen.update(ring)
    return "v"
