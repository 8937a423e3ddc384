"""All that hangs on which Numba compiles for GPUs: `numba-cuda`, the target in Numba itself, or either's simulator.

`from numba import cuda` is right with and without numba-cuda. Device functions are made of *bodies*: Python functions
over numbers that have operators (`scalars.Scalar`). While a kernel is compiled, a body runs once and emits
instructions; in the simulator it runs each time, over NumPy's numbers. No source text is written.

Every operation names its rounding. NVVM makes fused multiply-adds of products and sums where it can, which changes
bits: `llvm.nvvm.mul.rn` and the like it leaves as they are.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from typing import Any

import numba.cuda
import numpy as np
from llvmlite import ir
from numba import config

cuda: Any = numba.cuda
SIMULATED: bool = bool(config.ENABLE_CUDASIM)  # type: ignore[attr-defined]
"""Whether kernels run in the simulator, a Python thread for each of a block's."""
if SIMULATED:
    from .simulator import mend

    mend()

Raw = Any
"""A number as a `Maker` has it: an LLVM value, or one of NumPy's numbers."""


class Emitter:
    """Makes instructions of one float type in a function that is being compiled."""

    def __init__(self, builder: Any, bits: int) -> None:
        self.builder, self.bits = builder, bits
        self.type = {32: ir.FloatType, 64: ir.DoubleType}[bits]()
        self.whole = ir.IntType(bits)

    def number(self, value: float) -> Raw:
        return ir.Constant(self.type, value)

    def _call(self, name: str, *values: Raw) -> Raw:
        kind = ir.FunctionType(self.type, [self.type] * len(values))
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return self.builder.call(function, values)

    def _rounded(self, name: str, *values: Raw) -> Raw:
        return self._call(f"llvm.nvvm.{name}.rn.{'f' if self.bits == 32 else 'd'}", *values)

    def _libdevice(self, name: str, *values: Raw) -> Raw:
        return self._call(f"__nv_{name}{'f' if self.bits == 32 else ''}", *values)

    def add(self, a: Raw, b: Raw) -> Raw:
        return self._rounded("add", a, b)

    def sub(self, a: Raw, b: Raw) -> Raw:
        return self._rounded("add", a, self.neg(b))

    def mul(self, a: Raw, b: Raw) -> Raw:
        return self._rounded("mul", a, b)

    def div(self, a: Raw, b: Raw) -> Raw:
        return self._rounded("div", a, b)

    def reciprocal(self, a: Raw) -> Raw:
        return self._rounded("rcp", a)

    def fma(self, a: Raw, b: Raw, c: Raw) -> Raw:
        return self._rounded("fma", a, b, c)

    def sqrt(self, a: Raw) -> Raw:
        return self._rounded("sqrt", a)

    def neg(self, a: Raw) -> Raw:
        return self.builder.fsub(self.number(-0.0), a)  # NVVM's older dialect has no fneg

    def absolute(self, a: Raw) -> Raw:
        return self._libdevice("fabs", a)

    def copysign(self, a: Raw, b: Raw) -> Raw:
        return self._libdevice("copysign", a, b)

    def compare(self, comparison: str, a: Raw, b: Raw) -> Raw:
        return self.builder.fcmp_ordered(comparison, a, b)

    def is_nan(self, a: Raw) -> Raw:
        return self.builder.fcmp_unordered("uno", a, a)

    def select(self, truth: Raw, a: Raw, b: Raw) -> Raw:
        return self.builder.select(truth, a, b)

    def bits_of(self, a: Raw) -> Raw:
        return self.builder.bitcast(a, self.whole)

    def of_bits(self, a: Raw) -> Raw:
        return self.builder.bitcast(a, self.type)

    def integer(self, operation: str, a: Raw, b: int) -> Raw:
        """operation: add, and, or, shl, lshr."""
        name = {"and": "and_", "or": "or_"}.get(operation, operation)
        return getattr(self.builder, name)(a, ir.Constant(self.whole, b))


COMPARISONS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
INTEGERS = {
    "add": operator.add, "and": operator.and_, "or": operator.or_, "shl": operator.lshift, "lshr": operator.rshift,
}  # fmt: skip


class Simulated:
    """The same over NumPy's numbers."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.bits = kind, 8 * np.dtype(kind).itemsize
        self.whole: Any = {32: np.uint32, 64: np.uint64}[self.bits]

    def number(self, value: float) -> Raw:
        return self.kind(value)

    def add(self, a: Raw, b: Raw) -> Raw:
        return a + b

    def sub(self, a: Raw, b: Raw) -> Raw:
        return a - b

    def mul(self, a: Raw, b: Raw) -> Raw:
        return a * b

    def div(self, a: Raw, b: Raw) -> Raw:
        return a / b

    def reciprocal(self, a: Raw) -> Raw:
        return self.kind(1) / a

    def fma(self, a: Raw, b: Raw, c: Raw) -> Raw:
        """Rounded once, but for rare cases: in float32 the product is exact in float64; in float64 it is the sum of two
        numbers (Dekker, 1971)."""
        if self.bits == 32:
            return self.kind(np.float64(a) * np.float64(b) + np.float64(c))
        product = a * b
        total = product + c
        if not math.isfinite(total) or max(abs(a), abs(b)) > 1e150 or abs(product) < 1e-250:
            return total
        (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
        lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
        of_c = total - product
        return total + (lost + ((product - (total - of_c)) + (c - of_c)))

    def sqrt(self, a: Raw) -> Raw:
        return np.sqrt(a)

    def neg(self, a: Raw) -> Raw:
        return -a

    def absolute(self, a: Raw) -> Raw:
        return abs(a)

    def copysign(self, a: Raw, b: Raw) -> Raw:
        return np.copysign(a, b)

    def compare(self, comparison: str, a: Raw, b: Raw) -> Raw:
        return COMPARISONS[comparison](a, b)

    def is_nan(self, a: Raw) -> Raw:
        return a != a

    def select(self, truth: Raw, a: Raw, b: Raw) -> Raw:
        return a if truth else b

    def bits_of(self, a: Raw) -> Raw:
        return int(a.view(self.whole))

    def of_bits(self, a: Raw) -> Raw:
        return self.whole(a % (1 << self.bits)).view(self.kind)

    def integer(self, operation: str, a: Raw, b: int) -> Raw:
        return INTEGERS[operation](a % (1 << self.bits), b)


def _halves(a: Any) -> tuple[Any, Any]:
    """Two numbers of 26 bits whose sum it is."""
    scaled = 134217729.0 * a  # 2**27 + 1
    high = scaled - (scaled - a)
    return high, a - high


Maker = Emitter | Simulated  # of what a body computes


def of_numbers(body: Callable[..., Raw]) -> Any:
    """A device function of some numbers of one float type, which returns one: body(maker, *numbers)."""
    if SIMULATED:

        def plain(*values: Any) -> Any:
            with np.errstate(all="ignore"):
                return body(Simulated(type(values[0])), *values)

        return plain

    def typed(typing: Any, *kinds: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return body(Emitter(builder, kinds[0].bitwidth), *args)

        return kinds[0](*kinds), generate

    return _intrinsic(typed, body.__name__, body.__code__.co_varnames[1 : body.__code__.co_argcount])


def of_arrays(body: Callable[[Maker, list[Raw]], Sequence[Raw | None]], count: int, name: str) -> Any:
    """A device function f(inputs, outputs) of two local arrays: the body makes the outputs from `count` inputs. What it
    makes None of is left as it is."""
    if SIMULATED:

        def plain(inputs: Any, outputs: Any) -> None:
            with np.errstate(all="ignore"):
                for place, value in enumerate(body(Simulated(inputs.dtype.type), [inputs[k] for k in range(count)])):
                    if value is not None:
                        outputs[place] = value

        return plain

    def typed(typing: Any, inputs: Any, outputs: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, args: Any) -> Any:
            read, written = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip((inputs, outputs), args, strict=True)
            )

            def at(place: int) -> list[Any]:
                return [ir.Constant(ir.IntType(64), place)]

            numbers = [builder.load(builder.gep(read, at(k))) for k in range(count)]
            for place, value in enumerate(body(Emitter(builder, inputs.dtype.bitwidth), numbers)):
                if value is not None:
                    builder.store(value, builder.gep(written, at(place)))
            return context.get_dummy_value()

        return _types().void(inputs, outputs), generate

    return _intrinsic(typed, name, ("inputs", "outputs"))


def _intrinsic(typed: Any, name: str, parameters: Sequence[str]) -> Any:
    from numba.cuda.extending import intrinsic

    names = ("typing", *parameters)
    typed.__name__ = typed.__qualname__ = name
    typed.__signature__ = Signature([Parameter(one, Parameter.POSITIONAL_OR_KEYWORD) for one in names])
    return intrinsic(typed)


def _types() -> Any:
    """Numba's types: numba-cuda has its own."""
    from numba.cuda import types

    if hasattr(types, "void"):
        return types
    from numba import types as common

    return common


@of_numbers
def fma(maker: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""
    return maker.fma(a, b, c)


@of_numbers
def add(maker: Any, a: Any, b: Any) -> Any:
    return maker.add(a, b)


@of_numbers
def subtract(maker: Any, a: Any, b: Any) -> Any:
    return maker.sub(a, b)


@of_numbers
def multiply(maker: Any, a: Any, b: Any) -> Any:
    return maker.mul(a, b)


@of_numbers
def divide(maker: Any, a: Any, b: Any) -> Any:
    return maker.div(a, b)


@of_numbers
def square_root(maker: Any, a: Any) -> Any:
    return maker.sqrt(a)


def kernel(function: Any) -> Any:
    """The function as a kernel; no fast-math flag is ever set."""
    return cuda.jit(fastmath=False)(function)


def kernel_of(threads: int) -> Callable[[Any], Any]:
    """The same for blocks of that many threads: ptxas gives each as many registers as there are for so many."""
    if SIMULATED or "launch_bounds" not in signature(cuda.jit).parameters:
        return kernel
    return lambda function: cuda.jit(fastmath=False, launch_bounds=threads)(function)


def helper(function: Any) -> Any:
    """A function that kernels call. In the simulator it is a plain one: it may not name `cuda`."""
    return function if SIMULATED else cuda.jit(device=True, fastmath=False)(function)


def blocks_at_once(kernel: Any, threads: int, arguments: tuple[Any, ...]) -> int:
    """How many blocks of a kernel the current device runs at the same time, in launches that say so, as all of that
    kernel do from now on (cooperative ones). 0 where that cannot be had."""
    if SIMULATED or not cuda.get_current_device().COOPERATIVE_LAUNCH:
        return 0
    compiled = kernel.compile(tuple(kernel.typeof_pyval(one) for one in arguments))
    compiled.cooperative = True
    return int(compiled.max_cooperative_grid_blocks(threads))
