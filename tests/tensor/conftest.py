"""Real stages for the tests of tensor edges: child processes that inherit one end each."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from aish.tensor.edge import Edge, create
from aish.tensor.reader import Reader
from aish.tensor.stats import EdgeStats, read_stats
from aish.tensor.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 60.0
# Where the tests' own interpreter found aish: stages need no installed package.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRELUDE = """
import os, sys, signal
import numpy as np
from aish.tensor import Reader, Writer
from aish.tensor.errors import *
def say(word):
    print(word, flush=True)
def hear():
    return sys.stdin.readline().strip()
"""


class Stage:
    """A child process with one end of an edge, and lines to and from the test."""

    def __init__(self, code: str, fds: tuple[int, ...], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=fds,
            env={**os.environ, **env},
        )
        self._heard = b""

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """The next line that the stage says, within the deadline."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        deadline_s = time.monotonic() + DEADLINE_S
        while b"\n" not in self._heard:
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline_s - time.monotonic()))
            if not ready:
                raise AssertionError(f"the stage said nothing more after {self._heard!r}")
            more = os.read(fd, 65536)
            if not more:
                raise AssertionError(f"the stage ended with {self.process.wait()} after {self._heard!r}")
            self._heard += more
        line, self._heard = self._heard.split(b"\n", 1)
        return line.decode()

    def end(self) -> int:
        """Its exit status, within the deadline."""
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def clean(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass


class Edges:
    """Makes edges and starts stages on them; everything is ended after the test."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.edges: list[Edge] = []

    def make(self, **bounds: int) -> Edge:
        edge = create(**bounds)
        self.edges.append(edge)
        return edge

    def writer(self, edge: Edge, code: str, **env: str) -> Stage:
        stage = Stage(code, edge.writer_fds, {"AISH_TENSOR_OUT": edge.writer_env(), **env})
        edge.close_writer()
        self.stages.append(stage)
        return stage

    def reader(self, edge: Edge, code: str, **env: str) -> Stage:
        stage = Stage(code, edge.reader_fds, {"AISH_TENSOR_IN": edge.reader_env(), **env})
        edge.close_reader()
        self.stages.append(stage)
        return stage

    def own_writer(self, edge: Edge, **options: object) -> Writer:
        """A Writer in this process; it takes the descriptors over."""
        fds, edge._writer = edge._writer, ()
        return Writer(*fds, **options)  # type: ignore[arg-type]

    def own_reader(self, edge: Edge, **options: object) -> Reader:
        """A Reader in this process; it takes the descriptor over."""
        fds, edge._reader = edge._reader, ()
        return Reader(*fds, **options)  # type: ignore[arg-type]

    def await_stats(self, edge: Edge, wanted: Callable[[EdgeStats], bool]) -> EdgeStats:
        """The statistics once they are as wanted. The page wakes nobody, so this looks again and again."""
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            stats = read_stats(edge.stats_fd)
            assert stats is not None
            if wanted(stats):
                return stats
            assert time.monotonic() < deadline_s, f"never as wanted: {stats}"
            select.select([], [], [], 0.002)


@pytest.fixture
def edges() -> Iterator[Edges]:
    made = Edges()
    try:
        yield made
    finally:
        for stage in made.stages:
            stage.clean()
        for edge in made.edges:
            edge.close()


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many descriptors this process has open."""
    return lambda: len(os.listdir("/proc/self/fd"))


@pytest.fixture
def mapped() -> Callable[[], int]:
    """How many mappings of tensor memory this process has."""

    def count() -> int:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            return sum("memfd:aish-tensor" in line for line in maps)

    return count
