"""Examples: composed from those of the fields, so that each value is written once, beside the rule it obeys."""

from typing import Any

REF = "#/components/schemas/"


def add_examples(made: dict[str, Any]) -> None:
    """Give every request body and every good JSON answer without an example the one that its schema implies."""
    schemas = made["components"]["schemas"]
    for item in made["paths"].values():
        for operation in item.values():
            if not isinstance(operation, dict):
                continue
            bodies = [operation.get("requestBody", {}), *operation.get("responses", {}).values()]
            for body in bodies:
                media = body.get("content", {}).get("application/json")
                if media and "example" not in media and "examples" not in media:
                    media["example"] = example_of(media["schema"], schemas)


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Compose an example: a member's own where it has one, else that of its schema; optional members without one are left out."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(REF)], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [example_of(schema["items"], schemas)]
    if "properties" in schema:
        required = schema.get("required", [])
        return {
            name: example_of(member, schemas)
            for name, member in schema["properties"].items()
            if name in required or "examples" in member or "$ref" in member
        }
    raise LookupError(f"no example in {schema}")
