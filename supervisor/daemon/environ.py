"""The environment of a supervised process, and where it is kept until it is needed no more.

An environment may hold keys, so it is never journaled: it lies in a 0600 file of the runtime folder until its process
has ended, since it may be restarted as it was.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import msgspec

from aish.agents.transcript import VARIABLE as TRANSCRIPT
from aish.errors import StorageError
from aish.model import key_form
from aish.model.client_environ import KEY_NAMES
from aish.model.provider_keys import PROVIDER_KEYS
from aish.wire.spec import LaunchPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROVIDER_KEYS: Final = frozenset(map(os.fsencode, PROVIDER_KEYS))
_TRANSCRIPT: Final = os.fsencode(TRANSCRIPT)
_OF_CLIENTS: Final = frozenset(map(os.fsencode, KEY_NAMES))
_KEY: Final = re.compile(key_form.ANY.encode())

_decode: Final = msgspec.msgpack.Decoder(LaunchPart).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def build(captured: Iterable[bytes], secrets: Iterable[str], added: Mapping[str, str], own: str = "") -> list[bytes]:
    """The child's environment, b"NAME=value" each: as captured, without provider keys that `secrets` does not name,
    with `added` in place of what had those names, and without the caller's own transcript. A key of the gateway that
    the caller's clients read becomes `own`, this process's, whatever `secrets` names: what it asks is its own, and
    such a key is no login anywhere else. Who has no `own` keeps one that is handed on to it. Pure."""
    keep = {os.fsencode(name) for name in secrets}
    new = {os.fsencode(name): os.fsencode(value) for name, value in added.items() if os.fsencode(name) not in keep}
    entries = []
    for entry in captured:
        name = entry.partition(b"=")[0]
        if name in new or name == _TRANSCRIPT or _is_withheld(entry, keep):
            continue
        if name in _OF_CLIENTS and (own or name not in keep) and _KEY.search(entry):
            entries += _owned(entry, own.encode())
        else:
            entries.append(entry)
    return entries + [name + b"=" + value for name, value in new.items()]


def withheld(launch: LaunchPart, secrets: Iterable[str]) -> LaunchPart:
    """The surroundings as they are kept: without provider keys that `secrets` does not name. Pure."""
    keep = {os.fsencode(name) for name in secrets}
    kept = [entry for entry in launch.environ if not _is_withheld(entry, keep)]
    return msgspec.structs.replace(launch, environ=kept)


def _is_withheld(entry: bytes, keep: set[bytes]) -> bool:
    """A provider's real key; one of ours has the form of the gateway's."""
    name = entry.partition(b"=")[0]
    return name in _PROVIDER_KEYS and name not in keep and not (name in _OF_CLIENTS and _KEY.search(entry))


def _owned(entry: bytes, own: bytes) -> list[bytes]:
    """With this process's key in place of another's; without the lines that have one, where it has none itself."""
    name, _, value = entry.partition(b"=")
    if own:
        return [name + b"=" + _KEY.sub(own, value)]
    left = b"\n".join(line for line in value.split(b"\n") if not _KEY.search(line))
    return [name + b"=" + left] if left else []


def names(captured: Iterable[bytes]) -> list[str]:
    """Names only, for `inspect`; what is no UTF-8 with its escapes, as it goes into the journal and over the wire."""
    return sorted({entry.partition(b"=")[0].decode(errors="backslashreplace") for entry in captured})


class EnvironFiles:
    """Captured surroundings by process id. All methods raise StorageError, except `drop`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise StorageError(f"cannot make {folder}: {error.strerror}") from error

    def path(self, id_: str) -> str:
        return os.path.join(self.folder, id_)

    def save(self, id_: str, launch: LaunchPart) -> None:
        path = self.path(id_)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb", buffering=0) as file:
                view = memoryview(_encode(launch))
                while view:
                    view = view[file.write(view) :]
        except OSError as error:
            self.drop(id_)
            raise StorageError(
                f"cannot keep the environment in {path}: {error.strerror}", hint="the runtime folder may be full"
            ) from error

    def restore(self, launches: Mapping[str, LaunchPart]) -> int:
        """Write again what was taken away with the runtime folder; how many."""
        os.makedirs(self.folder, 0o700, exist_ok=True)
        lost = {id_: launch for id_, launch in launches.items() if not os.path.exists(self.path(id_))}
        for id_, launch in lost.items():
            self.save(id_, launch)
        return len(lost)

    def load(self, id_: str) -> LaunchPart | None:
        """None where there is none: never saved, dropped, or lost with the runtime folder."""
        try:
            fd = os.open(self.path(id_), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self.path(id_)}: {error.strerror}") from error
        with open(fd, "rb") as file:
            try:
                return _decode(file.read())
            except msgspec.DecodeError:
                return None  # cut by a full disk or a crash: as if it were not there

    def drop(self, id_: str) -> None:
        try:
            os.unlink(self.path(id_))
        except OSError:
            return  # gone already, or the folder went with the logout

    def ids(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except OSError:
            return []
