"""python -m fastlstm convert IN OUT: weights and models from one kind of file to another.

`FORMATS` is the table of the kinds: a new one is a row. What a kind cannot hold is an error, and so is a file that does
not compute what its origin does.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from . import nn
from .formats import proof, safetensors_file
from .formats.as_layers import model_of_plan
from .formats.c_header import to_c
from .formats.keras import from_keras
from .formats.nam import from_nam
from .formats.npz import load, save
from .formats.numpy_file import to_numpy
from .formats.onnx import all_of_onnx, to_onnx
from .formats.plan import Activation, Dense, Masking, Plan, Recurrent, Stage, plan_of, run
from .formats.proof import Proof
from .formats.rtneural import from_rtneural, to_rtneural
from .formats.torch import from_torch, to_torch
from .nn._src.saving import MARK
from .params import ROWS, AnyParams, Bidirectional, cell_name, sizes


class Format(NamedTuple):
    """Files of one kind.

    Attributes
    ----------
    name : str
        What they are called.
    read : function or None
        From a path, and the name of the part that is asked for or None, to weights or a model.
    write : function or None
        Weights or a model to a path. What it returns is the proof of the file; None where nothing was there to run it.
    gates : mapping of str to str
        By cell, the gates in the order of their blocks, where it is not that of `fastlstm.Params` and its like.
    parts : str
        What a part of such a file is, if it has parts.
    """

    name: str
    read: Callable[[str, str | None], Any] | None = None
    write: Callable[[Any, str], Proof | None] | None = None
    gates: Mapping[str, str] = {}
    parts: str = ""


def _read_npz(path: str, _: str | None) -> Any:
    return load(path)


def _write_npz(given: Any, path: str) -> Proof:
    return read_back(_stack(given), path, save_as=lambda weights, name: save(name, weights), read=load)


def _read_safetensors(path: str, part: str | None) -> Any:
    """A model of fastlstm.nn says so in its file; any other file has PyTorch's names."""
    with safetensors_file.opened(path) as file:
        ours = MARK in file.about
    if ours and part is not None:
        raise ValueError(f"--part: expected none, as {path!r} is a model of fastlstm.nn, read whole, got {part!r}")
    return nn.load_model(path, compile=False) if ours else from_torch(path, part or "")


def _write_safetensors(given: Any, path: str) -> Proof:
    """A model as one of fastlstm.nn, weights by PyTorch's names."""
    if _is_model(given):
        return _write_model(given, path)
    return read_back(given, path, save_as=lambda weights, name: to_torch(weights, path=name), read=from_torch)


def _read_keras(path: str, part: str | None) -> Any:
    return nn.load_keras(path, compile=False) if part is None else from_keras(path, part)


def _write_model(given: Any, path: str) -> Proof:
    """A file of a whole model; of weights one is made."""
    model = given if _is_model(given) else model_of_plan(plan_of(given))
    load_again = nn.load_keras if path.endswith(".keras") else nn.load_model
    save_as = type(model).save
    return read_back(model, path, save_as=save_as, read=lambda name: load_again(name, compile=False))


def _is_model(given: Any) -> bool:
    """Whether it is a `Sequential`, and not weights alone."""
    return hasattr(type(given), "_described")


def _read_rtneural(path: str, _: str | None) -> Any:
    return from_rtneural(path)


def _read_nam(path: str, _: str | None) -> Any:
    return from_nam(path)


_OF_KERAS = {"gru": "z r n", "gru_before": "z r n"}
_OF_ONNX = {"standard": "i o f g", "peephole": "i o f g", **_OF_KERAS}
FORMATS: dict[str, Format] = {
    ".npz": Format("weights of fastlstm.save", _read_npz, _write_npz),
    ".safetensors": Format("weights by PyTorch's names, or a model of fastlstm.nn", _read_safetensors,
                           _write_safetensors, parts="what names begin with"),
    ".keras": Format("a model of Keras", _read_keras, _write_model, _OF_KERAS, "a layer"),
    ".h5": Format("a model or weights of Keras", _read_keras, None, _OF_KERAS, "a layer"),
    ".onnx": Format("an ONNX file", all_of_onnx, to_onnx, _OF_ONNX, "an LSTM or GRU node"),
    ".json": Format("a model in RTNeural's JSON", _read_rtneural, to_rtneural, {"gru": "z r n"}),
    ".nam": Format("a model of Neural Amp Modeler", _read_nam),
    ".py": Format("a Python file for NumPy alone", None, to_numpy),
    ".h": Format("a C header", None, to_c),
}  # fmt: skip
"""The kinds of files, by suffix."""


def main(argv: Sequence[str] = ()) -> None:
    """Read, say what was found, write, say what the proof was."""
    readers, writers = ([suffix for suffix, one in FORMATS.items() if getattr(one, way)] for way in ("read", "write"))
    parser = argparse.ArgumentParser(
        prog="python -m fastlstm convert",
        description="Weights and models from one kind of file to another. What is written is run and compared with "
        "what was read before it comes to its place.",
    )
    parser.add_argument("IN", help=f"what to read: {', '.join(readers)}")
    parser.add_argument("OUT", help=f"what to write: {', '.join(writers)}")
    parts = [f"{one.parts} ({suffix})" for suffix, one in FORMATS.items() if one.parts]
    if parts:
        parser.add_argument("--part", help=f"which part of IN: {', '.join(parts)}")
    options = parser.parse_args(argv)
    try:
        convert(options.IN, options.OUT, getattr(options, "part", None))
    except (ValueError, TypeError, RuntimeError, ImportError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def convert(source: str, target: str, part: str | None = None) -> None:
    """One file to another; prints what it does.

    Raises
    ------
    ValueError, TypeError, RuntimeError, ImportError, OSError
        As the readers and the writers; ValueError for a suffix that is none of the table's.
    """
    came, goes = _format("IN", source, "read"), _format("OUT", target, "write")
    assert came.read is not None
    assert goes.write is not None
    if part is not None and not came.parts:
        raise ValueError(f"--part: expected none, as {source!r} is read whole, got {part!r}")
    given = came.read(source, part)
    plan = plan_of(given)
    for line in found(plan, came, goes):
        print(line.format(IN=source, OUT=target))
    made = goes.write(given, target)
    print(f"proof: {made or 'not run, as nothing is here to run such a file'}")


def _format(argument: str, path: str, way: str) -> Format:
    suffix = os.path.splitext(path)[1].lower()
    known = [one for one, row in FORMATS.items() if getattr(row, way) is not None]
    if suffix not in known:
        raise ValueError(f"{argument}: expected a file to {way} that ends in {', '.join(known)}, got {path!r}")
    return FORMATS[suffix]


def found(plan: Plan, came: Format, goes: Format) -> list[str]:
    """What is in a file, and where each gate is before and after; {IN} and {OUT} stand for the files."""
    y = f"(N, T, {plan.output_size})" if plan.returns_sequences else f"(N, {plan.output_size})"
    lines = [f"{{IN}}: {came.name}, x (N, T, {plan.input_size}) -> y {y}, {plan.dtype}"]
    for number, stage in enumerate(plan.stages):
        lines.append(f"  {number}  {_said(stage)}")
        if isinstance(stage, Recurrent):
            kind = type(stage.records[0])
            lines.append(f"     gates {_order(kind, came)} -> {_order(kind, goes)}")
    return [*lines, f"{{OUT}}: {goes.name}"]


def _order(record: type[AnyParams], files: Format) -> str:
    return files.gates.get(cell_name(record), " ".join(ROWS[record].gates))


def _said(stage: Stage) -> str:
    if isinstance(stage, Recurrent):
        D, H, P = sizes(stage.records[0])
        name = cell_name(type(stage.records[0])).partition("#")[0]
        way = f", both directions, {stage.merge}" if len(stage.records) == 2 else ", backwards" * stage.backwards
        last = "" if stage.returns_sequences else ", its last step"
        begins = "" if stage.states is None else ", with an initial state"
        return f"{name} cell, {D} -> {H}{f' -> {P}' if P != H else ''}{way}{last}{begins}"
    if isinstance(stage, Dense):
        return f"dense, {' -> '.join(map(str, stage.W.shape))}, {stage.activation}"
    if isinstance(stage, Masking):
        return f"steps of {stage.value} alone are left out"
    return f"activation {stage.name}"


def _stack(given: Any) -> Any:
    """Weights as they are; of a model, if they are all of it."""
    plan = plan_of(given)
    if not _is_model(given):
        return given
    for number, stage in enumerate(plan.stages):
        if isinstance(stage, (Dense, Masking, Activation)):
            raise ValueError(f"expected recurrent layers alone, got stage {number}: {_said(stage)}")
        if stage != Recurrent(stage.records, zeros=stage.zeros):
            raise ValueError(f"expected layers that forward runs, got stage {number}: {_said(stage)}")
    ways = [stage.records for stage in plan.recurrent]
    return [Bidirectional(*records) if len(records) == 2 else records[0] for records in ways]


def read_back(given: Any, path: str, *, save_as: Callable[[Any, str], Any], read: Callable[[str], Any]) -> Proof:
    """Writes a file that carries no proof of its own: what is read back from it has to compute the same."""
    plan = plan_of(given)
    cases = proof.cases(plan)
    suffix = os.path.splitext(path)[1]

    def check(name: str) -> Proof:
        again = plan_of(read(name))
        outputs = [run(again, case.x, case.lengths)[0] for case in cases]
        return proof.compare(cases, outputs, plan.dtype, "fastlstm.reference on what was read back")

    with tempfile.TemporaryDirectory(prefix="fastlstm-") as folder:
        name = os.path.join(folder, f"written{suffix}")
        save_as(given, name)
        with open(name, "rb") as file:
            content = file.read()
    made = proof.write(path, lambda _: [(suffix, content)], check)
    assert made is not None
    return made
