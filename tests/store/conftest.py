"""Small GGUF files, and a private store."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from aish.store import gguf_write
from aish.store.gguf_write import F32, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def private_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this test's store."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "aish" / "models"


def tiny_gguf(seed: int = 0, size_bytes: int = 256, **metadata: gguf_write.Value) -> bytes:
    """A whole GGUF of the architecture "llama" with one tensor whose bytes depend on `seed`."""
    stream = io.BytesIO()
    keys: dict[str, gguf_write.Value] = {
        "general.architecture": "llama",
        "general.license": "mit",
        "general.file_type": 0,
        "llama.context_length": 2048,
        "tokenizer.chat_template": "{{ messages }}",
        "tokenizer.ggml.tokens": ["a", "b", "c"],
        "general.tags": [1, 2, 3],
    } | metadata
    count = size_bytes // 4
    data = (seed.to_bytes(4, "little") * count)[: count * 4]
    gguf_write.write(stream, keys, [Tensor("blk.0.weight", (count,), F32, data)])
    return stream.getvalue()


@pytest.fixture
def gguf_file(tmp_path: Path) -> Callable[..., Path]:
    """Makes GGUF files: `gguf_file("name.gguf", seed=1, size_bytes=4096)`."""

    def make(name: str = "tiny.gguf", seed: int = 0, size_bytes: int = 256, **metadata: gguf_write.Value) -> Path:
        path = tmp_path / name
        path.unlink(missing_ok=True)  # as a download does: a file that is written anew is another file
        path.write_bytes(tiny_gguf(seed, size_bytes, **metadata))
        return path

    return make
