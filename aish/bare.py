"""A module's code without what only readers and the type checker want of it, which would be read and made at each
start: documentation, annotations, what stands under TYPE_CHECKING.

And without imports among modules of the image. An import asks for much more than the module, each time, a twentieth
of a start: a call of the loader (aish.lean) stands in its place. Only statements are looked at; the tree of what is
in them is handed to the compiler as it is.
"""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType


def code(text: str, path: str, *, silent: bool, ours: Mapping[str, bool]) -> CodeType:
    """The code of the file `path` with this text. `silent`: without documentation. `ours`: the modules of the image,
    and whether each is a package."""
    tree = ast.parse(text)
    tree.body = _Stripper(silent, ours).body(tree.body)
    return compile(tree, path, "exec", dont_inherit=True)


class _Stripper:
    def __init__(self, silent: bool, ours: Mapping[str, bool]) -> None:
        self._silent = silent
        self._ours = ours

    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """What is left of the statements of a module, a class, a function, or of a part of these."""
        kept = [one for statement in statements for one in self._left(statement)]
        for statement in kept:
            self._inside(statement)
        if statements and not kept:
            return [ast.copy_location(ast.Pass(), statements[0])]
        return kept

    def _left(self, statement: ast.stmt) -> list[ast.stmt]:
        match statement:
            case ast.Expr(value=ast.Constant(value=str())) if self._silent:
                return []
            case ast.AnnAssign(value=None) | ast.ImportFrom(module="__future__"):
                return []
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                return [ast.copy_location(ast.Assign(targets=[target], value=value), statement)]
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                return [one for other in orelse for one in self._left(other)]
            case ast.ImportFrom(module=str() as module) if module in self._ours:
                return self._looked_up(statement, module)
            case _:
                return [statement]

    def _inside(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            statement.returns = None
            given = statement.args
            for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
                if argument is not None:
                    argument.annotation = None
        for part in ("body", "orelse", "finalbody"):
            inner = getattr(statement, part, None)
            if isinstance(inner, list):
                setattr(statement, part, self.body(inner))
        for part in ("handlers", "cases"):
            for arm in getattr(statement, part, ()):
                arm.body = self.body(arm.body)

    def _looked_up(self, statement: ast.ImportFrom, module: str) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for alias in statement.names:
            inner = f"{module}.{alias.name}"
            if not self._ours[module]:
                value: ast.expr = ast.Attribute(_module(module), alias.name, ast.Load())
            elif inner in self._ours:
                value = _module(inner)
            else:
                return [statement]  # something of the package's own, or a module that is not in the image
            assign = ast.Assign([ast.Name(alias.asname or alias.name, ast.Store())], value)
            found.append(ast.fix_missing_locations(ast.copy_location(assign, statement)))
        return found


def _module(name: str) -> ast.expr:
    return ast.Call(ast.Name("__loaded__", ast.Load()), [ast.Constant(name)], [])
