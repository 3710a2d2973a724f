"""The operations of the document, and how to call each of them rightly. Nothing here names an operation."""

import re
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from api import openapi
from tests.actors import Bearer, new_name

METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Operation:
    """One operation as the document declares it."""

    method: str
    path: str
    declared: dict[str, Any]

    def __str__(self) -> str:
        return str(self.declared["operationId"])

    @property
    def schemes(self) -> set[str]:
        """The security schemes with which it can be called."""
        return {name for alternative in self.declared["security"] for name in alternative}

    @property
    def anonymous(self) -> bool:
        """Whether it can be called without any credential."""
        return not self.declared["security"] or {} in self.declared["security"]

    @property
    def roles(self) -> list[str]:
        return list(self.declared.get("x-required-roles", []))

    @property
    def fresh(self) -> bool:
        return bool(self.declared.get("x-fresh-token"))

    def slugs(self, status: int) -> set[str]:
        """The problems it documents under a status."""
        content = self.declared["responses"].get(str(status), {}).get("content", {})
        return set(content.get("application/problem+json", {}).get("examples", {}))

    def body(self) -> Any:
        """The request example, with a username that nobody has."""
        media = self.declared.get("requestBody", {}).get("content", {}).get("application/json")
        if media is None:
            return None
        example = dict(media["example"])
        if "username" in example and "201" in self.declared["responses"]:
            example["username"] = new_name()
        return example

    def headers(self) -> dict[str, str]:
        """The examples of the header parameters."""
        return {each["name"]: each["example"] for each in self.declared.get("parameters", []) if each["in"] == "header"}

    def url(self, **parameters: str) -> str:
        """The path with its parameters filled in: those given, else a value of the documented kind that exists nowhere."""
        nowhere = {"slug": "not-found"}
        return re.sub(
            r"\{(\w+)\}", lambda m: parameters.get(m[1]) or nowhere.get(m[1], "00000000-0000-4000-8000-000000000000"), self.path
        )

    def call(self, actor: Bearer, **kwargs: Any) -> TestResponse:
        """Call with nothing but what is given."""
        headers = self.headers() | kwargs.pop("headers", {})
        return actor.request(self.method.upper(), kwargs.pop("url", self.url()), json=self.body(), headers=headers, **kwargs)

    def token_of(self, actor: Bearer) -> str | None:
        """The token of the kind that it takes."""
        return actor.access_token if "accessToken" in self.schemes else actor.refresh_token


def operations(app: Flask) -> list[Operation]:
    with app.app_context():
        document = openapi.document()
    return [
        Operation(method, path, item[method]) for path, item in document["paths"].items() for method in METHODS if method in item
    ]
