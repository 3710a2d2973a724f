"""Observed = documented: every answer that any test sees is compared with the OpenAPI document.

`RecordingClient` is the test client of every app. An answer with an undocumented status, media type or body, or without a
required header, fails the test that saw it. What was seen is kept in `SEEN`, for the check at the end of the suite that
nothing is documented which no test has reached.
"""

import re
from functools import lru_cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from api import openapi

SEEN: set[tuple[str, str]] = set()
DOCUMENT = "urn:keycard"


class UndocumentedAnswerError(AssertionError):
    """The server answered what its document does not say."""


class Recorder:
    """Compares answers with the document of one app."""

    def __init__(self, app: Flask) -> None:
        with app.app_context():
            self.document = openapi.document()
        self.registry = Registry().with_resource(
            DOCUMENT, Resource.from_contents(self.document, default_specification=DRAFT202012)
        )
        self.patterns = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), path) for path in sorted(self.document["paths"])]

    def check(self, method: str, path: str, response: TestResponse) -> None:
        """Raise UndocumentedAnswerError, or keep what was seen. Methods and paths outside the document are not ours to judge."""
        operation = self.operation(method, path)
        if operation is None:
            return
        name, status = operation["operationId"], str(response.status_code)
        if status not in operation["responses"]:
            raise UndocumentedAnswerError(f"{name} answered {status}, which is not documented: {response.text[:300]}")
        documented = operation["responses"][status]
        self._check_headers(f"{name} {status}", documented, response)
        self._check_body(f"{name} {status}", documented, response)
        SEEN.add((name, status))

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        exact = [path] if path in self.document["paths"] else []
        for template in exact or [template for pattern, template in self.patterns if pattern.match(path)]:
            found: dict[str, Any] | None = self.document["paths"][template].get(method.lower())
            if found:
                return found
        return None

    def _check_headers(self, where: str, documented: dict[str, Any], response: TestResponse) -> None:
        for name, declared in documented.get("headers", {}).items():
            header = self._resolve(declared)
            if name not in response.headers:
                if header.get("required"):
                    raise UndocumentedAnswerError(f"{where}: the header {name} is missing")
                continue
            self._validate(f"{where}: header {name}", header["schema"], response.headers[name])
        for name in ("Location", "ETag", "Link", "Set-Cookie", "Retry-After", "WWW-Authenticate", "RateLimit"):
            if name in response.headers and name not in documented.get("headers", {}):
                raise UndocumentedAnswerError(f"{where}: the header {name} is not documented")

    def _check_body(self, where: str, documented: dict[str, Any], response: TestResponse) -> None:
        content = documented.get("content")
        if not content:
            if response.data:
                raise UndocumentedAnswerError(f"{where}: a body is not documented")
            return
        if response.mimetype not in content:
            raise UndocumentedAnswerError(f"{where}: the media type {response.mimetype} is not documented")
        if response.mimetype.endswith("json"):
            self._validate(f"{where}: body", content[response.mimetype]["schema"], response.get_json(force=True))

    def _resolve(self, found: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in found:
            return found
        kind, name = found["$ref"].split("/")[-2:]
        resolved: dict[str, Any] = self.document["components"][kind][name]
        return resolved

    def _validate(self, where: str, schema: dict[str, Any], value: Any) -> None:
        absolute = {"$ref": DOCUMENT + schema["$ref"]} if "$ref" in schema else schema
        validator = Draft202012Validator(absolute, registry=self.registry, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for error in validator.iter_errors(value):
            raise UndocumentedAnswerError(f"{where}: {error.json_path} {error.message[:300]}")


@lru_cache(maxsize=64)
def recorder_of(app: Flask) -> Recorder:
    return Recorder(app)


class RecordingClient(FlaskClient):
    """Flask's test client, with the recorder behind it."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        request = response.request
        if request.method not in {"HEAD", "OPTIONS"}:
            recorder_of(self.application).check(request.method, request.path, response)
        return response
