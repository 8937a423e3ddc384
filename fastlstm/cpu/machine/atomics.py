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
from ..vectors.emitter import data

# gives the rest of the thread's time slice to another
_yield = types.ExternalFunction("SwitchToThread" if os.name == "nt" else "sched_yield", types.int32())
_PAUSE = {"x86_64": "llvm.x86.sse2.pause", "amd64": "llvm.x86.sse2.pause", "aarch64": "llvm.aarch64.hint",
          "arm64": "llvm.aarch64.hint"}  # fmt: skip


@intrinsic  # type: ignore[misc]
def load_acquire(typing: Any, words: Any, at: Any) -> Any:
    """words[at], and after it all that its writer had written before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(data(context, builder, words, args[0]), [args[1]])
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(words, types.intp), generate


@intrinsic  # type: ignore[misc]
def store_release(typing: Any, words: Any, at: Any, value: Any) -> Any:
    """words[at] = value, after everything written before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(data(context, builder, words, args[0]), [args[1]])
        builder.store_atomic(args[2], place, "release", 8)
        return context.get_dummy_value()

    return types.void(words, types.intp, types.int64), generate


@intrinsic  # type: ignore[misc]
def fetch_add(typing: Any, words: Any, at: Any, value: Any) -> Any:
    """words[at] before value was added to it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(data(context, builder, words, args[0]), [args[1]])
        return builder.atomic_rmw("add", place, args[2], "acq_rel")

    return types.int64(words, types.intp, types.int64), generate


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
