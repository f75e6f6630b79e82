"""Arithmetic expressions to closures: 64-bit signed integers and the operators of C.

Precedence climbing over lexemes, and one closure per operator. A closure takes the Runtime and gives an int.
"""

from __future__ import annotations

from aish.lang.arithmetic_tokens import (
    HIGHEST,
    LOWEST,
    MAX_DEPTH,
    NAME,
    OPERATORS,
    ExpressionError,
    Slot,
    Subscripted,
    constant,
    decimal,
    known,
    tokens,
    wrap,
    wrapped,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.arithmetic_tokens import Key, Lexeme
    from aish.lang.arrays import Array
    from aish.lang.runtime import Runtime

    Number = Callable[[Runtime], int]

_PRECEDENCE = {
    ",": 1, "=": 2, "?": 3, "||": 4, "&&": 5, "|": 6, "^": 7, "&": 8, "==": 9, "!=": 9, "<": 10, "<=": 10,
    ">": 10, ">=": 10, "<<": 11, ">>": 11, "+": 12, "-": 12, "*": 13, "/": 13, "%": 13, "**": 14,
}  # fmt: skip
_UNARY = 15
_ASSIGNING = frozenset(op for op in OPERATORS if op[-1] == "=" and op not in ("<=", ">=", "==", "!=", "="))


class Element:
    """name[subscript] in an expression."""

    __slots__ = ("key", "name", "subscript")

    def __init__(self, lexeme: Subscripted) -> None:
        self.name = lexeme.name
        self.subscript = lexeme.subscript
        self.key = lexeme.key or _key(lexeme.subscript)

    def find(self, rt: Runtime) -> tuple[str, Array, int | str]:
        """(the array's name, the array, the key); an empty array where there is none."""
        name = self.name
        array = rt.vars.arrays.get(name)
        if array is None:
            if name in rt.vars.references:
                from aish.lang.subscripts import resolve

                name = resolve(rt, name)[0]
            array = rt.vars.array(name)
        if array is None:
            from aish.lang.arrays import Indexed

            array = Indexed()
        key = self.key(rt, array)
        return name, array, array.place(key) if type(key) is int and key < 0 else key

    def read(self, rt: Runtime) -> int:
        _, array, key = self.find(rt)
        return self.number(rt, array, key)

    def number(self, rt: Runtime, array: Array, key: int | str) -> int:
        value = array.items.get(key)
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
            try:
                return expression(rt)
            except ExpressionError as error:
                raise rt.subscript_error(subscript, error.message) from None
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


def compile_tokens(stream: list[Lexeme]) -> Number:
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

    def __init__(self, stream: list[Lexeme]) -> None:
        self.stream = [Element(lexeme) if isinstance(lexeme, Subscripted) else lexeme for lexeme in stream]
        self.pos = 0
        self.depth = 0

    def peek(self) -> str | int | Slot | Element | None:
        return self.stream[self.pos] if self.pos < len(self.stream) else None

    def expression(self, least: int) -> Number:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"nested more than {MAX_DEPTH} levels deep")
        name, begin = self.peek(), self.pos
        left = self.operand()
        while True:
            op = self.peek()
            if not isinstance(op, str):
                break
            if op in ("++", "--"):  # not behind a variable: two signs
                if _is_place(self.stream[self.pos + 1] if self.pos + 1 < len(self.stream) else None):
                    raise ExpressionError(f"an operator expected at '{op}'")
                self.stream[self.pos : self.pos + 1] = [op[0], op[0]]
                continue
            if least <= 2 and (op == "=" or op in _ASSIGNING):
                if not _is_place(name) or self.pos != begin + 1:
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
        if token[0] in NAME:
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
        if isinstance(place, Element) or (isinstance(place, str) and place[0] in NAME):
            self.pos += 1
            return _step(place, 1 if token == "++" else -1, old=False)  # noqa: S105
        return self.expression(_UNARY)


def _is_place(token: str | int | Slot | Element | None) -> bool:
    return isinstance(token, Element) or (isinstance(token, str) and token[0] in NAME)


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
        number = known.get(value)
        if number is None:
            number = decimal(value)
        return value_of(rt, value) if number is None else number

    return read


def value_of(rt: Runtime, text: str) -> int:
    """The number that a variable's text stands for."""
    stripped = text.strip(" \t\n")
    if not stripped:
        return 0
    if stripped[0] == "-" and stripped[1:].isdecimal() and stripped[1] != "0":
        return wrap(-wrapped(stripped[1:]))
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
            return _sum(a, b)
        case "-":
            return _difference(a, b)
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


def _sum(a: Number, b: Number) -> Number:
    """Like `_wrapping`, with a call less: what loops do most."""

    def run(rt: Runtime) -> int:
        value = a(rt) + b(rt)
        return value if LOWEST <= value <= HIGHEST else wrap(value)

    return run


def _difference(a: Number, b: Number) -> Number:
    def run(rt: Runtime) -> int:
        value = a(rt) - b(rt)
        return value if LOWEST <= value <= HIGHEST else wrap(value)

    return run


def _wrapping(compute: Number) -> Number:
    def run(rt: Runtime) -> int:
        value = compute(rt)
        return value if LOWEST <= value <= HIGHEST else wrap(value)

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
