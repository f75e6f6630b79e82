"""The options about what a process is given: secrets, sockets, kept descriptors. Shared by spawn and run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aish.client import launch
from aish.errors import UsageError
from aish.wire.spec import SecretPart, SocketPart

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from aish.cli.arguments import Parser

_DATAGRAM = "datagram:"
SOURCES = "file:PATH, command:WORDS or keyring:SERVICE/USER"


def options(parser: Parser) -> None:
    group = parser.add_argument_group("what it is given")
    group.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME[=SOURCE]",
        help=f"a provider key variable that it may see; with a source a variable fetched at each start: {SOURCES}",
    )
    group.add_argument(
        "--socket",
        action="append",
        default=[],
        metavar="[NAME=][datagram:]ADDRESS",
        help="a socket that is opened, kept between runs and passed (sd_listen_fds): HOST:PORT or unix:PATH",
    )
    group.add_argument(
        "--keep-fds",
        type=int,
        default=0,
        metavar="N",
        help="descriptors that it may have kept between runs (FDSTORE=1)",
    )


def fields(wanted: Namespace, of_file: Sequence[str] = ()) -> dict[str, Any]:
    """Fields of SpecPart, those that were asked for; `of_file` are secrets that an agent's file names. Raises
    UsageError."""
    kept: list[str] = []
    sources: dict[str, SecretPart] = {}
    for word in wanted.secret:
        name, equals, source = word.partition("=")
        if not name.isidentifier() or not name.isascii():
            raise UsageError(f"--secret {name}: not the name of a variable")
        if not equals:
            kept.append(_set_here(name))
        elif name in sources:
            raise UsageError(f"--secret {name}: given twice")
        else:
            sources[name] = source_of(f"--secret {name}=…", source)
    return {
        "secrets": [*kept, *(name for name in of_file if name not in kept and name not in sources)],
        "secret_sources": sources,
        "sockets": [_socket(word) for word in wanted.socket],
        "kept_fds_most": wanted.keep_fds,
    }


def _set_here(name: str) -> str:
    if name not in os.environ:
        hint = f"export {name} first, or say where it is: {name}=file:PATH"
        raise UsageError(f"--secret {name}: that variable is not set here", hint=hint)
    return name


def source_of(option: str, text: str) -> SecretPart:
    """Raises UsageError; what stands there may be the secret itself, so it is not repeated."""
    way, _, rest = text.partition(":")
    match way:
        case "file" if rest:
            return SecretPart(file=os.fsencode(os.path.join(launch.folder(), os.path.expanduser(rest))))
        case "command" if rest.strip():
            return SecretPart(command=[b"sh", b"-c", rest.encode(errors="surrogateescape")])
        case "keyring" if rest:
            return SecretPart(keyring=rest)
        case _:
            raise UsageError(f"{option}: expected where it is: {SOURCES}", hint="give no value here")


def _socket(word: str) -> SocketPart:
    """The daemon's check refuses what is no address."""
    name, equals, rest = word.partition("=")
    address = rest if equals and ":" not in name and "/" not in name else word
    kind = "datagram" if address.startswith(_DATAGRAM) else "stream"
    path = address.removeprefix(_DATAGRAM)
    if path.startswith("unix:"):
        path = "unix:" + os.path.join(launch.folder(), os.path.expanduser(path.removeprefix("unix:")))
    return SocketPart(address=path, kind=kind, name=name if address == rest else None)
