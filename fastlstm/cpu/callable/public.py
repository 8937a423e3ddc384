"""How a public function becomes part of a user's compiled function."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from numba import types
from numba.core.errors import TypingError
from numba.core.typing.templates import CallableTemplate, infer, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from ..vectors.whole import Whole
from .faults import Faults, refuse
from .writer import Writer, layers_of


class Public(types.Function):  # type: ignore[misc]
    """The Numba type of a public function: the error for types that do not fit begins with what is wrong.

    Numba's own has that line in the middle of what it tried."""

    def __init__(self, template: Any, form: Any) -> None:
        super().__init__(template)
        self.form = form

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        try:
            return super().get_call_type(context, args, kws)
        except TypingError as error:
            with contextlib.suppress(TypeError):  # not these arguments at all
                self.form(*map(types.unliteral, args), **kws)
            raise error


register_model(Public)(models.OpaqueModel)


def public(function: Any, form: Any) -> None:
    """Let form(types), a function of overloads.py, choose what is written where a user's function calls that one.

    numba.extending.overload has a function of its own, which would raise, and its caller pass that on. Here the user's
    function itself raises: then Numba sees that it need not count the references to an x[t] at each turn of a loop,
    which would take as long as a tenth of a small step."""

    @functools.wraps(form)
    def signature_of(*args: Any) -> Any:
        form(*args)
        return signature(types.none, *args)

    def generate(context: Any, builder: Any, found: Any, args: Any) -> Any:
        find, work, lists = form(*found.args)
        writer, possible = Writer(context, builder), set()

        def arguments(inner: Writer, values: Any) -> list[Any]:
            given = inner.arguments(found.args, values)
            return [layers_of(one) if n in lists else one for n, one in enumerate(given)]

        def first_fault(inner: Writer, values: Any) -> Whole:
            faults = Faults(inner)
            find(faults, *arguments(inner, values))
            possible.update(faults.possible)
            return faults.first()

        # in a function of its own: where Numba leaves counts of references out, it wants a plain way to the raise
        refuse(writer, writer.apart(first_fault, args), possible)
        work(writer, *arguments(writer, args))
        return context.get_dummy_value()

    class Template(CallableTemplate):  # type: ignore[misc]
        key = function

        def generic(self) -> Any:
            return signature_of

    infer(Template)
    infer_global(function, Public(Template, form))
    lower_builtin(function, types.VarArg(types.Any))(generate)
