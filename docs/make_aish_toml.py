"""Write the tables of docs/reference/aish-toml.md out of aish.project.schema.

python docs/make_aish_toml.py            rewrite them
python docs/make_aish_toml.py --check    exit 1 where they are not current
"""

from __future__ import annotations

import sys
from pathlib import Path

from aish.project import reference

PAGE = Path(__file__).resolve().parent / "reference" / "aish-toml.md"
BEGIN, END = "<!-- keys: made by docs/make_aish_toml.py -->\n", "<!-- end of keys -->"


def main(argv: list[str]) -> int:
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    current = head + BEGIN + "\n" + reference.tables() + "\n" + END + rest.partition(END)[2]
    if "--check" in argv:
        return int(current != text)
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
