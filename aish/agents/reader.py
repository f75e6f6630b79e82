"""Typed access to the head of an agent file: each value checked, each error with its place. Pure."""

from __future__ import annotations

from aish.agents.agent import INPUT_MARK
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.model.size import parse_count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeVar

    T = TypeVar("T")

    from aish.agents.front_matter import Field, Page
    from aish.errors import SourceError

TEXT_MAX: Final = 16 << 10
TOKENS_MAX: Final = 10**15


class Reader:
    """Typed access to one table of a head; `prefix` is how its keys are called in errors ("limits.")."""

    def __init__(self, page: Page, fields: dict[str, Field], prefix: str) -> None:
        self.page = page
        self.fields = fields
        self.prefix = prefix

    def error(self, key: str, message: str, hint: str | None = None) -> SourceError:
        field = self.fields.get(key)
        return self.page.error(f"{self.prefix}{key}: {message}", field.line if field else None, hint)

    def known(self, keys: tuple[str, ...]) -> None:
        for key in self.fields:
            if key not in keys:
                near = nearest(key, keys)
                hint = f"did you mean {near}?" if near else "known here: " + ", ".join(keys)
                raise self.error(key, "unknown key", hint)

    def table(self, key: str) -> Reader:
        value = self._value(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(key, "expected a table", "put its keys on lines of their own, indented by two spaces")
        return Reader(self.page, value or {}, f"{self.prefix}{key}.")

    def text(self, key: str, default: str, *, length_max: int) -> str:
        value = self._value(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(key, f"expected a text, found {_kind(value)}", "put it in quotes")
        if not value.strip() or len(value) > length_max:
            raise self.error(key, "is empty" if not value.strip() else f"is longer than {length_max} characters")
        if length_max <= 1000 and not value.isprintable():
            raise self.error(key, "expected one line of printable text")
        return value

    def template(self, key: str) -> str | None:
        if key not in self.fields:
            return None
        value = self.text(key, "", length_max=TEXT_MAX).strip()
        if value.count(INPUT_MARK) != 1:
            raise self.error(key, f"needs {INPUT_MARK} exactly once", f"{INPUT_MARK} is where the text goes")
        return value

    def texts(self, key: str, count_max: int) -> tuple[str, ...]:
        value = self._value(key)
        if value is None:
            return ()
        items = [field.value for field in value] if isinstance(value, list) else [value]
        texts = tuple(item for item in items if isinstance(item, str) and 0 < len(item) <= 200)
        if len(texts) != len(items) or not 0 < len(texts) <= count_max:
            hint = 'such as "END" or ["END", "\\n\\n"]'
            raise self.error(key, f"expected a text, or a list of 1 to {count_max} texts", hint)
        return texts

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(key, default, length_max=100)
        if value not in choices:
            near = nearest(value, choices)
            hint = f"did you mean {near}?" if near else None
            raise self.error(key, f"expected {' or '.join(choices)}, found {value!r}", hint)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._value(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, f"expected true or false, found {_kind(value)}")
        return default if value is None else value

    def count(self, key: str) -> int | None:
        value = self._value(key)
        if isinstance(value, str):
            value = self.parsed(key, parse_count, value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= TOKENS_MAX:
            raise self.error(key, "expected a count above 0", "such as 200k or 5000")
        return value

    def parsed(self, key: str, parse: Callable[[str], T], text: str) -> T:
        """What `parse`, which raises UsageError, makes of the text of a key."""
        try:
            return parse(text)
        except UsageError as error:
            raise self.error(key, error.message, error.hint) from error

    def whole(self, key: str, least: int, most: int) -> int | None:
        value = self._value(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(key, f"expected a whole number from {least} to {most}")
        return value

    def number(self, key: str, least: float, most: float) -> float | None:
        value = self._value(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise self.error(key, f"expected a number from {least:g} to {most:g}")
        return float(value)

    def _value(self, key: str) -> str | int | float | list[Field] | dict[str, Field] | None:
        """The value of a key that may be absent; a key that is there without a value is a mistake."""
        field = self.fields.get(key)
        if field is None:
            return None
        if field.value is None:
            raise self.error(key, "has no value", "give it one or drop the line")
        return field.value


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"  # yes, no, on and off too: YAML 1.1
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "a table"
