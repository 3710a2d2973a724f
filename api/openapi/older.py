"""The same document as OpenAPI 3.0.3, for generators that do not read 3.1 yet. It says the same, or less; never more."""

from typing import Any

# Where a schema stands inside a schema: alone, in a list, by name.
NESTED, LISTED, NAMED = {"items", "additionalProperties"}, {"anyOf", "oneOf", "allOf"}, {"properties"}


def to_3_0(made: dict[str, Any]) -> dict[str, Any]:
    """Return the document in the words of OpenAPI 3.0.3. Leaves the one it is given as it is."""
    info = {name: value for name, value in made["info"].items() if name != "summary"}
    info["license"] = {"name": info["license"]["name"]}  # its SPDX identifier has no place there
    schemas = made["components"]["schemas"]
    return {**{name: _walk(value, schemas) for name, value in made.items()}, "openapi": "3.0.3", "info": info}


def _walk(value: Any, schemas: dict[str, Any]) -> Any:
    """Everything but schemas is the same in both versions."""
    if isinstance(value, list):
        return [_walk(each, schemas) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _member(name, inner, schemas) for name, inner in value.items()}


def _member(name: str, value: Any, schemas: dict[str, Any]) -> Any:
    if name in {"example", "examples"}:
        return value
    if name == "schema":
        return _schema(value, schemas)
    if name == "schemas":
        return {each: _schema(schema, schemas) for each, schema in value.items()}
    return _walk(value, schemas)


def _schema(schema: Any, schemas: dict[str, Any]) -> Any:
    if not isinstance(schema, dict):
        return schema  # additionalProperties: false
    made = dict(schema)
    if {"type": "null"} in made.get("anyOf", []):
        made = _nullable(made, schemas)
    if isinstance(made.get("type"), list):
        made |= {"type": next(each for each in made["type"] if each != "null"), "nullable": True}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if "examples" in made:
        made["example"] = made.pop("examples")[0]
    if "$ref" in made and len(made) > 1:  # whose neighbours 3.0 ignores
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return {name: _part(name, value, schemas) for name, value in made.items()}


def _nullable(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Null or a reference. In 3.0 only a schema with a type of its own can allow null, so what it refers to stands here."""
    (reference,) = (each["$ref"] for each in schema["anyOf"] if each != {"type": "null"})
    around = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**schemas[reference.removeprefix("#/components/schemas/")], **around, "nullable": True}


def _part(name: str, value: Any, schemas: dict[str, Any]) -> Any:
    if name in NESTED:
        return _schema(value, schemas)
    if name in LISTED:
        return [_schema(each, schemas) for each in value]
    if name in NAMED:
        return {each: _schema(inner, schemas) for each, inner in value.items()}
    return value
