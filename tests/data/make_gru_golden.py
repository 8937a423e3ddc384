"""Makes gru_golden.npz: the answers of torch.nn.GRU, keras.layers.GRU and a lax.scan to tests/gru_cases.py.

Cases that the file holds already stay as they are, bit for bit: the last bits are not the same on every machine.

KERAS_BACKEND=jax python tests/data/make_gru_golden.py     # needs torch, keras and jax
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from gru_cases import CASES, run

FILE = Path(__file__).parent / "gru_golden.npz"


def main() -> None:
    arrays = dict(np.load(FILE)) if FILE.exists() else {}
    there = {key.rpartition("/")[0] for key in arrays}
    for case in CASES:
        if case not in there:
            arrays |= {f"{case}/{key}": array for key, array in run(case).items()}
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
