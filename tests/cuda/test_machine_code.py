"""The kernels compiled for GPUs of compute capability 8.0 and 9.0, without one: the extra `ptx` has the tools.

PTX is made for 8.0, and machine code of it for both. Registers stay below a limit, nothing is spilled but a few bytes
where a row says so, every float operation names its rounding, and products load four numbers at a time."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="pip install fastlstm[ptx]")
nvidia = pytest.importorskip("nvidia", reason="pip install fastlstm[ptx]")

from numba import config, cuda  # noqa: E402

from fastlstm.cells.table import CELLS, cell_named  # noqa: E402
from fastlstm.cuda import memory, norms, products, rows, scalars, small, small_later, steps, wide  # noqa: E402
from fastlstm.cuda.device import Simulated  # noqa: E402

TOOLS = [folder for place in nvidia.__path__ for folder in Path(place).glob("cu1*/bin") if (folder / "ptxas").exists()]
pytestmark = [
    pytest.mark.skipif(bool(config.ENABLE_CUDASIM), reason="the simulator compiles nothing"),
    pytest.mark.skipif(not TOOLS, reason="no ptxas: pip install fastlstm[ptx]"),
]


class Case(NamedTuple):
    """registers: at most; spilled: bytes, at most; wide: loads of four numbers from shared memory, at least; equations:
    what of `scalars` a cell's phase is, if it is one."""

    name: str
    kernel: Any
    arguments: tuple[Any, ...]
    threads: int
    registers: int
    spilled: int = 0
    wide: int = 0
    equations: Any = None


def kinds(real: Any) -> SimpleNamespace:
    """Numba's types of the kernels' arguments."""
    from numba.cuda import types

    whole, number = types.int64, types.float32 if real is np.float32 else types.float64
    index, vector, matrix = (
        types.Array(kind, ndim, "C") for kind, ndim in ((types.int32, 1), (number, 1), (number, 2))
    )

    def record(kind: Any, *fields: Any) -> Any:
        return types.NamedTuple(fields, kind)

    return SimpleNamespace(
        whole=whole, number=number, strided=types.Array(number, 3, "A"), index=index, vector=vector, matrix=matrix,
        size=record(rows.Size, whole, whole),
        depth=record(products.Depth, whole, whole, whole), rows=record(rows.Rows, matrix, index, whole, whole),
        at=record(steps.Index, whole, whole, whole, index, index),
        states=record(steps.States, *[matrix] * 4, vector), flow=record(steps.Flow, *[matrix] * 4),
        rounds=record(wide.Rounds, *[whole] * 4, index, index, matrix, index),
        ranks=record(small.Ranks, whole, whole, whole, *[index] * 4, matrix), ends=record(small.Ends, matrix, matrix),
    )  # fmt: skip


def tuple_of(*kinds: Any) -> Any:
    from numba.cuda import types

    return types.Tuple(kinds)


def of_all_cells(real: Any) -> Iterator[Case]:
    k = kinds(real)
    for name, tile in (("low", products.LOW), ("high", products.HIGH)):
        threads = tile.across * tile.down
        for transposed in (False, True):
            adds = transposed == (name == "low")
            yield Case(f"product {name} {transposed} {adds}", products.product(real, tile, transposed, adds),
                       (k.depth, k.rows, k.matrix, k.rows), threads, 96, wide=2)  # fmt: skip
        yield Case(f"sums {name}", products.sums(real, tile), (k.depth, k.whole, k.rows, k.rows, k.matrix), threads,
                   96, 64 if real is np.float64 else 0, int(name == "high"))  # fmt: skip
    yield Case("column sums", products.column_sums(real), (k.depth, k.whole, k.matrix, k.matrix), 128, 40)
    yield Case("add up", products.add_up(real), (k.depth, k.matrix, k.whole, k.matrix), 128, 40)
    for kernel in (rows.copy, rows.accumulate):
        yield Case(kernel.py_func.__name__, kernel, (k.size, k.rows, k.rows), 128, 40)
    yield Case("scale", rows.scale, (k.size, k.rows, k.rows, k.rows), 128, 40)
    yield Case("spread", rows.spread, (k.size, k.vector, k.matrix), 128, 40)
    yield Case("clear", rows.clear, (k.size, k.rows), 128, 40)
    yield Case("padding", rows.clear_padding, (k.size, k.index, k.whole, k.matrix, k.whole), 128, 40)
    for masked in (False, True):
        yield Case(f"past {masked}", rows.past_the_product(masked, not masked),
                   (k.size, k.rows, k.index, k.matrix, k.matrix, k.matrix), 128, 40)  # fmt: skip
    yield Case("move", memory._move, (k.strided, k.strided), 256, 64)
    yield Case("fill", memory._fill, (k.strided, k.number), 256, 40)
    yield Case("moments", norms.moments(real), (k.size, k.rows, k.rows, k.whole), 128, 64)
    yield Case("means", norms.gradient_means(real),
               (k.size, k.rows, k.vector, k.whole, k.rows, k.matrix, k.matrix, k.whole), 128, 64)  # fmt: skip


def of_cell(name: str, real: Any) -> Iterator[Case]:
    cell, k = cell_named(name), kinds(real)
    if cell.normalizes:
        both = (k.size, k.at, tuple_of(k.matrix, k.matrix, k.states))
        yield Case("gates", norms.normal_gates(cell, real), both, 128, 80, equations=scalars.normal_gates)
        yield Case("output", norms.normal_output(cell, real), both, 128, 64, equations=scalars.normal_output)
        makers = scalars.waiting_back, scalars.normal_gates_back, scalars.normal_output_back
        for phase, maker in enumerate(makers):
            yield Case(f"back {phase}", norms.normal_back(cell, real, phase),
                       (k.size, k.at, tuple_of(k.matrix, k.matrix, k.states, k.flow)), 128, 96,
                       equations=maker)  # fmt: skip
        return
    there, back = (k.size, k.at, tuple_of(k.matrix, k.states)), (k.size, k.at, tuple_of(k.states, k.flow))
    first = k.size, k.at, tuple_of(k.matrix, k.states, k.matrix)
    yield Case("first", steps.first_phase(cell, real), first, 128, 64, equations=scalars.first)
    yield Case("first back", steps.first_phase_back(cell, real), back, 128, 64, equations=scalars.first_back)
    if cell.later_gate >= 0:
        yield Case("later", steps.later_phase(cell, real), there, 128, 64, equations=scalars.later)
        yield Case("later back", steps.later_phase_back(cell, real), back, 128, 64, equations=scalars.later_back)


def of_a_block(name: str, real: Any, H: int, R: int, *, options: bool, tape: bool) -> Iterator[Case]:
    """The time loop of small layers: all that a block's registers have is used. options: with a mask and resets."""
    k, form = kinds(real), small.Form(cell_named(name), real, H, R, options, options, tape)
    assert form.fits
    wide = H * R // 4 * np.dtype(real).itemsize // 4
    later = form.cell.later_gate >= 0
    loops, recurrent = (small_later, tuple_of(k.matrix, k.matrix)) if later else (small, k.matrix)
    yield Case("forward", loops.forward(form), (k.ranks, k.matrix, recurrent, k.states, k.ends, k.matrix, k.whole),
               form.threads, form.registers, 16, wide)  # fmt: skip
    yield Case("backward", loops.backward(form),
               (k.ranks, k.matrix, k.whole, recurrent, k.states, k.ends, k.matrix, k.matrix), form.threads,
               form.registers, 16, wide)  # fmt: skip


def of_all_blocks(name: str, real: Any, H: int, R: int) -> Iterator[Case]:
    """The time loop of wide layers, with the meetings: what a block's threads hold of U is in registers."""
    k, form = kinds(real), wide.Form(cell_named(name), real, H, R, False)
    assert form.fits
    for way, make, tile, arguments in (
        ("forward", wide.forward, form.forward, (k.matrix, k.matrix, k.states)),
        ("backward", wide.backward, form.backward, (k.matrix, k.whole, k.matrix, k.states, k.flow)),
    ):
        loads = tile.deep * tile.few // 4 * np.dtype(real).itemsize // 4
        yield Case(way, make(form, True), (k.at, k.rounds, *arguments), tile.threads, 255, 32, loads)


def ptx_of(case: Case, monkeypatch: pytest.MonkeyPatch) -> str:
    from numba.cuda import dispatcher, types

    # it asks the current device, whatever it is told
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(8, 0)))
    found, _ = cuda.compile_ptx(
        case.kernel.py_func, types.void(*case.arguments), cc=(8, 0), device=False, launch_bounds=case.threads
    )
    return found.decode() if isinstance(found, bytes) else found


def run(*command: Any) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def check(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The PTX, after all has been seen to be as it should."""
    text = ptx_of(case, monkeypatch)
    loose = re.findall(r"\b(?:add|sub|mul|fma|mad|div|rcp|sqrt)(?:\.(?!rn)[a-z]+)*\.f(?:32|64)", text)
    assert not loose, case.name
    ptx, cubin = folder / "kernel.ptx", folder / "kernel.cubin"
    ptx.write_text(text)
    for architecture in ("sm_80", "sm_90"):
        said = run(TOOLS[0] / "ptxas", "-v", f"-arch={architecture}", ptx, "-o", cubin)
        registers = int(re.search(r"Used (\d+) registers", said)[1])
        spilled = int(re.search(r"(\d+) bytes spill stores", said)[1])
        assert registers <= case.registers, (case.name, architecture, registers)
        assert spilled <= case.spilled, (case.name, architecture, spilled)
        if case.wide:
            code = run(TOOLS[0] / "nvdisasm", "-c", cubin)
            assert len(re.findall(r"\bLDS(?:\.U)?\.128\b", code)) >= case.wide, (case.name, architecture)
    return text


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_products_and_moves(real: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = 0 if real is np.float32 else 40  # a number takes two
    for case in of_all_cells(real):
        check(case._replace(registers=case.registers + more), tmp_path, monkeypatch)


class Counting(Simulated):
    """Counts the float operations of equations."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.counts: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if name in ("add", "sub", "mul", "div", "fma", "reciprocal", "sqrt"):
            self.counts[{"sub": "add", "reciprocal": "rcp"}.get(name, name)] += 1
        return super().__getattribute__(name)


def operations(equations: Any, cell: Any, real: Any) -> Counter[str]:
    """Of a cell's phase, by kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scalars, "of_arrays", lambda body, count, name: (body, count))
        body, count = equations.__wrapped__(cell)
    maker = Counting(real)
    with np.errstate(all="ignore"):
        body(maker, list(np.linspace(0.1, 0.9, count).astype(real)))
    return +maker.counts


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_phases(cell: Any, real: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their operations are those of the equations; backward without those of what nobody asks for."""
    more = 0 if real is np.float32 else 40
    for case in of_cell(cell.name, real):
        text = check(case._replace(registers=case.registers + more), tmp_path, monkeypatch)
        found = Counter(re.findall(r"\b(add|sub|mul|fma|div|rcp|sqrt)\.rn\.f\d\d", text))
        found["add"] += found.pop("sub", 0)
        wanted = operations(case.equations, cell, real)
        assert found <= wanted if "back" in case.name else +found == wanted, (case.name, found, wanted)


@pytest.mark.parametrize(
    ("name", "real", "H", "R"),
    [("standard", np.float32, 32, 4), ("standard", np.float32, 64, 1), ("standard", np.float32, 64, 8),
     ("standard", np.float32, 96, 2), ("gru", np.float32, 96, 1), ("standard", np.float64, 48, 2),
     ("standard", np.float64, 64, 1), ("interpolated", np.float32, 64, 4), ("gru_before", np.float32, 84, 1),
     ("interpolated", np.float64, 32, 1)],
)  # fmt: skip
def test_time_loops(name: str, real: Any, H: int, R: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in of_a_block(name, real, H, R, options=name.startswith("gru"), tape=H != 32):
        check(case, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("name", "real", "H", "R"),
    [("standard", np.float32, 1024, 8), ("standard", np.float64, 512, 2)],
)
def test_time_loops_of_many_blocks(
    name: str, real: Any, H: int, R: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in of_all_blocks(name, real, H, R):
        check(case, tmp_path, monkeypatch)
