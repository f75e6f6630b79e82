"""A person's word to a question: what it means, and that "always" is never understood unsaid."""

from __future__ import annotations

import pytest

from aish.client.reply import Chosen, chosen, keys
from aish.errors import UsageError
from aish.wire.question import OptionPart, QuestionPart

ACP = [
    OptionPart(id="once", label="Allow once", meaning="allow"),
    OptionPart(id="session", label="Allow for this session", meaning="allow-always"),
    OptionPart(id="no", label="Reject", meaning="deny"),
]
PORTS = [OptionPart(id="8080", label="the old port"), OptionPart(id="8081", label="the new port")]


def question(options: list[OptionPart], *, words: bool = False) -> QuestionPart:
    return QuestionPart(
        process="p1", name="x", number=7, kind="permission", title="t", options=options, words=words, asked_s=0.0
    )


@pytest.mark.parametrize(
    ("options", "said", "always", "reply"),
    [
        (ACP, "allow", False, Chosen(option="once")),
        (ACP, "yes", False, Chosen(option="once")),
        (ACP, "allow", True, Chosen(option="session")),
        (ACP, "deny", False, Chosen(option="no")),
        (ACP, "session", False, Chosen(option="session")),
        (ACP, "allow for this session", False, Chosen(option="session")),
        (ACP, "rej", False, Chosen(option="no")),
        (PORTS, "8081", False, Chosen(option="8081")),
        (PORTS, "THE OLD PORT", False, Chosen(option="8080")),
    ],
)
def test_options(options: list[OptionPart], said: str, always: bool, reply: Chosen) -> None:
    assert chosen(question(options), said, always=always) == reply


@pytest.mark.parametrize(
    ("options", "said", "always", "hint"),
    [
        (ACP[1:2], "allow", False, "session (Allow for this session)"),  # it would be for always
        (ACP, "deny", True, "it takes once"),
        (ACP, "maybe", False, "it takes once"),
        (PORTS, "the", False, "8080 (the old port)"),
        (PORTS, "allow", False, "8080"),
        (PORTS, "", False, "8080"),
    ],
)
def test_what_is_not_clear_is_refused(options: list[OptionPart], said: str, always: bool, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        chosen(question(options), said, always=always)
    assert hint in (raised.value.hint or "")


def test_words_where_they_are_taken() -> None:
    assert chosen(question(PORTS, words=True), "use 9000") == Chosen(words="use 9000")
    assert chosen(question(PORTS, words=True), "8080") == Chosen(option="8080")
    with pytest.raises(UsageError):
        chosen(question([], words=True), "   ")


def test_every_way_has_a_key_of_its_own() -> None:
    assert [key.key for key in keys(question(ACP, words=True))] == ["a", "A", "d", "w"]
    many = [OptionPart(id=str(number), label=f"n{number}") for number in range(16)]
    found = [key.key for key in keys(question(many, words=True))]
    assert len(set(found)) == 17
    assert not set(found) & set("svq")
    twice = [OptionPart(id="a", label="this", meaning="allow"), OptionPart(id="b", label="that", meaning="allow")]
    assert [key.key for key in keys(question(twice))] == ["a", "1"]
