"""What is asked of one run of an agent beside its words: an answer by a schema, a conversation to go on with.

`@NAME --schema FILE --session last WORD…`, before the first word, or `aish run --schema FILE @NAME`.
"""

from __future__ import annotations

from aish.agents import schema
from aish.errors import UsageError
from aish.spi.acting import BUILTIN, Acting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from aish.agents.agent import Agent

SESSION: Final = "--session"
CONTINUE: Final = "--continue"
LAST: Final = "last"
"""The session that was the last one of the agent in this folder."""


class Asked:
    """`schema`: a file, or JSON; `session`: LAST, or what its program calls it."""

    __slots__ = ("schema", "session")

    def __init__(self, schema: str | None = None, session: str | None = None) -> None:
        self.schema = schema
        self.session = session

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asked) and (self.schema, self.session) == (other.schema, other.session)

    __hash__ = None  # type: ignore[assignment]


def parted(words: Sequence[str], before: Asked | None = None) -> tuple[Asked, list[str]]:
    """The options before the first word, over those of `before`, and the words. A `--` ends the options. Raises
    UsageError."""
    found = before or Asked()
    found, rest = Asked(found.schema, found.session), list(words)
    while rest:
        option, equals, value = rest[0].partition("=")
        if option == CONTINUE and not equals:
            found.session = LAST
            del rest[0]
            continue
        if option not in (schema.OPTION, SESSION):
            break
        if not equals and len(rest) < 2:
            raise UsageError(f"{option} needs a value", hint=_HINTS[option])
        value = value if equals else rest[1]
        if not value:
            raise UsageError(f"{option} is empty", hint=_HINTS[option])
        if option == SESSION:
            found.session = value
        else:
            found.schema = value
        del rest[: 1 if equals else 2]
    return found, rest[1:] if rest[:1] == ["--"] else rest


_HINTS: Final = {
    schema.OPTION: "a file with a JSON schema, or the schema itself",
    SESSION: f"{LAST}, or what its program calls the conversation",
}


def refused(adapter: str) -> UsageError:
    """Of what answers as it likes."""
    hint = "a model, or an agent without an adapter or with `tools`"
    return UsageError(f"{adapter} has no answer by a schema", hint=hint)


def by_schema(agent: Agent, wanted: Mapping[str, Any]) -> Agent:
    """The agent with that schema in place of its file's; what turned text into text is the built-in agent by that.
    Raises UsageError for one that has no answer by a schema, NotFoundError where there is no such adapter."""
    if agent.adapter is not None:
        from aish.agents import adapters  # plugins are nothing for who asks for no schema

        if not adapters.answers_by_schema(adapters.load(agent.adapter)):
            raise refused(agent.adapter)
    folding = agent.map_reduce
    if agent.whole_sentences or any(getattr(folding, key) not in (None, "answer") for key in folding.__slots__):
        hint = "map_reduce and whole_sentences are of an answer that is text"
        raise UsageError(f"@{agent.name} cannot answer by a schema as its file is", hint=hint)
    agent.adapter = agent.adapter or BUILTIN
    agent.acting = agent.acting or Acting()
    agent.acting.schema = wanted
    return agent
