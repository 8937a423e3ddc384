"""Everything that is compiled. `backend` is the door: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

from numba import config

if config.DISABLE_JIT:
    raise ImportError("fastlstm: expected a Numba that compiles, got NUMBA_DISABLE_JIT=1 (unset it, or set it to 0)")
