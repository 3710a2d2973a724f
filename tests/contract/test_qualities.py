"""What makes a document worth reading, counted: every operation has it all, and a document without would be noticed."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api.openapi.document import METHODS
from tests.contract.test_document import COMMITTED

Operation = dict[str, Any]
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    """The committed one: that it is current, and the same in every store, is shown in test_document."""
    found: Document = json.loads((COMMITTED / "openapi.json").read_bytes())
    return found


def _operations(document: Document) -> Iterator[tuple[dict[str, Any], Operation]]:
    for item in document["paths"].values():
        for method in METHODS:
            if method in item:
                yield item, {**item[method], "parameters": [*item.get("parameters", []), *item[method].get("parameters", [])]}


def named(operation: Operation, document: Document) -> bool:
    return all(operation.get(each) for each in ("operationId", "summary", "description"))


def tagged(operation: Operation, document: Document) -> bool:
    """By one tag that is itself described."""
    return [bool(tag["description"]) for tag in document["tags"] if tag["name"] in operation["tags"]] == [True]


def secured(operation: Operation, document: Document) -> bool:
    """Says who may call, by schemes that exist."""
    schemes = document["components"]["securitySchemes"]
    return "security" in operation and all(name in schemes for each in operation["security"] for name in each)


def shown_by_example(operation: Operation, document: Document) -> bool:
    """The request body, the parameters, and every answer that has a body; pages are for people."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    media = [each for body in bodies for kind, each in body.get("content", {}).items() if kind != "text/html"]
    return all("example" in each or each.get("examples") for each in media) and all(
        "example" in each or each["schema"].get("examples") or each["schema"].get("format") for each in operation["parameters"]
    )


def problems_by_slug(operation: Operation, document: Document) -> bool:
    """Every error is a problem, and shows each kind it can be, under its slug."""
    errors = [each for status, each in operation["responses"].items() if int(status) >= 400 and status != "503"]
    health = operation["responses"].get("503", {}).get("content", {"application/problem+json": {"examples": {"": 1}}})
    media = [each["content"].get("application/problem+json", {}) for each in errors] + list(health.values())
    return all(each.get("examples") for each in media)


def heads_declared(operation: Operation, document: Document) -> bool:
    """Each answer declares the headers that its status or the operation's nature calls for, each with a schema."""
    return all(
        wanted(status, operation) <= set(answer["headers"])
        and all(
            document["components"]["headers"][each["$ref"].rpartition("/")[2]]["schema"] for each in answer["headers"].values()
        )
        for status, answer in operation["responses"].items()
    )


def wanted(status: str, operation: Operation) -> set[str]:
    by_status = {"401": {"WWW-Authenticate"}, "403": {"WWW-Authenticate"}, "429": {"Retry-After"}, "201": {"Location"}}
    found = {"X-Request-ID", "Cache-Control"} | by_status.get(status, set())
    if "429" in operation["responses"]:
        found |= {"RateLimit", "RateLimit-Policy"}
    if status.startswith("2") and any(each["name"] == "cursor" for each in operation["parameters"]):
        found.add("Link")
    return found


def strings_bounded(operation: Operation, document: Document) -> bool:
    """Everything that is sent as text has a length, a pattern, a format or a list of values."""
    sent = [each["schema"] for each in operation["parameters"]]
    sent += [media["schema"] for media in operation.get("requestBody", {}).get("content", {}).values()]
    return all(_bounded(schema, document) for schema in sent)


def _bounded(schema: dict[str, Any], document: Document) -> bool:
    if "$ref" in schema:
        return _bounded(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "string" in schema.get("type", ""):
        return bool(schema.keys() & {"maxLength", "format", "enum", "const"})
    return all(_bounded(each, document) for each in [*schema.get("properties", {}).values(), *schema.get("anyOf", [])])


def closed(operation: Operation, document: Document) -> bool:
    """Bodies refuse what they do not know, and passwords are never read back."""
    references = [
        media["schema"]["$ref"].rpartition("/")[2]
        for body in [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in body.get("content", {}).values()
        if "$ref" in media["schema"]
    ]
    schemas = [document["components"]["schemas"][each] for each in references]
    return all(schema["additionalProperties"] is False for schema in schemas) and all(
        inner.get("writeOnly")
        for schema in schemas
        for name, inner in schema["properties"].items()
        if "password" in name and name != "password_policy"
    )


def without_unions(operation: Operation, document: Document) -> bool:
    """Nothing is one of several things; it may only be null, where that is said."""
    text = [document["components"]["schemas"], operation]
    return all(_plain(each) for each in text)


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_plain, value))
    if not isinstance(value, dict):
        return True
    kinds = [each for each in value["anyOf"] if each != {"type": "null"}] if isinstance(value.get("anyOf"), list) else []
    several = isinstance(value.get("type"), list) and len(set(value["type"]) - {"null"}) != 1
    return len(kinds) < 2 and not several and "oneOf" not in value and all(map(_plain, value.values()))


QUALITIES: dict[Callable[[Operation, Document], bool], Callable[[Operation, Document], Any]] = {
    named: lambda operation, _: operation.update(summary=""),
    tagged: lambda operation, _: operation.update(tags=["unknown"]),
    secured: lambda operation, _: operation.pop("security"),
    shown_by_example: lambda operation, _: [_strip(operation, "example"), _strip(operation, "examples")],
    problems_by_slug: lambda operation, _: operation["responses"].update({"400": {"content": {"application/json": {}}}}),
    heads_declared: lambda operation, _: [each["headers"].pop("X-Request-ID") for each in operation["responses"].values()],
    strings_bounded: lambda operation, _: operation["parameters"].append({"schema": {"type": "string"}}),
    closed: lambda _, document: [each.update(additionalProperties={}) for each in document["components"]["schemas"].values()],
    without_unions: lambda operation, _: operation["parameters"].append({"schema": {"type": ["string", "integer"]}}),
}


def _strip(value: Any, name: str) -> None:
    if isinstance(value, dict):
        value.pop(name, None)
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _strip(each, name)


@pytest.mark.parametrize("has", QUALITIES, ids=lambda each: each.__name__)
def test_every_operation_has_it(document: Document, has: Callable[[Operation, Document], bool]) -> None:
    found = [(operation["operationId"], has(operation, document)) for _, operation in _operations(document)]
    assert len(found) == 38
    assert [name for name, good in found if not good] == []


@pytest.mark.parametrize("has", QUALITIES, ids=lambda each: each.__name__)
def test_an_operation_without_it_would_be_noticed(document: Document, has: Callable[[Operation, Document], bool]) -> None:
    """Each operation in turn is spoiled, and then lacks this quality."""
    kept = []
    for name in [operation["operationId"] for _, operation in _operations(document)]:
        spoiled = copy.deepcopy(document)
        (operation,) = (each for _, each in _operations(spoiled) if each["operationId"] == name)
        QUALITIES[has](operation, spoiled)
        if has(operation, spoiled):
            kept.append(name)
    assert kept == []


def test_every_link_can_be_followed(document: Document) -> None:
    """Its operation starts a walk, as a POST or a list does, or another one leads there: schemathesis comes to no others."""
    operations = {each["operationId"]: each for _, each in _operations(document)}
    starts = {each["operationId"] for path, item in document["paths"].items() for each in _starts(path, item)}
    leads_to = {name: {each["operationId"] for each in _links(operation)} for name, operation in operations.items()}
    elsewhere = {target for name, targets in leads_to.items() for target in targets - {name}}
    assert [name for name, targets in leads_to.items() if targets and name not in starts | elsewhere] == []


def _starts(path: str, item: dict[str, Any]) -> list[Operation]:
    return [item[method] for method in ("post", "get") if method in item and (method == "post" or "{" not in path)]


def _links(operation: Operation) -> list[dict[str, Any]]:
    return [each for answer in operation["responses"].values() for each in answer.get("links", {}).values()]
