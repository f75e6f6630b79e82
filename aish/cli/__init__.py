"""The command `aish`: a verb, a script, or the shell. What it is, is decided before anything heavy is loaded."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

VERBS: Final = {
    "adopt": "supervise a process that runs already",
    "agent": "agent files: ls, show, check",
    "answer": "answer what an agent asks: allow, deny, an option, words",
    "ask": "ask an agent and wait for its answer",
    "attach": "this terminal at a process that has one of its own",
    "cancel": "end the turn that an agent is at; it goes on with its mail",
    "checkpoint": "keep how far an agent has come: its talk, files, usage",
    "completion": "the script that has bash, zsh or fish complete aish's words",
    "confirm": "for a script that is an agent: ask the person for a permission",
    "cont": "let a paused process go on",
    "discard": "throw away an agent's worktree and what is not landed of it",
    "doctor": "check this installation and say what is missing",
    "down": "end the processes of aish.toml, in stop order",
    "embed": "text to embeddings, for files and tensor pipes",
    "env": "print the variables that point a program at the gateway",
    "events": "what happened, one line each [-f follows]",
    "forget": "drop ended processes and their logs",
    "fork": "a second agent with the conversation and files of the first",
    "gpu": "devices, promises, queue",
    "inspect": "everything about one process",
    "key": "keys for programs that aish did not start: new, ls, revoke",
    "kill": "send a signal, or end at once",
    "label": "labels by which processes are found: KEY=VALUE, KEY-",
    "land": "bring home what an agent did in its worktree, once a check passes",
    "limit": "change limits: tokens=+50k vram=8G nice=5",
    "logs": "show or follow output",
    "mail": "messages to agents, and what has become of them",
    "map": "one command over many items, N at a time: retry, resume",
    "mcp": "tools for MCP clients: start and watch processes and agents",
    "model": "models: pull, ls, show, serve, stop, rm",
    "next": "go through what agents ask, oldest first",
    "off": "the supervisor leaves, what runs lives on",
    "pause": "stop a process until cont",
    "project": "aish.toml: check, show, schema, import",
    "prompt": "a segment of the shell's prompt: what runs, waits, is held, failed",
    "ps": "the process tree with state, use and cost",
    "receive": "for a script that is an agent: its next message",
    "reload": "make what runs what aish.toml declares now",
    "requests": "single requests to models, the newest [-f follows]",
    "respond": "for a script that is an agent: answer a message",
    "restore": "an ended agent runs again from a checkpoint",
    "restart": "stop processes and start them again",
    "rewind": "an agent goes back some turns, or to a checkpoint",
    "run": "run a command supervised, attached to this terminal",
    "send": "a message to an agent that runs [-w waits for its answer]",
    "session": "a shell that a program drives by JSON lines: its folder and variables stay",
    "shim": "have names that you type run supervised, in any shell or editor",
    "shutdown": "end everything that is supervised",
    "signal": "send a signal and nothing else",
    "spawn": "start a supervised process in the background",
    "start": "start ended processes again",
    "stop": "end processes: signal, grace, kill",
    "switch": "another model answers an agent from now on",
    "systemd": "have a project come back after a reboot: install, uninstall, ls",
    "tensor": "look into tensors: ls, stat, knn",
    "top": "live view of processes and GPUs",
    "transcript": "what an agent was asked, said, did, was allowed [-f follows]",
    "up": "have the processes of aish.toml run",
    "usage": "tokens, seconds and first-token time per process, agent or model",
    "wait": "wait until processes end (or are ready)",
    "window": "rules over usage windows of subscriptions: set, ls, show, unset",
    "wrapup": "have a process say a last message, and end",
    "why": "why a process waits, was ended, failed, restarts or is slow",
}
"""A closed list: any other first word is a script."""

_ELSEWHERE: Final = {"top": "aish.top.main", "tensor": "aish.tensor.commands"}


def entry() -> NoReturn:
    """Run and leave by _exit: nothing that a verb started may delay the end, and buffers are flushed here."""
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        from aish.streams import fill

        fill()
    status = main(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        status = status or 141  # our reader is gone
    os._exit(status)


def is_verb(argv: list[str]) -> bool:
    """Whether these words (after `aish`) name a verb or ask for help; everything else is the shell's."""
    return bool(argv) and (argv[0] in VERBS or argv[0] in ("--help", "--version", "help"))


def main(argv: list[str]) -> int:
    """Run `aish argv…`; the exit status. Never raises: errors are told on stderr."""
    from aish import shell

    if is_verb(argv) and (argv[0][:2] == "--" or not shell.called_as_sh()):
        return verb(argv)
    return shell.main(argv, verb=verb, is_verb=is_verb, verbs=VERBS, names=_names, after=_after)


def _names() -> list[str]:
    """What may stand behind an @ in this folder: agents, models, supervised processes. For completion."""
    from aish.cli.names import known

    return known()


def _after(words: list[str], written: str) -> list[tuple[str, str]] | None:
    """What may follow a verb, with a word about each; None: any file. For completion."""
    from aish.cli.completing import after

    return after(words, written)


def verb(argv: list[str]) -> int:
    """Run a verb in this process. Never raises."""
    import gc
    import signal

    from aish import packages

    gc.enable()  # the launcher turned it off
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # and Ctrl-C is to be a KeyboardInterrupt, as verbs expect
        signal.signal(signal.SIGINT, signal.default_int_handler)
    packages.complete()
    from aish.cli import dispatch

    return dispatch.run(argv)
