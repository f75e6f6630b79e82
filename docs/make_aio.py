"""Write aish/client/aio.py: what aish/client/blocking.py has, for asyncio.

The methods hold no logic, so that replacing words is enough; tests/client/test_both.py holds the two together.

python docs/make_aio.py            rewrite it
python docs/make_aio.py --check    exit 1 where it is not current
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "aish" / "client" / "blocking.py"
MADE = ROOT / "aish" / "client" / "aio.py"
HEAD = '''"""aish from Python for asyncio, without threads: `AsyncAish` and `AsyncProcess`.

Made from aish.client.blocking by docs/make_aio.py; do not edit it.
"""
'''
PLAIN = ("__init__", "__eq__", "__hash__", "__repr__", "_handle")
"""Methods that wait for nothing."""
STREAMS = ("answers", "log", "logs", "events")
"""What is called for an iterator, which waits when it is asked for the next."""


def made() -> str:
    """The text of the asynchronous file."""
    text = SOURCE.read_text()
    text = HEAD + text.partition('\n"""\n')[2]
    text = text.replace("aish.client.lines import Lines", "aish.client.aio_lines import AioLines")
    text = text.replace("self._lines = Lines(", "self._lines = AioLines(")
    text = text.replace(
        'with Aish() as aish:\n            print(aish.spawn(["sleep", "1"]).wait())',
        'async with Aish() as aish:\n            process = await aish.spawn(["sleep", "1"])\n'
        "            print(await process.wait())",
    )
    text = re.sub(r"\bAish\b", "AsyncAish", text)
    text = re.sub(r"\bProcess\b", "AsyncProcess", text)
    text = re.sub(r"\bIterator\b", "AsyncIterator", text)
    text = text.replace("__enter__", "__aenter__").replace("__exit__", "__aexit__")
    text = re.sub(r"(?<!await )(self\._(?:lines|aish)\.(\w+)\()", _awaited, text)
    text = text.replace("self.row()", "await self.row()").replace("self.close()", "await self.close()")
    text = re.sub(r"    def (\w+)\((?:[^()]|\([^()]*\))*\) -> ([\w.]+)", _defined, text)
    return _ruffed(_ruffed(text, "check", "--quiet", "--select", "I", "--fix"), "format")


def _ruffed(text: str, *words: str) -> str:
    command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", str(MADE), "-"]
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def _awaited(call: re.Match[str]) -> str:
    return call[0] if call[2] in STREAMS else f"await {call[0]}"


def _defined(method: re.Match[str]) -> str:
    if method[1] in PLAIN or method[2] == "AsyncIterator":
        return method[0]
    return method[0].replace("def ", "async def ", 1)


def main(argv: list[str]) -> int:
    current = made()
    if "--check" in argv:
        return int(MADE.read_text() != current)
    MADE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
