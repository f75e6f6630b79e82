"""Which of Aider's lines are its answer. Pure.

What stands before the first empty line behind its name is about itself, and so are its sums behind the answer.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = "Aider v"
_SUMS: Final = re.compile(r"Tokens: [\d.,k]+ sent, .*received\.|Cost: \$")


class Lines:
    def __init__(self) -> None:
        self._named = self._begun = False

    def answer(self, line: str) -> bool:
        """Whether that line is a part of the answer."""
        if not self._begun:
            self._begun = self._named and not line.strip()
            self._named = self._named or line.startswith(_NAME)
            return False
        return _SUMS.match(line) is None
