"""What signals are called, and the moments that a script may trap like one."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.signals import DEBUG, ERR, EXIT, LAST, RESERVED, RETURN

_MOMENTS = {EXIT: "EXIT", DEBUG: "DEBUG", ERR: "ERR", RETURN: "RETURN"}


def _numbers() -> dict[str, int]:
    found = {}
    for name, value in vars(_signal).items():
        if name.startswith("SIG") and name[3] != "_" and isinstance(value, int):
            found[name[3:]] = value
    return found


NUMBERS: dict[str, int] = _numbers()
NAMES: dict[int, str] = {
    number: name for name, number in reversed(NUMBERS.items()) if name not in ("CLD", "POLL", "IOT")
}


def number_of(word: str) -> int:
    """The signal that `word` names: INT, SIGINT, 2, EXIT, 0. Raises CommandError."""
    if word.isdecimal() and word.isascii():
        number = saturated(word)
        if number <= LAST and number not in RESERVED:
            return number
    name = word.upper()
    for number, moment in _MOMENTS.items():
        if name in (moment, "SIG" + moment):
            return number
    name = name.removeprefix("SIG")
    if name in NUMBERS:
        return NUMBERS[name]
    for number in range(NUMBERS["RTMIN"], LAST + 1):
        if name == _real_time(number):
            return number
    raise CommandError(f"{word}: not a signal", hint="kill -l lists them")


def name_of(number: int) -> str:
    """INT, TERM ...; the number itself for those without a name."""
    if NUMBERS["RTMIN"] <= number <= LAST:
        return _real_time(number)
    return _MOMENTS.get(number) or NAMES.get(number) or str(number)


def _real_time(number: int) -> str:
    """RTMIN+1 ... RTMAX-1."""
    low, high = NUMBERS["RTMIN"], NUMBERS["RTMAX"]
    if number in (low, high):
        return "RTMIN" if number == low else "RTMAX"
    return f"RTMIN+{number - low}" if number - low <= (high - low) // 2 else f"RTMAX-{high - number}"


def table(*, plain: bool) -> str:
    """What kill -l and trap -l show: numbers and names in columns, or (in posix mode) the names alone."""
    names = {number: name_of(number) for number in range(1, LAST + 1) if number not in RESERVED}
    if plain:
        return " ".join(names.values()) + "\n"
    cells = [f"{number:2}) SIG{name}" for number, name in names.items()]
    rows = ["\t".join(cells[at : at + 5]) for at in range(0, len(cells), 5)]
    return "\n".join(rows) + "\n"


def describe(number: int) -> str:
    """What the C library says: Terminated, Segmentation fault."""
    return _signal.strsignal(number) or f"signal {number}"
