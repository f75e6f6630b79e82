"""Where agents are found: the project's folders, the user's, the built-in ones; the first that has the name wins.

project   .aish/agents/NAME.md in the folder or the nearest one above it, up to the home folder or the root
user      ~/.config/aish/agents/NAME.md
built in  aish/agents/library/NAME.md
"""

from __future__ import annotations

import os
import stat

from aish.agents.agent import valid_name
from aish.agents.definition import FILE_BYTES_MAX, parse
from aish.config import folders
from aish.errors import NotFoundError, SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aish.agents.agent import Agent

DEPTH_MAX: Final = 128  # folders above; a deeper path is not a project
_SUFFIX: Final = ".md"


def find(name: str, cwd: str) -> Agent | None:
    """The agent called `name` as seen from the folder `cwd`; None where there is none.

    Raises SourceError when its file is there and wrong: a broken agent must not be replaced by another silently.
    """
    file = locate(name, cwd)
    return None if file is None else read(file)


def locate(name: str, cwd: str) -> str | None:
    """The file that defines `name`, without reading it."""
    if not valid_name(name):
        return None
    for folder in _folders(cwd):
        file = os.path.join(folder, name + _SUFFIX)
        if os.path.isfile(file):
            return file
    return None


def names(cwd: str) -> list[str]:
    """Every name that `find` knows there, sorted."""
    found: set[str] = set()
    for folder in _folders(cwd):
        try:
            entries = os.listdir(folder)
        except OSError:
            continue  # no such folder, or not ours to read: it has no agents for us
        found.update(entry.removesuffix(_SUFFIX) for entry in entries if entry.endswith(_SUFFIX))
    return sorted(name for name in found if valid_name(name))


def read(file: str) -> Agent:
    """Read and parse an agent file. Raises NotFoundError, SourceError."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a FIFO would wait for a writer
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise SourceError("not a regular file", file=file, hint="an agent is a Markdown file")
            content = _read(fd, FILE_BYTES_MAX + 1)
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise NotFoundError(f"no agent file {file}") from error
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", file=file) from error
    if len(content) > FILE_BYTES_MAX:
        raise SourceError(f"longer than {FILE_BYTES_MAX:,} bytes", file=file, hint="an agent file is a page of text")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError("not UTF-8 text", file=file, line=line, hint="save it as UTF-8") from error
    return parse(text, file)


def _read(fd: int, most_bytes: int) -> bytes:
    found = b""
    while len(found) < most_bytes and (more := os.read(fd, most_bytes - len(found))):
        found += more
    return found


def _folders(cwd: str) -> list[str]:
    project = project_folder(cwd)
    others = [os.path.join(folders.config(), "agents"), os.path.join(os.path.dirname(__file__), "library")]
    return others if project is None else [project, *others]


def project_folder(cwd: str) -> str | None:
    """The nearest `.aish/agents` upwards that is to be trusted."""
    home = os.path.expanduser("~")
    folder = os.path.abspath(cwd)
    for _ in range(DEPTH_MAX):
        candidate = os.path.join(folder, ".aish", "agents")
        if _ours(candidate):
            return candidate
        above = os.path.dirname(folder)
        if folder in (home, above):
            return None
        folder = above
    return None


def _ours(folder: str) -> bool:
    """Whether it is there and not planted: in /tmp, /tmp/.aish could be any user's, and would be found from below."""
    try:
        owner = os.stat(folder).st_uid
    except OSError:
        return False
    me = os.geteuid()
    return owner in (me, 0) or me == 0
