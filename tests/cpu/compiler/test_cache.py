"""Compiled kernels on disk: whole, of the function they are taken for, of the sources at hand.

What needs real kernels is in tests/process."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

import fastlstm
from fastlstm.cpu.compiler import cache
from fastlstm.cpu.compiler.options import OPTIONS

PACKAGE = Path(fastlstm.__file__).parent


def twice(x: Any) -> Any:
    return 2 * x


def thrice(x: Any) -> Any:
    return 3 * x


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where kernels are kept meanwhile."""
    monkeypatch.setattr(cache, "cache_folder", lambda: str(tmp_path))
    cache._warn_once.cache_clear()
    yield tmp_path
    cache._warn_once.cache_clear()


def first_call(function: Any) -> tuple[int, int]:
    """Of a new dispatcher: how often it compiled, and loaded."""
    dispatcher = cache.cached(njit(**OPTIONS)(function))
    assert dispatcher(np.float32(7)) == function(7)
    return sum(dispatcher.stats.cache_misses.values()), sum(dispatcher.stats.cache_hits.values())


def of(folder: Path, function: Any) -> Path:
    (found,) = folder.glob(f"*{function.__name__}*")
    return found


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


def test_what_was_compiled_is_loaded(folder: Path) -> None:
    assert [first_call(twice) for _ in range(2)] == [(1, 0), (0, 1)]
    assert [file.suffix for file in folder.iterdir()] == [".nbc"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "shorter than a hash": lambda data: data[:5],
    "truncated": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"\0",
    "garbage": lambda data: np.random.default_rng(0).bytes(len(data)),
    "a bit of the hash": lambda data: flip(data, 3),
    "a bit of the first byte": lambda data: flip(data, 32),
    "a bit of the code": lambda data: flip(data, len(data) // 2),
    "a bit of the last byte": lambda data: flip(data, len(data) - 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_again_and_replaced(folder: Path, damage: str) -> None:
    first_call(twice)
    file = of(folder, twice)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.warns(RuntimeWarning, match="is damaged; compiling again") as said:
        assert first_call(twice) == (1, 0)
    assert len(said) == 1
    assert first_call(twice) == (0, 1)


def test_another_functions_file_is_not_taken(folder: Path) -> None:
    first_call(twice), first_call(thrice)
    of(folder, twice).write_bytes(of(folder, thrice).read_bytes())
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert first_call(twice) == (1, 0)  # and it is called: 2 * 7, not 3 * 7


def test_neither_is_that_of_other_sources_or_types(folder: Path) -> None:
    kept = cache._Files(str(folder), "f", "stamp")
    kept.save("key", [1, 2])
    assert kept.load("key") == [1, 2]
    assert kept.load("another") is None
    (file,) = folder.iterdir()
    for stamp, key in (("other", "key"), ("stamp", "another")):
        other = cache._Files(str(folder), "f", stamp)
        Path(other._path(key)).write_bytes(file.read_bytes())
        with pytest.raises(ValueError, match="not what was written for"):
            other.load(key)


def test_one_that_cannot_be_read_is_compiled_again(folder: Path) -> None:
    first_call(twice)
    file = of(folder, twice)
    file.unlink()
    file.mkdir()
    with pytest.warns(RuntimeWarning) as said:
        assert first_call(twice) == (1, 0)
    assert ["damaged" in str(one.message) for one in said] == [True, False]
    assert "cannot be kept" in str(said[1].message)


def imported(path: Path) -> set[Path]:
    """Files of the package that a module imports, wherever in it."""
    package = list(path.relative_to(PACKAGE.parent).parts[:-1])
    names: list[list[str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = start + (node.module.split(".") if node.module else [])
            names += [[*module, alias.name] for alias in node.names]
    found = set()
    for name in names:
        if name[0] == PACKAGE.name:
            place = PACKAGE.parent.joinpath(*name)
            candidates = place.with_suffix(".py"), place / "__init__.py", place.parent.with_suffix(".py")
            found |= {one for one in candidates if one.is_file()}
    return found


def stamped() -> set[Path]:
    places = [PACKAGE / name for name in cache._SOURCES]
    return {file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])}


def test_the_stamp_covers_all_that_kernels_are_made_of() -> None:
    """What the stamped modules import is stamped too; and no other module makes kernels or helpers of them."""
    found = stamped()
    assert PACKAGE / "params.py" in found
    for path in found:
        assert imported(path) <= found, path
    makers = {"kernel", "compiled", "inlined", "compiled_from_python", "cached"}
    for path in set(PACKAGE.rglob("*.py")) - found - set((PACKAGE / "cuda").iterdir()):  # whose kernels are its own
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not makers & {alias.name for alias in node.names}, path


def test_each_stamped_file_changes_the_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in stamped():
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    deep = tmp_path / "cpu" / "a" / "b" / "new.py"
    deep.parent.mkdir(parents=True)
    deep.write_text("")
    (tmp_path / "sequences.py").write_text("")
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    stamp = cache.source_stamp.__wrapped__
    before = stamp()
    seen = {before}
    changed = [path for path in tmp_path.rglob("*.py") if path.name != "sequences.py"]
    for path in changed:
        with open(path, "a") as file:
            file.write("\n")
        seen.add(stamp())
    assert len(seen) == 1 + len(changed)
    (tmp_path / "sequences.py").write_text("# no kernel is made of it")
    assert stamp() in seen
    deep.rename(deep.with_name("other.py"))
    assert stamp() not in seen


def test_without_sources_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application in one file: code of another version of it would be loaded."""
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    monkeypatch.setattr(cache, "source_stamp", cache.source_stamp.__wrapped__)
    assert cache.source_stamp() == ""
    assert cache.cache_folder.__wrapped__() == ""
    monkeypatch.setattr(cache, "cache_folder", lambda: "")
    cache._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="sources are not in files; kernels are compiled in every process"):
        assert first_call(twice) == (1, 0)
    cache._warn_once.cache_clear()


def test_a_kernels_writer_cleans_up_too(folder: Path) -> None:
    left = folder / ".fastlstm-0123456789abcdef.part"
    left.touch()
    os.utime(left, (0, 0))
    first_call(twice)
    assert not left.exists()


def test_a_run_says_nothing_of_a_cache_in_order(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first_call(twice), first_call(twice)
