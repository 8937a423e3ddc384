"""A model as one C header: written, compiled, run and compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile

from numpy.typing import DTypeLike

from ..files import file_name, regular
from ..types import WeightsOrModel
from . import proof
from .c_text import Header
from .plan import cast, plan_of
from .proof import Proof

_COMPILERS = "cc", "gcc", "clang"
_OPTIONS = "-std=c99", "-O2"
_SECONDS = 600  # that a compiler or a proof may take


def to_c(params: WeightsOrModel, path: str | os.PathLike[str], *, dtype: DTypeLike | None = None) -> Proof | None:
    """Write a model as one C header, which runs it step by step.

    The header has the weights as const arrays, a struct for the state, and two functions. In a file m.h they are
    m_reset(state) and m_step(state, x, y): their names begin with the file's, with _ for what a name in C cannot have.
    They need no memory but the state and the stack, and include <math.h> alone. C++ takes the header too.

    Under ``#ifdef M_TEST`` it has inputs, expected outputs, and a main that compares. If there is a C compiler (CC, cc,
    gcc, clang), this is compiled and run before the file comes to its place. If there is none, the file says so.

    Parameters
    ----------
    params : Params or another cell's record, what `pack` makes of them, a stack of these, or an `nn.Sequential`
        All layers run forwards, as a step cannot know what comes after it. A model computes what it predicts; if its
        output is that of the last step, each step gives it.
    path : str or path-like
        Ends in .h.
    dtype : {"float32", "float64"}, optional
        C's float or double; by default that of the weights.

    Returns
    -------
    Proof, or None where there is no compiler
        How far the outputs of the written file are from those of `fastlstm.reference`.

    Raises
    ------
    ValueError
        Weights that make no sense or are not finite, a model with a layer that has no such form, two directions,
        another suffix; or what was written does not compute what it should, and then nothing comes to its place.
    TypeError
        Neither weights nor a model; another type.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> params = fastlstm.init_params(3, 4, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     proof = fastlstm.to_c(params, os.path.join(folder, "m.h"))
    ...     with open(os.path.join(folder, "m.h")) as file:
    ...         lines = file.read().splitlines()
    >>> proof is None or proof.error < 1e-6
    True
    >>> [line for line in lines if "define" in line]
    ['#define M_H', '#define M_INPUT_SIZE 3', '#define M_OUTPUT_SIZE 4']
    """
    name = file_name(path)
    if not name.endswith(".h"):
        raise ValueError(f"path: expected a name that ends in .h, got {name!r}")
    plan = plan_of(params)
    if dtype is not None:
        plan = cast(plan, dtype)
    if not plan.steps:
        raise ValueError("params: expected layers of one direction that run forwards, as a step cannot know what comes "
                         "after it, got a Bidirectional or one that runs backwards")  # fmt: skip
    writer = Header(plan, identifier(name))
    return proof.write(name, lambda found: [(".h", writer.text(found).encode())], _check_where_one_can)


def identifier(path: str) -> str:
    """A file's name, without folder and suffix, as a name in C."""
    stem = os.path.splitext(os.path.basename(path))[0]
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem).lstrip("_")
    return f"m_{name}" if not name or name[0].isdigit() else name


def check(path: str) -> Proof:
    """Compile the file, run it, and compare.

    Raises
    ------
    RuntimeError
        There is no C compiler.
    """
    found = _check_where_one_can(path)
    if found is None:
        raise RuntimeError(f"expected a C compiler that works (CC, {', '.join(_COMPILERS)}), found none")
    return found


def _check_where_one_can(path: str) -> Proof | None:
    regular(path, "that to_c wrote")
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read()
    mark = re.search(r"^#ifdef ([A-Za-z0-9_]+_TEST)$", text, re.MULTILINE)
    if mark is None:
        raise ValueError("expected inputs and outputs behind #ifdef and a name that ends in _TEST, got none")
    for compiler in _compilers():
        with tempfile.TemporaryDirectory(prefix="fastlstm-") as folder:
            program = os.path.join(folder, "proof.exe")
            flags = [*_OPTIONS, f"-D{mark[1]}", "-x", "c"]
            made = _run(compiler, *flags, os.path.abspath(path), "-o", program, "-lm")
            if made.returncode == 0:
                version = _run(compiler, "--version").stdout.partition("\n")[0]
                return _judged(_run(program), f"{version} with {' '.join(_OPTIONS)}")
            if _works(compiler, folder):
                raise ValueError(f"expected a file that compiles, got {made.stderr.strip()[:500]}")
    return None


def _judged(ran: subprocess.CompletedProcess[str], by: str) -> Proof:
    """What the program of a proof has said."""
    by = re.sub(r"[^A-Za-z0-9 .,()_+~=-]", "_", by)
    said = re.search(r": largest difference (\S+), (\d+) numbers, (\d+) of them wrong\n", ran.stdout)
    if said is None:
        raise ValueError(f"expected it to say its largest difference, got {ran.stdout[:200]!r}, exit {ran.returncode}")
    if int(said[3]):
        raise ValueError(f"expected outputs as those of fastlstm.reference, got {said[3]} of {said[2]} numbers wrong, "
                         f"the largest difference {said[1]}, run by {by}")  # fmt: skip
    return Proof(float(said[1]), int(said[2]), by)


def _compilers() -> list[str]:
    names = [os.environ.get("CC", ""), *_COMPILERS]
    return [found for name in names if name and (found := shutil.which(name)) is not None]


def _works(compiler: str, folder: str) -> bool:
    """Whether it makes anything."""
    source = os.path.join(folder, "try.c")
    with open(source, "w") as file:
        file.write("#include <math.h>\n#include <stdio.h>\nint main(void) { return 0; }\n")
    return _run(compiler, source, "-o", os.path.join(folder, "try.exe"), "-lm").returncode == 0


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"expected {command[0]!r} to end within {_SECONDS} s, which it did not") from error
