"""A JSON schema for an answer: from a file or from a command line, checked before anybody works by it."""

from __future__ import annotations

import json
import os

from aish.agents import references
from aish.errors import SourceError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

BYTES_MAX: Final = 256 << 10
OPTION: Final = "--schema"


def of_word(word: str, folder: str) -> dict[str, Any]:
    """What `--schema` is followed by: JSON, or the path of a file with it, relative to `folder`. Raises UsageError,
    SourceError with the place in the file."""
    if word.lstrip().startswith("{"):
        try:
            return checked(_value(word))
        except ValueError as error:
            raise UsageError(f"{OPTION}: {error}", hint=_hint(error)) from error
    path = os.path.join(folder, os.path.expanduser(word))
    try:
        with open(path, "rb") as stream:
            content = stream.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "a NUL byte in its name"
        raise UsageError(
            f"{OPTION} {word}: cannot be read: {why}", hint="a file, or the schema itself: {…}"
        ) from error
    try:
        return checked(_value(content.decode()))
    except json.JSONDecodeError as error:
        raise SourceError(f"not JSON: {error.msg}", file=path, line=error.lineno, column=error.colno) from error
    except ValueError as error:
        raise SourceError(f"schema: {error}", file=path, hint=_hint(error)) from error


def _value(text: str) -> Any:
    """Raises ValueError."""
    if len(text) > BYTES_MAX:
        raise ValueError(f"longer than {BYTES_MAX >> 10} KiB")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def checked(value: object) -> dict[str, Any]:
    """As it was, but for references. Raises SchemaError, a ValueError, with the path of what is wrong in it."""
    if not isinstance(value, dict):
        raise SchemaError("no object", 'such as {"properties": {"title": {"type": "string"}}}')
    _check_object(value)
    try:
        import jsonschema
        from jsonschema import validators
    except ImportError:
        return value  # it comes with what makes the answer, and that says so
    kind = validators.validator_for(value, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(value)
        plain = references.without(value)
    except jsonschema.SchemaError as error:
        raise SchemaError(f"{error.json_path}: {error.message[:200]}") from error
    except references.ReferencesError as error:
        raise SchemaError(str(error)) from error
    except RecursionError as error:
        raise SchemaError("nested too deep") from error
    _check_object(plain)  # what it is may stand where its reference leads
    return plain


def _check_object(schema: Mapping[str, Any]) -> None:
    """Raises SchemaError."""
    if schema.get("type", "object") != "object":
        raise SchemaError("the answer has to be an object", "model servers promise no other JSON")


class SchemaError(ValueError):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def _hint(error: ValueError) -> str | None:
    return error.hint if isinstance(error, SchemaError) else None


def flaw(schema: Mapping[str, Any], text: str) -> str | None:
    """What is wrong with an answer, in a line; None: it is by the schema, or nobody here can tell."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "it is no JSON"
    try:
        import jsonschema
        import referencing
        from jsonschema import validators
    except ImportError:
        return None if isinstance(value, dict) else "it is no object"
    kind = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    whole = {"type": "object", **schema}
    try:
        error = next(iter(kind(whole, registry=referencing.Registry()).iter_errors(value)), None)
    except (referencing.exceptions.Unresolvable, RecursionError) as broken:
        return str(broken)
    return None if error is None else f"{error.json_path}: {error.message[:300]}"
