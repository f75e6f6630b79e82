"""Names of models: what may be one, and what a bare one means."""

from __future__ import annotations

import pytest

from aish.errors import UsageError
from aish.store.name import Name, from_file, is_version


@pytest.mark.parametrize(
    ("text", "model", "tag", "digest"),
    [
        ("smollm2", "smollm2", None, None),
        ("smollm2:2", "smollm2", "2", None),
        ("org/name:Q4_K_M", "org/name", "Q4_K_M", None),
        ("a@sha256:0123456789abcdef", "a", None, "0123456789abcdef"),
        ("a:b@01234567", "a", "b", "01234567"),
    ],
)
def test_a_name_is_taken_apart(text: str, model: str, tag: str | None, digest: str | None) -> None:
    assert Name.parse(text) == (model, tag, digest)


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "a/", "/a", "a/b/c", "../x", "a/..", ".hidden", "-rf", "a b", "a\nb", "a@", "a@sha256:xyz", "ä",
     "a@0123", "x" * 97, "a:" + "t" * 97, "a@" + "0" * 65],
)  # fmt: skip
def test_what_is_no_name_is_refused_with_a_hint(text: str) -> None:
    """A name becomes part of references and messages: nothing that could leave the store or steer a terminal."""
    with pytest.raises(UsageError) as caught:
        Name.parse(text)
    assert caught.value.hint


def test_a_bare_name_means_latest() -> None:
    assert Name.parse("a").reference == "a:latest"
    assert str(Name.parse("a:latest")) == "a"
    assert str(Name.parse("a:2")) == "a:2"


def test_a_file_name_becomes_a_name() -> None:
    assert from_file("My Model (4 bit)") == "My-Model--4-bit"
    assert Name.parse(from_file("..weird..")) == ("weird", None, None)
    with pytest.raises(UsageError, match="no name can be made"):
        from_file("???")


def test_versions_are_digits_only() -> None:
    assert is_version("12")
    assert not is_version("1.2")
    assert not is_version("٣")  # another alphabet's digit
