"""The simulated cards and their scripted faults: devices.json, checked.

    {
      "devices": [{"index": 0, "uuid": "SIM-…", "name": "Simulated 24G", "memory": 25769803776,
                   "power_limit_w": 350}],
      "faults": {"sample_error": "text", "slow_s": 2, "lost": true, "junk_processes": true}
    }

`lost` is true (all cards) or a list of indices. The file is read again at every sample: edit it to script a fault.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aish.config import folders
from aish.errors import SourceError, StorageError, UsageError
from aish.model.nearest import nearest
from aish.model.size import format_bytes

DIR_VARIABLE: Final = "AISH_SIMGPU_DIR"
DEVICE_VARIABLE: Final = "AISH_SIMGPU_DEVICE"
FILE_NAME: Final = "devices.json"
MAX_DEVICES: Final = 64
MIN_MEMORY_BYTES: Final = 1 << 20
MAX_MEMORY_BYTES: Final = 1 << 50
_POWER_W: Final = ((16 << 30, 200.0), (24 << 30, 350.0), (48 << 30, 450.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    index: int
    uuid: str
    name: str
    memory_bytes: int
    power_limit_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What the cards pretend to suffer from. `lost_all` or `lost` (indices) leave cards out of every sample."""

    sample_error: str | None = None
    slow_s: float = 0.0
    lost_all: bool = False
    lost: frozenset[int] = frozenset()
    junk_processes: bool = False

    def loses(self, card: Card) -> bool:
        return self.lost_all or card.index in self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """All cards of one folder."""

    cards: tuple[Card, ...] = ()
    faults: Faults = field(default_factory=Faults)


def folder() -> str:
    """$AISH_SIMGPU_DIR, else `simgpu` in the state folder."""
    return os.environ.get(DIR_VARIABLE) or os.path.join(folders.state(), "simgpu")


def load(path: str) -> Rack:
    """The cards of the folder `path`; none where it has no devices.json. Raises SourceError with file and line."""
    file = os.path.join(path, FILE_NAME)
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return Rack()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot be read: {error}", file=file) from error
    return parse(text, file)


def save(path: str, cards: tuple[Card, ...]) -> None:
    """Write devices.json, whole or not at all. Raises StorageError."""
    folders.private(path)
    entries = []
    for card in cards:
        entry = asdict(card)
        entry["memory"] = entry.pop("memory_bytes")
        entries.append(entry)
    file = os.path.join(path, FILE_NAME)
    try:
        with open(file + ".new", "w", encoding="utf-8") as stream:
            json.dump({"devices": entries}, stream, indent=1, ensure_ascii=False)
            stream.write("\n")
        os.replace(file + ".new", file)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}") from error


def design(path: str, count: int, memory_bytes: int, name: str | None) -> tuple[Card, ...]:
    """Cards for the folder `path`: the same call designs the same cards, so identities last. Raises UsageError."""
    if not 1 <= count <= MAX_DEVICES:
        raise UsageError(f"{count} devices: expected 1 to {MAX_DEVICES}")
    if not MIN_MEMORY_BYTES <= memory_bytes <= MAX_MEMORY_BYTES:
        raise UsageError(
            f"{format_bytes(memory_bytes)} of memory: expected {format_bytes(MIN_MEMORY_BYTES)} to "
            f"{format_bytes(MAX_MEMORY_BYTES)}",
            hint="write a size such as 24G or 8192M",
        )
    if name is None:
        name = f"Simulated {format_bytes(memory_bytes).replace('.0', '')}"
    if not name.isprintable() or not name.strip() or len(name) > 64:
        raise UsageError(f"not a device name: {name!r}", hint="1 to 64 printable characters")
    power_w = next((watts for bound, watts in _POWER_W if memory_bytes <= bound), 700.0)
    return tuple(
        Card(
            index=index,
            uuid=_identity(f"{os.path.realpath(path)}\0{name}\0{memory_bytes}\0{index}"),
            name=name,
            memory_bytes=memory_bytes,
            power_limit_w=power_w,
        )
        for index in range(count)
    )


def _identity(seed: str) -> str:
    digest = hashlib.sha256(seed.encode("utf-8", "surrogateescape")).hexdigest()
    return "SIM-" + "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def parse(text: str, file: str) -> Rack:
    """The text of a devices.json. Raises SourceError."""
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        raise SourceError(
            error.msg,
            file=file,
            line=error.lineno,
            column=error.colno,
            hint="`python -m aish.plugins.simgpu create --replace` writes a fresh one",
        ) from error
    except RecursionError as error:
        raise SourceError("nested too deeply", file=file) from error
    reader = _Reader(file, text)
    reader.known(reader.expect(table, dict, "the file", "an object"), ("devices", "faults"))
    devices = reader.expect(table.get("devices", []), list, "devices", "a list")
    cards = tuple(reader.card(entry, number) for number, entry in enumerate(devices))
    if len(cards) > MAX_DEVICES:
        raise reader.error("devices", f"more than {MAX_DEVICES}")
    if len({card.uuid for card in cards}) != len(cards) or len({card.index for card in cards}) != len(cards):
        raise reader.error("devices", "two devices have the same index or uuid")
    return Rack(cards=cards, faults=reader.faults(table.get("faults", {})))


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.splitlines()

    def card(self, entry: Any, number: int) -> Card:
        entry = self.expect(entry, dict, "devices", "a list of objects")
        self.known(entry, ("index", "uuid", "name", "memory", "power_limit_w"))
        memory_bytes = self.expect(entry.get("memory"), int, "memory", "a number of bytes")
        if not MIN_MEMORY_BYTES <= memory_bytes <= MAX_MEMORY_BYTES:
            raise self.error("memory", f"expected {MIN_MEMORY_BYTES} to {MAX_MEMORY_BYTES} bytes")
        power_w = self.expect(entry.get("power_limit_w", 350.0), (int, float), "power_limit_w", "watts")
        if not 1 <= power_w <= 100_000:
            raise self.error("power_limit_w", "expected 1 to 100000 watts")
        return Card(
            index=self.expect(entry.get("index", number), int, "index", "a number"),
            uuid=self.expect(entry.get("uuid"), str, "uuid", "a text"),
            name=self.expect(entry.get("name", "Simulated"), str, "name", "a text"),
            memory_bytes=memory_bytes,
            power_limit_w=float(power_w),
        )

    def faults(self, entry: Any) -> Faults:
        entry = self.expect(entry, dict, "faults", "an object")
        self.known(entry, ("sample_error", "slow_s", "lost", "junk_processes"))
        lost = self.expect(entry.get("lost", False), (bool, list), "lost", "true, or a list of indices")
        slow_s = self.expect(entry.get("slow_s", 0), (int, float), "slow_s", "a number of seconds")
        if not 0 <= slow_s <= 3600:
            raise self.error("slow_s", "expected 0 to 3600 seconds")
        return Faults(
            sample_error=self.expect(entry.get("sample_error"), (str, type(None)), "sample_error", "a text"),
            slow_s=float(slow_s),
            lost_all=lost is True,
            lost=frozenset(self.expect(n, int, "lost", "a list of indices") for n in lost)
            if isinstance(lost, list)
            else frozenset(),
            junk_processes=self.expect(entry.get("junk_processes", False), bool, "junk_processes", "true or false"),
        )

    def expect(self, value: Any, kind: type | tuple[type, ...], key: str, expected: str) -> Any:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.error(key, f"expected {expected}")
        return value

    def known(self, table: dict[str, Any], keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                near = nearest(key, keys)
                hint = f"did you mean {near}?" if near else "known here: " + ", ".join(keys)
                raise self.error(key, "unknown key", hint)

    def error(self, key: str, message: str, hint: str | None = None) -> SourceError:
        for number, line in enumerate(self.lines, 1):
            if f'"{key}"' in line:
                return SourceError(f"{key}: {message}", file=self.file, line=number, source_line=line, hint=hint)
        return SourceError(f"{key}: {message}", file=self.file, hint=hint)
