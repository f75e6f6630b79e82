"""What a shim runs: the program supervised, so that who started it sees no difference; else the program as it is.

Nobody is ever kept from his program: where the supervisor cannot be reached, or refuses, one line says so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from aish.cli import wanted
from aish.cli.arguments import Parser
from aish.client import connect, launch, stage
from aish.client.stage import NeverBeganError
from aish.errors import AishError
from aish.model.kind import AGENT, COMMAND
from aish.model.provider_keys import PROVIDER_KEYS
from aish.report import clean

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from aish.wire.spec import LaunchPart, SpecPart

MOST_FDS: Final = 57
_OPENAI: Final = "OPENAI_API_KEY"


def main(argv: list[str]) -> int:
    """`NAME [OPTION …] -- PROGRAM [ARG …]`. Does not return, but for 0 where its terminal was detached."""
    name, at = argv[0], argv.index("--")
    words, program, arguments = argv[1:at], os.path.abspath(argv[at + 1]), argv[at + 2 :]
    surroundings = launch.capture()
    terminals = [_is_terminal(fd) for fd in (0, 1, 2)]
    if terminals[0] and not all(terminals):  # it may ask its terminal, and tells something else: no pty can be both
        become(program, name, arguments, surroundings)
    try:
        part = spec_of(name, words, program, arguments, surroundings, pty=terminals[0])
        connect(program="shim", patience_s=stage.PATIENCE_S).close()
    except AishError as error:
        _unsupervised(name, error)
        become(program, name, arguments, surroundings)
    inherited = [fd for fd in _inherited() if fd > 2][:MOST_FDS]
    try:
        if terminals[0]:
            from aish.client import terminal

            end = terminal.run(part, surroundings, fds=inherited, must_begin=True)
        else:
            end = stage.run(part, surroundings, (0, 1, 2, *inherited), must_begin=True)
    except NeverBeganError as why:
        _obey(why.signals)
        _unsupervised(name, why.error)
        become(program, name, arguments, surroundings)
    if end is not None:
        stage.leave(end)
    return 0


def options_of(words: list[str]) -> Namespace:
    """The options of run that a shim may have, and its own. Raises UsageError."""
    parser = Parser("shim", "")
    wanted.options(parser)
    gateway_option(parser)
    return parser.parse_args(words)


def gateway_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--gateway",
        action="store_true",
        help="its models are the gateway's, as the adapter of that name has it; --model says which",
    )


def spec_of(
    name: str, words: list[str], program: str, arguments: list[str], surroundings: LaunchPart, *, pty: bool
) -> SpecPart:
    """Raises UsageError, NotFoundError.

    Without a budget its environment stays what it is, provider keys included; with one it is led to the gateway,
    which counts, as `aish run` leads it there. With --gateway its adapter does that."""
    options = options_of(words)
    if options.gateway:
        return _by_adapter(name, options, program, arguments, pty=pty)
    part = wanted.spec_of(options, [name, *arguments], pty=pty)
    secrets = part.secrets if options.budget else [*_provider_keys(surroundings), _OPENAI]
    return msgspec.structs.replace(part, program=os.fsencode(program), secrets=secrets)


def _by_adapter(name: str, options: Namespace, program: str, arguments: list[str], *, pty: bool) -> SpecPart:
    """The host of agents, which becomes the program."""
    from aish.agents.agent import DEFAULT_MODEL
    from aish.agents.host import invocation

    model, options.model = options.model or os.environ.get("AISH_MODEL"), None
    argv = invocation.command(arguments, attached=True, adapter=name, name=name, program=program, model=model)
    part = wanted.spec_of(options, list(argv), pty=pty)
    kind = AGENT if part.kind == COMMAND else part.kind
    return msgspec.structs.replace(part, name=name, kind=kind, model=model or DEFAULT_MODEL)


def _provider_keys(surroundings: LaunchPart) -> list[str]:
    names = {os.fsdecode(entry.partition(b"=")[0]) for entry in surroundings.environ} & PROVIDER_KEYS
    return sorted(names - {_OPENAI})


def become(program: str, name: str, arguments: list[str], surroundings: LaunchPart) -> NoReturn:
    """The program itself, as if nobody had stood before it."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # what Python ignores
        signal.signal(number, signal.SIG_DFL)
    environ = {entry.partition(b"=")[0]: entry.partition(b"=")[2] for entry in surroundings.environ}
    try:
        try:
            os.execve(program, [name, *arguments], environ)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            os.execve("/bin/sh", ["sh", program, *arguments], environ)  # a script without #!, as shells have it
    except OSError as error:
        print(f"aish: {clean(program)}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127 if error.errno == errno.ENOENT else 126)


def _obey(numbers: bytes) -> None:
    """Signals that came while the supervisor was asked were for the program, which has no handler yet."""
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _unsupervised(name: str, error: AishError) -> None:
    try:
        print(f"aish: {clean(name)} runs unsupervised: {clean(str(error))}", file=sys.stderr, flush=True)
    except OSError:
        return  # nobody reads stderr


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _inherited() -> list[int]:
    """Descriptors that whoever started us passed on, such as those of <(…)."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            flags = fcntl.fcntl(int(entry), fcntl.F_GETFD)
        except OSError:
            continue  # the listing's own
        if not flags & fcntl.FD_CLOEXEC:
            found.append(int(entry))
    return sorted(found)
