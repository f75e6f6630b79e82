"""What a sandboxed program takes of the machine without a limit of its own: folders in memory have bounds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aish.model.sandbox import BWRAP
from aish.sandbox import bwrap
from aish.sandbox.around import Around
from aish.sandbox.profile import plan
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from tests.sandbox.conftest import Box

FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "~")


@pytest.fixture
def memory_bytes(box: Box) -> int:
    if box.tier != BWRAP:
        pytest.skip("it has no folders in memory: TMPDIR is on disk")
    known = bwrap.Seen().memory_bytes(box.holding.program)
    if known is None:
        pytest.skip("this bubblewrap knows no --size")
    return known


def test_what_it_writes_to_memory_is_bounded(box: Box, memory_bytes: int) -> None:
    """A tmpfs takes half of the memory unless told otherwise, and there are four of them."""
    code = "for f in map(os.statvfs, map(os.path.expanduser, sys.argv[1:])): print(f.f_blocks * f.f_frsize)"
    ran = box.python(code, *FOLDERS)
    assert ran.returncode == 0, ran.stderr
    sizes = [int(size) for size in ran.stdout.split()]
    assert len(sizes) == len(FOLDERS)
    assert all(0 < size <= memory_bytes for size in sizes), sizes
    assert sum(sizes) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2


def test_dev_has_no_room_for_files(box: Box) -> None:
    """Files in /dev are memory that nothing bounds."""
    assert box.attempt("open('/dev/file', 'w')") != "OPEN"
    assert box.attempt("open('/dev/null', 'w').write('x')") == "OPEN"


def test_an_older_bubblewrap_is_not_told_what_it_does_not_know() -> None:
    made = plan(SandboxPart(settled=True), b"/a", Around("/home/u", (), ("/usr",), (), (), (), "/c"))
    assert "--size" in bwrap.words("bwrap", made, bwrap.Seen(memory_bytes=lambda program: 1 << 20))
    assert "--size" not in bwrap.words("bwrap", made, bwrap.Seen(memory_bytes=lambda program: None))
