"""Adapters for agent programs that others wrote, as plugins offer them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.agents.agent import CLIENT
from aish.errors import InternalError, NotFoundError, UsageError
from aish.model.nearest import nearest
from aish.spi.agent_adapter import GROUP, AgentAdapter

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint


def names() -> list[str]:
    """Of all that are installed, sorted; none of them is loaded."""
    return sorted(_points())


def _points() -> dict[str, EntryPoint]:
    from importlib import metadata  # slow, and not for who names an agent file

    return {point.name: point for point in metadata.entry_points(group=GROUP)}


def load(name: str) -> AgentAdapter:
    """Raises NotFoundError with the nearest name, InternalError for a plugin that is none."""
    points = _points()
    if name not in points:
        near = nearest(name, sorted(points))
        hint = f"did you mean {near}?" if near else "there are: " + (", ".join(sorted(points)) or "none")
        raise NotFoundError(f"no adapter is called {name}", hint=hint)
    try:
        make: Callable[[], object] = points[name].load()
        adapter = make()
    except Exception as error:
        raise InternalError(f"the adapter {name} cannot be loaded: {error!r}", hint="reinstall its plugin") from error
    if not isinstance(adapter, AgentAdapter):
        raise InternalError(f"the adapter {name} is none: {type(adapter).__name__}", hint="reinstall its plugin")
    return adapter


def keeps_sessions(adapter: AgentAdapter) -> bool:
    """Whether its program can go on with a conversation."""
    return bool(getattr(adapter, "keeps_sessions", True))


def keeps_conversation(adapter: AgentAdapter) -> bool:
    """Whether it keeps what a conversation can be gone back to by."""
    return bool(getattr(adapter, "keeps_conversation", False))


def keeps_newest_only(adapter: AgentAdapter) -> bool:
    """Whether that is good only as long as nothing more is said in the same session."""
    return bool(getattr(adapter, "keeps_newest_only", False))


def check_parks(adapter: AgentAdapter, name: str) -> None:
    """Raises UsageError where an agent of it could not be ended in the middle of something, and go on later."""
    if not (keeps_sessions(adapter) or keeps_conversation(adapter)):
        raise UsageError(
            f"{name} cannot be parked: {adapter.name} keeps no conversation that it could go on with",
            hint="when_reserved: hold waits for the window; model:NAME has another model answer meanwhile",
        )


def passes_login(adapter: AgentAdapter) -> bool:
    """Whether its program takes our key beside a login of its own."""
    return bool(getattr(adapter, "passes_login", False))


def check_login(adapter: AgentAdapter, login: str) -> None:
    """Raises UsageError."""
    if login == CLIENT and not passes_login(adapter):
        raise UsageError(
            f"login: client is not for {adapter.name}: it takes no key of ours beside its own login",
            hint="login: own leaves it alone; login: gateway asks the gateway's models",
        )


def answers_by_schema(adapter: AgentAdapter) -> bool:
    """Whether its answer can be asked for by a JSON schema."""
    return bool(getattr(adapter, "answers_by_schema", False))
