"""Random calls of every public function, held against `fastlstm.reference`.

    python tests/fuzz.py --seconds 60 --seed 0
    python tests/fuzz.py --seconds 60 --only forward,step
    python tests/fuzz.py --seconds 900 --own            # random cells of one's own, in the place of the table's
    python tests/fuzz.py --case "forward seed=7 layers=standard-5 dtype=float32 N=2 T=3 D=4 options=lengths"

A seed's cases are always the same and come in the same order; the seconds say how far it goes. Calls run in another
process: where that crashes, or hangs, the case is reported like one that gives a wrong number. Whatever fails is made
smaller, as long as it fails in the same way, and printed as a case that can be run alone. The parts are in `fuzzing`.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from fuzzing import compiled, run
from fuzzing.cases import TABLE, Among, Case
from fuzzing.functions import FUNCTIONS
from oracles import of_nan
from random_cells import number_of, text_of

from fastlstm.cpu import engine
from fastlstm.cpu.machine import memory

HANGS = 300.0  # seconds after which a case hangs; it may have to compile
TRIES = 100  # smaller cases that are tried where one has failed
TRIES_ALONE = 10  # the same, where each needs a process of its own
OWN_CASES = 50  # of a random cell, before another one is compiled
OWN_AT_ONCE = 4  # random cells that a process compiles: what it has compiled stays in its memory
KIND_SECONDS = 10  # of a run for each kind of call from compiled code, which takes half of that or so to compile


def main(argv: Sequence[str] | None = None) -> int:
    """0 if nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of functions, with commas")
    parser.add_argument("--own", action="store_true", help="random cells of one's own")
    parser.add_argument("--case", default="", help="one case, as it was printed")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # a worker: from case `at` on, until then
    parser.add_argument("--at", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if unknown := set(filter(None, given.only.split(","))) - set(FUNCTIONS):
        parser.error(f"--only: expected names out of {', '.join(FUNCTIONS)}, got {', '.join(sorted(unknown))}")
    if given.seed < 0:
        parser.error(f"--seed: expected at least 0, got {given.seed}")
    try:
        case = Case.parse(given.case) if given.case else None
    except ValueError as error:
        parser.error(f"--case: {error}")
    if case and case.function not in FUNCTIONS:
        parser.error(f"--case: expected one of {', '.join(FUNCTIONS)}, got {case.function!r}")
    if given.until is not None:
        worker(given)
        return 0
    if case:
        why = alone(case)
        if why is not None:
            report(case, why)
        return 1 if why is not None else 0
    return hunt(given)


def hunt(given: argparse.Namespace) -> int:
    """Workers one after the other, until the time is over; of each kind of failure one is printed."""
    began, at, calls, failures = time.time(), 0, Counter[str](), Counter[str]()
    until = began + given.seconds
    while time.time() < until:
        for event in watch(["--until", until, "--at", at, "--seconds", given.seconds, "--seed", given.seed,
                            "--only", given.only, *["--own"] * given.own]):  # fmt: skip
            case, why = Case.parse(event["case"]), event["why"]
            if why is None:
                at, calls = event["at"] + 1, calls + Counter([case.function])
                continue
            failures[kind(case, why)] += 1
            if failures[kind(case, why)] == 1:
                report(*(shrunk(case, why, alone, TRIES_ALONE) if event["died"] else (case, why)))
    print(f"{calls.total()} cases of {len(calls)} functions in {time.time() - began:.0f} s, seed {given.seed}: "
          f"{failures.total()} failed")  # fmt: skip
    print(", ".join(f"{name} {count}" for name, count in sorted(calls.items())))
    return 1 if failures else 0


def report(case: Case, why: str) -> None:
    print(f'FAILED {why}\n    python tests/fuzz.py --case "{case}"\n', flush=True)
    for cell in {one.cell for one in case.layers if number_of(one.cell) is not None}:
        print(text_of(cell).code, flush=True)


def kind(case: Case, why: str) -> str:
    """What failures have in common that are of one kind: all but numbers and places in a stack."""
    words = re.sub(r"\[\d+\]|\.(forward|backward)\b", "", f"{case.function} {why}")
    return re.sub(r"-?(\d[\d.]*(e[+-]?\d+)?|nan|inf)", "#", words)[:100]


def shrunk(case: Case, why: str, attempt: Callable[[Case], str | None], tries: int) -> tuple[Case, str]:
    """The smallest case found in some tries that fails in the same way, and what is wrong with it."""
    wanted, smaller = kind(case, why), case.smaller()
    for _ in range(tries):
        other = next(smaller, None)
        if other is None:
            break
        found = attempt(other)
        if found is not None and kind(other, found) == wanted:
            case, why, smaller = other, found, other.smaller()
    return case, why


def watch(arguments: list[Any], program: str = __file__) -> Iterator[dict[str, Any]]:
    """What a worker says, a line for each case before it begins and for each failure; if it dies, the failure of the
    case that it was at."""
    last: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, program, *map(str, arguments)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            for line in process.stdout or ():
                last = json.loads(line)
                yield last
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().strip()
            if not last:
                raise SystemExit(f"{program}: the worker did not begin: {said}")
            said = said.split("\n\n")[0]  # faulthandler's first lines
            yield last | {"why": f"the process died, status {process.returncode}: {said}", "died": True}


def say(at: int, case: Case, why: str | None = None) -> None:
    print(json.dumps({"at": at, "case": str(case), "why": why, "died": False}), flush=True)


def alone(case: Case) -> str | None:
    """What is wrong with a case, which is run in a process of its own."""
    return next((event["why"] for event in watch(["--until", 0, "--case", case]) if event["why"]), None)


def attempt(case: Case) -> str | None:
    """What is wrong with a case, in this process."""
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        run.run(case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:1000]
    finally:
        faulthandler.cancel_dump_traceback_later()
    return None


def worker(given: argparse.Namespace) -> None:
    faulthandler.enable()
    # what stands in memory before it is written to must not matter
    for place, name in ((memory, "empty"), (memory, "aligned"), (memory, "scratch"), (engine, "empty")):
        setattr(place, name, functools.partial(of_nan, getattr(place, name)))
    if given.case:
        case = Case.parse(given.case)
        say(0, case)
        if why := attempt(case):
            say(0, case, why)
        return
    only = tuple(filter(None, given.only.split(",")))
    seen, at = set(), given.at
    kinds = compiled.kinds(np.random.default_rng(given.seed), int(given.seconds) // KIND_SECONDS, only, TABLE)
    among = TABLE
    while time.time() < given.until:
        if given.own:
            among, kinds = own_cells(given.seed, at // OWN_CASES, only)
        for case in run.draw(given.seed, at, only, kinds, among):
            say(at, case)
            why = attempt(case)
            if why is None:
                continue
            if kind(case, why) not in seen:
                seen.add(kind(case, why))
                case, why = shrunk(case, why, attempt, TRIES)
            say(at, case, why)
        at += 1
        if given.own and at % (OWN_AT_ONCE * OWN_CASES) == 0:
            break  # the next process goes on


def own_cells(seed: int, number: int, only: tuple[str, ...]) -> tuple[Among, list[Case]]:
    """A random cell of one's own, of one type, now and then in a stack with others; and a kind of call of it from
    compiled code."""
    own = f"own{1000 * seed + number}"
    others = ["standard", "gru", "gru_before"]
    among = Among([own] * 4 + others, [str(np.random.default_rng([seed, number]).choice(TABLE.dtypes))])
    return among, compiled.kinds(np.random.default_rng([seed, number]), 1, only, Among([own], among.dtypes))


if __name__ == "__main__":
    sys.exit(main())
