"""An agent's one turn: text in, one answer out, in as many requests as the model's context makes necessary."""

from __future__ import annotations

import time

from aish.agents import chat, compose, mapreduce
from aish.agents.failure import ContextError
from aish.agents.sentences import Sentences
from aish.agents.split import boundary
from aish.agents.upstream import Counted
from aish.errors import BudgetError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from aish.agents.agent import Agent
    from aish.agents.chat import Messages
    from aish.agents.events import Events
    from aish.agents.stdout import Stdout
    from aish.agents.upstream import Budget, Upstream

# No tokenizer makes more than one token of a byte, and no model in use has a context below 2,048.
SURELY_FITS_BYTES: Final = 1400
COUNTED_CHARS_MAX: Final = 256 << 10  # of one question to the tokenizer
PART_DEPTH_MAX: Final = 8
# A server that ignores max_tokens is stopped after so many chunks per token that it was allowed.
CHUNKS_PER_TOKEN: Final = 4
ANSWER_CHARS_MAX: Final = 1 << 20  # of a part's answer, which is kept in memory


class Runner:
    """`note` tells a person one line of progress."""

    def __init__(
        self, agent: Agent, upstream: Upstream, stdout: Stdout, events: Events, note: Callable[[str], None]
    ) -> None:
        self.agent = agent
        self.upstream = upstream
        self.stdout = stdout
        self.events = events
        self.note = note
        self.words = ""
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.first_token_s: float | None = None
        self._started_s = time.monotonic()

    def run(self, words: str, text: str) -> None:
        """Answer `text` under `words` on stdout. Raises AishError; DownstreamError when stdout's reader left."""
        if not text.strip() and not words.strip():
            raise UsageError(
                "there is nothing to answer: stdin is empty and no words follow",
                hint=f"give it text: @{self.agent.name} < FILE, or words: @{self.agent.name} WORDS…",
            )
        self.words = words
        messages = compose.whole(self.agent, text, words)
        counted = self._counted_if_long(messages)
        context = counted.context_tokens if counted else None
        most, reduce = self.agent.limits.max_output_tokens, self.agent.map_reduce.reduce
        if counted is None or context is None or mapreduce.fits(counted.tokens, context, most, reduce):
            if counted is not None and context is not None:
                most = mapreduce.left(counted.tokens, context, most)
            try:
                self._last_answer(messages, most)
                return
            except ContextError as error:  # nobody had told how long the context is
                if error.context_tokens is None:
                    raise
                context = error.context_tokens
        counted = counted or self._counted(_text_of(messages))
        if text.strip():
            self._long(text, words, counted, context)
        else:
            self._long(words, "", counted, context)

    # --- a long input -------------------------------------------------------------------------------------------

    def _long(self, text: str, words: str, whole: Counted, context_tokens: int) -> None:
        self.words = words
        fixed_tokens = self._tokens(compose.around(self.agent, words))
        shared = mapreduce.room(
            context_tokens, fixed_tokens, self.agent.limits.max_output_tokens, self.agent.map_reduce.reduce
        )
        wanted = self.agent.map_reduce.part_tokens
        parts = mapreduce.parts(text, shared, self._tokens, whole.tokens, wanted)
        if len(parts) == 1:  # so close to the bound that the estimate was on the other side of it
            self._last_answer(compose.part(self.agent, parts[0], words), shared.output_tokens)
            return
        self.note(mapreduce.told(whole.tokens, whole.exact, context_tokens, len(parts), self.agent))
        self.events.emit(
            "plan",
            input_tokens=whole.tokens,
            exact=whole.exact,
            context_tokens=context_tokens,
            parts=len(parts),
        )
        if self.agent.map_reduce.reduce == "join":
            for number, part in enumerate(parts, 1):
                self.events.emit("part", number=number, of=len(parts), round=1)
                self._each(part, shared.output_tokens, self._join_answer)
            self._end()
        else:
            self._reduce(parts, shared)

    def _reduce(self, parts: list[str], shared: mapreduce.Room) -> None:
        """Answer the parts, then what their answers make, until one text is left."""
        answers: list[str] = []

        def keep(messages: Messages, output_tokens: int) -> None:
            answers.append(self._answer(messages, output_tokens))

        for number, part in enumerate(parts, 1):
            self.events.emit("part", number=number, of=len(parts), round=1)
            self._each(part, shared.output_tokens, keep)
        rounds = 1
        while len(texts := mapreduce.groups(answers, shared, self._tokens)) > 1:
            rounds += 1
            answers = []
            for number, text in enumerate(texts, 1):
                self.events.emit("part", number=number, of=len(texts), round=rounds)
                keep(compose.joined(self.agent, text, self.words), shared.output_tokens)
        if not texts:
            self.note("the model had no answer to any part")
            self._end()
            return
        messages = compose.joined(self.agent, texts[0], self.words)
        most = self.agent.limits.max_output_tokens
        if most is not None:
            most = mapreduce.left(self._tokens(_text_of(messages)), shared.context_tokens, most)
        self._last_answer(messages, most)

    def _each(self, part: str, output_tokens: int, answer: Callable[[Messages, int], None], depth: int = 0) -> None:
        """Answer a part; in two halves where the count was an estimate and the server finds it too long."""
        try:
            answer(compose.part(self.agent, part, self.words), output_tokens)
        except ContextError:
            if depth >= PART_DEPTH_MAX or len(part) < 2:
                raise
            cut = boundary(part[: len(part) // 2 + 1])
            for half in (part[:cut], part[cut:]):
                if half.strip():
                    self._each(half, output_tokens, answer, depth + 1)

    # --- one request --------------------------------------------------------------------------------------------

    def _last_answer(self, messages: Messages, output_tokens: int | None) -> None:
        self._stream(messages, output_tokens, self.stdout.write)
        self._end()

    def _join_answer(self, messages: Messages, output_tokens: int) -> None:
        self.stdout.next_part()
        self._stream(messages, output_tokens, self.stdout.write)

    def _answer(self, messages: Messages, output_tokens: int) -> str:
        pieces: list[str] = []
        self._stream(messages, output_tokens, pieces.append)
        return "".join(pieces)[:ANSWER_CHARS_MAX]

    def _stream(self, messages: Messages, output_tokens: int | None, write: Callable[[str], None]) -> None:
        """One request; `write` gets the answer as it arrives."""
        sentences = Sentences() if self.agent.whole_sentences else None
        chunks_max = None if output_tokens is None else CHUNKS_PER_TOKEN * output_tokens + 64
        finish: str | None = None
        chunks = 0
        deltas = self.upstream.stream(chat.request(self.agent, messages, output_tokens), self.agent.model)
        for delta in deltas:
            finish = delta.finish or finish
            self._account(delta)
            if delta.text:
                chunks += 1
                if self.first_token_s is None:
                    self.first_token_s = time.monotonic() - self._started_s
                    self.events.emit("first-token", seconds=round(self.first_token_s, 3))
                write(sentences.feed(delta.text) if sentences else delta.text)
            if chunks_max is not None and chunks > chunks_max:
                finish = "length"
                self.note(f"the model server ignores max_tokens: stopped after {chunks} chunks")
                break
        deltas.close()  # ends the request where the answer was not read to its end
        if sentences:
            write(sentences.end(finish == "length"))
        self._tell_finish(finish, output_tokens)

    def _tell_finish(self, finish: str | None, output_tokens: int | None) -> None:
        self.events.emit("answered", finish=finish)
        budget = self.upstream.budget
        if finish == "length" and budget is not None:  # half an answer must not look like a whole one
            raise cut_off(budget)
        if finish == "length" and not self.agent.whole_sentences:
            limit = "the context is full" if output_tokens is None else f"max_output_tokens is {output_tokens:,}"
            self.note(f"the answer was cut off: {limit}")
        elif finish == "content_filter":
            self.note("the provider's content filter ended the answer")

    def _account(self, delta: chat.Delta) -> None:
        if delta.input_tokens is None and delta.output_tokens is None:
            return
        self.input_tokens = (self.input_tokens or 0) + (delta.input_tokens or 0)
        self.output_tokens = (self.output_tokens or 0) + (delta.output_tokens or 0)
        self.events.emit("usage", input_tokens=delta.input_tokens, output_tokens=delta.output_tokens)

    def _end(self) -> None:
        self.stdout.end()
        self.events.emit(
            "finished",
            output_bytes=self.stdout.written_bytes,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            seconds=round(time.monotonic() - self._started_s, 3),
        )

    # --- counting -----------------------------------------------------------------------------------------------

    def _counted_if_long(self, messages: Messages) -> Counted | None:
        """None: short enough for any model, not worth a question."""
        text = _text_of(messages)
        if len(text) <= SURELY_FITS_BYTES and len(text.encode("utf-8", "replace")) <= SURELY_FITS_BYTES:
            return None
        return self._counted(text)

    def _tokens(self, text: str) -> int:
        return self._counted(text).tokens

    def _counted(self, text: str) -> Counted:
        """Tokens of a text of any length, asked in pieces; where they meet, a token more or less."""
        total, exact, context, at = 0, True, None, 0
        while True:
            window = text[at : at + COUNTED_CHARS_MAX]
            piece = window[: boundary(window, at + len(window) >= len(text))]
            counted = self.upstream.count(self.agent.model, piece)
            total += counted.tokens
            exact = exact and counted.exact
            context = counted.context_tokens
            at += len(piece)
            if at >= len(text):
                return Counted(total, exact, context)


def cut_off(budget: Budget) -> BudgetError:
    from aish.wire import account

    owner = budget.owner
    of = "" if budget.tokens is None else f" of {budget.tokens} tokens"
    if owner is None:
        hint = "start it again with a larger one: --budget TOKENS" if of else "start it again with a larger one"
        return BudgetError(f"the answer was cut off: its budget{of} is spent", hint=hint)
    name = account.written(owner)
    hint = f"raise it, and start again: aish limit {name} tokens=+50k" if of else f"`aish limit {name}` shows it"
    return BudgetError(f"the answer was cut off: the budget of {account.words(owner)}{of} is spent", hint=hint)


def _text_of(messages: Messages) -> str:
    return "\n".join(text for _, text in messages)
