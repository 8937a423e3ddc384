"""Helpers compile into the kernels that call them, and nowhere else.

Numba makes a library of every function it compiles: optimised, and turned into machine code, before a caller's library
takes it in and both are done once more for the whole. For helpers of helpers that is three or four times, and most of
the time that compiling takes. No one calls a helper's own machine code: a `Part` is its function alone, simplified. It
meets those that it calls where a kernel, or a user's function, takes them all in.

Numba leaves out a branch that is never taken where its condition is a constant, before it types what is there. In a
helper, so are the fields of records that say by their type what they are: `if weights.cell.normalizes:`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llvmlite.binding import Linkage, parse_bitcode
from numba.core import ir, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import get_definition, guard
from numba.core.typed_passes import InlineOverloads, NopythonRewrites
from numba.core.untyped_passes import InlineClosureLikes, RewriteSemanticConstants


class Written(JITCodeLibrary):  # type: ignore[misc]
    """A library whose loops LLVM leaves as they are written (LLVM's word for that is optsize).

    Else it copies a loop over rows for each case of what does not change in it, and unrolls the copies: that took a
    third of a kernel's code, and was no faster. Tiles are unrolled where they are written."""

    def add_ir_module(self, ir_module: Any) -> None:
        for function in ir_module.functions:
            if not function.is_declaration:
                function.attributes.add("optsize")
        super().add_ir_module(ir_module)


class Part(Written):
    """The library of a helper: to be linked into others, with no code of its own that could run."""

    KIND = "part"  # in files of the cache

    def finalize(self) -> None:
        """Nothing is linked into a Part: it comes with those that it calls where a kernel takes it in."""
        self._raise_if_finalized()
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        self._ensure_finalized()
        if self._shared_module is None:
            module = self._final_module.clone()
            for library in self._called({self}):  # callers first: what nothing calls yet is not linked
                own = library._final_module if isinstance(library, Part) else library._get_module_for_linking()
                module.link_in(own, preserve=True)
            for function in module.functions:
                if not function.is_declaration and function.linkage == Linkage.external:
                    function.linkage = "linkonce_odr"  # more than one of what is linked may have it
            self._shared_module = module
        return self._shared_module

    def _called(self, seen: set[Any]) -> Iterator[Any]:
        """The libraries that it calls, each before those that it calls itself, but for those seen."""
        for library in self._linking_libraries:
            if library not in seen:
                seen.add(library)
                yield library
                if isinstance(library, Part):
                    yield from library._called(seen)

    def serialize_using_object_code(self) -> tuple[str, str, bytes]:
        """What the cache keeps: its function and all that it calls."""
        return self.name, self.KIND, self._get_module_for_linking().as_bitcode()

    @classmethod
    def _unserialize(cls, codegen: Any, state: tuple[str, str, bytes]) -> Part:
        name, _, code = state
        part = cls(codegen, name)
        part._final_module = parse_bitcode(code)
        part.finalize()
        return part

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0  # Numba's word for a function that this library does not have

    @property
    def codegen(self) -> Part:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Constants that a function's wrapper for Python needs: there is none."""


def _type_of(state: Any, variable: Any) -> Any:
    """The type of an argument, or of a field of a record that is one."""
    found = guard(get_definition, state.func_ir, variable)
    if isinstance(found, ir.Arg):
        return state.args[found.index]
    if isinstance(found, ir.Expr) and found.op == "getattr":
        owner = _type_of(state, found.value)
        if isinstance(owner, types.BaseNamedTuple) and found.attr in owner.fields:
            return owner[owner.fields.index(found.attr)]
    return None


@register_pass(mutates_CFG=False, analysis_only=False)
class KnownFields(FunctionPass):  # type: ignore[misc]
    """What a type knows of its values (`known`, constants by the names of attributes) takes their place."""

    _name = "fastlstm_known_fields"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        changed = False
        for block in state.func_ir.blocks.values():
            for statement in block.find_insts(ir.Assign):
                value = statement.value
                if not (isinstance(value, ir.Expr) and value.op == "getattr"):
                    continue
                known = getattr(_type_of(state, value.value), "known", {})
                if value.attr in known:
                    definitions = state.func_ir._definitions[statement.target.name]
                    constant = ir.Const(known[value.attr], statement.loc)
                    statement.value = definitions[definitions.index(value)] = constant
                    changed = True
        return changed


# closures, functions that Numba's IR takes in, and expressions of arrays: no helper has any, and to look takes time
_UNNEEDED = InlineClosureLikes, InlineOverloads, NopythonRewrites


class LibraryCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, into a `library` of ours."""

    library: type[JITCodeLibrary]

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        if self.state.library is None:
            self.state.library = self.library(self.state.targetctx.codegen(), function.__qualname__)
            self.state.library.enable_object_caching()  # as Numba does with those that it makes
        return super().compile_extra(function)


class PartCompiler(LibraryCompiler):
    library = Part

    def define_pipelines(self) -> Any:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(KnownFields, RewriteSemanticConstants)
        passes.passes = [one for one in passes.passes if one[0] not in _UNNEEDED]
        passes.finalize()
        return [passes]
