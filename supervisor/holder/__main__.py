"""Start keeper and holder: `python -I -S …/supervisor/holder/__main__.py RUNTIME_DIR [options]`.

    --daemon-argv JSON   list of strings: the daemon to start and to start again (absolute path first)
    --log FILE           standard error of both and of the daemon, appended (default: /dev/null)
    --lock FILE          one more lock beside RUNTIME_DIR/holder.lock, for life, wherever that folder goes
    --kept FD            a memfd with a JSON object: descriptors by name, to be in the store from the beginning
    --resume FD          go on in this very process: what it was is in this memfd (see succession)

The process that is started forks the keeper, then says on standard output "ready" (holder.sock accepts), "busy"
(another keeper or holder has the lock) or why it cannot, and ends: status 0, 0, 1. `link.launch` does all this.
`__main__.py --check BUILD VERSION` loads everything, then ends: 0 if it could be an upgrade (see succession).

Run by its path in an isolated interpreter, this file finds its package by `__file__` and nothing else of aish.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys

if not __package__:  # run by path: PEP 366 lets it import relatively all the same
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "holder"

from . import build, estate, kernel, succession  # build first: see there
from .birth import IGNORED
from .holder import hold
from .journal import replay
from .keeper import keep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

USAGE = "usage: __main__.py RUNTIME_DIR [--daemon-argv JSON] [--log FILE] [--lock FILE]"


def parse(words: list[str]) -> estate.Options:
    """The options of a command line. Raises StartError with what is wrong."""
    if not words or words[0].startswith("-") or len(words) % 2 == 0:
        raise estate.StartError(USAGE)
    options = estate.Options(os.path.abspath(words[0]))
    for name, value in zip(words[1::2], words[2::2], strict=True):
        match name:
            case "--daemon-argv":
                options.daemon_argv = _argv(value)
            case "--log":
                options.log_path = os.path.abspath(value)
            case "--lock":
                options.lock_path = os.path.abspath(value)
            case "--kept" if value.isdecimal():
                options.kept = _kept(int(value))
            case "--resume" if value.isdecimal():
                options.resume_fd = int(value)
            case _:
                raise estate.StartError(f"{name} {value}: not understood\n{USAGE}")
    return options


def _kept(memfd: int) -> dict[str, int]:
    with open(memfd, "rb") as file:
        file.seek(0)
        names = json.load(file)
    for fd in names.values():
        os.set_inheritable(fd, False)
    return {str(name): int(fd) for name, fd in names.items()}


def _argv(text: str) -> list[bytes]:
    try:
        words = json.loads(text)
    except ValueError as error:
        raise estate.StartError(f"--daemon-argv: not JSON: {error}") from None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise estate.StartError("--daemon-argv: a JSON list of strings, the first an absolute path")
    return [os.fsencode(word) for word in words]


def detach(options: estate.Options, keep: set[int]) -> None:
    """A session of our own, no descriptors of the caller's, no directory pinned, signals as they should be."""
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    kernel.close_others(keep)
    null = os.open("/dev/null", os.O_RDWR)
    log = null
    if options.log_path is not None:
        log = os.open(options.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        if source == target:
            os.set_inheritable(target, False)
        else:
            os.dup2(source, target, inheritable=False)  # what a child gets as 0, 1 and 2 is always told
    for fd in {null, log} - {0, 1, 2}:
        os.close(fd)
    kernel.default_signals()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def live(owned: estate.Estate) -> NoReturn:
    """The two roles in turn, for ever: a keeper's fork is a holder, a holder without a keeper is one."""
    gc.collect()
    gc.freeze()  # a collection then touches none of the pages that keeper, holder and newborns share
    while True:
        control = keep(owned)
        hold(owned, control)


def resume(options: estate.Options, memfd: int) -> NoReturn:
    """Go on as what this process was before it became this program."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    owned, role, before = succession.resumed(options, memfd)
    gc.collect()
    gc.freeze()
    if role == "keeper":
        hold(owned, keep(owned, before))
    else:
        # The first half of an exit is not yet one: the keeper is about to say it again, with what the child used.
        lines = [line for line in owned.journal.read()[0] if line["is"] != "exit" or line["reaped"]]
        owned.children = replay(lines)
        control = socket.socket(fileno=before["control"])
        control.set_inheritable(False)
        control.setblocking(False)
        hold(owned, control, before)
    live(owned)


def main(words: list[str]) -> int:
    """Start; returns only in the process that was called."""
    if words[:1] == ["--check"] and len(words) == 3:
        return succession.check(build.OWN, *words[1:])
    try:
        options = parse(words)
    except estate.StartError as error:
        print(error, file=sys.stderr)
        return 2
    if options.resume_fd is not None:
        resume(options, options.resume_fd)
    ours, theirs = os.pipe()
    if os.fork() != 0:
        os.close(theirs)
        with open(ours, "rb") as pipe:
            word = pipe.read().decode() or "the keeper died at its start"
        print(word)
        return 0 if word in ("ready", "busy") else 1
    owned = _claim(options, theirs)
    os.write(theirs, b"ready")
    os.close(theirs)
    live(owned)


def _claim(options: estate.Options, word_fd: int) -> estate.Estate:
    """Become the keeper of the folder, or say why not and end."""
    try:
        detach(options, {word_fd, *options.kept.values()})
        kernel.become_subreaper()
        return estate.Estate(options)
    except (estate.StartError, OSError) as error:
        busy = isinstance(error, estate.StartError) and error.busy
        os.write(word_fd, b"busy" if busy else str(error).encode())
        os._exit(0 if busy else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
