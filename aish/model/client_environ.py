"""By which variables clients of models find the gateway, vendor by vendor. docs/gateway.md says which client reads
which."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

OWN_KEY: Final = "x-aish-key"
"""The header of ours for a client that has a login of its own in the usual ones."""
OPENAI_NAMES: Final = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_KEY")
VENDORS: Final = ("openai", "anthropic", "ollama", "gemini")
ANTHROPIC_LOGIN: Final = "anthropic-login"
"""Beside the login that a client of Anthropic's has itself: our key is a header of its own."""
AZURE: Final = "azure"
"""OpenAI's client of Azure. Not among "all": a program that finds these may leave OpenAI for them."""
_AZURE_VERSION: Final = "2024-10-21"  # that client must be told one; here it changes nothing
ANTHROPIC_HEADERS: Final = "ANTHROPIC_CUSTOM_HEADERS"
"""Lines of NAME: VALUE; not all of them need be ours."""
KEY_NAMES: Final = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    ANTHROPIC_HEADERS,
    "OLLAMA_API_KEY",
    "GEMINI_API_KEY",
    "AZURE_OPENAI_API_KEY",
)
"""Where a key of the gateway may be: `aish env` tells it to a shell, and what that starts finds it there."""


def withdrawn(base_url: str, key: str, environ: Mapping[str, str]) -> dict[str, str | None]:
    """What takes our addresses and every key of ours out of that environment, for who asks a vendor by a login of its
    own. What the person has set stays. `key`: one that is ours whatever it looks like; "": none is."""
    from aish.model import key_form  # a pattern is compiled there: not for who only wants the names

    def ours(text: str) -> bool:
        return bool(key and key in text) or key_form.within(text)

    urls = {base_url, _origin(base_url)}
    told = {**variables(base_url, "", "all"), **variables(base_url, "", AZURE)}
    made: dict[str, str | None] = {name: None for name in told if environ.get(name) in urls}
    made |= {name: None for name in KEY_NAMES if ours(environ.get(name, ""))}
    if ANTHROPIC_HEADERS in environ:
        others = [line for line in other_headers(environ[ANTHROPIC_HEADERS]) if not ours(line)]
        made[ANTHROPIC_HEADERS] = "\n".join(others) or None
    return made


def other_headers(lines: str) -> list[str]:
    """Those of ANTHROPIC_HEADERS without our own, which `aish env` has told to the shell that started this one."""
    return [line for line in lines.split("\n") if line and line.partition(":")[0].strip().lower() != OWN_KEY]


def _origin(base_url: str) -> str:
    return base_url.removesuffix("/").removesuffix("/v1")


def variables(base_url: str, key: str, clients: str) -> dict[str, str]:
    """For the clients of one vendor, of "all", ANTHROPIC_LOGIN or AZURE. `base_url` is OpenAI's, with /v1."""
    url = _origin(base_url)
    if clients == ANTHROPIC_LOGIN:
        return {"ANTHROPIC_BASE_URL": url, ANTHROPIC_HEADERS: f"{OWN_KEY}: {key}"}
    if clients == AZURE:
        return {
            "AZURE_OPENAI_ENDPOINT": url,
            "AZURE_OPENAI_API_KEY": key,
            "OPENAI_API_VERSION": _AZURE_VERSION,
        }
    names = {
        "openai": dict(zip(OPENAI_NAMES, (base_url, base_url, key), strict=True)),
        "anthropic": {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": key},
        "ollama": {"OLLAMA_HOST": url, "OLLAMA_API_KEY": key},
        "gemini": {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": key},
    }
    return {name: value for each in names if clients in (each, "all") for name, value in names[each].items()}
