"""The journal says the truth whatever was cut off, sealed, said twice or given back."""

from __future__ import annotations

import json
import os

import pytest

from aish.supervisor.holder import journal as j
from aish.supervisor.holder.journal import Child, Journal


def born(id: str, pid: int) -> bytes:
    return j.born_prefix(id) + b"%d}\n" % pid


def record(id: str, pid: int, status: int | None = 0, **more: object) -> dict:
    return {"id": id, "pid": pid, "status": status, "start_time": 5, **more}


@pytest.fixture
def journal():
    made = Journal()
    yield made
    made.close()


def table(journal: Journal) -> dict[str, tuple[int, object]]:
    return {
        child.id: (child.pid, child.exit and child.exit["status"]) for child in j.replay(journal.read()[0]).values()
    }


def test_births_failures_exits_acks(journal: Journal) -> None:
    """What lives and what is unacknowledged, in the order of birth."""
    journal.append(born("a", 1), born("b", 2), born("c", 3), born("d", 4))
    journal.append(j.failed_line("b", 2), j.exit_line(record("c", 3, 256)), j.exit_line(record("d", 4)))
    journal.append(j.ack_line(["d", "nobody"]))
    assert table(journal) == {"a": (1, None), "c": (3, 256)}


def test_saying_it_twice_changes_nothing(journal: Journal) -> None:
    """An exit before and after reaping; a birth said again after its exit."""
    journal.append(born("a", 1), j.exit_line(record("a", 1, 9, utime_s=None), reaped=False))
    journal.append(j.exit_line(record("a", 1, 9, utime_s=0.5)))
    journal.append(*j.restate(Child("a", 1, 5)))
    children = j.replay(journal.read()[0])
    assert children["a"].exit is not None
    assert children["a"].exit["utime_s"] == 0.5
    assert children["a"].start == 5


def test_lines_about_another_life_of_an_id_are_ignored(journal: Journal) -> None:
    """An id may live again after its acknowledgement, with another pid."""
    journal.append(born("a", 1), j.exit_line(record("a", 1)), j.ack_line(["a"]), born("a", 2))
    journal.append(j.exit_line(record("a", 1)), j.failed_line("a", 1))
    assert table(journal) == {"a": (2, None)}


@pytest.mark.parametrize("cut", range(1, 30))
def test_torn_line_spoils_only_itself(journal: Journal, cut: int) -> None:
    """Killed in the middle of a write: the next writer's line is whole."""
    journal.append(born("a", 1))
    os.write(journal.fd, born("torn", 7)[:cut])
    journal.append(born("b", 2))
    assert set(table(journal)) == {"a", "b"}


def test_torn_end_waits_for_its_rest(journal: Journal) -> None:
    """A reader that comes in the middle of a write continues there."""
    line = born("a", 1)
    os.write(journal.fd, line[:10])
    lines, offset = journal.read()
    assert lines == []
    os.write(journal.fd, line[10:])
    lines, end = journal.read(offset)
    assert [said["id"] for said in lines] == ["a"]
    assert journal.read(end) == ([], end)


def test_in_parts_the_same_is_read_however_long_a_line_is(journal: Journal) -> None:
    """A part ended in the middle of a line that was longer: the reader stood still there for ever."""
    for number in range(40):
        journal.append(born(f"p{number}", number), j.exit_line(record(f"p{number}", number)))
        journal.append(j.ack_line([f"q{number}-{part}" for part in range(number * 10)]))
    whole, end = journal.read()
    for most in (1, 100, 5000, 1 << 20):
        found, offset, before = [], 0, -1
        while before != offset:
            before = offset
            lines, offset = journal.read(offset, most)
            found += lines
        assert (found, offset) == (whole, end), most
    exits, until = journal.read(only="exit")
    assert (exits, until) == ([line for line in whole if line["is"] == "exit"], end)
    os.write(journal.fd, b'\n{"is":"born"')
    assert journal.read(end, 4)[0] == [], "torn: its rest is waited for"


def test_sealed_means_nobody_announces_any_more(journal: Journal) -> None:
    """The gate of a take-over, also for a copy of the descriptor that a child inherited."""
    copy = os.dup(journal.fd)
    journal.append(born("a", 1))
    journal.seal()
    with pytest.raises(PermissionError):
        os.write(copy, born("b", 2))
    with pytest.raises(PermissionError):
        journal.append(born("b", 2))
    assert table(journal) == {"a": (1, None)}
    os.close(copy)


def test_rewriting_gives_memory_back_and_keeps_the_truth(journal: Journal) -> None:
    """A hundred thousand short lives cost no memory in the end; offsets go on; late lines stay."""
    lasting = Child("lasting", 1, 77)
    journal.append(*j.restate(lasting))
    rewrites = 0
    for number in range(20_000):
        journal.append(
            born(f"p{number}", number), j.exit_line(record(f"p{number}", number)), j.ack_line([f"p{number}"])
        )
        if journal.grown():
            before = journal.size()
            journal.append(born("late", 9))  # after what the rewriter has read
            journal.rewrite([lasting], before)
            rewrites += 1
    assert rewrites > 2
    assert os.fstat(journal.fd).st_blocks * 512 < 2 * j.COMPACT_BYTES
    children = j.replay(journal.read()[0])
    assert children["lasting"].start == 77
    assert children["late"].pid == 9


def test_rewriting_a_big_table_is_rare(journal: Journal) -> None:
    """Its price is in proportion to what it gains: no rewriting of megabytes at every turn."""
    children = [Child(f"{'x' * 100}{number}", number, 1) for number in range(20_000)]
    journal.rewrite(children, 0)
    assert not journal.grown()
    journal.rewrite(children, journal.size())
    assert not journal.grown()


def test_ids_cannot_break_a_line() -> None:
    """Whatever the id holds, it is one line of JSON."""
    (line,) = [text for text in born('a"\n\\', 3).split(b"\n") if text]
    assert json.loads(line) == {"is": "born", "id": 'a"\n\\', "pid": 3}
