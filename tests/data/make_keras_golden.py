"""Writes keras_golden.npz: what Keras makes of the models in tests/keras_cases.py.

KERAS_BACKEND=jax python tests/data/make_keras_golden.py
"""

import sys
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from keras_cases import CASES, run_keras

entries = {f"{case}/{name}": array for case in CASES for name, array in run_keras(case).items()}
np.savez_compressed(Path(__file__).parent / "keras_golden.npz", **entries)
print(f"keras {keras.__version__}, {keras.backend.backend()}: {len(entries)} arrays")
