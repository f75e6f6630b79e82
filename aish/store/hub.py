"""Models of the Hugging Face hub, through huggingface_hub (the extra `hub`), which knows mirrors and logins.

An interrupted download goes on where it stopped: huggingface_hub keeps the unfinished file in its own cache. The
finished one is cloned or linked from there; aish writes nothing inside that cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aish.errors import InputError, NotFoundError, RefusedError, StorageError, UnavailableError, UsageError

if TYPE_CHECKING:
    from aish.store.name import Name
    from aish.store.progress import Progress

_LIKED: Final = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0", "Q4_1", "Q8_0", "F16", "BF16")
"""What is taken where the user names none, best first: quality for its size."""


class Download(NamedTuple):
    """`path` is the finished file in the hub's cache; `sha256` is None where the hub does not say it."""

    path: str
    filename: str
    revision: str
    sha256: str | None
    licence: str | None


def download(name: Name, progress: Progress) -> Download:
    """Fetch one GGUF of the repository `name.model`; `name.tag` is a file or a quantization, such as Q4_K_M.

    Raises UnavailableError (not installed, no network), NotFoundError, RefusedError (a login is needed), UsageError
    (several files fit), StorageError.
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
        sizes = {file.rfilename: file for file in info.siblings or ()}
        filename = choose(name, list(sizes))
        bar: Any = _bar(f"downloading {filename}", progress)
        path = huggingface_hub.hf_hub_download(name.model, filename, revision=info.sha, tqdm_class=bar)
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
    except (HTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise UnavailableError(
            f"cannot get {name.model}: {_first_line(error)}",
            hint="check the network; a download that was cut goes on where it stopped",
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot keep {name.model}: {error}", hint="is the disk of the hub's cache full?"
        ) from error
    lfs = sizes[filename].lfs
    card = info.card_data
    licence = getattr(card, "license", None)
    return Download(
        path=path,
        filename=filename.rpartition("/")[2],
        revision=str(info.sha),
        sha256=lfs.sha256 if lfs is not None else None,
        licence=licence if isinstance(licence, str) else None,
    )


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


def _bar(step: str, progress: Progress) -> type:
    """A tqdm that tells `progress` instead of drawing: what huggingface_hub takes for its bar."""
    from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]  # comes with huggingface_hub

    class Bar(tqdm):  # type: ignore[misc,type-arg,unused-ignore]
        def __init__(self, *words: Any, **options: Any) -> None:
            options["disable"] = False
            options["file"] = _Nowhere()
            options.pop("name", None)
            super().__init__(*words, **options)

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            progress(step, int(self.n), int(self.total) if self.total else None)
            return True

        def display(self, *_words: Any, **_options: Any) -> None:
            return

    return Bar


class _Nowhere:
    def write(self, _text: str) -> int:
        return 0

    def flush(self) -> None:
        return
