"""Packages that a format needs are imported when that format is used, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
EXTRAS = {"onnx", "onnxruntime", "h5py", "safetensors", "tqdm", "matplotlib", "torch", "keras"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise AssertionError(name)

sys.meta_path.insert(0, Refuse())
import json
import fastlstm
from fastlstm import formats, nn
from fastlstm.convert import convert

layer = fastlstm.init_params(1, 3, rng=0)
(again,) = fastlstm.from_torch(fastlstm.to_torch(layer, "rnn"), "rnn")
fastlstm.save("w.npz", again)
fastlstm.to_numpy(fastlstm.load("w.npz"), "m.py")
fastlstm.to_c(layer, "m.h")
model = nn.Sequential([nn.Input((None, 1)), nn.LSTM(3, return_sequences=True), nn.Dense(1)])
formats.to_rtneural(model, "m.json")
convert("m.json", "n.json")
config = {"input_size": 1, "hidden_size": 3, "num_layers": 1}
with open("m.nam", "w") as file:
    json.dump({"architecture": "LSTM", "config": config, "weights": [0.1] * 70}, file)
formats.from_nam("m.nam")
for name in ("m.py", "m.json"):
    formats.prove(name)
nn.load_keras(KERAS)
fastlstm.from_keras(KERAS)
assert not EXTRAS & {name.partition(".")[0] for name in sys.modules}
print("all")
"""


def test_formats_without_the_packages_of_others(tmp_path: Path) -> None:
    keras = Path(__file__).parents[1] / "data" / "keras_files" / "whole.keras"
    code = f"KERAS = {str(keras)!r}\n{CODE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all\n")
