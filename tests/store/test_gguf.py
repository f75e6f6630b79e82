"""The head of a GGUF file: true for whole files; a damaged one is refused with place, without harm."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aish.errors import InputError
from aish.store import gguf, gguf_write
from aish.store.gguf import Listing
from aish.store.gguf_write import F16, F32, Tensor

from .conftest import tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_whole_file_tells_what_it_is(gguf_file: Callable[..., Path]) -> None:
    head = gguf.read(str(gguf_file(size_bytes=4096)))
    assert head.architecture == "llama"
    assert head.context_tokens == 2048
    assert head.parameters == 1024
    assert head.quantization == "F32"
    assert head.chat_template == "{{ messages }}"
    assert head.metadata["tokenizer.ggml.tokens"] == Listing(3)
    assert not head.embeds


@pytest.mark.parametrize(("code", "value"), [(11, -5), (10, (1 << 64) - 1), (10, 1 << 31), (10, 0)])
def test_a_context_that_no_model_has_is_unknown(tmp_path: Path, code: int, value: int) -> None:
    """It was taken as a fact: a context of -5, or one for which no memory is large enough."""
    key = b"llama.context_length"
    before, _, after = tiny_gguf().partition(key)
    path = tmp_path / "odd.gguf"
    number = struct.pack("<I", code) + value.to_bytes(8, "little", signed=value < 0)
    path.write_bytes(before + key + number + after[8:] + bytes(64))  # it was a U32, type and value 4 bytes each
    assert gguf.read(str(path)).context_tokens is None


def test_every_kind_of_value_survives(tmp_path: Path) -> None:
    stream = io.BytesIO()
    values: dict[str, gguf_write.Value] = {
        "general.architecture": "bert",
        "bert.attention.causal": False,
        "bert.scale": 0.5,
        "bert.context_length": 512,
        "texts": ["", "ä"],
        "numbers": [1, -1],
    }
    gguf_write.write(stream, values, [Tensor("t", (2, 3), F16, bytes(12)), Tensor("u", (1,), F32, bytes(4))])
    path = tmp_path / "x.gguf"
    path.write_bytes(stream.getvalue())
    head = gguf.read(str(path))
    assert head.embeds
    assert head.metadata["bert.scale"] == 0.5
    assert head.parameters == 7
    assert head.data_offset % 32 == 0


def _patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


WHOLE = tiny_gguf()
U64_MOST = b"\xff" * 8


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        (b"", "magic", "4 bytes are wanted, 0 are left"),
        (b"PK\x03\x04" + WHOLE[4:], "magic", "not a GGUF file"),
        (_patched(WHOLE, 4, struct.pack(">I", 3)), "version", "big-endian"),
        (_patched(WHOLE, 4, struct.pack("<I", 1)), "version", "version 1 is not known"),
        (_patched(WHOLE, 8, U64_MOST), "tensor count", "tensors are more than"),
        (_patched(WHOLE, 16, U64_MOST), "key count", "keys are more than"),
        (_patched(WHOLE, 24, U64_MOST), "key 1 of 7", "is longer than"),
        (_patched(WHOLE, 24, struct.pack("<Q", 0)), "key 1 of 7", "the key is empty"),
        (WHOLE[:60], "general.architecture", "are left"),
        (WHOLE[:-1], "tensor data", "1 bytes too early: an incomplete download?"),
        (WHOLE.replace(b"general.architecture", b"general.architectuur"), "general.architecture", "is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_damaged_file_is_refused_with_field_and_offset(tmp_path: Path, data: bytes, field: str, says: str) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        gguf.read(str(path))
    assert caught.value.field == field
    assert says in str(caught.value)
    assert "byte " in str(caught.value)


def test_a_key_or_tensor_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Readers differ in which one they take: the check would look at one and the server load the other."""
    path = tmp_path / "twice.gguf"
    path.write_bytes(WHOLE.replace(b"general.file_type", b"general.file_typ2"))
    gguf.read(str(path))
    stream = io.BytesIO()
    same = Tensor("t", (1,), F32, bytes(4))
    gguf_write.write(stream, {"general.architecture": "llama"}, [same, same])
    path.write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="there twice"):
        gguf.read(str(path))


def test_every_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    for size in range(len(WHOLE)):
        path.write_bytes(WHOLE[:size])
        with pytest.raises(InputError):
            gguf.read(str(path))


def test_lengths_that_lie_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    """A list of 2^62 texts, a text of 2^63 bytes, a tensor of 2^64 elements: refused before any of it is taken."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q", 1) + b"k"
    lies = [
        head + struct.pack("<IQ", 8, 1 << 63),
        head + struct.pack("<IIQ", 9, 8, 1 << 62),
        head + struct.pack("<IIQ", 9, 4, 1 << 62),
        head + struct.pack("<IIQ", 9, 9, 1 << 60) + struct.pack("<IQ", 9, 1) * 64,
        head + (struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 4000),
        WHOLE.replace(struct.pack("<IQ", 1, 64), struct.pack("<IQ", 1, (1 << 64) - 1)),
    ]
    path = tmp_path / "lie.gguf"
    for lie in lies:
        path.write_bytes(lie + bytes(4096))
        tracemalloc.start()
        began = time.perf_counter()
        with pytest.raises(InputError):
            gguf.read(str(path))
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 1_000_000
        assert time.perf_counter() - began < 1.0


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_fuzzed_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Random bytes written into a whole file: InputError or an answer, nothing else."""
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + 8] = data.draw(st.binary(max_size=8))
    path = tmp_path / "fuzz.gguf"
    path.write_bytes(damaged)
    with contextlib.suppress(InputError):
        gguf.read(str(path))


def test_a_thousand_random_files_are_refused(tmp_path: Path) -> None:
    source = random.Random(7)
    path = tmp_path / "noise.gguf"
    for _ in range(1000):
        path.write_bytes(
            struct.pack("<4sIQQ", b"GGUF", 3, source.randrange(9), source.randrange(9)) + source.randbytes(200)
        )
        try:
            gguf.read(str(path))
        except InputError:
            continue
        raise AssertionError("noise was taken for a model")


def test_a_fifo_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    """`aish model pull ./fifo.gguf` stood still until somebody wrote into it."""
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(InputError, match="not a regular file"):
        gguf.read(str(tmp_path / "pipe.gguf"))
