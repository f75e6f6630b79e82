"""The client of an OpenAI-compatible `/v1/embeddings` endpoint: one connection, bounded answers, clear errors."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aish.tensor.errors import UpstreamError, UsageError

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Endpoint", "TooLongError"]

_CONNECT_S = 10.0
_ANSWER_S = 600.0  # a model may first have to be loaded, on a CPU
_ANSWER_BYTES_LIMIT = 64 << 20
_DIMENSIONS_LIMIT = 1 << 16
_ATTEMPTS = 6
_WAIT_LIMIT_S = 30.0
_BUSY = (429, 502, 503)
# What llama.cpp, vLLM, Ollama and OpenAI say when a text is longer than the model takes.
_TOO_LONG = re.compile(
    r"context|too (long|large)|maximum.{0,40}(token|length)|physical batch|exceeds? .{0,40}(token|length|limit)", re.I
)


class TooLongError(UpstreamError):
    """A text is longer than the model takes: send it in parts."""

    code = "too-long"


class Endpoint:
    """A connection to `base_url` (such as http://127.0.0.1:8080/v1), opened at the first request."""

    def __init__(self, base_url: str, api_key: str | None, model: str) -> None:
        """Raises UsageError for a URL or key that cannot be one."""
        self.model = model
        self._url = base_url
        try:
            parts = urlsplit(base_url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise UsageError(f"OPENAI_BASE_URL={base_url!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not self._host or parts.username or parts.query or parts.fragment:
            raise UsageError(
                f"OPENAI_BASE_URL={base_url!r}: expected the like of http://127.0.0.1:8080/v1",
                hint="the key goes into OPENAI_API_KEY, not into the URL" if parts.username else None,
            )
        self._tls = parts.scheme == "https"
        self._path = parts.path.rstrip("/") + "/embeddings"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable()):
                raise UsageError("OPENAI_API_KEY has characters that no HTTP header can carry")
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._connection: http.client.HTTPConnection | None = None
        self._dimensions: int | None = None

    def embed(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text, all of one length. Raises TooLongError or UpstreamError."""
        body = json.dumps(
            {"model": self.model, "input": texts, "encoding_format": "float"}, ensure_ascii=False
        ).encode("utf-8", "replace")
        for attempt in range(1, _ATTEMPTS + 1):
            status, headers, answer = self._post(body)
            if status == 200:
                return self._vectors(answer, len(texts))
            message, word = _error_of(answer)
            final = attempt == _ATTEMPTS or word in ("insufficient_quota", "budget", "limit")
            if status not in _BUSY or final:
                raise self._refused(status, message)
            time.sleep(_pause_s(headers.get("retry-after"), attempt))
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Close the connection. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """(status, headers in lower case, answer). An idle connection that the server closed is opened again once."""
        reused = self._connection is not None
        try:
            connection = self._connection or self._connect()
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            answer = response.read(_ANSWER_BYTES_LIMIT + 1)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self.close()
            if reused:
                return self._post(body)
            raise UpstreamError(f"{self._url} closed the connection without an answer") from error
        except TimeoutError as error:
            self.close()
            raise UpstreamError(f"{self._url} did not answer within {_ANSWER_S:.0f} s") from error
        except OSError as error:
            self.close()
            raise UpstreamError(
                f"cannot reach {self._url}: {error.strerror or error}",
                hint="`aish env` prints where aish's gateway listens; or set OPENAI_BASE_URL to a running server",
            ) from error
        except http.client.HTTPException as error:
            self.close()
            raise UpstreamError(f"{self._url} does not speak HTTP: {type(error).__name__}") from error
        if len(answer) > _ANSWER_BYTES_LIMIT:
            self.close()
            raise UpstreamError(f"{self._url} answered with more than {_ANSWER_BYTES_LIMIT} bytes")
        if response.will_close:
            self.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, answer

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_CONNECT_S)
        connection.connect()
        connection.sock.settimeout(_ANSWER_S)
        self._connection = connection
        return connection

    def _refused(self, status: int, message: str) -> UpstreamError:
        said = f": {message}" if message else ""
        match status:
            case 401 | 403:
                return UpstreamError(
                    f"{self._url} refused the key ({status}){said}",
                    status=status,
                    hint="set OPENAI_API_KEY; `aish key new` makes one for aish's gateway",
                )
            case 404:
                return UpstreamError(
                    f"{self._url} has no model {self.model!r}, or no embeddings (404){said}",
                    status=status,
                    hint="`aish model ls` lists models; choose one with --model or AISH_EMBED_MODEL",
                )
            case 413 | 400 | 422 | 500 if status == 413 or _TOO_LONG.search(message):
                return TooLongError(f"{self._url}: a text is too long for {self.model!r}{said}", status=status)
            case _ if 300 <= status < 400:
                return UpstreamError(
                    f"{self._url} points elsewhere ({status})",
                    status=status,
                    hint="set OPENAI_BASE_URL to the final address: keys are not sent on",
                )
            case _:
                return UpstreamError(f"{self._url} answered {status}{said}", status=status)

    def _vectors(self, answer: bytes, count: int) -> list[list[float]]:
        try:
            data = json.loads(answer)["data"]
            placed = {item["index"]: item["embedding"] for item in data}
            vectors = [placed[index] for index in range(count)]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UpstreamError(
                f"{self._url} gave no list of {count} embeddings: {type(error).__name__} {error}"[:300],
                hint="is it an OpenAI-compatible embeddings endpoint?",
            ) from error
        for vector in vectors:
            self._check(vector)
        return vectors

    def _check(self, vector: Any) -> None:
        if not isinstance(vector, list) or not all(type(x) in (float, int) and abs(x) < 1e30 for x in vector):
            raise UpstreamError(f"{self._url} gave an embedding that is no list of finite numbers")
        self._dimensions = self._dimensions or len(vector)
        if not 0 < len(vector) <= _DIMENSIONS_LIMIT or len(vector) != self._dimensions:
            raise UpstreamError(f"{self._url} gave {len(vector)} dimensions, expected {self._dimensions}")
        if not any(vector):
            raise UpstreamError(f"{self._url} gave an embedding of zeroes, which has no direction")


def _error_of(answer: bytes) -> tuple[str, str]:
    """(message, stable word) of an error body in OpenAI's or a simpler shape; the start of the text otherwise."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        return " ".join(answer[:200].decode("utf-8", "replace").split()), ""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        return str(error.get("message", ""))[:300], str(error.get("code") or error.get("type") or "")
    return str(error)[:300], ""


def _pause_s(retry_after: str | None, attempt: int) -> float:
    wanted: float = 0.5 * (1 << (attempt - 1))
    if retry_after:
        with contextlib.suppress(ValueError):  # a date: our own pace will do
            wanted = float(retry_after)
    return min(max(wanted, 0.0), _WAIT_LIMIT_S)
