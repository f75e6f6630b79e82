"""Models on disk: content-addressed, immutable, each version with its manifest.

    from aish import store
    model = store.find("smollm2")        # StoredModel, or NotFoundError that says how to get it

`catalog` is what callers use; `layout` the folder and its crash-safety; `manifest` what is kept about a model; `gguf`
reads a file's head; `placing` brings a file in without a second copy; `wheel`, `hub` and paths are where models come
from.
"""

from __future__ import annotations

from aish.store.catalog import find, import_gguf, names, pull, remove, removed_by, show, verify
from aish.store.recipe import RECIPES

__all__ = ["RECIPES", "find", "import_gguf", "names", "pull", "remove", "removed_by", "show", "verify"]
