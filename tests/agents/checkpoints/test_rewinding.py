"""Checkpoints of an agent, taken and gone back to without a supervisor: also by who is killed in the middle of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from aish.agents.checkpoints import branching, rewinding, shelf
from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.checkpoint import Checkpoint
from aish.agents.checkpoints.shelf import Shelf
from aish.agents.checkpoints.taking import Occasion, known_place, take
from aish.agents.host.points import Kept
from aish.agents.transcript import Transcript
from aish.config import slots
from aish.errors import ConflictError, LimitError, StorageError
from aish.wire.part import SlotPart, TokensPart
from aish.worktree import snapshot
from aish.worktree.git import Git


class Agent:
    """What its host does at each turn, in a working tree of its own."""

    def __init__(self, folder: Path) -> None:
        self.repo, self.tree = folder / "repo", folder / "tree"
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main", folder=self.repo)
        (self.repo / "a.txt").write_text("a\n")
        self.git("add", ".", folder=self.repo)
        self.git("commit", "-q", "-m", "begin", folder=self.repo)
        self.git("worktree", "add", "-q", "-b", "aish/x", str(self.tree), folder=self.repo)
        self.shelf = Shelf(str(folder / "agents" / "1-p4"))
        self.place = snapshot.place_of(str(self.tree), str(self.repo))
        self.take(c.BEGUN)

    def git(self, *words: str, folder: Path | None = None) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = subprocess.run(
            ["git", *identity, *words], cwd=folder or self.tree, capture_output=True, text=True, check=True
        )
        return done.stdout

    def occasion(self, why: str, **more: str) -> Occasion:
        place = known_place(self.shelf) or self.place
        return Occasion(why, "p4", "fix", 1, "builtin", True, usage=TokensPart(input=7), place=place, **more)  # type: ignore[arg-type]

    def take(self, why: str, **more: str) -> Checkpoint:
        return take(self.shelf, self.occasion(why, **more))

    def turn(self, text: str) -> Checkpoint:
        """Says a word, writes it into a file, commits the one before."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", text)
        (self.tree / "said.txt").write_text(text)
        (self.tree / f"{text}.txt").write_text("new")
        transcript = Transcript(self.shelf.transcript)
        transcript.write("text", text=text)
        transcript.close()
        position = self.shelf.position
        kept = self.shelf.keep(text.encode())
        position = c.going_on(position, kept, slot(self.shelf.folder, text))
        self.shelf.stand(structs.replace(position, turn=position.turn + 1))
        return self.take(c.TURN)

    def state(self) -> tuple[object, ...]:
        """All that going back changes, but what is only added."""
        files = {path.name: path.read_bytes() for path in self.tree.iterdir() if path.is_file()}
        position = self.shelf.position
        said = self.shelf.conversation(position.kept) if position.kept else None
        where = self.git("rev-parse", "HEAD"), self.git("status", "--porcelain")
        return files, *where, said, position.turn, position.cache

    def rewound(self) -> int:
        text = Path(self.shelf.transcript).read_text()
        return [json.loads(line)["kind"] for line in text.splitlines()].count("rewound")


def slot(folder: str, text: str) -> SlotPart:
    """A file as the gateway keeps it."""
    data = text.encode() * 100
    name = hashlib.sha256(data).hexdigest()
    path = Path(slots.path(folder, name))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o600)
    return SlotPart(sha256=name, bytes=len(data), tokens=7, digest="d", context_tokens=9, build="b")


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def test_it_goes_back_and_forth(agent: Agent) -> None:
    first, then = agent.turn("one"), agent.state()
    agent.turn("two")
    later = agent.state()
    saved = rewinding.rewind(agent.shelf, first, agent.occasion(c.REWIND), ())
    assert (agent.state(), agent.rewound()) == (then, 1)
    rewinding.rewind(agent.shelf, saved, agent.occasion(c.REWIND), ())
    assert (agent.state(), agent.rewound()) == (later, 2)
    assert Path(agent.shelf.transcript).read_text().count('"text": "') == 2, "no line is taken away"


@pytest.mark.parametrize("spread", [range(0, 50, 11), pytest.param(range(60), marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(agent: Agent, spread: range) -> None:
    """Files of one turn with the conversation of another would have the agent work on what it never saw."""
    first, new = agent.turn("one"), agent.state()
    second = agent.turn("two")
    old = agent.state()
    seen = set()
    for step in spread:
        pid = os.fork()
        if not pid:  # the one that is killed
            try:
                _die_at(step)
                rewinding.rewind(agent.shelf, first, agent.occasion(c.REWIND), ())
            finally:
                os._exit(0)
        died = bool(os.waitpid(pid, 0)[1])
        begun = agent.shelf.intent is not None
        rewinding.finish(agent.shelf, ())  # the next one who stands there
        found = agent.state()
        assert found in (old, new), f"killed at step {step}"
        assert found == new or (died and not begun), f"killed at step {step}"
        seen.add((died, found == new))
        rewinding.rewind(agent.shelf, second, agent.occasion(c.REWIND), ())
        assert agent.state() == old
    assert {(True, False), (True, True), (False, True)} <= seen, "no kill hit before, in the middle, or none at all"


def _die_at(step: int) -> None:
    """At the step'th run of git or renaming of a file, before or after it."""
    left = [step]

    def counting(do):  # type: ignore[no-untyped-def]
        def done(*words, **more):  # type: ignore[no-untyped-def]
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), 9)
            return do(*words, **more)

        return done

    Git._once = counting(Git._once)  # type: ignore[method-assign]
    os.replace = counting(os.replace)  # type: ignore[assignment]


def test_what_has_no_conversation_is_not_gone_back_to(agent: Agent) -> None:
    position = agent.shelf.position
    agent.shelf.stand(structs.replace(position, session="s1", turn=1))
    of_a_program = take(agent.shelf, agent.occasion(c.TURN)._replace(adapter="claude", keeps_conversation=False))
    assert "named no place in this one to branch it at" in of_a_program.missing[c.CONVERSATION]
    with pytest.raises(ConflictError, match="no conversation to go on with"):
        rewinding.rewind(agent.shelf, of_a_program, agent.occasion(c.REWIND), ())
    agent.shelf.stand(structs.replace(agent.shelf.position, session=None))
    anew = take(agent.shelf, agent.occasion(c.TURN)._replace(adapter="program", keeps_conversation=False))
    assert "begin anew with each message" in anew.missing[c.CONVERSATION]


def test_a_session_that_it_was_given_to_begin_with_is_no_empty_conversation(agent: Agent) -> None:
    agent.shelf.stand(structs.replace(agent.shelf.position, session="s1"))
    begun = agent.take(c.BEGUN)
    assert (begun.turn, begun.conversation) == (0, None)
    assert c.CONVERSATION in begun.missing, "going back there would be a new conversation"


class Branching:
    """What the host does for a program that branches a conversation at its end alone."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.shelf = agent, agent.shelf

    def take(self, why: str) -> Checkpoint:
        return take(self.shelf, self.agent.occasion(why)._replace(adapter="acp", keeps_newest_only=True))

    def turn(self, *, failed: bool = False) -> Checkpoint:
        branching.move_on(self.shelf, "acp")
        position = self.shelf.position
        kept = Kept(self.shelf, newest_only=True)
        session = kept.session or f"s{position.turn}"
        kept.is_called(session)
        if not failed:
            kept.keep(f"{session} to its end".encode())
        self.shelf.stand(structs.replace(self.shelf.position, turn=position.turn + 1))
        return self.take(c.TURN)


def test_what_branches_at_its_end_alone_is_not_gone_back_to_once_it_went_on(agent: Agent) -> None:
    program = Branching(agent)
    first, second = program.turn(), program.turn()
    assert program.shelf.position.session == "s0", "it goes on with the same session"
    assert c.CONVERSATION not in first.missing
    lost = program.shelf.get(first.number, "p4")
    assert (lost.conversation, "has gone on with this one since" in lost.missing[c.CONVERSATION]) == (None, True)
    assert program.shelf.get(second.number, "p4").conversation is not None
    failed = program.turn(failed=True)
    assert c.CONVERSATION in failed.missing, "nobody knows where it stands"
    assert c.CONVERSATION in program.shelf.get(second.number, "p4").missing


def test_where_one_was_asked_for_the_next_turn_is_a_branch(agent: Agent) -> None:
    program = Branching(agent)
    program.turn()
    asked = program.take(c.ASKED)
    assert program.shelf.position.session is None
    later, failed = program.turn(), program.turn(failed=True)
    assert program.shelf.position.session == "s1"
    assert program.shelf.get(later.number, "p4").conversation is None
    assert c.CONVERSATION in failed.missing
    wanted = program.shelf.get(asked.number, "p4")
    rewinding.rewind(program.shelf, wanted, agent.occasion(c.REWIND), ())
    assert program.shelf.position.kept == asked.conversation
    assert program.shelf.conversation(str(asked.conversation)) == b"s0 to its end"


def test_what_is_left_for_others_is_branched_by_its_own_agent_too(agent: Agent) -> None:
    program = Branching(agent)
    first = program.turn()
    branching.leave(program.shelf, "of another turn")
    assert program.shelf.position.session == "s0"
    branching.leave(program.shelf, first.conversation)
    assert (program.shelf.position.session, program.shelf.position.kept) == (None, first.conversation)
    program.turn()
    assert program.shelf.get(first.number, "p4").conversation == first.conversation


def test_a_conversation_that_was_changed_is_not_gone_on_with(agent: Agent) -> None:
    first = agent.turn("one")
    agent.turn("two")
    before = agent.state()
    path = Path(agent.shelf.folder, "conversations", str(first.conversation))
    path.write_bytes(b"other words")
    with pytest.raises(StorageError, match="damaged"):
        rewinding.rewind(agent.shelf, first, agent.occasion(c.REWIND), ())
    assert agent.state() == before


def test_old_ones_go_with_what_only_they_named(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "RECENT_MOST", 3)
    monkeypatch.setattr(shelf, "ASKED_MOST", 2)
    agent.turn("one")
    asked = agent.take(c.ASKED, label="kept")
    for text in ("two", "three", "four", "five"):
        agent.turn(text)
    assert [each.number for each in agent.shelf.all().values()] == [3, 5, 6, 7]
    named = {each.conversation for each in agent.shelf.all().values()}
    assert set(os.listdir(Path(agent.shelf.folder, "conversations"))) == named
    kept = {each.cache.sha256 for each in agent.shelf.all().values() if each.cache}
    assert set(os.listdir(slots.kept(agent.shelf.folder))) == kept
    assert len(kept) == 4
    commits = {each.worktree.commit for each in agent.shelf.all().values() if each.worktree}
    refs = snapshot.refs_of(agent.place.common, snapshot.REFS)
    assert {ref.rpartition("/")[2] for ref in refs} == commits
    rewinding.rewind(agent.shelf, asked, agent.occasion(c.REWIND), ())
    agent.take(c.ASKED)
    with pytest.raises(LimitError, match="has 2 checkpoints already"):
        agent.take(c.ASKED)


def test_what_a_forgotten_agent_kept_in_the_repository_goes(agent: Agent) -> None:
    agents = os.path.dirname(agent.shelf.folder)
    shelf.sweep_forgotten(agent.place.common, agents)
    assert snapshot.refs_of(agent.place.common, snapshot.REFS)
    os.rename(agent.shelf.folder, f"{agent.shelf.folder}-gone")
    shelf.sweep_forgotten(agent.place.common, agents)
    assert snapshot.refs_of(agent.place.common, snapshot.REFS) == []


def test_the_oldest_can_be_gone_back_to(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of now would take its place."""
    monkeypatch.setattr(shelf, "RECENT_MOST", 3)
    agent.turn("one")
    agent.turn("two")
    begun = next(iter(agent.shelf.all().values()))
    rewinding.rewind(agent.shelf, begun, agent.occasion(c.REWIND), ())
    assert agent.shelf.position.turn == 0
    assert not (agent.tree / "one.txt").exists()


def test_numbers_are_never_given_twice(agent: Agent) -> None:
    agent.turn("one")
    second = agent.turn("two")
    agent.shelf.drop([second.number])
    assert agent.turn("three").number == second.number + 1


def test_files_are_the_users_alone(agent: Agent) -> None:
    agent.turn("one")
    for where, _, names in os.walk(agent.shelf.folder):
        for name in names:
            path = Path(where, name)
            if "/git/" not in str(path):
                assert path.stat().st_mode & 0o077 == 0, path
    assert Path(agent.shelf.folder).stat().st_mode & 0o077 == 0, "what git writes there is nobody's else"
