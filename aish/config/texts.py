"""Where texts of requests to models lie, as long as they are kept: files that only this user can read.

state/texts/EPOCH-ID/NUMBER     of a process; ids are those of one table: another begins with p1
state/texts/key:NAME/NUMBER     of a named key
"""

from __future__ import annotations

import os
import shutil
from typing import Final

from aish.errors import NotFoundError
from aish.model.name import KEY

_FOLDER: Final = "texts"


def root(state_folder: str) -> str:
    return os.path.join(state_folder, _FOLDER)


def folder(state_folder: str, account: str, epoch: int | None) -> str:
    """Of the requests of one process or named key."""
    return os.path.join(root(state_folder), account if account.startswith(KEY) else f"{epoch}-{account}")


def forget(state_folder: str, account: str, epoch: int | None) -> None:
    """All that was kept of it goes."""
    shutil.rmtree(folder(state_folder, account, epoch), ignore_errors=True)


def missing(number: int) -> NotFoundError:
    """Who may not see one does not get to know whether there is one."""
    return NotFoundError(
        f"no text is kept of a request {number}",
        hint="`aish requests --keep-text WHO` keeps it from then on; it goes with its process, and after a week",
    )
