"""Makes activations_golden.npz: Keras's activations at the points of tests/activation_cases.py.

KERAS_BACKEND=jax python tests/data/make_activations_golden.py     # needs keras and jax
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from activation_cases import X, names, values

entries = {f"{name}/{key}": array for name in names() for key, array in values(name).items()}
np.savez_compressed(Path(__file__).parent / "activations_golden.npz", x=X, **entries)
