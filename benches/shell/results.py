"""The rows of the table, and the goals under it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from benches.shell.scripts import SCRIPTS
from benches.shell.shells import WAYS
from benches.tables import Figures, Goal, Runs, ratio

STARTS = (
    ("true", "start: `-c true`", 2.0),
    ("fifty", "start: 50 lines with functions, case and expansion", 2.0),
    ("unkept", "start: the same, read each time", 2.0),
    ("substitution", "start: `-c 'x=$(printf a); /bin/echo $x'`", 3.0),
)
"""Key, words, and how many times a bare Python it may cost."""
LINES = (
    ("bare_ms", "bare `python3 -I -S -c pass`, CPU ms", "{:.1f}"),
    *((f"{key}_ratio", f"{words}, over that", "{:.2f}") for key, words, _ in STARTS),
    *(
        line
        for script in SCRIPTS
        for line in (
            (f"{script.name}_ms", f"{script.words}, CPU ms", "{:.0f}"),
            (f"{script.name}_speed", f"… speed beside {'dash' if script.name == 'string' else 'bash'}", "{:.2f}"),
        )
    ),
    ("spawn_ms", "one more /bin/true, CPU ms", "{:.2f}"),
    ("spawn_heavy_ms", "… by a shell that holds 128 MiB", "{:.2f}"),
)


def derived(runs: Runs) -> dict[str, list[Figures]]:
    """Each round with what follows from its figures and those of bash and dash in the same round."""
    return {
        name: [{**figures, **_beside(figures, runs, number)} for number, figures in enumerate(rounds)]
        for name, rounds in runs.items()
    }


def _beside(figures: Figures, runs: Runs, number: int) -> Figures:
    found: Figures = {f"{key}_ratio": ratio(figures.get(f"{key}_ms"), figures.get("bare_ms")) for key, _, _ in STARTS}
    for script in SCRIPTS:
        key = f"{script.name}_ms"
        rounds = runs.get("dash" if script.name == "string" else "bash", ())
        theirs = rounds[number].get(key) if number < len(rounds) else None
        found[f"{script.name}_speed"] = ratio(theirs, figures.get(key))
    return found


def goals(told: Mapping[str, Figures]) -> list[Goal]:
    """What we promise: the starts however aish was installed, the scripts of one of them."""
    held = []
    for key, words, bound in STARTS:
        for way in WAYS:
            if way in told:
                held.append(Goal(f"{words}, {_as(way)}", told[way].get(f"{key}_ratio"), "<=", bound))
    for script in SCRIPTS:
        speed = told.get(WAYS[0], {}).get(f"{script.name}_speed")
        name, bound = ("dash", 0.25) if script.name == "string" else ("bash", 0.5)
        held.append(Goal(f"{script.words}: speed beside {name}", speed, ">=", bound))
    return held


def _as(way: str) -> str:
    return "as ./dev installs it" if way == WAYS[0] else f"by {way}"
