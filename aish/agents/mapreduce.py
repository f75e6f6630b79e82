"""The plan for an input that the model's context cannot hold: parts, their answers, one answer. Pure.

How long things are is asked from `count` (tokens of a text for the model at hand); asking the model is the runner's.
Rounds end: an answer is clipped to a third of the room, so that every round at least halves the number of texts.
"""

from __future__ import annotations

from aish.agents.split import split
from aish.errors import LimitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aish.agents.agent import Agent, Reduce
    from aish.agents.split import Count

MARGIN_TOKENS: Final = 64  # the chat template's own marks, and what joining texts adds
ROOM_TOKENS_MIN: Final = 64
OUTPUT_TOKENS_DEFAULT: Final = 512  # of a part's answer where the agent sets no limit
PARTS_MAX: Final = 4096
SEPARATOR: Final = "\n\n"


class Room:
    """How one context is shared out: `input_tokens` for a part, `output_tokens` for its answer."""

    __slots__ = ("context_tokens", "input_tokens", "output_tokens")

    def __init__(self, context_tokens: int, input_tokens: int, output_tokens: int) -> None:
        self.context_tokens = context_tokens
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


def room(context_tokens: int, fixed_tokens: int, max_output_tokens: int | None, reduce: Reduce) -> Room:
    """Share a context out. `fixed_tokens`: instructions and prompts without the text. Raises LimitError."""
    free = context_tokens - fixed_tokens - MARGIN_TOKENS
    match reduce:
        case "answer":  # an answer is shorter than its text: a quarter, so that the rounds shrink
            output = min(max_output_tokens or OUTPUT_TOKENS_DEFAULT, max(1, free // 4))
        case "join":  # it may be as long as its text, such as a translation, in a language that takes more tokens
            output = min(max_output_tokens or free, max(1, free * 3 // 5))
    if free - output < ROOM_TOKENS_MIN:
        raise LimitError(
            f"the instructions ({fixed_tokens:,} tokens) leave no room for text in a context of {context_tokens:,}",
            hint="shorten the instructions or use a model with a longer context",
        )
    return Room(context_tokens, free - output, output)


def fits(input_tokens: int, context_tokens: int, max_output_tokens: int | None, reduce: Reduce) -> bool:
    """Whether a whole request of `input_tokens` leaves room for its answer."""
    match reduce:
        case "answer":
            output = min(max_output_tokens or OUTPUT_TOKENS_DEFAULT, context_tokens // 4)
        case "join":
            output = min(max_output_tokens or context_tokens, input_tokens * 3 // 2)
    return input_tokens + MARGIN_TOKENS + output <= context_tokens


def left(input_tokens: int, context_tokens: int, max_output_tokens: int | None) -> int | None:
    """The bound to send for an answer to `input_tokens`: the agent's own, less where the context has less left."""
    if max_output_tokens is None:
        return None
    return max(1, min(max_output_tokens, context_tokens - input_tokens - MARGIN_TOKENS))


def parts(text: str, shared: Room, count: Count, total_tokens: int, part_tokens: int | None) -> list[str]:
    """The parts to answer: those of `split` that hold more than white space. `part_tokens` is what the agent wants
    of a part at most. Raises LimitError."""
    room_tokens = min(shared.input_tokens, max(ROOM_TOKENS_MIN, part_tokens or shared.input_tokens))
    made = [part for part in split(text, room_tokens, count, total_tokens) if part.strip()]
    if len(made) > PARTS_MAX:
        raise LimitError(
            f"the input would need {len(made):,} requests, the most is {PARTS_MAX:,}",
            hint="use a model with a longer context or larger parts, or split the work",
        )
    return made


def groups(answers: list[str], shared: Room, count: Count) -> list[str]:
    """Pack consecutive answers into as few texts as fit; one text: the next answer is the last one.

    With two or more answers there are at most half as many texts, rounded up.
    """
    packed: list[list[str]] = []
    used = 0
    for answer in answers:
        if not answer.strip():
            continue
        answer, tokens = _clip(answer.strip(), shared.input_tokens // 3, count)
        tokens += count(SEPARATOR)
        if packed and used + tokens <= shared.input_tokens:
            packed[-1].append(answer)
            used += tokens
        else:
            packed.append([answer])
            used = tokens
    return [SEPARATOR.join(group) for group in packed]


def _clip(answer: str, most_tokens: int, count: Count) -> tuple[str, int]:
    """A server that ignores max_tokens must not stop the rounds from shrinking."""
    tokens = count(answer)
    if tokens <= most_tokens:
        return answer, tokens
    clipped = split(answer, most_tokens, count, tokens)[0].strip()
    return clipped, count(clipped)


def told(input_tokens: int, exact: bool, context_tokens: int, part_count: int, agent: Agent) -> str:
    """The one line that says what happens to a long input."""
    about = "" if exact else "about "
    then = "one after the other" if agent.map_reduce.reduce == "join" else "then joined"
    model = "the model" if agent.model == "default" else agent.model
    return (
        f"input is {about}{input_tokens:,} tokens, the context of {model} is {context_tokens:,}: "
        f"split into {part_count} parts, {then}"
    )
