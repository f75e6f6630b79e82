"""What passed through the egress proxy, as sums by host."""

from __future__ import annotations

from aish.supervisor.daemon import traffic
from aish.wire.egress import Passed
from aish.wire.part import TrafficPart


def passed(host: str, sent: int = 1, received: int = 2, connections: int = 1) -> Passed:
    return Passed(
        process="p1", host=host, port=443, connections=connections, sent_bytes=sent, received_bytes=received
    )


def test_each_host_is_a_sum_and_those_beyond_are_one() -> None:
    """A program that names ever new hosts would have grown its row, and every write of it, without end."""
    found: list[TrafficPart] = []
    for number in range(traffic.HOSTS_MOST + 3):
        found = traffic.added(found, passed(f"h{number}.example"))
    found = traffic.added(found, passed("h0.example", sent=10, connections=0))
    assert len(found) == traffic.HOSTS_MOST + 1
    assert found[0] == TrafficPart(host="h0.example", port=443, connections=1, sent_bytes=11, received_bytes=4)
    assert found[-1] == TrafficPart(host=None, port=None, connections=3, sent_bytes=3, received_bytes=6)
    assert traffic.total(found) == (traffic.HOSTS_MOST + 3 + 10, 2 * (traffic.HOSTS_MOST + 4))
