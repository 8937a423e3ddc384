"""The proof: what it takes, what it refuses, and that nothing unproven comes to its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import random_params

import fastlstm
from fastlstm import formats, nn
from fastlstm.formats import plan, proof


def test_cases_are_the_same_each_time_and_ragged_once() -> None:
    found = plan.plan_of(fastlstm.init_params(3, 4, rng=0))
    one, two = proof.cases(found), proof.cases(found)
    assert [case.x.shape for case in one] == [(1, 5, 3), (2, 3, 3), (3, 4, 3)]
    assert len({*one[-1].lengths.tolist()}) > 1
    for case, again in zip(one, two, strict=True):
        assert (case.x == again.x).all()
        assert (case.y == again.y).all()
        assert case.x.dtype == np.float32
        assert case.y.dtype == np.float64
        assert np.abs(case.y - plan.run(found, case.x, case.lengths)[0]).max() == 0


def test_what_a_masking_leaves_out_is_padding() -> None:
    model = nn.Sequential([nn.Input((None, 3)), nn.Masking(2.5), nn.LSTM(4)], seed=0)
    found = plan.plan_of(model)
    last = proof.cases(found)[-1]
    assert (last.x[1, 1:] == 2.5).all()
    assert np.abs(plan.run(found, last.x)[0] - last.y).max() == 0


def test_outputs_are_compared_at_real_steps_alone() -> None:
    cases = proof.cases(plan.plan_of(fastlstm.init_params(3, 4, rng=0)))
    outputs = [case.y.copy() for case in cases]
    outputs[-1][1, 1:] = np.nan
    found = proof.compare(cases, outputs, np.float32, "a test")
    assert found == (0, (5 + 6 + 7) * 4, "a test")
    assert str(found) == "largest difference 0.0e+00 on 72 numbers, run by a test"


def test_differences_are_parts_of_the_largest_number() -> None:
    case = proof.Case(np.zeros((1, 1, 1)), np.array([1]), np.array([[200.0, 3.0]]))
    found = proof.compare([case], [case.y + 1e-3], np.float32, "a test")
    assert found.error == pytest.approx(5e-6)


@pytest.mark.parametrize("wrong", [1e-4, np.nan])
def test_a_difference_is_an_error(wrong: float) -> None:
    cases = proof.cases(plan.plan_of(fastlstm.init_params(3, 4, rng=0)))
    outputs = [case.y.copy() for case in cases]
    outputs[1][1, 2, 3] += wrong
    with pytest.raises(ValueError, match=r"within 1e-05 of fastlstm.reference, got .* on 72 numbers, run by a test"):
        proof.compare(cases, outputs, np.float32, "a test")
    with pytest.raises(ValueError, match=r"shape \(1, 5, 4\), got \(1, 5\), run by a test"):
        proof.compare(cases, [y[..., 0] for y in outputs], np.float32, "a test")


def test_where_rounding_is_enlarged_the_tolerance_is_larger(rng: Any) -> None:
    tame = plan.plan_of(random_params(rng, 3, 4, np.float32))
    assert proof.tolerance(tame, proof.cases(tame)) == proof.TOLERANCE[np.dtype(np.float32)]
    alike = fastlstm.Params(*(np.repeat(array[..., :1], 8, axis=-1) for array in random_params(rng, 3, 2, np.float32)))
    alike.b[::2] += np.float32(1e-3)
    head = plan.Dense(np.float32([[1e3], [-1e3]]), np.zeros(1, np.float32))  # of their small difference
    wild = plan.planned((plan.Recurrent((alike,)), head))
    allowed = proof.tolerance(wild, proof.cases(wild))
    assert 1e-5 < allowed < 1e-2
    case = proof.Case(np.zeros((1, 1, 1)), np.array([1]), np.array([[1.0]]))
    assert proof.compare([case], [case.y + allowed], np.float32, "a test", allowed * 1.01).error > 1e-5


def test_what_is_proven_comes_to_its_place_with_its_proof(tmp_path: Path) -> None:
    seen = []

    def check(name: str) -> proof.Proof:
        seen.append(Path(name).read_bytes())
        assert Path(name).with_suffix(".b").read_bytes() == b"beside"
        return proof.Proof(0.5, 3, "a test")

    found = proof.write(tmp_path / "m.a", lambda it: [(".b", b"beside"), (".a", str(it).encode())], check)
    assert found == (0.5, 3, "a test")
    assert seen == [b"None"]
    assert (tmp_path / "m.a").read_text() == "largest difference 5.0e-01 on 3 numbers, run by a test"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.a", "m.b"]


def test_what_is_not_proven_leaves_all_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "m.a").write_text("before")

    def check(name: str) -> Any:
        raise ValueError("expected more")

    with pytest.raises(ValueError, match=r"path: expected more; '.*m.a' is not written"):
        proof.write(tmp_path / "m.a", lambda it: [(".b", b"1"), (".a", b"2")], check)
    assert [one.name for one in tmp_path.iterdir()] == ["m.a"]
    assert (tmp_path / "m.a").read_text() == "before"


def test_files_without_vectors_are_not_proven(tmp_path: Path) -> None:
    fastlstm.save(tmp_path / "weights.npz", fastlstm.init_params(3, 4))
    with pytest.raises(ValueError, match=r"path: expected a file that carries vectors, .*weights.npz"):
        formats.prove(tmp_path / "weights.npz")
    with pytest.raises(TypeError, match="path: expected str or path-like, got int"):
        formats.prove(3)
