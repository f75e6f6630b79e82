"""kill -9 at any moment: the store stays valid, what was named stays whole, and the next try succeeds."""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish import store
from aish.store import placing
from aish.store.progress import silent

from .conftest import tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = ("open", "rename", "fsync", "link", "unlink", "mkdir", "chmod", "fchmod", "rmdir", "write", "close")
STEPS_LEAST = 20
STEPS_MOST = 400


def check(root: Path) -> dict[str, str]:
    """Every name leads to a manifest, a configuration and weights that have their digests. Names -> weights."""
    found: dict[str, str] = {}
    index_path = root / "index.json"
    entries = json.loads(index_path.read_text())["manifests"] if index_path.exists() else []
    for entry in entries:
        manifest = json.loads(_checked(root, entry))
        _checked(root, manifest["config"])
        _checked(root, manifest["layers"][0])
        found[entry["annotations"]["org.opencontainers.image.ref.name"]] = manifest["layers"][0]["digest"]
    return found


def _checked(root: Path, descriptor: dict[str, str]) -> bytes:
    data = (root / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
    assert len(data) == descriptor["size"]
    assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
    return data


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a forked child that is killed before its `step`-th system call of STEPS; whether it got there."""
    pid = os.fork()
    if pid == 0:
        left = [step]

        def counted(name: str) -> None:
            real = getattr(os, name)

            def call(*words: object, **options: object) -> object:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*words, **options)

            setattr(os, name, call)

        for name in STEPS:
            counted(name)
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001  the child's edge
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.parametrize("way", ["link", "copy"])
def test_killed_before_every_single_step_of_an_import(
    way: str, private_store: Path, gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deterministic: each system call that changes the disk is once the one that never happens."""
    if way == "copy":
        monkeypatch.setattr(placing, "_link", lambda source, target: False)
    store.import_gguf(str(gguf_file("first.gguf", seed=1)), "x")
    before = check(private_store)
    new = gguf_file("second.gguf", seed=2)
    step = 1
    while dies_at(step, lambda: store.import_gguf(str(new), "x")):
        after = check(private_store)
        assert before.items() <= after.items() or after["x:latest"] != before["x:latest"]
        assert after["x:1"] == before["x:1"]
        store.find("x")
        step += 1
        assert step < STEPS_MOST
        if "x:2" in after:
            store.remove("x:2")
            store.import_gguf(str(tmp_first(new)), "x")
    assert step > STEPS_LEAST
    assert check(private_store)["x:2"] != before["x:1"]
    store.import_gguf(str(new), "x")
    assert list((private_store / "tmp").iterdir()) == []


def tmp_first(beside: Path) -> Path:
    return beside.with_name("first.gguf")


def test_killed_before_every_single_step_of_a_removal(private_store: Path, gguf_file: Callable[..., Path]) -> None:
    store.import_gguf(str(gguf_file("kept.gguf", seed=1)), "kept")
    going = gguf_file("going.gguf", seed=2)
    step = 1
    store.import_gguf(str(going), "going")
    while dies_at(step, lambda: store.remove("going")):
        assert "kept:latest" in check(private_store)
        store.import_gguf(str(going), "going")
        step += 1
        assert step < STEPS_MOST
    assert set(check(private_store)) == {"kept:1", "kept:latest"}


@pytest.mark.slow
def test_killed_thirty_times_at_random_moments(private_store: Path, tmp_path: Path) -> None:
    """A process that imports one new model after another, killed between 0 and 120 ms after it began to."""
    code = (
        "import sys, os; from aish import store; sys.path.insert(0, sys.argv[1])\n"
        "print('go', flush=True)\n"
        "for number in range(10_000):\n"
        "    path = f'{sys.argv[1]}/{os.getpid()}-{number}.gguf'\n"
        "    with open(path, 'wb') as stream: stream.write(WHOLE[:-4] + number.to_bytes(4, 'little'))\n"
        "    store.import_gguf(path, 'x'); os.unlink(path)\n"
    )
    whole = tiny_gguf(size_bytes=300_000)
    (tmp_path / "whole.gguf").write_bytes(whole)
    code = f"WHOLE = open({str(tmp_path / 'whole.gguf')!r}, 'rb').read()\n" + code
    source = random.Random(11)
    counts = []
    for _ in range(30):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        select.select([], [], [], source.uniform(0, 0.12))  # the fault's moment, not a synchronisation
        child.kill()
        child.wait()
        child.stdout.close()
        found = check(private_store)
        counts.append(len(found))
        if found:
            store.find("x")
    assert counts == sorted(counts), "a version that was there is gone"
    assert counts[-1] > 4
    (tmp_path / "last.gguf").write_bytes(whole)
    store.import_gguf(str(tmp_path / "last.gguf"), "last")
    assert list((private_store / "tmp").iterdir()) == []


def test_unnamed_blobs_of_a_killed_import_go_with_the_next_removal(
    private_store: Path, gguf_file: Callable[..., Path]
) -> None:
    layout = store.catalog.layout()
    with layout.using():
        blob, _ = placing.place(layout, str(gguf_file("orphan.gguf", seed=5)), silent)
    assert layout.has(blob)
    store.import_gguf(str(gguf_file("x.gguf")), "x")
    store.remove("x")
    assert not layout.has(blob)


def test_a_removal_leaves_blobs_that_another_is_just_adding(
    private_store: Path, gguf_file: Callable[..., Path]
) -> None:
    """Between 'the weights are there' and 'a name leads to them' a sweep must not take them."""
    store.import_gguf(str(gguf_file("x.gguf")), "x")
    layout = store.catalog.layout()
    with layout.using():
        blob, _ = placing.place(layout, str(gguf_file("coming.gguf", seed=5)), silent)
        store.remove("x")
        assert layout.has(blob)


def test_two_imports_of_the_same_and_of_different_models_at_once(private_store: Path, tmp_path: Path) -> None:
    """Ten processes, one index: nobody's change is lost."""
    code = "import sys; from aish import store; store.import_gguf(sys.argv[1], sys.argv[2])"
    for seed in range(5):
        (tmp_path / f"m{seed}.gguf").write_bytes(tiny_gguf(seed, 100_000))
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / f"m{number % 5}.gguf"), f"m{number % 5}"])
        for number in range(10)
    ]
    assert [child.wait() for child in children] == [0] * 10
    assert store.names() == [f"m{number}" for number in range(5)]
    assert {store.show(name)["version"] for name in store.names()} == {1}
    check(private_store)
