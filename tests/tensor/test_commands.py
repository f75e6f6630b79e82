"""`tensor ls | stat | knn` as people and programs run them: output, exit status, errors, streams."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.tensor.commands import main
from aish.tensor.knn import Nearest, normalise
from aish.tensor.stat import Summary
from aish.tensor.vectors import Rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from .conftest import Edges

Run = "Callable[..., tuple[int, str, str]]"


@pytest.fixture
def tensor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run `tensor WORDS`: exit status, stdout, stderr."""
    for name in ("AISH_TENSOR_IN", "AISH_TENSOR_OUT"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    tensors = {
        "h.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "h.0.bias": np.array([1, np.nan, np.inf, -np.inf, 0], ml_dtypes.bfloat16),
        "steps": np.array(7, np.int64),
    }
    safetensors.numpy.save_file(tensors, str(path))
    return path


# -- ls


def test_ls_shows_a_table_for_people(tensor: Any, model: Path) -> None:
    status, out, err = tensor("ls", model)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == ["KEY", "DTYPE", "SHAPE", "SIZE"]
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
    assert rows == {
        "h.0.weight": ["float32", "2x3", "24", "B"],
        "h.0.bias": ["bfloat16", "5", "10", "B"],
        "steps": ["int64", "-", "8", "B"],
    }


def test_ls_prints_json_lines_for_programs(tensor: Any, model: Path) -> None:
    status, out, _ = tensor("ls", "--json", f"{model}::*weight")
    assert status == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"file": str(model), "key": "h.0.weight", "dtype": "float32", "shape": [2, 3], "nbytes": 24}
    ]


def test_ls_of_files_loads_neither_numpy_nor_torch(model: Path) -> None:
    code = (
        "import sys\nfrom aish.tensor.commands import main\n"
        f"assert main(['ls', {str(model)!r}]) == 0\nprint([m for m in ('numpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_one_bad_file_does_not_hide_the_others(tensor: Any, model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.npy"
    bad.write_bytes(b"\x93NUMPY\x01\x00\xff\xff")
    status, out, err = tensor("ls", bad, tmp_path / "none", model)
    assert status == 65
    assert "steps" in out
    assert f"{bad}: header" in err
    assert "no such file" in err
    status, _, _ = tensor("ls", tmp_path / "none", bad)
    assert status == 1


def test_names_in_files_cannot_steer_the_terminal(tensor: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    header = json.dumps({"a\x1b[2J\n\u202e": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    _, out, _ = tensor("ls", path)
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert len(out.splitlines()) == 2
    _, out, _ = tensor("ls", "--json", path)
    assert json.loads(out)["key"] == "a\x1b[2J\n\u202e"
    _, _, err = tensor("ls", f"{path}::\x1b[2J")
    assert "\x1b" not in err


def test_a_terminal_without_unicode_gets_escapes(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({"größe": np.ones(1)}, str(path))
    done = subprocess.run(
        [sys.executable, "-m", "aish.tensor", "ls", str(path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfe" in done.stdout


# -- stat


def test_stat_counts_what_is_not_finite_and_computes_with_the_rest(tensor: Any, model: Path) -> None:
    status, out, _ = tensor("stat", "--json", model)
    assert status == 0
    found = {line["key"]: line for line in map(json.loads, out.splitlines())}
    assert found["h.0.bias"] | {"file": ""} == {
        "file": "",
        "key": "h.0.bias",
        "dtype": "bfloat16",
        "shape": [5],
        "min": 0.0,
        "max": 1.0,
        "mean": 0.5,
        "std": 0.5,
        "nan": 1,
        "inf": 2,
        "zeros": 1,
    }
    assert (found["steps"]["min"], found["steps"]["max"], found["steps"]["std"]) == (7, 7, 0.0)


def test_stat_of_nothing_finite_is_unknown_not_zero(tensor: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([np.nan]))
    np.save(tmp_path / "y.npy", np.zeros((0, 3)))
    for name in ("x.npy", "y.npy"):
        _, out, _ = tensor("stat", "--json", tmp_path / name)
        assert [json.loads(out)[key] for key in ("min", "max", "mean", "std")] == [None] * 4
        _, out, _ = tensor("stat", tmp_path / name)
        assert out.splitlines()[1].split()[3:7] == ["-"] * 4


def test_stat_shows_a_table(tensor: Any, model: Path) -> None:
    _, out, _ = tensor("stat", f"{model}::h.0.weight")
    header, row = out.splitlines()
    assert header.split() == ["KEY", "DTYPE", "SHAPE", "MIN", "MAX", "MEAN", "STD", "NAN", "INF", "ZEROS"]
    assert row.split() == ["h.0.weight", "float32", "2x3", "0", "5", "2.5", "1.70783", "0", "0", "1"]


def test_stat_tells_what_it_cannot_compute_with_and_goes_on(tensor: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array(["text"]), b=np.ones(2))
    status, out, err = tensor("stat", tmp_path / "x.npz")
    assert status == 65
    assert "a: elements of type <U4" in err
    assert out.splitlines()[1].startswith("b")


ELEMENTS = st.floats(-1e6, 1e6, width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(ELEMENTS, max_size=20), max_size=6))
def test_a_summary_of_blocks_is_that_of_the_whole(blocks: list[list[float]]) -> None:
    summary = Summary()
    for block in blocks:
        summary.add(np.array(block, np.float32))
    whole = np.array([x for block in blocks for x in block], np.float32).astype(np.float64)
    finite = whole[np.isfinite(whole)]
    assert (summary.nan, summary.inf, summary.zeros) == (
        int(np.isnan(whole).sum()),
        int(np.isinf(whole).sum()),
        int((whole == 0).sum()),
    )
    if finite.size:
        assert (summary.min, summary.max) == (finite.min(), finite.max())
        np.testing.assert_allclose(summary.mean, finite.mean(), rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(summary.std, finite.std(), rtol=1e-6, atol=1e-3)
    else:
        assert summary.mean is None


def test_integers_keep_their_exact_bounds() -> None:
    summary = Summary()
    summary.add(np.array([2**64 - 1, 2**64 - 2], np.uint64))
    assert (summary.min, summary.max) == (2**64 - 2, 2**64 - 1)


def test_stat_needs_little_memory_for_a_large_tensor(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (134217728,), }"
    with path.open("wb") as file:  # half a gibibyte, sparse
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        file.truncate(file.tell() + (1 << 29))
    code = f"""
from aish.tensor.commands import main
assert main(['stat', '--json', {str(path)!r}]) == 0
print(int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]) >> 10)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    line, megabytes = done.stdout.splitlines()
    assert json.loads(line)["zeros"] == 1 << 27
    assert int(megabytes) < 200


# -- knn


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "notes.safetensors"
    rows = np.array([[1, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0, 0], [-1, 0, 0]], np.float32)
    labels = json.dumps(["a.md", "b.md", "c.md", "empty.md", "d.md"])
    safetensors.numpy.save_file({"embeddings": rows}, str(path), {"labels": labels})
    return path


def test_knn_prints_query_rank_label_score(tensor: Any, index: Path, tmp_path: Path) -> None:
    queries = tmp_path / "q.npy"
    np.save(queries, np.array([[2.0, 0, 0], [0, 3, 0]]))
    status, out, err = tensor("knn", "-k", 2, "--queries", queries, index)
    assert status == 0
    assert out.splitlines() == [
        "array[0]\t1\ta.md\t1.0000",
        "array[0]\t2\tc.md\t0.9939",
        "array[1]\t1\tb.md\t1.0000",
        "array[1]\t2\tc.md\t0.1104",
    ]
    assert err == "tensor knn: 1 rows without a direction were left out\n"
    _, out, _ = tensor("knn", "-k", 1, "--json", "--queries", queries, index)
    assert json.loads(out.splitlines()[0]) == {"query": "array[0]", "rank": 1, "label": "a.md", "score": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "what is a?", "embedding": [1, 0, 0], "model": "m"}\n',
        "[1, 0, 0]\n",
        "# a comment\n\n1 0 0\n",
        "1,0.0,0e1",
        "+1\t-0\t.0\n",
    ],
)
def test_knn_takes_queries_as_text(tensor: Any, index: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "q.txt").write_text(text)
    status, out, _ = tensor("knn", "-k", 1, "--queries", tmp_path / "q.txt", index)
    assert status == 0
    assert out.split("\t")[2] == "a.md"
    if "label" in text:
        assert out.startswith("what is a?\t1\t")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 0 zero\n", "q.txt:1"),
        ("1 0 0\n[1, 0\n", "q.txt:2"),
        ('{"embedding": "1 0 0"}\n', "q.txt:1"),
        ('{"embedding": [true, 0, 0]}', "q.txt:1"),
        ('{"label": 7, "embedding": [1, 0, 0]}', "q.txt:1"),
        ("1 0\n", "dimensions"),
        ("1 0 0\n1 0\n", "q.txt:2: 2 dimensions, expected 3"),
        ("0 0 0\n", "near to nothing"),
        ("nan 0 0\n", "begins with"),
        ("1 nan 0\n", "near to nothing"),
        ("1e400 0 0\n", "near to nothing"),
        ("[" * 100_000, "q.txt:1"),
    ],
)
def test_knn_refuses_bad_queries_by_line(tensor: Any, index: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "q.txt").write_text(text)
    status, out, err = tensor("knn", "--queries", tmp_path / "q.txt", index)
    assert (status, out) == (65, "")
    assert said in err


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones((2, 2, 2)), "3 dimensions, expected rows"),
        (np.ones((2, 4)), "4 dimensions, expected 3"),
        (np.asfortranarray(np.ones((2, 3))), "column by column"),
        (np.ones((2, 3), complex), "real numbers"),
        (np.array(["x"]), "real numbers"),
        (np.ones((2, 0)), "no dimensions"),
    ],
)
def test_knn_refuses_what_is_no_index(tensor: Any, tmp_path: Path, array: Any, said: str) -> None:
    np.save(tmp_path / "i.npy", array)
    (tmp_path / "q.txt").write_text("1 0 0\n")
    status, _, err = tensor("knn", "--queries", tmp_path / "q.txt", tmp_path / "i.npy")
    assert status == 65
    assert said in err


def test_knn_with_nothing_to_find_is_1(tensor: Any, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("1 0 0\n")
    np.save(tmp_path / "zero.npy", np.zeros((4, 3)))
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    for name in ("zero.npy", "none.npy"):
        status, out, err = tensor("knn", "--queries", tmp_path / "q.txt", tmp_path / name)
        assert (status, out) == (1, "")
        assert "no row" in err
    status, _, _ = tensor("knn", "--queries", tmp_path / "none.npy", tmp_path / "zero.npy")
    assert status == 1


@pytest.mark.parametrize("words", [["-k", "0"], ["-k", "x"], ["-k", "99999999"], ["--queries", "-", "-"], ["--near"]])
def test_knn_refuses_bad_options(tensor: Any, index: Path, words: list[str]) -> None:
    status, _, err = tensor("knn", "--queries", "-", index, *words)
    assert status == 2
    assert "tensor knn: " in err


def test_knn_searches_several_files_and_labels_by_key(tensor: Any, tmp_path: Path) -> None:
    safetensors.numpy.save_file({"one": np.array([1.0, 0]), "two": np.array([[0.0, 1], [1, 1]])}, tmp_path / "a")
    np.savez(
        tmp_path / "b.npz", far=np.array([-1, 0], np.int8), near=np.array([2, 0], ml_dtypes.bfloat16).astype("f4")
    )
    (tmp_path / "q").write_text("1 0")
    _, out, _ = tensor("knn", "-k", 9, "--queries", tmp_path / "q", tmp_path / "a", tmp_path / "b.npz")
    assert [line.split("\t")[2] for line in out.splitlines()] == ["one", "near", "two[1]", "two[0]", "far"]


def test_knn_refuses_labels_that_do_not_fit(tensor: Any, tmp_path: Path) -> None:
    (tmp_path / "q").write_text("1 0")
    for labels in ('["a"]', "[1, 2]", "{"):
        safetensors.numpy.save_file({"e": np.ones((2, 2))}, tmp_path / "i", {"labels": labels})
        status, _, err = tensor("knn", "--queries", tmp_path / "q", tmp_path / "i")
        assert status == 65
        assert "labels" in err


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_nearest_agrees_with_sorting_everything(queries: int, rows: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    asked, _ = normalise(random.normal(size=(queries, 5)).astype(np.float32))
    matrix = random.normal(size=(rows, 5)).astype(np.float32)
    nearest = Nearest(asked, k)
    for part in np.array_split(matrix, random.integers(1, 5)):
        start = nearest._added
        nearest.add(Rows([str(start + n) for n in range(len(part))], part, "here"))
    scores = asked @ normalise(matrix)[0].T
    for number in range(queries):
        expected = [str(n) for n in np.argsort(-scores[number], kind="stable")[:k]]
        assert [label for label, _ in nearest.result(number)] == expected


def test_lengths_do_not_matter_not_even_extreme_ones() -> None:
    unit, valid = normalise(np.array([[1e38, 1e38], [1e-40, 1e-40], [0, 0], [np.inf, 1]], np.float32))
    assert valid.tolist() == [True, True, False, False]
    np.testing.assert_allclose(unit[:2], 0.70710677, rtol=1e-3)


# -- streams


def pipeline(edges: Edges, producer: str, *words: object, depth: int = 16) -> subprocess.CompletedProcess[str]:
    """`producer |= tensor words`, both real processes."""
    edge = edges.make(depth=depth)
    process = subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", *map(str, words)],
        pass_fds=edge.reader_fds,
        env={**os.environ, "AISH_TENSOR_IN": edge.reader_env()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    edge.close_reader()
    edges.writer(edge, producer)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def test_ls_and_stat_of_a_stream(edges: Edges) -> None:
    producer = """
        with Writer.from_env() as out:
            out.write(np.arange(4, dtype=np.float32), {"label": "notes/ä b.md"})
            out.write({"ids": np.zeros(3, np.int64), "mask": np.ones((200, 300), bool)})
            out.write(np.full(30_000, 2.0))
    """
    done = pipeline(edges, producer, "ls", "-")
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.rsplit(maxsplit=4)[0] for line in done.stdout.splitlines()[1:]]
    assert names == ["notes/ä b.md", "2.ids", "2.mask", "3"]
    done = pipeline(edges, producer, "stat", "--json", "-::*mask")
    assert [json.loads(line)["zeros"] for line in done.stdout.splitlines()] == [0]
    assert json.loads(done.stdout)["shape"] == [200, 300]


def test_knn_of_a_stream_with_labels_in_its_meta(edges: Edges, tmp_path: Path) -> None:
    """The demo's last stage: `embed notes/*.md |= tensor knn -k 3 --queries q.safetensors -`."""
    safetensors.numpy.save_file(
        {"embeddings": np.eye(3, dtype=np.float32)}, tmp_path / "q.safetensors", {"labels": '["q1", "q2", "q3"]'}
    )
    producer = """
        random = np.random.default_rng(0)
        with Writer.from_env() as out:
            for n in range(2000):
                vector = random.normal(size=3).astype(np.float32)
                vector[n % 3] += 100 if n in (500, 1000, 1500) else 0
                out.write(vector, {"label": f"notes/{n}.md"})
            out.write(np.ones((2, 3)), {"labels": ["m1", "m2"]})
    """
    done = pipeline(edges, producer, "knn", "-k", 1, "--queries", tmp_path / "q.safetensors", "-")
    assert (done.returncode, done.stderr) == (0, "")
    found = [line.split("\t")[:3] for line in done.stdout.splitlines()]
    assert found == [["q1", "1", "notes/1500.md"], ["q2", "1", "notes/1000.md"], ["q3", "1", "notes/500.md"]]


def test_queries_on_a_stream_are_answered_one_by_one(edges: Edges, index: Path) -> None:
    producer = """
        out = Writer.from_env()
        out.write(np.array([1.0, 0, 0]), {"label": "first"})
        hear()
        out.write(np.array([0, 1.0, 0]), {"label": "second"})
        out.close()
    """
    edge = edges.make()
    with subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", "knn", "-k", "1", "--queries", "-", str(index)],
        pass_fds=edge.reader_fds,
        env={**os.environ, "AISH_TENSOR_IN": edge.reader_env()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        edge.close_reader()
        stage = edges.writer(edge, producer)
        assert process.stdout is not None
        assert process.stdout.readline() == "first\t1\ta.md\t1.0000\n"  # before the second question is asked
        stage.tell("go")
        assert process.stdout.readline() == "second\t1\tb.md\t1.0000\n"
        assert process.wait(30) == 0


def test_knn_needs_little_memory_for_a_long_stream(edges: Edges, tmp_path: Path) -> None:
    (tmp_path / "q").write_text(" ".join(["1"] * 4096))
    producer = """
        with Writer.from_env() as out:
            block = np.random.default_rng(0).normal(size=(256, 4096)).astype(np.float32)
            for n in range(60):
                out.write(block)
    """
    edge = edges.make()
    code = f"""
from aish.tensor.commands import main
assert main(['knn', '-k', '1', '--queries', {str(tmp_path / "q")!r}, '-']) == 0
print(int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]) >> 10)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        pass_fds=edge.reader_fds,
        env={**os.environ, "AISH_TENSOR_IN": edge.reader_env()},
        stdout=subprocess.PIPE,
        text=True,
    )
    edge.close_reader()
    edges.writer(edge, producer)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert int(out.splitlines()[-1]) < 200  # of 240 MiB that went through


@pytest.mark.parametrize(
    ("producer", "status", "said"),
    [
        ("with Writer.from_env() as out: raise ValueError('no such model')", 74, "no such model"),
        ("out = Writer.from_env(); out.write(np.ones(3))", 74, "without EOF after 1 tensors"),
        ("pass", 74, "without EOF after 0 tensors"),
        ("Writer.from_env().close()", 1, "no tensors"),
    ],
)
def test_a_writer_that_fails_is_told_to_the_user(edges: Edges, producer: str, status: int, said: str) -> None:
    done = pipeline(edges, producer, "stat", "-")
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_edge_a_dash_says_how_to_get_one(tensor: Any) -> None:
    status, _, err = tensor("ls", "-")
    assert status == 2
    assert "a |= b" in err


# -- the edges of the process


def test_a_reader_of_stdout_that_leaves_is_141_and_quiet(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({f"tensor.{n:06}": np.zeros(1, np.uint8) for n in range(20_000)}, str(path))
    with subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", "ls", "--json", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_help_of_every_command_has_an_example_and_the_statuses(tensor: Any) -> None:
    status, out, _ = tensor("--help")
    assert status == 0
    for name in ("ls", "stat", "knn", "embed"):
        assert f"tensor {name}" in out
        status, text, err = tensor(name, "--help")
        assert (status, err) == (0, "")
        assert "examples:" in text
        assert "exit status: 0 done" in text


def test_an_unknown_command_is_named_with_the_nearest(tensor: Any) -> None:
    status, _, err = tensor("stats")
    assert status == 2
    assert "did you mean stat?" in err
    status, out, _ = tensor()
    assert status == 2
    assert "tensor ls" in out


def test_interrupting_a_command_that_waits_is_130(edges: Edges) -> None:
    edge = edges.make()
    process = subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", "ls", "-"],
        pass_fds=edge.reader_fds,
        env={**os.environ, "AISH_TENSOR_IN": edge.reader_env()},
        stderr=subprocess.PIPE,
    )
    edge.close_reader()
    writer = edges.own_writer(edge)
    deadline_s = time.monotonic() + 30
    while not writer._greeted:  # it greets, then waits
        assert time.monotonic() < deadline_s
        writer._link.wait(read=True, write=False, timeout_s=1)
        writer.ready()
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    with contextlib.suppress(BrokenPipeError):
        writer.close()
