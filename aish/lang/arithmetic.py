"""Arithmetic expressions to closures: 64-bit signed integers and the operators of C.

A tokenizer, precedence climbing, and one closure per operator. A closure takes the Runtime and gives an int.
"""

from __future__ import annotations

from aish.errors import AishError
from aish.lang.arrays import Indexed
from aish.lang.text import quote_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Runtime

    from typing import Protocol

    from aish.lang.arrays import Array

    Number = Callable[[Runtime], int]
    Key = Callable[[Runtime, Array], int | str]
    Token = "str | int | Slot | Element"

    class Holes(Protocol):
        """The expansions in an expression, in order."""

        def slot(self, before: str, after: str) -> Slot:
            """The operand that the next expansion is. Raises ExpressionError where it may be more than one."""

        def key(self, subscript: str) -> Key:
            """The key of a subscript with expansions in it."""

MAX_DEPTH = 100
_LOWEST = -(1 << 63)
_HIGHEST = (1 << 63) - 1
_SPACE = frozenset(" \t\n\r")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
_OPERATORS = (
    "<<=", ">>=", "**=", "++", "--", "**", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=",
    "%=", "&=", "^=", "|=", "+", "-", "*", "/", "%", "<", ">", "=", "!", "~", "&", "|", "^", "?", ":", ",", "(", ")",
)  # fmt: skip
_PRECEDENCE = {
    ",": 1, "=": 2, "?": 3, "||": 4, "&&": 5, "|": 6, "^": 7, "&": 8, "==": 9, "!=": 9, "<": 10, "<=": 10,
    ">": 10, ">=": 10, "<<": 11, ">>": 11, "+": 12, "-": 12, "*": 13, "/": 13, "%": 13, "**": 14,
}  # fmt: skip
_UNARY = 15
_ASSIGNING = frozenset(op for op in _OPERATORS if op[-1] == "=" and op not in ("<=", ">=", "==", "!=", "="))


class ExpressionError(AishError):
    """The text is no expression, or has no value. The caller knows the place."""


def wrap(value: int) -> int:
    """`value` as a 64-bit signed integer, as C would have it."""
    if _LOWEST <= value <= _HIGHEST:
        return value
    return (value - _LOWEST) % (1 << 64) + _LOWEST


def constant(text: str) -> int | None:
    """The value of a number: decimal, 0octal, 0xhex, base#digits; None where `text` is not one."""
    if text.isdecimal() and text.isascii():
        if text[0] != "0" or text == "0":
            return wrap(int(text))
        try:
            return wrap(int(text, 8))
        except ValueError:
            return None
    if text[:2] in ("0x", "0X"):
        digits, base = text[2:], 16
    else:
        prefix, hash_, digits = text.partition("#")
        if not hash_ or not prefix.isdecimal() or not 2 <= int(prefix) <= 64:
            return None
        base = int(prefix)
    return _digits(digits, base)


def _digits(digits: str, base: int) -> int | None:
    if not digits:
        return None
    value = 0
    for char in digits:
        if "0" <= char <= "9":
            digit = ord(char) - 48
        elif "a" <= char <= "z":
            digit = ord(char) - 87
        elif "A" <= char <= "Z":
            digit = ord(char) - (55 if base <= 36 else 29)
        else:
            digit = {"@": 62, "_": 63}.get(char, 99)
        if digit >= base:
            return None
        value = value * base + digit
    return wrap(value)


def tokens(text: str, holes: Holes | None = None) -> list[Token]:
    """Operators and names as str, numbers as int. A NUL in the text stands for an expansion, which `holes` knows."""
    found: list[Token] = []
    pos, size = 0, len(text)
    while pos < size:
        char = text[pos]
        if char in _SPACE:
            pos += 1
        elif char in _NAME:
            end = pos
            while end < size and (text[end] in _NAME or (text[end] in "#@" and "0" <= char <= "9")):
                end += 1
            word = text[pos:end]
            pos = end
            if "0" <= char <= "9":
                value = constant(word)
                if value is None:
                    raise ExpressionError(f"'{word}' is not a number")
                found.append(value)
            elif text[pos : pos + 1] == "[":
                end = _bracket_end(text, pos)
                subscript = text[pos + 1 : end - 1]
                key = holes.key(subscript) if holes is not None and "\0" in subscript else _key(subscript)
                found.append(Element(word, subscript, key))
                pos = end
            else:
                found.append(word)
        elif char == "\0" and holes is not None:
            found.append(holes.slot(text[pos - 1 : pos], text[pos + 1 : pos + 2]))
            pos += 1
        else:
            for op in _OPERATORS:
                if text.startswith(op, pos):
                    break
            else:
                raise ExpressionError(f"'{char}' does not belong into arithmetic")
            found.append(op)
            pos += len(op)
    return found


def _bracket_end(text: str, pos: int) -> int:
    """The place behind the bracket that closes the one at `pos`."""
    begin, level, size = pos, 0, len(text)
    while pos < size:
        char = text[pos]
        if char == "\\":
            pos += 1
        elif char in "'\"":
            pos = quote_end(text, pos)
        elif char == "[":
            level += 1
            if level > MAX_DEPTH:
                raise ExpressionError(f"nested more than {MAX_DEPTH} levels deep")
        elif char == "]":
            level -= 1
            if not level:
                return pos + 1
        pos += 1
    raise ExpressionError(f"the bracket of '{text[begin : begin + 20]}' is not closed")


class Slot:
    """An operand that an expansion fills in before the expression is evaluated."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Element:
    """name[subscript] in an expression."""

    __slots__ = ("key", "name", "subscript")

    def __init__(self, name: str, subscript: str, key: Key) -> None:
        self.name = name
        self.subscript = subscript
        self.key = key

    def find(self, rt: Runtime) -> tuple[str, Array, int | str]:
        """(the array's name, the array, the key); an empty array where there is none."""
        name = self.name
        array = rt.vars.arrays.get(name)
        if array is None:
            if name in rt.vars.references:
                from aish.lang.subscripts import resolve

                name = resolve(rt, name)[0]
            array = rt.vars.array(name) or Indexed()
        key = self.key(rt, array)
        return name, array, array.place(key) if type(key) is int and key < 0 else key  # type: ignore[union-attr]

    def read(self, rt: Runtime) -> int:
        _, array, key = self.find(rt)
        return self.number(rt, array, key)

    def number(self, rt: Runtime, array: Array, key: int | str) -> int:
        value = array.items.get(key)  # type: ignore[call-overload]
        return 0 if value is None else value_of(rt, value)

    def store(self, rt: Runtime, name: str, key: int | str, value: int) -> None:
        if key == "":
            raise ExpressionError(f"{self.name}[]: a subscript expected")
        rt.vars.set_element(name, key, str(value))


def _key(subscript: str) -> Key:
    """The key of a subscript that is all text."""
    number = constant(subscript)
    if number is not None:
        value = number
        return lambda rt, array: subscript if array.associative else value

    expression = plain(subscript)

    def key(rt: Runtime, array: Array) -> int | str:
        if expression is not None and not array.associative:
            return expression(rt)
        from aish.lang import subscripts

        return subscripts.key_of(rt, array, subscript)

    return key


def plain(text: str) -> Number | None:
    """The closure for text without quotes and expansions; None where it has some, or is no expression."""
    if any(char in text for char in "$`'\"\\"):
        return None
    try:
        return compiled(text)
    except ExpressionError:
        return None


def compile_tokens(stream: list[Token]) -> Number:
    """The closure for a whole expression. Raises ExpressionError."""
    if not stream:
        return lambda rt: 0
    climber = _Climber(stream)
    number = climber.expression(0)
    if climber.pos < len(stream):
        raise ExpressionError(f"an operator expected at '{stream[climber.pos]}'")
    return number


class _Climber:
    """Precedence climbing over a list of tokens."""

    def __init__(self, stream: list[Token]) -> None:
        self.stream = stream
        self.pos = 0
        self.depth = 0

    def peek(self) -> Token | None:
        return self.stream[self.pos] if self.pos < len(self.stream) else None

    def expression(self, least: int) -> Number:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"nested more than {MAX_DEPTH} levels deep")
        name = self.peek()
        left = self.operand()
        while True:
            op = self.peek()
            if not isinstance(op, str):
                break
            if op in ("++", "--"):  # not behind a variable: two signs
                self.stream[self.pos : self.pos + 1] = [op[0], op[0]]
                continue
            if least <= 2 and (op == "=" or op in _ASSIGNING):
                if not _is_place(name) or self.stream[self.pos - 1] is not name:
                    raise ExpressionError("only a variable can be assigned to")
                self.pos += 1
                value = self.expression(2)
                if isinstance(name, Element):
                    left = _assign_element(name, op[:-1], value)
                else:
                    left = _assign(str(name), op[:-1], left, value)
                continue
            level = _PRECEDENCE.get(op, 0)
            if level < least or not level:
                break
            self.pos += 1
            if op == "?":
                left = self.conditional(left)
            else:
                left = _binary(op, left, self.expression(level if op == "**" else level + 1))
        self.depth -= 1
        return left

    def conditional(self, test: Number) -> Number:
        yes = self.expression(1)
        if self.peek() != ":":
            raise ExpressionError("':' expected")
        self.pos += 1
        no = self.expression(3)
        return lambda rt: yes(rt) if test(rt) else no(rt)

    def operand(self) -> Number:
        token = self.peek()
        self.pos += 1
        if isinstance(token, int):
            number = token
            return lambda rt: number
        if isinstance(token, Slot):
            slot = token
            return lambda rt: slot.value
        if isinstance(token, Element):
            return self.stepped(token) or token.read
        if token is None:
            raise ExpressionError("an operand expected at the end")
        if token[0] in _NAME:
            return self.stepped(token) or _read(token)
        if token == "(":  # noqa: S105 -- not that kind of token
            inner = self.expression(0)
            if self.peek() != ")":
                raise ExpressionError("')' expected")
            self.pos += 1
            return inner
        if token in ("++", "--"):
            return self.before(token)
        if token in ("+", "-", "!", "~"):
            return _unary(token, self.expression(_UNARY))
        raise ExpressionError(f"an operand expected at '{token}'")

    def stepped(self, place: str | Element) -> Number | None:
        """place++ and place--; None where neither follows."""
        after = self.peek()
        if after not in ("++", "--"):
            return None
        self.pos += 1
        return _step(place, 1 if after == "++" else -1, old=True)

    def before(self, token: str) -> Number:
        """++place and --place; before anything else two signs."""
        place = self.peek()
        if isinstance(place, Element) or (isinstance(place, str) and place[0] in _NAME):
            self.pos += 1
            return _step(place, 1 if token == "++" else -1, old=False)  # noqa: S105
        return self.expression(_UNARY)


def _is_place(token: Token | None) -> bool:
    return isinstance(token, Element) or (isinstance(token, str) and token[0] in _NAME)


def _step(place: str | Element, step: int, *, old: bool) -> Number:
    """A closure that adds `step`, and gives the value from before or from after."""
    if isinstance(place, Element):
        element = place

        def step_element(rt: Runtime) -> int:
            name, array, key = element.find(rt)
            value = element.number(rt, array, key)
            changed = wrap(value + step)
            element.store(rt, name, key, changed)
            return value if old else changed

        return step_element
    name = place
    read = _read(name)

    def step_variable(rt: Runtime) -> int:
        value = read(rt)
        changed = wrap(value + step)
        if name in rt.vars.guarded:
            rt.vars.set(name, str(changed))
        else:
            rt.values[name] = str(changed)
        return value if old else changed

    return step_variable


def _read(name: str) -> Number:
    """A variable's value as a number; an expression in it is evaluated."""

    def read(rt: Runtime) -> int:
        value = rt.values.get(name)
        if value is None:
            value = rt.absent(name, None)
        if value.isdecimal() and value.isascii() and (value[0] != "0" or value == "0") and len(value) < 19:
            return int(value)
        return value_of(rt, value)

    return read


def value_of(rt: Runtime, text: str) -> int:
    """The number that a variable's text stands for."""
    stripped = text.strip(" \t\n")
    if not stripped:
        return 0
    if stripped[0] == "-" and stripped[1:].isdecimal() and stripped[1] != "0":
        return wrap(int(stripped))
    rt.arithmetic_depth += 1
    try:
        if rt.arithmetic_depth > MAX_DEPTH:
            raise ExpressionError(f"'{text}' refers to itself, or {MAX_DEPTH} levels deep")
        return compiled(stripped)(rt)
    finally:
        rt.arithmetic_depth -= 1


_cache: dict[str, Number] = {}
_CACHE_SIZE = 1000


def compiled(text: str) -> Number:
    """The closure for an expression's text, from a cache. Raises ExpressionError."""
    number = _cache.get(text)
    if number is None:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        number = _cache[text] = compile_tokens([*tokens(text)])
    return number


def _assign(name: str, op: str, current: Number, value: Number) -> Number:
    if op:
        value = _binary(op, current, value)

    def assign(rt: Runtime) -> int:
        result = value(rt)
        if name in rt.vars.guarded:
            rt.vars.set(name, str(result))
        else:
            rt.values[name] = str(result)
        return result

    return assign


def _assign_element(element: Element, op: str, value: Number) -> Number:
    current = Slot()
    if op:
        value = _binary(op, lambda rt: current.value, value)

    def assign(rt: Runtime) -> int:
        name, array, key = element.find(rt)
        if op:
            current.value = element.number(rt, array, key)
        result = value(rt)
        element.store(rt, name, key, result)
        return result

    return assign


def _unary(op: str, inner: Number) -> Number:
    if op == "+":
        return inner
    if op == "-":
        return lambda rt: wrap(-inner(rt))
    if op == "!":
        return lambda rt: 0 if inner(rt) else 1
    return lambda rt: ~inner(rt)


def _binary(op: str, a: Number, b: Number) -> Number:
    match op:
        case "+":
            return _wrapping(lambda rt: a(rt) + b(rt))
        case "-":
            return _wrapping(lambda rt: a(rt) - b(rt))
        case "*":
            return _wrapping(lambda rt: a(rt) * b(rt))
        case "/" | "%":
            return _division(op, a, b)
        case "**":
            return lambda rt: _power(a(rt), b(rt))
        case "<<":
            return _wrapping(lambda rt: a(rt) << (b(rt) & 63))
        case ">>":
            return lambda rt: a(rt) >> (b(rt) & 63)
        case "&":
            return lambda rt: a(rt) & b(rt)
        case "|":
            return lambda rt: a(rt) | b(rt)
        case "^":
            return lambda rt: a(rt) ^ b(rt)
        case "&&":
            return lambda rt: 1 if a(rt) and b(rt) else 0
        case "||":
            return lambda rt: 1 if a(rt) or b(rt) else 0
        case ",":
            return lambda rt: (a(rt), b(rt))[1]
        case _:
            return _comparison(op, a, b)


def _comparison(op: str, a: Number, b: Number) -> Number:
    match op:
        case "==":
            return lambda rt: 1 if a(rt) == b(rt) else 0
        case "!=":
            return lambda rt: 1 if a(rt) != b(rt) else 0
        case "<":
            return lambda rt: 1 if a(rt) < b(rt) else 0
        case "<=":
            return lambda rt: 1 if a(rt) <= b(rt) else 0
        case ">":
            return lambda rt: 1 if a(rt) > b(rt) else 0
        case ">=":
            return lambda rt: 1 if a(rt) >= b(rt) else 0
        case _:
            raise ExpressionError(f"an operator expected at '{op}'")


def _wrapping(compute: Number) -> Number:
    def run(rt: Runtime) -> int:
        value = compute(rt)
        return value if _LOWEST <= value <= _HIGHEST else wrap(value)

    return run


def _division(op: str, a: Number, b: Number) -> Number:
    """Towards zero, as in C."""

    def run(rt: Runtime) -> int:
        left, right = a(rt), b(rt)
        if right == 0:
            raise ExpressionError("division by zero")
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient
        return wrap(quotient) if op == "/" else left - quotient * right

    return run


def _power(base: int, exponent: int) -> int:
    if exponent < 0:
        raise ExpressionError("a negative exponent")
    return wrap(pow(base, exponent, 1 << 64))
