"""The rows of the table, and the goals under it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from benches.tables import Figures, Goal, Runs, ratio

LINES = (
    ("p50_ms_1", "p50 with 1 connection, ms", "{:.3f}"),
    ("added_ms_1", "… added to direct", "{:.3f}"),
    ("cpu_us_1", "… CPU time of the gateway for each, µs", "{:.0f}"),
    ("p50_ms_16", "p50 with 16 connections, ms", "{:.3f}"),
    ("added_ms_16", "… added to direct", "{:.3f}"),
    ("cpu_us_16", "… CPU time of the gateway for each, µs", "{:.0f}"),
    ("p50_ms_64", "p50 with 64 connections, ms", "{:.2f}"),
    ("added_ms_64", "… added to direct", "{:.2f}"),
    ("p99_ms_64", "p99 with 64 connections, ms", "{:.2f}"),
    ("per_s_64", "requests/s with 64 connections", "{:.0f}"),
    ("cpu_us_64", "… CPU time of the gateway for each, µs", "{:.0f}"),
    ("paced_s", "64 paced streams: last chunk, s", "{:.3f}"),
    ("paced_ratio", "… over direct", "{:.3f}"),
    ("streams_per_s", "streams of 200 chunks/s, 64 at a time", "{:.0f}"),
    ("lost", "chunks lost", "{:.0f}"),
    ("start_s", "start until the first answer, s", "{:.2f}"),
    ("pss_mb_before", "memory (PSS) after the start, MB", "{:.1f}"),
    ("pss_mb_after", "… after the run", "{:.1f}"),
    ("whole_pss_mb_after", "… with all that has to run for it", "{:.1f}"),
    ("growth_mb", "… growth over 200,000 requests", "{:.1f}"),
)
WORST = ("lost", "growth_mb")
"""Not the median but the worst."""


def derived(runs: Runs) -> dict[str, list[Figures]]:
    """Each round with what follows from its own figures and those of direct in the same round."""
    direct = runs.get("direct", ())
    return {
        name: [
            {**figures, **_beside(figures, direct[number] if number < len(direct) and name != "direct" else {})}
            for number, figures in enumerate(rounds)
        ]
        for name, rounds in runs.items()
    }


def _beside(figures: Figures, direct: Figures) -> Figures:
    found: Figures = {}
    for connections in (1, 16, 64):
        key = f"p50_ms_{connections}"
        one, other = figures.get(key), direct.get(key)
        found[f"added_ms_{connections}"] = None if one is None or other is None else one - other
    found["paced_ratio"] = ratio(figures.get("paced_s"), direct.get("paced_s"))
    lost = [value for key in ("paced_lost", "unpaced_lost") if (value := figures.get(key)) is not None]
    found["lost"] = sum(lost) if lost else None
    return found


def goals(told: Mapping[str, Figures]) -> list[Goal]:
    """What we promise."""
    ours = told.get("aish", {})
    rate = ours.get("per_s_64")

    def over(peer: str) -> float | None:
        return ratio(rate, told.get(peer, {}).get("per_s_64"))

    return [
        Goal("added p50 with 1 connection, ms", ours.get("added_ms_1"), "<=", 0.35),
        Goal("added p50 with 16 connections, ms", ours.get("added_ms_16"), "<=", 1.8),
        Goal("requests/s over those of LiteLLM", over("LiteLLM"), ">=", 40.0),
        Goal("requests/s over those of Portkey", over("Portkey"), ">", 1.0),
        Goal("64 paced streams over direct", ours.get("paced_ratio"), "<=", 1.05),
        Goal("chunks lost", ours.get("lost"), "<=", 0.0),
        Goal("memory's growth over 200,000 requests, MB", ours.get("growth_mb"), "<", 5.0),
        Goal("start, s", ours.get("start_s"), "<", 0.4),
    ]
