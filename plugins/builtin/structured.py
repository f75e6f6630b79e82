"""An answer that is JSON by a schema: asked for with it, checked, and asked for once more where it is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import referencing
from jsonschema import validators
from pydantic_ai import Agent, ModelRetry, NativeOutput, StructuredDict, exceptions

from aish.agents import references
from aish.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model

ASKED: Final = "Give your final answer now, as one JSON object by the schema."
_HINT: Final = "the model may be too small for this schema: make it plainer, or use another model"


class Schema:
    """Raises InputError where it is none."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self.plain = {"type": "object", **references.without(dict(schema))}
        except (references.ReferencesError, RecursionError) as error:
            raise InputError(f"schema: {error}", field="schema") from error
        if self.plain["type"] != "object":
            raise InputError("schema: the answer has to be an object", field="schema")
        kind = validators.validator_for(self.plain, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(self.plain)
        except jsonschema.SchemaError as error:
            raise InputError(f"schema: {error.message[:200]}", field="schema") from error
        # A registry of its own: a $ref is never fetched from anywhere.
        self._validator = kind(self.plain, registry=referencing.Registry())

    def flaw(self, value: Any) -> str | None:
        """What is wrong with an answer, in a line."""
        try:
            error = next(iter(self._validator.iter_errors(value)), None)
        except (referencing.exceptions.Unresolvable, RecursionError) as broken:
            raise InputError(f"schema: {broken}", field="schema") from broken
        return None if error is None else f"{error.json_path}: {error.message[:300]}"

    def read(self, text: str) -> str | None:
        """The answer as it is printed, if the text is one; None: it is not."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return shown(value) if self.flaw(value) is None else None


def shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


async def answer(
    schema: Schema, model: Model, prompt: str, history: Sequence[ModelMessage], instructions: str, settings: Any
) -> tuple[str, list[ModelMessage]]:
    """One request without tools, and a second one where the first answer is not by the schema; the answer, and the
    conversation with it. Raises InputError."""
    agent: Agent[None, dict[str, Any]] = Agent(
        model,
        deps_type=type(None),
        output_type=NativeOutput(StructuredDict(schema.plain, name="answer"), strict=False),
        instructions=instructions or None,
        model_settings=settings,
        retries={"output": 1},
    )

    @agent.output_validator
    def check(value: dict[str, Any]) -> dict[str, Any]:
        flaw = schema.flaw(value)
        if flaw is not None:
            raise ModelRetry(f"This is not by the schema: {flaw}")
        return value

    try:
        done = await agent.run(prompt, message_history=history)
    except exceptions.UnexpectedModelBehavior as error:
        if isinstance(error, exceptions.OutputTokenLimitExceeded):
            raise
        cause = error.__cause__ or error
        flaw = " ".join(str(cause).split())  # pydantic's words are lines
        raise InputError(f"the answer is not by the schema, twice: {flaw[:300]}", hint=_HINT) from error
    return shown(done.output), done.all_messages()
