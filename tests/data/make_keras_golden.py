"""Writes keras_golden.npz: what Keras makes of the models in tests/keras_cases.py.

Cases that the file holds already stay as they are, bit for bit: the last bits are not the same on every machine.

KERAS_BACKEND=jax python tests/data/make_keras_golden.py
"""

import sys
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from keras_cases import CASES, run_keras

FILE = Path(__file__).parent / "keras_golden.npz"
arrays = dict(np.load(FILE)) if FILE.exists() else {}
there = {key.rpartition("/")[0] for key in arrays}
for case in CASES:
    if case not in there:
        arrays |= {f"{case}/{name}": array for name, array in run_keras(case).items()}
np.savez_compressed(FILE, **arrays)
print(f"keras {keras.__version__}, {keras.backend.backend()}: {len(arrays)} arrays")
