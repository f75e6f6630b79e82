"""What is known of a worktree, beside what git knows: COMMON/aish/NAME.json; who works on it holds NAME.lock.

It is written before each step that a kill may cut, and says which: the next one goes on from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from typing import TYPE_CHECKING, Final

from aish.errors import ConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAKING: Final = "making"
MADE: Final = "made"
"""Whole, and nobody is known to have begun in it: see aish.worktree.beginning."""
READY: Final = "ready"
LANDING: Final = "landing"
LANDED: Final = "landed"
"""Only its removal is left."""
_HOME: Final = ".home"
"""The lock of who brings work home. No name of a worktree begins like that."""
_ADDING: Final = ".adding"
"""The lock of who adds one."""
_SUFFIX: Final = ".json"


@dataclasses.dataclass(slots=True)
class Record:
    """`home` is the working tree from which it was begun, and into whose branch it lands; `prefix` the folder in it;
    `base` the commit that it began at. `into`, `old` and `new`: the branch is being led from one commit to the other.
    """

    name: str
    folder: str
    branch: str
    home: str
    prefix: str
    base: str
    port: int
    made_s: float
    state: str = MAKING
    into: str | None = None
    old: str | None = None
    new: str | None = None

    @property
    def cwd(self) -> str:
        return os.path.join(self.folder, self.prefix) if self.prefix else self.folder


class Records:
    """Of one repository. All raise StorageError."""

    def __init__(self, common: str) -> None:
        self.common = common
        self._folder = os.path.join(common, "aish")

    def names(self) -> list[str]:
        try:
            return sorted(name.removesuffix(_SUFFIX) for name in os.listdir(self._folder) if name.endswith(_SUFFIX))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}") from error

    def load(self, name: str) -> Record | None:
        path = self._path(name, _SUFFIX)
        try:
            with open(path, encoding="utf-8") as file:
                return Record(**json.load(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            hint = "it was written by another version, or damaged: remove it, and `git worktree remove` its worktree"
            raise StorageError(f"{path} cannot be understood", hint=hint) from error

    def save(self, record: Record) -> None:
        """Whole or not at all, also when the machine goes down."""
        path = self._path(record.name, _SUFFIX)
        draft = f"{path}.{os.getpid()}"
        try:
            os.makedirs(self._folder, exist_ok=True)
            with open(draft, "w", encoding="utf-8") as file:
                json.dump(dataclasses.asdict(record), file)  # ASCII: paths may be no text
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise StorageError(f"{path}: {error.strerror}") from error

    def drop(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(name, _SUFFIX))

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[int]:
        """Nobody else works on it meanwhile: the descriptor of the lock, for programs that may outlive us. The lock
        file goes with the record. Raises ConflictError where somebody does."""
        fd = self._locked(name)
        try:
            yield fd
        finally:
            if not os.path.exists(self._path(name, _SUFFIX)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(name, ".lock"))
            os.close(fd)

    @contextlib.contextmanager
    def at_home(self) -> Iterator[int]:
        """Nobody else brings work to the user's working trees meanwhile; who does is waited for, since that takes a
        moment. What he has half written would look like the user's own changes. Raises StorageError."""
        with self._alone(_HOME) as fd:
            yield fd

    @contextlib.contextmanager
    def adding(self) -> Iterator[int]:
        """Nobody else adds a worktree meanwhile; who does is waited for. One git that adds stumbles over what another
        has not written yet ("failed to read .git/worktrees/x/commondir: Success"). Raises StorageError."""
        with self._alone(_ADDING) as fd:
            yield fd

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[int]:
        fd = self._lock_file(os.path.join(self._folder, name))
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def is_held(self, name: str) -> bool:
        try:
            with self.held(name):
                return False
        except ConflictError:
            return True

    def _lock_file(self, path: str) -> int:
        try:
            os.makedirs(self._folder, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error

    def _locked(self, name: str) -> int:
        path = self._path(name, ".lock")
        while True:
            fd = self._lock_file(path)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(fd)):
                    return fd  # else it was removed, and perhaps made anew, while we took it
            except BlockingIOError as error:
                os.close(fd)
                raise ConflictError(
                    f"somebody works on the worktree {name}", hint="another aish makes, lands or discards it just now"
                ) from error
            except FileNotFoundError:
                pass
            os.close(fd)

    def _path(self, name: str, suffix: str) -> str:
        return os.path.join(self._folder, name + suffix)
