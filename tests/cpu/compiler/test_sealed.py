"""Kernels in their callers: machine code that is made once, and parts that the disk keeps."""

from __future__ import annotations

import importlib.util
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import processes
import pytest
from numba import njit

from fastlstm.cpu.callable.writer import inlined_part, part
from fastlstm.cpu.compiler import cache, sealed
from fastlstm.cpu.compiler import options as jit

HERE = sealed.seals(llvm.get_process_triple())
VALUES = np.array([0.5, -3.25, 7.0, 1.5])


def sums(first: Any, step: Any, values: Any) -> Any:
    """With what a kernel has: a loop, constants, and a string for an error that never comes (range of step 0)."""
    total = 0.125
    for i in range(first, len(values), step):
        total += 1.75 * values[i]
    return total


def products(first: Any, step: Any, values: Any) -> Any:
    total = 0.125
    for i in range(first, len(values), step):
        total *= 1.75 * values[i]
    return total


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled functions are kept meanwhile."""
    monkeypatch.setattr(cache, "cache_folder", lambda: str(tmp_path))
    return tmp_path


def calls(kernel: Any) -> Any:
    @njit
    def caller(first: Any, step: Any, values: Any) -> Any:
        return 2 * kernel(first, step, values)

    return caller


def code_of(caller: Any) -> str:
    (found,) = caller.inspect_llvm().values()
    return str(found)


def test_a_caller_has_the_machine_code_and_a_function_of_one_line() -> None:
    caller = calls(jit.sealed(sums))
    assert caller(1, 2, VALUES) == 2 * sums(1, 2, VALUES)
    assert ("module asm" in code_of(caller)) == HERE
    assert ("1.750000e+00" not in code_of(caller)) == HERE, "the kernel's constants are not LLVM's any more"


def test_the_same_kernel_by_two_ways_and_two_with_the_same_names_inside() -> None:
    one, other = jit.sealed(sums), jit.sealed(products)
    left, right = calls(one), calls(one)

    @njit
    def caller(first: Any, step: Any, values: Any) -> Any:
        return left(first, step, values) + 10 * right(first, step, values) + 100 * other(first, step, values)

    expected = 22 * sums(0, 3, VALUES) + 100 * products(0, 3, VALUES)
    np.testing.assert_allclose(caller(0, 3, VALUES), expected, rtol=1e-15)
    assert caller(0, 3, VALUES[:0]) == 22 * 0.125 + 100 * 0.125


def test_a_kernel_from_the_cache_in_a_caller() -> None:
    made = [jit.sealed(sums) for _ in range(2)]
    for kernel in made:
        assert calls(kernel)(1, 1, VALUES) == 2 * sums(1, 1, VALUES)
    assert [sum(kernel.stats.cache_hits.values()) for kernel in made] == [0, 1]


def test_a_caller_from_his_own_cache_needs_nothing_else(tmp_path: Path) -> None:
    """Numba keeps the user's function; the kernel is compiled by nobody when it is loaded."""
    path = tmp_path / "of_a_user.py"
    path.write_text(
        "from numba import njit\n"
        "from fastlstm.cpu.compiler.options import sealed\n"
        "@sealed\n"
        "def kernel(values):\n"
        "    total = 0.125\n"
        "    for value in values:\n"
        "        total += 1.75 * value\n"
        "    return total\n"
        "@njit(cache=True)\n"
        "def caller(values):\n"
        "    return kernel(values)\n"
    )
    found = []
    for _ in range(2):
        spec = importlib.util.spec_from_file_location("of_a_user", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
        assert module.caller(VALUES) == sums(0, 1, VALUES)
    assert sum(found[1].caller.stats.cache_hits.values()) == 1
    assert not found[1].kernel.overloads


@pytest.mark.parametrize("why", ["another machine", "debug info"])
def test_where_it_is_not_sealed_it_is_linked(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "another machine":
        monkeypatch.setattr(sealed, "seals", lambda triple: False)
    else:
        monkeypatch.setattr(numba.core.config, "DEBUGINFO_DEFAULT", 1)
    one, other = jit.sealed(sums), jit.sealed(products)

    @njit
    def caller(first: Any, step: Any, values: Any) -> Any:
        return one(first, step, values) - other(first, step, values)

    assert caller(1, 2, VALUES) == sums(1, 2, VALUES) - products(1, 2, VALUES)
    assert "module asm" not in code_of(caller)


@pytest.mark.parametrize(
    "line",
    [
        "\t.section\t.debug_info",
        "\t.intel_syntax noprefix",
        '"a name":',
        "name$1:",
        "\t.local\tnumbers\n\t.comm\tnumbers,64,8",
    ],
)
def test_text_that_does_not_fit_is_left(line: str) -> None:
    module = llvm.parse_assembly(
        'target triple = "x86_64-unknown-linux-gnu"\ndefine i32 @name(i64 %0) {\n ret i32 0\n}'
    )
    machine = SimpleNamespace(emit_assembly=lambda module: f"name:\n\tretq\n{line}\n")
    assert sealed.sealed_module(module, machine) is module


@pytest.mark.skipif(not HERE, reason="no kernel is sealed here")
def test_in_a_process_that_writes_intels_syntax(folder: Path) -> None:
    """Kernels of a cache that another one filled; then one of its own."""
    code = """
        import sys
        import llvmlite.binding as llvm
        if sys.argv[1:] == ["intel"]:
            llvm.set_option("", "--x86-asm-syntax=intel")
        import numpy as np
        from numba import njit
        from fastlstm.cpu.compiler.options import sealed
        @sealed
        def kernel(values):
            return 2.5 * values[0]
        @sealed
        def twice(values):
            return 2 * kernel(values)
        @njit
        def caller(values):
            return kernel(values) + twice(values)
        print(caller(np.array([1.5])), sum(kernel.stats.cache_hits.values()))
    """
    path = folder / "of_a_user.py"
    path.write_text(textwrap.dedent(code))
    found = []
    for syntax in ("", "intel"):
        for file in (folder / "cache").glob("fastlstm/*/*twice*"):
            file.unlink()
        done = processes.python(
            f"import sys, runpy; sys.argv[1:] = {syntax.split()}; runpy.run_path({str(path)!r}, run_name='of_a_user')",
            folder / "cache",
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.split())
    assert found == [["11.25", "0"], ["11.25", "1"]]


@pytest.mark.parametrize(
    ("triple", "expected"),
    [
        ("x86_64-unknown-linux-gnu", True),
        ("x86_64-pc-windows-msvc", False),
        ("x86_64-apple-darwin23.1.0", False),
        ("arm64-apple-macosx14.0.0", False),
        ("aarch64-unknown-linux-gnu", False),
    ],
)
def test_where_kernels_are_sealed(triple: str, expected: bool) -> None:
    assert sealed.seals(triple) is expected


def test_one_function_in_two_ways(folder: Path) -> None:
    """Each is loaded as what it is: the inlined one leaves no call, whichever was compiled first."""
    for _ in range(2):
        inside, called = inlined_part(sums), jit.sealed(sums)
        assert [calls(one)(1, 2, VALUES) for one in (called, inside)] == [2 * sums(1, 2, VALUES)] * 2
        caller = calls(inside)
        caller(1, 2, VALUES)
        assert "module asm" not in code_of(caller)
        (function,) = re.findall(r"^define .*_3clocals_3e6caller.*?^}", code_of(caller), re.DOTALL | re.MULTILINE)[:1]
        assert "1.750000e+00" in function
    assert len(list(folder.glob("*sums*"))) == 2


def test_a_part_from_the_cache(folder: Path) -> None:
    """With what it calls: no one else compiles that."""

    @jit.compiled
    def inner(values: Any) -> Any:
        total = 0.0
        for value in values:
            total += value
        return total

    def outer(first: Any, step: Any, values: Any) -> Any:
        return inner(values[first:]) + step

    made: list[Callable[..., Any]] = [part(outer) for _ in range(2)]
    for one in made:
        assert calls(one)(1, 4, VALUES) == 2 * (VALUES[1:].sum() + 4)
    assert [sum(one.stats.cache_hits.values()) for one in made] == [0, 1]  # type: ignore[attr-defined]
    assert len(list(folder.glob("*outer*"))) == 1
