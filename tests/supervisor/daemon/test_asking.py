"""Agents that ask, on the whole way: a supervised program, the daemon, the person. Nobody else answers, no death of
the supervisor loses a question or an answer, and none is asked twice."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import ConflictError, InputError, NotFoundError
from aish.wire.message import Answer, Ask, Questions, Signal, Tell, Withdraw
from aish.wire.question import YES_OR_NO
from aish.wire.reply import Answered, Done, QuestionList

if TYPE_CHECKING:
    from conftest import Supervised

    from aish.wire.part import ProcessPart
    from aish.wire.question import QuestionPart

AGENT = """
import sys
from aish.client import Aish
from aish.wire.question import OptionPart
with Aish() as aish:
    for number, word in enumerate(sys.argv[1:]):
        if word == "tool":
            aish.tell("tool", "bash: pytest -x")
        elif word == "idle":
            aish.tell("idle")
        elif word == "pause":
            aish.tell("queued", "waits until 12:00:00 to be sent again: too many requests")
        elif word == "nothing":
            aish.tell(None)
        elif word == "read":
            sys.stdin.readline()
        elif word == "input":
            answer = aish.ask_person("which port?", kind="input", options=(), words=True, token="port")
            print(answer.words, flush=True)
        elif word == "cheat":
            from aish.errors import AishError
            for question in aish.questions():
                try:
                    aish.answer(question.number, "allow")
                except AishError as error:
                    print(type(error).__name__, error.hint, flush=True)
        else:
            answer = aish.ask_person(word, body="$ " + word, form="command", token=word)
            print(word, answer.option, flush=True)
"""

REFUSED = "RefusedError ask the user to do it from outside\n"


def agent(up: Supervised, *script: str, **fields: Any) -> str:
    return up.spawn(sys.executable, "-c", AGENT, *script, **{"kind": "agent", "name": "coder"} | fields).id


def waiting(up: Supervised, id_: str | None = None) -> list[QuestionPart]:
    return up.client.ask(QuestionList, Questions(target=id_)).questions


def asks(up: Supervised, id_: str, title: str) -> QuestionPart:
    """The question, once it is there."""
    up.until(f"{id_} asks {title}", lambda: title in [part.title for part in waiting(up, id_)])
    (found,) = [part for part in waiting(up, id_) if part.title == title]
    return found


def answer(up: Supervised, part: QuestionPart, option: str | None = "allow", **fields: Any) -> QuestionPart:
    return up.client.ask(Answered, Answer(number=part.number, option=option, **fields)).question


def until_row(up: Supervised, id_: str, state: str) -> ProcessPart:
    up.until(f"{id_} is {state}", lambda: up.row(id_).state == state)
    return up.row(id_)


def test_it_waits_for_the_person_and_everybody_sees_it(up: Supervised) -> None:
    id_ = agent(up, "git push")
    part = asks(up, id_, "git push")
    assert (part.process, part.name, part.kind, part.body, part.form) == (
        id_,
        "coder",
        "permission",
        "$ git push",
        "command",
    )
    row = up.row(id_)
    assert (row.state, row.activity, row.doing) == ("needs-input", "needs-input", "wants: git push")
    assert answer(up, part).answer is not None
    assert up.code(id_) == 0
    assert up.log(id_)[0] == "git push allow\n"
    assert waiting(up) == []
    told = [(event.kind, event.text) for event in up.events() if event.kind in ("asked", "answered")]
    assert told == [("asked", "wants: git push"), ("answered", "git push: Allow")]


def test_words_of_ones_own(up: Supervised) -> None:
    id_ = agent(up, "input")
    part = asks(up, id_, "which port?")
    assert up.row(id_).doing == "asks: which port?"
    answer(up, part, None, words="8081")
    assert up.code(id_) == 0
    assert up.log(id_)[0] == "8081\n"


def test_the_oldest_is_shown_and_how_many_wait(up: Supervised) -> None:
    asks(up, agent(up, "one"), "one")
    second = agent(up, "two", name="other")
    part = asks(up, second, "two")
    assert [found.title for found in sorted(waiting(up), key=lambda found: found.number)] == ["one", "two"]
    up.until("the prompt says so", lambda: "asks=2" in (up.home.runtime / "prompt").read_text())
    answer(up, part, "deny")
    assert up.code(second) == 0
    up.until("the prompt says so", lambda: "asks=1" in (up.home.runtime / "prompt").read_text())


def test_what_it_tells_of_itself_is_shown(up: Supervised) -> None:
    read, write = os.pipe()
    id_ = agent(up, "tool", "read", "idle", "read", "pause", "read", "nothing", "read", fds={0: read})
    os.close(read)
    row = until_row(up, id_, "tool")
    assert (row.activity, row.doing) == ("tool", "bash: pytest -x")
    os.write(write, b"\n")
    assert until_row(up, id_, "idle").doing is None
    os.write(write, b"\n")
    assert until_row(up, id_, "waiting").doing == "waits until 12:00:00 to be sent again: too many requests"
    os.write(write, b"\n")
    until_row(up, id_, "running")
    os.close(write)
    assert up.code(id_) == 0


@pytest.mark.usefixtures("home")
def test_killed_daemon_before_and_after_the_answer(up: Supervised) -> None:
    """Asked twice, a person says yes to something else; an answer that is lost has him asked again."""
    id_ = agent(up, "one", "two")
    part = asks(up, id_, "one")
    up.kill_daemon()
    up.next_daemon()
    (again,) = waiting(up)
    assert again == part
    assert up.row(id_).state == "needs-input"
    up.client.ask(Done, Signal(target=id_, signal=19))  # it does not hear its answer yet
    answer(up, part)
    up.kill_daemon()
    up.next_daemon()
    assert waiting(up) == []
    up.client.ask(Done, Signal(target=id_, signal=18))
    second = asks(up, id_, "two")
    assert second.number == part.number + 1
    answer(up, second, "deny")
    assert up.code(id_) == 0
    assert up.log(id_)[0] == "one allow\ntwo deny\n"
    assert len([event for event in up.events() if event.kind == "asked"]) == 2


@pytest.mark.usefixtures("home")
def test_who_ended_meanwhile_asks_nothing_any_more(up: Supervised) -> None:
    id_ = agent(up, "one")
    asks(up, id_, "one")
    pid = up.row(id_).pid
    assert pid is not None
    os.kill(pid, 9)
    up.wait(id_)
    up.until("nobody is asked", lambda: waiting(up) == [])
    part = asks(up, agent(up, "one", name="next"), "one")
    assert part.number == 2


def test_nobody_answers_for_himself_or_for_what_he_started(up: Supervised) -> None:
    """A child of the agent that shares its key and its place, and an agent above."""
    cheat = json.dumps([sys.executable, "-c", AGENT, "cheat"])
    code = f"import subprocess, json; subprocess.run(json.loads({cheat!r}))"
    below = [sys.executable, "-c", AGENT, "git push"]
    script = f"""
import subprocess, sys, time
from aish.client import Aish
with Aish() as aish:
    child = aish.spawn({below!r}, name="below")
    while not aish.questions():
        time.sleep(0.01)
exec({code!r})
"""
    id_ = up.spawn(sys.executable, "-c", script, kind="agent", name="above").id
    assert up.code(id_) == 0
    assert up.log(id_)[0] == REFUSED
    (part,) = waiting(up)
    assert part.name == "below"
    answer(up, part, "deny")


def test_a_process_with_the_rights_of_its_owner_does_not_answer_itself(up: Supervised) -> None:
    script = f"""
import threading, time
from aish.client import Aish
asker, other = Aish(), Aish()
threading.Thread(target=lambda: asker.ask_person("git push"), daemon=True).start()
while not other.questions():
    time.sleep(0.01)
exec({AGENT!r}, {{"__name__": "x"}})
"""
    id_ = up.spawn(sys.executable, "-c", script, "cheat", kind="agent", name="owner", rights="owner").id
    assert up.code(id_) == 0
    assert up.log(id_)[0] == REFUSED


@pytest.mark.parametrize("who", ["above", "below", "model"])
def test_with_the_rights_of_its_owner_it_does_not_answer_its_family_either(up: Supervised, who: str) -> None:
    """Else an agent that is to be asked about has only to start who says yes, with the rights that it was given. A
    model has no parent, and is of its family for that all the same."""
    asking, cheating = [sys.executable, "-c", AGENT, "git push"], [sys.executable, "-c", AGENT, "cheat"]
    script = f"""
import subprocess, threading, time
from aish.client import Aish
from aish.wire.spec import RoutePart
with Aish() as aish:
    if {who!r} == "above":
        aish.spawn({asking!r}, name="asker")
    else:
        threading.Thread(target=lambda: Aish().ask_person("git push"), daemon=True).start()
    while not aish.questions():
        time.sleep(0.01)
    if {who!r} == "above":
        subprocess.run({cheating!r})
    else:
        model = dict(kind="model", route=RoutePart(url="http://127.0.0.1:1/v1")) if {who!r} == "model" else {{}}
        aish.spawn({cheating!r}, name="helper", rights="owner", **model).wait()
"""
    id_ = up.spawn(sys.executable, "-c", script, kind="agent", name="owner", rights="owner").id
    up.wait(id_)
    assert up.log(id_ if who == "above" else "helper")[0] == REFUSED
    for part in waiting(up):
        answer(up, part, "deny")


def test_withdrawn(up: Supervised) -> None:
    script = """
import os, threading, time
from aish.client import Aish
from aish.errors import ConflictError
asker, other = Aish(), Aish()
def tell(what):
    os.write(1, f"{what}\\n".encode())
def ask():
    try:
        asker.ask_person("git push", token="t")
    except ConflictError as error:
        tell(error)
thread = threading.Thread(target=ask)
thread.start()
while not other.questions():
    time.sleep(0.01)
tell(other.withdraw("t"))
thread.join()
tell(other.withdraw("t"))
"""
    id_ = up.spawn(sys.executable, "-c", script, kind="agent", name="fickle").id
    assert up.code(id_) == 0
    assert sorted(up.log(id_)[0].splitlines()) == ["False", "True", "the question was withdrawn"]
    assert waiting(up) == []


def test_a_person_asks_nobody_by_this(up: Supervised) -> None:
    for request in (Tell(activity="tool"), Withdraw(token="x")):
        with pytest.raises(InputError, match="only a supervised process"):
            up.client.ask(Done, request)
    with pytest.raises(InputError, match="only a supervised process"):
        up.client.ask(Answered, Ask(token="x", kind="permission", title="x", options=[*YES_OR_NO]))


def test_wrong_answers_change_nothing(up: Supervised) -> None:
    id_ = agent(up, "git push")
    part = asks(up, id_, "git push")
    with pytest.raises(InputError):
        answer(up, part, "allow-always")
    with pytest.raises(NotFoundError):
        answer(up, part.__class__(**{name: getattr(part, name) for name in part.__struct_fields__} | {"number": 99}))
    up.client.ask(Done, Signal(target=id_, signal=19))
    answer(up, part)
    assert answer(up, part).answer is not None, "the same again is as good as once"
    with pytest.raises(ConflictError):
        answer(up, part, "deny")
    up.client.ask(Done, Signal(target=id_, signal=18))
    assert up.code(id_) == 0
    with pytest.raises(NotFoundError):
        answer(up, part)
