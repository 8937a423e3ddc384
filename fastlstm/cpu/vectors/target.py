"""The processor that Numba compiles for."""

from __future__ import annotations

import functools

from numba.core.registry import cpu_target

TILE_ROWS = 6  # rows of the micro-kernel's tile: 6 x 2 vectors fill 12 of 16 registers, 6 x 4 24 of 32
BLOCK = 4  # vectors of a row of a panel of weights, and of the tile that it is multiplied with
CACHE_LINE = 64  # bytes


@functools.cache
def vector_bytes() -> int:
    """Width of a vector register of the target that Numba compiles for (not of the host: they may differ)."""
    features = set(cpu_target.target_context.codegen()._tm_features.split(","))
    if "+avx512f" in features:
        return 64
    return 32 if "+avx2" in features and "+fma" in features else 16


@functools.cache
def registers() -> int:
    """Vector registers of that target."""
    arm = cpu_target.target_context.codegen().magic_tuple()[0].startswith(("aarch64", "arm64"))
    return 32 if arm or vector_bytes() == 64 else 16


def lanes(itemsize: int) -> int:
    """Numbers of that size in a vector register."""
    return vector_bytes() // itemsize
