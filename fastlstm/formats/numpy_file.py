"""A model as one Python file that needs NumPy alone, beside an .npz file with its weights."""

from __future__ import annotations

import hashlib
import io
import os
import runpy
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._version import __version__
from ..files import file_name, regular
from ..params import NORMALIZED_EPSILON, AnyParams, Array, cell_name, sizes, state_widths
from ..types import WeightsOrModel
from . import proof
from .equations import Language, Normed, Step, Times, Unit, lines_of, plain, step_of
from .plan import Activation, Dense, Masking, Plan, Recurrent, initial, plan_of
from .proof import Case, Proof

_NUMPY = Language(
    {"sigmoid": "sigmoid", "tanh": "np.tanh", "exp": "np.exp", "log": "np.log", "log1p": "np.log1p", "sqrt": "np.sqrt",
     "abs": "np.abs", "minimum": "np.minimum", "maximum": "np.maximum"},
    repr,
    "np.where({}, {}, {})",
)  # fmt: skip
_ACTIVATIONS = {
    "linear": "{}",
    "relu": "np.maximum({}, 0)",
    "sigmoid": "sigmoid({})",
    "tanh": "np.tanh({})",
    "softmax": "softmax({})",
    "softplus": "np.logaddexp({}, 0)",
    "elu": "elu({})",
    "exponential": "np.exp({})",
}
_HELPERS = {
    "sigmoid": ["return 0.5 * np.tanh(0.5 * v) + 0.5"],
    "softmax": ["e = np.exp(v - v.max(axis=-1, keepdims=True))", "return e / e.sum(axis=-1, keepdims=True)"],
    "elu": ["return np.where(v > 0, v, np.expm1(np.minimum(v, 0)))"],
    "moments": [
        "mean = v.mean(axis=-1, keepdims=True)",
        f"return mean, 1 / np.sqrt(v.var(axis=-1, keepdims=True) + {NORMALIZED_EPSILON!r})",
    ],
}
_MERGES = {
    "concat": "np.concatenate([one, two], axis=-1)",
    "sum": "one + two",
    "ave": "(one + two) / 2",
    "mul": "one * two",
}
_MODEL = '''
def scan(step, layer, x, state, real, backwards=False):
    """h after each step of x (N, T, D); the state goes on in place, where a sequence has that step."""
    weights, y = WEIGHTS[layer], np.empty((*x.shape[:2], state[0].shape[-1]), x.dtype)
    for t in range(x.shape[1])[:: -1 if backwards else 1]:
        for old, new in zip(state, step(x[:, t], *state, *weights)):
            np.copyto(old, new, where=real[:, t, None], casting="same_kind")
        y[:, t] = state[0]
    return y


def begin(N):
    """The states that N sequences begin with."""
    return [[np.tile(one, (N, 1)) for one in state] for state in STATES]


def layers(x, real, states):
    """All of the model over x (N, T, {D}); real (N, T): which steps the sequences have."""
    x = np.where(real[..., None], x, 0)
{body}
    return x


class Model:
    """Model()(x): whole sequences, x (N, T, {D}) or (T, {D}){lengths}. Model().step(x): see there."""

    def __init__(self):
        self.reset()

    def reset(self):
        """The next step is the first of new sequences."""
        self.states = None

    def __call__(self, x, lengths=None):
        x = np.asarray(x, "{dtype}")
        rows = x if x.ndim == 3 else x[None]
        N, T, _ = rows.shape
        real = np.arange(T) < np.broadcast_to(T if lengths is None else lengths, N)[:, None]
        y = layers(rows, real, begin(N))
        return y if x.ndim == 3 else y[0]

{step}

if __name__ == "__main__":  # the largest difference from what was expected when this file was written
    for n in range({cases}):
        print(np.abs(Model()(FILE[f"test.{{n}}.x"], FILE[f"test.{{n}}.lengths"]) - FILE[f"test.{{n}}.y"]).max())
'''
_STEP = '''    def step(self, x):
        """y after one more step, x (N, {D}) or ({D},), of each sequence."""
        x = np.asarray(x, "{dtype}")
        rows = np.atleast_2d(x)
        self.states = begin(len(rows)) if self.states is None else self.states
        y = layers(rows[:, None], np.ones((len(rows), 1), bool), self.states)
        return y.reshape(*x.shape[:-1], {M})
'''
_NO_STEP = """    def step(self, x):
        raise ValueError("this model reads sequences from their end too: it cannot step, call it")
"""


def to_numpy(params: WeightsOrModel, path: str | os.PathLike[str]) -> Proof:
    """Write a model as one Python file, which needs NumPy alone, and an .npz file with its weights beside it.

    The file has a class `Model`. ``Model()(x)`` runs whole sequences; ``step`` of a model runs one time step, and keeps
    the state for the next. The file is short, and meant to be read. It is run before it comes to its place
    (`fastlstm.formats.prove`).

    Parameters
    ----------
    params : Params or another cell's record, Bidirectional, what `pack` makes of them, a stack of these, or an
        `nn.Sequential`, of which it is what the model predicts
    path : str or path-like
        Ends in .py. The other file has the same name with .npz.

    Returns
    -------
    Proof
        How far the outputs of the written file are from those of `fastlstm.reference`.

    Raises
    ------
    ValueError
        Weights that make no sense or are not finite, a model with a layer that has no such form, another suffix, an
        .npz file that is something else; or what was written does not compute what it should. Nothing comes to its
        place then.
    TypeError
        Neither weights nor a model.
    OSError
        The files cannot be written.

    Examples
    --------
    >>> import os, runpy, tempfile, numpy as np, fastlstm
    >>> params = fastlstm.init_params(16, 32, rng=0)
    >>> x = np.ones((4, 10, 16), np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     proof = fastlstm.to_numpy(params, os.path.join(folder, "mine.py"))
    ...     again = fastlstm.formats.prove(os.path.join(folder, "mine.py"))
    ...     model = runpy.run_path(os.path.join(folder, "mine.py"))["Model"]()  # as `from mine import Model`
    >>> model(x).shape, model.step(x[0, 0]).shape, proof.error < 1e-6, again.numbers
    ((4, 10, 32), (32,), True, 576)
    """
    name = file_name(path)
    if not name.endswith(".py"):
        raise ValueError(f"path: expected a name that ends in .py, got {name!r}")
    former = _former(name, os.path.splitext(name)[0] + ".npz")
    writer = _Writer(plan_of(params))
    found = proof.write(name, lambda made: writer.files(made, former), check)
    assert found is not None
    return found


def _former(script: str, name: str) -> Mapping[str, Array]:
    """The entries that the Python file at that place reads, if there is one. Anything else in the place of the .npz
    file is refused: weights of `fastlstm.save`, say, from which this file is made."""
    if not os.path.exists(name):
        return {}
    regular(name, "to write")
    try:
        with np.load(name) as file:
            found: dict[str, Array] = dict(file) if "test.steps" in file.files else {}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile):
        found = {}
    if not found:
        raise ValueError(f"path: expected no other file in the place of the weights, got {name!r}, which to_numpy "
                         "did not write")  # fmt: skip
    if not os.path.exists(script):
        return {}
    with open(script, encoding="utf-8", errors="replace") as source:
        text = source.read()
    named = [key.partition("/") for key in found if "/" in key]  # those of a write that was killed
    plain = {key: array for key, array in found.items() if "/" not in key}
    return plain | {key: found[f"{mark}/{key}"] for mark, _, key in named if mark in text}


def check(path: str) -> Proof:
    """Run the file on the inputs beside it, whole and step by step, and compare."""
    name = os.path.splitext(path)[0] + ".npz"
    for one in (path, name):
        os.stat(one)
    found = _former(path, name)
    cases: list[Case] = []
    while f"test.{len(cases)}.x" in found:
        cases.append(Case(*(found[f"test.{len(cases)}.{field}"] for field in Case._fields)))
    if not cases:
        raise ValueError("expected inputs and outputs beside it, got none")
    model, by = runpy.run_path(path)["Model"], f"NumPy {np.__version__}"
    ways = [[model()(case.x, case.lengths) for case in cases]]
    if found["test.steps"]:
        ways.append([_stepped(model(), case) for case in cases])
    kind, tolerance = cases[0].x.dtype, float(found["test.tolerance"])
    return max(proof.compare(cases, outputs, kind, by, tolerance) for outputs in ways)  # by their errors


def _stepped(model: Any, case: Case) -> Array:
    """y by steps. A sequence's last output is that of its last real step."""
    outputs = [model.step(x) for x in case.x.swapaxes(0, 1)]
    if case.y.ndim == 3:
        return np.stack(outputs, axis=1)
    return np.array([outputs[length - 1][n] for n, length in enumerate(case.lengths)])


def _npz(entries: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **entries)
    return buffer.getvalue()


class _Writer:
    """Writes a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cases = proof.cases(plan)
        self.used: set[str] = set()  # operations
        self.steps: dict[type[AnyParams], str] = {}  # names of functions
        self.functions: list[str] = []
        self.arrays: dict[str, Any] = {}
        self.weights: list[str] = []
        self.states: list[str] = []
        body = [line for number, stage in enumerate(plan.stages) for line in self._stage(number, stage)]
        self.body = "\n".join(f"    {line}" if line else "" for line in body)
        for number, case in enumerate(self.cases):
            self.arrays |= {f"test.{number}.{field}": array for field, array in case._asdict().items()}
        self.arrays["test.tolerance"] = np.array(proof.tolerance(plan, self.cases))
        self.arrays["test.steps"] = np.array(plan.steps)
        self.mark = hashlib.sha256(b"".join(array.tobytes() for array in self.arrays.values())).hexdigest()[:16]

    def files(self, found: Proof | None, former: Mapping[str, Array]) -> list[tuple[str, bytes]]:
        """Whenever the writing ends, the Python file that is there finds its weights: while it is replaced, those of
        the former one stand beside the new ones, whose names then begin with their mark."""
        error = np.array(np.nan if found is None else found.error)
        entries: dict[str, Any] = {"mark": np.array(self.mark), **self.arrays, "test.error": error}
        made = [(".py", self._text(found).encode()), (".npz", _npz(entries))]
        if not former:
            return made[::-1]
        both = {**former, **{f"{self.mark}/{key}": array for key, array in entries.items()}}
        return [(".npz", _npz(both)), *made]

    def _text(self, found: Proof | None) -> str:
        plan = self.plan
        sizes = {"D": plan.input_size, "M": plan.output_size, "dtype": plan.dtype.name}
        step = (_STEP if plan.steps else _NO_STEP).format(**sizes)
        lengths = ", lengths (N,)"
        model = _MODEL.format(body=self.body, step=step, lengths=lengths, cases=len(self.cases), **sizes)
        helpers = [
            "\n".join(["", "", f"def {name}(v):", *(f"    {line}" for line in lines)])
            for name, lines in _HELPERS.items()
            if name in self.used
        ]
        return "\n".join([*self._head(found), *helpers, *self.functions, "", model.rstrip("\n"), ""])

    def _head(self, found: Proof | None) -> Iterator[str]:
        plan, last = self.plan, "(N, T, M)" if self.plan.returns_sequences else "(N, M)"
        last = last.replace("M", str(plan.output_size))
        yield f'"""x (N, T, {plan.input_size}) -> y {last}, in NumPy alone. Written by fastlstm {__version__}.'
        yield ""
        yield "The weights are in the .npz file beside this one, with inputs and what has to come out: run it to see."
        yield f"Proof: {found or 'not run yet'}."
        yield '"""'
        yield ""
        yield "from pathlib import Path"
        yield ""
        yield "import numpy as np"
        yield ""
        yield 'with np.load(Path(__file__).with_suffix(".npz")) as file:'
        yield "    FILE = dict(file)"
        yield f'own = [key for key in FILE if key.startswith("{self.mark}/")]  # where writing was cut off'
        yield 'FILE |= {key.partition("/")[2]: FILE[key] for key in own}'
        yield f'if str(FILE["mark"]) != "{self.mark}":'
        yield '    raise ImportError("expected the .npz file that was written with this one, got another")'
        yield "WEIGHTS = {"
        yield from self.weights
        yield "}"
        yield f"STATES = [{', '.join(self.states)}]  # where sequences begin"

    # stages

    def _stage(self, number: int, stage: Any) -> Iterator[str]:
        if isinstance(stage, Recurrent):
            yield from self._recurrent(number, stage)
        elif isinstance(stage, Dense):
            self.arrays[f"{number}.W"], self.arrays[f"{number}.b"] = stage.W, stage.b
            product = f'x @ FILE["{number}.W"] + FILE["{number}.b"]'
            yield f"x = {self._activated(stage.activation, product)}  # {' -> '.join(map(str, stage.W.shape))}"
        elif isinstance(stage, Activation):
            yield f"x = {self._activated(stage.name, 'x')}"
        elif isinstance(stage, Masking):
            yield f"real = real & (x != {stage.value!r}).any(axis=-1)  # all others are left out"
            yield "x = np.where(real[..., None], x, 0)"

    def _activated(self, name: str, text: str) -> str:
        self.used.add(name)
        return _ACTIVATIONS[name].format(text)

    def _recurrent(self, number: int, stage: Recurrent) -> Iterator[str]:
        first = len(self.states)
        names = []
        for way, record in enumerate(stage.records):
            key = str(number) + (".backward" if way else ".forward" if len(stage.records) == 2 else "")
            fields = [f"{key}.{field}" for field in record._fields]
            self.arrays |= dict(zip(fields, record, strict=True))
            keys = ", ".join(f'FILE["{field}"]' for field in fields)
            D, H, P = sizes(record)
            cell = f"{cell_name(type(record)).split('#')[0].rpartition('.')[2]}, {D} -> {H}" + f" -> {P}" * (P != H)
            self.weights.append(f'    "{key}": ({keys}),  # {cell}')
            self._state(key, number, way, record)
            backwards = ", backwards=True" if way or stage.backwards else ""
            call = f'scan({self._step(type(record))}, "{key}", x, states[{first + way}], real{backwards})'
            names.append(call)
        if len(names) == 1:
            yield f"x = {names[0]}" if stage.returns_sequences else names[0]
        else:
            yield f"one = {names[0]}"
            yield f"two = {names[1]}"
        if not stage.returns_sequences:
            ends = [f"states[{first + way}][0].copy()" for way in range(len(names))]
            yield f"x = {ends[0]}" if len(names) == 1 else f"one, two = {', '.join(ends)}"
        if len(names) == 2:
            yield f"x = {_MERGES[stage.merge]}"
        if stage.returns_sequences and stage.zeros:
            yield "x = np.where(real[..., None], x, 0)"
        if stage.returns_sequences and stage.backwards and len(names) == 1:
            yield "x = x[:, ::-1]"

    def _state(self, key: str, number: int, way: int, record: AnyParams) -> None:
        place = sum(isinstance(stage, Recurrent) for stage in self.plan.stages[:number])
        state = initial(self.plan, 1)[place][way]
        names = [f"{key}.state.{field}" for field in state_widths(record)]
        self.arrays |= {name: array[0].astype(self.plan.dtype) for name, array in zip(names, state, strict=True)}
        keys = [f'FILE["{name}"]' for name in names]
        self.states.append(f"({', '.join(keys)}{',' * (len(keys) == 1)})")

    # cells

    def _step(self, record: type[AnyParams]) -> str:
        """The name of the function that is one step of such a cell."""
        if record not in self.steps:
            name = plain(cell_name(record).split("#")[0].rpartition(".")[2]) + "_step"
            taken = [*self.steps.values()].count
            while taken(name):
                name += "_"
            self.steps[record] = name
            step = step_of(record)
            lines = "\n".join(f"    {line}" for line in self._step_lines(step))
            arguments = ", ".join(["x", *step.states, *record._fields])
            self.functions.append(f"\n\ndef {name}({arguments}):\n{lines}")
        return self.steps[record]

    def _step_lines(self, step: Step) -> Iterator[str]:
        for one in (one for section in step.sections for one in section.before):
            if isinstance(one, Times) and one.block is not None:  # the last of its field's blocks
                yield f"{one.field}, {_later(one)} = np.split({one.field}, [{one.block} * len({one.field})], axis=-1)"
        yield from _sums(step)
        yield from _units(step.units)
        known: dict[int, str] = {}
        for section in step.sections:
            for one in section.before:
                yield self._before(one)
            for name, text in lines_of(step, section, known, _NUMPY, self.used):
                yield f"{name} = {text}" + (".copy()" if text in ("h", "c") else "")
        yield "return " + ", ".join(f"{state}_new" for state in step.states) + ("," if len(step.states) == 1 else "")

    def _before(self, one: Times | Normed) -> str:
        if isinstance(one, Normed):
            self.used.add("moments")
            return f"{one.mean}, {one.scale} = moments({one.of})"
        return f"{one.made} = {one.of} @ {_later(one)}"


def _later(one: Times) -> str:
    """The matrix of a product that comes later."""
    return one.field if one.block is None else f"{one.field}_{one.made}"


def _sums(step: Step) -> Iterator[str]:
    """z of each gate, from blocks of columns of what has them."""
    terms = {"W": ("x @ W", "xW"), "U": ("h @ U", "hU"), "b": ("b", "bias")}
    groups: dict[tuple[int, ...], list[str]] = {}
    for field in terms:
        if any(block >= 0 for block in step.columns[field]):
            groups.setdefault(step.columns[field], []).append(field)
    found: dict[str, list[str]] = {gate: [] for gate in step.gates}
    for fields in groups.values():
        blocks = step.blocks(fields[0])
        prefix = "z" if len(groups) == 1 else terms[fields[0]][1]
        for gate in blocks:
            found[gate].append(f"{prefix}_{gate}")
        made = " + ".join(terms[field][0] for field in fields)
        yield _split([f"{prefix}_{gate}" for gate in blocks], made)
    if len(groups) > 1:
        yield f"{', '.join(f'z_{gate}' for gate in found)} = {', '.join(' + '.join(one) for one in found.values())}"


def _units(units: tuple[Unit, ...]) -> Iterator[str]:
    """Unit weights by their names."""
    for field in dict.fromkeys(unit.field for unit in units):
        own = sorted((unit.block, unit.name) for unit in units if unit.field == field)
        names = [name for _, name in own]
        if names != [field]:
            yield _split(names, field)


def _split(names: list[str], made: str) -> str:
    if len(names) == 1:
        return f"{names[0]} = {made}"
    return f"{', '.join(names)} = np.split({made}, {len(names)}, axis=-1)"
