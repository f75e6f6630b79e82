"""`python -P -m aish.agents.host`: an agent program that others wrote, for one turn, or attached to a terminal.

stdin text · stdout the answer alone · stderr a person's notes and the program's own · AISH_EVENTS_FD events
Exit status as that of aish.agents; SIGINT cancels the turn: the program is told, and it ends by that signal.
"""

from __future__ import annotations

import signal

# Before everything else: an interrupt while modules load must end the process as quietly as one later.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from aish.agents import adapters, asked, compose, conclusion, keeping, parked, schema, stdin, transcript
from aish.agents.agent import DEFAULT_MODEL, GATEWAY, LOGINS, OWN, PERMISSIONS, Agent
from aish.agents.checkpoints import midway
from aish.agents.ending import die_by, failed, fault, tell
from aish.agents.events import from_environment
from aish.agents.host import serving
from aish.agents.host.confinement import Confined
from aish.agents.host.conversations import Conversations
from aish.agents.host.invocation import parse_words
from aish.agents.host.points import Points
from aish.agents.host.work import Work
from aish.agents.stdout import DownstreamError, Stdout
from aish.agents.transcript import Transcript
from aish.config import folders
from aish.errors import AishError, InternalError, NotFoundError, UnavailableError, UsageError
from aish.model import exit as exits
from aish.model import key_form
from aish.sandbox import hosted
from aish.spi.agent_adapter import METERED, Gateway, ProgramError, Task

if TYPE_CHECKING:
    from typing import NoReturn

    from aish.agents.events import Events
    from aish.agents.host.invocation import Invocation
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
        conclusion.tell(exits.CANCELLED, "its turn was cancelled")
        events.emit("failed", code="cancelled", message="the turn was cancelled", status=130)
        die_by(signal.SIGINT)
    except ProgramError as error:
        failed(program, error, events)
        return error.ended
    except AishError as error:
        return failed(program, error, events)
    except Exception as error:  # noqa: BLE001  the process's edge: told, and the status is terminal
        return failed(program, InternalError(fault(error), hint="please report it"), events)


def _chosen(invocation: Invocation) -> tuple[Agent, AgentAdapter]:
    """Raises SourceError, NotFoundError, UsageError."""
    if invocation.file is None:
        agent = Agent(invocation.name or invocation.adapter or "", adapter=invocation.adapter)
    else:
        from aish.agents.find import read  # YAML is only loaded for a file

        agent = read(invocation.file)
    if invocation.schema is not None:
        agent = asked.by_schema(agent, schema.of_word(invocation.schema, os.getcwd()))
    name = invocation.adapter or agent.adapter
    if name is None:
        raise UsageError(f"{agent.name} names no adapter", hint="adapter: claude, in its front matter")
    adapter = adapters.load(name)
    if parked.may_be(os.environ):
        adapters.check_parks(adapter, agent.name)
    adapters.check_login(adapter, invocation.login or agent.login)
    return agent, adapter


def _task(invocation: Invocation, agent: Agent, talks: Conversations, prompt: str) -> Task:
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
        session=talks.wanted(invocation.session),
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


def _gateway(login: str, adapter: AgentAdapter) -> Gateway:
    base_url, key = os.environ.get("OPENAI_BASE_URL", ""), os.environ.get("OPENAI_API_KEY", "")
    asks_others = login == OWN and adapter.own_login != METERED and not key_form.within(key)
    if asks_others and (url := os.environ.get("AISH_GATEWAY_URL")):
        return Gateway(base_url=f"{url}/v1", key="")  # its `secrets` have OPENAI_API_KEY: it asks by that, not us
    if not base_url or not key:
        raise UnavailableError(
            "OPENAI_BASE_URL is not set: there is no gateway to ask",
            hint="run it as @NAME in aish, or with: aish run -- @NAME",
        )
    return Gateway(base_url=base_url, key=key)


def _become(invocation: Invocation, agent: Agent, adapter: AgentAdapter) -> NoReturn:
    """The program itself, on our terminal. Raises NotFoundError, UnavailableError."""
    os.environ.pop(transcript.VARIABLE, None)
    folder, gateway = _folder(), _gateway(invocation.login or agent.login, adapter)
    sandbox = _sandbox(adapter)
    confined = Confined(sandbox, gateway.base_url, folder, os.getcwd()) if sandbox is not None else None
    command = adapter.attached(_task(invocation, agent, _talks(agent, adapter), ""), gateway, folder)
    environ = {name: value for name, value in {**os.environ, **command.environ}.items() if value is not None}
    found = shutil.which(command.argv[0], path=environ.get("PATH"))
    if found is None:
        raise NotFoundError(f"{command.argv[0]} is not installed", hint=adapter.missing())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # what Python ignores
        signal.signal(number, signal.SIG_DFL)
    argv = list(command.argv)
    if confined is not None:
        argv, environ, fds = confined.around(argv, found, environ, os.getcwd())
        for fd in fds:
            os.set_inheritable(fd, True)
        found = argv[0]
    try:
        os.execve(found, argv, environ)
    except OSError as error:
        raise UnavailableError(f"{command.argv[0]} cannot be started: {error.strerror}") from error


def _run(invocation: Invocation, agent: Agent, adapter: AgentAdapter, program: str, events: Events) -> None:
    out = Stdout(1)
    gateway = _gateway(invocation.login or agent.login, adapter)
    given = stdin.read(0, out_fd=out.fd)
    words = " ".join(invocation.words)
    talks = _talks(agent, adapter)
    work = Work(
        agent=agent,
        adapter=adapter,
        task=lambda prompt: _task(invocation, agent, talks, prompt),
        gateway=gateway,
        program=program,
        events=events,
        kept=Transcript.of_environment(),
        sandbox=_sandbox(adapter),
        talks=talks,
        folder=_folder,
    )
    events.emit("started", agent=agent.name, adapter=adapter.name)
    session = talks.wanted(invocation.session)
    points = Points(work.folder_kept, adapter, invocation.begin, lambda line: tell(f"{program}: {line}"), session)
    if given.text.strip() or words.strip():
        prompt = compose.whole(agent, given.text, words)[-1][1]
        with points.turn(midway.words(prompt), anew=True) as point:
            work.turn(prompt, point, out)
        out.end()
    elif "AISH_ID" in os.environ and not stdin.is_given(0):
        serving.serve(program, work.turn, points)
    else:
        raise UsageError(
            "there is nothing to do: stdin is empty and no words follow",
            hint=f"{program} fix the failing test; or `aish spawn -- {program}`, which waits for messages",
        )


def _talks(agent: Agent, adapter: AgentAdapter) -> Conversations:
    return Conversations(agent.name, adapter.name, os.getcwd())


def _sandbox(adapter: AgentAdapter) -> Sandbox | None:
    """That of this process, once: it is out of the environment by that. Raises UsageError."""
    sandbox = hosted.of_environment(os.environ)
    if sandbox is not None and not adapter.confined:  # it would look as if it was held
        raise UsageError(
            f"the adapter {adapter.name} keeps in no sandbox: what its agent does is not done by its host alone",
            hint="--sandbox none runs it without one",
        )
    return sandbox


def _folder() -> str:
    """Private, empty, in memory where the runtime folder is."""
    folders.private(folders.runtime())
    path = keeping.run_folder(folders.runtime(), os.environ.get("AISH_ID") or f"pid-{os.getpid()}")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path, mode=0o700, exist_ok=True)  # in the sandbox of a parent it is mounted there, and stays
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
