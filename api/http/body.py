"""Reading requests: one strict JSON reader for every body, one parser for every argument, clear faults."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import marshmallow as ma
from flask import Request, g, request
from webargs.flaskparser import FlaskParser

from ..problems import MalformedRequest, PayloadTooLarge, UnsupportedMediaType, ValidationFailed

MAX_DEPTH = 32
# The member of an error that says where the value stood (RFC 9457 leaves the naming to us).
PLACE = {"json": "pointer", "query": "parameter", "headers": "header"}


def read_json() -> Any:
    """Return the parsed body of the current request, once.

    Raises UnsupportedMediaType, PayloadTooLarge (where the length is known, Werkzeug's) and MalformedRequest.
    """
    if "json_body" not in g:
        if request.mimetype != "application/json":
            raise UnsupportedMediaType
        g.json_body = strict_json(_whole_body())
    return g.json_body


def _whole_body() -> bytes:
    """The body. Werkzeug cuts one that comes in chunks off at the limit, and what is left could be valid JSON.

    Raises PayloadTooLarge.
    """
    raw = request.get_data(cache=True)
    cut = request.content_length is None and len(raw) == request.max_content_length
    if cut and request.environ["wsgi.input"].read(1):
        raise PayloadTooLarge
    return raw


def strict_json(raw: bytes) -> Any:
    """Parse JSON as RFC 8259 means it, and refuse what parsers disagree about.

    Raises MalformedRequest for bytes that are not UTF-8, duplicate names, NaN and Infinity, numbers that no double
    holds, lone surrogates, and nesting deeper than 32.
    """
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise MalformedRequest("The body is not valid UTF-8.") from None
    except RecursionError:
        raise MalformedRequest(f"The body is nested deeper than {MAX_DEPTH}.") from None
    except ValueError:  # also an integer of more than 4300 digits
        raise MalformedRequest("The body is not valid JSON.") from None
    _check(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("An object has two members of the same name.")
    return found


def _no_constant(_: str) -> NoReturn:
    raise MalformedRequest("NaN and Infinity are not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise MalformedRequest("A number is too large.")
    return number


def _check(root: Any) -> None:
    """Walk without recursion: depth and surrogates."""
    level: list[Any] = [root]
    depth = 0
    while level:
        if depth >= MAX_DEPTH and any(isinstance(value, list | dict) for value in level):
            raise MalformedRequest(f"The body is nested deeper than {MAX_DEPTH}.")
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _no_surrogates(value)
            elif isinstance(value, list):
                below += value
            elif isinstance(value, dict):
                below += [*value, *value.values()]
        level, depth = below, depth + 1


def _no_surrogates(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedRequest("A string holds half of a surrogate pair.") from None


class Parser(FlaskParser):
    """webargs with the strict reader and with problems instead of its own errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": ma.RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        return read_json()

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        repeated = [name for name, values in req.args.lists() if len(values) > 1]
        if repeated:
            raise ValidationFailed(errors=[{"parameter": name, "detail": "Given more than once."} for name in repeated])
        return super().load_querystring(req, schema)

    def handle_error(self, error: ma.ValidationError, *_: Any, **__: Any) -> NoReturn:
        messages = error.messages if isinstance(error.messages, dict) else {}
        raise ValidationFailed(
            errors=[
                {PLACE.get(location, "parameter"): _place(location, path), "detail": detail}
                for location, found in messages.items()
                for path, detail in _flatten(found)
            ]
        ) from None


def _place(location: str, path: tuple[str, ...]) -> str:
    if location != "json":
        return path[0] if path else ""
    body = g.get("json_body")
    if path[:1] == ("_schema",) and not (isinstance(body, dict) and "_schema" in body):
        path = path[1:]  # marshmallow's word for the whole body
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)  # RFC 6901


def _flatten(found: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], str]]:
    if isinstance(found, Mapping):
        for name, inner in found.items():
            yield from _flatten(inner, (*path, str(name)))
    elif isinstance(found, list):
        for inner in found:
            yield from _flatten(inner, path)
    else:
        yield path, str(found)
