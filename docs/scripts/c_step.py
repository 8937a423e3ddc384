"""A step of an exported C header beside `fastlstm.step` in a compiled loop: the figures in docs/models.md.

One sequence, float32, one thread; microseconds a step, the least of many short runs. Needs a C compiler (CC, or cc)
that takes gcc's options.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from typing import Any

import numba
import numpy as np

import fastlstm

SIZES = (16, 32), (1, 20)  # inputs, units
RUNS, STEPS = 200, 2000
OPTIONS = ["-O2"], ["-O3", "-march=native", "-ffast-math"]
PROGRAM = """
#include "m.h"
#include <stdio.h>
#include <time.h>
static m_state state;
int main(void) {
    static float x[M_INPUT_SIZE], y[M_OUTPUT_SIZE];
    double least = 1e9;
    float sum = 0;
    for (int i = 0; i < M_INPUT_SIZE; i++) x[i] = 1;
    for (int run = 0; run < RUNS; run++) {
        struct timespec begin, end;
        m_reset(&state);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int i = 0; i < STEPS; i++) {
            m_step(&state, x, y);
            sum += y[0];
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        double took = (end.tv_sec - begin.tv_sec) + 1e-9 * (end.tv_nsec - begin.tv_nsec);
        least = took < least ? took : least;
    }
    fprintf(stderr, "%g\\n", sum);
    printf("%.9f\\n", least / STEPS);
    return 0;
}
"""


@numba.njit
def steps(x: Any, packed: Any, state: Any, count: int) -> float:
    total = 0.0
    for _ in range(count):
        fastlstm.step(x, packed, state)
        total += state.h[0, 0]
    return total


def here(params: Any, D: int) -> float:
    """Seconds a step of fastlstm.step."""
    packed, x, least = fastlstm.pack(params), np.ones((1, D), np.float32), np.inf
    for _ in range(RUNS):
        state = fastlstm.zero_state(packed)
        begin = time.perf_counter()
        steps(x, packed, state, STEPS)
        least = min(least, time.perf_counter() - begin)
    return least / STEPS


def in_c(folder: str, options: list[str]) -> float:
    """Seconds a step of the header in that folder."""
    program = os.path.join(folder, "time")
    with open(program + ".c", "w") as file:
        file.write(PROGRAM)
    flags = ["-std=gnu99", *options, f"-DRUNS={RUNS}", f"-DSTEPS={STEPS}"]
    subprocess.run([os.environ.get("CC") or "cc", *flags, program + ".c", "-o", program, "-lm"], check=True)
    return float(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    for D, H in SIZES:
        params = fastlstm.init_params(D, H, rng=0)
        print(f"{D} inputs, {H} units: fastlstm.step {here(params, D) * 1e6:.2f} µs")
        with tempfile.TemporaryDirectory() as folder:
            fastlstm.to_c(params, os.path.join(folder, "m.h"))
            for options in OPTIONS:
                print(f"    C, {' '.join(options)}: {in_c(folder, options) * 1e6:.2f} µs")


if __name__ == "__main__":
    main()
