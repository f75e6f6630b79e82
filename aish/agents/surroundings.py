"""What an agent's process finds in its environment by its file: `environment`, and the names of `secrets`. Pure."""

from __future__ import annotations

from aish.agents.agent import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aish.agents.reader import Reader

NAMES_MAX: Final = 100
_LOGIN: Final = frozenset({"OPENAI_API_KEY"})
"""A login of its own may be there; then it is told no gateway."""


def environment(reader: Reader) -> dict[str, str]:
    """Name -> value. Raises SourceError."""
    table = reader.table("environment")
    if len(table.fields) > NAMES_MAX:
        raise reader.error("environment", f"more than {NAMES_MAX} variables")
    found: dict[str, str] = {}
    for name, field in table.fields.items():
        _check(table, name, _told(every_vendor=True))
        value = field.value
        if not isinstance(value, (str, int, float)) or isinstance(value, bool) or "\0" in str(value):
            raise table.error(name, "expected a text", "put it in quotes")
        found[name] = str(value)
    return found


def secrets(reader: Reader, login: str) -> tuple[str, ...]:
    """Names of variables of whoever starts it, whose values aish withholds otherwise. Raises SourceError."""
    names = reader.texts("secrets", NAMES_MAX)
    told = _told(every_vendor=False) - (_LOGIN if login == OWN else frozenset())
    for name in names:
        _check(reader, name, told, "secrets")
    return names


def _told(*, every_vendor: bool) -> frozenset[str]:
    """Variables by which aish says where models are asked. A provider's key may be a secret that an agent needs."""
    from aish.model.client_environ import OPENAI_NAMES, variables  # only for who has such keys

    return frozenset(variables("", "", "all") if every_vendor else OPENAI_NAMES)


def _check(reader: Reader, name: str, ours: frozenset[str], key: str | None = None) -> None:
    if not name.isascii() or not name.isidentifier():
        raise reader.error(key or name, f"{name[:60]!r} cannot be a variable", "letters, digits and _")
    if name.startswith("AISH_") or name in ours:
        raise reader.error(key or name, f"{name} is aish's own", "aish tells its processes where models are asked")
