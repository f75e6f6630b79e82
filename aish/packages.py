"""What a lean start (`aish.lean`) leaves out, once it is needed: sys.path as Python's own start makes it.

Verbs, plugins and the prompt want what others installed: by a .pth file perhaps, or in the user's own folder.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any


def complete() -> bool:
    """Have everything found that this installation has; whether anything was left to be done."""
    rest: Any = next((finder for finder in sys.meta_path if hasattr(finder, "added")), None)  # that of aish.lean
    if rest is None:
        return False
    sys.meta_path.remove(rest)
    import os
    import site

    os.environ  # noqa: B018  the other half of it

    sys.path[:] = [folder for folder in sys.path if folder not in rest.added]
    if not os.environ.get("PYTHONNOUSERSITE") and os.getuid() == os.geteuid():
        site.ENABLE_USER_SITE = True  # -I turned it off; an environment of its own does so again
    site.main()
    for folder in rest.added:
        if folder not in sys.path:
            site.addsitedir(folder)
    return True


def late(name: str) -> ModuleSpec | None:
    """A top-level module that a lean start did not find."""
    if not complete():
        return None
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(name)
