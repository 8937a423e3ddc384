"""The micro-kernel's machine code for other processors: LLVM emits it here, though it cannot run here.

.ci/run runs the kernels' tests once more with 128-bit vectors without FMA and with 256-bit vectors.
"""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from fastlstm.cpu.vectors import emitter, target, tiles


@pytest.mark.parametrize(
    ("triple", "features", "vector_bytes", "registers", "multiply", "register"),
    [
        ("aarch64-unknown-linux-gnu", "+neon", 16, 32, "fmla", r"v\d+\.4s"),
        ("x86_64-unknown-linux-gnu", "+avx512f,+fma", 64, 32, "vfmadd", "%zmm"),
        ("x86_64-unknown-linux-gnu", "+avx2,+fma", 32, 16, "vfmadd", "%ymm"),
        ("x86_64-unknown-linux-gnu", "+sse2", 16, 16, "mulps", "%xmm"),
    ],
)
def test_micro_kernel(monkeypatch: pytest.MonkeyPatch, triple: str, features: str, vector_bytes: int, registers: int,
                      multiply: str, register: str) -> None:  # fmt: skip
    monkeypatch.setattr(target, "vector_bytes", lambda: vector_bytes)
    monkeypatch.setattr(tiles, "registers", lambda: registers)
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        found = llvm.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip(f"this llvmlite has no code generator for {triple}")
    machine = found.create_target_machine(features=features, opt=3)
    module = llvm.parse_assembly(str(_module(target.TILE_ROWS)))
    text = machine.emit_assembly(module)
    loops = re.findall(rf"^\s+\S*{multiply}\S*\s.*{register}", text, re.MULTILINE)
    # each pass has a loop of four rows of the panel and one of a single row: 6 x 4 sums, five times
    assert len(loops) == target.TILE_ROWS * target.BLOCK * 5
    assert "call" not in text
    if multiply == "vfmadd":  # else a few numbers do pass through memory: products without FMA, NEON's rows of a
        assert not re.findall(r"%[yz]mm\d+, -?\d*\(%rsp\)", text)


def _module(rows: int) -> ir.Module:
    module = ir.Module()
    scalar, index = ir.FloatType(), ir.IntType(64)
    pointer = scalar.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, index, index, pointer, pointer]), "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    a, lda, depth, p, out = function.args
    e = emitter.Emitter(builder, scalar, 4)
    a_rows: list[Any] = [e.at(a, e.times(r, lda)) for r in range(rows)]
    for side in tiles.passes(rows):
        sums = {(r, v): e.splat(0.0) for r in range(rows) for v in side}
        weights = tiles.Weights([p], target.BLOCK * e.lanes, {v: (0, v) for v in side})
        sums = tiles.multiply(depth, sums, weights, a_rows, 1, 0)
        for (r, v), total in sums.items():
            e.store(total, out, (r * target.BLOCK + v) * e.lanes)
    builder.ret_void()
    return module
