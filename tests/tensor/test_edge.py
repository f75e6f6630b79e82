"""Making an edge: what stages and views inherit, and what none of them can do with it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.tensor.address import fds_of, renumber
from aish.tensor.edge import create
from aish.tensor.errors import NoEdgeError, UsageError
from aish.tensor.stats import BYTES, STATE, TENSORS, blank_page, parse_stats, read_stats

if TYPE_CHECKING:
    from collections.abc import Callable


def test_names_what_each_stage_inherits() -> None:
    with create() as edge:
        assert fds_of(edge.writer_env()) == edge.writer_fds
        assert fds_of(edge.reader_env()) == edge.reader_fds
        assert len(edge.writer_fds) == 2
        assert len(edge.reader_fds) == 1
        assert all(fd > 2 for fd in (*edge.writer_fds, *edge.reader_fds, edge.stats_fd))


def test_descriptors_do_not_leak_into_programs_that_were_not_meant() -> None:
    with create() as edge:
        for fd in (*edge.writer_fds, *edge.reader_fds, edge.stats_fd):
            assert not os.get_inheritable(fd)


def test_close_gives_every_descriptor_back_and_may_be_repeated(open_files: Callable[[], int]) -> None:
    before = open_files()
    edge = create()
    assert open_files() == before + 4
    edge.close_writer()
    assert open_files() == before + 2
    edge.close()
    edge.close()
    assert open_files() == before
    assert (edge.writer_fds, edge.reader_fds, edge.stats_fd) == ((), (), -1)


def test_never_takes_a_standard_stream_that_is_closed() -> None:
    """A shell started with `<&-` has descriptor 0 free: an edge there would be read as standard input."""
    code = (
        "import os\nfor fd in (0, 2): os.close(fd)\n"
        "from aish.tensor.edge import create\n"
        "edge = create()\nprint(min(*edge.writer_fds, *edge.reader_fds, edge.stats_fd))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60, check=True)
    assert int(done.stdout) > 2


def test_no_descriptor_left_over_where_the_limit_is_reached(open_files: Callable[[], int]) -> None:
    code = """
import os, resource
from aish.tensor.edge import create
from aish.tensor.errors import StorageError
for limit in range(len(os.listdir('/proc/self/fd')) - 1, 40):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 4096))
    try:
        create().close()
    except StorageError as error:
        assert error.hint
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))
    print(limit, len(os.listdir('/proc/self/fd')))
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert len({line.split()[1] for line in done.stdout.splitlines()}) == 1


@pytest.mark.parametrize("depth", [0, -1, 65])
def test_refuses_a_depth_that_could_deadlock(depth: int) -> None:
    with pytest.raises(UsageError, match="1 to 64"):
        create(depth=depth)


@pytest.mark.parametrize("budget", [0, 100, 1 << 60])
def test_refuses_a_budget_out_of_range(budget: int) -> None:
    with pytest.raises(UsageError, match="byte budget"):
        create(byte_budget=budget)


def test_a_view_can_read_the_statistics_and_nothing_else() -> None:
    with create(depth=7, byte_budget=1 << 20) as edge:
        stats = read_stats(edge.stats_fd)
        assert stats is not None
        assert (stats.state, stats.depth, stats.byte_budget) == ("new", 7, 1 << 20)
        assert (stats.tensors, stats.pid, stats.blocked_since_ns) == (0, None, None)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(edge.stats_fd, b"x", 0)
        with pytest.raises(OSError, match=r"Invalid argument|Operation not permitted"):
            os.ftruncate(edge.stats_fd, 0)


def test_the_page_cannot_shrink_under_a_view() -> None:
    """A mapping of a truncated page would end the view with SIGBUS."""
    with create() as edge:
        with pytest.raises(PermissionError):
            os.ftruncate(edge.writer_fds[1], 0)
        seals = fcntl.fcntl(edge.stats_fd, fcntl.F_GET_SEALS)
        assert seals & fcntl.F_SEAL_SHRINK


def test_statistics_of_another_version_are_unknown_not_zero() -> None:
    page = bytearray(blank_page({TENSORS: 3, BYTES: 9, STATE: 77}))
    known = parse_stats(bytes(page))
    assert known is not None
    assert (known.tensors, known.nbytes, known.state) == (3, 9, "unknown")
    page[8] = 9
    assert parse_stats(bytes(page)) is None
    assert parse_stats(b"") is None
    assert parse_stats(bytes(4096)) is None


def test_renumber_follows_descriptors_through_a_supervisor() -> None:
    assert renumber("1:11:13", {11: 4, 13: 5, 99: 6}) == "1:4:5"
    assert renumber("1:12", {12: 300}) == "1:300"
    with pytest.raises(NoEdgeError, match="13"):
        renumber("1:11:13", {11: 4})


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "1:",
        "2:5:6",
        "1:5:6:7",
        "1:a",
        "1:-5",
        "1:5:",
        "1:٣",
        "1:99999999999",
        "1:0:5",
        "1:2",
        " 1:5",
        "1:5 ",
    ],
)
def test_refuses_a_malformed_announcement(value: str) -> None:
    with pytest.raises(NoEdgeError):
        fds_of(value)


def test_loads_no_numpy() -> None:
    """The shell makes edges: a pipeline of two programs must not cost it an import of numpy."""
    code = "import sys, aish.tensor, aish.tensor.edge, aish.tensor.stats; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout.strip() == b"False"


def test_import_of_the_package_is_cheap_and_names_what_it_has() -> None:
    code = (
        "import sys; before = set(sys.modules); import aish.tensor as t\n"
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('aish')))\n"
        "assert t.Writer.__name__ == 'Writer' and 'Reader' in dir(t)\n"
        "for name in t.__all__: getattr(t, name)\n"
        "try: t.nothing\nexcept AttributeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    imported, missing = done.stdout.splitlines()
    assert imported in ("[]", "['__future__']")
    assert "nothing" in missing
