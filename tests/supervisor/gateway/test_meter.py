"""What ps shows of processes and models, pure."""

from __future__ import annotations

from aish.supervisor.gateway.meter import Board, Note, Stream, estimate_prompt, prompt_bound


def test_a_request_from_its_wait_to_its_end() -> None:
    board = Board()
    live = board.begin(1, "p5", "small")
    live.why = "waits for small to start"
    assert board.look(0.0, {}) == [Note("p5", "queued", "waits for small to start")]
    assert board.look(0.25, {}) == [], "only changes are told"
    live.sent, live.model_id = True, "p1"
    assert board.look(0.5, {"p1": 2}) == [
        Note("p5", "generating", "small"),
        Note("p1", "generating", "1 request"),
    ]
    live.tokens = 20
    assert board.look(1.5, {"p1": 2}) == [
        Note("p5", "generating", "small: 20 tokens", 20.0),
        Note("p1", "generating", "1 request", 20.0),
    ]
    board.end(1)
    assert board.look(2.0, {"p1": 2}) == [Note("p1", "loaded"), Note("p5", "idle")]
    assert board.look(2.25, {"p1": 2}) == []
    assert board.look(2.5, {}) == [Note("p1", None)], "not ready any more: no activity"


def test_requests_beyond_the_slots_wait_until_they_are_answered() -> None:
    board = Board()
    for number in (1, 2, 3):
        live = board.begin(number, f"p{number}", "small")
        live.sent, live.model_id = True, "p9"
    states = {note.id: note.activity for note in board.look(0.0, {"p9": 2})}
    assert states == {"p1": "generating", "p2": "generating", "p3": "queued", "p9": "generating"}
    board.live[3].answering = True
    assert board.look(1.0, {"p9": 2})[0].id == "p3"


def test_a_process_with_several_requests_generates_if_one_does() -> None:
    board = Board()
    board.begin(1, "p5", "small").why = "over budget"
    other = board.begin(2, "p5", "small")
    other.sent = True
    (note,) = board.look(0.0, {})
    assert note.activity == "generating"


def test_a_new_listener_is_told_everything_again_and_the_dead_are_forgotten() -> None:
    board = Board()
    board.begin(1, "p5", "small").why = "x"
    board.look(0.0, {"p1": None})
    board.clear()
    assert {note.id for note in board.look(1.0, {"p1": None})} == {"p5", "p1"}
    board.end(1)
    board.forget("p5")
    board.forget("p1")
    assert board.look(2.0, {}) == []


def test_bounds_are_above_and_estimates_are_near() -> None:
    assert prompt_bound(100) >= 100 + 31
    assert prompt_bound(100, parts=2) > 8000
    assert estimate_prompt(9) == 3
    stream = Stream()
    assert stream.estimate() == 0
    stream.count(3)
    assert stream.estimate() == 1
