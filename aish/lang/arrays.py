"""Arrays: indexed ones are sparse, associative ones come in bash's order, on which scripts have come to rely."""

from __future__ import annotations

from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGEST = (1 << 63) - 1


class SubscriptError(CommandError):
    """No element can have this subscript."""


class Array:
    """What both kinds have. Keys are numbers, or text: what `Subscript` makes for the kind that it is given.

    `zero` is the key of the element that the name alone means. `top`: where an offset below 0 counts from.
    """

    __slots__ = ("items", "unset")

    associative: bool
    zero: int | str
    items: dict[Any, str]
    unset: bool
    top: int

    def place(self, key: Any) -> Any:
        """The key of an element that may be counted from behind. Raises SubscriptError."""
        return key

    def get(self, key: Any) -> str | None:
        """One element, None where there is none. Raises SubscriptError."""
        return self.items.get(self.place(key))

    def set(self, key: Any, value: str) -> None:
        raise NotImplementedError

    def remove(self, key: Any) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        """No elements, which is more than none yet."""
        raise NotImplementedError

    def next(self) -> int:
        """The subscript behind the last element. Raises SubscriptError."""
        raise NotImplementedError

    def keys(self) -> list[str]:
        raise NotImplementedError

    def values(self) -> list[str]:
        raise NotImplementedError

    def pairs(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def slice(self, offset: int, length: int | None) -> list[str]:
        """Up to `length` elements from `offset` on."""
        raise NotImplementedError

    def copy(self) -> Array:
        raise NotImplementedError


class Indexed(Array):
    """Elements by number. `items` is in order unless an element came in below the last one."""

    __slots__ = ("ordered", "top")
    associative = False
    zero = 0

    def __init__(self, values: list[str] | None = None) -> None:
        self.items = dict(enumerate(values or ()))
        self.top = len(self.items) - 1
        self.ordered = True
        self.unset = values is None
        """Declared, but never assigned to."""

    def place(self, key: Any) -> Any:
        """The subscript that a negative one counts to, from behind the last element. Raises SubscriptError."""
        if key >= 0:
            return key
        key += self.top + 1
        if key < 0:
            raise SubscriptError("bad array subscript", hint="it counts back beyond the first element")
        return key

    def set(self, key: Any, value: str) -> None:
        if key < 0:
            key = self.place(key)
        if key > self.top:
            self.top = key
        elif self.ordered and key not in self.items:
            self.ordered = False
        self.items[key] = value
        self.unset = False

    def remove(self, key: Any) -> None:
        key = self.place(key)
        if self.items.pop(key, None) is not None and key == self.top:
            self.top = max(self.items, default=-1)

    def clear(self) -> None:
        self.items.clear()
        self.top = -1
        self.ordered = True
        self.unset = False

    def next(self) -> int:
        if self.top >= _LARGEST:
            raise SubscriptError("the array has no room behind its last element")
        return self.top + 1

    def _sorted(self) -> dict[int, str]:
        if not self.ordered:
            self.items = dict(sorted(self.items.items()))
            self.ordered = True
        return self.items

    def keys(self) -> list[str]:
        return [str(key) for key in self._sorted()]

    def values(self) -> list[str]:
        return list(self._sorted().values())

    def pairs(self) -> list[tuple[str, str]]:
        return [(str(key), value) for key, value in self._sorted().items()]

    def slice(self, offset: int, length: int | None) -> list[str]:
        if len(self.items) == self.top + 1:
            return self.values()[offset : None if length is None else offset + length]
        found = [value for key, value in self._sorted().items() if key >= offset]
        return found if length is None else found[:length]

    def copy(self) -> Indexed:
        twin = Indexed()
        twin.items = self.items.copy()
        twin.top, twin.ordered, twin.unset = self.top, self.ordered, self.unset
        return twin


class Associative(Array):
    """Elements by name."""

    __slots__ = ("buckets", "order")
    associative = True
    zero = "0"

    def __init__(self) -> None:
        self.items = {}
        self.order: list[str] | None = None
        """The keys in order; None after a key came or went."""
        self.buckets = _BUCKETS
        self.unset = True

    def set(self, key: Any, value: str) -> None:
        if key not in self.items:
            self.order = None
            if len(self.items) >= 2 * self.buckets:  # bash's table grows, which turns its chains around
                self.items = {key: self.items[key] for key in in_order(self.items, self.buckets)}
                self.buckets *= 4
        self.items[key] = value
        self.unset = False

    @property
    def top(self) -> int:  # type: ignore[override]
        return len(self.items)

    def remove(self, key: Any) -> None:
        if self.items.pop(key, None) is not None:
            self.order = None

    def clear(self) -> None:
        self.items.clear()
        self.order = None
        self.unset = False

    def next(self) -> int:
        raise SubscriptError("an element of an associative array needs a subscript", hint="name=([key]=value ...)")

    def keys(self) -> list[str]:
        if self.order is None:
            self.order = in_order(self.items, self.buckets)
        return list(self.order)

    def values(self) -> list[str]:
        items = self.items
        return [items[key] for key in self.keys()]

    def pairs(self) -> list[tuple[str, str]]:
        items = self.items
        return [(key, items[key]) for key in self.keys()]

    def slice(self, offset: int, length: int | None) -> list[str]:
        """Elements by their place in the order, the first one being number 1 (as bash counts here)."""
        values = self.values()
        offset = max(offset - 1, 0)
        return values[offset : None if length is None else offset + length]

    def copy(self) -> Associative:
        twin = Associative()
        twin.items, twin.order = self.items.copy(), self.order
        twin.buckets, twin.unset = self.buckets, self.unset
        return twin


_BUCKETS = 1024


def in_order(items: dict[str, str], buckets: int) -> list[str]:
    """Keys as a hash table of FNV-1 with chains gives them: by bucket, the newest first within one."""
    from aish.lang.text import encode

    def bucket(key: str) -> int:
        found = 2166136261
        for byte in encode(key):
            found = (found * 16777619 & 0xFFFFFFFF) ^ (byte if byte < 128 else byte | 0xFFFFFF00)  # a signed char
        return found & (buckets - 1)

    newest_first = list(items)
    newest_first.reverse()
    return sorted(newest_first, key=bucket)
