"""`python -P -m aish.agents.host`: an agent program that others wrote, for one turn, or attached to a terminal.

stdin text · stdout the answer alone · stderr a person's notes and the program's own · AISH_EVENTS_FD events
Exit status as that of aish.agents; SIGINT cancels the turn: the program is told, and it ends by that signal.
"""

from __future__ import annotations

import asyncio
import functools
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aish.agents import adapters, compose, keeping, stdin, transcript
from aish.agents.__main__ import die_by, failed, tell
from aish.agents.agent import DEFAULT_MODEL, GATEWAY, LOGINS, PERMISSIONS, Agent
from aish.agents.events import from_environment
from aish.agents.host import serving
from aish.agents.host.desk import Desk
from aish.agents.host.invocation import parse_words
from aish.agents.host.turn import Turn
from aish.agents.stdout import DownstreamError, Stdout
from aish.agents.transcript import Transcript
from aish.config import folders
from aish.errors import AishError, InternalError, LimitError, NotFoundError, UnavailableError, UsageError
from aish.sandbox import hosted
from aish.spi.acting import BUILTIN
from aish.spi.agent_adapter import Gateway, ProgramError, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import NoReturn

    from aish.agents.events import Events
    from aish.agents.host.invocation import Invocation
    from aish.agents.host.program import Confine
    from aish.sandbox.hosted import Sandbox
    from aish.spi.acting import Acting
    from aish.spi.agent_adapter import AgentAdapter


def main(argv: list[str]) -> int:
    """Run one turn to its end; the exit status."""
    events = from_environment(os.environ)
    program = "agent"
    try:
        invocation = parse_words(argv)
        program = f"@{invocation.called}"
        agent, adapter = _chosen(invocation)
        os.environ.update(agent.environment)
        if invocation.attached:
            _become(invocation, agent, adapter)
        _run(invocation, agent, adapter, program, events)
        return 0
    except DownstreamError:
        events.emit("failed", code="downstream", message="nobody reads the answer", status=141)
        die_by(signal.SIGPIPE)
    except KeyboardInterrupt:
        events.emit("failed", code="cancelled", message="the turn was cancelled", status=130)
        die_by(signal.SIGINT)
    except ProgramError as error:
        failed(program, error, events)
        return error.ended
    except AishError as error:
        return failed(program, error, events)
    except Exception as error:  # noqa: BLE001  the process's edge: told, and the status is terminal
        return failed(program, InternalError(f"a fault in aish: {error!r}", hint="please report it"), events)


def _chosen(invocation: Invocation) -> tuple[Agent, AgentAdapter]:
    """Raises SourceError, NotFoundError, UsageError."""
    if invocation.file is None:
        agent = Agent(invocation.name or invocation.adapter or "", adapter=invocation.adapter)
    else:
        from aish.agents.find import read  # YAML is only loaded for a file

        agent = read(invocation.file)
    name = invocation.adapter or agent.adapter
    if name is None:
        raise UsageError(f"{agent.name} names no adapter", hint="adapter: claude, in its front matter")
    return agent, adapters.load(name)


def _task(invocation: Invocation, agent: Agent, prompt: str) -> Task:
    login = _one_of("login", invocation.login or agent.login, LOGINS)
    model = (
        invocation.model or (None if agent.model == DEFAULT_MODEL else agent.model) or os.environ.get("AISH_MODEL")
    )
    return Task(
        prompt=prompt,
        instructions=agent.instructions,
        model=model or (DEFAULT_MODEL if login == GATEWAY else None),
        login=login,
        permissions=_one_of("permissions", invocation.permissions or agent.permissions, PERMISSIONS),
        session=invocation.session,
        program=invocation.program or agent.program,
        arguments=(*agent.arguments, *(invocation.words if invocation.attached else ())),
        cwd=os.getcwd(),
        acting=_acting(invocation, agent),
    )


def _acting(invocation: Invocation, agent: Agent) -> Acting | None:
    """With the settings of its requests; a rule that was typed goes before the file's table of them."""
    acting, sampling = agent.acting, agent.sampling
    if acting is None:
        return None
    settings: dict[str, Any] = {name: getattr(sampling, name) for name in sampling.__slots__}
    settings |= {"max_tokens": agent.limits.max_output_tokens}
    acting.settings = {name: value for name, value in settings.items() if value not in (None, ())}
    acting.context_tokens = agent.limits.context
    if invocation.permissions is not None:
        acting.permissions = {}
    return acting


def _one_of(option: str, word: str, words: tuple[str, ...]) -> Any:
    if word not in words:
        raise UsageError(f"--{option} {word}", hint=f"{', '.join(words[:-1])} or {words[-1]}")
    return word


def _gateway() -> Gateway:
    base_url, key = os.environ.get("OPENAI_BASE_URL", ""), os.environ.get("OPENAI_API_KEY", "")
    if not base_url or not key:
        raise UnavailableError(
            "OPENAI_BASE_URL is not set: there is no gateway to ask",
            hint="run it as @NAME in aish, or with: aish run -- @NAME",
        )
    return Gateway(base_url=base_url, key=key)


def _confine(sandbox: Sandbox | None, gateway: Gateway, folder: str) -> Confine | None:
    """What puts that sandbox around a program."""
    if sandbox is None:
        return None
    return functools.partial(sandbox.around, gateway_url=gateway.base_url, folder=folder)


def _become(invocation: Invocation, agent: Agent, adapter: AgentAdapter) -> NoReturn:
    """The program itself, on our terminal. Raises NotFoundError, UnavailableError."""
    os.environ.pop(transcript.VARIABLE, None)
    folder, gateway = _folder(), _gateway()
    confine = _confine(hosted.of_environment(os.environ), gateway, folder)
    command = adapter.attached(_task(invocation, agent, ""), gateway, folder)
    environ = {name: value for name, value in {**os.environ, **command.environ}.items() if value is not None}
    found = shutil.which(command.argv[0], path=environ.get("PATH"))
    if found is None:
        raise NotFoundError(f"{command.argv[0]} is not installed", hint=adapter.missing())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # what Python ignores
        signal.signal(number, signal.SIG_DFL)
    argv = list(command.argv)
    if confine is not None:
        argv, environ, fds = confine(argv, found, environ, os.getcwd())
        for fd in fds:
            os.set_inheritable(fd, True)
        found = argv[0]
    try:
        os.execve(found, argv, environ)
    except OSError as error:
        raise UnavailableError(f"{command.argv[0]} cannot be started: {error.strerror}") from error


def _run(invocation: Invocation, agent: Agent, adapter: AgentAdapter, program: str, events: Events) -> None:
    wall_s = agent.limits.wall_s
    deadline_s = None if wall_s is None else time.monotonic() + wall_s
    out = Stdout(1)
    gateway = _gateway()
    given = stdin.read(0, out_fd=out.fd, deadline_s=deadline_s)
    words = " ".join(invocation.words)
    kept = Transcript.of_environment()
    sandbox = hosted.of_environment(os.environ)  # once for all turns: it is out of the environment by that
    if sandbox is not None and adapter.name == BUILTIN:  # it would look as if it was held
        raise UsageError(
            "the built-in agent cannot be put into a sandbox yet: its tools run in its own process",
            hint="leave the sandbox out, and bind it by `tools`, `paths`, `hosts` and `permissions`",
        )
    events.emit("started", agent=agent.name, adapter=adapter.name)

    def turn(prompt: str, session: str | None, called: Callable[[str], None], out: Stdout) -> None:
        task = replace(_task(invocation, agent, prompt), session=session or invocation.session)
        folder = _folder()
        confine = _confine(sandbox, gateway, folder)
        kept.write("prompt", text=prompt, agent=agent.name, adapter=adapter.name, model=task.model)
        status = "failed"
        try:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            _until_done(
                _turn(adapter, task, gateway, folder, out, events, kept, program, called, confine), out.fd, left_s
            )
            status = "done"
        except AishError:
            out.end()  # what it has said stays a line of its own
            raise
        except (asyncio.CancelledError, KeyboardInterrupt):
            status = "cancelled"
            raise KeyboardInterrupt from None
        finally:
            kept.write("end", status=status)
            shutil.rmtree(folder, ignore_errors=True)
            if kept.failure is not None:
                tell(f"{program}: {kept.failure}")
        events.emit("finished", output_bytes=out.written_bytes)

    if given.text.strip() or words.strip():
        turn(compose.whole(agent, given.text, words)[-1][1], None, lambda id: None, out)
        out.end()
    elif "AISH_ID" in os.environ and not stdin.is_given(0):
        serving.serve(program, turn, serving.Session(os.path.dirname(kept.path) if kept.path else None))
    else:
        raise UsageError(
            "there is nothing to do: stdin is empty and no words follow",
            hint=f"{program} fix the failing test; or `aish spawn -- {program}`, which waits for messages",
        )


async def _turn(
    adapter: AgentAdapter,
    task: Task,
    gateway: Gateway,
    folder: str,
    out: Stdout,
    events: Events,
    kept: Transcript,
    program: str,
    called: Callable[[str], None],
    confine: Confine | None,
) -> None:
    async with Desk() as desk:
        turn = Turn(
            task,
            gateway,
            folder,
            desk=desk,
            stdout=out,
            events=events,
            transcript=kept,
            note=lambda line: tell(f"{program}: {line}"),
            missing=adapter.missing,
            called=called,
            confine=confine,
        )
        try:
            await adapter.run(task, turn)
        finally:
            await turn.close()


def _until_done(turn: Coroutine[Any, Any, None], out_fd: int, timeout_s: float | None) -> None:
    """Raises what the turn raises, KeyboardInterrupt for SIGINT, DownstreamError when our reader leaves, LimitError
    when its time is up. Whichever it is, the turn has ended by then: it was cancelled, and let its program know."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(turn)
        left: list[BaseException] = []

        def end(why: BaseException) -> None:
            if not left:
                left.append(why)
            task.cancel()  # a second Ctrl-C cuts the farewell short

        loop.add_signal_handler(signal.SIGINT, end, KeyboardInterrupt())
        reader = _reader_gone(out_fd)
        if reader is not None:
            loop.add_reader(reader.fileno(), end, DownstreamError())
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(task)
        except TimeoutError:
            end(LimitError("its time is up", hint="limits.wall_s in the agent's file is how long it may take"))
            await asyncio.wait([task])
        except asyncio.CancelledError:
            pass
        finally:
            if reader is not None:
                loop.remove_reader(reader.fileno())
                reader.close()
        if left:
            raise left[0]
        await task

    asyncio.run(go())


def _reader_gone(fd: int) -> select.epoll | None:
    """Readable when nobody reads a pipe or socket any more; None for a file."""
    epoll = select.epoll()
    try:
        epoll.register(fd, 0)
    except OSError:
        epoll.close()
        return None
    return epoll


def _folder() -> str:
    """Private, empty, in memory where the runtime folder is."""
    folders.private(folders.runtime())
    path = keeping.run_folder(folders.runtime(), os.environ.get("AISH_ID") or f"pid-{os.getpid()}")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path, mode=0o700)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
