"""Shell variables: values, arrays, references, attributes, local scopes, and variables with a meaning.

The evaluator reads `values` directly, and writes it directly for every name that is not in `guarded`: a loop
counter costs one dictionary operation. Whatever needs care when it is set (an array, a reference, readonly,
exported, with an attribute, watched by the shell) is in `guarded`.

    values      scalars, and nothing but scalars
    arrays      indexed and associative ones
    references  `declare -n`: the name, or name[subscript], that is meant instead
    attributes  letters of i l u c t
    declared    names that were declared without a value; it matters only while they have none
    dynamic     names whose value the shell makes up when asked: see special.py
"""

from __future__ import annotations

from aish.lang.control import CommandError
from aish.lang.scopes import Scopes
from aish.lang.text import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from aish.lang.arrays import Array
    from aish.lang.runtime import Runtime
    from aish.lang.scopes import Saved

DYNAMIC = frozenset(
    ["BASH", "BASHOPTS", "BASHPID", "BASH_ARGV0", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_VERSION",
     "COMP_WORDBREAKS", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "HISTCMD", "HOSTNAME", "HOSTTYPE", "LINENO",
     "MACHTYPE", "OSTYPE", "RANDOM", "SECONDS", "SHELLOPTS", "SRANDOM", "UID"]
)  # fmt: skip
_VIEWS = ("BASH_ALIASES", "BASH_CMDS")
"""Associative arrays that are another table of the shell's: an element that is set there is set here."""

DYNAMIC_LISTS = frozenset(
    [*_VIEWS, "BASH_ARGC", "BASH_ARGV", "BASH_LINENO", "BASH_SOURCE", "BASH_VERSINFO", "DIRSTACK", "FUNCNAME",
     "GROUPS", "PIPESTATUS"]
)  # fmt: skip
_NUMBERS = frozenset(["BASHPID", "EUID", "HISTCMD", "RANDOM", "SECONDS", "SRANDOM", "UID"])
_FROM_BIRTH = DYNAMIC | DYNAMIC_LISTS
_GIVEN = ("HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE")
"""What the environment says of these is believed."""

_PROTECTED = ("BASHOPTS", "BASH_VERSINFO", "EUID", "SHELLOPTS", "UID")
MOST_REFERENCES = 8
"""References to references that are followed, as in bash."""


class _All:
    """Contains every name: what `guarded` becomes under `set -a`."""

    def __contains__(self, name: object) -> bool:
        return True


class Variables(Scopes):
    """`hooks` are told a variable's new value (None: unset)."""

    __slots__ = (
        "_guarded",
        "_rt",
        "arrays",
        "attributes",
        "declared",
        "dynamic",
        "exported",
        "foreign",
        "guarded",
        "hooks",
        "readonly",
        "references",
        "scopes",
        "values",
    )

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self.values: dict[str, str] = {}
        self.arrays: dict[str, Array] = {}
        self.references: dict[str, str] = {}
        self.attributes: dict[str, str] = {}
        self.declared: set[str] = set()
        self.dynamic: set[str] = set(_FROM_BIRTH)
        self.exported: set[str] = set()
        self.readonly: set[str] = set(_PROTECTED)
        self.hooks: dict[str, Callable[[str | None], None]] = {}
        self.scopes: list[dict[str, Saved]] = []
        self.foreign: dict[str, str] = {}
        """What the environment holds under names that no variable can have: handed on as it came."""
        self._guarded: set[str] = set(_FROM_BIRTH)
        self.guarded: Container[str] = self._guarded
        self._environment: dict[str, str] | None = None

    def adopt(self, environment: dict[str, str]) -> None:
        """Take over the environment that the shell was started with."""
        for name, value in environment.items():
            if is_name(name):
                if name in _GIVEN:
                    self.dynamic.discard(name)
                elif name in self.dynamic:
                    continue
                self.values[name] = value
                self.export(name)
            else:
                self.foreign[name] = value
        self._environment = None

    # ---------------------------------------------------------------------------------------- reading

    def get(self, name: str) -> str | None:
        """The value: an array's first element, what a reference refers to; None where unset."""
        value = self.values.get(name)
        if value is None and name in self._guarded:
            return self._get_guarded(name)
        return value

    def _get_guarded(self, name: str) -> str | None:
        if name in self.references:
            from aish.lang import subscripts

            return subscripts.fetch_reference(self._rt, name)
        array = self.arrays.get(name)
        if array is not None:
            return array.items.get(array.zero)
        if name in self.dynamic:
            from aish.lang import special

            return special.value(self._rt, name)
        return None

    def array(self, name: str) -> Array | None:
        """The elements of a variable, a scalar's as those of an array of one; None where it is unset."""
        array = self.arrays.get(name)
        if array is not None:
            return array
        if name in self.references:
            from aish.lang import subscripts

            target, subscript = subscripts.resolve(self._rt, name)
            if subscript is not None:
                return None
            return (
                subscripts.beyond(self._rt, name, lambda: self.array(name)) if target == name else self.array(target)
            )
        if name in self.dynamic and name in DYNAMIC_LISTS:
            from aish.lang import special

            return special.array(self._rt, name)
        from aish.lang.arrays import Indexed

        value = self.get(name)
        return None if value is None else Indexed([value])

    def elements(self, name: str) -> list[str]:
        """The values of ${name[@]}. The list is the caller's."""
        array = self.arrays.get(name) or self.array(name)
        return [] if array is None else array.values()

    def names(self) -> set[str]:
        """Every name that has a value or was declared."""
        found = self.values.keys() | self.arrays.keys() | self.references.keys() | self.attributes.keys()
        return found | self.declared | self.dynamic | self.exported | self.readonly

    def with_values(self, prefix: str = "") -> list[str]:
        """Names that begin so and have a value, in order: those that are declared alone are not seen."""
        found = []
        for name in sorted([name for name in self.names() if name.startswith(prefix)]):
            array = self.array(name)
            if array is not None and not array.unset:
                found.append(name)
        return found

    def knows(self, name: str) -> bool:
        """Whether there is a variable of this name, with a value or without one."""
        return name in self.values or name in self.declared or (name in self._guarded and name in self.names())

    # ---------------------------------------------------------------------------------------- writing

    def set(self, name: str, value: str) -> None:
        """Assign. Raises CommandError for a readonly variable."""
        if name in self.guarded:
            self._set_guarded(name, value)
        else:
            self.values[name] = value

    def _set_guarded(self, name: str, value: str) -> None:
        if name in self.references:
            from aish.lang import subscripts

            subscripts.store_reference(self._rt, name, value)
            return
        self.check(name)
        if self.guarded is not self._guarded:
            self.export(name)
        letters = self.attributes.get(name)
        if letters:
            value = self.converted(letters, value)
        array = self.arrays.get(name)
        if array is not None:
            array.set(array.zero, value)
            return
        self._environment = None
        if name in self.dynamic:
            from aish.lang import special

            if special.assign(self._rt, name, value):
                return
            self.dynamic.discard(name)
        self.values[name] = value
        hook = self.hooks.get(name)
        if hook:
            hook(value)

    def append(self, name: str, value: str) -> None:
        """name+=value: of numbers, their sum. Raises CommandError."""
        if name not in self.guarded:
            self.values[name] = self.values.get(name, "") + value
            return
        if name in self.references:
            from aish.lang import subscripts

            subscripts.store_reference(self._rt, name, value, append=True)
            return
        self.set(name, self.appended(name, self.get(name), value))

    def appended(self, name: str, old: str | None, value: str) -> str:
        """What += makes of an old value."""
        if "i" in self.attributes.get(name, ""):
            return str(self._number(old or "0") + self._number(value))
        return (old or "") + value

    def set_element(self, name: str, key: int | str, value: str, *, append: bool = False) -> None:
        """name[key]=value; a scalar becomes an array. Raises CommandError."""
        array = self.writable(name)
        if append:
            value = self.appended(name, array.get(key), value)
        letters = self.attributes.get(name)
        if letters:
            value = self.converted(letters, value)
        array.set(key, value)

    def writable(self, name: str, *, associative: bool = False) -> Array:
        """The array `name`, made where there is none. Raises CommandError for a readonly one."""
        self.check(name)
        array = self.arrays.get(name)
        if array is not None:
            return array
        if name in self.dynamic:
            if name in _VIEWS:
                from aish.lang import special

                return special.array(self._rt, name)
            self.dynamic.discard(name)
        from aish.lang.arrays import Associative, Indexed

        if self.references.get(name) == "":
            self._rt.complain(f"warning: {name}: no reference any more: it refers to nothing, and becomes an array")
            del self.references[name]
        value = self.values.pop(name, None)
        array = self.arrays[name] = Associative() if associative else Indexed()
        if value is not None:
            array.set(array.zero, value)
        self._guarded.add(name)
        self._environment = None
        if self.guarded is not self._guarded:
            self.export(name)
        return array

    def put(self, name: str, array: Array) -> None:
        """Make `array` the whole value of `name`."""
        self.writable(name)
        self.arrays[name] = array

    def check(self, name: str) -> None:
        """Raises CommandError for a readonly variable."""
        if name in self.readonly:
            error = CommandError(f"{name}: readonly variable")
            error.readonly = True
            raise error

    def converted(self, letters: str, value: str) -> str:
        """A value as the attributes i l u c want it. Raises ExpansionError for what is no number."""
        if "i" in letters:
            return str(self._number(value))
        from aish.lang.transforms import lower, upper

        if "l" in letters:
            return lower(value)
        if "u" in letters:
            return upper(value)
        return upper(value[:1]) + lower(value[1:]) if "c" in letters else value

    def _number(self, value: str) -> int:
        from aish.lang.arithmetic import value_of
        from aish.lang.arithmetic_tokens import ExpressionError

        try:
            return value_of(self._rt, value)
        except ExpressionError as error:
            raise self._rt.expansion_error(f"{value}: {error.message}") from None

    # ------------------------------------------------------------------------------------------ ending

    def unset(self, name: str) -> None:
        """Remove. Raises CommandError for a readonly variable."""
        if name in self.readonly:
            raise CommandError(f"{name}: cannot unset: readonly variable")
        self.drop(name)
        self.exported.discard(name)
        hook = self.hooks.get(name)
        if hook:
            hook(None)
        else:
            self._guarded.discard(name)

    def check_unset(self, name: str) -> None:
        """Raises CommandError where `name` may not be unset."""
        if name in self.readonly:
            raise CommandError(f"{name}: cannot unset: readonly variable")

    def drop(self, name: str) -> None:
        """Everything but readonly and exported."""
        self._environment = None
        self.values.pop(name, None)
        self.declared.discard(name)
        if name in self._guarded:
            self.arrays.pop(name, None)
            self.references.pop(name, None)
            self.attributes.pop(name, None)
            self.dynamic.discard(name)

    def settle(self, name: str) -> None:
        """Guard `name` where something about it needs care, and only there."""
        if (
            name in self.exported
            or name in self.readonly
            or name in self.attributes
            or name in self.arrays
            or name in self.references
            or name in self.hooks
            or name in self.dynamic
        ):
            self._guarded.add(name)
        else:
            self._guarded.discard(name)

    # -------------------------------------------------------------------------------------- attributes

    def declare(self, name: str) -> None:
        """Make `name` known although it has no value."""
        if self.values.get(name) is None and name not in self.arrays and name not in self.references:
            self.declared.add(name)

    def mark(self, name: str, letters: str) -> None:
        """Give `name` exactly these of the attributes i l u c t."""
        if letters:
            self.attributes[name] = letters
        elif name in self.attributes:
            del self.attributes[name]
        self.settle(name)
        if not letters:
            self.declare(name)

    def refer(self, name: str, target: str) -> None:
        """Make `name` another name for `target` ('' for none yet)."""
        self.drop(name)
        self.references[name] = target
        self._guarded.add(name)

    def letters(self, name: str) -> str:
        """What ${name@a} says: the attributes in bash's order."""
        array = self.arrays.get(name)
        own = self.attributes.get(name, "")
        found = "" if array is None else "A" if array.associative else "a"
        if name in self.dynamic and name in DYNAMIC_LISTS:
            found = "A" if name in _VIEWS else "a"
        found += "i" * ("i" in own or (name in _NUMBERS and name in self.dynamic))
        found += "n" * (name in self.references) + "r" * (name in self.readonly)
        found += "t" * ("t" in own) + "x" * (name in self.exported)
        return found + "".join([letter for letter in "clu" if letter in own])

    def export(self, name: str) -> None:
        """Hand `name` to programs, from now on or from when it is set."""
        self.exported.add(name)
        self._guarded.add(name)
        self._environment = None

    def unexport(self, name: str) -> None:
        """Keep `name` from programs."""
        self.exported.discard(name)
        self._environment = None
        self.settle(name)

    def protect(self, name: str) -> None:
        """Make `name` readonly."""
        self.readonly.add(name)
        self._guarded.add(name)

    def watch(self, name: str, hook: Callable[[str | None], None]) -> None:
        """Call `hook` with each new value of `name`."""
        self.hooks[name] = hook
        self._guarded.add(name)

    def export_all(self, on: bool) -> None:
        """`set -a`."""
        self.guarded = _All() if on else self._guarded

    def environment(self) -> dict[str, str]:
        """What a program gets. The same dictionary until an exported variable changes: do not keep it."""
        if self._environment is None:
            values = self.values
            self._environment = self.foreign | {name: values[name] for name in self.exported if name in values}
            for name in self.exported & self.dynamic:
                self._environment[name] = self.get(name) or ""
            if self.scopes:
                self.hidden_exports(self._environment)
        return self._environment

    def is_handed_on(self, name: str) -> bool:
        """Whether programs get the function `name`."""
        return f"BASH_FUNC_{name}%%" in self.foreign

    def hand_on_function(self, name: str, body: str | None) -> None:
        """`export -f`: as bash, and a shell of ours, find it in the environment; None takes it out."""
        self.foreign.pop(f"BASH_FUNC_{name}%%", None)
        if body is not None:
            text = body if body.startswith("{") else f"{{ {body}\n}}"  # as it is looked for there
            self.foreign[f"BASH_FUNC_{name}%%"] = f"() {text}"
        self._environment = None
