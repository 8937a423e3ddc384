"""Helpers: compiled with their callers, once, and with them alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.caching import NullCache
from numba.core.codegen import CPUCodeLibrary

from fastlstm.cpu.compiler.options import OPTIONS, compiled, inlined, kernel, sealed


@compiled
def product_of(values: Any) -> Any:
    product = 1
    for value in values:
        product *= value
    return product


@compiled
def positive_product(values: Any) -> Any:
    if product_of(values) <= 0:
        raise ValueError("values: expected a positive product")
    return product_of(values)


@inlined
def twice(values: Any) -> Any:
    return 2 * positive_product(values)


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of those that Numba optimises and makes machine code of."""
    names: list[str] = []
    for step in ("_optimize_final_module", "_finalize_final_module"):
        original = getattr(CPUCodeLibrary, step)

        def noted(self: Any, original: Any = original) -> None:
            if self.name != "nrt":  # Numba's own
                names.append(self.name.rsplit(".")[-1])
            original(self)

        monkeypatch.setattr(CPUCodeLibrary, step, noted)
    return names


def test_helpers_are_optimised_with_their_caller_alone(libraries: list[str]) -> None:
    @njit(**OPTIONS)
    def caller(values: Any) -> Any:
        return twice(values) + product_of(values)

    assert caller(np.array([3, 5, 7])) == 3 * 105
    assert libraries == ["caller"] * 2


def test_loops_of_helpers_stay_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {}
    optimize = CPUCodeLibrary._optimize_functions

    def noted(self: Any, module: Any) -> None:
        told[self.name.rsplit(".")[-1]] = "optsize" in str(module)
        optimize(self, module)

    monkeypatch.setattr(CPUCodeLibrary, "_optimize_functions", noted)

    @compiled
    def total(values: Any) -> Any:
        found = 0
        for value in values:
            found += value
        return found

    @sealed
    def called(values: Any) -> Any:
        return total(values)

    @kernel
    def body(values: Any) -> Any:
        return total(values)

    @njit(**OPTIONS)
    def caller(values: Any) -> Any:
        return called(values) + body(values)

    monkeypatch.setattr(called, "_cache", NullCache())  # each is compiled here
    monkeypatch.setattr(body, "_cache", NullCache())
    assert caller(np.array([3, 5, 7])) == 30
    assert told == {"total": True, "called": True, "body": False, "caller": False}


def test_what_an_inlined_helper_calls_is_not_inlined_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[str] = []
    original = CPUCodeLibrary._optimize_final_module

    def noted(self: Any) -> None:
        for function in self._final_module.functions:
            if any(b"alwaysinline" in bytes(attributes) for attributes in function.attributes):
                forced.append(function.name)
        original(self)

    monkeypatch.setattr(CPUCodeLibrary, "_optimize_final_module", noted)

    @njit(**OPTIONS)
    def caller(values: Any) -> Any:
        return twice(values)

    assert caller(np.array([3, 5, 7])) == 2 * 105
    assert any("twice" in name for name in forced)
    assert not any("product" in name for name in forced)


def test_two_callers_share_a_helper_and_see_its_errors() -> None:
    @njit
    def plain(values: Any) -> Any:
        return positive_product(values)

    @njit(fastmath=True, boundscheck=True)
    def other(values: Any) -> Any:
        return -positive_product(values)

    for caller, sign in ((plain, 1), (other, -1)):
        assert caller(np.array([2.0, 5.5])) == sign * 11.0
        with pytest.raises(ValueError, match="expected a positive product"):
            caller(np.array([2.0, -1.0]))


def test_a_helper_called_from_python_is_plain_python(libraries: list[str]) -> None:
    assert twice([2, 3]) == 12
    assert twice([2**40, 2**40]) == 2**81  # no 64 bits
    with pytest.raises(ValueError, match="expected a positive product"):
        twice([0])
    assert libraries == []
