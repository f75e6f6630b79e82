"""Checking what a process is to be given: secrets, sockets, kept descriptors. Pure; every refusal names the field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.errors import InputError
from aish.model.spec import MOST_BACKLOG, MOST_KEPT, MOST_SECRETS, MOST_SOCKETS, SOCKET_KINDS
from aish.supervisor.daemon import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.wire.spec import SecretPart, SpecPart

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NAME_CHARS: Final = 255
FIRST_FD: Final = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
_ANY_PORT: Final = 1
"""In place of one that will be leased."""
_OURS: Final = "AISH_"
_KEYRING: Final = re.compile(r"[^-/\0][^\0]*/[^-/\0][^/\0]*")


def flaws(spec: SpecPart) -> Iterator[InputError]:
    """Everything that is wrong with what it is to be given."""
    yield from _of_secrets(spec)
    yield from _of_sockets(spec)
    if not 0 <= spec.kept_fds_most <= MOST_KEPT:
        yield InputError(f"expected 0 to {MOST_KEPT}", field="kept_fds_most")
    if spec.kept_fds_most and not spec.argv:
        yield InputError("there is no process to keep them for", field="kept_fds_most")


def _of_secrets(spec: SpecPart) -> Iterator[InputError]:
    if len(spec.secret_sources) > MOST_SECRETS:
        yield InputError(f"at most {MOST_SECRETS}", field="secret_sources")
    if spec.secret_sources and not spec.argv:
        yield InputError("there is no process to give them to", field="secret_sources")
    for name, source in spec.secret_sources.items():
        field = f"secret_sources.{name[:40]}"
        if not _VARIABLE.fullmatch(name):
            yield InputError(f"not the name of a variable: {name[:40]!r}", field="secret_sources")
        if name.startswith(_OURS):
            yield InputError(f"{name[:40]}: what begins with {_OURS} is the supervisor's", field=field)
        if name in spec.secrets:
            yield InputError(f"{name[:40]} is to come from the calling environment and from elsewhere", field=field)
        yield from of_source(source, field)


def of_source(source: SecretPart, field: str) -> Iterator[InputError]:
    """What is wrong with where a secret comes from."""
    if [source.file is not None, bool(source.command), source.keyring is not None].count(True) != 1:
        yield InputError("expected one of a file, a command or a keyring", field=field)
    if source.file is not None and (not source.file.startswith(b"/") or b"\0" in source.file):
        yield InputError("expected an absolute path", field=field)
    if source.command and (not source.command[0] or any(b"\0" in word for word in source.command)):
        yield InputError("an empty command, or a NUL byte in it", field=field)
    if source.keyring is not None and not _KEYRING.fullmatch(source.keyring):
        yield InputError("expected SERVICE/USER, neither beginning with -", field=field)


def _of_sockets(spec: SpecPart) -> Iterator[InputError]:
    if len(spec.sockets) > MOST_SOCKETS:
        yield InputError(f"at most {MOST_SOCKETS}", field="sockets")
    if spec.sockets and not spec.argv:
        yield InputError("there is no process to give them to", field="sockets")
    places: dict[endpoint.Endpoint, int] = {}
    for number, part in enumerate(spec.sockets):
        field = f"sockets[{number}]"
        if part.name is not None and not fd_name(part.name):
            yield InputError(f"a name is of printable ASCII without ':': {part.name[:40]!r}", field=field)
        if not 1 <= part.backlog <= MOST_BACKLOG:
            yield InputError(f"a backlog is of 1 to {MOST_BACKLOG}", field=field)
        if not 0 <= part.mode <= 0o777:
            yield InputError("a mode is of 0 to 0777", field=field)
        if part.kind not in SOCKET_KINDS:
            yield InputError(f"not one of {', '.join(SOCKET_KINDS)}: {part.kind[:40]!r}", field=field)
            continue
        try:
            place = endpoint.read(part, _ANY_PORT)
        except InputError as error:
            yield InputError(error.message, field=field, hint=error.hint)
            continue
        if places.setdefault(place, number) != number:
            yield InputError("the same address twice", field=field)


def fd_name(text: str) -> bool:
    """Whether it may stand in LISTEN_FDNAMES, where ':' parts them."""
    return 0 < len(text) <= NAME_CHARS and text.isascii() and text.isprintable() and ":" not in text


def check_targets(spec: SpecPart, targets: list[int]) -> None:
    """The numbers of descriptors that a client passes, beside those that sd_listen_fds(3) promises."""
    last = FIRST_FD + len(spec.sockets) - 1
    if any(FIRST_FD <= target <= last for target in targets):
        raise InputError(f"descriptors {FIRST_FD} to {last} are its sockets", field="targets")
