"""An error in words that a model can act on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aish.errors import AishError


def told(error: AishError) -> str:
    """Its code, what happened, its notes, what to do next."""
    notes = [note for note in getattr(error, "__notes__", ()) if note != error.hint]
    return "\n".join([f"{error.code}: {error}", *notes, *([f"hint: {error.hint}"] if error.hint else [])])
