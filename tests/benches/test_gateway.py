"""The gateway's bench: what wrk and streams tell is read right, and the goals follow from the figures."""

from __future__ import annotations

import pytest

from benches import tables
from benches.gateway import results, streams, upstream, wrk
from benches.gateway.driver import Address
from benches.tables import Figures, Goal

REPLY = b"".join(upstream.stream(3, usage=True))


def test_figures_of_wrk_are_read() -> None:
    output = (
        "Running 1s test @ http://127.0.0.1:1/v1\n  1 threads and 16 connections\n\n"
        '{"requests": 3000, "duration_us": 1500000, "p50_us": 416, "p99_us": 900, "failed": 2}\n'
    )
    load = wrk.told(output)
    assert (load.per_s, load.p50_us, load.p99_us, load.failed) == (2000.0, 416, 900, 2)


def test_wrk_without_figures_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        wrk.told("unable to connect to 127.0.0.1:1")


def test_the_script_quotes_what_it_is_given() -> None:
    """Fault: a quote in the body ended the string of Lua."""
    text = wrk.script({"Authorization": "Bearer k"}, b'{"content":"a\\nb"}')
    assert 'wrk.headers["Authorization"] = "Bearer k"' in text
    assert r'wrk.body = "{\"content\":\"a\\nb\"}"' in text


def test_a_whole_stream_lacks_nothing() -> None:
    assert streams.words(streams.dechunked(REPLY)) == ["w0 ", "w1 ", "w2 "]
    assert streams.missing(REPLY, 3) == 0


def test_a_lost_chunk_is_counted() -> None:
    parts = upstream.stream(3, usage=False)
    assert streams.missing(b"".join((parts[0], *parts[2:])), 3) == 1


def test_several_events_in_one_chunk_are_read() -> None:
    """As gateways write them that put together what comes together."""
    body = streams.dechunked(REPLY)
    assert streams.missing(b"HTTP/1.1 200 OK\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), 3) == 0


def test_a_stream_is_asked_for_with_its_wish() -> None:
    address = Address("http://127.0.0.1:80/v1", {}, "bench")
    assert address.port == 80
    assert b'"stream"' not in address.body()
    assert rb"{\"chunks\":2,\"pace_ms\":5.0}" in address.body(upstream.Wish(2, 5.0))


def told(**others: list[Figures]) -> dict[str, Figures]:
    every = results.derived(others)
    return tables.medians(every, results.LINES, results.WORST)


def goal(figures: dict[str, Figures], words: str) -> Goal:
    return next(goal for goal in results.goals(figures) if words in goal.words)


def test_what_is_added_is_taken_round_by_round() -> None:
    """Fault: on a machine that slows down meanwhile, the difference of medians is of different moments."""
    found = told(
        direct=[{"p50_ms_1": 0.1}, {"p50_ms_1": 1.1}, {"p50_ms_1": 2.1}],
        aish=[{"p50_ms_1": 0.4}, {"p50_ms_1": 1.4}, {"p50_ms_1": 2.5}],
    )
    assert found["aish"]["added_ms_1"] == pytest.approx(0.3)
    assert goal(found, "1 connection,").held is True
    assert "added_ms_1" not in found["direct"]


def test_a_round_that_failed_is_left_out() -> None:
    found = told(direct=[{"p50_ms_16": 0.2}, {"p50_ms_16": 0.2}], aish=[{}, {"p50_ms_16": 3.0}])
    assert found["aish"]["added_ms_16"] == pytest.approx(2.8)
    assert goal(found, "16 connections").held is False


def test_one_lost_chunk_misses_the_goal() -> None:
    found = told(
        direct=[{"paced_s": 2.0}, {"paced_s": 2.0}, {"paced_s": 2.0}],
        aish=[{"paced_s": 2.04, "paced_lost": 0, "unpaced_lost": 1}, {"paced_s": 2.04, "paced_lost": 0}, {}],
    )
    assert goal(found, "chunks lost").held is False
    assert goal(found, "paced streams").held is True


def test_beside_peers() -> None:
    found = told(aish=[{"per_s_64": 4000.0}], LiteLLM=[{"per_s_64": 101.0}], Portkey=[{"per_s_64": 3000.0}])
    assert goal(found, "LiteLLM").held is False
    assert goal(found, "Portkey").held is True


def test_what_nobody_measured_is_not_held() -> None:
    assert all(goal.held is None for goal in results.goals(told(aish=[{}])))
    assert "growth over 200,000 requests, MB: - (< 5): not measured" in tables.markdown(
        {"aish": {}}, results.LINES, results.goals({}), {}
    )
