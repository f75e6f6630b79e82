"""References of a schema: what they name stands in their place, and what they cannot name is told with the place."""

from __future__ import annotations

from typing import Any

import pytest

from aish.agents.references import ReferencesError, without

SIZE = {"type": "object", "properties": {"w": {"type": "integer"}}}


def of(field: Any, **more: Any) -> dict[str, Any]:
    return {"properties": {"a": field}, **more}


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        (of({"$ref": "#/$defs/size"}, **{"$defs": {"size": SIZE}}), of(SIZE)),
        (of({"$ref": "#/definitions/size"}, definitions={"size": SIZE}), of(SIZE)),
        ({"properties": {"b": SIZE, "a": {"$ref": "#/properties/b"}}}, {"properties": {"b": SIZE, "a": SIZE}}),
        ({"$ref": "#/$defs/size", "$defs": {"size": SIZE}}, SIZE),
        (
            of({"items": [{"$ref": "#/$defs/x"}]}, **{"$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"type": "null"}}}),
            of({"items": [{"type": "null"}]}),
        ),
        (of({"$ref": "#/$defs/a~1b~0c"}, **{"$defs": {"a/b~c": {"type": "null"}}}), of({"type": "null"})),
        (
            of({"$ref": "#/$defs/size", "description": "how big"}, **{"$defs": {"size": SIZE}}),
            of({**SIZE, "description": "how big"}),
        ),
        (of({"$ref": "#/$defs/size", "type": "object"}, **{"$defs": {"size": SIZE}}), of(SIZE)),
        (
            of({"$ref": "#/$defs/size", "type": "array"}, **{"$defs": {"size": SIZE}}),
            of({"type": "array", "allOf": [SIZE]}),
        ),
        (of({"$ref": "#/definitions/Pick%3CUser%3E"}, definitions={"Pick<User>": SIZE}), of(SIZE)),
        (of({"$ref": "#/$defs/a~1b%25"}, **{"$defs": {"a/b%": SIZE}}), of(SIZE)),
        (
            {"$id": "https://example.org/s", **of({"$ref": "https://example.org/s#/$defs/x"}), "$defs": {"x": SIZE}},
            {"$id": "https://example.org/s", **of(SIZE)},
        ),
        (
            of({"$ref": "https://example.org/x"}, **{"$defs": {"x": {"$id": "https://example.org/x", **SIZE}}}),
            of({"$id": "https://example.org/x", **SIZE}),
        ),
        (of({"$ref": "#size"}, **{"$defs": {"x": {"$anchor": "size", **SIZE}}}), of({"$anchor": "size", **SIZE})),
        (of({"$ref": "#size"}, definitions={"x": {"$id": "#size", **SIZE}}), of({"$id": "#size", **SIZE})),
        (
            {"properties": {"a": {"$defs": {"x": {"$ref": "#/properties/a/$defs/x"}}}, "b": {"$ref": "#/$defs/x"}}}
            | {"$defs": {"x": SIZE}},
            {"properties": {"a": {}, "b": SIZE}},
        ),
        (
            of({"$ref": "#/$defs/x"}, dependencies={"enum": {"$ref": "#/$defs/x"}}, **{"$defs": {"x": SIZE}}),
            of(SIZE, dependencies={"enum": SIZE}),
        ),
        (of({"$ref": "#/$defs/any"}, **{"$defs": {"any": True}}), of({"allOf": [True]})),
    ],
)
def test_what_is_named_stands_in_its_place(schema: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert without(schema) == wanted


def test_what_is_no_reference_stays() -> None:
    plain = {"properties": {"$ref": {"type": "string"}, "a": {"enum": [{"$ref": "#/x"}], "const": {"$ref": "y"}}}}
    assert without(plain) == plain
    assert without({"$defs": {"unused": SIZE}}) == {"$defs": {"unused": SIZE}}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (of({"$ref": "#"}), r"\$\.properties\.a: \$ref '#' leads back into itself"),
        (of({"$ref": "#/$defs/x"}, **{"$defs": {"x": of({"$ref": "#/$defs/x"})}}), "leads back into itself"),
        (of({"$ref": "#/properties/a"}), "leads back into itself"),
        (of({"$ref": "#/$defs/none"}), "leads nowhere"),
        (of({"$ref": "#/properties/a/$ref/x"}), "leads nowhere"),
        (of({"$ref": "https://example.org/x"}), "leads out of the schema"),
        (of({"$ref": "file:///etc/passwd"}), "leads out of the schema"),
        (of({"$ref": "#anchor"}), "leads nowhere"),
        (of({"$ref": "#anchor"}, enum=[{"$anchor": "anchor"}]), "leads nowhere"),
        ({"$id": 5, **of({"$ref": "x"})}, "leads out of the schema"),
        ({"$id": "https://example.org/s", **of({"$ref": "https://example.org/s"})}, "leads back into itself"),
        (
            of(
                {"$ref": "#/$defs/9"},
                **{
                    "$defs": {
                        "0": {},
                        **{str(n): {"allOf": [{"$ref": f"#/$defs/{n - 1}"}] * 10} for n in range(1, 10)},
                    }
                },
            ),
            "more than 20,000 parts",
        ),
    ],
)
def test_what_cannot_be_followed_is_told(schema: dict[str, Any], told: str) -> None:
    """Each was a fault of aish, told when the model had been asked to be; the last one would take all memory."""
    with pytest.raises(ReferencesError, match=told):
        without(schema)
