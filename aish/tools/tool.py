"""The tools: names, what models are told of them, and what they do. Nothing here knows the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aish.tools import acting, looking
from aish.tools import arguments as a
from aish.tools import results as r

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aish.tools.desk import Call


class Tool(NamedTuple):
    name: str
    title: str
    description: str
    takes: type[a.Arguments]
    gives: type[r.Result]
    perform: Callable[[Call, Any], Awaitable[r.Result]]
    reads: bool = False
    ends: bool = False
    """It can undo what somebody has done so far."""


TOOLS: Final = (
    Tool(
        "spawn",
        "Start a process or agent",
        "Start a supervised process in the background: a server, a build, a training run, or an agent (@NAME). It "
        "returns at once with the id; the process outlives this client, its output goes to its log. Use it for what "
        "takes long or must go on; follow with wait and logs. It acts within your own budget and rights; a limit "
        "that is set here only the person can raise.",
        a.Spawn,
        r.Started,
        acting.spawn,
    ),
    Tool(
        "ps",
        "Process tree",
        "List supervised processes as a tree: id, name, state, what they do, what they use. You see what you may: "
        "the user's editor all, a supervised agent what is below it. State needs-input means that an agent waits for "
        "the person (aish next), over-budget that only the person can let it go on (aish limit).",
        a.Ps,
        r.Tree,
        looking.ps,
        reads=True,
    ),
    Tool(
        "inspect",
        "One process in full",
        "Everything about one process: command, folder, limits, budgets and what is used of them, what it asks the "
        "person, its last events. Answering what it asks is the person's: aish next.",
        a.One,
        r.Inspected,
        looking.inspect,
        reads=True,
    ),
    Tool(
        "why",
        "Why a process is as it is",
        "Why a process waits, failed, was ended, restarts or is slow: a paragraph with its evidence. Ask this before "
        "you guess from logs.",
        a.One,
        r.Explained,
        looking.why,
        reads=True,
    ),
    Tool(
        "wait",
        "Wait for processes",
        "Wait until processes have ended, or are ready. Answers after "
        f"{a.MOST_WAIT_S:.0f} s at the latest: over=false means that they go on, so call it again, or "
        "do something else meanwhile.",
        a.Wait,
        r.Waited,
        looking.wait,
        reads=True,
    ),
    Tool(
        "logs",
        "Output of a process",
        "What a process wrote: its last lines, or with after what it wrote since an earlier answer. Bounded: use "
        "grep for long logs.",
        a.Logs,
        r.Log,
        looking.logs,
        reads=True,
    ),
    Tool(
        "send",
        "Message to an agent",
        "Put a message into the mail of an agent that runs; it reads it when its turn is over. Returns its number at "
        "once; mail with that number waits for the answer.",
        a.Send,
        r.Sent,
        acting.send,
    ),
    Tool(
        "ask",
        "Ask an agent or model",
        "Give a question or task to an agent and get its answer. One that runs reads it as a message; else the agent "
        "or model of that name (see models) is run for this one question. When timeout_s is over it goes on, and the "
        "answer tells how to get the rest. What it asks the person you cannot answer.",
        a.Ask,
        r.Answer,
        acting.ask,
    ),
    Tool(
        "mail",
        "Messages and answers",
        "Messages to agents and what has become of them; with number one message, waiting timeout_s for its answer.",
        a.Mail,
        r.Messages,
        looking.mail,
        reads=True,
    ),
    Tool(
        "cancel",
        "End an agent's turn",
        "End the turn that an agent is at, as Ctrl-C does, and not the agent: the message that it was reading is "
        "answered with what it has said so far and status 130, and the next one follows. One that was started for "
        "this turn alone ends by it. You can only cancel what you have started.",
        a.Cancel,
        r.Cancelled,
        acting.cancel,
        ends=True,
    ),
    Tool(
        "stop",
        "End a process",
        "End a process and what is below it: its stop signal, and SIGKILL after its grace. You can only end what you "
        "have started; other processes are ended by the person (aish stop). The supervisor itself is the person's.",
        a.Stop,
        r.Ended,
        acting.stop,
        ends=True,
    ),
    Tool(
        "signal",
        "Send a signal",
        "Send a signal to a process that you have started: HUP to have it read its settings again, INT as by "
        "Ctrl-C. For the turn of an agent use cancel, to end it for good stop.",
        a.Signal,
        r.Ended,
        acting.signal,
        ends=True,
    ),
    Tool(
        "usage",
        "Tokens and cost",
        "How many tokens and US dollars processes, models or agents have used, and how much is left of your own "
        "budget. Budgets are raised by the person: aish limit.",
        a.Usage,
        r.Used,
        looking.usage,
        reads=True,
    ),
    Tool(
        "models",
        "What can be asked",
        "Models and agents that ask takes, and spawn as @NAME. Keys of providers are the person's.",
        a.Models,
        r.Askables,
        looking.models,
        reads=True,
    ),
)


def offered(*, read_only: bool) -> dict[str, Tool]:
    return {tool.name: tool for tool in TOOLS if tool.reads or not read_only}


def named(name: str) -> Tool:
    return next(tool for tool in TOOLS if tool.name == name)
