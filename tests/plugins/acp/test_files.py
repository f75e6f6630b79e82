"""Files that are read and written for an agent by us, who are outside of its sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from acp.exceptions import RequestError

from aish.errors import AishError
from aish.plugins.acp import files as acp_files
from aish.plugins.acp.files import Files


def test_what_its_sandbox_keeps_from_it_it_does_not_get_from_us(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("secret")
    kept = {str(tmp_path / ".env"), str(tmp_path / ".git" / "hooks" / "pre-commit")}
    allowed = lambda path: path not in kept  # noqa: E731
    host = SimpleNamespace(confinement=SimpleNamespace(reads=allowed, writes=allowed))
    files = Files(host, str(tmp_path))  # type: ignore[arg-type]
    files.allow((), always=True)
    for path in kept:
        with pytest.raises(RequestError, match="outside of the sandbox"):
            asyncio.run(files.write({"path": path, "content": "x"}, None, ""))  # type: ignore[arg-type]
        with pytest.raises(RequestError, match="outside of the sandbox"):
            files.read({"path": path})
    asyncio.run(files.write({"path": "new/file", "content": "x"}, None, ""))  # type: ignore[arg-type]
    assert files.read({"path": str(tmp_path / "new" / "file")}) == {"content": "x"}


def test_a_folder_that_has_become_a_link_leads_nowhere(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    (folder / "sub").mkdir(parents=True)
    path = acp_files.place(str(folder), "sub/file")
    (folder / "sub").rmdir()
    (folder / "sub").symlink_to(outside)
    with pytest.raises(AishError):
        acp_files.write(path, "x")
    (outside / "file").write_text("secret")
    with pytest.raises(AishError):
        acp_files.read(path)
    assert (outside / "file").read_text() == "secret"
