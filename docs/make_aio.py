"""Write aio.py of aish/client and of aish/project, and aish/client/aio_process.py: what the file beside it that waits
for each answer has, for asyncio.

The methods hold no logic, so that replacing words is enough; tests/client/test_both.py holds the two together.

python docs/make_aio.py            rewrite them
python docs/make_aio.py --check    exit 1 where one is not current
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADS = {
    ("client", "blocking"): '"""aish from Python for asyncio, without threads: `AsyncAish`.\n',
    ("client", "process"): '"""aish from Python for asyncio, without threads: `AsyncProcess`.\n',
    ("project", "blocking"): '"""aish.toml from Python for asyncio: `AsyncProject`, what a file declares.\n',
}
"""Folder in aish and name of a file -> how the one that is made of it begins."""
NAMES = {"blocking": "aio", "process": "aio_process"}
REST = """
Made from aish.{0}.{1} by docs/make_aio.py; do not edit it.
\"\"\"
"""
PLAIN = ("__init__", "__eq__", "__hash__", "__repr__", "_handle")
"""Methods that wait for nothing."""
STREAMS = ("answers", "log", "logs", "events")
"""What is called for an iterator, which waits when it is asked for the next."""


def path_of(folder: str, name: str) -> Path:
    return ROOT / "aish" / folder / f"{name}.py"


def made(folder: str, name: str) -> str:
    """The text of the asynchronous file."""
    text = path_of(folder, name).read_text()
    text = HEADS[folder, name] + REST.format(folder, name) + text.partition('\n"""\n')[2]
    for blocking, asynchronous in NAMES.items():
        text = text.replace(f"aish.client.{blocking} import", f"aish.client.{asynchronous} import")
    text = text.replace("aish.client.lines import Lines", "aish.client.aio_lines import AioLines")
    text = text.replace("self._lines = Lines(", "self._lines = AioLines(")
    text = text.replace(
        'with Aish() as aish:\n            print(aish.spawn(["sleep", "1"]).wait())',
        'async with Aish() as aish:\n            process = await aish.spawn(["sleep", "1"])\n'
        "            print(await process.wait())",
    )
    text = text.replace(
        'with Aish() as aish:\n            Project(aish, "shop/aish.toml").up(timeout_s=60)',
        'async with Aish() as aish:\n            await Project(aish, "shop/aish.toml").up(timeout_s=60)',
    )
    text = text.replace("with Turn(", "async with Turn(").replace("self._bring(", "await self._bring(")
    text = re.sub(r"\bAish\b", "AsyncAish", text)
    text = re.sub(r"\bProject\b", "AsyncProject", text)
    text = re.sub(r"\bProcess\b", "AsyncProcess", text)
    text = re.sub(r"\bIterator\b", "AsyncIterator", text)
    text = text.replace("__enter__", "__aenter__").replace("__exit__", "__aexit__")
    text = re.sub(r"(?<!await )(self\._(?:lines|aish)\.(\w+)\()", _awaited, text)
    text = text.replace("self.row()", "await self.row()").replace("self.close()", "await self.close()")
    text = re.sub(r"    def (\w+)\((?:[^()]|\([^()]*\))*\) -> ([\w.]+)", _defined, text)
    path = path_of(folder, NAMES[name])
    return _ruffed(_ruffed(text, path, "check", "--quiet", "--select", "I", "--fix"), path, "format")


def _ruffed(text: str, path: Path, *words: str) -> str:
    command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", str(path), "-"]
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def _awaited(call: re.Match[str]) -> str:
    return call[0] if call[2] in STREAMS else f"await {call[0]}"


def _defined(method: re.Match[str]) -> str:
    if method[1] in PLAIN or method[2] == "AsyncIterator":
        return method[0]
    return method[0].replace("def ", "async def ", 1)


def main(argv: list[str]) -> int:
    texts = {path_of(folder, NAMES[name]): made(folder, name) for folder, name in HEADS}
    if "--check" in argv:
        return int(any(not path.exists() or path.read_text() != text for path, text in texts.items()))
    for path, text in texts.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
