"""Times fastlstm beside its reference, PyTorch and ONNX Runtime, and writes the table into README.md.

python docs/scripts/speed_table.py     # needs torch, onnx and onnxruntime; some minutes

Each system runs in a process of its own, with the weights laid out as it likes best before the clock starts; the
systems take turns, five rounds; the median counts. Training is forward, then backward of the sum of y, for all
gradients. float32.
"""

import json
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
SHAPES = [(1, 1000, 1, 20), (1, 1000, 256, 256), (32, 8, 16, 32), (64, 50, 128, 256), (64, 100, 512, 512)]
SYSTEMS = {"infer": ["fastlstm", "reference", "torch", "onnxruntime"], "train": ["fastlstm", "reference", "torch"]}
ROUNDS, SECONDS = 5, 0.3


def problem(N, T, D, H):
    rng = np.random.default_rng(0)
    k = 1 / np.sqrt(H)
    weights = [rng.uniform(-k, k, s).astype(np.float32) for s in ((D, 4 * H), (H, 4 * H), (4 * H,))]
    return rng.standard_normal((N, T, D), np.float32), *weights


def own(module, mode, x, params):
    if mode == "infer":
        return lambda: module.forward(x, params)

    def train():
        y, _, tape = module.forward_train(x, params)
        module.backward(tape, np.ones_like(y))

    return train


def make(system, mode, shape):
    """A function that does the work once."""
    *_, D, H = shape
    x, W, U, b = problem(*shape)
    if system in ("fastlstm", "reference"):
        import fastlstm

        params = fastlstm.Params(W, U, b)
        if system == "reference":
            return own(fastlstm.reference, mode, x, params)
        return own(fastlstm, mode, x, fastlstm.pack(params) if mode == "infer" else params)
    import torch

    lstm, xt = torch.nn.LSTM(D, H, batch_first=True), torch.from_numpy(x)
    if system == "onnxruntime":
        import io

        import onnxruntime

        file = io.BytesIO()
        torch.onnx.export(lstm, (xt,), file, dynamo=False, input_names=["x"])
        session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"x": x})
    if mode == "infer":

        def infer():
            with torch.inference_mode():
                lstm(xt)

        return infer
    xt.requires_grad_()

    def train():
        lstm.zero_grad()
        xt.grad = None
        lstm(xt)[0].sum().backward()

    return train


def worker(system):
    """Answers each line (mode, shape) with a median time in milliseconds."""
    made = {}
    for line in sys.stdin:
        mode, *shape = json.loads(line)
        key = mode, *shape
        if key not in made:
            made = {key: make(system, mode, shape)}
            made[key]()
        times, end = [], time.perf_counter() + SECONDS
        while time.perf_counter() < end or len(times) < 3:
            begin = time.perf_counter()
            made[key]()
            times.append(time.perf_counter() - begin)
        print(f"answer {1e3 * np.median(times)}", flush=True)


def processor():
    try:
        return re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor()


def main():
    workers = {
        system: subprocess.Popen([sys.executable, "-W", "ignore", __file__, system], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for system in SYSTEMS["infer"]
    }  # fmt: skip

    def ask(system, *question):
        process = workers[system]
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        while not (line := process.stdout.readline()).startswith("answer "):
            if not line:
                raise SystemExit(f"{system} stopped")
        return float(line.split()[1])

    lines = []
    for mode, systems in SYSTEMS.items():
        title = {"infer": "inference", "train": "training"}[mode]
        lines += [f"| {title}, ms: N, T, D, H | " + " | ".join(systems) + " |", "| --- " * (1 + len(systems)) + "|"]
        for shape in SHAPES:
            times = {system: [] for system in systems}
            for _ in range(ROUNDS):
                for system in systems:
                    times[system].append(ask(system, mode, *shape))
            cells = [f"{np.median(times[system]):.3g}" for system in systems]
            lines.append(f"| {', '.join(map(str, shape))} | **{cells[0]}** | " + " | ".join(cells[1:]) + " |")
            print(lines[-1], flush=True)
        lines.append("")
    import numba

    from fastlstm.kernels.simd import vector_bytes

    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "torch", "onnxruntime"))
    lines.append(
        f"{processor()}, {numba.get_num_threads()} threads, {8 * vector_bytes()}-bit vectors; Python "
        f"{platform.python_version()}, {versions}. `python docs/scripts/speed_table.py` wrote this."
    )
    readme = ROOT / "README.md"
    mark = "<!-- speed -->"
    before, _, after = readme.read_text().split(mark)
    readme.write_text(f"{before}{mark}\n" + "\n".join(lines) + f"\n{mark}{after}")


if len(sys.argv) > 1:
    worker(sys.argv[1])
else:
    main()
