"""What each tool answers: an object for programs, and the same as a text for models. Pure.

Bytes of other systems are text here, with what is no UTF-8 in backslashes; what is not known is left out.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from aish.client.asks import exit_of, told
from aish.model import state
from aish.model.exit import DONE, Exit
from aish.model.size import format_bytes, format_count
from aish.wire import account

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from aish.client.log_answers import LogLine
    from aish.wire.mail import MailPart
    from aish.wire.part import BudgetLine, ProcessPart, TokensPart, UsageRow

LINE_CHARS: Final = 2000
ANSWER_CHARS: Final = 50_000
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""What steers a terminal (ECMA-48): colours and titles are nothing to a model."""


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of a tool."""

    def text(self) -> str:
        raise NotImplementedError


class Process(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of ps."""

    id: str
    name: str
    kind: Annotated[str, Meta(description="command, agent or model.")]
    state: Annotated[str, Meta(description="One word: running, queued, needs-input, over-budget, exited …")]
    ended: Annotated[bool, Meta(description="It has ended, and does not start again by itself.")] = False
    parent: Annotated[str, Meta(description="The id of who started it.")] | None = None
    mine: Annotated[bool, Meta(description="This client has started it, or something that it started has.")] = False
    doing: Annotated[str, Meta(description="What it does, why it waits, or why it ended.")] | None = None
    exit: Annotated[str, Meta(description="How it ended: exit 0, signal 9 (oom) …")] | None = None
    exit_code: int | None = None
    restarts: int = 0
    age_s: float | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    vram_bytes: int | None = None
    tokens: Annotated[int, Meta(description="Of models, input and output.")] | None = None
    usd: float | None = None
    budget_tokens: int | None = None
    model: str | None = None
    port: int | None = None
    labels: dict[str, str] = {}

    @classmethod
    def of(cls, row: ProcessPart, *, mine: bool, now_s: float | None = None) -> Self:
        ended = row.lifecycle in state.ENDED
        until_s = row.ended_s if ended and row.ended_s is not None else (time.time() if now_s is None else now_s)
        end = None if row.exit is None else exit_of(row.exit)
        tokens = row.tokens
        return cls(
            id=row.id,
            name=row.name,
            kind=row.kind,
            state=row.state,
            ended=ended,
            parent=row.parent,
            mine=mine,
            doing=row.reason or row.doing,
            exit=None if end is None or (row.never_ran and ended) else _how(end),
            exit_code=None if end is None else end.code,
            restarts=row.restarts,
            age_s=round(until_s - (row.started_s or row.created_s), 1),
            cpu_percent=None if row.cpu_percent is None else round(row.cpu_percent, 1),
            memory_bytes=row.rss_bytes,
            vram_bytes=row.vram_bytes,
            tokens=None if tokens is None else tokens.input + tokens.output,
            usd=None if tokens is None or not tokens.cost_usd else tokens.cost_usd,
            budget_tokens=row.budget_tokens,
            model=row.model,
            port=row.port,
            labels=row.labels,
        )

    def line(self) -> str:
        parts = [
            f"{self.id} {self.name} ({self.kind}) {self.state}",
            self.exit if self.ended else None,
            self.doing,
            None if self.age_s is None else f"{self.age_s:.0f} s",
            None if not self.memory_bytes else format_bytes(self.memory_bytes),
            None if not self.tokens else f"{format_count(self.tokens)} tokens",
            "started by this client" if self.mine else None,
        ]
        return ", ".join(part for part in parts if part)


class Started(Result, frozen=True, kw_only=True):
    id: Annotated[str, Meta(description="What the other tools take.")]
    name: str
    state: str
    reason: Annotated[str, Meta(description="Why it waits in the queue.")] | None = None
    unheld: Annotated[list[str], Meta(description="Limits that nothing holds on this machine.")] = []

    def text(self) -> str:
        waits = f": {self.reason}" if self.reason else ""
        unheld = f"; nothing here holds a limit of {', '.join(self.unheld)}" if self.unheld else ""
        return f"{self.id} {self.name} is {self.state}{waits}{unheld}"


class Tree(Result, frozen=True, kw_only=True):
    processes: Annotated[list[Process], Meta(description="In the order of the tree: parents before children.")]
    left_out: Annotated[int, Meta(description="So many more there are.")] = 0
    alerts: Annotated[list[str], Meta(description="What the person should know about the machine.")] = []

    def text(self) -> str:
        depths: dict[str, int] = {}
        lines = []
        for each in self.processes:
            depths[each.id] = 0 if each.parent not in depths else depths[each.parent] + 1
            lines.append("  " * depths[each.id] + each.line())
        if self.left_out:
            lines.append(f"and {self.left_out} more: ask by labels, or for mine")
        return "\n".join([*(lines or ["nothing is supervised"]), *self.alerts])


class Inspected(Result, frozen=True, kw_only=True):
    process: Process
    command: list[str]
    folder: str
    children: list[str] = []
    limits: Annotated[dict[str, str], Meta(description="What its tree may use.")] = {}
    budgets: Annotated[list[str], Meta(description="Of it and of what is above it, with what is used.")] = []
    asks: Annotated[list[str], Meta(description="What it asks the person; only the person can answer.")] = []
    events: Annotated[list[str], Meta(description="What has happened to it, oldest first.")] = []

    def text(self) -> str:
        lines = [self.process.line(), f"command: {' '.join(self.command)}", f"folder: {self.folder}"]
        lines += [f"children: {', '.join(self.children)}"] if self.children else []
        lines += [f"{name}: {value}" for name, value in self.limits.items()]
        lines += [f"budget {each}" for each in self.budgets]
        lines += [f"asks the person: {each}" for each in self.asks]
        return "\n".join([*lines, *self.events])


class Explained(Result, frozen=True, kw_only=True):
    id: str
    name: str
    state: str
    why: str
    evidence: list[str] = []

    def text(self) -> str:
        return "\n".join([f"{self.id} {self.name} is {self.state}: {self.why}", *self.evidence])


class Waited(Result, frozen=True, kw_only=True):
    over: Annotated[bool, Meta(description="What was waited for has come; else the time is over, and they go on.")]
    processes: Annotated[list[Process], Meta(description="How each stands now.")]

    def text(self) -> str:
        head = "" if self.over else "not yet; wait again to go on waiting:\n"
        return head + "\n".join(each.line() for each in self.processes)


class Log(Result, frozen=True, kw_only=True):
    id: str
    name: str
    lines: Annotated[list[str], Meta(description="What is no UTF-8 is �; what steers a terminal is left out.")]
    after: Annotated[str, Meta(description="Pass it as after to get only what was written since.")]
    more: Annotated[bool, Meta(description="There is more behind it already.")] = False
    left_out: Annotated[int, Meta(description="Lines before these that were too much for one answer.")] = 0

    def text(self) -> str:
        head = [f"({self.left_out} lines before these are left out)"] if self.left_out else []
        tail = f"(after: {self.after}" + ("; there is more)" if self.more else ")")
        return "\n".join([*head, *(self.lines or ["(nothing)"]), tail])


class Sent(Result, frozen=True, kw_only=True):
    number: Annotated[int, Meta(description="mail with this number waits for the answer.")]
    to: str

    def text(self) -> str:
        return f"m{self.number} is in the mail of {self.to}; mail number={self.number} waits for its answer"


class Answer(Result, frozen=True, kw_only=True):
    over: Annotated[bool, Meta(description="The answer is here, or none will come.")]
    answer: str | None = None
    status: Annotated[int, Meta(description="Of the turn, as exit statuses are: 0 is good.")] | None = None
    number: Annotated[int, Meta(description="Of the message to an agent that ran: mail waits for it.")] | None = None
    id: Annotated[str, Meta(description="Of the run that was started for the question: wait, then logs.")] | None = (
        None
    )

    def text(self) -> str:
        if self.over:
            bad = f"\n(its turn ended with {self.status})" if self.status else ""
            return (self.answer or "(no answer)") + bad
        if self.number is not None:
            return f"no answer yet; mail number={self.number} goes on waiting"
        return f"no answer yet; wait for {self.id}, then logs with stream=stdout has it"


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    number: int
    to: str
    state: Annotated[str, Meta(description="waiting, delivered, answered, or returned: nobody will answer it.")]
    body: str
    sender: Annotated[str, Meta(description="Not given: the person, or a tool of theirs.")] | None = None
    answer: str | None = None
    status: int | None = None

    @classmethod
    def of(cls, part: MailPart, most: int = LINE_CHARS) -> Self:
        return cls(
            number=part.number,
            to=part.to_name,
            state=part.state,
            body=shortened(part.text, most),
            sender=part.sender_name,
            answer=None if part.answer is None else shortened(part.answer, most),
            status=part.status,
        )

    def line(self) -> str:
        head = f"m{self.number} from {self.sender or 'the person'} to {self.to}, {self.state}: {self.body}"
        return head if self.answer is None else f"{head}\n  answer: {self.answer}"


class Messages(Result, frozen=True, kw_only=True):
    messages: Annotated[list[Message], Meta(description="Oldest first. Long texts are cut: ask for one by number.")]

    def text(self) -> str:
        return "\n".join(each.line() for each in self.messages) or "no messages"


class Cancelled(Result, frozen=True, kw_only=True):
    cancelled: Annotated[bool, Meta(description="A turn was under way; it ends now. Else there was none.")]
    process: Process

    def text(self) -> str:
        return ("" if self.cancelled else "no turn is under way:\n") + self.process.line()


class Ended(Result, frozen=True, kw_only=True):
    process: Process

    def text(self) -> str:
        return self.process.line()


class Sum(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    key: Annotated[str, Meta(description="A process's id, a model, an agent, a day, a project.")]
    name: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    usd: float = 0.0
    unpriced_tokens: Annotated[int, Meta(description="Whose price nobody knows: not in usd.")] = 0
    failures: int = 0

    @classmethod
    def of(cls, row: UsageRow) -> Self:
        return cls.summed(row.key, row.name, [row.tokens], row.failures)

    @classmethod
    def summed(cls, key: str, name: str | None, all_tokens: Iterable[TokensPart], failures: int = 0) -> Self:
        parts = list(all_tokens)
        return cls(
            key=key,
            name=None if name == key else name,
            input_tokens=sum(part.input for part in parts),
            output_tokens=sum(part.output for part in parts),
            requests=sum(part.requests for part in parts),
            usd=sum(part.cost_usd for part in parts),
            unpriced_tokens=sum(part.unpriced for part in parts),
            failures=failures,
        )

    def line(self) -> str:
        named = f"{self.key} {self.name}" if self.name else self.key or "-"
        unpriced = f" and {self.unpriced_tokens} tokens without a known price" if self.unpriced_tokens else ""
        return (
            f"{named}: {self.requests} requests, {self.input_tokens} in, {self.output_tokens} out, "
            f"{self.usd:.4f} USD{unpriced}"
        )


class Used(Result, frozen=True, kw_only=True):
    by: str
    sums: list[Sum]
    budgets: Annotated[list[str], Meta(description="Your own, with what is used; only the person raises them.")] = []

    def text(self) -> str:
        return "\n".join([*(each.line() for each in self.sums), *self.budgets]) or "nothing was asked of models"


class Askable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: Annotated[str, Meta(description="What @NAME in spawn, and agent in ask, take.")]
    kind: Annotated[str, Meta(description="model, agent (a file), or program (an agent that others wrote).")]
    state: Annotated[str, Meta(description="Of a model: stored, or as its process stands.")] | None = None


class Askables(Result, frozen=True, kw_only=True):
    askable: list[Askable]

    def text(self) -> str:
        lines = [f"@{each.name} ({each.kind}{', ' + each.state if each.state else ''})" for each in self.askable]
        return "\n".join(lines) or "no models and no agents; the person gets one with: aish model pull smollm2"


# --- words ------------------------------------------------------------------------------------------------------


def _how(end: Exit) -> str:
    return told(end if end.reason != DONE else Exit(end.code, end.signal))


def log_text(line: LogLine) -> str:
    """One line, bounded."""
    text = _ESCAPES.sub("", line.text)
    return text if len(text) <= LINE_CHARS else f"{text[:LINE_CHARS]}… (the line goes on)"


def shortened(text: str, most: int = LINE_CHARS) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def plain(words: bytes) -> str:
    return words.decode(errors="backslashreplace")


def budget_line(line: BudgetLine) -> str:
    used = "" if line.used is None else f", {line.used:g} used"
    return f"of {account.words(line.account)}: {line.word} {line.most:g}{used}"


def tree_order(rows: Iterable[ProcessPart]) -> list[ProcessPart]:
    """Parents before their children; who has no parent here is a root."""
    rows = list(rows)
    known = {row.id for row in rows}
    below: dict[str | None, list[ProcessPart]] = {}
    for row in rows:
        below.setdefault(row.parent if row.parent in known else None, []).append(row)
    found, stack = [], list(reversed(below.get(None, [])))
    while stack:
        row = stack.pop()
        found.append(row)
        stack += reversed(below.get(row.id, []))
    return found
