"""From an agent, the words after its name and the text on stdin to the messages of a request. Pure."""

from __future__ import annotations

from aish.agents.agent import INPUT_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aish.agents.agent import Agent
    from aish.agents.chat import Messages

# The question comes after the text: small models forget what they read first.
REDUCE_PROMPT: Final = (
    "{input}\n\nThese are the answers for the consecutive parts of one long text. Make one answer for the whole text."
)


def whole(agent: Agent, text: str, words: str) -> Messages:
    """The request for a text that fits. Without text the words are the text."""
    return _messages(agent, agent.prompt, text, words)


def part(agent: Agent, text: str, words: str) -> Messages:
    """The request for one part of a long text."""
    return _messages(agent, agent.map_reduce.chunk_prompt or agent.prompt, text, words)


def joined(agent: Agent, answers: str, words: str) -> Messages:
    """The request that makes one answer of the parts' answers."""
    return _messages(agent, agent.map_reduce.reduce_prompt or REDUCE_PROMPT, answers, words)


def around(agent: Agent, words: str) -> str:
    """Everything that goes with a part, or with joined answers, without the text: what its room is reduced by."""
    candidates = [part(agent, "", words), joined(agent, "", words)]
    texts = ["\n".join(text for _, text in messages) + "\n" + words for messages in candidates]
    return max(texts, key=len)


def _messages(agent: Agent, template: str, text: str, words: str) -> Messages:
    plain = not agent.instructions and template == INPUT_MARK
    if not text.strip():
        user = fill(template, words)
    elif not words:
        user = fill(template, text)
    elif plain:
        user = words + "\n\n" + text.strip("\n")  # a model that is asked directly: the way people write a prompt
    else:
        user = f"{fill(template, text)}\n\n{words}"
    return [("system", agent.instructions), ("user", user)] if agent.instructions else [("user", user)]


def fill(template: str, text: str) -> str:
    """`template` with `text` for its one `{input}`; the text itself is never looked at."""
    before, _, after = template.partition(INPUT_MARK)
    return before + text.strip("\n") + after
