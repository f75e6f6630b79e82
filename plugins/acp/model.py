"""Which model of the agent's is the one that is meant, and by which request it is chosen. Pure."""

from __future__ import annotations

from typing import Any


def choice(session: dict[str, Any], model: str) -> tuple[str, dict[str, Any]] | None:
    """The request (method, parameters less the session's id) that makes the agent ask `model`; None where it has it
    already, or has none of that name. `session` is its answer to session/new, load or resume."""
    for option in _list(session.get("configOptions")):
        if isinstance(option, dict) and option.get("category") == "model" and isinstance(option.get("id"), str):
            value = _named(model, [str(value) for value in _values(option.get("options"))])
            if value is not None and value != option.get("currentValue"):
                return "session/set_config_option", {"configId": option["id"], "value": value}
    models = session.get("models")
    if isinstance(models, dict):  # before the protocol had options of a session; gemini still has it
        found = [entry.get("modelId") for entry in _list(models.get("availableModels")) if isinstance(entry, dict)]
        value = _named(model, [name for name in found if isinstance(name, str)])
        if value is not None and value != models.get("currentModelId"):
            return "session/set_model", {"modelId": value}
    return None


def names(session: dict[str, Any]) -> list[str]:
    """Of all that it offers."""
    found: list[object] = []
    for option in _list(session.get("configOptions")):
        if isinstance(option, dict) and option.get("category") == "model":
            found += _values(option.get("options"))
    models = session.get("models")
    if isinstance(models, dict):
        found += [entry.get("modelId") for entry in _list(models.get("availableModels")) if isinstance(entry, dict)]
    return [name for name in found if isinstance(name, str)]


def has(session: dict[str, Any], model: str) -> bool:
    return _named(model, names(session)) is not None


def _named(model: str, found: list[str]) -> str | None:
    """The name itself, else the only one that has it behind its provider's."""
    if model in found:
        return model
    behind = [name for name in found if name.endswith(f"/{model}")]
    return behind[0] if len(behind) == 1 else None


def _values(options: object) -> list[object]:
    """Of options, which may be in groups."""
    values: list[object] = []
    for option in _list(options):
        if isinstance(option, dict):
            values += _values(option["options"]) if "options" in option else [option.get("value")]
    return values


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
