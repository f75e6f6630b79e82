"""The hub, through the real huggingface_hub against a local HTTP server that answers as the hub does."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import pytest

from aish.errors import InputError, NotFoundError, UnavailableError, UsageError
from aish.store import hub
from aish.store.name import Name
from aish.store.progress import silent

from .conftest import tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIGHTS = tiny_gguf(seed=9, size_bytes=5_000_000)
SHA = hashlib.sha256(WEIGHTS).hexdigest()
REVISION = "a" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stall_after: ClassVar[int | None] = None
    """Send so many bytes of the weights, then nothing more."""
    cut_after: ClassVar[int | None] = None
    """Send so many bytes for each request, then close the connection."""
    rest: ClassVar[str | None] = None
    """How a request for the rest is answered: "empty", or "refused"."""
    loads: ClassVar[int] = 0
    stalled: ClassVar[threading.Event] = threading.Event()
    leave: ClassVar[threading.Event] = threading.Event()
    ranges: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/org/tiny"):
            siblings = [
                {"rfilename": "README.md", "size": 3},
                {
                    "rfilename": "tiny-Q4_K_M.gguf",
                    "size": len(WEIGHTS),
                    "blobId": "b" * 40,
                    "lfs": {"sha256": SHA, "size": len(WEIGHTS), "pointerSize": 130},
                },
            ]
            card = {"license": "apache-2.0"}
            about = {"id": "org/tiny", "modelId": "org/tiny", "sha": REVISION, "siblings": siblings, "cardData": card}
            self._json(about | {"private": False, "downloads": 0, "tags": [], "likes": 0}, body)
        elif path == f"/org/tiny/resolve/{REVISION}/tiny-Q4_K_M.gguf":
            self._weights(body)
        else:
            self._json({"error": "Repository not found"}, body, 404, {"X-Error-Code": "RepoNotFound"})

    def _json(self, value: object, body: bool, status: int = 200, more: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (
            {"Content-Type": "application/json", "Content-Length": str(len(data))} | (more or {})
        ).items():
            self.send_header(name, text)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _weights(self, body: bool) -> None:
        begin = 0
        asked = self.headers.get("Range")
        if asked and body:
            Hub.ranges.append(asked)
            begin = int(asked.removeprefix("bytes=").split("-")[0])
        data = b"" if begin and Hub.rest == "empty" else WEIGHTS[begin:]
        if begin and Hub.rest == "refused":
            self._json({}, body, 416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}")
        self.send_header("ETag", f'"{SHA}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if not body:
            return
        Hub.loads += 1
        if Hub.cut_after is not None:
            self.wfile.write(data[: Hub.cut_after])
            self.close_connection = True
            return
        if Hub.stall_after is not None:
            self.wfile.write(data[: Hub.stall_after])
            self.wfile.flush()
            Hub.stalled.set()
            Hub.leave.wait(30)
            self.close_connection = True
            return
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        return


@pytest.fixture
def endpoint() -> Iterator[str]:
    Hub.stall_after, Hub.cut_after, Hub.rest, Hub.ranges, Hub.loads = None, None, None, [], 0
    Hub.stalled.clear()
    Hub.leave.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        Hub.leave.set()
        server.shutdown()
        server.server_close()
        thread.join()


CODE = """
import sys, json
from aish import store
from aish.errors import AishError
try:
    model = store.pull(sys.argv[1])
    print(json.dumps({"show": store.show(model.name), "path": model.path}))
except AishError as error:
    print(type(error).__name__, error, "|", error.hint)
    sys.exit(error.exit_status)
"""


def start(endpoint: str, tmp_path: Path, reference: str) -> subprocess.Popen[str]:
    """Pull in a process of its own: huggingface_hub reads its settings when it is imported."""
    environ = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "*",
    }
    words = [sys.executable, "-c", CODE, reference]
    return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pull(endpoint: str, tmp_path: Path, reference: str) -> tuple[int, str, str]:
    child = start(endpoint, tmp_path, reference)
    out, err = child.communicate(timeout=100)
    return child.returncode, out, err


def test_a_model_of_the_hub_is_pulled_and_named(endpoint: str, tmp_path: Path, private_store: Path) -> None:
    status, out, err = pull(endpoint, tmp_path, "org/tiny:Q4_K_M")
    assert status == 0, out + err
    told = json.loads(out)
    assert told["show"]["name"] == "org/tiny:Q4_K_M"
    assert told["show"]["source"] == f"pkg:huggingface/org/tiny@{REVISION}"
    assert told["show"]["licence"] == "apache-2.0"
    assert told["show"]["weights"] == f"sha256:{SHA}"
    assert os.listdir(private_store / "partial") == []
    assert not os.path.exists(tmp_path / "hf" / "hub" / "models--org--tiny" / "blobs"), "one copy, not two"
    assert os.stat(told["path"]).st_nlink == 1
    assert os.stat(told["path"]).st_mode & 0o777 == 0o444
    assert err == "", "no bar of its own, no warnings"


def test_what_the_hub_has_in_its_cache_is_shared_and_not_loaded(endpoint: str, tmp_path: Path) -> None:
    folder = tmp_path / "hf" / "hub" / "models--org--tiny"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / SHA).write_bytes(WEIGHTS)
    (folder / "snapshots" / REVISION).mkdir(parents=True)
    (folder / "snapshots" / REVISION / "tiny-Q4_K_M.gguf").symlink_to(folder / "blobs" / SHA)
    before = sorted((path, path.lstat().st_mtime_ns, path.lstat().st_mode) for path in folder.rglob("*"))
    status, out, err = pull(endpoint, tmp_path, "org/tiny")
    assert status == 0, out + err
    assert Hub.loads == 0
    assert os.path.samefile(folder / "blobs" / SHA, json.loads(out)["path"]) or _clones(tmp_path)
    assert sorted((path, path.lstat().st_mtime_ns, path.lstat().st_mode) for path in folder.rglob("*")) == before


def _clones(folder: Path) -> bool:
    """Whether the file system shares blocks: then the store's file is one of its own."""
    import fcntl

    (folder / "a").write_bytes(b"a")
    with open(folder / "a", "rb") as origin, open(folder / "b", "wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), 0x40049409, origin.fileno())
        except OSError:
            return False
    return True


def test_a_download_that_was_killed_goes_on_where_it_stopped(
    endpoint: str, tmp_path: Path, private_store: Path
) -> None:
    Hub.stall_after = 4_000_000
    child = start(endpoint, tmp_path, "org/tiny")
    assert Hub.stalled.wait(60)
    part = private_store / "partial" / f"{SHA}.part"
    deadline = time.monotonic() + 30
    while not part.exists() or part.stat().st_size < 3_000_000:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.02)  # there is no event for what another process has written
    child.kill()
    child.communicate()
    size_bytes = part.stat().st_size
    Hub.stall_after, Hub.ranges = None, []
    status, out, err = pull(endpoint, tmp_path, "org/tiny")
    assert status == 0, out + err
    assert Hub.ranges == [f"bytes={size_bytes}-"]
    assert json.loads(out)["show"]["weights"] == f"sha256:{SHA}"


def test_a_connection_that_breaks_again_and_again_ends_with_the_whole_file(endpoint: str, tmp_path: Path) -> None:
    Hub.cut_after = 1_500_000
    status, out, err = pull(endpoint, tmp_path, "org/tiny")
    assert status == 0, out + err
    assert len(Hub.ranges) == 3


@pytest.mark.parametrize("rest", ["empty", "refused"])
def test_a_server_that_never_sends_the_rest_is_given_up(endpoint: str, tmp_path: Path, rest: str) -> None:
    """It was asked for ever: only attempts that ended in an error were counted."""
    Hub.rest, Hub.cut_after = rest, 1_500_000
    status, out, err = pull(endpoint, tmp_path, "org/tiny")
    assert (status, "UnavailableError" in out) == (69, True), out + err
    assert 2 < len(Hub.ranges) < 8


def test_a_part_of_something_else_is_noticed_by_its_checksum(
    endpoint: str, tmp_path: Path, private_store: Path
) -> None:
    part = private_store / "partial" / f"{SHA}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:2_000_000] + b"x" * 1_000)
    status, out, _ = pull(endpoint, tmp_path, "org/tiny")
    assert status == 74
    assert "as it should" in out
    assert not part.exists()
    assert pull(endpoint, tmp_path, "org/tiny")[0] == 0


def test_a_name_that_the_hub_does_not_know(endpoint: str, tmp_path: Path) -> None:
    status, out, _ = pull(endpoint, tmp_path, "org/nothing")
    assert status == 69
    assert out.startswith("NotFoundError the hub has no model org/nothing")


def test_no_network_is_told_in_one_line(tmp_path: Path) -> None:
    status, out, err = pull("http://127.0.0.1:9", tmp_path, "org/tiny")
    assert status == 69, out + err
    assert out.startswith("UnavailableError cannot get org/tiny")
    assert len(out.splitlines()) == 1
    assert "Traceback" not in err


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnavailableError) as caught:
        hub.download(Name.parse("org/tiny"), "/nowhere", silent)
    assert "aish-shell[hub]" in (caught.value.hint or "")


FILES = [
    "README.md",
    "m-Q4_K_M.gguf",
    "m-Q4_K_S.gguf",
    "m-Q8_0.gguf",
    "mmproj-F16.gguf",
    "big-Q2_K-00001-of-00002.gguf",
]


@pytest.mark.parametrize(
    ("reference", "file"),
    [
        ("o/m", "m-Q4_K_M.gguf"),
        ("o/m:q8_0", "m-Q8_0.gguf"),
        ("o/m:Q4_K_S", "m-Q4_K_S.gguf"),
        ("o/m:m-Q8_0.gguf", "m-Q8_0.gguf"),
    ],
)
def test_the_file_that_is_meant(reference: str, file: str) -> None:
    assert hub.choose(Name.parse(reference), FILES) == file


@pytest.mark.parametrize(
    ("reference", "files", "error", "hint"),
    [
        ("o/m:Q4_K", FILES, NotFoundError, "there are: "),
        ("o/m:Q6_K", FILES, NotFoundError, "m-Q8_0.gguf"),
        ("o/m:Q2_K", FILES, InputError, "take a smaller quantization"),
        ("o/m", ["model.safetensors"], NotFoundError, "vllm serve o/m --port {port}"),
        ("o/m", ["a-odd.gguf", "b-odd.gguf"], UsageError, "a-odd.gguf, b-odd.gguf"),
    ],
)
def test_what_does_not_fit_says_what_there_is(reference: str, files: list[str], error: type, hint: str) -> None:
    with pytest.raises(error) as caught:
        hub.choose(Name.parse(reference), files)
    assert hint in caught.value.hint
