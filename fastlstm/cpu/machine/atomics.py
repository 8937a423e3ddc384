"""Words of memory that two threads exchange: loads and stores in order, a counter, and polite waiting."""

from __future__ import annotations

import os
import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compiler.options import compiled
from ..vectors.emitted import Array, Int, emitted
from ..vectors.emitter import Emitter

# gives the rest of the thread's time slice to another
_yield = types.ExternalFunction("SwitchToThread" if os.name == "nt" else "sched_yield", types.int32())
_PAUSE = {"x86_64": "llvm.x86.sse2.pause", "amd64": "llvm.x86.sse2.pause", "aarch64": "llvm.aarch64.hint",
          "arm64": "llvm.aarch64.hint"}  # fmt: skip


@emitted
def load_acquire(e: Emitter, words: Array, at: Int) -> Int:
    """words[at], and after it all that its writer had written before."""
    return e.builder.load_atomic(words.at(at), "acquire", 8)


@emitted
def store_release(e: Emitter, words: Array, at: Int, value: Int) -> None:
    """words[at] = value, after everything written before."""
    e.builder.store_atomic(value, words.at(at), "release", 8)


@emitted
def fetch_add(e: Emitter, words: Array, at: Int, value: Int) -> Int:
    """words[at] before value was added to it."""
    return e.builder.atomic_rmw("add", words.at(at), value, "acq_rel")


@intrinsic  # type: ignore[misc]
def _pause(typing: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = _PAUSE.get(platform.machine().lower())
        if name is not None:
            given = [ir.Constant(ir.IntType(32), 1)] if "hint" in name else []
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)
        return context.get_dummy_value()

    return types.void(), generate


@compiled
def wait_a_little(turns: Any, patience: Any) -> None:
    """One turn of a waiting loop: at first a pause of the processor, after `patience` turns another thread's."""
    if turns < patience:
        _pause()
    else:
        _yield()
