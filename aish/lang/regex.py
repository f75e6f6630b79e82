"""POSIX extended regular expressions ([[ x =~ y ]]): parsed here, matched by Python's `re`, which is imported on
first use only, or by an automaton.

Python's engine tries one way after the other, which takes for ever for an expression such as (a*)*b; one that repeats
what has alternatives or repetitions in it goes to the automaton. POSIX wants the longest of the matches at the
leftmost place: with alternatives, the automaton finds that, too.
"""

from __future__ import annotations

from aish.lang.digits import saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Matcher = Callable[[str], "list[str] | None"]

_SPECIAL = frozenset("\\.[]()*+?{}|^$")
_CLASSES = {
    "alpha": r"[^\W\d_]", "digit": "[0-9]", "alnum": r"[^\W_]", "space": r"\s", "blank": r"[ \t]",
    "upper": "[A-Z\xc0-\xd6\xd8-\xde]", "lower": "[a-z\xdf-\xf6\xf8-\xff]", "xdigit": "[0-9A-Fa-f]",
    "punct": r"[!-/:-@\[-`{-~]", "cntrl": r"[\x00-\x1f\x7f]", "print": r"[^\x00-\x1f\x7f\udc80-\udcff]",
    "graph": r"[^\x00-\x20\x7f\udc80-\udcff]",
}  # fmt: skip
_PLACES = {"<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z", "b": r"\b", "B": r"\B"}
"""What glibc knows behind a backslash, besides classes."""

_MOST_REPEATS = 0x7FFF
_MOST_DEPTH = 200


class RegexError(ValueError):
    """The text is no regular expression."""


def escape(text: str) -> str:
    """An expression that matches `text` alone: what was quoted."""
    if _SPECIAL.isdisjoint(text):
        return text
    return "".join(["\\" + char if char in _SPECIAL else char for char in text])


def joined(pieces: list[tuple[str, bool]]) -> str:
    """The expression that (text, whether it was quoted) make. Between [ and ] nothing needs an escape."""
    found = ""
    for text, quoted in pieces:
        found += escape(text) if quoted and not _in_bracket(found) else text
    return found


def _in_bracket(expression: str) -> bool:
    """Whether `expression` ends inside [..]."""
    pos, size = 0, len(expression)
    while pos < size:
        if expression[pos] == "\\":
            pos += 2
            continue
        if expression[pos] == "[":
            begin = pos + 1 + expression.startswith("^", pos + 1)
            pos = expression.find("]", begin + 1)
            if pos < 0:
                return True
        pos += 1
    return False


_cache: dict[tuple[str, bool], Matcher] = {}
_CACHE_SIZE = 500


def search(expression: str, text: str, *, fold: bool = False) -> list[str] | None:
    """What matched, and what each group matched; None where nothing does. `fold`: in any case of letters. Raises
    RegexError."""
    found = _cache.get((expression, fold))
    if found is None:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        found = _cache[expression, fold] = _compiled(expression, fold)
    return found(text)


def _compiled(expression: str, fold: bool) -> Matcher:
    import re

    parser = Parser(expression)
    tree = parser.whole()
    if parser.needs_automaton and not parser.refers_back:
        from aish.lang.automaton import Automaton

        return Automaton(tree, parser.groups, fold=fold).search
    try:
        pattern = re.compile(tree.python(), re.DOTALL | (re.IGNORECASE if fold else 0))
    except (re.error, OverflowError, RecursionError) as error:
        raise RegexError(str(error)) from None

    def match(text: str) -> list[str] | None:
        found = pattern.search(text)
        return None if found is None else [found.group(), *[group or "" for group in found.groups()]]

    return match


class One:
    """One character, or a place between two (`consumes` is False), as an expression of Python's."""

    __slots__ = ("consumes", "text")

    def __init__(self, text: str, *, consumes: bool = True) -> None:
        self.text = text
        self.consumes = consumes

    def python(self) -> str:
        return self.text


class Group:
    """( ), with its number."""

    __slots__ = ("inner", "number")

    def __init__(self, number: int, inner: Tree) -> None:
        self.number = number
        self.inner = inner

    def python(self) -> str:
        return f"({self.inner.python()})"


class Chain:
    """One after the other."""

    __slots__ = ("items",)

    def __init__(self, items: list[Tree]) -> None:
        self.items = items

    def python(self) -> str:
        return "".join([item.python() for item in self.items])


class Choice:
    """One or the other."""

    __slots__ = ("items",)

    def __init__(self, items: list[Tree]) -> None:
        self.items = items

    def python(self) -> str:
        return "|".join([item.python() for item in self.items])


class Repeat:
    """`low` to `high` times; None: without end."""

    __slots__ = ("high", "inner", "low")

    def __init__(self, inner: Tree, low: int, high: int | None) -> None:
        self.inner = inner
        self.low = low
        self.high = high

    def python(self) -> str:
        return f"(?:{self.inner.python()}){{{self.low},{'' if self.high is None else self.high}}}"


if TYPE_CHECKING:
    Tree = One | Group | Chain | Choice | Repeat


class Parser:
    """Recursive descent over the expression."""

    def __init__(self, expression: str) -> None:
        self.text = expression
        self.pos = 0
        self.groups = 0
        self.needs_automaton = False
        self.refers_back = False

    def whole(self) -> Tree:
        tree = self.alternatives(0)
        if self.pos < len(self.text):
            raise RegexError("unmatched )")
        return tree

    def peek(self) -> str:
        return self.text[self.pos : self.pos + 1]

    def alternatives(self, depth: int) -> Tree:
        if depth > _MOST_DEPTH:
            raise RegexError(f"nested more than {_MOST_DEPTH} levels deep")
        branches = [self.branch(depth)]
        while self.peek() == "|":
            self.pos += 1
            branches.append(self.branch(depth))
        if len(branches) == 1:
            return branches[0]
        self.needs_automaton = True
        return Choice(branches)

    def branch(self, depth: int) -> Tree:
        found: list[Tree] = []
        begins = True
        while True:
            char = self.peek()
            if begins and char in ("*", "+", "?", "{"):
                raise RegexError(f"nothing in front of {char} to be repeated")
            if not char or char == "|" or (char == ")" and depth):
                return found[0] if len(found) == 1 else Chain(found)
            atom = self.atom(depth)
            begins = isinstance(atom, One) and not atom.consumes  # a place cannot be repeated
            found.append(atom if begins else self.repeated(atom))

    def atom(self, depth: int) -> Tree:
        char = self.peek()
        self.pos += 1
        match char:
            case "(":
                self.groups += 1
                number = self.groups
                inner = self.alternatives(depth + 1)
                if self.peek() != ")":
                    raise RegexError("unmatched (")
                self.pos += 1
                return Group(number, inner)
            case "[":
                return One(self.bracket())
            case "$":
                return One(r"\Z", consumes=False)
            case "^":
                return One(r"\A", consumes=False)
            case ".":
                return One(".")
            case "\\":
                return self.escaped()
            case _:
                return One(_literal(char))

    def escaped(self) -> Tree:
        char = self.peek()
        if not char:
            raise RegexError("a backslash at the end")
        self.pos += 1
        if "1" <= char <= "9":
            self.refers_back = True
            return One(f"(?:\\{char})")
        if char in _PLACES:
            return One(_PLACES[char], consumes=False)
        return One(f"\\{char}" if char in "wWsS" else _literal(char))

    def repeated(self, atom: Tree) -> Tree:
        """The atom with the * + ? {n,m} behind it, each of which repeats all before it."""
        simple = isinstance(atom, One)
        times = 0
        while True:
            char = self.peek()
            if char and char in "*+?":
                self.pos += 1
                low, high = int(char == "+"), 1 if char == "?" else None
            elif char == "{":
                low, high = self.interval()
            else:
                return atom
            self.needs_automaton = self.needs_automaton or not simple
            simple = False
            atom = Repeat(atom, low, high)
            times += 1
            if times > _MOST_DEPTH:
                raise RegexError("repeated too often")

    def interval(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.pos)
        if end < 0:
            raise RegexError("unmatched {")
        low, comma, high = self.text[self.pos + 1 : end].partition(",")
        self.pos = end + 1
        for bound in (low, high):
            if bound and not (bound.isdecimal() and bound.isascii() and saturated(bound) <= _MOST_REPEATS):
                raise RegexError("not a number of repetitions")
        if not comma:
            high = low
        if not low and not comma:
            raise RegexError("not a number of repetitions")
        least, most = saturated(low or "0"), saturated(high) if high else None
        if most is not None and least > most:
            raise RegexError(f"no number of repetitions is between {low} and {high}")
        return least, most

    def bracket(self) -> str:
        """[..]: classes become alternatives, since Python's sets have none."""
        negated = self.peek() == "^"
        self.pos += negated
        members: list[str] = []
        choices: list[str] = []
        first = True
        while True:
            char = self.peek()
            if not char:
                raise RegexError("unmatched [")
            if char == "]" and not first:
                self.pos += 1
                break
            first = False
            if char == "[" and self.text[self.pos + 1 : self.pos + 2] == ":":
                choices.append(self.character_class())
                continue
            low = self.member()
            if self.peek() == "-" and self.text[self.pos + 1 : self.pos + 2] not in ("]", ""):
                self.pos += 1
                high = self.member()
                if high < low:
                    raise RegexError(f"the range {low}-{high} is empty")
                members.append(f"{_member(low)}-{_member(high)}")
            else:
                members.append(_member(low))
        if members:
            choices.append(f"[{''.join(members)}]")
        either = choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})"
        return f"(?:(?!{either}).)" if negated else either

    def member(self) -> str:
        """A character, [.x.] or [=x=]."""
        char = self.peek()
        mark = self.text[self.pos + 1 : self.pos + 2]
        if char == "[" and mark in (".", "=") and mark:
            end = self.text.find(mark + "]", self.pos + 2)
            if end != self.pos + 3:
                raise RegexError("an unknown collating element")
            self.pos = end + 2
            return self.text[end - 1]
        self.pos += 1
        return char

    def character_class(self) -> str:
        end = self.text.find(":]", self.pos + 2)
        name = self.text[self.pos + 2 : end] if end >= 0 else ""
        if name not in _CLASSES:
            raise RegexError("an unknown character class")
        self.pos = end + 2
        return _CLASSES[name]


def _literal(char: str) -> str:
    return "\\" + char if char in _SPECIAL else char


def _member(char: str) -> str:
    return "\\" + char if char in "\\]^-[&~|" else char
