"""Damages model files at random and reads them: each has to be read, or refused by a ValueError, in under a second and
200 MB, and nothing else on the disk may be touched.

``python tests/damage_files.py [count]``: that many damaged files for each reader, 10 000 unless told otherwise.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
from fastlstm import nn

FILES = Path(__file__).parent / "data" / "keras_files"
NUMBERS = 0, 1, 2, 0x7F, 0x80, 0xFF
SECONDS, MEGABYTES = 1.0, 200


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bits turned, bytes set, a part cut off, left out, doubled, or 8 bytes made a large number."""
    found = bytearray(data)
    kind = rng.random()
    if kind < 0.08:
        return bytes(found[: rng.randrange(len(found))])
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16, 64))):
        at = rng.randrange(len(found))
        if kind < 0.5:
            found[at] ^= 1 << rng.randrange(8)
        elif kind < 0.8:
            found[at] = rng.choice((*NUMBERS, rng.randrange(256)))
        elif kind < 0.88:
            at = at // 8 * 8
            number = rng.choice((0, 1, len(data), 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1, rng.randrange(len(data))))
            found[at : at + 8] = number.to_bytes(8, "little")
        elif kind < 0.94:
            del found[at : at + rng.randrange(1, 40)]
        else:
            found[at:at] = found[at : at + rng.randrange(1, 40)]
        if not found:
            return b""
    return bytes(found)


def damaged_text(rng: random.Random, text: str) -> str:
    """A description with values that nobody writes."""
    about = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(thing: Any) -> None:
        for key in thing if isinstance(thing, dict) else range(len(thing)):
            places.append((thing, key))
            if isinstance(thing[key], (dict, list)):
                walk(thing[key])

    walk(about)
    for _ in range(rng.choice((1, 1, 2, 5))):
        thing, key = rng.choice(places)
        others = (None, True, 0, -1, 1.5, 1e308, 10**30, "x" * 50, "Lambda", [], {}, [None], {"class_name": "LSTM"},
                  about["config"])  # fmt: skip
        thing[key] = rng.choice(others)
    try:
        return json.dumps(about)
    except ValueError:  # it holds itself
        return "[" * 10000


def damaged_archive(rng: random.Random, data: bytes) -> bytes:
    """A .keras file whose content is damaged, so that its sums are right; sometimes it is damaged as a whole."""
    if rng.random() < 0.2:
        return damaged(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    if rng.random() < 0.5:
        entries["model.weights.h5"] = damaged(rng, entries["model.weights.h5"])
    else:
        entries["config.json"] = damaged_text(rng, entries["config.json"].decode()).encode()
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for name, entry in entries.items():
            new.writestr(zipfile.ZipInfo(name), entry)
    return room.getvalue()


def torch_file() -> bytes:
    import safetensors.numpy

    layers = tuple(fastlstm.init_params(D, 4, cell="gru", rng=0) for D in (3, 4))
    return safetensors.numpy.save(fastlstm.to_torch(layers, "encoder"))


Case = tuple[Callable[[], bytes], Callable[[random.Random, bytes], bytes], Callable[[str], Any], str]
READERS: dict[str, Case] = {
    "from_keras, .keras": ((FILES / "whole.keras").read_bytes, damaged_archive, fastlstm.from_keras, "m.keras"),
    "from_keras, .h5": ((FILES / "keras2.h5").read_bytes, damaged, fastlstm.from_keras, "m.h5"),
    "from_keras, .weights.h5": ((FILES / "only.weights.h5").read_bytes, damaged, fastlstm.from_keras, "m.h5"),
    "load_keras, .keras": ((FILES / "whole.keras").read_bytes, damaged_archive, nn.load_keras, "m.keras"),
    "load_keras, .h5": ((FILES / "whole.h5").read_bytes, damaged, nn.load_keras, "m.h5"),
    "from_torch": (torch_file, damaged, lambda path: fastlstm.from_torch(path, "encoder"), "m.safetensors"),
}  # fmt: skip


def run(reader: str, count: int, folder: str) -> dict[str, Any]:
    """Damaged files in that folder, one after the other; what came of them. Fails at what may not be."""
    made, damage, read, name = READERS[reader]
    data, path = made(), os.path.join(folder, name)
    came: Counter[str] = Counter()
    slowest = 0.0
    with open(path, "wb") as file:
        file.write(data)
    read(path)  # compiled kernels are loaded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        with open(path, "wb") as file:
            file.write(damage(random.Random(number), data))
        began = time.process_time()
        try:
            with np.errstate(all="ignore"):
                read(path)
            came["read"] += 1
        except ValueError:
            came["refused"] += 1
        except BaseException as error:
            raise AssertionError(f"{reader}, file {number}: {error!r}") from error
        slowest = max(slowest, time.process_time() - began)
        assert os.listdir(folder) == [name], number
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {**came, "slowest, s": round(slowest, 3), "more memory, MB": round(more)}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for reader in READERS:
        with tempfile.TemporaryDirectory() as folder:
            found = run(reader, count, folder)
        print(f"{reader}: {found}", flush=True)
        assert found["slowest, s"] < SECONDS
        assert found["more memory, MB"] < MEGABYTES


if __name__ == "__main__":
    main()
