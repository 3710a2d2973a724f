"""What apispec says wrongly, or not at all, about marshmallow fields (seen in 6.10.1)."""

from typing import Any

from marshmallow import fields, validate


def faithful(_converter: Any, field: fields.Field[Any], *, ret: dict[str, Any], **_: Any) -> dict[str, Any]:
    """An apispec attribute function: correct the JSON Schema of a field.

    ret: what apispec has made so far. What the field's metadata says under `schema` is taken as it is; where the settings
    decide, it is a function.
    """
    for name in [name for name, value in ret.items() if value is None and name != "default"]:
        del ret[name]  # `format: null`
    corrected: dict[str, Any] = {}
    for rule in field.validators:
        if isinstance(rule, validate.Equal):
            ret.pop("enum", None)
            corrected["const"] = rule.comparable
    if "example" in ret:
        corrected["examples"] = [ret.pop("example")]  # 3.1 deprecates `example` in schemas
    if ret.get("default", 0) is None:
        del ret["default"]  # None is how our code says "not given"; on the wire a parameter is simply absent
    said = field.metadata.get("schema", {})
    return {**corrected, **(said() if callable(said) else said)}
