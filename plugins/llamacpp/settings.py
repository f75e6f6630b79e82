"""How a GGUF is served: from what the model is, what its manifest says, and how large the machine is. Pure.

option          default                     meaning
ctx             4096, or less if trained    tokens that one request may hold, prompt and answer together
slots           2 below 4 cores, else 4     requests worked on at the same time; each has `ctx` of its own
batch           512 (encoders: ctx)         tokens worked on in one go; the longest text that can be embedded;
                                            rounded up to a multiple of `slots`
embeddings      on                          /v1/embeddings beside chat; `only` for encoders, `off`
pooling         mean (encoders: the file's) mean, cls, last
threads         the cores at hand           threads that compute
gpu_layers      all                         layers on the GPU, where xllamacpp was built for one
cache           1/16 of memory, 1G at most  prefixes of earlier requests kept in RAM; 0 for none
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.model.size import parse_bytes, parse_count

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTEXT_TOKENS: Final = 4096
"""Enough for a summary's input, and small: the memory for it is taken at the start, for each slot."""
BATCH_TOKENS: Final = 512
"""A long prompt holds up the others' answers by one batch at a time."""
CACHE_MOST_BYTES: Final = 1 << 30
_CACHE_SHARE: Final = 16
_MANY_CORES: Final = 4
_INT_BELOW: Final = 1 << 31
"""llama.cpp keeps its numbers, the tokens of all slots together too, in a C int; the cache's size in MiB."""

OPTIONS: Final = ("ctx", "slots", "batch", "embeddings", "pooling", "threads", "gpu_layers", "cache")
POOLINGS: Final = ("mean", "cls", "last")
EMBEDDINGS: Final = ("on", "off", "only")


class Settings(NamedTuple):
    """`ctx_tokens` is for one request. `pooling` None: what the file says. `threads` 0: the cores at hand."""

    ctx_tokens: int
    slots: int
    batch_tokens: int
    embeddings: str
    pooling: str | None
    threads: int
    gpu_layers: int
    cache_bytes: int


def decide(options: Mapping[str, str], trained_tokens: int | None, cores: int, memory_bytes: int) -> Settings:
    """Raises UsageError for an option that is not known or whose value is not."""
    for key in options:
        if key not in OPTIONS:
            near = nearest(key, OPTIONS)
            raise UsageError(
                f"no such option of the model server: {key}",
                hint=f"did you mean {near}?" if near else "there are: " + ", ".join(OPTIONS),
            )
    embeddings = _word(options, "embeddings", EMBEDDINGS, "on")
    ctx_tokens = _count(options, "ctx", min(CONTEXT_TOKENS, trained_tokens or CONTEXT_TOKENS), least=16)
    slots = _count(options, "slots", 2 if cores < _MANY_CORES else 4)
    if ctx_tokens * slots >= _INT_BELOW:
        raise UsageError(
            f"ctx={ctx_tokens} for each of {slots} slots is more than the server can count",
            hint="give fewer of either",
        )
    encoder = embeddings == "only"
    pooling = _word(options, "pooling", POOLINGS, "") or (None if encoder else "mean")
    batch_tokens = _count(options, "batch", ctx_tokens if encoder else min(BATCH_TOKENS, ctx_tokens), least=8)
    return Settings(
        ctx_tokens=ctx_tokens,
        slots=slots,
        batch_tokens=-(-batch_tokens // slots) * slots,  # llama.cpp pools means over whole rows of slots, else aborts
        embeddings=embeddings,
        pooling=pooling,
        threads=_count(options, "threads", 0, least=0),
        gpu_layers=_count(options, "gpu_layers", -1, least=0),
        cache_bytes=_bytes(options, "cache", min(CACHE_MOST_BYTES, memory_bytes // _CACHE_SHARE)),
    )


def to_arguments(settings: Settings) -> list[str]:
    """The child's options; `__main__` reads them back."""
    words = [
        *("--ctx", str(settings.ctx_tokens)),
        *("--slots", str(settings.slots)),
        *("--batch", str(settings.batch_tokens)),
        *("--embeddings", settings.embeddings),
        *("--threads", str(settings.threads)),
        *("--gpu-layers", str(settings.gpu_layers)),
        *("--cache-bytes", str(settings.cache_bytes)),
    ]
    return [*words, "--pooling", settings.pooling] if settings.pooling else words


def _count(options: Mapping[str, str], key: str, default: int, least: int = 1) -> int:
    text = options.get(key)
    if text is None:
        return default
    count = parse_count(text)
    if not least <= count < _INT_BELOW:
        raise UsageError(f"{key}={text}: must be at least {least} and below {_INT_BELOW}")
    return count


def _bytes(options: Mapping[str, str], key: str, default: int) -> int:
    text = options.get(key)
    if text is None:
        return default
    size_bytes = parse_bytes(text)
    if size_bytes >> 20 >= _INT_BELOW:
        raise UsageError(f"{key}={text}: must be below {_INT_BELOW} MiB")
    return size_bytes


def _word(options: Mapping[str, str], key: str, known: tuple[str, ...], default: str) -> str:
    text = options.get(key, default)
    if key in options and text not in known:
        raise UsageError(f"{key}={text}: no such value", hint="one of " + ", ".join(known))
    return text
