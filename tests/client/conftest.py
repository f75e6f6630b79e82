"""Both Python clients behind one face: a test of what `Aish` does is a test of what `AsyncAish` does."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import Aish, AsyncAish

if TYPE_CHECKING:
    from collections.abc import Iterator


class Blocked:
    """An object of aish.client.aio or aio_process whose methods return when they are done, in a loop of its own."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.inner, self.loop = inner, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        return self._method(found) if callable(found) else found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocked) and bool(self.inner == other.inner)

    def __hash__(self) -> int:
        return hash(self.inner)

    def _method(self, method: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            result = method(*words, **named)
            if inspect.isawaitable(result):
                return self._blocked(self.loop.run_until_complete(result))
            return self._steps(result) if hasattr(result, "__anext__") else result

        return call

    def _steps(self, stream: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    each = self.loop.run_until_complete(anext(stream))
                except StopAsyncIteration:
                    return
                yield each
        finally:
            self.loop.run_until_complete(stream.aclose())

    def _blocked(self, result: Any) -> Any:
        if isinstance(result, tuple) and type(result) is tuple:
            return tuple(self._blocked(each) for each in result)
        ours = type(result).__module__ in ("aish.client.aio", "aish.client.aio_process")
        return Blocked(result, self.loop) if ours else result


KINDS = ["blocking", pytest.param("asyncio", marks=pytest.mark.slow)]


@pytest.fixture(params=KINDS)
def aish(request: pytest.FixtureRequest, shared_home: Any) -> Iterator[Any]:
    """A client of the supervisor that the file's tests share, in whose table there is nothing."""
    with _client(request.param) as client:
        yield client


@pytest.fixture(params=KINDS)
def own_aish(request: pytest.FixtureRequest, home: Any) -> Iterator[Any]:
    """A client of a supervisor in a private home, which it starts."""
    with _client(request.param) as client:
        yield client


@contextmanager
def _client(kind: str) -> Iterator[Any]:
    if kind == "blocking":
        with Aish(program="test") as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    try:
        client = Blocked(AsyncAish(program="test"), loop)
        yield client
        client.close()
        assert not asyncio.all_tasks(loop), "it left a task behind"
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
