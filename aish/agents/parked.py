"""What the host of an agent that may be parked is told: that it may be, and whether this run goes on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "AISH_PARKS"
_BEGINS: Final = "begins"
_GOES_ON: Final = "goes-on"


def told(id_: str, *, goes_on: bool) -> str:
    """With its id: what it starts by itself may have its environment."""
    return f"{id_} {_GOES_ON if goes_on else _BEGINS}"


def may_be(environ: Mapping[str, str]) -> bool:
    return _word(environ) is not None


def goes_on(environ: Mapping[str, str]) -> bool:
    """Whether it was parked, and this run is to go on with what that one was at."""
    return _word(environ) == _GOES_ON


def _word(environ: Mapping[str, str]) -> str | None:
    id_, _, word = environ.get(VARIABLE, "").partition(" ")
    return word if id_ and id_ == environ.get("AISH_ID") else None
