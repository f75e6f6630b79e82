"""What a client asks for: one JSON object a line, read strictly. Pure.

A field that nobody knows is refused: `timeout` for `timeout_s` would be a command without a time-out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from aish.errors import InputError, UsageError
from aish.model.nearest import nearest
from aish.model.signal_number import signal_number
from aish.session.settings import MOST_OUTPUT_BYTES, MOST_TIMEOUT_S

if TYPE_CHECKING:
    from typing import Final

Id = str | int
"""The client's own word for a request; its answer has it, too."""

LONGEST_ID: Final = 200


class Request(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, frozen=True, kw_only=True):
    id: Id | None = None


class Run(Request, tag="run", frozen=True, kw_only=True):
    """A command for the shell."""

    command: str
    timeout_s: float | UnsetType | None = UNSET
    """None: none at all."""
    cwd: str | None = None
    """As `cd` before the command: it stays."""
    env: dict[str, str | None] = {}
    """As `export` before the command; None: `unset`."""
    merge: bool = False
    """stderr goes where stdout goes, in the order of writing."""
    stream: bool = False
    """Tell the output while it comes."""
    output_bytes: int | None = None


class Signal(Request, tag="signal", frozen=True, kw_only=True):
    """A signal to the processes of a command; INT is what Ctrl-C is: the shell gives the command up as well."""

    run: Id
    signal: str = "INT"


class End(Request, tag="end", frozen=True, kw_only=True):
    """End a command, or what it has left in the background; None: all that is in the background."""

    run: Id | None = None


class Jobs(Request, tag="jobs", frozen=True, kw_only=True):
    """What runs."""


class Reset(Request, tag="reset", frozen=True, kw_only=True):
    """A fresh shell; everything of the old one ends."""


class Close(Request, tag="close", frozen=True, kw_only=True):
    """The end, once the commands before it are done."""


class _Named(msgspec.Struct):
    """What can be told of a request that cannot be read."""

    id: Id | None = None


AnyRequest = Run | Signal | End | Jobs | Reset | Close
_KINDS: Final = {"run": Run, "signal": Signal, "end": End, "jobs": Jobs, "reset": Reset, "close": Close}
_decoder = msgspec.json.Decoder(AnyRequest)
_named = msgspec.json.Decoder(_Named)


def parse(line: bytes) -> AnyRequest:
    """Raises InputError."""
    try:
        found = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a request: {error}", hint=_hint(str(error))) from None
    _check(found)
    return found


def id_of(line: bytes) -> Id | None:
    """Whose the answer is, as far as that can be read."""
    try:
        return _named.decode(line).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _hint(message: str) -> str | None:
    """The nearest field or type, where one of them is wrong."""
    if "unknown field" in message:
        wrong = message.partition("`")[2].partition("`")[0]
        fields = {name for kind in _KINDS.values() for name in kind.__struct_fields__} | {"type"}
        near = nearest(wrong, sorted(fields))
        return f"did you mean {near}?" if near else None
    if "Invalid value" in message:
        wrong = message.partition("'")[2].partition("'")[0]
        near = nearest(wrong, sorted(_KINDS))
        return f"did you mean {near}?" if near else "type is one of " + ", ".join(_KINDS)
    return None


def _check(found: AnyRequest) -> None:
    if isinstance(found.id, str) and len(found.id) > LONGEST_ID:
        raise InputError(f"id: longer than {LONGEST_ID} characters", field="id")
    if isinstance(found.id, str) and found.id.startswith("#"):
        raise InputError("id: begins with #, as those do that commands without one are given", field="id")
    match found:
        case Run():
            _check_run(found)
        case Signal():
            try:
                signal_number(found.signal)
            except UsageError as error:
                raise InputError(f"signal: {error}", field="signal", hint=error.hint) from None
        case _:
            pass


def _check_run(found: Run) -> None:
    if "\0" in found.command:
        raise InputError(
            "command: has a NUL, which no shell can read", field="command", hint="printf '\\0' makes one"
        )
    if isinstance(found.timeout_s, float) and not 0 < found.timeout_s <= MOST_TIMEOUT_S:
        raise InputError(
            f"timeout_s: expected a time above 0 s, at most {MOST_TIMEOUT_S:.0f} s, or null for none",
            field="timeout_s",
        )
    if found.output_bytes is not None and not 0 <= found.output_bytes <= MOST_OUTPUT_BYTES:
        raise InputError(f"output_bytes: expected 0 to {MOST_OUTPUT_BYTES}", field="output_bytes")
    if found.cwd is not None and ("\0" in found.cwd or not found.cwd):
        raise InputError("cwd: not a path", field="cwd")
    for name, value in found.env.items():
        if not name.isidentifier() or not name.isascii() or (value is not None and "\0" in value):
            raise InputError(f"env: {name[:80]!r} is not the name of a variable, or its value has a NUL", field="env")
