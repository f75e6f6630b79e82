"""What coding agents type at a shell behaves here as in bash: same output, same status, same files.

The snippets are our own, of the kinds that agents emit: here-documents, arrays, pipefail, traps, process
substitution, find, xargs, sed, git, Python by here-document. stderr is compared by whether there is any.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lang.conftest import SHELL

if TYPE_CHECKING:
    from collections.abc import Sequence

BASH = shutil.which("bash")
_TEXT = (Path(__file__).parent / "agent_snippets.txt").read_text(encoding="utf-8")
_PARTS = [part.split("\n", 1) for part in ("\n" + _TEXT).split("\n=== ")[1:]]
SNIPPETS = dict(_PARTS)
FILES = {
    "src/main.py": "import util\n\n# TODO: more\ndef main():\n    print(1)\n",
    "src/util.py": "def add(a, b):\n    return a - b\n",
    "README.md": "# Demo\n\nHello World, hello all.\nTODO\n",
    "data.csv": "name,kind,value\napple,fruit,10\ncarrot,root,25\npear,fruit,7\n",
    "log.txt": "INFO start\nWARN slow disk\nINFO step\nERROR failed\nINFO end\n",
    "config.json": '{"port": 8080, "name": "demo"}\n',
    "a b.txt": "blank\n",
    ".hidden": "h\n",
}


def test_table_is_large_and_without_doubles() -> None:
    assert len(SNIPPETS) == len(_PARTS)
    assert len(SNIPPETS) >= 300


def _tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What lies in a folder: modes, contents, targets of links. What git keeps for itself has times in it."""
    found = {}
    for place, folders, files in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
        for name in folders + files:
            path = Path(place, name)
            mode = path.lstat().st_mode
            content = b""
            if stat.S_ISLNK(mode):
                content = os.fsencode(os.readlink(path))
            elif stat.S_ISREG(mode):
                content = path.read_bytes()
            found[str(path.relative_to(folder))] = (mode, content)
    return found


def _run(shell: Sequence[str], script: str, folder: Path) -> tuple[str, int, bool, dict[str, tuple[int, bytes]]]:
    """Both shells work in folders of the same name, one after the other."""
    work = folder / "work"
    for name, text in FILES.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **{f"XDG_{kind}": str(folder / "xdg") for kind in ("CONFIG_HOME", "STATE_HOME", "DATA_HOME", "RUNTIME_DIR")},
    }
    (folder / "script").write_text(script)
    try:
        done = subprocess.run(
            [*shell, "../script"],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        assert b"Traceback" not in done.stderr, done.stderr
        assert b"a fault in aish" not in done.stderr, done.stderr
        told = done.stdout.decode("utf-8", "surrogateescape"), done.returncode, bool(done.stderr)
        return *told, _tree(work)
    finally:
        shutil.rmtree(work)


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize(
    "name", [name if at % 3 == 0 else pytest.param(name, marks=pytest.mark.slow) for at, name in enumerate(SNIPPETS)]
)
def test_same_as_bash(name: str, tmp_path: Path) -> None:
    assert BASH is not None
    expected = _run([BASH], SNIPPETS[name], tmp_path)
    assert _run(SHELL, SNIPPETS[name], tmp_path) == expected
