"""Shell variables: values, who is exported or readonly, local scopes, and variables with a meaning.

The evaluator reads `values` directly, and writes it directly for every name that is not in `guarded`: a loop
counter costs one dictionary operation. Whatever needs care when it is set (readonly, exported, watched by the
shell) is in `guarded`.
"""

from __future__ import annotations

from aish.lang.control import CommandError
from aish.lang.text import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container

    Saved = tuple[str | None, bool, bool]


class _All:
    """Contains every name: what `guarded` becomes under `set -a`."""

    def __contains__(self, name: object) -> bool:
        return True


class Variables:
    """`hooks` are told a variable's new value (None: unset); `computed` variables are asked for theirs."""

    __slots__ = (
        "_environment",
        "_guarded",
        "computed",
        "exported",
        "foreign",
        "guarded",
        "hooks",
        "lists",
        "readonly",
        "scopes",
        "values",
    )

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.exported: set[str] = set()
        self.readonly: set[str] = set()
        self.hooks: dict[str, Callable[[str | None], None]] = {}
        self.computed: dict[str, Callable[[], str]] = {}
        self.lists: dict[str, Callable[[], list[str]]] = {}
        self.scopes: list[dict[str, Saved]] = []
        self.foreign: dict[str, str] = {}
        """What the environment holds under names that no variable can have: handed on as it came."""
        self._guarded: set[str] = set()
        self.guarded: Container[str] = self._guarded
        self._environment: dict[str, str] | None = None

    def adopt(self, environment: dict[str, str]) -> None:
        """Take over the environment that the shell was started with."""
        for name, value in environment.items():
            if is_name(name):
                self.values[name] = value
                self.export(name)
            else:
                self.foreign[name] = value
        self._environment = None

    def set(self, name: str, value: str) -> None:
        """Assign. Raises CommandError for a readonly variable."""
        if name in self.guarded:
            if name in self.readonly:
                raise CommandError(f"{name}: readonly variable")
            self._environment = None
            if self.guarded is not self._guarded:
                self.export(name)
            self.computed.pop(name, None)
            self.values[name] = value
            hook = self.hooks.get(name)
            if hook:
                hook(value)
        else:
            self.values[name] = value

    def unset(self, name: str) -> None:
        """Remove. Raises CommandError for a readonly variable."""
        if name in self.readonly:
            raise CommandError(f"{name}: cannot unset: readonly variable")
        self._environment = None
        self.values.pop(name, None)
        self.computed.pop(name, None)
        self.exported.discard(name)
        hook = self.hooks.get(name)
        if hook:
            hook(None)
        else:
            self._guarded.discard(name)

    def get(self, name: str) -> str | None:
        """The value, computed ones included; None where unset."""
        value = self.values.get(name)
        if value is None and name in self.computed:
            return self.computed[name]()
        return value

    def export(self, name: str) -> None:
        """Hand `name` to programs, from now on or from when it is set."""
        self.exported.add(name)
        self._guarded.add(name)
        self._environment = None

    def unexport(self, name: str) -> None:
        """Keep `name` from programs."""
        self.exported.discard(name)
        self._environment = None

    def protect(self, name: str) -> None:
        """Make `name` readonly."""
        self.readonly.add(name)
        self._guarded.add(name)

    def watch(self, name: str, hook: Callable[[str | None], None]) -> None:
        """Call `hook` with each new value of `name`."""
        self.hooks[name] = hook
        self._guarded.add(name)

    def compute(self, name: str, answer: Callable[[], str]) -> None:
        """Ask `answer` for the value of `name` until somebody assigns to it."""
        self.computed[name] = answer
        self._guarded.add(name)

    def export_all(self, on: bool) -> None:
        """`set -a`."""
        self.guarded = _All() if on else self._guarded

    def environment(self) -> dict[str, str]:
        """What a program gets. The same dictionary until an exported variable changes: do not keep it."""
        if self._environment is None:
            values = self.values
            self._environment = self.foreign | {name: values[name] for name in self.exported if name in values}
        return self._environment

    # ----------------------------------------------------------------------------------------- scopes

    def push(self) -> None:
        """A function (or a command with assignments before it) begins."""
        self.scopes.append({})

    def local(self, name: str) -> None:
        """Give `name` back its present value when the innermost scope ends."""
        scope = self.scopes[-1]
        if name not in scope:
            scope[name] = (self.values.get(name), name in self.exported, name in self.readonly)

    def pop(self) -> None:
        """The innermost scope ends."""
        for name, (value, exported, readonly) in self.scopes.pop().items():
            self.readonly.discard(name)
            if value is None:
                self.unset(name)
            else:
                self.set(name, value)
            if exported:
                self.export(name)
            else:
                self.unexport(name)
            if readonly:
                self.protect(name)
