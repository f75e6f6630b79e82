"""What passed through the egress proxy, as sums by host."""

from __future__ import annotations

from aish.supervisor.daemon import traffic
from aish.wire.egress import HOSTS_MOST, Passed
from aish.wire.part import TrafficPart


def passed(host: str | None, sent: int = 1, received: int = 2, connections: int = 1) -> Passed:
    return Passed(
        process="p1",
        host=host,
        port=None if host is None else 443,
        connections=connections,
        sent_bytes=sent,
        received_bytes=received,
    )


def test_each_host_is_a_sum_and_those_beyond_are_one() -> None:
    """A program that names ever new hosts would have grown its row, and every write of it, without end."""
    found: list[TrafficPart] = []
    for number in range(HOSTS_MOST + 3):
        found = traffic.added(found, passed(f"h{number}.example"))
    found = traffic.added(found, passed("h0.example", sent=10, connections=0))
    assert len(found) == HOSTS_MOST + 1
    assert found[0] == TrafficPart(host="h0.example", port=443, connections=1, sent_bytes=11, received_bytes=4)
    assert found[-1] == TrafficPart(host=None, port=None, connections=3, sent_bytes=3, received_bytes=6)
    assert traffic.total(found) == (HOSTS_MOST + 3 + 10, 2 * (HOSTS_MOST + 4))


def test_a_sum_of_others_stays_last() -> None:
    """The proxy tells one where a daemon was away for long, perhaps before all the names are here."""
    found = traffic.added(traffic.added([], passed(None)), passed("h.example"))
    found = traffic.added(found, passed(None))
    assert [(part.host, part.port, part.connections) for part in found] == [("h.example", 443, 1), (None, None, 2)]
