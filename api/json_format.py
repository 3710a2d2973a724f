"""JSON as Keycard writes it: fields in the order of their declaration, UTF-8 and no spaces."""

import json
from typing import Any

import orjson
from flask.json.provider import DefaultJSONProvider, JSONProvider


def to_json(value: Any) -> bytes:
    """Return a value as JSON, in UTF-8."""
    try:
        return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:  # what JSON can say and orjson cannot: lone surrogates, huge numbers, dicts of a special kind
        return json.dumps(value, default=DefaultJSONProvider.default).encode()


class Provider(JSONProvider):
    """The JSON of the app (`Flask.json`)."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json.dumps(obj, default=DefaultJSONProvider.default, **kwargs) if kwargs else to_json(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return json.loads(s, **kwargs)
