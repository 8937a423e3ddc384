"""A program: each writer is killed while it writes over a file, before each thing that it does to the file's folder and
at random moments. Prints the suffix of each writer whose file was the old one or the new one every time."""

from __future__ import annotations

import importlib.util
import os
import random
import re
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import fastlstm
from fastlstm import formats, nn

EVENTS = {"open", "os.rename", "os.remove", "os.scandir"}
LITTER = re.compile(r"\.fastlstm-[0-9a-f]{16}\.part")
RANDOM = 3  # times that each writer is killed at a random moment
moments = random.Random(3)
watched: dict[str, Any] = {}  # of a child: the folder, and how many events are left to it


def layer(seed: int) -> Any:
    return fastlstm.init_params(2, 3, rng=seed)


def model(seed: int) -> Any:
    layers = [nn.Input((None, 2)), nn.LSTM(3, return_sequences=True), nn.Dense(1)]
    return nn.Sequential(layers, seed=seed)


def read_numpy(name: str) -> Any:
    return runpy.run_path(name)["WEIGHTS"]["0"][0]


def read_c(name: str) -> Any:
    with open(name) as file:
        return re.sub(r"(?m)^.*difference.*$", "", file.read())


Writer = tuple[Callable[[int, str], Any], Callable[[str], Any], str]
WRITERS: dict[str, Writer] = {  # how to write, and to read a part of it; the package that it needs
    ".npz": (lambda seed, name: fastlstm.save(name, layer(seed)), lambda name: fastlstm.load(name).W, "numpy"),
    ".py": (lambda seed, name: fastlstm.to_numpy(layer(seed), name), read_numpy, "numpy"),
    ".h": (lambda seed, name: fastlstm.to_c(layer(seed), name), read_c, "numpy"),
    ".json": (
        lambda seed, name: formats.to_rtneural(model(seed), name),
        lambda name: formats.from_rtneural(name).layers[0].get_weights()[0],
        "numpy",
    ),
    ".safetensors": (
        lambda seed, name: fastlstm.to_torch(layer(seed), "lstm", name),
        lambda name: fastlstm.from_torch(name, "lstm")[0].W,
        "safetensors",
    ),
    ".model.safetensors": (
        lambda seed, name: model(seed).save(name),
        lambda name: nn.load_model(name).layers[0].get_weights()[0],
        "safetensors",
    ),
    ".keras": (
        lambda seed, name: model(seed).save(name),
        lambda name: nn.load_keras(name).layers[0].get_weights()[0],
        "h5py",
    ),
    ".onnx": (
        lambda seed, name: fastlstm.to_onnx(layer(seed), name),
        lambda name: fastlstm.from_onnx(name).W,
        "onnx",
    ),
}


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Kills the process before an event in the watched folder, when none is left to it."""
    if watched and event in EVENTS and watched["folder"] in str(arguments[0]):
        if not watched["left"]:
            os.kill(os.getpid(), signal.SIGKILL)
        watched["left"] -= 1


def in_a_child(write: Callable[[], Any], folder: str, left: int | None = None, seconds: float | None = None) -> bool:
    """Whether it came to its end before it was killed."""
    child = os.fork()
    if not child:
        if left is not None:
            watched.update(folder=folder, left=left)
        try:
            write()
            os._exit(0)
        finally:
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status == 0


def proven(suffix: str, folder: str) -> None:
    write, read, _ = WRITERS[suffix]
    name = os.path.join(folder, f"it{suffix}")

    def content(seed: int) -> Any:
        write(seed, name)
        return read(name)

    def same(one: Any, other: Any) -> bool:
        return bool(one == other if isinstance(one, str) else (one == other).all())

    start = time.perf_counter()
    new, old = content(2), content(1)
    seconds = (time.perf_counter() - start) / 2
    assert not same(new, old)
    there = sorted(os.listdir(folder))

    def whole() -> None:
        found = read(name)
        assert same(found, old) or same(found, new), suffix
        litter = [one for one in os.listdir(folder) if one not in there]
        assert all(map(LITTER.fullmatch, litter)), litter
        assert set(there) <= set(os.listdir(folder))

    left = 0
    while not in_a_child(lambda: write(2, name), folder, left):
        whole()
        write(1, name)
        left += 1
    assert left >= 2  # a file was made, and moved to its place
    assert same(read(name), new)

    def again_and_again() -> None:
        for seed in [1, 2] * 100:
            write(seed, name)

    for _ in range(RANDOM):
        in_a_child(again_and_again, folder, seconds=moments.uniform(0.2, 2) * seconds)
        whole()


if __name__ == "__main__":
    sys.addaudithook(watch)
    os.environ["PATH"] = os.environ["CC"] = ""  # no compiler
    for one, (_, _, package) in WRITERS.items():
        if importlib.util.find_spec(package):
            with tempfile.TemporaryDirectory() as place:
                proven(one, place)
            print(one)
