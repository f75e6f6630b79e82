"""A conversation that grows beyond its share of the model's context: made shorter before the next request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.usage import RequestUsage

from aish.plugins.builtin import conversation
from aish.plugins.builtin.bound import bounded

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from aish.spi.agent_adapter import Host

SHARE: Final = 0.7
UNKNOWN_TOKENS: Final = 128_000
"""Where nobody tells how long a context is."""
CHARS_PER_TOKEN: Final = 3
"""A cautious guess; the servers' own figures correct it."""
SUMMARY_TOKENS: Final = 1500
TIGHTENED_MOST: Final = 5
_INSTRUCTIONS: Final = "You keep notes of work that goes on, for the one who does it and forgets everything else."
_ASKED: Final = (
    "Summarise the work above for yourself, to go on with it: what was asked, what was found out (names, paths, "
    "figures, exactly), what was done, what is left to do. Notes only."
)


@dataclass
class Compaction:
    """`context_tokens` None: not known."""

    model: Model
    host: Host
    context_tokens: int | None
    _at_once: bool = False
    _tightened: int = 0

    @property
    def room_tokens(self) -> int:
        return int(SHARE * (self.context_tokens or UNKNOWN_TOKENS))

    def tighten(self, context_tokens: int | None, messages: list[ModelMessage]) -> bool:
        """A server found a request too long: the next one is shorter. False: there is nothing to make it so."""
        self._tightened += 1
        if len(messages) <= conversation.KEPT or self._tightened > TIGHTENED_MOST:
            return False
        known = [most for most in (context_tokens, self.context_tokens) if most is not None]
        self.context_tokens = min(known) if known else max(2048, tokens_of(messages))
        self._at_once = True
        return True

    async def __call__(self, messages: list[ModelMessage]) -> list[ModelMessage]:
        """What the next request carries, and all later ones."""
        messages = conversation.tame(messages)
        tokens = tokens_of(messages)
        at_once, self._at_once = self._at_once, False
        if len(messages) <= conversation.KEPT or (tokens <= self.room_tokens and not at_once):
            return messages
        before = conversation.chars(messages)
        shorter = conversation.shortened(messages)
        if at_once or tokens * conversation.chars(shorter) / max(1, before) > self.room_tokens:
            shorter = await self._summarised(shorter)
        after = int(tokens * conversation.chars(shorter) / max(1, before))
        self.host.progress(f"the conversation had about {tokens:,} tokens: made shorter, to about {after:,}")
        self.host.record("compacted", before_tokens=tokens, after_tokens=after)
        return forgotten(shorter)

    async def _summarised(self, messages: list[ModelMessage]) -> list[ModelMessage]:
        older, newest = conversation.divided(messages)
        first = messages[0]
        if len(older) < 2 or not isinstance(first, ModelRequest):
            return messages
        text = bounded(conversation.told(older), self.room_tokens * CHARS_PER_TOKEN)
        most = max(64, min(SUMMARY_TOKENS, self.room_tokens // 4))
        asked = ModelRequest([UserPromptPart(f"{text}\n\n{_ASKED}")], instructions=_INSTRUCTIONS)
        answer = await model_request(self.model, [asked], model_settings={"max_tokens": most})
        notes = "".join(part.content for part in answer.parts if isinstance(part, TextPart)).strip()
        notes = notes or bounded(text, most * CHARS_PER_TOKEN)  # it had nothing to say: then the text itself
        self.host.record("summary", text=notes)
        task = conversation.told([ModelRequest([part for part in first.parts if isinstance(part, UserPromptPart)])])
        task = bounded(task.removeprefix("task: "), self.room_tokens * CHARS_PER_TOKEN // 4)
        begun = ModelRequest(
            [UserPromptPart(f"{task}\n\n[Your notes of what you did until now]\n{notes}")],
            instructions=first.instructions,
        )
        return [begun, *newest]


def tokens_of(messages: list[ModelMessage]) -> int:
    """What the server counted up to the last answer, and a guess for what came after it; or a guess of all."""
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if isinstance(message, ModelResponse) and message.usage.input_tokens:
            after = conversation.chars(messages[place + 1 :]) // CHARS_PER_TOKEN
            return message.usage.input_tokens + message.usage.output_tokens + after
    return conversation.chars(messages) // CHARS_PER_TOKEN


def forgotten(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Without the servers' figures: they are of a conversation that is no more."""
    return [
        replace(message, usage=RequestUsage()) if isinstance(message, ModelResponse) else message
        for message in messages
    ]
