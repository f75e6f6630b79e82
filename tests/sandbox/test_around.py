"""What programs are made of is read; a home is not, because a program lies in it."""

from __future__ import annotations

import pytest

from aish.sandbox.around import tools

HOME = "/home/u"


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("/usr/local/bin:/usr/bin", ["/usr", "/usr/local"]),
        ("/home/u/.nvm/versions/node/v20/bin", ["/home/u/.nvm/versions/node/v20"]),
        ("/home/u/.pyenv/shims", ["/home/u/.pyenv"]),
        ("/home/u/bin", ["/home/u/bin"]),
        ("/home/u/.local/bin", ["/home/u/.local/bin"]),
        ("/home/u/.config/bin", ["/home/u/.config/bin"]),
        ("/home/u/project/node_modules/.bin", ["/home/u/project/node_modules"]),
        ("/opt/x/.bin", ["/opt/x/.bin"]),
        ("/home/bin", ["/home/bin"]),
        ("/bin", ["/bin"]),
        ("/home/u:/home:/:/tmp:.:bin::", []),
    ],
)
def test_folders_of_path(search: str, found: list[str]) -> None:
    assert tools(search, (), HOME, lambda path: path) == found


def test_the_program_s_own_folder() -> None:
    assert tools("", ["/home/u/.local/share/claude/versions/2"], HOME, lambda path: path) == [
        "/home/u/.local/share/claude/versions"
    ]
    assert tools("", ["/home/u/tool"], HOME, lambda path: path) == []
