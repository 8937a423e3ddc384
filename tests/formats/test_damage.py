"""Damaged and hostile files: a ValueError that says what is wrong, or numbers; nothing else. tests/damage.py tries many
more, and looks at time and memory too."""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import NAMES, fate, files, good_files, hostile, readers

LONGEST = 5 << 20  # bytes of a file that is written here


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    if name == "onnx":
        pytest.importorskip("onnx")
    read = readers()[name]
    assert {fate(read, content, str(tmp_path))[0] for content in good_files(name)} == {"read"}
    fates = [fate(read, content, str(tmp_path))[0] for content in files(name, 60)]
    assert 10 < fates.count("refused") < 60
    for content in hostile(name):
        if len(content) < LONGEST:
            assert fate(read, content, str(tmp_path))[0] == "refused", content[:100]
