"""Codex's session logs, pure: what of them is used, and what of them was used before or by somebody else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents import rollout
from aish.supervisor.gateway.meter import Used
from aish.supervisor.gateway.sessions.codex import Limits, Spent, State, feed
from aish.supervisor.gateway.windows.ledger import Sighting

from .rollouts import BEGAN_S, context, count, limits, line, meta, record, tokens

T = BEGAN_S


def read(*lines: bytes, state: State | None = None) -> tuple[list[Used], State]:
    state = state or State(BEGAN_S)
    found: list[Used] = []
    for each in lines:
        found += [told.used for told in feed(state, each) if isinstance(told, Spent)]
    return found, state


def sums(found: list[Used]) -> tuple[int, int]:
    return sum(used.input for used in found), sum(used.output for used in found)


def test_answers_are_the_rises_of_the_total() -> None:
    found, state = read(
        meta(),
        context(),
        count(T + 1, None, None, limits(5)),
        count(T + 5, tokens(100, 10, 60, 4), tokens(100, 10, 60, 4)),
        count(T + 9, tokens(250, 30, 150, 9), tokens(150, 20, 90, 5)),
    )
    assert found == [Used(100, 10, cached=60, reasoning=4), Used(150, 20, cached=90, reasoning=5)]
    assert (state.model, state.head and state.head.id, state.head and state.head.cwd) == ("gpt-6", "s1", "/w")


def test_the_same_count_told_again_is_nothing() -> None:
    once = count(T + 5, tokens(100, 10), tokens(100, 10))
    assert read(meta(), once, once, count(T + 6, tokens(100, 10), tokens(100, 10), limits(7)))[0] == [Used(100, 10)]


def test_a_count_that_was_lost_is_made_up_for_by_the_next() -> None:
    found, _ = read(
        meta(), count(T + 5, tokens(100, 10), tokens(100, 10)), count(T + 9, tokens(400, 40), tokens(50, 5))
    )
    assert sums(found) == (400, 40)


def test_what_was_used_before_a_resume_is_not_counted_whether_the_total_goes_on_or_not() -> None:
    """codex exec resume: 0.155.1 goes on with the total, 0.153.4 begins anew."""
    before = (meta(T - 5000), count(T - 4000, tokens(900, 90), tokens(900, 90)))
    goes_on = count(T + 5, tokens(1000, 95), tokens(100, 5))
    assert read(*before, context(), goes_on)[0] == [Used(100, 5)]
    anew = count(T + 5, tokens(100, 5), tokens(100, 5))
    assert read(*before, context(), anew)[0] == [Used(100, 5)]
    assert read(context(), goes_on)[0] == [Used(100, 5)], "read from the middle of a large file"


@pytest.mark.parametrize("order", ["record first", "count first"])
def test_an_answer_that_is_told_twice_is_counted_once(order: str) -> None:
    lines = [meta(), context()]
    total = [0, 0]
    for number, (read_, wrote) in enumerate(((100, 10), (150, 20), (150, 20), (7, 1))):
        total = [total[0] + read_, total[1] + wrote]
        pair = [
            record(T + number, f"resp_{number}", tokens(read_, wrote)),
            count(T + number, tokens(*total), tokens(read_, wrote)),
        ]
        lines += pair if order == "record first" else pair[::-1]
    assert sums(read(*lines)[0]) == (407, 51)


def test_a_record_of_a_compaction_counts_and_one_that_is_repeated_does_not() -> None:
    found, _ = read(
        meta(),
        record(T + 1, "resp_1", tokens(100, 10)),
        count(T + 1, tokens(100, 10), tokens(100, 10)),
        record(T + 2, "resp_compaction", tokens(80, 8)),
        record(T + 2, "resp_1", tokens(100, 10)),
        record(T + 3, "resp_of_another", tokens(1000, 100), thread="s0"),
    )
    assert sums(found) == (180, 18)


@pytest.mark.parametrize(
    "fork",
    [
        {"forked_from_id": "s0"},
        {"parent_thread_id": "s0", "forked_from_id": "s0"},
        {"source": {"subagent": {"thread_spawn": {"parent_thread_id": "s0", "depth": 1}}}},
    ],
)
@pytest.mark.parametrize("restamped", [True, False])
def test_the_history_of_a_parent_is_not_counted_again(fork: dict[str, Any], restamped: bool) -> None:
    """The parent's own log has it. Its times are those of then, or all of the copying."""

    def then(seconds_ago: float, place: int) -> float:
        return T + 10 + place * 0.004 if restamped else T + 10 - seconds_ago

    found, state = read(
        meta(T + 10, id="s2", **fork),
        meta(then(900, 0), id="s0"),
        context(then(800, 1), "gpt-old"),
        count(then(700, 2), tokens(10_000, 100), tokens(10_000, 100)),
        count(then(300, 3), tokens(90_000, 900), tokens(80_000, 800), limits(99)),
        line(T + 10.05, "event_msg", {"type": "task_started"}),
        context(T + 10.06, "gpt-new"),
        line(T + 13, "response_item", {"type": "message"}),
        count(T + 13.001, tokens(90_500, 910), tokens(500, 10)),
        count(T + 13.5, tokens(91_000, 920), tokens(500, 10)),
    )
    assert (sums(found), state.head and state.head.id, state.model) == ((1000, 20), "s2", "gpt-new")


def test_a_sub_agent_that_begins_from_nothing_is_counted_whole() -> None:
    found, _ = read(
        meta(T + 10, id="s2", parent_thread_id="s0"),
        context(T + 10.01),
        line(T + 12, "response_item", {}),
        count(T + 12, tokens(700, 7), tokens(700, 7)),
    )
    assert found == [Used(700, 7)]


def test_the_number_of_the_first_own_record_decides_where_it_is_told() -> None:
    found, _ = read(
        meta(T + 10, id="s2", parent_thread_id="s0", subagent_history_start_ordinal=3),
        count(T + 10, tokens(5_000_000, 1), tokens(5, 1), ordinal=1),
        count(T + 15, tokens(6_000_000, 2), tokens(6, 1), ordinal=2),
        count(T + 15.1, tokens(6_000_300, 5), tokens(300, 3), ordinal=3),
    )
    assert found == [Used(300, 3)]


def test_windows_are_told_with_the_time_of_the_line() -> None:
    state = State(T)
    feed(state, meta())
    (told,) = feed(state, count(T + 60, None, None, limits(42.5, 10080, 600)))
    assert told == Limits(T + 60, (Sighting("7d", 0.425, T + 660, None, 604800.0),))
    model = limits(10) | {"limit_id": "codex_bengalfox"}
    (told,) = feed(state, count(T + 61, None, None, model))
    assert isinstance(told, Limits)
    assert told.windows[0].window == "5h_codex_bengalfox"
    assert feed(state, count(T + 62, None, None)) == []


def test_what_is_no_log_is_counted_as_such_and_nothing_else() -> None:
    garbage = [
        b"\n",
        b"{",
        b"[]\n",
        b"null\n",
        b'{"type": 5}\n',
        b"\xff\xfe\n",
        b'{"type":"event_msg"}\n',
        b"[" * 5000,
    ]
    odd = [
        count(T + 1, {"input_tokens": -5, "output_tokens": 1}, None),
        count(T + 1, {"input_tokens": 1e30, "output_tokens": 1}, None),
        count(T + 1, {"input_tokens": True}, {"input_tokens": "7"}),
        line(
            T + 1, "event_msg", {"type": "token_count", "info": [1], "rate_limits": {"primary": [], "secondary": 3}}
        ),
        line(T + 1, "token_usage_record", {"usage": None, "response_id": 7}),
        line(T + 1, "turn_context", {"model": ["x"]}),
    ]
    found, state = read(meta(), *garbage, *odd, count(T + 5, tokens(3, 2), tokens(3, 2)))
    assert found == [Used(3, 2)]
    assert state.malformed == 6


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "type",
        "info",
        "total_token_usage",
        "last_token_usage",
        "input_tokens",
        "output_tokens",
        "rate_limits",
        "primary",
    ]
)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                lambda kind, payload, ordinal: json.dumps(
                    {"type": kind, "timestamp": "2026-09-21T13:00:00Z", "payload": payload, "ordinal": ordinal}
                ).encode(),
                st.sampled_from(["event_msg", "session_meta", "turn_context", "token_usage_record", "x"]),
                st.dictionaries(NAMES, st.one_of(JSON, st.dictionaries(NAMES, JSON, max_size=4)), max_size=5),
                JSON,
            ),
        ),
        max_size=12,
    )
)
def test_any_lines_are_read_or_left_out(lines: list[bytes]) -> None:
    state = State(0.0)
    for each in lines:
        for told in feed(state, each):
            if isinstance(told, Spent):
                assert told.used.input >= told.used.cached >= 0
                assert told.used.output >= told.used.reasoning >= 0
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State) == state


ANSWERS = st.lists(
    st.tuples(
        st.integers(1, 10_000),
        st.integers(0, 1000),
        st.sampled_from(["count", "record", "both", "twice"]),
        st.booleans(),  # whether the gateway is killed before this one
    ),
    max_size=20,
)


@given(ANSWERS)
def test_sums_are_the_session_s_own_whatever_is_written_and_whenever_reading_begins_anew(
    answers: list[tuple[int, int, str, bool]],
) -> None:
    state = State(T)
    found: list[Used] = []
    total = (0, 0)
    lines: list[bytes] = [meta(), context()]
    for number, (read_, wrote, how, killed) in enumerate(answers):
        total = total[0] + read_, total[1] + wrote
        at_s, one, all_ = T + 2 * number, tokens(read_, wrote), tokens(*total)
        if how in ("record", "both", "twice"):
            lines.append(record(at_s, f"resp_{number}", one))
        lines.append(count(at_s + 0.1, all_, one))
        if how == "twice":
            lines.append(count(at_s + 0.2, all_, one))
        if killed:  # what was kept of the state is all that there is
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)
        got, state = read(*lines, state=state)
        found, lines = found + got, []
    assert sums(found) == total


# --- whose ----------------------------------------------------------------------------------------------------------


def test_the_head_tells_whose_a_log_is() -> None:
    head = rollout.head(meta(T, "s9", "/work", parent_thread_id="s1"))
    assert head == rollout.Head("s9", "/work", T, "s1", True, None)
    assert rollout.head(context()) is None
    assert rollout.head(b'{"type":"session_meta","payload":{"id":7}}') is None
    assert rollout.head(meta()[:40]) is None
    assert rollout.name("rollout-2026-09-21T13-00-00-s1.jsonl")
    assert not rollout.name("history.jsonl")
