"""`python -P -m aish.agents`: the program that an agent is. `command` in aish.agents.invocation makes its words.

stdin text · stdout the answer alone · stderr a person's notes · AISH_EVENTS_FD events
Exit status: 0 done, 2 usage or a wrong agent file, 65 refused input, 69 upstream, 74 storage, 75 budget or size, 77
permission, 70 a fault of aish; by SIGINT, SIGTERM, SIGPIPE as any program.
"""

from __future__ import annotations

import signal

# Before everything else: an interrupt while modules load must end the process as quietly as one later. The kernel
# closes the connection, and that stops the model.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import sys

from aish.agents import stdin
from aish.agents.ending import die_by, failed, fault, tell
from aish.agents.events import from_environment
from aish.agents.invocation import Invocation, agent_of, parse_words
from aish.agents.runner import Runner
from aish.agents.stdout import DownstreamError, Stdout
from aish.agents.transcript import Transcript
from aish.agents.upstream import Upstream
from aish.errors import AishError, InternalError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.agents.events import Events


def main(argv: list[str]) -> int:
    """Run one agent to its end; the exit status."""
    events = from_environment(os.environ)
    program = "agent"
    try:
        invocation = parse_words(argv)
        program = f"@{invocation.called}"
        _run(invocation, program, events)
        return 0
    except DownstreamError:
        events.emit("failed", code="downstream", message="nobody reads the answer", status=141)
        die_by(signal.SIGPIPE)
    except KeyboardInterrupt:
        events.emit("failed", code="cancelled", message="the turn was cancelled", status=130)
        die_by(signal.SIGINT)
    except AishError as error:
        return failed(program, error, events)
    except Exception as error:  # noqa: BLE001  the process's edge: told, and the status is terminal
        return failed(program, InternalError(fault(error), hint=_place(error)), events)


def _run(invocation: Invocation, program: str, events: Events) -> None:
    agent = agent_of(invocation, os.environ)
    os.environ.update(agent.environment)
    base_url = os.environ.get("OPENAI_BASE_URL", "")
    if not base_url:
        raise UnavailableError(
            "OPENAI_BASE_URL is not set: there is no gateway to ask",
            hint=f"run it as {program} in aish, or with: aish run -- {program}",
        )
    out = Stdout(1)

    def note(text: str) -> None:
        events.emit("note", text=text)
        tell(f"{program}: {text}")

    key = os.environ.get("OPENAI_API_KEY")
    upstream = Upstream(base_url, key, out_fd=out.fd, note=note)
    kept = Transcript.of_environment()
    events.emit("started", agent=agent.name, model=agent.model)
    given = stdin.read(0, out_fd=out.fd)
    kept.write("prompt", text=given.text, words=invocation.prompt, agent=agent.name, model=agent.model)
    if given.replaced:
        note(f"stdin is not all UTF-8: {given.replaced:,} places were replaced by U+FFFD")
    status = "failed"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on there is something to note down
    try:
        Runner(agent, upstream, out, events, note).run(invocation.prompt, given.text)
        status = "done"
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what it was is noted down, then it ends
        status = "cancelled"
        raise
    finally:
        kept.write("text", text="".join(out.text))
        kept.write("end", status=status)
        kept.close()
    if kept.failure is not None:
        note(str(kept.failure))


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
    return f"please report it{where}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
