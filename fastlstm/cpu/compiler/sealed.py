"""Kernels that their callers take in as machine code.

Numba links a function that another one calls in LLVM's language, and optimises it again with each caller. A kernel is
long, and gains nothing by that: it is `Sealed`. LLVM translates it once, into assembly language. A caller takes in that
text, which needs nothing from anywhere else, and a function of one line that goes there.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary

from .parts import LibraryCompiler, Written

llvm.initialize_native_asmparser()
_LABEL = re.compile(r"^([A-Za-z_.][\w.]*):", re.MULTILINE)
_NAME = re.compile(r'"(?:\\.|[^"\\\n])*"|[A-Za-z_.][\w.]*')  # or a string, which stays as it is
# Lines that show a name to other object files; and those that reserve memory for Numba's constants, for which there is
# also a line in LLVM's language.
_SHARED = re.compile(r"^\s*\.(globl|weak|hidden|comm)\b.*\n", re.MULTILINE)
# A text with any of these is not taken in:
# - debug info, which numbers its files: the caller's has the same numbers;
# - Intel's syntax, since texts of other kernels, in AT&T's, may stand in it;
# - names in quotes or with a $, which the patterns above do not find;
# - memory of its own, whose lines would go with the shared ones.
_UNFIT = re.compile(r'\.debug_|\.intel_syntax|^\S*["$]|^\s*\.local\b', re.MULTILINE)


class Sealed(JITCodeLibrary):  # type: ignore[misc]
    """The library of a kernel."""

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        self._final_module = sealed_module(self._final_module, self._codegen._tm)


class SealedPart(Written, Sealed):
    """That of a long function which users' compiled code calls."""


def seals(triple: str) -> bool:
    """Whether kernels are sealed: where it was tried, on x86-64 with object files in the format ELF, as on Linux."""
    return triple.startswith("x86_64") and not any(name in triple for name in ("windows", "apple", "darwin"))


def sealed_module(module: Any, machine: Any) -> Any:
    """What a module's only function does, as machine code; the module as it is where that cannot be.

    module: optimised; machine: what makes machine code of it."""
    functions = [one for one in module.functions if not one.is_declaration and one.linkage == Linkage.external]
    if len(functions) != 1 or not seals(module.triple):
        return module
    text = machine.emit_assembly(module)
    if _UNFIT.search(text):
        return module
    text = _SHARED.sub("", text)
    ending = hashlib.sha256(text.encode()).hexdigest()[:16]  # names are unique in one library alone
    labels = {label: f"{label}.{ending}" for label in _LABEL.findall(text)}
    text = _NAME.sub(lambda found: labels.get(found[0], found[0]), text)
    name, kinds = functions[0].name, [str(one.type) for one in functions[0].arguments]
    given = ", ".join(f"{kind} %a{n}" for n, kind in enumerate(kinds))
    # Two functions that a caller calls may both bring the text along: it is skipped the second time. A process may have
    # told LLVM to read Intel's syntax: the text says that it is in AT&T's.
    text = f".ifndef {labels[name]}\n.att_syntax\n{text}\n.endif"
    quoted = text.replace("\\", "\\5C").replace('"', "\\22").replace("\n", "\\0A")
    lines = [
        f'target datalayout = "{module.data_layout}"',
        f'target triple = "{module.triple}"',
        f'module asm "{quoted}"',
        *(str(one) for one in module.global_variables if one.linkage == Linkage.common),
        f'declare i32 @"{labels[name]}"({", ".join(kinds)})',
        f'define i32 @"{name}"({given}) {{',
        f'  %status = tail call i32 @"{labels[name]}"({given})',
        "  ret i32 %status",
        "}",
    ]
    made = llvm.parse_assembly("\n".join(lines))
    made.name = module.name
    return made


class SealedCompiler(LibraryCompiler):
    library = Sealed


class SealedPartCompiler(LibraryCompiler):
    library = SealedPart
