"""The shell as a program: its arguments, where its commands come from, its end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

VERSION = "0.1.0"
