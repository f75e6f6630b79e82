"""aish from Python for asyncio, without threads: `AsyncAish`.

Made from aish.client.blocking by docs/make_aio.py; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.client import asks, mail, questions
from aish.client.aio_lines import AioLines
from aish.client.aio_process import AsyncProcess
from aish.client.answers import EventAnswers, ViewAnswers
from aish.client.call import ask
from aish.client.choice import name_of
from aish.client.connection import START_TIMEOUT_S
from aish.client.log_answers import LogWanted
from aish.client.wish import budget_of
from aish.wire import message as m
from aish.wire import reply as r
from aish.wire.question import PERMISSION, TEXT, YES_OR_NO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from re import Pattern
    from typing import Self, TypeVar, Unpack

    from aish.client.asks import Passed
    from aish.client.call import Asks
    from aish.client.choice import Labels, Target
    from aish.client.log_answers import LogLine, Stream
    from aish.client.log_stats import LogStats
    from aish.client.wish import SpecFields, Word
    from aish.model.exit import Exit
    from aish.wire.mail import MailPart
    from aish.wire.part import (
        EventPart,
        Finding,
        KeyPart,
        ProcessPart,
        RequestPart,
        RunPart,
        UsageRow,
        WindowPart,
        WindowRulePart,
    )
    from aish.wire.question import AnswerPart, OptionPart, QuestionPart
    from aish.wire.spec import BudgetPart, LimitPart, SpecPart

    T = TypeVar("T")


class AsyncAish:
    """The user's supervisor, which is started on the first question where it does not run (with `start`).

        async with AsyncAish() as aish:
            process = await aish.spawn(["sleep", "1"])
            print(await process.wait())

    All methods raise the errors of aish.errors, which tell what to do next (`hint`). A daemon that dies is replaced
    by the next one: what may be asked twice is asked again, the rest raises UnavailableError, since it may have been
    done.

    Where a method takes a process (`target`) that is a handle, a row of `processes`, an id ("p12") or a name. Where
    it takes several (`*targets`), `labels={"team": "ml"}` in their place means all that live and have these labels
    (None: whatever the value); NotFoundError where none does. All of several are tried, then the first refusal is
    raised, with the others as its notes.
    """

    def __init__(self, *, start: bool = True, program: str = "python", patience_s: float = START_TIMEOUT_S) -> None:
        """`patience_s`: for how long a supervisor may take to answer at first. `program` is for its log."""
        self._lines = AioLines(start=start, program=program, patience_s=patience_s)

    async def __aenter__(self) -> Self:
        await self._lines.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections. What is supervised goes on."""
        await self._lines.close()

    # --- processes begin ------------------------------------------------------------------------------------------

    async def spawn(
        self,
        command: Sequence[Word] | SpecPart,
        *,
        env: Mapping[str, str] | None = None,
        fds: Mapping[int, Passed] | None = None,
        rename: bool | None = None,
        window: tuple[int, int] | None = None,
        **fields: Unpack[SpecFields],
    ) -> AsyncProcess:
        """Start a supervised process: the words of its command, and what else it is to be (`name=`, `cwd=`,
        `restart=`, `ready=`, `needs=`, `limits=`, `labels=` … as aish.client.wish.SpecFields lists them).

        It may have to wait in the queue; then it is "queued", which is no error. `env` is all of its environment;
        None: that of here. `fds` maps numbers in the child to open files or descriptors of here; without, stdin is
        empty and output goes to its log. `rename`: a name that is taken gets a number; None: where no name was asked
        for. `window`: rows and columns of its terminal (with `pty=True`).

        Raises UnavailableError where it cannot be started, ConflictError where the name is taken.
        """
        return self._handle(await self._lines.run(asks.spawn(command, env, fds, rename, window, fields)))

    async def serve(
        self, stored: str, /, *, env: Mapping[str, str] | None = None, **fields: Unpack[SpecFields]
    ) -> AsyncProcess:
        """Have a stored model run: the process that serves it, started now or before. `wait_ready` waits for it."""
        return self._handle(await self._lines.run(asks.serve(stored, env, fields)))

    async def adopt(
        self,
        pid: int,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        limits: LimitPart | None = None,
        stop_signal: int = 15,
        grace_s: float = 10.0,
    ) -> AsyncProcess:
        """Supervise a process of the user that runs already; it does not notice. It has no log here, and how it ended
        may stay unknown: `aish.client.Exit.lost`."""
        return self._handle(await self._lines.run(asks.adopt(pid, name, labels, limits, stop_signal, grace_s)))

    async def process(self, target: Target) -> AsyncProcess:
        """The handle of a process that there is. Raises NotFoundError."""
        return self._handle(await self._lines.run(asks.process(target)))

    # --- processes end --------------------------------------------------------------------------------------------

    async def wait(self, target: Target, *, timeout_s: float | None = None) -> Exit:
        """Until it has ended; how. Raises TimedOutError, which is a TimeoutError."""
        return await self._lines.run(asks.wait(target, timeout_s))

    async def wait_all(
        self, *targets: Target, labels: Labels | None = None, timeout_s: float | None = None
    ) -> list[Exit]:
        """Until all have ended; how, in the order of their names here. With `labels` those that have ended, too.
        Raises TimedOutError."""
        return await self._lines.run(asks.wait_all(targets, labels, timeout_s))

    async def wait_any(
        self, *targets: Target, labels: Labels | None = None, timeout_s: float | None = None
    ) -> tuple[AsyncProcess, Exit]:
        """Until one of them has ended: which, and how. With `labels` those that have ended, too. Raises
        TimedOutError."""
        id, name, end = await self._lines.run(asks.wait_any(targets, labels, timeout_s))
        return AsyncProcess(self, id, name), end

    async def wait_ready(
        self,
        *targets: Target,
        labels: Labels | None = None,
        timeout_s: float | None = None,
        give_up: bool = False,
    ) -> None:
        """Until all are ready; what has no readiness: until it runs. Raises TimedOutError, and UnavailableError where
        one ended before, or (`give_up`) where waiting does not mend why a model is not: its server refuses a key."""
        await self._lines.run(asks.wait_ready(targets, labels, timeout_s, give_up))

    async def stop(
        self, *targets: Target, labels: Labels | None = None, grace_s: float | None = None, tree: bool = False
    ) -> list[Exit]:
        """The stop signal, and SIGKILL after the grace (0: at once); returns when all have ended. `tree`: and all
        supervised processes below them."""
        return await self._lines.run(asks.stop(targets, labels, grace_s, tree))

    async def wrapup(
        self,
        *targets: Target,
        labels: Labels | None = None,
        grace: str = "",
        within_s: float = 30.0,
        message: str | None = None,
    ) -> list[Exit]:
        """Have them say a last message and end; returns when all have. The next request of each to a model is asked
        for that, whatever its budgets are, and what comes after is refused. `grace`: what may still be asked, as
        `aish wrapup --grace` has it, one request where nothing is said; `message`: in place of aish's own words."""
        return await self._lines.run(asks.wrapup(targets, labels, grace, within_s, message))

    async def down(self, project: str, *targets: str, grace_s: float | None = None) -> bool:
        """Stop what belongs to a project (the absolute path of its aish.toml), or those of it that are named, in stop
        order; returns when all have ended. False: nothing ran."""
        return await self._lines.run(asks.changed(m.Down(project=project, targets=list(targets), grace_s=grace_s)))

    async def forget(self, *targets: Target, labels: Labels | None = None) -> None:
        """Drop ended processes from the table, with their logs; with `labels` those that have ended."""
        await self._lines.run(asks.each(lambda target: m.Forget(target=target), targets, labels, ended=True))

    async def shutdown(self, *, force: bool = True) -> None:
        """End everything in stop order, then the supervisor; without `force` refused while something runs."""
        await self._lines.leave(r.Done, m.Shutdown(force=force))

    async def off(self) -> r.HandedBack:
        """Hand everything back: the supervisor goes, what runs lives on without one. What became of each."""
        return await self._lines.leave(r.HandedBack, m.Off())

    # --- processes change -----------------------------------------------------------------------------------------

    async def start(
        self, *targets: Target, labels: Labels | None = None, env: Mapping[str, str] | None = None
    ) -> bool:
        """Have ended processes run again: same id, name and logs, with the surroundings of here. False: they run.
        With `labels` those that have ended."""
        return await self._lines.run(asks.start(targets, labels, env))

    async def restart(
        self,
        *targets: Target,
        labels: Labels | None = None,
        env: Mapping[str, str] | None = None,
        keep_env: bool = False,
        grace_s: float | None = None,
        spec: SpecPart | None = None,
    ) -> bool:
        """Stop, then start; an ended one is only started. With the environment of here, `env`, or (`keep_env`)
        the one that it had; with `spec` as that says from then on."""
        return await self._lines.run(asks.restart(targets, labels, env, keep_env, grace_s, spec))

    async def amend(self, target: Target, spec: SpecPart) -> bool:
        """Have it be as `spec` says without a restart: only fields of aish.wire.spec.AMENDABLE may differ. False:
        none does."""
        return await self._lines.run(asks.changed(m.Amend(target=name_of(target), spec=spec)))

    async def limit(
        self,
        target: Target,
        *,
        tokens: str | int | None = None,
        vram: str | int | None = None,
        memory: str | int | None = None,
        cpus: str | float | None = None,
        pids: str | int | None = None,
        read: str | int | None = None,
        write: str | int | None = None,
        nice: str | int | None = None,
        wall: str | None = None,
        children: str | int | None = None,
        depth: str | int | None = None,
        **budget: str | float,
    ) -> None:
        """Change limits, each as typed at `aish limit`: "8G" sets, "+50k" raises, "none" lifts. `read` and `write`
        are bytes per second, of each disk. `budget`: usd, input, output, requests, rpm, concurrent, context, hard.
        A sum may be that of a day: usd="5/day"; `wall` is for how long a run may go on, `children` how many processes
        are below it at a time, `depth` on how many levels. The target may be "key:NAME", "project:PATH" or "user".
        Raises UsageError."""
        changes = {"tokens": tokens, "vram": vram, "memory": memory, "cpus": cpus, "pids": pids}
        changes |= {"read": read, "write": write, "nice": nice, "wall": wall, "children": children, "depth": depth}
        await self._lines.run(asks.limit(target, {**changes, **budget}))

    async def pause(self, *targets: Target, labels: Labels | None = None, tree: bool = False) -> bool:
        """Hold them (SIGSTOP, or a freeze of the tree); their new requests to models wait. `tree`:
        and all supervised processes below them. False: they were held."""
        return await self._lines.run(asks.each(lambda target: m.Pause(target=target), targets, labels, tree=tree))

    async def cont(self, *targets: Target, labels: Labels | None = None, tree: bool = False) -> bool:
        """Lift the hold of `pause`, and no other; `tree` as there. False: there was none."""
        return await self._lines.run(asks.each(lambda target: m.Cont(target=target), targets, labels, tree=tree))

    async def signal(self, number: int | str, *targets: Target, labels: Labels | None = None) -> None:
        """Send a signal (signal.SIGHUP, "HUP") to process groups, and nothing else: what does not run has none."""
        bare = asks.signal_of(number)
        await self._lines.run(
            asks.each(lambda target: m.Signal(target=target, signal=bare, bare=True), targets, labels)
        )

    async def cancel(self, *targets: Target, labels: Labels | None = None) -> bool:
        """Have agents end the turn that is under way; those that read mail go on. False: none was. Raises
        ConflictError for what is no agent."""
        return await self._lines.run(asks.each(lambda target: m.Cancel(target=target), targets, labels))

    async def switch(self, target: Target, model: str | None) -> bool:
        """From its next request on that model answers it, whatever it asks for; None: what it asks for does again.
        False: it was so already."""
        return await self._lines.run(asks.changed(m.Switch(target=name_of(target), model=model)))

    async def label(
        self, target: Target, labels: Mapping[str, str] | None = None, *, unset: Sequence[str] = ()
    ) -> bool:
        """Give it labels, and take others away. False: it was so already."""
        wanted = m.Label(target=name_of(target), set=dict(labels or {}), unset=list(unset))
        return await self._lines.run(asks.changed(wanted))

    # --- looking --------------------------------------------------------------------------------------------------

    async def processes(
        self,
        *,
        all: bool = False,
        labels: Mapping[str, str | None] | None = None,
        ended_since_s: float | None = None,
    ) -> list[ProcessPart]:
        """The rows of `aish ps`; with `all` ended processes and parts of aish, too. Only those that have the labels
        (None: whatever the value); instead those that have ended since a moment, in seconds since 1970."""
        return await self._lines.run(asks.processes(asks.snapshot(all, labels, ended_since_s)))

    async def view(self, *, all: bool = False, labels: Mapping[str, str | None] | None = None) -> r.View:
        """Everything that ps and top show, at one moment."""
        return await self._lines.run(ask(r.View, asks.snapshot(all, labels)))

    def views(self, *, every_s: float = 1.0, all: bool = False) -> AsyncIterator[r.View]:
        """One view after another."""
        return self._lines.answers(ViewAnswers(m.Snapshot(all=all, every_s=every_s)))

    async def inspect(self, target: Target) -> r.Inspected:
        """One process in full: never a key, a value of its environment or a secret."""
        return await self._lines.run(ask(r.Inspected, m.Inspect(target=name_of(target))))

    async def why(self, target: Target) -> r.Explained:
        """Why it is as it is: a paragraph, and what it goes by."""
        return await self._lines.run(ask(r.Explained, m.Why(target=name_of(target))))

    async def history(self, target: Target, *, last: int = 20) -> list[RunPart]:
        """Its runs, newest first: the one that it is at, and the last ones that are over."""
        return await self._lines.run(asks.history(target, last))

    def logs(
        self,
        *targets: Target,
        labels: Labels | None = None,
        kind: str | None = None,
        follow: bool = False,
        since_s: float | None = None,
        until_s: float | None = None,
        last: int | None = None,
        grep: str | Pattern[str] | None = None,
        streams: Sequence[Stream] = ("stdout", "stderr"),
    ) -> AsyncIterator[LogLine]:
        """What processes wrote, in order; with `follow` also what comes, until all have ended. Without a target: of
        all that have the labels or are of the kind (aish.model.kind.KINDS), else of all that have not ended. From and
        to a moment (seconds since the epoch); only lines in which `grep` is found; of these the `last` of each."""
        wanted = LogWanted(targets, labels, kind, follow, since_s, until_s, last, streams, grep)
        return self._lines.log(wanted)

    async def log_stats(
        self, *targets: Target, labels: Labels | None = None, kind: str | None = None
    ) -> list[LogStats]:
        """How much processes wrote, when and how fast, and what of it is gone. Whose: as with `logs`."""
        return await self._lines.run(asks.log_stats(targets, labels, kind))

    def events(
        self,
        *,
        since: int = 0,
        since_s: float | None = None,
        follow: bool = False,
        last: int | None = None,
        target: Target | None = None,
        kinds: Sequence[str] = (),
        names: Sequence[str] = (),
        labels: Mapping[str, str | None] | None = None,
    ) -> AsyncIterator[EventPart]:
        """What happened after the event of that number and from that moment on (seconds since 1970), oldest first;
        with `follow` also what comes, each once, also when the daemon dies. Only the `last` ones; of one process, of
        some kinds (aish.model.event.KINDS), of processes of such a name or id, gone ones too, or with such labels."""
        wanted = m.Events(
            since=since,
            since_s=since_s,
            follow=follow,
            last=last,
            target=None if target is None else name_of(target),
            kinds=list(kinds),
            names=list(names),
            labels=dict(labels or {}),
        )
        return self._lines.answers(EventAnswers(wanted))

    async def gpus(self) -> r.GpuList:
        """Devices with what is used, promised and free; who waits, and why."""
        return await self._lines.run(ask(r.GpuList, m.Gpus()))

    async def doctor(self) -> list[Finding]:
        """What works here, what does not, and what mends it."""
        return await self._lines.run(asks.doctor())

    # --- keys and usage -------------------------------------------------------------------------------------------

    async def budgets(self, target: Target) -> r.Budgets:
        """The budgets of a process and of what is above it, nearest first; or those of a key, of "project:PATH", of
        "user". With what is used of each."""
        return await self._lines.run(asks.budgets(target))

    async def usage(self, *, by: str = "process", since_s: float | None = None) -> list[UsageRow]:
        """Sums of the gateway's records by "process", "model" or "agent"; since a moment, in seconds since 1970."""
        return await self._lines.run(asks.usage(by, since_s))

    async def requests(
        self,
        *who: Target,
        last: int = 20,
        since_s: float | None = None,
        after: int | None = None,
        model: str | None = None,
        failed: bool = False,
    ) -> list[RequestPart]:
        """Single requests to models, oldest first: the `last` ones, or those that follow the one of number `after`;
        of these processes, agents or keys ("key:NAME"), else of all."""
        wanted = m.RequestsQuery(
            last=last, since_s=since_s, after=after, who=[name_of(each) for each in who], model=model, failed=failed
        )
        return await self._lines.run(asks.requests(wanted))

    async def request_text(self, number: int) -> r.RequestText:
        """What was said in that request, where it is kept: see `texts`."""
        return await self._lines.run(asks.request_text(number))

    async def texts(self, whose: Target | None = None, *, keep: bool = True) -> list[str]:
        """Keep from now on what requests of a process and all that it starts say, of "key:NAME", "project:PATH" or
        "user" (all of them); or no longer, which also drops what is kept of it. Returns whose are kept."""
        return await self._lines.run(asks.texts(whose, keep))

    async def windows(self) -> list[WindowPart]:
        """Usage windows of subscriptions, as they stand now."""
        return await self._lines.run(asks.windows())

    async def window_rules(self) -> list[WindowRulePart]:
        """The rules over them."""
        return await self._lines.run(asks.window_rules())

    async def set_window(self, name: str, changes: Mapping[str, str]) -> bool:
        """Change the rule over the windows of a model's subscription, as `aish window set` does: "claude",
        {"reserve": "40%", "hours": "09-18"}; "none" lifts a word."""
        return await self._lines.run(asks.changed(m.WindowSet(target=name, changes=dict(changes))))

    async def unset_window(self, name: str) -> bool:
        """Take that rule away."""
        return await self._lines.run(asks.changed(m.WindowUnset(target=name)))

    async def keys(self) -> list[KeyPart]:
        """Keys of programs that aish did not start, and what they used."""
        return await self._lines.run(asks.keys())

    async def new_key(
        self,
        name: str,
        *,
        budget_tokens: int | None = None,
        budget: BudgetPart | str | None = None,
        nice: int = 0,
    ) -> r.KeyMade:
        """A key for such a program: the only time that it is shown. `budget` as that of `spawn`; `nice`: the weight
        of its requests where they wait for a place at a model."""
        made = m.KeyNew(name=name, budget_tokens=budget_tokens, budget=budget_of(budget), nice=nice)
        return await self._lines.run(ask(r.KeyMade, made))

    async def revoke_key(self, name: str) -> bool:
        """A key is void from now on."""
        return await self._lines.run(asks.changed(m.KeyRevoke(name=name)))

    # --- what agents ask ------------------------------------------------------------------------------------------

    async def questions(self, target: Target | None = None) -> list[QuestionPart]:
        """What agents ask the person and is not answered yet, oldest first; of one, or of all."""
        return await self._lines.run(questions.waiting(target))

    async def answer(self, number: int, option: str | None = None, *, words: str | None = None) -> QuestionPart:
        """Answer the question with that number: by the id of one of its options, or in words where it takes them.
        Raises RefusedError (only the user answers), ConflictError where it was answered already."""
        return await self._lines.run(questions.answer(number, option, words))

    async def tell(self, activity: str | None, doing: str | None = None) -> bool:
        """For a supervised program: what it is doing, "generating", "tool", "queued", "idle" or None, and a
        word about it."""
        return await self._lines.run(questions.tell(activity, doing))

    async def conclude(self, reason: str, text: str = "") -> bool:
        """For the leader of a supervised process that is about to fail: why, one of aish.model.exit.TOLD, and a
        sentence about it. `ps`, `inspect` and `why` show them, unless the supervisor knows better."""
        return await self._lines.run(questions.conclude(reason, text))

    async def ask_person(
        self,
        title: str,
        *,
        kind: str = PERMISSION,
        body: str = "",
        form: str = TEXT,
        options: Sequence[OptionPart] = YES_OR_NO,
        words: bool = False,
        token: str | None = None,
    ) -> AnswerPart:
        """For a supervised program: ask the person that it works for, and wait for the answer. The same `token` again
        is the same question: it has its answer at once if there is one. See aish.wire.question."""
        return await self._lines.run(questions.put(title, kind, body, form, options, words, token))

    async def withdraw(self, token: str) -> bool:
        """For a supervised program: the question with that token needs no answer any more. False: it has one."""
        return await self._lines.run(questions.withdraw(token))

    # --- mail to agents -------------------------------------------------------------------------------------------

    async def send(self, target: Target, text: str, *, token: str | None = None) -> int:
        """A message to an agent that runs, read at the boundary of its turn; its number. It outlives every death but
        that of its receiver, and is sent once. Raises ConflictError where nobody reads mail."""
        return await self._lines.run(mail.send(target, text, token))

    async def response(self, number: int, *, timeout_s: float | None = None) -> MailPart:
        """That message once it is answered, or returned since its receiver has ended. Raises TimedOutError."""
        return await self._lines.run(mail.response(number, timeout_s))

    async def mail(self, target: Target | None = None) -> list[MailPart]:
        """Messages to one agent, or to all, oldest first."""
        return await self._lines.run(mail.waiting(target))

    async def receive(self, *, after: int = 0, timeout_s: float | None = None) -> MailPart | None:
        """For a supervised program: its oldest message that it has not answered, once there is one. Who wants another
        before it answers says `after` which."""
        return await self._lines.run(mail.receive(after, timeout_s))

    async def respond(self, number: int, text: str, *, status: int = 0) -> None:
        """For a supervised program: its answer to a message; `status` as an exit status."""
        await self._lines.run(mail.respond(number, text, status))

    # --- below ----------------------------------------------------------------------------------------------------

    async def carry(self, question: Asks[T]) -> T:
        """Ask what a generator as those of aish.client.asks asks, and return what it returns: for parts of aish that
        stand above this one, such as aish.project."""
        return await self._lines.run(question)

    def _handle(self, found: r.Started | ProcessPart) -> AsyncProcess:
        return AsyncProcess(self, found.id, found.name)
