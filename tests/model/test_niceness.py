"""How nice somebody may be."""

from __future__ import annotations

import pytest

from aish.errors import UsageError
from aish.model import niceness


def test_what_the_kernel_takes_is_taken() -> None:
    assert [niceness.parse(text) for text in ("-20", "0", "+5", "19")] == [-20, 0, 5, 19]


@pytest.mark.parametrize("text", ["-21", "20", "5.0", "", "none", "9" * 30])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a niceness"):
        niceness.parse(text)
