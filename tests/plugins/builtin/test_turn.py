"""The loop of the built-in agent, with a scripted model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import AishError, InputError, LimitError, RefusedError, UnavailableError, UpstreamError
from aish.plugins.builtin import turn
from aish.plugins.builtin.supervised import GROUPS
from aish.plugins.simprovider import server
from aish.spi.acting import TOOLS

if TYPE_CHECKING:
    from .conftest import Bench


def call(tool: str, **arguments: Any) -> str:
    return f"call {tool} {json.dumps(arguments)}"


def test_without_tools_the_answer_is_streamed(bench: Bench) -> None:
    done = bench.run("say 4", instructions="Be brief.")
    assert done.answer == "w0 w1 w2 w3"
    assert len(done.said) > 1, "it came all at once"
    (body,) = bench.bodies()
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "tools" not in body


def test_tools_are_called_and_their_results_answered(bench: Bench) -> None:
    steps = f"say 2 {call('write', path='a/b.txt', content='one')} then {call('read', path='a/b.txt')} then say 3"
    done = bench.run(steps, tools=("read", "write"))
    assert (bench.cwd / "a" / "b.txt").read_text() == "one"
    assert done.answer == "w0 w1 w2", "what it says beside a call is no answer"
    assert done.lines == ["w0 w1", "w0 w1 w2"] or done.lines[0] == "w0 w1"
    assert [entry["kind"] for entry in done.records if entry["kind"] in ("tool", "result")] == ["tool", "result"] * 2
    assert done.results()[1] == "one"
    names = [tool["function"]["name"] for tool in bench.bodies()[0]["tools"]]
    assert sorted(names) == ["read", "write"]


def test_every_tool_that_a_file_may_name_is_there(bench: Bench) -> None:
    bench.run("say 1", tools=TOOLS, hosts=("*",))
    offered = {tool["function"]["name"]: tool["function"] for tool in bench.bodies()[0]["tools"]}
    assert set(offered) == {tool for name in TOOLS for tool in GROUPS.get(name, (name,))}
    for tool in offered.values():
        assert tool["description"]
        assert all(each.get("description") for each in tool["parameters"]["properties"].values()), tool["name"]


def test_only_the_tools_of_its_file_are_offered(bench: Bench) -> None:
    done = bench.run(f"{call('shell', command='touch x')} then say 1", tools=("read",))
    assert not (bench.cwd / "x").exists()
    assert done.answer == "w0"
    assert "Unknown tool" in done.results()[0]


def test_a_turn_that_was_parked_goes_on_where_it_was(bench: Bench) -> None:
    """What its tools did is not done again, and what a person allowed for good is not asked again."""
    run = call("shell", command="echo line >> f")
    steps = " then ".join([run, run, "say 3"])
    first = bench.run(steps, tools=("shell",), rule="ask", answers=("always",), keeps_midway=True)
    assert (first.answer, len(first.asked), len(first.midways)) == ("w0 w1 w2", 1, 2)
    (bench.cwd / "f").write_text("line\n")  # as it was then
    asked = len(bench.bodies())
    again = bench.run(steps, tools=("shell",), rule="ask", midway=first.midways[0], keeps_midway=True)
    assert (again.answer, again.asked) == ("w0 w1 w2", [])
    assert (bench.cwd / "f").read_text() == "line\nline\n"
    assert bench.bodies()[asked]["messages"] == bench.bodies()[1]["messages"], "it goes on with another conversation"
    assert again.conversation is not None
    assert json.loads(again.conversation)[0]["parts"][0]["content"] == steps


def test_what_bounds_a_turn_counts_on_however_often_it_is_parked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parked before each answer, it would go round in a circle for ever."""
    steps = " then ".join([call("shell", command="echo same")] * 9)
    with pytest.raises(LimitError, match="5 times"):
        bench.run(steps, tools=("shell",), keeps_midway=True)
    middle = bench.desk.midways[2]
    asked = len(bench.bodies())
    with pytest.raises(LimitError, match="5 times"):
        bench.run(steps, tools=("shell",), midway=middle, keeps_midway=True)
    assert len(bench.bodies()) - asked == 2
    monkeypatch.setattr(turn, "REQUESTS_MOST", 4)
    with pytest.raises(LimitError, match="4 requests"):
        bench.run(steps, tools=("shell",), midway=middle, keeps_midway=True)
    assert len(bench.bodies()) - asked == 3


def test_what_is_kept_of_a_middle_and_cannot_be_read_is_told(bench: Bench) -> None:
    with pytest.raises(AishError, match="cannot be understood"):
        bench.run("say 1", tools=("shell",), midway=b"{}", keeps_midway=True)


def test_who_is_not_parked_keeps_no_middle(bench: Bench) -> None:
    assert bench.run(f"{call('shell', command='true')} then say 1", tools=("shell",)).midways == []


def test_a_wrong_call_is_told_to_the_model_which_goes_on(bench: Bench) -> None:
    """Small models write arguments that are none: that is no reason to give up."""
    steps = f"call read {{broken then call read {{}} then {call('read', path='x', lines='many')} then say 1"
    done = bench.run(steps, tools=("read",))
    assert done.answer == "w0"
    assert len(done.results()) == 3


def test_a_circle_is_told_and_then_ended(bench: Bench) -> None:
    with pytest.raises(LimitError, match="called shell 5 times with the same result") as caught:
        bench.run(" then ".join([call("shell", command="echo same")] * 9), tools=("shell",))
    assert caught.value.code == "loop"
    told = [body["messages"][-1]["content"] for body in bench.bodies()]
    assert ["this very call" in text for text in told] == [False, False, False, True, True]
    assert bench.desk.records[-1]["kind"] == "loop"


def test_a_call_that_has_another_result_is_no_circle(bench: Bench) -> None:
    done = bench.run(" then ".join([call("shell", command="echo x >> f; wc -l f")] * 7 + ["say 1"]), tools=("shell",))
    assert done.answer == "w0"


def test_unknown_tools_without_end_are_a_circle_too(bench: Bench) -> None:
    with pytest.raises(LimitError, match="5 times"):
        bench.run(" then ".join([call("sudo", x=1)] * 9), tools=("read",))


def test_a_denied_call_is_told_and_the_model_goes_on(bench: Bench) -> None:
    steps = f"{call('write', path='a', content='1')} then {call('write', path='b', content='2')} then say 1"
    done = bench.run(steps, rule="ask", answers=('"not that one"', "once"), tools=("write",))
    assert not (bench.cwd / "a").exists()
    assert (bench.cwd / "b").read_text() == "2"
    assert "not that one" in bench.bodies()[1]["messages"][-1]["content"]
    assert done.asked[0]["form"] == "diff"
    assert done.asked[0]["body"] == "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1"


def test_where_all_was_denied_its_status_says_so(bench: Bench) -> None:
    """A script that goes on as if the work were done is worse than an error."""
    with pytest.raises(RefusedError):
        bench.run(f"{call('shell', command='touch x')} then say 2", rule="ask", answers=("no",), tools=("shell",))
    assert bench.desk.answer == "w0 w1"
    assert not (bench.cwd / "x").exists()


@pytest.mark.parametrize("rule", ["ask", "deny"])
def test_no_answer_to_a_denial_is_a_refusal_and_no_fault_of_its_model(bench: Bench, rule: str) -> None:
    steps = f"{call('shell', command='echo 1')} then {call('write', path='f', content='')} then say 0"
    with pytest.raises(RefusedError, match="not allowed to write f") as caught:
        bench.run(steps, permissions={"shell": "allow"}, rule=rule, answers=("no",), tools=("shell", "write"))
    assert caught.value.exit_status == 77
    with pytest.raises(UpstreamError):
        bench.run("say 0", tools=("shell",))


def test_always_is_this_very_command_and_this_file(bench: Bench) -> None:
    steps = [
        call("shell", command="echo 1"),
        call("shell", command="echo 1"),
        call("shell", command="echo 1; rm -rf x"),
    ]
    steps += [call("write", path="f", content="1"), call("edit", path="./f", old="1", new="2")]
    done = bench.run(
        " then ".join([*steps, "say 1"]), rule="ask", answers=("always",), tools=("shell", "write", "edit")
    )
    assert [each["title"] for each in done.asked] == ["run: echo 1", "run: echo 1; rm -rf x", "write f"]
    assert (bench.cwd / "f").read_text() == "2"


def test_an_agent_that_is_asked_has_a_name(bench: Bench) -> None:
    """The path of a file that it has written itself would be an agent with whatever permissions it likes."""
    done = bench.run(f"{call('ask', agent='./mine.md', task='x')} then say 1", tools=("ask",))
    assert done.results() == ["error: @./mine.md: an agent has a name, not a path"]


def test_rules_of_single_tools(bench: Bench) -> None:
    steps = [call("shell", command="touch s"), call("write", path="w", content=""), call("read", path="w")]
    rules = {"shell": "deny", "write": "allow", "read": "ask"}
    done = bench.run(
        " then ".join([*steps, "say 1"]), rule="ask", permissions=rules, tools=("shell", "write", "read")
    )
    assert [each["title"] for each in done.asked] == ["read w"]
    assert sorted(path.name for path in bench.cwd.iterdir()) == ["w"]


def test_upstream_failures_are_those_of_other_agents(bench: Bench) -> None:
    with pytest.raises(UpstreamError) as caught:
        bench.run("fault status-500")
    assert caught.value.exit_status == 69
    with pytest.raises(AishError) as caught:
        bench.run("say 9 fault cut-event")
    assert caught.value.exit_status == 69


@pytest.mark.parametrize("fault", ["silent", "silent-reset", "cut-head"])
def test_a_connection_that_ends_before_the_answer_is_made_once_more(bench: Bench, fault: str) -> None:
    """A gateway that was restarted between two calls must not end an hour's work."""
    assert bench.run(f"say 1 fault {fault} first 1").answer == "w0"
    with pytest.raises(UnavailableError):
        bench.run(f"say 1 fault {fault}")


@pytest.mark.parametrize("fault", ["cut-first", "cut-event", "cut-reset", "cut-before-usage"])
def test_an_answer_that_is_cut_off_before_anybody_heard_of_it_is_asked_for_again(bench: Bench, fault: str) -> None:
    """The gateway is killed: with tools nothing of an answer is told or done before its end."""
    step = f"say 5 {call('shell', command='echo x >> made')} fault {fault}"
    done = bench.run(f"{step} first 1 then say 2", tools=("shell",))
    assert done.answer == "w0 w1"
    assert (bench.cwd / "made").read_text() == "x\n"
    first, again, last = bench.bodies()
    assert again["messages"] == first["messages"], "half an answer is no part of the conversation"
    assert len(last["messages"]) == len(first["messages"]) + 2
    with pytest.raises(UnavailableError, match="the gateway did not answer to the end"):
        bench.run(step, tools=("shell",))
    assert len(bench.bodies()) == 3 + 4


def test_an_answer_that_somebody_has_heard_of_is_not_asked_for_again(bench: Bench) -> None:
    with pytest.raises(UnavailableError, match="the gateway did not answer to the end"):
        bench.run("say 9 fault cut-between first 1")
    assert len(bench.bodies()) == 1
    assert bench.desk.answer.startswith("w0 w1")


def test_a_long_prompt_is_cut_and_that_is_told(bench: Bench) -> None:
    done = bench.run("x" * 50_000 + " say 2", context_tokens=4000)
    assert done.answer == "w0 w1"
    assert "50,006 characters: cut to 6,000" in done.lines[0]


def test_a_long_result_is_cut_and_says_so(bench: Bench) -> None:
    (bench.cwd / "long").write_text("y" * 100_000)
    done = bench.run(f"{call('read', path='long')} then say 1", tools=("read",))
    assert "68,000 characters are left out" in done.results()[0].replace("68,001", "68,000")
    assert len(bench.bodies()[1]["messages"][-1]["content"]) < 33_000


def test_older_results_are_shortened_then_all_is_summarised(bench: Bench) -> None:
    """Without it the second hour of work is an error about the context."""
    for number in range(12):  # each result is the script of the next request
        text = call("read", path=f"f{number + 1}") if number < 11 else "say 2"
        (bench.cwd / f"f{number}").write_text(f"{number} " * 1000 + text)
    done = bench.run(call("read", path="f0"), tools=("read",), context_tokens=2500)
    assert done.answer == "w0 w1"
    compacted = [entry for entry in done.records if entry["kind"] == "compacted"]
    assert compacted
    assert all(entry["after_tokens"] < entry["before_tokens"] for entry in compacted)
    assert any(entry["kind"] == "summary" for entry in done.records)
    assert any("made shorter" in line for line in done.lines)
    lengths = [len(json.dumps(body["messages"])) for body in bench.bodies()]
    assert max(lengths) < 2500 * 4
    for body in bench.bodies():
        calls = {each["id"] for message in body["messages"] for each in message.get("tool_calls", ())}
        results = {message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"}
        assert results <= calls, "a result without its call is refused by servers"


def test_a_context_that_nobody_told_of_is_found_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote server tells how long its context is by refusing."""
    for number in range(8):
        text = call("read", path=f"f{number + 1}") if number < 7 else "say 2"
        (bench.cwd / f"f{number}").write_text("word " * 400 + text)
    answer, refused = server.Provider._answer, []

    def bounded(self: server.Provider, path: str, body: dict[str, Any]) -> Any:
        if len(json.dumps(body["messages"])) <= 8000:
            return answer(self, path, body)
        refused.append(body)
        error = {"message": "too long", "type": "exceed_context_size_error", "code": 400, "n_ctx": 2500}
        return server._json({"error": error}, 400)

    monkeypatch.setattr(server.Provider, "_answer", bounded)
    done = bench.run(call("read", path="f0"), tools=("read",))
    assert done.answer == "w0 w1"
    assert refused
    assert any(entry["kind"] == "compacted" for entry in done.records)


def test_a_task_that_is_too_long_for_the_model_is_told_as_such(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"message": "too long", "type": "exceed_context_size_error", "code": 400, "n_ctx": 10}
    monkeypatch.setattr(server.Provider, "_answer", lambda *_: server._json({"error": error}, 400))
    with pytest.raises(UpstreamError, match="too long"):
        bench.run("say 1", tools=("read",))


@pytest.mark.parametrize("tools", [(), ("read",)])
def test_an_answer_by_a_schema(bench: Bench, tools: tuple[str, ...]) -> None:
    schema = {"properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    done = bench.run('json {"n": 3}', schema=schema, tools=tools)
    assert json.loads(done.answer) == {"n": 3}
    if not tools:
        assert bench.bodies()[0]["response_format"]["json_schema"]["schema"]["required"] == ["n"]


def test_an_answer_that_is_not_by_the_schema_is_asked_for_once_more(bench: Bench) -> None:
    schema = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with pytest.raises(InputError, match="twice") as caught:
        bench.run('json {"n": "three"}', schema=schema)
    assert caught.value.exit_status == 65
    assert len(bench.bodies()) == 2
    assert bench.desk.answer == "", "what is wrong must not be printed"
    assert "\n" not in str(caught.value), "it is shown in one line"


def test_a_schema_that_is_none_is_refused_before_anything_is_asked(bench: Bench) -> None:
    with pytest.raises(InputError, match="schema"):
        bench.run("say 1", schema={"type": "object", "properties": 3})
    with pytest.raises(InputError, match="has to be an object"):
        bench.run("say 1", schema={"$ref": "#/$defs/x", "$defs": {"x": {"type": "array"}}})
    assert bench.bodies() == []
