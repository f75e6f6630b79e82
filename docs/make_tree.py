"""Write the tree of docs/ARCHITECTURE.md: one line per file, taken from the first line of its docstring.

python docs/make_tree.py            rewrite it
python docs/make_tree.py --check    exit 1 where it is not current
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ARCHITECTURE.md"
BEGIN, END = "<!-- tree: made by docs/make_tree.py -->", "<!-- end of tree -->"
FOLDERS = ("aish", "supervisor", "plugins")


def tree() -> str:
    """The listing, as the Markdown code block that stands between the markers."""
    lines = ["```text"]
    for top in FOLDERS:
        for folder in [ROOT / top, *sorted(path for path in (ROOT / top).rglob("*") if path.is_dir())]:
            if "__pycache__" in folder.parts or folder.is_symlink() or _below_link(folder):
                continue
            lines += _folder(folder)
    return "\n".join([*lines, "```"])


def _below_link(folder: Path) -> bool:
    return any(parent.is_symlink() for parent in folder.parents if ROOT in parent.parents)


def _folder(folder: Path) -> list[str]:
    files = sorted(folder.glob("*.py"))
    said = _summary(folder / "__init__.py") if (folder / "__init__.py").exists() else ""
    lines = [f"{folder.relative_to(ROOT)}/".ljust(34) + said] if files else []
    depth = "  "
    for file in files:
        if file.name == "__init__.py":
            continue
        lines.append((depth + file.name).ljust(34) + _summary(file))
    return [line.rstrip() for line in lines]


def _summary(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text()))
    return docstring.splitlines()[0] if docstring else ""


def main(argv: list[str]) -> int:
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    _, _, foot = rest.partition(END)
    current = f"{head}{BEGIN}\n{tree()}\n{END}{foot}"
    if "--check" in argv:
        return int(page != current)
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
