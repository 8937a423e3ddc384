"""The text of a C header: a plan's weights, its state, and a function that runs one time step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._version import __version__
from ..params import NORMALIZED_EPSILON, AnyParams, Array, cell_name, sizes, state_widths
from . import proof
from .equations import Language, Normed, Section, Step, Times, lines_of, plain, step_of
from .plan import Activation, Dense, Masking, Plan, Recurrent, initial
from .proof import Case, Proof

_MATH = "tanh", "exp", "log", "log1p", "sqrt", "expm1"
_HELPERS = {
    "add": """\
/* z += x @ W, for count columns of W, whose rows are stride long */
static inline void {name}_add({real} *z, const {real} *x, int n, const {real} *W, int stride, int count)
{{
    const int whole = n - n % 4;
    for (int i = 0; i < whole; i += 4) {{
        const {real} a = x[i], b = x[i + 1], c = x[i + 2], d = x[i + 3];
        const {real} *w0 = W + i * stride, *w1 = w0 + stride, *w2 = w1 + stride, *w3 = w2 + stride;
        for (int j = 0; j < count; ++j) z[j] += a * w0[j] + b * w1[j] + c * w2[j] + d * w3[j];
    }}
    for (int i = whole; i < n; ++i)
        for (int j = 0; j < count; ++j) z[j] += x[i] * W[i * stride + j];
}}""",
    "moments": """\
/* of v[n]: its mean, and one over its standard deviation */
static inline void {name}_moments(const {real} *v, int n, {real} *mean, {real} *scale)
{{
    {real} sum = 0, squares = 0;
    for (int j = 0; j < n; ++j) sum += v[j];
    *mean = sum / n;
    for (int j = 0; j < n; ++j) squares += (v[j] - *mean) * (v[j] - *mean);
    *scale = 1 / {sqrt}(squares / n + {epsilon});
}}""",
    "sigmoid": "static inline {real} {name}_sigmoid({real} v) {{ return 1 / (1 + {exp}(-v)); }}",
    "minimum": "static inline {real} {name}_minimum({real} a, {real} b) {{ return a < b || a != a ? a : b; }}",
    "maximum": "static inline {real} {name}_maximum({real} a, {real} b) {{ return a > b || a != a ? a : b; }}",
    "softmax": """\
static inline void {name}_softmax({real} *v, int n)
{{
    {real} most = v[0], sum = 0;
    for (int j = 1; j < n; ++j) most = v[j] > most ? v[j] : most;
    for (int j = 0; j < n; ++j) sum += v[j] = {exp}(v[j] - most);
    for (int j = 0; j < n; ++j) v[j] /= sum;
}}""",
}
_ACTIVATIONS = {
    "relu": "v[j] > 0 ? v[j] : 0",
    "sigmoid": "{name}_sigmoid(v[j])",
    "tanh": "{tanh}(v[j])",
    "softplus": "(v[j] > 0 ? v[j] : 0) + {log1p}({exp}(-{abs}(v[j])))",
    "elu": "v[j] > 0 ? v[j] : {expm1}(v[j])",
    "exponential": "{exp}(v[j])",
}
_FORM = """\
/* x[{D}] -> y[{M}], one time step after another, in C99 or C++. Written by fastlstm {version}.

     {name}_state state;
     {name}_reset(&state);            where a sequence begins
     {name}_step(&state, x, y);       at each of its steps

   It calls <math.h> alone, and takes no memory but the state's {bytes} bytes and the stack. The file comes with no
   licence: it is its owner's, like the weights in it.
   Proof: {proof}.
   Once more: cc -std=c99 -D{NAME}_TEST -x c this_file -lm && ./a.out */
#ifndef {NAME}_H
#define {NAME}_H

#include <math.h>

#define {NAME}_INPUT_SIZE {D}
#define {NAME}_OUTPUT_SIZE {M}

typedef struct {{
{fields}
}} {name}_state;

{arrays}

{functions}

static inline void {name}_reset({name}_state *state)
{{
{reset}
}}

static inline void {name}_step({name}_state *state, const {real} *x, {real} *y)
{{
{body}
}}

#ifdef {NAME}_TEST
#include <stdio.h>

/* sequences one after another: their lengths, inputs, and what has to come out {when} */
{test_arrays}

int main(void)
{{
    static {name}_state state;
    static {real} y[{NAME}_OUTPUT_SIZE];
    const {real} *x = {name}_test_x;
    const double *expected = {name}_test_y;
    double largest = 0; /* of the differences */
    int numbers = 0, wrong = 0;
    for (int n = 0; n < {sequences}; ++n) {{
        {name}_reset(&state);
        for (int t = 0; t < {name}_test_lengths[n]; ++t, x += {NAME}_INPUT_SIZE) {{
            {name}_step(&state, x, y);
{last}            for (int j = 0; j < {NAME}_OUTPUT_SIZE; ++j, ++numbers) {{
                const double difference = fabs(y[j] - *expected++);
                largest = difference <= largest ? largest : difference;
                wrong += !(difference <= {allowed!r});
            }}
        }}
    }}
    printf("{name}: largest difference %.2e, %d numbers, %d of them wrong\\n", largest{scale}, numbers, wrong);
    return wrong != 0;
}}
#endif
#endif
"""


class Header:
    """Writes a plan."""

    def __init__(self, plan: Plan, name: str) -> None:
        self.plan, self.name = plan, name
        single = plan.dtype == np.float32
        end = "f" if single else ""
        self.words = {"name": name, "NAME": name.upper(), "real": "float" if single else "double"}
        self.words |= {function: function + end for function in _MATH} | {"abs": "fabs" + end}
        self.words["epsilon"] = self.number(NORMALIZED_EPSILON)
        functions = {function: self.words[function] for function in (*_MATH, "abs")}
        functions |= {one: f"{name}_{one}" for one in ("sigmoid", "minimum", "maximum")}
        self.language = Language(functions, self.number, "({} ? {} : {})")
        self.used: set[str] = set()
        self.fields: list[str] = []
        self.arrays: list[str] = []
        self.functions: list[str] = []
        self.reset: list[str] = []
        self.masked = any(isinstance(stage, Masking) for stage in plan.stages)
        self.body = list(self._body())
        self.cases = proof.cases(plan)

    def number(self, value: float) -> str:
        text = f"{value:.9g}f" if self.plan.dtype == np.float32 else repr(float(value))
        return text if "." in text or "e" in text else text.replace("f", "") + ".0" + "f" * text.endswith("f")

    def text(self, found: Proof | None) -> str:
        plan = self.plan
        helpers = [form.format(**self.words) for name, form in _HELPERS.items() if name in self.used]
        largest = max([1.0, *(float(np.abs(case.y).max()) for case in self.cases)])
        last = "" if plan.returns_sequences else f"            if (t + 1 < {self.name}_test_lengths[n]) continue;\n"
        widths = [width for stage in plan.recurrent for width in state_widths(stage.records[0]).values()]
        return _FORM.format(
            **self.words,
            D=plan.input_size,
            M=plan.output_size,
            version=__version__,
            bytes=sum(widths) * plan.dtype.itemsize,
            proof=found or "not run, as no C compiler was at hand",
            fields=_indented(self.fields),
            arrays="\n".join(self.arrays),
            functions="\n\n".join([*helpers, *self.functions]),
            reset=_indented(self.reset),
            body=_indented(self.body),
            when="at each step" if plan.returns_sequences else "at the last step",
            test_arrays="\n".join(self._test_arrays()),
            sequences=sum(len(case.x) for case in self.cases),
            last=last,
            allowed=proof.tolerance(plan, self.cases) * largest,
            scale=f" / {largest!r}" if largest > 1 else "",
        )

    def _array(self, name: str, array: Array, kind: str = "") -> str:
        """A const array, eight numbers a line."""
        flat = array.ravel().tolist()
        texts = [self.number(one) if not kind else repr(one) for one in flat]
        rows = [", ".join(texts[at : at + 8]) for at in range(0, len(texts), 8)]
        size = " * ".join(map(str, array.shape))
        return f"static const {kind or self.words['real']} {name}[{size}] = {{\n    " + ",\n    ".join(rows) + "\n};"

    def _test_arrays(self) -> Iterator[str]:
        pairs = [(case, n, int(case.lengths[n])) for case in self.cases for n in range(len(case.x))]
        x = np.concatenate([case.x[n, :length] for case, n, length in pairs])
        y = np.concatenate([_outputs(case, n, length) for case, n, length in pairs])
        yield self._array(f"{self.name}_test_lengths", np.array([length for _, _, length in pairs]), "int")
        yield self._array(f"{self.name}_test_x", x)
        yield self._array(f"{self.name}_test_y", y, "double")

    # stages

    def _body(self) -> Iterator[str]:
        """What a step does, from x to y: v is what the stage before has made."""
        v, size = "x", self.plan.input_size
        if self.masked:
            yield "int here = 1;   /* whether this step is one of those that are not left out */"
        for number, stage in enumerate(self.plan.stages):
            own = f"v{number}"
            if isinstance(stage, Recurrent):
                size = stage.output_size
                self._recurrent(number, stage)
                yield ("if (here) " if self.masked else "") + f"{self.name}_step_{number}(state, {v});"
                v = f"state->h{number}"
                if self.masked and stage.zeros and stage.returns_sequences:
                    yield from self._copied(own, f"here ? {v}[j] : 0", size)
                    v = own
            elif isinstance(stage, Dense):
                D, size = stage.W.shape
                self._weights(number, stage)
                yield from self._copied(own, f"{self.name}_{number}_b[j]", size)
                yield f"{self.helper('add')}({own}, {v}, {D}, {self.name}_{number}_W, {size}, {size});"
                yield from self._activated(stage.activation, own, size)
                v = own
            elif isinstance(stage, Activation):
                yield from self._copied(own, f"{v}[j]", size)
                yield from self._activated(stage.name, own, size)
                v = own
            else:
                yield "{"
                yield "    int differ = 0;"
                yield f"    for (int j = 0; j < {size}; ++j) differ |= {v}[j] != {self.number(stage.value)};"
                yield "    here = here && differ;"
                yield "}"
                yield from self._copied(own, f"here ? {v}[j] : 0", size)
                v = own
        yield f"for (int j = 0; j < {size}; ++j) y[j] = {v}[j];"

    def _copied(self, own: str, text: str, size: int) -> Iterator[str]:
        yield f"{self.words['real']} {own}[{size}];"
        yield f"for (int j = 0; j < {size}; ++j) {own}[j] = {text};"

    def _activated(self, name: str, v: str, size: int) -> Iterator[str]:
        if name == "softmax":
            yield f"{self.helper('softmax')}({v}, {size});"
        elif name != "linear":
            if name == "sigmoid":
                self.helper("sigmoid")
            text = _ACTIVATIONS[name].format(**self.words).replace("v[j]", f"{v}[j]")
            yield f"for (int j = 0; j < {size}; ++j) {v}[j] = {text};"

    def helper(self, name: str) -> str:
        """What a helper is called, which then is there."""
        self.used.add(name)
        return f"{self.name}_{name}"

    def _weights(self, number: int, record: Any) -> None:
        for field, array in zip(record._fields, record, strict=True):
            if isinstance(array, np.ndarray) and array.size:
                self.arrays.append(self._array(f"{self.name}_{number}_{field}", array))

    # cells

    def _recurrent(self, number: int, stage: Recurrent) -> None:
        (record,) = stage.records
        self._weights(number, record)
        place = sum(isinstance(one, Recurrent) for one in self.plan.stages[:number])
        ((first,),) = (initial(self.plan, 1)[place],)
        for (field, width), array in zip(state_widths(record).items(), first, strict=True):
            self.fields.append(f"{self.words['real']} {field}{number}[{width}];")
            begin = "0"
            if array.any():
                begin = f"{self.name}_{number}_{field}[j]"
                self.arrays.append(self._array(f"{self.name}_{number}_{field}", array[0]))
            self.reset.append(f"for (int j = 0; j < {width}; ++j) state->{field}{number}[j] = {begin};")
        D, H, P = sizes(record)
        cell = plain(cell_name(type(record)).split("#")[0].rpartition(".")[2])
        lines = _indented(list(_CellWriter(self, number, record).lines()))
        self.functions.append(
            f"/* {cell}, {D} -> {H}{f' -> {P}' if P != H else ''} */\n"
            f"static inline void {self.name}_step_{number}({self.name}_state *state, const {self.words['real']} *x)\n"
            f"{{\n{lines}\n}}"
        )


class _Place(NamedTuple):
    """Where all units' numbers of a name stand: an array, from some number on."""

    array: str
    first: int = 0

    @property
    def pointer(self) -> str:
        return f"{self.array} + {self.first}" if self.first else self.array

    @property
    def element(self) -> str:
        """The number of the unit j."""
        return f"{self.array}[{self.first} + j]" if self.first else f"{self.array}[j]"


class _CellWriter:
    """Writes one step of a cell."""

    def __init__(self, writer: Header, number: int, record: AnyParams) -> None:
        self.writer, self.record = writer, record
        self.step: Step = step_of(type(record))
        self.D, self.H, self.P = sizes(record)
        self.prefix, self.real = f"{writer.name}_{number}", writer.words["real"]
        self.places = {f"z_{gate}": _Place("z", number * self.H) for number, gate in enumerate(self.step.gates)}
        for unit in self.step.units:
            self.places[unit.name] = self._weights(unit.field, unit.block)
        for state in self.step.states:
            self.places[state] = self.places[f"{state}_new"] = _Place(f"state->{state}{number}")

    def lines(self) -> Iterator[str]:
        yield from self._sums()
        known: dict[int, str] = {}
        for section in self.step.sections:
            for one in section.before:
                yield from self._normed(one) if isinstance(one, Normed) else self._times(one)
            yield from self._equations(section, known)

    def _weights(self, field: str, block: int | None) -> _Place:
        return _Place(f"{self.prefix}_{field}", (block or 0) * self.H)

    def _sums(self) -> Iterator[str]:
        """z, from b, x @ W and h @ U: as many gates at once as have neighbouring blocks."""
        H = self.H
        yield f"{self.real} z[{len(self.step.gates) * H}];"
        for first, block, count in _neighbours(self.step.columns["b"]):
            z, b = _Place("z", first * H), self._weights("b", block)
            value = b.element if block >= 0 else "0"
            yield f"for (int j = 0; j < {count * H}; ++j) {z.element} = {value};"
        for field, v, rows in (("W", _Place("x"), self.D), ("U", self.places["h"], self.P)):
            for first, block, count in _neighbours(self.step.columns[field]):
                if block >= 0:
                    yield self._added(_Place("z", first * H), v, rows, (field, block), count * H)

    def _added(self, z: _Place, v: _Place, rows: int, weights: tuple[str, int | None], width: int) -> str:
        W, stride = self._weights(*weights), getattr(self.record, weights[0]).shape[1]
        add = self.writer.helper("add")
        return f"{add}({z.pointer}, {v.pointer}, {rows}, {W.pointer}, {stride}, {width});"

    def _times(self, one: Times) -> Iterator[str]:
        width = self.P if one.made == "h_new" else self.H
        yield from self._room(one.made, width)
        made = self.places[one.made]
        yield f"for (int j = 0; j < {width}; ++j) {made.element} = 0;"
        yield self._added(made, self.places[one.of], self.H, (one.field, one.block), width)

    def _room(self, name: str, width: int) -> Iterator[str]:
        """For all units' numbers of that name, where they have none yet."""
        if name not in self.places:
            self.places[name] = _Place(f"all_{name}")
            yield f"{self.real} all_{name}[{width}];"

    def _normed(self, one: Normed) -> Iterator[str]:
        yield f"{self.real} {one.mean}, {one.scale};"
        moments = self.writer.helper("moments")
        yield f"{moments}({self.places[one.of].pointer}, {self.H}, &{one.mean}, &{one.scale});"

    def _equations(self, section: Section, known: dict[int, str]) -> Iterator[str]:
        used: set[str] = set()
        before = set(known.values())
        lines = lines_of(self.step, section, known, self.writer.language, used)
        self.writer.used |= used & {"sigmoid", "minimum", "maximum"}
        outputs = [name for name, _ in section.outputs]
        for place in [place for place, name in known.items() if name not in before.union(outputs)]:
            del known[place]  # it is there within the loop alone
        if not lines:
            return
        for name in outputs:
            yield from self._room(name, self.H)
        made = {name for name, _ in lines}
        yield f"for (int j = 0; j < {self.H}; ++j) {{"
        for name, of_all in self.places.items():
            if name in used and name not in made:
                yield f"    const {self.real} {name} = {of_all.element};"
        for name, text in lines:
            yield f"    const {self.real} {name} = {text};"
        for name in outputs:
            yield f"    {self.places[name].element} = {name};"
        yield "}"


def _neighbours(columns: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """First gate, first block and number of gates whose blocks follow one another; or have none, -1."""
    found: list[tuple[int, int, int]] = []
    for gate, block in enumerate(columns):
        first, start, count = found[-1] if found else (0, 0, -1)
        if found and block == (start + count if start >= 0 else -1):
            found[-1] = first, start, count + 1
        else:
            found.append((gate, block, 1))
    return found


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _outputs(case: Case, n: int, length: int) -> Array:
    """Those that are expected of a sequence, flat."""
    found: Array = case.y[n, :length] if case.y.ndim == 3 else case.y[n]
    return found.ravel()
