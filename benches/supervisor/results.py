"""Figures of all rounds to medians, a table and JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence

from benches.supervisor.measures import Figures

Runs = Mapping[str, Sequence[Figures]]

LINES = (
    ("jobs_per_s", "short jobs/s", "{:.0f}"),
    ("jobs_per_s_one_by_one", "… one caller, one by one", "{:.0f}"),
    ("jobs_per_s_bare", "… supervised by nobody", "{:.0f}"),
    ("restart_ms", "restart after SIGKILL, ms", "{:.1f}"),
    ("crowd", "children in what follows", "{:.0f}"),
    ("start_s", "start all, s", "{:.2f}"),
    ("stop_s", "stop all, s", "{:.2f}"),
    ("idle_cpu_percent", "idle CPU, %", "{:.3f}"),
    ("pss_mb", "memory (PSS), MB", "{:.1f}"),
    ("pss_mb_100", "… with 100 children", "{:.1f}"),
    ("pss_mb_0", "… without a child", "{:.1f}"),
    ("kb_per_child", "… per child, KB", "{:.1f}"),
    ("log_mb_per_s_8k", "log, 8 KB writes, MB/s", "{:.0f}"),
    ("log_mb_per_s_100", "log, 100 B writes, MB/s", "{:.0f}"),
    ("log_bytes_lost", "log bytes lost", "{:.0f}"),
    ("main_killed_too_many", "supervisor killed: duplicates", "{:.0f}"),
    ("main_killed_missing", "… missing of 6", "{:.0f}"),
    ("all_killed_too_many", "all its programs killed: duplicates", "{:.0f}"),
    ("all_killed_missing", "… missing of 6", "{:.0f}"),
)
WORST = ("log_bytes_lost", "main_killed_too_many", "main_killed_missing", "all_killed_too_many", "all_killed_missing")
"""Not the median but the worst: one is one too many."""


def medians(runs: Runs) -> dict[str, Figures]:
    """For each program and figure one value. Pure."""
    told: dict[str, Figures] = {}
    for name, rounds in runs.items():
        told[name] = {}
        for key, _, _ in LINES:
            values = [value for figures in rounds if (value := figures.get(key)) is not None]
            if values:
                told[name][key] = max(values) if key in WORST else statistics.median(values)
    return told


def goals(told: Mapping[str, Figures]) -> list[tuple[str, float | None, str, bool | None]]:
    """What we promise: (goal, measured, bound, held); None where it was not measured. Pure."""
    ours = told.get("aish", {})

    def best(key: str, of: str | None = None) -> float | None:
        others = [
            value
            for name, figures in told.items()
            if name != "aish" and of in (None, name) and (value := figures.get(key)) is not None
        ]
        return min(others) if others else None

    rate, theirs = ours.get("jobs_per_s"), best("jobs_per_s", "s6")
    fastest = best("restart_ms")
    rows: list[tuple[str, float | None, float | None, str]] = [
        ("short jobs/s over those of s6", _ratio(rate, theirs), 2.0, ">="),
        ("restart, ms, beside the fastest peer + 10", ours.get("restart_ms"), _plus(fastest, 10.0), "<="),
        ("stop of all, s", ours.get("stop_s"), 1.0, "<"),
        ("memory per child, KB", ours.get("kb_per_child"), 8.0, "<="),
        ("idle CPU, %", ours.get("idle_cpu_percent"), 0.1, "<"),
        ("log bytes lost", ours.get("log_bytes_lost"), 0.0, "<="),
        ("duplicates after any kill -9", _worst(ours), 0.0, "<="),
    ]
    return [(name, value, _bound(sign, bound), _holds(value, sign, bound)) for name, value, bound, sign in rows]


def _worst(ours: Figures) -> float | None:
    values = [value for key in WORST[1:4:2] if (value := ours.get(key)) is not None]
    return max(values) if values else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _plus(value: float | None, more: float) -> float | None:
    return None if value is None else value + more


def _bound(sign: str, bound: float | None) -> str:
    return "-" if bound is None else f"{sign} {bound:g}" if bound < 100 else f"{sign} {bound:.0f}"


def _holds(value: float | None, sign: str, bound: float | None) -> bool | None:
    if value is None or bound is None:
        return None
    return {"<": value < bound, "<=": value <= bound, ">=": value >= bound}[sign]


def table(told: Mapping[str, Figures], absent: Mapping[str, str]) -> str:
    """As people and docs/performance.md have it: Markdown. Pure."""
    names = list(told)
    rows = [["", *names]]
    for key, label, form in LINES:
        cells = ["-" if (value := told[name].get(key)) is None else form.format(value) for name in names]
        if any(cell != "-" for cell in cells):
            rows.append([label, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 1)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    lines.append("")
    for goal, value, bound, held in goals(told):
        word = "not measured" if held is None else "held" if held else "MISSED"
        lines.append(f"- {goal}: {'-' if value is None else f'{value:.3g}'} ({bound}): {word}")
    lines += [f"- {name} is left out: {why}" for name, why in absent.items()]
    return "\n".join(lines)


def document(runs: Runs, absent: Mapping[str, str]) -> str:
    """Everything, for programs."""
    told = medians(runs)
    return json.dumps(
        {
            "machine": machine_words(),
            "medians": told,
            "goals": [
                {"goal": goal, "measured": value, "bound": bound, "held": held}
                for goal, value, bound, held in goals(told)
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
