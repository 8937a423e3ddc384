"""Damaged and hostile files: a ValueError that says what is wrong, or numbers; nothing else. tests/damage.py tries many
more, and looks at time and memory too."""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import READERS, fate, files

LONGEST = 5 << 20  # bytes of a file that is written here


@pytest.mark.parametrize("name", READERS)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    if reader.package is not None:
        pytest.importorskip(reader.package)
    assert {fate(reader, content, str(tmp_path))[0] for content in reader.good()} == {"read"}
    fates = [fate(reader, content, str(tmp_path))[0] for content in files(reader, 60)]
    assert 5 < fates.count("refused") <= 60
    for content in reader.hostile():
        if len(content) < LONGEST:
            assert fate(reader, content, str(tmp_path))[0] == "refused", content[:100]
