"""Labels: words by which people find processes again. Pure."""

from __future__ import annotations

from aish.errors import InputError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Final

MOST: Final = 32
KEY_CHARS: Final = 63
VALUE_CHARS: Final = 256
_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")
KEY_HINT: Final = f"letters, digits and . _ / -, {KEY_CHARS} at most"


def check(labels: Mapping[str, str]) -> None:
    """Raises InputError unless a process may have these."""
    for each in flaws(labels):
        raise each


def flaws(labels: Mapping[str, str]) -> Iterator[InputError]:
    """Why a process may not have these."""
    if len(labels) > MOST:
        yield InputError(f"at most {MOST} labels", field="labels")
    for key, value in labels.items():
        if not 1 <= len(key) <= KEY_CHARS or not _LETTERS.issuperset(key):
            yield InputError(f"not a label's key: {key[:80]!r}", field="labels", hint=KEY_HINT)
        if len(value) > VALUE_CHARS or not value.isprintable():
            yield InputError(
                f"not a label's value: {key}={value[:80]!r}",
                field="labels",
                hint=f"printable characters, {VALUE_CHARS} at most",
            )


def matches(labels: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    """Whether all of `wanted` is among `labels`; a value of None: whatever it is."""
    return all(key in labels and value in (None, labels[key]) for key, value in wanted.items())


def parse(words: Iterable[str]) -> dict[str, str]:
    """Each KEY=VALUE. Raises UsageError."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"not a label: {word[:80]!r}", hint="write KEY=VALUE")
        found[key] = value
    _checked(found)
    return found


def parse_wanted(words: Iterable[str]) -> dict[str, str | None]:
    """Each KEY=VALUE, or KEY for whatever value. Raises UsageError."""
    found: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        found[key] = value if equals else None
    _checked({key: value or "" for key, value in found.items()})
    return found


def parse_changes(words: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """(set, unset): KEY=VALUE sets, KEY- takes away. Raises UsageError."""
    given, unset = [], []
    for word in words:
        if "=" not in word and word.endswith("-"):
            unset.append(word[:-1])
        else:
            given.append(word)
    _checked(dict.fromkeys(unset, ""))
    return parse(given), unset


def _checked(labels: Mapping[str, str]) -> None:
    try:
        check(labels)
    except InputError as error:
        raise UsageError(str(error), hint=error.hint) from None
