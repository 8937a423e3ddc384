"""C headers: they compile without a warning, compute what they should, and call nothing but <math.h>."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_cases import BOTH_WAYS, MODELS, OWN, D, built, masked, own_params
from oracles import random_params

import fastlstm
from fastlstm import formats, nn, reference
from fastlstm.formats import c_header, c_text
from fastlstm.formats.c_header import identifier
from fastlstm.params import CELLS

HARNESS = Path(__file__).parent / "harness.c"
STRICT = ["-O2", "-Wall", "-Wextra", "-Werror", "-pedantic"]
COMPILERS = {
    name: [name, *STRICT, *language]
    for name, language in {
        "gcc": ["-std=c99", "-x", "c"],
        "clang": ["-std=c99", "-x", "c"],
        "g++": ["-std=c++11", "-x", "c++"],
    }.items()
    if shutil.which(name)
}
BOUND = {np.float32: 3e-6, np.float64: 1e-13}
pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")


def largest(a: Any, b: Any) -> float:
    assert np.shape(a) == np.shape(b)
    return float(np.abs(np.asarray(a) - np.asarray(b)).max(initial=0))


def run(header: Path, x: Any, outputs: int, name: str = "m", compiler: str = "gcc") -> Any:
    """y (N, T, M) of a header: x (N, T, D) step by step."""
    program, kind = header.with_suffix(".exe"), x.dtype
    real = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}[kind]
    defines = {"HEADER": f'"{header}"', "NAME": name, "REAL": real, "INPUTS": x.shape[-1], "OUTPUTS": outputs}
    flags = [f"-D{key}={value}" for key, value in defines.items()]
    wrapped = ["-Wl,--wrap=malloc,--wrap=calloc"]
    made = [*COMPILERS[compiler], *flags, str(HARNESS), "-o", str(program), *wrapped, "-lm"]
    subprocess.run(made, check=True, capture_output=True, text=True)
    given = np.int32(len(x)).tobytes()
    given += b"".join(np.int32(len(one)).tobytes() + np.ascontiguousarray(one).tobytes() for one in x)
    ran = subprocess.run([program], input=given, check=True, capture_output=True)
    assert int(ran.stderr) == 0  # calls of malloc
    return np.frombuffer(ran.stdout, kind).reshape(*x.shape[:2], outputs)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_cell_in_one_stack(rng: Any, tmp_path: Path, dtype: Any, compiler: str) -> None:
    """With sizes that are no multiples of anything."""
    params, width = [], D
    for height, cell in enumerate(CELLS, 3):
        params.append(random_params(rng, width, height, dtype, cell))
        width = len(params[-1].U)
    proof = fastlstm.to_c(params, tmp_path / "m.h")
    assert proof is not None
    assert proof.error < 2e-6
    x = rng.standard_normal((2, 9, D)).astype(dtype)
    exact = [type(one)(*(array.astype(np.float64) for array in one)) for one in params]
    expected, _ = reference.forward(x, exact)
    # norms of three units enlarge what rounding does
    assert largest(run(tmp_path / "m.h", x, width, compiler=compiler), expected) < 5 * BOUND[dtype]


@pytest.mark.parametrize("cell", CELLS)
def test_cells_by_themselves(rng: Any, tmp_path: Path, cell: str) -> None:
    proof = fastlstm.to_c(random_params(rng, D, 5, np.float64, cell), tmp_path / "m.h")
    assert proof is not None
    assert proof.error < BOUND[np.float64]


@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_compilers_have_nothing_to_say_of_even_sizes(rng: Any, tmp_path: Path, level: str) -> None:
    params = [random_params(rng, 16, 32, np.float32), random_params(rng, 32, 8, np.float32, "gru")]
    fastlstm.to_c(params, tmp_path / "m.h")
    made = ["gcc", "-std=c99", *STRICT, level, "-DM_TEST", "-x", "c", "m.h", "-o", "m", "-lm"]
    subprocess.run(made, check=True, cwd=tmp_path, capture_output=True)
    subprocess.run([tmp_path / "m"], check=True, capture_output=True)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_cells_of_ones_own(rng: Any, tmp_path: Path, compiler: str) -> None:
    params = [own_params(own, rng, D, np.float64) for own in OWN]
    fastlstm.to_c(params, tmp_path / "m.h")
    x = rng.standard_normal((2, 6, D))
    expected, states = reference.forward(x, params)
    assert all(np.abs(state.h).min() > 1e-6 for state in states)  # no layer that hides what is below it
    assert largest(run(tmp_path / "m.h", x, D, compiler=compiler), expected) < BOUND[np.float64]


@pytest.mark.parametrize("name", MODELS)
def test_models_with_their_heads_and_masks(rng: Any, tmp_path: Path, name: str) -> None:
    given, x = built(MODELS[name](), rng), masked(rng)
    fastlstm.to_c(given, tmp_path / "m.h")
    y = run(tmp_path / "m.h", x, given.output_shape[-1])
    for t in range(7):
        expected = given.predict(x[:, : t + 1], verbose=0)
        assert largest(y[:, t], expected if expected.ndim == 2 else expected[:, -1]) < BOUND[np.float32]


def test_states_that_sequences_begin_with(rng: Any, tmp_path: Path) -> None:
    given = nn.Sequential([nn.Input((None, D)), nn.LSTM(4, stateful=True)], seed=1)
    x = rng.standard_normal((1, 6, D)).astype(np.float32)
    given.predict(x, verbose=0)
    fastlstm.to_c(given, tmp_path / "m.h")
    y = run(tmp_path / "m.h", np.concatenate([x, x]), 4)
    assert largest(y[1], y[0]) == 0
    assert largest(y[:1, -1], given.predict(x, verbose=0)) < BOUND[np.float32]


@pytest.mark.parametrize(("dtype", "other", "bound"), [("float32", "float64", 3e-6), ("float64", "float32", 1e-13)])
def test_float_or_double_as_is_asked_for(rng: Any, tmp_path: Path, dtype: str, other: str, bound: float) -> None:
    params = random_params(rng, D, 4, np.dtype(other))
    fastlstm.to_c(params, tmp_path / "m.h", dtype=dtype)
    words = re.findall(r"\b(float|double)\b", (tmp_path / "m.h").read_text().partition("#ifdef M_TEST")[0])
    assert set(words) == {{"float32": "float", "float64": "double"}[dtype]}
    x = rng.standard_normal((1, 5, D)).astype(dtype)
    exact = fastlstm.Params(*(array.astype(np.float64) for array in params))
    assert largest(run(tmp_path / "m.h", x, 4), reference.forward(x, exact)[0]) < bound


NAMES = {"m.h": "m", "My model-2.h": "My_model_2", "2nd.h": "m_2nd", "__x.h": "x", "größe.h": "gr__e", "int.h": "int",
         "_.h": "m_", "a.b.h": "a_b", ".h": "h", "/folder/m.h": "m"}  # fmt: skip


@pytest.mark.parametrize(("file", "name"), NAMES.items())
def test_names_come_from_the_files(file: str, name: str) -> None:
    assert identifier(file) == name


def test_a_name_that_c_cannot_have(rng: Any, tmp_path: Path) -> None:
    file, params = tmp_path / "2 größe.h", random_params(rng, D, 3, np.float32, "normalized")
    assert fastlstm.to_c(params, file) == formats.prove(file)
    x = rng.standard_normal((1, 3, D)).astype(np.float32)
    shutil.copy(file, tmp_path / "plain.h")
    assert largest(run(tmp_path / "plain.h", x, 3, "m_2_gr__e"), reference.forward(x, params)[0]) < BOUND[np.float32]


def test_two_headers_in_one_program(rng: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        fastlstm.to_c(random_params(rng, D, 3, np.float32, "normalized"), tmp_path / f"{name}.h")
    (tmp_path / "main.c").write_text(
        '#include "one.h"\n#include "two.h"\n#include "one.h"\nint main(void) { static one_state a; '
        "static two_state b; static float x[5], y[3]; one_reset(&a); "
        "two_reset(&b); one_step(&a, x, y); two_step(&b, x, y); return 0; }\n"
    )
    made = ["gcc", "-std=c99", *STRICT, str(tmp_path / "main.c"), "-o", str(tmp_path / "main"), "-lm"]
    subprocess.run(made, check=True, capture_output=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_the_header_calls_functions_of_math_alone(rng: Any, tmp_path: Path) -> None:
    given = built(MODELS["heads"](), rng)
    fastlstm.to_c(given, tmp_path / "m.h")
    source = '#include "m.h"\nvoid go(m_state *s, const float *x, float *y) { m_reset(s); m_step(s, x, y); }\n'
    (tmp_path / "go.c").write_text(source)
    subprocess.run(["gcc", "-c", "-O2", "-fno-builtin", "go.c", "-o", "go.o"], check=True, cwd=tmp_path)
    said = subprocess.run(["nm", "-u", "go.o"], check=True, cwd=tmp_path, capture_output=True, text=True).stdout
    assert {name for name in said.split() if name != "U"} <= {"expf", "tanhf", "_GLOBAL_OFFSET_TABLE_"}
    assert re.findall(r"#include (\S+)", (tmp_path / "m.h").read_text()) == ["<math.h>", "<stdio.h>"]


def test_it_has_its_own_main_and_is_proven_again(rng: Any, tmp_path: Path) -> None:
    proof = fastlstm.to_c(random_params(rng, D, 4, np.float32), tmp_path / "m.h")
    text = (tmp_path / "m.h").read_text()
    assert str(proof) in text
    assert "-std=c99 -O2" in text
    assert formats.prove(tmp_path / "m.h") == proof
    made = ["gcc", "-std=c99", *STRICT, "-DM_TEST", "-x", "c", "m.h", "-o", "m", "-lm"]
    subprocess.run(made, check=True, cwd=tmp_path, capture_output=True)
    said = subprocess.run([tmp_path / "m"], check=True, capture_output=True, text=True).stdout
    assert re.fullmatch(r"m: largest difference \d.\d\de-0\d, 72 numbers, 0 of them wrong\n", said)
    weight = re.search(r"m_0_W\[.*\n +(\S+),", text)
    assert weight is not None
    (tmp_path / "m.h").write_text(text.replace(weight[1], "9.0f", 1))
    with pytest.raises(ValueError, match=r"path: expected outputs as those .* of 72 numbers wrong, .*m.h'"):
        formats.prove(tmp_path / "m.h")
    (tmp_path / "m.h").write_text(text.replace("const", "konst"))
    with pytest.raises(ValueError, match=r"path: expected a file that compiles, got [^ ]*m.h:\d+"):
        formats.prove(tmp_path / "m.h")


def test_nothing_unproven_comes_to_its_place(rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.h").write_text("before")
    wrong = c_text._HELPERS["sigmoid"].replace("1 / (1 + {exp}(-v))", "v / (1 + {abs}(v))")
    monkeypatch.setitem(c_text._HELPERS, "sigmoid", wrong)
    with pytest.raises(ValueError, match=r"path: expected outputs as those of fastlstm.reference, .* is not written"):
        fastlstm.to_c(random_params(rng, D, 4, np.float32), tmp_path / "m.h")
    assert [one.name for one in tmp_path.iterdir()] == ["m.h"]
    assert (tmp_path / "m.h").read_text() == "before"


def test_without_a_compiler_the_file_says_so(rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        patch.delenv("CC", raising=False)
        assert fastlstm.to_c(random_params(rng, D, 4, np.float32), tmp_path / "m.h") is None
        assert "Proof: not run, as no C compiler was at hand." in (tmp_path / "m.h").read_text()
        with pytest.raises(RuntimeError, match=r"expected a C compiler that works \(CC, cc, gcc, clang\), found none"):
            formats.prove(tmp_path / "m.h")
    assert formats.prove(tmp_path / "m.h").error < 1e-6


def test_a_compiler_that_does_not_work_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    params = fastlstm.init_params(2, 3)
    assert fastlstm.to_c(params, tmp_path / "m.h") is None


def test_a_compiler_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "slow"))
    monkeypatch.setattr(c_header, "_SECONDS", 0.2)
    with pytest.raises(
        ValueError, match=r"path: expected '.*slow' to end within 0.2 s, which it did not; .* not written"
    ):
        fastlstm.to_c(fastlstm.init_params(2, 3), tmp_path / "m.h")
    assert not (tmp_path / "m.h").exists()


def test_what_reads_from_the_end_cannot_step(rng: Any, tmp_path: Path) -> None:
    params = random_params(rng, D, 4, np.float32)
    for given in (fastlstm.Bidirectional(params, params), *(built(make(), rng) for make in BOTH_WAYS.values())):
        with pytest.raises(ValueError, match="params: expected layers of one direction that run forwards"):
            fastlstm.to_c(given, tmp_path / "m.h")
    assert not list(tmp_path.iterdir())


PARAMS = fastlstm.init_params(2, 3)
BAD: list[tuple[Any, Any, Any, type[Exception], str]] = [
    (PARAMS, "m.c", None, ValueError, r"path: expected a name that ends in .h, got 'm.c'"),
    (PARAMS, 3, None, TypeError, "path: expected str or path-like, got int"),
    (PARAMS, "m.h", "float16", TypeError, "dtype: expected float32 or float64, got 'float16'"),
    (PARAMS, "m.h", "half", TypeError, "dtype: expected float32 or float64, got 'half'"),
    (fastlstm.Params(*(np.full(a.shape, 1e300) for a in PARAMS)), "m.h", "float32", ValueError, "finite weights"),
    ("weights", "m.h", None, TypeError, "params: expected Params"),
]


@pytest.mark.parametrize(("params", "name", "dtype", "kind", "message"), BAD)
def test_bad_input(
    tmp_path: Path, monkeypatch: Any, params: Any, name: Any, dtype: Any, kind: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        fastlstm.to_c(params, name, dtype=dtype)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_such_headers(tmp_path: Path) -> None:
    (tmp_path / "m.h").write_text("#define M 1\n")
    with pytest.raises(ValueError, match=r"path: expected inputs and outputs behind #ifdef .*m.h'"):
        formats.prove(tmp_path / "m.h")
