"""A person's word to a question: which of its options it means, or that it is an answer in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import UsageError
from aish.wire import question as q

if TYPE_CHECKING:
    from aish.wire.question import OptionPart, QuestionPart

_ALWAYS: Final = {q.ALLOW: q.ALLOW_ALWAYS, q.DENY: q.DENY_ALWAYS}
_YES: Final = {"allow": q.ALLOW, "yes": q.ALLOW, "deny": q.DENY, "no": q.DENY}


class Chosen(NamedTuple):
    """One of them is there."""

    option: str | None = None
    words: str | None = None


def chosen(question: QuestionPart, said: str, *, always: bool = False) -> Chosen:
    """What `said` answers: allow, deny, the id or label of an option or the beginning of one, else words where the
    question takes them. "Always" is never understood where it was not said. Raises UsageError."""
    meaning = _YES.get(said.lower())
    if meaning is not None:
        wanted = _ALWAYS[meaning] if always else meaning
        found = [option for option in question.options if option.meaning == wanted]
        if found:
            return Chosen(option=found[0].id)
    if always:
        raise UsageError(f"q{question.number} offers no {said} for always", hint=_ways(question))
    options = _named(question.options, said)
    if len(options) == 1:
        return Chosen(option=options[0].id)
    if options:
        raise UsageError(f"{said!r} may be {' or '.join(option.label for option in options)}", hint=_ways(question))
    if question.words and said.strip():
        return Chosen(words=said)
    raise UsageError(f"q{question.number} cannot be answered with {said!r}", hint=_ways(question))


def _named(options: list[OptionPart], said: str) -> list[OptionPart]:
    """Those that it names: whole names go before beginnings, which never mean "always"."""
    low = said.lower()
    whole = [option for option in options if low in (option.id.lower(), option.label.lower())]
    once = [option for option in options if option.meaning not in _ALWAYS.values()]
    return whole or [option for option in once if low and option.label.lower().startswith(low)]


def _ways(question: QuestionPart) -> str:
    ways = [
        option.id if option.id == option.label else f"{option.id} ({option.label})" for option in question.options
    ]
    return "it takes " + ", ".join([*ways, *(["words of your own"] if question.words else [])])


class Key(NamedTuple):
    """A key that answers. `option` is None for words."""

    key: str
    label: str
    option: str | None


_KEYS: Final = {q.ALLOW: "a", q.ALLOW_ALWAYS: "A", q.DENY: "d", q.DENY_ALWAYS: "D"}


def keys(question: QuestionPart) -> list[Key]:
    """A key for each way to answer: a A d D for permissions, digits for others, w for words; never s, v or q, which
    are of whoever goes through them."""
    found: list[Key] = []
    number = 0
    for option in question.options:
        key = _KEYS.get(option.meaning, "")
        if not key or key in {each.key for each in found}:
            number += 1
            key = str(number) if number < 10 else "efghijkl"[number - 10]
        found.append(Key(key, option.label, option.id))
    if question.words:
        found.append(Key("w", "answer in words", None))
    return found
