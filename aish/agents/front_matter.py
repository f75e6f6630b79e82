"""The YAML head of a Markdown file, read defensively: bounded, without aliases, each value with its line.

Raises SourceError (file:line) for everything that is not a plain table of texts, numbers, lists and tables.
"""

from __future__ import annotations

from aish.errors import SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    import yaml

    Value = str | int | float | bool | None | list["Field"] | dict[str, "Field"]

HEAD_BYTES_MAX: Final = 32 << 10
DEPTH_MAX: Final = 6
NODES_MAX: Final = 1000
DIGITS_MAX: Final = 20
FENCE: Final = "---"


class Field:
    """A value and the line (from 1, in the file) where it stands."""

    __slots__ = ("line", "value")

    def __init__(self, value: Value, line: int) -> None:
        self.value = value
        self.line = line


class Page:
    """A file split in two. `head` is None where there is no front matter; it begins at line 2 if there is one."""

    __slots__ = ("body", "body_line", "file", "head", "lines")

    def __init__(self, file: str, lines: list[str], head: str | None, body: str, body_line: int) -> None:
        self.file = file
        self.lines = lines
        self.head = head
        self.body = body
        self.body_line = body_line

    def error(self, message: str, line: int | None, hint: str | None = None) -> SourceError:
        shown = self.lines[line - 1] if line is not None and line <= len(self.lines) else None
        return SourceError(message, file=self.file, line=line, source_line=shown, hint=hint)


def split(text: str, file: str) -> Page:
    """Divide a file at its two `---` lines. Raises SourceError where the second is missing."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != FENCE:
        return Page(file, lines, None, "\n".join(lines).strip(), 1)
    for number in range(1, len(lines)):
        if lines[number].rstrip() == FENCE:
            head = "\n".join(lines[1:number])
            page = Page(file, lines, head, "\n".join(lines[number + 1 :]).strip(), number + 2)
            if len(head) > HEAD_BYTES_MAX:
                raise page.error(f"the front matter is longer than {HEAD_BYTES_MAX:,} characters", 1)
            return page
    page = Page(file, lines, None, "", 1)
    raise page.error("the front matter has no end", 1, f"put a line {FENCE} after the last key")


def load(page: Page) -> dict[str, Field]:
    """The table in the head of `page`; empty where there is none."""
    if page.head is None:
        return {}
    import yaml

    try:
        _check_events(page, page.head)
        node = yaml.compose(page.head, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 2
        hint = "a tab cannot indent in YAML" if "'\\t'" in str(error.problem) else 'quote texts that hold ":" or "#"'
        raise page.error(f"not YAML: {error.problem or error.context}", line, hint) from error
    except yaml.reader.ReaderError as error:
        line = page.head.count("\n", 0, error.position) + 2
        raise page.error("a control character has no place in YAML", line, "remove it") from error
    if node is None:
        return {}
    field = _field(page, node)
    if not isinstance(field.value, dict):
        raise page.error("the front matter is not a table", field.line, "write lines such as: model: smollm2")
    return field.value


def _check_events(page: Page, head: str) -> None:
    """Refuse what would make the tree large or deep before it is built: composing recurses, events do not."""
    import yaml

    depth = 0
    for count, event in enumerate(yaml.parse(head, Loader=yaml.SafeLoader), 1):
        line = None if event.start_mark is None else event.start_mark.line + 2
        if isinstance(event, yaml.AliasEvent):
            raise page.error("aliases are not supported", line, f"write the value out instead of *{event.anchor}")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent) and count > 2:
            raise page.error("more than one YAML document", line, "an agent file has one")
        if depth > DEPTH_MAX:
            raise page.error(f"nested deeper than {DEPTH_MAX} levels", line)
        if count > NODES_MAX:
            raise page.error(f"more than {NODES_MAX} values", line)


def _field(page: Page, node: yaml.Node) -> Field:
    import yaml

    line = node.start_mark.line + 2
    match node:
        case yaml.MappingNode():
            return Field(_table(page, node), line)
        case yaml.SequenceNode():
            return Field([_field(page, item) for item in node.value], line)
        case _:
            return Field(_scalar(page, node, line), line)


def _table(page: Page, node: yaml.MappingNode) -> dict[str, Field]:
    table: dict[str, Field] = {}
    for key_node, value_node in node.value:
        key, line = key_node.value, key_node.start_mark.line + 2
        if not isinstance(key, str):
            raise page.error("a key must be a word", line)
        if key in table:
            raise page.error(f"{key} is there twice", line, f"the first is in line {table[key].line}")
        field = _field(page, value_node)
        # The key's line is where people look; a block text starts one line below it.
        table[key] = Field(field.value, line)
    return table


def _scalar(page: Page, node: yaml.Node, line: int) -> str | int | float | bool | None:
    text: str = node.value
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "str" | "timestamp" | "merge" | "value":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() in ("yes", "true", "on")
        case "int" | "float" as kind:
            digits = text.replace("_", "")
            try:
                if len(digits) > DIGITS_MAX:
                    raise ValueError(digits)
                return int(digits) if kind == "int" else float(digits)
            except ValueError as error:
                raise page.error(f"not a decimal number: {text[:40]}", line, "write it in plain digits") from error
        case tag:
            raise page.error(f"the tag {tag[:40]} is not supported", line, "write a plain text, number or list")
