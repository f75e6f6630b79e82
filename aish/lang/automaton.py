"""A regular expression as an automaton: all ways at once, in time linear in text times expression.

The expression becomes a program of a few instructions; the states it may be in walk through the text together, in
the order of preference, each with the places where its groups begin and end. The leftmost match wins, the longest
of those, and the one that is preferred of equally long ones.
"""

from __future__ import annotations

import re

from aish.lang.regex import Chain, Choice, Group, One, RegexError, Repeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.regex import Tree

    Places = tuple[int, ...]
    Instruction = tuple[str, "re.Pattern[str] | int | None", int]

_MOST_INSTRUCTIONS = 20_000


class Automaton:
    """The program: (operation, detail, other). TAKE consumes a character that matches the pattern, SEE looks at a
    place, SPLIT goes on here and at `other`, JUMP at `other`, KEEP notes a place, MATCH is the end."""

    def __init__(self, tree: Tree, groups: int, *, fold: bool) -> None:
        self.flags = re.DOTALL | (re.IGNORECASE if fold else 0)
        self.program: list[Instruction] = []
        self.slots = 2 * groups
        self._add(tree)
        self.program.append(("match", None, 0))

    def _emit(self, operation: str, detail: re.Pattern[str] | int | None = None, other: int = 0) -> int:
        if len(self.program) >= _MOST_INSTRUCTIONS:
            raise RegexError("the expression is too large")
        self.program.append((operation, detail, other))
        return len(self.program) - 1

    def _aim(self, at: int, other: int) -> None:
        operation, detail, _ = self.program[at]
        self.program[at] = operation, detail, other

    def _add(self, tree: Tree) -> None:
        match tree:
            case One():
                self._emit("take" if tree.consumes else "see", re.compile(tree.text, self.flags))
            case Group():
                self._emit("keep", 2 * tree.number - 2)
                self._add(tree.inner)
                self._emit("keep", 2 * tree.number - 1)
            case Chain():
                for item in tree.items:
                    self._add(item)
            case Choice():
                ends = []
                for item in tree.items[:-1]:
                    split = self._emit("split")
                    self._add(item)
                    ends.append(self._emit("jump"))
                    self._aim(split, len(self.program))
                self._add(tree.items[-1])
                for end in ends:
                    self._aim(end, len(self.program))
            case Repeat():
                self._repeat(tree)

    def _repeat(self, tree: Repeat) -> None:
        for _ in range(tree.low):
            self._add(tree.inner)
        if tree.high is None:
            split = self._emit("split")
            self._add(tree.inner)
            self._emit("jump", other=split)
            self._aim(split, len(self.program))
            return
        splits = []
        for _ in range(tree.high - tree.low):
            splits.append(self._emit("split"))
            self._add(tree.inner)
        for split in splits:
            self._aim(split, len(self.program))

    def search(self, text: str) -> list[str] | None:
        """What matched, and what each group matched."""
        best: tuple[int, int, Places] | None = None
        states: list[tuple[int, int, Places]] = []
        none: Places = (-1,) * self.slots
        for pos in range(len(text) + 1):
            if best is None:
                states.append((0, pos, none))
            following: list[tuple[int, int, Places]] = []
            seen: set[int] = set()
            for at, start, places in states:
                if best is not None and start > best[0]:
                    continue
                for where, kept in self._closure(at, places, text, pos, seen):
                    operation, detail, _ = self.program[where]
                    if operation == "match":
                        if best is None or start < best[0] or (start == best[0] and pos > best[1]):
                            best = start, pos, kept
                    elif pos < len(text) and detail.match(text[pos]):  # type: ignore[union-attr]
                        following.append((where + 1, start, kept))
            states = following
            if not states and best is not None:
                break
        if best is None:
            return None
        start, end, places = best
        groups = [text[max(a, 0) : max(b, 0)] for a, b in zip(places[::2], places[1::2], strict=True)]
        return [text[start:end], *groups]

    def _closure(self, at: int, places: Places, text: str, pos: int, seen: set[int]) -> list[tuple[int, Places]]:
        """The TAKE and MATCH instructions that are reached from `at` without a character, in order."""
        found: list[tuple[int, Places]] = []
        pending = [(at, places)]
        while pending:
            where, kept = pending.pop()
            if where in seen:
                continue
            seen.add(where)
            operation, detail, other = self.program[where]
            if operation in ("take", "match"):
                found.append((where, kept))
            elif operation == "jump":
                pending.append((other, kept))
            elif operation == "split":
                pending.append((other, kept))
                pending.append((where + 1, kept))
            elif operation == "keep":
                slot = detail
                assert isinstance(slot, int)
                pending.append((where + 1, (*kept[:slot], pos, *kept[slot + 1 :])))
            elif detail.match(text, pos):  # type: ignore[union-attr]
                pending.append((where + 1, kept))
        return found
