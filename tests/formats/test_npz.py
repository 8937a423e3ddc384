"""Weights in files: all of them back, or an error that says what is wrong with the file."""

from __future__ import annotations

import io
import itertools
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import KINDS, REFERENCE_KINDS, assert_same, leaves, map_leaves, random_params, random_stack

import fastlstm
from fastlstm.params import CELLS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("plan", [[(5, False)], [(5, True)], [(4, True), (3, False)]])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("cell", REFERENCE_KINDS)
def test_there_and_back(tmp_path: Path, rng: Any, cell: str, plan: Any, dtype: Any, stacked: bool) -> None:
    stack = random_stack(rng, 3, plan, dtype, cell)
    if not stacked and len(stack) > 1:
        pytest.skip("two layers are a stack")
    params = stack if stacked else stack[0]
    for given in (params, fastlstm.pack(params)) if cell in KINDS else (params,):
        fastlstm.save(tmp_path / "w", given)
        found = fastlstm.load(str(tmp_path / "w"))
        assert type(found) is (tuple if stacked else type(params))
        assert_same(found, params)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_weights_of_any_layout(tmp_path: Path, rng: Any) -> None:
    params = random_params(rng, 3, 5)
    for given in (map_leaves(np.asfortranarray, params), map_leaves(lambda a: a.astype(">f8"), params)):
        fastlstm.save(tmp_path / "w", given)
        found = fastlstm.load(tmp_path / "w")
        assert_same(found, params)
        assert all(a.flags.writeable for a in found)


def test_damaged_and_foreign_files(tmp_path: Path, rng: Any) -> None:
    good = tmp_path / "good.npz"
    fastlstm.save(good, random_params(rng, 3, 5))
    data = good.read_bytes()
    for number, content in enumerate((b"", b"nothing", data[: len(data) // 2], data[:40] + b"\xff" * 9 + data[49:])):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="path: expected a file that save wrote"):
            fastlstm.load(path)
    with pytest.raises(FileNotFoundError):
        fastlstm.load(tmp_path / "none.npz")
    with pytest.raises(TypeError, match="path: expected str or path-like, got int"):
        fastlstm.load(3)  # type: ignore[arg-type]
    entries = dict(np.load(good))
    for change, message in (
        ({"fastlstm": np.array(99)}, "expected an entry 'fastlstm' of 1"),
        ({"fastlstm": np.ones(3)}, "expected an entry 'fastlstm' of 1"),
        ({"Z": np.ones(3)}, r"expected entries such as W.npy, .*got 'Z.npy'"),
        ({"W": np.ones((3, 8))}, r"path.W: expected"),
        ({"W": np.ones((3, 20), np.float32)}, r"path.U: expected float32 as in path.W, got float64"),
        ({"W": np.ones((0, 20), np.float32)}, "expected 'W' to be an array of float32 or float64 that is not empty"),
        ({"b": np.array(["x"] * 20, object)}, "expected 'b' to be an array of float32 or float64"),
        ({"b": np.ones(20, np.float16)}, "expected 'b' to be an array of float32 or float64"),
        ({"b": np.array("standard")}, "path.b: expected real numbers"),
        ({"cell": np.array(["standard"] * 2)}, "expected an entry 'cell' of standard or"),
        ({"cell": np.array("\u0436")}, "expected 'cell' to be the name of a cell"),
    ):
        path = tmp_path / "changed.npz"
        np.savez(path, **(entries | change))
        with pytest.raises(ValueError, match=message):
            fastlstm.load(path)


def rewritten(data: bytes, changes: dict[str, Any], **options: Any) -> bytes:
    """An .npz file with some entries' bytes changed and the sums over them right again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", **options) as new:
        for name in old.namelist():
            change = changes.get(name.removesuffix(".npy"))
            new.writestr(name, change(old.read(name)) if change else old.read(name))
    return out.getvalue()


def assert_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"path: expected a file that save wrote, got .*{message}"):
        fastlstm.load(path)


def test_files_made_to_do_harm(tmp_path: Path, rng: Any) -> None:
    path = tmp_path / "w"
    fastlstm.save(path, random_params(rng, 3, 5, cell="peephole"))
    good = path.read_bytes()
    for old, new, message in (
        (b"(3, 20), }     ", b"(3, 20000000), }"[:15], "expected 'W' to be an array"),
        (b"(3, 20), }        ", b"(300000, 20000), }", "expected 48000000128 bytes for 'W' of shape"),
        (b"(3, 20), }" + b" " * 22, b"(999999999999, 9999999999), }   ", "expected .* bytes for 'W' of shape"),
        (b"(3, 20), }" + b" " * 22, b"(((((((((((((((((((((((((((((((", "expected 'W' to be an array"),
        (b"'<f8'", b"'|O8'", "expected 'W' to be an array"),
        (b"NUMPY\x01", b"NUMPY\x02", "expected 'W' to be an array in NumPy's format 1.0"),
        (b"v\x00{", b"\xff\xff{", "expected 'W' to be an array"),
    ):
        assert len(old) == len(new) or new.startswith(b"(((")
        changed = rewritten(good, {"W": lambda data, o=old, n=new: data.replace(o, n)})  # type: ignore[misc]
        assert_refused(path, changed, message)
    assert_refused(path, rewritten(good, {"b": lambda data: data[:-8]}), "expected 288 bytes for 'b'.* got 280")
    shape = b"{'descr': '<f8', 'fortran_order': False, 'shape': (20000, 1000), }"
    bomb = rewritten(good, {"W": lambda _: b"\x93NUMPY\x01\x00v\x00" + shape.ljust(117) + b"\n" + bytes(160_000_000)},
                     compression=zipfile.ZIP_DEFLATED)  # fmt: skip
    assert len(bomb) < 200_000
    assert_refused(path, bomb, "expected entries that are not compressed")
    lies = bytearray(rewritten(good, {"W": lambda data: data.replace(b"(3, 20), }     ", b"(30000, 2000), }"[:16])}))
    entry = lies.rindex(b"W.npy") - 46  # in the directory, behind two sizes that it states
    lies[entry + 20 : entry + 28] = 2 * struct.pack("<I", 480_000_128)
    assert_refused(path, bytes(lies), "expected entries of at most the file's .* bytes, got 480")
    path.write_bytes(good)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("W.npy", archive.read("W.npy"))
    assert_refused(path, path.read_bytes(), "expected each entry once, got two of 'W'")


def test_any_damage(tmp_path: Path, rng: Any) -> None:
    """Bits that flip, ends that are missing, pieces of two files: an error, or the weights of one of the two."""
    files = []
    for cell, plan in itertools.product(KINDS, ([(3, False)], [(2, True), (3, False)])):
        params = tuple(random_stack(rng, 2, plan, cell=cell))
        fastlstm.save(tmp_path / "w", params)
        files.append(((tmp_path / "w").read_bytes(), params))
    refused = came = 0
    for turn in range(400):
        (one, right), (two, other) = files[turn % len(files)], files[rng.integers(len(files))]
        content = bytearray(one)
        at = int(rng.integers(len(one)))
        if turn % 3 == 0:
            content[at] ^= 1 << rng.integers(8)
        elif turn % 3 == 1:
            begin = int(rng.choice((one.index(b"PK\1\2"), one.rindex(b"PK\5\6"))))  # what the directory says
            place = begin + int(rng.integers(4, 20))
            content[place : place + 2] = rng.bytes(2)
        else:
            content[at:] = two[int(rng.integers(len(two))) :] if rng.random() < 0.5 else b""
        (tmp_path / "w").write_bytes(content)
        try:
            found = fastlstm.load(tmp_path / "w")
        except ValueError as wrong:
            refused += str(wrong).startswith("path: expected ")
        else:
            came += 1
            assert [a.tobytes() for a in leaves(found)] in [[a.tobytes() for a in leaves(p)] for p in (right, other)]
    assert refused + came == 400
    assert came < 100


def test_a_file_of_another_cell(tmp_path: Path, rng: Any) -> None:
    path = tmp_path / "w.npz"
    for cell, other in itertools.permutations(CELLS, 2):
        fastlstm.save(path, random_params(rng, 3, 5, cell=cell))
        entries = {**np.load(path), "cell": np.array(other)}
        np.savez(path, **entries)
        names = rf"of the {other} cell, got .* of the (.* or )?{cell}( or .*)? cell"
        forms = r"path\.\w: expected shape"  # two cells have fields of the same names
        alike = CELLS[cell]._fields == CELLS[other]._fields
        with pytest.raises(ValueError, match=forms if alike else names):
            fastlstm.load(path)
        np.savez(path, **{**entries, "cell": np.array("rnn")})
        with pytest.raises(ValueError, match=rf"expected an entry 'cell' of {' or '.join(CELLS)}, got .*rnn"):
            fastlstm.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, rng: Any) -> None:
    path = tmp_path / "w.npz"
    old = random_params(rng, 3, 5)
    fastlstm.save(path, old)
    with pytest.raises(TypeError):
        fastlstm.save(path, "weights")  # type: ignore[arg-type]
    with pytest.raises(OSError, match=r"."):
        fastlstm.save(tmp_path / "no folder" / "w.npz", old)
    assert_same(fastlstm.load(path), old)
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_no_device_is_read_or_replaced(tmp_path: Path, rng: Any) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(ValueError, match="path: expected a file to write, got a device, a pipe or a socket"):
            fastlstm.save(path, random_params(rng, 3, 5))
        for read in (fastlstm.load, fastlstm.nn.load_model):
            with pytest.raises(ValueError, match="path: expected a file that save wrote, got a device"):
                read(path)
    assert pipe.is_fifo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"]
