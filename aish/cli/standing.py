"""As whom this program acts: the user or a supervised process. The daemon tells, by the place in the process tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.client import connect
from aish.errors import NotRunningError, RefusedError

if TYPE_CHECKING:
    from aish.wire.reply import Welcome

USER = "user"


def caller() -> Welcome | None:
    """What the daemon says; None where none runs: then nothing is supervised."""
    try:
        with connect(start=False, program="standing") as client:
            return client.welcome
    except NotRunningError:
        return None


def is_user() -> bool:
    found = caller()
    return found is None or found.standing == USER


def check_user(what: str) -> None:
    """Raises RefusedError where a supervised process asks: what all of the user's processes share is the user's.

    It would not be stopped otherwise: the files have one owner, and what runs on them may be hidden from the caller.
    """
    found = caller()
    if found is not None and found.standing != USER:
        raise RefusedError(
            f"{what} refused: {found.caller or 'a program of unknown origin'} may change only what it started itself",
            hint="ask the user to do it from outside",
        )
