"""Options that a program offers the person by their labels, as Claude Code and Codex do alike. Pure."""

from __future__ import annotations

from aish.wire.question import OptionPart


def labelled(listed: object) -> tuple[tuple[OptionPart, ...], str]:
    """Each label once, and all with what is told of them, a line each. What is malformed is left out."""
    options: list[OptionPart] = []
    told: list[str] = []
    for option in listed if isinstance(listed, list) else []:
        match option:
            case {"label": str(label)} if label not in [each.id for each in options]:
                options.append(OptionPart(id=label, label=label))
                told.append(f"{label}: {option.get('description') or ''}".removesuffix(": "))
            case _:
                pass
    return tuple(options), "\n".join(told)
