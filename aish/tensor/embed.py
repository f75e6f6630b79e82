"""`embed`: texts to embeddings, through an OpenAI-compatible endpoint, into a tensor edge, a file or JSON lines."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import numpy as np

from aish.tensor.address import ENV_OUT
from aish.tensor.chunks import split
from aish.tensor.commandline import Parser, guard, put
from aish.tensor.endpoint import Endpoint, TooLongError
from aish.tensor.errors import NotFoundError, UsageError
from aish.tensor.texts import Text, read_texts

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

__all__ = ["embed_main", "embed_texts", "main", "run"]

_CHUNK_BYTES = 1200  # some 300 tokens of English: llama.cpp refuses more than 512 at its defaults
_CHUNK_BYTES_LEAST = 64
_BATCH_TEXTS = 16
_LABEL_BYTES = 600  # with file, line and model it fits the 2 KiB of meta, even if each character needs an escape
_DESCRIPTION = """Turn texts into embeddings: each FILE is one text, or each line with --lines; without FILE, each
line of standard input. Lines of white space are skipped.

Where they go: into FILE with -o; else into the tensor edge of this stage (embed ... |= ...); else, where standard
output is no terminal, one JSON object per line: {"label": .., "embedding": [..], "model": ..}.
The label is the file's name, or the line itself."""
_EPILOG = f"""Every vector leaves with length 1. A text of more than --chunk bytes ({_CHUNK_BYTES}) is cut into
pieces of about equal length, at paragraphs, lines or words; its vector is the direction of the mean of its
pieces' normalised vectors. Pieces that the server still finds too long are halved, down to
{_CHUNK_BYTES_LEAST} bytes.

environment: OPENAI_BASE_URL (set for every process that aish supervises; `aish env` prints it), OPENAI_API_KEY,
AISH_EMBED_MODEL (the default of --model)

examples:
  embed notes/*.md -o notes.safetensors
  embed --lines questions.txt -o q.safetensors
  embed notes/*.md |= tensor knn -k 3 --queries q.safetensors -
  printf 'one\\ntwo\\n' | embed --model nomic-embed | jq .label"""


def embed_main(argv: list[str], before: Callable[[str], None] | None = None) -> int:
    """Run `embed argv...`; the exit status. Errors are told on stderr. `before` is called with the model that is to
    be asked."""
    return guard("embed", lambda words: run(words, before), argv)


main = embed_main  # the name under which `aish VERB` looks for it


def run(argv: list[str], before: Callable[[str], None] | None = None) -> int:
    """`argv`: the words after `embed`. Raises TensorError."""
    options = _parse(argv)
    if before is not None:
        before(options.model)
    vectors = _vectors(options)
    if options.output:
        if ENV_OUT in os.environ:
            raise UsageError("-o FILE and a tensor edge: the embeddings go to one of them")
        return _to_file(vectors, options.model, options.output)
    if ENV_OUT in os.environ:
        return _to_edge(vectors, options.model)
    if sys.stdout.isatty():
        raise UsageError(
            "standard output is a terminal, which shows no embeddings",
            hint="use -o FILE.safetensors, a tensor pipeline (embed ... |= ...), or | cat for JSON lines",
        )
    return _to_lines(vectors, options.model)


def _parse(argv: list[str]) -> Namespace:
    parser = Parser("embed", _DESCRIPTION, _EPILOG)
    parser.add_argument("files", nargs="*", metavar="FILE", help="a text in UTF-8")
    parser.add_argument("--lines", action="store_true", help="each line of each FILE is a text of its own")
    parser.add_argument("-o", dest="output", metavar="FILE", help="write a .safetensors (with labels) or a .npy")
    parser.add_argument(
        "--model", default=os.environ.get("AISH_EMBED_MODEL") or "default", metavar="NAME", help="the model to ask"
    )
    parser.add_argument("--chunk", type=int, default=_CHUNK_BYTES, metavar="BYTES", help="longest piece of a text")
    options = parser.read(argv)
    if options.chunk < _CHUNK_BYTES_LEAST:
        raise UsageError(f"--chunk {options.chunk}: expected at least {_CHUNK_BYTES_LEAST}")
    return options


def _vectors(options: Namespace) -> Iterator[tuple[Text, Vector]]:
    """Asks nothing before the first vector is wanted: then errors reach the edge's reader, too."""
    base_url = os.environ.get("OPENAI_BASE_URL")
    if not base_url:
        raise UsageError(
            "OPENAI_BASE_URL is not set: there is no model to ask",
            hint="run it under aish (aish run embed ...), or eval the lines that `aish env` prints",
        )
    endpoint = Endpoint(base_url, os.environ.get("OPENAI_API_KEY"), options.model)
    try:
        texts = read_texts(options.files, lines=options.lines or not options.files)
        yield from embed_texts(endpoint, texts, options.chunk)
    finally:
        endpoint.close()


def embed_texts(endpoint: Endpoint, texts: Iterable[Text | None], chunk_bytes: int) -> Iterator[tuple[Text, Vector]]:
    """Each text with its vector of length 1, in order; several pieces to a request.

    None among the texts means that no more are there at the moment: what is held goes off at once. Raises
    UpstreamError, and what reading the texts raises.
    """
    held: list[tuple[Text, list[str]]] = []
    pieces = 0
    for text in texts:
        if text is not None:
            parts = split(text.content, chunk_bytes)
            held.append((text, parts))
            pieces += len(parts)
        if held and (text is None or pieces >= _BATCH_TEXTS):
            yield from _embed_held(endpoint, held)
            held, pieces = [], 0
    yield from _embed_held(endpoint, held)


def _embed_held(endpoint: Endpoint, held: list[tuple[Text, list[str]]]) -> Iterator[tuple[Text, Vector]]:
    flat = [part for _, parts in held for part in parts]
    vectors: list[list[Vector]] = []
    for at in range(0, len(flat), _BATCH_TEXTS):
        vectors += _embed_pieces(endpoint, flat[at : at + _BATCH_TEXTS])
    at = 0
    for text, parts in held:
        yield text, _mean([vector for found in vectors[at : at + len(parts)] for vector in found])
        at += len(parts)


def _embed_pieces(endpoint: Endpoint, pieces: list[str]) -> list[list[Vector]]:
    """The vectors of each piece: one, or several where it had to be halved."""
    try:
        return [[_direction(np.array(vector, np.float64))] for vector in endpoint.embed(pieces)]
    except TooLongError:
        if len(pieces) > 1:
            return [_embed_pieces(endpoint, [piece])[0] for piece in pieces]
        nbytes = len(pieces[0].encode("utf-8", "surrogatepass"))
        if nbytes <= _CHUNK_BYTES_LEAST:
            raise
        halves = split(pieces[0], max(_CHUNK_BYTES_LEAST, -(-nbytes // 2)))
        if len(halves) < 2:
            raise
        return [[vector for half in halves for vector in _embed_pieces(endpoint, [half])[0]]]


def _mean(vectors: list[Vector]) -> Vector:
    return vectors[0] if len(vectors) == 1 else _direction(np.mean(vectors, axis=0, dtype=np.float64))


def _direction(vector: NDArray[np.float64]) -> Vector:
    length = np.linalg.norm(vector)
    if not length:  # opposite pieces: any direction is as good
        vector, length = np.ones_like(vector), np.sqrt(vector.size)
    return (vector / length).astype(np.float32)


# -- where they go


def _to_edge(vectors: Iterator[tuple[Text, Vector]], model: str) -> int:
    from aish.tensor.writer import Writer

    with Writer.from_env() as out:
        for text, vector in vectors:
            out.write(vector, {"label": _bounded(text.label), **text.place, "model": _bounded(model, 100)})
        if not out.sent:
            out.close()
            raise NotFoundError("there was no text to embed")
    return 0


def _to_file(vectors: Iterator[tuple[Text, Vector]], model: str, path: str) -> int:
    from aish.tensor.atomic import MatrixFile

    with MatrixFile(path) as out:
        count = 0
        for count, (text, vector) in enumerate(vectors, 1):  # noqa: B007
            out.add(_bounded(text.label), vector.astype("<f4").tobytes())
        if not count:
            raise NotFoundError(f"there was no text to embed: {path} is not written")
        out.commit({"model": model})
    return 0


def _to_lines(vectors: Iterator[tuple[Text, Vector]], model: str) -> int:
    found = False
    for text, vector in vectors:
        found = True
        numbers = [round(x, 7) for x in vector.tolist()]
        put(json.dumps({"label": text.label, "embedding": numbers, "model": model, **text.place}, ensure_ascii=False))
        sys.stdout.flush()
    if not found:
        raise NotFoundError("there was no text to embed")
    return 0


def _bounded(label: str, limit_bytes: int = _LABEL_BYTES) -> str:
    """A label of one line that fits a tensor's meta."""
    shown = "".join(c if c.isprintable() else " " for c in label).encode("utf-8", "backslashreplace")
    return shown[:limit_bytes].decode("utf-8", "ignore") + ("..." if len(shown) > limit_bytes else "")
