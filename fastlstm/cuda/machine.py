"""Whether there is a GPU that can be used, what is missing where there is not, and what a failure on it means."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

INSTALL = 'pip install "fastlstm[cuda]"'
INSTALL_12 = 'pip install "fastlstm[cuda12]"'
# codes of the CUDA driver's API; 701 is a launch that has not begun
_OUT_OF_MEMORY, _OLD_DRIVER, _FAILED = 2, (35, 222, 803), (700, *range(702, 720))


def simulated() -> bool:
    """Whether Numba's simulator stands in for a device."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


@cache
def hindrance() -> str | None:
    """What keeps kernels from running, and what helps; None where nothing does."""
    try:
        from numba import cuda
    except ImportError as error:
        return f"Numba has no CUDA target here ({_one_line(error)}): {INSTALL}"
    if simulated():
        return None
    driver = cuda.cudadrv.driver.driver
    if not driver.is_available:
        return f"no CUDA driver that works ({_one_line(driver.initialization_error)}): install NVIDIA's for the GPU"
    if len(cuda.gpus) == 0:
        return "no CUDA device: CUDA_VISIBLE_DEVICES says which ones are seen"
    try:
        toolkit, version = cuda.runtime.get_version(), driver.get_version()
    except Exception as error:
        return f"no CUDA toolkit ({_one_line(error)}): {INSTALL}"
    if toolkit[0] > version[0]:
        return (f"the driver is for CUDA {version[0]}.{version[1]}, older than the toolkit {toolkit[0]}.{toolkit[1]}: "
                f"{INSTALL_12}, or install a newer driver")  # fmt: skip
    if not cuda.cudadrv.nvvm.is_available():
        return f"no NVVM, which compiles kernels: {INSTALL}"
    return None


def ready() -> None:
    """Refuse work that no device can do."""
    if (found := hindrance()) is not None:
        raise RuntimeError(f"arrays on a CUDA device: {found}")


class _Quiet:
    """Inside, Numba does not warn of launches of few blocks, as ours often are. Other threads may be inside too."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, {}

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                for config in self._configs():
                    self._before[config] = config.CUDA_LOW_OCCUPANCY_WARNINGS
                    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for config, value in self._before.items():
                    config.CUDA_LOW_OCCUPANCY_WARNINGS = value

    @staticmethod
    def _configs() -> list[Any]:
        """Numba's, and numba-cuda's own."""
        names = "numba.core.config", "numba.cuda.core.config"
        found = [sys.modules[name] for name in names if name in sys.modules]
        return [config for config in found if hasattr(config, "CUDA_LOW_OCCUPANCY_WARNINGS")]


QUIET = _Quiet()


@contextlib.contextmanager
def failures(where: str) -> Iterator[None]:
    """Errors of the device as one clear one each."""
    try:
        yield
    except Exception as error:
        if (clear := _clear(error, where)) is None:
            raise
        raise clear from error


def _clear(error: Exception, where: str) -> Exception | None:
    code = getattr(error, "code", None)
    if code == _OUT_OF_MEMORY or "OutOfMemory" in type(error).__name__:
        return MemoryError(f"{where}: out of memory ({_one_line(error)})")
    if code in _OLD_DRIVER:
        return RuntimeError(f"{where}: the driver is older than the toolkit ({_one_line(error)}): {INSTALL_12}, or "
                            "install a newer driver")  # fmt: skip
    if code in _FAILED:
        return RuntimeError(f"{where}: a kernel failed ({_one_line(error)}): what was computed there since the last "
                            "call that waited does not hold; a new process can go on")  # fmt: skip
    return None


def _one_line(message: object) -> str:
    return " ".join(str(message).split()).rstrip(".")


def facts() -> dict[str, object]:
    """Rows of `show_config`: device, driver, toolkit, what would be used, or what is missing."""
    found: dict[str, object] = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["numba-cuda"] = importlib.metadata.version("numba-cuda")
    if (missing := hindrance()) is not None:
        return {**found, "CUDA": missing}
    if simulated():
        return {**found, "CUDA": "Numba's simulator (NUMBA_ENABLE_CUDASIM=1): no device, and slow"}
    from numba import cuda

    driver, toolkit = cuda.cudadrv.driver.driver.get_version(), cuda.runtime.get_version()
    devices = [_device(cuda.gpus[number]) for number in range(len(cuda.gpus))]
    return {
        **found,
        "CUDA": f"driver {_dotted(driver)}, toolkit {_dotted(toolkit)}, numba-cuda {found.get('numba-cuda', 'none')}",
        **{f"cuda:{number}": one for number, one in enumerate(devices)},
    }


def _dotted(version: Any) -> str:
    return ".".join(map(str, version))


def _device(context: Any) -> str:
    device = context.device if hasattr(context, "device") else context
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    return (f"{name}, compute capability {_dotted(device.compute_capability)}, "
            f"{device.MULTIPROCESSOR_COUNT} multiprocessors")  # fmt: skip
