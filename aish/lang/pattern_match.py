"""Matching the elements of a pattern against text, in time that no pattern can make exponential.

Without groups: greedy with one step back for whole texts, all states at once for beginnings. With groups: the set of
places that each element leads to, from the set of places before it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aish.lang.pattern_parse import Element

STAR = None
"""The element for `*`."""


class CharSet:
    """[..], or `?` as the negation of nothing."""

    __slots__ = ("chars", "classes", "folded", "negated", "ranges")

    def __init__(self, negated: bool = False) -> None:
        self.chars: set[str] = set()
        self.ranges: list[tuple[str, str]] = []
        self.classes: list[Callable[[str], bool]] = []
        self.negated = negated
        self.folded = False

    def __contains__(self, char: str) -> bool:
        found = self._has(char) or any(test(char) for test in self.classes)
        if not found and self.folded:
            found = self._has(char.upper()) or self._has(char.lower())
        return found != self.negated

    def _has(self, char: str) -> bool:
        return char in self.chars or any(low <= char <= high for low, high in self.ranges)


class Group:
    """?(..) *(..) +(..) @(..) !(..): `choices` are the patterns between the bars."""

    __slots__ = ("choices", "kind")

    def __init__(self, kind: str, choices: list[list[Element]]) -> None:
        self.kind = kind
        self.choices = choices


def matches(elements: list[Element], text: str) -> bool:
    """Greedy with one step back: to the last star, a character further on. Not for groups."""
    at = pos = 0
    star = star_pos = -1
    count, size = len(elements), len(text)
    while pos < size:
        element = elements[at] if at < count else ""
        if element is STAR:
            star, star_pos = at, pos
            at += 1
        elif element and text[pos] in element:  # type: ignore[operator]
            at += 1
            pos += 1
        elif star >= 0:
            star_pos += 1
            at, pos = star + 1, star_pos
        else:
            return False
    return all(element is STAR for element in elements[at:])


def ends(elements: list[Element], text: str) -> Iterator[int]:
    """Every length n, ascending, for which text[:n] matches: all states of the pattern at once. Not for groups."""
    count = len(elements)
    states = _close(elements, {0})
    if count in states:
        yield 0
    for pos, char in enumerate(text):
        step: set[int] = set()
        for state in states:
            if state == count:
                continue
            element = elements[state]
            if element is STAR:
                step.add(state)
            elif char in element:  # type: ignore[operator]
                step.add(state + 1)
        if not step:
            return
        states = _close(elements, step)
        if count in states:
            yield pos + 1


def _close(elements: list[Element], states: set[int]) -> set[int]:
    """`states` and those that a star lets through without a character."""
    for state in list(states):
        while state < len(elements) and elements[state] is STAR:
            state += 1
            states.add(state)
    return states


def grouped_ends(elements: list[Element], text: str, begin: int, *, period: bool = False) -> set[int]:
    """Every end of a match that begins at `begin`. `period`: a dot there is matched by a dot alone."""
    places = {begin}
    for element in elements:
        places = _step(element, text, places, begin if period and text[begin : begin + 1] == "." else -1)
        if not places:
            break
    return places


def _step(element: Element, text: str, places: set[int], dot: int) -> set[int]:
    """Where one element leads to from `places`; at `dot` stands a dot that only a dot matches."""
    size = len(text)
    if type(element) is str:
        return {place + 1 for place in places if place < size and text[place] == element}
    if element is STAR:
        if dot in places:
            return {dot, *range(min(places - {dot}), size + 1)} if len(places) > 1 else {dot}
        return set(range(min(places), size + 1))
    if type(element) is CharSet:
        return {place + 1 for place in places if place < size and place != dot and text[place] in element}
    assert type(element) is Group
    return _group_step(element, text, places, dot)


def _group_step(group: Group, text: str, places: set[int], dot: int) -> set[int]:
    if group.kind == "!":
        return _all_but(group, text, places, dot)
    once = _choices(group, text, places, dot)
    if group.kind == "@":
        return once
    if group.kind == "?":
        return places | once
    reached = set(once) if group.kind == "+" else places | once
    new = once
    while new:
        new = _choices(group, text, new, dot) - reached
        reached |= new
    return reached


def _all_but(group: Group, text: str, places: set[int], dot: int) -> set[int]:
    """!(..): an end counts where one of the places leads to it by something that does not match."""
    found: set[int] = set()
    size = len(text)
    for place in places:
        if place == dot:
            found.add(place)
            continue
        found.update(set(range(place, size + 1)) - _choices(group, text, {place}, dot))
        if len(found) == size + 1:
            break
    return found


def _choices(group: Group, text: str, places: Iterable[int], dot: int) -> set[int]:
    """Where one of the choices leads to."""
    found: set[int] = set()
    for choice in group.choices:
        reached = set(places)
        for element in choice:
            reached = _step(element, text, reached, dot)
            if not reached:
                break
        found |= reached
    return found
