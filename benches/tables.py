"""Figures of all rounds to medians, goals, a Markdown table and JSON. Pure."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

Figures = dict[str, float | None]
Runs = Mapping[str, Sequence[Figures]]
Lines = Sequence[tuple[str, str, str]]
"""Rows of a table: (figure, words, format)."""


class Goal(NamedTuple):
    """What we promise: `measured` or `bound` is None where it was not measured."""

    words: str
    measured: float | None
    sign: str
    bound: float | None

    @property
    def held(self) -> bool | None:
        if self.measured is None or self.bound is None:
            return None
        return {
            "<": self.measured < self.bound,
            "<=": self.measured <= self.bound,
            ">": self.measured > self.bound,
            ">=": self.measured >= self.bound,
        }[self.sign]

    @property
    def wanted(self) -> str:
        if self.bound is None:
            return "-"
        return f"{self.sign} {self.bound:g}" if self.bound < 100 else f"{self.sign} {self.bound:.0f}"

    def line(self) -> str:
        word = "not measured" if self.held is None else "held" if self.held else "MISSED"
        return f"- {self.words}: {'-' if self.measured is None else f'{self.measured:.3g}'} ({self.wanted}): {word}"


def medians(runs: Runs, lines: Lines, worst: Container[str]) -> dict[str, Figures]:
    """For each program and figure one value; of `worst` the largest: there, one is one too many."""
    told: dict[str, Figures] = {}
    for name, rounds in runs.items():
        told[name] = {}
        for key, _, _ in lines:
            values = [value for figures in rounds if (value := figures.get(key)) is not None]
            if values:
                told[name][key] = max(values) if key in worst else statistics.median(values)
    return told


def ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def plus(value: float | None, more: float) -> float | None:
    return None if value is None else value + more


def markdown(told: Mapping[str, Figures], lines: Lines, goals: Sequence[Goal], absent: Mapping[str, str]) -> str:
    """As people and docs/performance.md have it."""
    names = list(told)
    rows = [["", *names]]
    for key, label, form in lines:
        cells = ["-" if (value := told[name].get(key)) is None else form.format(value) for name in names]
        if any(cell != "-" for cell in cells):
            rows.append([label, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 1)]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    text += ["", *(goal.line() for goal in goals)]
    text += [f"- {name} is left out: {why}" for name, why in absent.items()]
    return "\n".join(text)


def document(runs: Runs, told: Mapping[str, Figures], goals: Sequence[Goal], absent: Mapping[str, str]) -> str:
    """Everything, for programs."""
    return json.dumps(
        {
            "machine": machine_words(),
            "medians": told,
            "goals": [
                {"goal": goal.words, "measured": goal.measured, "bound": goal.wanted, "held": goal.held}
                for goal in goals
            ],
            "rounds": runs,
            "absent": absent,
        },
        indent=2,
    )


def machine_words() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {load:.1f} from others and ourselves at the end"
    )
