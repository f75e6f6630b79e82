"""How a log's lines are shown: as they are, behind their process's name, or as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from aish.cli.output import json_line
from aish.model import moment
from aish.report import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.interleave import Block

_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_JSON: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Plain:
    """As it is; on a terminal, where several processes are shown, each line behind the name of its own."""

    def __init__(self, names: Sequence[str]) -> None:
        width = max((len(clean(name)) for name in names), default=0)
        coloured = not os.environ.get("NO_COLOR")
        self._prefixes: dict[str, bytes] = {}
        for number, name in enumerate(dict.fromkeys(names)):
            text = f"{clean(name):<{width}} | "
            colour = _COLOURS[number % len(_COLOURS)]
            self._prefixes[name] = (f"\x1b[{colour}m{text}\x1b[0m" if coloured else text).encode(errors="replace")
        self._terminals = {fd for fd in (1, 2) if os.isatty(fd)} if len(names) > 1 else set[int]()

    @property
    def whole(self) -> bool:
        """Whether it needs whole lines."""
        return bool(self._terminals)

    def dress(self, name: str, id_: str, block: Block, *, mixed: bool = False) -> tuple[int, bytes]:
        """The descriptor it goes to, and its bytes there. `mixed`: of both streams, nobody knows which."""
        if block.stream not in self._terminals:
            return block.stream, block.data
        prefix = self._prefixes[name]
        return block.stream, b"".join(prefix + line + b"\n" for line in block.lines())


class Json:
    """One object a line; a line that is an object itself stands in it as it was written."""

    whole = True

    def dress(self, name: str, id_: str, block: Block, *, mixed: bool = False) -> tuple[int, bytes]:
        head: dict[str, object] = {
            "process": name,
            "id": id_,
            "stream": None if mixed else "stdout" if block.stream == 1 else "stderr",
            "time": None if block.until_ns is None else moment.iso(block.until_ns),
            "within_s": within_s(block),
        }
        return 1, b"".join(_with_line(head, line) + b"\n" for line in block.each())


def within_s(block: Block) -> float | None:
    """How much earlier than its time (as it is shown) it may have been written; None: nobody knows."""
    if block.after_ns is None or block.until_ns is None:
        return None
    return (moment.shown_ms(block.until_ns) - block.after_ns // 1_000_000) / 1000


def _with_line(head: dict[str, object], line: Block) -> bytes:
    data = line.data.removesuffix(b"\n")
    if line.goes_on:
        return json_line({**head, "text": data, "continued": True}).encode()
    if not line.begun and _is_object(data):
        return json_line(head)[:-1].encode() + b',"json":' + data.strip() + b"}"
    return json_line({**head, "text": data}).encode()


def _is_object(line: bytes) -> bool:
    bare = line.strip()
    if not (bare.startswith(b"{") and bare.endswith(b"}")):
        return False
    try:
        bare.decode()
        _JSON.decode(bare)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
