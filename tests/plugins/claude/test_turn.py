"""A turn with a Claude Code that is scripted: it behaves, dies, is silent, or asks what nobody knows."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from aish.errors import AishError, LimitError, UpstreamError
from aish.plugins.claude import turn
from aish.plugins.claude.turn import Turn
from aish.spi.agent_adapter import ProgramError

DONE = {"type": "result", "subtype": "success", "result": "the answer"}
ASKS = {
    "type": "control_request",
    "request_id": "q1",
    "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "git push"}},
}


def began(sent: dict[str, Any]) -> dict[str, Any]:
    return {"type": "control_response", "response": {"subtype": "success", "request_id": sent["request_id"]}}


def text(*said: str, tool: str | None = None) -> dict[str, Any]:
    blocks: list[Any] = [{"type": "text", "text": each} for each in said]
    blocks += [{"type": "tool_use", "id": "t", "name": tool, "input": {"command": "pytest -x"}}] if tool else []
    return {"type": "assistant", "message": {"content": blocks}}


class Claude:
    """`says` follow the prompt, `after` an answer of ours."""

    def __init__(self, *says: Any, after: tuple[Any, ...] = ()) -> None:
        self.says, self.after = list(says), list(after)

    def __call__(self, sent: dict[str, Any]) -> list[Any]:
        match sent:
            case {"type": "control_request", "request": {"subtype": "initialize"}}:
                return [began(sent)]
            case {"type": "user"}:
                return self.says
            case {"type": "control_request", "request": {"subtype": "interrupt"}}:
                return [began(sent), {"type": "result", "subtype": "error_during_execution"}]
            case _:
                return self.after


def hold(host: Any, program: Any) -> None:
    async def go() -> None:
        async with asyncio.timeout(60):
            await Turn(host, program).hold("do it")

    asyncio.run(go())


def test_the_answer_is_the_last_text_alone(host: Any, program: Any) -> None:
    returned = {
        "type": "user",
        "message": {"content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
    }
    told = host()
    hold(told, program(Claude(text("I look.", tool="Bash"), returned, text("the answer"), DONE)))
    assert told.output == "the answer"
    assert told.notes == ["I look."]
    assert told.activities == [("tool", "Bash: pytest -x"), (None, None), (None, None)]
    assert [kind for kind, _ in told.records] == ["said", "tool", "result"]


def test_where_it_stands_is_kept_once_the_turn_is_done(host: Any, program: Any) -> None:
    began = {"type": "system", "subtype": "init", "session_id": "s"}
    helper = text("of a helper") | {"uuid": "m2", "parent_tool_use_id": "t"}
    said = [began, text("one") | {"uuid": "m1"}, helper]
    told = host()
    hold(told, program(Claude(*said, DONE)))
    assert json.loads(told.conversation) == {"session": "s", "at": "m1"}
    told = host()
    with pytest.raises(UpstreamError):
        hold(told, program(Claude(*said, {"type": "result", "subtype": "error_during_execution"})))
    assert told.conversation is None


@pytest.mark.parametrize(("answer", "behavior"), [("once", "allow"), ("deny", "deny"), ("not now", "deny")])
def test_a_permission_is_asked_and_answered(host: Any, program: Any, answer: str, behavior: str) -> None:
    told, claude = host(answer), program(Claude(ASKS, after=(DONE,)))
    hold(told, claude)
    assert told.questions[0]["title"] == "Bash: git push"
    response = claude.sent[-1]["response"]
    assert (response["request_id"], response["response"]["behavior"]) == ("q1", behavior)


def test_a_question_that_it_takes_back_is_withdrawn(host: Any, program: Any) -> None:
    told = host(None)
    quiet = {"type": "control_cancel_request", "request_id": "q1"}
    claude = program(Claude(ASKS))

    async def go() -> None:
        async with asyncio.timeout(60):
            held = asyncio.ensure_future(Turn(told, claude).hold("do it"))
            await told.asked.wait()
            claude.say(quiet, DONE)
            await held

    asyncio.run(go())
    assert told.withdrawn == 1
    assert told.output == "the answer"


def test_what_nobody_knows_is_refused_and_it_goes_on(host: Any, program: Any) -> None:
    strange = {"type": "control_request", "request_id": "s", "request": {"subtype": "dance"}}
    claude = program(Claude(strange, after=(DONE,)))
    hold(host(), claude)
    assert claude.sent[-1]["response"] == {"subtype": "error", "request_id": "s", "error": "dance: not known here"}


def test_what_is_malformed_is_passed_over(host: Any, program: Any) -> None:
    told = host()
    hold(told, program(Claude("{", "no JSON", '{"type": "of tomorrow"}', "x" * 100_000, DONE)))
    assert told.output == "the answer"


@pytest.mark.parametrize("where", ["at once", "after the beginning", "after the prompt", "while it asks"])
def test_it_dies_and_a_sentence_says_so(host: Any, program: Any, where: str) -> None:
    def answers(sent: dict[str, Any]) -> list[Any]:
        match where, sent["type"]:
            case ("at once", _):
                return [None]
            case ("after the beginning", "control_request"):
                return [began(sent), None]
            case ("after the prompt", "user"):
                return [text("half"), None]
            case ("while it asks", "user"):
                return [ASKS, None]
            case _:
                return [began(sent)]

    told = host(None)
    with pytest.raises(AishError) as failed:
        hold(told, program(answers, status=3))
    if isinstance(failed.value, ProgramError):
        assert (failed.value.ended, str(failed.value)) == (3, "claude ended with 3 in the middle of its turn")
    else:
        assert str(failed.value) == "it does not read any more"
    assert told.output == ""
    assert told.withdrawn == (1 if where == "while it asks" else 0)


def test_one_that_ends_with_0_before_it_is_done_has_failed(host: Any, program: Any) -> None:
    with pytest.raises(ProgramError) as failed:
        hold(host(), program(Claude(None)))
    assert failed.value.ended == 69


def test_one_that_never_answers_is_not_waited_for(host: Any, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "ANSWER_S", 0.05)
    with pytest.raises(UpstreamError, match="said nothing within"):
        hold(host(), program(lambda sent: []))


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"subtype": "success", "is_error": True, "result": "no", "api_error_status": 402}, LimitError),
        ({"subtype": "success", "is_error": True, "result": "no", "api_error_status": 529}, UpstreamError),
        ({"subtype": "error_max_turns", "errors": ["no"]}, UpstreamError),
    ],
)
def test_how_it_fails(host: Any, program: Any, result: dict[str, Any], error: type[Exception]) -> None:
    told = host()
    with pytest.raises(error, match="no"):
        hold(told, program(Claude(text("no answer"), {"type": "result", **result})))
    assert told.output == ""


def test_cancelled_it_is_told(host: Any, program: Any) -> None:
    told, claude = host(None), program(Claude(ASKS))

    async def go() -> None:
        held = asyncio.ensure_future(Turn(told, claude).hold("do it"))
        await told.asked.wait()
        held.cancel()
        await asyncio.wait([held], timeout=60)
        assert held.cancelled()

    asyncio.run(go())
    assert claude.sent[-1]["request"] == {"subtype": "interrupt"}
    assert told.withdrawn == 1


def test_a_fault_while_it_is_answered_ends_the_turn(host: Any, program: Any) -> None:
    """Nobody would answer it ever."""
    told = host()

    async def ask(title: str, **more: Any) -> Any:
        raise LimitError("too many questions")

    told.ask = ask
    with pytest.raises(LimitError):
        hold(told, program(Claude(ASKS)))
