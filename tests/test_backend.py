"""The door: tests of the public functions once more, with an engine behind it that shares nothing with the first.

What differs: it promises no bits, so that what has to be the same need only be close; and no compiled code can call it,
so that functions that a test compiles run as Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
import reference_engine
import test_checks
import test_reference
from formats import test_npz, test_torch
from in_place import test_in_place, test_stream
from nn import test_layers, test_losses, test_model, test_optimizers, test_steps
from numba.core.dispatcher import Dispatcher
from oracles import KINDS, leaves
from sequences import test_against_reference, test_promises

import fastlstm
from fastlstm import backend


def close(found: Any, expected: Any) -> None:
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert a.dtype == b.dtype
        limit = 1e-4 if a.dtype == np.float32 else 1e-9
        np.testing.assert_allclose(a, b, limit, limit)


def as_python(*function: Any, **options: Any) -> Any:
    """In place of numba.njit."""
    return function[0] if function else as_python


class Anew:
    """Tests of `module` under the other engine."""

    module: ModuleType

    @pytest.fixture(autouse=True)
    def _engine(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name, value in list(vars(self.module).items()):
            if name == "assert_same":
                monkeypatch.setattr(self.module, name, close)
            elif isinstance(value, Dispatcher):
                monkeypatch.setattr(self.module, name, value.py_func)
        monkeypatch.setattr(numba, "njit", as_python)
        with backend.use(reference_engine):
            yield


def anew(module: ModuleType, *left_out: str) -> type:
    """A class of all tests of a module but those."""
    tests = {name: staticmethod(test) for name, test in vars(module).items() if name.startswith("test_")}
    for name in left_out:
        del tests[name]
    return type("Test", (Anew,), {"module": module, **tests})


TestReference = anew(test_reference, "test_gradients_are_central_differences")  # long, and of fastlstm.reference itself
TestPromises = anew(
    test_promises,
    "test_a_sequence_depends_on_itself_alone", "test_a_reset_is_a_cut",  # the same bits whichever way threads go
)  # fmt: skip
TestBadInput = anew(test_checks)
TestFiles = anew(test_npz, "test_files_made_to_do_harm", "test_any_damage")  # long, and not of engines
TestTorch = anew(test_torch)
TestStream = anew(test_stream)
TestOptimizers = anew(test_optimizers)
TestInPlace = anew(
    test_in_place,
    # what is promised of compiled code alone
    "test_the_users_options_change_no_bit", "test_streams_side_by_side_in_a_parallel_loop", "test_another_cell",
    "test_bad_input_in_compiled_code", "test_what_is_caught_frees_what_it_held",
    "test_a_users_cached_function_after_a_change_of_layout", "test_pack_into",
)  # fmt: skip
TestLayers = anew(
    test_layers,
    "test_dense_products", "test_dense_has_the_same_bits_on_threads", "test_a_nan_stays_in_its_row",  # kernels of cpu/
)  # fmt: skip
TestLosses = anew(test_losses, "test_inputs_of_any_layout")  # no kernel is compiled again
TestSteps = anew(
    test_steps,
    "test_whole_sequences_take_the_recorded_passes",  # it records nothing
    "test_a_sequence_of_its_own_is_what_a_padded_one_is",  # bits
)  # fmt: skip
TestModel = anew(
    test_model,
    "test_predict_and_evaluate_do_not_depend_on_batches",  # bits
    "test_the_listing_of_the_post", "test_importing_the_core_does_not_import_nn",  # long, and not of engines
)  # fmt: skip


@pytest.mark.parametrize("plan", [[(5, False)], [(4, True), (5, False), (3, True)]])
@pytest.mark.parametrize("cell", KINDS)
def test_all_options_go_through_the_door(cell: str, plan: Any) -> None:
    with backend.use(reference_engine):
        for reverse in (False, True)[: 2 if len(plan) == 1 else 1]:
            test_against_reference.check(
                8, 6, 9, 4, plan, np.float64, cell, lengths=[9, 0, 3, 9, 1, 5], reverse=reverse, reset=0.2, masked=True
            )


def test_packed_weights_are_an_engines_own() -> None:
    before = backend.engine
    packed = fastlstm.pack(fastlstm.init_params(3, 4, rng=0))
    with backend.use(reference_engine):
        assert backend.engine is reference_engine
        with pytest.raises(ValueError, match="packed: expected weights that pack laid out for this processor"):
            fastlstm.make_tape(packed, 1, 1)
    assert backend.engine is before
    fastlstm.make_tape(packed, 1, 1)
