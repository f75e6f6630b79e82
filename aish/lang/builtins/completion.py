"""complete compgen compopt: what completion scripts say about commands, kept for the prompt."""

from __future__ import annotations

from aish.lang.builtins.letters import usage
from aish.lang.control import CommandError
from aish.lang.text import quote, single_quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

OPTIONS = frozenset(
    ["bashdefault", "default", "dirnames", "filenames", "noquote", "nosort", "nospace", "plusdirs"]
)  # fmt: skip
_ACTION_LETTERS = {
    "a": "alias", "b": "builtin", "c": "command", "d": "directory", "e": "export", "f": "file", "g": "group",
    "j": "job", "k": "keyword", "s": "service", "u": "user", "v": "variable",
}  # fmt: skip
ACTIONS = (
    "alias", "arrayvar", "binding", "builtin", "command", "directory", "disabled", "enabled", "export", "file",
    "function", "group", "helptopic", "hostname", "job", "keyword", "running", "service", "setopt", "shopt",
    "signal", "stopped", "user", "variable",
)  # fmt: skip
_VALUES = "GWPSXCF"
_BUCKETS = 512
_SPECIAL_NAMES = {"D": "-D", "E": "-E", "I": "-I"}


class Spec:
    """How the arguments of a command are completed. `values` are those of -G -W -P -S -X -C -F."""

    def __init__(self) -> None:
        self.options: set[str] = set()
        self.actions: list[str] = []
        self.values: dict[str, str] = {}

    def shown(self, name: str) -> str:
        """The command that makes it."""
        words = ["complete", *[f"-o {option}" for option in sorted(self.options)]]
        letters = {action: letter for letter, action in _ACTION_LETTERS.items()}
        words += [f"-{letters[action]}" for action in self.actions if action in letters]
        words += [f"-A {action}" for action in self.actions if action not in letters]
        for letter in _VALUES:
            if letter in self.values:
                value = self.values[letter]
                words.append(f"-{letter} {quote(value)}" if letter == "F" else f"-{letter} {single_quoted(value)}")
        return " ".join([*words, name or "''"])


def _parse(argv: list[str], others: str) -> tuple[Spec, set[str], list[str]]:
    """(the specification, the letters of `others` given, the operands). Raises CommandError."""
    spec = Spec()
    flags: set[str] = set()
    at = 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] == "-":
        word = argv[at]
        at += 1
        if word == "--":
            break
        pos = 1
        while pos < len(word):
            letter = word[pos]
            pos += 1
            if letter in _ACTION_LETTERS:
                _add_action(spec, _ACTION_LETTERS[letter])
            elif letter in others:
                flags.add(letter)
            elif letter in _VALUES + "oA":
                if pos < len(word):
                    value = word[pos:]
                elif at < len(argv):
                    value = argv[at]
                    at += 1
                else:
                    raise CommandError(f"-{letter}: its argument is missing", status=2)
                _add_value(spec, letter, value)
                break
            else:
                raise usage("-" + letter, "".join(_ACTION_LETTERS) + others + _VALUES + "oA")
    return spec, flags, argv[at:]


def _add_action(spec: Spec, action: str) -> None:
    if action not in spec.actions:
        spec.actions.append(action)


def _add_value(spec: Spec, letter: str, value: str) -> None:
    if letter == "o":
        if value not in OPTIONS:
            raise CommandError(f"{value}: no such option", status=2, hint=" ".join(sorted(OPTIONS)))
        spec.options.add(value)
    elif letter == "A":
        if value not in ACTIONS:
            raise CommandError(f"{value}: no such action", status=2, hint=" ".join(ACTIONS))
        _add_action(spec, value)
    else:
        spec.values[letter] = value


def complete(rt: Runtime, argv: list[str]) -> int:
    """complete [-abcdefgjksuv] [-prDEI] [-o option] [-A action] [-GWPSXCF value] [name ...]: completed arguments."""
    spec, flags, names = _parse(argv, "prDEI")
    names += [shown for letter, shown in _SPECIAL_NAMES.items() if letter in flags]
    known = rt.completions
    if "r" in flags:
        if not names:
            known.clear()
            return 0
        return _each(rt, names, lambda name: known.pop(name, None) is not None)
    if "p" in flags or (not names and len(argv) == 1):

        def show(name: str) -> bool:
            if name in known:
                rt.write(known[name].shown(name) + "\n")
            return name in known

        return _each(rt, names or _listed(known), show)
    if not names:
        raise CommandError("the names of commands expected", status=2)
    for name in names:
        known[name] = spec
    return 0


def _each(rt: Runtime, names: list[str], do: Callable[[str], bool]) -> int:
    status = 0
    for name in names:
        if not do(name):
            rt.complain(f"complete: {name}: nothing is known of its completion")
            status = 1
    return status


def _listed(known: dict[str, Spec]) -> list[str]:
    """In the order of bash, whose table has the special ones under names of their own."""
    from aish.lang.arrays import in_order

    theirs = {"-D": "_DefaultCmD_", "-E": "_EmptycmD_", "-I": "_InitialWorD_"}
    keys = {theirs.get(name, name): name for name in known}
    return [keys[key] for key in in_order(keys, _BUCKETS)]


def compopt(rt: Runtime, argv: list[str]) -> int:
    """compopt [-o|+o option] [-DEI] [name ...]: change options of a completion."""
    changes: list[tuple[str, bool]] = []
    names: list[str] = []
    at = 1
    while at < len(argv):
        word = argv[at]
        at += 1
        if word in ("-o", "+o"):
            if at >= len(argv) or argv[at] not in OPTIONS:
                raise CommandError(f"{word}: an option expected", status=2, hint=" ".join(sorted(OPTIONS)))
            changes.append((argv[at], word == "-o"))
            at += 1
        elif word in _SPECIAL_NAMES.values():
            names.append(word)
        elif word[:1] == "-" and word != "--":
            raise usage(word, "oDEI")
        elif word != "--":
            names.append(word)
    if not names:
        if rt.completing is None:
            raise CommandError("no completion is under way")
        names, known = [""], {"": rt.completing}
    else:
        known = rt.completions
    status = 0
    for name in names:
        if name not in known:
            rt.complain(f"compopt: {name}: nothing is known of its completion")
            status = 1
            continue
        if not changes:
            shown = [f"{'-' if option in known[name].options else '+'}o {option}" for option in sorted(OPTIONS)]
            rt.write(" ".join(["compopt", *shown, *filter(None, [name])]) + "\n")
        for option, on in changes:
            (known[name].options.add if on else known[name].options.discard)(option)
    return status


def compgen(rt: Runtime, argv: list[str]) -> int:
    """compgen [-abcdefgjksuv] [-o option] [-A action] [-GWPSXCF value] [word]: the completions of a word."""
    from aish.lang.builtins.candidates import candidates

    spec, _, operands = _parse(argv, "")
    found = candidates(rt, spec, operands[0] if operands else "")
    rt.write("".join([item + "\n" for item in found]))
    return 0 if found or not (spec.actions or spec.values or spec.options) else 1


if TYPE_CHECKING:
    from collections.abc import Callable

TABLE: dict[str, Builtin] = {"complete": complete, "compgen": compgen, "compopt": compopt}
