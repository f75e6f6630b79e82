"""Which failure another attempt may mend, after which pause, and who hears of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.failure import (
    LONGEST_PAUSE_S,
    MOST_PAUSE_S,
    AnsweredError,
    KeyRefusedError,
    Patience,
    UntakenError,
    clause,
    judge,
)


def answered(status: int, wait_s: float | None = None) -> AnsweredError:
    return AnsweredError("big", status, b'{"error":{"message":"no"}}', {}, rest_s=wait_s)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_may_be_tried_elsewhere(status: int) -> None:
    assert judge(answered(status), "big").elsewhere


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 415, 422, 501])
def test_what_another_server_would_say_as_well_is_the_client_s_to_read(status: int) -> None:
    assert not judge(answered(status), "big").elsewhere


@pytest.mark.parametrize(
    ("error", "doubts"),
    [
        (UpstreamError("the server of big does not answer", status=504), True),
        (UntakenError("the server of big cannot be reached: Connection refused"), True),
        (answered(500), True),
        (answered(503), True),
        (answered(503, 3.0), False),  # it says when it wants to be asked
        (answered(529), False),
        (answered(429), False),
        (answered(409), False),
        (KeyRefusedError("the server of big refuses aish's key (401)"), True),
    ],
)
def test_a_server_that_says_that_it_is_busy_is_there(error: UpstreamError, doubts: bool) -> None:
    """A probe would only be one more request that it does not want."""
    assert judge(error, "big").doubts == doubts


@pytest.mark.parametrize("status", [500, 408, 409])
def test_retry_after_means_rest_only_where_a_server_rests(status: int) -> None:
    assert judge(answered(status, 9.0), "big").rest_s is None
    assert judge(answered(429, 9.0), "big").rest_s == 9.0


def test_a_clause_reads_well_whatever_it_is_about() -> None:
    assert judge(answered(529), "big").why == "its server answered 529: no"
    assert clause("the server of big does not answer", "big") == "its server does not answer"
    assert clause("the proxy before big answered 407", "big") == "the proxy before big answered 407"


def test_without_being_asked_only_what_no_server_took_is_sent_once_more() -> None:
    untaken = judge(UntakenError("the server of big cannot be reached"), "big")
    patience = Patience(0)
    assert patience.pause_s(untaken, 0.5) is not None
    assert patience.pause_s(untaken, 0.5) is None
    for error in (answered(500), answered(429), UpstreamError("the server of big does not answer", status=504)):
        assert Patience(0).pause_s(judge(error, "big"), 0.5) is None


@given(st.integers(0, 10), st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=12, max_size=12))
def test_pauses_grow_end_and_stay_in_bounds(retries: int, chances: list[float]) -> None:
    patience, failure = Patience(retries), judge(answered(500), "big")
    pauses = [patience.pause_s(failure, chance) for chance in chances]
    assert [pause is not None for pause in pauses] == [True] * retries + [False] * (12 - retries)
    for place, (pause, chance) in enumerate(zip(pauses[:retries], chances, strict=False)):
        assert pause == chance * min(MOST_PAUSE_S, 0.5 * 2**place)


def test_a_pause_is_no_shorter_than_the_server_s_own_and_a_long_one_is_not_made() -> None:
    assert Patience(1).pause_s(judge(answered(429, 7.0), "big"), 0.0) == 7.0
    assert Patience(1).pause_s(judge(answered(429, LONGEST_PAUSE_S + 1), "big"), 0.0) is None
    refused = judge(KeyRefusedError("no"), "big")
    assert Patience(1).pause_s(refused, 0.0) is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error":{"code":429,"message":"x"}}', 429),
        (b'{"error":{"type":"overloaded_error","message":"x"}}', 529),
        (b'{"error":{"type":"rate_limit_error"}}', 429),
        (b'{"error":{"code":"rate_limit_exceeded","type":"requests"}}', 429),
        (b'{"error":{"code":"server_error","message":"x"}}', 500),
        (b'{"error":{"type":"invalid_request_error"}}', 400),
        (b'{"error":{"type":"of its own"}}', 502),
        (b'{"error":"text"}', 502),
        (b"[]", 502),
    ],
)
def test_an_error_inside_a_stream_stands_for_a_status(body: bytes, status: int) -> None:
    assert openai.error_status(body) == status
