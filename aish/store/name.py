"""Names of models: `model[:tag][@digest]`, as in `smollm2`, `smollm2:2` or `org/name:Q4_K_M`.

A tag of digits is a version: the store makes it and it never changes. Every other tag may be moved; `latest` is what
a bare name means. A digest (`sha256:` and at least 8 hexadecimal digits) picks one of the model's manifests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import UsageError

if TYPE_CHECKING:
    from typing import Self

LATEST: Final = "latest"
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_HEX: Final = frozenset("0123456789abcdef")
_MOST: Final = 96
_DIGEST_LEAST: Final = 8


class Name(NamedTuple):
    model: str
    tag: str | None = None
    digest: str | None = None
    """The hexadecimal digits, or their beginning."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises UsageError where `text` is no name."""
        rest, at, digest = text.partition("@")
        if at:
            digest = digest.removeprefix("sha256:")
            if not _DIGEST_LEAST <= len(digest) <= 64 or not set(digest) <= _HEX:
                raise _wrong(text, f"after @ comes sha256: and at least {_DIGEST_LEAST} hexadecimal digits")
        model, colon, tag = rest.partition(":")
        parts = model.split("/")
        if len(parts) > 2 or not all(map(_is_word, parts)):
            raise _wrong(text, "a name has letters, digits, '.', '_' and '-', and at most one '/'")
        if colon and not _is_word(tag):
            raise _wrong(text, "a tag has letters, digits, '.', '_' and '-'")
        return cls(model, tag or None, digest or None)

    @property
    def reference(self) -> str:
        """`model:tag`, with the tag that a bare name means."""
        return f"{self.model}:{self.tag or LATEST}"

    def __str__(self) -> str:
        text = self.model
        if self.tag and self.tag != LATEST:
            text += f":{self.tag}"
        return f"{text}@sha256:{self.digest}" if self.digest else text


def is_version(tag: str) -> bool:
    return tag.isascii() and tag.isdecimal()


def from_file(stem: str) -> str:
    """A name for a file: what cannot stand in a name becomes '-'. Raises UsageError where nothing is left."""
    text = "".join(c if c in _PLAIN else "-" for c in stem).strip("-._")[:_MOST]
    if not text:
        raise UsageError(f"no name can be made of the file name {stem!r}", hint="give one with --name")
    return text


def _is_word(text: str) -> bool:
    return 0 < len(text) <= _MOST and set(text) <= _PLAIN and text[0] not in ".-"


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"not a model's name: {text!r}", hint=why)
