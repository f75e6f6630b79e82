"""The rows of the table, and the goals under it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from benches.tables import Figures, Goal, plus, ratio

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


def goals(told: Mapping[str, Figures]) -> list[Goal]:
    """What we promise."""
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
    return [
        Goal("short jobs/s over those of s6", ratio(rate, theirs), ">=", 2.0),
        Goal("restart, ms, beside the fastest peer + 10", ours.get("restart_ms"), "<=", plus(fastest, 10.0)),
        Goal("stop of all, s", ours.get("stop_s"), "<", 1.0),
        Goal("memory per child, KB", ours.get("kb_per_child"), "<=", 8.0),
        Goal("idle CPU, %", ours.get("idle_cpu_percent"), "<", 0.1),
        Goal("log bytes lost", ours.get("log_bytes_lost"), "<=", 0.0),
        Goal("duplicates after any kill -9", _worst(ours), "<=", 0.0),
    ]


def _worst(ours: Figures) -> float | None:
    values = [value for key in WORST[1:4:2] if (value := ours.get(key)) is not None]
    return max(values) if values else None
