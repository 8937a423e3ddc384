"""What needs a process of its own: caches, threading layers, forks, Ctrl-C, the command line."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import SUITE, cache_of, python, run

import fastlstm
from fastlstm import warmup
from fastlstm.__main__ import COMMANDS, main
from fastlstm.params import CELLS

PACKAGE = Path(fastlstm.__file__).parent
PROBLEM = """
import hashlib, sys, numpy as np, fastlstm
rng = np.random.default_rng(0)
params = fastlstm.init_params(40, 64, rng=0)
x = rng.standard_normal((24, 20, 40))
def digest(*calls):
    small, large = fastlstm.forward(x[:2, :3], params)[0], fastlstm.forward(x, params)[0]
    return hashlib.sha256(small.tobytes() + large.tobytes()).hexdigest()
"""
# the same of kernels that are compiled soon
PACKED = """
import hashlib, fastlstm
from fastlstm.cpu.compiler import run as o
from fastlstm.cpu.lstm import packing as p
def digest():
    params = fastlstm.init_params(40, 64, rng=0)
    packed = [fastlstm.pack(fastlstm.Params(*(a.astype(dtype) for a in params))) for dtype in DTYPES]
    return hashlib.sha256(b"".join(one.panels.tobytes() for one in packed)).hexdigest()
def compiled():
    return [sum(one.stats.cache_misses.values()) for one in (p.into_panels, o._enter.compiler)]
"""
BOTH = PACKED.replace("DTYPES", "'fd'")
# what was compiled here, and what came from the disk: the kernel's body, and the region that runs it on threads
COUNTS = """
from fastlstm.cpu.compiler import run as o
from fastlstm.cpu.lstm import forward as f
for dispatcher in (f.forward, o._region):
    hits, misses = (sum(one.values()) for one in (dispatcher.stats.cache_hits, dispatcher.stats.cache_misses))
    print("stats", hits, misses, len(dispatcher.signatures))
"""
LOGGING = """
import logging
from fastlstm.cpu.compiler import run
logging.basicConfig(level=logging.INFO)
run.NOTICED = 0.0
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the forward kernel has been written to, its body, and the region."""
    folder = tmp_path_factory.mktemp("cache")
    cache_of(PROBLEM + "digest()", folder)
    return folder


@pytest.fixture(scope="module")
def expected(cache: Path) -> str:
    return run(PROBLEM + "print(digest())", cache).strip()


def test_the_log_says_once_what_had_to_be_compiled(tmp_path: Path) -> None:
    code = LOGGING + PACKED.replace("DTYPES", "'ff'") + "digest()"
    assert python(code, tmp_path).stderr.count("INFO:fastlstm:compiled into_panels in ") == 1
    again = python(code, tmp_path)
    assert (again.returncode, "INFO:fastlstm" in again.stderr) == (0, False)


@pytest.mark.parametrize("first", ["x[:2, :3]", "x"])
def test_body_and_region_come_from_a_warm_cache(cache: Path, expected: str, first: str) -> None:
    out = run(PROBLEM + f"fastlstm.forward({first}, params); print(digest())" + COUNTS, cache)
    assert out.split("\n")[:3] == [expected, "stats 1 0 1", "stats 1 0 1"]


def test_one_specialisation_for_arrays_of_every_kind(cache: Path) -> None:
    code = """
for a in (x[:2, :3], x[:2, 5:2:-1], np.asfortranarray(x[:2, :3]), x[:2, :3].astype('>f8'), x[:2, :3].astype(int)):
    a.flags.writeable = False
    for options in ({}, {'lengths': [1, 3]}, {'reverse': True}, {'state': fastlstm.zero_state(params, 2)}):
        fastlstm.forward(a, params, **options), fastlstm.forward_cells(a, fastlstm.pack(params), **options)
fastlstm.forward(x, params), fastlstm.forward(x, params, lengths=np.arange(24) % 20)
"""
    assert run(PROBLEM + code + COUNTS, cache).split("\n")[:2] == ["stats 1 0 1", "stats 1 0 1"]


def flipped(data: bytes) -> bytes:
    """Three bits of it, where machine code stands."""
    changed = bytearray(data)
    for number in range(3):
        changed[len(data) // 2 + 100 * number] ^= 1 << number
    return bytes(changed)


def test_a_damaged_cache_is_compiled_again(tmp_path: Path) -> None:
    """Two of its files have bits flipped, and the other two change places."""
    expected = cache_of(BOTH + "print(digest())", tmp_path)
    files = sorted(tmp_path.rglob("*.nbc"))
    assert len(files) == 4
    contents = [file.read_bytes() for file in files]
    changed = [flipped(contents[0]), contents[2], contents[1], flipped(contents[3])]
    for file, data in zip(files, changed, strict=True):
        file.write_bytes(data)
    done = python(BOTH + "print(digest(), compiled())", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{expected.strip()} [2, 2]"
    assert done.stderr.count("Warning") == done.stderr.count("is damaged; compiling again") == 1
    assert run(BOTH + "print(digest(), compiled())", tmp_path).strip() == f"{expected.strip()} [0, 0]"


def test_what_two_processes_compile_at_once_is_one_cache(tmp_path: Path) -> None:
    code = PACKED + "digest(); print(compiled())"
    for dtype in "fd":  # neither sees what the other writes
        assert run(code.replace("DTYPES", repr(dtype)), tmp_path / dtype).strip() == "[1, 1]"
        shutil.copytree(tmp_path / dtype, tmp_path / "both", dirs_exist_ok=True)
    for both in ("fd", "df"):
        assert run(code.replace("DTYPES", repr(both)), tmp_path / "both").strip() == "[0, 0]"


def test_nowhere_to_write(tmp_path: Path) -> None:
    expected = run(BOTH + "print(digest(), [2, 2])", SUITE)
    blocked = tmp_path / "file"
    blocked.write_text("")
    nowhere = str(blocked / "folder")
    home = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "TMPDIR"), nowhere)
    code = f"import tempfile; tempfile.tempdir = {nowhere!r}\n"
    done = python(code + BOTH + "digest(); print(digest(), compiled())", nowhere, **home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
    assert done.stderr.count("Warning") <= 1


@pytest.mark.parametrize("file", ["cpu/vectors/emitter.py", "params.py"])
def test_a_changed_source_meets_no_stale_cache(cache: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "fastlstm", ignore=shutil.ignore_patterns("__pycache__"))
    show = "from fastlstm.cpu.compiler.cache import cache_folder; print(cache_folder())"
    before = run(show, cache)
    assert run(show, cache, PYTHONPATH=str(tmp_path)) == before
    with open(tmp_path / "fastlstm" / file, "a") as source:
        source.write("\n# changed\n")
    assert run(show, cache, PYTHONPATH=str(tmp_path)) != before


LAYERS = ["omp", "workqueue", *(["tbb"] if importlib.util.find_spec("tbb") else [])]


@pytest.mark.parametrize("layer", LAYERS)
def test_eight_threads_at_once(cache: Path, expected: str, layer: str) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    found = set(pool.map(lambda _: digest(), range(64)))
print(*found, digest() in found)
"""
    assert run(PROBLEM + code, cache, NUMBA_THREADING_LAYER=layer).split() == [expected, "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("layer", LAYERS)
def test_fork_after_a_parallel_call(cache: Path, expected: str, layer: str) -> None:
    code = """
import multiprocessing, warnings
warnings.simplefilter("ignore", DeprecationWarning)
before = digest()
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map(digest, range(4))
print(*{before, digest(), *found})
"""
    assert run(PROBLEM + code, cache, NUMBA_THREADING_LAYER=layer).split() == [expected]


def test_one_thread(cache: Path, expected: str) -> None:
    assert run(PROBLEM + "print(digest())", cache, threads=1).strip() == expected


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("layer", LAYERS)
def test_interrupt(cache: Path, expected: str, layer: str) -> None:
    code = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
digest()
print("ready", flush=True)
try:
    while True:
        fastlstm.forward(x, params)
except KeyboardInterrupt:
    print(digest())
"""
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER": layer
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", PROBLEM + code], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=600)
        finally:
            process.kill()
    assert (process.returncode, out.strip()) == (0, expected), err


def command(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "MPLBACKEND": "Agg"}
    return subprocess.run([sys.executable, "-W", "error", "-m", "fastlstm", *arguments], env=environment,
                          capture_output=True, text=True, timeout=600)  # fmt: skip


def test_info(cache: Path) -> None:
    done = command(cache, "info")
    assert done.returncode == 0, done.stderr
    for name in ("fastlstm", "numba", "numpy", "processor", "vector width", "threading layer", "cache folder"):
        assert f"\n{name} " in "\n" + done.stdout
    assert str(cache) in done.stdout


def test_warmup_leaves_nothing_to_compile(tmp_path: Path) -> None:
    said = cache_of("from fastlstm.__main__ import main; main(['warmup'])", tmp_path)
    assert said.count("float32") == said.count("float64") == 18
    code = """
from fastlstm.cpu.callable import from_python as i
from fastlstm.cpu.compiler import run as o
from fastlstm.cpu.lstm import backward as b, forward as f, packing as p
for one in (x, x[:1, :2], np.repeat(x, 9, axis=0)):
    for dtype in "fd":
        y, _, tape = fastlstm.forward_train(one, fastlstm.Params(*(a.astype(dtype) for a in params)))
        fastlstm.backward(tape, y)
        packed = fastlstm.pack(fastlstm.Params(*(a.astype(dtype) for a in params)))
        for row, state in ((one[:, 0], fastlstm.zero_state(packed, len(one))), (one[0, 0], y[0, :2])):
            fastlstm.step(row.astype(dtype), packed, fastlstm.State(*state))
from fastlstm import nn
from fastlstm.cpu.training import dense as d, losses as l, moves as m, updates as u
for dtype in ("float32", "float64"):
    layers = [nn.Masking(), nn.LSTM(5, return_sequences=True, dropout=0.1), nn.Dense(3, "softmax")]
    model = nn.Sequential([type(one).from_config(one.get_config() | {"dtype": dtype}) for one in layers])
    for loss, y in (("mse", x), ("categorical_crossentropy", x)):
        for optimizer in ("sgd", "rmsprop", "adam"):
            model.compile(optimizer, loss)
            z = x.copy()
            z[0, 2] = 0
            model.train_on_batch(z, np.eye(3)[np.zeros(x.shape[:2], int)])
    model = nn.Sequential([nn.Embedding(2, 3, dtype=dtype), nn.LSTM(3, dtype=dtype)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 3)), batch_size=2, epochs=2, verbose=0)
    model = nn.Sequential([nn.LSTM(48, dtype=dtype), nn.Dense(3, dtype=dtype)])
    model.compile("sgd", "mse")
    model.fit(np.ones((32, 8, 16)), np.ones((32, 3)), epochs=5, verbose=0)  # in parts
kernels = [b.backward, f.forward, i.step.compiler, p.into_panels, o._region, o._enter.compiler, d.dense,
           d.dense_backward, l.pointwise, l.categorical, m.expanded, m.collected, m.dropped, m.fill, m.taken,
           m.scattered, o._repeat.compiler, o._strand, u.sgd, u.rmsprop, u.adam]
print(sum(sum(k.stats.cache_misses.values()) for k in kernels))
"""
    assert run(PROBLEM + code, tmp_path).strip() == "0"


# float32 in the second worker, which later compiles most functions that users call in place: of this type too
@pytest.mark.parametrize(("dtype", "other"), [("float64", "float32"), ("float32", "float64")])
def test_warmup_of_one_type(capsys: pytest.CaptureFixture[str], dtype: str, other: str) -> None:
    """Of all cells. The suite begins with it (conftest.py): what it compiles nothing else has to."""
    main(["warmup", "--dtype", dtype, *CELLS])
    said = capsys.readouterr().out
    assert said.count(dtype) == 18 + 5 * (len(CELLS) - 1)
    assert other not in said


def test_warmup_names_a_kernel_before_it_waits(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    warmup._timed([(name, lambda: said.append(capsys.readouterr().out)) for name in ("one", "two")], "float32 ")
    assert said[0].strip() == "float32 one"
    assert re.fullmatch(r" +\d+\.\d\d s\nfloat32 two +", said[1])
    assert re.fullmatch(r" +\d+\.\d\d s\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0") if name else contextlib.nullcontext():
        main([name, "--help"] if name else ["--help"])
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: python -m fastlstm {name}")
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected convert, demo, info, warmup, got no command"),
        (("dance",), "expected convert, demo, info, warmup, got dance"),
        (("--fast",), "expected convert, demo, info, warmup, got --fast"),
        (("info", "x"), "unrecognized arguments: x"),
        (
            ("warmup", "x"),
            "expected names of cells (standard, interpolated, projected, peephole, normalized, gru, gru_before), got x",
        ),
        (("warmup", "--dtype", "float16"), "argument --dtype: invalid choice: 'float16'"),
        (("demo", "--epochs", "0"), "--epochs: expected at least 1, got 0"),
        (("demo", "fast"), "unrecognized arguments: fast"),
    ],
)
def test_words_that_are_not_known(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(list(arguments))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m fastlstm")
    assert message in err


def test_the_command_line_says_what_is_wrong(cache: Path) -> None:
    done = command(cache, "dance")
    assert (done.returncode, done.stdout) == (2, "")
    assert "got dance" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_numba_that_does_not_compile(cache: Path) -> None:
    done = python("import fastlstm", cache, NUMBA_DISABLE_JIT="1")
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .split("\n")[-1]
        .startswith("ImportError: fastlstm: expected a Numba that compiles, got NUMBA_DISABLE_JIT=1")
    )
    assert "During handling" not in done.stderr


def test_demo(cache: Path, tmp_path: Path) -> None:
    done = command(SUITE, "demo", "--epochs", "2", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "test accuracy: " in done.stdout
    assert "94.1 %" in done.stdout
    done = command(cache, "demo", "--plot", str(tmp_path / "none" / "p.png"))
    assert done.returncode == 2
    assert "--plot: expected" in done.stderr
