"""Git by its command line: the one place that runs it. Never a shell; what is read is -z or one plain line."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import ConflictError, NotFoundError, RefusedError, StorageError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aish.errors import AishError

LOCAL: Final = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"),
    *("GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE"),
    *("GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE"),
    *("GIT_COMMON_DIR", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH"),
)
"""Variables that lead git to another repository than its folder's (`git rev-parse --local-env-vars`): a hook of a
repository has them, and so has all that it starts."""
_OURS: Final = {"LC_ALL": "C.UTF-8", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": ":"}
_PLAIN: Final = ("-c", "gc.auto=0", "-c", "log.showSignature=false", "-c", "rebase.updateRefs=false")
"""Configuration that would have git do, or print, more than was asked."""
LOCKED_S: Final = 10.0
"""How long another git program may hold what we need."""
_AGAIN_S: Final = 0.05
_LOCKED: Final = ("File exists", "unable to lock", "cannot lock ref", "Another git process")
_DISK: Final = (
    *("No space left on device", "Disk quota exceeded", "Read-only file system", "Permission denied"),
    *("unable to write", "failed to write", "write error"),
)


class Done(NamedTuple):
    status: int
    out: bytes
    err: str

    @property
    def line(self) -> str:
        """Its output without the line's end: a path may end with a blank."""
        return os.fsdecode(self.out.removesuffix(b"\n"))

    @property
    def items(self) -> list[str]:
        """Of an output with -z."""
        return [os.fsdecode(item) for item in self.out.split(b"\0") if item]


class Git:
    """`folder` is where it runs; `git_dir` in place of the repository that this is in; `keep` are descriptors that it
    has, too: a lock that goes only when it has ended, should we be killed; `options` stand before its verb."""

    def __init__(
        self, folder: str, git_dir: str | None = None, keep: Sequence[int] = (), options: Sequence[str] = ()
    ) -> None:
        self.folder, self._git_dir, self._keep = folder, git_dir, tuple(keep)
        self._options = tuple(options)

    def __call__(self, *words: str, given: bytes = b"", alone: bool = False, **more: str) -> Done:
        """Raises what `error_of` says of a status that is not 0; `more` are variables, `alone` as in `attempt`."""
        done = self.attempt(*words, given=given, alone=alone, **more)
        if done.status:
            raise error_of(words, done)
        return done

    def attempt(self, *words: str, given: bytes = b"", alone: bool = False, **more: str) -> Done:
        """Whatever its status; a lock that another git holds is waited for. `alone`: in a session
        of its own, where Ctrl-C does not end it half-way.

        Raises UnavailableError (no git), NotFoundError (no folder), StorageError."""
        deadline_s = time.monotonic() + LOCKED_S
        while True:
            done = self._once(words, given, more, alone=alone)
            if not done.status or not is_locked(done.err) or time.monotonic() > deadline_s:
                return done
            time.sleep(_AGAIN_S)  # there is no event for a lock file that goes

    def _once(self, words: Sequence[str], given: bytes, more: dict[str, str], *, alone: bool) -> Done:
        options = [] if self._git_dir is None else [f"--git-dir={self._git_dir}"]
        options += [*_PLAIN, *self._options]
        if self._keep:
            options += ["-c", "core.fsmonitor=false"]  # it would start a daemon that has our lock, too
        try:
            done = subprocess.run(
                ["git", *options, *words],
                cwd=self.folder,
                env=environ(os.environ) | more,
                input=given,
                capture_output=True,
                check=False,
                pass_fds=self._keep,
                start_new_session=alone,
            )
        except FileNotFoundError as error:
            if not os.path.isdir(self.folder):
                raise NotFoundError(f"no folder {self.folder}") from error
            raise UnavailableError("git is not installed", hint="worktrees are git's: install git") from error
        except OSError as error:
            raise StorageError(f"git cannot be run in {self.folder}: {error.strerror}") from error
        return Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def clean(surroundings: Mapping[str, str]) -> dict[str, str]:
    """Without what leads git elsewhere. Pure."""
    return {name: value for name, value in surroundings.items() if name not in LOCAL}


def environ(surroundings: Mapping[str, str]) -> dict[str, str]:
    """For git, whose messages we tell apart. Pure."""
    return clean(surroundings) | _OURS


def is_locked(err: str) -> bool:
    """Whether another git program was in the way: it held a lock, or adds a worktree just now. Pure."""
    adding = "failed to read" in err and "/commondir: Success" in err
    return adding or (".lock" in err and any(word in err for word in _LOCKED))


def error_of(words: Sequence[str], done: Done) -> AishError:
    """What git's failure is in our tree. Pure."""
    lines = [line.strip() for line in done.err.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[0] if lines else "")
    text = told.partition(": ")[2] if told.startswith(("fatal: ", "error: ")) else told
    rest = " ".join(line for line in lines if line != told)[:500] or None
    if "dubious ownership" in done.err:
        line = next((line for line in lines if "safe.directory" in line and "config" in line), "safe.directory")
        return RefusedError(f"git does not trust this repository: {text}", hint=f"if you do: {line}")
    if "not a git repository" in done.err:
        return NotFoundError(
            "not in a git repository", hint="a worktree is one of a repository: cd there, or git init"
        )
    if any(word in done.err for word in _DISK):
        return StorageError(f"git {words[0]}: {text}", hint=rest)
    if is_locked(done.err):
        hint = "another git program is at work there; if it has died, remove its lock file"
        return ConflictError(f"git {words[0]}: {text}", hint=hint)
    return UnavailableError(f"git {words[0]}: {text or f'status {done.status}'}", hint=rest)
