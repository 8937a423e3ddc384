"""What stands in simulated/ needs a process whose `numba.cuda` is the simulator: test_simulator.py starts one."""

from __future__ import annotations

from numba import config

collect_ignore = [] if config.ENABLE_CUDASIM else ["simulated"]
