"""Kernels that their callers take in as machine code.

Numba links a function that another one calls in LLVM's language, and optimises it again with each caller. A kernel is
long, and gains nothing by that: it is `Sealed`. LLVM translates it once, into assembly language. A caller takes in that
text, which needs nothing from anywhere else, and a function of one line that goes there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

llvm.initialize_native_asmparser()
_LABEL = re.compile(r"^([A-Za-z_.][\w.]*):", re.MULTILINE)
_NAME = re.compile(r'"(?:\\.|[^"\\\n])*"|[A-Za-z_.][\w.]*')  # or a string, in which no name is meant
# that other object files may use a name; and memory for constants of a function's wrapper for Python
_SHARED = re.compile(r"^\s*\.(globl|weak|hidden|comm)\b.*\n", re.MULTILINE)


class Sealed(JITCodeLibrary):  # type: ignore[misc]
    """The library of a kernel."""

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        self._final_module = sealed_module(self._final_module, self._codegen._tm)


def seals(triple: str) -> bool:
    """Whether kernels are sealed: where it was tried, on x86-64 with object files in the format ELF, as on Linux."""
    return triple.startswith("x86_64") and not any(name in triple for name in ("windows", "apple", "darwin"))


def sealed_module(module: Any, machine: Any) -> Any:
    """What an optimised module does, as machine code; as it is where that is not for callers to take in."""
    if not seals(module.triple):
        return module
    text = machine.emit_assembly(module)
    if ".debug_" in text:  # numbers lines of files for itself, as a caller does
        return module
    text = _SHARED.sub("", text)
    ending = hashlib.sha256(text.encode()).hexdigest()[:16]
    labels = {label: f"{label}.{ending}" for label in _LABEL.findall(text)}
    text = _NAME.sub(lambda found: labels.get(found[0], found[0]), text)
    functions = [one for one in module.functions if not one.is_declaration and one.linkage == Linkage.external]
    # a caller may get it twice, by two of those that it calls itself
    text = f".ifndef {labels[functions[0].name]}\n{text}\n.endif"
    quoted = text.replace("\\", "\\5C").replace('"', "\\22").replace("\n", "\\0A")
    lines = [
        f'target datalayout = "{module.data_layout}"',
        f'target triple = "{module.triple}"',
        f'module asm "{quoted}"',
        *(str(one) for one in module.global_variables if one.linkage == Linkage.common),
        *(line for one in functions for line in _entrance(one, labels[one.name])),
    ]
    made = llvm.parse_assembly("\n".join(lines))
    made.name = module.name
    return made


def _entrance(function: Any, label: str) -> Iterator[str]:
    """A function of the same name and arguments, which calls what stands at the label."""
    kinds = [str(one.type) for one in function.arguments]
    names = ", ".join(f"{kind} %a{n}" for n, kind in enumerate(kinds))
    yield f'declare i32 @"{label}"({", ".join(kinds)})'
    yield f'define i32 @"{function.name}"({names}) {{'
    yield f'  %status = tail call i32 @"{label}"({names})'
    yield "  ret i32 %status"
    yield "}"


class SealedCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, into `Sealed`."""

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        if self.state.library is None:
            self.state.library = Sealed(self.state.targetctx.codegen(), function.__qualname__)
            self.state.library.enable_object_caching()
        return super().compile_extra(function)
