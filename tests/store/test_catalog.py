"""Versions, tags, and what find, show and remove make of them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish import store
from aish.errors import InputError, NotFoundError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_empty_store_is_empty_and_nothing_is_made_by_looking(private_store: Path) -> None:
    assert store.names() == []
    with pytest.raises(NotFoundError) as caught:
        store.find("smollm2")
    assert caught.value.hint == "get it with: aish model pull smollm2"
    assert not private_store.exists()


def test_an_imported_file_is_found(gguf_file: Callable[..., Path]) -> None:
    made = store.import_gguf(str(gguf_file("My Model.gguf")))
    found = store.find("My-Model")
    assert found == made
    assert found.format == "gguf"
    assert found.architecture == "llama"
    assert found.context_tokens == 2048
    about = store.show("My-Model")
    assert about["licence"] == "mit"
    assert about["version"] == 1
    assert about["tags"] == ["latest"]
    assert about["source"] == "file:My Model.gguf"


def test_the_folder_is_an_oci_layout(private_store: Path, gguf_file: Callable[..., Path]) -> None:
    """Other tools read it: every digest in the index leads to a blob whose sha256 and size are those."""
    import hashlib

    store.import_gguf(str(gguf_file()), "x")
    assert json.loads((private_store / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((private_store / "index.json").read_text())
    assert {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]} == {
        "x:1", "x:latest",
    }  # fmt: skip
    manifest = json.loads(_blob(private_store, index["manifests"][0]))
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["layers"][0]["mediaType"] == "application/vnd.cncf.model.weight.v1.raw"
    config = json.loads(_blob(private_store, manifest["config"]))
    assert config["modelfs"]["diffIds"] == [manifest["layers"][0]["digest"]]
    weights = _blob(private_store, manifest["layers"][0])
    assert "sha256:" + hashlib.sha256(weights).hexdigest() == manifest["layers"][0]["digest"]


def _blob(root: Path, descriptor: dict[str, str]) -> bytes:
    data = (root / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
    assert len(data) == descriptor["size"]
    return data


def test_the_same_content_is_the_same_version(gguf_file: Callable[..., Path]) -> None:
    first = store.import_gguf(str(gguf_file()), "x")
    again = store.import_gguf(str(gguf_file()), "x")
    assert first.digest == again.digest
    assert store.show("x")["version"] == 1


def test_new_content_is_a_new_version_and_the_old_one_stays(gguf_file: Callable[..., Path]) -> None:
    old = store.import_gguf(str(gguf_file(seed=1)), "x")
    new = store.import_gguf(str(gguf_file(seed=2)), "x")
    assert store.find("x").digest == new.digest
    assert store.find("x:1").digest == old.digest
    assert store.find("x:2").digest == new.digest
    assert store.find(f"x@{old.digest}").path == old.path
    assert store.find(f"x@{old.digest[:20]}").path == old.path
    assert store.names() == ["x"]


def test_a_tag_moves_and_versions_do_not(gguf_file: Callable[..., Path]) -> None:
    old = store.import_gguf(str(gguf_file(seed=1)), "x:mine")
    new = store.import_gguf(str(gguf_file(seed=2)), "x:mine")
    assert store.find("x:mine").digest == new.digest
    assert store.find("x:1").digest == old.digest
    assert store.names() == ["x", "x:mine"]
    with pytest.raises(UsageError, match="made by the store"):
        store.import_gguf(str(gguf_file(seed=3)), "x:1")


def test_options_are_kept_with_the_model(gguf_file: Callable[..., Path]) -> None:
    plain = store.import_gguf(str(gguf_file()), "x")
    wide = store.import_gguf(str(gguf_file()), "x", options={"ctx": "8192"})
    assert wide.options == {"ctx": "8192"}
    assert wide.digest != plain.digest
    assert wide.path == plain.path  # the weights are there once


def test_a_missing_name_suggests_the_nearest(gguf_file: Callable[..., Path]) -> None:
    store.import_gguf(str(gguf_file()), "mistral")
    with pytest.raises(NotFoundError) as caught:
        store.find("mistrel")
    assert caught.value.hint == "did you mean mistral?"
    with pytest.raises(NotFoundError) as caught:
        store.find("mistral:9")
    assert caught.value.hint == "of mistral there are: 1, latest"
    with pytest.raises(NotFoundError) as caught:
        store.pull("smolm2")
    assert "did you mean smollm2?" in (caught.value.hint or "")


def test_removing_a_tag_keeps_the_weights_until_the_last_name_goes(gguf_file: Callable[..., Path]) -> None:
    path = store.import_gguf(str(gguf_file(seed=1)), "x:a").path
    store.import_gguf(str(gguf_file(seed=1)), "y")
    assert store.remove("x:a") == 0
    assert store.find("x").path == path
    store.remove("x")
    assert store.names() == ["y"]
    assert os.path.exists(path)
    store.remove("y")
    assert not os.path.exists(path)
    assert store.names() == []


def test_removing_a_version_takes_its_tags(gguf_file: Callable[..., Path]) -> None:
    old = store.import_gguf(str(gguf_file(seed=1)), "x:a")
    store.import_gguf(str(gguf_file(seed=2)), "x:b")
    store.remove("x:1")
    assert not os.path.exists(old.path)
    with pytest.raises(NotFoundError):
        store.find("x:a")
    assert store.show("x")["version"] == 2


def test_what_a_removal_takes_is_told_before(gguf_file: Callable[..., Path]) -> None:
    """A running model is kept by what it is: under another name, or an older version, it lost its weights."""
    old = store.import_gguf(str(gguf_file(seed=1)), "x:a").digest
    new = store.import_gguf(str(gguf_file(seed=2)), "x:b").digest
    assert store.removed_by("x") == {old, new}
    for name in ("x:1", f"x@{old}"):
        assert store.removed_by(name) == {old}
    for tag in ("x:a", "x:b", "x:latest"):
        assert store.removed_by(tag) == set(), "the version has its number left"
    with pytest.raises(NotFoundError):
        store.removed_by("nobody")


def test_blobs_are_read_only(
    private_store: Path, gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aish.store.placing._link", lambda source, target: False)
    store.import_gguf(str(gguf_file()), "x")
    for blob in (private_store / "blobs" / "sha256").iterdir():
        assert stat.S_IMODE(blob.stat().st_mode) == 0o444


def test_a_cut_weight_is_noticed_by_find_and_a_changed_byte_by_verify(
    gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aish.store.placing._link", lambda source, target: False)
    path = store.import_gguf(str(gguf_file()), "x").path
    data = bytearray(Path(path).read_bytes())
    data[-1] ^= 1
    os.chmod(path, 0o644)
    with open(path, "wb") as stream:
        stream.write(data)
    store.find("x")
    with pytest.raises(StorageError, match="damaged"):
        store.verify("x")
    os.truncate(path, len(data) - 1)
    with pytest.raises(StorageError, match="bytes, not"):
        store.find("x")


def test_a_damaged_index_or_manifest_is_told_and_not_hidden(
    private_store: Path, gguf_file: Callable[..., Path]
) -> None:
    made = store.import_gguf(str(gguf_file()), "x")
    blob = private_store / "blobs" / "sha256" / made.digest.removeprefix("sha256:")
    blob.chmod(0o644)
    blob.write_bytes(b"{}")
    with pytest.raises(StorageError, match="is damaged"):
        store.find("x")
    (private_store / "index.json").write_text("{")
    with pytest.raises(StorageError, match=r"index\.json is damaged"):
        store.names()


def test_what_is_no_gguf_is_refused_and_nothing_is_kept(private_store: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"hello")
    with pytest.raises(InputError, match="not a GGUF file"):
        store.pull(str(wrong))
    with pytest.raises(InputError, match="is a folder"):
        store.pull(str(tmp_path))
    with pytest.raises(NotFoundError, match="no such file"):
        store.pull("./nowhere.gguf")
    assert not private_store.exists()


def test_importing_the_store_is_cheap() -> None:
    """The daemon loads it at its start: no HTTP client, no numpy, no model library."""
    heavy = ("numpy", "huggingface_hub", "xllamacpp", "rich", "tqdm")
    code = f"import sys, aish.store; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["p12", "default", "gateway"])
def test_a_name_that_no_process_can_have_is_refused(gguf_file: Callable[..., Path], name: str) -> None:
    """It was stored, and could then never be served."""
    with pytest.raises(UsageError, match=name):
        store.import_gguf(str(gguf_file()), name)
    assert store.names() == []
