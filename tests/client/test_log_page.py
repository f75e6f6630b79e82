"""Pages of a log: nothing is lost or told twice between two of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from aish.client.log_page import LINE_BYTES, PageWanted, page, position
from aish.errors import UsageError

if TYPE_CHECKING:
    from conftest import Home

SCRIPT = r"""
import os
for number in range(3000):
    os.write(1 + number % 2, b"%d\n" % number)
os.write(1, b"y" * 3_000_000 + b"\n" + b"no end")
"""


def test_page_after_page_is_the_whole_log(shared_home: Home) -> None:
    client = shared_home.client
    process = client.spawn([sys.executable, "-c", SCRIPT])
    process.wait(timeout_s=60)
    whole = {"stdout": [], "stderr": []}
    found = client.carry(page(PageWanted(process, 100, after="0.0", most_bytes=1000)))
    count = 1
    while True:
        assert len(found.lines) <= 100
        for line in found.lines:
            whole[line.stream].append(line.data[:10])
        if not found.more:
            break
        found = client.carry(page(PageWanted(process, 100, after=found.after, most_bytes=1000)))
        count += 1
    assert count > 10
    assert whole["stderr"] == [b"%d" % number for number in range(1, 3000, 2)]
    assert whole["stdout"][:1500] == [b"%d" % number for number in range(0, 3000, 2)]
    assert set(whole["stdout"][1500:-1]) == {b"y" * 10}
    assert whole["stdout"][-1] == b"no end"
    end = client.carry(page(PageWanted(process, 100)))
    assert end.after == found.after
    assert client.carry(page(PageWanted(process, 100, after=end.after))).lines == []


def test_the_end_of_a_log_is_bounded(shared_home: Home) -> None:
    client = shared_home.client
    process = client.spawn([sys.executable, "-c", SCRIPT])
    process.wait(timeout_s=60)
    found = client.carry(page(PageWanted(process, 50, streams=("stdout",))))
    assert found.lines[-1].data == b"no end"
    assert all(len(line.data) <= LINE_BYTES for line in found.lines)
    assert sum(len(line.data) for line in found.lines) <= 64 << 10
    found = client.carry(page(PageWanted(process, 2, grep="^299", streams=("stderr",))))
    assert [line.data for line in found.lines] == [b"2997", b"2999"]


@pytest.mark.parametrize("text", ["", "1", "1.", "-1.2", "1.2.3", "9" * 19 + ".1", "x.y"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(UsageError, match="not a position"):
        position(text)


def test_a_position_behind_the_end_is_the_end(shared_home: Home) -> None:
    process = shared_home.client.spawn(["echo", "hello"])
    process.wait(timeout_s=60)
    found = shared_home.client.carry(page(PageWanted(process, 10, after="999999.999999")))
    assert (found.lines, found.after) == ([], "6.0")
