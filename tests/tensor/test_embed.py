"""`embed` against a real HTTP server: what it asks, what it makes of the answers, what it says of bad ones."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.tensor.atomic import AtomicFile, MatrixFile
from aish.tensor.chunks import split
from aish.tensor.embed import embed_main
from aish.tensor.errors import DataError, StorageError, UsageError
from aish.tensor.sources import open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from .conftest import Edges

WIDTH = 32


def vector_of(text: str) -> list[float]:
    """A toy embedding that any test can compute: counts of letters; never zero."""
    counts = [0.001] * WIDTH
    for letter in text.lower():
        counts[ord(letter) % WIDTH] += 1
    return counts


def direction(vector: Any) -> Any:
    return np.asarray(vector) / np.linalg.norm(vector)


class Server:
    """An OpenAI-compatible endpoint whose faults the test chooses. `requests`: the bodies it got."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections = 0
        self.context_bytes = 10_000
        self.answers: list[tuple[int, Any, dict[str, str]]] = []  # what comes before it behaves
        self.change: Callable[[list[Any]], Any] = lambda data: data
        self.close_after_each = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server.connections += 1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(body)
                server.headers.append(dict(self.headers))
                server.paths.append(self.path)
                status, answer, headers = server.answer(body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = server.close_after_each

            def log_message(self, *words: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def answer(self, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if self.answers:
            return self.answers.pop(0)
        longest = max(len(text.encode()) for text in body["input"])
        if longest > self.context_bytes:
            message = "input is too large to process. increase the physical batch size"
            return 500, {"error": {"message": message, "code": 500}}, {}
        data = [{"index": n, "embedding": vector_of(text)} for n, text in enumerate(body["input"])]
        return 200, {"object": "list", "data": self.change(data), "model": "toy"}, {}

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    monkeypatch.setenv("OPENAI_BASE_URL", made.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret")
    for name in ("AISH_EMBED_MODEL", "AISH_TENSOR_IN", "AISH_TENSOR_OUT"):
        monkeypatch.delenv(name, raising=False)
    yield made
    made.close()


@pytest.fixture
def embed(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[dict[str, Any]], str]]:
    """Run `embed WORDS`: exit status, the JSON lines on stdout, stderr."""

    def run(*words: object) -> tuple[int, list[dict[str, Any]], str]:
        status = embed_main([str(word) for word in words])
        out, err = capfd.readouterr()
        return status, [json.loads(line) for line in out.splitlines()], err

    return run


def with_stdin(data: bytes, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "aish.tensor", "embed", *words],
        input=data,
        capture_output=True,
        env={**os.environ, **env},
        timeout=60,
    )


# -- what is asked, what comes out


def test_files_become_one_vector_each(server: Server, embed: Any, tmp_path: Path) -> None:
    for name, text in (("a.md", "hello\nworld"), ("b.md", "zzz")):
        (tmp_path / name).write_text(text)
    status, lines, err = embed("--model", "toy", tmp_path / "a.md", tmp_path / "b.md")
    assert (status, err) == (0, "")
    assert [line["label"] for line in lines] == [str(tmp_path / "a.md"), str(tmp_path / "b.md")]
    np.testing.assert_allclose(lines[0]["embedding"], direction(vector_of("hello\nworld")), atol=1e-6)
    assert all(math.isclose(np.linalg.norm(line["embedding"]), 1, abs_tol=1e-5) for line in lines)
    assert server.requests == [{"model": "toy", "input": ["hello\nworld", "zzz"], "encoding_format": "float"}]
    assert server.paths == ["/v1/embeddings"]
    assert server.headers[0]["Authorization"] == "Bearer sk-test-secret"


def test_lines_of_stdin_become_one_vector_each(server: Server) -> None:
    done = with_stdin("eins\n\n  \nzwölf  \nno newline".encode())
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["label"], line["line"]) for line in lines] == [("eins", 1), ("zwölf", 4), ("no newline", 5)]
    assert server.requests[0]["model"] == "default"


def test_lines_of_files_know_where_they_were(server: Server, embed: Any, tmp_path: Path) -> None:
    path = tmp_path / "q.txt"
    path.write_text("what?\nwhy?\n")
    _, lines, _ = embed("--lines", path)
    assert [(line["label"], line["file"], line["line"]) for line in lines] == [
        ("what?", str(path), 1),
        ("why?", str(path), 2),
    ]


def test_the_model_comes_from_the_environment(
    server: Server, embed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISH_EMBED_MODEL", "nomic")
    (tmp_path / "a").write_text("x")
    embed(tmp_path / "a")
    assert server.requests[0]["model"] == "nomic"


def test_many_texts_go_in_batches_over_one_connection(server: Server, tmp_path: Path) -> None:
    done = with_stdin(b"".join(b"line %d\n" % n for n in range(100)))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["label"] for line in lines] == [f"line {n}" for n in range(100)]
    assert max(len(body["input"]) for body in server.requests) == 16
    assert len(server.requests) < 12
    assert server.connections == 1
    for line in lines:
        np.testing.assert_allclose(line["embedding"], direction(vector_of(line["label"])), atol=1e-6)


def test_a_line_is_answered_before_the_next_is_there(server: Server) -> None:
    """`tail -f log | embed` must not wait for sixteen lines."""
    with subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", "embed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["label"] == word.decode()
        process.stdin.close()
        assert process.wait(30) == 0


def test_answers_in_another_order_are_put_right(server: Server, embed: Any, tmp_path: Path) -> None:
    server.change = lambda data: data[::-1]
    (tmp_path / "q").write_text("aaa\nbbb\n")
    _, lines, _ = embed("--lines", tmp_path / "q")
    np.testing.assert_allclose(lines[0]["embedding"], direction(vector_of("aaa")), atol=1e-6)


def test_a_long_text_is_the_mean_of_its_pieces(server: Server, embed: Any, tmp_path: Path) -> None:
    text = "\n\n".join(f"{chr(97 + n)} " * 100 for n in range(10))
    (tmp_path / "a").write_text(text)
    status, lines, _ = embed("--chunk", 250, tmp_path / "a")
    assert status == 0
    pieces = [piece for body in server.requests for piece in body["input"]]
    assert len(pieces) > 5
    assert all(len(piece.encode()) <= 250 for piece in pieces)
    expected = direction(np.mean([direction(vector_of(piece)) for piece in pieces], axis=0))
    np.testing.assert_allclose(lines[0]["embedding"], expected, atol=1e-5)


@pytest.mark.parametrize("context_bytes", [100, 300])
def test_pieces_that_are_still_too_long_are_halved(
    server: Server, embed: Any, tmp_path: Path, context_bytes: int
) -> None:
    """The server's context is not known beforehand, and a token may be a byte."""
    server.context_bytes = context_bytes
    (tmp_path / "long").write_text("word " * 400)
    (tmp_path / "short").write_text("hi")
    status, lines, err = embed(tmp_path / "long", tmp_path / "short")
    assert (status, err) == (0, "")
    np.testing.assert_allclose(lines[0]["embedding"], direction(vector_of("word " * 20)), atol=0.05)
    np.testing.assert_allclose(lines[1]["embedding"], direction(vector_of("hi")), atol=1e-5)


def test_a_context_of_next_to_nothing_is_an_error(server: Server, embed: Any, tmp_path: Path) -> None:
    server.context_bytes = 10
    (tmp_path / "a").write_text("word " * 400)
    status, _, err = embed(tmp_path / "a")
    assert status == 69
    assert "too long for 'default'" in err


# -- edges and files


def test_into_the_edge_with_labels(server: Server, edges: Edges, tmp_path: Path) -> None:
    """`embed notes/*.md |= tensor knn`: here with a reader of the test's own."""
    names = []
    for n in range(30):
        names.append(str(tmp_path / f"note {n} ä.md"))
        (tmp_path / f"note {n} ä.md").write_text(f"text {n}")
    edge = edges.make()
    process = subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", "embed", "--model", "toy", *names],
        pass_fds=edge.writer_fds,
        env={**os.environ, "AISH_TENSOR_OUT": edge.writer_env()},
        stdout=subprocess.PIPE,
    )
    edge.close_writer()
    frames = list(edges.own_reader(edge).frames())
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert [frame.meta["label"] for frame in frames] == names
    assert {frame.meta["model"] for frame in frames} == {"toy"}
    for n, frame in enumerate(frames):
        assert isinstance(frame.value, np.ndarray)
        assert (frame.value.shape, frame.value.dtype) == ((WIDTH,), np.float32)
        np.testing.assert_allclose(frame.value, direction(vector_of(f"text {n}")), atol=1e-6)


def test_the_demos_pipeline(server: Server, edges: Edges, tmp_path: Path) -> None:
    """embed --lines questions -o q.safetensors; embed notes/*.md |= tensor knn -k 3 --queries q.safetensors -"""
    notes = {"apples": "apples aaaa pppp", "bees": "buzz zzzz", "clouds": "cccc oooo uuuu"}
    for name, text in notes.items():
        (tmp_path / f"{name}.md").write_text(text)
    (tmp_path / "questions.txt").write_text("who says buzz?\nan apple a day\n")
    queries = tmp_path / "q.safetensors"
    assert embed_main(["--lines", str(tmp_path / "questions.txt"), "-o", str(queries)]) == 0
    edge = edges.make()
    tensor = [sys.executable, "-m", "aish.tensor"]
    writer = subprocess.Popen(
        [*tensor, "embed", *(str(tmp_path / f"{name}.md") for name in notes)],
        pass_fds=edge.writer_fds,
        env={**os.environ, "AISH_TENSOR_OUT": edge.writer_env()},
    )
    reader = subprocess.Popen(
        [*tensor, "knn", "-k", "2", "--queries", str(queries), "-"],
        pass_fds=edge.reader_fds,
        env={**os.environ, "AISH_TENSOR_IN": edge.reader_env()},
        stdout=subprocess.PIPE,
        text=True,
    )
    edge.close_writer()
    edge.close_reader()
    out, _ = reader.communicate(timeout=60)
    assert (writer.wait(30), reader.returncode) == (0, 0)
    rows = [line.split("\t") for line in out.splitlines()]
    assert [(row[0], row[1]) for row in rows] == [
        ("who says buzz?", "1"),
        ("who says buzz?", "2"),
        ("an apple a day", "1"),
        ("an apple a day", "2"),
    ]
    assert rows[0][2] == str(tmp_path / "bees.md")
    assert rows[2][2] == str(tmp_path / "apples.md")


def test_an_edge_whose_reader_leaves_is_141_and_quiet(server: Server, edges: Edges, tmp_path: Path) -> None:
    edge = edges.make()
    process = subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", "embed"],
        pass_fds=edge.writer_fds,
        env={**os.environ, "AISH_TENSOR_OUT": edge.writer_env()},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    edge.close_writer()
    assert process.stdin is not None
    process.stdin.write(b"one\n")
    process.stdin.flush()
    reader = edges.own_reader(edge)
    assert next(reader) is not None
    reader.close()
    _, err = process.communicate(b"two\nthree\n", timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_an_error_is_told_to_the_reader_of_the_edge(server: Server, edges: Edges, tmp_path: Path) -> None:
    server.answers = [(404, {"error": {"message": "model 'x' not found"}}, {})]
    (tmp_path / "a").write_text("text")
    edge = edges.make()
    process = subprocess.Popen(
        [sys.executable, "-m", "aish.tensor", "embed", "--model", "x", str(tmp_path / "a")],
        pass_fds=edge.writer_fds,
        env={**os.environ, "AISH_TENSOR_OUT": edge.writer_env()},
        stderr=subprocess.PIPE,
        text=True,
    )
    edge.close_writer()
    with pytest.raises(Exception, match="model 'x' not found"):
        next(edges.own_reader(edge))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 69
    assert "has no model 'x'" in err


@pytest.mark.parametrize("suffix", [".safetensors", ".npy"])
def test_into_a_file(server: Server, embed: Any, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "q").write_text("one\n'two' \"zwei\"\nzwölf²\n")
    path = tmp_path / f"q{suffix}"
    assert embed("--lines", tmp_path / "q", "-o", path)[0] == 0
    if suffix == ".npy":
        matrix = np.load(path)
    else:
        import safetensors

        with safetensors.safe_open(str(path), "np") as file:
            assert json.loads(file.metadata()["labels"]) == ["one", "'two' \"zwei\"", "zwölf²"]
            assert file.metadata()["model"] == "default"
            matrix = file.get_tensor("embeddings")
    assert (matrix.shape, matrix.dtype) == ((3, WIDTH), np.float32)
    np.testing.assert_allclose(matrix[2], direction(vector_of("zwölf²")), atol=1e-6)
    assert sorted(os.listdir(tmp_path)) == sorted(["q", path.name])
    assert len(open_file(str(path)).entries) == 1


def test_a_failure_leaves_the_old_file_and_nothing_else(server: Server, embed: Any, tmp_path: Path) -> None:
    path = tmp_path / "q.npy"
    path.write_bytes(b"old")
    (tmp_path / "q").write_text("\n".join(f"line {n}" for n in range(40)))
    ok = {"data": [{"index": n, "embedding": vector_of("x")} for n in range(16)]}
    server.answers = [(200, ok, {}), (500, {"error": {"message": "cuda error"}}, {})]
    status, _, err = embed("--lines", tmp_path / "q", "-o", path)
    assert status == 69
    assert "cuda error" in err
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["q", "q.npy"]


def test_killed_while_writing_leaves_the_old_file(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "q.npy"
    path.write_bytes(b"old")
    process = subprocess.Popen([sys.executable, "-m", "aish.tensor", "embed", "-o", str(path)], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"one\n")
    process.stdin.flush()
    while not server.requests:
        assert process.poll() is None
        threading.Event().wait(0.01)
    process.kill()
    process.wait(30)
    process.stdin.close()
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [("none/q.npy", 74, "cannot be written"), ("q.txt", 2, ".safetensors or .npy"), ("folder.npy", 2, "regular")],
)
def test_a_file_that_cannot_be_made_is_told_before_a_model_is_asked(
    server: Server, embed: Any, tmp_path: Path, target: str, status: int, said: str
) -> None:
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "a").write_text("text")
    got, _, err = embed(tmp_path / "a", "-o", tmp_path / target)
    assert got == status
    assert said in err
    assert server.requests == []


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npy")
    with MatrixFile(path) as out:
        out._target.file.close()
        out._target.file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
        out.add("a", bytes(4096))
        with pytest.raises(StorageError, match="cannot be written"):
            out.commit({})
    assert os.listdir(tmp_path) == []


def test_rows_of_two_lengths_are_refused(tmp_path: Path) -> None:
    with MatrixFile(str(tmp_path / "x.npy")) as out:
        out.add("a", bytes(4096))
        with pytest.raises(DataError, match="expected 1024"):
            out.add("b", bytes(4))
    assert os.listdir(tmp_path) == []


def test_an_atomic_file_replaces_and_keeps_out_others(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with AtomicFile(str(path)) as out:
        out.file.write(b"new")
        assert path.read_text() == "old"
        with pytest.raises(StorageError, match="exists"):
            AtomicFile(str(path))
        out.commit()
    assert path.read_text() == "new"
    with pytest.raises(UsageError):
        AtomicFile("/dev/null")


# -- what is refused


@pytest.mark.parametrize(
    ("answer", "said", "hinted"),
    [
        ((401, {"error": {"message": "bad key"}}, {}), "refused the key (401): bad key", "OPENAI_API_KEY"),
        ((403, b"", {}), "refused the key (403)", "aish key new"),
        ((404, {"error": "model not found"}, {}), "has no model 'default'", "aish model ls"),
        ((400, {"error": {"message": "input must be a string"}}, {}), "answered 400: input must be", ""),
        ((500, b"<html>\nboom</html>", {}), "answered 500: <html> boom</html>", ""),
        ((302, b"", {"Location": "http://example.invalid/"}), "points elsewhere (302)", "OPENAI_BASE_URL"),
        ((200, b"not json", {}), "gave no list of 1 embeddings", "OpenAI-compatible"),
        ((200, [], {}), "gave no list of 1 embeddings", ""),
        ((200, {"data": []}, {}), "gave no list of 1 embeddings", ""),
        ((200, {"data": None}, {}), "gave no list of 1 embeddings", ""),
        ((200, {"data": [{"index": 1, "embedding": [1]}]}, {}), "gave no list of 1 embeddings", ""),
        ((200, {"data": [{"index": 0, "embedding": "AAAA"}]}, {}), "no list of finite numbers", ""),
        ((200, {"data": [{"index": 0, "embedding": [[1.0]]}]}, {}), "no list of finite numbers", ""),
        ((200, {"data": [{"index": 0, "embedding": [True]}]}, {}), "no list of finite numbers", ""),
        ((200, b'{"data": [{"index": 0, "embedding": [NaN]}]}', {}), "no list of finite numbers", ""),
        ((200, b'{"data": [{"index": 0, "embedding": [1e999]}]}', {}), "no list of finite numbers", ""),
        ((200, {"data": [{"index": 0, "embedding": []}]}, {}), "gave 0 dimensions", ""),
        ((200, {"data": [{"index": 0, "embedding": [0, 0]}]}, {}), "of zeroes", ""),
        ((200, b"[" * 200_000, {}), "gave no list", ""),
    ],
)
def test_bad_answers_are_told(
    server: Server, embed: Any, tmp_path: Path, answer: tuple[int, Any, dict[str, str]], said: str, hinted: str
) -> None:
    server.answers = [answer]
    (tmp_path / "a").write_text("text")
    status, lines, err = embed(tmp_path / "a")
    assert (status, lines) == (69, [])
    assert said in err
    assert hinted in err
    assert "sk-test-secret" not in err
    assert "Traceback" not in err


def test_a_change_of_dimensions_is_refused(server: Server, embed: Any, tmp_path: Path) -> None:
    server.change = lambda data: [{**item, "embedding": item["embedding"][: 8 + item["index"]]} for item in data]
    (tmp_path / "q").write_text("a\nb\n")
    status, _, err = embed("--lines", tmp_path / "q")
    assert status == 69
    assert "gave 9 dimensions, expected 8" in err


def test_a_busy_server_is_asked_again(server: Server, embed: Any, tmp_path: Path) -> None:
    busy = (503, {"error": {"message": "loading model"}}, {"Retry-After": "0.01"})
    server.answers = [busy, (429, b"", {"Retry-After": "0"})]
    (tmp_path / "a").write_text("text")
    status, lines, _ = embed(tmp_path / "a")
    assert (status, len(lines), len(server.requests)) == (0, 1, 3)


def test_a_budget_that_is_used_up_is_not_asked_again(server: Server, embed: Any, tmp_path: Path) -> None:
    server.answers = [(429, {"error": {"message": "over budget", "code": "insufficient_quota"}}, {})]
    (tmp_path / "a").write_text("text")
    status, _, err = embed(tmp_path / "a")
    assert (status, len(server.requests)) == (69, 1)
    assert "over budget" in err


def test_a_connection_that_the_server_closed_is_opened_again(server: Server) -> None:
    server.close_after_each = True
    done = with_stdin(b"".join(b"line %d\n" % n for n in range(40)))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 40
    assert server.connections == len(server.requests) >= 3


def test_nobody_there(embed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}/v1")
        (tmp_path / "a").write_text("text")
        status, _, err = embed(tmp_path / "a")
    assert status == 69
    assert "Connection refused" in err
    assert "aish env" in err


def test_something_else_there(embed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("text")
    for answer, said in ((b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"), (b"", "without an answer")):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def serve(listener: socket.socket = listener, answer: bytes = answer) -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
            status, _, err = embed(tmp_path / "a")
            thread.join()
        assert status == 69
        assert said in err


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:80", "ftp://x/v1", "http://", "http://x:99999/v1", "http://u:p@x/v1", "http://x/v1?a=b"]
)
def test_a_base_url_that_is_none_is_refused(
    embed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    (tmp_path / "a").write_text("text")
    status, _, err = embed(tmp_path / "a")
    assert status == 2
    assert "OPENAI_BASE_URL" in err


def test_a_key_that_no_header_can_carry_is_not_shown(
    server: Server, embed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\nX-Evil: 1")
    (tmp_path / "a").write_text("text")
    status, _, err = embed(tmp_path / "a")
    assert status == 2
    assert "sk-secret" not in err


def test_a_base_url_may_have_a_path_and_a_slash(
    server: Server, embed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("/v1", "/proxy/openai/v1/"))
    (tmp_path / "a").write_text("text")
    assert embed(tmp_path / "a")[0] == 0
    assert server.paths == ["/proxy/openai/v1/embeddings"]


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b" \n\t", "is empty"), (b"ab\xffcd", "not UTF-8 at byte 2")]
)
def test_bad_texts_are_told_by_file(server: Server, embed: Any, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    status, _, err = embed(path)
    assert status == 65
    assert f"{path}: {said}" in err
    assert server.requests == []


def test_bad_lines_are_told_by_number(server: Server) -> None:
    done = with_stdin(b"good\nbad \xff\n")
    assert done.returncode == 65
    assert b"-:2: not UTF-8" in done.stderr


@pytest.mark.parametrize(("name", "status"), [("none", 1), (".", 2)])
def test_what_is_no_text_file_is_told(server: Server, embed: Any, tmp_path: Path, name: str, status: int) -> None:
    got, _, err = embed(tmp_path / name)
    assert got == status
    assert str(tmp_path) in err


def test_nothing_to_embed_is_1(server: Server, edges: Edges) -> None:
    done = with_stdin(b"\n \n")
    assert (done.returncode, done.stdout) == (1, b"")
    edge = edges.make()
    process = subprocess.run(
        [sys.executable, "-m", "aish.tensor", "embed"],
        pass_fds=edge.writer_fds,
        env={**os.environ, "AISH_TENSOR_OUT": edge.writer_env()},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    edge.close_writer()
    assert process.returncode == 1
    assert list(edges.own_reader(edge)) == []  # for the reader just an empty stream


def test_an_edge_and_a_file_at_once_are_refused(
    server: Server, embed: Any, edges: Edges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISH_TENSOR_OUT", edges.make().writer_env())
    (tmp_path / "a").write_text("text")
    status, _, err = embed(tmp_path / "a", "-o", tmp_path / "x.npy")
    assert status == 2
    assert "one of them" in err


def test_a_terminal_gets_no_numbers(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text")
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "aish.tensor", "embed", str(tmp_path / "a")],
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert "-o FILE.safetensors" in done.stderr
    assert server.requests == []


# -- pieces


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="ab .\n\täß€𝄞", max_size=400) | st.text(max_size=200).filter(lambda t: t.isprintable()),
    st.integers(4, 80),
)
def test_pieces_are_short_and_lose_nothing(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(0 < len(piece.encode()) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_pieces_end_where_the_text_pauses() -> None:
    text = "First paragraph here.\n\nSecond paragraph here.\n\nThird one is here."
    assert split(text, 30) == ["First paragraph here.", "Second paragraph here.", "Third one is here."]


def test_pieces_are_about_equally_long() -> None:
    lengths = [len(piece) for piece in split("word " * 1000, 1200)]
    assert max(lengths) - min(lengths) < 0.4 * max(lengths)
