"""What a script of more than some lines needs, all of it at once: one by one it takes a third longer to load."""

from __future__ import annotations

from aish.lang import (
    arithmetic,
    compile_arithmetic,
    compile_assign,
    compile_compound,
    compile_redirect,
    compile_trim,
    matching,
)
from aish.lang.builtins import parameters, printf, test

__all__ = [
    "arithmetic",
    "compile_arithmetic",
    "compile_assign",
    "compile_compound",
    "compile_redirect",
    "compile_trim",
    "matching",
    "parameters",
    "printf",
    "test",
]
