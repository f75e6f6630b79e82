"""Every request of a client to the daemon; `aish.wire.reply` has what it answers.

Text that comes from the operating system (arguments, folders, environment) may hold any bytes, so it travels as
bytes. docs/protocol.md is the prose. A change of meaning raises VERSION; a new optional field does not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from aish.wire.part import SlotPart
from aish.wire.question import OptionPart
from aish.wire.spec import BudgetPart, LaunchPart, LimitPart, SpecPart

VERSION: Final = 1


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag=lambda name: name, omit_defaults=True):
    """Root of requests and replies; the class name is the tag."""


class Hello(Message, frozen=True, kw_only=True):
    """First on every connection."""

    version: int
    program: str = ""


class Spawn(Message, frozen=True, kw_only=True):
    """Start a process. `token` (32 hex digits, chosen by the client) makes it idempotent: the same token again, also
    to a later daemon, answers with the same process.

    `targets` are the numbers that the attached descriptors get in the child, in order. Where 0 is missing stdin is
    /dev/null; where 1 or 2 is missing it is the process's log, appended by the child itself.
    """

    token: str
    spec: SpecPart
    launch: LaunchPart
    targets: list[int] = []
    rename: bool = False
    """Where the name is taken, add -2, -3 … instead of refusing: several stages may run the same agent."""
    window: tuple[int, int] | None = None
    """Rows and columns that its terminal has from the start; None: 24 and 80."""
    patience_s: float | None = None
    """How long a holder that is silent is waited for (None: 30 s). Then it has failed, and is never started."""
    budget_of: str | None = None
    """It goes on from a checkpoint of that agent: the sums that its spec limits are taken from those of that one, in
    the same step."""


class Serve(Message, frozen=True, kw_only=True):
    """Have a stored model run; answers with the process that serves it, started now or before."""

    model: str
    vram_bytes: int | None = None
    launch: LaunchPart | None = None
    spec: SpecPart | None = None
    """What else is wanted of its process; command, folder, name, kind, model and route are the server's."""


class Adopt(Message, frozen=True, kw_only=True):
    """Take in a process that runs already: one of the same user, started by somebody else. `token` as in Spawn.

    `start_ticks` (proc(5), field 22) says which process was meant when `pid` was read; another one is refused.
    """

    token: str
    pid: int
    start_ticks: int | None = None
    name: str | None = None
    labels: dict[str, str] = {}
    limits: LimitPart | None = None
    stop_signal: int = 15
    grace_s: float = 10.0


class Snapshot(Message, frozen=True, kw_only=True):
    """Ask for a View now; with `every_s` one after another until the connection closes."""

    all: bool = False
    every_s: float | None = None
    labels: dict[str, str | None] = {}
    """Only those that have them; a value of None: whatever it is."""
    ended_since_s: float | None = None
    """Instead those that have ended since then, in seconds since the epoch."""
    figures: bool = True
    """Whether what they use is to be looked at first; else it is as of whenever somebody last looked."""


class Inspect(Message, frozen=True, kw_only=True):
    target: str


class History(Message, frozen=True, kw_only=True):
    """The runs of a process, newest first: the one that it is at, and the last ones that are over."""

    target: str
    last: int = 20


class Why(Message, frozen=True, kw_only=True):
    """Why a process is as it is: waits, is held, was ended, failed, was started again, is slow."""

    target: str


class Wait(Message, frozen=True, kw_only=True):
    """Answer when the target has ended ("ended") or is ready ("ready": answers also when it ended before; with
    `give_up` also when waiting does not mend why it is not)."""

    target: str
    until: str = "ended"
    timeout_s: float | None = None
    give_up: bool = False
    restarts: int | None = None
    """As the answer to Stop had it: answer also when it has been started again since, for then it had ended."""


class WaitMany(Message, frozen=True, kw_only=True):
    """`Wait` for several: until all of them have, or with `any` the first."""

    targets: list[str]
    until: str = "ended"
    any: bool = False
    timeout_s: float | None = None


class Signal(Message, frozen=True, kw_only=True):
    """Send a signal to the process group of the target."""

    target: str
    signal: int
    bare: bool = False
    """A signal and nothing else: what does not run yet is not stopped by it, but refused."""


class Cancel(Message, frozen=True, kw_only=True):
    """Have an agent end the turn that is under way: SIGINT to it. One that reads mail goes on with its next message,
    another one ends. `changed` is false where no turn is under way."""

    target: str


class Stop(Message, frozen=True, kw_only=True):
    """Stop signal, then SIGKILL after the grace; `grace_s` 0 kills at once."""

    target: str
    grace_s: float | None = None


class Start(Message, frozen=True, kw_only=True):
    """Have an ended process run again: same id, name and logs, with the caller's surroundings."""

    target: str
    launch: LaunchPart


class Restart(Message, frozen=True, kw_only=True):
    """Stop it, then start it; an ended one is only started. Without `launch` with the surroundings that it had;
    with `spec` as that says from then on. Kind and name stay."""

    target: str
    launch: LaunchPart | None = None
    grace_s: float | None = None
    spec: SpecPart | None = None


class Amend(Message, frozen=True, kw_only=True):
    """Have a process be as `spec` says without a restart. Refused where more than AMENDABLE fields differ."""

    target: str
    spec: SpecPart


class Down(Message, frozen=True, kw_only=True):
    """Stop what belongs to a project, or those of it in `targets`, in stop order; answers when all have ended."""

    project: str
    targets: list[str] = []
    grace_s: float | None = None


class Pause(Message, frozen=True, kw_only=True):
    target: str


class Cont(Message, frozen=True, kw_only=True):
    target: str


class Limit(Message, frozen=True, kw_only=True):
    """Change limits, each as typed: "200k" sets, "+50k" raises, "none" lifts. The target may be an account of the
    gateway, too: see aish.wire.account."""

    target: str
    tokens: str | None = None
    vram: str | None = None
    memory: str | None = None
    cpus: str | None = None
    pids: str | None = None
    read: str | None = None
    write: str | None = None
    """Bytes per second, of each disk."""
    nice: str | None = None
    wall: str | None = None
    """For how long a run may go on: "2h"."""
    children: str | None = None
    depth: str | None = None
    """Supervised processes below it at a time, and levels of them."""
    budget: dict[str, str] = {}
    """What a budget limits beside tokens in all, by the words of `aish.wire.budget`."""
    anew: bool = False
    """Of a project: this is all that its file says, and what it said before does not count any more. Where it says
    what it said before nothing changes."""


class Wrapup(Message, frozen=True, kw_only=True):
    """Have a process say a last message and end: its next request to a model is asked for that, whatever its budgets
    are, and what comes after is refused. When that is over, or the time, it is stopped."""

    target: str
    grace: str = ""
    """What it may still ask, as `aish spawn --budget` has it: "tokens=2k,usd=0.10"; requests=1 where nothing else is
    said of them."""
    within_s: float = 30.0
    message: str | None = None
    """What it is told; None: a text of aish's own."""


class BudgetQuery(Message, frozen=True, kw_only=True):
    """Budgets above a process or a key, or those of a project or the user, with what is used of them."""

    target: str


class Switch(Message, frozen=True, kw_only=True):
    """From its next request on a process is answered by that model, whatever it asks for; None: by what it asks for
    again."""

    target: str
    model: str | None = None


class Label(Message, frozen=True, kw_only=True):
    """Give a process labels, and take others away; all of it or nothing."""

    target: str
    set: dict[str, str] = {}
    unset: list[str] = []


class Forget(Message, frozen=True, kw_only=True):
    """Drop an ended process from the table, with its logs."""

    target: str


class Logs(Message, frozen=True, kw_only=True):
    """The log files of a process, as two read-only descriptors: stdout, stderr; with `index` a third one."""

    target: str
    index: bool = False


class Attach(Message, frozen=True, kw_only=True):
    """Be at the terminal of a process: an Attached now, one whenever a new run or the loss of the lease changes it,
    and Waited when the process has ended. Takes the connection for itself, and leaves the terminal with it.

    `write` asks for the lease to type and to set the window's size, which one connection at a time has; `take` takes
    it from who has it. `terminal` says for people where the client is.
    """

    target: str
    write: bool = False
    take: bool = False
    terminal: str = ""


class Events(Message, frozen=True, kw_only=True):
    """Journaled events after number `since`; with `follow` the stream goes on.

    What else is set must all be met; an empty list or map asks for nothing.
    """

    since: int = 0
    follow: bool = False
    target: str | None = None
    since_s: float | None = None
    """Seconds since the epoch."""
    kinds: list[str] = []
    names: list[str] = []
    """Of a process of such a name or id, also of one that is not in the table any more."""
    labels: dict[str, str | None] = {}
    """Of a process that has these now; a value of None: whatever it is."""
    last: int | None = None
    """Only so many, the newest, before what follows."""


class Gpus(Message, frozen=True, kw_only=True):
    """Devices, promises and queue."""


class KeyNew(Message, frozen=True, kw_only=True):
    name: str
    budget_tokens: int | None = None
    budget: BudgetPart | None = None
    nice: int = 0
    """The weight of its requests where they wait for a place at a model."""


class KeyList(Message, frozen=True, kw_only=True):
    pass


class KeyRevoke(Message, frozen=True, kw_only=True):
    name: str


class UsageQuery(Message, frozen=True, kw_only=True):
    """Sums of the gateway's own records; `by` is "process", "model", "agent", "day" or "project"."""

    by: str = "process"
    since_s: float | None = None
    """Seconds since the epoch."""


class RequestsQuery(Message, frozen=True, kw_only=True):
    """Single requests of the gateway's own records, the newest; all conditions must be met."""

    last: int = 20
    """The answer may have fewer: see RequestList.more."""
    since_s: float | None = None
    """That came from then on, in seconds since the epoch."""
    after: int | None = None
    """With a larger number: then the oldest of them, for who goes on where another answer ended."""
    who: list[str] = []
    """Of processes of this id or name, agents of this name, keys ("key:NAME")."""
    model: str | None = None
    failed: bool = False
    """Only those that were answered with an error, or by nobody."""
    numbers: list[int] = []
    """These in any case: what was under way in an earlier answer."""


class KeepText(Message, frozen=True, kw_only=True):
    """Keep what requests of a process, with all that it starts, of a key, a project or the user (all of them) say and
    are answered; or no longer, and drop what is kept of them. Without a target nothing changes."""

    target: str | None = None
    keep: bool = True


class TextQuery(Message, frozen=True, kw_only=True):
    """What was said in one request, where that is kept."""

    number: int


class WindowList(Message, frozen=True, kw_only=True):
    """Usage windows of subscriptions, as the gateway knows them, and the rules over them."""


class WindowSet(Message, frozen=True, kw_only=True):
    """Change the rule over the windows of a model's accounts, each word as typed; "none" lifts it."""

    target: str
    """claude, claude/5h, claude#LOGIN/7d."""
    changes: dict[str, str]


class WindowUnset(Message, frozen=True, kw_only=True):
    """Take a rule away."""

    target: str


class Tell(Message, frozen=True, kw_only=True):
    """What the caller, a supervised process, is doing: one of TOLD in aish.model.state; None: that is not known. What
    the gateway knows of its requests goes before it."""

    activity: str | None = None
    doing: str | None = None


class Conclude(Message, frozen=True, kw_only=True):
    """Why the caller, the leader of a supervised process, is about to end: a word of TOLD in aish.model.exit, and a
    sentence. It is the reason of its end, if that is no success and the supervisor knows no other."""

    reason: str
    text: str = ""


class Ask(Message, frozen=True, kw_only=True):
    """A question of the caller, a supervised process, to the person; answered when that has answered. The same token
    again is the same question."""

    token: str
    kind: str
    title: str
    body: str = ""
    form: str = "text"
    options: list[OptionPart] = []
    words: bool = False
    """It may be answered in one's own words."""


class Withdraw(Message, frozen=True, kw_only=True):
    """The caller does not want to know any more."""

    token: str


class Answer(Message, frozen=True, kw_only=True):
    """Answer the question with that number: by one of its options, or in words where it takes them."""

    number: int
    option: str | None = None
    words: str | None = None


class Questions(Message, frozen=True, kw_only=True):
    """All that wait for an answer, oldest first, or those of one process and of what is below it."""

    target: str | None = None


class Send(Message, frozen=True, kw_only=True):
    """A message to an agent that runs, read at the boundary of its turn. The same token again is the same message."""

    token: str
    target: str
    text: str
    schema: str | None = None
    """A JSON schema of the answer."""


class Receive(Message, frozen=True, kw_only=True):
    """The oldest message of the caller, a supervised process, that it has not answered and whose number is above
    `after`; None when the time is over. So who answers one before it asks for the next says nothing of `after`."""

    after: int = 0
    timeout_s: float | None = None


class Respond(Message, frozen=True, kw_only=True):
    """The caller's answer to a message that it has received; `status` as an exit status."""

    number: int
    text: str
    status: int = 0


class AwaitResponse(Message, frozen=True, kw_only=True):
    """A message of the caller's, or of anybody's to the user, once it is answered or returned, or as it is when the
    time is over."""

    number: int
    timeout_s: float | None = None


class MailQuery(Message, frozen=True, kw_only=True):
    """The mail of one process, or of all, oldest first."""

    target: str | None = None


class Mark(Message, frozen=True, kw_only=True):
    """The caller is about to touch the checkpoints of an agent, which lie in files of their own: may it? With `done`
    it has, and that is an event. `deed` is "checkpoint", "rewind" or "drop"."""

    target: str
    deed: str
    done: bool = False
    checkpoint: str = ""
    """p4.3"""


class SlotUse(Message, frozen=True, kw_only=True):
    """The caller, an agent's host, begins a turn of a conversation of which it has kept the KV slot: a slot of its
    model's server gets that before the next request of the caller, if it has not got it still."""

    slot: SlotPart
    target: str = ""
    """The caller: the daemon says who that is."""


class SlotKeep(Message, frozen=True, kw_only=True):
    """The caller, an agent's host, has had a turn: keep the KV slot of the conversation that it asked about last."""

    alone: bool = False
    """Only where it has asked about no other one in this turn: which of them goes on, its program alone knows."""
    target: str = ""


class Doctor(Message, frozen=True, kw_only=True):
    pass


class Shutdown(Message, frozen=True, kw_only=True):
    """End everything in stop order; refused while something runs unless `force`."""

    force: bool = False


class Off(Message, frozen=True, kw_only=True):
    """Hand everything back: the supervisor goes, what runs lives on."""


class GatewayHello(Message, frozen=True, kw_only=True):
    """The gateway's own connection: aish.wire.link is spoken after the Welcome."""

    pid: int
    alert: str | None = None
    """What a person should know of it, as long as it lives."""


class EgressHello(Message, frozen=True, kw_only=True):
    """The egress proxy's own connection: aish.wire.egress is spoken after the Welcome."""


Request = (
    Hello
    | Spawn
    | Serve
    | Adopt
    | Snapshot
    | Inspect
    | History
    | Why
    | Wait
    | WaitMany
    | Signal
    | Cancel
    | Stop
    | Start
    | Restart
    | Amend
    | Down
    | Pause
    | Cont
    | Limit
    | Wrapup
    | BudgetQuery
    | Switch
    | Label
    | Forget
    | Logs
    | Attach
    | Events
    | Gpus
    | KeyNew
    | KeyList
    | KeyRevoke
    | UsageQuery
    | RequestsQuery
    | KeepText
    | TextQuery
    | WindowList
    | WindowSet
    | WindowUnset
    | Tell
    | Conclude
    | Ask
    | Withdraw
    | Answer
    | Questions
    | Send
    | Receive
    | Respond
    | AwaitResponse
    | MailQuery
    | Mark
    | SlotUse
    | SlotKeep
    | Doctor
    | Shutdown
    | Off
    | GatewayHello
    | EgressHello
)
