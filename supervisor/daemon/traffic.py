"""What has passed through the egress proxy between a process and each host, as sums in its row. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from aish.wire.egress import HOSTS_MOST
from aish.wire.part import TrafficPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.wire.egress import Passed


def added(traffic: list[TrafficPart], passed: Passed) -> list[TrafficPart]:
    """`traffic` with that: those with names in the order in which they were first reached, the sum of others last."""
    place: tuple[str | None, int | None] = (passed.host, passed.port)
    places = [(part.host, part.port) for part in traffic]
    if place not in places and sum(part.host is not None for part in traffic) >= HOSTS_MOST:
        place = (None, None)
    if place not in places:
        new = TrafficPart(host=place[0], port=place[1])
        at = len(traffic) - (1 if traffic and traffic[-1].host is None else 0)
        traffic, places = [*traffic[:at], new, *traffic[at:]], [*places[:at], place, *places[at:]]
    at = places.index(place)
    before = traffic[at]
    after = structs.replace(
        before,
        connections=before.connections + passed.connections,
        sent_bytes=before.sent_bytes + passed.sent_bytes,
        received_bytes=before.received_bytes + passed.received_bytes,
    )
    return [*traffic[:at], after, *traffic[at + 1 :]]


def total(traffic: Iterable[TrafficPart]) -> tuple[int, int]:
    """Bytes that it has sent, and received."""
    parts = list(traffic)
    return sum(part.sent_bytes for part in parts), sum(part.received_bytes for part in parts)
