"""How compiled functions are put together: each on its own, and all of them at once where Python comes in.

Numba optimises a function together with all that it calls, and emits machine code of it, anew at every level of calls.
Here a *part*, which only compiled code calls, keeps nothing but its own code. A *whole*, which Python calls, takes the
code of every part below it, once, and is optimised and emitted at once: a third of the time, and a tenth of the space.
"""

from __future__ import annotations

from typing import Any

from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class _Library(JITCodeLibrary):
    """The code of one function, and the libraries of those that it calls."""

    def parts(self, seen: dict[Any, None]) -> dict[Any, None]:
        """The libraries of all that it calls, in order, added to those seen before."""
        for library in self._linking_libraries:
            if library not in seen:
                seen[library] = None
                if isinstance(library, _Library):
                    library.parts(seen)
        return seen


class _Part(_Library):
    def finalize(self) -> None:
        """Nothing to do before it is linked."""
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        return self._final_module


class _Whole(_Library):
    def finalize(self) -> None:
        """Link all parts, optimise and emit."""
        self._raise_if_finalized()
        own = {function.name for function in self._final_module.functions if not function.is_declaration}
        for library in self.parts({}):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        for function in self._final_module.functions:
            if function.name in own:
                # What a wrapper prepares (see ``pointers``) must stay out of sight.
                function.add_function_attribute("noinline")
            elif not function.is_declaration:
                function.linkage = "internal"  # nobody else calls it: it may be changed, or vanish
        self._optimize_final_module()
        self._final_module.verify()
        self._finalize_final_module()


class WholeCompiler(Compiler):
    """For functions that Python may call."""

    _library: type[_Library] = _Whole

    def _compile_core(self) -> Any:
        state = self.state
        state.library = self._library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super()._compile_core()


class PartCompiler(WholeCompiler):
    """For functions that only compiled code calls."""

    _library = _Part

    def _compile_core(self) -> Any:
        self.state.flags.no_compile = True
        made = super()._compile_core()
        # A name for it among compiled functions; there is nothing that Python could call.
        name = made.fndesc
        entry = _dynfunc.make_function(name.lookup_module(), name.qualname, "", 0, made.environment, (made.library,))
        self.state.targetctx.insert_user_function(entry, name, [made.library])
        return made._replace(entry_point=entry)
