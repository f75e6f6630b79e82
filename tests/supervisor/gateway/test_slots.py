"""KV slots of the embedded model, kept and put back by the gateway: what the server says that it has read decides."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish import store
from aish.errors import ConflictError
from aish.plugins.llamacpp import server as llamacpp
from aish.supervisor.gateway import slots
from aish.supervisor.gateway.routes import Server
from aish.wire.link import Readiness
from aish.wire.message import SlotKeep, SlotUse
from aish.wire.part import SlotPart
from aish.wire.reply import Done, Failure, SlotKept

from .conftest import World

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 60.0
RULES = " ".join(f"Rule {number}: be kind to number {number}." for number in range(15))


class Saving(World):
    """The world with llama.cpp, which saves KV slots."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.model = store.pull("smollm2")  # it is there
        self.server: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def serve(self, **options: str) -> None:
        """Start the server, or another one in its place: the one before is killed."""
        self.kill()
        self.starts += 1
        model = dataclasses.replace(self.model, options=self.model.options | options)
        plan = llamacpp().plan(model, str(self.root / "llm.sock"))
        with open(self.root / "llm.log", "ab") as log:
            self.server = subprocess.Popen(plan.argv, env=os.environ | plan.environ, stdout=log, stderr=log)
        digest = model.digest + "".join(options.values())
        self.daemon.model("p1", "small", plan.url, upstream_name=plan.upstream_name, digest=digest)
        self.daemon.wait_for(
            lambda daemon: sum(isinstance(e, Readiness) and e.ready == "yes" for e in daemon.heard) >= self.starts,
            DEADLINE_S,
        )

    def kill(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.daemon.change("p1", alive=False)

    def start(self) -> Saving:
        self.daemon.start()
        self.gateway.start()
        return self

    def stop(self) -> None:
        super().stop()
        self.kill()

    @property
    def drafts(self) -> list[str]:
        return os.listdir(self.gateway.state / "slots")


class Agent:
    """One with a folder, as its host makes it; `say` is a turn of its conversation."""

    def __init__(self, world: Saving, *, like: Agent | None = None) -> None:
        self.world = world
        self.id, self.key = world.agent()
        self.folder = world.gateway.state / "agents" / f"{world.daemon.epoch}-{self.id}"
        (self.folder / "slots").mkdir(parents=True)
        system = {"role": "system", "content": f"You are {self.id}. {RULES}"}
        self.messages: list[dict[str, str]] = [system] if like is None else list(like.messages)
        self.prompt = self.answer = self.had = 0

    def say(self, text: str, **fields: object) -> str:
        self.messages.append({"role": "user", "content": text})
        body = {"model": "small", "messages": self.messages, "max_tokens": 12, "temperature": 0, **fields}
        status, answer, _ = self.world.gateway.call("/v1/chat/completions", body, self.key)
        assert status == 200, answer
        self.prompt = answer["usage"]["prompt_tokens"]
        self.answer = answer["usage"]["completion_tokens"]
        self.had = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        said: str = answer["choices"][0]["message"]["content"]
        self.messages.append({"role": "assistant", "content": said})
        return said

    def keep(self, *, alone: bool = False) -> SlotKept:
        kept = self.world.daemon.ask(SlotKeep(target=self.id, alone=alone))
        assert isinstance(kept, SlotKept)
        assert not self.world.drafts
        return kept

    def kept(self) -> SlotPart:
        kept = self.keep()
        assert kept.slot is not None, kept.why
        return kept.slot

    def use(self, part: SlotPart) -> Any:
        return self.world.daemon.ask(SlotUse(target=self.id, slot=part))

    def path(self, part: SlotPart) -> Path:
        return self.folder / "slots" / part.sha256


@pytest.fixture(scope="module")
def world(embedded_store: Path) -> Iterator[Saving]:
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(embedded_store.parents[1]))
        patch.setenv("XDG_STATE_HOME", str(root / "state"))
        made = Saving(root)
        try:
            made.start().serve()
            yield made
        finally:
            made.stop()
            shutil.rmtree(root, ignore_errors=True)


@pytest.mark.model
def test_it_is_kept_and_put_back_into_a_new_server(world: Saving) -> None:
    agent = Agent(world)
    agent.say("Name a colour.")
    agent.say("Name another one.")
    part = agent.kept()
    path = agent.path(part)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == part.bytes
    assert part.tokens == agent.prompt + agent.answer - 1
    world.serve()
    assert agent.use(part) == Done()
    vectors = {"model": "small", "input": "a river"}
    assert world.gateway.call("/v1/embeddings", vectors, agent.key)[0] == 200
    agent.say("And one more.")
    assert agent.prompt - 40 < agent.had >= part.tokens - 3, "all but the new words, and where the answer ended"
    assert agent.keep().told == ""
    assert path.exists(), "the file of a checkpoint is read, not used up"


@pytest.mark.model
def test_another_one_goes_on_from_it(world: Saving) -> None:
    first = Agent(world)
    first.say("Name a colour.")
    part = first.kept()
    fork = Agent(world, like=first)
    os.link(first.path(part), fork.path(part))
    world.serve()
    assert fork.use(part) == Done()
    fork.say("And a second one.")
    assert fork.had >= part.tokens - 3
    assert fork.keep().told == ""


@pytest.mark.model
def test_it_is_not_read_where_its_slot_has_it_still(world: Saving) -> None:
    agent = Agent(world)
    agent.say("Name a colour.")
    part = agent.kept()
    agent.path(part).write_bytes(bytes(part.bytes))
    agent.use(part)
    agent.say("And a second one.")
    assert agent.had >= part.tokens - 3
    assert agent.keep().told == "", "nobody looked into the file"


@pytest.mark.model
@pytest.mark.slow
def test_who_is_missed_least_goes_for_it(world: Saving) -> None:
    """With two slots and two agents, the third that is put back would else take the one that was used last."""
    world.serve()
    old, new, third = Agent(world), Agent(world), Agent(world)
    old.say("Name a colour.")
    parts = [old.kept()]
    new.say("Name a colour.")
    parts.append(new.kept())
    third.say("Name a colour.")
    parts.append(third.kept())
    old.use(parts[0])
    old.say("And a second one.")
    assert old.had >= parts[0].tokens - 3
    third.use(parts[2])
    third.say("And a second one.")
    assert third.had >= parts[2].tokens - 3


@pytest.mark.model
@pytest.mark.slow
def test_what_others_asked_since_is_not_kept_for_it(world: Saving) -> None:
    world.serve(slots="1")
    agent, other = Agent(world), Agent(world)
    agent.say("Name a colour.")
    other.say("Name a colour.")
    kept = agent.keep()
    assert (kept.slot, kept.why) == (
        None,
        "its slot has another conversation by now: others have asked its model's server since",
    )
    assert not list((agent.folder / "slots").iterdir())
    assert other.kept().tokens
    world.serve()


@pytest.mark.model
@pytest.mark.slow
def test_as_many_tokens_are_not_the_same_conversation(world: Saving) -> None:
    """The server tells how many tokens a slot has and not which: what it has saved is looked at."""
    world.serve(slots="1")
    agent, other = Agent(world), Agent(world)
    other.messages[0] = {**agent.messages[0], "content": agent.messages[0]["content"].replace("kind", "good")}
    agent.say("Name a colour.", max_tokens=5, ignore_eos=True)
    other.say("Name a colour.", max_tokens=5, ignore_eos=True)
    assert agent.prompt == other.prompt
    assert agent.keep().why.startswith("its slot has another conversation by now")
    world.serve()


@pytest.mark.model
@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("damaged", "the file of its KV slot is damaged"),
        ("model", "its KV slot is of another model than small is now"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_word_and_the_conversation_is_right(
    world: Saving, harm: str, told: str
) -> None:
    """llama.cpp takes a file with a changed byte, and would answer with nonsense."""
    agent = Agent(world)
    agent.say("Name a colour.")
    part = agent.kept()
    messages = list(agent.messages)
    world.serve()
    said = agent.say("And a second one.")
    agent.messages = messages
    if harm == "damaged":
        with open(agent.path(part), "r+b") as file:
            file.seek(part.bytes // 2)
            file.write(b"\xff" * 4096)
    world.serve(**({"ctx": "2048"} if harm == "model" else {}))
    assert agent.use(part) == Done()
    assert agent.say("And a second one.") == said
    assert agent.had < part.tokens // 2
    assert agent.keep().told == f"{told}: the conversation was read once more"
    world.serve()


@pytest.mark.model
def test_a_file_that_is_gone_is_told_at_once(world: Saving) -> None:
    agent = Agent(world)
    agent.say("Name a colour.")
    part = agent.kept()
    os.truncate(agent.path(part), part.bytes - 1)
    for _ in range(2):
        answer = agent.use(part)
        assert isinstance(answer, Failure)
        assert answer.message == "the file of its KV slot is gone, or is not whole"
        agent.path(part).unlink(missing_ok=True)
    agent.say("And a second one.")


@pytest.mark.model
@pytest.mark.slow
def test_a_program_that_had_several_conversations_may_mean_any_of_them(world: Saving) -> None:
    agent = Agent(world)
    agent.say("Name a colour.")
    agent.say("And a second one.")
    assert agent.keep(alone=True).slot is not None
    talk = list(agent.messages)
    agent.say("And a third one.")
    agent.messages = [{"role": "user", "content": "Give this a title: colours"}]
    agent.say("Short.")
    agent.messages = talk
    agent.say("And a third one.")
    assert "several conversations in this turn" in agent.keep(alone=True).why
    agent.say("And a fourth one.")
    assert agent.keep(alone=True).slot is not None, "of a turn that is over nothing is left"


@pytest.mark.model
def test_a_gateway_that_was_killed_knows_of_nothing_and_puts_back_what_is_kept(world: Saving) -> None:
    agent = Agent(world)
    agent.say("Name a colour.")
    part = agent.kept()
    agent.say("And a second one.")
    world.gateway.kill()
    world.daemon.heard.clear()
    world.starts = 1
    world.gateway.start()
    world.daemon.ready("p1")
    assert "it may have begun anew" in agent.keep().why
    world.serve()
    agent.messages = agent.messages[:3]
    agent.use(part)
    agent.say("And a second one.")
    assert agent.had >= part.tokens - 3


def test_who_saves_nothing_is_named(shared: World) -> None:
    """Every other server: a remote one, or a llama.cpp that aish does not run."""
    id, key = shared.agent()
    assert shared.gateway.chat(key, "say 1")[0] == 200
    kept = shared.daemon.ask(SlotKeep(target=id))
    assert kept == SlotKept(
        why="the server of small has what it has read as long as it has room, and saves nothing of it"
    )


@pytest.mark.parametrize(
    ("is_now", "says"),
    [
        ({}, None),
        ({"digest": "other"}, "of another model than small is now"),
        ({"context_tokens": 2048}, "of a context of 4,096 tokens"),
        ({"saves": "x-2"}, "of another build of the server, x-1"),
        ({"saves": None}, "takes no KV slots"),
    ],
)
def test_a_file_is_for_the_server_that_wrote_it(is_now: dict[str, Any], says: str | None) -> None:
    part = SlotPart(sha256="0", bytes=1, tokens=1, digest="d", context_tokens=4096, build="x-1")
    fields = {"digest": "d", "context_tokens": 4096, "saves": "x-1"} | is_now
    server = Server("p1", "small", "unix:/x", **fields)  # type: ignore[arg-type]
    if says is None:
        slots._check(part, server)
        return
    with pytest.raises(ConflictError, match=says):
        slots._check(part, server)


def test_a_draft_that_a_kill_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server goes on writing for a gateway that was killed: nobody would ever remove what it wrote."""
    monkeypatch.setattr(slots, "DRAFT_S", -60.0)
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots" / "p7-left").write_bytes(b"x")
    one = slots.Slots(str(tmp_path), None, None)  # type: ignore[arg-type]
    with one._draft("p1") as path:
        Path(path).write_bytes(b"y")
    assert not os.listdir(tmp_path / "slots")
