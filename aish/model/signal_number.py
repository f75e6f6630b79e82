"""Signals as people write them: TERM, SIGTERM, 15, RTMIN+3."""

from __future__ import annotations

from aish.errors import UsageError
from aish.model.nearest import nearest


def signal_number(text: str) -> int:
    """The number of a signal given by name (with or without SIG) or number. Raises UsageError."""
    import signal

    if text.isdecimal() and text.isascii() and 0 < int(text) <= signal.NSIG - 1:
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    base, sign, distance = name.partition("+" if name.startswith("SIGRTMIN") else "-")
    if base in ("SIGRTMIN", "SIGRTMAX") and sign and distance.isascii() and distance.isdecimal():
        number = signal.Signals[base] + int(sign + distance)
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    known = {member.name: member.value for member in signal.Signals}
    if name not in known:
        near = nearest(name, known)
        raise UsageError(
            f"no such signal: {text}", hint=f"did you mean {near[3:]}?" if near else "`kill -l` lists them"
        )
    return known[name]
