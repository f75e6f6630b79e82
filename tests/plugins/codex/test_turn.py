"""A turn with a Codex that is scripted: it behaves, dies, is silent, or asks what nobody knows."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from aish.errors import LimitError, StorageError, UpstreamError
from aish.plugins.codex import turn
from aish.plugins.codex.turn import Turn
from aish.spi.agent_adapter import ProgramError, Task

COMMAND = {"type": "commandExecution", "id": "c", "command": "pytest -x"}


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": {"threadId": "t", **params}}


def said(text: str, **more: Any) -> dict[str, Any]:
    return note("item/completed", item={"type": "agentMessage", "id": "m", "text": text, **more})


def over(status: str = "completed", **error: Any) -> dict[str, Any]:
    return note("turn/completed", turn={"id": "u", "status": status, "error": error or None})


def asks(method: str = "item/commandExecution/requestApproval", id: Any = 0, **params: Any) -> dict[str, Any]:
    return {"id": id, **note(method, itemId="c", command="git push", **params)}


class Codex:
    """`says` follow the beginning of the turn, `after` an answer of ours."""

    def __init__(self, *says: Any, after: tuple[Any, ...] = ()) -> None:
        self.says, self.after = list(says), list(after)
        self.account: dict[str, str] | None = None

    def __call__(self, sent: dict[str, Any]) -> list[Any]:
        match sent:
            case {"method": "initialize", "id": id}:
                return [{"id": id, "result": {}}]
            case {"method": "thread/start", "id": id}:
                return [{"id": id, "result": {"thread": {"id": "t"}}}]
            case {"method": "account/read", "id": id}:
                return [{"id": id, "result": {"account": self.account}}]
            case {"method": "turn/start", "id": id}:
                return [{"id": id, "result": {"turn": {"id": "u"}}}, *self.says]
            case {"method": "turn/interrupt", "id": id}:
                return [{"id": id, "result": {}}, over("interrupted")]
            case {"method": _}:
                return []
            case _:
                return self.after


def hold(host: Any, program: Any, task: Task | None = None) -> None:
    async def go() -> None:
        async with asyncio.timeout(60):
            await Turn(task or Task(prompt="do it", model="m"), host, program).hold()

    asyncio.run(go())


def test_the_answer_is_the_last_text_alone(host: Any, program: Any) -> None:
    told = host()
    used = (note("item/started", item=COMMAND), note("item/completed", item={**COMMAND, "status": "completed"}))
    hold(told, program(Codex(said("I look."), *used, said("the answer"), over())))
    assert told.output == "the answer"
    assert told.notes == ["I look."]
    assert told.activities == [("tool", "shell: pytest -x"), (None, None), (None, None)]
    assert [kind for kind, _ in told.records] == ["session", "said", "tool", "result"]


@pytest.mark.parametrize(
    ("account", "told"), [(None, "has no login of its own"), ({"type": "chatgpt"}, "that no API takes")]
)
def test_a_login_that_is_none_for_an_api_is_told_before_a_model_is_asked(
    host: Any, program: Any, monkeypatch: pytest.MonkeyPatch, account: Any, told: str
) -> None:
    monkeypatch.delenv("CODEX_API_KEY", raising=False)
    codex = Codex(said("the answer"), over())
    codex.account = account
    with pytest.raises(UpstreamError, match=told):
        hold(host(), program(codex), Task(prompt="x", login="client"))
    codex.account = {"type": "apiKey"}
    asked = host()
    hold(asked, program(codex), Task(prompt="x", login="client"))
    assert asked.output == "the answer"


def test_a_sub_agents_words_and_end_are_not_the_turns(host: Any, program: Any) -> None:
    told = host()
    other = {"method": "turn/completed", "params": {"threadId": "other", "turn": {"status": "completed"}}}
    theirs = {"method": "item/completed", "params": {"threadId": "other", "item": said("x")["params"]["item"]}}
    hold(told, program(Codex(theirs, other, said("the answer"), over())))
    assert told.output == "the answer"


@pytest.mark.parametrize("answer", ["accept", "acceptForSession", "decline"])
def test_an_approval_is_asked_and_answered(host: Any, program: Any, answer: str) -> None:
    told, codex = host(answer), program(Codex(asks(id="q1"), after=(said("done"), over())))
    hold(told, codex)
    assert told.questions[0]["title"] == "shell: git push"
    assert codex.sent[-1] == {"id": "q1", "result": {"decision": answer}}


def test_its_own_question_is_the_persons(host: Any, program: Any) -> None:
    questions = [{"id": "lang", "question": "Which?", "options": [{"label": "Rust"}]}]
    told = host("Rust")
    codex = program(Codex(asks("item/tool/requestUserInput", 7, questions=questions), after=(over(),)))
    hold(told, codex)
    assert told.questions[0]["kind"] == "input"
    assert codex.sent[-1] == {"id": 7, "result": {"answers": {"lang": {"answers": ["Rust"]}}}}


def test_what_nobody_knows_is_refused_and_it_goes_on(host: Any, program: Any) -> None:
    codex = program(Codex(asks("item/dance", 7), after=(said("done"), over())))
    hold(host(), codex)
    assert codex.sent[-1]["error"]["code"] == -32601


def test_a_question_that_is_settled_is_withdrawn(host: Any, program: Any) -> None:
    told, codex = host(None), program(Codex(asks()))

    async def go() -> None:
        async with asyncio.timeout(60):
            held = asyncio.ensure_future(Turn(Task(prompt="x", model="m"), told, codex).hold())
            await told.asked.wait()
            codex.say(note("serverRequest/resolved", requestId=0), said("done"), over())
            await held

    asyncio.run(go())
    assert (told.withdrawn, told.output) == (1, "done")


def test_what_is_malformed_is_passed_over(host: Any, program: Any) -> None:
    told = host()
    hold(told, program(Codex("{", "no JSON", '{"method": "of/tomorrow"}', "x" * 100_000, said("done"), over())))
    assert told.output == "done"


@pytest.mark.parametrize("method", ["initialize", "thread/start", "turn/start", "never"])
def test_it_dies_and_a_sentence_says_so(host: Any, program: Any, method: str) -> None:
    codex = Codex(said("half"), None)

    def answers(sent: dict[str, Any]) -> list[Any]:
        return [None] if sent.get("method") == method else codex(sent)

    told = host()
    with pytest.raises(ProgramError, match="codex ended with 3 in the middle of its turn") as failed:
        hold(told, program(answers, status=3))
    assert failed.value.ended == 3
    assert told.output == ""


def test_one_that_never_answers_is_not_waited_for(host: Any, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "ANSWER_S", 0.05)
    with pytest.raises(UpstreamError, match="codex did not answer initialize within"):
        hold(host(), program(lambda sent: []))


def test_what_it_refuses_is_told(host: Any, program: Any) -> None:
    def answers(sent: dict[str, Any]) -> list[Any]:
        if sent.get("method") == "thread/start":
            return [{"id": sent["id"], "error": {"code": 1, "message": "no such model"}}]
        return Codex()(sent)

    with pytest.raises(UpstreamError, match="codex refuses thread/start: no such model"):
        hold(host(), program(answers))


@pytest.mark.parametrize(("info", "error"), [("usageLimitExceeded", LimitError), ("other", UpstreamError)])
def test_how_it_fails(host: Any, program: Any, info: str, error: type[Exception]) -> None:
    told = host()
    with pytest.raises(error, match="because"):
        hold(told, program(Codex(said("half"), over("failed", message="because", codexErrorInfo=info))))
    assert told.output == ""


def test_cancelled_it_is_told(host: Any, program: Any) -> None:
    told, codex = host(None), program(Codex(asks()))

    async def go() -> None:
        held = asyncio.ensure_future(Turn(Task(prompt="x", model="m"), told, codex).hold())
        await told.asked.wait()
        held.cancel()
        await asyncio.wait([held], timeout=60)
        assert held.cancelled()

    asyncio.run(go())
    assert codex.sent[-1]["method"] == "turn/interrupt"
    assert told.withdrawn == 1


def test_where_it_stands_is_kept_and_gone_on_from_by_a_branch(host: Any, program: Any) -> None:
    told = host()
    hold(told, program(Codex(said("one"), over())))
    assert json.loads(told.conversation) == {"session": "t", "at": "u"}

    def forks(sent: dict[str, Any]) -> list[Any]:
        if sent.get("method") == "thread/fork":
            return [{"id": sent["id"], "result": {"thread": {"id": "t"}}}]
        return Codex(over())(sent)

    codex = program(forks)
    hold(told, codex)
    (fork,) = [sent["params"] for sent in codex.sent if sent.get("method") == "thread/fork"]
    assert (fork["threadId"], fork["lastTurnId"]) == ("t", "u")


def test_a_session_that_is_gone_on_with_is_not_branched(host: Any, program: Any) -> None:
    told = host()
    told.conversation = b'{"session": "old", "at": "u"}'

    def resumes(sent: dict[str, Any]) -> list[Any]:
        if sent.get("method") == "thread/resume":
            return [{"id": sent["id"], "result": {"thread": {"id": "t"}}}]
        return Codex(over())(sent)

    codex = program(resumes)
    hold(told, codex, Task(prompt="x", model="m", session="t"))
    assert [sent["params"]["threadId"] for sent in codex.sent if sent.get("method") == "thread/resume"] == ["t"]


@pytest.mark.parametrize("kept", [b"{}", b"\xff", b"[1", b'{"session": 1}'])
def test_what_another_adapter_has_kept_is_no_place_to_branch_at(host: Any, program: Any, kept: bytes) -> None:
    told = host()
    told.conversation = kept
    with pytest.raises(StorageError, match="no place in one"):
        hold(told, program(Codex(over())))
