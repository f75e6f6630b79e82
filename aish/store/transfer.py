"""A download over HTTP that goes on where it stopped, also after kill -9.

huggingface_hub 2 loads into a file with a random name and removes it when it fails, so an interrupted download begins
anew. Here the unfinished file has the name of what it will be, and the next try asks for the rest of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from aish.errors import UnavailableError
from aish.store.layout import storing

if TYPE_CHECKING:
    from aish.store.progress import Progress

TRIES: Final = 5
"""In a row without a byte more than ever before."""
_CHUNK_BYTES: Final = 1 << 18
"""What is lost of a connection that breaks."""
_PARTIAL: Final = 206
_OK: Final = 200
_UNSATISFIABLE: Final = 416


def load(
    client: Any, url: str, headers: dict[str, str], path: str, size_bytes: int, step: str, progress: Progress
) -> None:
    """Bring `path` to `size_bytes` of what is at `url`. `client` is huggingface_hub's (of httpx or its successor).

    Raises the client's HTTP errors, UnavailableError (the server sends something else), StorageError.
    """
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined,unused-ignore]

    begin = _size(path)
    best_bytes, fruitless = begin if begin <= size_bytes else 0, 0
    while begin != size_bytes:
        broken = None
        try:
            _once(client, url, headers, path, begin, size_bytes, step, progress)
        except HTTPError as error:
            if getattr(error, "response", None) is not None:
                raise
            broken = error
        begin = _size(path)
        if begin > best_bytes:
            best_bytes, fruitless = begin, 0
            continue
        fruitless += (
            1  # also without an error: an empty answer, or one from the start again and cut at the same place
        )
        if fruitless == TRIES:
            if broken is not None:
                raise broken
            raise UnavailableError(
                f"{url} sends no more than {best_bytes:,} of {size_bytes:,} bytes", hint="try again later"
            )


def _once(
    client: Any,
    url: str,
    headers: dict[str, str],
    path: str,
    begin: int,
    size_bytes: int,
    step: str,
    progress: Progress,
) -> None:
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined,unused-ignore]

    wanted = headers | {"Accept-Encoding": "identity"}
    if begin:
        wanted["Range"] = f"bytes={begin}-"
    with client.stream("GET", url, headers=wanted, follow_redirects=True) as response:
        if response.status_code == _UNSATISFIABLE and begin:
            os.unlink(path)  # longer than what is there: it is no beginning of it
            return
        hf_raise_for_status(response)
        if response.status_code not in (_OK, _PARTIAL):
            raise UnavailableError(f"{url} answered {response.status_code}")
        done = begin if response.status_code == _PARTIAL else 0
        with storing(path), open(path, "r+b" if os.path.exists(path) else "xb") as out:
            out.truncate(done)
            out.seek(done)
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                out.write(chunk)
                done += len(chunk)
                if done > size_bytes:
                    raise UnavailableError(f"{url} sends more than the {size_bytes:,} bytes that it promised")
                progress(step, done, size_bytes)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
