"""What the page of a problem shows beside the text of the registry: an answer as it travels, and who gives it."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ..http.blueprint import example
from ..openapi import served_json
from ..problems import REGISTRY


@dataclass(frozen=True)
class Operation:
    """An operation, and where the documentation explains it."""

    name: str
    tag: str
    method: str
    path: str

    @property
    def anchor(self) -> str:
        return f"#/{self.tag}/{self.name}"


def example_answer(slug: str) -> str:
    """An answer with this problem as it travels: status line, headers, body."""
    kind = REGISTRY[slug]
    headers = "\n".join(f"{name}: {value}" for name, value in kind().get_headers())
    return f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}\n{headers}\n\n{json.dumps(example(kind), indent=2)}"


def answered_by(slug: str) -> list[Operation]:
    """The operations whose documentation names this problem."""
    document = json.loads(served_json())
    return [
        Operation(operation["operationId"], operation["tags"][0], method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation and _names(operation, slug)
    ]


def _names(operation: dict[str, Any], slug: str) -> bool:
    contents = (response.get("content", {}) for response in operation.get("responses", {}).values())
    return any(slug in described.get("examples", {}) for content in contents for described in content.values())
