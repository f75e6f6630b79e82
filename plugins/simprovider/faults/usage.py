"""Faults of the figures: what a server says of its tokens and cannot be so, or does not say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from aish.plugins.simprovider.faults.fault import Fault
from aish.plugins.simprovider.said import Event, Said


def _figures(what: str, input_: object, output: object) -> Fault:
    def told(said: Said) -> Said:
        return replace(said, input=input_, output=output)

    return Fault(what=what, stream="answer", whole="answer", said=told)


def _falling(events: list[Event]) -> Iterable[Event]:
    """Every event has figures, each with less output than the one before it; the last ones are right."""
    told: list[Any] = [event.data for event in events if event.kind == "usage"]
    right = next((data["usage"] for data in told if "usage" in data), None)
    more = len(events)
    for event in events:
        data: Any = event.data
        if isinstance(data, dict) and "choices" in data and event.kind in ("content", "why") and right is not None:
            more -= 1
            yield with_fields(event, usage={**right, "completion_tokens": right["completion_tokens"] + more})
        elif isinstance(data, dict) and data.get("type") == "message_start":
            message = {**data["message"], "usage": {**data["message"]["usage"], "output_tokens": 1000}}
            yield with_fields(event, message=message)
        else:
            yield event


def with_fields(event: Event, **fields: object) -> Event:
    assert isinstance(event.data, dict)
    return Event(event.kind, {**event.data, **fields}, event.name)


USAGE: Final = {
    "usage-negative": _figures("its tokens are below 0", -5, -7),
    "usage-fraction": _figures("its tokens are no whole numbers", 3.5, 2.25),
    "usage-text": _figures("its tokens are words", "many", "few"),
    "usage-huge": _figures("its tokens are more than there can be", 1e30, 1e30),
    "usage-half": _figures("its output is told, and its input is null", None, 3),
    "usage-list": _figures("its tokens are lists", [1], [[2]]),
    "usage-missing": Fault(
        what="it tells no tokens", stream="answer", whole="answer", said=lambda said: replace(said, told=False)
    ),
    "usage-falling": Fault(what="its figures get smaller from event to event", stream="answer", events=_falling),
}
