"""Models of the Hugging Face hub, through huggingface_hub (the extra `hub`), which knows mirrors and logins.

A file that is in its cache is cloned or linked from there, and nothing is written inside that cache. What is not is
loaded into the store itself: one copy on the disk, and a download that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aish.errors import InputError, NotFoundError, RefusedError, UnavailableError, UsageError
from aish.store.placing import ensure_room
from aish.store.transfer import load

if TYPE_CHECKING:
    from aish.store.name import Name
    from aish.store.progress import Progress

_LIKED: Final = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0", "Q4_1", "Q8_0", "F16", "BF16")
"""What is taken where the user names none, best first: quality for its size."""


class Download(NamedTuple):
    """`path` is a finished file: the hub's own, or one below `folder`. `sha256` is None where the hub tells none."""

    path: str
    filename: str
    revision: str
    sha256: str | None
    licence: str | None


def download(name: Name, folder: str, progress: Progress) -> Download:
    """Get one GGUF of the repository `name.model`; `name.tag` is a file or a quantization, such as Q4_K_M.

    Unfinished files are kept in `folder`. Raises UnavailableError (not installed, no network), NotFoundError,
    RefusedError (a login is needed), UsageError (several files fit), StorageError.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined,unused-ignore]
    except ImportError as error:
        raise UnavailableError(
            f"{name.model}: models of the hub need the package huggingface_hub",
            hint="install it with: pip install 'aish-shell[hub]'",
        ) from error
    try:
        info = huggingface_hub.HfApi().model_info(name.model, files_metadata=True)
        files = {file.rfilename: file for file in info.siblings or ()}
        filename = choose(name, list(files))
        path = _file(name.model, str(info.sha), filename, files[filename], folder, progress)
    except errors.GatedRepoError as error:
        raise RefusedError(
            f"{name.model}: its owner wants you to log in and agree to the terms first",
            hint="open its page on the hub, agree, then: hf auth login",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NotFoundError(
            f"the hub has no model {name.model} (or it is private)",
            hint="check the name; for a private one: hf auth login",
        ) from error
    except errors.HFValidationError as error:
        raise UsageError(f"not a name of the hub: {name.model}", hint=str(error)) from error
    except (HTTPError, errors.OfflineModeIsEnabled) as error:
        raise UnavailableError(
            f"cannot get {name.model}: {_first_line(error)}",
            hint="check the network and try again: it goes on where it stopped",
        ) from error
    lfs = files[filename].lfs
    licence = getattr(info.card_data, "license", None)
    return Download(
        path=path,
        filename=filename.rpartition("/")[2],
        revision=str(info.sha),
        sha256=lfs.sha256 if lfs is not None else None,
        licence=licence if isinstance(licence, str) else None,
    )


def _file(model: str, revision: str, filename: str, entry: Any, folder: str, progress: Progress) -> str:
    """Where the file is: in the hub's cache, or in `folder` after loading it (or the rest of it)."""
    import huggingface_hub
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined,unused-ignore]

    cached = huggingface_hub.try_to_load_from_cache(model, filename, revision=revision)
    if isinstance(cached, str):
        return cached
    size_bytes = entry.size
    if size_bytes is None:
        raise UnavailableError(f"{model}: the hub does not tell the size of {filename}")
    key = entry.lfs.sha256 if entry.lfs is not None else entry.blob_id
    path = os.path.join(folder, f"{key}.part")
    ensure_room(folder, size_bytes - (os.path.getsize(path) if os.path.exists(path) else 0))
    url = huggingface_hub.hf_hub_url(model, filename, revision=revision)
    client, headers = huggingface_hub.get_session(), build_hf_headers(library_name="aish")
    load(client, url, headers, path, size_bytes, f"downloading {filename}", progress)
    return path


def choose(name: Name, files: list[str]) -> str:
    """The file that `name` means. Raises NotFoundError, UsageError (several fit), InputError (it is in parts)."""
    models = sorted(file for file in files if file.endswith(".gguf") and "mmproj" not in file.lower())
    if not models:
        raise NotFoundError(
            f"{name.model} has no GGUF file",
            hint=f"serve it with a server of its own format: aish model serve NAME -- vllm serve {name.model} "
            "--port {port}",
        )
    if name.tag is None:
        fitting = _liked(models)
    elif name.tag in models:
        fitting = [name.tag]
    else:
        fitting = [file for file in models if _has_word(file, name.tag)]
    if not fitting:
        raise NotFoundError(f"{name.model} has no file for {name.tag}", hint="there are: " + _some(models))
    if any("-of-" in file for file in fitting):
        raise InputError(
            f"{fitting[0]} is one of several parts; that is not supported yet",
            hint="take a smaller quantization: " + _some([file for file in models if "-of-" not in file] or models),
        )
    if len(fitting) > 1:
        raise UsageError(f"{name}: several files fit", hint="say which: " + _some(fitting))
    return fitting[0]


def _liked(models: list[str]) -> list[str]:
    if len(models) == 1:
        return models
    for kind in _LIKED:
        fitting = [file for file in models if _has_word(file, kind)]
        if fitting:
            return fitting[:1]
    return models


def _has_word(file: str, word: str) -> bool:
    """Whether `word` stands in the name between separators: Q4_K does not fit Q4_K_M."""
    stem, word = file.rpartition("/")[2].lower().removesuffix(".gguf"), word.lower().removesuffix(".gguf")
    if stem == word:
        return True
    at = stem.find(word)
    while at >= 0:
        before, after = stem[at - 1 : at], stem[at + len(word) : at + len(word) + 1]
        if (at == 0 or before in ".-_/") and after in ("", ".", "-"):
            return True
        at = stem.find(word, at + 1)
    return False


def _some(files: list[str]) -> str:
    return ", ".join(files[:8]) + (", …" if len(files) > 8 else "")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
