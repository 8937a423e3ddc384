"""Damaged and hostile files: a reader says what is wrong by a ValueError, in under a second and 200 MB, or reads them;
it does nothing else, and touches no other file.

    python tests/damage.py 10000     # that many for each reader; needs onnx and safetensors
    python tests/damage.py 10000 "load_keras, .h5"

A few of each are part of the suite (tests/formats/test_damage.py).
"""

from __future__ import annotations

import copy
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import fastlstm  # noqa: E402
from fastlstm import formats, nn  # noqa: E402

DATA = Path(__file__).parent / "data"
KERAS = DATA / "keras_files"
SECONDS, MEGABYTES = 1.0, 200
Damage = Callable[[bytes, random.Random], bytes]
ODD: list[Any] = [None, True, "", "1", [], {}, [[]], 0, -1, 1.5, 10**18, 10**400, 1e308, -1e308, [1, [2]], "x" * 1000,
                  "Lambda", {"class_name": "LSTM"}, [None]]  # fmt: skip


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bits turned over, bytes overwritten, taken out, put in, 8 bytes made a large number, or the end cut off."""
    found = bytearray(content)
    kind = rng.randrange(12)
    if kind == 0:
        return bytes(found[: rng.randrange(len(found))])
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20, 64])):
        if not found:
            break
        at, size = rng.randrange(len(found)), rng.choice([1, 2, 4, 8, 100])
        if kind <= 5:
            found[at] ^= 1 << rng.randrange(8)
        elif kind <= 7:
            found[at] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 8:
            found[at : at + size] = rng.choice([b"\0", b"\xff", b"\x80", b"9", b"["]) * size
        elif kind == 9:
            numbers = [0, 1, len(content), 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1, rng.randrange(len(content))]
            found[at // 8 * 8 : at // 8 * 8 + 8] = rng.choice(numbers).to_bytes(8, "little")
        elif kind == 10:
            del found[at : at + size]
        else:
            found[at:at] = found[at : at + size] * rng.choice([1, 2, 50])
    return bytes(found)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All entries of JSON."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def odd_json(content: bytes, rng: random.Random) -> bytes:
    """Good JSON that makes no sense: entries are others, or are gone."""
    tree = json.loads(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not (there := list(places(tree))):
            break
        *path, last = rng.choice(there)
        place = tree
        for key in path:
            place = place[key]
        if rng.random() < 0.2:
            del place[last]
        else:
            place[last] = copy.deepcopy(rng.choice(ODD))
    return json.dumps(tree).encode()


def odd_onnx(content: bytes, rng: random.Random) -> bytes:
    """A good protocol buffer that makes no sense."""
    import onnx

    model = onnx.load_model_from_string(content)
    graph = model.graph
    numbers = [0, 1, -1, 7, 1 << 31, -(1 << 63), (1 << 63) - 1]
    for _ in range(rng.choice([1, 1, 2, 5])):
        node, tensor = rng.choice(graph.node), rng.choice(list(graph.initializer) or [onnx.TensorProto()])
        kind = rng.randrange(12)
        if kind == 0 and len(tensor.dims):
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(numbers)
        elif kind == 1:
            tensor.dims.append(rng.choice(numbers))
        elif kind == 2:
            tensor.data_type = rng.choice([0, 1, 2, 7, 10, 11, 16, 99, 1 << 30])
        elif kind == 3:
            tensor.data_location = 1
            tensor.external_data.add(key="location", value=rng.choice(["/etc/passwd", "../x", ""]))
        elif kind == 4:
            tensor.ClearField(rng.choice(["raw_data", "dims", "name", "data_type"]))
        elif kind == 5 and len(node.input):
            node.input[rng.randrange(len(node.input))] = rng.choice(["", "x", "y", tensor.name, "none"])
        elif kind == 6:
            node.op_type = rng.choice(["LSTM", "GRU", "Constant", "Identity", "", "RNN"])
        elif kind == 7 and len(node.attribute):
            one = rng.choice(node.attribute)
            one.i, one.s, one.f = rng.choice(numbers), rng.choice([b"", b"reverse", b"\xff" * 9]), float("nan")
            one.name = rng.choice([one.name, "clip", "direction", "hidden_size", "layout", "activations", ""])
        elif kind == 8:
            model.opset_import[0].version = rng.choice(numbers)
        elif kind == 9:
            graph.node.append(copy.deepcopy(node))
        elif kind == 10 and len(model.metadata_props):
            one = rng.choice(model.metadata_props)
            one.value = odd_json(one.value.encode(), rng).decode()
        else:
            tensor.name = rng.choice(["W", "R", "B", "", "recurrent0.W"])
    return bytes(model.SerializeToString())


def hostile_json() -> Iterator[bytes]:
    """Deep, wide, long and large."""
    for depth in (1000, 100_000, 5_000_000):
        yield b"[" * depth
        yield b'{"a":' * depth
        yield b'{"layers":' + b"[" * depth + b"]" * depth + b"}"
    for part in (b"[],", b"{},", b"1,", b"1.5,", b'"",', b'{"a":1},'):
        for size in (1 << 16, 1 << 24):
            yield b'{"weights":[' + part * (size // len(part)) + b"0]}"
    yield b" " * (30 << 20) + b"{}"
    yield b" " * (33 << 20) + b"{}"
    yield b'{"a":"' + "\U0001f600".encode() * (1 << 20) + b'"}'
    yield b'{"a":"' + "\U0001f600".encode() * (1 << 23) + b'"}'
    yield b'{"a":"' + b"\\ud83d\\ude00" * (1 << 20) + b'"}'
    yield b'{"weights":[' + b"9" * 1_000_000 + b"]}"
    yield b'{"weights":[1e999999999]}'
    yield b'{"weights":[NaN]}'
    sizes = {"input_size": 1 << 20, "hidden_size": 1 << 20, "num_layers": 1 << 20}
    yield json.dumps({"architecture": "LSTM", "config": sizes, "weights": [1.0]}).encode()
    layer = {"type": "lstm", "shape": [1 << 20], "weights": [[[1.0]], [[1.0]], [1.0]]}
    yield json.dumps({"in_shape": [1 << 20], "layers": [layer] * 1000}).encode()
    yield json.dumps({"in_shape": [1], "layers": [], "fastlstm": {"dtype": "float32", "cases": []}}).encode()


def hostile_onnx() -> Iterator[bytes]:
    """Messages of two bytes that take two hundred in memory, deep ones, sizes that are not there."""

    def varint(number: int) -> bytes:
        found = b""
        while number > 127:
            found, number = found + bytes([number & 127 | 128]), number >> 7
        return found + bytes([number])

    def field(number: int, content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    opset = field(8, varint(2 << 3) + varint(14))
    many = 1 << 22
    within = [
        field(1, b"") * many,
        field(1, field(5, b"") * many),
        field(5, b"") * many,
        field(11, b"") * many,
        field(1, field(1, b"") * many),
        field(5, (varint(8) + b"\1") * many),
        field(5, field(7, b"\1" * many)),
        (varint(99 << 3) + b"\1") * many,
        field(13, field(2, field(1, b"") * many)),
    ]
    for inner in within:
        yield opset + field(7, inner)
    deep = b""
    for _ in range(2000):
        deep = field(1, field(5, field(6, deep)))
    yield opset + field(7, deep)
    yield opset * many
    yield varint(7 << 3 | 2) + b"\xff" * 9 + b"\1"
    yield varint(7 << 3 | 3) * 100_000
    yield b"\xff" * 100_000
    dims = (varint(8) + varint(1 << 40)) * 3
    tensor = dims + varint(16) + b"\1" + field(8, b"W") + field(9, b"\0" * 8)
    inputs = b"".join(field(1, one) for one in (b"x", b"W", b"W"))
    yield opset + field(7, field(1, inputs + field(4, b"LSTM")) + field(5, tensor))


def odd_archive(content: bytes, rng: random.Random) -> bytes:
    """A .keras file whose entries are damaged, so that its sums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    if rng.random() < 0.5:
        entries["model.weights.h5"] = damaged(entries["model.weights.h5"], rng)
    else:
        entries["config.json"] = odd_json(entries["config.json"], rng)
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for name, entry in entries.items():
            new.writestr(zipfile.ZipInfo(name), entry)
    return room.getvalue()


def rtneural_files() -> list[bytes]:
    golden = json.loads((DATA / "audio_golden.json").read_text())["cases"]
    return [json.dumps(case["file"]).encode() for case in golden.values()]


def nam_files() -> list[bytes]:
    config = {"input_size": 1, "hidden_size": 3, "num_layers": 2}
    record = {"version": "0.5.4", "architecture": "LSTM", "config": config, "sample_rate": 48000}
    return [json.dumps(record | {"weights": [0.125 * (i % 17 - 8) for i in range(160)]}).encode()]


def onnx_files() -> list[bytes]:
    from onnx_files import CASES
    from onnx_files import golden as of_onnx

    files = of_onnx()
    found = [files[f"{case}/file"].tobytes() for case in CASES]
    with tempfile.TemporaryDirectory() as folder:
        for cell in ("standard", "gru"):
            params = fastlstm.init_params(2, 3, dtype=np.float32, rng=0, cell=cell)
            fastlstm.to_onnx([params, fastlstm.init_params(3, 2, dtype=np.float32, rng=1)], f"{folder}/m.onnx")
            found.append(Path(folder, "m.onnx").read_bytes())
    return found


def torch_files() -> list[bytes]:
    import safetensors.numpy

    layers = tuple(fastlstm.init_params(D, 4, cell="gru", rng=0) for D in (3, 4))
    return [safetensors.numpy.save(fastlstm.to_torch(layers, "encoder"))]


def keras_files(name: str) -> Callable[[], list[bytes]]:
    return lambda: [(KERAS / name).read_bytes()]


def load_weights(path: str) -> None:
    """Into a model; one that takes no weights has none changed."""
    model = nn.load_keras(KERAS / "whole.keras", compile=False)
    before = model.flat_params.copy()
    try:
        model.load_weights(path)
    except ValueError:
        assert np.array_equal(model.flat_params, before)
        raise


class Reader(NamedTuple):
    """What reads files, files that it reads, and what is done to them."""

    read: Callable[[str], Any]
    good: Callable[[], list[bytes]]
    damages: tuple[Damage, ...]
    name: str
    hostile: Callable[[], Iterator[bytes]] = lambda: iter(())
    package: str | None = None


READERS = {
    "from_rtneural": Reader(formats.from_rtneural, rtneural_files, (damaged, odd_json), "m.json", hostile_json),
    "from_nam": Reader(formats.from_nam, nam_files, (damaged, odd_json), "m.nam", hostile_json),
    "from_onnx": Reader(formats.from_onnx, onnx_files, (damaged, odd_onnx), "m.onnx", hostile_onnx, "onnx"),
    "from_torch": Reader(lambda path: fastlstm.from_torch(path, "encoder"), torch_files, (damaged,), "m.safetensors",
                         package="safetensors"),
    "from_keras, .keras": Reader(fastlstm.from_keras, keras_files("whole.keras"), (damaged, odd_archive, odd_archive),
                                 "m.keras"),
    "from_keras, .h5": Reader(fastlstm.from_keras, keras_files("keras2.h5"), (damaged,), "m.h5"),
    "from_keras, .weights.h5": Reader(fastlstm.from_keras, keras_files("only.weights.h5"), (damaged,), "m.h5"),
    "load_keras, .keras": Reader(nn.load_keras, keras_files("whole.keras"), (damaged, odd_archive, odd_archive),
                                 "m.keras"),
    "load_keras, .h5": Reader(nn.load_keras, keras_files("whole.h5"), (damaged,), "m.h5"),
    "load_weights, .h5": Reader(load_weights, keras_files("whole.h5"), (damaged,), "m.h5"),
}  # fmt: skip


def files(reader: Reader, count: int, seed: int = 0) -> Iterator[bytes]:
    """As many damaged ones."""
    rng, good = random.Random(seed), reader.good()
    for _ in range(count):
        yield rng.choice(reader.damages)(rng.choice(good), rng)


def fate(reader: Reader, content: bytes, folder: str) -> tuple[str, float]:
    """What became of a file, "read" or "refused", and the seconds of the processor. Other errors are passed on."""
    name = os.path.join(folder, reader.name)
    with open(name, "wb") as file:
        file.write(content)
    start = time.process_time()
    try:
        with np.errstate(all="ignore"):
            reader.read(name)
        found, message = "read", ""
    except ValueError as error:
        found, message = "refused", str(error)
    seconds = time.process_time() - start
    assert len(message) < 2000, f"a message of {len(message)} letters"
    assert os.listdir(folder) == [reader.name]
    return found, seconds


def main(count: int, names: list[str]) -> None:
    """The figures of each reader, each in a process of its own."""
    for name in names or READERS:
        if (child := os.fork()) == 0:
            run(name, count)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(f"{name}: failed")


def peak_memory() -> float:
    """Megabytes of this process, at most until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(name: str, count: int) -> None:
    """Prints what became of the files; fails at what may not be."""
    reader, fates, slowest = READERS[name], Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for content in reader.good():
            assert fate(reader, content, folder)[0] == "read"  # compiled kernels are loaded too
        base = peak_memory()
        for kind, some in (("hostile", reader.hostile()), ("damaged", files(reader, count))):
            for number, content in enumerate(some):
                before = peak_memory()  # what this script itself holds does not count
                try:
                    found, seconds = fate(reader, content, folder)
                    assert seconds < SECONDS, f"{seconds:.2f} s"
                    assert peak_memory() - before < MEGABYTES, f"{peak_memory() - before:.0f} MB"
                except BaseException:
                    print(f"{name}: {kind} file {number} of {len(content)} bytes: {content[:200]!r}", flush=True)
                    raise
                fates[found] += 1
                slowest = max(slowest, seconds)
    print(f"{name}: {fates['refused']} refused, {fates['read']} read, slowest {slowest:.2f} s, at most "
          f"{peak_memory() - base:.0f} MB more than before", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, sys.argv[2:])
