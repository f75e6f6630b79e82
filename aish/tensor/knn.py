"""`tensor knn`: the nearest rows of an index to each query, exactly, in one pass and bounded memory."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np

from aish.tensor.commandline import Parser, clean, print_json, put
from aish.tensor.errors import BudgetError, DataError, NotFoundError, UsageError
from aish.tensor.sources import STREAM, Address
from aish.tensor.vectors import Rows, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from aish.tensor.vectors import Matrix

__all__ = ["Nearest", "normalise", "run"]

_QUERIES_BYTES_LIMIT = 1 << 30
_SCORES_LIMIT = 4 << 20  # of one block of the index with all queries
_K_LIMIT = 10_000
_BATCH_ROWS = 1024
_BATCH_BYTES = 4 << 20
_RESULTS_LIMIT = 20_000_000
_EXAMPLES = """Rows are vectors: tensors of one dimension, or the rows of a matrix. Labels come from the meta of a
stream ({"label": ..}), from a safetensors file's metadata ("labels", a JSON list), else from keys and row
numbers.
Queries may also be text: what `embed` prints, or lines of numbers.
Vectors that have no direction (zero, or not finite) are never found; stderr says how many.

prints  query <TAB> rank <TAB> label <TAB> cosine similarity, best first

examples:
  tensor knn --queries questions.safetensors notes.safetensors
  embed --lines questions.txt -o q.safetensors
  embed notes/*.md |= tensor knn -k 3 --queries q.safetensors -
  embed --lines |= tensor knn -k 1 --queries - notes.safetensors"""


class Nearest:
    """The best `k` labels for each of some queries, over all rows added so far."""

    def __init__(self, queries: Matrix, k: int) -> None:
        """queries: [queries, dimensions], normalised."""
        self._queries = queries
        self._k = k
        self._scores: Matrix = np.full((len(queries), 0), -np.inf, np.float32)
        self._rows: NDArray[np.int64] = np.zeros((len(queries), 0), np.int64)
        self._labels: dict[int, str] = {}
        self._added = 0
        self.skipped = 0

    def add(self, rows: Rows) -> None:
        """Compare with more rows of the index."""
        matrix, valid = normalise(rows.matrix)
        scores = self._queries @ matrix.T
        scores[:, ~valid] = -np.inf
        self.skipped += int(np.count_nonzero(~valid))
        start = self._added
        self._added += len(matrix)
        numbers = np.broadcast_to(np.arange(start, self._added), scores.shape)
        scores = np.concatenate((self._scores, scores), axis=1)
        numbers = np.concatenate((self._rows, numbers), axis=1)
        if scores.shape[1] > self._k:
            best = np.argpartition(-scores, self._k - 1, axis=1)[:, : self._k]
            scores = np.take_along_axis(scores, best, axis=1)
            numbers = np.take_along_axis(numbers, best, axis=1)
        self._scores, self._rows = scores, numbers
        winners = set(numbers.ravel().tolist())
        self._labels = {number: label for number, label in self._labels.items() if number in winners}
        for number in winners:
            if number >= start:
                self._labels[number] = rows.labels[number - start]

    def result(self, query: int) -> list[tuple[str, float]]:
        """(label, cosine similarity) of the best rows for that query, best first; of equal ones the earlier first."""
        order = np.lexsort((self._rows[query], -self._scores[query]))
        pairs = [(int(self._rows[query][at]), float(self._scores[query][at])) for at in order]
        return [(self._labels[number], score) for number, score in pairs if np.isfinite(score)]


def normalise(matrix: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
    """Rows of length 1, and which rows have a direction at all; the others become zero."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # Divided by the largest first: squares of large elements would overflow.
        scaled = matrix / np.max(np.abs(matrix), axis=1, keepdims=True)
        unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    valid: NDArray[np.bool_] = np.isfinite(unit).all(axis=1)
    unit[~valid] = 0
    return unit, valid


def run(argv: list[str]) -> int:
    """`argv`: the words after `tensor knn`. Raises TensorError."""
    options = _parse(argv)
    streams = [Address(text).path == STREAM for text in (options.queries, *options.index)]
    if sum(streams) > 1:
        raise UsageError("- can be the queries or one index: a stage has one tensor edge")
    found = False
    for labels, queries in _query_sets(options.queries):
        if len(queries) * options.k > _RESULTS_LIMIT:
            raise BudgetError(
                f"{len(queries)} queries with {options.k} results each are kept in memory: at most {_RESULTS_LIMIT}",
                hint="ask in parts, or for fewer with -k",
            )
        nearest = Nearest(queries, options.k)
        limit = max(1, _SCORES_LIMIT // len(queries))
        for text in options.index:
            for rows in _batches(read_rows(text, dimensions=queries.shape[1], rows_limit=limit), limit):
                nearest.add(rows)
        for number, label in enumerate(labels):
            for rank, (name, score) in enumerate(nearest.result(number), 1):
                found = True
                _print(label, rank, name, score, as_json=options.json)
        sys.stdout.flush()
        if nearest.skipped:
            print(f"tensor knn: {nearest.skipped} rows without a direction were left out", file=sys.stderr)
    if not found:
        raise NotFoundError("no row of the index could be compared")
    return 0


def _parse(argv: list[str]) -> Any:
    parser = Parser("tensor knn", "The nearest rows of an index to each query, by cosine similarity.", _EXAMPLES)
    parser.add_argument("-k", type=_count, default=3, metavar="N", help="how many for each query (3)")
    parser.add_argument("--queries", required=True, metavar="ADDRESS", help="FILE, FILE::KEY or -")
    parser.add_argument("index", nargs="+", metavar="INDEX", help="FILE, FILE::KEY or - for the tensor edge")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser.read(argv)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= _K_LIMIT):
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 to {_K_LIMIT}")
    return int(text)


def _batches(source: Iterator[Rows], rows_limit: int) -> Iterator[Rows]:
    """The same rows, few of them put together: comparing costs as much for one row as for hundreds."""
    held: list[Rows] = []
    count = nbytes = 0
    for rows in source:
        if held and count + len(rows.matrix) > rows_limit:
            yield _joined(held)
            held, count, nbytes = [], 0, 0
        held.append(rows)
        count += len(rows.matrix)
        nbytes += rows.matrix.nbytes
        if count >= _BATCH_ROWS or nbytes >= _BATCH_BYTES:
            yield _joined(held)
            held, count, nbytes = [], 0, 0
    if held:
        yield _joined(held)


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    labels = [label for part in parts for label in part.labels]
    return Rows(labels, np.concatenate([part.matrix for part in parts]), parts[0].place)


def _query_sets(text: str) -> Iterator[tuple[list[str], Matrix]]:
    """Labels and normalised rows: all of a file at once, each value of a stream as it comes."""
    if Address(text).stream:
        for rows in read_rows(text, dimensions=None, rows_limit=_SCORES_LIMIT):
            yield rows.labels, _directions(rows.labels, rows.matrix, rows.place)
        return
    labels: list[str] = []
    parts: list[Matrix] = []
    nbytes = 0
    for rows in read_rows(text, dimensions=None, rows_limit=_SCORES_LIMIT):
        nbytes += rows.matrix.nbytes
        if nbytes > _QUERIES_BYTES_LIMIT:
            raise BudgetError(
                f"{text}: more than {_QUERIES_BYTES_LIMIT} bytes of queries",
                hint="the queries are kept in memory: make them the index, or ask in parts",
            )
        labels += rows.labels
        parts.append(rows.matrix)
    if not parts:
        raise NotFoundError(f"{text}: holds no queries")
    yield labels, _directions(labels, np.concatenate(parts), text)


def _directions(labels: list[str], matrix: Matrix, place: str) -> Matrix:
    unit, valid = normalise(matrix)
    if not valid.all():
        bad = labels[int(np.argmin(valid))]
        raise DataError("is zero or not finite: it is near to nothing", file=place, field=f"query {bad}")
    return unit


def _print(query: str, rank: int, label: str, score: float, *, as_json: bool) -> None:
    if as_json:
        print_json({"query": query, "rank": rank, "label": label, "score": round(score, 6)})
    else:
        put(f"{clean(query)}\t{rank}\t{clean(label)}\t{score:.4f}")
