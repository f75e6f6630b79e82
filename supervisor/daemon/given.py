"""Checking what a process is to be given: secrets. Pure; every refusal names the field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.errors import InputError

if TYPE_CHECKING:
    from aish.wire.spec import SecretPart, SpecPart

MOST_SECRETS: Final = 64
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS: Final = "AISH_"
_KEYRING: Final = re.compile(r"[^-/\0][^\0]*/[^-/\0][^/\0]*")


def check(spec: SpecPart) -> None:
    """Raises InputError."""
    if len(spec.secret_sources) > MOST_SECRETS:
        raise InputError(f"at most {MOST_SECRETS}", field="secret_sources")
    if spec.secret_sources and not spec.argv:
        raise InputError("there is no process to give it to", field="secret_sources")
    for name, source in spec.secret_sources.items():
        field = f"secret_sources.{name[:40]}"
        if not _VARIABLE.fullmatch(name):
            raise InputError(f"not the name of a variable: {name[:40]!r}", field="secret_sources")
        if name.startswith(_OURS):
            raise InputError(f"{name[:40]}: what begins with {_OURS} is the supervisor's", field=field)
        if name in spec.secrets:
            raise InputError(f"{name[:40]} is to come from the calling environment and from elsewhere", field=field)
        _check_source(source, field)


def _check_source(source: SecretPart, field: str) -> None:
    if [source.file is not None, bool(source.command), source.keyring is not None].count(True) != 1:
        raise InputError("expected one of a file, a command or a keyring", field=field)
    if source.file is not None and (not source.file.startswith(b"/") or b"\0" in source.file):
        raise InputError("expected an absolute path", field=field)
    if source.command and (not source.command[0] or any(b"\0" in word for word in source.command)):
        raise InputError("an empty command, or a NUL byte in it", field=field)
    if source.keyring is not None and not _KEYRING.fullmatch(source.keyring):
        raise InputError("expected SERVICE/USER, neither beginning with -", field=field)
