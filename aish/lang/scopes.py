"""Local variables: what a name was before a function, or a command with assignments before it, and is again after."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
    from typing import TypeVar

    from aish.lang.arrays import Array
    from aish.lang.runtime import Runtime

    Item = TypeVar("Item")
    Whole = tuple[str | None, Array | None, str | None, str | None, bool, bool, bool]
    Brief = tuple[str | None, bool]
    Saved = str | Whole | Brief | dict[str, bool] | None
    """What a name was before it became local: a plain value, nothing, a value and whether it was exported, or
    everything that is known of it. Under '-', which is no name, the options that `local -` saves."""


class Temporary(dict):  # type: ignore[type-arg]
    """The scope of assignments before a command: `local` does not belong into it."""


class Copied(dict):  # type: ignore[type-arg]
    """What commands that run as if in a copy of the shell change: nobody but its end may see that it is there."""


def _put(table: dict[str, Item], name: str, item: Item | None) -> None:
    if item is not None:
        table[name] = item
    elif name in table:
        del table[name]


class Scopes:
    """The part of Variables that knows who hides whom. `scopes` are the calls, the innermost one last."""

    __slots__ = ("_environment",)

    _environment: dict[str, str] | None
    _guarded: set[str]
    _rt: Runtime
    arrays: dict[str, Array]
    attributes: dict[str, str]
    declared: set[str]
    dynamic: set[str]
    exported: set[str]
    guarded: Container[str]
    hooks: dict[str, Callable[[str | None], None]]
    readonly: set[str]
    references: dict[str, str]
    scopes: list[dict[str, Saved]]
    values: dict[str, str]

    def unset(self, name: str) -> None:
        raise NotImplementedError

    def check_unset(self, name: str) -> None:
        raise NotImplementedError

    def settle(self, name: str) -> None:
        raise NotImplementedError

    def drop(self, name: str) -> None:
        raise NotImplementedError

    def unset_scoped(self, name: str) -> None:
        """The built-in: what a function further out made local is again what it was before. Raises CommandError."""
        self.check_unset(name)
        innermost = True
        for i in range(len(self.scopes) - 1, -1, -1):
            scope = self.scopes[i]
            if type(scope) is Copied:
                continue
            own, innermost = innermost or "localvar_unset" in self._rt.shopt, False
            if name in scope:
                if own and type(scope) is dict:
                    break  # it stays local, without a value
                self.unset(name)
                saved = scope.pop(name)
                call = self._call_of(i, name)
                self._restore(name, saved if call is None else call.pop(name))
                return
        self.unset(name)

    def push(self) -> None:
        """A command with assignments before it begins."""
        self.scopes.append(Temporary())

    def push_copied(self, names: Iterable[str]) -> None:
        """Commands begin that may change these, and leave them as they were."""
        self.scopes.append(Copied())
        for name in names:
            self.local(name)

    def keep_temporary(self, name: str) -> None:
        """What name=value before the command that is being run set, stays: in front of `export name`. As in bash,
        also what was set before the call of a function around it, whether or not that made the variable local."""
        for i in range(len(self.scopes) - 1, -1, -1):
            scope = self.scopes[i]
            if name in scope:
                call = scope if type(scope) is Temporary else self._call_of(i, name)
                if call is not None:
                    call.pop(name)
                    scope.pop(name, None)
                return

    def temporary(self, name: str, value: str) -> bool:
        """name=value before a command, in one step where it is a plain variable: a loop over `IFS= read` comes here
        for each line. False, with nothing done, where it is not."""
        scope = self.scopes[-1]
        if name in scope or not self._is_plain(name) or name in self.readonly or name in self.dynamic:
            return False
        values, exported = self.values, self.exported
        scope[name] = (values.get(name), name in exported)
        values[name] = value
        exported.add(name)
        self._guarded.add(name)
        self._environment = None
        hook = self.hooks.get(name)
        if hook:
            hook(value)
        return True

    def _is_plain(self, name: str) -> bool:
        """Whether nothing but a value is known of `name`, or that it is exported, readonly, dynamic or watched."""
        return name not in self.arrays and name not in self.references and name not in self.attributes

    def function_scope(self) -> dict[str, Saved] | None:
        """The scope of the innermost function; None outside."""
        for scope in reversed(self.scopes):
            if type(scope) is dict:
                return scope
        return None

    def came_with_call(self, name: str) -> dict[str, Saved] | None:
        """The scope of the assignment before a call by which `name` is what it is; None where it is not.
        A local variable begins with that value, and the function that was called has it as its own already."""
        for i in range(len(self.scopes) - 1, -1, -1):
            scope = self.scopes[i]
            if name in scope and type(scope) is not Copied:
                return scope if type(scope) is Temporary else self._call_of(i, name)
        return None

    def _call_of(self, i: int, name: str) -> Temporary | None:
        """The assignment before the call that the scope `i` belongs to, where it set `name`: the local variable of
        that name is the same one, as in bash."""
        before = self.scopes[i - 1] if i else None
        return before if type(before) is Temporary and name in before else None

    def hidden_exports(self, found: dict[str, str]) -> None:
        """Add what is exported further out, and hidden here by a local variable that has no value, or is not
        exported: programs get it all the same, as from bash."""
        for scope in reversed(self.scopes):
            if type(scope) is Copied:
                continue
            for name, saved in scope.items():
                if name in found or not isinstance(saved, tuple):
                    continue
                value, exported = saved if len(saved) == 2 else (saved[0], saved[4])
                if exported and value is not None:
                    found[name] = value

    def local(self, name: str, scope: dict[str, Saved] | None = None) -> None:
        """Give `name` back what it is now when a scope ends, the innermost one."""
        if scope is None:
            scope = self.scopes[-1]
        if name not in scope:
            scope[name] = self.values.get(name) if name not in self._guarded else self._whole(name)

    def plain_local(self, scope: dict[str, Saved], name: str, value: str | None) -> bool:
        """`local name=value` in one step, where the name needs no care. False, with nothing done, where it does."""
        if name in self.guarded:
            return False
        if name not in scope:
            scope[name] = self.values.pop(name, None)
        if value is not None:
            self.values[name] = value
        elif name not in self.values:
            self.declared.add(name)
        return True

    def fresh(self, name: str) -> None:
        """A local variable begins: nothing is left of the one it hides but that it is exported."""
        self.readonly.discard(name)
        self.drop(name)
        hook = self.hooks.get(name)
        if hook:
            hook(None)
        self.settle(name)

    def _whole(self, name: str) -> Whole:
        return (
            self.values.get(name),
            self.arrays.get(name),
            self.references.get(name),
            self.attributes.get(name),
            name in self.exported,
            name in self.readonly,
            name in self.dynamic,
        )

    def pop(self) -> None:
        """The innermost scope ends."""
        for name, saved in self.scopes.pop().items():
            self.declared.discard(name)
            if type(saved) is tuple and len(saved) == 2:
                self._put_back(name, *saved)
            elif name in self._guarded:
                self._restore(name, saved)
            elif type(saved) is str:
                self.values[name] = saved
            elif saved is None:
                self.values.pop(name, None)
            elif name == "-":
                self._rt.restore_options(saved)
            else:
                self._restore(name, saved)

    def _put_back(self, name: str, value: str | None, exported: bool) -> None:
        """The end of `temporary`."""
        if not self._is_plain(name):  # the command made something else of it
            self._restore(name, (value, None, None, None, exported, False, False))
            return
        self._environment = None
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value
        if not exported:
            self.exported.discard(name)
        hook = self.hooks.get(name)
        if hook:
            hook(value)
        else:
            self.readonly.discard(name)
            self.settle(name)

    def _restore(self, name: str, saved: Saved) -> None:
        array = reference = attributes = None
        exported = readonly = dynamic = False
        if isinstance(saved, tuple) and len(saved) == 2:
            value, exported = saved
        elif isinstance(saved, tuple):
            value, array, reference, attributes, exported, readonly, dynamic = saved
        else:
            assert not isinstance(saved, dict)
            value = saved
        self._environment = None
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value
        if array is not None or reference is not None or attributes is not None or not self._is_plain(name):
            _put(self.arrays, name, array)
            _put(self.references, name, reference)
            _put(self.attributes, name, attributes)
        (self.exported.add if exported else self.exported.discard)(name)
        (self.readonly.add if readonly else self.readonly.discard)(name)
        (self.dynamic.add if dynamic else self.dynamic.discard)(name)
        hook = self.hooks.get(name)
        if hook:
            self._guarded.add(name)
            hook(value)
        else:
            self.settle(name)

    def globally(self, name: str, action: Callable[[], None]) -> None:
        """Do `action` to the global variable `name`, whatever hides it."""
        hidden = next((scope for scope in self.scopes if name in scope and type(scope) is not Copied), None)
        if hidden is None:
            action()
            return
        here = self._whole(name)
        self._restore(name, hidden[name])
        try:
            action()
        finally:
            hidden[name] = self._whole(name)
            self._restore(name, here)
