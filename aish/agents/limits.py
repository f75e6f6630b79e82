"""The limits in an agent file, by the words of `aish limit`. Pure."""

from __future__ import annotations

from aish.agents.agent import Limits
from aish.model.moment import parse_duration_s
from aish.model.size import parse_bytes
from aish.model.spec import (
    LEAST_BYTES,
    LEAST_CPUS,
    MOST_CHILDREN,
    MOST_CPUS,
    MOST_DEPTH,
    MOST_GPUS,
    MOST_PIDS,
    MOST_TIME_S,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aish.agents.reader import Reader

COUNTS: Final = ("input", "output", "requests", "rpm", "concurrent", "context")
DAY_COUNTS: Final = ("input", "output", "requests", "tokens")
USD: Final = "usd"
DAY_KEYS: Final = (*DAY_COUNTS, USD)
KEYS: Final = (
    *("tokens", "max_output_tokens", "wall", USD),
    *COUNTS,
    *("hard", "day", "children", "depth", "vram", "gpus", "memory", "cpus", "pids"),
)
USD_MAX: Final = 1_000_000.0
_USD_LEAST: Final = 0.000001


def read(reader: Reader) -> Limits:
    """Raises SourceError."""
    if "wall_s" in reader.fields:
        raise reader.error("wall_s", "is called wall, and has a unit", "wall: 30m")
    reader.known(KEYS)
    if "gpus" in reader.fields and "vram" not in reader.fields:
        raise reader.error("gpus", "says nothing without vram", "say how much on each: vram: 8G")
    return Limits(
        tokens=reader.count("tokens"),
        max_output_tokens=reader.count("max_output_tokens"),
        wall_s=_seconds(reader, "wall"),
        budget=_budget(reader),
        children=reader.whole("children", 0, MOST_CHILDREN),
        depth=reader.whole("depth", 0, MOST_DEPTH),
        vram_bytes=_size(reader, "vram", 1),
        gpu_count=reader.whole("gpus", 1, MOST_GPUS),
        memory_bytes=_size(reader, "memory", LEAST_BYTES),
        cpus=reader.number("cpus", LEAST_CPUS, MOST_CPUS),
        pids=reader.whole("pids", 1, MOST_PIDS),
    )


def _budget(reader: Reader) -> dict[str, float]:
    """By the words of aish.wire.budget."""
    day = reader.table("day")
    day.known(DAY_KEYS)
    found: dict[str, float | None] = {word: reader.count(word) for word in COUNTS}
    found[USD] = reader.number(USD, _USD_LEAST, USD_MAX)
    found |= {f"{word}/day": day.count(word) for word in DAY_COUNTS}
    found[f"{USD}/day"] = day.number(USD, _USD_LEAST, USD_MAX)
    found["hard"] = 1 if reader.flag("hard") else None
    return {word: most for word, most in found.items() if most is not None}


def _size(reader: Reader, key: str, least_bytes: int) -> int | None:
    if key not in reader.fields:
        return None
    text = reader.text(key, "", length_max=40)
    size_bytes = reader.parsed(key, parse_bytes, text)
    if size_bytes < least_bytes:
        raise reader.error(
            key, f"expected {least_bytes >> 10}K or more" if least_bytes > 1 else "expected a size above 0"
        )
    return size_bytes


def _seconds(reader: Reader, key: str) -> float | None:
    if key not in reader.fields:
        return None
    seconds = reader.parsed(key, parse_duration_s, reader.text(key, "", length_max=40))
    if not 0 < seconds <= MOST_TIME_S:
        raise reader.error(key, "expected a time above 0", f"such as 30m; at most {MOST_TIME_S / 86400:.0f}d")
    return seconds
